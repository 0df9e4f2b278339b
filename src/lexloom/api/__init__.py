"""The Python API: `load` gives an `Encoder` for models that read, a `LanguageModel` for those that write on, and a
`Writer` for those that read one text and write another."""

from pathlib import Path

from lexloom.api.encoder import Encoder
from lexloom.api.language import LanguageModel, Score
from lexloom.api.writer import Writer
from lexloom.models import FAMILIES
from lexloom.models.folder import load_model
from lexloom.nn.inference import lay_out_for_few_rows
from lexloom.nn.linear import pack_for_inference

__all__ = ["Encoder", "LanguageModel", "Score", "Writer", "load"]


def load(folder: str | Path, *, verify: bool = True) -> LanguageModel | Encoder | Writer:
    """Read a model folder, Lexloom's or plain Hugging Face; nothing in it is run.

    A decoder becomes a `LanguageModel`, an encoder an `Encoder`, an encoder-decoder a `Writer`, laid out for use rather
    than for training. `verify` checks hashes and replays the golden inputs. Raises FolderError or DamagedError.
    """
    path = Path(folder)
    contents = load_model(path, verify=verify)
    kind = FAMILIES[contents.family].kind
    if kind == "decoder":
        lay_out_for_few_rows(contents.model)
        return LanguageModel(contents, path)
    pack_for_inference(contents.model)
    return Encoder(contents, path) if kind == "encoder" else Writer(contents, path)
