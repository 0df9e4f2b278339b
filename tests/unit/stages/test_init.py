import pytest

from lexloom.base.errors import FolderError
from lexloom.base.recipe import load_recipe
from lexloom.stages.init import commented_toml, init
from lexloom.stages.recipe import Recipe


def test_the_written_recipe_is_the_default_one_with_its_sources(tmp_path):
    file = init(tmp_path / "my.toml", sources=["诗.txt", "more/*.txt"])
    recipe = load_recipe(Recipe, file, (), {})
    assert recipe.prepare.data.sources == ("诗.txt", "more/*.txt")
    assert recipe.model.preset == "toy"
    assert recipe.train == Recipe().train


def test_every_setting_stands_there_with_its_explanation():
    lines = commented_toml(Recipe()).splitlines()
    settings = [at for at, line in enumerate(lines) if "=" in line and not line.startswith("# ") and line[0] != " "]
    assert len(settings) > 40
    assert all(lines[at - 1].startswith("# ") for at in settings)


def test_tables_inside_a_section_read_back(tmp_path):
    file = tmp_path / "recipe.toml"
    recipe = Recipe.model_validate({"prepare": {"filter": {"at_least": {"characters": 5}}}})
    file.write_text(commented_toml(recipe), encoding="utf-8")
    assert load_recipe(Recipe, file, (), {}) == recipe


def test_an_existing_recipe_is_never_overwritten(tmp_path):
    (tmp_path / "my.toml").write_text("mine")
    with pytest.raises(FolderError, match="already exists"):
        init(tmp_path / "my.toml", sources=["a"])
