"""Explicit randomness: every generator is named by the things it depends on, and by nothing else."""

import hashlib

import numpy as np


def seed_for(*parts: int | str) -> int:
    """A 63-bit seed from a name such as `("dropout", 17, step)`.

    The same parts give the same seed on every machine and Python version; any other parts give an unrelated one.
    """
    name = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator (Philox, counter-based: Salmon et al. 2011) named by `parts`."""
    return np.random.Generator(np.random.Philox(key=seed_for(*parts)))
