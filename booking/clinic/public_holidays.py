"""Public holidays by country and region, as the package `holidays` knows them."""

import importlib
from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Any

# Enough years for every name: some days are only ever moved to another weekday in certain years.
YEARS_OF_NAMES = range(2024, 2036)


class RegionUnknown(ValueError):
    """A region whose public holidays nobody here knows."""


def dates(region: str, names: Iterable[str], years: Iterable[int]) -> list[tuple[date, str]]:
    """When the holidays with these names fall, in order; raises RegionUnknown."""
    wanted = set(names)
    found = [(day, name) for day, name in _days(region, years) if name in wanted]
    return sorted(dict(reversed(found)).items())


def names(region: str) -> set[str]:
    """The names of the holidays of a region; raises RegionUnknown."""
    return {name for _, name in _days(region, YEARS_OF_NAMES)}


def _days(region: str, years: Iterable[int]) -> list[tuple[date, str]]:
    calendar = _calendar(region, tuple(years))
    return [(day, name) for day in calendar for name in calendar.get_list(day)]


@cache
def _calendar(region: str, years: tuple[int, ...]) -> Any:
    # Only who loads a catalogue pays for this import: it costs 160 ms and 12 MB, and a service that runs needs none
    # of it, because the days themselves are then in the database.
    holidays = importlib.import_module("holidays")
    country, _, subdivision = region.partition("-")
    try:
        return holidays.country_holidays(country, subdiv=subdivision or None, years=years, language="en_US")
    except NotImplementedError as unknown:
        raise RegionUnknown(region) from unknown
