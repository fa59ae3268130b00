"""Routes as compiled rules, and the table that finds the first one that matches.

A table is made once, at load. Hosts are looked up by name, paths walked segment by segment, so that finding
one of ten thousand routes takes the steps of finding one of ten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.identity.identity import CredentialKind
from gateway.policy.answer import Redirect, Respond
from gateway.policy.cors import Cors
from gateway.policy.fields import Headers
from gateway.policy.freshness import is_timed
from gateway.policy.path_pattern import PathPattern, literal_prefix
from gateway.policy.path_trie import PathTrie
from gateway.policy.presets import IDENTITY_HEADERS, IdentitySpec
from gateway.policy.rate_limit import RateLimit
from gateway.policy.requirements import Requirement, required_scopes
from gateway.policy.resource import Resource
from gateway.policy.target import Target

DEFAULT_CREDENTIALS: Final = frozenset({CredentialKind.SESSION, CredentialKind.BEARER, CredentialKind.API_TOKEN})
ANY_PATH: Final = PathPattern("/**", (), any_rest=True)
_DEFAULT_IDENTITY: Final = IdentitySpec()
_HOST_CACHE_SIZE: Final = 1024


class Access(StrEnum):
    """Whom a route lets in, before its requirements. The values are the configuration's words."""

    PUBLIC = "public"
    OPTIONAL = "optional"
    REQUIRED = "required"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Match:
    """What a request must look like. All that is given must hold; a list is any of.

    ``hosts`` are in their one spelling, or ``*.`` and such a host for everything below it. ``regex`` must
    match the whole decoded path. Each of ``headers`` must be sent exactly once, with exactly that value:
    of two copies the upstream may read the other one.
    """

    hosts: tuple[str, ...] = ()
    paths: tuple[PathPattern, ...] = ()
    regex: re.Pattern[str] | None = None
    methods: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()

    host_and_path_suffice: bool = field(init=False)

    def __post_init__(self) -> None:
        suffice = self.regex is None and not self.methods and not self.headers
        object.__setattr__(self, "host_and_path_suffice", suffice)

    def rest_holds(self, target: Target, headers: Headers) -> bool:
        """Tell whether everything but host and path patterns holds."""
        if self.methods and target.method not in self.methods:
            return False
        if self.regex is not None and not self.regex.fullmatch(target.decoded_path):
            return False
        return all(header_holds(headers, name, value) for name, value in self.headers)

    def path_patterns(self) -> tuple[PathPattern, ...]:
        """Return patterns of which every matching path matches one."""
        if self.paths:
            return self.paths
        return (ANY_PATH if self.regex is None else literal_prefix(self.regex.pattern),)


_ANY_REQUEST: Final = Match()


def header_holds(headers: Headers, name: str, value: str) -> bool:
    values = headers.getall(name, ())
    return len(values) == 1 and values[0] == value


@dataclass(frozen=True, slots=True)
class Rewrite:
    """How the path changes on its way to the upstream: whole segments off its front, then others onto it.

    Or a whole path that ``pattern`` matches becomes ``replacement``, a template of ``re``.
    """

    strip_prefix: PathPattern | None = None
    add_prefix: str = ""
    pattern: re.Pattern[str] | None = None
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Fields that are removed (lower case), and those that are set in place of any with their name."""

    set: tuple[tuple[str, str], ...] = ()
    remove: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Every name that what arrives loses, in lower case."""
        return self.remove | {name.lower() for name, _ in self.set}


_NO_CHANGES: Final = HeaderChanges()


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One route, ready to be decided on. Times are in seconds, None where the upstream's own count.

    ``upstream`` is a name out of the configuration's ``upstreams`` or the URL of a server.
    """

    index: int
    name: str
    match: Match = _ANY_REQUEST
    access: Access = Access.REQUIRED
    requirement: Requirement | None = None
    credentials: frozenset[CredentialKind] = DEFAULT_CREDENTIALS
    # Whom a JWT must be for (its `aud`); a resource is told about to whoever comes without one.
    audience: str = ""
    resource: Resource | None = None
    upstream: str = ""
    identity: IdentitySpec = _DEFAULT_IDENTITY
    rewrite: Rewrite | None = None
    preserve_host: bool = True
    pass_request_headers: frozenset[str] = frozenset()
    response_timeout_seconds: float | None = None
    idle_timeout_seconds: float | None = None
    websocket_timeout_seconds: float | None = None
    max_body_bytes: int | None = None
    websocket: bool = True
    request_changes: HeaderChanges = _NO_CHANGES
    response_changes: HeaderChanges = _NO_CHANGES
    # Location and Set-Cookie of answers are made to fit where clients reach the application.
    fit_location: bool = True
    fit_cookies: bool = True
    cors: Cors | None = None
    rate_limit: RateLimit | None = None
    # What is answered in place of an upstream.
    answer: Redirect | Respond | None = None
    # The same as ``credentials``: comparing three members costs less than hashing an enum's.
    kinds: tuple[CredentialKind, ...] = field(init=False, repr=False)
    # Whether the requirement may come out otherwise a moment later: such a decision is not kept.
    timed: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timed", is_timed(self.requirement))
        object.__setattr__(self, "kinds", tuple(sorted(self.credentials)))


@dataclass(frozen=True, slots=True)
class HostNames:
    """The hosts that routes name: where a login may return to."""

    exact: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()

    def __contains__(self, host: object) -> bool:
        return isinstance(host, str) and (host in self.exact or host.endswith(self.suffixes))


@dataclass(slots=True)
class RuleTable:
    """The compiled routes. ``rules`` are in file order, which is the order of precedence.

    ``identity_headers`` (lower case) are the names taken from every client's request. ``match_headers``
    (lower case) are those that routes are chosen by: another spelling of one, which an upstream may take for
    the same, must not be forwarded.
    """

    rules: tuple[Rule, ...]
    hosts: HostNames
    identity_headers: frozenset[str]
    match_headers: frozenset[str]
    _by_host: Mapping[str, tuple[PathTrie, ...]] = field(repr=False)
    _by_suffix: Mapping[str, PathTrie] = field(repr=False)
    _any_host: PathTrie = field(repr=False)
    _other_hosts: dict[str, tuple[PathTrie, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def compile(cls, rules: Iterable[Rule]) -> RuleTable:
        """Build the table. The rules' ``index`` must be their places."""
        rules = tuple(rules)
        exact: dict[str, PathTrie] = {}
        suffixes: dict[str, PathTrie] = {}
        any_host = PathTrie()
        for place, rule in enumerate(rules):
            if rule.index != place:
                raise ValueError(f"rule {rule.name!r} has index {rule.index} at place {place}")
            for trie in _tries_of(rule.match.hosts, exact, suffixes, any_host):
                for pattern in rule.match.path_patterns():
                    trie.add(pattern, rule)
        for trie in (*exact.values(), *suffixes.values(), any_host):
            trie.freeze()
        return cls(
            rules=rules,
            hosts=HostNames(frozenset(exact), tuple(suffixes)),
            identity_headers=identity_headers(rules),
            match_headers=frozenset(name.lower() for rule in rules for name, _ in rule.match.headers),
            _by_host={host: (trie, *_above(host, suffixes), any_host) for host, trie in exact.items()},
            _by_suffix=suffixes,
            _any_host=any_host,
        )

    @property
    def audiences(self) -> Mapping[str, str]:
        """Whom tokens have to be for somewhere, with the name of the first route that says so."""
        return {rule.audience: rule.name for rule in reversed(self.rules) if rule.audience}

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope that a route requires."""
        return frozenset(scope for rule in self.rules for scope in required_scopes(rule.requirement))

    def find(self, target: Target, headers: Headers) -> Rule | None:
        """Return the first rule, in file order, that matches."""
        host = target.host
        tries = self._by_host.get(host) or self._other_hosts.get(host) or self._tries_for(host)
        found: Rule | None = None
        for trie in tries:
            found = trie.find(target, headers, found)
        return found

    def _tries_for(self, host: str) -> tuple[PathTrie, ...]:
        tries = (*_above(host, self._by_suffix), self._any_host)
        # Clients choose the name, so the cache is bounded; emptied, it costs one walk over the labels.
        if len(self._other_hosts) >= _HOST_CACHE_SIZE:
            self._other_hosts.clear()
        self._other_hosts[host] = tries
        return tries


def identity_headers(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the names, in lower case, by which any route tells who asks."""
    return IDENTITY_HEADERS | {template.name.lower() for rule in rules for template in rule.identity.headers}


def _tries_of(
    hosts: tuple[str, ...], exact: dict[str, PathTrie], suffixes: dict[str, PathTrie], any_host: PathTrie
) -> list[PathTrie]:
    if not hosts:
        return [any_host]
    return [
        suffixes.setdefault(host[1:], PathTrie()) if host.startswith("*.") else exact.setdefault(host, PathTrie())
        for host in hosts
    ]


def _above(host: str, suffixes: Mapping[str, PathTrie]) -> list[PathTrie]:
    """Return the tries of the wildcards that ``host`` stands under."""
    if not suffixes:
        return []
    found = []
    dot = host.find(".")
    while dot > 0:
        trie = suffixes.get(host[dot:])
        if trie is not None:
            found.append(trie)
        dot = host.find(".", dot + 1)
    return found
