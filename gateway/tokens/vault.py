"""Private keys at rest."""

from __future__ import annotations

import json
from typing import Any, Final

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from gateway.errors import StartupError
from gateway.tokens.box import Box
from gateway.tokens.master_key import MasterKey

_PURPOSE: Final = "signing keys at rest"


class Vault:
    """Encrypts and decrypts private JWKs."""

    def __init__(self, master_key: MasterKey) -> None:
        self._box = Box(master_key, _PURPOSE)

    def seal(self, private: JWK) -> str:
        return self._box.seal(private.export_private())

    def open(self, sealed: str, kid: str) -> JWK:
        """Return the private JWK. Raises StartupError when it was sealed under another master key."""
        try:
            members: dict[str, Any] = json.loads(self._box.open(sealed))
            return JWK(**members)
        except (JWException, ValueError, TypeError) as error:
            raise StartupError(
                f"signing key {kid} cannot be decrypted: secret_key is not the one it was stored under; "
                "restore it, or sign with a new key after `gateway keys rotate`",
            ) from error
