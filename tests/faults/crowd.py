"""Visitors who post and remember exactly what they were told, while a test breaks things under them."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self
from urllib.parse import urlencode

THANKS = {HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.SEE_OTHER}
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What one visitor was told, and after how long."""

    status: int
    headers: Mapping[str, str]
    text: str
    seconds: float
    began: float = 0.0

    @property
    def reference(self) -> str:
        """The reference of a thank-you."""
        if "Location" in self.headers:
            return self.headers["Location"].split("/received/")[1].split("?")[0]
        reference: str = json.loads(self.text)["reference"]
        return reference

    @property
    def won(self) -> bool:
        """Whether it got the time it asked for."""
        return self.status in {HTTPStatus.OK, HTTPStatus.CREATED}

    @property
    def replayed(self) -> bool:
        """Whether it says that it was said before."""
        return self.headers.get("Idempotency-Replayed") == "true"


def form(name: str, **more: str) -> dict[str, str]:
    """The fields of a visitor who is told apart by `name`, which is one word."""
    return {"name": name, "email": f"{name}@example.com", "message": f"{name} asks for a time"} | more


def post(
    port: int, fields: Mapping[str, str], *, key: str = "", path: str = "/leads", accept: str = "application/json"
) -> Answer:
    """Post a form on a connection of its own; raises OSError or HTTPException when no whole answer comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    return send(connection, path, fields, key=key, headers={"Accept": accept})


def send(
    connection: http.client.HTTPConnection,
    path: str,
    fields: Mapping[str, str],
    *,
    key: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The same on a connection that stands already; it is closed afterwards."""
    told = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"} | dict(headers or {})
    body = urlencode(fields)
    if path.startswith("/api/"):
        told["Content-Type"], body = "application/json", json.dumps(dict(fields))
    if key:
        told["Idempotency-Key"] = key
    began = time.monotonic()
    try:
        connection.request("POST", path, body, told)
        response = connection.getresponse()
        text = response.read().decode()
        return Answer(response.status, dict(response.getheaders()), text, time.monotonic() - began, began)
    finally:
        connection.close()


class Crowd:
    """Visitors who post one lead after another, each under a key of its own, until told to stop or left alone."""

    def __init__(self, port: int, size: int = 8) -> None:
        self.thanked: dict[str, str] = {}  # the visitor's name, which is also the key, and the reference
        self.unanswered: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self._port, self._stopping = port, threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(number,)) for number in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Wait until the last of them has gone home."""
        for thread in self._threads:
            thread.join()

    def wait_for(self, status: int, count: int) -> None:
        """Wait until this many were told `status`."""
        already = self.statuses[status]
        eventually(lambda: self.statuses[status] >= already + count)

    def _visit(self, number: int) -> None:
        turn = 0
        while not self._stopping.is_set():
            turn += 1
            name = f"visitor{number}x{turn}"
            try:
                answer = post(self._port, form(name), key=name)
            except (OSError, http.client.HTTPException):
                self.unanswered.add(name)
                return
            self.statuses[answer.status] += 1
            self.slowest = max(self.slowest, answer.seconds)
            if answer.status in THANKS:
                self.thanked[name] = answer.reference


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once it holds; how long that takes is not the point."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
