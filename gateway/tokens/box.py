"""Secrets at rest: each is a JWE under a key derived from the master key (RFC 7516, direct encryption with A256GCM)."""

from __future__ import annotations

import base64
import json
from typing import Final

from jwcrypto import jwe
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from gateway.tokens.master_key import MasterKey

_HEADER: Final = {"alg": "dir", "enc": "A256GCM"}


class Box:
    """Encrypts and decrypts for one purpose; what was sealed for another does not open."""

    def __init__(self, master_key: MasterKey, purpose: str) -> None:
        encoded = base64.urlsafe_b64encode(master_key.derive(purpose)).rstrip(b"=").decode()
        self._key = JWK(kty="oct", k=encoded)

    def seal(self, text: str) -> str:
        token = jwe.JWE(text.encode(), json.dumps(_HEADER))
        token.add_recipient(self._key)
        sealed: str = token.serialize(compact=True)
        return sealed

    def open(self, sealed: str) -> str:
        """Return what was sealed. Raises ValueError when that was under another key, or has been changed."""
        token = jwe.JWE(algs=[_HEADER["alg"], _HEADER["enc"]])
        try:
            token.deserialize(sealed, self._key)
            payload: bytes = token.payload
            return payload.decode()
        except (JWException, ValueError, TypeError) as error:
            raise ValueError("sealed under another key, or changed") from error
