"""The real `booking serve` in a process of its own, for tests that post to it, kill it or look at it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import quit_with_parent

COMMAND = Path(sys.executable).with_name("booking")
START_SECONDS = 60
STOP_SECONDS = 60


@dataclass(frozen=True)
class Serving:
    """A running server: where it is reached, what it was told, what it writes."""

    url: str
    port: int
    environ: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self.process.pid

    @property
    def output(self) -> str:
        """Everything it has written so far, on both streams."""
        return self.log.read_text()

    def stop(self) -> int:
        """Ask it to end, as a service manager would, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End it between two instructions."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serve(environ: Mapping[str, str], folder: Path, *options: str) -> Iterator[Serving]:
    """Start `booking serve` on a free port with exactly these options and BOOKING_ settings; wait until it answers.

    It runs in `folder`, so that no `.env` of the developer is read, and keeps its log there.
    """
    port = free_port()
    told = {"BOOKING_BIND": f"127.0.0.1:{port}"} | dict(environ)
    log = folder / f"serve-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=surroundings() | told,
            preexec_fn=quit_with_parent,  # noqa: PLW1509  one system call, before any thread of the child
        )
    server = Serving(f"http://127.0.0.1:{port}", port, told, log, process)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        if process.poll() is None:
            process.kill()  # also when a test has frozen it
        process.wait()


def surroundings() -> dict[str, str]:
    """The environment of this process without the settings of the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOOKING_")}


def free_port() -> int:
    """Find a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(server: Serving) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(server.port):
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"`booking serve` did not start:\n{server.output}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
