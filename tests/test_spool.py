"""The spool keeps a lead through whatever happens to the process and the disk, and shows it to nobody."""

import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from booking.keyring import Keyring
from booking.spool import Spool, SpoolFileBad, SpoolFull, Waiting
from tests.faults.weather import no_file_longer_than

KEYS = Keyring([(1, bytes(range(32)))], "a secret for tests only: 0123456789abcdef")
OTHER_KEYS = Keyring([(1, bytes(range(32, 64)))], "a secret for tests only: 0123456789abcdef")
CANARY = "canary-of-a-health-text"
PAYLOAD = {"submission": {"message": CANARY}, "received_at": "2026-11-24T15:30:00+00:00"}


class Hasty(Spool):
    """A spool without its guards: straight to the final name, no fsync."""

    def _write(self, target: Path, sealed: bytes) -> None:
        target.write_bytes(sealed)


def opened(folder: Path, kind: type[Spool] = Spool, keys: Keyring = KEYS, limit: int = 1_000_000) -> Spool:
    return kind(folder / "spool", limit, keys.seal, keys.open)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return opened(tmp_path)


def only(spool: Spool) -> Waiting:
    (waiting,) = spool.waiting()
    return waiting


# ---------------------------------------------------------------- putting and taking


def test_what_was_put_is_read_back_and_is_gone_once_removed(spool: Spool) -> None:
    spool.put("SV-7K4Q-92", "abc123", 1_795_000_000_000, PAYLOAD)
    waiting = only(spool)
    assert (waiting.reference, waiting.mark) == ("SV-7K4Q-92", "abc123")
    assert spool.read(waiting) == PAYLOAD
    spool.remove(waiting)
    spool.remove(waiting)  # another drain was quicker
    assert spool.depth() == 0
    with pytest.raises(FileNotFoundError):
        spool.read(waiting)


def test_the_oldest_waits_in_front(spool: Spool) -> None:
    for millis in (30, 10, 20):
        spool.put(f"SV-{millis}", "", millis, PAYLOAD)
    assert [waiting.reference for waiting in spool.waiting()] == ["SV-10", "SV-20", "SV-30"]


def test_a_post_finds_its_earlier_self_by_its_mark_and_one_without_a_mark_finds_nobody(spool: Spool) -> None:
    spool.put("SV-MARKED", "abc123", 1, PAYLOAD)
    spool.put("SV-UNMARKED", "", 2, PAYLOAD)
    earlier = spool.find("abc123")
    assert earlier is not None
    assert (earlier.reference, earlier.millis) == ("SV-MARKED", 1)
    assert spool.find("def456") is None
    assert spool.find("") is None


def test_a_lead_is_there_after_the_spool_is_opened_again(spool: Spool, tmp_path: Path) -> None:
    spool.put("SV-7K4Q-92", "", 1, PAYLOAD)
    again = opened(tmp_path)
    assert again.read(only(again)) == PAYLOAD


# ---------------------------------------------------------------- on the disk


def durable_steps(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put one lead, and note at each real fsync what it is called on and what the folder shows at that moment."""
    steps: list[str] = []
    fsync = os.fsync

    def noticed(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        leads = len(list(spool.folder.glob("*.lead")))
        kind = "folder" if target == spool.folder else f"{target.suffix} of {target.stat().st_size > len(CANARY)}"
        steps.append(f"fsync of {kind}, {leads} leads seen")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", noticed)
        spool.put("SV-7K4Q-92", "", 1, PAYLOAD)
    return steps


def test_a_lead_is_synced_whole_under_another_name_before_it_is_seen_and_its_folder_after(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = durable_steps(spool, monkeypatch)
    assert steps == ["fsync of .part of True, 0 leads seen", "fsync of folder, 1 leads seen"]


def test_twin_a_hasty_spool_syncs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert durable_steps(opened(tmp_path, Hasty), monkeypatch) == []


def left_by_a_disk_that_fills_up_halfway(spool: Spool) -> list[Waiting]:
    with no_file_longer_than(40), pytest.raises(SpoolFull, match="does not take it"):
        spool.put("SV-7K4Q-92", "", 1, PAYLOAD)
    return list(spool.waiting())


def test_a_disk_that_fills_up_halfway_leaves_no_half_lead(spool: Spool) -> None:
    assert left_by_a_disk_that_fills_up_halfway(spool) == []
    assert spool.size() == 0
    spool.put("SV-7K4Q-92", "", 1, PAYLOAD)
    assert spool.depth() == 1


def test_twin_a_hasty_spool_is_left_with_a_half_lead(tmp_path: Path) -> None:
    spool = opened(tmp_path, Hasty)
    (half,) = left_by_a_disk_that_fills_up_halfway(spool)
    assert half.path.stat().st_size == 40
    with pytest.raises(SpoolFileBad):
        spool.read(half)


def test_a_file_still_being_written_does_not_wait(spool: Spool) -> None:
    (spool.folder / "000000000000001.SV-7K4Q-92..part").write_bytes(b"half")
    assert spool.depth() == 0


def test_only_the_service_may_read_a_waiting_lead_and_its_text_is_sealed(spool: Spool) -> None:
    spool.put("SV-7K4Q-92", "abc123", 1, PAYLOAD)
    path = only(spool).path
    assert path.stat().st_mode & 0o777 == 0o600
    assert CANARY.encode() not in path.read_bytes()
    assert b"received_at" not in path.read_bytes()


# ---------------------------------------------------------------- the bound


def test_a_spool_at_its_bound_says_so_takes_nothing_and_takes_more_once_drained(tmp_path: Path) -> None:
    spool = opened(tmp_path, limit=2000)
    taken = 0
    with pytest.raises(SpoolFull, match="bound"):
        for taken in itertools.count():
            spool.put(f"SV-{taken}", "", taken, PAYLOAD)
    assert taken > 2
    assert spool.depth() == taken
    assert spool.size() <= 2000
    spool.remove(next(spool.waiting()))
    spool.put("SV-AGAIN", "", 99, PAYLOAD)


def test_what_was_set_aside_counts_towards_the_bound(tmp_path: Path) -> None:
    spool = opened(tmp_path, limit=2000)
    (spool.aside / "000000000000001.SV-BAD..lead").write_bytes(bytes(2000))
    with pytest.raises(SpoolFull, match="bound"):
        spool.put("SV-7K4Q-92", "", 1, PAYLOAD)


def test_many_put_and_drain_at_once_and_nobody_is_told_that_the_disk_is_full(spool: Spool) -> None:
    refusals: list[str] = []
    done = threading.Event()

    def visit(number: int) -> None:
        for turn in range(100):
            try:
                spool.put(f"SV-{number}-{turn}", "", turn, PAYLOAD)
            except SpoolFull as refusal:
                refusals.append(str(refusal))

    def drain() -> None:
        while not done.is_set():
            for waiting in spool.waiting():
                spool.remove(waiting)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    drainer = threading.Thread(target=drain)
    for thread in [*visitors, drainer]:
        thread.start()
    for thread in visitors:
        thread.join()
    done.set()
    drainer.join()
    assert refusals == []


# ---------------------------------------------------------------- bad files


def spoil(spool: Spool, how: str) -> Waiting:
    waiting = only(spool)
    whole = waiting.path.read_bytes()
    if how == "truncated":
        waiting.path.write_bytes(whole[:-7])
    elif how == "empty":
        waiting.path.write_bytes(b"")
    elif how == "garbage":
        waiting.path.write_bytes(os.urandom(200))
    elif how == "another key":
        waiting.path.write_bytes(OTHER_KEYS.seal("{}", "spool", waiting.reference))
    elif how == "another reference":
        moved = waiting.path.rename(waiting.path.with_name("000000000000001.SV-ELSE-22..lead"))
        return Waiting(moved, "SV-ELSE-22", "", 1)
    elif how == "no JSON":
        waiting.path.write_bytes(KEYS.seal("no JSON", "spool", waiting.reference))
    return waiting


@pytest.mark.parametrize("how", ["truncated", "empty", "garbage", "another key", "another reference", "no JSON"])
def test_a_file_that_cannot_be_read_says_so_and_can_be_set_aside(spool: Spool, how: str) -> None:
    spool.put("SV-7K4Q-92", "", 1, PAYLOAD)
    bad = spoil(spool, how)
    with pytest.raises(SpoolFileBad) as told:
        spool.read(bad)
    assert CANARY not in str(told.value)
    spool.set_aside(bad)
    spool.set_aside(bad)  # another drain was quicker
    assert (spool.depth(), spool.set_aside_count()) == (0, 1)


def test_a_folder_that_has_gone_holds_nothing_and_takes_nothing(spool: Spool) -> None:
    spool.aside.rmdir()
    spool.folder.rmdir()
    assert list(spool.waiting()) == []
    with pytest.raises(SpoolFull):
        spool.put("SV-7K4Q-92", "", 1, PAYLOAD)


def test_two_drains_that_meet_each_see_a_whole_file_or_none(spool: Spool) -> None:
    for number in range(50):
        spool.put(f"SV-{number}", "", number, PAYLOAD)
    read: list[str] = []

    def drain() -> None:
        for waiting in spool.waiting():
            with suppress(FileNotFoundError):
                assert spool.read(waiting) == PAYLOAD
                read.append(waiting.reference)
                spool.remove(waiting)

    threads = [threading.Thread(target=drain) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read) == {f"SV-{number}" for number in range(50)}
    assert spool.depth() == 0
