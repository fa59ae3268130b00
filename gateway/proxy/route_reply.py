"""What becomes of an upstream's header fields on one route, for one kind of request."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.policy.cors import RESPONSE_FIELDS, origin_of
from gateway.policy.rules import Rule
from gateway.proxy.fitting import Fitting
from gateway.proxy.headers import RawHeader, ResponseHeaders, field_lines, without
from gateway.proxy.journey import Journey


class RouteReply:
    """Filters answers as everywhere, fits them to the client, then applies what the route changes."""

    __slots__ = ("_base", "_dropped", "_fitting", "_set")

    def __init__(self, base: ResponseHeaders, rule: Rule, journey: Journey, servers: Iterable[str]) -> None:
        self._base = base
        self._fitting = Fitting(rule, journey.target, servers)
        dropped = {name.encode() for name in rule.response_changes.names}
        if rule.cors is not None:
            dropped |= RESPONSE_FIELDS
        self._dropped = frozenset(dropped)
        self._set = field_lines(route_fields(rule, journey))

    def filtered(self, headers: Iterable[RawHeader]) -> tuple[list[bytes], bytes | None]:
        """Return the lines for the client, and the Content-Length when there is one."""
        lines, length = self._base.filtered(headers, self._fitting)
        if self._dropped:
            lines = without(lines, self._dropped)
        if self._set:
            lines.append(self._set)
        return lines, length


def route_fields(rule: Rule, journey: Journey) -> list[tuple[str, str]]:
    """Return the fields that every answer on a route has: what it sets, and what scripts of other origins need."""
    fields = list(rule.response_changes.set)
    if rule.cors is not None:
        fields += rule.cors.fields(origin_of(journey.plan.headers))
    return fields
