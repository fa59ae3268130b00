"""Who is let in: the same for all frameworks. Nobody is, unless a verified assertion says so."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from gateway_client.assertions import Verifier
from gateway_client.errors import AssertionRejected, KeysUnavailable, Refused
from gateway_client.user import User

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = 503
# RFC 9110 section 11.6.1 wants a challenge with each 401. The gateway answers it, not the client.
_CHALLENGE: Final = {"WWW-Authenticate": 'Gateway-Assertion realm="application"'}
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """What stands before an application.

    ``anonymous`` lets requests without an assertion in, with no user; ``open_paths`` does for these paths alone, such
    as that of a health check. An assertion that is wrong is refused everywhere.
    """

    verifier: Verifier
    anonymous: bool = False
    open_paths: Collection[str] = ()

    def enter(self, unverified_fields: Sequence[str], path: str) -> User | None:
        """Return who asks, of all fields that carry the header's name. Raises Refused."""
        if not unverified_fields:
            self._let_nobody_in(path)
            return None
        try:
            return self.verifier.verify(_only(unverified_fields))
        except (AssertionRejected, KeysUnavailable) as error:
            raise _refused(error) from error

    async def enter_soon(self, unverified_fields: Sequence[str], path: str) -> User | None:
        """Do what ``enter`` does on an event loop."""
        if not unverified_fields:
            self._let_nobody_in(path)
            return None
        try:
            return await self.verifier.verify_soon(_only(unverified_fields))
        except (AssertionRejected, KeysUnavailable) as error:
            raise _refused(error) from error

    def _let_nobody_in(self, path: str) -> None:
        if not self.anonymous and path not in self.open_paths:
            raise _unauthenticated("The request did not come through the gateway.")


def check(user: User | None, *, roles: Collection[str] = (), scopes: Collection[str] = ()) -> User:
    """Return the user when there is one, with any of these roles and all of these scopes. Raises Refused.

    Scopes limit credentials that carry some; a person's own session carries none and is not limited.
    """
    for names in (roles, scopes):
        if isinstance(names, str):  # its letters would be taken for names
            raise TypeError("roles and scopes are lists of names")
    if user is None:
        raise _unauthenticated("Sign in first.")
    if roles and user.roles.isdisjoint(roles):
        raise Refused(_FORBIDDEN, "missing_role", "You do not have a role that this needs.")
    if user.scopes is not None and not user.scopes.issuperset(scopes):
        raise Refused(_FORBIDDEN, "missing_scope", "The credential's scopes do not reach this.")
    return user


def _only(unverified_fields: Sequence[str]) -> str:
    if len(unverified_fields) != 1:
        raise AssertionRejected("several_assertions")
    return unverified_fields[0]


def _refused(error: AssertionRejected | KeysUnavailable) -> Refused:
    # Why is for the log: whoever tries assertions out is told nothing.
    _log.warning("an assertion is refused: %s", error)
    if isinstance(error, KeysUnavailable):
        return Refused(_UNAVAILABLE, "unavailable", "Who you are cannot be told right now.", {"Retry-After": "5"})
    return _unauthenticated("The gateway's assertion is not valid.")


def _unauthenticated(detail: str) -> Refused:
    return Refused(_UNAUTHENTICATED, "unauthenticated", detail, _CHALLENGE)
