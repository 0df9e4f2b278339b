"""Files of word vectors become model folders, and tables of vectors become files; the formats: text/vectors.py.

Axes: V vocabulary, D width.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexloom.base import files
from lexloom.base.console import say
from lexloom.base.errors import FolderError
from lexloom.models import FAMILIES
from lexloom.models.folder import ModelFolder, save_model
from lexloom.nn.static import StaticVectors
from lexloom.text.tokenizers import SPECIAL_TOKENS, Tokenizer, config_for
from lexloom.text.vectors import Format, WordVectors, read_vectors, write_vectors
from lexloom.text.whole_words import name_of, word_of, word_tokenizer

FAMILY_OF: dict[Format, str] = {"word2vec": "word2vec", "word2vec-binary": "word2vec", "glove": "glove"}
MOST_FREQUENT = 1e9  # the count that the first word is given; the others follow Zipf's law


def import_vectors(file: Path, out: Path, *, replace: bool = False) -> None:
    """Make a model folder `out` from a file of word vectors.

    Its tokenizer knows the file's words; if none has a capital letter, it folds case. What it can't make one token of
    (`u.s.`, `new york`) has a vector that can be looked up, but that no text meets. Raises DataError, FolderError.
    """
    found = read_vectors(file)
    if found.repeated:
        say(f"{found.repeated:,} lines repeat a word; its first vector counts")
    tokenizer = tokenizer_of_words(found.words)
    family = FAMILIES[FAMILY_OF[found.format]]
    model: Any = family.model(family.config(vocab_size=tokenizer.vocab_size, width=found.vectors_VD.shape[1]))
    model.tokens.weight.data = torch.from_numpy(_table(found, tokenizer))
    save_model(
        out,
        model.eval(),
        tokenizer,
        provenance={"vectors": {"file": file.name, "sha256": files.sha256_of(file), "format": found.format}},
        generation=None,
        card=f"# {file.stem}\n\n{len(found.words):,} word vectors, imported by Lexloom from `{file.name}`.\n",
        replace=replace,
    )


def export_vectors(contents: ModelFolder, file: Path, format: Format) -> int:
    """Write the words of a table, in the order of their ids, and return how many; those without a vector are left out.

    Raises FolderError for a model that is no table of vectors, UserError for a word with white space in it.
    """
    words, vectors_VD = words_and_vectors(contents, str(file))
    write_vectors(file, words, vectors_VD, format)
    return len(words)


def words_and_vectors(contents: ModelFolder, where: str) -> tuple[list[str], Any]:
    """The words that have vectors, and these (float32, words × D). Raises FolderError for a model without a table."""
    if not isinstance(contents.model, StaticVectors) or contents.tokenizer is None:
        raise FolderError(f"a {contents.family} has no table of word vectors", where=where)
    tokenizer, table_VD = contents.tokenizer, contents.model.tokens.weight.detach().numpy()
    numbers = [
        number
        for number in np.flatnonzero(table_VD[: tokenizer.vocab_size].any(axis=1)).tolist()
        if number not in tokenizer.special_ids
    ]
    return [word_of(tokenizer.token(number) or "") for number in numbers], table_VD[numbers]


def tokenizer_of_words(words: tuple[str, ...]) -> Tokenizer:
    """The tokenizer of a list of words, the most frequent first."""
    names = SPECIAL_TOKENS["words"]
    special = list(dict.fromkeys(names.values()))
    counts = {name_of(word): MOST_FREQUENT / place for place, word in enumerate(words, start=1) if word not in special}
    lowercase = all(word == word.lower() for word in words)
    unk = special.index(names["unk"])
    inner = word_tokenizer(counts, len(counts) + len(special), special, unk_id=unk, lowercase=lowercase)
    inner.add_special_tokens(special)
    return Tokenizer(inner.to_str().encode(), config_for(names))


def _table(found: WordVectors, tokenizer: Tokenizer) -> Any:
    table_VD = np.zeros((tokenizer.vocab_size, found.vectors_VD.shape[1]), np.float32)
    numbers = [tokenizer.id(name_of(word)) for word in found.words]
    table_VD[[0 if number is None else number for number in numbers]] = found.vectors_VD
    table_VD[sorted(tokenizer.special_ids)] = 0
    return table_VD
