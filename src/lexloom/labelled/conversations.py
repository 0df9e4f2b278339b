"""Instructions, conversations and pairs of preferred answers, in the three forms in which they are published.

Alpaca (Taori et al. 2023): `instruction`, `input`, `output`, and as LLaMA-Factory has it `system` and `history`.
ShareGPT: `conversations`, a list of `from` (system, human, gpt) and `value`. OpenAI: `messages`, a list of `role`
(system, user, assistant) and `content`. A preference names `chosen` and `rejected` besides: two answers, texts or
messages, to the last turn of the user. The form is recognised by its keys; a file has one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Conversation, Preference
from lexloom.labelled.files import STAGE, FileSettings, open_sources
from lexloom.text.chat import Message, Role
from lexloom.text.readers import ROWS
from lexloom.text.reading import Reading
from lexloom.text.rows import check_values, kind

UNANSWERED = "without an answer"
ALIKE = "chosen and rejected alike"

Messages = tuple[Message, ...]
Values = Mapping[str, Any]


class ConversationSettings(FileSettings):
    """Files of instructions, conversations or preferences."""

    suffix: Literal[".tsv", ".csv", ".jsonl"] = ".jsonl"
    """What standard input and files without a known suffix are read as."""


def stream_conversations(
    sources: Sequence[str], settings: ConversationSettings, ledger: Ledger
) -> Iterator[Conversation]:
    """Conversations of any number of turns, in turn by the user and the assistant, a system message first if any.

    The ledger gets under "labelled" the examples, those that end with the user's turn ("without an answer": an empty
    last answer is none), and empty texts. Raises DataError with file and line for a form that is unknown or isn't that
    of the file's first record, for turns that are missing, doubled or by nobody known, and for what isn't text.
    """
    for values, where, reading in _records(sources, settings, ledger):
        try:
            messages = _answered(_conversation(values, where), where)
        except DataError as error:
            reading.bad_rows.add(error)
            continue
        _count(ledger, [message.content for message in messages], where)
        if messages[-1].role == "user":
            ledger.count(STAGE, UNANSWERED, where=where)
        yield Conversation(where, values, messages)


def stream_preferences(sources: Sequence[str], settings: ConversationSettings, ledger: Ledger) -> Iterator[Preference]:
    """Conversations that end with the user's turn, with the answer that was chosen and the one that was rejected.

    Counts and raises as `stream_conversations`; pairs of equal answers are counted.
    """
    for values, where, reading in _records(sources, settings, ledger):
        try:
            messages = _asked(values, where)
            chosen, rejected = (_one_answer(values, name, where) for name in ("chosen", "rejected"))
        except DataError as error:
            reading.bad_rows.add(error)
            continue
        _count(ledger, [*(message.content for message in messages), chosen, rejected], where)
        if chosen == rejected:
            ledger.count(STAGE, ALIKE, where=where)
        yield Preference(where, values, messages, chosen, rejected)


# ---- records ----


def _records(
    sources: Sequence[str], settings: ConversationSettings, ledger: Ledger
) -> Iterator[tuple[Values, str, Reading]]:
    """Every record of every file, all of a file in one form."""
    for reading in open_sources(sources, settings, ledger):
        form: str | None = None
        for number, values in _rows(reading):
            where = reading.place(number)
            try:
                form = _form(values, form, where)
                check_values(values, where)
            except DataError as error:
                reading.bad_rows.add(error)
                continue
            yield values, where, reading
        if form is None:
            ledger.count(STAGE, "file without a row", where=reading.source.name)


def _rows(reading: Reading) -> Iterator[tuple[int, Any]]:
    rows = ROWS.get(reading.source.format)
    if rows is None:
        fix = "Give .json or .jsonl with instructions, conversations or messages."
        raise DataError("is plain text, not a file of conversations", where=reading.source.name, fix=fix)
    yield from rows(reading, ())


def _form(values: Any, first: str | None, where: str) -> str:
    """Which form a record has, by its keys. Raises DataError unless it is one, and that of the file's first record."""
    if not isinstance(values, dict):
        raise DataError(f"is {kind(values)}, not an object with named fields", where=where)
    found = [name for name in FORMS if name in values]
    if not found:
        named = ", ".join(repr(name[:80]) for name in list(values)[:10]) or "nothing"
        fix = f"Name the turns by {', '.join(FORMS)} (Alpaca, ShareGPT, OpenAI)."
        raise DataError(f"is in no known form of a conversation: it names {named}", where=where, fix=fix)
    if len(found) > 1:
        raise DataError(f"is in two forms at once: it names {' and '.join(map(repr, found))}", where=where)
    if first is not None and found[0] != first:
        fix = "Give each form a file of its own."
        raise DataError(f"names {found[0]!r}, but this file began with {first!r}", where=where, fix=fix)
    return found[0]


# ---- the three forms ----


def _conversation(values: Values, where: str) -> Messages:
    """The messages of a record, in turn. Raises DataError."""
    read = next(form for name, form in FORMS.items() if name in values)
    messages = tuple(read(values, where))
    _check_turns(messages, where)
    return messages


def _alpaca(values: Values, where: str) -> Iterator[Message]:
    system, more = (_optional(values, name, where) for name in ("system", "input"))
    if system:
        yield Message("system", system)
    for number, turn in enumerate(_listed(values.get("history") or [], "history", where)):
        place = f"{where} history[{number}]"
        if not isinstance(turn, list) or len(turn) != 2:
            raise DataError("isn't a pair of instruction and answer", where=place)
        yield Message("user", _text(turn[0], "instruction", place))
        yield Message("assistant", _text(turn[1], "answer", place))
    instruction = _text(values["instruction"], "instruction", where)
    yield Message("user", f"{instruction}\n{more}" if more else instruction)
    if values.get("output") is not None:
        yield Message("assistant", _text(values["output"], "output", where))


def _sharegpt(values: Values, where: str) -> Iterator[Message]:
    system = _optional(values, "system", where)
    if system:
        yield Message("system", system)
    for number, turn in enumerate(_listed(values["conversations"], "conversations", where)):
        yield _message(turn, f"{where} conversations[{number}]")


def _openai(values: Values, where: str) -> Iterator[Message]:
    for number, turn in enumerate(_listed(values["messages"], "messages", where)):
        yield _message(turn, f"{where} messages[{number}]")


FORMS: dict[str, Callable[[Values, str], Iterator[Message]]] = {
    "instruction": _alpaca,
    "conversations": _sharegpt,
    "messages": _openai,
}
"""The key by which each form is recognised."""

SPEAKERS: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}


def _message(turn: Any, where: str) -> Message:
    """A turn as ShareGPT or OpenAI writes it."""
    if not isinstance(turn, dict):
        raise DataError(f"is {kind(turn)}, not a turn with a role and a text", where=where)
    who, said = ("from", "value") if "from" in turn else ("role", "content")
    for name in (who, said):
        if name not in turn:
            raise DataError(f"has no field {name!r}", where=where, fix="A turn is {from, value} or {role, content}.")
    speaker = turn[who]
    if not isinstance(speaker, str) or speaker not in SPEAKERS:
        raise DataError(f"unknown role {str(speaker)[:80]!r}", where=where, fix=f"Use one of {', '.join(SPEAKERS)}.")
    return Message(SPEAKERS[speaker], _text(turn[said], said, where))


# ---- turns ----


def _check_turns(messages: Messages, where: str) -> None:
    """User and assistant take turns, the user first; a system message may stand before them."""
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        raise DataError("holds no turn of a user", where=where)
    for number, message in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if message.role != expected:
            before = f"after {_turn_of(turns[number - 1].role)}" if number else "at the beginning"
            what = f"turn {number + 1} is {_turn_of(message.role)} {before}, where {_turn_of(expected)} belongs"
            raise DataError(what, where=where, fix="Mend the record, or allow skip_bad_rows.")


def _turn_of(role: str) -> str:
    return {"user": "the user's", "assistant": "the assistant's"}.get(role, f"the {role}'s")


def _answered(messages: Messages, where: str) -> Messages:
    """The same without an empty last answer. Raises DataError for an empty one before."""
    if messages[-1].role == "assistant" and not messages[-1].content.strip():
        messages = messages[:-1]
    for number, message in enumerate(messages):
        if message.role == "assistant" and not message.content.strip():
            raise DataError(f"message {number + 1} is an empty answer, and the talk goes on", where=where)
    return messages


def _asked(values: Values, where: str) -> Messages:
    """What the two answers of a preference answer; Alpaca's `output`, a third answer, is left out."""
    for name in ("chosen", "rejected"):
        if values.get(name) is None:
            fix = "A preference names the answer that was chosen and the one that was rejected."
            raise DataError(f"has no field {name!r}", where=where, fix=fix)
    messages = _conversation({name: value for name, value in values.items() if name != "output"}, where)
    if messages[-1].role != "user":
        raise DataError("ends with an answer; chosen and rejected are to answer the user", where=where)
    return messages


def _one_answer(values: Values, name: str, where: str) -> str:
    """A text, a message of the assistant, or a list of one."""
    value = values[name]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return _text(value, name, where)
    message = _message(value, f"{where} {name}")
    if message.role != "assistant":
        raise DataError(f"is {_turn_of(message.role)} turn, not the assistant's", where=f"{where} {name}")
    return message.content


# ---- values ----


def _optional(values: Values, name: str, where: str) -> str:
    return "" if values.get(name) is None else _text(values[name], name, where)


def _listed(value: Any, name: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"the field {name!r} holds {kind(value)}, not a list of turns", where=where)
    return value


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"the field {name!r} holds {kind(value)}, not text", where=where)
    return value


def _count(ledger: Ledger, texts: Sequence[str], where: str) -> None:
    ledger.count(STAGE, "examples", characters=sum(map(len, texts)), where=where)
    if any(not text or text.isspace() for text in texts):
        ledger.count(STAGE, "empty text", where=where)
