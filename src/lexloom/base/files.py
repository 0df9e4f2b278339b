"""The only writer: every byte that Lexloom leaves on a disk passes through here.

A file is replaced whole or not at all. A folder is complete or absent: its files are written and synced inside
`.tmp-<name>-<pid>`, `manifest.json` (names, sizes, SHA-256, facts) comes last, then one rename makes it visible.
The operations that can fail go through `disk`, so that tests can make the k-th of them fail.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lexloom.base.errors import DamagedError, FolderError

MANIFEST = "manifest.json"
LOCK = ".lock"
TEMPORARY = ".tmp-"
TRASH = ".trash-"
READ_BYTES = 1 << 20


class Disk:
    """The operations of the file system that can fail; replaced in tests."""

    def create(self, path: Path) -> io.FileIO:
        return open(path, "wb", buffering=0)

    def append(self, path: Path) -> io.FileIO:
        return open(path, "ab", buffering=0)

    def write(self, handle: io.FileIO, data: bytes | memoryview) -> int:
        return handle.write(data) or 0

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def sync(self, handle: io.FileIO) -> None:
        os.fsync(handle.fileno())

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


disk = Disk()


class HashedFile:
    """A new file that counts and hashes what is written into it."""

    def __init__(self, path: Path) -> None:
        self._handle = disk.create(path)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`, however many calls the disk needs."""
        left = memoryview(data).cast("B")
        self._hash.update(left)
        self.size += len(left)
        while left:
            left = left[disk.write(self._handle, left) :]

    def close(self) -> None:
        """Sync to the disk and close."""
        try:
            disk.sync(self._handle)
        finally:
            self._handle.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def __enter__(self) -> "HashedFile":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._handle.close()


class NewFolder:
    """A folder under construction, see `new_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, HashedFile] = {}

    def open(self, name: str) -> HashedFile:
        """A new file in the folder; use it in a `with` statement. `name` may contain folders, `train/index.json`."""
        assert name not in {*self._files, MANIFEST}, f"{name} is written twice"
        place = self.path / name
        if place.parent != self.path:
            disk.make_folder(place.parent)
        file = self._files[name] = HashedFile(place)
        return file

    def write(self, name: str, data: bytes | str) -> None:
        """Write a whole file."""
        with self.open(name) as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON, keys in the order given."""
        self.write(name, to_json(value))

    def sha256(self, name: str) -> str:
        """The hash of a file already written."""
        return self._files[name].sha256

    def finish(self, facts: dict[str, Any]) -> None:
        """Write the manifest and sync every folder."""
        files = {name: {"bytes": file.size, "sha256": file.sha256} for name, file in sorted(self._files.items())}
        with HashedFile(self.path / MANIFEST) as manifest:
            manifest.write(to_json({"files": files, **facts}).encode())
        for folder in {self.path / name for name in self._files} | {self.path / MANIFEST}:
            disk.sync_folder(folder.parent)


@contextlib.contextmanager
def new_folder(final: Path, *, facts: dict[str, Any] | None = None, replace: bool = False) -> Iterator[NewFolder]:
    """Make a folder that is complete or absent.

    `facts` go into its manifest; they are read when the block ends, so the block may still add to them.
    Raises FolderError if `final` exists and `replace` is false. An exception in the block leaves nothing behind.
    """
    if final.exists() and not replace:
        raise FolderError("already exists", where=str(final), fix="Name another folder, or remove this one first.")
    disk.make_folder(final.parent)
    temporary = final.parent / f"{TEMPORARY}{final.name}-{os.getpid()}"
    if temporary.exists():
        disk.remove(temporary)
    disk.make_folder(temporary)
    try:
        folder = NewFolder(temporary)
        yield folder
        folder.finish(facts or {})
        if final.exists():
            trash = final.parent / f"{TRASH}{final.name}-{os.getpid()}"
            disk.rename(final, trash)
            disk.rename(temporary, final)
            disk.sync_folder(final.parent)
            disk.remove(trash)
        else:
            disk.rename(temporary, final)
            disk.sync_folder(final.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_file(path: Path, data: bytes | str) -> None:
    """Replace one file atomically; a reader sees the old bytes or the new, never a mixture."""
    with new_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[HashedFile]:
    """The same for a file that is written piece by piece: it takes its place when the block ends without an error."""
    disk.make_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY}{path.name}-{os.getpid()}"
    try:
        with HashedFile(temporary) as file:
            yield file
        disk.rename(temporary, path)
        disk.sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Replace one JSON file atomically."""
    write_file(path, to_json(value))


class Lines:
    """A file of lines that only grows, such as `metrics.jsonl`; opening it cuts what a killed run wrote too much."""

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        disk.make_folder(path.parent)
        if path.exists() and path.stat().st_size > keep_bytes:
            disk.truncate(path, keep_bytes)
        self._path = path
        self._handle = disk.append(path)
        self.size = self._handle.tell()

    def write(self, value: Any) -> None:
        """Add one value as a line of JSON; if that fails, the next call first cuts what was written of it."""
        line = memoryview((json.dumps(value, ensure_ascii=False) + "\n").encode())
        if self._handle.tell() != self.size:
            disk.truncate(self._path, self.size)
            self._handle.seek(self.size)
        left = line
        while left:
            left = left[disk.write(self._handle, left) :]
        self.size += len(line)

    def sync(self) -> None:
        """After this the lines survive a power cut."""
        disk.sync(self._handle)

    def close(self) -> None:
        self._handle.close()


def to_json(value: Any) -> str:
    """Readable JSON with a final newline; Chinese stays Chinese."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file, or raise FolderError (absent) or DamagedError (not JSON)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"has no {path.name}", where=str(path.parent)) from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DamagedError(f"is not JSON: {error}", where=str(path)) from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a complete folder."""
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise DamagedError("has no list of files", where=str(folder / MANIFEST))
    return manifest


def verify_folder(folder: Path, *, hashes: bool = True) -> dict[str, Any]:
    """Check every file against the manifest and return it, or raise DamagedError naming the first bad file."""
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = inside(folder, name)
        if not path.is_file():
            raise DamagedError("is missing", where=str(path))
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise DamagedError(f"has {size:,} bytes instead of {expected['bytes']:,}", where=str(path))
        if hashes and sha256_of(path) != expected["sha256"]:
            raise DamagedError("was changed after it was written (its SHA-256 differs)", where=str(path))
    return manifest


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, refused if it leads out of the folder (absolute, `..`, a symbolic link)."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FolderError(f"names a file outside of it: {name!r}", where=str(folder))
    return path


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Own a folder until the block or the process ends, and sweep what a killed owner left behind."""
    disk.make_folder(folder)
    with open(folder / LOCK, "a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise FolderError(
                f"is in use by process {handle.read().strip() or 'unknown'}",
                where=str(folder),
                fix="Wait for it to end, or choose another folder.",
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        sweep(folder)
        yield


def sweep(folder: Path) -> None:
    """Remove half-made and discarded folders; call it only while holding the lock."""
    for leftover in [*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"{TRASH}*")]:
        disk.remove(leftover)


@contextlib.contextmanager
def scratch(folder: Path | None = None) -> Iterator[Path]:
    """An empty folder for what memory can't hold, removed when the block ends; whoever locks `folder` next sweeps what
    a killed owner left. Without `folder` it is where the system keeps temporary files."""
    place = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}scratch-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def free_bytes(folder: Path) -> int:
    """Free space where `folder` is or will be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def discard(path: Path) -> None:
    """Remove a folder: first out of sight by one rename, then from the disk."""
    trash = path.parent / f"{TRASH}{path.name}-{os.getpid()}"
    disk.rename(path, trash)
    disk.remove(trash)
