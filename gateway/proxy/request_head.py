"""The head of the request that goes upstream, as bytes. Blocks that many requests share are made once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from gateway.identity.identity import Identity
from gateway.identity.presented import is_ours
from gateway.identity.verified import Verified
from gateway.policy.client import ClientAddress
from gateway.policy.presets import ASSERTION_HEADER, identity_headers
from gateway.policy.rewrite import upstream_target
from gateway.policy.rules import Access, Rule
from gateway.policy.target import DEFAULT_PORTS, Target
from gateway.proxy.headers import RequestHeaders

# A signed assertion is sent for half of its life.
_ASSERTION_KEPT_SECONDS: Final = 150.0
_CACHED_BLOCKS: Final = 4096

SignAssertion = Callable[[Identity, str], str]


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
        request: web.BaseRequest,
        rule: Rule,
        target: Target,
        client: ClientAddress,
        verified: Verified | None,
        *,
        framing: bytes,
        authority: str,
        request_id: str,
        upgrade: bool,
    ) -> bytes:
        """Return the request line and all fields. Raises TargetRejected for fields that have no single reading."""
        consumed = self._consumed(request, rule, verified)
        lines = self._fields.filtered(request.raw_headers, rule, consumed)
        host = target.authority if rule.preserve_host else authority
        path = target.raw if rule.rewrite is None else upstream_target(target, rule.rewrite)
        return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%bX-Request-Id: %b\r\n%b%b\r\n" % (
            target.method.encode(),
            path.encode(),
            host.encode(),
            b"".join(lines),
            self._identity_block(rule, verified),
            self._forwarding.get((client.chain, target.scheme, target.host, target.port))
            or self._forwarding_block(client, target),
            request_id.encode(),
            framing,
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if upgrade else b"",
        )

    def _consumed(self, request: web.BaseRequest, rule: Rule, verified: Verified | None) -> frozenset[str]:
        if verified is not None:
            return verified.consumed
        # Where no credential is asked for, a token of ours is nobody else's business all the same.
        headers = request.headers
        if "Authorization" in headers or "X-API-Key" in headers:
            return is_ours(headers, self._issuer) if rule.access in {Access.PUBLIC, Access.OPTIONAL} else frozenset()
        return frozenset()

    def _identity_block(self, rule: Rule, verified: Verified | None) -> bytes:
        if verified is None:
            block = self._anonymous.get(rule.index)
            if block is None:
                block = self._anonymous[rule.index] = _lines(identity_headers(None, rule.identity))
            return block
        until, block = verified.headers.get(rule.index, (0.0, b""))
        if until > 0.0 and (until == math.inf or until > time.monotonic()):
            return block
        return self._new_identity_block(rule, verified)

    def _new_identity_block(self, rule: Rule, verified: Verified) -> bytes:
        fields = identity_headers(verified.identity, rule.identity)
        until = math.inf
        if (audience := rule.identity.assertion_audience) is not None:
            fields = [*fields, (ASSERTION_HEADER, self._sign_assertion(verified.identity, audience))]
            until = time.monotonic() + _ASSERTION_KEPT_SECONDS
        block = _lines(fields)
        verified.headers[rule.index] = (until, block)
        return block

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
        block = self._forwarding[client.chain, target.scheme, target.host, target.port] = _lines(fields)
        return block


def _lines(fields: list[tuple[str, str]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in fields)
