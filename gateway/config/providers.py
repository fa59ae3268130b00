"""Whom people may sign in with beside a password: other identity providers."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StrictBool

from gateway.config.role_rules import ClaimName, RoleRule
from gateway.config.section import Section
from gateway.config.values import FilePath, Label, OneOrMore

ProviderType = Literal[
    "oidc",
    "oauth2",
    "google",
    "github",
    "gitlab",
    "microsoft",
    "apple",
    "facebook",
    "discord",
    "linkedin",
    "keycloak",
    "okta",
    "auth0",
]
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ADDRESS: Final = re.compile(r"[!-~]{1,2048}")
_DOMAIN: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")


def _provider_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1 to 40 of a-z, 0-9 and '-': it stands in addresses")
    return text


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.port != 0 and bool(parts.hostname)
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if not _ADDRESS.fullmatch(text) or parts.scheme not in {"http", "https"} or not sound:
        raise ValueError("must be a URL that starts with https:// or http://, without spaces")
    if parts.username is not None or parts.fragment:
        raise ValueError("must not hold a user, password or fragment")
    return text


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text.lower()):
        raise ValueError("must be the part of an address behind the @, such as example.com")
    return text.lower()


def _scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise ValueError("must be one scope, without spaces")
    return text


ProviderName = Annotated[str, AfterValidator(_provider_name)]
Address = Annotated[str, AfterValidator(_address)]
Domain = Annotated[str, AfterValidator(_domain)]
Scope = Annotated[str, AfterValidator(_scope)]


class ProfileClaims(Section):
    """Which claims say who somebody is, where they are not called as usual. Dots lead into objects."""

    subject: ClaimName | None = None
    """What never changes for one person."""
    username: ClaimName | None = None
    """What they are called; the first part of their address when there is none."""
    email: ClaimName | None = None
    """Their e-mail address."""
    email_verified: ClaimName | None = None
    """Whether the address is theirs."""
    name: ClaimName | None = None
    """Their name."""


class ProviderSettings(Section):
    """A provider that people can sign in with."""

    type: ProviderType = "oidc"
    """What it is: `oidc` finds out by its metadata, `oauth2` takes the three addresses, the others are known."""
    label: Label | None = Field(None, max_length=40)
    """What its button says; when not given, the name of what it is, or its key."""
    issuer: Address | None = None
    """The issuer of its ID tokens, to the letter; known for some types."""
    client_id: str = Field(min_length=1, max_length=512)
    """Who we are there."""
    client_secret: SecretStr | None = None
    """Our secret there."""
    client_secret_file: FilePath | None = None
    """A file that holds the secret; for `apple`, its private key (PEM)."""
    team_id: str | None = Field(None, min_length=1, max_length=64)
    """For `apple`: the team."""
    key_id: str | None = Field(None, min_length=1, max_length=64)
    """For `apple`: the key."""
    scopes: Annotated[tuple[Scope, ...], OneOrMore] | None = None
    """What is asked for; when not given, what tells name and address."""
    discovery_url: Address | None = None
    """Where its metadata is; when not given, `/.well-known/openid-configuration` under the issuer."""
    authorization_url: Address | None = None
    """For `oauth2`: where people are sent."""
    token_url: Address | None = None
    """For `oauth2`: where codes are redeemed."""
    userinfo_url: Address | None = None
    """For `oauth2`: where it says who somebody is."""
    claims: ProfileClaims = ProfileClaims()
    """Which claims say who somebody is, where they are not called as usual."""
    hosts: Annotated[tuple[Label, ...], OneOrMore] = ()
    """Application hosts whose people are sent there at once, without a page of ours."""
    domains: Annotated[tuple[Domain, ...], OneOrMore] = ()
    """E-mail domains whose people sign in there: who types such an address is sent on."""
    trust_email: StrictBool = False
    """Believe it that an address is verified: then a first sign-in may open the account that has the address."""
    trust_mfa: StrictBool = False
    """Believe it that somebody proved two factors (`amr`): they are not asked for another one here."""
    create_accounts: StrictBool = True
    """Whether a first sign-in makes an account; else only those enter whose account is linked or has their address."""
    roles: tuple[RoleRule, ...] = ()
    """Roles by claims, looked at again at each sign-in."""
    logout: StrictBool = False
    """Whether signing out here signs out there, too (OpenID Connect RP-Initiated Logout)."""
    allow_private: StrictBool = False
    """Its addresses may be on a network that is not public, and plain http."""
