"""Tokens that only their issuer can read: it is asked about each (RFC 7662)."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol
from urllib.parse import quote_plus

from gateway.clock import Clock
from gateway.config.trusted_issuers import Introspection as Settings
from gateway.errors import AuthorityUnavailable, TokenRejected
from gateway.outbound import Door, FetchFailed, Reply

_OK: Final = 200
_BAD_REQUEST: Final = 400
# A token that is none is asked about once in this time, however often it is presented.
_REFUSED_SECONDS: Final = 10.0
_MOST_REFUSED: Final = 10_000
_AT_ONCE: Final = 16
# Anybody can make up tokens: beyond these nobody waits.
_MOST_WAITING: Final = 256
_log: Final = logging.getLogger(__name__)


class Post(Protocol):
    """Sends a form. Raises FetchFailed."""

    def __call__(self, url: str, fields: Mapping[str, str], *, internal: bool, door: Door) -> Awaitable[Reply]: ...


class Introspection:
    """Asks one issuer, one question at a time about one token."""

    def __init__(self, settings: Settings, clock: Clock, post: Post, *, internal: bool) -> None:
        self._settings = settings
        self._clock = clock
        self._post = post
        self._internal = internal
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._asking: dict[bytes, asyncio.Task[Mapping[str, Any]]] = {}
        self._refused: OrderedDict[bytes, float] = OrderedDict()

    async def ask(self, unverified_token: str) -> Mapping[str, Any]:
        """Return what the issuer says of a token that it holds to be good.

        Raises TokenRejected for any other, AuthorityUnavailable when it does not answer.
        """
        digest = sha256(unverified_token.encode("utf-8", "surrogatepass")).digest()
        if self._refused.get(digest, 0.0) > self._clock.monotonic():
            raise TokenRejected("inactive")
        asking = self._asking.get(digest)
        if asking is None:
            if len(self._asking) >= _MOST_WAITING:
                raise AuthorityUnavailable("too many tokens are asked about")
            # A task of its own: whoever began it may go away, the others wait on.
            asking = asyncio.create_task(self._ask(unverified_token), name="introspection")
            self._asking[digest] = asking
            asking.add_done_callback(lambda task: self._done(digest, task))
        return await asyncio.shield(asking)

    async def stop(self) -> None:
        """Give up what is being asked."""
        asking = [*self._asking.values()]
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _done(self, digest: bytes, asking: asyncio.Task[Mapping[str, Any]]) -> None:
        del self._asking[digest]
        if asking.cancelled() or not isinstance(asking.exception(), TokenRejected):
            return
        self._refused[digest] = self._clock.monotonic() + _REFUSED_SECONDS
        self._refused.move_to_end(digest)
        while len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    async def _ask(self, unverified_token: str) -> Mapping[str, Any]:
        settings, door = self._settings, Door()
        fields = {"token": unverified_token, "token_type_hint": "access_token"}
        secret = settings.client_secret.get_secret_value() if settings.client_secret is not None else ""
        if settings.auth_method == "client_secret_post":
            fields |= {"client_id": settings.client_id, "client_secret": secret}
        else:
            # RFC 6749 section 2.3.1: each encoded as in a form, before they are joined.
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
            door = Door(headers={"Authorization": f"Basic {b64encode(pair.encode()).decode()}"})
        try:
            async with self._few:
                reply = await self._post(settings.url, fields, internal=self._internal, door=door)
        except FetchFailed as error:
            _log.warning("%s cannot be asked about a token: %s", settings.url, error)
            raise AuthorityUnavailable("introspection") from error
        if reply.status == _BAD_REQUEST:
            # Some say so of what is no token of theirs at all. All else of the request is always the same.
            raise TokenRejected("inactive")
        if reply.status != _OK or not isinstance(reply.document, Mapping):
            # 401 is about us, not about the token (section 2.3).
            _log.warning("%s answered %d when it was asked about a token", settings.url, reply.status)
            raise AuthorityUnavailable("introspection")
        if reply.document.get("active") is not True:
            raise TokenRejected("inactive")
        return reply.document
