"""Words left out and swapped."""

import numpy as np
import pytest

from lexloom.base.ledger import Ledger
from lexloom.base.rng import generator
from lexloom.tasks import TASKS
from lexloom.tasks.augment import Augmentation, Augmenter
from lexloom.tasks.batches import EncodedExamples, objective
from tests.understanding import EXAMPLES, setting_of, tokenizer


def encoded(name="classify"):
    return TASKS[name].encode(EXAMPLES[name], setting_of(name), Ledger())


def augmented(examples, *, deleted=0.0, swapped=0.0, seed=0):
    augment = Augmenter(tokenizer(), Augmentation(deleted, swapped))
    return [augment(example, generator("test", seed, number)) for number, example in enumerate(examples)]


def words_of(piece):
    """The sequence in words: word pieces glued to what they go on from."""
    found = []
    for number in piece.ids:
        token = tokenizer().token(number)
        if token.startswith("##"):
            found[-1] += token[2:]
        else:
            found.append(token)
    return found


def test_nothing_asked_for_changes_nothing():
    assert augmented(encoded()) == encoded()


def test_deletion_leaves_words_whole_and_the_order_as_it_was():
    fewer = 0
    for old, new in zip(encoded(), augmented(encoded(), deleted=0.3), strict=True):
        left = iter(words_of(old.pieces[0]))
        assert all(word in left for word in words_of(new.pieces[0]))
        assert (new.pieces[0].ids[0], new.pieces[0].ids[-1]) == (old.pieces[0].ids[0], old.pieces[0].ids[-1])
        assert len(new.pieces[0].ids) == len(new.pieces[0].types) > 2
        fewer += len(new.pieces[0].ids) < len(old.pieces[0].ids)
    assert fewer > 3


def test_swapping_keeps_every_word():
    moved = 0
    for old, new in zip(encoded(), augmented(encoded(), swapped=0.5), strict=True):
        assert sorted(words_of(old.pieces[0])) == sorted(words_of(new.pieces[0]))
        moved += old.pieces[0].ids != new.pieces[0].ids
    assert moved > 3


def test_texts_of_a_pair_keep_their_words_to_themselves():
    for old, new in zip(encoded("regress"), augmented(encoded("regress"), deleted=0.9, swapped=0.9), strict=True):
        assert old.target == new.target
        for kind in (0, 1):
            before, after = (
                [number for number, each in zip(piece.ids, piece.types, strict=True) if each == kind]
                for piece in (old.pieces[0], new.pieces[0])
            )
            assert set(after) <= set(before)
            assert len(after) >= min(2, len(before))


def test_tokens_that_are_averaged_are_those_that_are_left():
    for new in augmented(encoded("similarity"), deleted=0.5):
        assert all(piece.spots == list(range(len(piece.ids))) for piece in new.pieces)


@pytest.mark.parametrize("name", TASKS)
def test_an_epoch_s_draws_depend_on_seed_and_example_alone(name):
    setting = setting_of(name)
    aim = objective(TASKS[name], setting, augmentation=Augmentation(0.2, 0.2))
    units = EncodedExamples(encoded(name))

    def batch(indices, epoch):
        return aim.make_batch(units, indices, lambda row: generator("row", epoch, indices[row]))

    together = batch([0, 1, 2, 3], 0)
    again = batch([3, 2, 1, 0], 0)
    assert sorted(together.runs) == sorted(again.runs)
    assert sorted(together.ids_BL[0].tolist()) == sorted(again.ids_BL[0].tolist())
    other = batch([0, 1, 2, 3], 1)
    same = np.array_equal(together.ids_BL, other.ids_BL)
    assert same != TASKS[name].augmentable
