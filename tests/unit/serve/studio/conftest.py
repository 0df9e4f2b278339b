"""A studio that listens, and Chromium to open it; tests that ask for them are skipped where there is none."""

import shutil

import pytest

from lexloom.serve.studio.settings import StudioSettings
from tests.studio import HOSTILE, studio_server, write_comparison, write_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")  # no longer: while it is open, no other test of the process can run an event loop
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, see the group dev")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    write_run(folder / "runs" / "learning", text=HOSTILE)
    write_comparison(folder / "comparison")
    return folder


@pytest.fixture(scope="package")
def address(place):
    settings = StudioSettings(runs=place / "runs", compare=place / "comparison", votes=place / "votes.sqlite")
    with studio_server(settings) as url:
        yield url
