"""Password hashes: bcrypt over a keyed digest, off the event loop and within bounds.

A stored hash is ``$gw1$`` followed by bcrypt's own string over ``base64(HMAC-SHA256(pepper, NFC(password)))``:
the digest makes every byte count (bcrypt stops at 72), the pepper makes a stolen table useless by itself.

No text longer than ``LONGEST_PASSWORD`` is normalized: that takes time by the square of its combining marks, and holds
every other thread up meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import bcrypt

from gateway.accounts.passwords.foreign import BCRYPT, matches_foreign
from gateway.config.accounts import PasswordSettings
from gateway.errors import FieldError, InvalidInput, Overloaded
from gateway.tokens.master_key import MasterKey
from gateway.translation.words import later

LONGEST_PASSWORD: Final = 1024  # characters
_SCHEME: Final = "$gw1$"
_BCRYPT_BYTES: Final = 72
_WAITING_PER_WORKER: Final = 8

Result = TypeVar("Result")


class PasswordHasher:
    """Hashes and verifies in threads of its own; a full queue is refused, not waited for."""

    def __init__(self, settings: PasswordSettings, master_key: MasterKey, workers: int | None = None) -> None:
        count = workers or max(1, (os.cpu_count() or 2) // 2)
        self._cost = settings.bcrypt_cost
        self._pepper = master_key.derive("password pepper")
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="bcrypt")
        self._limit = count * (1 + _WAITING_PER_WORKER)
        self._pending = 0
        # Checked for accounts that do not exist, so that they cost the same time.
        self._nobody = f"{_SCHEME}$2b${self._cost:02d}${'.' * 53}"

    async def hash(self, password: str) -> str:
        """Return what to store for ``password``. Raises Overloaded, and InvalidInput for one that is too long."""
        if len(password) > LONGEST_PASSWORD:
            raise InvalidInput(
                [FieldError("password", later("must have at most %(count)s characters"), {"count": LONGEST_PASSWORD})]
            )
        return await self.run(partial(self._hash, password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, bool]:
        """Return whether ``password`` is right, and whether it should be stored anew. Raises Overloaded.

        ``stored`` None stands for an account that does not exist or has no password: never right, same cost.
        """
        if len(password) > LONGEST_PASSWORD:
            password, stored = "", None
        right = await self.run(partial(self._verify, password, stored or self._nobody))
        right = right and stored is not None
        return right, right and self._outdated(stored or "")

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do what takes long in a thread of the hasher's. Raises Overloaded when too much waits already."""
        if self._pending >= self._limit:
            raise Overloaded
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1

    def _hash(self, password: str) -> str:
        return _SCHEME + bcrypt.hashpw(self._digest(password), bcrypt.gensalt(self._cost)).decode()

    def _verify(self, password: str, stored: str) -> bool:
        if self._matches(password, stored):
            return True
        if self._outdated(stored):
            # A cheap or damaged hash would be wrong sooner than an account that does not exist.
            self._matches(password, self._nobody)
        return False

    def _matches(self, password: str, stored: str) -> bool:
        try:
            if stored.startswith(_SCHEME):
                return bcrypt.checkpw(self._digest(password), stored.removeprefix(_SCHEME).encode())
            if stored.startswith(BCRYPT):
                # What made the hash cut the password there, too.
                return bcrypt.checkpw(_normal(password)[:_BCRYPT_BYTES], stored.encode())
        except ValueError:
            return False  # a damaged hash opens nothing
        return matches_foreign(unicodedata.normalize("NFC", password), stored)

    def _outdated(self, stored: str) -> bool:
        return not stored.startswith(f"{_SCHEME}$2b${self._cost:02d}$")

    def _digest(self, password: str) -> bytes:
        return base64.b64encode(hmac.digest(self._pepper, _normal(password), hashlib.sha256))


def _normal(password: str) -> bytes:
    """Return the same bytes however a keyboard composed the characters (RFC 8265 section 4.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
