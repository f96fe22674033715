"""The sample nginx configuration does what it says, in a real nginx in front of a real server."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.slow_clients import SlowClients, allow_open_files, ask

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / ".deploy" / "nginx.conf"

PROGRAM = """
import json, threading
from booking import server

released = threading.Event()

def rows():
    yield b"first row\\n"
    released.wait(30)
    yield b"last row\\n"

def broken_rows():
    yield b"first row\\n"
    raise RuntimeError("planted")

def app(environ, start_response):
    path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
    if path.startswith("/staff/"):
        start_response("200 OK", [("Content-Type", "text/csv")])
        return broken_rows() if path.endswith("broken.csv") else rows()
    if path == "/release":
        released.set()
    headers = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    seen = {"length": len(body), "query": environ["QUERY_STRING"], "peer": environ["REMOTE_ADDR"], **headers}
    answer = json.dumps(seen).encode()
    status = "413 Content Too Large" if len(body) > 65536 else "200 OK"
    start_response(status, [("Content-Length", str(len(answer))), ("Access-Control-Allow-Origin", "https://a.test")])
    return [answer]

server.serve(app, host="127.0.0.1", port=0, threads=8, ready=lambda host, port: print(port, flush=True))
"""

WRAPPER = """
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/booking.conf;
}}
"""


class Front:
    """A running nginx with the sample configuration, before a server with a tiny application."""

    def __init__(self, nginx: str, folder: Path, changes: dict[str, str]) -> None:
        self.folder = folder
        self.service = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.service.stdout is not None
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = listener.getsockname()[1]
        places = {
            "    server 127.0.0.1:8000;": f"    server 127.0.0.1:{int(self.service.stdout.readline())};",
            "\n    listen 80;": f"\n    listen 127.0.0.1:{self.port};",
            "\n    listen [::]:80;": "",
            "/var/log/nginx/booking.access": f"{folder}/access",
            "/var/log/nginx/booking.error": f"{folder}/error",
        }
        text = SAMPLE.read_text(encoding="utf-8")
        for old, new in (changes | places).items():
            assert text.count(old) == 1, f"{old!r} is not in the sample once"
            text = text.replace(old, new)
        (folder / "booking.conf").write_text(text, encoding="utf-8")
        (folder / "nginx.conf").write_text(WRAPPER.format(folder=folder), encoding="utf-8")
        command = [nginx, "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/start.log"]
        with listener:  # inherited, as when nginx replaces itself: no port is guessed, none is lost to another
            handed = {"NGINX": f"{listener.fileno()};"}
            self.nginx = subprocess.Popen(command, pass_fds=[listener.fileno()], env=os.environ | handed)

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        """Send one request and return the answer, its body not yet read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET" if body is None else "POST", path, body, {"Connection": "close"} | headers)
        answer = connection.getresponse()
        connection.close()  # the answer keeps the socket until it is read or closed
        return answer

    def seen(self, path: str, body: bytes | None = None, **headers: str) -> dict[str, Any]:
        """What the application saw of a request."""
        with self.ask(path, body, **headers) as answer:
            seen: dict[str, Any] = json.loads(answer.read())
            return seen

    def logs(self) -> str:
        """Everything nginx wrote, once it has ended."""
        self.end()
        return "".join(path.read_text(encoding="utf-8") for path in self.folder.glob("*.log"))

    def end(self) -> None:
        self.nginx.terminate()
        self.nginx.wait(timeout=30)
        self.service.kill()
        self.service.wait()
        assert self.service.stdout is not None
        self.service.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Front]]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    started: list[Front] = []

    def run(changes: dict[str, str]) -> Front:
        started.append(Front(nginx, tmp_path, changes))
        return started[-1]

    yield run
    for each in started:
        each.end()


@pytest.fixture
def front(start: Callable[[dict[str, str]], Front]) -> Front:
    return start({})


def test_a_post_passes_with_its_body_its_query_and_the_clients_address(front: Front) -> None:
    seen = front.seen("/leads?utm_source=x", b"name=Maria", Host="leads.example.com")
    assert (seen["length"], seen["query"], seen["HOST"]) == (10, "utm_source=x", "leads.example.com")
    assert seen["X_FORWARDED_FOR"] == "127.0.0.1"
    assert (seen["X_FORWARDED_PROTO"], seen["X_FORWARDED_HOST"]) == ("http", "leads.example.com")


def test_what_a_client_says_about_its_own_address_is_replaced(front: Front) -> None:
    spoofed = {
        "X-Forwarded-For": "192.0.2.66",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=192.0.2.66;host=evil.test",
    }
    seen = front.seen("/leads", b"name=Maria", **spoofed)
    assert seen["X_FORWARDED_FOR"] == "127.0.0.1"
    assert seen["X_FORWARDED_PROTO"] == "http"
    assert not [said for said in ("evil", "666", "192.0.2.66") if said in json.dumps(seen)]


def test_300_slow_heads_and_300_slow_bodies_do_not_delay_a_normal_request(front: Front) -> None:
    allow_open_files(1000)
    slow = SlowClients(urlsplit(f"http://127.0.0.1:{front.port}/"), heads=300, bodies=300, post_path="/leads")
    try:
        slow.start()
        assert min(ask(urlsplit(f"http://127.0.0.1:{front.port}/"), seconds=2.0).seconds) < 1.0
        assert slow.connected == 600
    finally:
        slow.stop()


def test_the_logs_hold_neither_query_nor_referrer_whether_the_service_answers_or_is_away(front: Front) -> None:
    assert front.seen("/leads?name=canary-query", Referer="https://a.test/?canary-referrer")["query"] != ""
    front.service.kill()
    front.service.wait()
    with front.ask("/leads?name=canary-away", Referer="https://a.test/?canary-referrer") as away:
        assert away.status == 503
        assert away.getheader("Retry-After") == "30"
        assert b"Something went wrong" in away.read()
    logs = front.logs()
    assert '"/leads" 200' in logs
    assert '"/leads" 503' in logs
    assert "canary" not in logs


def test_twin_at_its_usual_level_the_error_log_would_hold_the_query(start: Callable[[dict[str, str]], Front]) -> None:
    front = start({"error.log alert;": "error.log;"})
    front.service.kill()
    front.service.wait()
    front.ask("/leads?name=canary-away").close()
    assert "canary-away" in front.logs()


def test_a_body_over_64_kb_reaches_the_service_whose_refusal_the_website_can_read(front: Front) -> None:
    with front.ask("/leads", b"x" * 100_000) as answer:
        assert answer.status == 413
        assert answer.getheader("Access-Control-Allow-Origin") == "https://a.test"
        assert json.loads(answer.read())["length"] == 100_000


def test_rows_of_an_export_arrive_while_it_is_still_being_made(front: Front) -> None:
    with front.ask("/staff/leads.csv") as export:
        assert export.readline() == b"first row\n"
        front.seen("/release")
        assert export.read() == b"last row\n"


def test_an_export_that_breaks_off_does_not_look_whole(front: Front) -> None:
    with front.ask("/staff/broken.csv") as export, pytest.raises(http.client.IncompleteRead):
        export.read()


def test_twin_over_http_1_0_the_broken_export_looks_whole(start: Callable[[dict[str, str]], Front]) -> None:
    front = start({"proxy_http_version 1.1;": "proxy_http_version 1.0;"})
    with front.ask("/staff/broken.csv") as export:
        assert export.read() == b"first row\n"


def test_answers_do_not_name_a_version(front: Front) -> None:
    with front.ask("/") as answer:
        assert answer.getheader("Server") == "nginx"
