"""A program that serves a tiny application with `booking.server`, and the few words of HTTP that it is asked with."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = """
import json, sys, time
from booking import server

given = json.loads(sys.argv[1])
produced = closed = turns = 0
exec(given["sabotage"])

def chunks(limit):
    global produced, closed
    try:
        for _ in range(limit):
            produced += 65536
            yield b"x" * 65536
    finally:
        closed += 1

def long_then_late():
    yield b"x" * 900_000  # more than the connection takes at once
    time.sleep(3)
    yield b"the end"

def app(environ, start_response):
    path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
    if path == "/long-then-late":
        start_response("200 OK", [])
        return long_then_late()
    if path in ("/endless", "/hundred-megabytes"):
        start_response("200 OK", [])
        return chunks(1600 if path == "/hundred-megabytes" else 10**9)
    if path == "/lead":
        time.sleep(0.02)  # the database's work
        with open(given["ledger"], "ab") as ledger:
            ledger.write(body + b"\\n")
    if path == "/fails":
        raise RuntimeError("planted")
    told = {"/state": [produced, closed], "/size": len(body), "/turns": turns}
    answer = json.dumps(told[path]).encode() if path in told else body
    answer = environ.get("HTTP_X_FORWARDED_FOR", "").encode() or answer
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]

server.serve(
    app, host=given["host"], port=0, threads=8, stop_within=given["stop_within"],
    ready=lambda host, port: print(json.dumps([host, port]), flush=True),
    error_headers=[("X-Content-Type-Options", "nosniff")],
)
print("returned", flush=True)
"""


# A thread that sends an answer must wait for the interpreter meanwhile, as it does among many; the loop's turns count.
A_THREAD_IS_LATE = """
import threading

flush, turn = server._Channel._flush_some, server._Server.turn

def late(channel, **more):
    if threading.current_thread() is not threading.main_thread():
        time.sleep(0.2)
    return flush(channel, **more)

def counted(here, seconds):
    global turns
    turns += 1
    turn(here, seconds)

server._Channel._flush_some, server._Server.turn = late, counted
"""

# A connection that takes little at once.
NARROW = """
import socket
made = server._Channel.__init__

def narrow(channel, here, connection, *more, **named):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    made(channel, here, connection, *more, **named)

server._Channel.__init__ = narrow
"""


class Running:
    """Such a program; `sabotage` is code that it runs first."""

    def __init__(self, folder: Path, *, host: str, stop_within: float, sabotage: str):
        self.ledger = folder / "ledger"
        self.errors = folder / "errors"
        given = {"ledger": str(self.ledger), "host": host, "stop_within": stop_within, "sabotage": sabotage}
        command = [sys.executable, "-c", PROGRAM, json.dumps(given)]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        self.words = self.process.stdout
        self.host, self.port = json.loads(self.words.readline())

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def ask(self, request: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        with self.connect() as connection:
            connection.sendall(request)
            return answer_on(connection)

    def state(self) -> list[int]:
        """How many bytes the generators of the application made, and how many of them were closed."""
        return list(json.loads(self.ask(get("/state"))[1]))

    def ended(self) -> str:
        """Wait for the end of a stop that must be far shorter than its bound; return the last words."""
        assert self.process.wait(timeout=30) == 0
        return self.words.read()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.words.close()


def eventually(holds: Callable[[], bool]) -> None:
    """Return once it holds; how long that takes is not the point."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


def get(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n".encode()


def post(path: str, body: bytes, length: int | None = None) -> bytes:
    """The bytes of a POST, whose body may be shorter than it says."""
    length = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n".encode() + body


def answer_on(connection: socket.socket) -> tuple[http.client.HTTPResponse, bytes]:
    """The next answer on a connection, with its whole body; ConnectionError if it does not come whole."""
    try:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer, answer.read()
    except http.client.HTTPException as broken:
        raise ConnectionError from broken
