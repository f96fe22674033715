"""A submission: one post of the form, read and cleaned, before anything is known about its fate."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from booking.domain.contact import clean_line, clean_text, read_email, read_phone
from booking.domain.fields import ATTRIBUTION, PURPOSES, Fields

FREE_TEXTS = {"message", "preferred_times"}
UNREACHABLE = "Please give an e-mail address or a phone number, so that we can answer you."
UNREACHABLE_EITHER = "Or give a phone number here."
YES = {"true", "on", "yes", "1", "y", "checked", "agree", "agreed", "i agree", "accept", "accepted"}
NO = {"false", "off", "no", "0", "n"}


@dataclass(frozen=True)
class Circumstances:
    """How a post arrived, as far as screening asks; nothing here names a person.

    `origin` is `same`, `known`, `unknown` or `none`; `client` a keyed digest of the client's address in hex;
    `seconds` the time from showing the form to sending it, if the page said when it was shown.
    """

    door: str = "form"
    by_get: bool = False
    origin: str = "none"
    client: str = ""
    seconds: float | None = None
    honeypot: bool = False


@dataclass(frozen=True)
class Submission:
    """One post of the form. Texts are empty, never None, when not given; `problems` are texts by field."""

    name: str = ""
    email: str = ""
    phone: str = ""
    phone_typed: str = ""
    message: str = ""
    service: str = ""
    practitioner: str = ""
    location: str = ""
    preferred_times: str = ""
    starts_at: str = ""
    hold: str = ""
    symptoms: tuple[str, ...] = ()
    contact_preference: str = ""
    new_patient: bool | None = None
    consents: tuple[str, ...] = ()
    consent_version: str = ""
    page_url: str = ""
    referrer: str = ""
    attribution: dict[str, str] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    doubts: tuple[str, ...] = ()
    suggestions: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    circumstances: Circumstances = Circumstances()

    @property
    def acceptable(self) -> bool:
        """Whether nothing stands against it; with a problem it is kept as an incomplete attempt."""
        return not self.problems

    @property
    def says_nothing(self) -> bool:
        """Whether nobody said anything in it: an empty form, of which nothing is worth keeping."""
        said = (self.name, self.phone_typed, self.message, self.preferred_times, self.service, self.extras)
        return not (self.email or any(said))

    @property
    def asks_for_a_time(self) -> bool:
        """Whether a time was chosen, by itself or as a hold."""
        return bool(self.starts_at or self.hold)

    def as_json(self) -> dict[str, Any]:
        """The submission as plain JSON values, for the spool."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What `as_json` wrote."""
        tuples = {name: tuple(values.get(name, ())) for name in ("consents", "doubts", "symptoms")}
        return cls(**(values | tuples | {"circumstances": Circumstances(**values["circumstances"])}))


def compose(fields: Fields, *, region: str, circumstances: Circumstances) -> Submission:
    """Read canonical fields into a submission; `problems` tells what keeps it from being answered."""
    text = {name: clean_line(fields.text(name)) for name in fields.canonical if name not in FREE_TEXTS}
    email, phone = read_email(text.get("email", "")), read_phone(text.get("phone", ""), region)
    extras, doubts = dict(fields.extras), []
    if email.problem:
        extras["email as typed"] = text["email"]
        doubts.append("The e-mail address is not a valid one; call instead.")
    elif email.doubtful:
        doubts.append("The e-mail address may not exist.")
    if phone.problem:
        doubts.append("The phone number is not a valid one; write instead.")
    elif phone.doubtful:
        doubts.append("The phone number may not exist.")
    for name in _kept_as_extras(text):
        extras[name] = text[name]
    symptoms = tuple(clean_line(str(symptom)) for symptom in fields.canonical.get("symptoms", ()) if symptom)
    if symptoms:
        extras["symptoms"] = list(symptoms)
    return Submission(
        name=text.get("name") or clean_line(f"{text.get('first_name', '')} {text.get('last_name', '')}"),
        email=email.address,
        phone=phone.e164,
        phone_typed=text.get("phone", ""),
        message=clean_text(fields.text("message")),
        service=text.get("service", ""),
        practitioner=text.get("practitioner", ""),
        location=text.get("location", ""),
        preferred_times=clean_text(fields.text("preferred_times")),
        starts_at=text.get("starts_at", ""),
        hold=text.get("hold", ""),
        symptoms=symptoms,
        contact_preference=text.get("contact_preference", ""),
        new_patient=yes_or_no(text.get("new_patient", "")),
        consents=tuple(purpose for purpose in PURPOSES if yes_or_no(text.get(f"consent_{purpose}", ""))),
        consent_version=text.get("consent_version", ""),
        page_url=text.get("page_url", ""),
        referrer=text.get("referrer", ""),
        attribution={name: text[name] for name in ATTRIBUTION if text.get(name)},
        extras=extras,
        key=text.get("submission_key", ""),
        doubts=tuple(doubts),
        suggestions={"email": email.suggestion} if email.suggestion else {},
        problems=_problems(email.problem, phone.problem, reachable=bool(email.address or phone.e164)),
        circumstances=circumstances,
    )


def _kept_as_extras(text: dict[str, str]) -> list[str]:
    """The known fields that have no place of their own as they were given: nothing that was said is dropped."""
    questions = ("new_patient", *(f"consent_{purpose}" for purpose in PURPOSES))
    unclear = [name for name in questions if text.get(name) and yes_or_no(text[name]) is None]
    parts = [name for name in ("first_name", "last_name") if text.get("name") and text.get(name)]
    return [name for name in ("starts_at",) if text.get(name)] + unclear + parts


def yes_or_no(text: str) -> bool | None:
    """What a ticked box or an answered question says; None when it says nothing clear."""
    word = text.strip().casefold()
    return True if word in YES else False if word in NO else None


def seconds_to_fill(started_at: str, now: datetime) -> float | None:
    """The time from showing the form (UNIX seconds, as the page wrote them) to `now`; None if unclear."""
    if not started_at.isascii() or not started_at.isdigit() or len(started_at) > 12:
        return None
    seconds = now.timestamp() - int(started_at)
    return seconds if seconds >= 0 else None


def _problems(email: str, phone: str, *, reachable: bool) -> dict[str, str]:
    if reachable:
        return {}
    given = {name: problem for name, problem in (("email", email), ("phone", phone)) if problem}
    return given or {"email": UNREACHABLE, "phone": UNREACHABLE_EITHER}
