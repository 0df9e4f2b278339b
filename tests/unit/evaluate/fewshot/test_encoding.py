"""Prompts become ids as in lm-evaluation-harness, and what doesn't fit is left out in the open."""

import pytest

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.evaluate.fewshot.encoding import ACROSS, CUT, DROPPED, STAGE, Asked, Encoder
from lexloom.evaluate.fewshot.prompts import Reading
from lexloom.models.folder import load_model
from tests.folders import write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("few") / "model", context=32))


def ids_of(folder, text):
    return tuple(folder.tokenizer.encode(text))


def asked(*readings, examples=(), instruction=""):
    return Asked("t:1", instruction, examples, readings)


def test_white_space_at_the_end_of_a_context_goes_over_to_the_answer(folder):
    ((one,),) = Encoder(folder, "\n").continuations([asked(Reading("To be or \n", "not"))], Ledger())
    assert folder.tokenizer.decode(one.ids) == " \nnot"
    context = [folder.tokenizer.eos_id, *ids_of(folder, "To be or")]  # eos divides documents in its training
    assert one.context == tuple(context)
    assert (*one.context, *one.ids)[1:] == ids_of(folder, "To be or \nnot")


def test_a_token_across_the_boundary_is_parted_and_counted(folder):
    assert ids_of(folder, "春眠不觉晓") != ids_of(folder, "春") + ids_of(folder, "眠不觉晓"), (
        "the case needs such a token"
    )
    ledger = Ledger()
    ((one,),) = Encoder(folder, "\n").continuations([asked(Reading("春", "眠不觉晓"))], ledger)
    assert one.ids == ids_of(folder, "眠不觉晓")
    assert one.context[1:] == ids_of(folder, "春")
    assert ledger[STAGE, ACROSS].documents == 1


def test_an_empty_context_begins_from_the_start_token(folder):
    ((one,),) = Encoder(folder, "\n").continuations([asked(Reading("", "To be"))], Ledger())
    assert one.context == (folder.tokenizer.eos_id,)


def test_the_first_examples_are_left_out_where_the_context_is_full(folder):
    ledger = Ledger()
    long, short = asked(Reading("To be", " not"), examples=("0123456789" * 8, "be", "to")), asked(Reading("be", " to"))
    (one,), (other,) = Encoder(folder, "\n").continuations([long, short], ledger)
    assert folder.tokenizer.decode(one.context) == "be\nto\nTo be"
    assert folder.tokenizer.decode(other.context) == "be"
    assert ledger[STAGE, DROPPED].documents == 1
    assert ledger[STAGE, CUT].documents == 0


def test_a_question_longer_than_the_context_is_cut_on_its_left(folder):
    ledger = Ledger()
    text = "0123456789 " * 9 + "To be"
    ((one, other),) = Encoder(folder, "\n").continuations(
        [asked(Reading(text, " or"), Reading(text, " not to be"), examples=("be",))], ledger
    )
    assert [len(each.read) for each in (one, other)] == [32, 32]
    assert folder.tokenizer.decode(one.context).endswith(" To be")
    assert (ledger[STAGE, CUT].documents, ledger[STAGE, DROPPED].documents) == (1, 1)


def test_an_answer_that_is_empty_or_longer_than_the_context_is_refused(folder):
    with pytest.raises(DataError, match="empty"):
        Encoder(folder, "\n").continuations([asked(Reading("To be", ""))], Ledger())
    with pytest.raises(DataError, match="more than the model's context of 32"):
        Encoder(folder, "\n").continuations([asked(Reading("To be", "0123456789" * 9))], Ledger())


def test_prompts_for_writing_keep_room_for_the_answer(folder):
    ledger = Ledger()
    long = asked(Reading("0123456789 " * 9, "x"), examples=("be", "to"))
    first, second = Encoder(folder, "\n").prompts([long, asked(Reading("To be ", "x"))], 12, ledger)
    assert len(first) == 20
    assert folder.tokenizer.decode(second) == "To be"
    assert (ledger[STAGE, CUT].documents, ledger[STAGE, DROPPED].documents) == (1, 2)
    with pytest.raises(DataError, match="no room"):
        Encoder(folder, "\n").prompts([long], 32, ledger)
