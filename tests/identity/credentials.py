"""Header fields that carry credentials."""

from __future__ import annotations

from multidict import CIMultiDict

from gateway.identity.identity import CredentialKind
from gateway.identity.presented import Headers

HOST = "app.example.com"
ALL_KINDS = frozenset({CredentialKind.SESSION, CredentialKind.BEARER, CredentialKind.API_TOKEN})


def fields(*pairs: tuple[str, str]) -> Headers:
    return CIMultiDict(pairs)


def cookie(secret: str) -> Headers:
    return fields(("Cookie", f"theme=dark; gateway={secret}; lang=en"))


def bearer(token: str) -> Headers:
    return fields(("Authorization", f"Bearer {token}"))


def together(*each: Headers) -> Headers:
    """Return one request's fields that carry all of them."""
    joined: CIMultiDict[str] = CIMultiDict()
    for headers in each:
        joined.extend(headers)
    return joined
