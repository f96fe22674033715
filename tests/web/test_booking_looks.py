"""How booking looks and feels: every state is within reach, nothing jumps, nothing untrue stays on the page."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, expect
from sqlalchemy import text

from booking.clinic import Closure
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.web.representations import RECEIVED
from tests.service import Serving
from tests.web.guest import ADJUSTMENT, DESK, NARROW, PHONE_SIZE, Guest, ask, book, later_day, path_of, rearrange

# How a page looks does not depend on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SLOTS, HOLDS = "**/api/v1/slots*", "**/api/v1/holds"
MINUTE = 60_000
PLACES = """
[...document.querySelectorAll('#chosen, .step, #send')]
  .map(each => Math.round(each.getBoundingClientRect().y + window.scrollY))
"""
IN_VIEW = """box => { const {top, bottom} = box.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight }"""


@pytest.fixture
def server(serving: Callable[..., Serving], catalog: Catalog) -> Serving:
    return serving()


@pytest.fixture
def guest(page: Page, server: Serving) -> Guest:
    """Somebody on a phone."""
    page.set_viewport_size(PHONE_SIZE)
    return Guest(page, server)


@pytest.fixture(params=["script", "no script"])
def either(request: pytest.FixtureRequest, browser: Browser, server: Serving) -> Iterator[Guest]:
    """Somebody on a phone, once with JavaScript and once without."""
    scripted = request.param == "script"
    with browser.new_context(viewport=PHONE_SIZE, java_script_enabled=scripted) as context:
        yield Guest(context.new_page(), server, scripted)


class Gate:
    """Holds the answers to a kind of request back until it is opened."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.waiting: list[Route] = []
        page.route(pattern, lambda route: self.waiting.append(route))  # noqa: PLW0108  no method of a list will do

    def open(self) -> None:
        """Let everything through that has come so far."""
        for route in self.waiting:
            route.continue_()


# ---------------------------------------------------------------- within reach


def loading(guest: Guest) -> None:
    gate = Gate(guest.page, SLOTS)
    guest.page.get_by_role("radio", name=ADJUSTMENT).check()
    expect(guest.page.locator(".week.loading")).to_be_visible()
    guest.inspects()
    gate.open()
    guest.sees_times()


def failed(guest: Guest) -> None:
    guest.page.route(SLOTS, lambda route: route.abort())
    guest.page.get_by_role("radio", name=ADJUSTMENT).check()
    expect(guest.page.get_by_role("button", name="Try again")).to_be_visible()
    guest.inspects()


def chosen(guest: Guest) -> None:
    guest.asks_for(ADJUSTMENT)
    guest.page.locator(".day:has(+ .panel .more)").last.click()
    guest.takes(guest.times.first)
    guest.page.locator(".more:visible").first.click()
    guest.inspects()


def taken(guest: Guest) -> None:
    answer = {"status": 409, "errors": {"starts_at": ["Somebody has just taken this time."]}, "reference": "SV-2222-22"}
    nearest = ask(guest.server, "/api/v1/slots?service=chiropractic-adjustment")["slots"][:3]
    guest.page.route("**/leads", lambda route: route.fulfill(status=409, json=answer | {"alternatives": nearest}))
    guest.asks_for(ADJUSTMENT)
    guest.takes(guest.times.first)
    guest.sends()
    expect(guest.page.locator("#error-summary .nearest button")).to_have_count(3)
    guest.inspects()


def signs(guest: Guest) -> None:
    guest.page.get_by_text("Signs that should not wait").click()
    guest.page.get_by_label("Trouble controlling").check()
    guest.inspects()


def thanked(guest: Guest) -> None:
    lead = ask(guest.server, "/api/v1/leads", {"email": "ada@example.com"})["reference"]
    for query in ("", "?time=open&check=email", "?advice=emergency"):
        guest.opens(f"/received/{lead}{query}").inspects()


def own_appointment(guest: Guest) -> None:
    free = later_day(guest.server)
    path = path_of(book(guest.server, free[0]))
    guest.opens(path.replace("/appointments/", f"/received/{reference(guest)}?visit=")).inspects()
    page = guest.opens(path).page
    page.locator("#move summary").click()
    page.locator("#cancel summary").click()
    guest.inspects()
    guest.opens_last_day()
    value = guest.takes(guest.times.first)
    book(guest.server, value, practitioner="dr-juniper-tidewell")
    page.get_by_role("button", name="Move it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    guest.inspects()
    page.get_by_role("alert").locator(".nearest button").first.click()
    expect(page.get_by_role("heading", name="moved")).to_be_visible()
    guest.inspects()
    page.locator("#cancel summary").click()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page.get_by_role("heading", name="cancelled")).to_be_visible()
    guest.inspects()


def reference(guest: Guest) -> str:
    """A reference of ours: the success page is one for any of them."""
    return str(ask(guest.server, "/api/v1/leads", {"email": "eve@example.com"})["reference"])


@pytest.mark.slow
@pytest.mark.parametrize("state", [loading, failed, chosen, taken, signs, thanked, own_appointment])
def test_every_state_passes_both_accessibility_checks(guest: Guest, state: Callable[[Guest], None]) -> None:
    guest.page.emulate_media(reduced_motion="reduce")
    state(guest.opens())


# ---------------------------------------------------------------- nothing jumps, and what is chosen stays in view


@pytest.mark.parametrize("size", [NARROW, PHONE_SIZE, DESK], ids=["320", "360", "1280"])
@pytest.mark.parametrize("fate", ["times", "nothing", "failure"])
def test_nothing_moves_when_the_answer_comes(guest: Guest, size: ViewportSize, fate: str) -> None:
    page = guest.page
    page.set_viewport_size(size)
    answer = ask(guest.server, "/api/v1/slots?service=chiropractic-adjustment")
    gate = Gate(page, SLOTS)
    guest.opens()
    page.get_by_role("radio", name=ADJUSTMENT).check()
    expect(page.locator(".week.loading")).to_be_visible()
    expect(page.get_by_role("button", name="Show free times")).to_be_hidden()
    before = page.evaluate(PLACES)
    (route,) = gate.waiting
    if fate == "failure":
        route.abort()
    else:
        route.fulfill(json=answer | ({"slots": [], "next": answer["slots"][0]} if fate == "nothing" else {}))
    expect(page.locator(".week:not(.loading)")).to_be_visible()
    assert page.evaluate(PLACES) == before

    if fate == "times":
        for day in guest.days.all():
            page.locator(f".day[for='{day.get_attribute('id')}']").click()
            assert page.evaluate(PLACES) == before


@pytest.mark.parametrize("size", [PHONE_SIZE, DESK], ids=["360", "1280"])
def test_the_chosen_time_stays_in_view_while_the_rest_is_typed(guest: Guest, size: ViewportSize) -> None:
    page = guest.page
    page.set_viewport_size(size)
    guest.opens().asks_for(ADJUSTMENT)
    guest.takes(guest.times.last)
    box = page.locator("#chosen")
    for control in (page.get_by_label("Name"), page.get_by_label("Your message"), page.locator("#send")):
        control.focus()
        assert box.evaluate(IN_VIEW)
        assert not covers(box, control)
    expect(page.locator("#send")).to_have_text("Book this appointment")


def covers(box: Locator, control: Locator) -> bool:
    above, below = box.bounding_box(), control.bounding_box()
    assert above
    assert below
    return above["y"] < below["y"] + below["height"] and below["y"] < above["y"] + above["height"]


def test_of_two_questions_the_last_is_answered(guest: Guest) -> None:
    page = guest.page
    gate = Gate(page, SLOTS)
    guest.opens()
    page.get_by_role("radio", name="Massage Therapy").check()
    page.get_by_role("radio", name=ADJUSTMENT).check()
    expect(page.locator(".week.loading")).to_be_visible()
    gate.open()
    guest.sees_times()
    assert len(guest.times.all()) > 0
    expect(page.get_by_role("radio", name="Dr. Juniper Tidewell")).to_be_visible()


def test_a_question_taken_back_is_no_failure(guest: Guest) -> None:
    page = guest.opens().page
    guest.asks_for(ADJUSTMENT)
    with page.expect_event("requestfailed", lambda request: "massage" in request.url):
        Gate(page, SLOTS)
        page.get_by_role("radio", name="Massage Therapy").check()
        page.get_by_role("radio", name=ADJUSTMENT).check()
    guest.sees_times()
    expect(page.get_by_text("We cannot show our times just now.")).to_be_hidden()


# ---------------------------------------------------------------- days with nothing, and times that cannot be shown


def test_an_empty_week_says_when_there_is_something(either: Guest, database: Database) -> None:
    closed_until(database, 8)
    page = either.opens().page
    page.get_by_role("radio", name=ADJUSTMENT).check()
    if not either.scripted:
        page.get_by_role("button", name="Show free times").click()
    nothing = page.locator("[data-part=nothing]")
    expect(nothing).to_contain_text("Nothing is free in these days.")
    expect(page.locator("[name=day]:enabled")).to_have_count(0)
    nothing.get_by_role("radio", name="Next free").check()
    either.says_who()
    either.sends()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()


def test_where_nothing_is_free_at_all_the_page_says_for_how_long_and_gives_the_phone(
    either: Guest, database: Database
) -> None:
    closed_until(database, 90)
    page = either.opens().page
    page.get_by_role("radio", name=ADJUSTMENT).check()
    if not either.scripted:
        page.get_by_role("button", name="Show free times").click()
    nothing = page.locator("[data-part=nothing]")
    expect(nothing).to_contain_text("we book up to 60 days ahead")
    expect(nothing.get_by_role("link", name="904-555-0134")).to_be_visible()


def closed_until(database: Database, days: int) -> None:
    today = date.today()  # noqa: DTZ011  a day of the clinic more or less does not matter
    closed = Closure(today - timedelta(days=1), today + timedelta(days=days), "Holidays")
    rearrange(database, closures=(closed,))


def test_when_times_cannot_be_shown_the_page_says_so_and_the_form_still_works(guest: Guest) -> None:
    page = guest.page
    page.route(SLOTS, lambda route: route.abort())
    guest.opens()
    page.get_by_role("radio", name=ADJUSTMENT).check()
    trouble = page.locator("[data-part=failed]")
    expect(trouble).to_contain_text("We cannot show our times just now")
    expect(trouble.get_by_role("link", name="904-555-0134")).to_be_visible()
    page.unroute_all()
    trouble.get_by_role("button", name="Try again").click()
    guest.sees_times()
    expect(trouble).to_be_hidden()
    guest.says_who()
    guest.sends()
    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()


def test_when_a_script_does_not_come_the_server_shows_the_times(guest: Guest) -> None:
    page = guest.page
    page.route("**/times.js", lambda route: route.abort())
    guest.opens()
    guest.says_who()
    page.get_by_role("radio", name=ADJUSTMENT).check()
    page.get_by_role("button", name="Show free times").click()
    guest.sees_times()
    guest.takes(guest.times.last)
    assert page.get_by_label("Name").input_value() == "Ada Example"
    guest.sends()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()


def test_times_asked_for_without_a_service_are_not_called_a_failed_form(browser: Browser, server: Serving) -> None:
    with browser.new_context(viewport=PHONE_SIZE, java_script_enabled=False) as context:
        guest = Guest(context.new_page(), server, scripted=False).opens()
        guest.page.get_by_role("button", name="Show free times").click()
        expect(guest.page.locator("#times")).to_contain_text("Please choose what the visit is for.")
        expect(guest.page.locator("#error-summary")).not_to_contain_text("Oops!")


# ---------------------------------------------------------------- holds, zones, signs


def test_a_hold_warns_is_kept_longer_once_and_its_end_is_said(guest: Guest, database: Database) -> None:
    page = guest.page
    page.clock.install()
    guest.opens().asks_for(ADJUSTMENT)
    guest.takes(guest.times.first)
    page.clock.run_for(1000)
    held, longer = page.locator("[data-part=held]"), page.get_by_role("button", name="Keep it longer")
    expect(held).to_have_text("Kept for you for 10 minutes.")
    expect(held).to_have_attribute("role", "status")
    page.clock.run_for(8 * MINUTE)
    expect(held).to_have_text("Kept 2 more minutes.")
    longer.click()
    expect(held).to_have_text("Kept for you for 10 minutes.")
    page.clock.run_for(8 * MINUTE + 1000)
    expect(held).to_have_text("Kept 2 more minutes.")
    expect(longer).to_be_hidden()
    page.clock.run_for(2 * MINUTE)
    expect(held).to_have_text("No longer kept. It may still be free.")
    guest.says_who()
    guest.sends()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()


@pytest.mark.parametrize("fate", [429, 503])
def test_a_hold_that_is_not_given_keeps_nobody_from_booking(guest: Guest, fate: int) -> None:
    page = guest.page
    page.route(HOLDS, lambda route: route.fulfill(status=fate, json={"status": fate}))
    guest.opens().asks_for(ADJUSTMENT)
    with page.expect_response(HOLDS):
        guest.takes(guest.times.first)
    expect(page.locator("[data-part=held]")).to_have_text("It is yours once you send this form.")
    guest.says_who()
    guest.sends()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()


def test_another_choice_gives_the_first_time_back(guest: Guest, database: Database) -> None:
    guest.opens().asks_for(ADJUSTMENT)
    for time in (guest.times.first, guest.times.last, guest.times.nth(2)):  # more than one may hold at once
        with guest.page.expect_response(HOLDS) as placed:
            guest.takes(time)
        assert placed.value.status == 201
    with database.reading() as db:
        assert db.scalar(text("SELECT count(*) FROM hold")) == 1


def test_who_sends_at_once_does_not_find_their_own_time_taken(guest: Guest) -> None:
    gate = Gate(guest.page, HOLDS)
    guest.opens()
    guest.says_who()
    guest.asks_for(ADJUSTMENT)
    with guest.page.expect_request(HOLDS):
        guest.takes(guest.times.first)
    guest.sends()
    gate.open()
    expect(guest.page.get_by_text("Your appointment is booked.")).to_be_visible()


def test_a_visitor_elsewhere_reads_their_own_time_below_the_clinics(
    browser: Browser, server: Serving, database: Database
) -> None:
    with browser.new_context(timezone_id="America/Los_Angeles", locale="en-US") as context:
        guest = Guest(context.new_page(), server).opens()
        guest.asks_for(ADJUSTMENT)
        expect(guest.page.locator(".zone, .week .hint").last).to_contain_text("clinic time, Eastern Time (E")
        value = guest.takes(guest.times.first)
        hour = (int(value[11:13]) - 3) % 12 or 12
        expect(guest.page.locator(".time:has(:checked) i")).to_have_text(f"{hour}:{value[14:16]} AM")
        box = guest.page.locator("#chosen")
        expect(box).to_contain_text("where you are")
        assert re.search(r"\bE[DS]T\b.*\bP[DS]T\b", box.inner_text(), re.DOTALL)
        guest.says_who()
        guest.sends()
        expect(guest.page.locator(".facts")).to_contain_text("where you are")


def test_at_home_no_second_time_is_shown(browser: Browser, server: Serving) -> None:
    with browser.new_context(timezone_id="America/New_York") as context:
        guest = Guest(context.new_page(), server).opens()
        guest.asks_for(ADJUSTMENT)
        guest.takes(guest.times.first)
        expect(guest.page.get_by_text("where you are")).to_have_count(0)


def test_signs_that_should_not_wait_bring_advice_and_never_keep_a_form_from_being_sent(either: Guest) -> None:
    page = either.opens().page
    page.get_by_text("Signs that should not wait").click()
    urgent, emergency = page.locator(".signs .advice").all()
    expect(urgent).to_be_hidden()
    page.get_by_label("Cancer, now or in the past").check()
    expect(urgent).to_be_visible()
    page.get_by_label("Trouble controlling").check()
    expect(emergency).to_be_visible()
    expect(urgent).to_be_hidden()
    expect(emergency.get_by_role("link", name="Call 911")).to_have_attribute("href", "tel:911")
    either.says_who()
    either.sends()
    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()
    expect(page.get_by_role("alert").get_by_role("link", name="Call 911")).to_be_visible()
