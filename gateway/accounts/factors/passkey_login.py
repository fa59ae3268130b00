"""Signing in with a passkey alone: possession and verification in one, so no second factor is asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from gateway.accounts.factors.factors import MFA
from gateway.accounts.factors.passkeys import Passkeys, Proof
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.config.accounts import Registration
from gateway.errors import LoginRefused, NotFound, PasskeyRefused

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who is signed in and confirms that it is still them. ``secret`` is their session's."""

    account_id: str
    secret: str


class PasskeyLogin:
    """Decides whether a passkey signs in; ``known`` is who has to, otherwise the passkey says who it is."""

    def __init__(self, passkeys: Passkeys, users: Users, registration: Registration) -> None:
        self._passkeys = passkeys
        self._users = users
        self._registration = registration

    async def options(self, browser: str, known: Known | None = None) -> dict[str, Any]:
        """Return what ``browser``, a secret that it holds, is asked. Raises NotFound when ``known`` has no passkey."""
        if known is None:
            return self._passkeys.login_options(browser)
        return await self._passkeys.confirmation_options(known.account_id, known.secret, user_verification=True)

    async def authenticate(
        self, browser: str, unverified: str, known: Known | None = None
    ) -> tuple[User, tuple[str, ...]]:
        """Return the user and the RFC 8176 names of what they proved. Raises LoginRefused."""
        try:
            proof = await self._prove(browser, unverified, known)
            user = await self._users.get(proof.account_id)
        except PasskeyRefused as error:
            _log.info("a passkey was refused: %s %r", error.reason, error.detail)
            raise LoginRefused("bad_passkey") from error
        except NotFound as error:  # deleted a moment ago
            raise LoginRefused("bad_passkey") from error
        if not user.is_active:
            raise LoginRefused("inactive")
        if self._registration.require_verified_email and not user.is_verified:
            raise LoginRefused("unverified")
        await self._users.logged_in(user.id)
        return user, (proof.method, MFA)

    async def _prove(self, browser: str, unverified: str, known: Known | None) -> Proof:
        if known is None:
            return await self._passkeys.login(browser, unverified)
        return await self._passkeys.confirm(known.account_id, known.secret, unverified, user_verification=True)
