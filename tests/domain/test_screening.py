"""Screening: each oddity has its points and its plain reason; the verdict is a judgement and never a refusal."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.screening import THRESHOLD, Signals, Verdict, count_links, screen

SIGNALS = st.builds(
    Signals,
    honeypot=st.booleans(),
    by_get=st.booleans(),
    origin=st.sampled_from(["same", "known", "unknown", "none"]),
    seconds=st.none() | st.floats(0, 1e6),
    links_in_name=st.integers(0, 5),
    links_in_message=st.integers(0, 5),
    from_client=st.integers(0, 40),
    same_text=st.integers(0, 40),
)
RULES = {
    "a honeypot that was filled in": (Signals(honeypot=True), 50, "do not see"),
    "a link in the name": (Signals(links_in_name=1), 50, "name contains a link"),
    "a link in the message": (Signals(links_in_message=1), 10, "message contains a link"),
    "two links in the message": (Signals(links_in_message=2), 10, "message contains a link"),
    "three links in the message": (Signals(links_in_message=3), 20, "several links"),
    "a form sent at once": (Signals(seconds=0.0), 30, "within 2 seconds"),
    "a form sent just too soon": (Signals(seconds=1.99), 30, "within 2 seconds"),
    "the same text from two others": (Signals(same_text=2), 50, "same text"),
    "a web site that is not ours": (Signals(origin="unknown"), 20, "not ours"),
    "a form left on its default method": (Signals(by_get=True), 10, "address"),
    "many posts from one address": (Signals(from_client=10), 30, "Many posts"),
    "twenty-nine posts from one address": (Signals(from_client=29), 30, "Many posts"),
    "very many posts from one address": (Signals(from_client=30), 50, "Very many posts"),
}
HARMLESS = {
    "a visitor who took their time": Signals(seconds=45.0),
    "a visitor at the very limit": Signals(seconds=2.0),
    "a page that did not say when it was shown": Signals(seconds=None),
    "our own page": Signals(origin="same"),
    "a web site on our list": Signals(origin="known"),
    "a browser that hides where it comes from": Signals(origin="none"),
    "nine posts from one address": Signals(from_client=9),
    "one other person with the same text": Signals(same_text=1),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_its_points_and_one_plain_reason(rule: str) -> None:
    signals, points, words = RULES[rule]
    verdict = screen(signals)
    assert verdict.points == points
    assert len(verdict.reasons) == 1
    assert words in verdict.reasons[0]
    assert verdict.reasons[0].endswith(".")


@pytest.mark.parametrize("situation", HARMLESS)
def test_nothing_odd_has_no_points_and_no_reason(situation: str) -> None:
    assert screen(HARMLESS[situation]) == Verdict(0, ())


@pytest.mark.parametrize("points", range(THRESHOLD - 2, THRESHOLD + 3))
def test_the_threshold_holds_and_one_point_less_does_not(points: int) -> None:
    assert Verdict(points, ()).held == (points >= THRESHOLD)


def test_the_honeypot_alone_holds_a_lead() -> None:
    assert screen(Signals(honeypot=True)).held


def test_one_small_oddity_does_not_hold_a_lead_but_several_do() -> None:
    hurried = Signals(seconds=0.5)
    elsewhere = replace(hurried, origin="unknown")
    assert not screen(hurried).held
    assert screen(elsewhere).held
    assert screen(elsewhere).points == 50


@given(SIGNALS)
def test_the_same_signals_always_give_the_same_verdict(signals: Signals) -> None:
    assert screen(signals) == screen(replace(signals))


@given(SIGNALS)
def test_points_come_with_a_reason_and_reasons_with_points(signals: Signals) -> None:
    verdict = screen(signals)
    assert (verdict.points > 0) == bool(verdict.reasons)
    assert len(set(verdict.reasons)) == len(verdict.reasons)


@given(SIGNALS)
def test_a_filled_honeypot_never_makes_a_lead_look_better(signals: Signals) -> None:
    assert screen(replace(signals, honeypot=True)).points >= screen(replace(signals, honeypot=False)).points


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("", 0),
        ("My back hurts. Dr. Smith sent me.", 0),
        ("see http://example.com", 1),
        ("HTTPS://EXAMPLE.COM and www.example.com", 2),
        ("[url=x]x[/url] <a href=x>", 2),
    ],
)
def test_links_are_counted_however_they_are_written(text: str, links: int) -> None:
    assert count_links(text) == links
