"""Name and password from the application itself (RFC 6749 section 4.3): for the few clients that were given it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import grants

from gateway.accounts.factors.factors import Step
from gateway.accounts.user import User
from gateway.errors import LoginRefused, TooManyAttempts
from gateway.oauth.bridge import await_
from gateway.oauth.client_authentication import METHODS
from gateway.oauth.grants.grant import Grant
from gateway.oauth.problem import OAuthError
from gateway.oauth.scopes import OFFLINE
from gateway.oauth.state.families import Granted
from gateway.policy.challenge import ONE_FACTOR


class Password(Grant, grants.ResourceOwnerPasswordCredentialsGrant):
    """Gives tokens for a name and a password, counted and slowed down as every login is."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def authenticate_user(self, username: str, password: str) -> User:
        """Return whose password this is. Raises OAuthError invalid_grant that does not tell what was wrong."""
        try:
            user = await_(self.parts.password_login.authenticate(username, password, self.request.address))
        except TooManyAttempts:
            raise
        except LoginRefused as error:
            raise OAuthError("invalid_grant", "Name or password is wrong, or the account may not sign in.") from error
        if await_(self.parts.second_factors.next_step(user)) is not Step.NOTHING:
            raise OAuthError(
                "invalid_grant", "The account has, or needs, a second factor, which this grant cannot ask for."
            )
        return user

    def generate_token(self, *, user: User, scope: str | None = None, **_: object) -> dict[str, Any]:
        """Begin a family of the person's, without any browser's login."""
        parts, client, parameters = self.parts, self.registered, self.request.parameters
        parts.old_grants.note("password", client.id)
        scopes = parts.scopes.allowed(client, scope)
        now = parts.clock.now()
        granted = Granted(
            account_id=user.id,
            client_id=client.id,
            scopes=scopes,
            authenticated_at=now,
            methods=("pwd",),
            expires_at=now + timedelta(seconds=client.seconds("refresh_token_lifetime", parts.refresh_lifetime)),
            resources=parts.audiences.requested(client, parameters.all("resource")),
            acr=ONE_FACTOR,
            offline=OFFLINE in scopes,
        )
        family = await_(parts.families.start(granted))
        if family is None:
            raise OAuthError("invalid_grant", "The account may not sign in.")
        return self.tokens_of(family)
