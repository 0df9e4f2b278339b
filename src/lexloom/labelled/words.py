"""Where the words of a text lie, and texts from words: Chinese without spaces, Latin with them."""

import re
from collections.abc import Collection, Sequence

Span = tuple[int, int]

# Ideographs, kana and bopomofo, their punctuation, and the full-width forms: nobody writes a space beside them.
_SPACELESS = (
    "\u2e80-\u2fff\u3001-\u312f\u31a0-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
    "\U0001b000-\U0001b16f\U00020000-\U000323af"
)
_ACCENTS = "\u0300-\u036f"
_WORD = re.compile(rf"[{_SPACELESS}]|(?:[^\W_{_SPACELESS}][{_ACCENTS}]*)+|[^\w\s]|_")
_TOUCHES = re.compile(rf"[{_SPACELESS}]")


def word_spans(text: str, cuts: Collection[int] = ()) -> tuple[Span, ...]:
    """Where the words of a text lie: Chinese characters, runs of other letters and digits, single marks.

    `cuts` are places inside of which no word may reach: it is parted there.
    """
    spans = list[Span]()
    for match in _WORD.finditer(text):
        start, end = match.span()
        inner = sorted(cut for cut in cuts if start < cut < end) if end - start > 1 else []
        spans += zip([start, *inner], [*inner, end], strict=True)
    return tuple(spans)


def joined(words: Sequence[str], *, by_character: bool) -> tuple[str, tuple[Span, ...]]:
    """The text that the words make, and where each lies in it.

    A space parts two words unless Chinese or its like touches it; `by_character` says that words are single characters
    of the text, so that two characters in a row stand together.
    """
    parts, spans, length = list[str](), list[Span](), 0
    for before, word in zip(["", *words], words, strict=False):
        if before and _apart(before, word, by_character=by_character):
            parts.append(" ")
            length += 1
        parts.append(word)
        spans.append((length, length + len(word)))
        length += len(word)
    return "".join(parts), tuple(spans)


def is_by_character(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether nearly all words are single characters and some of them Chinese: such data holds no spaces."""
    words = single = 0
    chinese = False
    for sentence in sentences:
        words += len(sentence)
        single += sum(len(word) == 1 for word in sentence)
        chinese = chinese or any(_TOUCHES.match(word) for word in sentence)
    return chinese and single >= MOSTLY * words


MOSTLY = 0.9


def _apart(before: str, word: str, *, by_character: bool) -> bool:
    if by_character and len(before) == len(word) == 1:
        return False
    return not (_TOUCHES.match(before[-1]) or _TOUCHES.match(word))
