import pytest

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import Settings, choose, load_recipe, to_toml
from lexloom.train.settings import TrainSettings


class Train(Settings):
    lr: float = 1e-3
    schedule: str = "cosine"
    stop: int | None = None


class Recipe(Settings):
    train: Train = Train()
    name: str = "run"


def load(tmp_path, text="", overrides=(), environment=None):
    file = tmp_path / "recipe.toml"
    file.write_text(text, encoding="utf-8")
    return load_recipe(Recipe, file, overrides, environment or {})


def test_command_line_beats_environment_beats_file_beats_default(tmp_path):
    text = "[train]\nlr = 0.1\nschedule = 'linear'\nstop = 1"
    environment = {"LEXLOOM_TRAIN__LR": "0.2", "LEXLOOM_TRAIN__STOP": "2", "LEXLOOM_SHARED_DATA": "/x", "OTHER": "1"}
    recipe = load(tmp_path, text, ["train.lr=3e-4"], environment)
    assert recipe.train == Train(lr=3e-4, schedule="linear", stop=2)
    assert recipe.name == "run"


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        ("[train]\nlearning = 1", [], ["unknown key 'train.learning'", "known: lr"]),
        ("[train]\nshedule = 'x'", [], ["'train.shedule'", "did you mean 'schedule'"]),
        ("[trian]\nlr = 1", [], ["'trian'", "did you mean 'train'"]),
        ("", ["train.lr=fast"], ["train.lr = 'fast'", "number"]),
        ("", ["train.lr"], ["not an override", "section.key=value"]),
        ("", ["name.x=1", "name=a", "name.y=2"], ["name", "not a section"]),
        ("[train", [], ["can't be read as TOML"]),
    ],
)
def test_mistakes_are_named_with_the_nearest_key(tmp_path, text, overrides, words):
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text, overrides)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_budget_on_the_command_line_replaces_the_files_but_two_at_once_are_refused(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("epochs = 3\nlr = 0.5", encoding="utf-8")
    found = load_recipe(TrainSettings, file, ["steps=7"], {})
    assert (found.steps, found.epochs, found.lr) == (7, None, 0.5)
    with pytest.raises(RecipeError, match="both budgets"):
        load_recipe(TrainSettings, file, ["steps=7", "minutes=1"], {})


def test_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(RecipeError, match="lexloom init"):
        load_recipe(Recipe, tmp_path / "none.toml", (), {})


def test_resolved_recipe_reads_back_equal(tmp_path):
    recipe = load(tmp_path, "", ["train.lr=0.5", "name=诗"])
    assert load(tmp_path, to_toml(recipe)) == recipe


def test_choose_names_the_nearest_entry():
    assert choose({"cosine": 1}, "cosine", field="train.schedule") == 1
    with pytest.raises(RecipeError, match="did you mean 'cosine'"):
        choose({"cosine": 1, "linear": 2}, "cosin", field="train.schedule")
