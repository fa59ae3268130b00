"""One route of the configuration: what it matches, what it requires, where it goes, what identity is sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from gateway.config.scalars import Duration, Size
from gateway.config.section import Section
from gateway.config.treatment import (
    FileValue,
    Redirect,
    RequestHeaders,
    ResponseHeaders,
    Rewrite,
    RouteCors,
    RouteRateLimit,
    RouteRespond,
)
from gateway.config.values import (
    Audience,
    FieldName,
    Host,
    Label,
    Method,
    Network,
    OneOrMore,
    PathPattern,
    Pattern,
    Scope,
)
from gateway.identity.identity import CredentialKind

Credential = Literal["session", "bearer", "api_token", "basic", "client_certificate"]


class Match(Section):
    """What a request must look like. All that is given must hold; of a list, any one."""

    host: Annotated[tuple[Host, ...], OneOrMore] = Field((), min_length=1)
    """Host names, exact or `*.example.com`; case, port and trailing dot make no difference."""
    path: Annotated[tuple[PathPattern, ...], OneOrMore] = Field((), min_length=1)
    """Path patterns: `*` is one segment, a final `/**` any rest, none included."""
    path_regex: Pattern | None = None
    """A regular expression that the whole path must match, instead of `path`."""
    methods: Annotated[tuple[Method, ...], OneOrMore] = Field((), min_length=1)
    """HTTP methods."""
    headers: dict[FieldName, str] = Field(default_factory=dict)
    """Header fields and the exact values that they must have."""


class Require(Section):
    """What must be true of who asks. All that is given must hold."""

    roles: Annotated[tuple[Label, ...], OneOrMore] | None = Field(None, min_length=1)
    """Any one of these roles."""
    scopes: Annotated[tuple[Scope, ...], OneOrMore] | None = Field(None, min_length=1)
    """All of these scopes, where a token has scopes."""
    users: Annotated[tuple[Label, ...], OneOrMore] | None = Field(None, min_length=1)
    """Any one of these users, by username."""
    claims: dict[str, Annotated[tuple[str, ...], OneOrMore]] | None = Field(None, min_length=1)
    """Claims that a token must have, each with any one of these values."""
    source_ip: Annotated[tuple[Network, ...], OneOrMore] | None = Field(None, min_length=1)
    """A client address in any one of these networks."""
    mfa: Literal[True] | None = None
    """More than one factor: a password and a code, or a passkey. Who has shown one is asked for another."""
    max_auth_age: Duration | None = None
    """The longest time since the sign-in; whoever signed in earlier does so again."""
    any: tuple[Require, ...] | None = Field(None, min_length=1)
    """At least one of these holds."""
    all: tuple[Require, ...] | None = Field(None, min_length=1)
    """Every one of these holds."""
    not_: Require | None = Field(None, alias="not")
    """This does not hold."""


class Assertion(Section):
    """A signed statement of who asks, in `X-Gateway-Assertion`."""

    audience: str = Field(min_length=1, max_length=255)
    """The `aud` claim: the application that shall accept it."""


class IdentitySettings(Section):
    """What the upstream is told about who asks."""

    preset: Literal["forwarded", "auth-request", "remote-user", "none"] = "forwarded"
    """Which family of header names carries username, name, e-mail address and roles."""
    headers: dict[FieldName, str | FileValue] = Field(default_factory=dict)
    """More headers: text with `{username}` and the like, or `{file: PATH}` for a secret."""
    assertion: Assertion | None = None
    """Send a signed JWT in `X-Gateway-Assertion`."""
    pass_authorization: StrictBool = False
    """Forward the credential that the gateway consumed."""


class RouteTimeouts(Section):
    """As the upstream's, for this route."""

    response: Duration | None = None
    """The longest wait for the response's head."""
    idle: Duration | None = None
    """The longest silence after it."""
    websocket: Duration | None = None
    """The longest silence on a WebSocket."""


class RouteLimits(Section):
    """As the server's, for this route."""

    body_bytes: Size | None = None
    """The largest request body."""


class Route(Section):
    """One rule. The first route that matches decides."""

    name: Label | Literal[""] = ""
    """How logs, metrics and `route explain` call it; `route-N` when not given."""
    match: Match = Match()
    """What a request must look like; without it, every request matches."""
    access: Literal["public", "optional", "required", "deny"] = "required"
    """`public`: anybody, and no credential is looked at; `optional`: anybody, and the upstream is told who is signed
    in; `required`: whoever is signed in; `deny`: nobody."""
    require: Require | None = None
    """What must be true of who asks, beyond being signed in."""
    credentials: Annotated[tuple[Credential, ...], OneOrMore] = Field(("session", "bearer", "api_token"), min_length=1)
    """The kinds of credential that count here; others are not looked at."""
    audience: Audience | None = None
    """Whom access tokens must be for (`aud`); when not given, the issuer, as in every token of a login."""
    resource: StrictBool = False
    """Access tokens must be for this route alone, and programs without one are told where to get it (RFC 9728)."""
    identity: IdentitySettings = IdentitySettings()
    """What the upstream is told about who asks."""
    rewrite: Rewrite = Rewrite()
    """How the path changes on its way to the upstream."""
    preserve_host: StrictBool = True
    """Send the client's Host; otherwise the upstream's own."""
    request_headers: RequestHeaders = RequestHeaders()
    """What becomes of the client's header fields."""
    response_headers: ResponseHeaders = ResponseHeaders()
    """What becomes of the upstream's header fields."""
    cors: RouteCors | None = None
    """Which pages' scripts may use the route."""
    rate_limit: RouteRateLimit | None = None
    """How often somebody may ask."""
    timeouts: RouteTimeouts = RouteTimeouts()
    """As the upstream's, for this route."""
    limits: RouteLimits = RouteLimits()
    """As the server's, for this route."""
    websocket: StrictBool = True
    """Let WebSockets through."""
    upstream: str = ""
    """Where requests go: a name below `upstreams`, a URL of scheme, host and port, or `unix:/path`."""

    redirect: Redirect | None = None
    """Send clients elsewhere: a path or URL, or `{to, status}`; instead of an upstream."""
    respond: RouteRespond | None = None
    """Answer with fixed words; instead of an upstream."""

    @property
    def kinds(self) -> frozenset[CredentialKind]:
        return frozenset(CredentialKind(kind) for kind in self.credentials)
