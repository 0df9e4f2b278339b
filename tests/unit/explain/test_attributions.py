"""Attributions say what they promise: complete, exact where the model is linear, zero where nothing depends."""

import numpy as np
import pytest
import torch
from torch import nn

from lexloom.base.errors import UserError
from lexloom.explain.attributions import TOLERANCE, integrated_gradients, occlusion
from lexloom.explain.explanation import MOST_TARGETS, answer, explain
from lexloom.explain.targets import EXPLAINABLE, LOG_ODDS, Target, log_odds
from lexloom.explain.words import Word
from lexloom.models import modernbert, new_model
from lexloom.tasks import TASKS, Piece
from lexloom.tasks.encoding import FIRST
from tests.understanding import EXAMPLES, labelled, model_for, setting_of, tagged

every_task = pytest.mark.parametrize("name", EXPLAINABLE)
BLANK = 0
LABELS = {"tag": "LOC"}  # an untrained tagger finds no entity by itself


class Table(nn.Module):
    """A model whose states are its embeddings: whatever the target makes of them is all there is."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = torch.tensor(vectors)

    def embed(self, ids_BL, *, types_BL=None):
        return self.vectors[ids_BL]

    def encode(self, x_BLD):
        return x_BLD

    def hidden(self, ids_BL, *, types_BL=None):
        return self.encode(self.embed(ids_BL))


VECTORS = [[0.0, 0.0], [1.0, 2.0], [3.0, -1.0], [0.5, 0.5]]
PIECES = (Piece([3, 1, 2, 1], [0] * 4, [FIRST]),)
WORDS = tuple(Word(0, place, place + 1, ((0, place),)) for place in (1, 2, 3))


def target(value):
    return Target("test", LOG_ODDS, (0,), lambda model, states: value(states[0]))


@pytest.fixture(params=["gradients", "occlusion"])
def method(request):
    return {"gradients": integrated_gradients, "occlusion": occlusion}[request.param]


def test_a_linear_function_is_attributed_exactly(method):
    weights = torch.tensor([2.0, -1.0])
    found = method(Table(VECTORS), PIECES, WORDS, target(lambda x_KLD: (x_KLD @ weights).sum(dim=1)), blank=BLANK)
    assert found.values == pytest.approx([0.0, 7.0, 0.0])
    assert (found.output - found.baseline, found.error) == pytest.approx((7.0, 0.0), abs=1e-6)


def test_a_word_that_nothing_depends_on_gets_nothing(method):
    found = method(Table(VECTORS), PIECES, WORDS, target(lambda x_KLD: x_KLD[:, 2].prod(dim=-1)), blank=BLANK)
    assert found.values[0] == found.values[2] == 0.0
    assert found.values[1] == pytest.approx(-3.0)


def test_a_bend_in_the_path_is_met_with_more_steps_and_what_is_left_is_said():
    def step(x_KLD):
        return torch.sigmoid(4000 * (x_KLD[:, 2, 0] - 1.0))

    found = integrated_gradients(Table(VECTORS), PIECES, WORDS, target(step), blank=BLANK)
    assert found.steps > 16
    assert found.complete == (abs(found.error) <= TOLERANCE * sum(map(abs, found.values)))
    assert not found.complete


def test_occlusion_is_the_fall_of_the_output_when_the_word_is_masked():
    setting = setting_of("classify")
    model = model_for("classify", setting).eval()
    example = EXAMPLES["classify"][0]
    found = explain(model, "classify", example, setting, label="good", methods=["occlusion"])
    answered = answer(model, "classify", example, setting)
    for word, value in zip(found.words, found.explained[0].attribution.values, strict=True):
        (piece,) = answered.encoded.pieces
        ids = list(piece.ids)
        for _, place in word.tokens:
            ids[place] = setting.tokenizer.names["mask"]
        with torch.no_grad():
            scores = [model.scores(model.hidden(torch.tensor([row]))[0, FIRST]) for row in (piece.ids, ids)]
        column = setting.labels.index("good")
        assert value == pytest.approx(float(log_odds(scores[0], column) - log_odds(scores[1], column)), abs=1e-5)


@every_task
def test_integrated_gradients_are_complete_for_every_task(name):
    setting = setting_of(name)
    model = model_for(name, setting)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    for example in EXAMPLES[name][:3]:
        found = explain(model, name, example, setting, label=LABELS.get(name), methods=["gradients"])
        assert found.explained
        for explained in found.explained:
            attribution = explained.attribution
            assert attribution.complete
            assert abs(attribution.error) < 1e-3 * sum(map(abs, attribution.values))
            assert any(attribution.values)


@every_task
def test_the_output_explained_is_that_of_the_answer(name):
    """The target's value on the text can be recomputed from the head's outputs that the answer was decoded from."""
    setting = setting_of(name)
    model = model_for(name, setting)
    example = EXAMPLES[name][0]
    answered = answer(model, name, example, setting)
    found = explain(model, name, example, setting, label=LABELS.get(name), methods=["occlusion"]).explained[0]
    value = found.attribution.output
    match name:
        case "classify" | "relation":
            share = answered.prediction["probability"]
            assert value == pytest.approx(np.log(share / (1 - share)), abs=1e-4)
        case "regress" | "similarity":
            assert value == pytest.approx(answered.prediction["score"], abs=1e-5)
        case "choice":
            share = answered.prediction["probability"]
            assert value == pytest.approx(np.log(share / (1 - share)), abs=1e-4)
        case "tag":
            scores_WC = torch.tensor(np.concatenate(answered.outputs))
            column = setting.labels.index("B-LOC")
            assert any(value == pytest.approx(float(log_odds(row, column)), abs=1e-4) for row in scores_WC)
        case "span":
            start_S = torch.tensor(answered.outputs[0][:, 0])
            assert any(value == pytest.approx(float(log_odds(start_S, s)), abs=1e-4) for s in range(len(start_S)))


@every_task
def test_long_texts_read_in_windows_are_explained(name):
    long = setting_of(name, max_tokens=24, **({"long_texts": "windows"} if name in ("classify", "regress") else {}))
    model = model_for(name, long)
    example = max(EXAMPLES[name], key=lambda example: len(str(example)))
    found = explain(model, name, example, long, label=LABELS.get(name))
    assert found.explained[0].attribution.complete
    assert len(found.attention) == len(answer(model, name, example, long).encoded.pieces)


def test_every_task_of_an_encoder_can_be_explained():
    assert EXPLAINABLE.keys() == {name for name, task in TASKS.items() if "encoder" in task.needs}


def test_another_label_can_be_asked_about_and_an_unknown_one_is_refused_with_those_there_are():
    setting = setting_of("classify")
    model = model_for("classify", setting)
    good, bad = (
        explain(model, "classify", labelled("a film", target=None), setting, label=label, methods=["occlusion"])
        for label in ("good", "bad")
    )
    assert good.explained[0].attribution.values == pytest.approx(-np.array(bad.explained[0].attribution.values))
    with pytest.raises(UserError, match=r"no label 'god'.*\n.*bad, good"):
        explain(model, "classify", labelled("a film", target=None), setting, label="god")


def test_a_text_without_entities_asks_for_a_type():
    setting = setting_of("tag")
    model = model_for("tag", setting)
    with torch.no_grad():
        model.score.bias.copy_(torch.tensor([9.0, 0, 0, 0, 0]))
    with pytest.raises(UserError, match=r"no entity.*\n.*--label.*LOC, PER"):
        explain(model, "tag", EXAMPLES["tag"][2], setting)


def test_log_odds_do_not_change_when_all_scores_rise():
    scores = torch.tensor([1.0, 2.0, 4.0])
    share = torch.softmax(scores, 0)[1]
    assert float(log_odds(scores + 5, 1)) == pytest.approx(float(torch.log(share / (1 - share))), abs=1e-5)
    assert log_odds(torch.tensor([0.7]), 0) == pytest.approx(0.7)


def test_a_modernbert_is_explained_too():
    setting = setting_of("classify")
    config = modernbert.Config(
        vocab_size=setting.tokenizer.vocab_size, width=32, layers=3, heads=4, ffn_width=64, context=64, head="sequence",
    )  # fmt: skip
    found = explain(new_model("modernbert", config, seed=0), "classify", EXAMPLES["classify"][3], setting)
    assert found.explained[0].attribution.complete
    np.testing.assert_allclose(found.attention[0].weights_NHLL.sum(axis=-1), 1, atol=1e-5)


def test_of_very_many_entities_the_first_are_explained_and_the_others_named():
    setting = setting_of("tag")
    model = model_for("tag", setting)
    with torch.no_grad():
        model.score.bias.copy_(torch.tensor([9.0 * (label == "B-LOC") for label in setting.labels]))
    example = tagged("a b c d e f g h i j k")
    found = explain(model, "tag", example, setting, methods=["occlusion"])
    assert len(found.explained) == MOST_TARGETS
    assert found.left_out == ("LOC: i", "LOC: j", "LOC: k")


@pytest.mark.parametrize("text", ["", " ", "\u200b"])
def test_a_text_without_a_word_is_refused(text):
    setting = setting_of("classify")
    with pytest.raises(UserError, match="no word"):
        explain(model_for("classify", setting), "classify", labelled(text, target=None), setting)
