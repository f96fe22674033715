"""Ways to reach a person: whatever people type is read without a crash, and never refused for its spelling."""

import unicodedata

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.contact import (
    EMAIL_DOMAINS,
    clean_line,
    clean_text,
    dialled,
    is_textable,
    mailbox,
    read_email,
    read_phone,
    suggest,
    time_zones,
)

# Lone surrogates and NUL included: a reader runs before anything is validated.
ANYTHING = st.text(max_size=300) | st.text(st.sampled_from("0123456789 +-().#x,;@<>\"'\0\ud800\u202eé"), max_size=80)
US_NUMBER = st.builds("{}{:07d}".format, st.sampled_from(["904", "212", "305", "813"]), st.integers(2000000, 9999999))
NUMBER = "9045550134"
WAYS = [
    "9045550134",
    "904-555-0134",
    "(904) 555-0134",
    "(904)555-0134",
    "904.555.0134",
    "904 555 0134",
    "1-904-555-0134",
    "1 (904) 555-0134",
    "+1 904 555 0134",
    "+1-904-555-0134",
    "+19045550134",
    "011 1 904 555 0134",
    "tel:+1-904-555-0134",
    "904/555/0134",
    "904–555–0134",
    "９０４ ５５５ ０１３４",
    "  904\u00a0555\u00a00134 ",
    "904-555-0134 ext. 12",
    "904-555-0134 x12",
    "call 904 555 0134 after five",
    "cell: 904-555-0134",
]
REAL_DOMAINS = [
    *EMAIL_DOMAINS,
    *("googlemail.com", "mail.com", "gmx.com", "gmx.net", "email.com", "mac.com", "aim.com", "pm.me", "hey.com"),
    *("live.co.uk", "yahoo.co.uk", "yahoo.ca", "hotmail.fr", "rocketmail.com", "fastmail.com", "duck.com"),
    *("cox.net", "charter.net", "earthlink.net", "ufl.edu", "stjohns.k12.fl.us", "example.com", "web.de"),
    *("ge.com", "love.com"),  # an employer of many, and a mail service of AOL's: one letter from me.com and live.com
]


# ---------------------------------------------------------------- lines and texts


@given(st.text())
def test_cleaning_a_line_twice_changes_nothing_more(text: str) -> None:
    assert clean_line(clean_line(text)) == clean_line(text)


@given(st.text())
def test_a_cleaned_line_has_the_same_letters_in_the_same_order(text: str) -> None:
    def letters(line: str) -> str:
        return "".join(unicodedata.normalize("NFC", line).split())

    assert letters(clean_line(text)) == letters(text)


@given(st.text())
def test_cleaning_a_text_twice_changes_nothing_more(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


def test_a_text_keeps_its_inner_lines_and_spaces() -> None:
    assert clean_text("\r\n  My back.\r\n\r\n   Since  May.\rThanks \n") == "My back.\n\n   Since  May.\nThanks"


@pytest.mark.parametrize("name", ["Zoë", "李小龍", "محمد", "O\u2019Brien \U0001f600", "नरेन्द्र", "\u202eadA"])
def test_a_name_of_any_script_stays_as_it_is(name: str) -> None:
    assert clean_line(name) == name


# ---------------------------------------------------------------- e-mail


@given(ANYTHING)
def test_reading_an_address_never_raises(text: str) -> None:
    read = read_email(text)
    assert not (read.address and read.problem)


@given(ANYTHING)
def test_what_was_read_as_an_address_is_read_as_the_same_again(text: str) -> None:
    address = read_email(text).address
    assert read_email(address).address == address


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  ada@example.com\n", "ada@example.com"),
        ("mailto:ada@example.com", "ada@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        ("Ada Lovelace <ada@example.com>", "ada@example.com"),
        ("ada@EXAMPLE.com", "ada@example.com"),
        ("Ada.L+clinic@example.com", "Ada.L+clinic@example.com"),
        ("zoë@bücher.example.com", "zoë@bücher.example.com"),
        ("ada@no-such-host-4711.com", "ada@no-such-host-4711.com"),
    ],
)
def test_an_address_is_taken_for_its_syntax_and_never_for_its_reachability(typed: str, address: str) -> None:
    read = read_email(typed)
    assert (read.address, read.problem) == (address, "")


@pytest.mark.parametrize("typed", ["ada", "ada@", "@example.com", "ada example.com", "ada@example", "a@b@c.com"])
def test_what_is_no_address_is_told_in_a_sentence(typed: str) -> None:
    read = read_email(typed)
    assert read.address == ""
    assert read.problem.startswith("This e-mail address does not look right")
    assert read.problem.endswith(".")


def test_no_address_is_no_problem() -> None:
    assert read_email(" \n") == read_email("")
    assert read_email("").problem == ""


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("yaho.com", "yahoo.com"),
        ("hotmial.com", "hotmail.com"),
        ("outlok.com", "outlook.com"),
        ("iclould.com", "icloud.com"),
        ("GMIAL.COM", "gmail.com"),
    ],
)
def test_a_slip_in_a_domain_gets_a_suggestion_and_is_taken_all_the_same(slip: str, meant: str) -> None:
    read = read_email(f"ada@{slip}")
    assert read.suggestion == f"ada@{meant}"
    assert (read.address, read.problem) == (f"ada@{slip.lower()}", "")


@pytest.mark.parametrize("domain", REAL_DOMAINS)
def test_a_real_domain_gets_no_suggestion(domain: str) -> None:
    assert suggest(f"ada@{domain}") == ""


# ---------------------------------------------------------------- phones


@given(ANYTHING, st.sampled_from(["US", "GB", "DE"]))
def test_reading_a_number_never_raises(text: str, region: str) -> None:
    read = read_phone(text, region)
    assert not (read.e164 and read.problem)
    assert len(read.e164) <= 20, "longer than its column"


@pytest.mark.parametrize("typed", WAYS)
def test_a_number_written_in_any_human_way_is_the_same_number(typed: str) -> None:
    read = read_phone(typed, "US")
    assert (read.e164, read.problem) == ("+19045550134", "")


@given(US_NUMBER, st.sampled_from([way for way in WAYS if "５" not in way]))
def test_any_american_number_may_be_written_in_all_these_ways(number: str, way: str) -> None:
    typed = way.replace("9045550134", number)
    for old, new in (("904", number[:3]), ("555", number[3:6]), ("0134", number[6:])):
        typed = typed if number in typed else typed.replace(old, new, 1)
    assert read_phone(typed, "US").e164 == f"+1{number}"


@given(US_NUMBER)
def test_an_american_number_as_dialled_is_read_as_itself(number: str) -> None:
    assert read_phone(dialled(f"+1{number}", "US"), "US").e164 == f"+1{number}"


@pytest.mark.parametrize("region", ["GB", "DE", "IT", "MX", "BR", "JP", "AU", "CA", "CU"])
def test_a_foreign_number_is_dialled_with_its_country_code_and_read_as_itself(region: str) -> None:
    number = phonenumbers.example_number(region)
    assert number is not None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert read_phone(e164, "US").e164 == e164
    assert read_phone(dialled(e164, "US"), "US").e164 == e164


def test_numbers_at_home_are_shown_as_people_dial_them() -> None:
    assert dialled("+19045550134", "US") == "(904) 555-0134"
    assert dialled("+442079460958", "US") == "+44 20 7946 0958"
    assert dialled("+442079460958", "GB") == "020 7946 0958"


@given(st.text(max_size=40))
def test_showing_what_is_no_number_never_raises(text: str) -> None:
    assert isinstance(dialled(text, "US"), str)


@pytest.mark.parametrize("typed", ["555-0134", "call me", "12", "+", "904-555", "9" * 400, "٣"])
def test_what_nobody_could_dial_is_told_in_a_sentence(typed: str) -> None:
    read = read_phone(typed, "US")
    assert read.e164 == ""
    assert read.problem == "This does not look like a phone number. Please give it with its area code."


def test_a_number_that_may_not_exist_is_taken_and_doubted() -> None:
    read = read_phone("(004) 055-0134", "US")
    assert (read.e164, read.problem, read.doubtful) == ("+10040550134", "", True)


def test_no_number_is_no_problem() -> None:
    assert read_phone("  ", "US") == read_phone("", "US")
    assert read_phone("", "US").problem == ""


# ---------------------------------------------------------------- where a message arrives


@pytest.mark.parametrize(
    ("address", "box"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+news@example.com", "ada@example.com"),
        ("a.d.a@example.com", "a.d.a@example.com"),
        ("A.d.a+1@GoogleMail.com", "ada@gmail.com"),
        ("+x@example.com", "+x@example.com"),
        ("ÄDA@example.com", "äda@example.com"),
        ("+19045550134", "+19045550134"),
        ("", ""),
    ],
)
def test_however_an_address_is_written_it_is_one_mailbox(address: str, box: str) -> None:
    assert mailbox(address) == box
    assert mailbox(mailbox(address)) == box


@pytest.mark.parametrize(
    ("number", "textable"),
    [
        ("+19045550134", True),
        ("+14155550123", True),
        ("+19005550123", False),
        ("+18005550100", False),
        ("+18765550123", False),  # Jamaica: +1 as well, and dear
        ("+447911123456", False),
        ("+88213300655", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_texts_go_to_numbers_at_home_that_cost_nothing_more(number: str, textable: bool) -> None:
    assert is_textable(number, "US") == textable


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+19045550134", ("America/New_York",)),
        ("+12055550123", ("America/Chicago",)),
        ("+18085550123", ("Pacific/Honolulu",)),
        ("+18005550100", ()),
        ("+88213300655", ()),
        ("", ()),
    ],
)
def test_a_number_tells_its_clock_where_it_has_one(number: str, zones: tuple[str, ...]) -> None:
    assert time_zones(number) == zones
