"""`generate` and `chat` write to stdout, remember, and end cleanly."""

import json

import pytest

from lexloom.base.errors import FolderError, UserError
from lexloom.generate.prompts import ContextFull
from lexloom.generate.settings import GenerateSettings, SamplingSettings
from lexloom.generate.text import Piece
from lexloom.stages.chat import chat, converse
from lexloom.stages.generate import generate
from lexloom.text.chat import Message
from tests.folders import write_model

FEW = SamplingSettings(max_tokens=6, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("speaking") / "model", context=96)


def test_generate_writes_prompt_and_text_as_one(folder, capsys):
    facts = generate(folder, "春眠", FEW)
    assert capsys.readouterr().out == f"春眠{facts['text']}\n"
    assert facts["tokens"] == 6
    assert facts["finish"] == "length"


def test_generate_with_json_writes_one_object(folder, capsys):
    facts = generate(folder, "春眠", FEW, json=True)
    assert json.loads(capsys.readouterr().out) == facts


def test_the_reported_seed_gives_the_text_again(folder, capsys):
    first = generate(folder, "To", SamplingSettings(max_tokens=12), json=True)
    again = generate(folder, "To", SamplingSettings(max_tokens=12, seed=first["seed"]), json=True)
    assert again["text"] == first["text"]


def test_a_search_writes_one_text_or_several_behind_their_scores(folder, capsys):
    one = generate(folder, "To", GenerateSettings(beams=3, max_tokens=5))
    assert capsys.readouterr().out == f"To{one['text']}\n"
    facts = generate(folder, "To", GenerateSettings(beams=3, n_best=3, max_tokens=5))
    assert capsys.readouterr().out == "".join(f"[{text['score']:.4f}] To{text['text']}\n" for text in facts["found"])
    assert facts["text"] == facts["found"][0]["text"] == one["text"]
    assert len({text["text"] for text in facts["found"]}) == 3
    assert [text["score"] for text in facts["found"]] == sorted(
        (text["score"] for text in facts["found"]), reverse=True
    )


def test_a_search_with_json_writes_one_object(folder, capsys):
    facts = generate(folder, "春眠", GenerateSettings(beams=2, n_best=2, max_tokens=4), json=True)
    assert json.loads(capsys.readouterr().out) == facts


def test_one_beam_still_samples(folder, capsys):
    settings = {"max_tokens": 6, "seed": 5, "top_k": 9}
    sampled = generate(folder, "To", SamplingSettings(**settings), json=True)
    assert generate(folder, "To", GenerateSettings(**settings), json=True)["text"] == sampled["text"]


def test_a_model_that_needs_a_source_does_not_go_on_with_a_text(tmp_path):
    folder = write_model(tmp_path / "model", family="t5")
    with pytest.raises(FolderError, match=r"an encoder-decoder, and only a decoder .*\n.*lexloom predict"):
        generate(folder, "To", FEW)


def test_chat_answers_each_line_and_remembers(folder, capsys):
    messages = chat(folder, FEW, format_name="chatml", lines=["春\n", "\n", "秋\n"])
    assert [message.role for message in messages] == ["user", "assistant"] * 2
    assert [message.content for message in messages[::2]] == ["春", "秋"]
    assert capsys.readouterr().out == "".join(f"{message.content}\n" for message in messages[1::2])


def test_chat_without_a_known_format_asks_for_one(folder):
    with pytest.raises(UserError, match="which chat format"):
        chat(folder, FEW, lines=[])


def words_of(text, interrupted=False):
    for word in text:
        yield Piece(0, word, None)
    if interrupted:
        raise KeyboardInterrupt


def test_a_conversation_longer_than_the_context_forgets_aloud(capsys):
    seen = []

    def reply(messages):
        if len(messages) > 4:
            raise ContextFull("too long")
        seen.append([message.content for message in messages])
        return words_of("ok")

    system = [Message("system", "s")]
    messages = converse(["1", "2", "3"], reply, system)
    assert seen == [["s", "1"], ["s", "1", "ok", "2"], ["s", "2", "ok", "3"]]
    assert [message.content for message in messages] == ["s", "2", "ok", "3", "ok"]
    assert "forgotten" in capsys.readouterr().err


def test_a_message_longer_than_the_context_is_refused_and_the_conversation_goes_on(capsys):
    def reply(messages):
        if "long" in messages[-1].content:
            raise ContextFull("12 tokens and 3 don't fit into 8")
        return words_of("ok")

    messages = converse(["1", "long", "2"], reply, [])
    assert [message.content for message in messages] == ["2", "ok"]
    assert "12 tokens" in capsys.readouterr().err


def test_an_interrupted_reply_stays_and_the_conversation_goes_on(capsys):
    replies = iter([words_of("ab", interrupted=True), words_of("cd")])
    messages = converse(["1", "2"], lambda messages: next(replies), [])
    assert [message.content for message in messages] == ["1", "ab", "2", "cd"]
    assert capsys.readouterr().out == "ab\ncd\n"


def test_an_interrupt_between_replies_ends_the_conversation():
    def lines():
        yield "1"
        raise KeyboardInterrupt

    assert len(converse(lines(), lambda messages: words_of("x"), [])) == 2
