import math
import os
import signal

import pytest

from lexloom.train.signals import caught_signals
from lexloom.train.stopping import Best


def test_patience_counts_measurements_without_a_better_one():
    best = Best()
    for step, score in enumerate([-3.0, -2.0, -2.5, math.nan, -2.0]):
        best = best.after(score, step)
    assert best == Best(-2.0, 1, 3)
    assert best.is_over(3)
    assert not best.is_over(4)
    assert not best.is_over(None)
    assert best.after(-1.9, 9) == Best(-1.9, 9, 0)


@pytest.fixture
def _signals_as_usual():
    """Processes that a shell starts in the background inherit that SIGINT is ignored."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.usefixtures("_signals_as_usual")
def test_the_first_signal_is_noted_and_the_second_acts():
    with caught_signals() as received:
        assert received.number == 0
        os.kill(os.getpid(), signal.SIGINT)
        assert received.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
