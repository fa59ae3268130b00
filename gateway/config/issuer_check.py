"""What is wrong with trusted issuers, alone or beside one another; and their secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import SecretStr

from gateway.config.document import Finding, KeyPath
from gateway.config.settings import Settings
from gateway.config.trusted_issuers import TrustedIssuer, is_url

# Usernames of programs that stand for themselves.
_CLIENTS: Final = "client:"
_LONGEST_SECRET: Final = 1024


def with_secrets(issuers: tuple[TrustedIssuer, ...], read: Mapping[int, str]) -> tuple[TrustedIssuer, ...]:
    """Return the issuers with the client secrets that stood in files, by the issuer's place."""
    found = list(issuers)
    for index, secret in read.items():
        asked = issuers[index].introspection
        if asked is not None:
            told = asked.model_copy(update={"client_secret": SecretStr(secret)})
            found[index] = issuers[index].model_copy(update={"introspection": told})
    return tuple(found)


def check_client_secret(text: str) -> None:
    """Raise ValueError when ``text`` cannot be a secret that is sent. It is never repeated."""
    if not 0 < len(text) <= _LONGEST_SECRET or not text.isprintable():
        raise ValueError(f"must be 1 to {_LONGEST_SECRET} printable characters")


def issuer_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with issuers, alone or together."""
    routes = {route.name for route in settings.routes if route.name}
    for index, issuer in enumerate(settings.trusted_issuers):
        path: KeyPath = ("trusted_issuers", index)
        if issuer.issuer == settings.issuer:
            yield Finding((*path, "issuer"), "is the gateway itself: its own tokens count anyway")
        yield from _keys(issuer, path)
        yield from _addresses(issuer, path)
        yield from _kubernetes(issuer, path)
        yield from _beside(settings.trusted_issuers[:index], issuer, path)
        for name in issuer.routes or ():
            if name not in routes:
                yield Finding((*path, "routes"), f"no route is called {name!r}")


def _keys(issuer: TrustedIssuer, path: KeyPath) -> Iterator[Finding]:
    given = [key for key in ("jwks_url", "jwks_file", "discovery_url") if getattr(issuer, key) is not None]
    if len(given) > 1:
        yield Finding((*path, given[1]), f"{given[0]} and {given[1]} exclude each other: give one")
    if given and issuer.is_asked:
        yield Finding((*path, given[0]), "has no effect where introspection.jwts is true")
    if not given and not is_url(issuer.issuer) and not issuer.is_asked:
        yield Finding((*path, "issuer"), "is no address that could be asked: give jwks_url, jwks_file or discovery_url")
    asked = issuer.introspection
    if asked is None:
        return
    if asked.client_secret is None and asked.client_secret_file is None:
        yield Finding((*path, "introspection"), "takes client_secret or client_secret_file")
    elif asked.client_secret is not None and asked.client_secret_file is not None:
        message = "client_secret and client_secret_file exclude each other: give one"
        yield Finding((*path, "introspection", "client_secret_file"), message)


def _addresses(issuer: TrustedIssuer, path: KeyPath) -> Iterator[Finding]:
    named: list[tuple[KeyPath, str | None]] = [
        ((*path, "jwks_url"), issuer.jwks_url),
        ((*path, "discovery_url"), issuer.discovery_url),
        ((*path, "introspection", "url"), issuer.introspection.url if issuer.introspection is not None else None),
    ]
    if not issuer.is_asked and not issuer.jwks_url and not issuer.discovery_url and issuer.jwks_file is None:
        named.append(((*path, "issuer"), issuer.issuer))
    for key, address in named:
        if address is None or address.startswith("https:"):
            continue
        if issuer.token_file is not None and "introspection" not in key:
            yield Finding(key, "must begin with https://: token_file is sent there")
        elif not issuer.allow_private:
            yield Finding(key, "must begin with https://, unless allow_private is true", ((*path, "allow_private"),))


def _kubernetes(issuer: TrustedIssuer, path: KeyPath) -> Iterator[Finding]:
    if issuer.kubernetes and "username" in issuer.claims.model_fields_set:
        message = "has no effect where kubernetes is true: the username is that of the service account"
        yield Finding((*path, "claims", "username"), message)


def _beside(before: tuple[TrustedIssuer, ...], issuer: TrustedIssuer, path: KeyPath) -> Iterator[Finding]:
    key = (*path, "username_prefix" if issuer.username_prefix is not None else "issuer")
    if issuer.prefix.startswith(_CLIENTS) or _CLIENTS.startswith(issuer.prefix):
        yield Finding(key, f"usernames that begin with {_CLIENTS!r} are those of OAuth clients")
    asked = issuer.introspection
    for index, other in enumerate(before):
        if other.issuer == issuer.issuer:
            yield Finding((*path, "issuer"), f"is that of trusted_issuers[{index}] already")
        elif other.prefix.startswith(issuer.prefix) or issuer.prefix.startswith(other.prefix):
            yield Finding(key, f"its usernames could be those of trusted_issuers[{index}]: give username_prefix")
        if asked is not None and other.introspection is not None:
            one, two = asked.token_prefix, other.introspection.token_prefix
            if one == two:
                message = f"begins its tokens as trusted_issuers[{index}] does: give each a token_prefix of its own"
                yield Finding((*path, "introspection"), message)
