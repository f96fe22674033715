"""References: short public names of leads, random, that say nothing and open nothing."""

import re
import secrets

# Without 0/O, 1/I/L, U and V: a reference is read out over the phone.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTWXYZ"


def make(prefix: str) -> str:
    """A fresh reference such as `SV-7K4Q-92`; uniqueness is the database's to refuse."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(6))
    return f"{prefix}-{letters[:4]}-{letters[4:]}"


def is_wellformed(text: str, prefix: str) -> bool:
    """Whether `text` could be one of ours."""
    return re.fullmatch(rf"{re.escape(prefix)}-[{ALPHABET}]{{4}}-[{ALPHABET}]{{2}}", text) is not None
