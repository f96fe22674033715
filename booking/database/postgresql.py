"""PostgreSQL: a wall-clock deadline on every wait, because a frozen server keeps no documented time-out."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event

CONNECT_SECONDS = 2
WAIT_SECONDS = 3.0
LOOK_SECONDS = 0.1
AT_ONCE = 4
# jit=off: JIT made one slot statement 7 to 12 times slower. The server's own time-outs free what we gave up on.
SERVER_OPTIONS = "-c jit=off -c timezone=UTC -c lock_timeout=2000 -c statement_timeout=5000"

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """All waits for the server inside the block end together after `seconds`."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class HurriedConnection(psycopg.Connection[Any]):
    """A connection that gives up, and is broken for good, when the server keeps silent for too long."""

    def wait(self, gen: Generator[Any, Any, Any], interval: float = LOOK_SECONDS, timeout: float | None = None) -> Any:
        """Let `gen` talk to the server, no longer than the deadline; raises OperationalError."""
        whole = _deadline.get()
        patience = WAIT_SECONDS if whole is None else min(WAIT_SECONDS, max(0.0, whole - time.monotonic()))
        try:
            return super().wait(gen, interval, patience if timeout is None else min(patience, timeout))
        except psycopg.errors._WaitTimeout:  # noqa: SLF001  psycopg asks callers to convert it, and has no public name
            self.pgconn.finish()  # the protocol is in the middle of something: nothing may reuse it
            raise psycopg.OperationalError("the server did not answer in time") from None


def open_engine(url: str, threads: int, *, hurried: bool) -> Engine:
    """An engine over psycopg; `hurried` gives every wait a deadline, for all but migrations."""
    engine = create_engine(
        url,
        pool_size=threads,
        max_overflow=4,
        pool_timeout=2,
        connect_args={"connect_timeout": CONNECT_SECONDS} | ({"options": SERVER_OPTIONS} if hurried else {}),
    )
    if hurried:
        event.listen(engine, "do_connect", _connect_hurried)
    return engine


def _connect_hurried(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
    return HurriedConnection.connect(*arguments, **options)
