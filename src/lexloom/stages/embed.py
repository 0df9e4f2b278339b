"""`lexloom embed MODEL FILES`: a vector for every row's text, as a numpy array or beside the rows as JSON lines."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.lib.format import write_array_header_1_0

from lexloom.base import files
from lexloom.base.console import Tick, progress
from lexloom.base.errors import FolderError, UserError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.evaluate.embedding import PLAIN, Vectors, limit_of
from lexloom.evaluate.embedding import embed as embed_texts
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.examples import Labelled
from lexloom.labelled.tables import stream_labelled
from lexloom.models.folder import ModelFolder
from lexloom.models.sentences import Pooling
from lexloom.stages.rows import STDOUT, beside, new_table
from lexloom.tasks.encoding import CUT
from lexloom.tasks.encoding import STAGE as ENCODE
from lexloom.tasks.folder import load_reader
from lexloom.text.readers import read_documents
from lexloom.text.reading import DataSettings
from lexloom.text.sources import STDIN

ROWS_AT_ONCE = 4096
NUMPY = ".npy"
VECTOR = "vector"
"""The column of a row's vector in JSON lines; with a number where the row has one of that name."""


@dataclass(frozen=True)
class Embedded:
    """How many texts became vectors of which width, and how many were cut."""

    texts: int
    width: int
    out: str
    pooling: str
    normalised: bool
    cut_texts: int
    cut_characters: int
    max_tokens: int


def embed(
    folder: Path,
    sources: Sequence[str],
    *,
    out: str = STDOUT,
    pooling: str | None = None,
    normalise: bool | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Embedded:
    """Write a vector for every row, in the order of the input.

    `out` is a .npy file of all vectors (N, D) in float32, or .jsonl (`-`: standard output): rows, each with its vector.
    Text files are read line by line. `pooling` (mean, cls) and `normalise` are as the folder has them if not given.
    `changes` are settings of the tables: text names their column. Raises UserError, FolderError.
    """
    if out != STDOUT and Path(out).suffix not in (NUMPY, ".jsonl"):
        raise UserError("vectors are written as .npy or .jsonl", where=out)
    settings = check(TableSettings, dict(changes or {}), where="task")
    contents = load_reader(folder)
    if contents.tokenizer is None or not hasattr(contents.model, "encode"):
        raise FolderError("holds no encoder with a tokenizer", where=str(folder))
    chosen = _pooling(contents, pooling, normalise)
    ledger, counted = Ledger(), None if STDIN in sources else sum(1 for _ in _texts(sources, settings, Ledger()))
    with progress("embedding", counted) as tick:
        some = _vectors(contents, chosen, _texts(sources, settings, ledger), ledger, tick)
        if out.endswith(NUMPY):
            texts = _write_array(Path(out), some, contents.model.config.width, counted)
        else:
            texts = _write_rows(out, some, ledger)
    cut = ledger[ENCODE, CUT]
    limit = limit_of(contents.model, chosen)
    width = contents.model.config.width
    return Embedded(texts, width, out, chosen.mode, chosen.normalise, cut.documents, cut.characters, limit)


def describe(result: Embedded) -> str:
    """The result for people."""
    place = "standard output" if result.out == STDOUT else result.out
    length = ", of length 1" if result.normalised else ""
    lines = [f"{result.texts:,} vectors of width {result.width:,} ({result.pooling}{length}) in {place}"]
    if result.cut_texts:
        lines.append(
            f"{result.cut_texts:,} texts were cut at {result.max_tokens:,} tokens: {result.cut_characters:,} "
            f"characters were not read."
        )
    return "\n".join(lines)


def _pooling(contents: ModelFolder, mode: str | None, normalise: bool | None) -> Pooling:
    stored = PLAIN if contents.pooling is None else contents.pooling
    return replace(
        stored,
        mode=stored.mode if mode is None else mode,
        normalise=stored.normalise if normalise is None else normalise,
    )


def _texts(sources: Sequence[str], settings: TableSettings, ledger: Ledger) -> Iterator[Labelled]:
    """The lines of plain text, the rows of tables; a row's first text is the one that counts."""
    for name in sources:
        if name == STDIN or name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".txt"):
            for document in read_documents([name], ledger=ledger, settings=DataSettings(encoding=settings.encoding)):
                yield Labelled(document.where, {"text": document.text}, (document.text,), None)
        else:
            yield from stream_labelled([name], settings, ledger, kind="labels")


def _vectors(
    contents: ModelFolder, pooling: Pooling, examples: Iterator[Labelled], ledger: Ledger, tick: Tick
) -> Iterator[tuple[list[Labelled], Vectors]]:
    assert contents.tokenizer is not None, "the folder was looked at before"
    done = 0
    while some := list(islice(examples, ROWS_AT_ONCE)):
        vectors_ND = embed_texts(
            contents.model,
            contents.tokenizer,
            [example.texts[0] for example in some],
            pooling,
            ledger=ledger,
            places=[example.where for example in some],
            tick=lambda count, done=done: tick(done + count),  # type: ignore[misc]
        )
        done += len(some)
        yield some, vectors_ND


def _write_array(path: Path, some: Iterator[tuple[list[Labelled], Vectors]], width: int, texts: int | None) -> int:
    """numpy's own format; the number of rows stands in its header, so where nobody knows it all are held first."""
    if texts is None:
        held = list(some)
        some, texts = iter(held), sum(len(vectors_ND) for _, vectors_ND in held)
    written = 0
    with files.new_file(path) as file:
        header = io.BytesIO()
        write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (texts, width)})
        file.write(header.getvalue())
        for _, vectors_ND in some:
            file.write(vectors_ND.astype("<f4").tobytes())
            written += len(vectors_ND)
        if written != texts:
            raise UserError(f"the input had {texts:,} texts and then {written:,}: it was changed while it was read")
    return texts


def _write_rows(out: str, some: Iterator[tuple[list[Labelled], Vectors]], ledger: Ledger) -> int:
    rows = 0
    with new_table(out, ledger) as write:
        for examples, vectors_ND in some:
            for example, vector_D in zip(examples, vectors_ND.tolist(), strict=True):
                write(beside(example.row, {VECTOR: vector_D}))
            rows += len(examples)
    return rows
