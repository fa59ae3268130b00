"""Which header fields cross the gateway. What each field's name means is decided once and looked up after that.

The tables are the security decision: hop-by-hop fields (RFC 9110 section 7.6.1), fields that say who asks or where a
request came from, and every other spelling of them that a CGI, WSGI or PHP upstream folds into the same variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from gateway.errors import TargetRejected
from gateway.policy.rules import Rule, RuleTable

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
# Where a request came from is ours to say.
_FORWARDING: Final = frozenset({b"forwarded", b"x-real-ip", b"x-rewrite-url", b"x-request-id", b"true-client-ip"})
_FORWARDING_PREFIXES: Final = (b"x-forwarded-", b"x-original-", b"x-gateway-")
# These make an upstream act on another method than the one that was decided on; a route may let them pass.
METHOD_OVERRIDES: Final = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_PLAIN_NAME: Final = re.compile(rb"[A-Za-z0-9-]+")
_FOLDED: Final = re.compile(rb"[^A-Za-z0-9]")
_CACHED_NAMES: Final = 4096


class Action(IntEnum):
    """What becomes of a request field."""

    KEEP = 0
    DROP = 1
    CONNECTION = 2
    HOST = 3
    COOKIE = 4
    CREDENTIAL = 5
    PASSABLE = 6


class RequestHeaders:
    """Filters what clients send. Compiled for a rule table and the name of our cookie."""

    def __init__(self, table: RuleTable, session_cookies: Iterable[str]) -> None:
        identity = {name.encode() for name in table.identity_headers}
        self._dropped = HOP_BY_HOP | _REMADE | _FORWARDING | identity
        # One form of each name in which all spellings that CGI knows are the same.
        matched = {name.encode() for name in table.match_headers}
        self._folded = {_FOLDED.sub(b"_", name) for name in self._dropped | METHOD_OVERRIDES | matched}
        self._actions: dict[bytes, Action] = {}
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
            if action == 0:
                lines.append(b"%b: %b\r\n" % (name, value))
            elif action == Action.HOST:
                hosts += 1
            elif action == Action.COOKIE:
                if (kept := self.without_own_cookies(value)) is not None:
                    lines.append(b"%b: %b\r\n" % (name, kept))
            elif action == Action.CONNECTION:
                listed = (listed or set()) | {each.strip(b" \t").lower() for each in value.split(b",")}
            elif _passes(action, name, rule, consumed):
                lines.append(b"%b: %b\r\n" % (name, value))
        if hosts > 1:
            raise TargetRejected("duplicate_host")
        if listed:
            lines = [line for line in lines if line.partition(b":")[0].lower() not in listed]
        return lines

    def without_own_cookies(self, value: bytes) -> bytes | None:
        """Return a Cookie field without the gateway's own, None when nothing is left."""
        kept = self._own_cookie.sub(b"", value).strip(b"; \t")
        return kept or None

    def _learn(self, name: bytes) -> Action:
        action = self._action(name.lower())
        # Clients choose the names, so what is remembered is bounded.
        if len(self._actions) >= _CACHED_NAMES:
            self._actions.clear()
        self._actions[name] = action
        return action

    def _action(self, name: bytes) -> Action:
        special = {
            b"host": Action.HOST,
            b"connection": Action.CONNECTION,
            b"cookie": Action.COOKIE,
            b"authorization": Action.CREDENTIAL,
            b"x-api-key": Action.CREDENTIAL,
        }.get(name)
        if special is not None:
            return special
        if name in METHOD_OVERRIDES:
            return Action.PASSABLE
        if not _PLAIN_NAME.fullmatch(name):
            # `X_Forwarded_User` and its kin: no spelling outside A-Z a-z 0-9 - is forwarded at all.
            return Action.DROP
        if name in self._dropped or name.startswith(_FORWARDING_PREFIXES):
            return Action.DROP
        return Action.KEEP


def _passes(action: Action, name: bytes, rule: Rule, consumed: frozenset[str]) -> bool:
    lower = name.lower().decode("latin-1")
    if action == Action.CREDENTIAL:
        return lower not in consumed or rule.identity.pass_authorization
    return action == Action.PASSABLE and lower in rule.pass_request_headers


class ResponseHeaders:
    """Filters what upstreams answer: hop-by-hop fields, framing, and identity headers, which are not theirs to set."""

    def __init__(self, table: RuleTable) -> None:
        identity = {name.encode() for name in table.identity_headers}
        self._dropped = HOP_BY_HOP | {b"content-length"} | identity
        self._actions: dict[bytes, int] = {}

    def filtered(self, headers: Iterable[RawHeader]) -> tuple[list[bytes], bytes | None]:
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
            elif action == _CONNECTION:
                listed = (listed or set()) | {each.strip(b" \t").lower() for each in value.split(b",")}
        if listed:
            listed -= {b"set-cookie"}  # an upstream that hides its own cookie makes no sense; an attacker would
            lines = [line for line in lines if line.partition(b":")[0].lower() not in listed]
        return lines, length

    def _learn(self, name: bytes) -> int:
        lower = name.lower()
        action = _KEEP
        if lower == b"content-length":
            action = _LENGTH
        elif lower == b"connection":
            action = _CONNECTION
        elif lower in self._dropped or lower.startswith(b"x-gateway-") or b"_" in lower:
            action = _DROP
        if len(self._actions) >= _CACHED_NAMES:
            self._actions.clear()
        self._actions[name] = action
        return action


_KEEP: Final = 0
_DROP: Final = 1
_LENGTH: Final = 2
_CONNECTION: Final = 3
