"""Telling clients that a login is over (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.oauth.issuing import id_token_algorithm
from gateway.oauth.state.client import Client
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.logout_notices import LogoutNotice, LogoutNotices
from gateway.oauth.subject import Subjects, sid
from gateway.outbound import FetchFailed, post_form
from gateway.storage.events import EventFeed
from gateway.tokens.keys import SigningKeys

LOGOUT_TOKEN_TYPE: Final = "logout+jwt"  # noqa: S105 - the name of a type, not a secret
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
TOPIC: Final = "logout"  # published where a notice is written
_LIFETIME: Final = timedelta(minutes=2)  # section 2.4 advises no more
_MOST_ATTEMPTS: Final = 6
_AT_ONCE: Final = 20
_LOOKS_EVERY_SECONDS: Final = 30.0
_SOONEST_SECONDS: Final = 0.05
_TOLD: Final = frozenset({200, 204})  # section 2.8; libraries answer without a body as well
_log: Final = logging.getLogger(__name__)

Post = Callable[..., Awaitable[int]]


class BackChannel:
    """Delivers logout tokens. One task of the program; any process of a fleet delivers any notice."""

    def __init__(
        self,
        notices: LogoutNotices,
        clients: Clients,
        keys: SigningKeys,
        subjects: Subjects,
        *,
        issuer: str,
        feed: EventFeed | None,
        clock: Clock,
        post: Post = post_form,
    ) -> None:
        self._notices = notices
        self._clients = clients
        self._keys = keys
        self._subjects = subjects
        self._issuer = issuer
        self._clock = clock
        self._post = post
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if feed is not None:
            feed.subscribe(self._on_event, self._wake.set)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="back-channel logout")

    async def stop(self) -> None:
        """End the task. What it was about to tell is told later, by whoever comes by."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def deliver(self) -> int:
        """Tell what is due. Returns how many clients were asked to hear of it."""
        notices = await self._notices.take(_AT_ONCE)
        await asyncio.gather(*(self._tell(notice) for notice in notices))
        return len(notices)

    def _on_event(self, topic: str, _key: str) -> None:
        if topic == TOPIC:
            self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = 0.0 if await self.deliver() else await self._notices.next_due_seconds()
            except GatewayError as error:
                _log.warning("back-channel logouts could not be read: %s", error)
                wait = _LOOKS_EVERY_SECONDS
            seconds = _LOOKS_EVERY_SECONDS if wait is None else min(max(wait, _SOONEST_SECONDS), _LOOKS_EVERY_SECONDS)
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                continue

    async def _tell(self, notice: LogoutNotice) -> None:
        client = await self._clients.find(notice.client_id)
        uri = None if client is None else client.metadata.get("backchannel_logout_uri")
        if client is None or uri is None:
            await self._notices.done(notice)
            return
        try:
            await self._keys.prepare(id_token_algorithm(client))
            token = self._logout_token(client, notice)
            # What an administrator registered may be on their own network; others choose public addresses only.
            status = await self._post(str(uri), {"logout_token": token}, internal=client.is_operators)
        except FetchFailed as error:
            status, reason = 0, str(error)
        else:
            reason = f"it answered {status}"
        if status in _TOLD:
            await self._notices.done(notice)
        elif notice.attempts >= _MOST_ATTEMPTS:
            _log.warning("client %s was not told of a logout: %s; it is given up", client.id, reason)
            await self._notices.done(notice)

    def _logout_token(self, client: Client, notice: LogoutNotice) -> str:
        """Return the token that says whose login ended (section 2.4); never with a nonce."""
        now = int(self._clock.now().timestamp())
        claims: Mapping[str, Any] = {
            "iss": self._issuer,
            "aud": client.id,
            "sub": self._subjects.sub(client, notice.account_id),
            "sid": sid(notice.login_id, client.id),
            "iat": now,
            "exp": now + int(_LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(16),
            "events": {EVENT: {}},
        }
        return self._keys.sign(claims, LOGOUT_TOKEN_TYPE, id_token_algorithm(client))
