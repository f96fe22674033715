"""Instant receivers for benchmarks: every letter and every webhook is taken at once, letters are counted."""

import asyncio
import re
import sys
import time
from pathlib import Path

REPORT_EVERY_SECONDS = 0.2
TAKEN = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Sink(asyncio.Protocol):
    """The shortest SMTP that is one; `taken` counts letters, and `first` and `last` say when they came."""

    taken, first, last = 0, 0.0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._waiting, self._in_letter = transport, b"", False
        self._say(b"220 sink")

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while True:
            end = b"\r\n.\r\n" if self._in_letter else b"\r\n"
            head, found, rest = self._waiting.partition(end)
            if not found:
                return
            self._waiting = rest
            self._letter() if self._in_letter else self._command(head[:4].upper())

    def _letter(self) -> None:
        Sink.taken, Sink.last = Sink.taken + 1, time.time()
        Sink.first = Sink.first or Sink.last
        self._in_letter = False
        self._say(b"250 taken")

    def _command(self, word: bytes) -> None:
        self._in_letter = word == b"DATA"
        self._say(b"354 go on" if self._in_letter else b"250 sink")

    def _say(self, line: bytes) -> None:
        self._transport.write(line + b"\r\n")  # type: ignore[attr-defined]  # a socket's transport writes


class Program(asyncio.Protocol):
    """The shortest receiver of webhooks: one request for a connection, then it is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._request = transport, b""

    def data_received(self, data: bytes) -> None:
        self._request += data
        head, _, body = self._request.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length and len(body) >= int(length[1]):
            self._transport.write(TAKEN)  # type: ignore[attr-defined]  # a socket's transport writes
            self._transport.close()


async def main(mail: int, programs: int, report: Path) -> None:
    """Serve on both ports, and write `taken first last` into a file again and again, until killed."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Sink, "127.0.0.1", mail)
    await loop.create_server(Program, "127.0.0.1", programs)
    while True:
        report.write_text(f"{Sink.taken} {Sink.first} {Sink.last}")
        await asyncio.sleep(REPORT_EVERY_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
