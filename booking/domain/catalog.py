"""The catalogue as the rules see it: what is offered, by whom, where, with which rooms, and when the clinic is open."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from zoneinfo import ZoneInfo

from booking.domain.status import Audience, Bookable


@dataclass(frozen=True, slots=True)
class Location:
    """A place with a clock of its own."""

    id: int
    slug: str
    name: str
    timezone: str
    street: str
    city: str
    region: str
    postal_code: str
    phone: str

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.timezone)

    @property
    def address(self) -> str:
        """The address in one line."""
        return f"{self.street}, {self.city}, {self.region} {self.postal_code}"


@dataclass(frozen=True, slots=True)
class Service:
    """Something offered. Times are minutes, `horizon_days` counts calendar days from today.

    `needs` are kinds of resources, one of each; `daily_cap` bounds the visits of a day at one location.
    """

    id: int
    slug: str
    name: str
    summary: str
    duration_minutes: int
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    step_minutes: int = 15
    notice_minutes: int = 120
    horizon_days: int = 60
    cutoff_minutes: int = 60
    daily_cap: int | None = None
    audience: Audience = Audience.ANYONE
    bookable: Bookable = Bookable.ONLINE
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Practitioner:
    """Somebody who gives services; `offers` are pairs of service id and location id."""

    id: int
    slug: str
    name: str
    title: str
    calendar_id: int
    offers: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Resource:
    """A room or machine of some kind."""

    id: int
    slug: str
    name: str
    kind: str
    location_id: int
    calendar_id: int


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """A weekly opening: `weekday` 0 is Monday, `opens` and `closes` are minutes after midnight on the wall clock."""

    practitioner_id: int
    location_id: int
    weekday: int
    opens: int
    closes: int
    valid_from: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class ExtraHours:
    """Hours on one date, on top of the weekly ones; a closure does not take them away."""

    practitioner_id: int
    location_id: int
    on: date
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Closure:
    """Whole days, last one included, on which a location (None: every location) is closed."""

    location_id: int | None
    starts_on: date
    ends_on: date
    reason: str


@dataclass(frozen=True)
class Catalog:
    """Everything that can be booked, at one version; its parts stand in the order in which they are shown.

    `retired` are the parts that are offered no more, but that earlier visits still name.
    """

    version: int
    locations: tuple[Location, ...] = ()
    services: tuple[Service, ...] = ()
    practitioners: tuple[Practitioner, ...] = ()
    resources: tuple[Resource, ...] = ()
    working_hours: tuple[WorkingHours, ...] = ()
    extra_hours: tuple[ExtraHours, ...] = ()
    closures: tuple[Closure, ...] = ()
    retired: tuple[Location | Service | Practitioner | Resource, ...] = ()

    def service(self, word: str) -> Service | None:
        """The service with this slug or name; a hidden one is known by its slug alone."""
        for service in self.services:
            if word == service.slug or (service.bookable != Bookable.HIDDEN and _same(word, service.name)):
                return service
        return None

    def practitioner(self, word: str) -> Practitioner | None:
        """The practitioner with this slug or name."""
        return next((each for each in self.practitioners if word == each.slug or _same(word, each.name)), None)

    def location(self, word: str) -> Location | None:
        """The location with this slug or name."""
        return next((each for each in self.locations if word == each.slug or _same(word, each.name)), None)

    @cached_property
    def by_id(self) -> dict[tuple[type, int], Location | Service | Practitioner | Resource]:
        """Every part by its class and id, the retired ones too."""
        parts: list[Location | Service | Practitioner | Resource] = [
            *self.locations, *self.services, *self.practitioners, *self.resources, *self.retired,
        ]  # fmt: skip
        return {(type(part), part.id): part for part in parts}

    @cached_property
    def shown_services(self) -> tuple[Service, ...]:
        """The services that the public may see."""
        return tuple(service for service in self.services if service.bookable != Bookable.HIDDEN)

    @cached_property
    def weekly_hours(self) -> dict[tuple[int, int], list[list[WorkingHours]]]:
        """The weekly openings by practitioner id and location id, and then by weekday."""
        found: dict[tuple[int, int], list[list[WorkingHours]]] = {}
        for each in self.working_hours:
            week = found.setdefault((each.practitioner_id, each.location_id), [[] for _ in range(7)])
            week[each.weekday].append(each)
        return found

    def who_offers(self, service: Service, location: Location) -> tuple[Practitioner, ...]:
        """The practitioners who give a service at a location, in the order in which they are tried."""
        return tuple(each for each in self.practitioners if (service.id, location.id) in each.offers)

    def where_offered(self, service: Service) -> tuple[Location, ...]:
        """The locations at which somebody gives a service."""
        found = {location_id for each in self.practitioners for service_id, location_id in each.offers
                 if service_id == service.id}  # fmt: skip
        return tuple(location for location in self.locations if location.id in found)

    def rooms(self, service: Service, location: Location) -> tuple[tuple[int, ...], ...]:
        """For each kind of resource a service needs, the calendars of those that would do."""
        return tuple(
            tuple(each.calendar_id for each in self.resources if each.kind == kind and each.location_id == location.id)
            for kind in sorted(service.needs)
        )

    def calendars(self, practitioners: Iterable[Practitioner], service: Service, location: Location) -> list[int]:
        """Every calendar that bears on a question about these practitioners."""
        rooms = [calendar for kind in self.rooms(service, location) for calendar in kind]
        return sorted({*(each.calendar_id for each in practitioners), *rooms})


def _same(word: str, name: str) -> bool:
    return word.strip().casefold() == name.casefold()
