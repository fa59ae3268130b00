"""Routes as they are configured -> the compiled table that requests are decided by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from types import MappingProxyType
from typing import Final, TypeVar

from gateway.config import treatments
from gateway.config.resource import resource_of
from gateway.config.route import IdentitySettings, Match, Require, Route
from gateway.config.settings import Settings
from gateway.config.treatment import FileValue, Rewrite
from gateway.errors import ConfigError, ConfigProblem, TargetRejected
from gateway.policy import freshness, presets, requirements, rules
from gateway.policy.answer import Redirect, Respond
from gateway.policy.host import parse_host
from gateway.policy.path_pattern import parse_pattern
from gateway.policy.presets import HeaderTemplate, IdentitySpec, Preset
from gateway.policy.requirements import Requirement
from gateway.policy.rules import Access, Rule, RuleTable, identity_headers

_NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})
# Written by the gateway only as X-Forwarded-*; a route may want a client's own.
_PASSABLE: Final = frozenset({"forwarded"})

Value = TypeVar("Value")
Result = TypeVar("Result")


def compile_rules(settings: Settings, origins: Mapping[str, str] = _NOWHERE) -> RuleTable:
    """Compile the routes and read the secret files that they name.

    ``origins`` tells where each key was given, as ``file:line``. Raises ConfigError with every problem.
    """
    compiling = _Compiling(settings, origins)
    compiled = [compiling.rule(index, route) for index, route in enumerate(settings.routes)]
    names = identity_headers(compiled)
    for index, route in enumerate(settings.routes):
        compiled[index] = compiling.changed(f"routes[{index}]", route, compiled[index], names)
    table = RuleTable.compile(compiled)
    for index, rule in enumerate(table.rules):
        compiling.check_passed(f"routes[{index}].request_headers.pass", rule, table)
    if compiling.problems:
        raise ConfigError(compiling.problems)
    return table


class _Compiling:
    """One compilation: it goes on after a problem, so that all are told at once."""

    def __init__(self, settings: Settings, origins: Mapping[str, str]) -> None:
        self._settings = settings
        self.problems: list[ConfigProblem] = []
        self._origins = origins

    def rule(self, index: int, route: Route) -> Rule:
        key = f"routes[{index}]"
        rewrite = self._rewrite(f"{key}.rewrite", route.rewrite)
        rule = Rule(
            index=index,
            name=route.name or f"route-{index + 1}",
            match=self._match(f"{key}.match", route.match),
            access=Access(route.access),
            requirement=self._top_requirement(f"{key}.require", route.require),
            credentials=route.kinds,
            audience=route.audience or self._settings.issuer,
            upstream=route.upstream,
            identity=self._identity(f"{key}.identity", route.identity),
            rewrite=rewrite,
            fit_location=route.rewrite.location,
            fit_cookies=route.rewrite.cookies,
            preserve_host=route.preserve_host,
            pass_request_headers=frozenset(name.lower() for name in route.request_headers.pass_),
            response_timeout_seconds=_seconds(route.timeouts.response),
            idle_timeout_seconds=_seconds(route.timeouts.idle),
            websocket_timeout_seconds=_seconds(route.timeouts.websocket),
            max_body_bytes=route.limits.body_bytes,
            websocket=route.websocket,
            cors=self._tried(f"{key}.cors", treatments.cors, route.cors),
            rate_limit=treatments.rate_limit(route.rate_limit),
            answer=self._answer(key, route),
        )
        if not route.resource:
            return rule
        resource = self._tried(f"{key}.resource", lambda each: resource_of(self._settings, each), rule)
        return replace(rule, resource=resource, audience=resource.identifier if resource is not None else "")

    def _rewrite(self, key: str, settings: Rewrite) -> rules.Rewrite | None:
        self._tried(f"{key}.add_prefix", treatments.forwardable, settings.add_prefix)
        strip = self._tried(f"{key}.strip_prefix", treatments.prefix, settings.strip_prefix)
        pattern = self._tried(f"{key}.regex", treatments.pattern, settings)
        if pattern is None and not strip and not settings.add_prefix:
            return None
        return rules.Rewrite(strip, settings.add_prefix, pattern, settings.replacement)

    def _answer(self, key: str, route: Route) -> Redirect | Respond | None:
        if route.redirect is not None:
            return self._tried(f"{key}.redirect", treatments.redirect, route.redirect)
        if route.respond is not None:
            return self._tried(f"{key}.respond", treatments.respond, route.respond)
        return None

    def changed(self, key: str, route: Route, rule: Rule, names: frozenset[str]) -> Rule:
        """Return the rule with its changes of fields, which may touch none of ``names``: they tell who asks."""
        fields, answers = route.request_headers, route.response_headers
        request_changes = self._tried(
            f"{key}.request_headers",
            lambda _: treatments.request_changes(fields.set.items(), fields.remove, names),
            None,
        )
        response_changes = self._tried(
            f"{key}.response_headers",
            lambda _: treatments.response_changes(answers.set.items(), answers.remove, names, route.cors),
            None,
        )
        if request_changes is None or response_changes is None or not (request_changes.names | response_changes.names):
            return rule
        return replace(rule, request_changes=request_changes, response_changes=response_changes)

    def check_passed(self, key: str, rule: Rule, table: RuleTable) -> None:
        """Refuse to let a client's copy of what the upstream must be able to trust pass."""
        for name in sorted(rule.pass_request_headers):
            if name in table.identity_headers or name.startswith(presets.GATEWAY_PREFIX):
                self._problem(key, f"{name} tells applications who asks: a client's own is never let through")
            elif name in treatments.RESERVED - _PASSABLE:
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
        if require.claims is not None:
            claims = ((name, frozenset(values)) for name, values in require.claims.items())
            yield requirements.Claims(tuple(claims))
        if require.users is not None:
            yield requirements.Users(frozenset(require.users))
        if require.source_ip is not None:
            yield requirements.SourceIp(tuple(ip_network(network) for network in require.source_ip))
        if require.mfa is not None:
            yield freshness.Mfa()
        if require.max_auth_age is not None:
            yield freshness.MaxAuthAge(require.max_auth_age.total_seconds())
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


def _header(header: tuple[str, str | FileValue]) -> HeaderTemplate:
    name, value = header
    if not treatments.HEADER_NAME.fullmatch(name):
        raise ValueError("may hold only letters, digits and hyphens, which every application reads alike")
    if name.lower() in treatments.RESERVED or name.lower().startswith(presets.GATEWAY_PREFIX):
        raise ValueError("is a field that the gateway itself writes")
    if isinstance(value, str):
        return presets.parse_template(name, value)
    return presets.secret_header(name, treatments.secret(value.file))
