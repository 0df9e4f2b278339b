import json
import os

import pytest
import torch

from lexloom.base import files
from lexloom.base.errors import DamagedError, FolderError, RunStopped
from lexloom.train import checkpoint
from lexloom.train.optim import Optimizer
from lexloom.train.settings import TrainSettings
from tests.fakes import FakeDecoder

MADE_WITH = {
    "train": {"lr": 0.1, "seed": 0, "betas": [0.9, 0.95]},
    "machine": {"threads": 1, "torch": "2"},
    "tokenizer": "a",
}


def parts(seed=0):
    model = FakeDecoder(seed=seed)
    optimizer = Optimizer(model, TrainSettings(optimizer="muon"))
    optimizer.step([torch.ones_like(parameter) * 0.01 for parameter in model.parameters()], 1.0)
    return model, optimizer


def write(folder, *steps, made_with=MADE_WITH):
    model, optimizer = parts()
    for step in steps:
        checkpoint.write_checkpoint(folder, step, model, optimizer, state={"step": step}, made_with=made_with)
    return model, optimizer


def test_what_is_written_comes_back_bit_for_bit(tmp_path):
    model, optimizer = write(tmp_path, 3)
    other, its_optimizer = parts(seed=9)
    state = checkpoint.load_checkpoint(checkpoint.choose(tmp_path, pytest.fail), other, its_optimizer)
    assert state == {"step": 3}
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(tensor, its_optimizer.state()[name]) for name, tensor in optimizer.state().items())


def test_the_newest_is_the_highest_number_whatever_the_clock_says(tmp_path):
    write(tmp_path, 9000, 10000)
    os.utime(tmp_path / "step-00009000")
    assert checkpoint.choose(tmp_path, pytest.fail).name == "step-00010000"
    assert checkpoint.complete_steps(tmp_path) == [9000, 10000]


def test_without_any_checkpoint_there_is_nothing_to_resume(tmp_path):
    assert checkpoint.choose(tmp_path / "absent", pytest.fail) is None


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


FILES = ["model.safetensors", "optimizer.safetensors", "state.json"]
DAMAGES = {"flipped": flip, "truncated": truncate, "deleted": lambda path: path.unlink()}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_newest_is_named_and_the_one_before_is_taken(tmp_path, name, damage):
    write(tmp_path, 1, 2)
    damage(tmp_path / "step-00000002" / name)
    warnings = []
    assert checkpoint.choose(tmp_path, warnings.append).name == "step-00000001"
    assert len(warnings) == 1
    assert "step 2" in warnings[0]
    assert name in warnings[0]
    with pytest.raises(DamagedError, match=name):
        checkpoint.choose(tmp_path, pytest.fail, step=2)


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path):
    write(tmp_path, 1, 2)
    (tmp_path / "step-00000002" / "manifest.json").unlink()
    assert checkpoint.choose(tmp_path, pytest.fail).name == "step-00000001"


def test_if_all_are_damaged_it_does_not_begin_anew_in_silence(tmp_path):
    write(tmp_path, 1)
    flip(tmp_path / "step-00000001" / "model.safetensors")
    with pytest.raises(DamagedError, match="every checkpoint is damaged"):
        checkpoint.choose(tmp_path, lambda line: None)


def test_an_absent_step_is_answered_with_those_there_are(tmp_path):
    write(tmp_path, 1, 2)
    with pytest.raises(FolderError, match="there are: 1, 2"):
        checkpoint.choose(tmp_path, pytest.fail, step=5)


@pytest.mark.parametrize(
    ("existing", "keep", "newest", "protect", "left"),
    [
        ([1, 2, 3], 2, 3, (), [2, 3]),
        ([9000, 10000, 11000], 2, 11000, (), [10000, 11000]),
        ([1, 2], 2, 2, (), [1, 2]),
        ([1], 2, 1, (), [1]),
        ([1, 2, 3, 4], 2, 4, (1,), [1, 3, 4]),
        ([1, 2, 3, 4], 1, 4, (4,), [3, 4]),
        ([1, 2, 3, 8], 2, 3, (), [2, 3, 8]),
        ([1, 2, 3], 1, 3, (), [3]),
    ],
)
def test_pruning_goes_by_number_and_keeps_what_it_must(tmp_path, existing, keep, newest, protect, left):
    write(tmp_path, *existing)
    for name in ("step-7", "other", "step-00000000-copy"):
        (tmp_path / name).mkdir()
    for step in existing:
        os.utime(tmp_path / f"step-{step:08d}", (step % 3, step % 3))
    checkpoint.prune(tmp_path, keep=keep, newest=newest, protect=protect)
    assert checkpoint.complete_steps(tmp_path) == left
    assert (tmp_path / "step-7").is_dir()
    assert (tmp_path / "other").is_dir()
    assert (tmp_path / "step-00000000-copy").is_dir()


def test_every_change_is_listed_old_and_new(tmp_path):
    write(tmp_path, 1)
    now = {
        **MADE_WITH,
        "train": {"lr": 0.2, "seed": 0, "betas": (0.9, 0.95)},
        "tokenizer": "b",
        "machine": {"threads": 2},
    }
    path = checkpoint.choose(tmp_path, pytest.fail)
    with pytest.raises(FolderError) as caught:
        checkpoint.check_unchanged(path, now, allow=())
    text = str(caught.value)
    for part in ("train.lr: 0.1 → 0.2", "tokenizer: a → b", "machine.threads: 1 → 2", "machine.torch: 2 → None"):
        assert part in text
    assert "--allow-change train.lr" in text
    assert "train.seed" not in text


def test_allowed_changes_are_returned_and_all_others_refused(tmp_path):
    write(tmp_path, 1)
    now = {**MADE_WITH, "train": {"lr": 0.2, "seed": 0, "betas": [0.9, 0.95]}, "machine": {"threads": 2, "torch": "3"}}
    path = checkpoint.choose(tmp_path, pytest.fail)
    assert checkpoint.check_unchanged(path, MADE_WITH, allow=()) == []
    assert len(checkpoint.check_unchanged(path, now, allow=("train.lr", "machine"))) == 3
    with pytest.raises(FolderError, match=r"machine\.torch: 2 → 3"):
        checkpoint.check_unchanged(path, now, allow=("train", "machine.threads"))


def test_a_non_finite_weight_is_never_saved(tmp_path):
    model, optimizer = parts()
    with torch.no_grad():
        model.norm.bias[0] = float("nan")
    with pytest.raises(RunStopped, match=r"norm\.bias is not finite"):
        checkpoint.write_checkpoint(tmp_path, 1, model, optimizer, state={}, made_with={})
    assert not list(tmp_path.iterdir())


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(DamagedError, match=r"embedding\.weight is \(64, 16\), the model has \(65, 16\)"):
        checkpoint.load_weights(tmp_path / "step-00000001", FakeDecoder(vocab_size=65))


def test_the_manifest_says_what_the_run_was_made_with(tmp_path):
    write(tmp_path, 1)
    manifest = json.loads((tmp_path / "step-00000001" / files.MANIFEST).read_text())
    assert manifest["made_with"] == MADE_WITH
    assert manifest["step"] == 1
