"""What a request presents. Only this file decides which header fields are credentials.

Kinds that a route does not list are not looked at there.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from typing import Final, NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.accounts.api_tokens import looks_like_api_token
from gateway.errors import CredentialRejected, TargetRejected
from gateway.identity.certificate import ClientCertificate
from gateway.identity.identity import CredentialKind

Headers = CIMultiDict[str] | CIMultiDictProxy[str]

_LONGEST: Final = 8192
_JWT_PARTS: Final = 3
_SESSION: Final = CredentialKind.SESSION
_BEARER: Final = CredentialKind.BEARER
_API_TOKEN: Final = CredentialKind.API_TOKEN
_CERTIFICATE: Final = CredentialKind.CLIENT_CERTIFICATE
_BASIC: Final = CredentialKind.BASIC
_TOKEN_SCHEMES: Final = frozenset({"bearer", "token"})


class Presented(NamedTuple):
    """One credential, not verified. ``header`` is the lower-case name of the field that carried it.

    Of a certificate, ``unverified`` is the fingerprint, and ``certificate`` the whole of it. ``address`` is where a
    password comes from: guesses are counted.
    """

    kind: CredentialKind
    header: str
    unverified: str
    certificate: ClientCertificate | None = None
    address: str = ""

    def __repr__(self) -> str:
        return f"Presented(kind={self.kind!r}, header={self.header!r})"


class _LookedAt(NamedTuple):
    """The kinds that a route lists."""

    session: bool
    bearer: bool
    api_token: bool
    certificate: bool
    basic: bool


class Presenter:
    """Finds credentials in header fields; knows the name of the session cookie."""

    def __init__(self, session_cookie: str) -> None:
        # One pattern for the one cookie costs a tenth of parsing them all.
        self._cookie = re.compile(rf"(?:^|;)[ \t]*{re.escape(session_cookie)}=([^;]*)")
        # An enum's hash is Python code: asked once for each set of kinds that routes have.
        self._looked_at: dict[frozenset[CredentialKind], _LookedAt] = {}

    def present(
        self, headers: Headers, kinds: frozenset[CredentialKind], certificate: ClientCertificate | None = None
    ) -> list[Presented]:
        """Return what is presented, the most explicit first. ``certificate`` is the connection's.

        Raises TargetRejected for two Authorization fields, CredentialRejected for a kind that is given twice.
        """
        looked_at = self._looked_at.get(kinds) or self._remember(kinds)
        found: list[Presented] = []
        if "Authorization" in headers and (one := _authorization(headers, looked_at)) is not None:
            found.append(one)
        if "X-API-Key" in headers and looked_at.api_token:
            found.append(_api_key(headers))
        if looked_at.session and "Cookie" in headers:
            value = self.session_secret(headers)
            if value is not None:
                found.append(Presented(_SESSION, "cookie", _sound(value)))
        if certificate is not None and looked_at.certificate:
            found.append(Presented(_CERTIFICATE, "", certificate.fingerprint, certificate))
        return found

    def _remember(self, kinds: frozenset[CredentialKind]) -> _LookedAt:
        looked_at = _LookedAt(
            session=CredentialKind.SESSION in kinds,
            bearer=CredentialKind.BEARER in kinds,
            api_token=CredentialKind.API_TOKEN in kinds,
            certificate=CredentialKind.CLIENT_CERTIFICATE in kinds,
            basic=CredentialKind.BASIC in kinds,
        )
        self._looked_at[kinds] = looked_at
        return looked_at

    def session_secret(self, headers: Headers) -> str | None:
        """Return the session cookie's value. Raises CredentialRejected when it is there twice."""
        values: list[str] = [value for line in headers.getall("Cookie", ()) for value in self._cookie.findall(line)]
        if not values:
            return None
        # Another cookie of that name was planted by a sibling host or path: which one is ours cannot be told.
        if len(values) > 1:
            raise CredentialRejected("duplicate_cookie")
        return values[0].strip(' \t"')


def _authorization(headers: Headers, looked_at: _LookedAt) -> Presented | None:
    values = headers.getall("Authorization")
    if len(values) > 1:
        raise TargetRejected("duplicate_authorization")
    scheme, unverified = _parted(values[0])
    if scheme == "bearer" and not looks_like_api_token(unverified):
        return Presented(_BEARER, "authorization", _sound(unverified)) if looked_at.bearer else None
    if scheme in _TOKEN_SCHEMES:
        return Presented(_API_TOKEN, "authorization", _sound(unverified)) if looked_at.api_token else None
    if scheme == "basic" and looked_at.basic:
        return Presented(_BASIC, "authorization", _sound(unverified))
    return None


def _parted(value: str) -> tuple[str, str]:
    """Return scheme and credential. One space parts them (RFC 9110 section 11.4); upstreams take a tab or more, too."""
    scheme, *rest = value.split(maxsplit=1) or [""]
    return scheme.lower(), rest[0].strip() if rest else ""


def _api_key(headers: Headers) -> Presented:
    values = headers.getall("X-API-Key")
    if len(values) > 1:
        raise CredentialRejected("malformed")
    return Presented(_API_TOKEN, "x-api-key", _sound(values[0]))


def _sound(unverified: str) -> str:
    """Hold off what no credential of ours looks like: it could not even be hashed, or not cheaply."""
    if len(unverified) > _LONGEST or not unverified.isascii():
        raise CredentialRejected("malformed")
    return unverified


def is_ours(headers: Headers, issuer: str) -> frozenset[str]:
    """Return the fields that carry a token of ours by its looks: stripped even where no credential is asked for."""
    ours = set()
    for value in headers.getall("Authorization", ()):
        scheme, text = _parted(value)
        if scheme in _TOKEN_SCHEMES and (looks_like_api_token(text) or _issued_by(text, issuer)):
            ours.add("authorization")
    if any(looks_like_api_token(value.strip()) for value in headers.getall("X-API-Key", ())):
        ours.add("x-api-key")
    return frozenset(ours)


def _issued_by(unverified_token: str, issuer: str) -> bool:
    parts = unverified_token.split(".")
    if len(parts) != _JWT_PARTS or len(unverified_token) > _LONGEST:
        return False
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and claims.get("iss") == issuer
