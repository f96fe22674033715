"""Pace: so many requests in a moving minute for each client, and a bound on what is remembered of them."""

from booking.web import pace
from booking.web.pace import Pace


def test_so_many_are_allowed_and_one_more_is_not() -> None:
    watch = Pace(3)
    assert [watch.allows(b"ada", now) for now in (0, 1, 2, 3)] == [True, True, True, False]


def test_the_minute_moves() -> None:
    watch = Pace(2)
    assert [watch.allows(b"ada", now) for now in (0, 30, 59.9, 60, 61, 89.9, 90)] == [
        True, True, False, True, False, False, True,
    ]  # fmt: skip


def test_who_is_refused_need_not_wait_longer_for_having_asked() -> None:
    watch = Pace(1)
    assert watch.allows(b"ada", 0)
    assert not any(watch.allows(b"ada", now) for now in range(1, 60))
    assert watch.allows(b"ada", 60)


def test_each_client_has_a_minute_of_its_own() -> None:
    watch = Pace(1)
    assert [watch.allows(client, 0) for client in (b"ada", b"ben", b"ada")] == [True, True, False]


def test_of_very_many_clients_the_longest_silent_are_forgotten() -> None:
    watch = Pace(1)
    assert watch.allows(b"the first", 0)
    for number in range(pace.MOST_CLIENTS - 1):
        watch.allows(b"%d" % number, 1)
    assert not watch.allows(b"the first", 2)
    for number in range(pace.MOST_CLIENTS - 1):
        watch.allows(b"other %d" % number, 3)
    assert not watch.allows(b"the first", 4)
    watch.allows(b"one more", 5)
    for number in range(pace.MOST_CLIENTS):
        watch.allows(b"yet another %d" % number, 6)
    assert watch.allows(b"the first", 7)


def test_without_a_time_it_looks_at_a_clock_that_never_goes_back() -> None:
    watch = Pace(2, seconds=3600)
    assert [watch.allows(b"ada") for _ in range(3)] == [True, True, False]
