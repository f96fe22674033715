"""Amendments: nothing is lost of what somebody says when they post their enquiry again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from booking import reception
from booking.database import Database
from booking.operations import amendments
from booking.runtime import Runtime
from tests.posting import ADA, Post, counts, lead_with, read
from tests.visits import HOUR, TEN, Clinic

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("key", ["one", ""])
def test_what_somebody_adds_when_they_post_again_is_on_their_lead(
    key: str, post: Post, clinic: Clinic, database: Database, runtime: Runtime
) -> None:
    sign = next(each.slug for each in runtime.clinic.signs if each.level == "emergency")
    first = post(ADA | {"symptoms": "night pain", "preferred_times": "Tuesdays"}, key=key)
    clinic.now += MINUTE
    again = ADA | {"symptoms": sign, "preferred_times": "Mondays", "service": "long", "consent_reply": "yes"}
    assert post(again, key=key).reference == first.reference
    lead, said = lead_with(database, runtime, first.reference)
    assert (lead.urgent, lead.service, lead.updated_at) == (True, "long", clinic.now)
    assert said["extras"]["symptoms"] == ["night pain", sign]
    assert (said["message"], said["preferred_times"]) == (ADA["message"], "Mondays")
    with database.reading() as db:
        assert db.scalars(text("select purpose from consent")).all() == ["reply"]
    clinic.now += MINUTE
    post(again, key=key)
    unchanged, _ = lead_with(database, runtime, first.reference)
    assert (unchanged.updated_at, unchanged.content) == (lead.updated_at, lead.content), (
        "the same again changes nothing"
    )
    assert counts(database) == (1, 0)


def test_another_way_to_answer_is_kept_beside_the_first_one(post: Post, database: Database, runtime: Runtime) -> None:
    first = post(ADA | {"phone": "904-555-0134"})
    assert post(ADA | {"phone": "904-555-0135"}).reference == first.reference
    lead, said = lead_with(database, runtime, first.reference)
    assert (lead.phone, said["extras"]["phone, sent again"]) == ("+19045550134", "+19045550135")


def test_of_two_people_with_one_telephone_nobody_is_lost(post: Post, database: Database) -> None:
    for name in ("Ann Lee", "Bo Lee"):
        post({"name": name, "phone": "904-555-0134"})
    with database.reading() as db:
        assert set(db.scalars(text("select name from lead"))) == {"Ann Lee", "Bo Lee"}


def test_what_is_added_while_the_database_is_away_is_added_when_it_is_back(
    stormy: Runtime, runtime: Runtime, clinic: Clinic, database: Database
) -> None:
    sign = next(each.slug for each in runtime.clinic.signs if each.level == "emergency")
    posts = [read(ADA, TEN, key="one"), read(ADA, TEN + HOUR, key="one", symptoms=sign)]
    first = reception.receive(stormy, posts[0], clinic.now)
    clinic.now += MINUTE
    second = reception.receive(stormy, posts[1], clinic.now)
    assert reception.receive(stormy, posts[1], clinic.now) == replace(second, replayed=True)
    assert [fate for _, fate in reception.drain(runtime, lambda: clinic.now)] == ["stored", "stored"]
    assert counts(database) == (1, 0)
    lead, said = lead_with(database, runtime, first.reference)
    assert (lead.urgent, said["extras"]["starts_at"]) == (True, (TEN + HOUR).isoformat())
    assert reception.is_known(runtime, second.reference)


def test_a_flood_of_posts_under_one_key_makes_no_lead_larger_and_larger(
    post: Post, database: Database, runtime: Runtime
) -> None:
    first = post(ADA, key="one")
    for number in range(8):
        assert post(ADA, key="one", **{f"field {number}": "x" * 60_000}).reference == first.reference
    lead, said = lead_with(database, runtime, first.reference)
    assert len(lead.content) < amendments.LARGEST
    assert {"field 0", "field 1", "field 2"} <= said["extras"].keys(), "what people send has room"
