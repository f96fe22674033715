"""Serve a WSGI application with waitress, so that slow clients stop nobody and a stop drops no request.

Waitress reads heads and bodies in one loop and gives a thread only to a whole request: of the servers
measured (`bench/slow_clients.py`) it alone kept answering while 600 connections sent one byte a second.
"""

import contextlib
import ctypes
import logging
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

MAX_CONNECTIONS = 1000
MAX_HEAD = 32 * 1024
MAX_BODY = 8 * 1024 * 1024  # far above the application's own limit, whose refusal is the kinder one
MAX_BODY_IN_MEMORY = 128 * 1024  # above that limit too: a body that is accepted never touches the disk
MAX_ANSWER_PENDING = 1024 * 1024  # beyond it, a slow reader's answer waits in its generator

IDLE_SECONDS = 60  # for a connection without a request, and for a reader that takes nothing
RECEIVE_SECONDS = 120  # for one whole request: one byte a second could otherwise go on for hours
QUIET_SECONDS = 1.0  # while stopping, for an open connection to bring what is already on its way
HANDSHAKE_SECONDS = 0.2  # while stopping, for a handshake that has begun

LEFT_LYING_SECONDS = 1.0  # after which the loop sends what a thread has left

SO_ATTACH_FILTER = 26  # Linux; the socket module does not name it

_log = logging.getLogger(__name__)


def serve(
    app: WSGIApplication,
    *,
    host: str,
    port: int,
    threads: int,
    ready: Callable[[str, int], None] | None = None,
    stop_within: float = 25.0,
    error_headers: Sequence[tuple[str, str]] = (),
) -> None:
    """Answer requests until SIGTERM or SIGINT, finish those that were let in, return. Main thread only.

    `ready(host, port)` is called once clients can connect (port 0 takes a free one). After the signal
    nobody new is let in, and after `stop_within` seconds the unfinished are cut off. `error_headers` go on
    the answers waitress gives by itself: a malformed request, one too large, an exception that escaped.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a busy moment is not worth a warning
    server = _Server(
        app,
        host=host,
        port=port,
        threads=threads,
        connection_limit=_room_for_connections(),
        channel_timeout=IDLE_SECONDS,
        max_request_header_size=MAX_HEAD,
        max_request_body_size=MAX_BODY,
        inbuf_overflow=MAX_BODY_IN_MEMORY,
        outbuf_high_watermark=MAX_ANSWER_PENDING,
        outbuf_overflow=8 * MAX_ANSWER_PENDING,  # out of reach: no export in a temporary file
        channel_request_lookahead=0,  # a whole request is served even if its sender has hung up by then
        clear_untrusted_proxy_headers=False,  # the application decides whom to believe
        expose_tracebacks=False,
        log_socket_errors=False,
        ident=None,
    )
    server.error_headers = error_headers
    with contextlib.closing(server), _stopped_by_signals(server):
        if ready is not None:
            ready(server.effective_host, int(server.effective_port))
        while not server.stopping:
            server.turn(1.0)
        server.drain(stop_within)


class _Request(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """A request that knows when its first byte came."""

    def __init__(self, adj: object) -> None:
        super().__init__(adj)
        self.began = time.time()


class _Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """An answer that, while the server stops, asks its client to send nothing more."""

    def build_response_header(self) -> bytes:
        # Unless the client has sent more already, which is answered first.
        if self.channel.server.stopping and len(self.channel.requests) == 1 and self.channel.request is None:
            self.request.headers["CONNECTION"] = "close"
        return bytes(super().build_response_header())

    def finish(self) -> None:
        if self.request.command == "HEAD":  # no body, so no end of one either
            if not self.wrote_header:
                self.write(b"")
            self.chunked_response = False
        super().finish()


class _ErrorTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """Waitress' own refusal in plain text, with the headers that every answer of ours carries."""

    def execute(self) -> None:
        self.response_headers.extend(self.channel.server.error_headers)
        super().execute()


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One connection."""

    parser_class = _Request
    task_class = _Task
    error_task_class = _ErrorTask
    written = 0.0  # when a thread last did

    def write_soon(self, data: Any) -> int:
        """Take a part of the answer from the thread that makes it, and send what can be sent."""
        self.written = time.time()
        return int(super().write_soon(data))

    def writable(self) -> bool:
        """Whether the loop has something to send here.

        Not what a thread at work here is about to send by itself: the loop could not, would be told at once that there
        is room to, and so on, tens of thousands of times a second, taking turns with that very thread. But what a
        thread could not send, and leaves lying while it works on.
        """
        if self.requests and not (self.will_close or self.close_when_flushed):
            left = time.time() - self.written > LEFT_LYING_SECONDS
            return bool(self.total_outbufs_len >= (1 if left else self.adj.outbuf_high_watermark))
        return bool(super().writable())

    def has_had_its_time(self, now: float) -> bool:
        """Whether to close this connection: never while the application is at work for it."""
        working = bool(self.requests)  # asked first: when a thread is done, all it wrote is in the buffers
        quiet: float = now - self.last_activity
        if self.total_outbufs_len:
            return quiet > IDLE_SECONDS
        if working:
            return False
        if self.request is not None:
            taken: float = now - self.request.began
            return quiet > IDLE_SECONDS or taken > RECEIVE_SECONDS
        return quiet > (QUIET_SECONDS if self.server.stopping else IDLE_SECONDS)


class _Server(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Waitress' listening socket and its loop, one turn at a time."""

    channel_class = _Channel
    error_headers: Sequence[tuple[str, str]] = ()
    stopping = False
    _next_look = 0.0

    def turn(self, seconds: float) -> None:
        """Wait for events, at most so long, and deal with them; now and then close who has had their time."""
        wasyncore.loop(seconds, use_poll=True, map=self._map, count=1)  # select() ends at descriptor 1023
        now = time.time()
        if now >= self._next_look:
            self._next_look = now + seconds
            for channel in [each for each in self.active_channels.values() if each.has_had_its_time(now)]:
                channel.handle_close()

    def drain(self, seconds: float) -> None:
        """Let nobody new in and answer those who are, at most so long."""
        until = time.monotonic() + seconds
        self._close_the_door()
        while self.active_channels and time.monotonic() < until:
            self.turn(0.05)
        if self.active_channels:
            _log.warning("stopped with %d connections unfinished", len(self.active_channels))
        # A thread may still be at work for a client that has left.
        self.task_dispatcher.shutdown(timeout=max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Give up every socket."""
        wasyncore.dispatcher.close(self)
        wasyncore.close_all(self._map, ignore_all=True)

    def _close_the_door(self) -> None:
        # Whom the kernel has let in believes itself connected and is ours to answer. Whom it would let in
        # between our last look and the closing, it would reset. So no new handshake may begin, and those
        # begun have time to end, before the last look.
        _drop_first_knocks(self.socket)
        shut = time.monotonic() + HANDSHAKE_SECONDS
        while time.monotonic() < shut:
            self.turn(0.05)
        waiting = select.poll()
        waiting.register(self.socket, select.POLLIN)
        while waiting.poll(0):
            self.handle_accept()
        wasyncore.dispatcher.close(self)


def _drop_first_knocks(listener: socket.socket) -> None:
    # A socket filter that drops segments with SYN and no ACK. The client knocks again a second later: at our
    # successor's door, or at none. Where there is no such filter the moment stays, some millionths of a second.
    if sys.platform == "linux":
        # Load the flags; keep SYN and ACK; if that is SYN alone: drop; else: pass.
        steps = [(0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (6, 0, 0, 0), (6, 0, 0, 2**32 - 1)]
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        described = struct.pack("HP", len(steps), ctypes.addressof(program))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)


@contextlib.contextmanager
def _stopped_by_signals(server: _Server) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stopping = True
        server.pull_trigger()  # ends the wait for events

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _room_for_connections() -> int:
    # The usual limit of 1024 open files leaves too little for 1000 connections, databases and files.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)
