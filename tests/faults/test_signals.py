"""Ctrl-C, SIGTERM, a second run on the same folder (T11); two processes that share the work."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lexloom.base import files
from lexloom.base.recipe import to_toml
from tests.small import prepared_folder, recipe_of

COMMAND = [sys.executable, "-c", "from lexloom.cli import main; main()"]
TIMEOUT_S = 120
LONG = 400

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_folder(tmp_path_factory.mktemp("corpus"))


def start(
    prepared: Path, place: Path, *, run: str = "run", environment: dict | None = None, **train
) -> subprocess.Popen:
    place.mkdir(exist_ok=True)
    (place / "recipe.toml").write_text(to_toml(recipe_of(**train)), encoding="utf-8")
    command = [*COMMAND, "pretrain", str(place / "recipe.toml"), "--data", str(prepared), "--out", str(place / run)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for_step(run: Path, step: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_bytes().splitlines()) >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"the run didn't come to step {step}")


def steps_of(run: Path) -> list[int]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["step"] for line in lines if line["kind"] == "step"]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_step_it_ends_and_the_next_start_goes_on(number, code, prepared, tmp_path):
    process = start(prepared, tmp_path, steps=LONG, checkpoint_every=LONG)
    wait_for_step(tmp_path / "run", 2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, errors
    last = steps_of(tmp_path / "run")[-1]
    assert f"saved step {last} of {LONG}" in words(errors)
    files.verify_folder(tmp_path / "run" / "checkpoints" / f"step-{last:08d}")

    again = start(prepared, tmp_path, steps=LONG, checkpoint_every=LONG)
    wait_for_step(tmp_path / "run", last + 3)
    again.send_signal(number)
    _, errors = again.communicate(timeout=TIMEOUT_S)
    assert f"Resumed after step {last} of {LONG}" in words(errors)
    steps = steps_of(tmp_path / "run")
    assert steps == list(range(1, len(steps) + 1))


def test_a_second_signal_ends_at_once_and_leaves_what_was_saved(prepared, tmp_path):
    # The step is so long that the first signal's save can't come before the second signal.
    slow = {"steps": LONG, "batch_tokens": 32 * 60_000, "micro_batch": 4, "checkpoint_every": 1}
    process = start(prepared, tmp_path, **slow)
    deadline = time.monotonic() + TIMEOUT_S
    while not (tmp_path / "run" / "plan.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None, "the first signal waits for the end of the step"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode in (-signal.SIGTERM, 143)


def test_a_second_process_on_the_same_folder_is_refused_and_told_who_has_it(prepared, tmp_path):
    first = start(prepared, tmp_path, steps=LONG)
    wait_for_step(tmp_path / "run", 1)
    second = start(prepared, tmp_path, steps=LONG)
    _, errors = second.communicate(timeout=TIMEOUT_S)
    assert second.returncode == 2
    assert f"is in use by process {first.pid}" in words(errors)
    first.kill()
    first.communicate(timeout=TIMEOUT_S)
    with files.lock(tmp_path / "run"):
        pass  # the lock died with its owner


def test_two_processes_take_the_same_steps_as_one(prepared, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    settings = {"steps": 8, "model": {"dropout": 0.0}}
    both = [start(prepared, tmp_path, environment={**shared, "RANK": str(rank)}, **settings) for rank in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, errors
    alone = start(prepared, tmp_path, run="alone", **settings)
    _, errors = alone.communicate(timeout=TIMEOUT_S)
    assert alone.returncode == 0, errors
    assert steps_of(tmp_path / "run") == list(range(1, 9))
    one, two = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("alone", "run"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=1e-3)
