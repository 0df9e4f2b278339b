"""`lexloom doctor`: what is installed, what this machine can do, what will be slow on it and how to mend it."""

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from lexloom.base.console import aligned, size
from lexloom.base.files import free_bytes
from lexloom.base.parallel import available_cores
from lexloom.stages.probes import NUMPY, TORCH

PROBE_TIMEOUT_S = 60
LIBRARIES = ("lexloom", "torch", "numpy", "tokenizers", "safetensors", "pydantic", "rensa", "zstandard", "matplotlib")
EXTRAS = {"parquet": "pyarrow", "gguf": "gguf", "tensorboard": "tensorboard"}
COMPILERS = ("g++", "clang++", "c++")
WIDE_INSTRUCTIONS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_bf16",
    "amx_int8",
    "asimd",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
KERNEL_VARIABLES = ("OPENBLAS_CORETYPE", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "ATEN_CPU_CAPABILITY")

SLOW_IMPORT_S = 8.0
SCARCE_BYTES = 2e9
BUSY_LOAD_PER_CORE = 0.5
SLOW_BF16 = 0.5  # of the fp32 speed
WEAK_THREADS = 1.3  # all threads together over one alone

Facts = dict[str, Any]


def doctor() -> Facts:
    """Everything that is known and measured, and `advice`: a list of {what, fix}. Takes about ten seconds."""
    facts: Facts = {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
        "extras": {extra: _version(library) for extra, library in EXTRAS.items()},
        "machine": _machine(),
        "variables": {name: os.environ[name] for name in THREAD_VARIABLES + KERNEL_VARIABLES if name in os.environ},
        "compiler": next((path for name in COMPILERS if (path := shutil.which(name))), None),
        TORCH: _probe(TORCH),
        NUMPY: _probe(NUMPY),
    }
    facts["advice"] = advise(facts)
    return facts


def advise(facts: Facts) -> list[dict[str, str]]:
    """What will be slow or fail on this machine, and how to mend it, in plain words."""
    found = [*_advise_memory(facts["machine"]), *_advise_variables(facts), *_advise_engines(facts)]
    if facts["compiler"] is None:
        found.append(
            ("there is no C++ compiler, so torch.compile can't be used; results are the same without it",
             "Install g++ (Debian, Ubuntu: apt install g++) if you train for hours.")
        )  # fmt: skip
    return [{"what": what, "fix": fix} for what, fix in found]


def describe(facts: Facts) -> str:
    """The facts as a table for people, and the advice under it."""
    advice = [f"• {entry['what']}.\n  {entry['fix']}" for entry in facts["advice"]]
    return "\n\n".join([aligned(_lines(facts)), *(advice or ["Nothing to mend."])])


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Facts:
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": available_cores(),
        "instructions": [name for name in WIDE_INSTRUCTIONS if name in _cpuinfo("flags", "Features").split()],
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "memory_bytes": _memory_bytes("MemTotal"),
        "memory_available_bytes": _memory_bytes("MemAvailable"),
        "disk_free_bytes": free_bytes(Path.cwd()),
    }


def _cpuinfo(*names: str) -> str:
    """The first value under one of these names in Linux's list of processors; empty elsewhere."""
    source = Path("/proc/cpuinfo")
    for line in source.read_text().splitlines() if source.is_file() else []:
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def _memory_bytes(name: str) -> int | None:
    """From Linux's table of memory, and never more than a container may use; None elsewhere."""
    source, limit = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
    if not source.is_file():
        return None
    amounts = dict(line.split(":") for line in source.read_text().splitlines())
    found = int(amounts[name].split()[0]) * 1024
    allowed = limit.read_text().strip() if limit.is_file() else ""
    return min(found, int(allowed)) if allowed.isdigit() else found


def _probe(engine: str) -> Facts:
    """Measure in a fresh process; what went wrong is a fact too."""
    command = [sys.executable, "-m", "lexloom.stages.probes", engine]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {PROBE_TIMEOUT_S} s"}
    if done.returncode != 0:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    facts: Facts = json.loads(done.stdout)
    return facts


Advice = list[tuple[str, str]]


def _advise_memory(machine: Facts) -> Advice:
    found: Advice = []
    available = machine["memory_available_bytes"]
    if available is not None and available < SCARCE_BYTES:
        found.append((f"only {size(available)} of memory is free", "Close other programs, or train a smaller model."))
    if machine["disk_free_bytes"] < SCARCE_BYTES:
        found.append((f"only {size(machine['disk_free_bytes'])} of disk is free here", "Work in another folder."))
    if _busy(machine):
        found.append(
            (f"other programs keep {machine['load']:.1f} of {machine['cores']} cores busy: these speeds are too low",
             "Run doctor again when the machine is idle.")
        )  # fmt: skip
    if machine["instructions"] and not {"avx2", "asimd"} & set(machine["instructions"]):
        found.append(("the processor has no AVX2, so everything takes several times as long", "Use another machine."))
    return found


def _busy(machine: Facts) -> bool:
    return machine["load"] is not None and machine["load"] > BUSY_LOAD_PER_CORE * machine["cores"]


def _advise_variables(facts: Facts) -> Advice:
    found: Advice = []
    cores = facts["machine"]["cores"]
    for name in THREAD_VARIABLES:
        value = facts["variables"].get(name, "")
        if value.isdigit() and int(value) > cores:
            found.append(
                (f"{name}={value} is more than the {cores} cores: threads wait for one another", f"unset {name}")
            )
        elif value.isdigit() and int(value) < cores:
            found.append((f"{name}={value} leaves {cores - int(value)} of {cores} cores idle", f"unset {name}"))
    found += [
        (f"{name}={facts['variables'][name]} picks the kernels instead of the processor's best", f"unset {name}")
        for name in KERNEL_VARIABLES
        if name in facts["variables"]
    ]
    return found


def _advise_engines(facts: Facts) -> Advice:
    torch = facts[TORCH]
    found = [
        (f"{engine} doesn't work: {facts[engine]['error']}", f"Reinstall it: pip install --force-reinstall {engine}")
        for engine in (TORCH, NUMPY)
        if "error" in facts[engine]
    ]
    if "error" in torch:
        return found
    if torch["import_s"] > SLOW_IMPORT_S:
        found.append(
            (f"importing torch takes {torch['import_s']:.0f} s, in every command",
             "Put the environment on a local disk; a second try is faster if the first had to read it.")
        )  # fmt: skip
    if torch["cuda_build"] and not torch["cuda_available"]:
        found.append(
            ("torch was built for CUDA, but there is no usable GPU: gigabytes of disk for nothing",
             "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cpu")
        )  # fmt: skip
    if torch["bf16_flops"] < SLOW_BF16 * torch["fp32_flops"]:
        share = torch["bf16_flops"] / torch["fp32_flops"]
        found.append(
            (f"bf16 runs at {share:.0%} of the speed of fp32 here", "Train in fp32, as Lexloom does by default.")
        )
    weak = torch["fp32_flops"] < WEAK_THREADS * torch["fp32_one_thread_flops"]
    if torch["threads"] > 1 and weak and not _busy(facts["machine"]):
        found.append(
            (f"{torch['threads']} threads together are hardly faster than one",
             "The cores are shared (a busy or virtual machine); try train.threads=1.")
        )  # fmt: skip
    return found


def _lines(facts: Facts) -> list[tuple[str, str]]:
    machine = facts["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        ("versions", versions),
        *((f"extra: {extra}", version or f"absent: pip install 'lexloom[{extra}]'")
          for extra, version in facts["extras"].items()),
        ("system", machine["system"]),
        ("processor", f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['instructions'])}"),
        ("memory", f"{_amount(machine['memory_available_bytes'])} free of {_amount(machine['memory_bytes'])}"),
        ("disk here", f"{size(machine['disk_free_bytes'])} free"),
        ("C++ compiler", facts["compiler"] or "absent"),
    ]  # fmt: skip
    lines += [(name, value) for name, value in facts["variables"].items()]
    return lines + _speed_lines(facts[TORCH], facts[NUMPY])


def _speed_lines(torch: Facts, numpy: Facts) -> list[tuple[str, str]]:
    lines = []
    if "error" not in torch:
        library = "MKL" if torch["mkl"] else "no MKL"
        lines += [
            ("import torch", f"{torch['import_s']:.1f} s"),
            ("torch threads", f"{torch['threads']} ({torch['capability']})"),
            (
                "torch, fp32",
                f"{_flops(torch['fp32_flops'])} ({library}); one thread {_flops(torch['fp32_one_thread_flops'])}",
            ),
            ("torch, bf16", _flops(torch["bf16_flops"])),
            ("memory speed", f"{torch['memory_bytes_per_s'] / 1e9:.1f} GB/s"),
            ("one small operation", f"{torch['small_operation_s'] * 1e6:.1f} µs"),
        ]
    if "error" not in numpy:
        times = f", {numpy['fp32_flops'] / torch['fp32_flops']:.2f}× torch" if "error" not in torch else ""
        lines.append(("numpy, fp32", f"{_flops(numpy['fp32_flops'])} ({numpy['blas']}{times})"))
    return lines


def _flops(operations_per_s: float) -> str:
    return f"{operations_per_s / 1e9:,.0f} GFLOP/s"


def _amount(count: int | None) -> str:
    return "unknown" if count is None else size(count)
