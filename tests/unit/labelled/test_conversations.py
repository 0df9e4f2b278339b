"""Instructions, conversations and preferences are read in three forms; nothing odd passes in silence."""

import json

import pytest

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.check import check
from lexloom.labelled.conversations import ConversationSettings, stream_conversations, stream_preferences
from lexloom.labelled.split import by_hash, groups_of
from lexloom.text.chat import Message

TALK = (
    Message("system", "Be brief."),
    Message("user", "你好"),
    Message("assistant", "你好！"),
    Message("user", "Who wrote 静夜思?"),
    Message("assistant", "李白."),
)
FORMS = {
    "Alpaca": {
        "system": "Be brief.",
        "history": [["你好", "你好！"]],
        "instruction": "Who wrote 静夜思?",
        "input": "",
        "output": "李白.",
    },
    "ShareGPT": {
        "conversations": [
            {"from": {"user": "human", "assistant": "gpt"}.get(each.role, each.role), "value": each.content}
            for each in TALK
        ]
    },
    "OpenAI": {"messages": [{"role": each.role, "content": each.content} for each in TALK]},
}
PAIR = {"chosen": "李白.", "rejected": "杜甫."}
CHOSEN = {
    "texts": PAIR,
    "ShareGPT's messages": {name: {"from": "gpt", "value": text} for name, text in PAIR.items()},
    "OpenAI's messages": {name: {"role": "assistant", "content": text} for name, text in PAIR.items()},
    "lists of one message": {name: [{"role": "assistant", "content": text}] for name, text in PAIR.items()},
}


def write(path, rows):
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path, rows, *, stream=stream_conversations, **settings):
    ledger = Ledger()
    return list(stream([write(path, rows)], ConversationSettings(**settings), ledger)), ledger


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("form", FORMS)
def test_a_conversation_is_the_same_in_every_form(tmp_path, form, suffix):
    [example], ledger = read(tmp_path / f"talk{suffix}", [FORMS[form]])
    assert example.messages == TALK
    assert example.row == FORMS[form]
    assert example.where.startswith(f"{tmp_path}/talk{suffix}:")
    assert ledger["labelled", "examples"].documents == 1


def test_the_input_of_an_instruction_stands_on_lines_of_its_own(tmp_path):
    [example], _ = read(tmp_path / "a.json", [{"instruction": "Mend this.", "input": "He go.", "output": "He goes."}])
    assert example.messages == (Message("user", "Mend this.\nHe go."), Message("assistant", "He goes."))
    assert example.answers == ("He goes.",)


@pytest.mark.parametrize(
    "row", [{"instruction": "a"}, {"instruction": "a", "output": " "}, {"instruction": "a", "output": None}]
)
def test_an_instruction_without_an_answer_is_read_and_counted(tmp_path, row):
    [example], ledger = read(tmp_path / "a.jsonl", [row])
    assert example.messages == (Message("user", "a"),)
    assert ledger["labelled", "without an answer"].examples == [f"{tmp_path}/a.jsonl:1"]


@pytest.mark.parametrize("answers", CHOSEN.values(), ids=CHOSEN)
@pytest.mark.parametrize("form", FORMS)
def test_a_preference_is_the_same_in_every_form(tmp_path, form, answers):
    row = {key: value[:-1] if key in ("conversations", "messages") else value for key, value in FORMS[form].items()}
    [example], _ = read(tmp_path / "a.json", [{**row, **answers}], stream=stream_preferences)
    assert (example.messages, example.chosen, example.rejected) == (TALK[:-1], "李白.", "杜甫.")


USER, GPT = {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}
WRONG = {
    "a list": ([1], "not an object"),
    "no form": ({"text": "a"}, "no known form of a conversation: it names 'text'"),
    "two forms": ({"messages": [], "conversations": []}, "two forms at once"),
    "no turn": ({"conversations": []}, "holds no turn of a user"),
    "a system's turn alone": ({"conversations": [{"from": "system", "value": "a"}]}, "holds no turn of a user"),
    "turns that aren't a list": ({"conversations": "a"}, "holds a string, not a list of turns"),
    "a turn that isn't an object": ({"conversations": ["a"]}, "conversations[0]: is a string"),
    "a turn without a text": ({"conversations": [{"from": "human"}]}, "conversations[0]: has no field 'value'"),
    "a text that isn't one": ({"messages": [{"role": "user", "content": None}]}, "messages[0]: the field 'content'"),
    "an unknown role": ({"messages": [{"role": "tool", "content": "a"}]}, "unknown role 'tool'"),
    "a role that isn't a text": ({"messages": [{"role": ["user"], "content": "a"}]}, "unknown role"),
    "two turns of the user": ({"conversations": [USER, USER]}, "turn 2 is the user's after the user's"),
    "two turns of the assistant": ({"conversations": [USER, GPT, GPT]}, "turn 3 is the assistant's"),
    "the assistant first": ({"conversations": [GPT, USER]}, "turn 1 is the assistant's at the beginning"),
    "a late system message": ({"conversations": [USER, {"from": "system", "value": "a"}]}, "turn 2 is the system's"),
    "an empty answer before the end": (
        {"conversations": [USER, {"from": "gpt", "value": ""}, USER]},
        "message 2 is an empty answer",
    ),
    "an instruction that isn't a text": ({"instruction": 1, "output": "a"}, "holds a number, not text"),
    "a history that isn't pairs": ({"instruction": "a", "history": [["a"]]}, "history[0]: isn't a pair"),
    "half a character": ({"instruction": "\ud800", "output": "a"}, "half a character"),
}


@pytest.mark.parametrize(("row", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_conversation_is_refused_with_its_place(tmp_path, row, words):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"instruction": "a", "output": "b"}) + "\n" if "instruction" in row else "")
    with file.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    number = 2 if "instruction" in row else 1
    with pytest.raises(DataError) as caught:
        list(stream_conversations([str(file)], ConversationSettings(), Ledger()))
    assert words in str(caught.value)
    assert f"a.jsonl:{number}" in str(caught.value)


def test_a_file_of_two_forms_is_refused_where_the_second_begins(tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl:2: names 'messages', but this file began with 'conversations'"):
        read(tmp_path / "a.jsonl", [FORMS["ShareGPT"], FORMS["OpenAI"]])


def test_bad_records_are_skipped_where_that_is_allowed_and_listed(tmp_path):
    rows = [FORMS["ShareGPT"], {"conversations": [USER, USER]}, {"text": "a"}, FORMS["ShareGPT"]]
    examples, ledger = read(tmp_path / "a.jsonl", rows, skip_bad_rows=2)
    assert len(examples) == 2
    assert [place.partition(": ")[0] for place in ledger["read", "bad row skipped"].examples] == [
        f"{tmp_path}/a.jsonl:{number}" for number in (2, 3)
    ]


def test_plain_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("Hello.")
    with pytest.raises(DataError, match="is plain text, not a file of conversations"):
        list(stream_conversations([str(tmp_path / "a.txt")], ConversationSettings(), Ledger()))


def test_a_file_without_a_record_is_counted(tmp_path):
    examples, ledger = read(tmp_path / "a.json", [])
    assert examples == []
    assert ledger["labelled", "file without a row"].documents == 1


ASKED = {"instruction": "a", "output": "a third answer"}
WRONG_PAIRS = {
    "nothing chosen": ({**ASKED, "rejected": "b"}, "has no field 'chosen'"),
    "nothing rejected": ({**ASKED, "chosen": "b", "rejected": None}, "has no field 'rejected'"),
    "no text": ({**ASKED, "chosen": "b", "rejected": 3}, "holds a number, not text"),
    "the user's turn": ({**ASKED, "chosen": USER, "rejected": "b"}, "chosen: is the user's turn"),
    "an answered conversation": ({"conversations": [USER, GPT], **PAIR}, "ends with an answer"),
}


@pytest.mark.parametrize(("row", "words"), WRONG_PAIRS.values(), ids=WRONG_PAIRS)
def test_what_is_no_preference_is_refused(tmp_path, row, words):
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.jsonl", [row], stream=stream_preferences)
    assert words in str(caught.value)
    assert "a.jsonl:1" in str(caught.value)


def test_pairs_of_equal_answers_are_counted_and_found_by_the_check(tmp_path):
    row = {"instruction": "a", "chosen": "b", "rejected": "b"}
    examples, ledger = read(tmp_path / "a.jsonl", [row], stream=stream_preferences)
    assert ledger["labelled", "chosen and rejected alike"].examples == [f"{tmp_path}/a.jsonl:1"]
    assert "chosen and rejected are alike, in train" in [found.what for found in check({"train": examples}).findings]


def test_the_same_pair_the_other_way_round_is_a_contradiction(tmp_path):
    one, two = {**ASKED, "chosen": "b", "rejected": "c"}, {**ASKED, "chosen": "c", "rejected": "b"}
    examples, _ = read(tmp_path / "a.jsonl", [one, two], stream=stream_preferences)
    found = [finding.what for finding in check({"train": examples}).findings]
    assert any("conflict" in what or "label" in what for what in found), found


def test_conversations_that_begin_alike_are_on_one_side(tmp_path):
    rows = [
        {"conversations": [{"from": "human", "value": f"question {number}"}, {"from": "gpt", "value": f"{answer}"}]}
        for number in range(40)
        for answer in range(3)
    ]
    examples, _ = read(tmp_path / "a.json", rows)
    train, validation = by_hash(examples, 0.3)
    assert not set(groups_of(train)) & set(groups_of(validation))
    assert len(train) % 3 == len(validation) % 3 == 0


def test_the_published_sets_are_read_whole(shared_data):
    counts = {
        "instruct-rasbt/instruction-data.json.gz": 1100,
        "instruct-llamafactory/alpaca_en_demo.json.gz": 999,
        "instruct-llamafactory/alpaca_zh_demo.json.gz": 1000,
    }
    for name, count in counts.items():
        folder, _, file = name.partition("/")
        ledger = Ledger()
        examples = list(stream_conversations([str(shared_data(folder) / file)], ConversationSettings(), ledger))
        assert len(examples) == count
        assert all(example.answers for example in examples)
    pairs = {
        "instruct-rasbt/instruction-data-with-preference.json.gz": 1100,
        "instruct-llamafactory/dpo_zh_demo.json.gz": 300,
    }
    for name, count in pairs.items():
        folder, _, file = name.partition("/")
        found = list(stream_preferences([str(shared_data(folder) / file)], ConversationSettings(), Ledger()))
        assert len(found) == count
        assert all(pair.chosen and pair.rejected for pair in found)
