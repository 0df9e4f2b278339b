"""From the bytes on a disk to lines of UTF-8: decompress, transcode, split, each in bounded memory."""

import codecs
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import zstandard

from lexloom.base.errors import DataError
from lexloom.text.encodings import looks_like
from lexloom.text.sources import Source

CHUNK_BYTES = 1 << 20
# One block of zstd is at most 128 KiB and can be 4 bytes long on disk, so this piece decodes to 32 MiB at worst.
ZSTD_PIECE_BYTES = 1 << 10
ZSTD_WINDOW_BYTES = 1 << 27
FREE_BYTES = 16_000_000
BOM = codecs.BOM_UTF8

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest line in bytes, and how many times its size on disk a compressed file may grow."""

    line_bytes: int
    expansion: int


@dataclass(slots=True)
class Line:
    """One line without its end: UTF-8 bytes, its number from 1 and its offset in bytes from the start of the text.

    `returns` counts the carriage returns that its end had.
    """

    number: int
    offset: int
    raw: bytes
    returns: int = 0


def read_chunks(source: Source, limits: Limits, on_bytes: OnBytes | None = None) -> Iterator[bytes]:
    """The decompressed bytes of a file in pieces; `on_bytes` is told how many bytes were taken from the disk.

    Raises DataError: unreadable, not what its suffix says, cut short, or growing beyond `limits.expansion`.
    """
    taken = grown = 0

    def count(size: int) -> None:
        nonlocal taken
        taken += size
        if on_bytes is not None:
            on_bytes(size)

    try:
        with _open(source) as file:
            for chunk in _DECOMPRESS[source.compression](_Counted(file, count)):
                grown += len(chunk)
                if source.compression and grown > max(FREE_BYTES, taken * limits.expansion):
                    raise DataError(
                        f"grew to {grown:,} bytes from {taken:,}: a compression bomb?",
                        where=source.name,
                        fix="Unpack it yourself if you trust it, or raise the setting max_expansion.",
                    )
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise DataError(
            f"is damaged or not {source.compression}: {error}", where=source.name, fix="Fetch or compress it again."
        ) from None
    except OSError as error:
        raise DataError(
            f"can't be read: {error.strerror or error}", where=source.name, fix="Check its permissions and the disk."
        ) from None


def transcode(chunks: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """The same text in UTF-8. Raises DataError with the line and the byte offset of what isn't `encoding`."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    offset, lines, first = 0, 1, True
    for chunk in _with_end(chunks):
        if first and encoding == "utf-16" and chunk and chunk[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise _no_mark(chunk, name)
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk or b"", final=chunk is None)
        except UnicodeDecodeError as error:
            where = f"{name}:{lines + _newlines_before(error, encoding)}"
            raise DataError(
                f"byte {offset - pending + error.start:,} isn't {encoding} ({error.reason})",
                where=where,
                fix="Name the right one in the setting encoding.",
            ) from None
        offset += len(chunk or b"")
        lines += text.count("\n")
        if text:
            yield text.removeprefix("\ufeff").encode() if first else text.encode()
            first = False


def split_lines(chunks: Iterator[bytes], limits: Limits, name: str) -> Iterator[Line]:
    """Lines ended by LF, CR LF or CR. Raises DataError for a line beyond the limit, having read no further."""
    number, offset, rest = 1, 0, b""
    for chunk in _with_end(_without_mark(chunks)):
        pieces = (rest + chunk).split(b"\n") if chunk is not None else [rest, b""] if rest else [b""]
        rest = pieces.pop()
        for piece in pieces:
            if len(piece) > limits.line_bytes:
                raise _too_long(name, number, limits)
            for line in _split_returns(piece, number, offset):
                number = line.number + 1
                yield line
            offset += len(piece) + 1
        if len(rest) > limits.line_bytes:
            raise _too_long(name, number, limits)


def decode_line(line: Line, name: str) -> str:
    """The text of a line. Raises DataError with the byte offset and what the encoding looks like."""
    try:
        text = line.raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {line.offset + error.start:,} (0x{line.raw[error.start]:02X}) isn't UTF-8",
            where=f"{name}:{line.number}",
            fix=_hint(line.raw),
        ) from None
    if "\0" in text:
        raise DataError(
            f"a NUL at byte {line.offset + line.raw.index(0):,}", where=f"{name}:{line.number}", fix=_hint(line.raw)
        )
    return text


class _Counted:
    """A binary file that tells how much was read from it."""

    def __init__(self, file: IO[bytes], count: OnBytes) -> None:
        self._file = file
        self._count = count

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        data = self._file.read(size)
        self._count(len(data))
        return data


def _open(source: Source) -> IO[bytes]:
    if source.path is None:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return open(source.path, "rb")


def _plain(file: _Counted) -> Iterator[bytes]:
    while chunk := file.read():
        yield chunk


def _gunzip(file: _Counted) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:  # type: ignore[call-overload]
        while chunk := unpacked.read(CHUNK_BYTES):
            yield chunk


def _unzstd(file: _Counted) -> Iterator[bytes]:
    # Not stream_reader: that one ends quietly where a file was cut short.
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    frame, began = decompressor.decompressobj(), False
    while piece := file.read(ZSTD_PIECE_BYTES):
        while piece:
            began = True
            if chunk := frame.decompress(piece):
                yield chunk
            piece = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame, began = decompressor.decompressobj(), False
    if began:
        raise EOFError("it ends before the end of its last frame")


_DECOMPRESS: dict[str, Callable[[_Counted], Iterator[bytes]]] = {"": _plain, ".gz": _gunzip, ".zst": _unzstd}


def _with_end(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    yield from chunks
    yield None


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(BOM):
            break
    yield head.removeprefix(BOM)
    yield from chunks


def _split_returns(piece: bytes, number: int, offset: int) -> Iterator[Line]:
    if b"\r" not in piece:
        yield Line(number, offset, piece)
        return
    parts = piece.removesuffix(b"\r").split(b"\r")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        yield Line(number + index, offset, part, returns=1 if not last or piece.endswith(b"\r") else 0)
        offset += len(part) + 1


def _newlines_before(error: UnicodeDecodeError, encoding: str) -> int:
    return error.object[: error.start].decode(encoding, errors="ignore").count("\n")


def _too_long(name: str, number: int, limits: Limits) -> DataError:
    return DataError(
        f"the line is longer than {limits.line_bytes:,} bytes",
        where=f"{name}:{number}",
        fix="Break the text into lines, or raise the setting max_document_bytes.",
    )


def _no_mark(chunk: bytes, name: str) -> DataError:
    return DataError("has no byte order mark", where=f"{name}:1", fix=_hint(chunk, "utf-16-le or utf-16-be"))


def _hint(raw: bytes, otherwise: str = "") -> str:
    name = looks_like(raw[:CHUNK_BYTES]) or otherwise
    return (
        f"It looks like {name}: name it in the setting encoding."
        if name
        else "Name its encoding in the setting encoding."
    )
