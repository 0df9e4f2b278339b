"""The same results in the same order, however many processes make them."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from lexloom.base.errors import UserError

WINDOW_PER_WORKER = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`map(function, items)`, computed by `workers` processes that run a little ahead.

    `function`, items and results must survive pickling between processes; `function` is sent once to each worker, so
    it may carry large tables. At most three items per worker are under way, which bounds the memory. With one worker
    nothing is started. Raises what `function` raises, and UserError if a worker was killed from outside.
    """
    assert workers >= 1, "a map needs at least one worker"
    if workers == 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_install, initargs=(function,)
    )
    try:
        yield from _window(pool, items, workers * WINDOW_PER_WORKER)
    except BrokenProcessPool:
        raise UserError(
            "a worker process was killed, most likely because the memory was full",
            fix="Use fewer workers.",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def available_cores() -> int:
    """The cores this process may use (a container or `taskset` can allow fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _window(pool: ProcessPoolExecutor, items: Iterable[Any], width: int) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    for item in items:
        waiting.append(pool.submit(_call, item))
        if len(waiting) >= width:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_installed: Callable[[Any], Any] | None = None


def _install(function: Callable[[Any], Any]) -> None:
    """In a worker: remember the function, and leave Ctrl-C to the parent."""
    global _installed
    _installed = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _call(item: Any) -> Any:
    assert _installed is not None, "a worker installs its function first"
    return _installed(item)
