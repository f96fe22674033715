"""A server that behaves as Twilio's Messages resource does, with the telephone numbers that Twilio keeps for tests."""

import base64
import json
import socket
from urllib.parse import parse_qs

from tests.delivery.receiver import Receiver, Request, reply

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "fedcba9876543210" * 2
SENDER, SERVICE = "+15005550006", "MG" + "0123456789abcdef" * 2
TAKEN = "+15005550010"

# Twilio's own, for test credentials: what each number brings about, as a recipient and as a sender.
RECIPIENTS = {
    "+15005550001": (21211, "The 'To' number {to} is not a valid phone number."),
    "+15005550002": (21612, "The 'To' phone number: {to}, is not currently reachable using this 'From' number."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region indicated by {to}"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient {to}"),
    "+15005550009": (21614, "'To' number {to} is not a mobile number"),
}
SENDERS = {
    "+15005550001": (21212, "The 'From' number is not a valid phone number."),
    "+15005550007": (21606, "The 'From' phone number is not a valid, SMS-capable number of your account."),
    "+15005550008": (21611, "This 'From' number has exceeded the maximum number of queued messages"),
}


class TwilioServer(Receiver):
    """`messages` has the forms that were taken; `answers` are given first, each once, whatever is asked."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__(TwilioServer._attend)
        self.messages: list[dict[str, str]] = []
        self._answers = list(answers)

    @staticmethod
    def _attend(here: Receiver, connection: socket.socket) -> None:
        assert isinstance(here, TwilioServer)
        request = here.take(connection)
        here.say(connection, here._answers.pop(0) if here._answers else here._answer(request))

    def _answer(self, request: Request) -> bytes:
        key = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {key}":
            return error(401, 20003, "Authenticate")
        if request.line != f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1":
            return error(404, 20404, "The requested resource was not found")
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            return error(400, 21604, "A 'To' phone number is required.")
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        return self._take(form)

    def _take(self, form: dict[str, str]) -> bytes:
        to = form.get("To", "")
        if "From" not in form and "MessagingServiceSid" not in form:
            return error(400, 21603, "A 'From' phone number is required.")
        if form.get("From") in SENDERS:
            return error(400, *SENDERS[form["From"]])
        if to in RECIPIENTS:
            return error(400, RECIPIENTS[to][0], RECIPIENTS[to][1].format(to=to))
        if "Body" not in form:
            return error(400, 21602, "Message body is required.")
        self.messages.append(form)
        taken = {"sid": f"SM{len(self.messages):032x}", "status": "queued", "to": to, "body": form["Body"]}
        return reply(201, json.dumps(taken).encode(), Content_Type="application/json")


def error(status: int, code: int, message: str) -> bytes:
    told = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return reply(status, json.dumps(told).encode(), Content_Type="application/json")
