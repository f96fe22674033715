"""The names of the form's fields: what web sites call them, and what we call them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

PURPOSES = ("reply", "marketing")
UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")
CLICK_IDS = ("gclid", "fbclid", "msclkid")
ATTRIBUTION = UTM + CLICK_IDS
HONEYPOT = "contact_me_by_fax"
CANONICAL = (
    "name", "first_name", "last_name", "email", "phone", "message", "service", "location", "practitioner",
    "starts_at", "hold", "new_patient", "symptoms", "contact_preference", "preferred_times",
    "consent_reply", "consent_marketing", "consent_version", "submission_key", "page_url", "referrer",
    *ATTRIBUTION, "return_to", "started_at", HONEYPOT,
)  # fmt: skip
REPEATED = {"symptoms"}

# Labels seen on real forms, squeezed to their letters and digits. "Name" alone, and every canonical name, need no row.
ALIASES = {
    "name": (
        "yourname fullname namefull myname contactname patientname customername namesurname visitorname nom nombre"
    ),
    "first_name": "firstname fname givenname forename yourfirstname namefirst first",
    "last_name": "lastname lname surname familyname yourlastname namelast last",
    "email": (
        "emailaddress youremail youremailaddress mail mailaddress contactemail emailid emailadress workemail correo"
    ),
    "phone": (
        "phonenumber yourphone yourphonenumber telephone telephonenumber tel telno mobile mobilenumber "
        "mobilephone cell cellphone cellnumber phoneno contactnumber contactphone daytimephone bestphonenumber "
        "bestphone number telefono"
    ),
    "message": (
        "yourmessage msg comment comments question questions enquiry inquiry yourenquiry yourinquiry note notes "
        "details howcanwehelp howcanwehelpyou body text messagebody additionalinformation tellusmore description "
        "textarea mensaje"
    ),
    "service": (
        "services serviceofinterest interestedin treatment reasonforvisit serviceneeded selectservice chooseservice"
    ),
    "location": "office clinic preferredlocation",
    "practitioner": "provider doctor preferredprovider preferreddoctor",
    "new_patient": "newpatient areyouanewpatient firstvisit isnewpatient newclient",
    "symptoms": "symptom",
    "contact_preference": (
        "preferredcontact preferredcontactmethod bestwaytoreachyou contactmethod howshouldwecontactyou"
    ),
    "preferred_times": (
        "preferredtime preferredtimes besttime besttimetocall preferreddate preferreddateandtime availability"
    ),
    "consent_reply": "consent iagree agree privacyconsent privacy gdpr privacypolicy",
    "consent_marketing": "marketing newsletter subscribe optin marketingconsent marketingoptin",
    "submission_key": "idempotencykey submissionid",
    "page_url": "page pageurl sourceurl landingpage url",
    "referrer": "referer httpreferer httpreferrer",
    "return_to": "redirect redirectto next returnurl",
}

# What Webflow's own posts carry beside `fields[…]`: facts about the form, not about the person.
WEBFLOW_FACTS = {"name": "form name", "source": "page_url"}
WRAPPED = re.compile(r"fields\[(.+)\]", re.DOTALL)


@dataclass
class Fields:
    """A post's values by canonical name, each a list in order of arrival, and everything else as extras."""

    canonical: dict[str, list[Any]] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The first value that says something, as text; empty if there is none."""
        for value in self.canonical.get(name, ()):
            text = value if isinstance(value, str) else _text(value)
            if text and not text.isspace():
                return text
        return ""


def sort(pairs: Iterable[tuple[str, Any]]) -> Fields:
    """Sort a post's pairs: labels are matched blind to case and punctuation, what is unknown becomes an extra."""
    fields, listed = Fields(), list(pairs)
    wrapped = any(label.startswith("fields[") for label, _ in listed)
    for label, value in listed:
        inner = WRAPPED.fullmatch(label) if wrapped else None
        if wrapped and not inner:
            _place(fields, WEBFLOW_FACTS.get(label, f"webflow {label}"), label, value)
        else:
            plain = inner.group(1) if inner else label
            _place(fields, canonical(plain) or plain, plain, value)
    return fields


@lru_cache(4096)
def canonical(label: str) -> str | None:
    """Our name for a label: `E-mail`, `Your Name` and `Full-Name-2` all have one; None for unknown labels."""
    squeezed = _squeeze(label)
    return _KNOWN.get(squeezed) or _KNOWN.get(squeezed.rstrip("0123456789"))


def _place(fields: Fields, name: str, label: str, value: Any) -> None:
    if name not in _CANONICAL:
        _add_extra(fields.extras, name, value)
    elif name in REPEATED:
        fields.canonical.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    elif fields.text(name) and _text(value).strip() and value not in fields.canonical[name]:
        _add_extra(fields.extras, label, value)  # two fields claim one name: the first has it, the second is kept
    else:
        fields.canonical.setdefault(name, []).append(value)


def _add_extra(extras: dict[str, Any], name: str, value: Any) -> None:
    if name not in extras:
        extras[name] = value
    elif isinstance(extras[name], list):
        extras[name].append(value)
    else:
        extras[name] = [extras[name], value]


def _text(value: Any) -> str:
    return "" if value is None else ("true" if value else "false") if isinstance(value, bool) else str(value)


def _squeeze(label: str) -> str:
    return "".join(letter for letter in label.casefold() if letter.isalnum())


_CANONICAL = frozenset(CANONICAL)
_KNOWN = {_squeeze(name): name for name in CANONICAL} | {
    alias: name for name, aliases in ALIASES.items() for alias in aliases.split()
}
