"""Silence: whether so few enquiries that the form may be broken, judged by how many came on such days before."""

from collections.abc import Sequence
from math import exp, lgamma, log

FEWEST_DAYS = 4
UNLIKELY = 0.002  # once in five hundred days it is chance
# Each time between two enquiries is judged, and there are many more of those than days.
VERY_UNLIKELY = 0.0001


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


def is_too_long(before: Sequence[int]) -> bool:
    """Whether a time without any enquiry is too long, by how many came in as long a time in weeks before."""
    return len(before) >= FEWEST_DAYS and exp(-sum(before) / len(before)) < VERY_UNLIKELY
