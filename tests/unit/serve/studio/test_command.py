from typer.testing import CliRunner

from lexloom.base.errors import UserError
from lexloom.cli import app
from lexloom.serve import start


def invoke(*words):
    return CliRunner().invoke(app, ["studio", *words])


def test_with_nothing_to_show_it_says_what_to_name():
    error = invoke().exception
    assert isinstance(error, UserError)
    assert "--runs FOLDER" in error.fix


def test_it_serves_with_what_was_named(tmp_path, monkeypatch):
    seen = {}

    def serve(words, settings, studio, *, browse):
        seen.update(words=words, settings=settings, studio=studio, browse=browse)
        return 0

    monkeypatch.setattr(start, "serve", serve)
    (tmp_path / "prompts.txt").write_text("one\ntwo\n", encoding="utf-8")
    options = ("--runs", str(tmp_path), "--votes", str(tmp_path / "v"), "--prompts", str(tmp_path / "prompts.txt"))
    result = invoke("a=run/model", *options, "--port", "9000", "--no-open")
    assert result.exit_code == 0
    assert seen["words"] == ["a=run/model"]
    assert (seen["settings"].host, seen["settings"].port, seen["browse"]) == ("127.0.0.1", 9000, False)
    assert seen["studio"].runs == tmp_path
    assert seen["studio"].prompts == ("one", "two")
