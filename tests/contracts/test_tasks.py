"""One table over all tasks: a newcomer is tested before it writes a test."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lexloom.base.ledger import Ledger
from lexloom.base.rng import generator
from lexloom.labelled.examples import Choices, Conversation, Labelled, Pair, Preference, Question, Related, Tagged
from lexloom.tasks import TASKS, Weighing
from lexloom.tasks.batches import EncodedExamples, objective
from lexloom.tasks.encoding import CUT, STAGE, WINDOWED
from lexloom.tasks.passes import PORTION_TOKENS
from lexloom.tasks.predict import predict
from tests.understanding import EXAMPLES, model_for, setting_of, texts_of, unlabelled

every_task = pytest.mark.parametrize("name", TASKS)
SPLITS = {"4 × 2": [2] * 4, "8 × 1": [1] * 8, "uneven": [5, 1, 2]}
LONG = "a long text that never ends, 很长的一段话，" * 200


def rows(row):
    return generator("test", row)


def encoded_examples(name, setting, examples=None):
    return EncodedExamples(TASKS[name].encode(EXAMPLES[name] if examples is None else examples, setting, Ledger()))


def gradient(model, aim, units, parts):
    """The mean gradient over all parts, from sums and counts."""
    losses = [aim.loss(model, aim.make_batch(units, part, rows)) for part in parts]
    total, count = sum(loss.sum for loss in losses), sum(loss.count for loss in losses)
    return torch.autograd.grad(total / count, list(model.parameters()), allow_unused=True, materialize_grads=True)


def long_example(example):
    """The same with a text far beyond any limit, and no label."""
    match unlabelled(example):
        case Question() as question:
            return replace(question, passage=LONG)
        case Tagged() as tagged:
            spans = tuple((place, place + 1) for place, letter in enumerate(LONG) if letter != " ")
            return replace(tagged, text=LONG, spans=spans)
        case Related() as related:
            return replace(related, text=related.text + LONG)
        case Choices() as choices:
            return replace(choices, texts=(LONG,))
        case Labelled() as labelled:
            return replace(labelled, texts=tuple(text + LONG for text in labelled.texts))
        case Conversation() | Preference() as talk:
            return replace(talk, messages=(replace(talk.messages[0], content=LONG),))
        case Pair() as pair:
            return replace(pair, source=LONG)


def empty_example(example):
    match unlabelled(example):
        case Question() as question:
            return replace(question, question="", passage="")
        case Tagged() as tagged:
            return replace(tagged, text="", spans=())
        case Related() as related:
            return replace(related, text="", first=(0, 0), second=(0, 0))
        case Choices() as choices:
            return replace(choices, texts=("",), candidates=("", ""))
        case Labelled() as labelled:
            return replace(labelled, texts=tuple("" for _ in labelled.texts))
        case Conversation() | Preference() as talk:
            return replace(talk, messages=(replace(talk.messages[0], content=""),))
        case Pair() as pair:
            return replace(pair, source="")


def numbers_in(value):
    """All numbers of a prediction, in order."""
    match value:
        case dict():
            return [number for inner in value.values() for number in numbers_in(inner)]
        case list() | tuple():
            return [number for inner in value for number in numbers_in(inner)]
        case bool() | int() | float():
            return [float(value)]
    return []


def words_in(value):
    """All else of a prediction."""
    match value:
        case dict():
            return [(key, words_in(inner)) for key, inner in value.items()]
        case list() | tuple():
            return [words_in(inner) for inner in value]
        case float():
            return "number"
    return value


def assert_alike(one, two):
    assert words_in(one) == words_in(two)
    np.testing.assert_allclose(numbers_in(one), numbers_in(two), atol=1e-5)


@every_task
@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_any_split_of_a_batch_gives_the_same_gradient(name, split):
    setting = setting_of(name)
    model, units = model_for(name, setting).double(), encoded_examples(name, setting)
    aim = objective(TASKS[name], setting, Weighing(smoothing=0.1))
    ends = np.cumsum(split)
    parts = [list(range(end - size, end)) for size, end in zip(split, ends, strict=True)]
    whole = gradient(model, aim, units, [list(range(8))])
    for found, expected in zip(gradient(model, aim, units, parts), whole, strict=True):
        assert float((found - expected).abs().max()) < 1e-6


@every_task
def test_the_order_of_a_batch_does_not_matter(name):
    setting = setting_of(name)
    model, units, aim = model_for(name, setting).double(), encoded_examples(name, setting), None
    aim = objective(TASKS[name], setting)
    forward, backward = (
        aim.loss(model, aim.make_batch(units, order, rows)) for order in (list(range(8)), list(range(7, -1, -1)))
    )
    assert forward.count == backward.count > 0
    torch.testing.assert_close(forward.sum, backward.sum, atol=1e-6, rtol=1e-6)


@every_task
def test_count_is_the_batch_s_and_examples_without_labels_cost_nothing(name):
    setting = setting_of(name)
    model, aim = model_for(name, setting), objective(TASKS[name], setting)
    plain = encoded_examples(name, setting)
    mixed = encoded_examples(name, setting, [*EXAMPLES[name], *map(unlabelled, EXAMPLES[name])])
    one, two = aim.make_batch(plain, list(range(8)), rows), aim.make_batch(mixed, list(range(16)), rows)
    loss, mixed_loss = aim.loss(model, one), aim.loss(model, two)
    assert one.count == two.count == loss.count == mixed_loss.count
    torch.testing.assert_close(loss.sum, mixed_loss.sum, rtol=1e-4, atol=1e-4)


@every_task
def test_a_batch_without_any_label_has_no_loss_and_no_gradient(name):
    setting = setting_of(name)
    model, aim = model_for(name, setting), objective(TASKS[name], setting, Weighing(smoothing=0.1))
    units = encoded_examples(name, setting, [unlabelled(example) for example in EXAMPLES[name]])
    loss = aim.loss(model, aim.make_batch(units, [0, 1, 2], rows))
    assert (loss.count, float(loss.sum.detach())) == (0, 0.0)
    for part in torch.autograd.grad(loss.sum, list(model.parameters()), allow_unused=True, materialize_grads=True):
        assert not part.any()


@every_task
def test_predictions_depend_neither_on_batch_size_nor_on_order(name):
    setting = setting_of(name)
    model, task = model_for(name, setting, seed=3), TASKS[name]
    examples = [*EXAMPLES[name], long_example(EXAMPLES[name][0])]
    together = predict(model, task, examples, setting, ledger=Ledger())
    alone = predict(model, task, examples, setting, ledger=Ledger(), batch_tokens=1)
    backward = predict(model, task, examples[::-1], setting, ledger=Ledger(), batch_tokens=150)[::-1]
    for one, two, three in zip(together, alone, backward, strict=True):
        assert_alike(one, two)
        assert_alike(one, three)


@every_task
def test_a_tick_comes_for_every_example(name):
    setting, ticks = setting_of(name), []
    predict(model_for(name, setting), TASKS[name], EXAMPLES[name], setting, ledger=Ledger(), tick=ticks.append)
    assert ticks == list(range(1, 9))


@every_task
def test_decoding_is_pure(name):
    setting = setting_of(name)
    task, example = TASKS[name], EXAMPLES[name][0]
    encoded = task.encode([example], setting, Ledger())[0]
    [outputs] = task.answer(model_for(name, setting).eval(), [encoded], setting, PORTION_TOKENS, None)
    copies = deepcopy(outputs)
    assert task.decode(example, encoded, outputs, setting) == task.decode(example, encoded, outputs, setting)
    np.testing.assert_equal(outputs, copies)


@every_task
def test_what_is_said_without_a_label_is_said_with_it(name):
    setting = setting_of(name)
    model, task = model_for(name, setting), TASKS[name]
    known = predict(model, task, EXAMPLES[name], setting, ledger=Ledger())
    unknown = predict(model, task, [unlabelled(example) for example in EXAMPLES[name]], setting, ledger=Ledger())
    for one, two in zip(known, unknown, strict=True):
        assert_alike({key: one[key] for key in two}, two)
    assert task.reference(unlabelled(EXAMPLES[name][0]), setting) is None


@every_task
def test_what_is_cut_or_read_in_windows_is_in_the_ledger_with_its_place(name):
    setting, ledger = setting_of(name, max_tokens=24), Ledger()
    example = long_example(EXAMPLES[name][0])
    encoded = TASKS[name].encode([EXAMPLES[name][0], example], setting, ledger)[1]
    assert all(len(piece.ids) <= 24 for piece in encoded.pieces)
    cut, windowed = ledger[STAGE, CUT], ledger[STAGE, WINDOWED]
    assert example.where in [*cut.examples, *windowed.examples]
    assert cut.documents == 0 or 0 < cut.characters <= 2 * len(LONG) * len(encoded.pieces)


@every_task
def test_an_empty_text_is_predicted(name):
    setting = setting_of(name)
    example = empty_example(EXAMPLES[name][0])
    [prediction] = predict(model_for(name, setting), TASKS[name], [example], setting, ledger=Ledger())
    assert np.isfinite(numbers_in(prediction)).all()


@every_task
def test_one_example_is_enough_to_learn_from(name):
    examples = EXAMPLES[name][:1]
    setting = setting_of(name, examples=examples)
    model, aim = model_for(name, setting), objective(TASKS[name], setting)
    units = encoded_examples(name, setting, examples)
    loss = aim.loss(model, aim.make_batch(units, [0], rows))
    assert loss.count >= 1
    assert torch.isfinite(loss.sum)


@every_task
def test_no_example_gives_no_prediction(name):
    setting = setting_of(name)
    assert predict(model_for(name, setting), TASKS[name], [], setting, ledger=Ledger()) == []


@every_task
def test_labels_do_not_depend_on_the_order_of_the_examples(name):
    assert setting_of(name).labels == setting_of(name, examples=EXAMPLES[name][::-1]).labels


@every_task
def test_eight_examples_are_learned(name):
    setting = setting_of(name)
    task, model = TASKS[name], model_for(name, setting, seed=1)
    units, aim = encoded_examples(name, setting), objective(TASKS[name], setting)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    batch = aim.make_batch(units, list(range(8)), rows)
    for _ in range(80):
        optimizer.zero_grad()
        loss = aim.loss(model, batch)
        (loss.sum / loss.count).backward()
        optimizer.step()
    predictions = predict(model, task, EXAMPLES[name], setting, ledger=Ledger())
    metric = task.judge(setting)[0]
    references = [task.reference(example, setting) for example in EXAMPLES[name]]
    found = metric.value(metric.rows([task.plain(each) for each in predictions], references))
    assert found < 0.15 if metric.lower_is_better else found > 0.85


@every_task
def test_every_metric_takes_predictions_and_references(name):
    setting = setting_of(name)
    task = TASKS[name]
    predictions = predict(model_for(name, setting), task, EXAMPLES[name], setting, ledger=Ledger())
    plain = [task.plain(prediction) for prediction in predictions]
    references = [task.reference(example, setting) for example in EXAMPLES[name]]
    names = [metric.name for metric in task.judge(setting)]
    assert len(set(names)) == len(names) > 0
    for metric in task.judge(setting):
        assert np.isfinite(metric.value(metric.rows(plain, references)))


@every_task
def test_there_are_examples_in_chinese_and_in_english(name):
    texts = "".join(text for example in EXAMPLES[name] for text in texts_of(example))
    assert any("\u4e00" <= letter <= "\u9fff" for letter in texts)
    assert any(letter.isascii() for letter in texts)


@every_task
def test_settings_survive_the_model_folder(name):
    settled = setting_of(name).settings
    assert TASKS[name].settings(**json.loads(json.dumps(settled.model_dump(mode="json")))) == settled


@every_task
def test_predictions_can_be_written_as_json(name):
    setting = setting_of(name)
    for prediction in predict(model_for(name, setting), TASKS[name], EXAMPLES[name], setting, ledger=Ledger()):
        assert json.loads(json.dumps(prediction)) == prediction


@every_task
def test_every_setting_is_documented(name):
    assert all(field.description for field in TASKS[name].settings.model_fields.values())
