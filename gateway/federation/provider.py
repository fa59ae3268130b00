"""One provider as the configuration has it, over what is known of its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway.config.providers import ProfileClaims, ProviderSettings
from gateway.config.role_rules import RoleRule
from gateway.config.secrets import read_secret
from gateway.federation.presets import PRESETS, Names, Preset

APPLE: Final = "apple"


@dataclass(frozen=True, slots=True)
class Provider:
    """What it takes to send somebody there, and to believe what comes back."""

    name: str
    label: str
    facts: Preset
    settings: ProviderSettings = field(repr=False)
    secret: str = field(repr=False)

    @property
    def issuer(self) -> str:
        """Whose subjects they are. For OAuth 2 alone: the address where its people prove themselves."""
        return self.facts.issuer or self.facts.authorization_url

    @property
    def roles(self) -> tuple[RoleRule, ...]:
        return self.settings.roles


def providers_of(settings: Mapping[str, ProviderSettings]) -> Mapping[str, Provider]:
    """Return every provider by name, in the order of the configuration. Raises ValueError for an unreadable secret."""
    return {name: _provider(name, each) for name, each in settings.items()}


def facts_of(settings: ProviderSettings) -> Preset:
    """Return what is known of a provider's kind, with what the configuration says otherwise."""
    preset = PRESETS[settings.type]
    given: dict[str, Any] = {
        "issuer": settings.issuer,
        "scopes": settings.scopes,
        "metadata_url": settings.discovery_url,
        "authorization_url": settings.authorization_url,
        "token_url": settings.token_url,
        "userinfo_url": settings.userinfo_url,
        "label": settings.label,
    }
    if settings.issuer is not None and settings.discovery_url is None:
        given["metadata_url"] = ""  # of another issuer
    facts = replace(preset, **{name: value for name, value in given.items() if value is not None})
    return replace(facts, names=_names(preset.names, settings.claims))


def default_for(providers: Iterable[Provider], host: str) -> Provider | None:
    """Return the provider whose people are sent there at once from ``host``."""
    return next((each for each in providers if host in each.settings.hosts), None)


def by_address(providers: Iterable[Provider], login: str) -> Provider | None:
    """Return the provider that people of an address's domain sign in with."""
    domain = login.strip().rpartition("@")[2].lower()
    return next((each for each in providers if "@" in login and domain in each.settings.domains), None)


def _provider(name: str, settings: ProviderSettings) -> Provider:
    secret = settings.client_secret.get_secret_value() if settings.client_secret is not None else ""
    if settings.client_secret_file is not None:
        secret = read_secret(settings.client_secret_file)
    facts = facts_of(settings)
    return Provider(name, facts.label or name.replace("-", " ").title(), facts, settings, secret)


def _names(names: Names, claims: ProfileClaims) -> Names:
    given = {
        "subject": claims.subject,
        "username": claims.username,
        "email": claims.email,
        "verified": claims.email_verified,
        "name": claims.name,
    }
    return replace(names, **{key: value for key, value in given.items() if value is not None})
