"""Who a token of another issuer stands for. They have no account here: all that is known of them is in the token."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.clock import Clock
from gateway.config.trusted_issuers import TrustedIssuer
from gateway.errors import TokenRejected
from gateway.federation.claims import claim_at, email_of, is_plain, names_at, roles_by, scopes_of, text_at
from gateway.federation.foreign import LEEWAY_SECONDS
from gateway.federation.issuers import TrustedIssuers, Vouched
from gateway.identity.claims import shown
from gateway.identity.identity import ClaimValue, CredentialKind, Identity
from gateway.identity.presented import Presented
from gateway.identity.verified import KEPT_SECONDS, Verified, roles_of
from gateway.tokens.jwt import audiences_of

_NEVER: Final = datetime.fromtimestamp(0, UTC)
_LAST_SECOND: Final = 253402300799  # the last that datetime knows
_LONGEST_ASKED_SECONDS: Final = 3600.0
_LONGEST_SUBJECT: Final = 512
# What is said in fields of an identity, or is nobody's business but the token's.
_PROTOCOL: Final = frozenset(
    {"iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti", "auth_time", "amr", "scope", "scp", "active", "cnf"}
)
# RFC 1123 labels, as Kubernetes names namespaces and service accounts.
_ACCOUNT: Final = re.compile(r"system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})")


@dataclass(frozen=True, slots=True)
class Foreigners:
    """Authenticates tokens of trusted issuers. ``own_issuer`` is the audience of a route that names none."""

    issuers: TrustedIssuers
    own_issuer: str
    clock: Clock

    async def authenticate(self, presented: Presented) -> Verified | None:
        """Return who a token stands for, None for one of no trusted issuer.

        Raises TokenRejected, AuthorityUnavailable.
        """
        vouched = await self.issuers.verify(presented.unverified)
        if vouched is None:
            return None
        monotonic, left = self.clock.monotonic(), self._left_seconds(vouched)
        asked = vouched.issuer.introspection
        kept = asked.cache.total_seconds() if vouched.asked and asked is not None else KEPT_SECONDS
        return Verified(
            identity=self._identity(vouched),
            depends_on=frozenset({("issuer", vouched.issuer.issuer)}),
            expires_at=monotonic + min(kept, left, KEPT_SECONDS),
            ends_at=monotonic + left,
            consumed=frozenset({presented.header}),
        )

    def _left_seconds(self, vouched: Vouched) -> float:
        """Return how long the token is good; its issuer's clock may be a little behind ours."""
        expires = vouched.claims.get("exp")
        left = float(expires) + LEEWAY_SECONDS - self.clock.now().timestamp() if expires is not None else math.inf
        # What was taken back there shows when it is asked for again: nothing stays open for longer.
        return min(left, _LONGEST_ASKED_SECONDS) if vouched.asked else left

    def _identity(self, vouched: Vouched) -> Identity:
        issuer, claims = vouched.issuer, vouched.claims
        subject = str(claims["sub"])
        if not is_plain(subject, _LONGEST_SUBJECT):
            raise TokenRejected("no_subject")
        named = issuer.claims
        roles = roles_by(issuer.roles, claims) | frozenset(names_at(claims, named.roles) if named.roles else ())
        return Identity(
            user_id=f"{issuer.issuer}|{subject}",
            username=_username(issuer, claims),
            email=email_of(claims, named.email),
            name=text_at(claims, named.name),
            roles=roles_of(roles),
            kind=CredentialKind.BEARER,
            authenticated_at=_authenticated_at(claims) if issuer.trust_mfa else _NEVER,
            # None would be: not limited by scopes. Nobody has said that.
            scopes=scopes_of(claims, named.scopes),
            audiences=self._audiences(vouched),
            methods=names_at(claims, "amr") if issuer.trust_mfa else (),
            claims=_claims(issuer, claims),
            routes=frozenset(issuer.routes) if issuer.routes is not None else None,
            issuer=issuer.issuer,
        )

    def _audiences(self, vouched: Vouched) -> frozenset[str]:
        """Return what the token is for: its audiences that count, and routes that have none of their own."""
        named = {each for each in audiences_of(vouched.claims) if isinstance(each, str)}
        return frozenset(named & set(vouched.issuer.audience)) | {self.own_issuer}


def _username(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> str:
    """Return a name that no account has, for these have no colon, and nobody of another issuer."""
    if issuer.kubernetes:
        if not _ACCOUNT.fullmatch(str(claims["sub"])):
            raise TokenRejected("no_service_account")
        return f"{issuer.username_prefix or ''}{claims['sub']}"
    path = issuer.claims.username
    name = email_of(claims, path) if path in {"email", issuer.claims.email} else text_at(claims, path)
    if not name:
        raise TokenRejected("no_username")
    return issuer.prefix + name


def _claims(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> Mapping[str, ClaimValue]:
    if not issuer.kubernetes:
        return shown(claims, _PROTOCOL)
    account = _ACCOUNT.fullmatch(str(claims["sub"]))
    namespace, name = account.groups() if account is not None else ("", "")
    return {"namespace": namespace, "serviceaccount": name, "pod": text_at(claims, "kubernetes.io.pod.name")}


def _authenticated_at(claims: Mapping[str, Any]) -> datetime:
    """Return when its owner has signed in. A token is renewed without that, so its own age says nothing."""
    moment = claim_at(claims, "auth_time")
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment <= _LAST_SECOND:
        return _NEVER
    return datetime.fromtimestamp(int(moment), UTC)
