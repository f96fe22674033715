"""The receipts say which references were handed out, one whole line each, and nothing else."""

import re
import threading
from datetime import datetime
from pathlib import Path

import pytest

from booking.receipts import Receipts
from tests.faults.weather import no_file_longer_than


@pytest.fixture
def receipts(tmp_path: Path) -> Receipts:
    return Receipts(tmp_path / "data" / "receipts.log")


def test_a_line_has_the_instant_the_reference_and_the_state(receipts: Receipts, now: datetime) -> None:
    assert receipts.note("SV-7K4Q-92", "stored", now)
    assert receipts.path.read_text() == "2026-11-24T15:30:00.000+00:00 SV-7K4Q-92 stored\n"
    assert receipts.path.stat().st_mode & 0o777 == 0o600


def test_references_come_back_in_the_order_they_were_handed_out(receipts: Receipts, now: datetime) -> None:
    assert list(receipts.references()) == []
    for number in range(3):
        receipts.note(f"SV-{number}", "spooled", now)
    assert list(receipts.references()) == ["SV-0", "SV-1", "SV-2"]


def test_lines_written_at_once_are_whole(receipts: Receipts, now: datetime) -> None:
    def note(number: int) -> None:
        for turn in range(200):
            assert receipts.note(f"SV-{number}-{turn}", "stored", now)

    threads = [threading.Thread(target=note, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = receipts.path.read_text().splitlines()
    assert len(lines) == 800
    assert all(re.fullmatch(r"\S+ SV-\d-\d+ stored", line) for line in lines)


def test_a_full_disk_is_reported_and_never_raised(receipts: Receipts, now: datetime) -> None:
    with no_file_longer_than(0):
        assert not receipts.note("SV-7K4Q-92", "stored", now)
    assert list(receipts.references()) == []


def test_a_line_cut_short_by_a_full_disk_does_not_swallow_the_next(receipts: Receipts, now: datetime) -> None:
    assert receipts.note("SV-FIRST", "stored", now)
    whole = receipts.path.stat().st_size
    for cut in (5, 33, 44):
        with no_file_longer_than(receipts.path.stat().st_size + cut):
            assert not receipts.note("SV-SHORT", "stored", now)
        assert receipts.path.stat().st_size > whole, "nothing was written of the line that should be cut"
        assert receipts.note(f"SV-AFTER-{cut}", "stored", now)
    assert list(receipts.references()) == ["SV-FIRST", "SV-AFTER-5", "SV-AFTER-33", "SV-AFTER-44"]
