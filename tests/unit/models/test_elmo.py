"""ELMo: AllenNLP's weights give AllenNLP's states, and a task learns features without touching what makes them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from lexloom.base.errors import FolderError, UserError
from lexloom.models import FAMILIES, elmo, new_model, with_head
from lexloom.models.allennlp import import_elmo, is_elmo
from lexloom.models.folder import load_model
from lexloom.nn.steps import steps_of
from lexloom.text.word_bytes import characters_of, words_of
from tests.small import word_bytes_tokenizer

h5py = pytest.importorskip("h5py")

OPTIONS = {
    "lstm": {
        "cell_clip": 0.6,
        "proj_clip": 0.5,
        "use_skip_connections": True,
        "n_layers": 2,
        "projection_dim": 5,
        "dim": 7,
    },
    "char_cnn": {
        "embedding": {"dim": 3},
        "filters": [[1, 2], [2, 4], [3, 5]],
        "n_highway": 2,
        "n_characters": 262,
        "max_characters_per_token": 50,
        "activation": "relu",
    },
}  # fmt: skip
INNER, PROJECTION, CELL = 11, 5, 7
TOKENIZER = word_bytes_tokenizer()
SMALL = elmo.Config(
    vocab_size=TOKENIZER.vocab_size, char_width=4, filters=(4, 6, 8), highways=1, projection=6, cell_width=10,
    context=20_000, task_width=8, head="token", dropout=0.0, task_dropout=0.0,
)  # fmt: skip


def made_up():
    """Weights in AllenNLP's layout."""
    rng = np.random.default_rng(0)
    shapes = {"char_embed": (261, 3), "CNN_proj/W_proj": (INNER, PROJECTION), "CNN_proj/b_proj": (PROJECTION,)}
    shapes |= {f"CNN/W_cnn_{n}": (1, n + 1, 3, count) for n, count in enumerate((2, 4, 5))}
    shapes |= {f"CNN/b_cnn_{n}": (count,) for n, count in enumerate((2, 4, 5))}
    for n in range(2):
        shapes |= {f"CNN_high_{n}/W_{part}": (INNER, INNER) for part in ("carry", "transform")}
        shapes |= {f"CNN_high_{n}/b_{part}": (INNER,) for part in ("carry", "transform")}
    for way in range(2):
        for layer in range(2):
            cell = f"RNN_{way}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            shapes |= {f"{cell}/W_0": (2 * PROJECTION, 4 * CELL), f"{cell}/B": (4 * CELL,)}
            shapes |= {f"{cell}/W_P_0": (CELL, PROJECTION)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def written(place, weights=None, options=OPTIONS):
    place.mkdir(parents=True)
    (place / "options.json").write_text(json.dumps(options))
    with h5py.File(place / "lm_weights.hdf5", "w") as file:
        for name, values in (made_up() if weights is None else weights).items():
            file[name] = values
    return place


def by_tensorflow(weights, rows):
    """All layers for one text of rows of characters, (3, W, 2P), as TensorFlow's formulas have it."""
    w = {name: torch.from_numpy(values) for name, values in weights.items()}
    x = w["char_embed"][torch.tensor(rows)].transpose(1, 2)
    kernels = [(w[f"CNN/W_cnn_{n}"][0].permute(2, 1, 0), w[f"CNN/b_cnn_{n}"]) for n in range(3)]
    x = torch.cat([torch.relu(functional.conv1d(x, *kernel).amax(-1)) for kernel in kernels], dim=1)
    for n in range(2):
        parts = {name: w[f"CNN_high_{n}/{name}"] for name in ("W_carry", "b_carry", "W_transform", "b_transform")}
        gate = torch.sigmoid(x @ parts["W_carry"] + parts["b_carry"])
        x = gate * torch.relu(x @ parts["W_transform"] + parts["b_transform"]) + (1 - gate) * x
    x = x @ w["CNN_proj/W_proj"] + w["CNN_proj/b_proj"]
    ways, layers = [x, x.flip(0)], [torch.cat([x, x], dim=1)]
    for layer in range(2):
        cells = [f"RNN_{way}/RNN/MultiRNNCell/Cell{layer}/LSTMCell" for way in range(2)]
        said = [
            one_way(x, *(w[f"{cell}/{part}"] for part in ("W_0", "B", "W_P_0")))
            for x, cell in zip(ways, cells, strict=True)
        ]
        ways = [new + old if layer else new for new, old in zip(said, ways, strict=True)]
        layers.append(torch.cat([ways[0], ways[1].flip(0)], dim=1))
    return torch.stack(layers)


def one_way(x, matrix, bias, output):
    h, c, found = torch.zeros(PROJECTION), torch.zeros(CELL), []
    for x_t in x:
        i, j, f, o = (torch.cat([x_t, h]) @ matrix + bias).chunk(4)
        c = (torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(j)).clamp(-0.6, 0.6)
        h = ((torch.sigmoid(o) * torch.tanh(c)) @ output).clamp(-0.5, 0.5)
        found.append(h)
    return torch.stack(found)


def framed(tokenizer, *texts):
    texts = [tokenizer.frame(1).fill([tokenizer.encode(text)])[0] for text in texts]
    return torch.tensor([[token for text in texts for token in text]]), [len(text) for text in texts]


def small(**changes):
    model = new_model("elmo", replace(SMALL, **changes), seed=1)
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.1)
    return model


# ---- AllenNLP ----


def test_imported_weights_give_the_states_of_tensorflows_formulas(tmp_path):
    assert is_elmo(written(tmp_path / "elmo"))
    import_elmo(tmp_path / "elmo", tmp_path / "model")
    found = load_model(tmp_path / "model")
    texts = ["Don 't !", "U.S. forces 床前 😀", "a", "x" * 80 + " short"]
    ids_BL, runs = framed(found.tokenizer, *texts)
    ids_T = ids_BL[0].numpy()
    words = words_of(ids_T, runs)
    with torch.inference_mode():
        states_WD = found.model.hidden(ids_BL, runs=runs)[0][words.first_W]
    start = 0
    rows = characters_of(ids_T, words).tolist()
    for count in words.runs:
        expected_LWP = by_tensorflow(made_up(), rows[start : start + count])
        found_LWP = states_WD[start : start + count].unflatten(-1, (3, -1)).transpose(0, 1)
        assert (found_LWP - expected_LWP).abs().max() < 1e-5
        start += count


@pytest.fixture
def allennlp():
    """The fixture of AllenNLP 0.9.0 (Apache-2.0), from its wheel."""
    place = Path(os.environ.get("LEXLOOM_ALLENNLP", "allennlp")) / "tests" / "fixtures" / "elmo"
    if not place.is_dir():
        pytest.skip("needs LEXLOOM_ALLENNLP: the folder allennlp of the unzipped wheel allennlp 0.9.0")
    return place


def test_the_embeddings_of_allennlps_fixture_are_reproduced(allennlp, tmp_path):
    """Thirty sentences, three at a time; the states are carried on, as TensorFlow did when it wrote the fixture."""
    (tmp_path / "elmo").mkdir()
    for name in ("options.json", "lm_weights.hdf5"):
        (tmp_path / "elmo" / name).write_bytes((allennlp / name).read_bytes())
    import_elmo(tmp_path / "elmo", tmp_path / "model")
    found = load_model(tmp_path / "model")
    sentences = json.loads((allennlp / "sentences.json").read_text(encoding="utf-8"))
    expected = [h5py.File(allennlp / f"lm_embeddings_{number}.hdf5") for number in range(3)]
    carried = {}
    for batch in range(10):
        texts = [" ".join(of[batch].split()) for of in sentences]
        ids_BL, runs = framed(found.tokenizer, *texts)
        words = words_of(ids_BL[0].numpy(), runs)
        with torch.inference_mode():
            top_WP = carried_top(found.model, ids_BL[0].numpy(), words, carried)
            plain_WD = found.model.hidden(ids_BL, runs=runs)[0][words.first_W]
        for file, part_WP, plain in zip(expected, top_WP.split(words.runs), plain_WD.split(words.runs), strict=True):
            wanted_WP = torch.from_numpy(np.concatenate(list(file[str(batch)][...]), axis=-1))
            assert (part_WP[1:-1] - wanted_WP).abs().max() < 1e-5
            if batch == 0:
                assert (plain[1:-1, -part_WP.shape[1] :] - wanted_WP).abs().max() < 1e-5


def carried_top(model, ids_T, words, carried):
    """The top layer of each word, when every LSTM begins with the states that it ended the last batch with."""
    steps = steps_of(words.runs, torch.device("cpu"))
    x_WP = steps.pack(model.words(characters_of(ids_T, words)))
    ways = {"rightward": x_WP, "leftward": steps.flipped(x_WP)}
    for number, block in enumerate(model.blocks):
        for way, x in ways.items():
            before = carried.get((number, way))
            before = None if before is None else tuple(state[steps.order_R] for state in before)
            states = getattr(block, way)(x, steps, before)
            carried[number, way] = tuple(state[steps.ends_R][steps.sorted_R] for state in states)
            ways[way] = states[0] + (x if number else 0.0)
    return steps.unpack(torch.cat([ways["rightward"], steps.flipped(ways["leftward"])], dim=-1))


def changed(options, section, **values):
    return {**options, section: {**options[section], **values}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lstm": {}}, "char_cnn"),
        (changed(OPTIONS, "lstm", use_skip_connections=False), "use_skip_connections"),
        (changed(OPTIONS, "lstm", dim="7"), "dim = '7' is not a number"),
        (changed(OPTIONS, "char_cnn", n_highway=None), "n_highway"),
        (changed(OPTIONS, "lstm", dim=1 << 40), "cell_width"),
        (changed(OPTIONS, "char_cnn", filters=[[2, 3]]), "filters"),
        (changed(OPTIONS, "char_cnn", activation="gelu"), "activation"),
        (changed(OPTIONS, "lstm", dim=8), r"LSTMCell/B: expected \(32,\), found \(28,\)"),
        (changed(OPTIONS, "lstm", n_layers=3), "Cell2"),
        ([], "lstm"),
    ],
)
def test_options_that_cannot_be_computed_are_refused_by_name(tmp_path, options, message):
    with pytest.raises(FolderError, match=message):
        import_elmo(written(tmp_path / "elmo", options=options), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_weights_that_are_missing_extra_or_no_hdf5_are_refused(tmp_path):
    weights = made_up()
    del weights["char_embed"]
    with pytest.raises(FolderError, match=r"char_embed: expected \(261, 3\), found None"):
        import_elmo(written(tmp_path / "lacks", weights), tmp_path / "model")
    with pytest.raises(FolderError, match="softmax: expected None"):
        import_elmo(written(tmp_path / "more", {**made_up(), "softmax": np.zeros(3)}), tmp_path / "model")
    (written(tmp_path / "text") / "lm_weights.hdf5").write_text("no weights")
    with pytest.raises(FolderError, match="can't be read as HDF5"):
        import_elmo(tmp_path / "text", tmp_path / "model")
    with pytest.raises(FolderError, match="one is needed"):
        import_elmo(tmp_path, tmp_path / "model")


# ---- tasks ----


def test_a_task_leaves_the_language_model_as_it_is_unless_told_otherwise():
    trained = {name for name, p in small().named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"mix", "task", "score"}
    assert all(p.requires_grad for p in small(frozen=False).parameters())
    assert all(p.requires_grad for p in small(head="bidirectional").parameters())


def test_a_head_for_a_task_takes_the_language_model_along():
    model = small(head="bidirectional")
    tagger, fresh = with_head(model, "token", 3, seed=1)
    assert {name.split(".")[0] for name in fresh} == {"mix", "task", "score"}
    for name, parameter in model.named_parameters():
        assert name.startswith("foretold.") or torch.equal(tagger.get_parameter(name), parameter)
    assert not any(p.requires_grad for name, p in tagger.named_parameters() if name.startswith(("words.", "blocks.")))


def test_the_first_mix_is_the_mean_of_the_layers():
    mix = new_model("elmo", SMALL, seed=1).mix
    x = torch.randn(4, SMALL.layers_width, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mix(x), x.unflatten(-1, (3, -1)).mean(-2))


@pytest.mark.parametrize("head", ["token", "sequence"])
def test_packed_texts_are_judged_as_each_alone_with_a_network_of_the_task(head):
    model = small(head=head, frozen=False).eval()
    texts = ["the moon", "床前明月光，疑是地上霜", "a b c d e", ""]
    ids_BL, runs = framed(TOKENIZER, *texts)
    together = model(ids_BL, runs=runs)[0].split(runs)
    for text, found in zip(texts, together, strict=True):
        assert (model(framed(TOKENIZER, text)[0])[0] - found).abs().max() < 1e-5
    gradients = torch.autograd.grad(model(ids_BL, runs=runs).square().sum(), list(model.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_word_of_the_text_reaches_the_judgement_of_the_whole():
    model = small(head="sequence").eval()
    first, other = (model(framed(TOKENIZER, text)[0])[0, 0] for text in ("好 书 真 好 看", "好 书 真 难 看"))
    assert (first - other).abs().max() > 1e-4


@pytest.mark.parametrize(
    "text", ["", " ", "a" * 10_000, "😀👩\u200d👩\u200d👧" * 20, "中a文б1 ﷽ e\u0301\u0302 \ufeffx", "\u3000。"]
)
def test_any_text_has_finite_scores(text):
    ids_BL, runs = framed(TOKENIZER, text)
    scores = small().eval()(ids_BL, runs=runs)
    assert scores.shape == (1, sum(runs), SMALL.labels)
    assert scores.isfinite().all()


def test_filler_behind_words_changes_nothing():
    """Rows are cut where filters see filler only; a long word beside a short one keeps more of them."""
    words = small().words
    ids_T = framed(TOKENIZER, "a " + "b" * 48)[0][0].numpy()
    rows = characters_of(ids_T, words_of(ids_T, [len(ids_T)]))
    apart = torch.cat([words(row[None]) for row in rows])
    torch.testing.assert_close(words(rows), apart, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filters": ()}, "filters"),
        ({"filters": (4, 0)}, "filters"),
        ({"filters": (1,) * 51}, "filters"),
        ({"task_width": 7}, "can't be split over 2 directions"),
        ({"cell_clip": 0.0}, "cell_clip"),
        ({"projection": 1 << 20}, "projection"),
        ({"head": "span"}, "head"),
        ({"frozen": 1}, "neither true nor false"),
    ],
)
def test_impossible_shapes_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        replace(SMALL, **change)


def test_a_config_comes_back_from_its_file():
    family = FAMILIES["elmo"]
    for config in (SMALL, replace(SMALL, head="bidirectional", task_width=None)):
        assert family.from_hugging_face(json.loads(json.dumps(family.to_hugging_face(config)))) == config
