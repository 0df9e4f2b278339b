import os
import signal
import time
from collections.abc import Iterator

import pytest

from lexloom.base.errors import DataError, UserError
from lexloom.base.parallel import WINDOW_PER_WORKER, ordered_map


def slow_square(number: int) -> int:
    time.sleep(0.02 * (number % 3 == 0))
    return number * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("is three", where="numbers:3", fix="Use another.")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_for_any_number_of_workers(workers: int) -> None:
    assert list(ordered_map(slow_square, range(40), workers)) == [number * number for number in range(40)]


def test_workers_run_only_a_little_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = ordered_map(slow_square, items(), 2)
    for _ in range(5):
        next(results)
    assert taken <= 5 + 2 * WINDOW_PER_WORKER
    results.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_users_keep_their_place_and_fix(workers: int) -> None:
    with pytest.raises(DataError) as caught:
        list(ordered_map(refuse_three, range(10), workers))
    assert (caught.value.what, caught.value.where, caught.value.fix) == ("is three", "numbers:3", "Use another.")


def test_killed_worker_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="worker process was killed"):
        list(ordered_map(die, range(10), 2))
