"""Webhooks: which programs are told, with which secrets, and that neither they nor the facts are readable at rest."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.domain.errors import WebhookKnown, WebhooksTooMany, WebhookUnknown
from booking.keyring import Keyring, Unreadable, key_number
from booking.models.outbox import FACTS, SECRETS, OutboxMessage, Webhook
from booking.operations import keys, leases, outbox, webhooks
from booking.operations.outbox import Message
from booking.operations.webhooks import MOST, Receiver
from tests.visits import DAY, Clinic

URL = "https://crm.example/hook"
OLD, NEW = (1, bytes(range(32))), (2, bytes(range(32, 64)))
SECRET = "a secret for tests only: 0123456789abcdef"
BEFORE, WHILE, AFTER = Keyring([OLD], SECRET), Keyring([NEW, OLD], SECRET), Keyring([NEW], SECRET)


def add(clinic: Clinic, url: str = URL, secret: str = "whsec_one", *, whole: bool = False) -> int:
    return clinic.do(webhooks.add, clinic.keyring, url, secret, clinic.now, whole=whole).id


def receiver(clinic: Clinic, number: int, keyring: Keyring | None = None) -> Receiver | None:
    with clinic.database.reading() as db:
        return webhooks.receiver(db, keyring or clinic.keyring, str(number))


def active(clinic: Clinic) -> Sequence[str]:
    with clinic.database.reading() as db:
        return webhooks.active(db)


def row(clinic: Clinic, number: int) -> Webhook:
    with clinic.database.reading() as db:
        return db.get_one(Webhook, number)


# ---------------------------------------------------------------- who is told


def test_a_program_that_is_added_is_told_from_then_on(clinic: Clinic) -> None:
    one, two = add(clinic), add(clinic, "https://other.example", "whsec_two", whole=True)
    assert receiver(clinic, one) == Receiver(one, URL, ("whsec_one",), whole=False)
    assert receiver(clinic, two) == Receiver(two, "https://other.example", ("whsec_two",), whole=True)
    assert (active(clinic), receiver(clinic, two + 1)) == ([str(one), str(two)], None)


def test_an_address_is_told_once(clinic: Clinic) -> None:
    add(clinic)
    with pytest.raises(WebhookKnown):
        add(clinic, secret="whsec_other")
    assert len(active(clinic)) == 1


def test_one_that_is_removed_is_told_no_more_and_its_past_stays(clinic: Clinic) -> None:
    number = add(clinic)
    clinic.do(webhooks.remove, number, clinic.now)
    assert (active(clinic), receiver(clinic, number)) == ([], None)
    with clinic.database.reading() as db:
        assert [(each.id, each.disabled_at, each.disabled_because) for each in webhooks.listed(db)] == [
            (number, clinic.now, "removed")
        ]


def test_one_that_was_removed_can_be_added_again_with_a_secret_of_its_own(clinic: Clinic) -> None:
    number = add(clinic)
    clinic.do(webhooks.remove, number, clinic.now)
    clinic.now += DAY
    assert add(clinic, secret="whsec_new", whole=True) == number
    assert receiver(clinic, number) == Receiver(number, URL, ("whsec_new",), whole=True)
    assert row(clinic, number).disabled_because == ""


def test_one_that_is_enabled_again_has_what_waited_for_it(clinic: Clinic) -> None:
    number = add(clinic)
    message = Message("event", "program", "webhook", str(number), ("one",), clinic.now)
    clinic.do(outbox.write, clinic.keyring, [message], clinic.now)
    clinic.do(webhooks.remove, number, clinic.now)
    clinic.do(webhooks.enable, number)
    assert receiver(clinic, number) == Receiver(number, URL, ("whsec_one",), whole=False)
    assert len(clinic.do(leases.claim, "one", "webhook", clinic.now, limit=25, recipient=str(number))) == 1


def test_what_nobody_knows_can_be_neither_rotated_nor_enabled_nor_removed(clinic: Clinic) -> None:
    for act, more in ((webhooks.rotate, (clinic.keyring, 7, "whsec")), (webhooks.enable, (7,))):
        with pytest.raises(WebhookUnknown), clinic.database.transaction() as db:
            act(db, *more)
    with pytest.raises(WebhookUnknown), clinic.database.transaction() as db:
        webhooks.remove(db, 7, clinic.now)


def test_there_are_so_many_and_no_more_however_they_come(clinic: Clinic) -> None:
    numbers = [add(clinic, f"https://{number}.example") for number in range(MOST)]
    with pytest.raises(WebhooksTooMany), clinic.database.transaction() as db:
        webhooks.add(db, clinic.keyring, URL, "whsec", clinic.now)
    clinic.do(webhooks.enable, numbers[0])
    clinic.do(webhooks.remove, numbers[0], clinic.now)
    add(clinic)
    with pytest.raises(WebhooksTooMany), clinic.database.transaction() as db:
        webhooks.enable(db, numbers[0])
    assert len(active(clinic)) == MOST


# ---------------------------------------------------------------- secrets


def test_after_a_rotation_both_secrets_sign_the_newest_first_and_the_oldest_goes(clinic: Clinic) -> None:
    number = add(clinic)
    seen = []
    for secret in ("whsec_two", "whsec_three"):
        clinic.do(webhooks.rotate, clinic.keyring, number, secret)
        found = receiver(clinic, number)
        assert found is not None
        seen.append(found.secrets)
    assert seen == [("whsec_two", "whsec_one"), ("whsec_three", "whsec_two")]


def test_a_secret_is_sealed_for_its_address(clinic: Clinic) -> None:
    one, two = add(clinic), add(clinic, "https://other.example", "whsec_two")
    sealed = row(clinic, one).secrets
    assert b"whsec_one" not in sealed
    assert clinic.keyring.open(sealed, SECRETS, URL) == "whsec_one", "the twin: opened it is there"
    with clinic.database.transaction() as db:
        db.get_one(Webhook, two).secrets = sealed
    with pytest.raises(Unreadable):
        receiver(clinic, two)


def test_when_keys_are_replaced_facts_and_secrets_are_sealed_anew_and_nothing_is_lost(
    clinic: Clinic, database: Database
) -> None:
    clinic.keyring = BEFORE
    number = add(clinic)
    clinic.do(webhooks.rotate, BEFORE, number, "whsec_two")
    message = Message("event", "desk", "mail", "desk@example.com", ("one",), clinic.now, {"reference": "SV-2222-22"})
    clinic.do(outbox.write, BEFORE, [message], clinic.now)
    with pytest.raises(Unreadable):
        receiver(clinic, number, AFTER)
    for place in (FACTS, SECRETS):
        with database.transaction() as db:
            assert keys.reseal(db, WHILE, after=0, place=place)[1] == 1
            assert keys.reseal(db, WHILE, after=0, place=place)[1] == 0, "a second time there is nothing to do"
    with database.reading() as db:
        sealed = [db.scalars(select(column)).one() for column in (OutboxMessage.facts, Webhook.secrets)]
        assert list(keys.faults(db, AFTER)) == []
        assert len(list(keys.faults(db, BEFORE))) == 2, "the twin: without the key it is said of each place"
    assert [key_number(each) for each in sealed] == [2, 2]
    found = receiver(clinic, number, AFTER)
    assert found is not None
    assert found.secrets == ("whsec_two", "whsec_one")
    (claimed,) = clinic.do(leases.claim, "one", "mail", clinic.now, limit=25)
    assert claimed.facts(AFTER) == {"reference": "SV-2222-22"}
