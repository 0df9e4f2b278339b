"""Scores to probabilities, in numpy: decoding needs no tensors.

Axes: C columns.
"""

import numpy as np

from lexloom.tasks.contract import Floats


def softmax(scores: Floats) -> Floats:
    """Probabilities over the last axis."""
    return np.exp(log_softmax(scores))


def log_softmax(scores: Floats) -> Floats:
    """Logarithms of probabilities over the last axis."""
    above = scores - scores.max(axis=-1, keepdims=True)
    shares: Floats = above - np.log(np.exp(above).sum(axis=-1, keepdims=True))
    return shares


def sigmoid(scores: Floats) -> Floats:
    """1 / (1 + exp(−x)), without overflow."""
    shares: Floats = np.exp(-np.logaddexp(np.float32(0), -scores))
    return shares
