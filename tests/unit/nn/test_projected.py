"""The projected LSTM is what its formula says, forward and backward, clips and carried states included."""

import pytest
import torch

from lexloom.nn.projected import ProjectedLSTM
from lexloom.nn.steps import steps_of

LENGTHS = [3, 7, 1, 7, 5]
INPUTS, CELL, WIDTH = 4, 6, 3


def layer(clip):
    found = ProjectedLSTM(INPUTS, CELL, WIDTH, cell_clip=clip, clip=clip).double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_(0.0, 0.8, generator=rng)
    return found


def by_formula(found, x_LD, clip):
    """One text, word by word."""
    h, c, states = torch.zeros(WIDTH).double(), torch.zeros(CELL).double(), []
    for x_D in x_LD:
        i, f, o, g = (found.inputs(x_D) + found.recurrent(h)).chunk(4)
        c = (f.sigmoid() * c + i.sigmoid() * g.tanh()).clamp(-clip, clip)
        h = found.output(o.sigmoid() * c.tanh()).clamp(-clip, clip)
        states.append(h)
    return torch.stack(states)


@pytest.mark.parametrize("clip", [100.0, 0.3])
def test_states_and_gradients_are_those_of_the_formula(clip):
    found = layer(clip)
    steps = steps_of(LENGTHS, torch.device("cpu"))
    x_TD = torch.randn(sum(LENGTHS), INPUTS, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    h_TP = steps.unpack(found(steps.pack(x_TD), steps)[0])
    expected_TP = torch.cat([by_formula(found, text, clip) for text in x_TD.split(LENGTHS)])
    torch.testing.assert_close(h_TP, expected_TP)
    assert (h_TP.abs() == clip).any() == (clip < 1), "the clip is to be felt"
    weight = torch.randn(h_TP.shape, generator=torch.Generator().manual_seed(2)).double()
    wanted = [x_TD, *found.parameters()]
    gradients = [torch.autograd.grad((states * weight).sum(), wanted) for states in (h_TP, expected_TP)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_text_in_two_parts_goes_on_where_it_was():
    found, device = layer(3.0), torch.device("cpu")
    x_TD = torch.randn(6, INPUTS, generator=torch.Generator().manual_seed(1)).double()
    whole, _ = found(x_TD, steps_of([6], device))
    first, cells = found(x_TD[:4], steps_of([4], device))
    second, _ = found(x_TD[4:], steps_of([2], device), (first[-1:], cells[-1:]))
    torch.testing.assert_close(torch.cat([first, second]), whole)
