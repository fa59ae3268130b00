"""When sessions and API tokens were last used, noted in batches instead of per request."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.sessions import Sessions
from gateway.errors import StorageError
from gateway.identity.verified import Verified

_FLUSH_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Activity:
    """Collects ids and writes them every second, and once more at the end."""

    def __init__(self, sessions: Sessions, api_tokens: ApiTokens) -> None:
        self._sessions = sessions
        self._api_tokens = api_tokens
        self._seen: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    def note(self, verified: Verified) -> None:
        """Remember that a credential was used."""
        self._seen |= {each for each in verified.depends_on if each[0] in {"session", "api_token"}}

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="activity")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.flush()

    async def flush(self) -> None:
        """Write what was collected; kept for the next time when the database does not answer."""
        seen, self._seen = self._seen, set()
        try:
            if sessions := [key for topic, key in seen if topic == "session"]:
                await self._sessions.touch(sessions)
            if tokens := [key for topic, key in seen if topic == "api_token"]:
                await self._api_tokens.record_use(tokens)
        except StorageError as error:
            self._seen |= seen
            _log.warning("activity could not be noted: %s", error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            if self._seen:
                await self.flush()
