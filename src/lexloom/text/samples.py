"""What a tokenizer is trained on: an even sample in bounded memory, and counts of characters and words."""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from lexloom.base.errors import DataError

SLICE_CHARACTERS = 1 << 16
# While training, longer runs are cut: Chinese has no spaces, and a file may have none either.
HAN_RUN = 8
WORD_RUN = 32

HAN = "\u3005\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"


def sample_evenly(texts: Iterable[str], limit_bytes: int) -> list[str]:
    """At most `limit_bytes` of UTF-8, drawn evenly over all texts, in their order; all of them if they fit.

    Texts are cut into slices of at most 65,536 characters (after a line break or a space where there is one), and the
    slices with the smallest hashes stay. So one pass over any corpus is enough, memory is bounded by `limit_bytes`, and
    the same texts give the same sample. Raises DataError for a text that is not Unicode.
    """
    kept: list[tuple[int, int, str, int]] = []
    total_bytes = 0
    for order, piece in enumerate(piece for text in texts for piece in _slices(text)):
        data = _utf8(piece)
        heapq.heappush(kept, (-_hash(data), order, piece, len(data)))
        total_bytes += len(data)
        while total_bytes > limit_bytes:
            total_bytes -= heapq.heappop(kept)[3]
    return [piece for _, _, piece, _ in sorted(kept, key=lambda entry: entry[1])]


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """How often each character occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts


def most_common(counts: Mapping[str, int], limit: int) -> list[str]:
    """The `limit` most frequent keys; ties go to the smaller key, so that the answer doesn't depend on order."""
    return sorted(counts, key=lambda key: (-counts[key], key))[:limit]


def _slices(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > SLICE_CHARACTERS:
        window = text[start : start + SLICE_CHARACTERS]
        end = max(window.rfind("\n"), window.rfind(" ")) + 1
        start += end if end else SLICE_CHARACTERS
        yield window[:end] if end else window
    if start < len(text):
        yield text[start:]


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"character {error.start + 1} of a text is a lone surrogate, which is not Unicode") from None


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


HAN_PATTERN = re.compile(f"[{HAN}]")
