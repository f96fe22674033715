"""A visitor says that they will come: by a button on their own page, and never by a link that something follows."""

from flask.testing import FlaskClient

from booking.domain.catalog import Catalog
from tests.web.visitor import AS_JSON, BROWSER, book, free, path_of


def test_a_visitor_confirms_once_and_it_stays(client: FlaskClient, catalog: Catalog) -> None:
    link = path_of(book(client)["manage_url"])
    for _ in range(2):
        answer = client.post(f"{link}/confirmation", headers=AS_JSON)
        assert (answer.status_code, answer.get_json()["confirmed"]) == (200, True)
    assert client.get(link, headers=AS_JSON).get_json()["confirmed"] is True


def test_following_the_link_confirms_nothing(client: FlaskClient, catalog: Catalog) -> None:
    link = path_of(book(client)["manage_url"])
    assert client.get(f"{link}/confirmation").status_code == 405
    assert client.get(link, headers=AS_JSON).get_json()["confirmed"] is False


def test_a_browser_is_led_back_to_the_page_which_thanks(client: FlaskClient, catalog: Catalog) -> None:
    link = path_of(book(client)["manage_url"])
    assert "Yes, I will come" in client.get(link, headers=BROWSER).text
    answer = client.post(f"{link}/confirmation", headers=BROWSER)
    assert (answer.status_code, answer.location) == (303, link)
    page = client.get(link, headers=BROWSER).text
    assert "Thank you for confirming" in page
    assert "Yes, I will come" not in page


def test_what_was_confirmed_is_open_again_when_the_visit_is_moved(client: FlaskClient, catalog: Catalog) -> None:
    booked = book(client)
    link = path_of(booked["manage_url"])
    client.post(f"{link}/confirmation", headers=AS_JSON)
    same = free(client, practitioner=booked["practitioner"])
    moved = client.post(f"{link}/rescheduling", json={"starts_at": same[-1]["starts_at"]}, headers=AS_JSON)
    assert (moved.status_code, moved.get_json()["confirmed"]) == (200, False)


def test_a_cancelled_visit_cannot_be_confirmed(client: FlaskClient, catalog: Catalog) -> None:
    link = path_of(book(client)["manage_url"])
    client.post(f"{link}/cancellation", headers=AS_JSON)
    assert client.post(f"{link}/confirmation", headers=AS_JSON).status_code == 409
    assert "Yes, I will come" not in client.get(link, headers=BROWSER).text
