"""Which header fields cross the gateway. What each field's name means is decided once and looked up after that.

The tables are the security decision: hop-by-hop fields (RFC 9110 section 7.6.1), fields that say who asks or where a
request came from, and every other spelling of them that a CGI, WSGI or PHP upstream folds into the same variable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from gateway.errors import TargetRejected
from gateway.policy.rules import HeaderChanges, Rule, RuleTable
from gateway.proxy.fitting import Fitting

RawHeader = tuple[bytes, bytes]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    },
)
# Framing is re-made, and we answer the expectation ourselves.
_REMADE: Final = frozenset({b"content-length", b"expect", b"http2-settings"})
# A CGI program would send its own requests through what a client names there (CVE-2016-5385, "httpoxy").
_HTTPOXY: Final = frozenset({b"proxy"})
# Where a request came from is ours to say.
_FORWARDING: Final = frozenset({b"forwarded", b"x-real-ip", b"x-rewrite-url", b"x-request-id", b"true-client-ip"})
_FORWARDING_PREFIXES: Final = (b"x-forwarded-", b"x-original-", b"x-gateway-")
# These make an upstream act on another method than the one that was decided on; a route may let them pass.
METHOD_OVERRIDES: Final = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_PLAIN_NAME: Final = re.compile(rb"[A-Za-z0-9-]+")
_CACHED_NAMES: Final = 4096


# What becomes of a field. Plain numbers: they are compared for each field of each request.
_KEEP: Final = 0
_DROP: Final = 1
_CONNECTION: Final = 2
_HOST: Final = 3
_COOKIE: Final = 4
_AUTHORIZATION: Final = 5
_API_KEY: Final = 6
_PASSABLE: Final = 7
_LENGTH: Final = 8
_LOCATION: Final = 9
_REFRESH: Final = 10

_SPECIAL: Final = {
    b"host": _HOST,
    b"connection": _CONNECTION,
    b"cookie": _COOKIE,
    b"authorization": _AUTHORIZATION,
    b"x-api-key": _API_KEY,
}
_SPECIAL_IN_ANSWERS: Final = {
    b"content-length": _LENGTH,
    b"connection": _CONNECTION,
    b"set-cookie": _COOKIE,
    b"location": _LOCATION,
    b"content-location": _LOCATION,
    b"refresh": _REFRESH,
}
# Names nothing but the connection itself.
_NAMES_NOTHING: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close", b"upgrade", b"Upgrade"})


class RequestHeaders:
    """Filters what clients send. Compiled for a rule table and the name of our cookie."""

    def __init__(self, table: RuleTable, session_cookies: Iterable[str]) -> None:
        identity = {name.encode() for name in table.identity_headers}
        self._dropped = HOP_BY_HOP | _REMADE | _HTTPOXY | _FORWARDING | identity
        self._actions: dict[bytes, int] = {}
        names = b"|".join(re.escape(name.encode()) for name in session_cookies)
        self._own_cookie = re.compile(rb"(?:^|;)[ \t]*(?:" + names + rb")=[^;]*")

    def filtered(self, raw_headers: Iterable[RawHeader], rule: Rule, consumed: frozenset[str]) -> list[bytes]:
        """Return the lines that are forwarded. Raises TargetRejected for more than one Host."""
        lines: list[bytes] = []
        listed: set[bytes] | None = None
        hosts = 0
        actions = self._actions
        for name, value in raw_headers:
            action = actions.get(name)
            if action is None:
                action = self._learn(name)
            if action == _KEEP:
                lines.append(b"%b: %b\r\n" % (name, value))
            elif action == _HOST:
                hosts += 1
            elif action == _COOKIE:
                if (kept := self.without_own_cookies(value)) is not None:
                    lines.append(b"%b: %b\r\n" % (name, kept))
            elif action == _CONNECTION:
                if value not in _NAMES_NOTHING:
                    listed = (listed or set()) | _members(value)
            elif action != _DROP and _passes(action, name, rule, consumed):
                lines.append(b"%b: %b\r\n" % (name, value))
        if hosts > 1:
            raise TargetRejected("duplicate_host")
        if listed:
            lines = without(lines, listed)
        return _changed(lines, rule.request_changes)

    def without_own_cookies(self, value: bytes) -> bytes | None:
        """Return a Cookie field without the gateway's own, None when nothing is left."""
        kept = self._own_cookie.sub(b"", value).strip(b"; \t")
        return kept or None

    def _learn(self, name: bytes) -> int:
        return _remember(self._actions, name, self._action(name.lower()))

    def _action(self, name: bytes) -> int:
        special = _SPECIAL.get(name)
        if special is not None:
            return special
        if name in METHOD_OVERRIDES:
            return _PASSABLE
        if not _PLAIN_NAME.fullmatch(name):
            # `X_Forwarded_User` and its kin: no spelling outside A-Z a-z 0-9 - is forwarded at all.
            return _DROP
        if name in self._dropped or name.startswith(_FORWARDING_PREFIXES):
            return _DROP
        return _KEEP


def _changed(lines: list[bytes], changes: HeaderChanges) -> list[bytes]:
    if not changes.set and not changes.remove:
        return lines
    return [*without(lines, {name.encode() for name in changes.names}), field_lines(changes.set)]


def _passes(action: int, name: bytes, rule: Rule, consumed: frozenset[str]) -> bool:
    if action == _AUTHORIZATION:
        return "authorization" not in consumed or rule.identity.pass_authorization
    if action == _API_KEY:
        return "x-api-key" not in consumed or rule.identity.pass_authorization
    return action == _PASSABLE and name.lower().decode("latin-1") in rule.pass_request_headers


def _members(value: bytes) -> set[bytes]:
    return {member.strip(b" \t").lower() for member in value.split(b",")}


def field_lines(fields: Iterable[tuple[str, str]]) -> bytes:
    """Write fields as lines."""
    return b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in fields)


def without(lines: list[bytes], names: Collection[bytes]) -> list[bytes]:
    """Return the lines of fields with other names; ``names`` are in lower case."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


def _remember(actions: dict[bytes, int], name: bytes, action: int) -> int:
    # Whoever sends them chooses the names, so what is remembered is bounded.
    if len(actions) >= _CACHED_NAMES:
        actions.clear()
    actions[name] = action
    return action


class ResponseHeaders:
    """Filters what upstreams answer: hop-by-hop fields, framing, and identity headers, which are not theirs to set."""

    def __init__(self, table: RuleTable, own_cookies: Iterable[str]) -> None:
        identity = {name.encode() for name in table.identity_headers}
        self._dropped = HOP_BY_HOP | {b"content-length", b"x-request-id"} | identity
        self._actions: dict[bytes, int] = {}
        # An application that could set our cookies could sign its visitors in as somebody else.
        names = b"|".join(re.escape(name.encode()) for name in own_cookies)
        # One without a name, `=NAME=VALUE`, is sent back as NAME=VALUE.
        self._own_cookie = re.compile(rb"[ \t=]*(?:" + names + rb")[ \t]*=")

    def filtered(
        self, headers: Iterable[RawHeader], fitting: Fitting | None = None
    ) -> tuple[list[bytes], bytes | None]:
        """Return the lines for the client, and the Content-Length when there is one."""
        lines: list[bytes] = []
        length: bytes | None = None
        listed: set[bytes] | None = None
        for name, value in headers:
            action = self._actions.get(name)
            if action is None:
                action = self._learn(name)
            if action == _KEEP:
                lines.append(b"%b: %b\r\n" % (name, value))
            elif action == _LENGTH:
                length = value
            elif action == _COOKIE:
                if not self._own_cookie.match(value):
                    kept = fitting.cookie(value) if fitting is not None else value
                    lines.append(b"%b: %b\r\n" % (name, kept))
            elif action == _LOCATION:
                fitted = fitting.location(value) if fitting is not None else value
                lines.append(b"%b: %b\r\n" % (name, fitted))
            elif action == _REFRESH:
                fitted = fitting.refresh(value) if fitting is not None else value
                lines.append(b"%b: %b\r\n" % (name, fitted))
            elif action == _CONNECTION and value not in _NAMES_NOTHING:
                listed = (listed or set()) | _members(value)
        if listed:
            # An upstream that hides its own cookie makes no sense; an attacker's bytes in that field would.
            lines = without(lines, listed - {b"set-cookie"})
        return lines, length

    def _learn(self, name: bytes) -> int:
        return _remember(self._actions, name, self._action(name.lower()))

    def _action(self, name: bytes) -> int:
        special = _SPECIAL_IN_ANSWERS.get(name)
        if special is not None:
            return special
        # Whoever reads answers may fold names as well.
        folded = re.sub(rb"[^a-z0-9]", b"-", name)
        if name in self._dropped or folded in self._dropped or folded.startswith(b"x-gateway-"):
            return _DROP
        return _KEEP
