"""Cleaned documents on the disk, compressed, while the corpus is being judged: memory holds none of them."""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import zstandard

from lexloom.base.files import HashedFile
from lexloom.text.reading import Document

_LENGTHS = struct.Struct("<II")
LEVEL = 1


class Spool:
    """A temporary file of documents: written once, then read as often as needed; removed when the block ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = HashedFile(path)
        self._compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()

    def add(self, document: Document) -> None:
        """Append one document."""
        text, where = document.text.encode(), document.where.encode()
        self._put(self._compressor.compress(_LENGTHS.pack(len(text), len(where)) + text + where))

    def finish(self) -> None:
        """Close the writing side."""
        self._put(self._compressor.flush())
        self._file.close()

    def __iter__(self) -> Iterator[Document]:
        """All documents, in the order in which they were added."""
        with open(self._path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            while head := stream.read(_LENGTHS.size):
                text_bytes, where_bytes = _LENGTHS.unpack(head)
                text, where = stream.read(text_bytes), stream.read(where_bytes)
                yield Document(text.decode(), where.decode())

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._file.__exit__(kind)
        self._path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        if data:
            self._file.write(data)
