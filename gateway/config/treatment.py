"""What a route does with a request and its answer besides deciding: paths, fields, limits, answers of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt

from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.values import (
    CorsOrigin,
    FieldName,
    FilePath,
    Method,
    OneOrMore,
    Pattern,
    Prefix,
)


class FileValue(Section):
    """A header's value that is kept in a file, because it is a secret."""

    file: FilePath
    """The file; its last line break is not part of the value."""


class Rewrite(Section):
    """How the path changes on its way to the upstream, and back in its answers."""

    strip_prefix: Prefix = ""
    """Taken off the path's beginning."""
    add_prefix: Prefix = ""
    """Put before the path."""
    regex: Pattern | None = None
    """A regular expression that the whole path must match to be replaced, instead of prefixes."""
    replacement: str = Field("", max_length=1000)
    r"""The path then, with `\1` and `\g<name>` for the expression's groups."""
    location: StrictBool = True
    """Make `Location`, `Content-Location` and `Refresh` of answers lead to where clients reach the application."""
    cookies: StrictBool = True
    """Make the domain and path of cookies fit where clients reach the application."""


class RequestHeaders(Section):
    """What becomes of the client's header fields."""

    set: dict[FieldName, str | FileValue] = Field(default_factory=dict)
    """Fields that the upstream gets in place of the client's: text, or `{file: PATH}` for a secret."""
    remove: Annotated[tuple[FieldName, ...], OneOrMore] = ()
    """Fields that the upstream does not get."""
    pass_: Annotated[tuple[FieldName, ...], OneOrMore] = Field((), alias="pass")
    """Fields that are removed by default and that this route lets through."""


class ResponseHeaders(Section):
    """What becomes of the upstream's header fields."""

    set: dict[FieldName, str] = Field(default_factory=dict)
    """Fields that clients get in place of the upstream's."""
    remove: Annotated[tuple[FieldName, ...], OneOrMore] = ()
    """Fields that clients do not get."""


class RouteCors(Section):
    """Which pages' scripts may use the route. Preflights are answered by the gateway, without a credential."""

    allow_origins: Annotated[tuple[CorsOrigin, ...], OneOrMore] = Field(min_length=1)
    """Origins such as `https://app.example.com`, or `*`."""
    allow_methods: Annotated[tuple[Method, ...], OneOrMore] = ("GET", "HEAD", "POST")
    """Methods that scripts may use."""
    allow_headers: Annotated[tuple[FieldName | Literal["*"], ...], OneOrMore] = ()
    """Fields that scripts may send, or `*`."""
    expose_headers: Annotated[tuple[FieldName, ...], OneOrMore] = ()
    """Fields of answers that scripts may read."""
    allow_credentials: StrictBool = False
    """Let scripts send the session's cookie."""
    max_age: Duration = parse_duration("10m")
    """How long browsers may remember a preflight."""


class RouteRateLimit(Section):
    """How often somebody may ask; above it: 429. Counted by each process on its own."""

    requests: StrictInt = Field(ge=1, le=1_000_000)
    """So many requests..."""
    per: Duration = parse_duration("1m")
    """...within this time, be it all at once."""
    by: Literal["user", "ip"] = "user"
    """Whose requests are counted together; who is not signed in is counted by address."""


class RouteRedirect(Section):
    """An answer that sends clients elsewhere."""

    to: str = Field(min_length=1, max_length=2000)
    """A path or URL, with `{host}`, `{path}` and `{query}` of the request in it."""
    status: Literal[301, 302, 303, 307, 308] = 302
    """301 and 308 are remembered by browsers; 307 and 308 keep the method."""


class RouteRespond(Section):
    """A fixed answer."""

    status: StrictInt = Field(200, ge=200, le=599)
    """The status."""
    body: str = Field("", max_length=64 * 1024)
    """The text."""
    content_type: str = Field("text/plain", pattern=r"^[a-z]+/[a-z0-9.+-]+$")
    """The text's type; it is sent as UTF-8."""


def _redirect(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


Redirect = Annotated[RouteRedirect, BeforeValidator(_redirect)]
