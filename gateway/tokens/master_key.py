"""The master key, and the keys derived from it: one for each purpose, so that none serves two."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES: Final = 32


class MasterKey:
    """A secret of at least 32 bytes. It never shows itself, and is only used to derive keys."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _KEY_BYTES:
            raise ValueError("a master key has at least 32 bytes")
        self._secret = secret

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for ``purpose`` (HKDF-SHA256, RFC 5869)."""
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"gateway " + purpose.encode()).derive(self._secret)

    def __repr__(self) -> str:
        return "MasterKey(...)"
