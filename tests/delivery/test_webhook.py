"""A webhook arrives signed as Standard Webhooks 1.0 wants it, and each answer to it has its own end."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from booking.delivery import webhook
from booking.delivery.failures import Refused, TryLater
from tests.delivery.receiver import Receiver, answering, certificate, dripping, reply, silent

BODY = '{"type": "lead.captured", "data": {"reference": "SV-7K4Q-92", "note": "Grüße"}}'.encode()
EVENT = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
NEW, OLD = webhook.new_secret(), webhook.new_secret()
AT = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
DAY = 86_400.0


def send(receiver: Receiver, *, at: datetime = AT, seconds: float = 30.0) -> None:
    webhook.send(f"{receiver.url}/hook", EVENT, BODY, [NEW, OLD], at, guard=False, seconds=seconds)


def put_off(receiver: Receiver, seconds: float = 30.0) -> TryLater:
    with pytest.raises(TryLater) as told:
        send(receiver, seconds=seconds)
    assert len(receiver.requests) == 1
    return told.value


# ---------------------------------------------------------------- signatures


@pytest.mark.parametrize("secret", [NEW, OLD], ids=["the new secret", "the old secret"])
def test_a_receiver_can_verify_an_event_with_either_secret_of_a_rotation(secret: str) -> None:
    with Receiver(answering(204)) as receiver:
        send(receiver, at=datetime.now(UTC))  # verifying is bound to the real time: five minutes either way
    (request,) = receiver.requests
    read = Webhook(secret).verify(request.body, request.headers)
    assert read["data"] == {"reference": "SV-7K4Q-92", "note": "Grüße"}
    assert request.body == BODY
    assert request.headers["webhook-id"] == EVENT
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_whatever_is_changed_on_the_way_is_noticed(change: str) -> None:
    with Receiver(answering(204)) as receiver:
        send(receiver, at=datetime.now(UTC))
    (request,) = receiver.requests
    headers, body = dict(request.headers), request.body
    if change == "body":
        body = body.replace(b"7K4Q", b"7K4R")
    elif change == "webhook-timestamp":
        headers[change] = str(int(headers[change]) + 1)
    elif change == "webhook-id":
        headers[change] += "x"
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(webhook.new_secret() if change == "secret" else NEW).verify(body, headers)


def test_the_signature_is_that_of_the_specification() -> None:
    """Made with the specification's own library once, so that both may not change together."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    event, body, at = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1_614_265_330
    signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert webhook.signature([secret], event, at, body) == signed
    assert webhook.signature([secret, OLD], event, at, body).split(" ")[0] == signed


@given(body=st.text().map(str.encode), event=st.uuids().map(str), timestamp=st.integers(0, 2**32))
def test_each_signature_is_what_the_library_makes_of_it(body: bytes, event: str, timestamp: int) -> None:
    at = datetime.fromtimestamp(timestamp, UTC)
    theirs = [Webhook(secret).sign(event, at, body.decode()) for secret in (NEW, OLD)]
    assert webhook.signature([NEW, OLD], event, timestamp, body) == " ".join(theirs)


def test_nothing_is_sent_unsigned() -> None:
    with Receiver(answering(204)) as receiver, pytest.raises(ValueError, match="unsigned"):
        webhook.send(receiver.url, EVENT, BODY, [], AT, guard=False)
    assert receiver.connections == 0


def test_secrets_are_new_each_time_and_as_long_as_the_specification_asks() -> None:
    secrets = {webhook.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {secret[:6] for secret in secrets} == {"whsec_"}
    assert {len(base64.b64decode(secret[6:], validate=True)) for secret in secrets} == {32}


def test_each_attempt_is_stamped_with_its_own_time_and_has_the_event_in_common() -> None:
    with Receiver(answering(204)) as receiver:
        send(receiver)
        send(receiver, at=AT + timedelta(hours=2))
    first, second = (request.headers for request in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 7200
    assert first["webhook-signature"] != second["webhook-signature"]


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_an_event_is_delivered_by_any_answer_that_says_well(status: int) -> None:
    with Receiver(answering(status)) as receiver:
        send(receiver)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 502, 504])
def test_a_receiver_that_cannot_take_it_is_tried_later(status: int) -> None:
    with Receiver(answering(status, BODY)) as receiver:
        told = put_off(receiver)
    assert str(told) == f"the receiver answered {status}"
    assert told.after is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_tried_later_and_its_goal_sees_nothing(status: int) -> None:
    with Receiver(answering(204)) as goal, Receiver(answering(status, Location=f"{goal.url}/hook")) as receiver:
        assert "a redirect, which is not followed" in str(put_off(receiver))
    assert goal.connections == 0


def test_a_receiver_that_is_gone_wants_nothing_more() -> None:
    with Receiver(answering(410)) as receiver, pytest.raises(Refused) as told:
        send(receiver)
    assert told.value.gone
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "after"),
    [
        ("120", 120.0),
        ("86401", DAY),
        ("9" * 18, DAY),
        ("Tue, 24 Nov 2026 15:31:30 GMT", 90.0),
        ("Tue, 24 Nov 2026 10:31:30 -0500", 90.0),
        ("Tue, 24 Nov 2026 15:31:30 -0000", 90.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("Tue, 24 Nov 2026 15:29:00 GMT", None),
        ("Tue, 24 Nov 2026 15:30:01 +9999", None),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("9" * 5000, None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Nov 2026 15:30:01 GMT", None),
        ("Tue, 24 Nov 99999999999 15:30:01 GMT", None),
    ],
)
def test_a_receiver_that_asks_for_patience_is_given_it_for_a_day_at_most(
    status: int, asked: str, after: float | None
) -> None:
    with Receiver(answering(status, Retry_After=asked)) as receiver:
        assert put_off(receiver).after == after


@given(asked=st.text(st.characters(max_codepoint=255)))
def test_no_words_for_patience_do_harm(asked: str) -> None:
    after = webhook._patience(asked, AT)
    assert after is None or 0 < after <= DAY


def test_a_receiver_that_hangs_is_tried_later() -> None:
    with Receiver(silent) as receiver:
        assert "in time" in str(put_off(receiver, seconds=0.5))


def test_a_receiver_that_answers_a_byte_at_a_time_is_tried_later() -> None:
    with Receiver(dripping(reply(200, Filler="x" * 1000))) as receiver:
        assert "in time" in str(put_off(receiver, seconds=0.5))
    assert receiver.sent > 1


def test_a_receiver_of_its_own_authority_is_served_over_tls_and_a_false_one_is_not(tmp_path: Path) -> None:
    true, false = certificate(tmp_path, "true.test"), certificate(tmp_path, "false.test")
    with Receiver(answering(204), tls=true) as receiver:
        webhook.send(receiver.url, EVENT, BODY, [NEW], AT, guard=False, ca=true)
        with pytest.raises(TryLater, match="not to be trusted"):
            webhook.send(receiver.url, EVENT, BODY, [NEW], AT, guard=False, ca=false)
    assert (receiver.connections, len(receiver.requests)) == (2, 1)


# ---------------------------------------------------------------- URLs, and the table


def test_a_private_receiver_is_refused_and_is_never_called() -> None:
    with Receiver(answering(204)) as receiver:
        for url in (receiver.url, f"https://127.0.0.1:{receiver.port}", f"https://localhost:{receiver.port}/hook"):
            with pytest.raises(Refused):
                webhook.send(url, EVENT, BODY, [NEW], AT)
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com:8443/a?b=c", "https://xn--bcher-kva.test/"]
)
def test_a_url_that_can_be_called_may_be_added(url: str) -> None:
    webhook.check_url(url, guard=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "must begin with https://"),
        ("https://ada:secret@example.com/", "must not hold a user name"),
        ("https://localhost/", "this machine itself"),
        ("https://[::ffff:127.0.0.1]/", "not a public address"),
        ("https://10.1/", "names no host"),
        ("https://example.com/a b", "character"),
    ],
)
def test_a_url_that_never_could_be_called_is_not_added(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as told:
        webhook.check_url(url, guard=True)
    assert "secret" not in str(told.value)


def test_without_the_guard_this_machine_may_be_a_receiver() -> None:
    webhook.check_url("http://localhost:8000/hook", guard=False)
    with pytest.raises(ValueError, match="https://"):
        webhook.check_url("ftp://localhost/", guard=False)


def test_the_attempts_after_the_first_span_three_days_as_the_specification_shows() -> None:
    assert len(webhook.RETRY_AFTER) == 9
    assert sum(webhook.RETRY_AFTER, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert list(webhook.RETRY_AFTER) == sorted(webhook.RETRY_AFTER)
