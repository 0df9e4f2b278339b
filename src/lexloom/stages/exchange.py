"""`lexloom import` and `lexloom export`: other tools' files become model folders, and the other way round."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lexloom.base.errors import UserError
from lexloom.models.allennlp import import_elmo, is_elmo
from lexloom.models.arpa import export_arpa, import_arpa
from lexloom.models.folder import ModelFolder, load_model
from lexloom.models.gguf import import_gguf
from lexloom.models.word_vectors import export_vectors, import_vectors


@dataclass(frozen=True)
class Foreign:
    """A kind of file that others make."""

    fits: Callable[[Path], bool]
    """Whether a path is one, by its name and what lies in it."""
    make: Callable[[Path, Path], None]
    """(the path, the model folder to make)."""
    next: str
    """What to do with the folder, which stands as {out}."""


def _ends_in(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.name.lower().endswith(suffixes)


IMPORTS = (
    Foreign(is_elmo, import_elmo, "lexloom finetune model.folder={out} task.name=tag data.train=FILE"),
    Foreign(_ends_in(".gguf"), import_gguf, "lexloom chat {out}"),
    Foreign(_ends_in(".arpa"), import_arpa, "lexloom evaluate {out} --data TEXT"),
    Foreign(_ends_in(".txt", ".vec", ".bin", ".txt.gz", ".vec.gz"), import_vectors, "lexloom neighbours {out} WORD"),
)

EXPORTS: dict[str, Callable[[ModelFolder, Path], int]] = {
    "word2vec": lambda contents, file: export_vectors(contents, file, "word2vec"),
    "word2vec-binary": lambda contents, file: export_vectors(contents, file, "word2vec-binary"),
    "glove": lambda contents, file: export_vectors(contents, file, "glove"),
    "arpa": export_arpa,
}
"""Format → what writes it, and returns how many words (or n-grams) it wrote."""
BY_SUFFIX = {".bin": "word2vec-binary", ".arpa": "arpa"}
"""What a file's name says of its format; else it is the one that has the name of the model's family."""


def import_file(source: Path, out: Path) -> str:
    """Make a model folder `out` of a file or folder, and return what to do next. Raises UserError for an unknown kind,
    and whatever the kind's own reader raises."""
    for kind in IMPORTS:
        if kind.fits(source):
            kind.make(source, out)
            return f"Made {out}. Next: {kind.next.format(out=out)}"
    raise UserError(
        "is no file that can be imported",
        where=str(source),
        fix="Name a .gguf or .arpa file, a .txt, .vec or .bin file of word vectors, or a folder of AllenNLP's ELMo.",
    )


def export_file(folder: Path, out: Path, *, format: str | None = None) -> str:
    """Write a model folder in another tool's format, and return what was written.

    Raises UserError for an unknown format, FolderError for a model that it can't hold.
    """
    contents = load_model(folder)
    chosen = BY_SUFFIX.get(out.suffix.lower(), contents.family) if format is None else format
    if chosen not in EXPORTS:
        raise UserError(f"{chosen} is no format that can be written", fix=f"Choose one of {', '.join(EXPORTS)}.")
    return f"Wrote {EXPORTS[chosen](contents, out):,} entries to {out} ({chosen})"
