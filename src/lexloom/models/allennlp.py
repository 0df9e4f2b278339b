"""ELMo as AllenNLP publishes it, options.json beside weights in HDF5, becomes a model folder.

The weights are TensorFlow's: matrices as (inputs, outputs), gates in the order i, g, f, o with 1 to be added to the
forget gate's bias, and highways that carry 1 − g of what comes in.
Source: https://github.com/allenai/allennlp/blob/v0.9.0/allennlp/modules/elmo.py and elmo_lstm.py.
Axes: C cell width.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lexloom.base import files
from lexloom.base.errors import FolderError, UserError
from lexloom.models import FAMILIES, elmo, meta_model
from lexloom.models.folder import save_model
from lexloom.text.tokenizers import Tokenizer, config_for
from lexloom.text.word_bytes import CHARACTERS, NAMES, ROW, word_bytes

OPTIONS = "options.json"
TASK_WIDTH = 400
"""Of the two-way LSTM that taggers put upon the features: 200 each way, as in the paper's appendix on entities."""
MASKED_CHARACTERS = CHARACTERS + 1
"""AllenNLP counts a character that masks words; the files of the weights don't hold it."""

Shape = tuple[int, ...]


def import_elmo(source: Path, out: Path, *, replace: bool = False) -> None:
    """Make a model folder `out` from a folder with one …options.json and one …hdf5.

    Its tokenizer parts words at white space only: AllenNLP's models read texts that are cut into words.
    Raises FolderError (files missing, an option that we can't compute, tensors missing, extra or misshapen; `out`
    exists), DamagedError; UserError if the package h5py is not installed.
    """
    options_file, weights_file = _only(source, f"*{OPTIONS}"), _only(source, "*.hdf5")
    tokenizer = Tokenizer(word_bytes((*NAMES.values(),), marks_apart=False).to_str().encode(), config_for(NAMES))
    config = _config(files.read_json(options_file), tokenizer.vocab_size, str(options_file))
    model: Any = meta_model(FAMILIES["elmo"], config)
    stored = _read(weights_file, _expected(config))
    model.load_state_dict(_converted(stored, config), assign=True, strict=True)
    save_model(
        out,
        model.eval(),
        tokenizer,
        provenance={"allennlp": {"file": weights_file.name, "sha256": files.sha256_of(weights_file)}},
        generation=None,
        card=f"# {source.resolve().name}\n\nImported by Lexloom from `{weights_file.name}` (AllenNLP's ELMo).\n",
        replace=replace,
    )


def is_elmo(source: Path) -> bool:
    """Whether a path is a folder that holds options and weights as AllenNLP names them."""
    return source.is_dir() and any(source.glob(f"*{OPTIONS}")) and any(source.glob("*.hdf5"))


def _only(source: Path, pattern: str) -> Path:
    found = sorted(source.glob(pattern))
    if len(found) != 1:
        raise FolderError(f"has {len(found)} files {pattern}, one is needed", where=str(source))
    return found[0]


# ---- options ----


def _config(options: Any, vocab_size: int, where: str) -> elmo.Config:
    """The shape that an options.json describes; what only its training needed is passed over."""
    lstm, cnn = (_section(options, name, where) for name in ("lstm", "char_cnn"))
    _refuse(lstm, "use_skip_connections", (True,), where)
    _refuse(cnn, "max_characters_per_token", (ROW,), where)
    _refuse(cnn, "n_characters", (CHARACTERS, MASKED_CHARACTERS), where)
    filters = cnn.get("filters")
    if not isinstance(filters, list) or [entry[:1] for entry in filters] != [[n + 1] for n in range(len(filters))]:
        raise FolderError(f"char_cnn.filters = {filters!r:.80} are not of 1, 2, 3 … characters", where=where)
    try:
        return elmo.Config(
            vocab_size=vocab_size,
            char_width=_number(_section(cnn, "embedding", where), "dim", where),
            filters=tuple(entry[-1] for entry in filters),
            highways=_number(cnn, "n_highway", where),
            projection=_number(lstm, "projection_dim", where),
            cell_width=_number(lstm, "dim", where),
            layers=_number(lstm, "n_layers", where),
            cell_clip=_number(lstm, "cell_clip", where),
            projection_clip=_number(lstm, "proj_clip", where),
            activation=str(cnn.get("activation")),
            head="none",
            task_width=TASK_WIDTH,
        )
    except UserError as error:
        raise FolderError(f"{error.where}: {error.what}", where=where) from None


def _section(values: Any, name: str, where: str) -> Mapping[str, Any]:
    section = values.get(name) if isinstance(values, Mapping) else None
    if not isinstance(section, Mapping):
        raise FolderError(f"has no section {name}", where=where)
    return section


def _number(section: Mapping[str, Any], key: str, where: str) -> Any:
    if type(section.get(key)) not in (int, float):
        raise FolderError(f"{key} = {section.get(key)!r} is not a number", where=where)
    return section[key]


def _refuse(section: Mapping[str, Any], key: str, accepted: tuple[Any, ...], where: str) -> None:
    if section.get(key) not in accepted:
        raise FolderError(f"{key} = {section.get(key)!r} is not supported", where=where)


# ---- weights ----


def _expected(config: elmo.Config) -> dict[str, Shape]:
    """The tensors of the file and their shapes."""
    inner, projection, cell = sum(config.filters), config.projection, config.cell_width
    shapes: dict[str, Shape] = {
        "char_embed": (CHARACTERS, config.char_width),
        "CNN_proj/W_proj": (inner, projection),
        "CNN_proj/b_proj": (projection,),
    }
    for number, count in enumerate(config.filters):
        shapes[f"CNN/W_cnn_{number}"] = (1, number + 1, config.char_width, count)
        shapes[f"CNN/b_cnn_{number}"] = (count,)
    for number in range(config.highways):
        for part in ("transform", "carry"):
            shapes[f"CNN_high_{number}/W_{part}"] = (inner, inner)
            shapes[f"CNN_high_{number}/b_{part}"] = (inner,)
    for way in range(2):
        for layer in range(config.layers):
            shapes |= {
                _cell(way, layer, "W_0"): (2 * projection, 4 * cell),
                _cell(way, layer, "B"): (4 * cell,),
                _cell(way, layer, "W_P_0"): (cell, projection),
            }
    return shapes


def _cell(way: int, layer: int, name: str) -> str:
    return f"RNN_{way}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/{name}"


def _read(path: Path, expected: Mapping[str, Shape]) -> dict[str, Tensor]:
    """All tensors, once their names and shapes are those expected; else FolderError lists what isn't."""
    h5py = _package()
    found: dict[str, Any] = {}
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
            shapes = {name: item.shape for name, item in found.items()}
            wrong = [name for name in sorted({*expected, *shapes}) if expected.get(name) != shapes.get(name)]
            if wrong:
                listed = "\n  ".join(
                    f"{name}: expected {expected.get(name)}, found {shapes.get(name)}" for name in wrong
                )
                raise FolderError(f"the weights are not those that the options describe:\n  {listed}", where=str(path))
            return {name: torch.from_numpy(item[...].astype("float32")) for name, item in found.items()}
    except (OSError, RuntimeError, ValueError) as error:
        raise FolderError(f"can't be read as HDF5: {error}", where=str(path)) from None


def _converted(stored: Mapping[str, Tensor], config: elmo.Config) -> dict[str, Tensor]:
    """Our parameters."""
    state = {
        "words.characters.weight": stored["char_embed"],
        "words.projection.weight": stored["CNN_proj/W_proj"].t(),
        "words.projection.bias": stored["CNN_proj/b_proj"],
    }
    for number in range(len(config.filters)):
        state[f"words.filters.{number}.weight"] = stored[f"CNN/W_cnn_{number}"][0].flatten(0, 1).t()
        state[f"words.filters.{number}.bias"] = stored[f"CNN/b_cnn_{number}"]
    for number in range(config.highways):
        parts = {
            name: stored[f"CNN_high_{number}/{name}"] for name in ("W_transform", "W_carry", "b_transform", "b_carry")
        }
        state[f"words.highways.{number}.both.weight"] = torch.cat([parts["W_transform"].t(), -parts["W_carry"].t()])
        state[f"words.highways.{number}.both.bias"] = torch.cat([parts["b_transform"], -parts["b_carry"]])
    for way, ours in enumerate(("rightward", "leftward")):
        for layer in range(config.layers):
            both, bias, output = (stored[_cell(way, layer, name)] for name in ("W_0", "B", "W_P_0"))
            for name, tensor in _lstm(both, bias, output, config.projection).items():
                state[f"blocks.{layer}.{ours}.{name}"] = tensor
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _lstm(both: Tensor, bias: Tensor, output: Tensor, inputs: int) -> dict[str, Tensor]:
    """TensorFlow's cell → ours: gates i, f, o, g; the matrices of inputs and of states apart."""
    matrix = _ours(both.t())
    i, f, o, g = _ours(bias).chunk(4)
    return {
        "inputs.weight": matrix[:, :inputs],
        "inputs.bias": torch.cat([i, f + 1, o, g]),
        "recurrent.weight": matrix[:, inputs:],
        "output.weight": output.t(),
    }


def _ours(gates: Tensor) -> Tensor:
    i, g, f, o = gates.chunk(4)
    return torch.cat([i, f, o, g])


def _package() -> Any:
    try:
        import h5py  # an extra: only AllenNLP's files need it
    except ImportError:
        raise UserError("reading HDF5 needs the package h5py", fix="pip install 'lexloom[elmo]'") from None
    return h5py
