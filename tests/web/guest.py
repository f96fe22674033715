"""A visitor with a browser: asks for times, takes one, says who they are, sends, and is looked after while at it."""

import itertools
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

from booking import clinic
from booking.database import Database
from booking.operations import catalog_loading
from tests.service import Serving

PHONE_SIZE = ViewportSize(width=360, height=800)
NARROW = ViewportSize(width=320, height=700)
DESK = ViewportSize(width=1280, height=900)
# Colours are slow to check, and what the style sheet says of narrow screens is not about colours.
ALL_RULES: dict[str, Any] = {"resultTypes": ["violations"]}
SEEN_AT_360: dict[str, Any] = ALL_RULES | {"rules": {"color-contrast": {"enabled": False}}}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ADJUSTMENT = "Chiropractic Adjustment"
SLUGS = {ADJUSTMENT: "chiropractic-adjustment", "Posture and Movement": "posture-and-movement"}

EVERY_CONTROL_HAS_A_LABEL = """
[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
  .filter(control => ![...control.labels].some(label => label.textContent.trim()))
  .map(control => control.name)
"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The label around a radio button is its target, and as high as a finger needs it where it is a time.
SMALL_TARGETS = """
[...document.querySelectorAll('.button, button, summary, .field > input, .pill, .choice, .option, .day, .time')]
  .filter(target => target.checkVisibility({visibilityProperty: true}) && !target.closest('.off-screen, .loading'))
  .map(target => [target.className, target.getBoundingClientRect(), target.matches('.time, .day') ? 44 : 24])
  .filter(([, box, least]) => box.height < least || box.width < Math.min(least, 40)).map(([name]) => name)
"""

others = itertools.count(1)


@dataclass
class Guest:
    """Somebody at the page; `scripted` says whether their browser runs JavaScript."""

    page: Page
    server: Serving
    scripted: bool = True

    def opens(self, path: str = "/") -> "Guest":
        """Go to a page of the service."""
        self.page.goto(f"{self.server.url}{path}")
        return self

    def asks_for(self, service: str) -> None:
        """Choose a service, and see the times of the last free day."""
        self.page.get_by_role("radio", name=service).check()
        if not self.scripted:
            self.page.get_by_role("button", name="Show free times").click()
        self.sees_times()
        self.opens_last_day()

    def opens_last_day(self) -> None:
        """See the times of the last free day: the first ones may just become too soon."""
        self.page.locator("[name=day]:enabled + .day").last.click()

    def sees_times(self) -> None:
        """Wait until a week is there, and no longer loading; before its style sheet is, all days are seen at once."""
        expect(self.page.locator(".week:not(.loading) .day + .panel .time").first).to_be_attached()
        self.page.wait_for_load_state()

    @property
    def times(self) -> Locator:
        """The times of the day that is open."""
        return self.page.locator(".panel .time:not(.spare, .more):visible input:enabled")

    @property
    def days(self) -> Locator:
        """The days on which something is free."""
        return self.page.locator("[name=day]:enabled")

    def takes(self, time: Locator) -> str:
        """Choose a time; its value."""
        value = time.get_attribute("value") or ""
        time.check()
        return value

    def says_who(self, name: str = "Ada Example", email: str = "ada@example.com") -> None:
        """Fill in who one is."""
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("E-mail", exact=True).fill(email)

    def sends(self) -> None:
        """Send the form."""
        self.page.locator("#send").click()

    def inspects(self) -> None:
        """On any screen: no finding of axe, a label for every control, no sideways scroll, no target too small."""
        usual = self.page.viewport_size
        for size, scheme in itertools.product((NARROW, PHONE_SIZE, DESK), SCHEMES):
            self.page.set_viewport_size(size)
            self.page.emulate_media(color_scheme=scheme)
            found = Axe().run(self.page, options=SEEN_AT_360 if size == NARROW else ALL_RULES)
            assert found.violations_count == 0, (size, scheme, found.generate_report())
            assert self.page.evaluate(EVERY_CONTROL_HAS_A_LABEL) == [], (size, scheme)
            assert self.page.evaluate(SIDEWAYS) <= 0, (size, scheme)
            assert self.page.evaluate(SMALL_TARGETS) == [], (size, scheme)
        self.page.set_viewport_size(usual or PHONE_SIZE)


def ask(server: Serving, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Ask the API, as somebody else would at the same time."""
    data = json.dumps(body).encode() if body is not None else None
    kind = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(f"{server.url}{path}", data, kind)  # noqa: S310  the server of this test
    with urllib.request.urlopen(request) as answer:  # noqa: S310  the same
        return json.load(answer)


def book(server: Serving, starts_at: str, service: str = ADJUSTMENT, **fields: str) -> Any:
    """Somebody else books a time: what they are told of their appointment."""
    who = {"name": "Ben", "email": f"ben{next(others)}@example.com"}
    wish = {"service": SLUGS[service], "starts_at": starts_at} | fields
    return ask(server, "/api/v1/leads", who | wish)["appointment"]


def later_day(server: Serving, service: str = ADJUSTMENT, practitioner: str = "dr-juniper-tidewell") -> list[str]:
    """The free times of one person on a day in the next week but one, when nothing is too soon or too late."""
    first = date.today() + timedelta(days=8)  # noqa: DTZ011  a day of the clinic more or less does not matter
    query = f"service={SLUGS[service]}&practitioner={practitioner}&from={first}&days=14"
    found = [slot["starts_at"] for slot in ask(server, f"/api/v1/slots?{query}")["slots"]]
    return [start for start in found if start[:10] == found[0][:10]]


def path_of(appointment: Mapping[str, str]) -> str:
    """The path of an appointment's own page."""
    return "/appointments/" + appointment["manage_url"].rpartition("/")[2]


def rearrange(database: Database, **parts: Any) -> None:
    """Load the demonstration clinic with other parts, and without days on which it is closed."""
    usual = clinic.load().catalog
    always_open = tuple(replace(each, holidays=()) for each in usual.locations)
    wanted = replace(usual, **({"locations": always_open, "closures": ()} | parts))
    with database.transaction() as db:
        catalog_loading.load(db, wanted, now=datetime.now(UTC))
