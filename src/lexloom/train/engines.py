"""Which engine multiplies the matrices, and in how many replicas: a rule, so that the same recipe gives the same bits.

Torch's products go through MKL, which is tuned for Intel; on other processors the OpenBLAS inside numpy is faster, if
each of its callers has one thread of its own. `lexloom doctor` measures both; docs/LOG.md has the figures behind this.
"""

import contextlib
import ctypes
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

from lexloom.base.parallel import available_cores
from lexloom.nn.linear import use_engine
from lexloom.train.machine import is_intel
from lexloom.train.settings import LoopSettings

# mallopt(3)
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
M_ARENA_MAX = -8
LARGEST_KEPT_BYTES = 2**31 - 1

S = TypeVar("S", bound=LoopSettings)


def resolve(settings: S) -> S:
    """The settings with `engine`, `replicas` and `threads` decided: one replica for each thread, as far as the batch
    has units for them, and one for a GPU.
    """
    on_gpu = torch.cuda.is_available()
    engine, replicas, threads = settings.engine, settings.replicas, settings.threads
    if threads is None:
        threads = available_cores()
    if engine == "auto":
        engine = "torch" if on_gpu or is_intel() else "numpy"
    if replicas is None:
        replicas = 1 if on_gpu else min(threads, settings.batch_units)
    return settings.model_copy(update={"engine": engine, "replicas": replicas, "threads": threads})


def use(settings: LoopSettings) -> None:
    """Let this process compute as the resolved settings say."""
    assert settings.threads is not None, "settings are resolved before they are used"
    torch.set_num_threads(settings.threads)
    threadpool_limits(max(1, settings.threads // settings.worker_threads), user_api="blas")
    use_engine(settings.engine)
    _keep_memory()


def _keep_memory() -> None:
    """Let glibc keep what is freed: without this every large tensor of every step is mapped and cleared anew.

    A thread's own arena can't hold more than 64 MB at once, so all threads share one.
    """
    _call_glibc("mallopt", M_MMAP_MAX, 0)
    _call_glibc("mallopt", M_ARENA_MAX, 1)
    _call_glibc("mallopt", M_TRIM_THRESHOLD, LARGEST_KEPT_BYTES)


def give_back_memory() -> None:
    """Let glibc return what is free: what follows has blocks of other sizes, which don't fit into the gaps."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *values: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # another C library: no such settings, only less speed
        getattr(ctypes.CDLL("libc.so.6"), name)(*values)
