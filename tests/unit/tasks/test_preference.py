"""Preferences are learned by the loss of the paper, to the digits of a plain reimplementation with two models."""

import copy
from dataclasses import replace

import pytest
import torch

from lexloom.base.ledger import Ledger
from lexloom.base.rng import generator
from lexloom.labelled.examples import Preference
from lexloom.tasks import TASKS, Weighing, fit_setting
from lexloom.tasks.batches import EncodedExamples, objective
from lexloom.tasks.encoding import CUT, STAGE
from lexloom.tasks.predict import predict
from lexloom.tasks.said import TURNS_DROPPED
from lexloom.text.chat import CHAT_FORMATS, Message
from tests.chatting import speaker_tokenizer, write_speaker
from tests.understanding import preference

PREFERENCE = TASKS["preference"]
TURNS = (Message("user", "Hello"), Message("assistant", "Hello!"), Message("user", "What is the sky?"))
PAIRS = [
    preference("What is grass?", "green", "blue, I think"),
    preference("雪?", "白的", "绿的，绿的"),
    Preference("p:3", {}, TURNS, "blue", "It is white, 白的"),
]


def setting_of(*, max_tokens=96, **settings):
    chosen = PREFERENCE.settings(**settings)
    return fit_setting(PREFERENCE, chosen, PAIRS, tokenizer=speaker_tokenizer(), max_tokens=max_tokens)


def encoded(examples, setting, ledger=None):
    return PREFERENCE.encode(examples, setting, Ledger() if ledger is None else ledger)


def drawn(model, *, deviation=0.05, seed=1):
    """The same model, a little elsewhere."""
    moved, rng = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += deviation * torch.randn(parameter.shape, generator=rng)
    return moved


def ours_of(folder):
    from lexloom.models.folder import load_model

    return load_model(folder).model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_speaker(tmp_path_factory.mktemp("speaker") / "model")


def log_probability(model, messages, answer, setting):
    """Of the answer alone, by transformers."""
    talk = [*messages, Message("assistant", answer)]
    chat = CHAT_FORMATS["chatml"]
    ids, said = chat.encode(talk, setting.tokenizer, reply=False)
    before, _ = chat.encode(messages, setting.tokenizer, reply=True)
    log_shares_LV = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(log_shares_LV[at - 1, ids[at]] for at in range(len(before), len(ids)) if said[at])


def test_loss_gradient_and_figures_are_those_of_the_paper_with_two_models(folder):
    from transformers import AutoModelForCausalLM

    beta, setting = 0.3, setting_of(beta=0.3)
    before = AutoModelForCausalLM.from_pretrained(folder)
    now = drawn(before)
    ours_before, ours_now = ours_of(folder), ours_of(folder)
    now.save_pretrained(folder.parent / "now")
    ours_now = ours_of(folder.parent / "now")

    margins, accuracies, losses = [], [], []
    for pair in PAIRS:
        with torch.no_grad():
            first = [log_probability(before, pair.messages, text, setting) for text in (pair.chosen, pair.rejected)]
        second = [log_probability(now, pair.messages, text, setting) for text in (pair.chosen, pair.rejected)]
        rewards = [beta * (later - earlier) for earlier, later in zip(first, second, strict=True)]
        losses.append(-torch.nn.functional.logsigmoid(rewards[0] - rewards[1]))
        margins.append(float((rewards[0] - rewards[1]).detach()))
        accuracies.append(float(margins[-1] > 0))
    expected = torch.stack(losses).sum()
    expected.backward()

    units = EncodedExamples(PREFERENCE.prepare(ours_before, encoded(PAIRS, setting), setting))
    aim = objective(PREFERENCE, setting)
    loss = aim.loss(ours_now, aim.make_batch(units, [0, 1, 2], lambda row: generator("test", row)))
    loss.sum.backward()
    assert loss.count == 3
    assert float(loss.sum.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    theirs_VD, ours_VD = now.get_input_embeddings().weight.grad, ours_now.tokens.weight.grad
    torch.testing.assert_close(ours_VD, theirs_VD, atol=2e-5, rtol=1e-4)

    predictions = predict(ours_now, PREFERENCE, PAIRS, setting, ledger=Ledger(), encoded=units.encoded)
    plain = [PREFERENCE.plain(one) for one in predictions]
    accuracy, margin, *_ = (metric.value(metric.rows(plain, [None] * 3)) for metric in PREFERENCE.judge(setting))
    assert margin == pytest.approx(sum(margins) / 3, rel=1e-4)
    assert accuracy == pytest.approx(sum(accuracies) / 3)


def test_before_training_nothing_is_preferred(folder):
    model, setting = ours_of(folder), setting_of()
    prepared = PREFERENCE.prepare(model, encoded(PAIRS, setting), setting)
    loss = PREFERENCE.loss(model, PREFERENCE.collate(prepared, setting), setting, Weighing())
    assert float(loss.sum.detach()) == pytest.approx(3 * torch.log(torch.tensor(2.0)).item(), rel=1e-5)
    predictions = predict(model, PREFERENCE, PAIRS, setting, ledger=Ledger(), encoded=prepared)
    assert [one["reward_margin"] for one in predictions] == pytest.approx([0, 0, 0], abs=1e-5)


def test_margins_against_a_model_are_differences_of_margins_without_one(folder):
    setting, before = setting_of(), ours_of(folder)
    now = drawn(before)
    prepared = PREFERENCE.prepare(before, encoded(PAIRS, setting), setting)
    relative = predict(now, PREFERENCE, PAIRS, setting, ledger=Ledger(), encoded=prepared)
    plain = [predict(model, PREFERENCE, PAIRS, setting, ledger=Ledger()) for model in (before, now)]
    for one, first, second in zip(relative, *plain, strict=True):
        assert one["reward_margin"] == pytest.approx(second["reward_margin"] - first["reward_margin"], abs=1e-5)


def test_only_the_answers_are_judged_not_what_was_said_before():
    setting = setting_of()
    [found] = encoded(PAIRS[2:], setting)
    tokenizer = setting.tokenizer
    end = tokenizer.id("<|im_end|>")
    assert [list(piece.notes.ids) for piece in found.pieces] == [
        [*tokenizer.encode(text), end] for text in (PAIRS[2].chosen, PAIRS[2].rejected)
    ]


def test_pairs_without_answers_cost_nothing_beside_others(folder):
    model, setting = ours_of(folder), setting_of()
    mixed = [PAIRS[0], replace(PAIRS[1], chosen=None, rejected=None), PAIRS[2]]
    one, two = (
        PREFERENCE.loss(model, PREFERENCE.collate(encoded(pairs, setting), setting), setting, Weighing())
        for pairs in ([PAIRS[0], PAIRS[2]], mixed)
    )
    assert one.count == two.count == 2
    torch.testing.assert_close(one.sum, two.sum)


def test_earlier_exchanges_are_dropped_first_and_then_the_answers_are_cut():
    whole, ledger = setting_of(), Ledger()
    longest = max(len(piece.ids) for piece in encoded(PAIRS[2:], whole)[0].pieces)
    [dropped] = encoded(PAIRS[2:], setting_of(max_tokens=longest - 1), ledger)
    alone = replace(PAIRS[2], messages=PAIRS[2].messages[2:])
    assert dropped.pieces[1] == encoded([alone], whole)[0].pieces[1]
    assert ledger[STAGE, TURNS_DROPPED].examples == ["p:3"]
    long, cut = preference("What is the sky?", "blue " * 60, "white"), Ledger()
    [found] = encoded([long], setting_of(max_tokens=60), cut)
    assert len(found.pieces[0].ids) == 60
    assert found.target == 0.0
    assert cut[STAGE, CUT].documents == 1


def test_what_was_said_before_training_is_the_same_in_any_order(folder):
    model, setting = ours_of(folder), setting_of()
    forward = PREFERENCE.prepare(model, encoded(PAIRS, setting), setting)
    backward = PREFERENCE.prepare(model, encoded(PAIRS[::-1], setting), setting)[::-1]
    assert [one.target for one in forward] == pytest.approx([one.target for one in backward], abs=1e-5)
    assert all(one.pieces == two.pieces for one, two in zip(forward, encoded(PAIRS, setting), strict=True))
