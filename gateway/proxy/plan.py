"""What follows from a request's header fields alone, worked out once for each set of fields that is seen.

Clients send the same fields again and again. A plan is looked up by every byte of them, and holds only what is a
function of these bytes and of the compiled rules. Whether a credential is good, and what is decided, is asked for
each request.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.errors import TargetRejected
from gateway.identity.identity import CredentialKind
from gateway.policy.client import ClientAddress
from gateway.policy.rules import Rule
from gateway.proxy.headers import RequestHeaders
from gateway.proxy.recent import Recent
from gateway.refusal import BAD_EXPECTATION, HEADER_TOO_LARGE, MALFORMED, Refused

if TYPE_CHECKING:
    from gateway.proxy.decisions import Consent
    from gateway.proxy.journey import Grant, Journey

RawHeader = tuple[bytes, bytes]

# In each generation.
_KEPT: Final = 1024
# Larger sets are worked out each time, so that what is kept stays within a few megabytes.
_KEPT_BYTES: Final = 4096
_LINE_BYTES: Final = 4  # colon, space, CR, LF
_KEPT_JOURNEYS: Final = 32
# Much of what is kept by a plan repeats its fields: of large ones there is less, however many paths and routes are
# asked for with them.
_KEPT_JOURNEY_BYTES: Final = 16 * 1024
_KEPT_LINE: Final = 256


class Plan:
    """One set of header fields. ``host`` is the one Host field's value, None without one."""

    __slots__ = (
        "_kept",
        "_raw_headers",
        "chunked",
        "clients",
        "consents",
        "content_length",
        "expects_continue",
        "fast",
        "framing",
        "grants",
        "headers",
        "host",
        "journeys",
        "keys",
        "lines",
        "ours",
        "upgrade",
    )

    def __init__(self, request: web.BaseRequest, size: int) -> None:
        """``size`` is the fields' in bytes. Raises TargetRejected or Refused when they contradict one another."""
        self._kept = min(_KEPT_JOURNEYS, max(_KEPT_JOURNEY_BYTES // max(size, 1), 1))
        headers: CIMultiDict[str] | CIMultiDictProxy[str] = request.headers
        self.headers = headers
        hosts = headers.getall("Host", ())
        if len(hosts) > 1:
            raise TargetRejected("duplicate_host")
        if len(headers.getall("Authorization", ())) > 1:  # on public routes, too: an upstream may take either
            raise TargetRejected("duplicate_authorization")
        self.host = hosts[0] if hosts else None
        self.upgrade = "Upgrade" in headers
        length = headers.get("Content-Length")
        codings = headers.getall("Transfer-Encoding", ())
        # RFC 9112 section 6.1: both fields are how one request becomes two; another coding would be lost with its name.
        if codings and (length is not None or [coding.strip().lower() for coding in codings] != ["chunked"]):
            raise Refused(MALFORMED, close=True)
        self.expects_continue = "Expect" in headers and _expects_continue(headers)
        self.content_length = int(length) if length is not None else None
        if self.content_length is not None:
            self.framing = b"Content-Length: %d\r\n" % self.content_length
        elif codings:
            self.framing = b"Transfer-Encoding: chunked\r\n"
        else:
            self.framing = b""
        self._raw_headers: Sequence[RawHeader] = request.raw_headers
        self.chunked = bool(codings)
        # By method, target and peer.
        self.journeys: dict[tuple[str, str, str | None], Journey] = {}
        # By peer and the request line's bytes, or those of the address asked about: for the fast lane.
        self.fast: dict[tuple[bytes, str | None], Journey] = {}
        # By rule, origin and client: what was granted last, which only the request line makes another.
        self.grants: dict[Hashable, Grant] = {}
        # By peer: whom the fields come from.
        self.clients: dict[str | None, ClientAddress] = {}
        # By rule and client: that another proxy may let them pass.
        self.consents: dict[tuple[int, str, str], Consent] = {}
        # By kinds and host: the key of the one credential that is presented.
        self.keys: dict[tuple[frozenset[CredentialKind], str], bytes | None] = {}
        # The fields that carry a token of ours by its looks: never an application's business. None: not looked at yet.
        self.ours: frozenset[str] | None = None
        # By rule and consumed fields: the lines that are forwarded.
        self.lines: dict[tuple[int, frozenset[str]], bytes] = {}

    def keep(self, place: tuple[str, str, str | None], journey: Journey) -> None:
        """Remember a journey. A query seldom comes twice, and may hold a secret."""
        if len(place[1]) > _KEPT_LINE or "?" in place[1]:
            return
        if len(self.journeys) >= self._kept:
            self.journeys.clear()
        self.journeys[place] = journey

    def keep_consent(self, key: tuple[int, str, str], consent: Consent) -> None:
        """Remember the answer to another proxy for a rule and a client's address."""
        if len(self.consents) >= self._kept:
            self.consents.clear()
        self.consents[key] = consent

    def keep_client(self, peer: str | None, client: ClientAddress) -> None:
        """Remember whom the fields come from, when this peer sends them."""
        if len(self.clients) >= self._kept:
            self.clients.clear()
        self.clients[peer] = client

    def keep_key(self, kinds: frozenset[CredentialKind], host: str, key: bytes | None) -> None:
        """Remember a credential's key. Clients choose the host, so it is bounded."""
        if len(self.keys) >= self._kept:
            self.keys.clear()
        self.keys[kinds, host] = key

    def keep_fast(self, line: bytes, peer: str | None, journey: Journey) -> None:
        """Remember a journey by its request line, which has no query."""
        if len(line) > _KEPT_LINE:
            return
        if len(self.fast) >= self._kept:
            self.fast.clear()
        self.fast[line, peer] = journey

    def keep_grant(self, place: Hashable, grant: Grant) -> None:
        """Remember what was granted at a place."""
        if len(self.grants) >= self._kept:
            self.grants.clear()
        self.grants[place] = grant

    def forwarded(self, fields: RequestHeaders, rule: Rule, consumed: frozenset[str]) -> bytes:
        """Return the lines that pass ``rule`` without what was consumed."""
        key = (rule.index, consumed)
        lines = self.lines.get(key)
        if lines is None:
            if len(self.lines) >= self._kept:
                self.lines.clear()
            lines = self.lines[key] = b"".join(fields.filtered(self._raw_headers, rule, consumed))
        return lines


def _expects_continue(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> bool:
    """Tell whether the client waits for a 100 before its body. Raises Refused for anything else (RFC 9110 10.1.1)."""
    members = [member.strip(" \t") for value in headers.getall("Expect") for member in value.split(",")]
    if any(member and member.lower() != "100-continue" for member in members):
        raise Refused(BAD_EXPECTATION, close=True)
    return any(members)


class Plans:
    """The plans that were needed lately."""

    def __init__(self, max_header_bytes: int) -> None:
        self._max_header_bytes = max_header_bytes
        self._plans: Recent[Sequence[RawHeader], Plan] = Recent(_KEPT)

    def of(self, request: web.BaseRequest) -> Plan:
        """Return the plan of a request's fields. Raises Refused for too many bytes, TargetRejected for two Hosts."""
        fields = request.raw_headers
        plan = self._plans.get(fields)
        if plan is not None:
            return plan
        size = sum(len(name) + len(value) + _LINE_BYTES for name, value in fields)
        if size > self._max_header_bytes:
            raise Refused(HEADER_TOO_LARGE, close=True)
        plan = Plan(request, size)
        if size <= _KEPT_BYTES:
            self._plans.put(fields, plan)
        return plan
