"""Who calls the API: by access token, API token or the portal's session."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.accounts.sessions import FRESH
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.errors import CredentialRejected, NotFound
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.resolver import Resolver
from gateway.identity.verified import Verified
from gateway.policy.challenge import step_up_header
from gateway.problem import Problem
from gateway.refusal import Refused, unauthenticated

_KINDS: Final = frozenset({CredentialKind.SESSION, CredentialKind.BEARER, CredentialKind.API_TOKEN})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What a token that is limited by scopes needs for this API.
SCOPE: Final = "gateway"


NOT_ALLOWED: Final = Problem(403, "forbidden", "This takes the role admin, or is another person's.")
NO_PERSON: Final = Problem(403, "no_person", "This is about a person's account, and the token stands for a program.")
CROSS_SITE: Final = Problem(403, "cross_site", "A page of another site cannot do this with your session.")
LACKS_SCOPE: Final = Problem(
    403,
    "insufficient_scope",
    f"The token needs the scope {SCOPE!r} for this.",
    # RFC 6750 section 3.1
    headers={"WWW-Authenticate": f'Bearer realm="gateway", error="insufficient_scope", scope="{SCOPE}"'},
)


STALE: Final = Problem(
    401,
    "step_up_required",
    "This takes a sign-in a short while ago.",
    headers={"WWW-Authenticate": step_up_header({"max_age": f"{FRESH.total_seconds():.0f}"})},
)
KEPT_ELSEWHERE: Final = Problem(
    403, "token_kept", "The token is kept to some routes or hosts: the gateway's own API is none of them."
)

FOREIGN: Final = Problem(
    403, "foreign_token", "The token is another issuer's: it opens routes, and nothing of the gateway's own."
)


class Callers:
    """Resolves callers and what they may do."""

    def __init__(
        self, resolver: Resolver, users: Users, public_host: str, public_origin: str, issuer: str, clock: Clock
    ) -> None:
        self._resolver = resolver
        self._users = users
        self._host = public_host
        self._origin = public_origin
        self._issuer = issuer
        self._clock = clock

    async def verified(self, request: web.Request) -> Verified:
        """Return who calls and may use all of this API with what they presented.

        Raises CredentialRejected for a bad credential, Refused for none, a forged request or too narrow a token.
        """
        verified = await self._recognised(request)
        scopes = verified.identity.scopes
        if scopes is not None and SCOPE not in scopes:
            raise Refused(LACKS_SCOPE)
        return _person(verified)

    async def myself(self, request: web.Request) -> Identity:
        """Return who calls, by any token of theirs: it says no more than every application is told.

        Raises as ``verified`` does, and Refused for a program that stands for itself.
        """
        return _person(await self._recognised(request)).identity

    async def identity(self, request: web.Request) -> Identity:
        """Return who calls. Raises as ``verified`` does."""
        return (await self.verified(request)).identity

    async def admin(self, request: web.Request) -> Identity:
        """Return the administrator who calls. Raises Refused for anybody else, and as ``require_fresh``."""
        verified = await self.verified(request)
        if not verified.identity.is_admin:
            raise Refused(NOT_ALLOWED)
        if request.method not in _SAFE:
            self.require_fresh(verified)
        return verified.identity

    def require_fresh(self, verified: Verified) -> None:
        """Raise Refused for a session whose sign-in is a while ago: the pages ask such a browser to confirm, too.

        Whoever finds one open must not change what keeps them out. A token was taken by a program for its owner.
        """
        signed_in_at = verified.identity.authenticated_at
        if verified.kind is CredentialKind.SESSION and self._clock.now() - signed_in_at > FRESH:
            raise Refused(STALE)

    async def owner_of(self, request: web.Request, reference: str) -> tuple[Identity, User]:
        """Return who calls, and the user they name: themselves, or anyone for an administrator.

        Raises Refused for another person's account, whether or not it exists.
        """
        verified, user = await self.named(request, reference)
        return verified.identity, user

    async def named(self, request: web.Request, reference: str) -> tuple[Verified, User]:
        """Return with what somebody calls, and the user they name. Raises as ``owner_of`` does."""
        verified = await self.verified(request)
        identity = verified.identity
        if reference in {"me", identity.user_id, identity.username}:
            reference = identity.user_id
        elif not identity.is_admin:
            raise Refused(NOT_ALLOWED)
        user = await self._users.find(reference)
        if user is None:
            raise NotFound("no such user")
        return verified, user

    async def _recognised(self, request: web.Request) -> Verified:
        verified = await self._resolver.resolve(request.headers, _KINDS, self._host)
        if verified is None:
            raise Refused(unauthenticated(_KINDS))
        if verified.identity.issuer:
            # Whatever roles it gives somebody there, nobody becomes an administrator here by them.
            raise Refused(FOREIGN)
        audiences = verified.identity.audiences
        if audiences is not None and self._issuer not in audiences:
            raise CredentialRejected("wrong_audience")
        if verified.identity.is_kept:
            # It could make a token that is not, or read what its owner has elsewhere.
            raise Refused(KEPT_ELSEWHERE)
        if verified.kind is CredentialKind.SESSION and request.method not in _SAFE:
            self._refuse_cross_site(request)
        return verified

    def _refuse_cross_site(self, request: web.Request) -> None:
        """Hold off other sites' forms and scripts: a browser says where a request comes from."""
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site")
        if origin not in {None, self._origin} or site not in {None, "same-origin", "none"}:
            raise Refused(CROSS_SITE)


def _person(verified: Verified) -> Verified:
    """Return who has an account. Raises Refused for a client that stands for itself."""
    identity = verified.identity
    if identity.client_id and identity.user_id == identity.client_id:
        raise Refused(NO_PERSON)
    return verified
