"""What the bits of a run depend on besides its recipe and data: library versions, threads, processor."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def machine_facts() -> dict[str, Any]:
    """Equal facts give equal bits; with other facts a resumed run is only nearly the uninterrupted one."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "processes": torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1,
        "lexloom": version("lexloom"),
        "torch": torch.__version__,
    }


def is_intel() -> bool:
    """Whether this is a processor that Intel's libraries are tuned for."""
    return "intel" in processor().lower()


def processor() -> str:
    """The processor's name as Linux lists it, elsewhere as Python knows it."""
    listed = Path("/proc/cpuinfo")
    for line in listed.read_text().splitlines() if listed.is_file() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()
