"""A model's weights in the files and under the names that Hugging Face gives them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lexloom.base import files
from lexloom.base.errors import DamagedError, FolderError
from lexloom.models import Family, meta_model
from lexloom.nn.published import Published
from lexloom.nn.tensors import CONVERT, NAMES, TensorFile, find_foreign, write_tensors

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = ("F32", "F16", "BF16")

Shape = tuple[int, ...]


def write_weights(folder: files.NewFolder, model: Any, family: Family, max_shard_bytes: int) -> None:
    """Write model.safetensors, or several and their index if there is more than `max_shard_bytes`."""
    tensors = {
        name: tensor
        for ours, published in family.weights(model.config).items()
        for name, tensor in _publish(model.get_parameter(ours).detach(), published)
    }
    shards = _split_by_size(tensors, max_shard_bytes)
    if len(shards) == 1:
        write_tensors(folder, WEIGHTS, tensors)
        return
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        write_tensors(folder, name, shard)
    total_bytes = sum(tensor.nbytes for tensor in tensors.values())
    place = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    folder.write_json(INDEX, {"metadata": {"total_size": total_bytes}, "weight_map": place})


def read_model(path: Path, family: Family, config: Any) -> Any:
    """The model of a folder, filled from its files, see `fill`; raises FolderError or DamagedError."""
    stored = _stored_tensors(path, family)
    model = meta_model(family, family.settle(config, stored.keys()))
    found = _under_full_names(stored, family, model.config)
    for copy, original in family.tied_copies(model.config).items():
        _drop_tied_copy(found, copy, original, path)
    fill(model, family, found, where=str(path))
    return model


class Source(Protocol):
    """A tensor under its published name, not yet read."""

    @property
    def shape(self) -> Shape:
        """Its shape."""

    @property
    def dtype(self) -> str:
        """Its dtype as safetensors spells it."""

    def read(self) -> Tensor:
        """Its values."""


def fill(model: Any, family: Family, found: Mapping[str, Source], *, where: str) -> None:
    """Give a meta model memory and values; half precision is widened to float32, whole numbers stay what they are.

    First every name, shape and dtype is compared. Raises FolderError listing all tensors that are missing, extra or
    wrong; nothing is allocated then.
    """
    table = family.weights(model.config)
    expected = {
        name: (tuple(part.shape), FLOATS if part.is_floating_point() else (NAMES[part.dtype],))
        for ours, published in table.items()
        for name, part in _publish(model.get_parameter(ours), published)
    }
    _compare(expected, found, where)
    state = {ours: _join([found[name] for name in published.names], published) for ours, published in table.items()}
    model.load_state_dict(state, assign=True, strict=True)


@dataclass(frozen=True)
class Stored:
    """A tensor in a file, not yet read; old files leave out a part of the `name`."""

    file: TensorFile
    name: str

    @property
    def shape(self) -> Shape:
        """Its shape in the file."""
        return self.file.shapes[self.name][1]

    @property
    def dtype(self) -> str:
        """Its dtype as the file spells it."""
        return self.file.shapes[self.name][0]

    def read(self) -> Tensor:
        """Its values."""
        return self.file.read(self.name)


def _publish(tensor: Tensor, published: Published) -> Iterator[tuple[str, Tensor]]:
    """Our parameter as published: split by rows, transposed, as one row; views, no copies but of what has a gain."""
    tensor = tensor[None] if published.as_row else tensor
    parts = torch.split(tensor, list(published.rows)) if published.rows else (tensor,)
    for name, part, gain in zip(published.names, parts, _gains(published), strict=True):
        part = part if gain == 1 else part / gain
        yield name, part.t() if published.transposed else part


def _join(parts: list[Source], published: Published) -> Tensor:
    """The inverse of `_publish`, in new memory unless it is mapped."""
    if published.mapped:
        return _in_full(parts[0].read())
    tensors = [part.read().t() if published.transposed else part.read() for part in parts]
    if published.as_row:
        tensors = [tensor[0] for tensor in tensors]
    dtype = torch.float32 if tensors[0].is_floating_point() else tensors[0].dtype
    joined = torch.empty((sum(len(tensor) for tensor in tensors), *tensors[0].shape[1:]), dtype=dtype)
    targets = torch.split(joined, [len(tensor) for tensor in tensors])
    for target, tensor, gain in zip(targets, tensors, _gains(published), strict=True):
        target.copy_(tensor)
        if gain != 1:
            target.mul_(gain)
    return joined


def _gains(published: Published) -> tuple[float, ...]:
    return published.gains or (1.0,) * len(published.names)


def _in_full(tensor: Tensor) -> Tensor:
    """Half precision as float32; everything else as it is."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _split_by_size(tensors: Mapping[str, Tensor], max_shard_bytes: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > max_shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def _stored_tensors(path: Path, family: Family) -> dict[str, Stored]:
    """All tensors of a folder, by their published name in today's spelling and without the family's prefix."""
    stored = [Stored(file, name) for file in _open_shards(path) for name in file.shapes]
    found = {_bare_name(tensor.name, family): tensor for tensor in stored}
    if len(found) < len(stored):
        twice = sorted(tensor.name for tensor in stored if found[_bare_name(tensor.name, family)] is not tensor)
        raise FolderError(f"has {', '.join(twice)} under two names", where=str(path))
    return found


def _bare_name(name: str, family: Family) -> str:
    for old, new in family.old_names.items():
        name = name.replace(old, new)
    return name.removeprefix(family.prefix)


def _under_full_names(stored: Mapping[str, Stored], family: Family, config: Any) -> dict[str, Source]:
    """The tensors by the names that the config implies; what it doesn't imply stays, unless the family ignores it."""
    expected = [name for published in family.weights(config).values() for name in published.names]
    expected += family.tied_copies(config)
    full = {name.removeprefix(family.prefix): name for name in expected}
    ignored = re.compile("|".join(family.ignored_weights))
    return {
        full.get(name, tensor.name): tensor
        for name, tensor in stored.items()
        if name in full or not ignored.fullmatch(name)
    }


def _open_shards(path: Path) -> list[TensorFile]:
    if files.inside(path, INDEX).exists():
        return _open_index(path)
    if not files.inside(path, WEIGHTS).exists():
        foreign = find_foreign(sorted(file for file in path.iterdir() if file.is_file()))
        if foreign is not None:
            raise FolderError(f"is {foreign[1]}; it is not read", where=str(foreign[0]), fix=CONVERT)
    return [TensorFile(files.inside(path, WEIGHTS))]


def _open_index(path: Path) -> list[TensorFile]:
    """Open every file that the index names, and check that each tensor is where the index says, once."""
    index = files.read_json(path / INDEX)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise DamagedError("has no weight_map of names and files", where=str(path / INDEX))
    shards = {place: TensorFile(files.inside(path, place)) for place in sorted(set(places.values()))}
    found = [(name, place) for place, shard in shards.items() for name in shard.shapes]
    wrong = sorted(set(found) ^ set(places.items()))
    if wrong:
        listed = ", ".join(f"{name} in {place}" for name, place in wrong)
        raise FolderError(f"the index and the files disagree about {listed}", where=str(path / INDEX))
    return list(shards.values())


def _drop_tied_copy(found: dict[str, Source], copy: str, original: str, path: Path) -> None:
    """Some files hold a tied tensor twice: that is fine if both are the same."""
    if copy in found and original in found:
        if not torch.equal(found[copy].read(), found[original].read()):
            raise FolderError(
                f"{copy} differs from {original}, but the config says that they are tied",
                where=str(path),
                fix="Set tie_word_embeddings to false in config.json if the head is a matrix of its own.",
            )
        del found[copy]


def _compare(expected: Mapping[str, tuple[Shape, Sequence[str]]], found: Mapping[str, Source], where: str) -> None:
    missing = [f"missing {name}: expected {list(expected[name][0])}" for name in expected if name not in found]
    extra = [f"extra {name}: found {list(found[name].shape)}" for name in found if name not in expected]
    wrong = [
        f"wrong {name}: expected {list(expected[name][0])} in {', '.join(expected[name][1])}, found "
        f"{list(stored.shape)} in {stored.dtype}"
        for name, stored in found.items()
        if name in expected and (stored.shape != expected[name][0] or stored.dtype not in expected[name][1])
    ]
    if missing or extra or wrong:
        listed = "\n  ".join([*missing, *extra, *wrong])
        raise FolderError(f"the weights are not those that the config describes:\n  {listed}", where=where)
