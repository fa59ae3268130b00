"""Routes as they are configured -> the compiled table that requests are decided by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from gateway.config.route import FileValue, IdentitySettings, Match, Require, Route
from gateway.config.settings import Settings
from gateway.errors import ConfigError, ConfigProblem, TargetRejected
from gateway.policy import presets, requirements, rules
from gateway.policy.host import parse_host
from gateway.policy.path_pattern import PathPattern, parse_pattern
from gateway.policy.presets import HeaderTemplate, IdentitySpec, Preset
from gateway.policy.requirements import Requirement
from gateway.policy.rules import Access, Rule, RuleTable
from gateway.policy.target import parse_target

_NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})
_SECRET_FILE_BYTES: Final = 16 * 1024
# Other characters fold into these in what applications see (CGI, WSGI), so they name nothing of ours.
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
# Fields that frame or route the message, or that the gateway writes itself on every request.
_RESERVED: Final = frozenset(
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
# Written by the gateway only as X-Forwarded-*; a route may want a client's own.
_PASSABLE: Final = frozenset({"forwarded"})

Value = TypeVar("Value")
Result = TypeVar("Result")


def compile_rules(settings: Settings, origins: Mapping[str, str] = _NOWHERE) -> RuleTable:
    """Compile the routes and read the secret files that they name.

    ``origins`` tells where each key was given, as ``file:line``. Raises ConfigError with every problem.
    """
    compiling = _Compiling(origins)
    table = RuleTable.compile([compiling.rule(index, route) for index, route in enumerate(settings.routes)])
    for index, rule in enumerate(table.rules):
        compiling.check_passed(f"routes[{index}].request_headers.pass", rule, table)
    if compiling.problems:
        raise ConfigError(compiling.problems)
    return table


class _Compiling:
    """One compilation: it goes on after a problem, so that all are told at once."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self.problems: list[ConfigProblem] = []
        self._origins = origins

    def rule(self, index: int, route: Route) -> Rule:
        key = f"routes[{index}]"
        rewrite = route.rewrite
        self._tried(f"{key}.rewrite.add_prefix", _forwardable, rewrite.add_prefix)
        strip = self._tried(f"{key}.rewrite.strip_prefix", _prefix, rewrite.strip_prefix)
        return Rule(
            index=index,
            name=route.name or f"route-{index + 1}",
            match=self._match(f"{key}.match", route.match),
            access=Access(route.access),
            requirement=self._top_requirement(f"{key}.require", route.require),
            credentials=route.kinds,
            upstream=route.upstream,
            identity=self._identity(f"{key}.identity", route.identity),
            rewrite=rules.Rewrite(strip, rewrite.add_prefix) if strip or rewrite.add_prefix else None,
            preserve_host=route.preserve_host,
            pass_request_headers=frozenset(name.lower() for name in route.request_headers.pass_),
            response_timeout_seconds=_seconds(route.timeouts.response),
            idle_timeout_seconds=_seconds(route.timeouts.idle),
            max_body_bytes=route.limits.body_bytes,
            websocket=route.websocket,
        )

    def check_passed(self, key: str, rule: Rule, table: RuleTable) -> None:
        """Refuse to let a client's copy of what the upstream must be able to trust pass."""
        for name in sorted(rule.pass_request_headers):
            if name in table.identity_headers or name.startswith(presets.GATEWAY_PREFIX):
                self._problem(key, f"{name} tells applications who asks: a client's own is never let through")
            elif name in _RESERVED - _PASSABLE:
                self._problem(key, f"{name} is written by the gateway")

    def _match(self, key: str, match: Match) -> rules.Match:
        hosts = [self._tried(f"{key}.host", _host, host) for host in match.host]
        paths = [self._tried(f"{key}.path", parse_pattern, path) for path in match.path]
        regex = None
        if match.path_regex is not None:
            regex = self._tried(f"{key}.path_regex", re.compile, match.path_regex)
        return rules.Match(
            hosts=tuple(host for host in hosts if host is not None),
            paths=tuple(path for path in paths if path is not None),
            regex=regex,
            methods=frozenset(match.methods),
            headers=tuple(match.headers.items()),
        )

    def _top_requirement(self, key: str, require: Require | None) -> Requirement | None:
        if require is None or require == Require():
            return None
        return self._requirement(key, require)

    def _requirement(self, key: str, require: Require) -> Requirement:
        parts = tuple(self._parts(key, require))
        if not parts:
            self._problem(key, "is empty: it would hold for everyone")
        return parts[0] if len(parts) == 1 else requirements.All(parts)

    def _parts(self, key: str, require: Require) -> Iterator[Requirement]:
        if require.roles is not None:
            yield requirements.Roles(frozenset(require.roles))
        if require.scopes is not None:
            yield requirements.Scopes(frozenset(require.scopes))
        if require.users is not None:
            yield requirements.Users(frozenset(require.users))
        if require.source_ip is not None:
            yield requirements.SourceIp(tuple(ip_network(network) for network in require.source_ip))
        for word, several, kind in (
            ("any", require.any, requirements.AnyOf),
            ("all", require.all, requirements.All),
        ):
            if several is not None:
                children = [self._requirement(f"{key}.{word}[{at}]", child) for at, child in enumerate(several)]
                yield kind(tuple(children))
        if require.not_ is not None:
            yield requirements.Not(self._requirement(f"{key}.not", require.not_))

    def _identity(self, key: str, identity: IdentitySettings) -> IdentitySpec:
        headers = [
            self._tried(f"{key}.headers.{name}", _header, (name, value)) for name, value in identity.headers.items()
        ]
        if len({name.lower() for name in identity.headers}) < len(identity.headers):
            self._problem(f"{key}.headers", "names a header twice: case makes no difference")
        return IdentitySpec(
            preset=Preset(identity.preset),
            headers=tuple(header for header in headers if header is not None),
            assertion_audience=identity.assertion.audience if identity.assertion else None,
            pass_authorization=identity.pass_authorization,
        )

    def _tried(self, key: str, read: Callable[[Value], Result], value: Value) -> Result | None:
        try:
            return read(value)
        except (ValueError, re.error) as error:
            self._problem(key, str(error))
            return None

    def _problem(self, key: str, message: str) -> None:
        file, _, line = self._origin(key).rpartition(":")
        place = (file, int(line), 1) if file and line.isdigit() else ("", 0, 0)
        self.problems.append(ConfigProblem(message, key, *place))

    def _origin(self, key: str) -> str:
        """Return where ``key``, or the nearest one around it, was given."""
        while key and key not in self._origins:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self._origins.get(key, "")


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()


def _host(text: str) -> str:
    wildcard = "*." if text.startswith("*.") else ""
    try:
        return wildcard + parse_host(text.removeprefix("*."))
    except TargetRejected as error:
        raise ValueError("must be a host name or address without a port") from error


def _prefix(text: str) -> PathPattern | None:
    return parse_pattern(f"{text}/**") if text else None


def _forwardable(prefix: str) -> None:
    """Refuse a prefix that would make a path that the gateway itself does not let in."""
    try:
        parse_target("GET", prefix or "/", "prefix", "http")
    except TargetRejected as error:
        raise ValueError(f"no such path may be forwarded ({error.reason})") from error


def _header(header: tuple[str, str | FileValue]) -> HeaderTemplate:
    name, value = header
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("may hold only letters, digits and hyphens, which every application reads alike")
    if name.lower() in _RESERVED or name.lower().startswith(presets.GATEWAY_PREFIX):
        raise ValueError("is a field that the gateway itself writes")
    if isinstance(value, str):
        return presets.parse_template(name, value)
    return presets.secret_header(name, _secret(value.file))


def _secret(path: Path) -> str:
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
