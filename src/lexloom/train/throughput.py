"""How fast training is, and what share of the machine's peak that is."""

import time
from typing import Any

import torch
from torch import nn

from lexloom.train.optim import kinds_of

VOCABULARY_HEADS = ("masked", "pretraining", "bidirectional")
"""Of the encoders; decoders have no choice of heads."""

SIDE = 1024
MEASURE_S = 0.3


def flops_per_token(
    model: nn.Module, context: float, *, scored_share: float = 1.0, source_share: float | None = None
) -> float:
    """Floating-point operations to train on one token: 6 per weight that multiplies it, plus attention.

    Embedding look-ups multiply nothing; the vocabulary does, if the model foretells tokens. It and what comes behind
    the last layer's attention are computed at the share of the tokens that is scored, all else of a model that reads
    words at `config.words_share`. Attention: 2 products, 2 operations per element, half of the context on average if it
    is causal, else all of it; forward once and backward twice. Of encoder-decoders, the encoder reads `source_share` of
    the tokens, the decoder those that are scored; if it isn't given, each reads a half.
    Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1.
    """
    config: Any = model.config
    head: Any = getattr(model, "head_weight_VD", None)
    if hasattr(config, "writing_layers"):
        source, target = (0.5, 0.5) if source_share is None else (source_share, scored_share)
        return _encoder_decoder_flops(model, context * source, context * target) / context
    last = f"blocks.{getattr(config, 'layers', 0) - 1}."
    behind = (f"{last}attention.output.", f"{last}mlp.", "transform.")
    weights = sum(
        matrix.numel() * (scored_share if name.startswith(behind) else 1.0)
        for name, matrix in kinds_of(model).matrices.items()
    ) * getattr(config, "words_share", 1.0)
    if getattr(config, "head", None) in (None, *VOCABULARY_HEADS):
        weights += scored_share * head.numel()
    seen = context if not hasattr(model, "new_cache") else context / 2
    attention = 2 * config.layers * config.width * seen if hasattr(config, "heads") else 0.0
    flops: float = 6.0 * (weights + attention)
    return flops


def _encoder_decoder_flops(model: nn.Module, source: float, target: float) -> float:
    """Operations to train on a pair of so many tokens; what makes keys and values of the source counts as its own."""
    config: Any = model.config
    weights = config.vocab_size * config.width * target
    for name, matrix in kinds_of(model).matrices.items():
        of_source = name.startswith("encoder.") or ".source_attention.kv." in name
        weights += matrix.numel() * (source if of_source else target)
    inner = getattr(config, "inner_width", config.width)
    own = 1.0 if hasattr(config, "heads") else 0.0  # recurrent layers look at nothing but the source
    reading = own * config.layers * source * source
    writing = config.writing_layers * target * (own * target / 2 + source)
    flops: float = 6.0 * (weights + 2 * inner * (reading + writing))
    return flops


def measured_peak_flops(kind: torch.dtype) -> float:
    """Operations per second of a large matrix product with torch's present threads: the best of about 0.3 s.

    `kind` is what the numbers that are multiplied are rounded to.
    """
    a, out = torch.ones(SIDE, SIDE, dtype=kind), torch.empty(SIDE, SIDE, dtype=kind)
    best_s, ends = float("inf"), time.perf_counter() + MEASURE_S
    while time.perf_counter() < ends:
        started = time.perf_counter()
        torch.mm(a, a, out=out)
        best_s = min(best_s, time.perf_counter() - started)
    return 2.0 * SIDE**3 / best_s
