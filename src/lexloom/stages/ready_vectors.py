"""Word vectors as the first embeddings of a new model: the tokens' rows of the table that a file or folder holds."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lexloom.base.console import say
from lexloom.base.errors import FolderError, RecipeError
from lexloom.models.folder import load_model
from lexloom.text.tokenizers import Tokenizer
from lexloom.text.vectors import read_vectors
from lexloom.text.whole_words import word_of

Table = dict[str, NDArray[np.float32]]


def read_table(path: Path) -> Table:
    """Words and their vectors: of a file (text/vectors.py), or of the folder of a model with a table of tokens.

    Raises FolderError for a folder without one, DataError for a file that holds no vectors.
    """
    if not path.is_dir():
        found = read_vectors(path)
        return dict(zip(found.words, found.vectors_VD, strict=True))
    contents = load_model(path)
    if contents.tokenizer is None:
        raise FolderError("has no tokenizer.json", where=str(path))
    rows_VD = contents.model.tokens.weight.detach().cpu().numpy()
    return {word: rows_VD[number] for number, word in _words(contents.tokenizer).items() if rows_VD[number].any()}


def width_of(table: Table) -> int:
    """The width of its vectors."""
    return len(next(iter(table.values())))


def lay_in(model: Any, tokenizer: Tokenizer, table: Table, *, where: str) -> None:
    """Give every token that the table knows, as it is or in lower case, its vector; says how many there are.

    Raises RecipeError if the model's embeddings have another width.
    """
    weight_VE, width = model.tokens.weight, width_of(table)
    if weight_VE.shape[1] != width:
        raise RecipeError(
            f"{where} holds vectors of {width}, the model's embeddings have {weight_VE.shape[1]}",
            where="model.vectors",
            fix=f"Set model.embedding_width={width}, or model.width where the family has only that.",
        )
    words = _words(tokenizer)
    found = {number: key for number, word in words.items() for key in (word, word.lower()) if key in table}
    with torch.no_grad():
        for number, key in found.items():
            weight_VE[number] = torch.from_numpy(np.array(table[key]))
    say(f"vectors    {len(found):,} of {len(words):,} tokens ({len(found) / len(words):.1%}) have theirs in {where}")


def _words(tokenizer: Tokenizer) -> dict[int, str]:
    """The tokens that are words, by number."""
    names = ((number, tokenizer.token(number)) for number in range(tokenizer.vocab_size))
    return {number: word_of(name) for number, name in names if name is not None and number not in tokenizer.special_ids}
