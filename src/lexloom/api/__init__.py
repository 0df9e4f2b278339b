"""The Python API: `load` gives a `LanguageModel` for models that write, an `Encoder` for models that read."""

from pathlib import Path

from lexloom.api.encoder import Encoder
from lexloom.api.language import LanguageModel, Score
from lexloom.models import FAMILIES
from lexloom.models.folder import load_model
from lexloom.nn.inference import lay_out_for_few_rows
from lexloom.nn.linear import pack_for_inference

__all__ = ["Encoder", "LanguageModel", "Score", "load"]


def load(folder: str | Path, *, verify: bool = True) -> LanguageModel | Encoder:
    """Read a model folder, Lexloom's or plain Hugging Face; nothing in it is run.

    A decoder becomes a `LanguageModel`, an encoder an `Encoder`, laid out for use and not for training it further.
    `verify` checks hashes and replays the golden inputs. Raises FolderError or DamagedError.
    """
    path = Path(folder)
    contents = load_model(path, verify=verify)
    if FAMILIES[contents.family].kind == "decoder":
        lay_out_for_few_rows(contents.model)
        return LanguageModel(contents, path)
    pack_for_inference(contents.model)
    return Encoder(contents, path)
