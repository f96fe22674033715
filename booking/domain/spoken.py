"""Spoken: how days and times are said to people."""

from datetime import datetime


def clock_time(local: datetime) -> str:
    """`10:30 AM`, with the name of the offset where the clock shows it twice that day."""
    shown = f"{local:%I:%M %p}".lstrip("0")
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{shown} {local:%Z}" if twice else shown


def long_time(local: datetime) -> str:
    """`Tuesday, December 1, 2026, 10:30 AM EST`: the zone is always named."""
    return f"{local:%A, %B} {local.day}, {local.year}, {f'{local:%I:%M %p}'.lstrip('0')} {local:%Z}"


def day(local: datetime) -> str:
    """`Tuesday, December 1`."""
    return f"{local:%A, %B} {local.day}"


def hour(local: datetime) -> str:
    """`8 AM` or `8:30 AM`: for when somebody begins, not for an appointment."""
    shown = f"{local:%I:%M %p}".lstrip("0")
    return shown.replace(":00", "")
