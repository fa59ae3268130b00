"""What takes several keys of a provider to see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.config.document import Finding, KeyPath
from gateway.config.providers import ProviderSettings
from gateway.config.settings import Settings

# They have an issuer of their own; the others are told theirs.
_KNOWN_ISSUERS: Final = frozenset({"google", "microsoft", "gitlab", "apple"})
_TOLD_ISSUERS: Final = frozenset({"oidc", "keycloak", "okta", "auth0"})
_ADDRESSES: Final = ("authorization_url", "token_url", "userinfo_url")
# What they say of addresses is never believed: anybody can have typed it there.
_UNBELIEVED: Final = frozenset({"microsoft", "facebook"})


def provider_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with providers, each with the path of the key to change."""
    seen: dict[tuple[str, str], str] = {}
    for name, provider in settings.providers.items():
        path: KeyPath = ("providers", name)
        yield from _issuer(provider, path)
        yield from _secret(provider, path)
        yield from _addresses(provider, path)
        if provider.trust_email and provider.type in _UNBELIEVED:
            yield Finding((*path, "trust_email"), f"has no effect: {provider.type} does not verify addresses")
        for key in ("hosts", "domains"):
            for value in getattr(provider, key):
                if (other := seen.setdefault((key, value), name)) != name:
                    yield Finding((*path, key), f"{value!r} is named by the provider {other!r} already")


def _issuer(provider: ProviderSettings, path: KeyPath) -> Iterator[Finding]:
    if provider.type in _TOLD_ISSUERS and provider.issuer is None:
        yield Finding((*path, "issuer"), "is required: the iss of its ID tokens, such as https://id.example.com")
    if provider.type not in _TOLD_ISSUERS | _KNOWN_ISSUERS and provider.issuer is not None:
        yield Finding((*path, "issuer"), f"has no effect: {provider.type} is OAuth 2, without ID tokens")
    if provider.type == "oauth2":
        for key in _ADDRESSES:
            if getattr(provider, key) is None:
                yield Finding((*path, key), "is required where type is oauth2")
        if provider.claims.subject is None:
            yield Finding((*path, "claims"), "takes subject: which claim never changes for one person?")
        return
    for key in _ADDRESSES:
        if getattr(provider, key) is not None and provider.type in _TOLD_ISSUERS | _KNOWN_ISSUERS:
            yield Finding((*path, key), "has no effect: the provider's metadata says it")


def _secret(provider: ProviderSettings, path: KeyPath) -> Iterator[Finding]:
    if provider.client_secret is not None and provider.client_secret_file is not None:
        yield Finding(
            (*path, "client_secret_file"), "client_secret and client_secret_file exclude each other: give one"
        )
    if provider.type != "apple":
        return
    for key in ("team_id", "key_id", "client_secret_file"):
        if getattr(provider, key) is None:
            yield Finding((*path, key), "is required where type is apple")


def _addresses(provider: ProviderSettings, path: KeyPath) -> Iterator[Finding]:
    if provider.allow_private:
        return
    for key in ("issuer", "discovery_url", *_ADDRESSES):
        if str(getattr(provider, key) or "").startswith("http:"):
            reads = ((*path, "allow_private"),)
            yield Finding((*path, key), "must begin with https:, unless allow_private is true", reads)
