"""Codes to be written down, for the day when the phone is gone: ten, shown once, each good once."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from gateway.clock import Clock
from gateway.storage.database import Database, Executor
from gateway.storage.statements import statements
from gateway.tokens.master_key import MasterKey

COUNT: Final = 10
# Without what people take for each other: 0 and o, 1, i and l. Nearly 50 bits: more than anybody guesses here.
_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"
_LENGTH: Final = 10
_SQL: Final = statements("second_factor")


class RecoveryCodes:
    """Makes codes and takes them. Stored are MACs under the master key: the codes are short."""

    def __init__(self, database: Database, master_key: MasterKey, clock: Clock) -> None:
        self._database = database
        self._key = master_key.derive("recovery codes")
        self._clock = clock

    async def renew(self, account_id: str, connection: Executor) -> Sequence[str]:
        """Return new codes; those from before are void."""
        codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(COUNT)]
        await connection.execute(_SQL["drop_recovery_codes"], UUID(account_id))
        macs = [self._mac(account_id, code) for code in codes]
        await connection.execute(_SQL["add_recovery_codes"], UUID(account_id), macs, self._clock.now())
        return [f"{code[:5]}-{code[5:]}" for code in codes]

    async def use(self, account_id: str, typed: str) -> bool:
        """Take a code, however it is spelt. Returns False for one that is none, or was used."""
        code = typed.strip().lower().replace("-", "").replace(" ", "")
        if len(code) != _LENGTH:
            return False
        mac = self._mac(account_id, code)
        used = await self._database.execute(_SQL["use_recovery_code"], UUID(account_id), mac, self._clock.now())
        return bool(used)

    def _mac(self, account_id: str, code: str) -> bytes:
        return hmac.digest(self._key, f"{account_id}\0{code}".encode("utf-8", "surrogatepass"), sha256)
