"""The configuration as typed, frozen settings. Attribute names are the YAML's keys.

``gateway.config.load`` reads files into these; a model checks what can be seen from its own values, and
``gateway.config.crosscheck`` what takes several. The text below a key describes it in the JSON Schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, StrictInt

from gateway.config.accounts import LoginSettings, PasswordSettings, Registration, SessionSettings
from gateway.config.authz import Authz
from gateway.config.factors import SecondFactorSettings
from gateway.config.htpasswd import HtpasswdSettings
from gateway.config.mail import MailSettings
from gateway.config.oauth import OAuth
from gateway.config.own_cors import OwnCors
from gateway.config.providers import ProviderName, ProviderSettings
from gateway.config.route import Route
from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.server import ClientCertificates, Server
from gateway.config.trusted_issuers import TrustedIssuer
from gateway.config.upstream import Upstream
from gateway.config.values import (
    FilePath,
    Issuer,
    Label,
    UpstreamName,
)


class DatabaseSettings(Section):
    """Which PostgreSQL to use. Without `url` the gateway runs its own."""

    url: SecretStr | None = None
    """`postgresql://user:password@host:5432/name`, with libpq's parameters."""
    url_file: FilePath | None = None
    """A file that holds the URL."""
    pool_size: StrictInt = Field(4, ge=1, le=200)
    """Connections that each process may open, beside one for events."""
    max_staleness: Duration = parse_duration("3s")
    """For how long a revocation elsewhere may stay unseen before every request asks the database."""


class TokenSettings(Section):
    """What the gateway signs, and for how long."""

    issuer: Issuer | None = None
    """The `iss` of every token; when not given, `server.public_url` with `server.prefix`."""
    algorithm: Literal["ES256", "RS256", "EdDSA"] = "ES256"
    """How new signing keys sign."""
    access_lifetime: Duration = parse_duration("15m")
    """How long an access token is good."""
    refresh_lifetime: Duration = parse_duration("30d")
    """How long a refresh token is good; each is good once."""
    key_rotation: Duration = parse_duration("90d")
    """How old a signing key becomes before the next takes over."""


class Logging(Section):
    """How the log looks."""

    format: Literal["auto", "json", "console"] = "auto"
    """`auto` is console on a terminal and JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""


class Branding(Section):
    """What the pages look like."""

    name: Label = Field("Gateway", max_length=80)
    """What the pages call this place."""


class Settings(Section):
    """The whole configuration."""

    version: Literal[1] = 1
    """The version of this format."""
    server: Server = Server()
    """Where the gateway listens and how the world reaches it."""
    data_dir: FilePath = Field(Path("var"), validate_default=True)
    """Where the embedded database and a generated secret key are kept."""
    secret_key: SecretStr | None = None
    """The master key: at least 32 random bytes in base64. Made in `data_dir` when not given."""
    secret_key_file: FilePath | None = None
    """A file that holds the master key."""
    database: DatabaseSettings = DatabaseSettings()
    """Which PostgreSQL to use. Without `url` the gateway runs its own."""
    client_certificates: ClientCertificates = ClientCertificates()
    """Whose a client's certificate is, on routes that list `client_certificate`."""
    sessions: SessionSettings = SessionSettings()
    """How long a browser stays signed in."""
    tokens: TokenSettings = TokenSettings()
    """What the gateway signs, and for how long."""
    passwords: PasswordSettings = PasswordSettings()
    """What a password must be, and what checking one costs."""
    registration: Registration = Registration()
    """Whether people may make accounts for themselves."""
    login: LoginSettings = LoginSettings()
    """How many failures are tolerated, and where a login may return to."""
    mail: MailSettings = MailSettings()
    """Mail that the gateway sends. Without `url`, `gateway user` prints links for an administrator to pass on."""
    second_factors: SecondFactorSettings = SecondFactorSettings()
    """What people prove beside their password."""
    logging: Logging = Logging()
    """How the log looks."""
    branding: Branding = Branding()
    """What the pages look like."""
    authz: Authz = Authz()
    """Decisions for other proxies."""
    oauth: OAuth = OAuth()
    """The gateway as an OAuth 2.1 and OpenID Connect provider."""
    providers: dict[ProviderName, ProviderSettings] = Field(default_factory=dict, max_length=50)
    """Other providers that people may sign in with."""
    cors: OwnCors = OwnCors()
    """Which pages' scripts may use `/api/`, with a token: sessions of other origins count for nothing there."""
    trusted_issuers: tuple[TrustedIssuer, ...] = ()
    """Others whose tokens count on routes that take `bearer`."""
    htpasswd: HtpasswdSettings = HtpasswdSettings()
    """A password file beside the accounts, for routes that take `basic`."""
    upstreams: dict[UpstreamName, Upstream] = Field(default_factory=dict)
    """Named pools of servers."""
    routes: tuple[Route, ...] = ()
    """The rules, in order: the first that matches decides; a request that none matches is answered with 404."""

    @property
    def issuer(self) -> str:
        """The ``iss`` of every token we sign (RFC 8414 section 2)."""
        return self.tokens.issuer or f"{self.server.public_url}{self.server.prefix}"
