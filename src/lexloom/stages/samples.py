"""Samples while a model learns: the sampler that `pretrain` takes."""

import re
from typing import Any

import torch

from lexloom.generate.engine import generate_ids
from lexloom.generate.prompts import prompt_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.text import collect, generate_text
from lexloom.models import FAMILIES, family_of
from lexloom.models.reading import reading
from lexloom.objectives.pairs import ends_of
from lexloom.text.tokenizers import Tokenizer

SAMPLE_TOKENS = 100
TEMPERATURE = 0.7


def write_sample(model: Any, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """What a model makes of `prompt`: a decoder continues it, an encoder fills its masks, an encoder-decoder its
    sentinels, or writes on where there are none.

    The same for the same weights and seed.
    """
    return WRITERS[FAMILIES[family_of(model)].kind](model, tokenizer, prompt, seed)


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


@torch.inference_mode()
def _restored(model: Any, tokenizer: Tokenizer, prompt: str, seed: int) -> str:
    """The prompt with the most probable spans in the place of its sentinels, or a continuation drawn from `seed`."""
    ids, ends = _with_sentinels(prompt, tokenizer), ends_of(tokenizer)
    blanks = set(ids) & set(tokenizer.sentinel_ids)
    room = min(SAMPLE_TOKENS, model.config.context - 1)
    values = {"max_tokens": room, "temperature": 0.0 if blanks else TEMPERATURE, "seed": seed}
    settings = SamplingSettings.model_validate(values)
    read = reading(model, [[*ids, ends.end_id]])
    written = [token.id for token in generate_ids(read, [[ends.start_id]], settings, eos_ids=[ends.end_id])]
    spans = _spans(written, blanks)
    filled = [number for sentinel in ids for number in spans.get(sentinel, [sentinel])]
    return tokenizer.decode(filled if blanks else written)


def _with_sentinels(prompt: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a prompt in which the names of sentinels stand for them, as those in a text never do."""
    names = {str(tokenizer.token(number)): number for number in tokenizer.sentinel_ids}
    parts = re.split(f"({'|'.join(map(re.escape, names))})", prompt) if names else [prompt]
    return [number for part in parts for number in ([names[part]] if part in names else tokenizer.encode(part))]


def _spans(written: list[int], blanks: set[int]) -> dict[int, list[int]]:
    """What was written behind each sentinel."""
    spans: dict[int, list[int]] = {}
    current: list[int] = []
    for number in written:
        if number in blanks:
            current = spans.setdefault(number, [])
        else:
            current.append(number)
    return spans


WRITERS = {"decoder": _continued, "encoder": _filled, "encoder-decoder": _restored}
"""By the kind of family."""


def _ends(tokenizer: Tokenizer) -> list[int]:
    return [] if tokenizer.eos_id is None else [tokenizer.eos_id]
