from dataclasses import replace

import pytest
import torch

from lexloom.base.rng import generator
from lexloom.models import new_model
from lexloom.models.rnn import Config
from lexloom.nn.dropout import VariationalDropout, WordDropout, seed_dropout
from lexloom.nn.forks import Fork, Forks
from lexloom.nn.recurrent import Recurrent
from lexloom.nn.steps import steps_of

SMALL = Config(vocab_size=31, width=12, layers=2, context=64)
CPU = torch.device("cpu")
every_cell = pytest.mark.parametrize("cell", ["lstm", "gru"])


def small_model(cell, **more):
    model = new_model("rnn", replace(SMALL, cell=cell, **more), seed=1).eval()
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.3)
    return model


def torchs(model, cell):
    """torch's own module with the same weights."""
    width, layers = model.config.width, model.config.layers
    reference = getattr(torch.nn, cell.upper())(width, width, num_layers=layers, batch_first=True)
    for layer, block in enumerate(model.blocks):
        for part, short in ((block.inputs, "ih"), (block.recurrent, "hh")):
            getattr(reference, f"weight_{short}_l{layer}").data = part.weight.detach().clone()
            getattr(reference, f"bias_{short}_l{layer}").data = part.bias.detach().clone()
    return reference


def random_ids(*shape):
    return torch.randint(0, SMALL.vocab_size, shape, generator=torch.Generator().manual_seed(3))


@every_cell
def test_states_and_gradients_are_those_of_torchs_module(cell):
    model = small_model(cell)
    reference, ids_BL = torchs(model, cell), random_ids(3, 17)
    found_BLD = model.hidden(ids_BL)
    expected_BLD = reference(model.tokens(ids_BL))[0]
    assert (found_BLD - expected_BLD).abs().max() < 1e-5
    weight = torch.randn(found_BLD.shape, generator=torch.Generator().manual_seed(0))
    ours = [p for block in model.blocks for part in (block.inputs, block.recurrent) for p in (part.weight, part.bias)]
    names = [f"{kind}_{short}_l{layer}" for layer in (0, 1) for short in ("ih", "hh") for kind in ("weight", "bias")]
    theirs = [getattr(reference, name) for name in names]
    found = torch.autograd.grad((found_BLD * weight).sum(), ours)
    expected = torch.autograd.grad((expected_BLD * weight).sum(), theirs)
    assert all(
        (a - b).abs().max() < 1e-5 * max(1.0, float(b.abs().max())) for a, b in zip(found, expected, strict=True)
    )


@every_cell
def test_states_after_every_token_are_those_that_training_has(cell):
    """Two ways through a layer: torch's kernel or our gradient, and the loop that keeps all states."""
    layer = Recurrent(cell, 5, 8)
    for number, parameter in enumerate(layer.parameters()):
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(number))
    steps = steps_of([5, 1, 9, 3, 9, 2], CPU)
    x_TD = torch.randn(29, 5, generator=torch.Generator().manual_seed(9))
    before = tuple(torch.full((6, 8), 0.3 * (number + 1)) for number in range(layer.cell.states))
    plain_TH, (kept_TH, *_) = layer(x_TD, steps, before), layer.remember(x_TD, steps, before)
    assert (plain_TH - kept_TH).abs().max() < 1e-6
    one_by_one = [state_RH[:1] for state_RH in before]
    longest = steps.unpack(torch.arange(29))[6:15]
    for place in longest.tolist():
        one_by_one = layer.step(x_TD[place : place + 1], tuple(one_by_one))
        assert (one_by_one[0] - plain_TH[place]).abs().max() < 1e-6


def test_packing_and_flipping_lose_nothing():
    runs = [5, 1, 9, 3, 9, 2]
    steps = steps_of(runs, CPU)
    x_T = torch.arange(29)
    assert torch.equal(steps.unpack(steps.pack(x_T)), x_T)
    flipped = steps.unpack(steps.flipped(steps.pack(x_T)))
    assert torch.equal(flipped, torch.cat([run.flip(0) for run in x_T.split(runs)]))
    packed = torch.nn.utils.rnn.pack_sequence(list(x_T.split(runs)), enforce_sorted=False)
    assert torch.equal(steps.pack(x_T), packed.data)
    assert list(steps.sizes) == packed.batch_sizes.tolist()
    assert steps.pack(x_T)[steps.ends_R].tolist() == [14, 26, 4, 17, 28, 5], "sorted: the longest first"


@every_cell
def test_forks_score_as_plain_texts(cell):
    model = small_model(cell)
    rng = generator("forks", cell)
    forks = [Fork(4, (3, 0, 5)), Fork(0, (2, 6)), Fork(7, ()), Fork(1, (1,))]
    texts, row = [], []
    for fork in forks:
        trunk = rng.integers(31, size=fork.trunk).tolist()
        row += trunk
        texts.append((trunk, 0))
        for length in fork.branches:
            branch = rng.integers(31, size=length).tolist()
            row += branch
            texts.append((trunk + branch, len(trunk)))
    with torch.inference_mode():
        found_TD = model.hidden(torch.tensor([row]), cache=Forks(forks, CPU))[0]
        plain = [model.hidden(torch.tensor([ids]))[0, start:] for ids, start in texts if ids[start:]]
    assert (found_TD - torch.cat(plain)).abs().max() < 1e-6


@every_cell
def test_what_was_read_before_a_window_is_remembered_without_a_gradient(cell):
    model = small_model(cell)
    ids_BL = random_ids(3, 20)
    whole_BLD = model.hidden(ids_BL)
    past = (ids_BL[0, :8], ids_BL[1, :0], ids_BL[2, :8])
    part_BLD = model.hidden(torch.stack([ids_BL[0, 8:], ids_BL[1, :12], ids_BL[2, 8:]]), past=past)
    expected_BLD = torch.stack([whole_BLD[0, 8:], whole_BLD[1, :12], whole_BLD[2, 8:]])
    assert (part_BLD - expected_BLD).abs().max() < 1e-6
    seen = torch.autograd.grad(part_BLD[0].sum(), model.tokens.weight)[0].abs().sum(1).nonzero().flatten().tolist()
    assert set(seen) == set(ids_BL[0, 8:].tolist())


def test_the_same_values_are_dropped_at_all_steps_of_a_text():
    seed_dropout("steps")
    y_TD = VariationalDropout(0.5)(torch.ones(6, 50), torch.tensor([0, 1, 0, 1, 0, 2]))
    assert torch.equal(y_TD[0], y_TD[2])
    assert torch.equal(y_TD[0], y_TD[4])
    assert torch.equal(y_TD[1], y_TD[3])
    assert not torch.equal(y_TD[0], y_TD[1])


def test_a_dropped_word_is_dropped_wherever_it_stands():
    seed_dropout("words")
    y_TD = WordDropout(0.5, 9)(torch.ones(18, 3), torch.arange(9).repeat(2))
    assert torch.equal(y_TD[:9], y_TD[9:])
    assert set(y_TD.flatten().tolist()) == {0.0, 2.0}


def test_recurrent_weights_are_dropped_in_training_alone():
    model = small_model("lstm", recurrent_dropout=0.5)
    ids_BL = random_ids(1, 9)
    assert torch.equal(model.hidden(ids_BL), model.hidden(ids_BL))
    model.train()
    assert not torch.equal(model.hidden(ids_BL)[0, 1:], model.hidden(ids_BL)[0, 1:])
