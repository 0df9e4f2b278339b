"""Texts and the recipe that travel with the package, so that the demo and the tests run offline; see README.md."""

from importlib.resources import files
from pathlib import Path

TANG = "tang.txt.gz"
SHAKESPEARE = "shakespeare.txt.gz"
DEMO_RECIPE = "demo.toml"


def bundled(name: str) -> Path:
    """The path of a bundled file, for example `bundled(TANG)`."""
    path = Path(str(files(__package__).joinpath(name)))
    assert path.is_file(), f"the package is installed without its file {name}"
    return path
