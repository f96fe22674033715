"""The composition: what every command does before it does anything else."""

import os
import subprocess
import sys
from pathlib import Path

BOOKING = Path(sys.executable).with_name("booking")


def test_what_a_command_writes_is_its_owners_alone(tmp_path: Path) -> None:
    """The database, its keys and whatever lies beside it: all of it is about people's health."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {"BOOKING_ENV": "development", "BOOKING_DATA_DIR": str(tmp_path / "data")}
    subprocess.run([BOOKING, "migrate"], env=environ, cwd=tmp_path, check=True, umask=0o022, capture_output=True)
    written = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert written
    assert {path.name: path.stat().st_mode & 0o077 for path in [tmp_path / "data", *written]} == dict.fromkeys(
        (path.name for path in [tmp_path / "data", *written]), 0
    )
