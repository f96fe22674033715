"""The page as a visitor meets it: real Chromium, with and without JavaScript, on a phone and on a desk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect
from sqlalchemy import select

from booking.database import Database
from booking.domain.screening import Signals
from booking.models import Lead
from booking.web.representations import FAILED, RECEIVED
from tests.service import Serving
from tests.web.guest import EVERY_CONTROL_HAS_A_LABEL, PHONE_SIZE, Guest

LARGEST = 60_000  # bytes on the way, with what shows times, which comes when the form is in view


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """One engine is enough here: what differs between them is shown below the doors."""
    copy = tmp_path / "booking.db"
    copy.write_bytes(migrated_sqlite.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def server(serving: Callable[..., Serving]) -> Serving:
    return serving()


@pytest.fixture(params=["script", "no script"])
def visitor(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """Somebody on a phone, once with JavaScript and once without."""
    with browser.new_context(viewport=PHONE_SIZE, java_script_enabled=request.param == "script") as context:
        yield context.new_page()


def leads(database: Database) -> list[Lead]:
    with database.reading() as db:
        return list(db.scalars(select(Lead).order_by(Lead.id)))


def send(page: Page) -> None:
    page.get_by_role("button", name="Send my request").click()


def test_a_visitor_on_a_phone_sends_the_form_and_reads_the_thanks(
    visitor: Page, server: Serving, database: Database
) -> None:
    visitor.goto(server.url)
    visitor.get_by_label("Name").fill("Ada Example")
    visitor.get_by_label("E-mail", exact=True).fill("ada@example.com")
    visitor.get_by_label("Your message").fill("My back hurts.\nSince Monday.")
    visitor.get_by_label("Call me").check()
    visitor.get_by_label("may use what I wrote").check()
    send(visitor)

    expect(visitor.get_by_role("heading", name=RECEIVED)).to_be_visible()
    (lead,) = leads(database)
    expect(visitor.get_by_text(lead.reference)).to_be_visible()
    assert (lead.name, lead.email, lead.contact_preference) == ("Ada Example", "ada@example.com", "phone")
    assert "Ada" not in visitor.content()


def test_a_refused_form_keeps_every_keystroke_and_its_summary_takes_the_focus(
    visitor: Page, server: Serving, database: Database
) -> None:
    visitor.goto(server.url)
    visitor.get_by_label("Name").fill("Ada <b>Example</b>")
    visitor.get_by_label("E-mail", exact=True).fill("not an address")
    visitor.get_by_label("Your message").fill('Two "lines"\nof text & more')
    visitor.get_by_label("Yes").check()
    visitor.get_by_label("may use what I wrote").check()
    send(visitor)

    summary = visitor.locator("#error-summary")
    expect(summary).to_contain_text(FAILED)
    expect(summary).to_contain_text("904-555-0134")
    expect(summary).to_be_focused()
    expect(visitor.locator("#email-error")).to_contain_text("does not look right")
    assert visitor.get_by_label("Name").input_value() == "Ada <b>Example</b>"
    assert visitor.get_by_label("E-mail", exact=True).input_value() == "not an address"
    assert visitor.get_by_label("Your message").input_value() == 'Two "lines"\nof text & more'
    assert visitor.get_by_label("Yes").is_checked()
    assert visitor.get_by_label("may use what I wrote").is_checked()
    assert [lead.incomplete for lead in leads(database)] == [True]

    visitor.get_by_label("E-mail", exact=True).fill("ada@example.com")
    send(visitor)
    expect(visitor.get_by_role("heading", name=RECEIVED)).to_be_visible()
    assert [(lead.incomplete, lead.email) for lead in leads(database)] == [(False, "ada@example.com")]


def test_a_slip_in_the_address_is_stored_and_gently_asked_about(
    visitor: Page, server: Serving, database: Database
) -> None:
    visitor.goto(server.url)
    visitor.get_by_label("Name").fill("Ada")
    visitor.get_by_label("E-mail", exact=True).fill("ada@gmial.com")
    send(visitor)

    expect(visitor.get_by_role("heading", name=RECEIVED)).to_be_visible()
    assert "check=email" in visitor.url
    assert [lead.email for lead in leads(database)] == ["ada@gmial.com"]


def test_the_suggested_address_is_one_tap_away(page: Page, server: Serving) -> None:
    page.goto(server.url)
    page.get_by_label("E-mail", exact=True).fill("ada@gmial.com")
    page.get_by_label("Phone", exact=True).focus()
    page.get_by_role("button", name="ada@gmail.com").click()

    assert page.get_by_label("E-mail", exact=True).input_value() == "ada@gmail.com"


@pytest.mark.parametrize("fate", ["aborted", "500"])
def test_when_the_post_fails_the_page_says_so_and_keeps_everything(page: Page, server: Serving, fate: str) -> None:
    def fail(route: Route) -> None:
        route.abort() if fate == "aborted" else route.fulfill(status=500, body="no")

    page.goto(server.url)
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail", exact=True).fill("ada@example.com")
    page.route("**/leads", fail)
    send(page)

    expect(page.locator("#error-summary")).to_contain_text(FAILED)
    expect(page.locator("#error-summary")).to_contain_text("904-555-0134")
    assert page.get_by_label("Name").input_value() == "Ada"
    expect(page.get_by_role("button", name="Send my request")).to_be_enabled()

    page.unroute("**/leads")
    send(page)
    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()


def test_a_double_click_is_one_lead(page: Page, server: Serving, database: Database) -> None:
    page.goto(server.url)
    page.get_by_label("E-mail", exact=True).fill("ada@example.com")
    page.get_by_role("button", name="Send my request").dblclick()

    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()
    assert len(leads(database)) == 1


def test_nobody_reaches_the_honeypot_by_keyboard_and_an_honest_post_is_not_held(
    page: Page, server: Serving, database: Database
) -> None:
    page.goto(server.url)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || ''"))
    assert "email" in reached
    assert "contact_me_by_fax" not in reached

    page.get_by_label("E-mail", exact=True).fill("ada@example.com")
    send(page)
    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()
    (lead,) = leads(database)
    assert Signals(**lead.signals).origin == "same"
    assert not lead.held


def test_the_form_is_sent_by_keyboard_alone(page: Page, server: Serving) -> None:
    page.goto(server.url)
    page.get_by_label("E-mail", exact=True).focus()
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()


def test_every_state_passes_both_accessibility_checks(page: Page, server: Serving) -> None:
    guest = Guest(page, server).opens()
    guest.inspects()
    page.get_by_label("Name").fill("Ada")
    send(page)
    expect(page.locator("#error-summary")).to_be_visible()
    guest.inspects()
    page.get_by_label("E-mail", exact=True).fill("ada@example.com")
    send(page)
    expect(page.get_by_role("heading", name=RECEIVED)).to_be_visible()
    guest.inspects()
    page.goto(f"{server.url}/nothing-here")
    guest.inspects()


def test_the_label_check_finds_a_control_without_a_label(page: Page) -> None:
    page.set_content('<label for="a">A</label><input id="a" name="a"><input name="b" placeholder="B">')
    assert page.evaluate(EVERY_CONTROL_HAS_A_LABEL) == ["b"]


def test_the_page_is_light_and_asks_nobody_else(page: Page, server: Serving) -> None:
    asked: list[Request] = []
    complaints: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request))  # noqa: PLW0108  # a bound built-in cannot be one
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(server.url)
    with page.expect_response("**/week.js"):
        page.locator("#lead-form").scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")

    come = {urlsplit(request.url).path.rsplit("/", 1)[-1]: weight(request) for request in asked}
    assert {"", "site.css", "form.js", "times.js", "week.js"} <= come.keys()
    assert sum(come.values()) < LARGEST, come
    assert all(request.url.startswith((server.url, "data:")) for request in asked)
    assert complaints == []


def weight(request: Request) -> int:
    return 0 if request.url.startswith("data:") else request.sizes()["responseBodySize"]


def test_nothing_jumps_while_the_page_loads(page: Page, server: Serving) -> None:
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(e => { window.shift += e.value }))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    page.goto(server.url)
    page.wait_for_load_state("networkidle")

    assert page.evaluate("window.shift") < 0.01
