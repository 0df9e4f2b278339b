"""Tensors in files: the safetensors layout, read behind one gate and written as a stream.

Layout: 8 bytes little-endian length of the header; the header, JSON: name → dtype, shape, data_offsets; the bytes of
the tensors without holes. Source: https://github.com/huggingface/safetensors, section Format.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lexloom.base.errors import DamagedError, FolderError
from lexloom.base.files import NewFolder

LENGTH_BYTES = 8
ALIGNMENT_BYTES = 8
MAX_HEADER_BYTES = 4 << 20  # about 40,000 tensors; larger ones only serve to exhaust the reader

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

FOREIGN = {
    b"PK\x03\x04": "a zip archive, probably a pickled PyTorch checkpoint",
    **{b"\x80" + bytes([protocol]): "a pickle" for protocol in range(2, 6)},
    b"\x93NUMPY": "a numpy file",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer instead of the file itself",
}
CONVERT = (
    "Lexloom never unpickles, since that runs code. Where you trust the file, convert it to safetensors: load it with "
    "transformers and call save_pretrained on the model. For GGUF, run `lexloom import`; for Git LFS, `git lfs pull`."
)


class TensorFile:
    """An open safetensors file; `shapes` tells what is in it, `read` gives one tensor."""

    def __init__(self, path: Path) -> None:
        """Check and open `path`. Raises FolderError (absent, another format) or DamagedError (malformed)."""
        header = _read_header(path)
        try:
            self._file: Any = safe_open(path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise DamagedError(f"is malformed: {error}", where=str(path)) from None
        self.path = path
        self.shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items() if name != "__metadata__"
        }
        """Name → dtype as the file spells it (`F32`, `BF16`), shape."""

    def read(self, name: str) -> Tensor:
        """The tensor `name`; its memory may be the file's, so copy what shall outlive the file."""
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


def write_tensors(
    folder: NewFolder, name: str, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors in the order given; one at a time is held in memory beside the originals."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for key, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[key] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    with folder.open(name) as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for tensor in tensors.values():
            if tensor.nbytes:
                file.write(_bytes_of(tensor))


def find_foreign(paths: Iterable[Path]) -> tuple[Path, str] | None:
    """The first file whose content is a known foreign format, and which one; nothing is loaded."""
    for path in paths:
        with open(path, "rb") as file:
            start = file.read(32)
        kind = _foreign(start)
        if kind is not None:
            return path, kind
    return None


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().contiguous().view(-1).view(torch.uint8)
    return flat.numpy().data


def _read_header(path: Path) -> dict[str, Any]:
    """Parse the header, bounded; what the safetensors library checks itself (offsets, sizes) is left to it."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(32)
            length = int.from_bytes(start[:LENGTH_BYTES], "little")
            if start[LENGTH_BYTES : LENGTH_BYTES + 1] != b"{" or length > size - LENGTH_BYTES:
                kind = _foreign(start)
                if kind is not None:
                    raise FolderError(f"is {kind}, not a safetensors file", where=str(path), fix=CONVERT)
                raise DamagedError("is not a safetensors file, or only the beginning of one", where=str(path))
            if length > MAX_HEADER_BYTES:
                raise DamagedError(f"has a header of {length:,} bytes, more than {MAX_HEADER_BYTES:,}", where=str(path))
            file.seek(LENGTH_BYTES)
            text = file.read(length)
    except (FileNotFoundError, IsADirectoryError):
        raise FolderError(f"has no {path.name}", where=str(path.parent)) from None
    try:
        header = json.loads(text.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"has a malformed header: {error}", where=str(path)) from None
    for name, entry in header.items():
        if not isinstance(entry, dict) or (name != "__metadata__" and not {"dtype", "shape"} <= entry.keys()):
            raise DamagedError(f"has a malformed entry {name!r}", where=str(path))
    return dict(header)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _foreign(start: bytes) -> str | None:
    return next((kind for magic, kind in FOREIGN.items() if start.startswith(magic)), None)
