"""Times in an address: no day that somebody writes there breaks a page."""

import pytest
from flask.testing import FlaskClient

from booking.domain.catalog import Catalog
from tests.web.visitor import ADJUSTMENT, BROWSER, book, path_of

# How a page looks does not depend on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DAYS = ["0001-01-01", "0001-01-05", "9999-12-28", "9999-12-31", "soon", ""]


@pytest.mark.parametrize("day", DAYS)
def test_no_day_in_the_address_breaks_the_page_of_a_visit(client: FlaskClient, catalog: Catalog, day: str) -> None:
    answer = client.get(path_of(book(client)["manage_url"]), headers=BROWSER, query_string={"from": day})
    assert (answer.status_code, "Move it to another time" in answer.text) == (200, True)


@pytest.mark.parametrize("day", DAYS)
def test_no_day_in_the_address_breaks_the_form(client: FlaskClient, catalog: Catalog, day: str) -> None:
    answer = client.get("/", headers=BROWSER, query_string={"from": day, "service": ADJUSTMENT})
    assert answer.status_code == 200
