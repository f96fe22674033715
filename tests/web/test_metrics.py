"""Metrics: the vital signs as numbers that Prometheus reads, and the same faults that the doctor names."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from booking.models import OutboxMessage
from booking.operations import tokens, vitals
from booking.runtime import Runtime
from tests.web.visitor import ADA, post

LINE = re.compile(r'(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+-]+)')


def test_every_line_is_one_that_prometheus_reads(client: FlaskClient) -> None:
    post(client, ADA)
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert [line for line in answer.text.splitlines() if not LINE.fullmatch(line)] == []
    assert 'booking_outbox_messages{channel="mail",state="waiting"} 2' in answer.text
    assert "booking_enquiries_today 1" in answer.text


def test_a_fault_shows_until_it_is_mended(client: FlaskClient, runtime: Runtime) -> None:
    post(client, ADA)
    assert 'booking_fault{kind="worker"} 0' in client.get("/metrics").text
    with runtime.database.transaction() as db:
        db.execute(update(OutboxMessage).values(due_at=datetime.now(UTC) - timedelta(minutes=5)))
    assert 'booking_fault{kind="worker"} 1' in client.get("/metrics").text
    with runtime.database.transaction() as db:
        vitals.beat(db, vitals.WORKER, datetime.now(UTC))
    assert 'booking_fault{kind="worker"} 0' in client.get("/metrics").text


class TestInProduction:
    """What is open on a developer's machine needs a token where patients are served."""

    @pytest.fixture
    def environ(self, environ: dict[str, str]) -> dict[str, str]:
        return environ | {"BOOKING_ENV": "production", "BOOKING_BASE_URL": "https://localhost"}

    def test_the_numbers_are_for_a_token_with_the_scope(self, client: FlaskClient, runtime: Runtime) -> None:
        now = datetime.now(UTC)
        with runtime.database.transaction() as db:
            good = tokens.create(db, name="prometheus", scopes=["metrics:read"], now=now, days=1)
            other = tokens.create(db, name="desk", scopes=["leads:export"], now=now - timedelta(minutes=1), days=1)
        for token, status in ((good, 200), (other, 403), ("x", 401)):
            answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"}, base_url="https://localhost")
            assert answer.status_code == status
        assert client.get("/metrics", base_url="https://localhost").status_code == 401
