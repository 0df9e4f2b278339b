"""Rows of parquet files, through pyarrow (extra `parquet`)."""

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from lexloom.base.errors import DataError, UserError

BATCH_ROWS = 256


def parquet_rows(
    name: str, chunks: Iterator[bytes], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any] | UnicodeDecodeError]]:
    """(row number from 1, {column: value}) of each row; a row whose text isn't UTF-8 gives the error instead.

    No columns: all of them. Parquet is read from its end, so the decompressed bytes are first laid into a temporary
    file. Raises UserError without pyarrow, DataError for a damaged file or a column that isn't there.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError("parquet needs pyarrow", where=name, fix="pip install 'lexloom[parquet]'") from None
    with tempfile.TemporaryFile() as whole:
        for chunk in chunks:
            whole.write(chunk)
        whole.seek(0)
        try:
            yield from _rows(parquet.ParquetFile(whole), name, columns)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"isn't parquet, or is damaged: {reason}", where=name, fix="Fetch it again.") from None


def _rows(file: Any, name: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any] | UnicodeDecodeError]]:
    known = file.schema_arrow.names
    for column in columns:
        if column not in known:
            raise DataError(
                f"has no column {column!r}, only {', '.join(map(repr, known[:10]))}",
                where=name,
                fix="Name the right column in the settings.",
            )
    columns = list(columns) or known
    number = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        for index in range(batch.num_rows):
            number += 1
            yield number, _row(batch, columns, index)


def _row(batch: Any, columns: Sequence[str], index: int) -> dict[str, Any] | UnicodeDecodeError:
    try:
        return {column: batch.column(column)[index].as_py() for column in columns}
    except UnicodeDecodeError as error:
        return error
