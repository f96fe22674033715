"""A text reaches the provider once and whole, each of its refusals has its own end, and a STOP is understood."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.delivery import sms
from booking.delivery.failures import Refused, TryLater, Undelivered
from tests.delivery.receiver import Receiver, answering, reply, silent
from tests.delivery.twilio_server import ACCOUNT, SENDER, SERVICE, TAKEN, TOKEN, TwilioServer, error

TEXT = "Ihr Termin: Dienstag 15:30 & früher? + 50 % =) canary"
WORDS = ("5005550", "canary", TOKEN)


def provider(server: Receiver, *, token: str = TOKEN, sender: str = SENDER, account: str = ACCOUNT) -> sms.Provider:
    found = sms.open_provider(f"twilio://{account}:{token}@{sender}?base={server.url}")
    assert found is not None
    return found


def failed(server: Receiver, to: str = TAKEN, **more: str) -> Undelivered:
    """How one text came back, in words that quote neither the number nor the text."""
    with pytest.raises(Undelivered) as told:
        provider(server, **more).send(to, TEXT, "17")
    assert len(server.requests) == 1
    assert not any(word in str(told.value) for word in WORDS)
    return told.value


# ---------------------------------------------------------------- sending


def test_a_text_reaches_twilio_as_it_was_written() -> None:
    with TwilioServer() as twilio:
        provider(twilio).send(TAKEN, TEXT, "17")
    assert twilio.messages == [{"From": SENDER, "To": TAKEN, "Body": TEXT}]


def test_a_text_may_be_sent_by_a_messaging_service() -> None:
    with TwilioServer() as twilio:
        provider(twilio, sender=SERVICE).send(TAKEN, TEXT, "17")
    assert twilio.messages == [{"MessagingServiceSid": SERVICE, "To": TAKEN, "Body": TEXT}]


@pytest.mark.parametrize(
    ("to", "code"), [("+15005550001", 21211), ("+15005550002", 21612), ("+15005550003", 21408), ("+15005550009", 21614)]
)
def test_a_number_that_can_never_be_reached_is_given_up(to: str, code: int) -> None:
    with TwilioServer() as twilio:
        told = failed(twilio, to)
    assert isinstance(told, Refused)
    assert not told.gone
    assert str(code) in str(told)
    assert twilio.messages == []


def test_a_recipient_who_opted_out_is_known_by_it() -> None:
    with TwilioServer() as twilio:
        told = failed(twilio, "+15005550004")
    assert isinstance(told, sms.OptedOut)
    assert told.gone


def test_wrong_credentials_lose_no_text_for_the_clinic_will_mend_them() -> None:
    with TwilioServer() as twilio:
        told = failed(twilio, token="ffffffff")
    assert isinstance(told, TryLater)
    assert "credentials" in str(told)


def test_a_queue_that_is_full_is_tried_later() -> None:
    with TwilioServer() as twilio:
        assert isinstance(failed(twilio, sender="+15005550008"), TryLater)


@pytest.mark.parametrize("sender", ["+15005550001", "+15005550007"])
def test_any_other_refusal_is_final_and_tells_its_code(sender: str) -> None:
    with TwilioServer() as twilio:
        told = failed(twilio, sender=sender)
    assert isinstance(told, Refused)
    assert str(told) in {"Twilio answered 400 with code 21212", "Twilio answered 400 with code 21606"}


@pytest.mark.parametrize(
    "answer",
    [
        error(429, 20429, "Too Many Requests"),
        reply(429, b"slow down"),
        reply(408),
        error(500, 20500, "Internal Server Error"),
        error(503, 20503, "Service Unavailable"),
        reply(502, b"<html>Bad gateway, canary</html>"),
        reply(302, Location="https://example.com/"),
        reply(401, b"[]"),
        b"canary",
        b"",
    ],
)
def test_a_provider_in_trouble_is_tried_later_and_then_takes_the_text(answer: bytes) -> None:
    with TwilioServer(answer) as twilio:
        assert isinstance(failed(twilio), TryLater)
        provider(twilio).send(TAKEN, TEXT, "17")
    assert len(twilio.messages) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"code": "canary"}', b'{"code": null}', b"[" * 60_000, b"\xff"]
)
def test_a_refusal_that_makes_no_sense_is_final_too(body: bytes) -> None:
    with TwilioServer(reply(403, body)) as twilio:
        told = failed(twilio)
    assert isinstance(told, Refused)
    assert str(told) == "Twilio answered 403 with code 0"


def test_a_text_that_was_taken_is_not_sent_again_because_the_answer_broke_off() -> None:
    with TwilioServer(b'HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n{"sid": "SM') as twilio:
        provider(twilio).send(TAKEN, TEXT, "17")
    assert len(twilio.requests) == 1


# ---------------------------------------------------------------- the setting


def test_no_setting_is_no_provider() -> None:
    assert sms.open_provider("") is None


@pytest.mark.parametrize("sender", ["+19045550100", SERVICE])
def test_a_setting_names_account_token_and_sender(sender: str) -> None:
    assert sms.open_provider(f"twilio://{ACCOUNT}:{TOKEN}@{sender}") == sms.Twilio(ACCOUNT, TOKEN, sender)


def test_twilio_itself_is_called_over_tls_and_with_the_guard() -> None:
    twilio = sms.Twilio(ACCOUNT, TOKEN, SENDER)
    assert (twilio.base, twilio.guard) == ("https://api.twilio.com", True)
    with Receiver(silent) as receiver, pytest.raises(Refused, match="https"):
        sms.Twilio(ACCOUNT, TOKEN, SENDER, base=receiver.url).send(TAKEN, TEXT, "17")
    assert receiver.connections == 0


@pytest.mark.parametrize("base", ["http://127.0.0.1:1234", "http://localhost:1234/", "http://[::1]:1234"])
def test_a_base_on_this_machine_takes_the_guard_off(base: str) -> None:
    for written in (base, base.replace(":", "%3A").replace("/", "%2F")):
        found = sms.open_provider(f"twilio://{ACCOUNT}:{TOKEN}@{SENDER}?base={written}")
        assert found == sms.Twilio(ACCOUNT, TOKEN, SENDER, base.rstrip("/"), guard=False)


@pytest.mark.parametrize(
    "url",
    [
        f"twilio://{ACCOUNT}:{TOKEN}",
        f"twilio://{ACCOUNT}@{SENDER}",
        f"twilio://{ACCOUNT}:{TOKEN}@19045550100",
        f"twilio://{ACCOUNT}:{TOKEN}@+0904555010",
        f"twilio://{ACCOUNT}:{TOKEN}@{SENDER}?",
        f"twilio://{ACCOUNT}:{TOKEN}@{SENDER}\n",
        f"twilio://XX123:{TOKEN}@{SENDER}",
        f"TWILIO:{TOKEN}",
        f"https://{ACCOUNT}:{TOKEN}@api.twilio.com",
        *(
            f"twilio://{ACCOUNT}:{TOKEN}@{SENDER}?{options}"
            for options in (
                "base=http://evil.test",
                "base=http://127.0.0.1.evil.test",
                "base=http://127.0.0.1:1@evil.test",
                "base=http://127.0.0.1:1234/elsewhere",
                "base=",
                "base=http://127.0.0.1:1&base=http://127.0.0.1:2",
                "bass=http://127.0.0.1:1",
            )
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_without_telling_its_token(url: str) -> None:
    with pytest.raises(ValueError, match="SMS provider") as told:
        sms.open_provider(url)
    assert TOKEN not in str(told.value)


def test_a_provider_that_is_written_into_a_log_does_not_tell_its_token() -> None:
    assert TOKEN not in repr(sms.Twilio(ACCOUNT, TOKEN, SENDER))


# ---------------------------------------------------------------- what Twilio tells us

# The worked example of Twilio's documentation.
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
forms = st.dictionaries(st.text(), st.text())


def test_the_worked_example_of_twilio_is_from_twilio() -> None:
    assert sms.signed_by_twilio(URL, FORM, SIGNATURE, "12345")
    assert sms.signed_by_twilio(URL, dict(reversed(FORM.items())), SIGNATURE, "12345")


@pytest.mark.parametrize(
    ("url", "form", "signature", "token"),
    [
        (URL + "3", FORM, SIGNATURE, "12345"),
        (URL, FORM | {"Digits": "1235"}, SIGNATURE, "12345"),
        (URL, FORM | {"More": ""}, SIGNATURE, "12345"),
        (URL, {}, SIGNATURE, "12345"),
        (URL, FORM, SIGNATURE.lower(), "12345"),
        (URL, FORM, SIGNATURE, "12346"),
        (URL, FORM, "", "12345"),
        (URL, FORM, "ü", "12345"),
    ],
)
def test_whatever_is_changed_is_not_from_twilio(url: str, form: dict[str, str], signature: str, token: str) -> None:
    assert not sms.signed_by_twilio(url, form, signature, token)


@given(url=st.text(), form=forms, token=st.text(), noise=st.text())
def test_only_the_right_signature_is_taken_for_any_form(url: str, form: dict[str, str], token: str, noise: str) -> None:
    words = url.encode() + b"".join(f"{name}{value}".encode() for name, value in sorted(form.items()))
    right = base64.b64encode(hmac.new(token.encode(), words, hashlib.sha1).digest()).decode()
    assert sms.signed_by_twilio(url, form, right, token)
    assert not sms.signed_by_twilio(url, form, noise, token)


# ---------------------------------------------------------------- what people write back


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        *((word, True) for word in ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")),
        *(
            (word, True)
            for word in ("stop", " Stop. ", "“Stop!”", "stop all", "opt-out", "Opt Out", "ＳＴＯＰ", "STOP 🛑")
        ),
        *(
            (words, True)
            for words in (
                *("STOP\n\nSent from my iPhone", "Please stop texting me", "stop STOP", "STOP it", "I want to opt out"),
                *(
                    "unsubscribe me",
                    "Stop, please. I will be by the sea.",
                    "just stop",
                    "Could you stop sending me these",
                ),
                *("please stop the reminders", "you must stop messaging", "I want to stop this"),
            )
        ),
        *((word, False) for word in ("START", "YES", "UNSTOP", "yes!", "un-stop", "\tStart\n")),
        *((word, None) for word in ("", "🛑", "stop2", "ok", "ending", "NO", "yes please")),
        *((words, None) for words in ("Can I stop by at 5?", "a non-stopping pain", "cancel my visit", "start at 9?")),
        *(
            (words, None)
            for words in (
                *("I can't stop coughing, can I come today?", "My nose won’t stop bleeding", "It does not stop"),
                *("please don't stop these reminders", "When will the pain in my back stop?", "Never stop"),
                *("Stop by at five?", "the bus stop is where?"),
            )
        ),
    ],
)
def test_a_text_asks_for_an_end_in_any_words_and_for_a_beginning_only_as_a_whole(text: str, wish: bool | None) -> None:
    assert sms.wants_stop(text) is wish


@given(word=st.sampled_from(sorted(sms.STOP)), noise=st.text(" .,!?-_'\"\n"))
def test_a_wish_is_read_through_whatever_stands_around_it(word: str, noise: str) -> None:
    assert sms.wants_stop(f"{noise}{word.title()}{noise}") is True


def test_a_provider_that_is_away_is_tried_later() -> None:
    with Receiver(answering(200)) as server:
        pass
    with pytest.raises(TryLater, match="refuses connections"):
        provider(server).send(TAKEN, TEXT, "17")
