"""Static files: read once, sent packed, under addresses that change when any of them does."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request

FOLDER = Path(__file__).parent.parent / "static"
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_GOOD = "public, max-age=31536000, immutable"
FOR_AN_HOUR = "public, max-age=3600"  # an address that stays the same when its file changes


@dataclass(frozen=True)
class StaticFile:
    """A file of the folder as it is sent: plain, and packed for who accepts that."""

    kind: str
    plain: bytes
    packed: bytes
    etag: str


def register(app: Flask, folder: Path = FOLDER) -> None:
    """Serve the folder below `/static/`; `url_for("static", filename=...)` gives an address with its version.

    One version for the whole folder: scripts name each other, and must come from one and the same release.
    """
    files = _read(folder)
    version = hashlib.sha256("".join(file.etag for file in files.values()).encode()).hexdigest()[:12]

    def send(filename: str, version_asked: str = "") -> Response:
        if filename not in files:
            abort(404)
        return _answer(files[filename], FOR_GOOD if version_asked == version else FOR_AN_HOUR)

    @app.url_defaults
    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version_asked", version)

    app.add_url_rule("/static/<string(length=12):version_asked>/<path:filename>", "static", send)
    app.add_url_rule("/static/<path:filename>", "static_unversioned", send)


def _read(folder: Path) -> dict[str, StaticFile]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix in KINDS)
    return {path.relative_to(folder).as_posix(): _file(path) for path in paths}


def _file(path: Path) -> StaticFile:
    plain = path.read_bytes()
    digest = hashlib.sha256(plain).hexdigest()[:24]
    return StaticFile(KINDS[path.suffix], plain, gzip.compress(plain, mtime=0), digest)


def _answer(file: StaticFile, keep: str) -> Response:
    packs = request.accept_encodings["gzip"] > 0
    response = Response(file.packed if packs else file.plain, content_type=file.kind)
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = keep
    response.set_etag(f"{file.etag}-gzip" if packs else file.etag)
    response.make_conditional(request)
    return response
