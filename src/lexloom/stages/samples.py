"""Samples while a model learns: the sampler that `pretrain` takes."""

from typing import Any

from lexloom.generate.prompts import prompt_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, generate_text
from lexloom.text.tokenizers import Tokenizer

SAMPLE_TOKENS = 100
TEMPERATURE = 0.7


def write_sample(model: Any, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """The model's continuation of `prompt`, the same for the same weights and seed."""
    ids = prompt_ids(prompt, tokenizer)
    room = model.config.context - len(ids)
    values = {"max_tokens": max(1, min(SAMPLE_TOKENS, room)), "temperature": TEMPERATURE, "seed": seed}
    settings = SamplingSettings.model_validate(values)
    (reply,) = collect(generate_text(model, tokenizer, [ids], settings, eos_ids=_ends(tokenizer)), rows=1)
    return reply.text


def _ends(tokenizer: Tokenizer) -> list[int]:
    return [] if tokenizer.eos_id is None else [tokenizer.eos_id]
