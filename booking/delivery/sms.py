"""SMS: one short text is handed to the clinic's provider, and what the provider tells us is known to be from it."""

import base64
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from booking.delivery import outgoing
from booking.delivery.failures import Refused, TryLater

TWILIO = "https://api.twilio.com"
TWILIO_URL = re.compile(
    r"twilio://(?P<account>AC[A-Za-z0-9]+):(?P<token>[^\s:@/?#]+)@(?P<sender>\+[1-9][0-9]{4,14}|MG[A-Za-z0-9]+)"
    r"(\?(?P<options>.+))?"
)
LOOPBACK = re.compile(r"https?://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{1,5})?/?")

OPTED_OUT = 21610
# What a person puts right at Twilio, or time does: the texts need not be lost over it.
MENDED = {
    20003: "Twilio does not accept the account's credentials",
    20005: "the account at Twilio is not active",
    20429: "Twilio is asked too often",
    21611: "too many texts of this sender wait at Twilio",
    30001: "too many texts of this sender wait at Twilio",
    30002: "the account at Twilio is suspended",
}
HOPELESS = {
    21211: "the number is not a telephone number",
    21217: "the number is not a telephone number",
    21408: "the account at Twilio may not send to this country",
    21612: "the number cannot be reached from this sender",
    21614: "the number cannot receive texts",
    21635: "the number is a landline",
    30003: "the telephone cannot be reached",
    30004: "the recipient blocks such texts",
    30005: "the number is unknown to its network",
    30006: "the number is a landline, or its network cannot be reached",
}

STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START = frozenset({"START", "YES", "UNSTOP"})
# In a sentence: at its beginning, alone with a word or two, or of texts. A pain that does not stop is another matter.
WISHES = re.compile(
    r"^\W*STOP\b(?!\s+(BY|IN|OVER)\b)|^\W*(\w+\W+){0,2}STOP\W*$|\bUNSUBSCRIBE\b|\bOPT(ING)?[\s-]?OUT\b"
    r"|\bSTOP\s+(\w+\s+)?(TEXT|MESSAG|SEND|CONTACT|REMIND|WRITING|SMS|THIS\b|THESE\b|IT\b)",
    re.IGNORECASE,
)
NEGATED = re.compile(
    r"(N[^\w\s]T|\b(CAN|WO|DO|DOES|DID)NT|\bNOT|\bNEVER|\bCANNOT)\s+(\w+\s+){0,2}(STOP|UNSUBSCRIBE|OPT)", re.IGNORECASE
)


class OptedOut(Refused):
    """The recipient told the provider to stop; `gone` is true."""


class Provider(Protocol):
    """Whoever carries our texts."""

    def send(self, to: str, text: str, message_id: str) -> None:
        """Hand one text over, `to` in E.164; raises TryLater, Refused or OptedOut.

        `message_id` is the same for each attempt at one message, for providers that can tell an attempt repeated.
        """


@dataclass(frozen=True)
class Twilio:
    """Twilio's Messages resource; `sender` is a number in E.164 or the MG… of a messaging service."""

    account: str
    token: str = field(repr=False)
    sender: str
    base: str = TWILIO
    guard: bool = True

    def send(self, to: str, text: str, message_id: str) -> None:  # noqa: ARG002  Twilio knows no key of repetition
        """Hand one text over; raises TryLater, Refused or OptedOut, which quote neither number nor text.

        If Twilio takes the text but its answer is lost, that is a TryLater too, and the text will arrive twice.
        """
        own = "MessagingServiceSid" if self.sender.startswith("MG") else "From"
        answer = outgoing.post(
            f"{self.base}/2010-04-01/Accounts/{self.account}/Messages.json",
            urlencode({own: self.sender, "To": to, "Body": text}).encode(),
            {
                "Authorization": f"Basic {base64.b64encode(f'{self.account}:{self.token}'.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            guard=self.guard,
        )
        _judge(answer.status, _code(answer.body))


def open_provider(url: str) -> Provider | None:
    """The provider that a setting names, None for an empty one; raises ValueError, which quotes no secret.

    `twilio://ACxxx:token@+19045550100` or `twilio://ACxxx:token@MGxxx`; for development, `?base=http://127.0.0.1:1234`
    sends to something on this machine in Twilio's stead.
    """
    if not url:
        return None
    found = TWILIO_URL.fullmatch(url)
    if found is None:
        raise ValueError(
            "an SMS provider is written as twilio://ACxxx:token@+19045550100 or twilio://ACxxx:token@MGxxx"
        )
    account, token, sender = found["account"], found["token"], found["sender"]
    if found["options"] is None:
        return Twilio(account, token, sender)
    return Twilio(account, token, sender, _base(found["options"]), guard=False)


def signed_by_twilio(url: str, form: Mapping[str, str], signature: str, token: str) -> bool:
    """Whether `signature` (X-Twilio-Signature) was made with our token for this form, posted to this very `url`."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    wanted = base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1"))
    return hmac.compare_digest(wanted, signature.encode())


def wants_stop(text: str) -> bool | None:
    """True if a text asks for no more texts, False if it asks for them again, None if it is about something else."""
    if is_keyword(text):
        return _whole(text) in STOP
    plain = unicodedata.normalize("NFKC", text)
    return True if WISHES.search(plain) and not NEGATED.search(plain) else None


def is_keyword(text: str) -> bool:
    """Whether a text is nothing but a word that the provider obeys, and answers, by itself."""
    return _whole(text) in STOP | START


def _whole(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text)).upper()


def _base(options: str) -> str:
    match parse_qsl(options, keep_blank_values=True):
        case [("base", base)] if LOOPBACK.fullmatch(base):
            return base.rstrip("/")
    raise ValueError("the one option of an SMS provider is base, an http address of this machine")


def _code(body: bytes) -> int:
    """The code in an error's JSON; 0 if there is none, for what stands between us and Twilio answers as well."""
    try:
        code = json.loads(body)["code"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return code if isinstance(code, int) else 0


def _judge(status: int, code: int) -> None:
    if 200 <= status < 300:
        return
    if code == OPTED_OUT:
        raise OptedOut("the recipient has told the provider to stop", gone=True)
    if code in HOPELESS:
        raise Refused(f"{HOPELESS[code]} (Twilio's code {code})")
    if code in MENDED or status == 401:
        raise TryLater(f"{MENDED.get(code, MENDED[20003])} (Twilio's code {code})")
    if 400 <= status < 500 and status not in (408, 429):
        raise Refused(f"Twilio answered {status} with code {code}")
    raise TryLater(f"Twilio answered {status}")
