"""Receipts: an append-only log of the references handed out, so that thanks can be compared with what is stored."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path


class Receipts:
    """One line for each thank-you, `instant reference state`, with nothing personal in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, reference: str, state: str, at: datetime) -> bool:
        """Append one line; False when the disk does not take it: an answer must not fail for its receipt."""
        line = f"{at.isoformat(timespec='milliseconds')} {reference} {state}\n".encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                return os.write(descriptor, line) == len(line)
            finally:
                os.close(descriptor)
        except OSError:
            return False

    def references(self) -> Iterator[str]:
        """Every reference handed out, in order; a line cut short by a full disk is passed over."""
        if not self.path.exists():
            return
        with self.path.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if line.endswith("\n") and len(words) >= 3:  # more: a line cut short by a full disk stands before it
                    yield words[-2]
