"""The spool: the folder where leads wait, sealed and fsynced one file each, while the database is away."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACE = "spool"
COUNT_EVERY = 200
WAITING = re.compile(r"(?P<millis>\d{15})\.(?P<reference>[A-Z0-9-]+)\.(?P<mark>[0-9a-f]*)\.lead")


class SpoolFull(Exception):
    """Nothing more can wait: the folder has reached its bound, or the disk does not take it."""


class SpoolFileBad(Exception):
    """A waiting file cannot be read."""


@dataclass(frozen=True)
class Waiting:
    """One file of the spool: the reference handed out for it, when, and the mark by which the same post finds it."""

    path: Path
    reference: str
    mark: str
    millis: int


class Spool:
    """A folder of waiting leads; `seal(text, place, row)` and `unseal` are the keyring's.

    A file is written under a temporary name, fsynced, renamed, and the folder fsynced: after `put` returns it
    survives a power cut. Files that cannot be read are set aside in `bad/`, never deleted.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        seal: Callable[[str, str, object], bytes],
        unseal: Callable[[bytes, str, object], str],
    ) -> None:
        self.folder, self.aside, self.limit_bytes = folder, folder / "bad", limit_bytes
        self._seal, self._unseal = seal, unseal
        self._taken, self._uncounted = 0, 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.aside.mkdir(exist_ok=True, mode=0o700)

    def put(self, reference: str, mark: str, millis: int, payload: dict[str, Any]) -> None:
        """Store `payload` durably under `reference`; raises SpoolFull."""
        sealed = self._seal(json.dumps(payload, ensure_ascii=False), PLACE, reference)
        target = self.folder / f"{millis:015d}.{reference}.{mark}.lead"
        try:
            if not self._has_room(len(sealed)):
                raise SpoolFull("the spool has reached its bound")
            self._write(target, sealed)
        except OSError as failure:
            raise SpoolFull(f"the spool's disk does not take it: {failure.strerror}") from failure

    def find(self, mark: str) -> Waiting | None:
        """The file in which a post with this mark waits already."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self.folder):  # noqa: PTH208  as below
                if mark and name.endswith(f".{mark}.lead") and (found := WAITING.fullmatch(name)):
                    return Waiting(self.folder / name, found["reference"], mark, int(found["millis"]))
        return None

    def waiting(self) -> Iterator[Waiting]:
        """The waiting files, oldest first."""
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.folder)):  # noqa: PTH208  paths would take ten times as long to make
                if found := WAITING.fullmatch(name):
                    yield Waiting(self.folder / name, found["reference"], found["mark"], int(found["millis"]))

    def read(self, waiting: Waiting) -> dict[str, Any]:
        """The payload of a waiting file; raises SpoolFileBad, or FileNotFoundError if another drain was quicker."""
        sealed = waiting.path.read_bytes()
        try:
            payload: dict[str, Any] = json.loads(self._unseal(sealed, PLACE, waiting.reference))
        except Exception as wrong:  # whatever is wrong with it, it must not stop those behind it
            raise SpoolFileBad(type(wrong).__name__) from wrong
        return payload

    def remove(self, waiting: Waiting) -> None:
        """Forget a file whose lead is in the database."""
        waiting.path.unlink(missing_ok=True)

    def set_aside(self, waiting: Waiting) -> None:
        """Move a file that cannot be worked on out of the way, for a person to look at."""
        with suppress(FileNotFoundError):
            waiting.path.rename(self.aside / waiting.path.name)

    def depth(self) -> int:
        """How many leads wait."""
        return sum(1 for _ in self.waiting())

    def set_aside_count(self) -> int:
        """How many files were set aside."""
        return len(list(self.aside.glob("*.lead")))

    def size(self) -> int:
        """The bytes that wait, what was set aside included."""
        total = 0
        for folder in (self.folder, self.aside):
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # drained, or renamed by who wrote it, since it was listed
                        total += entry.stat().st_size if entry.is_file() else 0
        return total

    def _has_room(self, more: int) -> bool:
        # Counting thousands of files for each new one would slow down a long outage: what was added since the last
        # count is added up, and counted anew when the bound seems near or the sum has grown old.
        if self._uncounted <= 0 or self._taken + more > self.limit_bytes:
            self._taken, self._uncounted = self.size(), COUNT_EVERY
        self._taken += more
        self._uncounted -= 1
        return self._taken <= self.limit_bytes

    def _write(self, target: Path, sealed: bytes) -> None:
        temporary = target.with_suffix(".part")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(target)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
