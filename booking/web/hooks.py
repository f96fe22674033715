"""Hooks: what other services tell us by themselves, each known by a secret: Webflow's posts, and texts of visitors."""

import hashlib
import hmac
import json
import secrets
from datetime import datetime
from html import escape
from typing import Any

from flask import Blueprint, Response, abort, request

from booking.delivery import sms
from booking.domain.errors import CannotRead
from booking.domain.fields import sort
from booking.domain.submission import Circumstances, Submission
from booking.operations import fates, witness
from booking.web.forms import LeadForm
from booking.web.intake import utc_now
from booking.web.parsing import Pairs, read_body
from booking.web.premises import premises

LONGEST_ID = 80
SORRY = "We cannot read texts here. Please call us: {phone}."
STOPPED = "You get no more texts from us. To have them again, reply START. To reach us, please call {phone}."

hooks = Blueprint("hooks", __name__)


@hooks.post("/hooks/webflow/<secret>")
def webflow(secret: str) -> Response:
    """A post of the web site's form as Webflow saw it: kept, and compared with what reached us."""
    outside, body = premises().outside, request.get_data(cache=False)
    if not outside.webflow_secret or not _equal(secret, outside.webflow_secret):
        abort(404)
    signature = request.headers.get("X-Webflow-Signature", "")
    if signature and outside.webflow_signing_key and not _is_signed(body, signature, outside.webflow_signing_key):
        abort(403)
    post_id, submission, posted_at = _seen(body)
    with premises().database.transaction() as db:
        witness.keep(db, premises().keyring, post_id, submission, posted_at)
    return Response(status=204)


@hooks.post("/hooks/sms")
def text() -> Response:
    """A text that a visitor sent: STOP and START are obeyed, and to anything else we say that nobody reads it.

    Who said STOP in words of their own is told once that it was understood, and after that nothing.
    """
    provider = premises().outside.texts
    if not isinstance(provider, sms.Twilio):
        abort(404)
    form = request.form.to_dict()
    url = f"{premises().base_url}{request.path}"
    if not sms.signed_by_twilio(url, form, request.headers.get("X-Twilio-Signature", ""), provider.token):
        abort(403)
    body, number = form.get("Body", ""), form.get("From", "")
    said = sms.wants_stop(body)
    with premises().database.transaction() as db:
        had_stopped = fates.has_stopped(db, premises().keyring, number)
        if said is True:
            fates.stop_texts(db, premises().keyring, number, utc_now())
        elif said is False:
            fates.allow_texts(db, premises().keyring, number)
    quiet = had_stopped or sms.is_keyword(body)
    words = escape((STOPPED if said else SORRY).format(phone=premises().clinic.phone))
    message = "" if quiet else f"<Message>{words}</Message>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>', mimetype="text/xml")


def _seen(body: bytes) -> tuple[str, Submission, datetime]:
    """What Webflow's payload says: an id, the answers by their labels, and when they were given."""
    told = dict(read_body(body, "application/json", {}))
    payload: Any = told.get("payload", told)
    answers = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(answers, dict):
        raise CannotRead("There are no answers in this.", "payload")
    pairs: Pairs = [(str(label), answer) for label, answer in answers.items()]
    circumstances = Circumstances(door=witness.DOOR)
    submission = LeadForm(sort(pairs)).read(region=premises().clinic.region, circumstances=circumstances)
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()
    post_id = str(payload.get("id") or digest)[:LONGEST_ID]
    return post_id, submission, _instant(payload.get("submittedAt"))


def _instant(told: Any) -> datetime:
    now = utc_now()
    try:
        found = datetime.fromisoformat(str(told))
    except ValueError:
        return now
    return min(found, now) if found.tzinfo is not None else now


def _is_signed(body: bytes, signature: str, key: str) -> bool:
    signed = request.headers.get("X-Webflow-Timestamp", "").encode() + b":" + body
    return _equal(hmac.new(key.encode(), signed, hashlib.sha256).hexdigest(), signature)


def _equal(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
