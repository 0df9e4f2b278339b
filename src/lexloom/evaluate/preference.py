"""Which of two is preferred, from votes on pairs: the win rate with its interval, and whether it may be chance.

Sources: Wilson 1927 for the interval; the sign test in its exact, two-sided form (Conover 1999, section 3.4), in which
ties say nothing.
"""

import math
from dataclasses import dataclass

Z = 1.959963984540054
"""The normal distribution's 97.5 % point: two-sided 95 %."""


@dataclass(frozen=True)
class Preference:
    """How often the first was preferred to the second."""

    wins: int
    losses: int
    ties: int
    rate: float
    """Wins and half of the ties, as a share of all votes."""
    low: float
    high: float
    """Wilson's 95 % interval of the rate. Ties vary less than votes do, so it is rather too wide with many of them."""
    p: float
    """Two-sided: how often chance alone would divide the votes as unevenly, ties left out."""


def preference(wins: int, losses: int, ties: int) -> Preference:
    """The preference that votes show; needs one vote or more, each on a pair of its own."""
    votes = wins + losses + ties
    assert votes > 0, "there are no votes to count"
    rate = (wins + ties / 2) / votes
    return Preference(wins, losses, ties, rate, *wilson(rate, votes), sign_test(wins, losses))


def wilson(rate: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share observed in `trials` independent trials; unlike p ± 2σ it never leaves 0 to 1."""
    middle = rate + Z * Z / (2 * trials)
    reach = Z * math.sqrt(rate * (1 - rate) / trials + Z * Z / (4 * trials * trials))
    whole = 1 + Z * Z / trials
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def sign_test(wins: int, losses: int) -> float:
    """P(a fair coin falls as unevenly, on either side), exactly; 1 without a vote that decides."""
    trials, rarer = wins + losses, min(wins, losses)
    tail = sum(math.comb(trials, heads) for heads in range(rarer + 1))
    return min(1.0, float(2 * tail / 2**trials))
