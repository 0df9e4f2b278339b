"""`lexloom chat MODEL`: a conversation over standard input and output, one message a line."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lexloom.base.console import say
from lexloom.base.errors import UserError
from lexloom.generate.prompts import ContextFull
from lexloom.generate.reply import answer, chat_format, load_speaker
from lexloom.generate.settings import DEFAULT_REPLY_TOKENS, SamplingSettings
from lexloom.generate.text import Piece
from lexloom.text.chat import Message

Reply = Callable[[list[Message]], Iterator[Piece]]


def chat(
    folder: Path,
    settings: SamplingSettings,
    *,
    format_name: str | None = None,
    system: str | None = None,
    lines: Iterable[str] | None = None,
) -> list[Message]:
    """Answer each line of `lines` (standard input if not given) on stdout, remembering what was said.

    `format_name` is one of `text.chat.CHAT_FORMATS`; left out, the one the folder was made for. When a conversation
    outgrows the context, its oldest exchange is forgotten, and it says so. Ctrl-C ends a reply or, between replies, the
    conversation; so does the end of the input. Returns the conversation.
    """
    contents = load_speaker(folder)
    chosen = chat_format(folder, format_name)
    if settings.max_tokens is None:
        reply_tokens = max(1, settings.min_tokens, min(DEFAULT_REPLY_TOKENS, contents.model.config.context // 2))
        settings = settings.model_copy(update={"max_tokens": reply_tokens})
    say(f"Talking with {folder}. One message a line; Ctrl-C ends a reply, Ctrl-D the conversation.")
    opening = [] if system is None else [Message("system", system)]
    return converse(
        _typed() if lines is None else lines, lambda messages: answer(contents, messages, chosen, settings), opening
    )


def converse(lines: Iterable[str], reply: Reply, opening: list[Message]) -> list[Message]:
    """Answer every line that isn't blank with `reply`; returns all that is remembered at the end."""
    messages = list(opening)
    try:
        for line in lines:
            if line.strip():
                messages = _exchange([*messages, Message("user", line.strip())], reply, opening)
    except KeyboardInterrupt:
        say("")
    return messages


def _exchange(messages: list[Message], reply: Reply, opening: list[Message]) -> list[Message]:
    """Answer the last message; the conversation with the answer, and without what had to be forgotten."""
    pieces = None
    while pieces is None:
        try:
            pieces = reply(messages)
        except ContextFull as full:
            if len(messages) == len(opening) + 1:
                say(f"This message can't be answered: {full}")
                return list(opening)
            say("The conversation has outgrown the model's context; its oldest exchange is forgotten.")
            messages = [*opening, *messages[len(opening) + 2 :]]
    return [*messages, Message("assistant", _write(pieces))]


def _write(pieces: Iterator[Piece]) -> str:
    """Show a reply as it comes; Ctrl-C ends it, and what was said stays said."""
    texts: list[str] = []
    try:
        for piece in pieces:
            texts.append(piece.text)
            sys.stdout.write(piece.text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        say("")
    sys.stdout.write("\n")
    return "".join(texts)


def _typed() -> Iterator[str]:
    """Lines of standard input, after a mark if a person types them."""
    while True:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            raise UserError(f"standard input is not {error.encoding} text", fix="Convert it to UTF-8.") from None
        if not line:
            return
        yield line
