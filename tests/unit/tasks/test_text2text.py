"""Pairs as batches, what is cut, what is written."""

import pytest
import torch
from torch.nn import functional

from lexloom.base.ledger import Ledger
from lexloom.labelled.examples import Pair
from lexloom.nn.source import source_of
from lexloom.tasks import TASKS, Weighing
from lexloom.tasks.encoding import CUT, STAGE
from lexloom.tasks.predict import predict
from lexloom.tasks.text2text import TOO_LONG, draft, writing_of
from tests.understanding import EXAMPLES, model_for, pair, setting_of, tokenizer

TASK = TASKS["text2text"]
LONG = "a car has a wheel " * 30
START, END = tokenizer().pad_id, tokenizer().eos_id


def encoded(setting, examples=EXAMPLES["text2text"], ledger=None):
    return TASK.encode(examples, setting, Ledger() if ledger is None else ledger)


def test_the_decoder_reads_the_target_one_token_late_and_nothing_is_padded():
    setting = setting_of("text2text")
    batch = TASK.collate(encoded(setting), setting)
    read, foretold = (x.flatten().split(batch.runs) for x in (batch.ids_BL, batch.targets))
    for before, after in zip(read, foretold, strict=True):
        assert before[0] == START
        assert after[-1] == END
        assert before[1:].tolist() == after[:-1].tolist()
    assert batch.count == batch.targets.numel() == sum(batch.runs)
    assert batch.source_BL.numel() == sum(batch.source_runs)
    sources = batch.source_BL.flatten().split(batch.source_runs)
    texts = {
        tokenizer().decode(source.tolist()): tokenizer().decode(x.tolist())
        for source, x in zip(sources, foretold, strict=True)
    }
    assert texts["the wheel of a car"] == "a car has a wheel"


def test_neighbours_have_sources_of_about_one_length():
    setting = setting_of("text2text")
    runs = TASK.collate(encoded(setting), setting).source_runs
    assert list(runs) == sorted(runs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torch_s_over_the_full_scores(smoothing):
    setting = setting_of("text2text")
    model = model_for("text2text", setting).double()
    units = encoded(setting)
    found = TASK.loss(model, TASK.collate(units, setting), setting, Weighing(smoothing=smoothing))
    total = 0.0
    for one in units:
        target = torch.tensor([one.target])
        read = torch.cat([torch.tensor([[START]]), target[:, :-1]], dim=1)
        source = source_of(model.encode(torch.tensor([one.pieces[0].ids])))
        scores_LV = model.scores(model.hidden(read, source=source))[0]
        total += functional.cross_entropy(scores_LV, target[0], reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(found.sum, total, rtol=1e-9, atol=1e-7)
    assert found.count == sum(len(one.target) for one in units)


def test_a_cut_target_has_no_end_to_be_learned():
    setting, ledger = setting_of("text2text", max_tokens=24), Ledger()
    [one] = encoded(setting, [pair("a car", LONG)], ledger)
    assert len(one.target) == 24
    assert END not in one.target
    assert ledger[STAGE, CUT].documents == 1
    [one] = encoded(setting, [pair(LONG, "a car")], ledger)
    assert (len(one.pieces[0].ids), one.pieces[0].ids[-1], one.target[-1]) == (24, END, END)
    assert ledger[STAGE, CUT].documents == 2


@pytest.mark.parametrize("sides", [("a car", LONG), (LONG, "a car")])
def test_long_pairs_are_dropped_on_demand_and_still_answered(sides):
    setting, ledger = setting_of("text2text", max_tokens=24, long_pairs="drop"), Ledger()
    [one] = encoded(setting, [pair(*sides)], ledger)
    assert one.target is None
    assert len(one.pieces) == 1
    assert ledger[STAGE, TOO_LONG].examples == ["w:1"]
    model = model_for("text2text", setting).eval()
    [prediction] = predict(model, TASK, [pair(*sides)], setting, ledger=Ledger())
    assert isinstance(prediction["text"], str)


def test_the_prefix_stands_before_every_source():
    plain, told = setting_of("text2text"), setting_of("text2text", prefix="a song and ")
    one, other = (encoded(setting)[4] for setting in (plain, told))
    assert tokenizer().decode(other.pieces[0].ids) == "a song and the wheel of a car"
    assert other.target == one.target


def test_of_several_targets_the_first_is_learned_and_all_are_right():
    setting = setting_of("text2text")
    example = Pair("w:1", {}, "a car", ("a wheel", "a song"))
    [one] = encoded(setting, [example])
    assert tokenizer().decode(one.target) == "a wheel"
    assert TASK.reference(example, setting) == ["a wheel", "a song"]


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("translate", ["BLEU", "chrF2"]),
        ("summarise", ["ROUGE-1", "ROUGE-2", "ROUGE-L"]),
        ("ask", ["BLEU", "ROUGE-L"]),
    ],
)
def test_the_preset_names_the_metrics(preset, names):
    assert [metric.name for metric in TASK.judge(setting_of("text2text", preset=preset))] == names


def test_chinese_targets_are_judged_by_characters():
    examples = [
        pair(target, source) for source, target in ((one.source, one.target) for one in EXAMPLES["text2text"][:4])
    ]
    setting = setting_of("text2text", examples=examples, preset="ask")
    assert setting.settings.target_language == "zh"
    bleu, rouge = TASK.judge(setting)
    assert "tok:zh" in bleu.detail([["真好看"]])
    assert rouge.name == "ROUGE-L (characters)"
    assert setting_of("text2text").settings.target_language is None


def test_an_empty_source_has_an_empty_answer():
    setting = setting_of("text2text")
    model = model_for("text2text", setting).eval()
    [prediction] = predict(model, TASK, [pair(" ", "a")], setting, ledger=Ledger())
    assert prediction["text"] == ""


def test_several_texts_are_given_with_their_scores_the_best_first():
    setting = setting_of("text2text", writing={"beams": 4, "n_best": 3, "max_tokens": 8})
    model = model_for("text2text", setting, seed=2).eval()
    for prediction in predict(model, TASK, EXAMPLES["text2text"], setting, ledger=Ledger()):
        scores = [prediction["score"], *(other["score"] for other in prediction["others"])]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


def test_training_measures_itself_without_a_search():
    setting = setting_of("text2text")
    assert (writing_of(setting).beams, writing_of(draft(setting)).beams) == (4, 1)


def test_nothing_longer_than_the_limit_is_written():
    setting = setting_of("text2text", writing={"beams": 2, "max_tokens": 3})
    model = model_for("text2text", setting, seed=2).eval()
    answers = TASK.answer(model, encoded(setting), setting, 1024, 1)
    assert all(len(hypothesis.ids) <= 3 for [hypotheses] in answers for hypothesis in hypotheses)
