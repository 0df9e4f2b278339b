"""Samples while a model learns: the sampler that `pretrain` takes."""

from typing import Any

import torch

from lexloom.generate.prompts import prompt_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, generate_text
from lexloom.models import FAMILIES, family_of
from lexloom.text.tokenizers import Tokenizer

SAMPLE_TOKENS = 100
TEMPERATURE = 0.7


def write_sample(model: Any, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """A decoder's continuation of `prompt`, or the prompt with its masks filled by an encoder.

    The same for the same weights and seed.
    """
    return (_filled if FAMILIES[family_of(model)].kind == "encoder" else _continued)(model, tokenizer, prompt, seed)


def _continued(model: Any, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    ids = prompt_ids(prompt, tokenizer)
    room = model.config.context - len(ids)
    values = {"max_tokens": max(1, min(SAMPLE_TOKENS, room)), "temperature": TEMPERATURE, "seed": seed}
    settings = SamplingSettings.model_validate(values)
    (reply,) = collect(generate_text(model, tokenizer, [ids], settings, eos_ids=_ends(tokenizer)), rows=1)
    return reply.text


@torch.inference_mode()
def _filled(model: Any, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """Each mask filled with its most probable token, all at once; nothing is drawn."""
    mask_id = tokenizer.names["mask"]
    texts = tokenizer.encode_batch(prompt.split(tokenizer.token(mask_id) or ""))
    ids = texts[0] + [number for text in texts[1:] for number in (mask_id, *text)]
    framed, types, _ = tokenizer.frame(1).fill([ids])
    ids_BL = torch.tensor([framed])
    x_LD = model.hidden(ids_BL, types_BL=torch.tensor([types]))[0]
    spots_S = (ids_BL[0] == mask_id).nonzero().squeeze(1)
    ids_BL[0, spots_S] = model.scores(x_LD[spots_S]).argmax(-1).cpu()
    return tokenizer.decode(ids_BL[0].tolist())


def _ends(tokenizer: Tokenizer) -> list[int]:
    return [] if tokenizer.eos_id is None else [tokenizer.eos_id]
