"""Texts to pieces: special tokens around one text or two, cut at the limit or read in windows.

What is cut is counted in the ledger under ("encode", CUT), with its characters and its place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.labelled.examples import Labelled
from lexloom.tasks.contract import Piece, Setting
from lexloom.text.frames import Frame

STAGE = "encode"
CUT = "cut at the limit of tokens"
WINDOWED = "read in windows"
UNKNOWN_LABEL = "label that training doesn't know"

FIRST = 0
"""The place of the first token, where sequences are judged."""
OVERLAP_SHARE = 0.25
"""How much of a window its neighbour reads as well."""

Texts = Sequence[str]


@dataclass(frozen=True, slots=True)
class Cut:
    """A text of which the model reads only the first tokens."""

    text: str
    tokens: int
    where: str


class LongTexts(Settings):
    """What becomes of texts longer than the limit."""

    long_texts: Literal["cut", "windows"] = "cut"
    """`cut` reads the beginning of a long text; `windows` reads all of it in overlapping windows and averages what the
    model finds in them."""


def text_pieces(examples: Sequence[Labelled], setting: Setting, ledger: Ledger) -> list[tuple[Piece, ...]]:
    """The pieces of each example's text or pair, as the settings (`LongTexts`) have it."""
    texts, places = [example.texts for example in examples], [example.where for example in examples]
    if setting.settings.long_texts == "windows":
        return windowed_pieces(texts, places, setting, ledger)
    return [(piece,) for piece in cut_pieces(texts, places, setting, ledger)]


def cut_pieces(texts: Sequence[Texts], places: Sequence[str], setting: Setting, ledger: Ledger) -> list[Piece]:
    """One piece for each text or pair, judged at its first token; of a pair the longer text is cut first."""
    ids_of = encoded_once(chain.from_iterable(texts), setting)
    pieces, lost = [], list[Cut]()
    for parts, place in zip(texts, places, strict=True):
        frame = setting.tokenizer.frame(len(parts))
        kept = longest_first([len(ids_of[part]) for part in parts], room_in(frame, setting))
        lost += cuts(parts, kept, ids_of, place)
        pieces.append(framed(frame, [ids_of[part][:length] for part, length in zip(parts, kept, strict=True)]))
    count_cuts(lost, setting, ledger)
    return pieces


def windowed_pieces(
    texts: Sequence[Texts], places: Sequence[str], setting: Setting, ledger: Ledger
) -> list[tuple[Piece, ...]]:
    """The same, but a long text is read in overlapping windows; of a pair the second text is, beside all of the first.

    A first text that takes more than half of the room is cut.
    """
    ids_of = encoded_once(chain.from_iterable(texts), setting)
    examples, lost = [], list[Cut]()
    for parts, place in zip(texts, places, strict=True):
        *before, body = parts
        frame = setting.tokenizer.frame(len(parts))
        room = room_in(frame, setting)
        kept = [min(len(ids_of[part]), room // 2) for part in before]
        lost += cuts(before, kept, ids_of, place)
        first = [ids_of[part][:length] for part, length in zip(before, kept, strict=True)]
        stretches = windows(len(ids_of[body]), room - sum(kept))
        if len(stretches) > 1:
            ledger.count(STAGE, WINDOWED, where=place)
        examples.append(tuple(framed(frame, [*first, ids_of[body][start:stop]]) for start, stop in stretches))
    count_cuts(lost, setting, ledger)
    return examples


def encoded_once(texts: Iterable[str], setting: Setting) -> dict[str, list[int]]:
    """The ids of every text, however often it occurs: passages and candidates do so many times."""
    different = list(dict.fromkeys(texts))
    return dict(zip(different, setting.tokenizer.encode_batch(different), strict=True))


def framed(frame: Frame, texts: Sequence[list[int]]) -> Piece:
    """A piece that is judged at its first token."""
    ids, types, _ = frame.fill(texts)
    return Piece(ids, types, [FIRST])


def room_in(frame: Frame, setting: Setting) -> int:
    """Tokens of text that a piece can hold."""
    room = setting.max_tokens - frame.special_tokens
    assert room > 0, "the setting was made with room for text (see fit_setting)"
    return room


def longest_first(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each of one or two texts stays when the longer one is cut token by token until they fit."""
    if sum(lengths) <= room:
        return list(lengths)
    if len(lengths) == 1:
        return [room]
    # Of two that are equally long the second is cut, so of an odd number of tokens the first keeps one more
    first = min(lengths[0], max(room - lengths[1], room - room // 2))
    return [first, room - first]


def windows(length: int, room: int, overlap: int | None = None) -> list[tuple[int, int]]:
    """Stretches (start, stop) of at most `room` tokens that cover 0 … length, neighbours sharing `overlap` tokens.

    At least one, be it empty. The overlap is a quarter of the room if not given, and never more than half of it.
    """
    shared = int(room * OVERLAP_SHARE) if overlap is None else min(overlap, room // 2)
    stretches = [(0, min(length, room))]
    while stretches[-1][1] < length:
        start = stretches[-1][1] - shared
        stretches.append((start, min(length, start + room)))
    return stretches


def cuts(parts: Texts, kept: Sequence[int], ids_of: Mapping[str, list[int]], place: str) -> list[Cut]:
    """Those of an example's texts of which fewer tokens are kept than there are."""
    return [Cut(part, length, place) for part, length in zip(parts, kept, strict=True) if length < len(ids_of[part])]


def count_cuts(lost: Sequence[Cut], setting: Setting, ledger: Ledger) -> None:
    """Tell the ledger how many characters of which texts the model doesn't see."""
    different = list(dict.fromkeys(cut.text for cut in lost))
    offsets_of = {
        text: offsets
        for text, (_, offsets) in zip(different, setting.tokenizer.encode_with_offsets(different), strict=True)
    }
    for cut in lost:
        seen, _ = offsets_of[cut.text][cut.tokens]
        ledger.count(STAGE, CUT, characters=len(cut.text) - seen, where=cut.where)
