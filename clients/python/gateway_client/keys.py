"""The gateway's keys (RFC 7517), kept for a quarter of an hour, and asked for anew in moderation.

An unknown kid asks at most once in half a minute, whoever makes them up. A gateway that is down keeps nobody out for
a day whose assertion is signed by a key that is known. One thread asks; those whose key is known do not wait for it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jwt import PyJWK, PyJWTError

from gateway_client.errors import KeysUnavailable

FRESH_SECONDS: Final = 900.0
STALE_SECONDS: Final = 86400.0
COOL_DOWN_SECONDS: Final = 30.0
# A gateway that starts after the application is noticed sooner.
FAILED_COOL_DOWN_SECONDS: Final = 5.0
_MOST_KEYS: Final = 100
# What the gateway signs by, and the keys for it: no algorithm here takes a secret, so no public key can be one.
ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "RS256": ("RSA", None),
}
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    keys: Mapping[str, PyJWK]
    read_at: float


class Keys:
    """Finds keys by kid; may be used by any number of threads."""

    def __init__(self, fetch: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: _Known | None = None
        self._ask_again_at = float("-inf")
        self._one_asks = threading.Lock()

    def find_known(self, kid: str) -> PyJWK | None:
        """Return the key, when that can be told without asking the gateway."""
        known = self._known
        if known is None or self._clock() - known.read_at >= FRESH_SECONDS:
            return None
        return known.keys.get(kid)

    def find(self, kid: str) -> PyJWK | None:
        """Return the key that ``kid`` names; None when the gateway has no such key. Raises KeysUnavailable.

        It blocks while the gateway is asked, where the key is not known yet.
        """
        if (fresh := self.find_known(kid)) is not None:
            return fresh
        old = self._usable().get(kid)
        if self._one_asks.acquire(blocking=old is None):
            try:
                # Whoever waited comes after an answer, which began a cool-down.
                if self._clock() >= self._ask_again_at:
                    self._ask()
            finally:
                self._one_asks.release()
        usable = self._usable()
        if not usable:
            raise KeysUnavailable("the gateway's keys are not known")
        return usable.get(kid)

    def _usable(self) -> Mapping[str, PyJWK]:
        known = self._known
        return {} if known is None or self._clock() - known.read_at >= STALE_SECONDS else known.keys

    def _ask(self) -> None:
        try:
            keys = keys_of(self._fetch())
        except KeysUnavailable as error:
            _log.warning("the gateway's keys cannot be had: %s", error)
            self._ask_again_at = self._clock() + FAILED_COOL_DOWN_SECONDS
            return
        self._known = _Known(keys, self._clock())
        self._ask_again_at = self._clock() + COOL_DOWN_SECONDS


def keys_of(content: bytes) -> Mapping[str, PyJWK]:
    """Return the keys of a set by their kids, each for one algorithm. Raises KeysUnavailable when there is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise KeysUnavailable("the set of keys is no JSON") from error
    published = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(published, list):
        raise KeysUnavailable("it is no set of keys")
    keys = {key["kid"]: usable for key in published[:_MOST_KEYS] if (usable := _usable_key(key)) is not None}
    if not keys:
        raise KeysUnavailable("the set holds no key that can be used")
    return keys


def _usable_key(key: Any) -> PyJWK | None:
    if not isinstance(key, dict) or not isinstance(key.get("kid"), str) or key.get("use", "sig") != "sig":
        return None
    algorithm = key.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        return None
    if (key.get("kty"), key.get("crv")) != ALGORITHMS[algorithm]:
        return None
    try:
        return PyJWK(key, algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError) as error:
        _log.warning("a key of the gateway's cannot be used: %s", type(error).__name__)
        return None
