"""What routes do with requests and answers: from configured settings to compiled values. Raises ValueError."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from gateway.config.treatment import FileValue, RouteCors, RouteRateLimit, RouteRedirect, RouteRespond
from gateway.config.treatment import Rewrite as RewriteSettings
from gateway.errors import TargetRejected
from gateway.policy import presets
from gateway.policy.answer import Redirect, Respond, read_redirect
from gateway.policy.cors import ANY, Cors
from gateway.policy.path_pattern import PathPattern, parse_pattern
from gateway.policy.rate_limit import RateLimit
from gateway.policy.rules import HeaderChanges
from gateway.policy.target import parse_target

_SECRET_FILE_BYTES: Final = 16 * 1024
# Other characters fold into these in what applications see (CGI, WSGI), so they name nothing of ours.
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_VALUE: Final = re.compile(r"[\t -~]*")
# Fields that frame or route the message, or that the gateway writes itself on every request.
RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    }
)
# Fields of answers that are framing, the connection's, or the gateway's own.
_RESERVED_IN_ANSWERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    }
)


def pattern(settings: RewriteSettings) -> re.Pattern[str] | None:
    """Compile the expression that paths must match to be replaced, and try what replaces them."""
    if settings.regex is None:
        if settings.replacement:
            raise ValueError("has no effect without regex")
        return None
    if settings.strip_prefix or settings.add_prefix:
        raise ValueError("regex and prefixes exclude each other")
    compiled = re.compile(settings.regex)
    if not settings.replacement.startswith(("/", "\\")) or set(settings.replacement) & set("?#"):
        raise ValueError("replacement must be a path, such as /new/\\1")
    try:
        compiled.sub(settings.replacement, "")
    except (re.error, IndexError) as error:
        raise ValueError(f"replacement does not fit the expression: {error}") from error
    return compiled


def prefix(text: str) -> PathPattern | None:
    return parse_pattern(f"{text}/**") if text else None


def forwardable(text: str) -> None:
    """Refuse a prefix that would make a path that the gateway itself does not let in."""
    try:
        parse_target("GET", text or "/", "prefix", "http")
    except TargetRejected as error:
        raise ValueError(f"no such path may be forwarded ({error.reason})") from error


def request_changes(
    given: Iterable[tuple[str, str | FileValue]], removed: Iterable[str], identity: Collection[str]
) -> HeaderChanges:
    """Compile changes of what upstreams are sent. ``identity`` are the names that tell who asks."""
    changes = HeaderChanges(
        tuple((name, _value(value)) for name, value in given), frozenset(name.lower() for name in removed)
    )
    _check(changes, RESERVED, identity, removable={"cookie"})
    return changes


def response_changes(
    given: Iterable[tuple[str, str]], removed: Iterable[str], identity: Collection[str], cors: RouteCors | None
) -> HeaderChanges:
    """Compile changes of what clients are sent."""
    changes = HeaderChanges(
        tuple((name, _value(value)) for name, value in given), frozenset(name.lower() for name in removed)
    )
    _check(changes, _RESERVED_IN_ANSWERS, identity, removable=())
    if any(name.lower() == "set-cookie" for name, _ in changes.set):
        raise ValueError("set-cookie: a cookie that every client is given can only be a mistake")
    if cors is not None and any(name.startswith("access-control-") for name in changes.names):
        raise ValueError("access-control-...: is written by cors")
    return changes


def _check(
    changes: HeaderChanges, reserved: Collection[str], identity: Collection[str], removable: Collection[str]
) -> None:
    names = [name.lower() for name, _ in changes.set]
    if len(set(names)) < len(names):
        raise ValueError("sets a field twice: case makes no difference")
    if both := changes.remove & set(names):
        raise ValueError(f"{min(both)}: is set and removed; setting takes the place of what was there")
    for name in sorted(changes.names):
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name}: only letters, digits and hyphens are read alike everywhere; others never pass")
        if name in identity or name.startswith(presets.GATEWAY_PREFIX):
            raise ValueError(f"{name}: tells who asks; see identity")
        if name in reserved and not (name in removable and name in changes.remove):
            raise ValueError(f"{name}: is written by the gateway")


def _value(value: str | FileValue) -> str:
    text = secret(value.file) if isinstance(value, FileValue) else value
    if not _VALUE.fullmatch(text) or text != text.strip():
        raise ValueError("a value must be printable ASCII, without a space at either end")
    return text


def secret(path: Path) -> str:
    """Return a file's text without its last line break. Raises ValueError that names the file."""
    try:
        with path.open("rb") as file:
            content = file.read(_SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _SECRET_FILE_BYTES:
        raise ValueError(f"{path} is too long for a header")
    try:
        return content.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must hold one line of printable ASCII characters") from error


def cors(settings: RouteCors | None) -> Cors | None:
    if settings is None:
        return None
    if ANY in settings.allow_origins and settings.allow_credentials:
        raise ValueError("allow_origins: * with allow_credentials would let every page act as whoever looks at it")
    if ANY in settings.allow_origins and len(settings.allow_origins) > 1:
        raise ValueError("allow_origins: * stands alone")
    return Cors(
        frozenset(settings.allow_origins),
        tuple(settings.allow_methods),
        tuple(name.lower() for name in settings.allow_headers),
        tuple(settings.expose_headers),
        settings.allow_credentials,
        int(settings.max_age.total_seconds()),
    )


def rate_limit(settings: RouteRateLimit | None) -> RateLimit | None:
    if settings is None:
        return None
    return RateLimit(settings.requests, settings.per.total_seconds(), settings.by == "user")


def redirect(settings: RouteRedirect) -> Redirect:
    return Redirect(read_redirect(settings.to), settings.status)


def respond(settings: RouteRespond) -> Respond:
    if settings.status in {204, 205, 304} and settings.body:
        raise ValueError(f"an answer {settings.status} has no body")
    return Respond(settings.status, settings.body, settings.content_type)
