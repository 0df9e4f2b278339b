"""Whether validation text was seen in training: documents that occur in both, token for token."""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lexloom.data.shards import TokenShards


def leaked_documents(train: TokenShards, validation: TokenShards) -> int:
    """How many validation documents also stand in the training part, exactly.

    Near-duplicates are the business of `prepare`. Only training documents as long as some validation document are
    hashed. Empty documents don't count.
    """
    lengths = _lengths(validation)
    wanted = np.unique(lengths[lengths > 1])  # an empty document is its separator only
    seen = set(_hashes(train, np.isin(_lengths(train), wanted)))
    return sum(found in seen for found in _hashes(validation, lengths > 1))


def _lengths(shards: TokenShards) -> npt.NDArray[np.int64]:
    return np.diff(shards.documents[:, 0], prepend=0)


def _hashes(shards: TokenShards, chosen: npt.NDArray[np.bool_]) -> Iterator[bytes]:
    ends = shards.documents[:, 0]
    for number in np.flatnonzero(chosen).tolist():
        begin = int(ends[number - 1]) if number else 0
        ids = np.ascontiguousarray(shards.tokens(begin, int(ends[number])))
        yield hashlib.blake2b(ids.data, digest_size=16).digest()
