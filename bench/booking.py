"""How fast distinct times are booked through HTTP: ours against a bare Flask app that makes the same claim and lead.

    python -m bench.booking [--seconds 5] [--rounds 3] [--connections 16]

Twenty practitioners, open day and night; every post asks for a time of its own. Both run under the same server, on
SQLite and on PostgreSQL, in alternated rounds; `wrk` posts. Only the ratios are worth quoting.
"""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from bench import capture
from booking.clinic import Catalog, Location, Offer, Practitioner, Service, WorkingHours
from booking.database import Database, schema
from booking.operations import catalog_loading
from tests.postgres import TemporaryPostgres

PRACTITIONERS, MINUTES = 20, 15
WHERE = Location("here", "Here", "UTC", "1 Road", "St. Augustine", "FL", "32084", "904-555-0134", "", ())
WHAT = Service("visit", "Visit", "A visit.", MINUTES, "online", step_minutes=MINUTES, horizon_days=365)
POST = """
local n, first, base = 0, %d, %d
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Accept"] = "application/json"
request = function()
  local at = first + n
  n = n + 1
  local starts = os.date("!%%Y-%%m-%%dT%%H:%%M:%%S", base + math.floor(at / 20) * 900) .. "%%2B00:00"
  return wrk.format(nil, "/leads", nil, "name=Ada+Example&email=ada" .. at .. "@example.com&phone=904-555-0134"
    .. "&message=My+back+has+hurt+since+Monday+" .. at .. "&service=visit&practitioner=who-" .. (at %% 20 + 1)
    .. "&starts_at=" .. starts .. "&contact_preference=phone&new_patient=yes&consent_reply=true&utm_source=news"
    .. "&page_url=https%%3A%%2F%%2Fwww.example.com%%2F&submission_key=key" .. at)
end
"""


def main() -> None:
    """Run everything and print one line for each engine and number of connections."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, nargs="+", default=[16])
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
                open_the_clinic(url)
            compare(engine, urls, Path(folder), asked)


def open_the_clinic(url: str) -> None:
    """Twenty who give one service, day and night; the number in a slug is that of the row and of its calendar."""
    hours = tuple(WorkingHours("here", day, 0, 1440) for day in range(7))
    who = [Practitioner(f"who-{n}", f"Who {n}", "", (Offer("visit", "here"),), hours, ())
           for n in range(1, PRACTITIONERS + 1)]  # fmt: skip
    schema.upgrade(url)
    database = Database(url)
    with database.transaction() as db:
        catalog_loading.load(db, Catalog((WHERE,), (WHAT,), tuple(who), (), ()), now=datetime.now(UTC))
    database.close()


def compare(engine: str, urls: dict[str, str], folder: Path, asked: argparse.Namespace) -> None:
    """Both servers up at once, rounds in turn, medians and the median of the ratios."""
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    fresh = count(step=asked.seconds * 4000)  # more than anybody books in a round
    with ExitStack() as running:
        ports = {side: running.enter_context(capture.serving(side, url, folder))[0] for side, url in urls.items()}
        warm = next(fresh)
        for port in ports.values():
            capture.post(port, 1, 8, POST % (warm, int(tomorrow.timestamp())))
        for connections in asked.connections:
            results: dict[str, list[capture.Result]] = {"ours": [], "bare": []}
            for _ in range(asked.rounds):
                first = next(fresh)
                for side, port in ports.items():
                    script = POST % (first, int(tomorrow.timestamp()))
                    results[side].append(capture.post(port, asked.seconds, connections, script))
            capture.report(f"{engine} booking", connections, results)


if __name__ == "__main__":
    main()
