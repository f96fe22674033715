"""What the service costs: its memory after a few hundred posts, and the work of starting it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.service import Serving

MEGABYTE = 1_000_000
POSTS, VISITORS = 400, 8
MOST, MOST_GROWTH = 120 * MEGABYTE, 20 * MEGABYTE  # measured: 92 and 6

# The aim is one second of the processor, three quarters of which the libraries alone take. Machines differ, so what is
# ours is held against what is theirs. Measured: 1.25 times theirs, and up to 1.4 in the crowd of a whole run.
LIBRARIES = (
    "click, cryptography.hazmat.primitives.ciphers.aead, email_validator, flask_wtf, phonenumbers.timezone, psycopg,"
    " sqlalchemy.dialects.postgresql, sqlalchemy.orm, structlog, waitress"
)
MOST_TIMES = 1.6
MOST_ROUNDS = 15
IMPORTING = "import time; before = time.process_time(); import {}; print(time.process_time() - before)"


def post_some(port: int, visitor: int) -> int:
    """Post one visitor's share over one connection; return how many were thanked for."""
    thanked = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(POSTS // VISITORS):
        lead = {
            "name": f"Visitor {visitor}",
            "email": f"{visitor}.{number}@example.com",
            "message": "My knee hurts. " * 60,
        }
        connection.request("POST", "/leads", json.dumps(lead), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        thanked += answer.status == http.HTTPStatus.CREATED
    connection.close()
    return thanked


def memory(server: Serving) -> int:
    """The resident memory of the server and of every process it has started."""
    family = psutil.Process(server.pid)
    return sum(process.memory_info().rss for process in [family, *family.children(recursive=True)])


def test_after_hundreds_of_posts_the_service_is_still_small(
    serving: Callable[..., Serving], record_property: Callable[[str, object], None]
) -> None:
    server = serving()
    at_first = memory(server)
    with ThreadPoolExecutor(VISITORS) as crowd:
        thanked = sum(crowd.map(lambda visitor: post_some(server.port, visitor), range(VISITORS)))
    after = memory(server)
    record_property("megabytes", [at_first / MEGABYTE, after / MEGABYTE])
    assert thanked == POSTS
    assert after < MOST
    assert after - at_first < MOST_GROWTH


def seconds(modules: str) -> float:
    """What importing takes of the processor, in a process of its own that finds everything compiled."""
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.check_output([sys.executable, "-c", IMPORTING.format(modules)], env=environ, timeout=60))


def test_starting_takes_little_more_than_the_libraries_it_stands_on(
    record_property: Callable[[str, object], None],
) -> None:
    seconds("booking.app")  # compiles what was changed
    rounds: list[tuple[float, float]] = []
    libraries, service = 1.0, MOST_TIMES
    # The least of each is what it takes; where others are busy on the machine, more rounds are needed to see it.
    while len(rounds) < MOST_ROUNDS and service >= MOST_TIMES * libraries:
        rounds.append((seconds(LIBRARIES), seconds("booking.app")))
        libraries, service = (min(times) for times in zip(*rounds, strict=True))
    record_property("seconds", [libraries, service])
    assert service < MOST_TIMES * libraries


def test_starting_does_not_load_what_migrations_alone_need() -> None:
    code = "import sys, booking.app; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
