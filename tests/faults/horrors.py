"""More than 200 horrible corpora, each with what must happen to it: the horrible bytes in every container they may
come in, then containers that are broken themselves, then what a file system can do to a name."""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from tests.faults.horrible_texts import IN_LISTS, LISTS, PARQUETS, ROWS, TABLES, TEXTS
from tests.faults.horror import NOT_UTF8, ROWS_LEFT_OUT, Ends, Horror, counted, read, refused

GOOD_ROW = b'{"text": "good"}'
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
BOMB = zlib.compressobj(9, wbits=31)
GZIP_BOMB = BOMB.compress(b"\0" * 40_000_000) + BOMB.flush()
ZSTD_BOMB = zstandard.compress(b"\0" * 40_000_000)
LINES = b"".join(b"line %d of a text that is longer\n" % number for number in range(2000))


def horrors() -> Iterator[Horror]:
    """All of them, with different names."""
    yield from texts_in_containers()
    yield from rows_in_containers()
    yield from tables_in_containers()
    yield from broken_containers()
    yield from strange_names()


def texts_in_containers() -> Iterator[Horror]:
    for name, (data, ends, settings) in TEXTS.items():
        for suffix, pack in CONTAINERS.items():
            yield _file(f"{name}.txt{suffix}", pack(data), ends, **settings)


def rows_in_containers() -> Iterator[Horror]:
    for name, (row, words) in ROWS.items():
        lines = b"\n".join((GOOD_ROW, row, GOOD_ROW))
        for suffix, pack in CONTAINERS.items():
            yield _file(f"{name}.jsonl{suffix}", pack(lines), refused(f".jsonl{suffix}:2:", *words))
        left_out = counted(ROWS_LEFT_OUT, texts=("good", "good"))
        yield _file(f"{name}, left out.ndjson", lines, left_out, skip_bad_rows=1, kept_copies=True)
        yield _file(f"{name}, one too many.jsonl", lines + b"\n{}", refused(":4:"), skip_bad_rows=1)
    for name in IN_LISTS:
        row, words = ROWS[name]
        data = b"[" + b",\n".join((GOOD_ROW, row, GOOD_ROW)) + b"]"
        yield _file(f"{name} in a list.json", data, refused(":2:", *words[:1]))
    for name, (data, ends) in LISTS.items():
        yield _file(f"{name}.json", data, ends)


def tables_in_containers() -> Iterator[Horror]:
    for name, (data, ends, settings) in TABLES.items():
        for suffix, pack in CONTAINERS.items():
            yield _file(f"{name}.csv{suffix}", pack(data), ends, **settings)
    for name, (data, ends, settings) in PARQUETS.items():
        for suffix, pack in CONTAINERS.items():
            yield _file(f"{name}.parquet{suffix}", pack(data), ends, **settings)
    yield _file("quotes are ordinary.tsv", b'id\ttext\n1\t"a" said b\n2\t"c\n', read('"a" said b', '"c'))
    yield _file("commas.tsv", b"id,text\n1,a\n", refused("no column 'text'"))
    yield _file("short row.tsv", b"id\ttext\n1\n", refused(":2:", "1 cells under 2 columns"))


def broken_containers() -> Iterator[Horror]:
    packed = gzip.compress(LINES, mtime=0)
    crc = packed[:-8] + b"\0\0\0\0" + packed[-4:]
    frame = zstandard.compress(LINES)
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(LINES)
    for suffix in (".txt", ".jsonl", ".csv"):
        yield _file(f"not gzip{suffix}.gz", LINES, refused("damaged or not .gz"))
        yield _file(f"empty gzip{suffix}.gz", b"", counted("empty file"))
        yield _file(f"not zstandard{suffix}.zst", LINES, refused("damaged or not .zst"))
    yield _file("cut gzip.txt.gz", packed[: len(packed) // 2], refused("damaged or not .gz"))
    yield _file("gzip without its end.txt.gz", packed[:-8], refused("damaged or not .gz"))
    yield _file("gzip header only.txt.gz", packed[:10], refused("damaged or not .gz"))
    yield _file("half a gzip header.txt.gz", packed[:5], refused("damaged or not .gz"))
    yield _file("gzip with a wrong checksum.txt.gz", crc, refused("damaged or not .gz", "CRC"))
    yield _file("gzip with flipped bits.txt.gz", _flipped(packed), refused("damaged or not .gz"))
    yield _file("gzip with garbage behind.txt.gz", packed + b"garbage", refused("damaged or not .gz"))
    yield _file("two gzip members.txt.gz", gzip.compress(b"a\n") + gzip.compress(b"b\n"), read("a", "b"))
    yield _file("gzip bomb.txt.gz", GZIP_BOMB, refused("compression bomb", "max_expansion"), **_WIDE)
    yield _file("gzip bomb in gzip.txt.gz", gzip.compress(GZIP_BOMB), refused("gzip"))
    yield _file("gzip bomb of rows.jsonl.gz", GZIP_BOMB, refused("compression bomb"), **_WIDE)
    yield _file("zstandard bomb.txt.zst", ZSTD_BOMB, refused("compression bomb"), **_WIDE)
    yield _file("cut zstandard.txt.zst", frame[:-5], refused("damaged or not .zst"))
    yield _file("half a zstandard header.txt.zst", frame[:3], refused("damaged or not .zst"))
    yield _file("zstandard with a wrong checksum.txt.zst", checked[:-1] + b"\0", refused("damaged or not .zst"))
    yield _file("zstandard with garbage behind.txt.zst", frame + b"garbage", refused("damaged or not .zst"))
    two = zstandard.compress(b"a\n") + zstandard.compress(b"b\n")
    yield _file("two zstandard frames.txt.zst", two, read("a", "b"))
    yield _file("zstandard under .gz.txt.gz", frame, refused("damaged or not .gz"))
    yield _file("gzip under .zst.txt.zst", packed, refused("damaged or not .zst"))


_WIDE = {"max_document_bytes": 1_000_000_000}


def strange_names() -> Iterator[Horror]:
    def horror(name: str, make: Callable[[Path], Any], ends: Ends, *sources: str, **settings: Any) -> Horror:
        return Horror(name, make, ends, sources or ("corpus",), settings)

    yield horror("no sources", _nothing, refused("no sources are named"), "")
    yield horror("no such file", _nothing, refused("no such file or folder", "gone.txt"), "gone.txt")
    yield horror("no such folder", _nothing, refused("no such file or folder"), "gone/there.txt")
    yield horror("empty name", _nothing, refused("no such file or folder"), " ")
    yield horror("NUL in a name", _nothing, refused("no such file or folder", "a\\x00b"), "a\0b.txt")
    yield horror("name of 5,000 characters", _nothing, refused("no such file or folder"), "a" * 5000 + ".txt")
    yield horror("file as a folder", _writes("a.txt", b"a"), refused("no such file or folder"), "corpus/a.txt/b.txt")
    yield horror("pattern without a match", _nothing, refused("matches nothing"), "corpus/*.txt")
    yield horror("pattern of unknown suffixes", _writes("a.doc", b"a"), refused("no file that can be read"), "corpus/*")
    yield horror("pattern", _writes("[a].txt", b"a"), read("a"), "corpus/*.txt")
    yield horror("file named like a pattern", _writes("[a].txt", b"a"), read("a"), "corpus/[a].txt")
    yield horror("empty folder", _nothing, refused("no file that can be read"))
    yield horror("folder of unknown suffixes", _writes("a.docx", b"PK"), refused("no file that can be read", ".jsonl"))
    yield horror("unknown suffix", _writes("a.docx", b"PK"), refused("unknown suffix '.docx'"), "corpus/a.docx")
    yield horror("no suffix", _writes("README", b"a"), refused("unknown suffix ''"), "corpus/README")
    yield horror("only a compression", _writes("a.gz", b"a"), refused("unknown suffix '.gz'"), "corpus/a.gz")
    yield horror("unknown suffix beside text", _beside(_writes("a.bin", b"\0")), counted("unknown suffix"))
    yield horror("capital suffix", _writes("A.TXT", b"a"), read("a"))
    yield horror("Chinese name", _writes("唐诗.txt", b"a"), read("a"))
    yield horror("line break in a name", _writes("a\nb.txt", b"\xff"), refused("a\\nb.txt:1:", NOT_UTF8))
    yield horror("name that isn't UTF-8", _writes(os.fsdecode(b"\xff.txt"), b"a"), read("a"))
    yield horror(
        "wrong in a name that isn't UTF-8", _writes(os.fsdecode(b"\xff.txt"), b"\xff"), refused("udcff.txt:1:")
    )
    yield horror("hidden folder", _beside(_writes(".git/a.txt", b"b")), counted("hidden folder, not read"))
    yield horror(
        "prepared folder", _beside(_writes("p/manifest.json", b"{}")), counted("folder made by Lexloom, not read")
    )
    yield horror("folder named a.txt", _writes("a.txt/b.txt", b"a"), counted("folder named like a file", texts=("a",)))
    yield horror("empty folder named a.txt", _folder("a.txt"), refused("no file that can be read"), "corpus/a.txt")
    yield horror("broken link", _link("a.txt", "gone"), refused("link to something that isn't there"), "corpus/a.txt")
    yield horror("broken link beside text", _beside(_link("a.txt", "gone")), counted("broken link"))
    yield horror("link to itself", _beside(_link("a.txt", "a.txt")), counted("broken link"))
    yield horror("links in a circle", _beside(_link("loop", ".")), counted("link to a folder, not followed"))
    yield horror(
        "link to the file beside it", _beside(_link("z.txt", "good.txt")), counted("file named twice, read once")
    )
    yield horror("pipe", _pipe, refused("not a regular file"), "corpus/a.txt")
    yield horror("pipe beside text", _beside(_pipe), counted("not a regular file"))
    yield horror("device", _link("a.txt", "/dev/full"), refused("not a regular file"), "corpus/a.txt")
    yield horror("file that can't be read", _link("a.txt", "/proc/self/mem"), refused("can't be read"), "corpus/a.txt")
    yield horror(
        "named twice", _writes("a.txt", b"a"), counted("file named twice, read once"), "corpus", "corpus/a.txt"
    )
    yield horror("two files, one empty", _beside(_writes("a.txt", b"")), counted("empty file", texts=("good",)))


def _file(name: str, data: bytes, ends: Ends, *, kept_copies: bool = False, **settings: Any) -> Horror:
    """A corpus of one file; `name` is its name too."""
    return Horror(name, _writes(name, data), ends, settings=settings, kept_copies=kept_copies)


def _writes(name: str, data: bytes) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    return make


def _beside(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """The same beside a good file."""

    def both(folder: Path) -> None:
        (folder / "good.txt").write_bytes(b"good")
        make(folder)

    return both


def _nothing(folder: Path) -> None:
    pass


def _folder(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).mkdir()


def _link(name: str, target: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).symlink_to(target)


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "a.txt")


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 8]) + data[middle + 8 :]
