"""Kills the first worker that comes to a point between two instructions, and knows what it left behind."""

import signal
import socket
import threading
from collections.abc import Callable

from sqlalchemy import text

from booking.database import Database
from tests.faults.crowd import eventually
from tests.faults.workers import Working, claimed, unread, unwritable, who

SayYes = Callable[[], None]


class Killing:
    """The worker at the other end of a connection is killed; `fired` once that is done."""

    def __init__(self, database: Database) -> None:
        self.workers: list[Working] = []
        self.fired = threading.Event()
        self._victim: Working | None = None
        self._database = database

    @property
    def victim(self) -> Working:
        """Who was killed, and was not ended in another way."""
        assert self._victim is not None
        assert self._victim.process.exitcode == -signal.SIGKILL
        return self._victim

    def once_it_has_claimed(self, connection: socket.socket) -> None:
        """It has connected, which it does with messages in its hands, and has been told nothing."""
        assert claimed(self._database).total() > 0
        self._kill(who(self.workers, connection))

    def once_it_is_told_yes(self, connection: socket.socket, say_yes: SayYes) -> None:
        """The receiver's yes lies in its socket, and it never reads it."""
        worker = who(self.workers, connection)
        worker.freeze()
        say_yes()
        eventually(lambda: unread(connection) > 0)
        self._kill(worker)

    def before_it_marks(self, connection: socket.socket, say_yes: SayYes) -> None:
        """It has read the receiver's yes, and can write nothing down."""
        worker = who(self.workers, connection)
        with unwritable(self._database):
            worker.freeze()
            say_yes()
            eventually(lambda: unread(connection) > 0)
            worker.thaw()
            eventually(lambda: unread(connection) == 0)
            self._kill(worker)

    def _kill(self, worker: Working) -> None:
        worker.kill()
        self._victim = worker
        self.fired.set()


def left_alone(database: Database) -> set[str]:
    """Whose hands the messages are in, once none waits that another could take: of two, then, who is dead."""
    with database.reading() as db:  # in one snapshot
        waiting = set(db.scalars(text("select worker from outbox_message where state = 'waiting'")))
    return set() if None in waiting else waiting


def in_hand(database: Database) -> int:
    """How many messages are in anybody's hands."""
    return claimed(database).total()
