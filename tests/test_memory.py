"""What the service costs: its memory after a few hundred posts, and the work of starting it."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.service import Serving

MEGABYTE = 1_000_000
POSTS, VISITORS = 400, 8
MOST = {"sqlite": 150 * MEGABYTE, "postgresql": 350 * MEGABYTE}
STARTING = """
import time
before = time.process_time()
import booking.app
print(time.process_time() - before)
"""


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
    serving: Callable[..., Serving], request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    server = serving()
    at_first = memory(server)
    with ThreadPoolExecutor(VISITORS) as crowd:
        thanked = sum(crowd.map(lambda visitor: post_some(server.port, visitor), range(VISITORS)))
    after = memory(server)
    record_property("megabytes", [at_first / MEGABYTE, after / MEGABYTE])
    assert thanked == POSTS
    engine = server.environ["BOOKING_DATABASE_URL"].partition("+")[0].partition(":")[0]
    assert after < MOST[engine]


def test_starting_takes_little_of_the_processor(record_property: Callable[[str, object], None]) -> None:
    # The aim is one second; other people's machines are busy, and even processor time then grows.
    seconds = float(subprocess.check_output([sys.executable, "-c", STARTING], timeout=60))
    record_property("seconds", seconds)
    assert seconds < 4
