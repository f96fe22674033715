"""Nonsense in the part of the clinic's file that can be booked: each kind is refused, with the place and the reason."""

import pytest

from tests.clinic.conftest import Write, problems_of, without_lines

JUNIPER = 'title = "Chiropractor"\n'
WREN = """services = [
    "massage-therapy",
    "posture-and-movement",
    "aesthetics",
]
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # locations
        ('timezone = "America/New_York"\n', 'timezone = "America/New_Yrok"\n',
         "locations[1].timezone: is not the name of … did you mean America/New_York?"),
        ('holiday_region = "US-FL"\n', "", "locations[1].holiday_region: is missing"),
        ('"US-FL"\nhol', '"Florida"\nhol', "locations[1].holiday_region: must be a country and region such as US-FL"),
        ('"US-FL"\nhol', '"US-QQ"\nhol', "locations[1].holiday_region: US-QQ is no country or region whose"),
        ('"Thanksgiving Day"', '"Thanksgivings"',
         "locations[1].holidays[5]: Thanksgivings is no public holiday of US-FL; did you mean Thanksgiving Day?"),
        ('"Labor Day",', '"Labor Day", "Labor Day",', "locations[1].holidays[5]: Labor Day is there twice"),
        ('phone = "904-555-0134"\n#', "#", "locations[1].phone: is missing"),
        # services
        ('slug = "aesthetics"', 'slug = "Skin Care"', "services[7].slug: must be small letters"),
        ('slug = "aesthetics"', f'slug = "{"a" * 61}"', "services[7].slug: must be small letters"),
        ('slug = "aesthetics"', 'slug = "massage-therapy"', "services[7].slug: massage-therapy is already the slug"),
        ('name = "Aesthetics"', 'name = "massage therapy"', "services[7].name: massage therapy is already the name"),
        ("duration_minutes = 30", "duration_minutes = true", "services[2].duration_minutes: must be"),
        ("duration_minutes = 30", "duration_minutes = 0", "services[2].duration_minutes: must be"),
        ("duration_minutes = 30", "duration_minutes = 30.5", "services[2].duration_minutes: must be"),
        ("step_minutes = 30", "step_minutes = 4", "services[1].step_minutes: must be a whole number from 5 to 240"),
        ("buffer_after_minutes = 15", "buffer_after_minutes = -15", "services[5].buffer_after_minutes: must be"),
        ("daily_cap = 6", "daily_cap = 0", "services[5].daily_cap: must be a whole number from 1 to 500"),
        ("daily_cap = 6", "horizon_days = 731", "services[5].horizon_days: must be a whole number from 1 to 730"),
        ("daily_cap = 6", "cutoff_minutes = 43201", "services[5].cutoff_minutes: must be a whole number from 0"),
        ("daily_cap = 6", "horizon_days = 2\nnotice_minutes = 2881",
         "services[5].notice_minutes: is longer than the horizon of 2 days: no time is left"),
        ('bookable = "call"', 'bookable = "maybe"', 'services[4].bookable: must be "online", "call" or "hidden"'),
        ('audience = "new"', 'audience = "newcomers"', 'services[1].audience: must be "anyone", "new" or "returning"'),
        ('needs = ["quiet-room"]', 'needs = ["quite-room"]',
         "services[5].needs[1]: there is no resource of the kind quite-room; did you mean quiet-room?"),
        ('needs = ["quiet-room"]', 'needs = ["quiet-room", "quiet-room"]', "services[5].needs[2]: quiet-room is there"),
        ('needs = ["quiet-room"]', 'needs = "quiet-room"', "services[5].needs: must be a list"),
        ("buffer_after_minutes = 15", "buffer_afer_minutes = 15",
         "services[5].buffer_afer_minutes: is not a known key; did you mean buffer_after_minutes?"),
        ('    "massage-therapy",\n', "", "services[5].bookable: is online, but no practitioner offers it"),
        ('60\nbookable = "online"\nbuffer', '361\nbookable = "online"\nbuffer',
         "services[5].duration_minutes: is longer than any opening of who offers it (360 minutes at most)"),
        # resources
        ('kind = "quiet-room"', 'kind = "Quiet Room"', "resources[3].kind: must be small letters"),
        ('slug = "room-2"', 'slug = "room-1"', "resources[2].slug: room-1 is already the slug of one of"),
        ('name = "Room 2"', 'name = "Room 2"\nlocation = "beach"', "resources[2].location: there is no location beach"),
        # practitioners
        ('    "chiropractic-adjustment",', '    "chiropractic-adjustmnt",',
         "practitioners[1].services[2]: there is no service … did you mean chiropractic-adjustment?"),
        ('    "chiropractic-adjustment",', '    "first-visit",', "practitioners[1].services[2]: first-visit is there"),
        (WREN, "services = []\n", "practitioners[3].services: must be a list with at least one entry"),
        (WREN, "", "practitioners[3].services: is missing"),
        (JUNIPER, f'{JUNIPER}locations = ["beach"]\n', "practitioners[1].locations[1]: there is no location beach"),
        (JUNIPER, f'{JUNIPER}offers = [{{ services = ["first-visit"] }}]\n',
         "practitioners[1].services: belongs into offers, where there are offers"),
        (WREN, 'offers = [{ services = ["aesthetics"] }, { services = ["massage-therapy", "aesthetics"] }]\n',
         "practitioners[3].offers[2].services[2]: aesthetics at st-augustine is there twice"),
        ('"Sat 09:00-12:00"', '"Sat 09:00-25:00"', "practitioners[1].hours[2]: 25:00 is no time of day, such as 08:00"),
        ('"Sat 09:00-12:00"', '"Sat 12:00-09:00"', "practitioners[1].hours[2]: closes at 09:00, which is not after"),
        ('"Sat 09:00-12:00"', '"Saturn 09:00-12:00"', "practitioners[1].hours[2]: Saturn is no day of the week"),
        ('"Sat 09:00-12:00"', "9", "practitioners[1].hours[2]: must be a text"),
        ('"Sat 09:00-12:00"', '"Sat 09:00-12:00 from 2027-02-30"', "practitioners[1].hours[2]: 2027-02-30 is no date"),
        ('"Sat 09:00-12:00"', '"Sat 09:00-12:00 from 2027-02-02 until 2027-02-01"',
         "practitioners[1].hours[2]: ends on 2027-02-01, before it begins on 2027-02-02"),
        ('"Sat 09:00-12:00"', '"Sat 09:00-12:00 at st-augustin"',
         "practitioners[1].hours[2]: no service is offered at st-augustin; did you mean st-augustine?"),
        ('"Sat 09:00-12:00"', '"Thu-Sat 17:00-19:00"', "practitioners[1].hours[2]: overlaps hours[1] on Thursday"),
        ('"Sat 09:00-12:00"', '"Sat 09:00-12:00, 11:59-13:00"', "practitioners[1].hours[2]: overlaps itself on"),
        ('"Sat 09:00-12:00"', '"Sat 09:00-12:00 until 2027-06-01", "Sat 11:00-13:00 from 2027-06-01"',
         "practitioners[1].hours[3]: overlaps hours[2] on Saturday"),
        ("{ on = 2026-12-21,", '{ on = "2026-12-21",', "practitioners[3].extra_hours[1].on: must be a date"),
        ("{ on = 2026-12-21,", "{ on = 2026-12-21T09:00:00,", "practitioners[3].extra_hours[1].on: must be a date"),
        ('opens = "09:00", closes = "13:00"', 'opens = "14:00", closes = "13:00"',
         "practitioners[3].extra_hours[1].closes: closes at 13:00, which is not after 14:00"),
        ('opens = "09:00", closes = "13:00"', 'opens = "9", closes = "13:00"',
         "practitioners[3].extra_hours[1].opens: 9 is no time of day"),
        ('opens = "09:00", closes = "13:00"', 'opens = 09:00:00, closes = "13:00"',
         "practitioners[3].extra_hours[1].opens: must be a text"),
        ('closes = "13:00" }', 'closes = "13:00" }, { on = 2026-12-21, opens = "12:00", closes = "14:00" }',
         "practitioners[3].extra_hours[2]: overlaps extra_hours[1] on Monday"),
        ("extra_hours = [", "extra_hour = [",
         "practitioners[3].extra_hour: is not a known key; did you mean extra_hours?"),
        # closures
        ("starts_on = 2026-12-24", 'starts_on = "Christmas Eve"', "closures[1].starts_on: must be a date such as"),
        ("ends_on = 2026-12-26", "ends_on = 2026-12-23", "closures[1].ends_on: 2026-12-23 is before 2026-12-24"),
        ('reason = "Christmas"', 'reason = " "', "closures[1].reason: must be a text"),
        ('reason = "Christmas"', 'reason = "Christmas"\nlocation = "beach"', "closures[1].location: there is no"),
        ("[[closures]]", "[closures]", "closures: must be a list"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_the_reason(write: Write, old: str, new: str, problem: str) -> None:
    said = without_lines(problems_of(write((old, new))))
    begins, _, ends = problem.partition(" … ")
    assert any(found.startswith(begins) and found.endswith(ends) for found in said), said
