"""doctor: facts that are measured, and advice that follows from them."""

import copy

import pytest

from lexloom.stages import doctor as module
from lexloom.stages.doctor import advise, describe, doctor

HEALTHY = {
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "extras": {"parquet": "17.0", "gguf": None},
    "machine": {
        "processor": "A processor [with brackets]",
        "system": "Linux",
        "cores": 4,
        "instructions": ["avx2", "fma"],
        "load": 0.1,
        "memory_bytes": 16_000_000_000,
        "memory_available_bytes": 12_000_000_000,
        "disk_free_bytes": 90_000_000_000,
    },
    "variables": {},
    "compiler": "/usr/bin/g++",
    "torch": {
        "import_s": 2.0,
        "threads": 4,
        "fp32_flops": 3e11,
        "fp32_one_thread_flops": 1e11,
        "bf16_flops": 3e11,
        "memory_bytes_per_s": 3e10,
        "small_operation_s": 1e-6,
        "capability": "AVX2",
        "mkl": True,
        "cuda_build": False,
        "cuda_available": False,
    },
    "numpy": {"fp32_flops": 3.3e11, "blas": "scipy-openblas"},
}


def with_changes(**changes):
    facts = copy.deepcopy(HEALTHY)
    for path, value in changes.items():
        *sections, name = path.split("__")
        place = facts
        for section in sections:
            place = place[section]
        place[name] = value
    return facts


def test_a_healthy_machine_gets_no_advice():
    assert advise(HEALTHY) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"compiler": None}, "compiler"),
        ({"variables": {"OMP_NUM_THREADS": "64"}}, "more than the 4 cores"),
        ({"variables": {"OMP_NUM_THREADS": "1"}}, "3 of 4 cores idle"),
        ({"variables": {"OPENBLAS_CORETYPE": "Prescott"}}, "OPENBLAS_CORETYPE=Prescott"),
        ({"machine__load": 3.9}, "other programs"),
        ({"machine__memory_available_bytes": 10**9}, "memory"),
        ({"machine__disk_free_bytes": 10**9}, "disk"),
        ({"machine__instructions": ["fma"]}, "AVX2"),
        ({"torch__import_s": 20.0}, "importing torch takes 20 s"),
        ({"torch__cuda_build": True}, "CUDA"),
        ({"torch__bf16_flops": 1e9}, "bf16"),
        ({"torch__fp32_one_thread_flops": 2.9e11}, "hardly faster than one"),
        ({"numpy": {"error": "no module named numpy"}}, "numpy doesn't work"),
    ],
)
def test_each_trouble_is_named_with_its_mend(changes, word):
    (advice,) = advise(with_changes(**changes))
    assert word in advice["what"]
    assert advice["fix"]


def test_broken_torch_is_a_fact_not_a_traceback():
    facts = with_changes(torch={"error": "ImportError: libgomp.so.1"})
    facts["advice"] = advise(facts)
    shown = describe(facts)
    assert "libgomp.so.1" in shown
    assert "[with brackets]" in shown
    assert "pip install 'lexloom[gguf]'" in shown


def test_doctor_measures_this_machine(monkeypatch):
    monkeypatch.setattr(module, "_probe", lambda engine: HEALTHY[engine])
    facts = doctor()
    assert facts.keys() == {*HEALTHY, "advice"}
    assert facts["machine"]["cores"] >= 1
    assert facts["versions"]["torch"] is not None


@pytest.mark.slow
def test_probes_run_and_give_every_fact():
    assert module._probe("torch").keys() == HEALTHY["torch"].keys()
    assert module._probe("numpy").keys() == HEALTHY["numpy"].keys()


def test_a_probe_that_fails_tells_why():
    assert "KeyError" in module._probe("no such engine")["error"]
