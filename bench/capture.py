"""How fast a post becomes a durable lead: ours against a bare Flask app that writes the same rows, side by side.

    python -m bench.capture [--seconds 5] [--rounds 3] [--connections 16 32]

Both run under the same server with as many threads and without the worker (`bench.messages` is about that), on SQLite
and on PostgreSQL, in alternated rounds; `wrk` posts. Only the ratios are worth quoting: machines are shared and noisy.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from booking.database import schema
from tests.postgres import TemporaryPostgres
from tests.service import free_port

THREADS = "8"
POST = """
local n, who = 0, "%s"
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Accept"] = "application/json"
request = function()
  n = n + 1
  return wrk.format(nil, "/leads", nil, "name=Ada+Example&email=ada" .. n .. "@example.com&phone=904-555-0134"
    .. "&message=My+back+has+hurt+since+Monday+" .. who .. n .. "&service=chiropractic-adjustment"
    .. "&preferred_times=mornings&contact_preference=phone&new_patient=yes&consent_reply=true&utm_source=news"
    .. "&page_url=https%%3A%%2F%%2Fwww.example.com%%2F"
    .. "&submission_key=" .. who .. n)
end
"""


@dataclass(frozen=True)
class Result:
    """One round: posts a second, the 99th percentile in ms, the slowest in ms, answers that were not 2xx."""

    rate: float
    p99: float
    slowest: float
    failed: int


def main() -> None:
    """Run everything and print one line for each engine and number of connections."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, nargs="+", default=[16, 32])
    asked = options.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk (Debian: apt-get install wrk).")
    with TemporaryPostgres(durable=True) as postgres, tempfile.TemporaryDirectory() as folder:
        for engine in ("sqlite", "postgresql"):
            urls = {
                side: postgres.create_database() if engine == "postgresql" else f"sqlite:///{folder}/{side}.db"
                for side in ("ours", "bare")
            }
            compare(engine, urls, Path(folder), asked)


def compare(engine: str, urls: dict[str, str], folder: Path, asked: argparse.Namespace) -> None:
    """Both servers up at once, rounds in turn, medians and the median of the ratios."""
    with ExitStack() as running:
        ports = {side: running.enter_context(serving(side, url, folder)) for side, url in urls.items()}
        for side, (port, _) in ports.items():
            post(port, 1, 8, fresh_leads(f"warm{side}"))
        for connections in asked.connections:
            results: dict[str, list[Result]] = {"ours": [], "bare": []}
            for turn in range(asked.rounds):
                for side, (port, _) in ports.items():
                    results[side].append(
                        post(port, asked.seconds, connections, fresh_leads(f"{side}{connections}t{turn}"))
                    )
            report(engine, connections, results)
        memory = {side: resident(pid) for side, (_, pid) in ports.items()}
        print(f"{engine}: memory ours {memory['ours']:.0f} MB, bare {memory['bare']:.0f} MB", flush=True)


@contextmanager
def serving(side: str, url: str, folder: Path) -> Iterator[tuple[int, int]]:
    """One of the two servers on a free port; yields the port and the process id."""
    schema.upgrade(url)
    port = free_port()
    environ = os.environ | {
        "BOOKING_DATA_DIR": str(folder / "data"),
        "BOOKING_DATABASE_URL": url,
        "BOOKING_BIND": f"127.0.0.1:{port}",
        "BOOKING_THREADS": THREADS,
    }
    ours = [str(Path(sys.executable).with_name("booking")), "serve", "--no-worker"]
    command = ours if side == "ours" else [sys.executable, "-m", "bench.bare", url, str(port), THREADS]
    with (folder / f"{side}.log").open("ab") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int) -> None:
    """Wait until something answers on `port`."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"Nothing answers on port {port}.")


def fresh_leads(who: str) -> str:
    """A script for wrk whose every post has a key and a text of its own."""
    return POST % f"{who}{time.time_ns()}"


def post(port: int, seconds: int, connections: int, posts: str) -> Result:
    """One round of posts by wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(posts)
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name]
        text = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True).stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    slowest = re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", text)
    return Result(
        float(found(r"Requests/sec:\s+([\d.]+)", text)),
        millis(found(r"(?m)^\s+99%\s+(\S+)", text)),
        millis(slowest[1]) if slowest else 0.0,
        int(failed[1]) if failed else 0,
    )


def found(pattern: str, text: str) -> str:
    """The first group of a pattern that must be there."""
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"wrk said something unexpected:\n{text}")
    return match[1]


def millis(text: str) -> float:
    """What wrk writes as `850.00us`, `3.20ms` or `1.10s`, in milliseconds."""
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def report(engine: str, connections: int, results: dict[str, list[Result]]) -> None:
    """One line: rates, p99, slowest, and the ratios taken round by round."""
    pairs = list(zip(results["ours"], results["bare"], strict=True))
    rate = statistics.median(ours.rate / bare.rate for ours, bare in pairs)
    p99 = statistics.median(ours.p99 / bare.p99 for ours, bare in pairs)
    middle = {
        side: tuple(statistics.median(getattr(one, what) for one in some) for what in ("rate", "p99", "slowest"))
        for side, some in results.items()
    }
    failed = {side: sum(one.failed for one in some) for side, some in results.items()}
    print(
        f"{engine} c={connections}: rate ratio {rate:.2f}, p99 ratio {p99:.2f} | "
        + " | ".join(
            f"{side} {r:.0f}/s p99 {p:.0f} ms slowest {s:.0f} ms, {failed[side]} failed"
            for side, (r, p, s) in middle.items()
        ),
        flush=True,
    )


def resident(pid: int) -> float:
    """The resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
