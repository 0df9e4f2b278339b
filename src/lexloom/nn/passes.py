"""Portions of work through a model without gradient, one on each core at a time.

Two passes of one thread each take less time than one after the other on two threads: nobody waits for anybody
(benchmarks/encode.py).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

from lexloom.base.parallel import available_cores
from lexloom.nn.inference import one_thread

AHEAD = 2
"""Portions under way for each thread; the bound of memory."""

P = TypeVar("P")
R = TypeVar("R")


def in_passes(forward: Callable[[P], R], some: Sequence[P], threads: int | None = None) -> Iterator[R]:
    """`forward` of each portion, in order, without gradient; on `threads` threads (as many as there are cores if None).

    A portion alone is computed where it is, on one thread: a second one that sleeps until it is needed takes longer to
    wake than a sentence takes. Everything on a GPU is computed where it is, too.
    """
    threads = available_cores() if threads is None else threads
    if len(some) == 1:
        with one_thread():
            yield _without_gradient(forward, some[0])
        return
    if threads == 1 or torch.cuda.is_available():
        yield from (_without_gradient(forward, portion) for portion in some)
        return
    with ThreadPoolExecutor(threads, "pass", torch.set_num_threads, (1,)) as pool:
        left = iter(some)
        under_way: deque[Future[R]] = deque()
        while True:
            wanted = AHEAD * threads - len(under_way)
            under_way.extend(pool.submit(_without_gradient, forward, portion) for portion in islice(left, wanted))
            if not under_way:
                return
            yield under_way.popleft().result()


def _without_gradient(forward: Callable[[P], R], portion: P) -> R:
    with torch.inference_mode():
        return forward(portion)
