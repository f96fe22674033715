"""Screening: what looks odd about a post, in plain words and points; it holds a lead back, it never refuses one."""

import re
from dataclasses import dataclass

THRESHOLD = 50
QUICKEST_SECONDS = 2.0
MANY_FROM_ONE_CLIENT = 10
VERY_MANY_FROM_ONE_CLIENT = 30
SAME_TEXT_FROM_OTHERS = 2
LINK = re.compile(r"https?://|www\.|\[url|<a\s", re.IGNORECASE)


@dataclass(frozen=True)
class Signals:
    """What is known about a post when it is judged. Counts are of the last ten minutes (client) and day (text)."""

    honeypot: bool = False
    by_get: bool = False
    origin: str = "none"
    seconds: float | None = None
    links_in_name: int = 0
    links_in_message: int = 0
    from_client: int = 0
    same_text: int = 0


@dataclass(frozen=True)
class Verdict:
    """The judgement: points, the reasons behind them, and whether the lead is held for a person to look at."""

    points: int
    reasons: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether the points reach the threshold."""
        return self.points >= THRESHOLD


def screen(signals: Signals) -> Verdict:
    """Judge a post by its signals; the same signals always give the same verdict."""
    found = [(points, reason) for points, reason, applies in _rules(signals) if applies]
    return Verdict(sum(points for points, _ in found), tuple(reason for _, reason in found))


def count_links(text: str) -> int:
    """How many links a text carries."""
    return len(LINK.findall(text))


def _rules(s: Signals) -> tuple[tuple[int, str, bool], ...]:
    return (
        (50, "A field that people do not see was filled in (a robot, or a password manager).", s.honeypot),
        (50, "The name contains a link.", s.links_in_name > 0),
        (20, "The message contains several links.", s.links_in_message >= 3),
        (10, "The message contains a link.", 0 < s.links_in_message < 3),
        (30, f"The form was sent within {QUICKEST_SECONDS:g} seconds of being shown.",
         s.seconds is not None and s.seconds < QUICKEST_SECONDS),
        (50, "The same text came from other people today.", s.same_text >= SAME_TEXT_FROM_OTHERS),
        (20, "It was posted from a web site that is not ours.", s.origin == "unknown"),
        (10, "It was sent with the form's answers in the address (a form left on its default method).", s.by_get),
        (30, "Many posts came from one address within ten minutes.",
         MANY_FROM_ONE_CLIENT <= s.from_client < VERY_MANY_FROM_ONE_CLIENT),
        (50, "Very many posts came from one address within ten minutes.", s.from_client >= VERY_MANY_FROM_ONE_CLIENT),
    )  # fmt: skip
