"""Repeats: a visit is moved once however often the button is pressed, and the new link is not lost."""

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from booking.domain.catalog import Catalog
from booking.models import Appointment
from booking.runtime import Runtime
from tests.web.visitor import AS_JSON, BROWSER, book, free, path_of


@pytest.fixture
def link(client: FlaskClient, catalog: Catalog) -> str:
    """The path of Ada's appointment."""
    return path_of(book(client)["manage_url"])


@pytest.mark.parametrize("headers", [AS_JSON, BROWSER], ids=["program", "browser"])
def test_who_presses_twice_is_told_the_new_link_twice(
    client: FlaskClient, link: str, runtime: Runtime, headers: dict[str, str]
) -> None:
    asked = {"starts_at": free(client)[7]["starts_at"]}
    first, second = (client.post(f"{link}/rescheduling", data=asked, headers=headers) for _ in range(2))
    assert (first.status_code, first.data, first.headers.get("Location")) == (
        second.status_code, second.data, second.headers.get("Location"),
    )  # fmt: skip
    assert generations(runtime) == [1]
    assert client.get(link, headers=AS_JSON).status_code == 404, "looking through the old link shows nothing"
    assert client.post(f"{link}/rescheduling", json=free(client)[9]).status_code == 404, "nor moves it again"
    with runtime.database.transaction() as db:
        db.execute(update(Appointment).values(updated_at=datetime.now(UTC) - timedelta(minutes=11)))
    assert client.post(f"{link}/rescheduling", data=asked, headers=headers).status_code == 404


def generations(runtime: Runtime) -> list[int]:
    with runtime.database.reading() as db:
        return list(db.scalars(select(Appointment.generation)))
