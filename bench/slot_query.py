"""How fast free times are found with 50,000 visits stored: ours against a bare route with one indexed query.

    python -m bench.slot_query [--seconds 4] [--rounds 3]

A day of one practitioner and of all twenty, and a month of five, are computed anew: no question is asked twice. Sixty
days of twenty practitioners are asked again and again (`If-None-Match`). Both sides run under the same server, in
alternated rounds, and answer with JSON of the same length; `wrk` asks. Only the ratios are worth quoting.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.orm import Session

from bench import capture
from booking.clinic import Catalog, Location, Offer, Practitioner, Service, WorkingHours
from booking.database import open_engine, schema
from booking.domain import clock
from booking.models import Appointment, Claim, Lead
from booking.operations import catalog_loading
from tests.postgres import TemporaryPostgres

PRACTITIONERS, FIVE, VISITS, A_DAY = 20, 5, 50_000, 12
MOST_TURNS = 4
WHERE = Location("here", "Here", "America/New_York", "1 Road", "St. Augustine", "FL", "32084", "904-555-0134", "", ())
ALL = Service("visit", "Visit", "A visit.", 30, "online", step_minutes=30, horizon_days=365)
OF_FIVE = Service("rare", "Extra", "A rare visit.", 30, "online", step_minutes=30, horizon_days=365)
ASK = """
local n, paths = 0, {%s}
wrk.headers["If-None-Match"] = %s
request = function()
  n = n %% #paths + 1
  return wrk.format("GET", paths[n])
end
"""


@dataclass(frozen=True)
class Round:
    """One round: answers a second, and the 95th percentile in ms."""

    rate: float
    p95: float


def main() -> None:
    """Fill a database for each engine, start both servers, and print a line for each question."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--rounds", type=int, default=3, choices=range(1, MOST_TURNS + 1))
    asked = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk (Debian: apt-get install wrk).")
    with TemporaryPostgres(durable=True) as postgres, tempfile.TemporaryDirectory() as folder:
        for engine in ("sqlite", "postgresql"):
            urls = {
                side: postgres.create_database() if engine == "postgresql" else f"sqlite:///{folder}/{side}.db"
                for side in ("ours", "bare")
            }
            for url in urls.values():
                fill(url)
            with ExitStack() as running:
                ours, bare = (
                    running.enter_context(capture.serving(side, url, Path(folder)))[0] for side, url in urls.items()
                )
                for question in QUESTIONS:
                    report(engine, question, ours, bare, asked)


@dataclass(frozen=True)
class Question:
    """What is asked: a service by its name, of as many practitioners, over some days; `again` asks it all the time."""

    name: str
    service: str
    who: Sequence[int]
    days: int
    again: bool = False

    def ours(self, turn: int = 0) -> list[str]:
        """The paths of ours: in each turn other ones, as names are matched whatever their letters' case."""
        one = f"&practitioner=who-{self.who[0]}" if len(self.who) == 1 else ""
        spellings = ["".join(letters) for letters in product(*((each, each.upper()) for each in self.service))]
        paths = [
            f"/api/v1/slots?service={word}&from={on}&days={self.days}{one}"
            for word in spellings[turn * len(spellings) // MOST_TURNS : (turn + 1) * len(spellings) // MOST_TURNS]
            for on in self._days()
        ]
        return paths[:1] if self.again else paths

    def bare(self, count: int) -> list[str]:
        """The paths of the bare app, which is told how many slots to answer with; to what is known it is one row's."""
        if self.again:
            return ["/slots?from=2000-01-01&days=1&who=1&count=1"]
        who = ",".join(map(str, self.who))
        return [f"/slots?from={on}&days={self.days}&who={who}&count={count}" for on in self._days()]

    def _days(self) -> Iterator[date]:
        yield from (date.today() + timedelta(days=2 + number) for number in range(300))  # noqa: DTZ011  any day will do


QUESTIONS = (
    Question("a day of one, computed", "visit", [1], 1),
    Question("a day of twenty, computed", "visit", range(1, PRACTITIONERS + 1), 1),
    Question("a month of five, computed", "extra", range(1, FIVE + 1), 31),
    Question("sixty days of twenty, again", "visit", range(1, PRACTITIONERS + 1), 60, again=True),
)


def report(engine: str, question: Question, ours: int, bare: int, asked: argparse.Namespace) -> None:
    """One line: rates, p95, and the ratios taken round by round."""
    address = f"http://127.0.0.1:{ours}{question.ours()[0]}"
    with urllib.request.urlopen(address) as answer:
        etag, count = answer.headers["ETag"], len(json.loads(answer.read())["slots"])
    known = json.dumps(etag if question.again else "none")
    plain = ASK % (", ".join(map(json.dumps, question.bare(count))), '"none"')
    pairs = []
    for turn in range(asked.rounds):
        mine = ASK % (", ".join(map(json.dumps, question.ours(0 if question.again else turn))), known)
        pairs.append((ask(ours, mine, asked.seconds), ask(bare, plain, asked.seconds)))
    rate = statistics.median(one.rate / other.rate for one, other in pairs)
    p95 = statistics.median(one.p95 / other.p95 for one, other in pairs)
    print(
        f"{engine}, {question.name} ({count} slots): rate ratio {rate:.2f}, p95 ratio {p95:.2f} | "
        f"ours {pairs[-1][0].rate:.0f}/s, bare {pairs[-1][1].rate:.0f}/s",
        flush=True,
    )


def ask(port: int, script: str, seconds: int) -> Round:
    """One round of questions by wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script + DONE)
        file.flush()
        command = ["wrk", "-t1", "-c4", f"-d{seconds}s", "-s", file.name, f"http://127.0.0.1:{port}"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if failed := re.search(r"Non-2xx or 3xx responses: \d+", text):
        sys.exit(failed[0])
    return Round(float(capture.found(r"Requests/sec:\s+([\d.]+)", text)), float(capture.found(r"p95 ([\d.]+)", text)))


DONE = r"""
done = function(summary, latency) io.write(string.format("p95 %.3f\n", latency:percentile(95) / 1000)) end
"""


def fill(url: str) -> None:
    """Twenty practitioners with twelve visits a day each, from sixty days ago until there are 50,000."""
    hours = tuple(WorkingHours("here", day, 480, 1080) for day in range(7))
    who = []
    for number in range(1, PRACTITIONERS + 1):
        offers = (Offer("visit", "here"), Offer("rare", "here"))[: 2 if number <= FIVE else 1]
        who.append(Practitioner(f"who-{number}", f"Who {number}", "", offers, hours, ()))
    schema.upgrade(url)
    # Without the deadlines of a service: so much at once may take its time.
    engine, now = open_engine(url, hurried=False), datetime.now(UTC)
    rows = list(visits(now))
    with Session(engine) as db, db.begin():
        catalog_loading.load(db, Catalog((WHERE,), (ALL, OF_FIVE), tuple(who), (), ()), now=now)
        db.execute(insert(Lead), [lead(now)])
        db.execute(insert(Appointment), [visit for visit, _ in rows])
        db.execute(insert(Claim), [claim for _, claim in rows])
    engine.dispose()


def visits(now: datetime) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Appointments and their claims."""
    first = now.replace(hour=14, minute=0, second=0, microsecond=0) - timedelta(days=60)
    zone = ZoneInfo(WHERE.timezone)
    for number in range(VISITS):
        day, place = divmod(number, PRACTITIONERS * A_DAY)
        who, slot = place % PRACTITIONERS + 1, place // PRACTITIONERS
        start = first + timedelta(days=day, minutes=30 * slot)
        span: dict[str, object] = {"starts_at": start, "ends_at": start + timedelta(minutes=30)}
        visit: dict[str, object] = {
            "id": number + 1, "reference": f"SV-{number}", "lead_id": 1, "service_id": 1, "practitioner_id": who,
            "location_id": 1, "status": "booked", "timezone": WHERE.timezone, "sequence": 0, "generation": 0,
            "wall_start": clock.wall_of(start, zone), "token_digest": number.to_bytes(32, "big"), "created_at": now,
            "updated_at": now,
        }  # fmt: skip
        yield visit | span, {"calendar_id": who, "appointment_id": number + 1} | span


def lead(now: datetime) -> dict[str, object]:
    """One for all of them."""
    texts = (
        "phone",
        "phone_typed",
        "service",
        "practitioner",
        "location",
        "contact_preference",
        "page_url",
        "referrer",
    )
    return dict.fromkeys(texts, "") | {
        "id": 1, "reference": "SV-LEAD", "received_at": now, "updated_at": now, "door": "form", "name": "Ada",
        "email": "ada@example.com", "content": b"-",
    }  # fmt: skip


if __name__ == "__main__":
    main()
