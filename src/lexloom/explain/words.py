"""From tokens back to what people read: words, and the characters of Chinese.

What an attribution method says of tokens is gathered here. Where one token holds several Chinese characters, they
stay together: nobody can say which of them it was.
Axes: T tokens of a text, W words of a text.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from lexloom.labelled.examples import Tagged
from lexloom.labelled.words import Span, word_spans
from lexloom.tasks.contract import Piece
from lexloom.tasks.words import words_and_tokens
from lexloom.text.frames import Frame
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.words import written


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch of a text (characters `start` to before `end`) and the tokens that stand for it: (piece, place)."""

    text: int
    """Which of the texts that the model read."""
    start: int
    end: int
    tokens: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TextTokens:
    """A whole text as tokens, and the word that each belongs to."""

    ids: list[int]
    spans: list[Span]
    """Of the words."""
    words_T: list[int]  # noqa: N815


def text_tokens(text: str, tokenizer: Tokenizer) -> TextTokens:
    """A text's tokens; words that share a token become one."""
    ((ids, offsets),) = tokenizer.encode_with_offsets([text])
    words = word_spans(text) or ((0, len(text)),)
    spans = _joined(words, _crossed(words, offsets))
    starts = [start for start, _ in spans]
    return TextTokens(ids, spans, [_word_at(starts, start) for start, _ in offsets])


def tagged_tokens(example: Tagged, tokenizer: Tokenizer) -> TextTokens:
    """The tokens of a text whose words are given; each word has tokens of its own."""
    ((ids, offsets),) = tokenizer.encode_with_offsets([example.text])
    ids, first_W = words_and_tokens(ids, offsets, example, tokenizer)
    return TextTokens(ids, list(example.spans), [_word_at(first_W, place) for place in range(len(ids))])


def words_of(
    pieces: Sequence[Piece], reads: Sequence[Sequence[int]], texts: Sequence[TextTokens], tokenizer: Tokenizer
) -> list[Word]:
    """The words of all texts that some piece shows. `reads[p]` says which texts piece p holds, in their order."""
    tokens: dict[tuple[int, int], list[tuple[int, int]]] = {}
    latest: dict[int, int] = {}
    for number, (piece, numbers) in enumerate(zip(pieces, reads, strict=True)):
        for text, places in zip(numbers, _segments(piece, tokenizer.frame(len(numbers))), strict=True):
            start = 0
            if text == numbers[-1]:
                # Only the last text is read in windows, each beginning behind the beginning of the one before
                ids = [piece.ids[place] for place in places]
                start = latest[text] = _find(ids, texts[text].ids, latest.get(text, -1) + 1)
            for place, word in zip(places, texts[text].words_T[start : start + len(places)], strict=True):
                tokens.setdefault((text, word), []).append((number, place))
    return [Word(text, *texts[text].spans[word], tuple(places)) for (text, word), places in sorted(tokens.items())]


def written_words(ids: Sequence[int], tokenizer: Tokenizer) -> list[tuple[str, tuple[int, ...]]]:
    """What tokens write, word by word with the places of the tokens of each; special tokens by their names."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for special, run in groupby(range(len(ids)), lambda place: ids[place] in tokenizer.special_ids):
        if special:
            found += [(str(tokenizer.token(ids[place])), (place,)) for place in run]
        else:
            found += _written_run(list(run), ids, tokenizer)
    return found


def _written_run(places: Sequence[int], ids: Sequence[int], tokenizer: Tokenizer) -> list[tuple[str, tuple[int, ...]]]:
    pieces = [written(tokenizer, ids[place]) for place in places]
    text = b"".join(pieces).decode("utf-8", "surrogateescape")  # a token may write a part of a character
    sizes = [len(character.encode("utf-8", "surrogateescape")) for character in text]
    character_of = [number for number, size in enumerate(sizes) for _ in range(size)] + [len(text)]
    offsets, end = [], 0
    for piece in pieces:
        start = end + len(piece) - len(piece.lstrip(b" "))
        end += len(piece)
        offsets.append((character_of[start], character_of[max(start, end - 1)] + 1))
    words = word_spans(text) or ((0, len(text)),)
    spans = _joined(words, _crossed(words, offsets))
    starts = [start for start, _ in spans]
    members: list[list[int]] = [[] for _ in spans]
    for place, (start, _) in zip(places, offsets, strict=True):
        members[_word_at(starts, start)].append(place)
    return [(_whole(text[slice(*span)]), tuple(some)) for span, some in zip(spans, members, strict=True)]


def _whole(text: str) -> str:
    """With a sign for what is only a part of a character."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _crossed(spans: Sequence[Span], offsets: Iterable[Span]) -> list[bool]:
    """For each border between neighbouring words, whether a token reaches over it."""
    crossed = [False] * max(0, len(spans) - 1)
    word = 0
    for start, end in offsets:
        while word < len(spans) - 1 and spans[word][1] <= start:
            word += 1
        after = word
        while after < len(spans) - 1 and spans[after + 1][0] < end:
            crossed[after] = True
            after += 1
    return crossed


def _joined(spans: Sequence[Span], crossed: Sequence[bool]) -> list[Span]:
    joined: list[Span] = []
    for number, (start, end) in enumerate(spans):
        if number and crossed[number - 1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _word_at(starts: Sequence[int], place: int) -> int:
    """The last word that begins at or before this place; the first one for what comes before it."""
    return max(0, bisect_right(starts, place) - 1)


def _segments(piece: Piece, frame: Frame) -> list[range]:
    """Where in a piece each of its texts stands; a text can't produce the special tokens that end it."""
    segments = []
    place = 0
    for number, (token, _) in enumerate(frame.slots):
        if token is not None:
            place += 1
            continue
        closing = [special for special, _ in frame.slots[number + 1 :]]
        if None in closing:
            end = piece.ids.index(closing[0], place) if closing[0] is not None else place
        else:
            end = len(piece.ids) - len(closing)
        segments.append(range(place, end))
        place = end
    return segments


def _find(part: Sequence[int], whole: Sequence[int], start: int) -> int:
    """Where `part` stands in `whole`, at `start` or behind it."""
    if not part:
        return start
    for place in range(start, len(whole) - len(part) + 1):
        if whole[place] == part[0] and whole[place : place + len(part)] == part:
            return place
    raise AssertionError("a piece holds tokens that its text doesn't")
