"""The head of the request that goes upstream, as bytes. Blocks that many requests share are made once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.identity.identity import Identity
from gateway.identity.presented import is_ours
from gateway.identity.verified import Verified
from gateway.policy.client import ClientAddress
from gateway.policy.presets import ASSERTION_HEADER, identity_headers
from gateway.policy.rewrite import upstream_target
from gateway.policy.rules import Rule
from gateway.policy.target import DEFAULT_PORTS, Target
from gateway.proxy.headers import RequestHeaders, field_lines
from gateway.proxy.plan import Plan

# A signed assertion is sent for half of its life.
_ASSERTION_KEPT_SECONDS: Final = 150.0
_CACHED_BLOCKS: Final = 4096
NOTHING: Final[frozenset[str]] = frozenset()

SignAssertion = Callable[[Identity, str], str]


class RequestHead(NamedTuple):
    """A head as bytes, parted behind method and target, at the Host (None is the server's own) and at the request's id.

    ``until`` is the end of what is signed in it, in monotonic seconds.
    """

    target: bytes
    host: bytes | None
    fields: bytes
    last_fields: bytes
    until: float

    def of(self, authority: bytes, request_id: bytes, query: bytes = b"") -> bytes:
        """Return the head of one request to the server with this authority. ``query`` is with its question mark."""
        host = self.host or authority
        return b"%b%b HTTP/1.1\r\nHost: %b%b%b%b" % (
            self.target,
            query,
            host,
            self.fields,
            request_id,
            self.last_fields,
        )

    def with_query(self, query: bytes) -> RequestHead:
        """Return the head for the same target with a query."""
        return self._replace(target=self.target + query)


def request_line(rule: Rule, target: Target) -> bytes:
    """Return method and target as the upstream gets them. Raises TargetRejected where a rewrite makes no path."""
    path = target.raw if rule.rewrite is None else upstream_target(target, rule.rewrite)
    return b"%b %b" % (target.method.encode(), path.encode())


class RequestHeads:
    """Builds heads: the client's fields as far as they pass, then ours, which nothing before them can remove."""

    def __init__(self, fields: RequestHeaders, sign_assertion: SignAssertion, issuer: str) -> None:
        self._fields = fields
        self._sign_assertion = sign_assertion
        self._issuer = issuer
        self._forwarding: dict[tuple[tuple[str, ...], str, str, int | None], bytes] = {}
        self._anonymous: dict[int, bytes] = {}

    def build(
        self,
        plan: Plan,
        rule: Rule,
        target: Target,
        client: ClientAddress,
        verified: Verified | None,
        *,
        upgrade: bool,
    ) -> RequestHead:
        """Return the head of every such request. Raises TargetRejected for fields that have no single reading."""
        consumed = verified.consumed if verified is not None else NOTHING
        headers = plan.headers
        if ("authorization" not in consumed and "Authorization" in headers) or (
            "x-api-key" not in consumed and "X-API-Key" in headers
        ):
            if plan.ours is None:
                plan.ours = is_ours(headers, self._issuer)
            consumed |= plan.ours
        until, identity = self.identity_block(rule, verified)
        fields = b"\r\n%b%b%bX-Request-Id: " % (
            plan.lines.get((rule.index, consumed)) or plan.forwarded(self._fields, rule, consumed),
            identity,
            self._forwarding.get((client.chain, target.scheme, target.host, target.port))
            or self._forwarding_block(client, target),
        )
        host = target.authority.encode() if rule.preserve_host else None
        switch = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if upgrade else b""
        return RequestHead(request_line(rule, target), host, fields, b"\r\n%b%b\r\n" % (plan.framing, switch), until)

    def identity_block(self, rule: Rule, verified: Verified | None) -> tuple[float, bytes]:
        """Return the lines that say who asks, and the end of what is signed in them, in monotonic seconds."""
        if verified is None:
            block = self._anonymous.get(rule.index)
            if block is None:
                block = self._anonymous[rule.index] = field_lines(identity_headers(None, rule.identity))
            return math.inf, block
        known = verified.headers.get(rule.index)
        if known is not None and (known[0] == math.inf or known[0] > time.monotonic()):
            return known
        return self._new_identity_block(rule, verified)

    def _new_identity_block(self, rule: Rule, verified: Verified) -> tuple[float, bytes]:
        fields = identity_headers(verified.identity, rule.identity)
        until = math.inf
        if (audience := rule.identity.assertion_audience) is not None:
            fields = [*fields, (ASSERTION_HEADER, self._sign_assertion(verified.identity, audience))]
            until = time.monotonic() + _ASSERTION_KEPT_SECONDS
        made = verified.headers[rule.index] = (until, field_lines(fields))
        return made

    def _forwarding_block(self, client: ClientAddress, target: Target) -> bytes:
        fields = [
            ("X-Forwarded-Proto", target.scheme),
            ("X-Forwarded-Host", target.authority),
            ("X-Forwarded-Port", str(target.port or DEFAULT_PORTS[target.scheme])),
        ]
        if client.chain:
            fields += [("X-Forwarded-For", ", ".join(client.chain)), ("X-Real-IP", client.address)]
        # Clients choose the host, so what is remembered is bounded.
        if len(self._forwarding) >= _CACHED_BLOCKS:
            self._forwarding.clear()
        block = self._forwarding[client.chain, target.scheme, target.host, target.port] = field_lines(fields)
        return block
