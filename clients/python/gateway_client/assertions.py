"""Verifies what the gateway says of who asks. Only this file decides whether an assertion is believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urljoin

import jwt
from jwt.types import Options

from gateway_client.errors import AssertionRejected
from gateway_client.fetch import fetch, is_safe
from gateway_client.keys import ALGORITHMS, Keys
from gateway_client.user import User, user_of

HEADER: Final = "X-Gateway-Assertion"
_TYPE: Final = "gateway-assertion+jwt"
_LONGEST: Final = 16 * 1024
# What the gateway writes, and all of it: jwk, jku, x5u, x5c and crit ask to be believed by other rules.
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
_OPTIONS: Final[Options] = {
    "require": ["exp", "iat", "iss", "aud", "sub"],
    "verify_signature": True,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": True,
    "verify_iss": True,
    "strict_aud": True,
}
_REASONS: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not_yet_valid",
    jwt.InvalidAudienceError: "wrong_audience",
    jwt.InvalidIssuerError: "wrong_issuer",
    jwt.MissingRequiredClaimError: "missing_claim",
    jwt.InvalidSignatureError: "bad_signature",
}


class Verifier:
    """Knows one gateway and the name that it has for this application."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        keys_url: str = "",
        keys_host: str = "",
        allow_http: bool = False,
        leeway_seconds: int = 30,
        timeout_seconds: float = 5.0,
        tls: ssl.SSLContext | None = None,
        keys: Keys | None = None,
    ) -> None:
        """``issuer`` is the gateway's ``public_url`` with its prefix, ``audience`` that of ``identity.assertion``.

        ``keys_url`` is where the keys are asked for, if not on the issuer's host, and ``keys_host`` the Host that is
        asked for there, if not that of ``keys_url``: the gateway tells its keys on its public host alone.
        ``allow_http`` lets it be plain HTTP to another machine: only where nobody else reaches the network between.
        ``leeway_seconds`` is how far the clocks of the two machines may be apart. ``tls`` is for a certification
        authority of one's own.
        """
        if not issuer or not audience:
            raise ValueError("issuer and audience are required: without them anybody's assertion would do")
        self.audience = audience
        self._issuer = issuer
        self._leeway_seconds = leeway_seconds
        # Well-known addresses are a host's (RFC 8615), so a prefix is no part of it.
        keys_url = keys_url or urljoin(issuer, "/.well-known/jwks.json")
        if not allow_http and not is_safe(keys_url):
            raise ValueError(f"{keys_url} is neither https nor on this machine; allow_http=True lets it be")
        self._keys = keys or Keys(partial(fetch, keys_url, timeout_seconds, tls, keys_host))

    def verify(self, unverified_assertion: str) -> User:
        """Return who asks. It may block while the keys are asked for. Raises AssertionRejected, KeysUnavailable."""
        kid, algorithm = _header(unverified_assertion)
        key = self._keys.find(kid)
        if key is None:
            raise AssertionRejected("unknown_key")
        # RFC 8725 section 3.1: a key is good for one algorithm, which the key decides.
        if key.algorithm_name != algorithm:
            raise AssertionRejected("wrong_algorithm")
        return user_of(self._claims(unverified_assertion, key))

    async def verify_soon(self, unverified_assertion: str) -> User:
        """Do what ``verify`` does on an event loop: where it could block, it is done in another thread."""
        if self._keys.find_known(_header(unverified_assertion)[0]) is not None:
            return self.verify(unverified_assertion)
        return await asyncio.to_thread(self.verify, unverified_assertion)

    def _claims(self, unverified_assertion: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                unverified_assertion,
                key,
                algorithms=[key.algorithm_name],
                audience=self.audience,
                issuer=self._issuer,
                leeway=self._leeway_seconds,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise AssertionRejected(_REASONS.get(type(error), "malformed")) from error


def _header(unverified_assertion: str) -> tuple[str, str]:
    """Return kid and algorithm of a header that asks for nothing odd. Raises AssertionRejected."""
    if len(unverified_assertion) > _LONGEST:
        raise AssertionRejected("malformed")
    try:
        header = jwt.get_unverified_header(unverified_assertion)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise AssertionRejected("malformed") from error
    if header.keys() != _HEADER_MEMBERS:
        raise AssertionRejected("unexpected_header")
    kid, algorithm, typ = header["kid"], header["alg"], header["typ"]
    if not isinstance(kid, str) or not isinstance(algorithm, str):
        raise AssertionRejected("malformed")
    # RFC 8725 section 3.11: an access token of the same gateway, by the same key, is none.
    if typ != _TYPE:
        raise AssertionRejected("wrong_type")
    if algorithm not in ALGORITHMS:
        raise AssertionRejected("wrong_algorithm")
    return kid, algorithm
