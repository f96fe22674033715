"""The alarm: plain words to the clinic by a second channel, such as an ntfy topic or a chat's incoming webhook."""

import json

from booking.delivery import outgoing
from booking.delivery.failures import TryLater

AS_SLACK = "format=slack"


def sound(url: str, text: str, *, guard: bool = True) -> None:
    """Post `text` to the alarm's address; raises TryLater or Refused if it was not taken.

    It goes as plain text, or as `{"text": …}` if the URL has `format=slack` among its options, which is ours and is
    not sent along. The text must say nothing about any visitor: the channel is not the clinic's own.
    """
    address, as_slack = _address(url)
    kind = "application/json" if as_slack else "text/plain; charset=utf-8"
    body = json.dumps({"text": text}) if as_slack else text
    answer = outgoing.post(address, body.encode(), {"Content-Type": kind}, guard=guard)
    if not 200 <= answer.status < 300:
        raise TryLater(f"the alarm's address answered {answer.status}")


def _address(url: str) -> tuple[str, bool]:
    address, _, query = url.partition("?")
    options = query.split("&")
    kept = [option for option in options if option != AS_SLACK]
    if kept == options:
        return url, False
    return f"{address}?{'&'.join(kept)}" if kept else address, True
