"""Reading comprehension: windows, targets, the best stretch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexloom.base.ledger import Ledger
from lexloom.tasks import TASKS
from lexloom.tasks.span import NO_ANSWER, best_stretch
from tests.understanding import EXAMPLES, question, setting_of

SPAN = TASKS["span"]


def pointing(encoded, *, at=None):
    """Scores that point at each window's target, or at what `at` gives."""
    outputs = []
    for piece, (start, end) in zip(encoded.pieces, encoded.target if at is None else at, strict=True):
        scores = np.zeros((len(piece.spots), 2), np.float32)
        scores[start, 0] = scores[end, 1] = 9
        outputs.append(scores)
    return outputs


@pytest.mark.parametrize("max_tokens", [64, 24])
def test_scores_at_the_target_give_back_the_answer_as_it_stands_in_the_passage(max_tokens):
    setting = setting_of("span", max_tokens=max_tokens, overlap=10)
    encoded = SPAN.encode(EXAMPLES["span"], setting, Ledger())
    for example, one in zip(EXAMPLES["span"], encoded, strict=True):
        prediction = SPAN.decode(example, one, pointing(one), setting)
        assert prediction["answer"] == (example.answers[0].text if example.answers else "")
        if example.answers:
            assert example.passage[prediction["start"] : prediction["end"]] == prediction["answer"]
            assert prediction["start"] == example.answers[0].start
        else:
            assert (prediction["start"], prediction["end"]) == (None, None)
        assert 0.9 < prediction["probability"] <= 1


def test_the_windows_show_every_token_of_the_passage():
    setting = setting_of("span", max_tokens=18, overlap=4)
    encoded = SPAN.encode(EXAMPLES["span"], setting, Ledger())
    for example, one in zip(EXAMPLES["span"], encoded, strict=True):
        shown = {place for piece in one.pieces for start, end in piece.notes for place in range(start, end)}
        assert shown == {place for place, letter in enumerate(example.passage) if not letter.isspace()}
        assert len(one.pieces) > 1


def test_a_window_without_the_whole_answer_says_that_there_is_none():
    setting = setting_of("span", max_tokens=24, overlap=0)
    passage = "nothing here at all, and more of nothing, but at the end the answer is Dudley"
    [encoded] = SPAN.encode([question("Where?", passage, "Dudley")], setting, Ledger())
    assert encoded.target[0] == NO_ANSWER
    assert encoded.target[-1] != NO_ANSWER


def brute_force(scores, longest):
    best = max(
        ((start, end) for start in range(1, len(scores)) for end in range(start, min(start + longest, len(scores)))),
        key=lambda pair: scores[pair[0], 0] + scores[pair[1], 1],
    )
    return float(scores[best[0], 0] + scores[best[1], 1]), (best[0] - 1, best[1])


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 10_000))
def test_the_best_stretch_is_that_of_a_search_over_all_pairs(tokens, longest, seed):
    scores = np.random.default_rng(seed).normal(size=(tokens + 1, 2)).astype(np.float32)
    offsets = [(place, place + 1) for place in range(tokens)]
    found = best_stretch(scores, offsets, longest)
    score, characters = brute_force(scores, longest)
    assert found.score == pytest.approx(score)
    assert found.characters == characters


def test_no_answer_is_given_only_where_training_had_such_questions():
    example = EXAMPLES["span"][0]
    for unanswerable, expected in ((True, ""), (False, "1712")):
        setting = setting_of("span", unanswerable=unanswerable)
        [encoded] = SPAN.encode([example], setting, Ledger())
        outputs = pointing(encoded)
        outputs[0][0] = 8  # nearly as sure that there is none: 16 against 18
        assert SPAN.decode(example, encoded, outputs, setting)["answer"] == "1712"
        outputs[0][0] = 10
        assert SPAN.decode(example, encoded, outputs, setting)["answer"] == expected


def test_all_windows_must_find_nothing():
    setting = setting_of("span", max_tokens=22, overlap=2)
    example = EXAMPLES["span"][0]
    [encoded] = SPAN.encode([example], setting, Ledger())
    assert len(encoded.pieces) > 1
    assert encoded.target[-1] == NO_ANSWER
    assert SPAN.decode(example, encoded, pointing(encoded), setting)["answer"] == "1712"


def test_settings_follow_the_training_data():
    english = list(EXAMPLES["span"][:3])
    assert setting_of("span", examples=english).settings.unanswerable is False
    assert setting_of("span", examples=english).settings.language == "en"
    assert setting_of("span", examples=EXAMPLES["span"][4:]).settings.unanswerable is True
    assert setting_of("span", examples=EXAMPLES["span"][4:]).settings.language == "zh"
    assert setting_of("span", unanswerable=False, language="en").settings.unanswerable is False
