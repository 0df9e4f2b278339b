"""The GGUF container: metadata and tensors of llama.cpp, parsed within bounds.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. The `gguf` package
knows how to dequantise; its reader is not used, because a damaged length makes it loop without end.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lexloom.base.errors import DamagedError, FolderError, UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT_BYTES = 32
MAX_DIMENSIONS = 4
STRING, ARRAY = 8, 9
# GGUF's number for a type → its numpy dtype
SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a GGUF file, quantised, not yet read."""

    file: "GGUFFile"
    shape: tuple[int, ...]
    kind: int
    offset: int

    dtype = "F32"
    """What `read` gives."""

    def read(self) -> Tensor:
        """The values, dequantised to float32."""
        package = _package()
        kind = package.constants.GGMLQuantizationType(self.kind)
        block, block_bytes = package.constants.GGML_QUANT_SIZES[kind]
        rows = (*self.shape[:-1], self.shape[-1] // block * block_bytes)
        raw = np.frombuffer(self.file.data, np.uint8, math.prod(rows), self.offset).reshape(rows)
        try:
            with np.errstate(all="ignore"):  # a damaged scale gives NaN, which `save_model` refuses
                values = np.array(package.quants.dequantize(raw, kind), np.float32)
        except NotImplementedError as error:
            raise FolderError(str(error), where=str(self.file.path)) from None
        return torch.from_numpy(values.reshape(self.shape))


class GGUFFile:
    """`metadata` by key, `tensors` by name; raises FolderError (not GGUF) or DamagedError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise FolderError("is not a GGUF file", where=str(path))
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (FileNotFoundError, IsADirectoryError):
            raise FolderError("no such GGUF file", where=str(path)) from None
        self._position = len(MAGIC)
        try:
            self._parse()
        except (struct.error, UnicodeDecodeError, ValueError, KeyError, RecursionError) as error:
            raise DamagedError(f"is a damaged GGUF file: {error}", where=str(path)) from None

    def _parse(self) -> None:
        version = self._number("<I")
        if version not in VERSIONS:
            raise ValueError(f"version {version} is not {' or '.join(map(str, VERSIONS))}")
        tensor_count, key_count = self._number("<Q"), self._number("<Q")
        self.metadata: dict[str, Any] = {}
        for _ in range(self._bounded(key_count, least_bytes=13)):
            self._add(self.metadata, self._string(), self._value(self._number("<I")))
        infos: dict[str, tuple[tuple[int, ...], int, int]] = {}
        for _ in range(self._bounded(tensor_count, least_bytes=24)):
            self._add(infos, self._string(), (self._shape(), self._number("<I"), self._number("<Q")))
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT_BYTES)
        start = -(-self._position // alignment) * alignment
        self.tensors = {
            name: StoredTensor(self, shape, kind, self._checked(name, shape, kind, start + offset))
            for name, (shape, kind, offset) in infos.items()
        }

    def _checked(self, name: str, shape: tuple[int, ...], kind: int, offset: int) -> int:
        block, block_bytes = self._block_sizes.get(kind, (0, 0))
        if block == 0 or shape[-1] % block:
            raise ValueError(f"tensor {name} of shape {list(shape)} has the unknown or unfitting type {kind}")
        size = block_bytes
        for length in (*shape[:-1], shape[-1] // block):
            size *= length
        if offset + size > len(self.data):
            raise ValueError(f"tensor {name} reaches beyond the end of the file")
        return offset

    @cached_property
    def _block_sizes(self) -> dict[int, tuple[int, int]]:
        """Elements and bytes of a block of each type."""
        return {int(kind): sizes for kind, sizes in _package().constants.GGML_QUANT_SIZES.items()}

    def _shape(self) -> tuple[int, ...]:
        dimensions = self._number("<I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        return tuple(self._number("<Q") for _ in range(dimensions))[::-1]

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            inner, count = self._number("<I"), self._number("<Q")
            if inner in SCALARS:
                return self._scalars(inner, count)
            return [self._value(inner) for _ in range(self._bounded(count, least_bytes=8))]
        return self._scalars(kind, 1)[0]

    def _scalars(self, kind: int, count: int) -> list[Any]:
        dtype = np.dtype(SCALARS[kind])
        self._bounded(count, least_bytes=dtype.itemsize)
        values = np.frombuffer(self.data, dtype, count, self._position).tolist()
        self._position += count * dtype.itemsize
        return list(values)

    def _string(self) -> str:
        length = self._bounded(self._number("<Q"), least_bytes=1)
        start, self._position = self._position, self._position + length
        return self.data[start : start + length].decode()

    def _number(self, layout: str) -> int:
        (value,) = struct.unpack_from(layout, self.data, self._position)
        self._position += struct.calcsize(layout)
        return int(value)

    def _bounded(self, count: int, *, least_bytes: int) -> int:
        """A count that the rest of the file can hold."""
        if count * least_bytes > len(self.data) - self._position:
            raise ValueError(f"a count of {count:,} reaches beyond the end of the file")
        return count

    def _add(self, table: dict[str, Any], name: str, value: Any) -> None:
        if name in table:
            raise ValueError(f"{name} occurs twice")
        table[name] = value


def _package() -> Any:
    try:
        import gguf
    except ImportError:
        raise UserError("reading GGUF files needs an extra package", fix="pip install 'lexloom[gguf]'") from None
    return gguf
