"""Triage: which answers are signs that should not wait. It orders the desk's work; it makes no diagnosis."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How little a sign can wait: to be looked at soon, or at once."""

    URGENT = "urgent"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Sign:
    """Something a visitor may say applies to them."""

    slug: str
    text: str
    level: Level


@dataclass(frozen=True, slots=True)
class Assessment:
    """The signs found, in the order of the list, and the answers that name none, as they were given."""

    signs: tuple[Sign, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def urgent(self) -> bool:
        """Whether the desk should see this first; an emergency is urgent too."""
        return bool(self.signs)

    @property
    def emergency(self) -> bool:
        """Whether the page says to call for help now."""
        return any(sign.level == Level.EMERGENCY for sign in self.signs)


def assess(answers: Sequence[str], signs: Sequence[Sign]) -> Assessment:
    """Find the signs among answers, each a sign's slug or its text, blind to case and punctuation.

    Order and repetition of answers do not matter. An answer that names no sign is no mistake: it is kept.
    """
    names = {sign: {_squeezed(sign.slug), _squeezed(sign.text)} - {""} for sign in signs}
    given = {answer: _squeezed(answer) for answer in answers if answer.strip()}
    said, known = set(given.values()), set[str]().union(*names.values())
    return Assessment(
        signs=tuple(sign for sign in names if names[sign] & said),
        unknown=tuple(sorted(answer for answer, squeezed in given.items() if squeezed not in known)),
    )


def _squeezed(text: str) -> str:
    """The letters, digits and accents of a text, whatever its case and however they are composed."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")
