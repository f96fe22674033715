"""An alarm reaches the clinic's second channel, in the form that the channel wants."""

import json

import pytest

from booking.delivery import alarm
from booking.delivery.failures import Refused, TryLater
from tests.delivery.receiver import Receiver, Request, answering

TEXT = "Mail has not gone out since 15:30 – 12 letters wait."


def sounded(path: str, text: str = TEXT) -> Request:
    with Receiver(answering(200)) as channel:
        alarm.sound(channel.url + path, text, guard=False)
    (request,) = channel.requests
    return request


@pytest.mark.parametrize(
    "path", ["/topic", "/topic?priority=5", "/topic?format=slacker", "/format=slack", "/?a=format=slack"]
)
def test_an_alarm_is_plain_text(path: str) -> None:
    request = sounded(path)
    assert request.line == f"POST {path} HTTP/1.1"
    assert request.headers["content-type"] == "text/plain; charset=utf-8"
    assert request.body.decode() == TEXT


@pytest.mark.parametrize(
    ("path", "called"),
    [
        ("/hook?format=slack", "/hook"),
        ("/hook?a=%2F&format=slack&b=", "/hook?a=%2F&b="),
        ("/hook?format=slack&a=1", "/hook?a=1"),
    ],
)
def test_a_chat_is_told_in_json_and_does_not_see_the_option(path: str, called: str) -> None:
    request = sounded(path, TEXT + ' "quoted"')
    assert request.line == f"POST {called} HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"text": TEXT + ' "quoted"'}


@pytest.mark.parametrize("status", [302, 400, 403, 410, 500])
def test_an_alarm_that_was_not_taken_says_so(status: int) -> None:
    with Receiver(answering(status, Location="http://127.0.0.1:1/")) as channel:
        with pytest.raises(TryLater, match=f"answered {status}"):
            alarm.sound(channel.url, TEXT, guard=False)
        assert len(channel.requests) == 1


def test_an_alarm_is_not_sent_into_our_own_network() -> None:
    with Receiver(answering(200)) as channel, pytest.raises(Refused):
        alarm.sound(f"https://127.0.0.1:{channel.port}/?format=slack", TEXT)
    assert channel.connections == 0


def test_an_alarm_to_something_that_is_no_url_is_refused() -> None:
    for url in ("", "ntfy", "https://[::1?format=slack"):
        with pytest.raises(Refused):
            alarm.sound(url, TEXT)
