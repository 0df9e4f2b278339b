import pytest

from lexloom.base.errors import DataError
from lexloom.labelled.examples import Choices, Labelled, Pair, Question, Related, Tagged
from lexloom.labelled.split import by_hash, folds_of, groups_of, in_folds


def texts(count: int) -> list[Labelled]:
    return [Labelled(f"a:{number}", {}, (f"text {number}",), "x") for number in range(count)]


def test_adding_rows_moves_none_of_the_others() -> None:
    few, many = texts(200), texts(1000)
    for side in (0, 1):
        assert by_hash(few, 0.2)[side] == [example for example in by_hash(many, 0.2)[side] if example in few]
    assert folds_of(few, 5) == folds_of(many, 5)[:200]


def test_share_is_met_on_average_and_folds_are_about_equal() -> None:
    examples = texts(5000)
    assert 0.18 < len(by_hash(examples, 0.2)[1]) / 5000 < 0.22
    assert all(850 < len(validation) < 1150 for _, validation in in_folds(examples, 5))


def test_folds_part_the_examples() -> None:
    examples = texts(100)
    folds = in_folds(examples, 3)
    assert sorted((one for _, validation in folds for one in validation), key=examples.index) == examples
    assert all(len(training) + len(validation) == 100 for training, validation in folds)


def test_folds_do_not_depend_on_the_side() -> None:
    training, validation = by_hash(texts(4000), 0.5)
    for side in (training, validation):
        assert 0.4 < sum(folds_of(side, 2)) / len(side) < 0.6


@pytest.mark.parametrize(
    "pair",
    [
        (Labelled("a:1", {}, ("p", "x"), "1"), Labelled("a:2", {}, ("p", "y"), "0")),
        (Question("a#1", {}, "1", "who?", "p", ()), Question("a#2", {}, "2", "why?", "p", None)),
        (Choices("a:1", {}, ("p", "x"), ("a", "b"), 0), Choices("a:2", {}, ("p", "y"), ("c", "d"), 1)),
        (Tagged("a:1", {}, "p", ((0, 1),), ()), Tagged("a:2", {}, "p", ((0, 1),), None)),
        (Pair("a:1", {}, "p", "x"), Pair("a:2", {}, "p", ("y", "z"))),
        (Pair("a:1", {}, "p", "x"), Pair("a:2", {}, "q", "x")),
        (Related("a:1", {}, "p q r", (0, 1), (2, 3), "x"), Related("a:2", {}, "p q r", (0, 1), (4, 5), "y")),
    ],
)
def test_examples_that_share_a_text_go_together(pair: tuple) -> None:
    assert len(set(groups_of(pair))) == 1
    assert len(set(folds_of(pair, 1000))) == 1


def test_empty_side_and_empty_fold_are_refused() -> None:
    with pytest.raises(DataError, match="of 3 examples none is left for validation"):
        by_hash([Labelled("a:1", {}, ("same",), "x")] * 3, 1e-9)
    with pytest.raises(DataError, match="none is in 2 of the 3 folds"):
        in_folds([Labelled("a:1", {}, ("same",), "x")] * 3, 3)


def test_no_sentence_of_a_pair_stands_on_both_sides() -> None:
    chained = [Pair(f"a:{row}", {}, f"source {row // 3}", f"target {(row + 1) // 3}") for row in range(30)]
    alone = [Pair(f"b:{row}", {}, f"one {row}", f"two {row}") for row in range(400)]
    assert len(set(groups_of(chained))) == 1
    training, validation = by_hash([*chained, *alone], 0.3)
    known = {text for pair in training for text in (pair.source, *pair.targets)}
    assert known.isdisjoint(text for pair in validation for text in (pair.source, *pair.targets))
    assert 0.2 < len(validation) / 430 < 0.4


def test_groups_of_several_texts_fall_into_all_folds_alike() -> None:
    pairs = [Pair(f"b:{row}", {}, f"one {row}", tuple(f"two {row} {way}" for way in range(9))) for row in range(1000)]
    assert all(200 < count < 300 for count in (folds_of(pairs, 4).count(fold) for fold in range(4)))
