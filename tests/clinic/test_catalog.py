"""What can be booked, as the clinic's file says it: good files of every shape, and all nonsense with its line."""

from datetime import date
from pathlib import Path

from booking import clinic
from booking.clinic import ExtraHours, Offer, WorkingHours
from tests.clinic.conftest import DEMO, Write, line_with, problems_of, without_lines

BEACH = """
[[locations]]
slug = "beach"
name = "Beach House"
timezone = "America/Chicago"
street = "1 Example Boardwalk"
city = "Panama City Beach"
region = "FL"
postal_code = "32413"
phone = "904-555-0177"

# ---- What."""
AT_BEACH = ("# ---- What.", BEACH)
ROOMS_AT_HOME = (
    ('name = "Room 1"\n', 'name = "Room 1"\nlocation = "st-augustine"\n'),
    ('name = "Room 2"\n', 'name = "Room 2"\nlocation = "st-augustine"\n'),
    ('name = "The quiet room"\n', 'name = "The quiet room"\nlocation = "st-augustine"\n'),
)  # fmt: skip
JUNIPER = 'title = "Chiropractor"\n'
WREN = """services = [
    "massage-therapy",
    "posture-and-movement",
    "aesthetics",
]
"""
TWO_HOUSES = (
    AT_BEACH,
    *ROOMS_AT_HOME,
    (JUNIPER, f'{JUNIPER}locations = ["st-augustine"]\n'),
    ('functional wellness"\n', 'functional wellness"\nlocations = ["st-augustine"]\n'),
    (WREN, f'{WREN}locations = ["st-augustine"]\n'),
)
"""The demonstration clinic with a second location at which nobody works yet."""


# ---------------------------------------------------------------- good files


def test_what_may_be_left_out_has_a_sensible_value(write: Write) -> None:
    *_, posture, _ = clinic.load(write(("needs = [", "# "), ("needs = [", "needs = []  # "))).catalog.services
    assert (posture.buffer_before_minutes, posture.buffer_after_minutes, posture.step_minutes) == (0, 0, 15)
    assert (posture.notice_minutes, posture.horizon_days, posture.cutoff_minutes) == (120, 60, 60)
    assert (posture.daily_cap, posture.audience) == (None, "anyone")


def test_a_clinic_where_nothing_can_be_booked_yet_has_a_page_all_the_same(tmp_path: Path) -> None:
    before, _, rest = DEMO.partition("# ---- Where.")
    what = rest[rest.index("# ---- What.") : rest.index("# ---- With which")]
    path = tmp_path / "clinic.toml"
    path.write_text(before + what.replace("needs = [", "# ") + rest[rest.index("[texts]") :], encoding="utf-8")
    loaded = clinic.load(path)
    assert loaded.catalog.practitioners == ()
    assert len(loaded.services) == 7


def test_a_hidden_service_is_not_on_the_page(write: Write) -> None:
    hidden = clinic.load(write(('bookable = "call"', 'bookable = "hidden"')))
    assert "functional-wellness" not in {service.slug for service in hidden.services}
    assert "functional-wellness" in {service.slug for service in hidden.catalog.services}


def test_who_works_at_two_places_says_where_when(write: Write) -> None:
    hours = """hours = [
    "Mon-Thu 08:00-12:00, 13:00-18:00",
    "Sat 09:00-12:00",
]
"""
    path = write(
        *TWO_HOUSES[:-3],
        *TWO_HOUSES[-2:],
        (JUNIPER + DEMO[DEMO.index(JUNIPER) + len(JUNIPER) : DEMO.index(hours)] + hours, JUNIPER + '''
offers = [
    { location = "st-augustine", services = ["first-visit", "chiropractic-adjustment"] },
    { location = "beach", services = ["functional-wellness"] },
]
hours = ["Mon 08:00-12:00 at st-augustine", "Mon 13:00-18:00 from 2027-01-01 at beach"]
extra_hours = [{ on = 2027-01-02, opens = "9:00", closes = "10:30", location = "beach" }]
'''),
    )  # fmt: skip
    juniper = clinic.load(path).catalog.practitioners[0]
    assert juniper.offers == (
        Offer("first-visit", "st-augustine"),
        Offer("chiropractic-adjustment", "st-augustine"),
        Offer("functional-wellness", "beach"),
    )
    assert juniper.hours == (
        WorkingHours("st-augustine", 0, 480, 720),
        WorkingHours("beach", 0, 780, 1080, date(2027, 1, 1), None),
    )
    assert juniper.extra_hours == (ExtraHours("beach", date(2027, 1, 2), 540, 630),)


def test_summer_and_winter_hours_do_not_overlap(write: Write) -> None:
    path = write(
        ('"Sat 09:00-12:00",', '"Sat 09:00-12:00 until 2027-05-31", "Sat 08:00-12:00 from 2027-06-01",'),
    )
    assert len(clinic.load(path).catalog.practitioners[0].hours) == 10


def test_whoever_only_comes_on_single_days_needs_no_weekly_hours(write: Write) -> None:
    path = write(
        ('hours = [\n    "Tue-Thu 09:00-13:00, 14:00-18:00",\n    "Fri 08:00-14:00",\n    "Sat 09:00-12:00",\n]', "")
    )
    assert clinic.load(path).catalog.practitioners[2].hours == ()


# ---------------------------------------------------------------- nonsense that takes two parts


def test_a_date_that_is_none_is_refused_with_its_line(write: Write) -> None:
    path = write(("starts_on = 2026-12-24", "starts_on = 2026-02-30"))
    [problem] = problems_of(path)
    assert f"at line {line_with(path, '2026-02-30')}" in problem


def test_a_practitioner_must_have_the_rooms_where_they_give_what_needs_them(write: Write) -> None:
    both = (
        'services = [\n    "massage-therapy",',
        'locations = ["st-augustine", "beach"]\nservices = [\n    "massage-therapy",',
    )
    path = write(*TWO_HOUSES[:-1], both)
    said = without_lines(problems_of(path))
    assert "practitioners[3].services[1]: massage-therapy needs a quiet-room, and beach has none" in said
    assert "practitioners[3].services[2]: posture-and-movement needs a treatment-room, and beach has none" in said
    assert not any("st-augustine has none" in problem for problem in said)


def test_where_there_are_two_locations_each_room_says_in_which_it_is(write: Write) -> None:
    said = without_lines(problems_of(write(AT_BEACH)))
    assert "resources[1].location: is missing" in said


def test_who_works_at_two_places_must_say_where(write: Write) -> None:
    path = write(*TWO_HOUSES[:-1], ('    "massage-therapy",\n    "posture-and-movement",\n    "aesthetics",\n]\n', '''
    "functional-wellness",
]
'''))  # fmt: skip
    said = without_lines(problems_of(path))
    for place in ("hours[1]", "hours[2]", "hours[3]", "extra_hours[1].location"):
        assert f"practitioners[3].{place}: must say where: st-augustine or beach" in said


def test_nobody_is_in_two_places_at_once(write: Write) -> None:
    path = write(*TWO_HOUSES[:-1], (DEMO[DEMO.index(WREN) : DEMO.index("# ---- And when not")], '''
offers = [
    { location = "st-augustine", services = ["massage-therapy", "aesthetics"] },
    { location = "beach", services = ["functional-wellness"] },
]
hours = ["Mon 08:00-12:00 at st-augustine", "Mon 11:00-13:00 at beach"]
extra_hours = [
    { on = 2026-12-21, opens = "08:00", closes = "09:00", location = "beach" },
    { on = 2026-12-21, opens = "07:00", closes = "10:00", location = "st-augustine" },
]
'''))  # fmt: skip
    assert without_lines(problems_of(path)) == [
        "practitioners[3].hours[2]: overlaps hours[1] on Monday",
        "practitioners[3].extra_hours[1]: overlaps hours[1] on Monday",
        "practitioners[3].extra_hours[2]: overlaps extra_hours[1] on Monday",
    ]


def test_practitioners_without_a_location_are_refused(write: Write) -> None:
    path = write()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[[locations]]", "[[location]]"), encoding="utf-8")
    said = without_lines(problems_of(path))
    assert "practitioners: have nowhere to work: there are no [[locations]]" in said
    assert "location: is not a known key; did you mean locations?" in said


def test_a_mistake_in_a_practitioner_is_not_said_again_of_the_services(write: Write) -> None:
    path = write(('"massage-therapy",\n', '"massage-theraphy",\n'))
    assert without_lines(problems_of(path)) == [
        "practitioners[3].services[1]: there is no service massage-theraphy; did you mean massage-therapy?"
    ]


def test_two_services_without_a_slug_are_not_called_doubles(write: Write) -> None:
    path = write(('slug = "aesthetics"\n', ""), ('slug = "functional-wellness"\n', ""))
    said = without_lines(problems_of(path))
    assert [problem for problem in said if problem.startswith("services")] == [
        "services[4].slug: is missing",
        "services[7].slug: is missing",
    ]


def test_names_of_holidays_are_not_looked_up_where_a_service_only_starts(write: Write) -> None:
    path = write(('"Thanksgiving Day"', '"Turkey Day"'))
    assert "Turkey Day" in clinic.load(path).catalog.locations[0].holidays
    assert len(problems_of(path)) == 1


def test_every_problem_names_the_line_it_stands_on(write: Write) -> None:
    wrong = {
        '"Thanksgiving Day"': '"Turkey Day"',
        "daily_cap = 6": "daily_cap = 600",
        'kind = "quiet-room"': 'kind = "Quiet Room!"',
        '"Sat 09:00-12:00"': '"Sat 9-12"',
        'opens = "09:00", closes': 'opens = "26:00", closes',
        "ends_on = 2026-12-26": "ends_on = 2026-12-01",
    }
    path = write(*wrong.items())
    expected = [line_with(path, passage) for passage in wrong.values()]
    said = [problem for problem in problems_of(path) if "needs" not in problem]
    assert [problem.partition(": ")[0] for problem in said] == [f"clinic.toml line {line}" for line in expected]
