"""Secrets of clients: a prefix and a checksum, so that secret scanners find them, around more than 256 random bits."""

from __future__ import annotations

import secrets
import string
import zlib
from typing import Final

SECRET_PREFIX: Final = "gws_"  # noqa: S105 - what every secret begins with
REGISTRATION_PREFIX: Final = "gwr_"
_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 43  # 62**43 > 2**256
# Read out and typed by people: nothing that looks like something else.
_ID_ALPHABET: Final = "23456789abcdefghjkmnpqrstvwxyz"
_ID_GROUPS: Final = 4


def new_client_id() -> str:
    """Return a client_id that nobody has, such as ``k7fq-9w2m-hx3p-tz4b``."""
    return "-".join("".join(secrets.choice(_ID_ALPHABET) for _ in range(4)) for _ in range(_ID_GROUPS))


def new_secret(prefix: str = SECRET_PREFIX) -> str:
    """Return a new secret with its prefix and checksum."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return f"{prefix}{text}{_checksum(text)}"


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
