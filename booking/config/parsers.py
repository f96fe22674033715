"""Parsers: from what somebody writes in a setting to its value; each raises ValueError in words for them."""

import base64
import ipaddress
import re
from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

SHORTEST_SECRET = 32
KEY_BYTES = 32
HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
MAIL_ADDRESS = re.compile(r"[^\s@,<>\x00-\x20]+@[^\s@,<>\x00-\x20]+")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in {choice.lower() for choice in choices}:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return next(choice for choice in choices if choice.lower() == text.lower())

    return parse


def number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port, e.g. 127.0.0.1:8000")
    if host != "localhost":
        ipaddress.ip_address(host)
    return host, int(port)


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def origins(text: str) -> tuple[str, ...]:
    origins = words(text)
    for origin in origins:
        parts = urlsplit(origin)
        if (
            parts.scheme not in {"http", "https"}
            or not HOST.fullmatch(parts.netloc)
            or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            raise ValueError(f"{origin!r} is not an origin such as https://www.example.com (no path, no wildcard)")
    return origins


def url(text: str) -> str:
    if text and (urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname):
        raise ValueError("must be an http:// or https:// address")
    return text.rstrip("/")


def database(text: str) -> str:
    if text and not text.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("must begin with postgresql+psycopg:// or sqlite:///")
    return text


def secret(text: str) -> str:
    if text and (len(text) < SHORTEST_SECRET or len(set(text)) < 10):
        raise ValueError(f"too weak; use at least {SHORTEST_SECRET} random characters")
    return text


def keys(text: str) -> tuple[tuple[int, bytes], ...]:
    keys = []
    for word in words(text):
        number, _, encoded = word.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if not number.isdigit() or not 1 <= int(number) <= 255 or len(key) != KEY_BYTES or len(set(key)) < 8:
            raise ValueError("must be number:key pairs, number 1 to 255, key 32 random bytes in base64; newest first")
        keys.append((int(number), key))
    if len({number for number, _ in keys}) != len(keys):
        raise ValueError("two keys have the same number")
    return tuple(keys)


def mail(text: str) -> str:
    """Where letters go."""
    scheme = urlsplit(text).scheme
    if scheme not in {"file", "smtp", "smtps"} or (scheme != "file" and not urlsplit(text).hostname):
        raise ValueError("must be file: or smtp://host:port or smtps://host:port")
    return text


def sender(text: str) -> str:
    """One mail address, perhaps with a name before it."""
    if text and not _is_mail_address(parseaddr(text)[1]):
        raise ValueError("must be an address such as desk@example.com or Front desk <desk@example.com>")
    return text


def mail_addresses(text: str) -> tuple[str, ...]:
    """Mail addresses with commas between them."""
    found = words(text)
    for address in found:
        if not _is_mail_address(address):
            raise ValueError(f"{address!r} is not a mail address")
    return found


def sms(text: str) -> str:
    """Who carries texts."""
    if text and not text.startswith("twilio://"):
        raise ValueError("must be twilio://ACCOUNT:TOKEN@SENDER")
    return text


def file(text: str) -> Path | None:
    if text and not Path(text).is_file():
        raise ValueError("there is no such file")
    return Path(text) if text else None


def _is_mail_address(text: str) -> bool:
    return MAIL_ADDRESS.fullmatch(text) is not None
