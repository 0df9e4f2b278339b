"""Tiny model folders for tests that need a whole one."""

from pathlib import Path
from typing import Any

import torch

from lexloom.models import FAMILIES, new_model
from lexloom.models.folder import save_model
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, train_tokenizer
from tests.counting import COUNTED, counted_model, random_documents

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
    "rnn": {"width": 32, "layers": 1},
    "ngram": {"order": 3},
    "rnn-attention": {"width": 32, "layers": 1},
    "bow": {},
    "birnn": {"width": 32, "layers": 1, "embedding_width": 24},
    "word2vec": {"width": 32},
    "glove": {"width": 32},
    "elmo": {"char_width": 8, "filters": (8, 8, 16), "projection": 16, "cell_width": 32, "task_width": 24},
}

OBJECTIVES = {"decoder": "causal", "encoder": "masked", "encoder-decoder": "pairs"}


def write_model(
    path: Path,
    *,
    family: str = "llama",
    kind: str = "bpe",
    tokenizer: Tokenizer | None = None,
    context: int = 64,
    seed: int = 0,
    **fields: Any,
) -> Path:
    """A model with large random weights, so that what it says depends on its prompt; `fields` go into its config.

    An encoder wants the kind "wordpiece", whose tokenizer has what stands before and behind a text, and a `head`.
    """
    if tokenizer is None:
        tokenizer = train_tokenizer(iter(TEXTS), TokenizerSettings(kind=kind, vocab_size=300))
    config = FAMILIES[family].config(vocab_size=tokenizer.vocab_size, context=context, **SHAPES[family], **fields)
    model = drawn(family, config, seed) if family not in COUNTED else counted_model(family, config, _documents(config))
    save_model(
        path,
        model.eval(),
        tokenizer,
        provenance={"objective": OBJECTIVES[FAMILIES[family].kind]},
        generation=None,
        card="A test.",
    )
    return path


def drawn(family: str, config: Any, seed: int) -> Any:
    """A model with large random weights."""
    model = new_model(family, config, seed=seed)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3, generator=rng)
    return model


def _documents(config: Any) -> list[list[int]]:
    return random_documents(1, words=config.vocab_size - 1, documents=200)
