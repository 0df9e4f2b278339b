"""Attention as pictures: one for each head, small enough to stand in a page by the hundred.

Axes: N layers, H heads, T rows (what looks), S columns (what is looked at).
"""

import base64
import io
from collections.abc import Sequence
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from markupsafe import Markup
from matplotlib.image import imsave
from numpy.typing import NDArray

from lexloom.report.read import Row

MOST_TOKENS = 128
"""Of a longer text only the mean of each layer's heads is shown: pictures of all heads would weigh megabytes."""
TAKEN_SHOWN = 5

Shares = NDArray[np.floating[Any]]


def pictures(weights_NHTS: Shares) -> Row:
    """The pictures of all heads, layer by layer; of a long text the mean of each layer's heads."""
    averaged = max(weights_NHTS.shape[2:]) > MOST_TOKENS
    shown_NHTS = weights_NHTS.mean(axis=1, keepdims=True) if averaged else weights_NHTS
    return {
        "columns": shown_NHTS.shape[1],
        "averaged": averaged,
        "layers": [
            {"number": layer, "heads": [picture(weights_TS) for weights_TS in weights_HTS]}
            for layer, weights_HTS in enumerate(shown_NHTS, start=1)
        ],
    }


def upright(token: str) -> bool:
    """Whether a token is read from top to bottom without being turned, as Chinese is."""
    return any(east_asian_width(character) in "WF" for character in token)


def takes(tokens: Sequence[str], shares_S: Shares) -> str:
    """The tokens that one takes most of: `river 21%, the 9%`."""
    return ", ".join(f"{tokens[place]} {shares_S[place]:.0%}" for place in np.argsort(-shares_S)[:TAKEN_SHOWN])


def picture(shares_TS: Shares) -> Markup:
    """Shares between 0 and 1 as a tiny PNG for a CSS mask: the more, the more opaque.

    The opacity is the square root of the share, so that what is spread over many tokens can still be seen.
    """
    pixels_TS4 = np.zeros((*shares_TS.shape, 4), np.uint8)
    pixels_TS4[..., 3] = np.rint(255 * np.sqrt(np.clip(shares_TS, 0, 1)))
    buffer = io.BytesIO()
    imsave(buffer, pixels_TS4, format="png")
    return Markup(f"url(data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")
