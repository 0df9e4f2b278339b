"""A small prepared folder and recipes on it, for tests that train."""

import random
from pathlib import Path

from lexloom.base.recipe import check
from lexloom.stages.prepare import prepare
from lexloom.stages.recipe import Recipe
from lexloom.text import word_bytes
from lexloom.text.tokenizer_kinds import bert_wordpiece
from lexloom.text.tokenizers import SPECIAL_TOKENS, Tokenizer, config_for

VOCAB_SIZES = {"word-bytes": 280}
BYTE_WORDS = ("Ġmoon", "Ġ!", "Ġ0")
WORDS = ("the", "moon", "river", "床前", "明月光", "sings", "and", "falls", "疑是", "地上霜")
CONTEXT = 32

# Several micro-batches a step, an epoch border every few steps, a checkpoint every third step.
TRAIN = {
    "steps": 12,
    "context": CONTEXT,
    "batch_tokens": 512,
    "micro_batch": 4,
    "evaluate_every": 5,
    "checkpoint_every": 3,
    "threads": 1,
    "compile": False,
}
MODELS = {
    "gpt": {"family": "gpt", "width": 48, "layers": 2, "heads": 2, "context": CONTEXT, "dropout": 0.1},
    "llama": {
        "family": "llama",
        "width": 48,
        "layers": 2,
        "heads": 2,
        "kv_heads": 1,
        "head_width": 24,
        "ffn_width": 96,
        "context": CONTEXT,
    },
    "ngram": {"family": "ngram", "order": 4},
    "bert": {"family": "bert", "width": 48, "layers": 2, "heads": 2, "ffn_width": 96, "context": CONTEXT},
    "modernbert": {
        "family": "modernbert",
        "width": 48,
        "layers": 2,
        "heads": 2,
        "ffn_width": 96,
        "window": 4,
        "context": CONTEXT,
    },
    "elmo": {
        "family": "elmo",
        "char_width": 8,
        "filters": [8, 8, 16],
        "projection": 16,
        "cell_width": 32,
        "task_width": 24,
        "context": CONTEXT,
    },
    "transformer": {"family": "transformer", "width": 48, "layers": 2, "heads": 2, "ffn_width": 96, "context": CONTEXT},
    "t5": {
        "family": "t5",
        "width": 48,
        "layers": 2,
        "decoder_layers": 1,
        "heads": 2,
        "head_width": 16,
        "ffn_width": 96,
        "context": CONTEXT,
        "gated": True,
        "tied": False,
        "scaled": False,
    },
}


def wordpiece_tokenizer(vocab_size: int) -> Tokenizer:
    """BERT's kind of tokenizer with `[PAD] [UNK] [CLS] [SEP] [MASK]`, a few English and Chinese words, then fillers."""
    special = dict.fromkeys(SPECIAL_TOKENS["wordpiece"].values())
    pieces = [*special, "the", "moon", "##s", "##ing", "sing", "river", "床", "前", "明", "月", "光", ",", "。"]
    pieces += [f"filler{number}" for number in range(vocab_size - len(pieces))]
    inner = bert_wordpiece({piece: number for number, piece in enumerate(pieces)}, lowercase=False)
    return Tokenizer(inner.to_str().encode(), config_for(SPECIAL_TOKENS["wordpiece"]))


def word_bytes_tokenizer() -> Tokenizer:
    """ELMo's kind of tokenizer, with a few words to foretell."""
    inner = word_bytes.word_bytes(list(word_bytes.NAMES.values()), BYTE_WORDS, marks_apart=True)
    return Tokenizer(inner.to_str().encode(), config_for(word_bytes.NAMES))


def prepared_folder(place: Path, *, seed: int = 0, tokenizer: str = "characters", sentinels: int | None = None) -> Path:
    """Write a corpus of made-up verses into `place` and prepare it."""
    place.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    verses = [" ".join(rng.choices(WORDS, k=rng.randint(3, 30))) for _ in range(90)]
    (place / "corpus.txt").write_text("\n\n".join(verses), encoding="utf-8")
    sections = {
        "data": {"sources": [str(place / "corpus.txt")], "documents": "paragraph"},
        "tokenizer": {"kind": tokenizer, "vocab_size": VOCAB_SIZES.get(tokenizer, 64), "sentinels": sentinels},
        "split": {"validation_share": 0.2},
        "workers": 1,
    }
    recipe = check(Recipe, {"prepare": sections}, where="test")
    prepare(recipe.prepare, place / "prepared")
    return place / "prepared"


def recipe_of(
    family: str = "gpt",
    *,
    model: dict | None = None,
    objective: str = "causal",
    masking: dict | None = None,
    **train: object,
) -> Recipe:
    """A recipe that trains for a second or less."""
    values = {
        "objective": objective,
        "model": {**MODELS[family], **(model or {})},
        "masking": masking or {},
        "train": {**TRAIN, **train},
    }
    return check(Recipe, values, where="test")
