"""An instant mail server for benchmarks: takes every letter at once, counts them, and keeps nothing."""

import asyncio
import sys
import time
from pathlib import Path

REPORT_EVERY_SECONDS = 0.2


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


async def main(port: int, report: Path) -> None:
    """Serve on `port`, and write `taken first last` into a file again and again, until killed."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Sink, "127.0.0.1", port)
    while True:
        report.write_text(f"{Sink.taken} {Sink.first} {Sink.last}")
        await asyncio.sleep(REPORT_EVERY_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
