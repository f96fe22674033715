"""The clinic's file: the good one loads, and a wrong one is refused with every problem named at once."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from booking import clinic
from tests.clinic.conftest import DEMO, Write, line_with, problems_of, without_lines


def test_the_demonstration_clinic_loads() -> None:
    demo = clinic.load()
    assert demo.name == "Serenoa Vitality and Wellness"
    assert (demo.address.city, demo.address.region) == ("St. Augustine", "FL")
    assert (demo.region, demo.reference_prefix) == ("US", "SV")
    assert ZoneInfo(demo.timezone).key == "America/New_York"
    assert [hours.days for hours in demo.hours][-1] == "Sunday"
    assert demo.services[2].slug == "back-pain-care"
    assert demo.services[2].duration_minutes == 45
    assert {service.bookable for service in demo.services} == {"online", "call"}
    assert len(demo.texts.next_steps) == 3
    assert (demo.light.on_brand, demo.dark.on_brand) == ("#ffffff", "#0c231b")


def test_the_demonstration_clinic_reaches_no_real_person() -> None:
    demo = clinic.load()
    assert demo.phone.startswith("904-555-01")
    assert demo.email.endswith("@example.com")


def test_the_two_sentences_of_the_page_never_change() -> None:
    demo = clinic.load()
    assert demo.received_sentence == "Your submission has been received!"
    assert demo.failed_sentence == "Oops! Something went wrong while submitting the form."


def test_a_clinic_does_not_change_while_it_is_in_use() -> None:
    demo = clinic.load()
    with pytest.raises(FrozenInstanceError):
        demo.name = "Another"  # type: ignore[misc]  # it is refused: that is the test
    with pytest.raises(TypeError):
        demo.consents["reply"] = demo.consents["marketing"]  # type: ignore[index]  # it is refused: that is the test


def test_the_form_carries_the_versions_of_all_consents_in_one_word(write: Write) -> None:
    assert clinic.load().consent_version == "reply:2026-11,marketing:2026-11"
    path = write(('version = "2026-11"', 'version = "2027-01"'))
    assert clinic.load(path).consent_version == "reply:2027-01,marketing:2026-11"


def test_a_long_text_becomes_one_line() -> None:
    texts = clinic.load().texts
    assert "\n" not in texts.intro
    assert "what bothers you, and we take it" in texts.intro


def test_a_file_saved_with_a_byte_order_mark_loads(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.write_text(DEMO, encoding="utf-8-sig")
    assert clinic.load(path) == clinic.load()


def test_a_name_in_any_script_is_kept_as_written(write: Write) -> None:
    path = write(("Serenoa Vitality and Wellness", "Café Ωmega 健康"))
    assert clinic.load(path).name == "Café Ωmega 健康"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    with pytest.raises(clinic.ClinicFileWrong, match=r"nowhere\.toml cannot be used"):
        clinic.load(path)


@pytest.mark.parametrize("content", [b'name = "open', b"name = 1\nname = 2", b'name = "\xff"'])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clinic.toml"
    path.write_bytes(content)
    [problem] = problems_of(path)
    assert problem.startswith("the file cannot be read as TOML in UTF-8: ")


def test_an_empty_file_is_told_everything_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.touch()
    named = [problem.partition(":")[0] for problem in without_lines(problems_of(path))]
    top = "name tagline phone phone_e164 email timezone region reference_prefix"
    assert sorted(named) == sorted([*top.split(), "address", "hours", "services", "texts", "consents", "brand"])


def test_all_problems_are_named_at_once_each_with_its_line(write: Write) -> None:
    path = write(
        ('tagline = "', 'tagline = "" # "'),
        ('"America/New_York"   #', '"America/Saint_Augustine"   #'),
        ('city = "St. Augustine"\n', ""),
        ("duration_minutes = 30", 'duration_minutes = "long"'),
        ("#1f6652", "green"),
    )
    places = ("tagline =", "timezone =", "[address]", 'duration_minutes = "long"', 'brand = "green"')
    tagline, timezone, address, duration, brand = (line_with(path, place) for place in places)
    assert problems_of(path) == (
        f"clinic.toml line {tagline}: tagline: must be a text, not empty and without control characters",
        f"clinic.toml line {timezone}: timezone: is not the name of a time zone, such as America/New_York",
        f"clinic.toml line {address}: address.city: is missing",
        f"clinic.toml line {duration}: services[2].duration_minutes: must be a whole number from 5 to 480",
        f"clinic.toml line {brand}: brand.light.brand: must be a colour such as #1f6652",
    )


def test_what_is_missing_at_the_top_has_no_line(write: Write) -> None:
    assert problems_of(write(("tagline = ", "# "))) == ("clinic.toml: tagline: is missing",)


def test_the_refusal_itself_says_all_problems(write: Write) -> None:
    path = write(('region = "US"', 'region = "usa"'), ('"SV"', '"S1"'))
    with pytest.raises(ValueError, match="region: must be two capital letters") as refusal:
        clinic.load(path)
    assert "reference_prefix: must be two to four capital letters" in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "Serenoa Vitality and Wellness"', "name = 7", "name: must be a text"),
        ('name = "Serenoa Vitality and Wellness"', r'name = "S\u0000"', "name: must be a text"),
        ('name = "Serenoa Vitality and Wellness"', r'name = "\n\t "', "name: must be a text"),
        ("hello@example.com", "hello at example.com", "email: must be one e-mail address"),
        ("hello@example.com", "a@example.com, b@example.com", "email: must be one e-mail address"),
        ('"+19045550134"', '"904-555-0134"', "phone_e164: must be a number such as +1904"),
        ('"+19045550134"', '"+19045550135"', "phone_e164: is another number than phone"),
        ('"904-555-0134"', '"ask inside"', "phone_e164: is another number than phone"),
        ("America/New_York", "../America/New_York", "timezone: is not the name of a time zone"),
        ("America/New_York", "America", "timezone: is not the name of a time zone"),
        ('version = "2026-11"', 'version = "2026,11"', "consents.reply.version: must be letters"),
        ("[consents.marketing]", "[consents.newsletter]", "consents.marketing: is missing"),
        ('"You come as you are', '7, "You come as you are', "texts.next_steps[3]: must be a text"),
        ('opens = "closed"', 'open = "closed"', "hours[4].opens: is missing"),
        ("#0c231b", "#0c2", "brand.dark.on_brand: must be a colour such as #1f6652"),
        ("#0c231b", "#0c231b;}*{display:none", "brand.dark.on_brand: must be a colour such as #1f6652"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(write: Write, old: str, new: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in without_lines(problems_of(write((old, new)))))


@pytest.mark.parametrize("list_of_tables", ["hours", "services"])
def test_a_list_that_must_not_be_empty_is_refused(write: Write, list_of_tables: str) -> None:
    path = write(('name = "Serenoa', f'{list_of_tables} = []\nname = "Serenoa'))
    text = path.read_text(encoding="utf-8").replace(f"[[{list_of_tables}]]", "[[other]]")
    path.write_text(text, encoding="utf-8")
    assert f"{list_of_tables}: must be a list with at least one entry" in without_lines(problems_of(path))


def test_a_table_of_another_kind_is_named_once(write: Write) -> None:
    path = write(('name = "Serenoa', 'address = "12 Example Lane"\nname = "Serenoa'), ("[address]", "[place]"))
    assert without_lines(problems_of(path)) == ["address: must be a table", "place: is not a known key"]


def test_a_misspelt_key_is_refused_with_a_suggestion(write: Write) -> None:
    path = write(("headline = ", "headlin = "), ("tagline = ", 'motto = "Be well"\ntagline = '))
    assert without_lines(problems_of(path)) == [
        "motto: is not a known key",
        "texts.headline: is missing",
        "texts.headlin: is not a known key; did you mean headline?",
    ]


def test_colours_that_cannot_be_read_together_are_refused(write: Write) -> None:
    path = write(('muted = "#53625c"', 'muted = "#9aa5a0"'))
    assert without_lines(problems_of(path)) == [
        "brand.light.muted: is hard to read on paper: a contrast of 2.3, not 4.5",
        "brand.light.muted: is hard to read on surface: a contrast of 2.5, not 4.5",
    ]


def test_the_page_says_that_a_chosen_time_is_booked_and_that_without_one_the_desk_calls() -> None:
    texts = clinic.load().texts
    for words in (texts.form_intro, " ".join(texts.next_steps)):
        assert "is booked" in words
        assert "we call or write" in words
    assert "not a fixed time" not in texts.form_intro
