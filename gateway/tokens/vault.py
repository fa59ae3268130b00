"""Private keys at rest: each is a JWE under a key derived from the master key."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from jwcrypto import jwe
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from gateway.errors import StartupError
from gateway.tokens.master_key import MasterKey

_PURPOSE: Final = "signing keys at rest"
_HEADER: Final = {"alg": "dir", "enc": "A256GCM"}


class Vault:
    """Encrypts and decrypts private JWKs (RFC 7516, direct encryption with A256GCM)."""

    def __init__(self, master_key: MasterKey) -> None:
        encoded = base64.urlsafe_b64encode(master_key.derive(_PURPOSE)).rstrip(b"=").decode()
        self._key = JWK(kty="oct", k=encoded)

    def seal(self, private: JWK) -> str:
        token = jwe.JWE(private.export_private(), json.dumps(_HEADER))
        token.add_recipient(self._key)
        sealed: str = token.serialize(compact=True)
        return sealed

    def open(self, sealed: str, kid: str) -> JWK:
        """Return the private JWK. Raises StartupError when it was sealed under another master key."""
        token = jwe.JWE(algs=[_HEADER["alg"], _HEADER["enc"]])
        try:
            token.deserialize(sealed, self._key)
            members: dict[str, Any] = json.loads(token.payload)
            return JWK(**members)
        except (JWException, ValueError, TypeError) as error:
            raise StartupError(
                f"signing key {kid} cannot be decrypted: secret_key is not the one it was stored under; "
                "restore it, or sign with a new key after `gateway keys rotate`",
            ) from error
