"""Silence: whether so few enquiries that the form may be broken, judged by how many came on such days before."""

from collections.abc import Sequence
from math import exp, lgamma, log

FEWEST_DAYS = 4
UNLIKELY = 0.002  # once in five hundred days it is chance


def is_unusual(today: int, before: Sequence[int]) -> bool:
    """Whether `today` is too few for a day like those `before` (the same weekday up to the same hour); all are counts.

    Enquiries come independently of each other, so their number follows Poisson's law.
    """
    if len(before) < FEWEST_DAYS:
        return False
    expected = sum(before) / len(before)
    # By logarithms: of some hundreds a day the smallest terms are less than a float can hold.
    terms = (number * log(expected) - expected - lgamma(number + 1) for number in range(today + 1))
    return expected > 0 and sum(map(exp, terms)) < UNLIKELY
