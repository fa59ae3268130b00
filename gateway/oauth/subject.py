"""Who a token speaks of, as its client knows them (OpenID Connect Core 1.0 section 8)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

from gateway.oauth.state.client import Client
from gateway.tokens.master_key import MasterKey

_PURPOSE: Final = "pairwise subjects"
_SID_LENGTH: Final = 22


class Subjects:
    """Names accounts to clients: by their id, or pairwise by a name that no two sectors share."""

    def __init__(self, master_key: MasterKey) -> None:
        self._key = master_key.derive(_PURPOSE)

    def sub(self, client: Client, account_id: str) -> str:
        """Return the ``sub`` of an account for a client; stable, and of at most 255 ASCII characters."""
        if client.sector is None:
            return account_id
        message = b"\0".join((client.sector.encode(), account_id.encode()))
        return urlsafe_b64encode(hmac.digest(self._key, message, "sha256")).rstrip(b"=").decode()


def sid(login_id: str, client_id: str) -> str:
    """Return the name of a browser login for one client, which two clients cannot compare (Back-Channel Logout 2.1)."""
    digest = hashlib.sha256(b"\0".join((login_id.encode(), client_id.encode()))).digest()
    return urlsafe_b64encode(digest).decode()[:_SID_LENGTH]
