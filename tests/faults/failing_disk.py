"""A disk whose k-th operation fails, or every one from the k-th on (SQLite's way of testing)."""

import errno
import os
from collections.abc import Callable

from lexloom.base.files import Disk

OPERATIONS = ("create", "append", "write", "truncate", "sync", "sync_folder", "make_folder", "rename", "remove")


def _raise(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


FAULTS: dict[str, Callable[[], None]] = {
    "disk full": _raise(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    "input/output error": _raise(OSError(errno.EIO, os.strerror(errno.EIO))),
    "interrupt": _raise(KeyboardInterrupt()),
    "short write": lambda: None,
}


class FailingDisk(Disk):
    """Counts its operations; from the `first`-th, `times` of them fail (None: all). A short write takes one byte."""

    def __init__(self, fault: str, first: int, times: int | None = 1) -> None:
        self.count = 0
        self.fault = fault
        self.failing = range(first, first + times) if times is not None else range(first, 1 << 30)
        for name in OPERATIONS:
            setattr(self, name, self._watched(name, getattr(super(), name)))

    def _watched(self, name: str, operation: Callable) -> Callable:
        def call(*arguments):
            self.count += 1
            if self.count not in self.failing:
                return operation(*arguments)
            FAULTS[self.fault]()
            if name == "write":
                handle, data = arguments
                return operation(handle, data[:1])
            return operation(*arguments)

        return call
