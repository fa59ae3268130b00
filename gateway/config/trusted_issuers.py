"""Whose tokens count on routes beside the gateway's own."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StrictBool

from gateway.config.role_rules import ClaimName, RoleRule
from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.values import Audience, FilePath, Label, OneOrMore

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_NAME: Final = re.compile(r"[!-~]{1,1024}")
_PREFIX: Final = re.compile(r"[!-~]{0,63}:")
_URL: Final = re.compile(r"[!-~]{1,2048}")


def _issuer_name(text: str) -> str:
    # RFC 7519 section 4.1.1: some are no URL. Braces would be a template of many issuers, and in a user's id a bar
    # parts issuer and subject.
    if not _NAME.fullmatch(text) or set("{}|") & set(text):
        raise ValueError("must be the issuer as its tokens name it: printable ASCII without spaces, braces and bars")
    return text


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.port != 0 and bool(parts.hostname)
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if not _URL.fullmatch(text) or parts.scheme not in {"http", "https"} or not sound:
        raise ValueError("must be a URL that starts with https:// or http://, without spaces")
    if parts.username is not None or parts.fragment:
        raise ValueError("must not hold a user, password or fragment")
    return text


def _username_prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        # No username of an account has a colon.
        raise ValueError("must end with a colon, and be of at most 64 printable ASCII characters without spaces")
    return text


IssuerName = Annotated[str, AfterValidator(_issuer_name)]
Address = Annotated[str, AfterValidator(_address)]
UsernamePrefix = Annotated[str, AfterValidator(_username_prefix)]


class ClaimNames(Section):
    """Which claims say who somebody is. Dots lead into objects: `realm_access.roles`."""

    username: ClaimName = "sub"
    """The username, behind `username_prefix`. An `email` counts only where `email_verified` does not deny it."""
    email: ClaimName = "email"
    """The e-mail address; left empty where `email_verified` is there and not true."""
    name: ClaimName = "name"
    """What people call them."""
    roles: ClaimName | None = None
    """A list of roles, or one: taken as they are."""
    scopes: Annotated[tuple[ClaimName, ...], OneOrMore] = ("scope", "scp")
    """Scopes, with spaces between them or as a list: the first of these claims that is there."""


class Introspection(Section):
    """Tokens that only their issuer can read: it is asked about each (RFC 7662)."""

    url: Address
    """Where it answers."""
    client_id: str = Field(min_length=1, max_length=255)
    """Who we are there."""
    client_secret: SecretStr | None = None
    """Our secret there."""
    client_secret_file: FilePath | None = None
    """A file that holds the secret."""
    auth_method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    """How the secret is sent."""
    cache: Duration = Field(parse_duration("30s"), le=parse_duration("5m"))
    """How long an answer is believed: for so long a token that was revoked there may still be taken."""
    token_prefix: str = Field("", max_length=64, pattern=r"^[!-~]*$")
    """How its tokens begin, where several issuers are asked."""
    jwts: StrictBool = False
    """Ask about its JWTs too, instead of verifying them here."""
    require_audience: StrictBool = True
    """Refuse a token of which the issuer does not say whom it is for."""


class TrustedIssuer(Section):
    """An issuer whose tokens count."""

    issuer: IssuerName
    """The `iss` of its tokens, to the letter."""
    audience: Annotated[tuple[Audience, ...], OneOrMore] = Field(min_length=1)
    """Whom its tokens must be for (`aud`): any one of these. A route's own `audience` is asked for beside it."""
    routes: Annotated[tuple[Label, ...], OneOrMore] | None = Field(None, min_length=1)
    """The routes that its tokens open, by name; when not given, all that take `bearer`."""
    jwks_url: Address | None = None
    """Where its keys are; when not given, where its metadata says."""
    jwks_file: FilePath | None = None
    """A file that holds its keys, instead; read again when it changes."""
    discovery_url: Address | None = None
    """Where its metadata is; when not given, `/.well-known/openid-configuration` under the issuer."""
    algorithms: Annotated[tuple[Algorithm, ...], OneOrMore] = Field(("RS256", "ES256", "EdDSA"), min_length=1)
    """How its tokens may be signed."""
    username_prefix: UsernamePrefix | None = None
    """What its usernames begin with, so that none is an account's; when not given, the issuer's host and a colon."""
    claims: ClaimNames = ClaimNames()
    """Which claims say who somebody is."""
    roles: tuple[RoleRule, ...] = ()
    """Roles by claims, beside those of `claims.roles`."""
    trust_mfa: StrictBool = False
    """Believe its `amr` and `auth_time`, for routes with `mfa` or `max_auth_age`; else no such route is open."""
    kubernetes: StrictBool = False
    """Its tokens are a cluster's service accounts: the username is `system:serviceaccount:NAMESPACE:NAME`."""
    allow_private: StrictBool = False
    """Its addresses may be on a network that is not public, and plain http."""
    ca_file: FilePath | None = None
    """CA certificates that its addresses are verified with, instead of the system's."""
    token_file: FilePath | None = None
    """A bearer token that is sent for its metadata and keys, read each time; as a cluster's API server wants."""
    introspection: Introspection | None = None
    """Tokens that only it can read: it is asked about each (RFC 7662)."""

    @property
    def prefix(self) -> str:
        """What every username of this issuer begins with."""
        if self.username_prefix is not None:
            return self.username_prefix
        if self.kubernetes:
            return SERVICE_ACCOUNT
        return f"{_host(self.issuer) or self.issuer}:"

    @property
    def is_asked(self) -> bool:
        """Whether it is asked about its JWTs, too, instead of verifying them here."""
        return self.introspection is not None and self.introspection.jwts


def is_url(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def _host(text: str) -> str:
    try:
        parts = urlsplit(text)
        return (parts.hostname or "") if is_url(text) else ""
    except ValueError:
        return ""
