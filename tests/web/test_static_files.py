"""Static files: small on the way, kept for good where the address says which, and never older than the page."""

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient

from booking.web import static_files

FILES = sorted(path for path in static_files.FOLDER.rglob("*") if path.is_file())
PACKED = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """One engine is enough here: no file depends on it."""
    copy = tmp_path / "booking.db"
    copy.write_bytes(migrated_sqlite.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def addresses(client: FlaskClient) -> list[str]:
    """Where the page says that its files are."""
    return re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/").text)


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_file_arrives_as_it_is_packed_or_not(client: FlaskClient, path: Path) -> None:
    address = f"/static/{path.relative_to(static_files.FOLDER).as_posix()}"
    plain, packed = client.get(address), client.get(address, headers=PACKED)
    assert plain.data == gzip.decompress(packed.data) == path.read_bytes()
    assert (plain.headers.get("Content-Encoding"), packed.headers.get("Content-Encoding")) == (None, "gzip")
    assert plain.content_type == packed.content_type == static_files.KINDS[path.suffix]
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert "Accept-Encoding" in plain.vary
    assert "Accept-Encoding" in packed.vary


def test_what_the_page_names_is_kept_for_good(client: FlaskClient, addresses: list[str]) -> None:
    assert len(addresses) == 2
    for address in addresses:
        answer = client.get(address)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, static_files.FOR_GOOD)


def test_what_an_older_page_names_is_still_there_but_not_kept_for_good(
    client: FlaskClient, addresses: list[str]
) -> None:
    _, _, version, name = addresses[0].split("/")
    for address in (f"/static/{'0' * len(version)}/{name}", f"/static/{name}"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, static_files.FOR_AN_HOUR)


def test_nothing_is_sent_that_is_there_already(client: FlaskClient, addresses: list[str]) -> None:
    seen = client.get(addresses[0], headers=PACKED).headers["ETag"]
    again = client.get(addresses[0], headers=PACKED | {"If-None-Match": seen})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", seen)


def test_whoever_does_not_want_it_packed_gets_it_plain(client: FlaskClient, addresses: list[str]) -> None:
    answer = client.get(addresses[0], headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("name", ["nothing.css", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "", "/etc/passwd"])
def test_nothing_else_is_there(client: FlaskClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code in {308, 404}


def test_the_version_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p{}")
    (tmp_path / "b.js").write_text("1")
    before = address_in(tmp_path)
    assert address_in(tmp_path) == before
    (tmp_path / "b.js").write_text("2")
    assert address_in(tmp_path) != before


def address_in(folder: Path) -> str:
    app = Flask("booking", static_folder=None)
    static_files.register(app, folder)
    with app.test_request_context():
        return url_for("static", filename="a.css")
