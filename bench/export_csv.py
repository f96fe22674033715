"""How fast leads come out as CSV, beside a bare Core-and-csv loop over the same values kept without encryption.

    python bench/export_csv.py [--rows 100000] [--rounds 5] [--engine sqlite|postgresql]

Each run is a process of its own; ours and the bare loop take turns, so that a busy machine slows both.
"""

import argparse
import csv
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, Column, DateTime, MetaData, Table, Text, insert, literal, select, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from booking.database import Database, open_engine, schema
from booking.domain import tabular
from booking.keyring import Keyring
from booking.models.lead import CONTENT, Consent, Lead, new_id
from booking.operations import exports
from booking.operations.exports import Filters
from tests.postgres import PostgresMissing, any_server

KEYRING = Keyring([(1, bytes(range(32)))], "a secret of the benchmark, of no use anywhere")
ZONE, REGION = ZoneInfo("America/New_York"), "US"
WORDS = ("appointment", "knee", "summer", "hurts", "thank", "you", "ask", "about", "walking", "stairs", "since", "my")
BATCH = 10_000
WAYS = ("bare", "raw", "spreadsheet", "jsonl")


def _kind(name: str) -> Column[Any]:
    kind: Any = DateTime(timezone=True) if name in tabular.TIMES else Boolean if name in tabular.FLAGS else Text
    return Column(name, kind, index=name == "received_at")


plain_leads = Table("plain_lead", MetaData(), *map(_kind, tabular.COLUMNS))


@dataclass(frozen=True)
class Run:
    """One export: how long it took, when the first lead was out, how much memory it took on top."""

    rows: int
    seconds: float
    first: float
    memory: float


def main() -> None:
    """Fill a database on each engine and measure, or (`--way`) be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"])
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(vars(measure(asked.way, asked.url))))
        return
    for engine in [asked.engine] if asked.engine else ["sqlite", "postgresql"]:
        try:
            with filled(engine, asked.rows) as url:
                report(engine, url, asked.rounds)
        except PostgresMissing as missing:
            print(missing)


def report(engine: str, url: str, rounds: int) -> None:
    """Let all ways take turns and print their medians."""
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            arguments = [sys.executable, __file__, "--way", way, "--url", url]
            runs[way].append(Run(**json.loads(subprocess.run(arguments, check=True, capture_output=True).stdout)))
    bare = [run.rows / run.seconds for run in runs["bare"]]
    print(f"\n{engine}, {runs['bare'][0].rows} leads, medians of {rounds} alternated rounds")
    print(f"{'way':12} {'rows/s':>9} {'of bare':>8} {'first lead':>11} {'memory':>9}")
    for way, found in runs.items():
        rates = [run.rows / run.seconds for run in found]
        ratio = statistics.median(rate / other for rate, other in zip(rates, bare, strict=True))
        first, memory = statistics.median(run.first for run in found), max(run.memory for run in found)
        print(f"{way:12} {statistics.median(rates):9,.0f} {ratio:8.2f} {first * 1000:8.0f} ms {memory:6.1f} MB")


def measure(way: str, url: str) -> Run:
    """Export once, counting what comes out; the count of the rows belongs to ours, as it does in the service."""
    database = Database(url)
    with database.reading() as db:  # connections and statements are warm in a service, too
        db.execute(text("select 1"))
        exports.count(db, Filters(from_on=date(2999, 1, 1)), zone=ZONE)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again here
    before, began, first, rows = _status("VmRSS"), time.perf_counter(), 0.0, 0
    with database.reading() as db:
        for number, chunk in enumerate(_bare(db) if way == "bare" else _ours(db, way)):
            first = first or (time.perf_counter() - began if number or way in {"bare", "jsonl"} else 0.0)
            rows += chunk.count(b"SV-")
    seconds = time.perf_counter() - began
    return Run(rows, seconds, first, (_status("VmHWM") - before) / 1024)


def _ours(db: Any, profile: str) -> Iterator[bytes]:
    exports.count(db, Filters(), zone=ZONE)
    return exports.stream(
        db, Filters(), columns=tabular.COLUMNS, profile=profile, zone=ZONE, region=REGION, keyring=KEYRING
    )


def _bare(db: Any) -> Iterator[bytes]:
    query = select(plain_leads).order_by(plain_leads.c.received_at, plain_leads.c.reference)
    for rows in db.connection().execute(query, execution_options={"yield_per": 500}).partitions():
        block = io.StringIO(newline="")
        csv.writer(block).writerows(rows)
        yield block.getvalue().encode()


@contextmanager
def filled(engine: str, rows: int) -> Iterator[str]:
    """A database with leads, sealed by a real key, and beside them the same leads plain."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/booking.db"
            fill(url, rows)
            yield url
    else:
        with any_server() as server:
            url = server.create_database()
            fill(url, rows)
            yield url
            server.drop_database(url)


def fill(url: str, rows: int) -> None:
    """Write the leads: some thousand different ones, again and again, each with its own reference, times and seal."""
    schema.upgrade(url)
    engine, chance = open_engine(url, hurried=False), random.Random(7)
    plain_leads.metadata.create_all(engine)
    different = [_lead(number, chance) for number in range(min(rows, BATCH))]
    kept = [_kept(lead) for lead in different]
    for start in range(0, rows, BATCH):
        own = [_own(number, chance) for number in range(start, min(start + BATCH, rows))]
        with engine.begin() as connection:
            connection.execute(insert(plain_leads), [lead | mine for lead, mine in zip(different, own, strict=False)])
            connection.execute(insert(Lead), [_sealed(lead, mine) for lead, mine in zip(kept, own, strict=False)])
    with engine.begin() as connection:
        given = [Lead.id, literal("reply"), Lead.received_at, literal("1"), literal("Yes."), literal(""), literal("")]
        connection.execute(insert(Consent).from_select(list(Consent.__table__.c), select(*given)))
        connection.execute(text("analyze"))
    engine.dispose()


def _lead(number: int, chance: random.Random) -> dict[str, Any]:
    lead = dict.fromkeys(tabular.COLUMNS, "") | dict.fromkeys(tabular.FLAGS, False)
    return lead | {
        "status": "new",
        "held_reasons": "[]",
        "name": f"{chance.choice(WORDS)} {chance.choice(WORDS)}",
        "email": f"person{number}@example.com",
        "phone": f"+1904555{chance.randrange(10**4):04}",
        "phone_typed": "904 555 0134",
        "message": " ".join(chance.choices(WORDS, k=40)),
        "service": "physical-therapy",
        "preferred_times": "mornings",
        "contact_preference": "phone",
        "new_patient": chance.choice([True, False, None]),
        "consent_reply": True,
        "page_url": "https://www.example.com/book?step=2",
        "utm_source": "newsletter",
        "utm_medium": "email",
        "gclid": "Cj0KCQiA" + "x" * 40,
        "extras": '{"How did you hear of us": "a friend"}',
        "door": "form",
    }


def _own(number: int, chance: random.Random) -> dict[str, Any]:
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=number, microseconds=chance.randrange(10**6))
    return {"reference": f"SV-{number:08}", "received_at": at, "updated_at": at}


def _kept(lead: dict[str, Any]) -> dict[str, Any]:
    """The lead as our table has it, but for its seal: `content` is still to be read."""
    private = {name: lead[name] for name in ("message", "preferred_times")} | {"extras": json.loads(lead["extras"])}
    return {name: value for name, value in lead.items() if hasattr(Lead, name)} | {
        "content": json.dumps(private),
        "attribution": {name: lead[name] for name in ("utm_source", "utm_medium", "gclid")},
        "held_reasons": [],
        "signals": {},
    }


def _sealed(kept: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    lead_id = new_id(own["received_at"])
    return kept | own | {"id": lead_id, "content": KEYRING.seal(kept["content"], CONTENT, lead_id)}


def _status(name: str) -> int:
    """A figure of this process in kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
