"""Predictions at scale: chunks, order, bounded batches."""

import numpy as np

from lexloom.base.ledger import Ledger
from lexloom.tasks import TASKS
from lexloom.tasks import predict as prediction
from lexloom.tasks.passes import head_outputs
from lexloom.tasks.predict import predict
from tests.understanding import EXAMPLES, labelled, model_for, setting_of


def test_order_is_restored_across_the_chunks_that_are_sorted_at_once(monkeypatch):
    setting = setting_of("classify")
    model, task = model_for("classify", setting), TASKS["classify"]
    examples = [labelled("好" * (number % 9 + 1) + " film" * (number % 4), target=None) for number in range(23)]
    whole = [each["probability"] for each in predict(model, task, examples, setting, ledger=Ledger())]
    monkeypatch.setattr(prediction, "SORTED_EXAMPLES", 5)
    ticks = []
    parts = predict(model, task, examples, setting, ledger=Ledger(), tick=ticks.append)
    np.testing.assert_allclose([each["probability"] for each in parts], whole, atol=1e-6)
    assert ticks == list(range(1, 24))


def test_no_batch_exceeds_its_tokens_unless_a_single_piece_does():
    setting = setting_of("span", max_tokens=24)
    model, sizes = model_for("span", setting), []
    hidden = model.hidden
    model.hidden = lambda ids_BL, **rest: (sizes.append((ids_BL.shape[1], len(rest["runs"]))), hidden(ids_BL, **rest))[
        1
    ]
    encoded = TASKS["span"].encode(EXAMPLES["span"], setting, Ledger())
    outputs = list(head_outputs(model, encoded, setting, 50))
    assert [len(output) for output in outputs] == [len(example.pieces) for example in encoded]
    assert all(tokens <= 50 or pieces == 1 for tokens, pieces in sizes)
    assert len(sizes) > 5


def test_dropout_is_off():
    setting = setting_of("classify")
    model = model_for("classify", setting)
    for dropout in (model.dropout, model.classifier_dropout):
        dropout.share = 0.5
    model.train()
    one, two = (predict(model, TASKS["classify"], EXAMPLES["classify"], setting, ledger=Ledger()) for _ in range(2))
    assert one == two
