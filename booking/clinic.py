"""The clinic, read from one readable file: who it is, what it offers, what its page says and looks like."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar
from zoneinfo import ZoneInfo

DEFAULT_PATH = Path(__file__).with_name("clinic.toml")
PURPOSES = ("reply", "marketing")
COLOUR = "#[0-9A-Fa-f]{6}"


class ClinicFileWrong(ValueError):
    """The clinic's file cannot be used; one line for each problem, with the key it is about."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join((f"{path} cannot be used:", *self.problems)))


@dataclass(frozen=True, slots=True)
class Address:
    """Where the clinic is."""

    street: str
    city: str
    region: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class Hours:
    """One line of the opening hours, as people read it; bookable time is kept in the database."""

    days: str
    opens: str


@dataclass(frozen=True, slots=True)
class Service:
    """Something the clinic offers; `bookable` is "online" or "call"."""

    slug: str
    name: str
    summary: str
    duration_minutes: int
    bookable: str


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
    services: tuple[Service, ...]
    texts: Texts
    consents: Mapping[str, Consent]
    light: Palette
    dark: Palette

    @property
    def consent_version(self) -> str:
        """All versions in one word, as the form carries them: `reply:2026-11,marketing:2026-11`."""
        return ",".join(f"{purpose}:{consent.version}" for purpose, consent in self.consents.items())


def load(path: Path = DEFAULT_PATH) -> Clinic:
    """Read the clinic from a file; raises `ClinicFileWrong`, which names all problems at once."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as refusal:
        raise ClinicFileWrong(path, [f"the file cannot be read as TOML in UTF-8: {refusal}"]) from refusal
    problems: list[str] = []
    file = _Table(values, "", problems)
    clinic = _clinic(file)
    file.note_unknown_keys()
    if problems:
        raise ClinicFileWrong(path, problems)
    return clinic


def _clinic(file: "_Table") -> Clinic:
    phone = file.text("phone")
    texts, consents, brand = (file.table(key) for key in ("texts", "consents", "brand"))
    return Clinic(
        name=file.text("name"),
        tagline=file.text("tagline"),
        address=Address(**file.table("address").texts(Address)),
        phone=phone,
        phone_e164=_phone_e164(file, phone),
        email=file.text("email", r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+", "one e-mail address"),
        timezone=_timezone(file),
        region=file.text("region", "[A-Z]{2}", "two capital letters, such as US"),
        reference_prefix=file.text("reference_prefix", "[A-Z]{2,4}", "two to four capital letters"),
        hours=tuple(Hours(**line.texts(Hours)) for line in file.tables("hours")),
        services=_services(file),
        texts=Texts(next_steps=texts.lines("next_steps"), **texts.texts(Texts, but="next_steps")),
        consents=MappingProxyType({name: _consent(consents.table(name)) for name in PURPOSES}),
        light=_palette(brand.table("light")),
        dark=_palette(brand.table("dark")),
    )


def _phone_e164(file: "_Table", phone: str) -> str:
    number = file.text("phone_e164", r"\+[1-9][0-9]{7,14}", "a number such as +19045550134")
    shown = re.sub("[^0-9]", "", phone).lstrip("0")
    if number and phone and not (shown and number.endswith(shown)):
        file.note("phone_e164", "is another number than phone: the page would show one and dial the other")
    return number


def _timezone(file: "_Table") -> str:
    name = file.text("timezone")
    try:
        ZoneInfo(name or "UTC")
    except (ValueError, OSError, LookupError):
        file.note("timezone", "is not the name of a time zone, such as America/New_York")
    return name


def _services(file: "_Table") -> tuple[Service, ...]:
    services: dict[str, Service] = {}
    for table in file.tables("services"):
        service = _service(table)
        if service.slug and service.slug in services:
            table.note("slug", f"{service.slug} is already the slug of a service above")
        services[service.slug] = service
    return tuple(services.values())


def _service(table: "_Table") -> Service:
    return Service(
        slug=table.text("slug", "[a-z0-9]+(-[a-z0-9]+)*", "small letters, digits and single hyphens"),
        name=table.text("name"),
        summary=table.text("summary"),
        duration_minutes=table.integer("duration_minutes", 5, 480),
        bookable=table.text("bookable", "online|call", '"online" or "call"'),
    )


def _consent(table: "_Table") -> Consent:
    # The form sends "purpose:version,purpose:version": a version may not contain what separates them.
    version = table.text("version", "[A-Za-z0-9._-]+", "letters, digits, dots and hyphens")
    return Consent(version=version, wording=table.text("wording"))


def _palette(table: "_Table") -> Palette:
    palette = Palette(**table.texts(Palette, COLOUR, "a colour such as #1f6652"))
    pairs = [(front, back) for back in ("paper", "surface") for front in ("ink", "muted", "brand")]
    for front, back in [("on_brand", "brand"), *pairs]:
        contrast = _contrast(getattr(palette, front), getattr(palette, back))
        if contrast < 4.5:
            table.note(front, f"is hard to read on {back}: a contrast of {contrast:.1f}, not 4.5")
    return palette


def _contrast(front: str, back: str) -> float:
    """How far two colours stand apart, from 1 to 21, as WCAG 2 counts; 21 if one is no colour."""
    if not (re.fullmatch(COLOUR, front) and re.fullmatch(COLOUR, back)):
        return 21.0
    darker, lighter = sorted((_luminance(front), _luminance(back)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


class _Table:
    """One table of the file: hands out checked values, and notes what is wrong instead of stopping."""

    def __init__(self, values: dict[str, object], prefix: str, problems: list[str]) -> None:
        self._values = values
        self._prefix = prefix
        self._problems = problems
        self._known: dict[str, list[_Table]] = {}

    def note(self, key: str, problem: str) -> None:
        self._problems.append(f"{self._prefix}{key}: {problem}")

    def text(self, key: str, pattern: str = ".+", wanted: str = "") -> str:
        """A text as one line; the line ends of a long one become single spaces."""
        return self._line(key, self._value(key), pattern, wanted)

    def texts(self, shape: type, pattern: str = ".+", wanted: str = "", but: str = "") -> dict[str, str]:
        """A text for each field of a dataclass."""
        return {field.name: self.text(field.name, pattern, wanted) for field in fields(shape) if field.name != but}

    def lines(self, key: str) -> tuple[str, ...]:
        return tuple(self._line(f"{key}[{at}]", value) for at, value in enumerate(self._list(key), 1))

    def integer(self, key: str, lowest: int, highest: int) -> int:
        value = self._value(key)
        if type(value) is int and lowest <= value <= highest:
            return value
        if value is not None:
            self.note(key, f"must be a whole number from {lowest} to {highest}")
        return lowest

    def table(self, key: str) -> "_Table":
        return self._child(key, key, self._value(key))

    def tables(self, key: str) -> "list[_Table]":
        return [self._child(key, f"{key}[{at}]", value) for at, value in enumerate(self._list(key), 1)]

    def note_unknown_keys(self) -> None:
        for key in sorted(self._values.keys() - self._known.keys()):
            near = difflib.get_close_matches(key, self._known.keys() - self._values.keys(), n=1)
            self.note(key, "is not a known key" + (f"; did you mean {near[0]}?" if near else ""))
        for child in (child for children in self._known.values() for child in children):
            child.note_unknown_keys()

    def _value(self, key: str) -> object:
        self._known.setdefault(key, [])
        if key not in self._values:
            self.note(key, "is missing")
        return self._values.get(key)

    def _line(self, key: str, value: object, pattern: str = ".+", wanted: str = "") -> str:
        line = " ".join(value.split()) if isinstance(value, str) else ""
        # A control character would one day stand in the header of a letter.
        if value is not None and (not line or re.search(r"[\x00-\x1f\x7f-\x9f]", line)):
            self.note(key, "must be a text, not empty and without control characters")
        elif line and not re.fullmatch(pattern, line):
            self.note(key, f"must be {wanted}")
        return line

    def _list(self, key: str) -> list[object]:
        value = self._value(key)
        if value is not None and not (isinstance(value, list) and value):
            self.note(key, "must be a list with at least one entry")
        return value if isinstance(value, list) else []

    def _child(self, key: str, name: str, values: object) -> "_Table":
        if isinstance(values, dict):
            child = _Table(values, f"{self._prefix}{name}.", self._problems)
            self._known[key].append(child)
            return child
        if values is not None:
            self.note(name, "must be a table")
        # One note is enough: that each key of this table is missing too would only be noise.
        return _Table({}, "", [])
