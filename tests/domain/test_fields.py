"""The names of the form's fields: whatever a web site calls them they arrive, and nothing posted is ever lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.fields import ALIASES, CANONICAL, Fields, canonical, sort

LABEL = st.one_of(
    st.sampled_from(
        [*CANONICAL, "Your Name", "E-mail", "E-Mail 2", "name", "NAME", "Name-2", "source", "Pet's name", "", "42"]
    ),
    st.text(max_size=12),
).flatmap(lambda label: st.sampled_from([label, f"fields[{label}]"]))
VALUE = st.text(max_size=8) | st.sampled_from(["same", "true", "1"])
PLAIN = VALUE | st.booleans() | st.none() | st.integers() | st.lists(VALUE, max_size=3)


def values_in(fields: Fields) -> list[str]:
    """Every value that is still there, as text, wherever it was put."""
    found: list[str] = []
    waiting: list[Any] = [*fields.canonical.values(), *fields.extras.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        else:
            found.append(repr(value))
    return found


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("name", "name"),
        ("Name", "name"),
        ("Your Name", "name"),
        ("your-name", "name"),
        ("Full-Name-2", "name"),
        ("FULL NAME*", "name"),
        ("Customer Name", "name"),
        ("First Name", "first_name"),
        ("fname", "first_name"),
        ("Last-Name", "last_name"),
        ("surname", "last_name"),
        ("email", "email"),
        ("E-mail", "email"),
        ("E-Mail Address:", "email"),
        ("Email 3", "email"),
        ("your-email", "email"),
        ("Phone Number", "phone"),
        ("Phone-Number-2", "phone"),
        ("Tel.", "phone"),
        ("Mobile", "phone"),
        ("Cell Phone", "phone"),
        ("Message", "message"),
        ("Your Message (optional)", None),
        ("How can we help you?", "message"),
        ("Comments", "message"),
        ("Service of Interest", "service"),
        ("Are you a new patient?", "new_patient"),
        ("Preferred Date and Time", "preferred_times"),
        ("Best way to reach you", "contact_preference"),
        ("I agree", "consent_reply"),
        ("Newsletter", "consent_marketing"),
        ("Idempotency-Key", "submission_key"),
        ("Page URL", "page_url"),
        ("utm-source", "utm_source"),
        ("UTM_Campaign", "utm_campaign"),
        ("gclid", "gclid"),
        ("redirect", "return_to"),
        ("Contact me by fax", "contact_me_by_fax"),
        ("Insurance", None),
        ("", None),
        ("42", None),
        ("名前", None),
    ],
)
def test_a_label_is_known_blind_to_case_and_punctuation(label: str, name: str | None) -> None:
    assert canonical(label) == name


@pytest.mark.parametrize("name", CANONICAL)
def test_every_name_of_ours_is_known_by_itself(name: str) -> None:
    assert canonical(name) == name
    assert canonical(name.upper().replace("_", " ")) == name


def test_no_alias_is_claimed_twice_or_hides_a_name_of_ours() -> None:
    ours = {name.replace("_", "") for name in CANONICAL}
    claimed = [alias for aliases in ALIASES.values() for alias in aliases.split()]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) & ours <= {name for name in ALIASES if name in claimed} | {
        alias for name, aliases in ALIASES.items() for alias in aliases.split() if alias == name.replace("_", "")
    }


def test_unknown_fields_are_extras_under_the_label_they_came_with() -> None:
    fields = sort([("Name", "Ada"), ("Insurance Carrier", "Sunshine"), ("Pet", "Cat"), ("Pet", "Dog")])
    assert fields.canonical == {"name": ["Ada"]}
    assert fields.extras == {"Insurance Carrier": "Sunshine", "Pet": ["Cat", "Dog"]}


def test_a_second_field_of_the_same_meaning_is_kept_beside_the_first() -> None:
    fields = sort([("Phone", "904-555-0134"), ("Mobile", "904-555-0135"), ("Phone", "904-555-0136")])
    assert fields.text("phone") == "904-555-0134"
    assert fields.extras == {"Mobile": "904-555-0135", "Phone": "904-555-0136"}


def test_an_empty_field_does_not_stand_in_the_way_of_a_full_one() -> None:
    fields = sort([("email", " "), ("E-mail", "ada@example.com")])
    assert fields.text("email") == "ada@example.com"
    assert fields.extras == {}


def test_symptoms_may_be_many() -> None:
    fields = sort([("symptoms", "back"), ("Symptom", "neck"), ("symptoms", ["knee", "hip"])])
    assert fields.canonical == {"symptoms": ["back", "neck", "knee", "hip"]}


def test_webflow_wraps_the_fields_and_names_the_form_outside() -> None:
    fields = sort(
        [
            ("name", "Appointment Form"),
            ("source", "https://www.example.com/contact"),
            ("test", "false"),
            ("fields[Full Name]", "Ada Lovelace"),
            ("fields[Email Address]", "ada@example.com"),
            ("fields[Anything else?]", "No"),
            ("dolphin", "false"),
        ]
    )
    assert fields.text("name") == "Ada Lovelace"
    assert fields.text("email") == "ada@example.com"
    assert fields.text("page_url") == "https://www.example.com/contact"
    assert fields.extras == {
        "form name": "Appointment Form",
        "webflow test": "false",
        "Anything else?": "No",
        "webflow dolphin": "false",
    }


def test_a_ticked_box_of_json_reads_as_a_word() -> None:
    fields = sort([("consent_reply", True), ("consent_marketing", False), ("name", None)])
    assert (fields.text("consent_reply"), fields.text("consent_marketing"), fields.text("name")) == (
        "true",
        "false",
        "",
    )


@given(st.lists(st.tuples(LABEL, PLAIN), max_size=12))
def test_every_value_posted_is_still_there(pairs: list[tuple[str, Any]]) -> None:
    posted = [
        repr(item)
        for _, value in pairs
        for item in (value if isinstance(value, list) else [value])
        if item is not None and str(item).strip()
    ]
    kept = values_in(sort(pairs))
    assert [value for value in posted if value not in kept] == []


@given(st.lists(st.tuples(LABEL, VALUE), max_size=12))
def test_what_is_known_and_what_is_extra_do_not_mix(pairs: list[tuple[str, Any]]) -> None:
    fields = sort(pairs)
    assert set(fields.canonical) <= set(CANONICAL)
    for name in fields.canonical:
        assert isinstance(fields.text(name), str)
