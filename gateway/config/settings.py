"""The configuration as typed, frozen settings. Attribute names are the YAML's keys.

``gateway.config.load`` reads files into these; a model checks what can be seen from its own values, and
``gateway.config.crosscheck`` what takes several.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
)

from gateway.config.scalars import Duration, Size, parse_duration, parse_size
from gateway.identity.identity import CredentialKind

_HOST: Final = re.compile(r"(?:\*\.)?(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]+\]", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ROLE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")


def _listed(value: Any) -> Any:
    """A single value stands for a list of one."""
    return (value,) if isinstance(value, str | dict) else value


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https://")
    if parts.username is not None or parts.query or parts.fragment or parts.port == 0:
        raise ValueError("must be scheme, host and port only, without user, query or fragment")
    return text


def _origin(text: str) -> str:
    _http_url(text)
    if urlsplit(text).path not in {"", "/"}:
        raise ValueError("must not have a path: write only scheme, host and port")
    return text.rstrip("/")


def _host(text: str) -> str:
    host = text.lower().rstrip(".")
    if not _HOST.fullmatch(host):
        raise ValueError("must be a host name, such as wiki.example.com or *.example.com, without a port")
    return host


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError as error:
        raise ValueError(f"must be an address or network, such as 10.0.0.0/8: {error}") from error


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return text


def _field_name(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("is not an HTTP field name")
    return text


def _method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("is not an HTTP method")
    return text.upper()


def _path_pattern(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("must start with /")
    if "//" in text or "\\" in text or re.search(r"[?#\x00-\x20\x7f]", text):
        raise ValueError("must be a path without //, \\, query, fragment or spaces")
    if "**" in text.removesuffix("/**"):
        raise ValueError("** may stand only at the end, after a slash")
    if any("*" in part and part not in {"*", "**"} for part in text.split("/")):
        raise ValueError("* stands for a whole segment; use path_regex for parts of one")
    return text


def _prefix(text: str) -> str:
    if text and (not text.startswith("/") or text.endswith("/") or "//" in text or re.search(r"[?#\s*]", text)):
        raise ValueError("must be empty or start with / and not end with it")
    return text


def _role(text: str) -> str:
    if not _ROLE.fullmatch(text):
        raise ValueError("must be 1 to 100 characters without control characters")
    return text


def _listen(text: str) -> str:
    if text.startswith("unix:/"):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - a port's range
        raise ValueError("must be ADDRESS:PORT, such as 127.0.0.1:8080, or unix:/path")
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError as error:
        if host != "localhost":
            raise ValueError("must be an IP address and port, such as 0.0.0.0:8080") from error
    return text


PublicUrl = Annotated[str, AfterValidator(_origin)]
ServerUrl = Annotated[str, AfterValidator(_origin)]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
Pattern = Annotated[str, AfterValidator(_pattern)]
FieldName = Annotated[str, AfterValidator(_field_name)]
Method = Annotated[str, AfterValidator(_method)]
PathPattern = Annotated[str, AfterValidator(_path_pattern)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Role = Annotated[str, AfterValidator(_role)]
Listen = Annotated[str, AfterValidator(_listen)]


class Section(BaseModel):
    """A part of the configuration: frozen, and strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, hide_input_in_errors=True)


class Limits(Section):
    """What one request may cost."""

    header_bytes: Size = Field(parse_size("32KiB"), ge=1024, le=1024 * 1024)
    body_bytes: Size = parse_size("100MiB")
    idle_timeout: Duration = parse_duration("75s")


class Server(Section):
    """Where the gateway listens and how the world reaches it."""

    listen: Annotated[tuple[Listen, ...], BeforeValidator(_listed)] = Field(("127.0.0.1:8080",), min_length=1)
    internal_listen: Listen | None = "127.0.0.1:9180"
    public_url: PublicUrl = "http://localhost:8080"
    prefix: Prefix = ""
    workers: Literal[1] = 1
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_listed)] = ()
    limits: Limits = Limits()
    drain_timeout: Duration = parse_duration("30s")

    @property
    def public_host(self) -> str:
        """The portal's host: lower case, without port."""
        return (urlsplit(self.public_url).hostname or "").rstrip(".")

    @property
    def public_origin(self) -> str:
        """The portal's origin as browsers send it (RFC 6454 section 6.2)."""
        parts = urlsplit(self.public_url)
        host = f"[{self.public_host}]" if ":" in self.public_host else self.public_host
        default = {"http": 80, "https": 443}[parts.scheme]
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, default} else "")

    @property
    def secure(self) -> bool:
        """Whether people reach the gateway over TLS, which decides the cookies' names and flags."""
        return self.public_url.lower().startswith("https:")


class DatabaseSettings(Section):
    """Which PostgreSQL to use. Without ``url`` the gateway runs its own."""

    url: SecretStr | None = None
    url_file: Path | None = None
    pool_size: StrictInt = Field(4, ge=1, le=200)
    max_staleness: Duration = parse_duration("3s")


class SessionSettings(Section):
    """How long a browser stays signed in."""

    idle_timeout: Duration = parse_duration("12h")
    lifetime: Duration = parse_duration("7d")
    remember_for: Duration = parse_duration("30d")
    max_per_user: StrictInt = Field(20, ge=1, le=1000)


class TokenSettings(Section):
    """What the gateway signs, and for how long."""

    issuer: Annotated[str, AfterValidator(_http_url)] | None = None
    algorithm: Literal["ES256", "RS256", "EdDSA"] = "ES256"
    access_lifetime: Duration = parse_duration("15m")
    refresh_lifetime: Duration = parse_duration("30d")
    key_rotation: Duration = parse_duration("90d")


class PasswordSettings(Section):
    """What a password must be, and what checking one costs."""

    min_length: StrictInt = Field(8, ge=8, le=64)
    bcrypt_cost: StrictInt = Field(12, ge=4, le=16)


class Registration(Section):
    """Whether people may make accounts for themselves."""

    enabled: StrictBool = True
    require_verified_email: StrictBool = False
    default_roles: Annotated[tuple[Role, ...], BeforeValidator(_listed)] = ("user",)


class LoginSettings(Section):
    """How many failures are tolerated, and where a login may return to."""

    max_failures: StrictInt = Field(10, ge=1, le=10_000)
    window: Duration = parse_duration("15m")
    lockout: Duration = parse_duration("15m")
    per_ip: StrictInt = Field(100, ge=1, le=1_000_000)
    return_origins: Annotated[tuple[PublicUrl, ...], BeforeValidator(_listed)] = ()


class Logging(Section):
    """How the log looks: ``auto`` is console on a terminal and JSON elsewhere."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Branding(Section):
    """What pages call this place."""

    name: str = Field("Gateway", min_length=1, max_length=80)


class UpstreamTimeouts(Section):
    """``response`` is the wait for the response head, ``idle`` the longest silence after it."""

    connect: Duration = parse_duration("2s")
    response: Duration = parse_duration("60s")
    idle: Duration = parse_duration("90s")


class Upstream(Section):
    """A named pool of servers."""

    servers: Annotated[tuple[ServerUrl, ...], BeforeValidator(_listed)] = Field(min_length=1)
    balance: Literal["round_robin"] = "round_robin"
    timeouts: UpstreamTimeouts = UpstreamTimeouts()


class Match(Section):
    """What a request must look like. All that is given must hold; a list is any of."""

    host: Annotated[tuple[Host, ...], BeforeValidator(_listed)] = ()
    path: Annotated[tuple[PathPattern, ...], BeforeValidator(_listed)] = ()
    path_regex: Pattern | None = None
    methods: Annotated[tuple[Method, ...], BeforeValidator(_listed)] = ()
    headers: dict[FieldName, str] = {}


class Require(Section):
    """What must be true of who asks. All that is given must hold."""

    roles: Annotated[tuple[Role, ...], BeforeValidator(_listed)] | None = Field(None, min_length=1)
    scopes: Annotated[tuple[str, ...], BeforeValidator(_listed)] | None = Field(None, min_length=1)
    users: Annotated[tuple[str, ...], BeforeValidator(_listed)] | None = Field(None, min_length=1)
    source_ip: Annotated[tuple[Network, ...], BeforeValidator(_listed)] | None = Field(None, min_length=1)
    any: tuple[Require, ...] | None = Field(None, min_length=1)
    all: tuple[Require, ...] | None = Field(None, min_length=1)
    not_: Require | None = Field(None, alias="not")


class FileValue(Section):
    """A header's value that is kept in a file, because it is a secret."""

    file: Path


class Assertion(Section):
    """A signed statement of who asks, in ``X-Gateway-Assertion``."""

    audience: str = Field(min_length=1, max_length=255)


class IdentitySettings(Section):
    """What the upstream is told."""

    preset: Literal["forwarded", "auth-request", "remote-user", "none"] = "forwarded"
    headers: dict[FieldName, str | FileValue] = {}
    assertion: Assertion | None = None
    pass_authorization: StrictBool = False


class Rewrite(Section):
    """How the path changes on its way to the upstream."""

    strip_prefix: Prefix = ""
    add_prefix: Prefix = ""


class RequestHeaders(Section):
    """Header fields that are removed by default and that this route lets pass."""

    pass_: Annotated[tuple[FieldName, ...], BeforeValidator(_listed)] = Field((), alias="pass")


class RouteTimeouts(Section):
    """As the upstream's, for this route."""

    response: Duration | None = None
    idle: Duration | None = None


class RouteLimits(Section):
    """As the server's, for this route."""

    body_bytes: Size | None = None


class Route(Section):
    """One rule: what it matches, what it requires, where it goes, what identity is sent."""

    name: str = Field("", max_length=100)
    match: Match = Match()
    access: Literal["public", "optional", "required", "deny"] = "required"
    require: Require | None = None
    credentials: tuple[Literal["session", "bearer", "api_token"], ...] = ("session", "bearer", "api_token")
    identity: IdentitySettings = IdentitySettings()
    rewrite: Rewrite = Rewrite()
    preserve_host: StrictBool = True
    request_headers: RequestHeaders = RequestHeaders()
    timeouts: RouteTimeouts = RouteTimeouts()
    limits: RouteLimits = RouteLimits()
    websocket: StrictBool = True
    upstream: str = ""

    @property
    def kinds(self) -> frozenset[CredentialKind]:
        return frozenset(CredentialKind(kind) for kind in self.credentials)


class Settings(Section):
    """The whole configuration."""

    version: Literal[1] = 1
    server: Server = Server()
    data_dir: Path = Path("./var")
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None
    database: DatabaseSettings = DatabaseSettings()
    sessions: SessionSettings = SessionSettings()
    tokens: TokenSettings = TokenSettings()
    passwords: PasswordSettings = PasswordSettings()
    registration: Registration = Registration()
    login: LoginSettings = LoginSettings()
    logging: Logging = Logging()
    branding: Branding = Branding()
    upstreams: dict[str, Upstream] = {}
    routes: tuple[Route, ...] = ()

    @property
    def issuer(self) -> str:
        """The ``iss`` of every token we sign (RFC 8414 section 2)."""
        return self.tokens.issuer or f"{self.server.public_url}{self.server.prefix}"
