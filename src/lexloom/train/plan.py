"""What a run will take: time, memory, tokens and disk, from a few measured micro-batches.

Measuring changes the weights: give it a model that is thrown away or filled again.
"""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from lexloom.train import compiling, parallel
from lexloom.train.course import Course, Units, plan_course
from lexloom.train.loop import take_step
from lexloom.train.optim import Optimizer
from lexloom.train.throughput import flops_per_token, measured_peak_flops

MEASURE_S = 2.0
CALLS = 9
FIT_TOKENS = 200_000
LEAST_SHARES = 4
"""What is learned in one go is measured on so many tokens, or on this part of fewer ones."""
TICK_S = 1e-6
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it runs. Times are those of this machine with these threads."""

    steps: int
    tokens: int
    epochs: float
    parameters: int
    seconds_per_step: float
    seconds: float
    """Training alone, without measuring on the validation split."""
    tokens_per_s: float
    memory_bytes: int
    """Peak of the whole process: libraries, parameters, gradients, optimizer, activations."""
    parameter_bytes: int
    gradient_bytes: int
    """One set for each replica."""
    optimizer_bytes: int
    activation_bytes: int
    """What is left of the measured peak after a micro-batch."""
    checkpoint_bytes: int
    disk_bytes: int
    """All checkpoints that are kept, the one being written, and the model folder."""
    flops_per_token: float
    peak_flops: float
    share_of_peak: float
    compiled: bool
    """Whether the run compiles its model."""


def measure_plan(model: nn.Module, optimizer: Optimizer, course: Course) -> Plan:
    """Train on a few micro-batches of the first step and add up.

    A budget in minutes is turned into steps here, and here `compile = "auto"` is decided.
    """
    settings, before_bytes = course.settings, peak_rss_bytes()
    step_s = 0.0 if settings.compiling is True else _step_s(model, model, optimizer, course)
    compiled = settings.compiling is True or compiling.may_pay(settings, _planned(course, step_s).steps * step_s)
    if compiled:
        compiled_s = _step_s(model, compiling.Compiled(model), optimizer, course)
        compiled = settings.compiling is True or compiling.pays(step_s, compiled_s)
        step_s = compiled_s if compiled else step_s
    return _added_up(model, optimizer, _planned(course, step_s), step_s, before_bytes, compiled=compiled)


def measure_fit(fit: Callable[[Units], nn.Module], units: Units) -> Plan:
    """Learn a model in one go from a share of the units, and multiply; sizes are those of a model that grows with them.

    Many grow more slowly than their data, so sizes are upper bounds.
    """
    tokens = sum(map(units.tokens, range(len(units))))
    share = units.share(max(1, min(len(units) // LEAST_SHARES, len(units) * FIT_TOKENS // max(1, tokens))))
    started = time.perf_counter()
    model = fit(share)
    share_s = time.perf_counter() - started
    times = tokens / max(1, sum(map(share.tokens, range(len(share)))))
    parameters = list(model.parameters())
    parameter_bytes = round(sum(parameter.nbytes for parameter in parameters) * times)
    return Plan(
        steps=0,
        tokens=tokens,
        epochs=1.0,
        parameters=round(sum(parameter.numel() for parameter in parameters) * times),
        seconds_per_step=0.0,
        seconds=share_s * times,
        tokens_per_s=tokens / max(share_s * times, TICK_S),
        memory_bytes=peak_rss_bytes() + parameter_bytes,
        parameter_bytes=parameter_bytes,
        gradient_bytes=0,
        optimizer_bytes=0,
        activation_bytes=0,
        checkpoint_bytes=0,
        disk_bytes=parameter_bytes,
        flops_per_token=0.0,
        peak_flops=0.0,
        share_of_peak=0.0,
        compiled=False,
    )


def _planned(course: Course, step_s: float) -> Course:
    return plan_course(course.objective, course.units, course.settings, seconds_per_step=max(step_s, TICK_S))


def _step_s(model: nn.Module, forward: nn.Module, optimizer: Optimizer, course: Course) -> float:
    """Seconds of a typical optimizer step, from a part of the first one.

    What comes before it isn't counted, and takes as much memory as the run will.
    """
    everything = course.losses(forward, 0)
    losses = everything[: course.settings.worker_threads]
    pool = parallel.replica_pool(course.settings.worker_threads, torch.get_num_threads())
    parameters = list(optimizer.parameters.values())
    model.train()
    gradient = parallel.gradient_of([course.heaviest(forward)] * len(losses), parameters, pool)
    gradient_s = measured_s(lambda: parallel.gradient_of(losses, parameters, pool))
    take_step(optimizer, gradient, 0.0, None)
    update_s = _once_s(lambda: take_step(optimizer, parallel.gradient_of(losses, parameters, pool), 0.0, None))
    typical = course.mean_tokens * course.settings.batch_units / course.tokens(0)
    return gradient_s * math.ceil(len(everything) / len(losses)) * typical + max(0.0, update_s - gradient_s)


def measured_s(run: Callable[[], object]) -> float:
    """The median of up to nine calls, of fewer if they take more than two seconds."""
    times: list[float] = []
    while not times or (len(times) < CALLS and sum(times) + times[-1] < MEASURE_S):
        times.append(_once_s(run))
    return sorted(times)[len(times) // 2]


def peak_rss_bytes() -> int:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES


def _added_up(
    model: nn.Module, optimizer: Optimizer, course: Course, step_s: float, before_bytes: int, *, compiled: bool
) -> Plan:
    settings = course.settings
    parameter_bytes = sum(parameter.nbytes for parameter in model.parameters())
    optimizer_bytes = sum(tensor.nbytes for tensor in optimizer.state().values())
    memory_bytes = peak_rss_bytes()
    tokens = round(course.total_units * course.mean_tokens)
    tokens_per_s = course.mean_tokens * settings.batch_units / step_s
    objective = course.objective
    flops = flops_per_token(
        model, course.mean_tokens, scored_share=objective.scored_share, source_share=objective.source_share
    )
    peak = measured_peak_flops(torch.bfloat16 if settings.engine == "bfloat16" else torch.float32)
    checkpoint_bytes = parameter_bytes + optimizer_bytes
    return Plan(
        steps=course.steps,
        tokens=tokens,
        epochs=course.epoch(course.steps),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds_per_step=step_s,
        seconds=tokens / tokens_per_s,
        tokens_per_s=tokens_per_s,
        memory_bytes=memory_bytes,
        parameter_bytes=parameter_bytes,
        gradient_bytes=sum(p.nbytes for p in optimizer.parameters.values()) * settings.worker_threads,
        optimizer_bytes=optimizer_bytes,
        activation_bytes=max(0, memory_bytes - before_bytes - parameter_bytes - optimizer_bytes),
        checkpoint_bytes=checkpoint_bytes,
        disk_bytes=checkpoint_bytes * (settings.keep_checkpoints + 1) + parameter_bytes,
        flops_per_token=flops,
        peak_flops=peak,
        share_of_peak=flops * tokens_per_s / peak,
        compiled=compiled,
    )


def _once_s(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
