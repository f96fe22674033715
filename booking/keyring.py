"""The keys: health text is sealed with them at rest, and digests let equal things meet without being read."""

import base64
import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = 1
NONCE_BYTES = 12
DIGEST_BYTES = 16
TOKEN_BYTES = 32


class Unreadable(Exception):
    """A sealed text cannot be opened: its key is gone, or it was changed or moved to another row."""


class Keyring:
    """A ring of numbered AES-256-GCM keys, the first of which seals; all of them open.

    A sealed text is `format byte, key number, nonce, ciphertext`, bound to the place it was written for
    (`table.column` and row id), so that a ciphertext copied to another row does not open there.
    """

    def __init__(self, keys: Sequence[tuple[int, bytes]], secret: str) -> None:
        self.active = keys[0][0]
        self._ciphers = {number: AESGCM(key) for number, key in keys}
        self._secret = hashlib.blake2b(secret.encode(), person=b"booking digests").digest()  # 64 bytes

    def seal(self, text: str, place: str, row: object) -> bytes:
        """Encrypt `text` for one row of `place` ("table.column")."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self.active].encrypt(nonce, text.encode(), _bound(place, row))
        return bytes((FORMAT, self.active)) + nonce + sealed

    def open(self, sealed: bytes, place: str, row: object) -> str:
        """Decrypt what `seal` made for the same place and row; raises Unreadable."""
        cipher = self._ciphers.get(key_number(sealed))
        if cipher is None or sealed[0] != FORMAT:
            raise Unreadable(f"{place} of row {row} was sealed with key {key_number(sealed)}, which is not on the ring")
        nonce, body = sealed[2 : 2 + NONCE_BYTES], sealed[2 + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, _bound(place, row)).decode()
        except (InvalidTag, ValueError):
            raise Unreadable(f"{place} of row {row} was changed or moved") from None

    def token(self, label: str, *parts: str) -> str:
        """An unguessable token (256 bits, URL-safe) that the same `parts` give again: nothing need keep it."""
        mac = hashlib.blake2b(label.encode(), key=self._secret, digest_size=TOKEN_BYTES, person=b"booking tokens")
        mac.update("\0".join(parts).encode())
        return base64.urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()

    def digest(self, label: str, *parts: str) -> bytes:
        """A keyed digest (16 bytes) of `parts`: equal for equal parts under one label, else unguessable."""
        mac = hashlib.blake2b(label.encode(), key=self._secret, digest_size=DIGEST_BYTES)
        for part in parts:
            # surrogatepass: a digest is taken before anything is validated, and must never be what fails
            encoded = part.encode("utf-8", "surrogatepass")
            mac.update(b"\0%d\0%b" % (len(encoded), encoded))
        return mac.digest()


def key_number(sealed: bytes) -> int:
    """The number of the key a text was sealed with."""
    return sealed[1] if len(sealed) > 1 else 0


def _bound(place: str, row: object) -> bytes:
    return f"{place}:{row}".encode()
