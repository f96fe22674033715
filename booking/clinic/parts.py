"""What the clinic's file says, once it is known to be right; its parts name each other by slug."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Address:
    """Where the clinic is."""

    street: str
    city: str
    region: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class Hours:
    """One line of the opening hours, as people read it; bookable time is that of the practitioners."""

    days: str
    opens: str


@dataclass(frozen=True, slots=True)
class Location:
    """A place with a clock of its own; `holidays` are the names of the days of `holiday_region` it is closed on."""

    slug: str
    name: str
    timezone: str
    street: str
    city: str
    region: str
    postal_code: str
    phone: str
    holiday_region: str
    holidays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """Something the clinic offers; `bookable` is "online", "call" or "hidden", `needs` are kinds of resources."""

    slug: str
    name: str
    summary: str
    duration_minutes: int
    bookable: str
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    step_minutes: int = 15
    notice_minutes: int = 120
    horizon_days: int = 60
    cutoff_minutes: int = 60
    daily_cap: int | None = None
    audience: str = "anyone"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """That a practitioner gives a service at a location."""

    service: str
    location: str


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """A weekly opening: `weekday` 0 is Monday, `opens` and `closes` are minutes after midnight on the wall clock."""

    location: str
    weekday: int
    opens: int
    closes: int
    valid_from: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class ExtraHours:
    """Hours on one date, on top of the weekly ones."""

    location: str
    on: date
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Practitioner:
    """Somebody who gives services."""

    slug: str
    name: str
    title: str
    offers: tuple[Offer, ...]
    hours: tuple[WorkingHours, ...]
    extra_hours: tuple[ExtraHours, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """A room or machine of some kind, at a location."""

    slug: str
    name: str
    kind: str
    location: str


@dataclass(frozen=True, slots=True)
class Closure:
    """Whole days, last one included, on which a location (None: every location) is closed."""

    starts_on: date
    ends_on: date
    reason: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that can be booked; its parts stand in the order in which they are shown."""

    locations: tuple[Location, ...]
    services: tuple[Service, ...]
    practitioners: tuple[Practitioner, ...]
    resources: tuple[Resource, ...]
    closures: tuple[Closure, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """Something a visitor may say applies to them that should not wait; `level` is "urgent" or "emergency"."""

    slug: str
    text: str
    level: str


@dataclass(frozen=True, slots=True)
class Texts:
    """The page's own words, apart from the sentences that never change."""

    headline: str
    intro: str
    services_intro: str
    form_intro: str
    contact_rule: str
    emergency: str
    response_promise: str
    next_steps: tuple[str, ...]
    closed: str
    away: str
    unsure: str
    check_email: str
    signs_intro: str
    urgent_advice: str
    emergency_advice: str


@dataclass(frozen=True, slots=True)
class Consent:
    """What a visitor agrees to: the exact wording, and the version it goes by."""

    version: str
    wording: str


@dataclass(frozen=True, slots=True)
class Palette:
    """Six colours, each `#` and six hex digits, because they are written into a style sheet as they are."""

    brand: str
    on_brand: str
    paper: str
    surface: str
    ink: str
    muted: str


@dataclass(frozen=True, slots=True)
class Clinic:
    """Everything the service knows about the clinic it works for."""

    received_sentence: ClassVar[str] = "Your submission has been received!"
    failed_sentence: ClassVar[str] = "Oops! Something went wrong while submitting the form."

    name: str
    tagline: str
    address: Address
    phone: str
    phone_e164: str
    email: str
    timezone: str
    region: str
    reference_prefix: str
    hours: tuple[Hours, ...]
    catalog: Catalog
    signs: tuple[Sign, ...]
    texts: Texts
    consents: Mapping[str, Consent]
    light: Palette
    dark: Palette

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that the public may see, also while the database is away."""
        return tuple(service for service in self.catalog.services if service.bookable != "hidden")

    @property
    def consent_version(self) -> str:
        """All versions in one word, as the form carries them: `reply:2026-11,marketing:2026-11`."""
        return ",".join(f"{purpose}:{consent.version}" for purpose, consent in self.consents.items())
