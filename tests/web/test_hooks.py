"""Hooks: what Webflow saw and what visitors text is believed only with its secret, and loses nobody."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from booking.models import Lead, OutboxMessage, SmsStop, WitnessedPost
from booking.models.witness import POST
from booking.operations import witness
from booking.runtime import Runtime
from tests.web.visitor import post

SECRET, KEY, TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz", "signing key", "twiliotoken"
NUMBER = "+19045550177"
ANSWERS = {"Your Name": "Ada Reed", "E-mail": "ada@example.com", "Message": "My sciatica is back"}


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """A clinic that has all of it set up."""
    return environ | {
        "BOOKING_WEBFLOW_SECRET": SECRET,
        "BOOKING_WEBFLOW_SIGNING_KEY": KEY,
        "BOOKING_SMS_URL": f"twilio://AC1:{TOKEN}@+19045550100",
        "BOOKING_BASE_URL": "https://booking.example.com",
    }


def told(post_id: str = "w1", at: datetime | None = None, **answers: Any) -> dict[str, Any]:
    at = at or datetime.now(UTC) - timedelta(hours=1)
    payload = {"name": "Contact", "id": post_id, "submittedAt": at.isoformat(), "data": answers or ANSWERS}
    return {"triggerType": "form_submission", "payload": payload}


def seen_by_webflow(client: FlaskClient, body: Any, secret: str = SECRET, **headers: str) -> TestResponse:
    return client.post(f"/hooks/webflow/{secret}", data=json.dumps(body), headers=headers)


def reconciled(runtime: Runtime) -> list[str]:
    now, found = datetime.now(UTC), []
    with runtime.database.reading() as db:
        waiting = witness.waiting(db, now)
    for post_id in waiting:
        with runtime.database.transaction() as db:
            found.append(witness.reconcile(db, runtime.desk, post_id, now))
    return found


def test_what_only_webflow_saw_becomes_a_lead_of_which_the_desk_hears(client: FlaskClient, runtime: Runtime) -> None:
    assert seen_by_webflow(client, told()).status_code == 204
    (reference,) = reconciled(runtime)
    with runtime.database.reading() as db:
        lead = db.scalars(select(Lead)).one()
        assert (lead.reference, lead.name, lead.email, lead.door) == (
            reference,
            "Ada Reed",
            "ada@example.com",
            "webflow",
        )
        audiences = set(db.scalars(select(OutboxMessage.audience).where(OutboxMessage.lead_id == lead.id)))
        assert audiences == {"visitor", "desk"}
        assert witness.imported_since(db, lead.received_at - timedelta(days=1)) == [reference]
    assert reconciled(runtime) == []


def test_what_reached_us_too_stays_one_lead(client: FlaskClient, runtime: Runtime) -> None:
    post(client, {"name": "Ada Reed", "email": "ADA@example.com", "message": "My sciatica is back"})
    seen_by_webflow(client, told())
    assert reconciled(runtime) == [""]
    with runtime.database.reading() as db:
        assert len(db.scalars(select(Lead)).all()) == 1
        assert db.scalars(select(WitnessedPost.outcome)).all() == ["known"]


def test_another_message_of_the_same_person_is_taken_in(client: FlaskClient, runtime: Runtime) -> None:
    post(client, {"name": "Ada Reed", "email": "ada@example.com", "message": "Another thing"})
    seen_by_webflow(client, told())
    assert [bool(reference) for reference in reconciled(runtime)] == [True]


def test_what_is_told_twice_is_kept_once(client: FlaskClient, runtime: Runtime) -> None:
    for _ in range(2):
        assert seen_by_webflow(client, told()).status_code == 204
    assert len(reconciled(runtime)) == 1


def test_what_came_a_moment_ago_may_still_reach_us_by_itself(client: FlaskClient, runtime: Runtime) -> None:
    seen_by_webflow(client, told(at=datetime.now(UTC)))
    assert reconciled(runtime) == []


def test_what_webflow_saw_is_sealed_at_rest(client: FlaskClient, runtime: Runtime) -> None:
    seen_by_webflow(client, told())
    with runtime.database.reading() as db:
        kept = db.scalars(select(WitnessedPost)).one()
    assert b"sciatica" not in kept.content
    assert "sciatica" in runtime.keyring.open(kept.content, POST, kept.id)


@pytest.mark.parametrize("secret", ["x", SECRET.upper(), "%00", "\u00e9"])
def test_without_the_secret_there_is_nothing_at_the_address(client: FlaskClient, secret: str) -> None:
    assert seen_by_webflow(client, told(), secret).status_code == 404


def test_a_signature_is_checked_where_there_is_one(client: FlaskClient) -> None:
    body = json.dumps(told())
    good = hmac.new(KEY.encode(), b"17:" + body.encode(), hashlib.sha256).hexdigest()
    for signature, status in ((good, 204), (good[::-1], 403), ("\u00e9", 403)):
        headers = {"X-Webflow-Timestamp": "17", "X-Webflow-Signature": signature}
        assert client.post(f"/hooks/webflow/{SECRET}", data=body, headers=headers).status_code == status


@pytest.mark.parametrize("body", ["{}", '{"payload": []}', '{"payload": {"data": 5}}', "[", "5", '{"payload": {}}'])
def test_nonsense_is_refused_with_a_reason(client: FlaskClient, runtime: Runtime, body: str) -> None:
    answer = client.post(f"/hooks/webflow/{SECRET}", data=body, headers={"Accept": "application/json"})
    assert answer.status_code in {400, 422}
    with runtime.database.reading() as db:
        assert db.scalars(select(WitnessedPost)).all() == []


def texted(client: FlaskClient, body: str, token: str = TOKEN) -> TestResponse:
    form = {"From": NUMBER, "Body": body, "MessageSid": "SM1"}
    signed = "https://booking.example.com/hooks/sms" + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    return client.post("/hooks/sms", data=form, headers={"X-Twilio-Signature": signature})


def stopped(runtime: Runtime) -> bool:
    with runtime.database.reading() as db:
        return db.get(SmsStop, runtime.keyring.digest("sms", NUMBER)) is not None


def test_stop_stops_texts_and_start_allows_them_again(client: FlaskClient, runtime: Runtime) -> None:
    for word, expected in (("Stop.", True), ("STOP", True), ("start", False)):
        answer = texted(client, word)
        assert (answer.status_code, answer.text.count("<Message>")) == (200, 0)
        assert stopped(runtime) is expected


def test_who_says_stop_in_other_words_is_told_so_once_and_then_nothing(client: FlaskClient, runtime: Runtime) -> None:
    answer = texted(client, "Please stop texting me")
    assert "You get no more texts" in answer.text
    assert runtime.clinic.phone in answer.text
    assert stopped(runtime)
    for word in ("thanks", "stop it", "STOP"):
        assert "<Message>" not in texted(client, word).text
    assert stopped(runtime)


def test_who_texts_anything_else_is_told_to_call(client: FlaskClient, runtime: Runtime) -> None:
    answer = texted(client, "Can I come at 5 & bring my son?")
    assert runtime.clinic.phone in answer.text
    assert not stopped(runtime)


def test_a_forged_text_stops_nothing(client: FlaskClient, runtime: Runtime) -> None:
    assert texted(client, "STOP", token="guessed").status_code == 403
    assert not stopped(runtime)
