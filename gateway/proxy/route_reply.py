"""What becomes of an upstream's header fields on one route, for one kind of request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.policy.cors import RESPONSE_FIELDS, origin_of
from gateway.policy.rules import Rule
from gateway.proxy.fitting import Fitting
from gateway.proxy.headers import RawHeader, ResponseHeaders, field_lines, without
from gateway.proxy.journey import Journey
from gateway.proxy.reply_head import add_length, head_start

# Larger heads are read anew each time (gateway.proxy.whole_response), and never by the very same object.
_KEPT_BYTES: Final = 2048


class RouteReply:
    """Filters answers as everywhere, fits them to the client, then applies what the route changes."""

    __slots__ = ("_base", "_dropped", "_fitting", "_last", "_set")

    def __init__(self, base: ResponseHeaders, rule: Rule, journey: Journey, servers: Iterable[str]) -> None:
        self._base = base
        self._fitting = Fitting(rule, journey.target, servers)
        dropped = {name.encode() for name in rule.response_changes.names}
        if rule.cors is not None:
            dropped |= RESPONSE_FIELDS
        self._dropped = frozenset(dropped)
        self._set = field_lines(route_fields(rule, journey))
        self._last: tuple[Sequence[RawHeader], bytes] | None = None

    def filtered(self, headers: Iterable[RawHeader]) -> tuple[list[bytes], bytes | None]:
        """Return the lines for the client, and the Content-Length when there is one."""
        lines, length = self._base.filtered(headers, self._fitting)
        if self._dropped:
            lines = without(lines, self._dropped)
        if self._set:
            lines.append(self._set)
        return lines, length

    def whole_head(self, status: int, headers: Sequence[RawHeader], body_bytes: int) -> bytes:
        """Return the start of the head for a response to GET that has arrived whole (``head_start``).

        The very same ``headers`` stand for the same head, and give the same again.
        """
        last = self._last
        if last is not None and last[0] is headers:
            return last[1]
        lines, length = self.filtered(headers)
        add_length(lines, status, length, head_request=False, whole_bytes=body_bytes)
        head = head_start(status, lines)
        if len(head) <= _KEPT_BYTES:
            self._last = headers, head
        return head


def route_fields(rule: Rule, journey: Journey) -> list[tuple[str, str]]:
    """Return the fields that every answer on a route has: what it sets, and what scripts of other origins need."""
    fields = list(rule.response_changes.set)
    if rule.cors is not None:
        fields += rule.cors.fields(origin_of(journey.plan.headers))
    return fields
