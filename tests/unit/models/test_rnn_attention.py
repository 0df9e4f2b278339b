"""Every way to look at the source, with either cell, keeps the promises of encoder–decoders (tests/contracts)."""

from dataclasses import replace

import pytest
import torch

from lexloom.generate.settings import WritingSettings
from lexloom.generate.writing import write
from lexloom.models import new_model
from lexloom.models.rnn_attention import ATTENTION, Config
from lexloom.nn.source import Source, recorded_source_attention, source_of

SMALL = Config(vocab_size=31, width=16, layers=2, context=40, start_id=1, dropout=0.0)
SOURCES = [[3, 4, 5], [6, 7, 8, 9, 10, 11], [12], [13, 14, 15]]
TARGETS = [[1, 20, 21, 22], [1, 23], [1, 24, 25, 26, 27, 28], [1, 29]]
every_way = pytest.mark.parametrize(("attention", "cell"), [*((one, "lstm") for one in ATTENTION), ("bahdanau", "gru")])


def small_model(attention, cell, **more):
    model = new_model("rnn-attention", replace(SMALL, attention=attention, cell=cell, **more), seed=1).eval()
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.2)
    return model


def flat(texts):
    return [token for text in texts for token in text]


def packed(model, sources) -> Source:
    runs = [len(text) for text in sources]
    return source_of(model.encode(torch.tensor([flat(sources)]), runs=runs), runs)


def alone(model, source, target):
    return model(torch.tensor([target]), source_BL=torch.tensor([source]))[0]


@every_way
def test_packed_pairs_score_as_each_alone(attention, cell):
    model = small_model(attention, cell)
    apart = torch.cat([alone(model, *pair) for pair in zip(SOURCES, TARGETS, strict=True)])
    runs = [len(text) for text in TARGETS]
    x_1TD = model.hidden(torch.tensor([flat(TARGETS)]), source=packed(model, SOURCES), runs=runs)
    together = model.scores(x_1TD)[0]
    assert (apart - together).abs().max() < 1e-5
    gradients = [torch.autograd.grad(x.square().sum(), list(model.parameters())) for x in (apart, together)]
    for (name, _), a, b in zip(model.named_parameters(), *gradients, strict=True):
        assert a.abs().sum() > 0, name
        assert (a - b).abs().max() < 1e-3 * max(1.0, float(a.abs().max())), name


@every_way
def test_rows_that_are_kept_twice_go_on_where_they_were(attention, cell):
    model = small_model(attention, cell)
    with torch.inference_mode():
        cache = model.new_cache(4, 20, source=packed(model, SOURCES))
        model.hidden(torch.tensor([[1], [1], [1], [1]]), cache=cache)
        model.hidden(torch.tensor([[20, 21], [23, 0], [24, 25], [29, 0]]), cache=cache)
        for row in (1, 3):
            cache.truncate(row, 2)
        cache.keep([3, 0, 0, 2])
        found = model.scores(model.hidden(torch.tensor([[9, 8], [7, 6], [5, 4], [3, 2]]), cache=cache))
        begun = [[1, 29, 9, 8], [1, 20, 21, 7, 6], [1, 20, 21, 5, 4], [1, 24, 25, 3, 2]]
        for row, (text, target) in enumerate(zip([3, 0, 0, 2], begun, strict=True)):
            assert (found[row] - alone(model, SOURCES[text], target)[-2:]).abs().max() < 1e-5


@every_way
def test_rows_of_two_caches_go_on_together(attention, cell):
    model = small_model(attention, cell)
    with torch.inference_mode():
        cache, other = (model.new_cache(2, 20, source=packed(model, SOURCES[at : at + 2])) for at in (0, 2))
        model.hidden(torch.tensor([[1, 20], [1, 23]]), cache=cache)
        model.hidden(torch.tensor([[1], [1]]), cache=other)
        cache.join(other)
        taken = cache.take(1, 1, 12)
        found = model.scores(model.hidden(torch.tensor([[5], [6], [7], [8]]), cache=cache))
        targets = [[1, 20, 5], [1, 23, 6], [1, 7], [1, 8]]
        for row, (source, target) in enumerate(zip(SOURCES, targets, strict=True)):
            assert (found[row, 0] - alone(model, source, target)[-1]).abs().max() < 1e-5
        again = model.scores(model.hidden(torch.tensor([[9]]), cache=taken))[0, 0]
        assert (again - alone(model, SOURCES[1], [1, 9])[-1]).abs().max() < 1e-5


@every_way
def test_more_beams_find_a_text_at_least_as_probable(attention, cell):
    model = small_model(attention, cell)
    one, four = (
        write(model, SOURCES, WritingSettings(beams=beams, max_tokens=8, length_penalty=0.0), eos_ids=[2], threads=1)
        for beams in (1, 4)
    )
    pairs = [(a[0], b[0]) for a, b in zip(one, four, strict=True)]
    assert sum(b.log_probability for _, b in pairs) >= sum(a.log_probability for a, _ in pairs) - 1e-4
    for source, (greedy, _) in zip(SOURCES, pairs, strict=True):
        ids = [1]
        for token in greedy.ids:
            assert int(alone(model, source, ids)[-1].argmax()) == token
            ids.append(token)


@pytest.mark.parametrize("attention", ATTENTION)
def test_recorded_weights_are_shares_of_the_source(attention):
    model = small_model(attention, "lstm")
    runs = [len(text) for text in TARGETS]
    with torch.no_grad(), recorded_source_attention() as layers:
        model.hidden(torch.tensor([flat(TARGETS)]), source=packed(model, SOURCES), runs=runs)
    assert len(layers) == (0 if attention == "none" else 1)
    for layer in layers:
        assert [tuple(x.shape) for x in layer] == [(1, len(t), len(s)) for s, t in zip(SOURCES, TARGETS, strict=True)]
        assert all((x.sum(-1) - 1).abs().max() < 1e-5 for x in layer)


def test_the_encoder_says_what_torchs_two_way_lstm_says():
    model = small_model("none", "lstm")
    reference = torch.nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True)
    for layer, block in enumerate(model.encoder):
        for way, ending in ((block.rightward, ""), (block.leftward, "_reverse")):
            for part, short in ((way.inputs, "ih"), (way.recurrent, "hh")):
                getattr(reference, f"weight_{short}_l{layer}{ending}").data = part.weight.data
                getattr(reference, f"bias_{short}_l{layer}{ending}").data = part.bias.data
    packed_BLD = torch.nn.utils.rnn.pack_sequence(
        [model.tokens(torch.tensor(text)) for text in SOURCES], enforce_sorted=False
    )
    expected, lengths = torch.nn.utils.rnn.pad_packed_sequence(reference(packed_BLD)[0], batch_first=True)
    states_SD = packed(model, SOURCES).states_SD
    wanted_SD = torch.cat([row[:length] for row, length in zip(expected, lengths, strict=True)])
    assert (states_SD - wanted_SD).abs().max() < 1e-5
