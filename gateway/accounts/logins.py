"""Logins as their owner knows them: a browser that signed in once, whatever hosts its sessions have reached since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.accounts.sessions import Session
from gateway.accounts.user_agent import browser_words


@dataclass(frozen=True, slots=True)
class ActiveLogin:
    """One login with good sessions. ``address`` and ``user_agent`` are those it was last noted with."""

    id: str
    hosts: tuple[str, ...]
    address: str
    user_agent: str
    methods: tuple[str, ...]
    authenticated_at: datetime
    seen_at: datetime
    expires_at: datetime

    @property
    def browser(self) -> str:
        return browser_words(self.user_agent)

    def document(self, current: str | None) -> dict[str, Any]:
        """Return the login as the JSON API shows one; ``current`` is the id of the caller's own, if they have one."""
        return {
            "id": self.id,
            "browser": self.browser,
            "user_agent": self.user_agent,
            "address": self.address,
            "hosts": list(self.hosts),
            "methods": list(self.methods),
            "authenticated_at": self.authenticated_at.isoformat(),
            "seen_at": self.seen_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "is_current": self.id == current,
        }


def logins_of(sessions: Iterable[Session]) -> list[ActiveLogin]:
    """Return the logins that sessions, the last seen first, belong to, in that order."""
    groups: dict[str, list[Session]] = {}
    for session in sessions:
        groups.setdefault(session.login_id, []).append(session)
    return [
        ActiveLogin(
            id=login_id,
            hosts=tuple(sorted({each.host for each in group})),
            address=group[0].address,
            user_agent=group[0].user_agent,
            methods=group[0].methods,
            authenticated_at=max(each.authenticated_at for each in group),
            seen_at=group[0].seen_at,
            expires_at=max(each.expires_at for each in group),
        )
        for login_id, group in groups.items()
    ]
