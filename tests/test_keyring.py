"""The keys: what was sealed opens only in its own place and row, and digests say nothing of what they stand for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from booking.keyring import DIGEST_BYTES, Keyring, Unreadable, key_number

OLD, NEW = (1, bytes(range(32))), (2, bytes(range(32, 64)))
SECRET = "a secret for tests only: 0123456789abcdef"
RING = Keyring([NEW, OLD], SECRET)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(TEXT, st.integers(0, 2**63 - 1))
def test_what_was_sealed_opens_again(text: str, row: int) -> None:
    assert RING.open(RING.seal(text, "lead.content", row), "lead.content", row) == text


def test_a_sealed_text_does_not_show_what_it_says_and_is_never_twice_the_same() -> None:
    sealed = RING.seal("My back hurts", "lead.content", 1)
    assert b"My back hurts" not in sealed
    assert sealed != RING.seal("My back hurts", "lead.content", 1)


def test_a_sealed_text_moved_to_another_row_does_not_open() -> None:
    sealed = RING.seal("My back hurts", "lead.content", 1)
    with pytest.raises(Unreadable, match="row 2"):
        RING.open(sealed, "lead.content", 2)


def test_a_sealed_text_moved_to_another_place_does_not_open() -> None:
    sealed = RING.seal("My back hurts", "lead.content", 1)
    with pytest.raises(Unreadable, match=r"note\.text"):
        RING.open(sealed, "note.text", 1)


@given(st.integers(0, 40), st.integers(1, 255))
def test_one_changed_byte_is_noticed(at: int, change: int) -> None:
    sealed = bytearray(RING.seal("My back hurts", "lead.content", 1))
    sealed[at] ^= change
    with pytest.raises(Unreadable):
        RING.open(bytes(sealed), "lead.content", 1)


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda rest: bytes((1, 2)) + rest))
@example(b"")
@example(b"\x01")
@example(b"\x01\x02")
@example(b"\x01\x02cut off")
def test_anything_that_was_never_sealed_is_unreadable_and_no_other_error(blob: bytes) -> None:
    with pytest.raises(Unreadable):
        RING.open(blob, "lead.content", 1)


def test_the_first_key_seals_and_all_of_them_open() -> None:
    before = Keyring([OLD], SECRET).seal("My back hurts", "lead.content", 1)
    after = RING.seal("My back hurts", "lead.content", 1)
    assert (key_number(before), key_number(after), RING.active) == (1, 2, 2)
    assert RING.open(before, "lead.content", 1) == RING.open(after, "lead.content", 1)


def test_a_text_whose_key_is_gone_is_unreadable_and_the_key_is_named() -> None:
    sealed = RING.seal("My back hurts", "lead.content", 1)
    with pytest.raises(Unreadable, match="key 2"):
        Keyring([OLD], SECRET).open(sealed, "lead.content", 1)


def test_another_key_under_the_same_number_does_not_open() -> None:
    sealed = RING.seal("My back hurts", "lead.content", 1)
    with pytest.raises(Unreadable):
        Keyring([(2, bytes(range(64, 96)))], SECRET).open(sealed, "lead.content", 1)


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=3))
def test_equal_parts_have_equal_digests_whatever_they_are(label_end: str, parts: list[str]) -> None:
    label = f"label{label_end}".encode("utf-8", "replace").decode()
    digest = RING.digest(label, *parts)
    assert digest == Keyring([OLD], SECRET).digest(label, *parts)
    assert len(digest) == DIGEST_BYTES


def test_digests_differ_by_label_by_secret_and_by_where_one_part_ends() -> None:
    digests = {
        RING.digest("email", "ab", "c"),
        RING.digest("email", "a", "bc"),
        RING.digest("email", "abc"),
        RING.digest("email", "abc", ""),
        RING.digest("phone", "abc"),
        Keyring([OLD], SECRET[::-1]).digest("email", "abc"),
    }
    assert len(digests) == 6
