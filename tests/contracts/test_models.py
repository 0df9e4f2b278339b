"""What every family of models promises, over one table: a newcomer's entry is tested before its first own test."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from lexloom.base.errors import FolderError, UserError
from lexloom.base.files import read_json, write_json
from lexloom.base.rng import generator
from lexloom.models import FAMILIES, new_model
from lexloom.models.folder import load_model, save_model
from lexloom.nn.loss import vocabulary_loss

VOCAB_SIZE = 97
CONTEXT = 48
TOLERANCE = 1e-4
CASES_PER_FAMILY = 100

# Small shapes per family; a family without an entry here fails the suite.
SMALL: dict[str, dict[str, Any]] = {
    "gpt": {"width": 24, "layers": 2, "heads": 3},
    "llama": {
        "width": 20,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 6,
        "ffn_width": 28,
        "qk_norm": True,
        "tied": False,
    },
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def small_config(family: str) -> Any:
    return FAMILIES[family].config(vocab_size=VOCAB_SIZE, context=CONTEXT, **SMALL[family])


def small_model(family: str) -> Any:
    """Weights large enough for scores that differ clearly."""
    model = new_model(family, small_config(family), seed=1).eval()
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.15)
    return model


def random_ids(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(seed))


@every_family
def test_shapes_are_those_of_the_contract(family):
    model = small_model(family)
    ids_BL = random_ids(2, 7)
    hidden_BLD = model.hidden(ids_BL)
    assert hidden_BLD.shape == (2, 7, model.config.width)
    assert model.head_weight_VD.shape == (VOCAB_SIZE, model.config.width)
    assert model(ids_BL).shape == (2, 7, VOCAB_SIZE)
    assert torch.equal(model.scores(hidden_BLD), model(ids_BL))


@every_family
def test_gradients_reach_every_parameter(family):
    model = small_model(family).train()
    ids_BL = random_ids(2, CONTEXT)
    loss = vocabulary_loss(model.hidden(ids_BL).flatten(0, 1), model.head_weight_VD, random_ids(2 * CONTEXT, seed=4))
    loss.backward()
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still


@every_family
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(family):
    first, again, other = (new_model(family, small_config(family), seed=seed) for seed in (5, 5, 6))
    for (name, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
        if a.dim() > 1:
            assert not torch.equal(a, c), name


@every_family
def test_no_token_sees_a_later_one(family):
    model = small_model(family)
    ids_BL = random_ids(1, 20)
    changed_BL = ids_BL.clone()
    changed_BL[0, 12] = (changed_BL[0, 12] + 1) % VOCAB_SIZE
    with torch.no_grad():
        difference_L = (model(ids_BL) - model(changed_BL)).abs().amax(dim=(0, 2))
    assert difference_L[:12].max() == 0
    assert (difference_L[12:] > 0).all()


@every_family
def test_saved_and_loaded_weights_are_equal_bit_for_bit(family, tmp_path):
    model = small_model(family)
    save_model(tmp_path / "model", model, None, provenance={"seed": 1}, generation={"top_k": 3}, card="# A card\n")
    found = load_model(tmp_path / "model")
    assert (found.family, found.model.config) == (family, model.config)
    assert found.facts["provenance"] == {"seed": 1}
    assert found.generation["top_k"] == 3
    state = found.model.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@every_family
def test_cached_chunked_batched_and_plain_scores_agree(family):
    """Fault I1: random prompts of unequal lengths, prefilled in random chunks, in random company."""
    model = small_model(family)
    rng = generator("cache", family)
    with torch.inference_mode():
        for _ in range(CASES_PER_FAMILY):
            lengths = rng.integers(1, 20, size=rng.integers(1, 5)).tolist()
            rows = [torch.from_numpy(rng.integers(VOCAB_SIZE, size=length + 8)) for length in lengths]
            expected = [model(row[None])[0] for row in rows]
            found = score_in_company(model, rows, lengths, rng)
            for plain, cached in zip(expected, found, strict=True):
                assert (plain - cached).abs().max() < TOLERANCE


def score_in_company(model: Any, rows: list[torch.Tensor], lengths: list[int], rng: Any) -> list[torch.Tensor]:
    """Scores of every row: prompts (padded with random ids) in chunks, then the rest in steps of one or two."""
    longest = max(lengths)
    cache = model.new_cache(len(rows), longest + 8)
    prompt_BL = torch.from_numpy(rng.integers(VOCAB_SIZE, size=(len(rows), longest)))
    for row, (ids, length) in enumerate(zip(rows, lengths, strict=True)):
        prompt_BL[row, :length] = ids[:length]
    cuts = sorted({0, longest, *rng.integers(0, longest + 1, size=2).tolist()})
    chunks = [model(prompt_BL[:, start:end], cache=cache) for start, end in pairwise(cuts)]
    scores_BLV = torch.cat(chunks, dim=1)
    for row, length in enumerate(lengths):
        cache.truncate(row, length)
    found = [scores_BLV[row, :length] for row, length in enumerate(lengths)]
    done = 0
    while done < 8:
        step = min(int(rng.integers(1, 3)), 8 - done)
        ids_BL = torch.stack([ids[n + done : n + done + step] for ids, n in zip(rows, lengths, strict=True)])
        step_BLV = model(ids_BL, cache=cache)
        found = [torch.cat([old, new]) for old, new in zip(found, step_BLV, strict=True)]
        done += step
    return found


@every_family
def test_kept_rows_go_on_where_they_were(family):
    model = small_model(family)
    ids_BL = random_ids(3, 10)
    cache = model.new_cache(3, 20)
    with torch.inference_mode():
        model(ids_BL, cache=cache)
        cache.truncate(0, 6)
        cache.keep([2, 0, 0])
        next_BL = random_ids(3, 2, seed=9)
        found = model(next_BL, cache=cache)
        for row, (old, length) in enumerate([(2, 10), (0, 6), (0, 6)]):
            whole = model(torch.cat([ids_BL[old, :length], next_BL[row]])[None])[0, -2:]
            assert (found[row] - whole).abs().max() < TOLERANCE


@every_family
def test_a_full_cache_and_a_text_beyond_the_context_are_refused(family):
    model = small_model(family)
    cache = model.new_cache(1, 4)
    with torch.inference_mode():
        model(random_ids(1, 3), cache=cache)
        with pytest.raises(UserError, match="cache of 4"):
            model(random_ids(1, 2), cache=cache)
        assert cache.lengths == [3], "a refused pass must not count"
    with pytest.raises(UserError, match="context of 48"):
        model.new_cache(1, CONTEXT + 1)
    with pytest.raises(UserError, match="context of 48"):
        model(random_ids(1, CONTEXT + 1))


@every_family
def test_packed_documents_score_as_each_alone(family):
    """No padding and no attention across documents, forward and backward."""
    model = small_model(family)
    rng = generator("runs", family)
    for _ in range(20):
        runs = [*rng.integers(5, 12, size=6).tolist(), 7, 7, 7]
        runs.append(96 - sum(runs))
        ids_T = torch.from_numpy(rng.integers(VOCAB_SIZE, size=96))
        alone = torch.cat([model(piece[None])[0] for piece in ids_T.split(runs)])
        packed = model(ids_T.view(2, 48), runs=runs).flatten(0, 1)
        assert (alone - packed).abs().max() < TOLERANCE
        weight = torch.randn(alone.shape, generator=torch.Generator().manual_seed(0))
        gradients = [torch.autograd.grad((x * weight).sum(), list(model.parameters())) for x in (alone, packed)]
        assert all((a - b).abs().max() < TOLERANCE * max(1.0, a.abs().max()) for a, b in zip(*gradients, strict=True))


@every_family
def test_learns_eight_examples_by_heart(family):
    model = new_model(family, small_config(family), seed=1).train()
    ids_BL = random_ids(8, 13)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95))
    for _ in range(80):
        x_TD = model.hidden(ids_BL[:, :-1]).flatten(0, 1)
        loss = vocabulary_loss(x_TD, model.head_weight_VD, ids_BL[:, 1:].flatten()) / (8 * 12)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5


@every_family
def test_dropout_changes_training_but_not_evaluation(family):
    config = replace(small_config(family), dropout=0.3)
    model = new_model(family, config, seed=1)
    ids_BL = random_ids(2, 9)
    assert not torch.equal(model.train()(ids_BL), model(ids_BL))
    assert torch.equal(model.eval()(ids_BL), model(ids_BL))


@every_family
def test_every_preset_names_its_published_tensors(family):
    entry = FAMILIES[family]
    for name, preset in entry.presets.items():
        with torch.device("meta"):
            model = entry.model(replace(preset, layers=1))
        ours = {parameter for parameter, _ in model.named_parameters()}
        assert entry.weights(model.config).keys() == ours, name
        assert entry.from_hugging_face(entry.to_hugging_face(preset)) == preset, name


@every_family
def test_an_unknown_setting_in_a_config_is_refused_by_name(family, tmp_path):
    save_model(tmp_path / "model", small_model(family), None, provenance={}, generation=None, card="")
    (tmp_path / "model" / "manifest.json").unlink()
    config = read_json(tmp_path / "model" / "config.json")
    write_json(tmp_path / "model" / "config.json", {**config, "swirl_factor": 2})
    with pytest.raises(FolderError, match="swirl_factor"):
        load_model(tmp_path / "model")
