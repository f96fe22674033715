"""Patience: a connection on which every wait ends at one instant, however little arrives at a time."""

import queue
import socket
import ssl
import threading
import time
from typing import Any, cast

MOST_HEARD = 100_000  # bytes that the other side may say until then


class Patience:
    """The instant of `time.monotonic` at which all waiting ends, and how much may still be heard until then."""

    def __init__(self) -> None:
        self._until, self._room = 0.0, 0

    def begin(self, until: float) -> None:
        """Have patience anew."""
        self._until, self._room = until, MOST_HEARD

    def left(self) -> float:
        """The seconds that are left; raises TimeoutError if none are."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def hear(self, count: int) -> int:
        """Note that so many bytes came; raises ConnectionError once they are too many to be an answer."""
        self._room -= count
        if self._room < 0:
            raise ConnectionError
        return count


def connect(host: str, port: int, patience: Patience) -> socket.socket:
    """Connect to the first of a host's addresses that takes it, none of which may use up the time of the others.

    Raises OSError: gaierror if there is no such host, TimeoutError if patience ends.
    """
    addresses = _addresses(host, port, patience)
    failure: OSError = socket.gaierror()
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        connection = _Patient(family, kind, protocol)
        connection.patience = patience
        try:
            connection.settimeout(patience.left() / (len(addresses) - number))
            connection.connect(address)
        except OSError as wrong:
            connection.close()
            failure = wrong
        else:
            return connection
    raise failure


def encrypt(connection: socket.socket, context: ssl.SSLContext, host: str, patience: Patience) -> socket.socket:
    """Go on encrypted, on the socket returned; the other one is of no more use. Raises OSError, ssl.SSLError too."""
    context.sslsocket_class = _PatientTls
    connection.settimeout(patience.left())  # for the handshake as a whole
    encrypted = cast(_PatientTls, context.wrap_socket(connection, server_hostname=host))
    encrypted.patience = patience
    return encrypted


class _Patient(socket.socket):
    """A socket whose every read and write may take what is left of its patience.

    A time-out alone begins anew with each byte that trickles in. A timer that shuts the socket down from another
    thread would race with the change to TLS, and with a descriptor's next owner; this has one thread and no race.
    """

    patience: Patience

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(self.patience.left())
        return self.patience.hear(super().recv_into(buffer, nbytes or 0, flags))

    def send(self, data: Any, flags: int = 0) -> int:
        self.settimeout(self.patience.left())
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(self.patience.left())  # for all of it; under TLS for each `send`, which sets it again
        super().sendall(data, flags)


class _PatientTls(_Patient, ssl.SSLSocket):
    """The same, encrypted."""


def _addresses(host: str, port: int, patience: Patience) -> list[tuple[Any, ...]]:
    """Look a host up on a thread of its own: nothing else ends the wait for a name server that does not answer."""
    found: queue.SimpleQueue[list[tuple[Any, ...]]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError):
            found.put([])

    threading.Thread(target=look_up, name="mail-lookup", daemon=True).start()
    try:
        return found.get(timeout=patience.left())
    except queue.Empty:
        raise TimeoutError from None
