"""Letters: they say what they should, the same in text and HTML, nothing of the visitor, and can be read anywhere."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from css_inline import CSSInliner
from jinja2 import Environment, UndefinedError, meta, nodes
from playwright.sync_api import Browser, ViewportSize

from booking import clinic
from booking.delivery import letters
from booking.delivery.letters import Letters, Written
from booking.worker.correspondence import Told

FOLDER = Path(clinic.__file__).parent.parent / "templates"
TEMPLATES = sorted(path for kind in ("email", "sms") for path in (FOLDER / kind).rglob("*.*"))
PHONE = ViewportSize(width=360, height=700)
SHOWN_IN = os.environ.get("LETTERS_SHOWN_IN")  # a folder outside the repository, to look at every letter

CLINIC = clinic.load()
VISIT = Told(
    service="Back and Neck Pain Care",
    practitioner="Dr. Juniper Tidewell",
    location="The beach office",
    address="7 Sample Street, Vilano Beach, FL 32084",
    phone="904-555-0177",
    when="Wednesday, September 30, 2026, 10:30 AM EDT",
    day="Wednesday, September 30",
    time="10:30 AM",
    reference="SV-3M8T-41",
    manage_url="https://book.serenoa-wellness.example.com/appointments/aB3_aB3_aB3_aB3_aB3_aB3_aB3_aB3_aB3_aB3_-yz",
    pending=False,
    change_until="Wednesday, September 30, 9:30 AM",
)
PENDING, LATE = replace(VISIT, pending=True), replace(VISIT, change_until="")
WORDS: dict[str, Any] = {
    "clinic": CLINIC,
    "base_url": "https://book.serenoa-wellness.example.com",
    "reference": "SV-7K4Q-92",
    "received": "Tuesday, September 22, 2026, 10:30 AM EDT",
    "urgent": False,
    "promise": "We are closed now. We will get in touch on Wednesday from 8:30 AM.",
    "visit": None,
}
SITUATIONS: dict[str, dict[str, Any]] = {
    f"{how}{', urgent' if urgent else ''}": WORDS | {"visit": visit, "urgent": urgent}
    for how, visit in (("no visit", None), ("visit", VISIT), ("pending", PENDING), ("late", LATE))
    for urgent in (False, True)
}
CALM_DIGEST: dict[str, Any] = {
    "clinic": CLINIC, "base_url": WORDS["base_url"], "day": "Wednesday, September 30", "new": 31, "urgent": 0,
    "held": 0, "overdue": 0, "incomplete": 0, "waiting": [], "failed": [], "held_messages": 0, "undrained": 0,
    "form": "The form was tested at 6:45 AM, and works.", "faults": [],
}  # fmt: skip
FULL_DIGEST = CALM_DIGEST | {
    "urgent": 17, "held": 19, "overdue": 23, "incomplete": 29, "held_messages": 37, "undrained": 41,
    "waiting": [
        {"reference": "SV-2222-22", "received": WORDS["received"], "urgent": True, "overdue": False},
        {"reference": "SV-3333-33", "received": WORDS["received"], "urgent": False, "overdue": True},
    ],
    "failed": [{"reference": "SV-4444-44", "why": "the mail server knows no such address"}],
    "faults": ["No worker has been running since 6:02 AM: run `booking serve` or `booking work`."],
}  # fmt: skip

APPOINTMENT_EVENTS = ("appointment_booked", "appointment_moved", "appointment_cancelled")
REMINDERS = ("reminder_day", "reminder_hours")
TO_VISITOR = ("lead_captured", *APPOINTMENT_EVENTS, *REMINDERS)
TO_DESK = ("lead_captured", "lead_urgent", *APPOINTMENT_EVENTS)
KINDS = [(event, "visitor") for event in TO_VISITOR] + [(event, "desk") for event in TO_DESK]
EVERY_LETTER = [
    *((event, audience, how) for event, audience in KINDS for how in SITUATIONS),
    *(("digest", "desk", how) for how in ("calm", "full")),
]
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

every_letter = pytest.mark.parametrize(("event", "audience", "how"), EVERY_LETTER)
every_text = pytest.mark.parametrize(("event", "how"), [(event, how) for event in TO_VISITOR for how in SITUATIONS])
every_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(FOLDER)))


@pytest.fixture(scope="module")
def writer() -> Letters:
    return Letters(FOLDER)


# ---------------------------------------------------------------- what every letter is


@every_letter
def test_a_letter_has_a_subject_of_one_short_line_and_two_bodies(
    writer: Letters, event: str, audience: str, how: str
) -> None:
    letter = writer.write(event, audience, words(how))
    assert re.fullmatch(r"\S.*\S", letter.subject)
    assert len(letter.subject) <= letters.LONGEST_SUBJECT
    assert not letter.subject.endswith("...")
    assert letter.text.endswith("\n")
    assert "\n\n\n" not in letter.text
    assert not re.search(r"[{}<>]|None$|\bundefined", letter.text.replace("Time booked: None", ""))


@every_letter
def test_the_text_says_all_that_the_html_says(writer: Letters, event: str, audience: str, how: str) -> None:
    letter = writer.write(event, audience, words(how))
    read, said = Reader.of(letter), " ".join(letter.text.split())
    assert [words for words in read.texts if words not in said] == []
    assert {link for link in read.links if not link.startswith("tel:")} == set(re.findall(r"https://\S+", said))
    assert all(CLINIC.phone in said for link in read.links if link.startswith("tel:"))


@every_letter
def test_styles_stand_in_the_elements_and_in_the_clinics_colours(
    writer: Letters, event: str, audience: str, how: str
) -> None:
    letter = writer.write(event, audience, words(how))
    styles = [style for _, _, style in Reader.of(letter).elements if style]
    assert len(styles) > 8
    found = set(re.findall(r"#\w+|var\(", " ".join(styles)))
    assert found
    assert found <= {getattr(CLINIC.light, name) for name in CLINIC.light.__slots__}
    assert "@media (prefers-color-scheme: dark)" in letter.html
    assert not re.search(r"<img|<link|<script|url\(|src=", letter.html)
    assert '<html lang="en">' in letter.html
    assert re.search(r"<title>[^<]+</title>", letter.html)


@every_letter
def test_styles_written_in_beforehand_are_those_that_a_look_at_the_whole_letter_gives(
    writer: Letters, event: str, audience: str, how: str
) -> None:
    letter = writer.write(event, audience, words(how))
    sheet = (FOLDER / letters.STYLES).read_text()
    sheet = re.sub(r"var\(--(\w+)\)", lambda colour: getattr(CLINIC.light, colour[1]), sheet)
    unstyled = re.sub(r'\sstyle="[^"]*"|<style>.*?</style>', "", letter.html, flags=re.DOTALL)
    whole = CSSInliner(extra_css=sheet).inline(unstyled)
    assert Reader.of(letter).elements == Reader.of(replace(letter, html=whole)).elements


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_letter_can_be_read_on_a_phone_by_everybody(browser: Browser, writer: Letters, scheme: Any) -> None:
    with browser.new_context(viewport=PHONE, color_scheme=scheme) as context:
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        for event, audience, how in EVERY_LETTER:
            page.set_content(writer.write(event, audience, words(how)).html)
            assert page.evaluate(SIDEWAYS) <= 0, f"{event} to {audience}, {how}, scrolls sideways"
            if not how.endswith(", urgent") or event == "lead_captured":
                found = Axe().run(page)
                assert found.violations_count == 0, found.generate_report()
            if SHOWN_IN:
                page.screenshot(path=Path(SHOWN_IN) / f"{event}-{audience}-{how}-{scheme}.png", full_page=True)
        assert asked == []


def test_what_belongs_to_the_clinic_is_escaped_in_html_and_nowhere_else(writer: Letters) -> None:
    odd = replace(CLINIC, name="Bone & <b>Back</b>")
    letter = writer.write("lead_captured", "visitor", WORDS | {"clinic": odd})
    assert "Bone &amp; &lt;b&gt;Back&lt;/b&gt;" in letter.html
    assert "<b>" not in letter.html
    assert "Bone & <b>Back</b>" in letter.text
    assert writer.text("lead_captured", WORDS | {"clinic": odd}).startswith("Bone & <b>Back</b>: ")


def test_a_word_that_is_missing_is_an_error_and_no_gap(writer: Letters) -> None:
    with pytest.raises(UndefinedError):
        writer.write("lead_captured", "visitor", {name: word for name, word in WORDS.items() if name != "promise"})


def test_a_subject_is_cut_before_it_breaks(tmp_path: Path) -> None:
    place = tmp_path / "email" / "long"
    place.mkdir(parents=True)
    (tmp_path / letters.STYLES).write_text("p { margin: 0 }")
    for kind in ("subject.txt", "txt", "html"):
        (place / f"desk.{kind}").write_text("{{ word }}\n" * 40)
    subject = Letters(tmp_path).write("long", "desk", {"word": "word"}).subject
    assert subject.endswith("word ...")
    assert len(subject) <= letters.LONGEST_SUBJECT


# ---------------------------------------------------------------- what must not be said


@every_template
def test_a_template_uses_only_words_that_are_ours(path: Path) -> None:
    parsed = Environment(autoescape=True).parse(path.read_text())
    allowed = set(CALM_DIGEST) if "digest" in path.parts else set(WORDS)
    frame = {"self"} | ({"clinic"} if path.name.startswith("_") else set())
    assert meta.find_undeclared_variables(parsed) <= allowed | frame
    facts = {"visit": set(Told.__dataclass_fields__), "each": {"reference", "received", "urgent", "overdue", "why"}}
    for owner, name in looked_up(parsed):
        assert name in facts.get(owner, {name})


@every_template
def test_a_template_raises_its_voice_nowhere(path: Path) -> None:
    assert "!" not in re.sub(r"<!doctype|!important|!=", "", path.read_text())
    assert not re.search(r"do not reply|noreply|no-reply", path.read_text(), re.IGNORECASE)


@pytest.mark.parametrize("how", SITUATIONS)
@pytest.mark.parametrize("event", TO_DESK)
def test_the_desk_is_told_when_and_with_whom_and_nothing_of_the_person(writer: Letters, event: str, how: str) -> None:
    given = words(how)
    visit = given["visit"]
    letter = writer.write(event, "desk", given)
    assert given["reference"] in letter.subject
    for part in bodies(letter):
        assert all(fact in part for fact in (given["reference"], given["received"], "Look it up under this reference."))
        assert not re.search(r"\d{3}-\d{3}-\d{4}|@[a-z]|tel:|mailto:|https?:|pain|care\b|doctor|medical", part.lower())
        secret = (VISIT.service, VISIT.location, VISIT.address, VISIT.manage_url, CLINIC.texts.urgent_advice)
        assert [word for word in secret if word in part] == []
        assert visit is None or all(fact in part for fact in (visit.day, visit.time, visit.practitioner))
        assert ("To be confirmed" in part) == bool(visit and visit.pending)
    if event != "lead_urgent":
        assert ("(urgent)" in letter.subject) == given["urgent"] == ("This one is urgent." in letter.text)


@every_letter
def test_a_subject_names_no_service_and_no_person(writer: Letters, event: str, audience: str, how: str) -> None:
    subject = writer.write(event, audience, words(how)).subject
    assert [word for word in (VISIT.service, VISIT.practitioner, CLINIC.name) if word in subject] == []


# ---------------------------------------------------------------- what the visitor is told


@pytest.mark.parametrize("how", SITUATIONS)
@pytest.mark.parametrize("event", TO_VISITOR)
def test_a_visitor_is_greeted_told_of_their_visit_and_whom_to_call(writer: Letters, event: str, how: str) -> None:
    given = words(how)
    visit = given["visit"]
    for part in bodies(writer.write(event, "visitor", given)):
        assert "Hello, " in part
        address = f"{CLINIC.address.street}, {CLINIC.address.city}"
        assert all(fact in part for fact in (CLINIC.name, address, CLINIC.phone, CLINIC.texts.emergency))
        if visit:
            facts = (visit.when, visit.service, visit.practitioner, visit.location, visit.address, visit.reference)
            assert all(fact in part for fact in (*facts, visit.phone))
            assert ("To be confirmed" in part) == visit.pending
            assert (visit.manage_url in part) == (event != "appointment_cancelled")
            assert "booked" not in part or not visit.pending
        assert ("yours alone" in part) or not visit or event == "appointment_cancelled"


@pytest.mark.parametrize("how", SITUATIONS)
def test_a_new_enquiry_is_answered_with_the_visit_first_and_the_advice_where_it_is_urgent(
    writer: Letters, how: str
) -> None:
    given = words(how)
    visit, promise, advice = given["visit"], given["promise"], CLINIC.texts.urgent_advice
    for part in bodies(writer.write("lead_captured", "visitor", given)):
        assert CLINIC.received_sentence in part.split("Hello,", maxsplit=1)[0]
        assert (advice in part) == given["urgent"]
        assert ("attached invitation" in part) == (visit is not None)
        assert given["reference"] in part
        assert (promise in part) == (visit is None or visit.pending or given["urgent"])
        if visit:
            assert part.index(visit.when) < part.index(given["reference"])
            assert (f"until {visit.change_until}" in part) if visit.change_until else ("too late" in part)


def test_a_letter_of_a_change_says_how_it_stands_now_and_renews_the_link(writer: Letters) -> None:
    for part in bodies(writer.write("appointment_moved", "visitor", words("visit"))):
        assert all(
            word in part for word in (VISIT.when, "takes the place of the one you had before", "attached update")
        )


def test_a_letter_of_a_cancellation_leads_to_another_time_and_not_to_the_old_one(writer: Letters) -> None:
    letter = writer.write("appointment_cancelled", "visitor", words("visit"))
    assert WORDS["base_url"] in Reader.of(letter).links
    assert "out of your calendar" in letter.text


@pytest.mark.parametrize("event", REMINDERS)
def test_a_reminder_asks_for_a_yes_and_offers_what_can_still_be_done(writer: Letters, event: str) -> None:
    def asked(how: str) -> tuple[list[str], bool]:
        letter = writer.write(event, "visitor", words(how))
        assert ("opens a page, and nothing happens until" in letter.text) == (how != "no visit")
        return [link for link in Reader.of(letter).links if "://" in link], "Confirm that I will come" in letter.text

    url = VISIT.manage_url
    assert asked("visit") == ([url, f"{url}#move", f"{url}#cancel"], True)
    assert asked("pending") == ([url, f"{url}#move", f"{url}#cancel"], False)
    assert asked("late") == ([url], True)
    assert asked("no visit") == ([], False)


def test_the_digest_tells_every_number_and_whom_to_call(writer: Letters) -> None:
    facts = ["31", "17", "19", "23", "29", "37", "41", "SV-2222-22, urgent", "SV-3333-33, overdue", "SV-4444-44"]
    facts += [FULL_DIGEST["failed"][0]["why"], FULL_DIGEST["form"], *FULL_DIGEST["faults"]]
    for part in bodies(writer.write("digest", "desk", FULL_DIGEST)):
        assert [fact for fact in facts if fact not in part] == []
    calm = writer.write("digest", "desk", CALM_DIGEST).text
    assert "Nobody is waiting for an answer." in calm
    assert "call instead" not in calm


# ---------------------------------------------------------------- texts


@every_text
def test_a_text_is_short_says_who_writes_has_a_link_and_can_be_stopped(writer: Letters, event: str, how: str) -> None:
    given = words(how)
    visit = given["visit"]
    text = writer.text(event, given)
    assert len(text) < 300
    assert text.startswith(f"{CLINIC.name}: ")
    assert text.endswith(" Reply STOP to end texts.")
    link = given["base_url"] if visit is None or event == "appointment_cancelled" else visit.manage_url
    assert f" {link} " in text
    assert text.count("https://") == 1
    # Anything else makes the phone companies count 70 characters to a part, and not 160.
    assert re.fullmatch(r"[A-Za-z0-9 .,:/()'_-]+", text)


@every_text
def test_a_text_says_when_and_where_and_not_for_what(writer: Letters, event: str, how: str) -> None:
    given = words(how)
    visit = given["visit"]
    text = writer.text(event, given)
    assert VISIT.service not in text
    assert VISIT.practitioner not in text
    if visit:
        assert f"{visit.day}, {visit.time}" in text
        assert ("to be confirmed" in text) == (visit.pending and event != "appointment_cancelled")
        assert "booked" not in text or not visit.pending
        assert visit.change_until or "move or cancel" not in text


# ---------------------------------------------------------------- how they look


class Reader(HTMLParser):
    """What somebody sees of a letter: its texts and links; and each element with its classes and style."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, str, str]] = []
        self._hidden = True

    @classmethod
    def of(cls, letter: Written) -> "Reader":
        reader = cls()
        reader.feed(letter.html)
        return reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag != "style":
            self.elements.append((tag, found.get("class", ""), found.get("style", "")))
        if tag == "a":
            self.links.append(found["href"])
        self._hidden = tag in {"head", "title", "style"} or found.get("class") == "preheader" or self._hidden

    def handle_endtag(self, tag: str) -> None:
        # The preheader is the first of the body, and has no element within it.
        self._hidden = self._hidden and tag != "div"

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.texts.append(" ".join(data.split()))


def bodies(letter: Written) -> Iterator[str]:
    """The text, and what can be read of the HTML with its links, each as one line."""
    yield " ".join(letter.text.split())
    read = Reader.of(letter)
    yield re.sub(r" (?=[,.])", "", " ".join([*read.texts, *read.links]))


def words(how: str) -> dict[str, Any]:
    return SITUATIONS.get(how) or {"calm": CALM_DIGEST, "full": FULL_DIGEST}[how]


def looked_up(template: nodes.Template) -> Iterator[tuple[str, str]]:
    """Each `visit.service` of a template, as two names."""
    for found in template.find_all(nodes.Getattr):
        if isinstance(found.node, nodes.Name):
            yield found.node.name, found.attr
