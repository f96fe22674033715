"""Reading the clinic's file: all of it, or every reason why not."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from booking.clinic import catalog
from booking.clinic.colours import COLOUR, READABLE, contrast
from booking.clinic.parts import Address, Clinic, Consent, Hours, Palette, Sign, Texts
from booking.clinic.table import Problems, Table

DEFAULT_PATH = Path(__file__).with_name("clinic.toml")
PURPOSES = ("reply", "marketing")


class ClinicFileWrong(ValueError):
    """The clinic's file cannot be used; one sentence for each problem, with its line and the key it is about."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join((f"{path} cannot be used:", *self.problems)))


def load(path: Path = DEFAULT_PATH, *, check_holidays: bool = False) -> Clinic:
    """Read the clinic from a file; raises `ClinicFileWrong`, which names all problems at once.

    The names of public holidays are checked only on demand, which is when the catalogue is loaded into the
    database: what knows them is slow to import, and a service that starts has no use for it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = tomllib.loads(text)
    except (OSError, ValueError) as refusal:
        raise ClinicFileWrong(path, [f"the file cannot be read as TOML in UTF-8: {refusal}"]) from refusal
    problems = Problems(text)
    file = Table(values, (), problems)
    clinic = _clinic(file, check_holidays)
    file.note_unknown_keys()
    if said := problems.said(path.name):
        raise ClinicFileWrong(path, said)
    return clinic


def _clinic(file: Table, check_holidays: bool) -> Clinic:
    phone = file.text("phone")
    texts, consents, brand = (file.table(key) for key in ("texts", "consents", "brand"))
    return Clinic(
        name=file.text("name"),
        tagline=file.text("tagline"),
        address=Address(**file.table("address").texts(Address)),
        phone=phone,
        phone_e164=_phone_e164(file, phone),
        email=file.text("email", r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+", "one e-mail address"),
        timezone=catalog.timezone(file),
        region=file.text("region", "[A-Z]{2}", "two capital letters, such as US"),
        reference_prefix=file.text("reference_prefix", "[A-Z]{2,4}", "two to four capital letters"),
        hours=tuple(Hours(**line.texts(Hours)) for line in file.tables("hours")),
        catalog=catalog.read(file, check_holidays=check_holidays),
        signs=_signs(file),
        texts=Texts(next_steps=texts.lines("next_steps"), **texts.texts(Texts, but="next_steps")),
        consents=MappingProxyType({name: _consent(consents.table(name)) for name in PURPOSES}),
        light=_palette(brand.table("light")),
        dark=_palette(brand.table("dark")),
    )


def _phone_e164(file: Table, phone: str) -> str:
    number = file.text("phone_e164", r"\+[1-9][0-9]{7,14}", "a number such as +19045550134")
    shown = re.sub("[^0-9]", "", phone).lstrip("0")
    if number and phone and not (shown and number.endswith(shown)):
        file.note("phone_e164", "is another number than phone: the page would show one and dial the other")
    return number


def _signs(file: Table) -> tuple[Sign, ...]:
    signs: dict[str, Sign] = {}
    for table in file.tables("signs", optional=True):
        sign = Sign(table.slug("slug"), table.text("text"), table.word("level", ("urgent", "emergency")))
        if sign.slug and sign.slug in signs:
            table.note("slug", f"{sign.slug} is there twice")
        signs.setdefault(sign.slug, sign)
    return tuple(signs.values())


def _consent(table: Table) -> Consent:
    # The form sends "purpose:version,purpose:version": a version may not contain what separates them.
    version = table.text("version", "[A-Za-z0-9._-]+", "letters, digits, dots and hyphens")
    return Consent(version=version, wording=table.text("wording"))


def _palette(table: Table) -> Palette:
    palette = Palette(**table.texts(Palette, COLOUR, "a colour such as #1f6652"))
    pairs = [(front, back) for back in ("paper", "surface") for front in ("ink", "muted", "brand")]
    for front, back in [("on_brand", "brand"), *pairs]:
        found = contrast(getattr(palette, front), getattr(palette, back))
        if found < READABLE:
            table.note(front, f"is hard to read on {back}: a contrast of {found:.1f}, not {READABLE}")
    return palette
