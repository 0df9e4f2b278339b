"""The bundled texts: small, whole, and of the form that their README states."""

import gzip
import hashlib
import re

from lexloom.bundled import DEMO_RECIPE, SHAKESPEARE, TANG, bundled

MOST_BYTES = 3_000_000
COUPLET = re.compile(r"[\u4e00-\u9fff]{5}，[\u4e00-\u9fff]{5}[。？！]|[\u4e00-\u9fff]{7}，[\u4e00-\u9fff]{7}[。？！]")
HEAD = re.compile(r"《[\u4e00-\u9fff]{1,7}》[\u4e00-\u9fff]{1,4}")


def text_of(name):
    return gzip.decompress(bundled(name).read_bytes()).decode()


def test_everything_bundled_is_under_three_megabytes():
    assert sum(path.stat().st_size for path in bundled(TANG).parent.iterdir() if path.is_file()) < MOST_BYTES


def test_texts_are_those_that_the_readme_names():
    readme = bundled("README.md").read_text(encoding="utf-8")
    for name in (TANG, SHAKESPEARE):
        data = gzip.decompress(bundled(name).read_bytes())
        assert hashlib.sha256(data).hexdigest() in readme
        assert f"{len(data):,}" in readme


def test_every_poem_has_the_stated_form():
    poems = text_of(TANG).rstrip("\n").split("\n\n")
    assert len(poems) == 8448
    for poem in poems:
        head, *couplets = poem.split("\n")
        assert HEAD.fullmatch(head), poem
        assert len(couplets) in (2, 4)
        assert all(map(COUPLET.fullmatch, couplets)), poem
        assert len({len(couplet) for couplet in couplets}) == 1


def test_shakespeare_is_speeches_with_speakers():
    speeches = text_of(SHAKESPEARE).strip().split("\n\n")
    assert len(speeches) == 7222
    assert speeches[0].startswith("First Citizen:\n")


def test_the_demo_recipe_is_bundled():
    assert bundled(DEMO_RECIPE).is_file()
