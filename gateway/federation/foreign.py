"""Tokens that others signed. Only this file decides whether one is what it says.

Strict where ours are, and open where issuers differ: the header may say more, the audience may be one of several, the
type need not be given. Nothing in a token ever names the key that verifies it, but the kid of one that is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import TokenRejected
from gateway.federation.key_sets import FindKey
from gateway.federation.signatures import ALGORITHMS
from gateway.tokens.compact import Compact, decoded, json_object, parted
from gateway.tokens.jwt import VerifiedClaims, audiences_of, check_times, numeric_date

# Types as a header may give them, in lower case and without "application/"; "" stands for none.
ID_TOKEN_TYPES: Final = frozenset({"", "jwt"})
ACCESS_TYPES: Final = frozenset({"", "jwt", "at+jwt"})
LOGOUT_TYPES: Final = frozenset({"", "jwt", "logout+jwt"})
LEEWAY_SECONDS: Final = 30
# Of people in many groups they are large.
_LONGEST_BYTES: Final = 32 * 1024
_LONGEST_KID: Final = 512
# RFC 7515 sections 4.1.2 to 4.1.6 and 4.1.11: keys that come with the token, and rules that it would change.
_REFUSED: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
# Microsoft's issuer for accounts of any organisation; each has a number of its own.
TENANT: Final = "{tenantid}"
_TENANT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class ForeignExpected:
    """What a token must say: this issuer, one of these audiences, signed by one of these algorithms.

    ``types`` are those of the header. In ``issuer``, ``{tenantid}`` stands for the token's own ``tid``.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    leeway_seconds: int = LEEWAY_SECONDS
    types: frozenset[str] = ID_TOKEN_TYPES
    requires_subject: bool = True


async def verify(unverified_token: str, expected: ForeignExpected, keys: FindKey, now_seconds: float) -> VerifiedClaims:
    """Return the claims of a token that is what is expected. Raises TokenRejected, and nothing else.

    ``keys`` is asked for the key by the token's kid and algorithm, once the algorithm is one that may be.
    """
    token = parted(unverified_token, _LONGEST_BYTES)
    header = json_object(decoded(token.header))
    kid, algorithm = _read_header(header, expected)
    key = await keys(kid, algorithm)
    if key is None:
        raise TokenRejected("unknown_key")
    if key.algorithm != algorithm:
        raise TokenRejected("wrong_algorithm")
    if not key.holds(decoded(token.signature), token.signed):
        raise TokenRejected("bad_signature")
    claims = json_object(decoded(token.payload))
    _check(claims, expected, now_seconds)
    return VerifiedClaims(claims)


def unverified_issuer(unverified_token: str) -> str:
    """Return the issuer that a token names, to choose by, and for nothing else. Raises TokenRejected."""
    token: Compact = parted(unverified_token, _LONGEST_BYTES)
    issuer = json_object(decoded(token.payload)).get("iss")
    if not isinstance(issuer, str):
        raise TokenRejected("wrong_issuer")
    return issuer


def _read_header(header: Mapping[str, Any], expected: ForeignExpected) -> tuple[str | None, str]:
    """Return kid and algorithm of a header that asks for nothing odd."""
    if header.keys() & _REFUSED:
        raise TokenRejected("unexpected_header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in expected.algorithms & ALGORITHMS:
        raise TokenRejected("wrong_algorithm")
    typ = header.get("typ", "")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in expected.types:
        raise TokenRejected("wrong_type")
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= _LONGEST_KID):
        raise TokenRejected("malformed")
    return kid, algorithm


def _check(claims: Mapping[str, Any], expected: ForeignExpected, now_seconds: float) -> None:
    if claims.get("iss") != _issuer_of(expected, claims):
        raise TokenRejected("wrong_issuer")
    audiences = audiences_of(claims)
    if not audiences or not all(isinstance(each, str) for each in audiences):
        raise TokenRejected("wrong_audience")
    if expected.audiences.isdisjoint(audiences):
        raise TokenRejected("wrong_audience")
    check_times(claims, expected.leeway_seconds, now_seconds)
    if "iat" in claims and numeric_date(claims, "iat") > now_seconds + expected.leeway_seconds:
        raise TokenRejected("not_yet_valid")
    subject = claims.get("sub")
    if (subject is not None or expected.requires_subject) and (not isinstance(subject, str) or not subject):
        raise TokenRejected("no_subject")


def _issuer_of(expected: ForeignExpected, claims: Mapping[str, Any]) -> str:
    if TENANT not in expected.issuer:
        return expected.issuer
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not _TENANT_ID.fullmatch(tenant):
        raise TokenRejected("wrong_issuer")
    return expected.issuer.replace(TENANT, tenant)
