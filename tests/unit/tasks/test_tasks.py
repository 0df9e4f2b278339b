"""What single tasks promise beyond the table of contracts/test_tasks.py."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.base.rng import generator
from lexloom.labelled.examples import Choices
from lexloom.tasks import TASKS, Weighing
from lexloom.tasks.batches import EncodedExamples, batch_of, objective, pack
from lexloom.tasks.choice import readings
from lexloom.tasks.contract import Encoded, Piece
from lexloom.tasks.encoding import CUT, STAGE, UNKNOWN_LABEL
from lexloom.tasks.predict import predict
from lexloom.tasks.relation import marked_text, stretch_around
from tests.understanding import EXAMPLES, GOOD, labelled, model_for, related, setting_of, tokenizer

SEVERAL = [
    labelled("a lovely song", target=("music", "good")),
    labelled("太无聊了", target=()),
    labelled("书", target=("good",)),
]


def rows(row):
    return generator("test", row)


def batch(name, setting, examples):
    units = EncodedExamples(TASKS[name].encode(examples, setting, Ledger()))
    return objective(TASKS[name], setting).make_batch(units, list(range(len(examples))), rows)


# ---- batches ----


def test_pieces_are_packed_by_length_and_spots_keep_the_given_order():
    pieces = [Piece([1, 2, 3], [0] * 3, [0, 2]), Piece([4], [0], [0]), Piece([5, 6, 7], [1] * 3, [1])]
    packed = pack(pieces)
    assert packed.ids_BL.tolist() == [[4, 1, 2, 3, 5, 6, 7]]
    assert packed.types_BL.tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    assert packed.runs == (1, 3, 3)
    assert packed.ids_BL[0, packed.spots_S].tolist() == [1, 3, 4, 6]


def test_packed_pieces_are_read_as_they_are_alone():
    setting = setting_of("tag")
    model = model_for("tag", setting)
    encoded = TASKS["tag"].encode(EXAMPLES["tag"], setting, Ledger())
    together = batch_of(encoded, torch.zeros(0), 0)
    states = model.hidden(together.ids_BL, runs=together.runs, types_BL=together.types_BL)[0, together.spots_S]
    alone = [model.hidden(torch.tensor([piece.ids]))[0, piece.spots] for example in encoded for piece in example.pieces]
    torch.testing.assert_close(states, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_units_count_the_tokens_of_all_pieces():
    units = EncodedExamples([Encoded((Piece([1, 2], [0, 0], [0]), Piece([3], [0], [0])), None)])
    assert (len(units), units.tokens(0)) == (1, 3)


# ---- classify ----


def test_several_labels_are_read_learned_and_given_by_threshold():
    setting = setting_of("classify", examples=SEVERAL, several=True)
    assert setting.labels == ("good", "music")
    made = batch("classify", setting, SEVERAL)
    assert made.targets.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    encoded = TASKS["classify"].encode(SEVERAL, setting, Ledger())[0]
    prediction = TASKS["classify"].decode(SEVERAL[0], encoded, [np.array([[2.0, -2.0]], np.float32)], setting)
    assert prediction["labels"] == ["good"]
    assert prediction["probabilities"]["music"] == pytest.approx(1 / (1 + np.exp(2)))
    assert TASKS["classify"].reference(SEVERAL[1], setting) == []


def test_a_label_that_training_does_not_know_is_counted_and_not_learned_from():
    setting, ledger = setting_of("classify"), Ledger()
    example = labelled("a film", target="odd")
    [encoded] = TASKS["classify"].encode([example], setting, ledger)
    assert encoded.target is None
    assert ledger[STAGE, UNKNOWN_LABEL].examples == ["l:1"]
    assert TASKS["classify"].reference(example, setting) == "odd"


def test_probabilities_sum_to_one_and_the_label_is_the_most_probable():
    setting = setting_of("classify")
    for prediction in predict(
        model_for("classify", setting), TASKS["classify"], EXAMPLES["classify"], setting, ledger=Ledger()
    ):
        assert sum(prediction["probabilities"].values()) == pytest.approx(1.0)
        assert prediction["probability"] == max(prediction["probabilities"].values())
        assert prediction["probabilities"][prediction["label"]] == prediction["probability"]


def test_windows_of_a_long_text_are_averaged_in_training_as_in_prediction():
    long = labelled(" ".join(GOOD) * 12, target="good")
    setting = setting_of("classify", max_tokens=24, long_texts="windows")
    model, task, ledger = model_for("classify", setting), TASKS["classify"], Ledger()
    [prediction] = predict(model, task, [long], setting, ledger=ledger)
    assert ledger[STAGE, CUT].documents == 0
    loss = task.loss(model, batch("classify", setting, [long]), setting, Weighing())
    assert (loss.count, float(loss.sum.detach().exp())) == (
        1,
        pytest.approx(1 / prediction["probabilities"]["good"], rel=1e-4),
    )


def test_no_label_at_all_is_refused():
    with pytest.raises(DataError, match="no example has a label"):
        setting_of("classify", examples=[labelled("text", target=None)])


def test_where_labels_are_0_and_1_the_f1_of_1_is_judged_too():
    pairs = [labelled("a", "b", target="1"), labelled("c", "d", target="0")]
    names = [metric.name for metric in TASKS["classify"].judge(setting_of("classify", examples=pairs))]
    assert len(names) == len(set(names)) == len(TASKS["classify"].judge(setting_of("classify"))) + 1


# ---- regress ----


def test_numbers_are_learned_in_standard_scores_and_given_in_their_own_scale():
    examples = [labelled("a", target=1000.0), labelled("b", target=3000.0)]
    setting = setting_of("regress", examples=examples)
    assert (setting.settings.mean, setting.settings.scale) == (2000.0, 1000.0)
    assert batch("regress", setting, examples).targets.tolist() == [-1.0, 1.0]
    encoded = TASKS["regress"].encode(examples, setting, Ledger())[0]
    assert TASKS["regress"].decode(examples[0], encoded, [np.array([[0.5]], np.float32)], setting) == {"score": 2500.0}


def test_equal_numbers_are_learned_without_dividing_by_nothing():
    setting = setting_of("regress", examples=[labelled("a", target=2.0)] * 3)
    assert (setting.settings.mean, setting.settings.scale) == (2.0, 1.0)


# ---- relation ----


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("fire", "damage", "the $ fire $ caused # damage #"),
        ("damage", "fire", "the # fire # caused $ damage $"),
        ("fire caused", "caused", "the $ fire # caused # $ damage"),
    ],
)
def test_both_stretches_are_marked_in_any_order(first, second, expected):
    text, (start, end) = marked_text(related("the fire caused damage", first, second, None))
    assert " ".join(text.split()) == expected
    assert text[start] in "$#"
    assert text[end - 1] in "$#"


def test_of_a_long_text_the_part_around_both_stretches_stays():
    filler = "the film and the book " * 20
    example = related(filler + "a wheel of the car " + filler, "wheel", "car", "Part-Whole(e1,e2)")
    setting, ledger = setting_of("relation", max_tokens=32), Ledger()
    [encoded] = TASKS["relation"].encode([example], setting, ledger)
    marks = [tokenizer().token(number) for number in encoded.pieces[0].ids]
    assert marks.count("$") == marks.count("#") == 2 or marks.count("[UNK]") == 4
    assert ledger[STAGE, CUT].documents == 1


def test_a_relation_called_none_is_not_that_of_an_example_without_one():
    examples = [related("the fire", "the", "fire", name) for name in ("None", "some", None)]
    setting = setting_of("relation", examples=examples)
    assert [each.target for each in TASKS["relation"].encode(examples, setting, Ledger())] == [0, 1, None]


def test_the_stretch_stays_inside_the_text():
    offsets = [(place, place + 1) for place in range(100)]
    assert stretch_around(offsets, (0, 3), 10) == (0, 10)
    assert stretch_around(offsets, (97, 100), 10) == (90, 100)
    assert stretch_around(offsets, (50, 54), 10) == (47, 57)
    assert stretch_around(offsets, (20, 80), 10) == (20, 30)
    assert stretch_around(offsets[:5], (0, 1), 10) == (0, 5)


def test_semeval_s_metric_leads_where_labels_have_directions():
    assert TASKS["relation"].judge(setting_of("relation"))[0].name == "SemEval macro F1"
    plain = [related("the fire caused damage", "fire", "damage", "causes")]
    assert TASKS["relation"].judge(setting_of("relation", examples=plain))[0].name == "macro F1"


# ---- choice ----


def test_a_question_is_read_together_with_each_candidate():
    example = Choices("c", {}, ("passage", "question"), ("yes", "no"), 0)
    assert readings(example) == [("passage", "question yes"), ("passage", "question no")]
    assert readings(Choices("c", {}, ("stem",), ("yes", "no"), 0)) == [("stem", "yes"), ("stem", "no")]
    beginnings = Choices("c", {}, ("slept.",), ("Ann", "Mia"), 0, candidates_first=True)
    assert readings(beginnings) == [("Ann", "slept."), ("Mia", "slept.")]


def test_examples_with_unequal_numbers_of_candidates_point_at_the_right_spots():
    assert batch("choice", setting_of("choice"), EXAMPLES["choice"][1:4]).targets.tolist() == [[1], [3], [6]]


# ---- similarity ----


def similarity(loss, examples):
    setting = setting_of("similarity", examples=examples, loss=loss)
    model = model_for("similarity", setting).double()
    made = batch("similarity", setting, examples)
    return TASKS["similarity"].loss(model, made, setting, Weighing()), vectors(model, setting, examples), made


def vectors(model, setting, examples):
    """The mean state of each text, read alone, of length 1."""
    pieces = [piece for each in TASKS["similarity"].encode(examples, setting, Ledger()) for piece in each.pieces]
    means = torch.stack([model.hidden(torch.tensor([piece.ids]))[0].mean(0) for piece in pieces])
    means = functional.normalize(means, dim=-1)
    return means[::2], means[1::2]


def test_the_cosine_loss_is_that_of_the_scaled_similarity():
    examples = [
        labelled("film", "song", target=1.0),
        labelled("书", "film", target=5.0),
        labelled("a", "b", target=2.0),
    ]
    loss, (one, two), _ = similarity("cosine", examples)
    expected = (((one * two).sum(-1) - torch.tensor([0.0, 1.0, 0.25])) ** 2).sum()
    assert loss.count == 3
    torch.testing.assert_close(loss.sum, expected, rtol=1e-5, atol=1e-6)


def test_the_contrastive_loss_finds_the_second_text_among_all():
    examples = [labelled(one, two, target=None) for one, two in [("film", "song"), ("书", "电影"), ("sky", "sea")]]
    loss, (one, two), _ = similarity("contrastive", examples)
    expected = functional.cross_entropy(20 * one @ two.T, torch.arange(3), reduction="sum")
    assert loss.count == 3
    torch.testing.assert_close(loss.sum, expected, rtol=1e-5, atol=1e-6)


def test_dissimilar_pairs_only_offer_texts_to_tell_apart():
    examples = [labelled("film", "song", target=1.0), labelled("书", "电影", target=0.0)]
    loss, (one, two), _ = similarity("contrastive", examples)
    torch.testing.assert_close(
        loss.sum, functional.cross_entropy(20 * one[:1] @ two.T, torch.tensor([0])), rtol=1e-5, atol=1e-6
    )
    assert loss.count == 1


def test_the_ranking_loss_sums_over_all_pairs_in_the_wrong_order():
    examples = [
        labelled("film", "song", target=0.0),
        labelled("书", "电影", target=1.0),
        labelled("sky", "sea", target=1.0),
    ]
    loss, (one, two), _ = similarity("ranking", examples)
    cosines = (one * two).sum(-1)
    expected = torch.log(1 + (20 * (cosines[0] - cosines[1])).exp() + (20 * (cosines[0] - cosines[2])).exp())
    torch.testing.assert_close(loss.sum / loss.count, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["cosine", "ranking", "contrastive"])
def test_every_similarity_loss_lets_pairs_be_learned(loss):
    setting = setting_of("similarity", loss=loss)
    task, model = TASKS["similarity"], model_for("similarity", setting)
    made = batch("similarity", setting, EXAMPLES["similarity"])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    values = []
    for _ in range(15):
        optimizer.zero_grad()
        found = task.loss(model, made, setting, Weighing())
        (found.sum / found.count).backward()
        optimizer.step()
        values.append(float(found.sum.detach()) / found.count)
    assert values[-1] < 0.6 * values[0]


def test_the_prediction_is_the_cosine_of_the_mean_states():
    setting = setting_of("similarity")
    model = model_for("similarity", setting)
    examples = EXAMPLES["similarity"]
    found = [each["score"] for each in predict(model, TASKS["similarity"], examples, setting, ledger=Ledger())]
    one, two = vectors(model, setting, examples)
    np.testing.assert_allclose(found, (one * two).sum(-1).detach(), atol=1e-5)


def test_similarity_without_a_score_is_refused_unless_pairs_match():
    pairs = [labelled("film", "song", target=None)]
    with pytest.raises(DataError, match="no pair has a similarity"):
        setting_of("similarity", examples=pairs)
    assert setting_of("similarity", examples=pairs, loss="contrastive").settings.highest == 1.0


def test_similarity_of_one_text_is_refused_with_its_place():
    setting = setting_of("similarity")
    with pytest.raises(DataError, match="l:1"):
        TASKS["similarity"].encode([labelled("alone", target=1.0)], setting, Ledger())
