"""Which files a list of sources means: files, folders, glob patterns, `-` for standard input."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lexloom.base.errors import DataError
from lexloom.base.files import MANIFEST
from lexloom.base.ledger import Ledger

STDIN = "-"
FORMATS = {
    ".txt": "text",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
COMPRESSIONS = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read: the name people see, its format (a value of FORMATS), its compression (`.gz`, `.zst`, or none).

    `path` is None for standard input.
    """

    name: str
    path: Path | None
    format: str
    compression: str = ""

    @property
    def size_bytes(self) -> int | None:
        """The bytes on disk; None where nobody can know them beforehand."""
        return None if self.path is None else self.path.stat().st_size


def find_sources(sources: Sequence[str], ledger: Ledger, *, otherwise: str | None = None) -> list[Source]:
    """Every file that `sources` name, folders recursively, in sorted order inside each folder and pattern.

    What lies in a folder but can't be read as text (another suffix, a broken link, a pipe) is counted in the ledger;
    the same thing named directly is an error. If `otherwise` says the format of files of another suffix, they are read
    where they are named or match a pattern.
    A file named twice is read once. Raises DataError.
    """
    if not sources:
        raise DataError("no sources are named", fix="Name files, folders, patterns, or - (stdin).")
    found: list[Source] = []
    seen: set[str] = set()
    for source in _expand(sources, ledger, otherwise):
        real = STDIN if source.path is None else os.path.realpath(source.path)
        if real in seen:
            ledger.count("read", "file named twice, read once", where=source.name)
        else:
            seen.add(real)
            found.append(source)
    return found


def _expand(sources: Sequence[str], ledger: Ledger, otherwise: str | None) -> Iterator[Source]:
    for name in sources:
        try:
            if name == STDIN:
                yield Source("stdin", None, "text")
            elif os.path.isdir(name):
                yield from _in_folder(name, ledger)
            elif os.path.lexists(name):
                yield _named_file(name, otherwise)
            elif glob.has_magic(name):
                yield from _matching(name, ledger, otherwise)
            else:
                raise DataError("no such file or folder", where=shown(name), fix=_spelling(name))
        except (OSError, ValueError) as error:
            raise DataError(f"can't be opened: {_reason(error)}", where=shown(name)) from None


def _matching(pattern: str, ledger: Ledger, otherwise: str | None) -> Iterator[Source]:
    names = sorted(glob.glob(pattern, recursive=True))
    if not names:
        raise DataError("the pattern matches nothing", where=shown(pattern), fix="Check it with `ls`.")
    yield from _some(names, ledger, otherwise, where=shown(pattern))


def _in_folder(folder: str, ledger: Ledger) -> Iterator[Source]:
    yield from _some(_walk(folder, ledger), ledger, None, where=shown(folder))


def _some(names: Iterable[str], ledger: Ledger, otherwise: str | None, *, where: str) -> Iterator[Source]:
    """The readable ones among `names`; having none at all is an error."""
    count = 0
    for name in names:
        if os.path.isdir(name):
            continue
        source = _listed_file(name, ledger, otherwise)
        if source is not None:
            count += 1
            yield source
    if count == 0:
        raise DataError("holds no file that can be read as text", where=shown(where), fix=f"Readable: {_readable()}.")


def _walk(folder: str, ledger: Ledger) -> Iterator[str]:
    """Every file below `folder`, sorted; links to folders are counted and not followed, so loops can't trap us."""

    def refuse(error: OSError) -> None:
        raise DataError(f"can't be listed: {_reason(error)}", where=shown(str(error.filename))) from None

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in sorted(folders) if _enter(os.path.join(place, name), ledger)]
        yield from (os.path.join(place, name) for name in sorted(files))


def _enter(folder: str, ledger: Ledger) -> bool:
    """Whether a folder inside a source is read too; if not, it is counted."""
    if os.path.islink(folder):
        ledger.count("read", "link to a folder, not followed", where=shown(folder))
    elif os.path.basename(folder).startswith("."):
        ledger.count("read", "hidden folder, not read", where=shown(folder))
    elif os.path.isfile(os.path.join(folder, MANIFEST)):
        ledger.count("read", "folder made by Lexloom, not read", where=shown(folder))
    else:
        if _format(folder) is not None:
            ledger.count("read", "folder named like a file", where=shown(folder))
        return True
    return False


def _named_file(name: str, otherwise: str | None) -> Source:
    """A file that the user named: every obstacle is an error."""
    kind = _format(name, otherwise)
    if not os.path.exists(name):
        raise DataError("is a link to something that isn't there", where=shown(name), fix="Remove the link or mend it.")
    if not os.path.isfile(name):
        raise DataError("is not a regular file", where=shown(name), fix="Pipe it to standard input, named -.")
    if kind is None:
        raise DataError(f"unknown suffix {Path(name).suffix!r}", where=shown(name), fix=f"Readable: {_readable()}.")
    return Source(shown(name), Path(name), *kind)


def _listed_file(name: str, ledger: Ledger, otherwise: str | None) -> Source | None:
    """A file found in a folder: obstacles are counted."""
    kind = _format(name, otherwise)
    if not os.path.exists(name):
        ledger.count("read", "broken link", where=shown(name))
    elif not os.path.isfile(name):
        ledger.count("read", "not a regular file", where=shown(name))
    elif kind is None:
        ledger.count("read", "unknown suffix", where=shown(name))
    else:
        return Source(shown(name), Path(name), *kind)
    return None


def _format(name: str, otherwise: str | None = None) -> tuple[str, str] | None:
    """(format, compression) by suffix, in any case: `a.jsonl.gz` → ("json lines", ".gz")."""
    lowered = os.path.basename(name).lower()
    compression = _compression(lowered)
    bare = lowered.removesuffix(compression)
    suffix = os.path.splitext(bare)[1] or bare
    kind = FORMATS.get(suffix, otherwise)
    return None if kind is None else (kind, compression)


def _compression(name: str) -> str:
    return next((suffix for suffix in COMPRESSIONS if name.lower().endswith(suffix)), "")


def shown(name: str) -> str:
    """A file name for people and for JSON: control characters and bytes that aren't UTF-8 are escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def _readable() -> str:
    return f"{', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"


def _spelling(name: str) -> str:
    return "Check the spelling." if os.path.isdir(os.path.dirname(name) or ".") else "Its folder doesn't exist either."


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
