"""Ways to reach a person: names, e-mail addresses and phone numbers as people type them."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneNumberType, timezone

LONGEST_NAME = 200
EMAIL_DOMAINS = (
    "gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "aol.com", "comcast.net", "live.com",
    "msn.com", "me.com", "att.net", "bellsouth.net", "verizon.net", "proton.me", "protonmail.com", "ymail.com",
)  # fmt: skip
# Real domains one slip away from a common one: suggesting here would doubt people who typed it right.
REAL_NEIGHBOURS = ("mail.com", "email.com", "mac.com", "gmx.com", "ge.com", "love.com", "line.com", "act.net")
TEXTABLE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
DOTS_MEAN_NOTHING = ("gmail.com", "googlemail.com")
MOST_ZONES = 4  # a toll-free number is at home in forty
DOMAIN = re.compile(r"(?!.*\.\d+$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
NAMED_ADDRESS = re.compile(r"[^<>]*<\s*([^<>\s]+)\s*>")


@dataclass(frozen=True)
class Email:
    """An address as read: `address` is empty when `problem` says what is wrong; `suggestion` may name a slip.

    A `doubtful` one is written well, but in a domain that the internet does not have (`.local`).
    """

    address: str = ""
    problem: str = ""
    suggestion: str = ""
    doubtful: bool = False


@dataclass(frozen=True)
class Phone:
    """A number as read: `e164` is empty when `problem` says what is wrong; `doubtful` numbers may not exist."""

    e164: str = ""
    problem: str = ""
    doubtful: bool = False


def clean_line(text: str) -> str:
    """One line of text: composed Unicode, white space collapsed and trimmed."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def clean_text(text: str) -> str:
    """Free text: line ends as line feeds, outer white space trimmed, all else as typed."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def read_email(text: str) -> Email:
    """Read one address by syntax alone; whether mail arrives there is not asked while somebody waits."""
    typed = text.strip().removeprefix("mailto:").strip()
    if named := NAMED_ADDRESS.fullmatch(typed):
        typed = named[1]
    if not typed:
        return Email()
    try:
        address = validate_email(typed, check_deliverability=False, allow_quoted_local=True).normalized
    except EmailNotValidError as wrong:
        address = _unlikely(typed)
        if not address:
            return Email(problem=f"This e-mail address does not look right: {_sentence(str(wrong))}")
        return Email(address=address, doubtful=True)
    return Email(address=address, suggestion=suggest(address))


def suggest(address: str) -> str:
    """The address with its domain's likely slip mended ("ada@gmial.com" to "ada@gmail.com"), or nothing."""
    local, _, domain = address.rpartition("@")
    near = _near(domain.lower()) if local else ""
    return f"{local}@{near}" if near else ""


def mailbox(address: str) -> str:
    """Where letters to an address arrive: no capitals, nothing after a plus sign, for Gmail no dots."""
    local, at, domain = address.casefold().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in DOTS_MEAN_NOTHING:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}{at}{domain}"


def read_phone(text: str, region: str) -> Phone:
    """Read a number in any way people write it; without a country code it belongs to `region` ("US")."""
    typed = unicodedata.normalize("NFKC", text).strip()
    if not typed:
        return Phone()
    number = _parse(typed, region)
    if number is None:
        return Phone(problem="This does not look like a phone number. Please give it with its area code.")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(e164=e164, doubtful=not phonenumbers.is_valid_number(number))


def dialled(e164: str, region: str) -> str:
    """A number as people at home dial it: `(904) 555-0134`; foreign ones with their country code."""
    if region == "US" and len(e164) == 12 and e164.startswith("+1"):
        return f"({e164[2:5]}) {e164[5:8]}-{e164[8:]}"
    try:
        number = phonenumbers.parse(e164, region)
    except phonenumbers.NumberParseException:
        return e164
    home = phonenumbers.region_code_for_number(number) == region
    style = phonenumbers.PhoneNumberFormat.NATIONAL if home else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, style)


def is_textable(e164: str, region: str) -> bool:
    """Whether a number is one of `region` ("US") at which a person can be sent a text without a price of its own."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.region_code_for_number(number) == region and phonenumbers.number_type(number) in TEXTABLE


def time_zones(e164: str) -> tuple[str, ...]:
    """The zones in which a number is at home; empty where the number does not tell."""
    try:
        found: tuple[str, ...] = timezone.time_zones_for_number(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return ()
    return found if len(found) <= MOST_ZONES and timezone.UNKNOWN_TIMEZONE not in found else ()


def _unlikely(typed: str) -> str:
    """An address that only its domain's name speaks against (`.local`): syntax decides, the desk may look at it."""
    local, _, domain = typed.rpartition("@")
    if not DOMAIN.fullmatch(domain):
        return ""
    try:
        validate_email(f"{local}@example.com", check_deliverability=False, allow_quoted_local=True)
    except EmailNotValidError:
        return ""
    return f"{local}@{domain.lower()}"


def _parse(typed: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(typed[:250], region)
    except phonenumbers.NumberParseException:
        number = None
    if number is not None and _is_whole(number):
        return number
    # "call 904 555 0134 after five": the number stands among words
    found = (match.number for match in phonenumbers.PhoneNumberMatcher(typed[:1000], region))
    return next((number for number in found if _is_whole(number)), None)


def _is_whole(number: phonenumbers.PhoneNumber) -> bool:
    # A number without its area code counts as possible to the library; nobody could dial its E.164 form.
    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE


@lru_cache(4096)  # most people share a few domains
def _near(domain: str) -> str:
    """The common domain that one is a slip away from, or nothing."""
    if domain in EMAIL_DOMAINS or domain in REAL_NEIGHBOURS:
        return ""
    return next((known for known in EMAIL_DOMAINS if _one_slip(domain, known)), "")


def _one_slip(typed: str, known: str) -> bool:
    """Whether one letter was dropped, doubled, changed, or swapped with its neighbour."""
    if abs(len(typed) - len(known)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(typed, known, strict=False)) if a != b), min(len(typed), len(known)))
    rest, want = typed[at:], known[at:]
    return (
        rest[1:] == want[1:]
        or rest == want[1:]
        or rest[1:] == want
        or (rest[:2][::-1] == want[:2] and rest[2:] == want[2:])
    )


def _sentence(text: str) -> str:
    return text.strip().rstrip(".") + "."
