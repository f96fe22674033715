"""Triage: every sign is found however it is written, nothing said is lost, and no answer is a mistake."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.triage import Assessment, Level, Sign, assess

NIGHT = Sign("constant-or-night-pain", "Pain that is constant, severe or worse at night", Level.URGENT)
CANCER = Sign("history-of-cancer", "A history of cancer", Level.URGENT)
BLADDER = Sign("bladder-or-bowel", "Trouble controlling bladder or bowel", Level.EMERGENCY)
SIGNS = (NIGHT, CANCER, BLADDER)

# Everything a program can put into a text, lone surrogates and control characters too.
TEXTS = st.text(st.characters(exclude_categories=()))
LISTS = st.lists(
    st.builds(Sign, slug=TEXTS, text=TEXTS, level=st.sampled_from(Level)) | st.sampled_from(SIGNS), max_size=6
)
ANSWERS = st.lists(TEXTS | st.sampled_from([name for sign in SIGNS for name in (sign.slug, sign.text)]), max_size=8)
WRITTEN = {
    "its slug": "bladder-or-bowel",
    "its text": "Trouble controlling bladder or bowel",
    "capitals": "TROUBLE CONTROLLING BLADDER OR BOWEL",
    "a form's own punctuation": " Trouble controlling: bladder, or bowel!\n",
    "underscores for hyphens": "bladder_or_bowel",
    "full-width letters": "ｂｌａｄｄｅｒ　ｏｒ　ｂｏｗｅｌ",
}


@pytest.mark.parametrize("answer", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_sign_is_known_by_its_slug_or_text_however_written(answer: str) -> None:
    assert assess([answer], SIGNS) == Assessment(signs=(BLADDER,))


def test_an_emergency_is_urgent_too() -> None:
    found = assess([BLADDER.slug], SIGNS)
    assert (found.urgent, found.emergency) == (True, True)


def test_an_urgent_sign_is_no_emergency() -> None:
    found = assess([NIGHT.text, CANCER.text], SIGNS)
    assert (found.urgent, found.emergency) == (True, False)


def test_one_emergency_among_other_signs_decides() -> None:
    assert assess([NIGHT.slug, BLADDER.slug, CANCER.slug], SIGNS).emergency


@pytest.mark.parametrize("answers", [[], [""], [" ", "\n\t"]], ids=["no answer", "an empty one", "white space"])
def test_who_ticks_nothing_is_neither_urgent_nor_an_emergency(answers: list[str]) -> None:
    found = assess(answers, SIGNS)
    assert found == Assessment()
    assert (found.urgent, found.emergency) == (False, False)


def test_an_unknown_answer_is_kept_as_typed_and_is_not_urgent() -> None:
    found = assess(["  Stiff neck… since May ", "none of these"], SIGNS)
    assert found.unknown == ("  Stiff neck… since May ", "none of these")
    assert not found.urgent


def test_an_unknown_answer_beside_a_sign_hides_neither() -> None:
    assert assess(["on", CANCER.text], SIGNS) == Assessment(signs=(CANCER,), unknown=("on",))


def test_half_a_sign_is_no_sign() -> None:
    # "No trouble controlling bladder or bowel" holds the words of one, and says the opposite.
    answers = ("No trouble controlling bladder or bowel", "bladder")
    assert assess(answers, SIGNS) == Assessment(unknown=answers)


def test_signs_stand_in_the_order_of_the_list() -> None:
    assert assess([BLADDER.slug, NIGHT.text, CANCER.slug], SIGNS).signs == (NIGHT, CANCER, BLADDER)


def test_a_clinic_without_a_checklist_finds_nothing_and_keeps_everything() -> None:
    assert assess([BLADDER.slug], ()) == Assessment(unknown=(BLADDER.slug,))


def test_a_sign_of_punctuation_alone_is_found_by_nothing() -> None:
    assert assess(["?", "!!!"], [Sign("-", "???", Level.EMERGENCY)]) == Assessment(unknown=("!!!", "?"))


def test_accents_count_however_they_are_composed() -> None:
    fever = Sign("fiebre", "Fiebre sin razón", Level.URGENT)
    assert assess([unicodedata.normalize("NFC", "FIEBRE SIN RAZÓN")], [fever]).signs == (fever,)
    assert assess([unicodedata.normalize("NFD", "FIEBRE SIN RAZÓN")], [fever]).signs == (fever,)
    assert assess(["Fiebre sin razon"], [fever]).signs == ()


@given(data=st.data(), answers=ANSWERS, signs=LISTS)
def test_order_and_repetition_of_answers_do_not_matter(
    data: st.DataObject, answers: list[str], signs: list[Sign]
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(answers), max_size=8)) if answers else []
    assert assess(data.draw(st.permutations(answers + repeated)), signs) == assess(answers, signs)


@given(answers=ANSWERS, signs=LISTS)
def test_every_answer_that_says_something_is_a_sign_or_kept(answers: list[str], signs: list[Sign]) -> None:
    found = assess(answers, signs)
    for answer in answers:
        assert not answer.strip() or answer in found.unknown or assess([answer], signs).signs
    assert set(found.unknown) <= set(answers)


@given(answers=ANSWERS, signs=LISTS)
def test_an_answer_more_takes_no_sign_away(answers: list[str], signs: list[Sign]) -> None:
    alone = {sign for answer in answers for sign in assess([answer], signs).signs}
    assert set(assess(answers, signs).signs) == alone <= set(signs)


@given(sign=st.builds(Sign, slug=TEXTS, text=TEXTS, level=st.sampled_from(Level)))
def test_every_sign_that_has_a_letter_is_found_by_its_own_names(sign: Sign) -> None:
    for name in (sign.slug, sign.text):
        if any(letter.isalnum() for letter in name):
            assert assess([name], [sign]) == Assessment(signs=(sign,))


@given(answers=ANSWERS, signs=LISTS)
def test_urgent_and_emergency_follow_from_the_signs_alone(answers: list[str], signs: list[Sign]) -> None:
    found = assess(answers, signs)
    assert found.urgent == (found.signs != ())
    assert found.emergency == (Level.EMERGENCY in {sign.level for sign in found.signs})
    assert found.urgent >= found.emergency
