"""What a model folder's weights are, read from the headers of its safetensors files: no tensor is loaded, no torch."""

import json
import math
from pathlib import Path
from typing import Any

from lexloom.base.errors import DamagedError

HEADER_LENGTH_BYTES = 8
HEADER_LIMIT_BYTES = 100_000_000


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every stored tensor; tied weights are stored, and so counted, once.

    Source: the format's specification, https://github.com/huggingface/safetensors#format.
    Raises DamagedError naming the file whose header can't be read.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        header = _header(file)
        shapes |= {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    return shapes


def parameter_count(folder: Path) -> int | None:
    """The number of parameters in a model folder, None if it has no safetensors."""
    shapes = tensor_shapes(folder)
    return sum(math.prod(shape) for shape in shapes.values()) if shapes else None


def _header(file: Path) -> dict[str, Any]:
    with open(file, "rb") as handle:
        length = int.from_bytes(handle.read(HEADER_LENGTH_BYTES), "little")
        if length > HEADER_LIMIT_BYTES:
            raise DamagedError(f"announces a header of {length:,} bytes", where=str(file))
        try:
            header = json.loads(handle.read(length))
        except ValueError as error:
            raise DamagedError(f"has no readable safetensors header: {error}", where=str(file)) from None
    if not isinstance(header, dict):
        raise DamagedError("has no readable safetensors header", where=str(file))
    return header
