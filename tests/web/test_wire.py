"""The service on the wire: what a client reads from its socket, byte for byte."""

import socket
from collections.abc import Callable

import pytest

from tests.service import Serving


@pytest.fixture
def database_url(tmp_path: object) -> str:
    """No database is asked for anything here."""
    return f"sqlite:///{tmp_path}/none.db"


def said_to(server: Serving, request: bytes) -> bytes:
    """All that comes back before the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
        return answer


@pytest.mark.parametrize("path", [b"/", b"/healthz", b"/static/site.css", b"/nowhere"])
def test_a_question_for_the_head_is_answered_by_a_head_alone(serving: Callable[..., Serving], path: bytes) -> None:
    head = b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = said_to(serving(), head)
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


def test_a_malformed_request_is_refused_with_the_headers_of_every_answer(serving: Callable[..., Serving]) -> None:
    answer = said_to(serving(), b"nonsense\r\n\r\n")
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert b"X-Content-Type-Options: nosniff" in answer
    assert b"Content-Security-Policy: default-src 'none'" in answer
