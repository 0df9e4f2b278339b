"""What every family of models promises, over one table: a newcomer's entry is tested before its first own test."""

from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn import functional

from lexloom.base.errors import FolderError, UserError
from lexloom.base.files import read_json, write_json
from lexloom.base.rng import generator
from lexloom.models import FAMILIES, new_model, with_head
from lexloom.models.folder import load_model, save_model
from lexloom.models.reading import reading
from lexloom.nn.attention import recorded_attention
from lexloom.nn.dropout import seed_dropout
from lexloom.nn.likelihood import log_probabilities, total_nats
from lexloom.nn.linear import linear
from lexloom.nn.loss import IGNORE, vocabulary_loss
from lexloom.nn.source import Source, recorded_source_attention, source_of
from tests.counting import COUNTED, counted_model, random_documents
from tests.solving import SOLVED, solved_model

VOCAB_SIZE = 97
CONTEXT = 48
LABELS = 5
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
    "rnn": {"width": 64, "layers": 2, "tied": False},
    "bert": {"width": 24, "layers": 2, "heads": 3, "ffn_width": 40, "types": 3},
    "modernbert": {"width": 24, "layers": 3, "heads": 3, "ffn_width": 28, "window": 4, "global_every": 2},
    "transformer": {"width": 24, "layers": 2, "decoder_layers": 3, "heads": 3, "ffn_width": 40, "start_id": 5},
    "t5": {
        "width": 20,
        "layers": 2,
        "decoder_layers": 3,
        "heads": 3,
        "head_width": 8,
        "ffn_width": 28,
        "buckets": 8,
        "furthest": 16,
        "gated": True,
        "tied": False,
        "scaled": False,
        "start_id": 5,
    },
    "ngram": {"order": 4},
    "bow": {},
    "rnn-attention": {"width": 32, "layers": 1, "decoder_layers": 2, "start_id": 5},
    "birnn": {"width": 24, "layers": 2, "embedding_width": 14},
    "word2vec": {"width": 24},
    "glove": {"width": 24},
    "elmo": {
        "layers": 2,
        "char_width": 6,
        "filters": (4, 6, 8),
        "highways": 1,
        "projection": 7,
        "cell_width": 12,
        "frozen": False,
    },
}
# The states that a change of one token alters, where not those of all tokens: its own one, or the first one's alone.
ITSELF, FIRST = "itself", "first"
SEEN: dict[str, dict[str, str]] = {
    "birnn": {"sequence": FIRST},
    "bow": {"sequence": FIRST},
    "word2vec": {"none": ITSELF, "token": ITSELF, "sequence": FIRST},
    "glove": {"none": ITSELF, "token": ITSELF, "sequence": FIRST},
}
IN_ONE_GO = (*COUNTED, *SOLVED)
WRITERS = [name for name, family in FAMILIES.items() if family.kind != "encoder"]
HEADS = [(name, head) for name, family in FAMILIES.items() for head in family.heads]
every_family = pytest.mark.parametrize("family", FAMILIES)
every_writer = pytest.mark.parametrize("family", WRITERS)
every_translator = pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if family.kind == "encoder-decoder"]
)
every_head = pytest.mark.parametrize(("family", "head"), HEADS)
everything = pytest.mark.parametrize(("family", "head"), [*((name, None) for name in WRITERS), *HEADS])


def small_config(family: str, head: str | None = None, *, dropout: float = 0.0) -> Any:
    config = FAMILIES[family].config(vocab_size=VOCAB_SIZE, context=CONTEXT, **SMALL[family])
    config = config if head is None else replace(config, head=head)
    config = replace(config, labels=LABELS) if head in ("sequence", "token") else config
    return replace(config, **{field: dropout for field in asdict(config) if field.endswith("dropout")})


def small_model(family: str, head: str | None = None) -> Any:
    """Weights large enough for scores that differ clearly; what is counted or solved learns random texts."""
    if family in COUNTED:
        return counted_model(family, small_config(family), random_documents(1, words=VOCAB_SIZE - 1, documents=300))
    if family in SOLVED:
        return solved_model(family, small_config(family, head))
    model = new_model(family, small_config(family, head), seed=1).eval()
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.15)
    return model


def random_ids(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(seed))


def all_outputs(model: Any, ids_BL: torch.Tensor, runs: list[int] | None = None) -> torch.Tensor:
    """Everything that the model makes of its hidden states, (B, L, columns)."""
    if not hasattr(model, "next_scores") or model.next is None:
        return model(ids_BL, runs=runs)
    x_BLD = model.hidden(ids_BL, runs=runs)
    return torch.cat([model.scores(x_BLD), model.next_scores(x_BLD)], dim=-1)


# ---- promises of all models ----


@pytest.mark.parametrize(
    ("family", "head"), [case for case in [*((name, None) for name in WRITERS), *HEADS] if case[0] not in IN_ONE_GO]
)
def test_gradients_reach_every_parameter(family, head):
    model = small_model(family, head).train()
    outputs_BLC = all_outputs(model, random_ids(2, CONTEXT))
    (outputs_BLC * torch.randn(outputs_BLC.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still


@everything
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(family, head):
    first, again, other = (new_model(family, small_config(family, head), seed=seed) for seed in (5, 5, 6))
    for (name, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
        if a.dim() > 1 and family not in IN_ONE_GO:
            assert not torch.equal(a, c), name


@everything
def test_saved_and_loaded_weights_are_equal_bit_for_bit(family, head, tmp_path):
    model = small_model(family, head)
    save_model(tmp_path / "model", model, None, provenance={"seed": 1}, generation={"top_k": 3}, card="# A card\n")
    found = load_model(tmp_path / "model")
    assert (found.family, found.model.config) == (family, model.config)
    assert found.facts["provenance"] == {"seed": 1}
    assert found.generation.get("top_k") == (None if FAMILIES[family].kind == "encoder" else 3)
    state = found.model.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@everything
def test_packed_documents_score_as_each_alone(family, head):
    """No padding and no attention across documents, forward and backward."""
    model = small_model(family, head)
    rng = generator("runs", family)
    for _ in range(10):
        runs = [*rng.integers(5, 12, size=6).tolist(), 7, 7, 7]
        runs.append(96 - sum(runs))
        ids_T = torch.from_numpy(rng.integers(VOCAB_SIZE, size=96))
        alone = torch.cat([all_outputs(model, piece[None])[0] for piece in ids_T.split(runs)])
        packed = all_outputs(model, ids_T.view(2, 48), runs).flatten(0, 1)
        assert (alone - packed).abs().max() < TOLERANCE
        if family in IN_ONE_GO:
            continue
        weight = torch.randn(alone.shape, generator=torch.Generator().manual_seed(0))
        gradients = [torch.autograd.grad((x * weight).sum(), list(model.parameters())) for x in (alone, packed)]
        assert all((a - b).abs().max() < TOLERANCE * max(1.0, a.abs().max()) for a, b in zip(*gradients, strict=True))


@everything
def test_dropout_changes_training_but_not_evaluation(family, head):
    model = new_model(family, small_config(family, head, dropout=0.3), seed=1)
    ids_BL = random_ids(2, 9)
    drops = any(field.endswith("dropout") for field in asdict(model.config))
    assert torch.equal(model.train()(ids_BL), model(ids_BL)) != drops
    assert torch.equal(model.eval()(ids_BL), model(ids_BL))


@everything
def test_a_text_beyond_the_context_is_refused(family, head):
    with pytest.raises(UserError, match="context of 48"):
        small_model(family, head)(random_ids(1, CONTEXT + 1))


@pytest.mark.parametrize("family", [name for name, small in SMALL.items() if "heads" in small])
def test_recorded_attention_is_what_every_layer_computed_with(family):
    model = small_model(family)
    ids_BL, runs = random_ids(2, 12), [5, 5, 13, 1]
    with torch.no_grad():
        plain = model(ids_BL, runs=runs)
        with recorded_attention() as layers:
            assert (model(ids_BL, runs=runs) - plain).abs().max() < TOLERANCE
        model(ids_BL)
    assert len(layers) == model.config.layers + getattr(model.config, "writing_layers", 0)
    for layer in layers:
        assert [tuple(weights_HLL.shape) for weights_HLL in layer] == [(model.config.heads, n, n) for n in runs]
        assert all((weights_HLL.sum(-1) - 1).abs().max() < TOLERANCE for weights_HLL in layer)


@every_family
def test_every_preset_names_its_published_tensors(family):
    entry = FAMILIES[family]
    for name, preset in entry.presets.items():
        with torch.device("meta"):
            model = entry.model(replace(preset, layers=1) if hasattr(preset, "layers") else preset)
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


# ---- promises of encoders ----


@every_head
def test_scores_at_picked_spots_are_those_of_the_whole_text(family, head):
    model = small_model(family, head)
    ids_BL = random_ids(2, 7)
    x_BLD = model.hidden(ids_BL)
    assert x_BLD.shape == (2, 7, model.config.width)
    if hasattr(model, "embed"):
        assert torch.equal(model.encode(model.embed(ids_BL)), x_BLD)
    columns = {"none": model.config.width, "sequence": LABELS, "token": LABELS, "span": 2, "choice": 1}
    columns["bidirectional"] = 2 * VOCAB_SIZE
    assert model(ids_BL).shape == (2, 7, columns.get(head, VOCAB_SIZE))
    if head != "none":
        spots_S = torch.tensor([0, 3, 9])
        expected_SC = model(ids_BL).flatten(0, 1)[spots_S]
        assert (model.scores(x_BLD.flatten(0, 1)[spots_S]) - expected_SC).abs().max() < TOLERANCE
        assert (model.scores(model.hidden(ids_BL, spots_S=spots_S)) - expected_SC).abs().max() < TOLERANCE


@every_head
def test_every_token_sees_as_much_of_its_text_as_the_family_says(family, head):
    model = small_model(family, head)
    ids_BL = random_ids(1, 20)
    changed_BL = ids_BL.clone()
    changed_BL[0, 12] = (changed_BL[0, 12] + 1) % VOCAB_SIZE
    with torch.no_grad():
        difference_L = (model.hidden(ids_BL) - model.hidden(changed_BL)).abs().amax(dim=(0, 2))
    seen = {None: range(20), ITSELF: [12], FIRST: [0]}[SEEN.get(family, {}).get(head)]
    assert difference_L.nonzero().flatten().tolist() == list(seen)


@pytest.mark.parametrize(("family", "head"), [case for case in HEADS if case[1] in ("masked", "pretraining")])
def test_features_times_the_embedding_are_the_vocabulary_scores(family, head):
    model = small_model(family, head)
    x_SD = model.hidden(random_ids(1, 9))[0]
    found_SV = linear(model.features(x_SD), model.head_weight_VD, model.head_bias_V)
    assert torch.equal(found_SV, model.scores(x_SD))


BOUNDED = ("birnn", "none")
"""States between −1 and 1, which are no scores."""


@pytest.mark.parametrize(
    ("family", "head"), [case for case in HEADS if case[1] not in SEEN.get(case[0], {}) and case != BOUNDED]
)
def test_learns_eight_texts_by_heart(family, head):
    """At every token one column of the output learns the sign that this column has in this text."""
    model = new_model(family, small_config(family, head), seed=1).train()
    ids_BL, signs_BC = random_ids(8, 12), random_ids(8, 2 * VOCAB_SIZE, seed=4) % 2 * 2.0 - 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95))

    def loss():
        outputs_BLC = model(ids_BL)
        columns_BL = ids_BL % outputs_BLC.shape[-1]
        found_BL = outputs_BLC.gather(2, columns_BL[..., None]).squeeze(2)
        return functional.softplus(-signs_BC.gather(1, columns_BL) * found_BL).mean()

    seed_dropout("by heart")
    for _ in range(300):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    model.eval()
    assert loss() < 0.2, "a coin gives 0.69"


@every_head
def test_another_head_keeps_the_encoder_and_names_what_is_new(family, head):
    model = small_model(family)
    other, fresh = with_head(model, head, LABELS, seed=7)
    again, _ = with_head(model, head, LABELS, seed=7)
    ids_BL = random_ids(2, 9)
    if SEEN.get(family, {}).get(head) != FIRST:  # else the head decides what is pooled
        assert torch.equal(other.hidden(ids_BL), model.hidden(ids_BL))
    assert torch.equal(other(ids_BL), again(ids_BL))
    kept = dict(model.named_parameters())
    for name, parameter in other.named_parameters():
        assert (name in fresh) != (name in kept and torch.equal(parameter, kept[name])), name
        assert name not in kept or parameter.data_ptr() != kept[name].data_ptr()
    assert (other.config.head, other.training) == (head, model.training)


@pytest.mark.parametrize("family", [name for name, head in HEADS if head == "token"])
def test_a_head_is_drawn_anew_only_if_it_changes(family):
    model, _ = with_head(small_model(family), "token", 3, seed=7)
    assert with_head(model, "token", 3, seed=8)[1] == []
    assert with_head(model, "token", 4, seed=8)[1] == ["score.weight", "score.bias"]
    assert {"score.weight", "score.bias"} <= set(with_head(model, "sequence", 3, seed=8)[1])
    with pytest.raises(UserError, match="tokens"):
        with_head(model, "tokens", 3, seed=8)


# ---- promises of what writes: decoders, and encoder–decoders that have read a text ----


SOURCE = [17, 3, 96, 0, 41, 5, 77]


class Reader:
    """An encoder–decoder all of whose rows look at the same source, so that it is a decoder."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config
        self.scores, self.features, self.head_weight_VD = model.scores, model.features, model.head_weight_VD

    def hidden(self, ids_BL: torch.Tensor, *, runs: Any = None, cache: Any = None) -> torch.Tensor:
        source = self._source(len(ids_BL if runs is None else runs)) if cache is None else None
        return self.model.hidden(ids_BL, source=source, runs=runs, cache=cache)

    def __call__(self, ids_BL: torch.Tensor, **more: Any) -> torch.Tensor:
        return self.scores(self.hidden(ids_BL, **more))

    def new_cache(self, batch: int, tokens: int) -> Any:
        return self.model.new_cache(batch, tokens, source=self._source(batch))

    def _source(self, texts: int) -> Source:
        return source_of(self.model.encode(torch.tensor([SOURCE] * texts)))


def small_writer(family: str) -> Any:
    model = small_model(family)
    return Reader(model) if FAMILIES[family].kind == "encoder-decoder" else model


@every_writer
def test_shapes_are_those_of_the_contract(family):
    model = small_writer(family)
    ids_BL = random_ids(2, 7)
    hidden_BLD = model.hidden(ids_BL)
    assert hidden_BLD.shape == (2, 7, model.config.width)
    if family not in COUNTED:
        assert model.head_weight_VD.shape == (VOCAB_SIZE, model.config.width)
    assert model(ids_BL).shape == (2, 7, VOCAB_SIZE)
    assert torch.equal(model.scores(hidden_BLD), model(ids_BL))


@pytest.mark.parametrize("family", [name for name in WRITERS if FAMILIES[name].kind == "decoder"])
def test_the_likelihood_of_targets_is_that_of_all_scores(family):
    model = small_model(family)
    x_TD, targets_T = model.hidden(random_ids(2, 20)).flatten(0, 1), random_ids(40, seed=4)
    with torch.no_grad():
        expected_T = model.scores(x_TD).log_softmax(-1).gather(1, targets_T[:, None])[:, 0]
        assert (log_probabilities(model, x_TD, targets_T) - expected_T).abs().max() < TOLERANCE
        targets_T[:7] = IGNORE
        assert total_nats(model, x_TD, targets_T).item() == pytest.approx(-expected_T[7:].sum().item(), rel=1e-5)


@every_writer
def test_no_token_sees_a_later_one(family):
    model = small_writer(family)
    ids_BL = random_ids(1, 20)
    changed_BL = ids_BL.clone()
    changed_BL[0, 12] = (changed_BL[0, 12] + 1) % VOCAB_SIZE
    with torch.no_grad():
        difference_L = (model(ids_BL) - model(changed_BL)).abs().amax(dim=(0, 2))
    assert difference_L[:12].max() == 0
    reach = 1 if family in COUNTED else 8  # how far a counted model sees is a matter of what it has counted
    assert (difference_L[12 : 12 + reach] > 0).all()


@every_writer
def test_cached_chunked_batched_and_plain_scores_agree(family):
    """Fault I1: random prompts of unequal lengths, prefilled in random chunks, in random company."""
    model = small_writer(family)
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


@every_writer
def test_kept_rows_go_on_where_they_were(family):
    model = small_writer(family)
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


@every_writer
def test_rows_that_join_and_are_taken_go_on_as_if_alone(family):
    model = small_writer(family)
    ids_BL = random_ids(4, 12)
    cache, other, third = model.new_cache(2, 20), model.new_cache(1, 30), model.new_cache(1, 20)
    with torch.inference_mode():
        model(ids_BL[:2, :10], cache=cache)
        cache.truncate(1, 4)
        model(ids_BL[2:3, :12], cache=other)
        model(ids_BL[3:, :3], cache=third)
        cache.join(other)
        cache.keep([2, 1])
        cache.join(third)
        cache.join(cache.take(0, 5, 20))
        next_BL = random_ids(4, 2, seed=9)
        found = model(next_BL, cache=cache)
        for row, (old, length) in enumerate([(2, 12), (1, 4), (3, 3), (2, 5)]):
            whole = model(torch.cat([ids_BL[old, :length], next_BL[row]])[None])[0, -2:]
            assert (found[row] - whole).abs().max() < TOLERANCE


@every_writer
def test_a_full_cache_is_refused(family):
    model = small_writer(family)
    cache = model.new_cache(1, 4)
    with torch.inference_mode():
        model(random_ids(1, 3), cache=cache)
        with pytest.raises(UserError, match="cache of 4"):
            model(random_ids(1, 2), cache=cache)
        assert cache.lengths == [3], "a refused pass must not count"
    with pytest.raises(UserError, match="context of 48"):
        model.new_cache(1, CONTEXT + 1)


@pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if family.kind == "decoder" and name not in COUNTED]
)
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


@pytest.mark.parametrize("family", COUNTED)
def test_counts_eight_texts_and_knows_them(family):
    texts = random_ids(8, 12, seed=5).tolist()
    model = counted_model(family, small_config(family), texts)
    ids_BL = torch.tensor([[0, *text] for text in texts])
    x_TD = model.hidden(ids_BL[:, :-1]).flatten(0, 1)
    assert total_nats(model, x_TD, ids_BL[:, 1:].flatten()) / (8 * 12) < 2.5, "what knows nothing has 4.6"


# ---- promises of encoder–decoders ----


def random_texts(rng: Any, *lengths: int) -> list[list[int]]:
    return [rng.integers(VOCAB_SIZE, size=length).tolist() for length in lengths]


def flat(texts: list[list[int]]) -> list[int]:
    return [token for text in texts for token in text]


def packed(model: Any, sources: list[list[int]]) -> Source:
    runs = [len(text) for text in sources]
    return source_of(model.encode(torch.tensor([flat(sources)]), runs=runs), runs)


def alone(model: Any, source: list[int], target: list[int]) -> torch.Tensor:
    return model(torch.tensor([target]), source_BL=torch.tensor([source]))[0]


@every_translator
def test_packed_pairs_score_as_each_alone(family):
    """Forward and backward, where the lengths of sources and targets repeat and where they don't."""
    model = small_model(family)
    rng = generator("pairs", family)
    for _ in range(10):
        sources = random_texts(rng, *rng.integers(1, 12, size=6).tolist(), 7, 7, 7)
        targets = random_texts(rng, *rng.integers(1, 12, size=7).tolist(), 4, 4)
        apart = torch.cat([alone(model, *pair) for pair in zip(sources, targets, strict=True)])
        runs = [len(text) for text in targets]
        x_1TD = model.hidden(torch.tensor([flat(targets)]), source=packed(model, sources), runs=runs)
        together = model.scores(x_1TD)[0]
        assert (apart - together).abs().max() < TOLERANCE
        weight = torch.randn(apart.shape, generator=torch.Generator().manual_seed(0))
        gradients = [torch.autograd.grad((x * weight).sum(), list(model.parameters())) for x in (apart, together)]
        assert all((a - b).abs().max() < TOLERANCE * max(1.0, a.abs().max()) for a, b in zip(*gradients, strict=True))


@every_translator
def test_every_target_token_sees_its_whole_source_and_no_other(family):
    model = small_model(family)
    rng = generator("sees", family)
    sources, target = random_texts(rng, 6, 9), random_texts(rng, 5)[0]
    expected_LV = alone(model, sources[0], target)
    for place in range(6):
        changed = [*sources[0]]
        changed[place] = (changed[place] + 1) % VOCAB_SIZE
        assert ((alone(model, changed, target) - expected_LV).abs().amax(1) > 0).all()
    both_BLD = model.hidden(torch.tensor([target, target]), source=packed(model, sources))
    assert (model.scores(both_BLD[0]) - expected_LV).abs().max() < TOLERANCE


@every_translator
def test_beams_of_many_sources_go_on_where_they_were(family):
    """Rows are kept again and again, doubled, exchanged and dropped, sources with them."""
    model = small_model(family)
    rng = generator("beams", family)
    sources = random_texts(rng, 5, 9, 1, 9, 3)
    with torch.inference_mode():
        cache = model.new_cache(len(sources), CONTEXT, source=packed(model, sources))
        rows = [(source, []) for source in sources]
        for _ in range(12):
            new = rng.integers(VOCAB_SIZE, size=(len(rows), int(rng.integers(1, 3)))).tolist()
            rows = [(source, target + ids) for (source, target), ids in zip(rows, new, strict=True)]
            found_BLV = model.scores(model.hidden(torch.tensor(new), cache=cache))
            for found_LV, row in zip(found_BLV, rows, strict=True):
                assert (found_LV - alone(model, *row)[-len(new[0]) :]).abs().max() < TOLERANCE
            kept = rng.integers(len(rows), size=int(rng.integers(1, 9))).tolist()
            cache.keep(kept)
            rows = [rows[row] for row in kept]


@every_translator
def test_beams_share_the_keys_of_their_source(family):
    model = small_model(family)
    sources = random_texts(generator("shared", family), 5, 9)
    with torch.inference_mode():
        cache = model.new_cache(2, CONTEXT, source=packed(model, sources))
        model.hidden(torch.tensor([[1], [2]]), cache=cache)
        before = cache.source_bytes
        cache.keep([0, 0, 0, 1, 1, 1])
        assert cache.source_bytes == before
        cache.keep([4, 4])
        assert cache.source_bytes <= before / 2


@every_translator
def test_recorded_attention_to_the_source_is_what_every_layer_computed_with(family):
    model = small_model(family)
    sources, targets = (random_texts(generator("look", family), *lengths) for lengths in ((5, 9, 5), (4, 2, 7)))
    runs = [len(text) for text in targets]
    with torch.no_grad():
        given, ids_1T = packed(model, sources), torch.tensor([flat(targets)])
        plain = model.hidden(ids_1T, source=given, runs=runs)
        with recorded_source_attention() as layers:
            assert (model.hidden(ids_1T, source=given, runs=runs) - plain).abs().max() < TOLERANCE
        with recorded_source_attention() as apart:
            alone(model, sources[1], targets[1])
    assert len(layers) == (model.config.writing_layers if family != "rnn-attention" else 1)
    for layer, single in zip(layers, apart, strict=True):
        shapes = [(getattr(model.config, "heads", 1), len(t), len(s)) for s, t in zip(sources, targets, strict=True)]
        assert [tuple(weights_HLS.shape) for weights_HLS in layer] == shapes
        assert all((weights_HLS.sum(-1) - 1).abs().max() < TOLERANCE for weights_HLS in layer)
        assert (layer[1] - single[0]).abs().max() < TOLERANCE


@every_translator
def test_features_times_the_head_are_the_vocabulary_scores(family):
    model = small_model(family)
    x_SD = torch.randn(4, model.config.width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(linear(model.features(x_SD), model.head_weight_VD, model.head_bias_V), model.scores(x_SD))


@every_translator
def test_learns_eight_pairs_by_heart(family):
    """Targets that only the source tells."""
    model = new_model(family, small_config(family), seed=1).train()
    rng = generator("by heart", family)
    sources = random_texts(rng, 3, 5, 7, 3, 5, 7, 4, 9)
    targets = random_texts(rng, 6, 6, 6, 6, 4, 4, 4, 4)
    runs = [len(text) for text in targets]
    ids_1T = torch.tensor([[token for text in targets for token in (model.config.start_id, *text[:-1])]])
    targets_T = torch.tensor(flat(targets))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.95))
    for _ in range(120):
        x_TD = model.features(model.hidden(ids_1T, source=packed(model, sources), runs=runs)[0])
        loss = vocabulary_loss(x_TD, model.head_weight_VD, targets_T, bias=model.head_bias_V) / len(targets_T)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3


@every_translator
def test_a_source_beyond_the_context_or_without_words_is_refused(family):
    model = small_model(family)
    with pytest.raises(UserError, match="context of 48"):
        model.encode(random_ids(1, CONTEXT + 1))
    for text, message in (([1] * (CONTEXT + 1), "context of 48"), ([], "empty"), ([VOCAB_SIZE], "vocabulary of 97")):
        with pytest.raises(UserError, match=f"source text 1 .*{message}"):
            reading(model, [[1], text])
