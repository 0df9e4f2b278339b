"""Rows that join and leave at any token write what each would write alone."""

import numpy as np
import pytest

from lexloom.generate.continuous import Continuous, Failed
from lexloom.generate.engine import generate_ids
from lexloom.generate.prefixes import PrefixCache
from lexloom.generate.settings import SamplingSettings
from tests.scripted import ScriptedDecoder, scrambled

EOS = [3, 17, 22]


def alone(model, prompt, settings):
    return [token.id for token in generate_ids(model, [prompt], settings, eos_ids=EOS)]


def drive(running, arrivals, *, leave=()):
    """Let (step, prompt, settings, owner) join at their steps; what each has written, and how many steps it took."""
    written, waiting, step = {}, sorted(arrivals, key=lambda one: one[0]), 0
    names = {}
    while waiting or running.rows:
        while waiting and waiting[0][0] <= step and running.has_room(len(waiting[0][1]), waiting[0][2]):
            _, prompt, settings, owner = waiting.pop(0)
            ticket = running.join(prompt, settings, eos_ids=EOS, owner=owner)
            names[ticket] = len(names)
            written[names[ticket]] = []
        for at, number in leave:
            if at == step:
                running.leave(next(ticket for ticket, name in names.items() if name == number))
        for made in running.step():
            assert not isinstance(made, Failed), made
            written[names[made.ticket]].append(made.id)
        step += 1
    return list(written.values()), step


def random_arrivals(rng, count, *, longest=30):
    arrivals = []
    for _ in range(count):
        prompt = rng.integers(64, size=rng.integers(1, longest)).tolist()
        settings = SamplingSettings(
            temperature=float(rng.choice([0, 1])),
            seed=int(rng.integers(1000)),
            max_tokens=int(rng.integers(1, 20)),
            repetition_penalty=float(rng.choice([1, 1.3])),
        )
        arrivals.append((int(rng.integers(40)), prompt, settings, str(rng.integers(2))))
    return sorted(arrivals, key=lambda one: one[0])


@pytest.mark.parametrize("portion_tokens", [1, 8, 128, None])
@pytest.mark.parametrize("slots", [1, 3, 16])
def test_whoever_joins_and_leaves_a_row_writes_what_it_writes_alone(slots, portion_tokens):
    model = scrambled()
    arrivals = random_arrivals(np.random.default_rng([slots, portion_tokens or 0]), 20)
    running = Continuous(model, slots=slots, portion_tokens=portion_tokens, prefixes=PrefixCache(100_000))
    written, _ = drive(running, arrivals)
    assert written == [alone(model, prompt, settings) for _, prompt, settings, _ in arrivals]


def test_a_row_that_leaves_changes_nothing_for_the_others():
    model = scrambled()
    settings = SamplingSettings(temperature=0, max_tokens=30)
    arrivals = [(place, [place + 1] * (5 + 7 * place), settings, "") for place in range(5)]
    for gone in range(5):
        for at in (gone, gone + 1, gone + 6):
            running = Continuous(model, slots=5, portion_tokens=8)
            written, _ = drive(running, arrivals, leave=[(at, gone)])
            for place, (_, prompt, _, _) in enumerate(arrivals):
                expected = alone(model, prompt, settings)
                assert written[place] == (expected[: len(written[place])] if place == gone else expected)


def test_rows_write_on_while_a_long_prompt_is_read():
    model = scrambled(context=2000)
    running = Continuous(model, slots=2, portion_tokens=10)
    first = running.join([1], SamplingSettings(temperature=0, max_tokens=500))
    running.step()
    running.join([2] * 1000, SamplingSettings(max_tokens=4))
    made = [[one.ticket for one in running.step()] for _ in range(40)]
    assert sum(first in tickets for tickets in made) == 20, "every other pass is a token of the first row"


def test_a_short_prompt_does_not_wait_for_a_long_one():
    running = Continuous(scrambled(context=2000), slots=2, portion_tokens=10)
    running.join([2] * 1000, SamplingSettings(max_tokens=4))
    running.step()
    short = running.join([1] * 10, SamplingSettings(max_tokens=4))
    assert [[one.ticket for one in running.step()] for _ in range(3)].count([short]) >= 1


@pytest.mark.parametrize(
    ("lengths", "first_tokens"),
    [([10, 10, 10], [[0], [1], [2]]), ([3, 3, 3], [[0, 1, 2]]), ([5, 5, 2, 10], [[0, 1], [2], [3]])],
)
def test_prompts_that_come_together_wait_for_no_more_than_fill_a_portion(lengths, first_tokens):
    running = Continuous(scrambled(), slots=4, portion_tokens=10)
    for length in lengths:
        running.join([1] * length, SamplingSettings(max_tokens=1))
    assert [[one.ticket for one in running.step()] for _ in first_tokens] == first_tokens


def test_long_prompts_that_come_together_are_read_one_after_the_other():
    running = Continuous(scrambled(), slots=3, portion_tokens=10)
    for _ in range(3):
        running.join([1] * 30, SamplingSettings(max_tokens=1))
    made = [[one.ticket for one in running.step()] for _ in range(9)]
    assert made == [[], [], [0], [], [], [1], [], [], [2]]


def test_a_long_prompt_is_read_while_short_ones_keep_coming():
    running = Continuous(scrambled(), slots=8, portion_tokens=10)
    long = running.join([1] * 40, SamplingSettings(max_tokens=1))
    made = []
    for _ in range(7):
        running.join([1] * 10, SamplingSettings(max_tokens=1))
        made += running.step()
    assert long in [one.ticket for one in made]


def test_a_row_that_breaks_fails_alone():
    def next_scores(ids):
        return np.full(64, np.nan) if 60 in ids else np.arange(64, dtype=np.float32) % 50

    running = Continuous(ScriptedDecoder(next_scores), slots=3)
    good = running.join([1], SamplingSettings(temperature=0, max_tokens=5))
    bad = running.join([60], SamplingSettings(temperature=0, max_tokens=5))
    made = [one for _ in range(9) for one in running.step()]
    assert [one.ticket for one in made if isinstance(one, Failed)] == [bad]
    assert [one.id for one in made if one.ticket == good] == [49] * 5
    assert running.rows == 0


@pytest.mark.parametrize("at", [0, 1, 17])
def test_a_model_that_raises_fails_the_rows_in_the_pass_and_serves_the_next(at):
    model, passes = scrambled(), 0
    plain = model.hidden

    def hidden(ids_BL, **options):
        nonlocal passes
        passes += 1
        if passes == at + 1:
            raise RuntimeError("broken")
        return plain(ids_BL, **options)

    model.hidden = hidden
    running = Continuous(model, slots=3)
    tickets = [running.join([n], SamplingSettings(temperature=0, max_tokens=40)) for n in (1, 2)]
    made = [one for _ in range(60) for one in running.step()]
    assert [(one.ticket, str(one.error)) for one in made if isinstance(one, Failed)] == [(t, "broken") for t in tickets]
    assert running.rows == 0
    running.join([5, 6], SamplingSettings(temperature=0, max_tokens=9))
    assert [one.id for _ in range(9) for one in running.step()] == alone(
        scrambled(), [5, 6], SamplingSettings(temperature=0, max_tokens=9)
    )


def test_room_is_bounded_by_slots_and_by_tokens():
    running = Continuous(scrambled(), slots=2, tokens=50)
    settings = SamplingSettings(max_tokens=10)
    assert running.has_room(80, settings), "whoever is alone may be larger than the bound"
    running.join([1] * 30, settings)
    assert running.has_room(0, settings)
    assert not running.has_room(1, settings)
    running.join([1], SamplingSettings(max_tokens=1))
    assert not running.has_room(0, SamplingSettings(max_tokens=1)), "both slots are taken"


def test_the_most_probable_tokens_come_with_their_log_probabilities():
    model = scrambled()
    running = Continuous(model, slots=1)
    running.join([1, 2], SamplingSettings(seed=1, max_tokens=3), top=4)
    (made,) = running.step()
    scores_V = np.asarray(model.next_scores([1, 2]), np.float64)
    log_probs_V = scores_V - np.log(np.exp(scores_V).sum())
    assert [token for token, _ in made.top] == np.argsort(-log_probs_V)[:4].tolist()
    assert [value for _, value in made.top] == pytest.approx(np.sort(log_probs_V)[::-1][:4].tolist(), abs=1e-5)


# ---- what was read before ----


def read_tokens(running, prompt, owner):
    running.join(prompt, SamplingSettings(temperature=0, max_tokens=4), owner=owner)
    before = running._model.forward_tokens
    while running.rows:
        running.step()
    return running._model.forward_tokens - before - 3


def test_a_beginning_is_read_once_for_an_owner_and_never_used_for_another():
    running = Continuous(scrambled(context=300), slots=1, prefixes=PrefixCache(1_000_000))
    shared = list(range(40))
    assert read_tokens(running, [*shared, 50], "a") == 41
    assert read_tokens(running, [*shared, 51, 52], "a") == 2
    assert read_tokens(running, [*shared, 51, 52], "b") == 42
    assert read_tokens(running, [*shared, 51, 52], "b") == 1


def test_what_was_used_least_recently_is_forgotten_first():
    prefixes = PrefixCache(max_bytes=8 * 3 * 43)
    running = Continuous(scrambled(context=300), slots=1, prefixes=prefixes)
    texts = [[n] * 40 for n in range(4)]
    assert [read_tokens(running, text, "") for text in texts[:3]] == [40] * 3
    assert read_tokens(running, texts[0], "") == 1
    assert read_tokens(running, texts[3], "") == 40
    assert prefixes.nbytes <= prefixes.max_bytes
    assert read_tokens(running, texts[0], "") == 1
    assert read_tokens(running, texts[1], "") == 40
