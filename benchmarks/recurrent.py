"""A recurrent layer's step of training, side by side on one thread: torch's kernels and ours, in alternating rounds.

python benchmarks/recurrent.py                 LSTM and GRU, forward and backward, tokens per second

`rows` is torch.nn.LSTM or GRU on texts of one length (oneDNN, where it can), `packed` the same kernel on a
PackedSequence, `ours` what Lexloom runs (nn/recurrent.py): torch's packed kernel for LSTMs, its own gradient for GRUs.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from lexloom.nn.recurrent import Recurrent
from lexloom.nn.steps import steps_of

SHAPES = ((32, 64, 256), (32, 64, 512), (128, 30, 256), (16, 128, 512))
"""Texts, tokens of each, width."""
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for cell in ("lstm", "gru"):
        for texts, length, width in SHAPES:
            ways = ways_of(cell, texts, length, width)
            times: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds + 1):
                for name, run in ways.items():
                    times[name].append(seconds(run))
            medians = {name: statistics.median(some[1:]) for name, some in times.items()}
            row = "  ".join(f"{name} {texts * length / median:8,.0f}/s" for name, median in medians.items())
            best = min(medians["rows"], medians["packed"])
            print(f"{cell} {texts} × {length} × {width}:  {row}  ours/best of torch {best / medians['ours']:.2f}")


def ways_of(cell: str, texts: int, length: int, width: int) -> dict[str, Callable[[], None]]:
    torch.manual_seed(0)
    reference = getattr(torch.nn, cell.upper())(width, width)
    layer = Recurrent(cell, width, width)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    steps = steps_of((length,) * texts, torch.device("cpu"))
    x_TD, x_LRD = torch.randn(texts * length, width), torch.randn(length, texts, width)
    sizes = torch.tensor(steps.sizes)

    def rows() -> None:
        reference(x_LRD.clone().requires_grad_())[0].sum().backward()

    def packed() -> None:
        text = torch.nn.utils.rnn.PackedSequence(x_TD.clone().requires_grad_(), sizes)
        reference(text)[0].data.sum().backward()

    def ours() -> None:
        layer(x_TD.clone().requires_grad_(), steps).sum().backward()

    return {"rows": rows, "packed": packed, "ours": ours}


def seconds(run: Callable[[], None]) -> float:
    """Of the processor, so that a busy machine matters less."""
    started = time.process_time()
    run()
    return time.process_time() - started


if __name__ == "__main__":
    main()
