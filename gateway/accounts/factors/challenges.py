"""Challenges for passkeys to sign: good once, for a while, for one purpose, in the browser that asked for them.

A challenge carries its end and a MAC over what it is good for, so that asking for one (every login page does) stores
nothing. Only one that comes back is remembered, until it would have ended anyway.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from enum import Enum
from hashlib import sha256
from typing import Final

from gateway.clock import Clock
from gateway.errors import PasskeyRefused
from gateway.storage.database import Executor
from gateway.storage.statements import statements
from gateway.tokens.master_key import MasterKey

LIFETIME: Final = timedelta(minutes=10)
_NONCE_BYTES: Final = 16
_END_BYTES: Final = 8
_LENGTH: Final = _END_BYTES + _NONCE_BYTES + sha256().digest_size
_SQL: Final = statements("passkey")


class Purpose(Enum):
    """What a signature is for; one for another purpose is worth nothing."""

    REGISTER = "register"
    LOGIN = "login"
    CONFIRM = "confirm"
    CONFIRM_VERIFIED = "confirm verified"


class Challenges:
    """Makes challenges and takes each back once."""

    def __init__(self, master_key: MasterKey, clock: Clock) -> None:
        self._key = master_key.derive("passkey challenges")
        self._clock = clock

    def make(self, purpose: Purpose, account_id: str, binding: str) -> bytes:
        """Return a challenge. ``binding`` is a secret that the same browser holds; ``account_id`` may be empty."""
        ends_at = int((self._clock.now() + LIFETIME).timestamp())
        head = ends_at.to_bytes(_END_BYTES, "big") + secrets.token_bytes(_NONCE_BYTES)
        return head + self._mac(head, purpose, account_id, binding)

    def check(self, unverified: bytes, purpose: Purpose, account_id: str, binding: str) -> None:
        """Raise PasskeyRefused for a challenge that is not ours, not for this, or over."""
        head, mac = unverified[: -sha256().digest_size], unverified[-sha256().digest_size :]
        expected = self._mac(head, purpose, account_id, binding)
        if len(unverified) != _LENGTH or not hmac.compare_digest(mac, expected):
            raise PasskeyRefused("challenge")
        ends_at = int.from_bytes(head[:_END_BYTES], "big")
        if ends_at <= self._clock.now().timestamp():
            raise PasskeyRefused("challenge_expired")

    async def take(
        self, unverified: bytes, purpose: Purpose, account_id: str, binding: str, connection: Executor
    ) -> None:
        """Use a challenge up. Raises PasskeyRefused as `check` does, and for one that was used before."""
        self.check(unverified, purpose, account_id, binding)
        # Remembered a little longer than it is good for: clocks of several gateways may differ.
        forget_at = self._clock.now() + 2 * LIFETIME
        used = await connection.execute(_SQL["use_challenge"], sha256(unverified).digest(), forget_at)
        if not used:
            raise PasskeyRefused("challenge_used")

    def _mac(self, head: bytes, purpose: Purpose, account_id: str, binding: str) -> bytes:
        parts = (head, purpose.value.encode(), account_id.encode(), sha256(binding.encode()).digest())
        return hmac.digest(self._key, b"\0".join(parts), sha256)
