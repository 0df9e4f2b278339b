"""Tiny model folders for tests that need a whole one."""

from pathlib import Path
from typing import Any

import torch

from lexloom.models import FAMILIES, new_model
from lexloom.models.folder import save_model
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer

TEXTS = [
    "春眠不觉晓，处处闻啼鸟。",
    "To be, or not to be: that is the question.",
    "ABCXYZ 0123456789\n",
]
SHAPES = {
    "gpt": {"width": 32, "layers": 2, "heads": 4},
    "llama": {"width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 8, "ffn_width": 48},
    "bert": {"width": 32, "layers": 2, "heads": 4, "ffn_width": 48},
    "modernbert": {"width": 32, "layers": 3, "heads": 4, "ffn_width": 48, "window": 8},
    "transformer": {"width": 32, "layers": 2, "heads": 4, "ffn_width": 48},
    "t5": {"width": 32, "layers": 2, "heads": 4, "head_width": 8, "ffn_width": 48},
}

OBJECTIVES = {"decoder": "causal", "encoder": "masked", "encoder-decoder": "pairs"}


def write_model(
    path: Path, *, family: str = "llama", kind: str = "bpe", context: int = 64, seed: int = 0, **fields: Any
) -> Path:
    """A model with large random weights, so that what it says depends on its prompt; `fields` go into its config.

    An encoder wants the kind "wordpiece", whose tokenizer has what stands before and behind a text, and a `head`.
    """
    tokenizer = train_tokenizer(iter(TEXTS), TokenizerSettings(kind=kind, vocab_size=300))
    config = FAMILIES[family].config(vocab_size=tokenizer.vocab_size, context=context, **SHAPES[family], **fields)
    model = new_model(family, config, seed=seed)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3, generator=rng)
    save_model(
        path,
        model.eval(),
        tokenizer,
        provenance={"objective": OBJECTIVES[FAMILIES[family].kind]},
        generation=None,
        card="A test.",
    )
    return path
