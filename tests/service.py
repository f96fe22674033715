"""The real `booking` in a process of its own, for tests that post to it, kill it or look at it.

A fork server that has loaded the program once gives birth to them: loading it is nearly all that a start takes.
"""

import http.client
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from booking.app import main
from tests.postgres import quit_with_parent

COMMAND = Path(sys.executable).with_name("booking")
START_SECONDS = 60
STOP_SECONDS = 60

_warm = multiprocessing.get_context("forkserver")
_warm.set_forkserver_preload(["booking.cli.migration", __name__])


@dataclass(frozen=True)
class Serving:
    """A running server: where it is reached, what it was told, what it writes."""

    url: str
    port: int
    environ: Mapping[str, str]
    log: Path
    process: BaseProcess

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def output(self) -> str:
        """Everything it has written so far, on both streams."""
        return self.log.read_text()

    def stop(self) -> int:
        """Ask it to end, as a service manager would, and return its exit code."""
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        assert self.process.exitcode is not None, "it does not end"
        return self.process.exitcode

    def kill(self) -> None:
        """End it between two instructions."""
        self.process.kill()
        self.process.join()


@contextmanager
def serve(environ: Mapping[str, str], folder: Path, *options: str) -> Iterator[Serving]:
    """Start `booking serve` on a free port with exactly these options and BOOKING_ settings; wait until it answers.

    It runs in `folder`, so that no `.env` of the developer is read, and keeps its log there.
    """
    port = free_port()
    told = {"BOOKING_BIND": f"127.0.0.1:{port}"} | dict(environ)
    log = folder / f"serve-{port}.log"
    process = start(["serve", *options], told, folder, log)
    server = Serving(f"http://127.0.0.1:{port}", port, told, log, process)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        server.kill()  # also when a test has frozen it


def start(
    words: Sequence[str],
    environ: Mapping[str, str],
    folder: Path,
    log: Path,
    before: Callable[[], None] | None = None,
) -> BaseProcess:
    """Start `booking` with these words and BOOKING_ settings in `folder`; what it writes goes to `log`.

    The new process calls `before` first: for twins, which lack a guard.
    """
    log.touch()
    process = _warm.Process(target=_become, args=(words, surroundings() | dict(environ), folder, log, before))
    process.start()
    return process


def _become(
    words: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path, before: Callable[[], None] | None
) -> None:
    """Become `booking`, in a process just forked."""
    quit_with_parent()
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(folder)
    for path, flags, number in ((os.devnull, os.O_RDONLY, 0), (log, os.O_WRONLY | os.O_APPEND, 1)):
        os.dup2(os.open(path, flags), number)
    os.dup2(1, 2)
    if before:
        before()
    sys.argv = ["booking", *words]
    main()


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
        if server.process.exitcode is not None or time.monotonic() > deadline:
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
