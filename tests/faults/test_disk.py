"""The disk fails at every operation in turn: no earlier checkpoint is lost, nothing half-made survives (T1, T3, T6)."""

import contextlib
import random
from pathlib import Path

import pytest
import torch

from lexloom.base import files
from lexloom.base.errors import RunStopped
from lexloom.stages.pretrain import pretrain
from lexloom.train import checkpoint
from lexloom.train.optim import Optimizer
from lexloom.train.settings import TrainSettings
from tests.fakes import FakeDecoder
from tests.faults.failing_disk import FAULTS, FailingDisk
from tests.small import prepared_folder, recipe_of

FILES = [checkpoint.MODEL, checkpoint.OPTIMIZER, checkpoint.STATE]


def parts(seed):
    model = FakeDecoder(seed=seed)
    return model, Optimizer(model, TrainSettings())


def save_and_prune(folder, step, seed):
    model, optimizer = parts(seed)
    checkpoint.write_checkpoint(folder, step, model, optimizer, state={"step": step}, made_with={})
    checkpoint.prune(folder, keep=2, newest=step)


def leftovers(folder):
    return [path for pattern in (f"{files.TEMPORARY}*", f"{files.TRASH}*") for path in folder.rglob(pattern)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_save_that_fails_at_any_operation_costs_no_earlier_checkpoint(fault, tmp_path, monkeypatch):
    passed, k = False, 0
    while not passed:
        k += 1
        folder = tmp_path / str(k)
        for step in (1, 2):
            save_and_prune(folder, step, seed=step)
        disk = FailingDisk(fault, k)
        with monkeypatch.context() as patch, contextlib.suppress(OSError, KeyboardInterrupt):
            patch.setattr(files, "disk", disk)
            save_and_prune(folder, 3, seed=3)
        passed = disk.count < k
        newest = int(checkpoint.choose(folder, pytest.fail).name[-1])
        assert newest in (2, 3)
        assert checkpoint.complete_steps(folder)[-2:] in ([1, 2], [2, 3])
        model, optimizer = parts(seed=0)
        assert checkpoint.load_checkpoint(checkpoint.folder_of(folder, newest), model, optimizer) == {"step": newest}
        assert torch.equal(model.inner.weight, FakeDecoder(seed=newest).inner.weight)
        with files.lock(folder):
            assert not leftovers(folder)
    assert k > 30, "the loop reached every operation of the save"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """The hash of the uninterrupted run's weights, and how many operations the run takes."""
    run = tmp_path_factory.mktemp("whole") / "run"
    disk = FailingDisk("disk full", 1 << 30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "disk", disk)
        pretrain(recipe_of(), prepared, run)
    return files.sha256_of(run / "model" / "model.safetensors"), disk.count


def run_with(disk, prepared, run):
    """Run with this disk; returns the error that ended it, if one did."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "disk", disk)
        try:
            pretrain(recipe_of(), prepared, run)
        except (RunStopped, OSError, KeyboardInterrupt) as error:
            return error
    return None


def check_then_finish(prepared, run, expected):
    if run.exists():
        with files.lock(run):
            for path in run.glob("checkpoints/step-*"):
                files.verify_folder(path)
    pretrain(recipe_of(), prepared, run)
    assert files.sha256_of(run / "model" / "model.safetensors") == expected
    assert not leftovers(run)
    steps = [line for line in (run / "metrics.jsonl").read_text().splitlines() if '"kind": "step"' in line]
    assert len(steps) == 12


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("trial", [*range(2), *(pytest.param(trial, marks=pytest.mark.slow) for trial in range(2, 12))])
def test_a_run_survives_one_failure_or_goes_on_after_a_restart(fault, trial, prepared, whole, tmp_path):
    expected, operations = whole
    k = random.Random(f"{fault} {trial}").randint(1, operations)
    run_with(FailingDisk(fault, k), prepared, tmp_path / "run")
    check_then_finish(prepared, tmp_path / "run", expected)


@pytest.mark.parametrize("share", [0.3, pytest.param(0.6, marks=pytest.mark.slow), 0.9])
def test_a_disk_that_stays_full_stops_the_run_and_says_which_step_is_safe(share, prepared, whole, tmp_path):
    expected, operations = whole
    run = tmp_path / "run"
    error = run_with(FailingDisk("disk full", round(share * operations), times=None), prepared, run)
    assert isinstance(error, RunStopped)
    assert error.exit_code == 3
    assert "No space left on device" in str(error)
    safe = checkpoint.complete_steps(run / "checkpoints")[-1]
    assert f"step {safe} is safe" in str(error)
    check_then_finish(prepared, run, expected)


def test_a_passing_failure_during_a_save_does_not_end_the_run(prepared, whole, tmp_path, monkeypatch, capsys):
    expected, _ = whole
    written = []
    true_write = checkpoint.write_checkpoint

    def write(folder, step, *arguments, **facts):
        written.append(step)
        if step in (3, 6):
            raise OSError(28, "No space left on device")
        return true_write(folder, step, *arguments, **facts)

    monkeypatch.setattr(checkpoint, "write_checkpoint", write)
    outcome = pretrain(recipe_of(), prepared, tmp_path / "run")
    assert outcome.steps == 12
    assert written == [3, 6, 9, 12]
    assert files.sha256_of(outcome.model / "model.safetensors") == expected
    assert "the disk failed at step 6" in " ".join(capsys.readouterr().err.split())


class RecordingDisk(files.Disk):
    """Remembers what was done to which path, in order."""

    def __init__(self):
        self.done = []

    def create(self, path):
        self.done.append(("create", path))
        return super().create(path)

    def write(self, handle, data):
        self.done.append(("write", Path(handle.name)))
        return super().write(handle, data)

    def sync(self, handle):
        self.done.append(("sync", Path(handle.name)))
        super().sync(handle)

    def sync_folder(self, path):
        self.done.append(("sync", path))
        super().sync_folder(path)

    def rename(self, old, new):
        self.done.append(("rename", new))
        super().rename(old, new)


def test_what_is_announced_as_saved_would_survive_a_power_cut(tmp_path, monkeypatch):
    """Every file, then its folder, is synced before the rename; the parent after it, and only then is pruned (T2)."""
    for step in (1, 2):
        save_and_prune(tmp_path, step, seed=step)
    disk = RecordingDisk()
    monkeypatch.setattr(files, "disk", disk)
    save_and_prune(tmp_path, 3, seed=3)
    final = tmp_path / "step-00000003"
    made_visible = disk.done.index(("rename", final))
    created = [path for what, path in disk.done if what == "create"]
    assert [path.name for path in created] == [*FILES, files.MANIFEST]
    for path in created:
        last_write = max(at for at, done in enumerate(disk.done) if done == ("write", path))
        synced = disk.done.index(("sync", path))
        folder_synced = disk.done.index(("sync", path.parent))
        assert last_write < synced < folder_synced < made_visible
    parent_synced = disk.done.index(("sync", tmp_path))
    pruned = next(
        at for at, (what, path) in enumerate(disk.done) if what == "rename" and path.name.startswith(".trash")
    )
    assert made_visible < parent_synced < pruned
