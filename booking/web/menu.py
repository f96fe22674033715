"""The menu: what can be chosen on the page, from the catalogue, or from the clinic's file while there is none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from booking.clinic import Clinic
from booking.domain.catalog import Catalog
from booking.domain.status import Bookable


class Named(Protocol):
    """Something on the menu."""

    @property
    def slug(self) -> str:
        """Its name for programs."""

    @property
    def name(self) -> str:
        """Its name for people."""


class Clerk(Named, Protocol):
    """Somebody of the catalogue or of the file."""

    @property
    def title(self) -> str:
        """What they are."""


class Offering(Named, Protocol):
    """A service of the catalogue or of the file."""

    @property
    def summary(self) -> str:
        """What it is, in a sentence or two."""

    @property
    def duration_minutes(self) -> int:
        """How long it takes."""

    @property
    def horizon_days(self) -> int:
        """How far ahead it can be booked."""

    @property
    def bookable(self) -> str:
        """How: online, or by phone."""

    @property
    def audience(self) -> str:
        """For whom."""


@dataclass(frozen=True)
class Service:
    """Something to choose; `by_phone` says that the desk agrees on a time with whoever wants it."""

    slug: str
    name: str
    summary: str
    duration_minutes: int
    horizon_days: int
    audience: str
    by_phone: bool


@dataclass(frozen=True)
class Person:
    """Somebody one can choose, and the slugs of what they give."""

    slug: str
    name: str
    title: str
    services: frozenset[str]


@dataclass(frozen=True)
class Place:
    """Where one can come, and the slugs of what is given there."""

    slug: str
    name: str
    services: frozenset[str]


@dataclass(frozen=True)
class Menu:
    """Everything there is to choose, in the order in which it is shown."""

    services: tuple[Service, ...]
    people: tuple[Person, ...]
    places: tuple[Place, ...]

    def service(self, slug: str) -> Service | None:
        """The service with this slug."""
        return next((each for each in self.services if each.slug == slug), None)

    def giving(self, service: str) -> tuple[Person, ...]:
        """Who gives a service."""
        return tuple(each for each in self.people if service in each.services)

    def slugs_for(self, values: dict[str, str]) -> dict[str, str]:
        """The values of a form with slugs in place of names; what is not on the menu stays as it was written."""
        parts: dict[str, Sequence[Named]] = {
            "service": self.services, "practitioner": self.people, "location": self.places,
        }  # fmt: skip
        return values | {name: _slug_for(values.get(name, ""), known) for name, known in parts.items()}


def of(catalog: Catalog | None, clinic: Clinic) -> Menu:
    """What can be chosen now; without a catalogue nothing can be booked, but everything can be asked for."""
    if catalog is not None and catalog.shown_services:
        services = {each.id: each.slug for each in catalog.shown_services}
        places = {each.id: each.slug for each in catalog.locations}
        offers = {
            (person.slug, services[service], places[place])
            for person in catalog.practitioners
            for service, place in person.offers
            if service in services and place in places
        }
        return _menu(catalog.shown_services, catalog.practitioners, catalog.locations, offers)
    of_file = {(each.slug, offer.service, offer.location) for each in clinic.catalog.practitioners
               for offer in each.offers}  # fmt: skip
    menu = _menu(clinic.services, clinic.catalog.practitioners, clinic.catalog.locations, of_file)
    return menu if catalog is None else replace(menu, services=tuple(replace(s, by_phone=True) for s in menu.services))


def _menu(
    services: Iterable[Offering],
    people: Iterable[Clerk],
    places: Iterable[Named],
    offers: set[tuple[str, str, str]],
) -> Menu:
    return Menu(
        tuple(
            Service(each.slug, each.name, each.summary, each.duration_minutes, each.horizon_days,
                    str(each.audience), each.bookable != Bookable.ONLINE)
            for each in services
        ),
        tuple(
            Person(each.slug, each.name, each.title, frozenset(what for who, what, _ in offers if who == each.slug))
            for each in people
        ),
        tuple(
            Place(each.slug, each.name, frozenset(what for _, what, where in offers if where == each.slug))
            for each in places
        ),
    )  # fmt: skip


def _slug_for(word: str, parts: Sequence[Named]) -> str:
    for part in parts:
        if word == part.slug or word.strip().casefold() == part.name.casefold():
            return part.slug
    return word
