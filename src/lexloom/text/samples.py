"""What a tokenizer is trained on: an even sample in bounded memory, and counts of characters and words."""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from lexloom.base.errors import DataError

SLICE_CHARACTERS = 1 << 15
BATCH_CHARACTERS = 1 << 21
# While training, longer runs are cut: Chinese has no spaces, and a file may have none either.
HAN_RUN = 8
WORD_RUN = 32

HAN = "\u3005\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"


# GPT-2's pattern, and those of Llama and Qwen, end a word at both; BERT and SentencePiece do at all white space.
_SAFE_CUT = re.compile(r"(?<=\S)(?= )|(?<=\S\n)(?=\S)")


def sample_evenly(texts: Iterable[str], limit_bytes: int) -> list[str]:
    """At most `limit_bytes` of UTF-8, drawn evenly over all texts, in their order; all of them if they fit.

    Texts are cut into slices (see `slices`), and those with the smallest hashes stay. So one pass over any corpus is
    enough, memory is bounded by `limit_bytes`, and the same texts give the same sample. Raises DataError for a text
    that is not Unicode.
    """
    kept: list[tuple[int, int, str, int]] = []
    total_bytes = 0
    for order, piece in enumerate(piece for text in texts for piece in slices(text)):
        data = _utf8(piece)
        heapq.heappush(kept, (-_hash(data), order, piece, len(data)))
        total_bytes += len(data)
        while total_bytes > limit_bytes:
            total_bytes -= heapq.heappop(kept)[3]
    return [piece for _, _, piece, _ in sorted(kept, key=lambda entry: entry[1])]


def slices(text: str) -> list[str]:
    """Cut a long text into slices of at most 32,768 characters, where no tokenizer's word can be cut.

    Such places are before a space, and after a single line break. Only a run without either is cut within.
    """
    parts = []
    start = 0
    while len(text) - start > SLICE_CHARACTERS:
        last = start + SLICE_CHARACTERS
        end = max((found.start() for found in _SAFE_CUT.finditer(text, start + 1, last)), default=last)
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def in_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in groups of about two million characters: enough work for all cores, little for the memory."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """How often each character occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts


def most_common(counts: Mapping[str, float], limit: int) -> list[str]:
    """The `limit` most frequent keys; ties go to the smaller key, so that the answer doesn't depend on order."""
    return sorted(counts, key=lambda key: (-counts[key], key))[:limit]


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"character {error.start + 1} of a text is a lone surrogate, which is not Unicode") from None


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
