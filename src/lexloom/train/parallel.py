"""The gradient of one optimizer step, summed over micro-batches, threads and machines in a fixed order.

Sums stay sums until the loop divides them once by the number of all targets, so it doesn't matter who computed what.
Each thread or process takes every n-th micro-batch; for a given n the result is the same bits every time.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from lexloom.objectives.contract import Loss

Losses = Sequence[Callable[[], Loss]]
"""One function per micro-batch of a step; called, it gives the loss with its graph."""


@dataclass
class Gradient:
    """Sums over targets: of the loss, of its gradients by parameter; and the number of targets."""

    loss_sum: float
    count: int
    tensors: list[Tensor]


def gradient_of(losses: Losses, parameters: Sequence[Tensor], pool: ThreadPoolExecutor | None = None) -> Gradient:
    """Sum over all micro-batches: this process takes its share, split over the threads of `pool`, and adds the rest."""
    rank, size = rank_and_size()
    return _all_reduced(_sum(losses[rank::size], parameters, pool))


def replica_pool(replicas: int, threads: int) -> ThreadPoolExecutor | None:
    """Threads that each compute with their share of `threads`; None for one replica."""
    if replicas == 1:
        return None
    return ThreadPoolExecutor(replicas, "replica", torch.set_num_threads, (max(1, threads // replicas),))


@contextlib.contextmanager
def joined_processes() -> Iterator[bool]:
    """Under torchrun, join the other processes until the block ends; yields whether this one is the leader.

    The leader alone writes files. Without torchrun there is one process, and it leads.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield torch.distributed.get_rank() == 0
    finally:
        torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Until every process is here."""
    if rank_and_size()[1] > 1:
        torch.distributed.barrier()


def agreed(number: int) -> int:
    """The largest of the processes' numbers, the same in each."""
    if rank_and_size()[1] == 1:
        return number
    largest = torch.tensor([number])
    torch.distributed.all_reduce(largest, op=torch.distributed.ReduceOp.MAX)
    return int(largest)


def leads() -> bool:
    """Whether this process is the one that writes, be the processes joined or not."""
    return int(os.environ.get("RANK", "0")) == 0


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) outside of torchrun."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _sum(losses: Losses, parameters: Sequence[Tensor], pool: ThreadPoolExecutor | None) -> Gradient:
    if pool is None:
        return _accumulate(losses, parameters)
    replicas = pool._max_workers
    futures = [pool.submit(_accumulate, losses[replica::replicas], parameters) for replica in range(replicas)]
    first, *others = [future.result() for future in futures]
    for other in others:
        _add(first, other)
    return first


def _all_reduced(gradient: Gradient) -> Gradient:
    """The sum over all processes, the same in each. Tested with gloo on a CPU; NCCL takes the same calls, untested."""
    if rank_and_size()[1] == 1:
        return gradient
    totals = torch.tensor([gradient.loss_sum, gradient.count], dtype=torch.float64, device=gradient.tensors[0].device)
    torch.distributed.all_reduce(totals)
    flat = torch.cat([tensor.flatten() for tensor in gradient.tensors])
    torch.distributed.all_reduce(flat)
    pieces = torch.split(flat, [tensor.numel() for tensor in gradient.tensors])
    shaped = [piece.view_as(tensor) for piece, tensor in zip(pieces, gradient.tensors, strict=True)]
    return Gradient(float(totals[0]), int(totals[1]), shaped)


def _accumulate(losses: Losses, parameters: Sequence[Tensor]) -> Gradient:
    total = Gradient(0.0, 0, [])
    for loss_of in losses:
        loss = loss_of()
        gradients = torch.autograd.grad(loss.sum, parameters, materialize_grads=True)
        _add(total, Gradient(float(loss.sum.detach()), loss.count, _own(gradients, parameters)))
    return total if total.tensors else Gradient(0.0, 0, [torch.zeros_like(parameter) for parameter in parameters])


def _add(total: Gradient, other: Gradient) -> None:
    total.loss_sum += other.loss_sum
    total.count += other.count
    if total.tensors:
        torch._foreach_add_(total.tensors, other.tensors)
    else:
        total.tensors = other.tensors


def _own(gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradients, safe to add to: autograd may hand out one tensor twice, or an expanded or transposed view."""
    owned: list[Tensor] = []
    storages: set[int] = set()
    for gradient, parameter in zip(gradients, parameters, strict=True):
        storage = gradient.untyped_storage()
        if storage.data_ptr() in storages or gradient.stride() != parameter.stride():
            gradient = torch.empty_like(parameter).copy_(gradient)
        storages.add(storage.data_ptr())
        owned.append(gradient)
    return owned
