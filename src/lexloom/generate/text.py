"""From prompt text to pieces of reply text: whole characters only, and never a stop string or a part of one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lexloom.generate.constraints import Constraint
from lexloom.generate.decoder import Decoder, Finish
from lexloom.generate.engine import Token, generate_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.text.stream import TextStream
from lexloom.text.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one reply that is ready to be shown; the pieces of a row together are its whole text."""

    row: int
    text: str
    finish: Finish | None
    """Why the reply ended; None: more pieces follow."""


@dataclass
class Reply:
    """A finished reply."""

    text: str = ""
    tokens: int = 0
    """The tokens that were generated, those of a stop string or the end-of-text included."""
    finish: Finish | None = None


def generate_text(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    settings: SamplingSettings | Sequence[SamplingSettings],
    *,
    eos_ids: Sequence[int],
    constraint: Constraint | None = None,
) -> Iterator[Piece]:
    """Continue encoded prompts as text; one piece for every token, empty while a character is incomplete.

    `constraint` is the form that every text keeps. Raises what `generate_ids` and `Constraint.start` raise.
    """
    each = [settings] * len(prompts) if isinstance(settings, SamplingSettings) else settings
    writers = [TextWriter(TextStream(tokenizer), one.stop) for one in each]
    ends = frozenset(eos_ids)

    def write(row: int, token: int) -> bool:
        return token not in ends and writers[row].push(token)

    guides = None if constraint is None else [constraint.start(tokenizer) for _ in prompts]
    tokens = generate_ids(model, prompts, each, eos_ids=eos_ids, stop=write, guides=guides)
    return _pieces(tokens, writers)


def collect(pieces: Iterable[Piece], rows: int) -> list[Reply]:
    """All replies, whole."""
    replies = [Reply() for _ in range(rows)]
    texts: list[list[str]] = [[] for _ in range(rows)]
    for piece in pieces:
        texts[piece.row].append(piece.text)
        replies[piece.row].tokens += 1
        replies[piece.row].finish = piece.finish
    for reply, parts in zip(replies, texts, strict=True):
        reply.text = "".join(parts)
    return replies


@dataclass
class TextWriter:
    """The text of one reply as it grows.

    The stop string that is complete first ends the text, the longest of those complete at once. What may be the
    beginning of one is held back until it is certain, so that the text doesn't depend on where tokens end.
    """

    stream: TextStream
    stops: tuple[str, ...]
    _ready: list[str] = field(default_factory=list, init=False)
    _held: str = field(default="", init=False)
    _stopped: bool = field(default=False, init=False)

    def push(self, token: int) -> bool:
        """Add a token; true if a stop string is now complete."""
        self._add(self.stream.push(token))
        return self._stopped

    def take(self) -> str:
        """The text that has become certain since the last call."""
        text = "".join(self._ready)
        self._ready.clear()
        return text

    def finish(self) -> str:
        """The last text: an incomplete character and what was held back, unless a stop string ended the reply."""
        if not self._stopped:
            self._add(self.stream.flush())
        return self.take() + ("" if self._stopped else self._held)

    def _add(self, text: str) -> None:
        self._held += text
        found = first_stop(self._held, self.stops)
        certain = len(self._held) - held_characters(self._held, self.stops) if found is None else found
        self._ready.append(self._held[:certain])
        self._held = self._held[certain:]
        self._stopped = found is not None


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop string that is complete first begins; among those complete at once, the longest."""
    places = [(text.find(stop), stop) for stop in stops]
    found = [(place + len(stop), place) for place, stop in places if place >= 0]
    return min(found)[1] if found else None


def held_characters(text: str, stops: Sequence[str]) -> int:
    """The length of the longest end of `text` that is the beginning of a stop string."""
    longest = min(max(map(len, stops), default=1) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if any(stop.startswith(text[-n:]) for stop in stops)), 0)


def _pieces(tokens: Iterable[Token], writers: Sequence[TextWriter]) -> Iterator[Piece]:
    for token in tokens:
        writer = writers[token.row]
        text = writer.take() if token.finish is None else writer.finish()
        yield Piece(token.row, text, token.finish)
