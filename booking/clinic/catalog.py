"""The part of the clinic's file that can be booked: locations, services, resources, practitioners, closures."""

from collections.abc import Callable
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from booking.clinic import practitioners, public_holidays
from booking.clinic.parts import Catalog, Closure, Location, Practitioner, Resource, Service
from booking.clinic.references import Known
from booking.clinic.table import SLUG, SLUG_WANTED, Table, near

BOOKABLE = ("online", "call", "hidden")
AUDIENCES = ("anyone", "new", "returning")
A_DAY, A_MONTH = 24 * 60, 30 * 24 * 60
LIKE_A_ZONE = 0.85  # most of them begin alike
REGION = "[A-Z]{2}(-[A-Z0-9]{1,3})?"

Part = TypeVar("Part", Location, Service, Practitioner, Resource)


def read(file: Table, *, check_holidays: bool) -> Catalog:
    """Read everything that can be booked; a file without locations or practitioners offers services by call alone."""
    locations = _each(file, "locations", lambda table: _location(table, check_holidays))
    places = Known(list(locations.values()), ())
    resources = _each(file, "resources", lambda table: _resource(table, places))
    rooms = Known(places.locations, (), list(resources.values()))
    services = _each(file, "services", lambda table: _service(table, rooms))
    known = Known(places.locations, list(services.values()), rooms.resources)
    staff = _each(file, "practitioners", lambda table: practitioners.read(table, known))
    if staff and not locations:
        file.note("practitioners", "have nowhere to work: there are no [[locations]]")
    if staff and not file.is_faulty("practitioners"):
        practitioners.note_never_bookable(services, list(staff.values()))
    return Catalog(
        locations=tuple(locations.values()),
        services=tuple(services.values()),
        practitioners=tuple(staff.values()),
        resources=tuple(resources.values()),
        closures=tuple(_closure(table, places) for table in file.tables("closures", optional=True)),
    )


def timezone(table: Table) -> str:
    """The name of a time zone."""
    name = table.text("timezone")
    try:
        ZoneInfo(name or "UTC")
    except (ValueError, OSError, LookupError):
        meant = near(name, available_timezones(), LIKE_A_ZONE)
        table.note("timezone", f"is not the name of a time zone, such as America/New_York{meant}")
    return name


def _each(file: Table, key: str, read: Callable[[Table], Part]) -> dict[Table, Part]:
    parts: dict[Table, Part] = {}
    for table in file.tables(key, optional=key != "services"):
        part = read(table)
        for name in ("slug", "name"):
            value = getattr(part, name).casefold()
            if value and any(value == getattr(other, name).casefold() for other in parts.values()):
                table.note(name, f"{getattr(part, name)} is already the {name} of one of the {key} above")
        parts[table] = part
    return parts


def _location(table: Table, check_holidays: bool) -> Location:
    holidays = table.entries("holidays", optional=True)
    region = ""
    if holidays or table.has("holiday_region"):
        region = table.text("holiday_region", REGION, "a country and region such as US-FL")
    if check_holidays and region:
        _note_unknown_holidays(table, region, holidays)
    return Location(
        slug=table.slug("slug"),
        name=table.text("name"),
        timezone=timezone(table),
        **{key: table.text(key) for key in ("street", "city", "region", "postal_code", "phone")},
        holiday_region=region,
        holidays=tuple(name for _, name in holidays),
    )


def _note_unknown_holidays(table: Table, region: str, holidays: list[tuple[int, str]]) -> None:
    try:
        known = public_holidays.names(region)
    except public_holidays.RegionUnknown:
        table.note("holiday_region", f"{region} is no country or region whose public holidays are known")
        return
    for at, name in holidays:
        if name and name not in known:
            table.note(("holidays", at), f"{name} is no public holiday of {region}{near(name, known)}")


def _resource(table: Table, places: Known) -> Resource:
    return Resource(
        slug=table.slug("slug"),
        name=table.text("name"),
        kind=table.slug("kind"),
        location=places.location(table),
    )


def _service(table: Table, rooms: Known) -> Service:
    service = Service(
        slug=table.slug("slug"),
        name=table.text("name"),
        summary=table.text("summary"),
        duration_minutes=table.integer("duration_minutes", 5, 480),
        bookable=table.word("bookable", BOOKABLE),
        buffer_before_minutes=table.integer("buffer_before_minutes", 0, 120, default=0),
        buffer_after_minutes=table.integer("buffer_after_minutes", 0, 120, default=0),
        step_minutes=table.integer("step_minutes", 5, 240, default=15),
        notice_minutes=table.integer("notice_minutes", 0, A_MONTH, default=120),
        horizon_days=table.integer("horizon_days", 1, 730, default=60),
        cutoff_minutes=table.integer("cutoff_minutes", 0, A_MONTH, default=60),
        daily_cap=table.integer("daily_cap", 1, 500) if table.has("daily_cap") else None,
        audience=table.word("audience", AUDIENCES, default="anyone"),
        needs=tuple(_needed(table, rooms)),
    )
    if service.notice_minutes > service.horizon_days * A_DAY:
        table.note("notice_minutes", f"is longer than the horizon of {service.horizon_days} days: no time is left")
    return service


def _needed(table: Table, rooms: Known) -> list[str]:
    kinds = []
    for at, kind in table.entries("needs", SLUG, SLUG_WANTED, optional=True):
        if kind and kind not in rooms.kinds():
            table.note(("needs", at), f"there is no resource of the kind {kind}{near(kind, rooms.kinds())}")
        kinds.append(kind)
    return kinds


def _closure(table: Table, places: Known) -> Closure:
    closure = Closure(
        starts_on=table.date("starts_on"),
        ends_on=table.date("ends_on"),
        reason=table.text("reason"),
        location=places.location(table) if table.has("location") else None,
    )
    if closure.ends_on < closure.starts_on:
        table.note("ends_on", f"{closure.ends_on} is before {closure.starts_on}, when the closure begins")
    return closure
