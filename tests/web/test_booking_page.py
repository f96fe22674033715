"""Booking as a visitor meets it: choose, lose and choose again, move, cancel; with a script and without."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import select, text

from booking import clinic
from booking.clinic import WorkingHours
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.models import Appointment, Lead
from booking.web.representations import FAILED, RECEIVED
from tests.service import Serving
from tests.web.guest import ADJUSTMENT, PHONE_SIZE, Guest, book, later_day, path_of, rearrange

JUNIPER = "dr-juniper-tidewell"
one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def server(serving: Callable[..., Serving], catalog: Catalog) -> Serving:
    return serving()


@pytest.fixture(params=["script", "no script"])
def guest(request: pytest.FixtureRequest, browser: Browser, server: Serving) -> Iterator[Guest]:
    """Somebody on a phone, once with JavaScript and once without."""
    scripted = request.param == "script"
    with browser.new_context(viewport=PHONE_SIZE, java_script_enabled=scripted) as context:
        yield Guest(context.new_page(), server, scripted)


@pytest.fixture
def scripted(page: Page, server: Serving) -> Guest:
    """Somebody with a script alone."""
    page.set_viewport_size(PHONE_SIZE)
    return Guest(page, server)


def booked(database: Database) -> list[str]:
    """The starts of what is booked, in clinic time."""
    with database.reading() as db:
        live = select(Appointment).where(Appointment.status == "booked").order_by(Appointment.id)
        return [row.wall_start for row in db.scalars(live)]


def wall(value: str) -> str:
    return value[:16]


# ---------------------------------------------------------------- choosing


def test_a_visitor_books_in_three_taps_and_a_few_words(guest: Guest, database: Database) -> None:
    page = guest.opens().page
    guest.asks_for(ADJUSTMENT)  # a tap, and another one for the day
    value = guest.takes(guest.times.last)
    guest.says_who()
    guest.sends()

    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()
    assert booked(database) == [wall(value)]
    facts = page.locator(".facts")
    for words in ("12 Example Lane", ADJUSTMENT, "Dr. ", str(int(value[8:10])), " E"):
        expect(facts).to_contain_text(words)
    assert page.request.get(page.get_by_role("link", name="Add to calendar").evaluate("link => link.href")).ok
    assert "google.com/maps" in (page.get_by_role("link", name="Directions").get_attribute("href") or "")
    assert "Ada" not in page.content()

    page.get_by_role("link", name="move or cancel").click()
    expect(page.get_by_role("heading", name="Your appointment")).to_be_visible()


@one_engine
def test_the_next_free_time_is_one_tap_away(guest: Guest) -> None:
    guest.opens().asks_for(ADJUSTMENT)
    guest.page.get_by_text("Next free:").first.click()
    expect(guest.page.locator(".panel input[name=starts_at]").first).to_be_checked()


@one_engine
def test_weeks_are_turned_and_the_chosen_time_comes_along(guest: Guest, database: Database) -> None:
    guest.opens().asks_for(ADJUSTMENT)
    value = guest.takes(guest.times.first)
    span = guest.page.locator("[data-part=span]")
    shown = span.inner_text()
    guest.page.get_by_role("button", name="Later").click()
    expect(span).not_to_have_text(shown)
    guest.sees_times()
    guest.says_who()
    guest.sends()

    expect(guest.page.get_by_role("heading", name=RECEIVED)).to_be_visible()
    assert booked(database) == [wall(value)]


@one_engine
def test_a_person_can_be_chosen_and_only_those_who_give_the_service(guest: Guest, database: Database) -> None:
    page = guest.opens().page
    guest.asks_for(ADJUSTMENT)
    expect(page.get_by_role("radio", name="Wren Palmetto")).to_be_hidden()
    page.get_by_role("radio", name="Dr. Sol Marshgrove").check()
    if not guest.scripted:
        page.get_by_role("button", name="Show times for another choice").click()
    guest.sees_times()
    guest.takes(guest.times.last)
    guest.says_who()
    guest.sends()

    expect(page.locator(".facts")).to_contain_text("Dr. Sol Marshgrove")


@one_engine
def test_a_link_to_a_service_shows_its_times_at_once(guest: Guest, database: Database) -> None:
    page = guest.opens("/?service=chiropractic-adjustment").page
    expect(guest.times.first).to_be_visible()
    page.get_by_role("button", name="Later").click()
    expect(page.locator("label.next-free")).to_contain_text("First free:")
    value = guest.takes(guest.times.first)
    guest.says_who()
    guest.sends()

    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()
    assert booked(database) == [wall(value)]


@one_engine
def test_without_a_time_it_is_a_request_as_before(guest: Guest, database: Database) -> None:
    page = guest.opens().page
    guest.asks_for(ADJUSTMENT)
    guest.takes(guest.times.first)
    page.get_by_label("Leave the time open").check()
    page.get_by_label("When could you come?").fill("Tuesdays")
    guest.says_who()
    guest.sends()

    expect(page.get_by_role("heading", name="What happens next")).to_be_visible()
    assert booked(database) == []


@one_engine
def test_for_some_services_a_time_is_agreed_on_by_phone(guest: Guest) -> None:
    page = guest.opens().page
    page.get_by_role("radio", name="Aesthetics").check()
    expect(page.get_by_text("We agree on a time for this by phone")).to_be_visible()
    guest.says_who()
    guest.sends()
    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()


@one_engine
def test_who_was_here_before_is_not_offered_a_first_visit_and_nobody_is_kept_from_asking(guest: Guest) -> None:
    page = guest.opens().page
    first_visit = page.get_by_role("radio", name="First Visit")
    expect(first_visit).to_be_visible()
    page.get_by_label("No", exact=True).check()
    expect(first_visit).to_be_hidden()
    page.get_by_label("Yes", exact=True).check()
    guest.asks_for("First Visit")
    expect(guest.times.first).to_be_visible()


# ---------------------------------------------------------------- somebody else was quicker


def test_a_time_that_was_taken_is_made_up_for_with_everything_typed_still_there(
    guest: Guest, database: Database
) -> None:
    page = guest.opens().page
    page.route("**/api/v1/holds", lambda route: route.abort())  # nothing keeps the time
    page.get_by_label("Yes", exact=True).check()
    guest.asks_for(ADJUSTMENT)
    value = guest.takes(guest.times.nth(1))
    take_from_all(guest.server, value)
    guest.says_who("Ada <b>Example</b>")
    page.get_by_label("Your message").fill('Two "lines"\nof text')
    guest.sends()

    summary = page.locator("#error-summary")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text(FAILED)
    expect(summary).to_contain_text("Somebody has just taken this time")
    assert page.get_by_label("Name").input_value() == "Ada <b>Example</b>"
    assert page.get_by_label("Your message").input_value() == 'Two "lines"\nof text'
    assert page.get_by_label("Yes", exact=True).is_checked()
    assert page.get_by_role("radio", name=ADJUSTMENT).is_checked()
    assert value not in page.locator(".panel input:enabled").evaluate_all("all => all.map(each => each.value)")

    before = booked(database)
    summary.locator(".nearest button").first.click()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()
    assert len(booked(database)) == len(before) + 1
    with database.reading() as db:
        assert len(db.scalars(select(Lead).where(Lead.email == "ada@example.com")).all()) == 1


def take_from_all(server: Serving, value: str) -> None:
    """Book a time as often as it can be had."""
    with pytest.raises(HTTPError, match="409"):
        for _ in range(5):
            book(server, value)


@one_engine
def test_an_alternative_with_somebody_else_says_so_and_is_booked_with_them(guest: Guest, database: Database) -> None:
    """Dr. Tidewell has one single time, and somebody takes it."""
    day = date.today() + timedelta(days=3)  # noqa: DTZ011  a day of the clinic more or less does not matter
    hours = (WorkingHours("st-augustine", day.weekday(), 540, 585, day, day),)
    people = [replace(who, hours=hours) if who.slug == JUNIPER else who for who in clinic.load().catalog.practitioners]
    rearrange(database, practitioners=tuple(people))
    page = guest.opens().page
    page.route("**/api/v1/holds", lambda route: route.abort())
    guest.asks_for("Posture and Movement")
    page.get_by_role("radio", name="Dr. Juniper Tidewell").check()
    if not guest.scripted:
        page.get_by_role("button", name="Show times for another choice").click()
    expect(guest.times).to_have_count(1)
    value = guest.takes(guest.times.first)
    book(guest.server, value, service="Posture and Movement", practitioner=JUNIPER)
    guest.says_who()
    guest.sends()

    page.locator("#error-summary").get_by_role("button", name="with Wren Palmetto").first.click()
    if not guest.scripted:  # a button can carry one field alone: the page comes with both, to be sent
        expect(page.locator("#chosen")).to_contain_text("with Wren Palmetto")
        guest.sends()
    expect(page.locator(".facts")).to_contain_text("Wren Palmetto")


@one_engine
def test_a_time_that_goes_while_it_is_being_chosen_is_made_up_for_at_once(scripted: Guest, database: Database) -> None:
    page = scripted.opens().page
    scripted.asks_for(ADJUSTMENT)
    time = scripted.times.nth(1)
    take_from_all(scripted.server, time.get_attribute("value") or "")
    lost = scripted.takes(time)

    box = page.locator("#chosen")
    expect(box).to_contain_text("No longer free")
    expect(time).not_to_be_checked()
    box.locator(".nearest button").first.click()
    expect(box).to_contain_text("Kept for you for 10 minutes")
    scripted.says_who()
    scripted.sends()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()
    assert wall(lost) not in booked(database)[-1:]


@one_engine
def test_a_hold_whose_answer_was_lost_keeps_nobody_from_their_own_time(scripted: Guest) -> None:
    page = scripted.opens().page
    answers: list[int] = []

    def lose_the_first(route: Route) -> None:
        answer = route.fetch()
        answers.append(answer.status)
        if len(answers) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    page.route("**/api/v1/holds", lose_the_first)
    scripted.asks_for(ADJUSTMENT)
    scripted.takes(scripted.times.first)
    expect(page.locator("#chosen")).to_contain_text("Kept for you for 10 minutes")
    assert answers == [201, 201]
    scripted.says_who()
    scripted.sends()
    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()


# ---------------------------------------------------------------- the visitor's own appointment


@one_engine
def test_an_appointment_is_moved_and_its_old_link_is_of_no_use(guest: Guest, database: Database) -> None:
    mine = book(guest.server, later_day(guest.server)[0])
    page = guest.opens(path_of(mine)).page
    page.locator("#move summary").click()
    guest.opens_last_day()
    value = guest.takes(guest.times.first)
    page.get_by_role("button", name="Move it to the chosen time").click()

    expect(page.get_by_role("heading", name="has been moved")).to_be_visible()
    assert booked(database) == [wall(value)]
    guest.opens(path_of(mine))
    expect(page.get_by_text("There is no appointment behind this link")).to_be_visible()


@one_engine
def test_a_time_that_goes_while_moving_leaves_the_appointment_as_it_is(guest: Guest, database: Database) -> None:
    free = later_day(guest.server)
    page = guest.opens(path_of(book(guest.server, free[0]))).page
    page.locator("#move summary").click()
    page.get_by_role("link", name="Later").click()
    value = guest.takes(guest.times.first)
    book(guest.server, value, practitioner=JUNIPER)
    page.get_by_role("button", name="Move it to the chosen time").click()

    expect(page.get_by_role("alert")).to_contain_text("Your appointment is unchanged")
    assert booked(database) == [wall(free[0]), wall(value)]
    page.get_by_role("alert").locator(".nearest button").first.click()
    expect(page.get_by_role("heading", name="has been moved")).to_be_visible()


@one_engine
def test_an_appointment_is_cancelled_after_a_second_look(guest: Guest, database: Database) -> None:
    page = guest.opens(path_of(book(guest.server, later_day(guest.server)[0]))).page
    expect(page.get_by_role("button", name="Yes, cancel")).to_be_hidden()
    page.locator("#cancel summary").click()
    page.get_by_label("Would you like to tell us why?").fill("I have a cold")
    page.get_by_role("button", name="Yes, cancel this appointment").click()

    expect(page.get_by_role("heading", name="This appointment is cancelled")).to_be_visible()
    assert booked(database) == []
    page.get_by_role("link", name="Book another appointment").click()
    expect(page.get_by_role("radio", name=ADJUSTMENT)).to_be_checked()
    expect(guest.times.first).to_be_visible()


@one_engine
def test_when_it_is_too_late_the_page_gives_the_phone(guest: Guest, database: Database) -> None:
    mine = book(guest.server, later_day(guest.server)[0])
    with database.transaction() as db:
        db.execute(text("UPDATE service SET cutoff_minutes = 99999"))
        db.execute(text("UPDATE catalog_state SET version = version + 1"))
    page = guest.opens(path_of(mine)).page
    expect(page.get_by_text("It is too late to change this appointment here")).to_be_visible()
    expect(page.locator("#move, #cancel")).to_have_count(0)
    expect(page.get_by_role("main").get_by_role("link", name="Call 904-555-0134")).to_be_visible()


# ---------------------------------------------------------------- by keyboard


@one_engine
def test_all_of_it_works_by_keyboard(guest: Guest, database: Database) -> None:
    page = guest.opens().page
    tab_to(page, "[name=service]")
    for _ in range(9):  # past the last one it begins again
        if page.evaluate("document.activeElement.value") == "massage-therapy":
            break
        page.keyboard.press("ArrowDown")
    if not guest.scripted:
        tab_to(page, "[data-part=show]")
        page.keyboard.press("Enter")
    guest.sees_times()
    tab_to(page, "[name=day]")
    page.keyboard.press("ArrowRight")
    tab_to(page, ".panel [name=starts_at]")
    page.keyboard.press("Space")
    value = page.evaluate("document.activeElement.value")
    tab_to(page, "#email")
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Your appointment is booked.")).to_be_visible()
    assert booked(database) == [wall(value)]


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until something is reached."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is out of reach")
