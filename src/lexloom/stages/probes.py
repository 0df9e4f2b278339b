"""What `doctor` measures, each engine in a process of its own: `python -m lexloom.stages.probes torch`.

Several engines in one process (torch's MKL, numpy's OpenBLAS) slow each other down up to threefold.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

SIDE = 1536  # a product of two such matrices keeps every unit busy and takes a few hundredths of a second
BF16_SIDE = 512  # small, since a processor without bf16 needs a hundred times as long
COPIED_FLOATS = 24_000_000  # larger than any cache
SMALL_OPERATIONS = 1000
TORCH = "torch"
NUMPY = "numpy"


def probe_torch() -> dict[str, Any]:
    """Speed of torch: products in operations per second, memory in bytes per second, one small call in seconds."""
    started = time.perf_counter()
    import torch

    imported_s = time.perf_counter() - started
    threads = torch.get_num_threads()
    a, out = torch.ones(SIDE, SIDE), torch.empty(SIDE, SIDE)
    half = torch.ones(BF16_SIDE, BF16_SIDE, dtype=torch.bfloat16)
    much = torch.ones(COPIED_FLOATS)
    copy, tiny = torch.empty_like(much), torch.ones(8)
    mkl: Any = torch.backends.mkl
    facts = {
        "import_s": imported_s,
        "threads": threads,
        "fp32_flops": _product_flops(SIDE) / best_s(lambda: torch.mm(a, a, out=out), 1.0),
        "bf16_flops": _product_flops(BF16_SIDE) / best_s(lambda: torch.mm(half, half), 0.2),
        "memory_bytes_per_s": 2 * much.nbytes / best_s(lambda: copy.copy_(much), 0.3),
        "small_operation_s": best_s(lambda: [torch.add(tiny, tiny) for _ in range(SMALL_OPERATIONS)], 0.1)
        / SMALL_OPERATIONS,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": bool(mkl.is_available()),
        "cuda_build": torch.version.cuda is not None,
        "cuda_available": torch.cuda.is_available(),
    }
    torch.set_num_threads(1)
    facts["fp32_one_thread_flops"] = _product_flops(SIDE) / best_s(lambda: torch.mm(a, a, out=out), 0.5)
    return facts


def probe_numpy() -> dict[str, Any]:
    """Speed of numpy's matrix product in operations per second, and the name of the library behind it."""
    import numpy as np

    a, out = np.ones((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
    config: Any = np.show_config(mode="dicts")
    return {
        "fp32_flops": _product_flops(SIDE) / best_s(lambda: np.matmul(a, a, out=out), 1.0),
        "blas": config["Build Dependencies"]["blas"].get("name", "unknown"),
    }


def best_s(run: Callable[[], object], least_s: float) -> float:
    """The shortest of several calls, after one that warms up; others on the machine only ever make a call longer."""
    run()
    shortest = float("inf")
    ends = time.perf_counter() + least_s
    while time.perf_counter() < ends:
        started = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def _product_flops(side: int) -> float:
    return 2.0 * side**3


if __name__ == "__main__":
    json.dump({TORCH: probe_torch, NUMPY: probe_numpy}[sys.argv[1]](), sys.stdout)
