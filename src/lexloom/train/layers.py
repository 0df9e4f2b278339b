"""What trains and how fast, layer by layer.

Every model's parameters stand in the order in which data passes them: what embeds, `blocks.0`, `blocks.1`, …, and what
makes use of the last block's states. The blocks of encoder–decoders are called `encoder.0`, …, `decoder.0`, ….
"""

import re
from itertools import takewhile

from torch import nn

from lexloom.base.errors import RecipeError
from lexloom.nn.linear import Linear
from lexloom.nn.lora import add_low_rank
from lexloom.train.finetuning import FinetuneSettings, LoraSettings
from lexloom.train.optim import Rates

BLOCK = re.compile(r"((?:blocks|encoder|decoder)\.\d+)\.(.*)")
VOCABULARY = "head.weight"
"""A decoder's scores of all tokens, where they aren't its embeddings: the largest matrix, and nothing that is new."""


def depths_of(model: nn.Module) -> dict[str, int]:
    """Parameter → its layer: 0 for what embeds, 1 for the first block, …, one more than the last block's for the rest.

    What stands between the blocks of an encoder and those of a decoder is of the encoder's last layer.
    """
    matches = {name: BLOCK.match(name) for name, _ in model.named_parameters()}
    blocks = list(dict.fromkeys(match[1] for match in matches.values() if match))
    depths: dict[str, int] = {}
    depth = 0
    for name, match in matches.items():
        depth = blocks.index(match[1]) + 1 if match else depth
        depths[name] = depth
    for name in takewhile(lambda name: not matches[name], reversed(matches)):
        depths[name] = len(blocks) + 1
    return depths


def layer_rates(model: nn.Module, decay: float) -> Rates:
    """The share of the learning rate that each layer has: `decay` to the power of how far it is below the top."""
    depths = depths_of(model)
    top = max(depths.values())
    return {name: decay ** (top - depth) for name, depth in depths.items()}


def choose_trained(model: nn.Module, settings: FinetuneSettings) -> None:
    """Leave those parameters to train that the settings name, in place.

    Raises RecipeError if more blocks are to be frozen than there are.
    """
    depths = depths_of(model)
    top = max(depths.values())
    if settings.lora is not None:
        add_low_rank(
            model,
            _linears(model, settings.lora),
            rank=settings.lora.rank,
            alpha=settings.lora.alpha,
            seed=settings.seed,
        )
        for name, parameter in model.named_parameters():
            if depths.get(name) == top and name != VOCABULARY:
                parameter.requires_grad_(True)
    elif settings.freeze_layers is not None:
        _check_blocks(settings.freeze_layers, top - 1)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(depths[name] > settings.freeze_layers)


def _linears(model: nn.Module, settings: LoraSettings) -> list[str]:
    found = [(name, BLOCK.match(name)) for name, module in model.named_modules() if isinstance(module, Linear)]
    return [name for name, match in found if match and (settings.layers == "all" or match[2].startswith(ATTENTION))]


ATTENTION = ("attention.", "source_attention.")


def _check_blocks(frozen: int, blocks: int) -> None:
    if frozen > blocks:
        raise RecipeError(f"the model has {blocks} blocks, {frozen} can't be frozen", where="train.freeze_layers")
