"""Issuers whose tokens count beside our own: which one a token is of, and what it says if it is good.

Only this file decides by an unverified token whom to ask about it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.clock import Clock
from gateway.config.trusted_issuers import TrustedIssuer
from gateway.errors import AuthorityUnavailable, TokenRejected
from gateway.federation import foreign
from gateway.federation.discovery import Discoveries, IssuerUnknown
from gateway.federation.introspection import Introspection
from gateway.federation.kept import Unreadable
from gateway.federation.key_sets import KeyFile, KeySets, read_bounded
from gateway.federation.signatures import ForeignKey
from gateway.outbound import Door, FetchFailed, Reply, fetch_json, post_for_json
from gateway.tokens.jwt import audiences_of, check_times

_LARGEST_BYTES: Final = 256 * 1024
_DOTS: Final = 2
_BEARER_TYPES: Final = frozenset({"bearer", "jwt", "at+jwt", "access_token"})
# Keycloak, Hydra and Cognito say so of tokens that open nothing, and sign them with the same keys.
_NO_ACCESS: Final = frozenset({"id", "id_token", "refresh", "refresh_token", "offline", "logout"})


@dataclass(frozen=True, slots=True)
class Vouched:
    """What an issuer says of a token's owner, verified. ``asked`` tells that it was asked, and will be again soon."""

    issuer: TrustedIssuer
    claims: Mapping[str, Any]
    asked: bool


class Issuer:
    """One trusted issuer, with its keys and whatever else it publishes."""

    def __init__(self, settings: TrustedIssuer, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._file = KeyFile(settings.jwks_file) if settings.jwks_file is not None else None
        self._discoveries = Discoveries(clock, self._fetch)
        self._key_sets = KeySets(clock, self._fetch)
        self._expected = foreign.ForeignExpected(
            issuer=settings.issuer,
            audiences=frozenset(settings.audience),
            algorithms=frozenset(settings.algorithms),
            types=foreign.ACCESS_TYPES,
        )
        asked = settings.introspection
        self.introspection = (
            Introspection(asked, clock, self._send, internal=settings.allow_private) if asked is not None else None
        )

    async def verify(self, unverified_token: str) -> Vouched:
        """Return what a JWT of this issuer says. Raises TokenRejected, AuthorityUnavailable."""
        if self.settings.is_asked:
            return await self.ask(unverified_token)
        claims = await foreign.verify(unverified_token, self._expected, self._find, self._now())
        _hold_to_access(claims)
        return Vouched(self.settings, claims, asked=False)

    async def ask(self, unverified_token: str) -> Vouched:
        """Return what the issuer answers about a token. Raises TokenRejected, AuthorityUnavailable."""
        settings = self.settings.introspection
        if self.introspection is None or settings is None:
            raise TokenRejected("wrong_issuer")
        claims = await self.introspection.ask(unverified_token)
        if claims.get("iss", self.settings.issuer) != self.settings.issuer:
            raise TokenRejected("wrong_issuer")
        if ("aud" in claims or settings.require_audience) and self._expected.audiences.isdisjoint(
            each for each in audiences_of(claims) if isinstance(each, str)
        ):
            raise TokenRejected("wrong_audience")
        if str(claims.get("token_type", "bearer")).lower() not in _BEARER_TYPES:
            raise TokenRejected("wrong_type")
        # Section 2.2: exp is optional, and what is not over is not told when it will be.
        check_times({"exp": self._now() + 1, **claims}, foreign.LEEWAY_SECONDS, self._now())
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise TokenRejected("no_subject")
        _hold_to_access(claims)
        return Vouched(self.settings, claims, asked=True)

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._discoveries.stop()
        await self._key_sets.stop()
        if self.introspection is not None:
            await self.introspection.stop()

    async def _find(self, kid: str | None, algorithm: str) -> ForeignKey | None:
        if self._file is not None:
            return await self._file.find(kid, algorithm)
        internal, uri = self.settings.allow_private, await self._jwks_uri()
        found = await self._key_sets.find(uri, kid, algorithm, internal=internal)
        if found is None and not await self._key_sets.are_known(uri, internal=internal):
            raise AuthorityUnavailable(self.settings.issuer)
        return found

    async def _jwks_uri(self) -> str:
        if self.settings.jwks_url is not None:
            return self.settings.jwks_url
        try:
            metadata = await self._discoveries.of(
                self.settings.issuer, internal=self.settings.allow_private, url=self.settings.discovery_url
            )
        except IssuerUnknown as error:
            raise AuthorityUnavailable(self.settings.issuer) from error
        if metadata.jwks_uri is None:
            raise AuthorityUnavailable(self.settings.issuer)
        return metadata.jwks_uri

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _fetch(self, url: str, *, internal: bool) -> Any:
        headers = {}
        if self.settings.token_file is not None:
            if not url.startswith("https://"):
                raise FetchFailed("the bearer token is sent by https alone")
            headers["Authorization"] = f"Bearer {self._bearer_token()}"
        door = Door(headers, self._trusted())
        return await fetch_json(url, internal=internal, largest_bytes=_LARGEST_BYTES, door=door)

    async def _send(self, url: str, fields: Mapping[str, str], *, internal: bool, door: Door) -> Reply:
        return await post_for_json(url, fields, internal=internal, door=Door(door.headers, self._trusted()))

    def _trusted(self) -> ssl.SSLContext | None:
        """Return the authorities of the file as it is now: clusters renew theirs."""
        if self.settings.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise FetchFailed(f"{self.settings.ca_file} cannot be read: {type(error).__name__}") from error

    def _bearer_token(self) -> str:
        """Return the token of the file as it is now: it is renewed within the hour."""
        path = self.settings.token_file
        try:
            text = read_bounded(path).decode("ascii").strip() if path is not None else ""
        except (OSError, ValueError, Unreadable) as error:
            raise FetchFailed(f"{path} cannot be read: {type(error).__name__}") from error
        if not text.isprintable():
            raise FetchFailed(f"{path} holds no token")
        return text


class TrustedIssuers:
    """All of them."""

    def __init__(self, issuers: Sequence[TrustedIssuer], clock: Clock) -> None:
        known = [Issuer(settings, clock) for settings in issuers]
        self._by_name = {issuer.settings.issuer: issuer for issuer in known}
        asked = [(each.settings.introspection.token_prefix, each) for each in known if each.settings.introspection]
        # The longest first: one prefix may begin as another does.
        self._asked = sorted(asked, key=lambda each: len(each[0]), reverse=True)

    async def verify(self, unverified_token: str) -> Vouched | None:
        """Return what a token of a trusted issuer says; None for one that is of none of them.

        Raises TokenRejected, AuthorityUnavailable.
        """
        if not self._by_name:
            return None
        is_jwt = unverified_token.count(".") == _DOTS
        for prefix, issuer in self._asked:
            # What looks like a JWT is nobody's to see but its issuer's: it may be ours.
            if unverified_token.startswith(prefix) and (prefix or not is_jwt):
                return await issuer.ask(unverified_token)
        if not is_jwt:
            return None
        issuer_named = self._by_name.get(foreign.unverified_issuer(unverified_token))
        return await issuer_named.verify(unverified_token) if issuer_named is not None else None

    async def stop(self) -> None:
        """Give up what is being asked."""
        for issuer in self._by_name.values():
            await issuer.stop()


def _hold_to_access(claims: Mapping[str, Any]) -> None:
    """Hold off what is for something else, or worth nothing without a key that nobody has shown (RFC 7800)."""
    if any(str(claims.get(name, "")).lower() in _NO_ACCESS for name in ("typ", "token_use")):
        raise TokenRejected("wrong_type")
    if "cnf" in claims:
        raise TokenRejected("bound_to_a_key")
