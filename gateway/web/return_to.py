"""Where a login may lead: the only reader of ``rd``.

What comes out is put together anew from a target that was read strictly, so no browser can read it differently.
Whatever is not certainly allowed is as good as not given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gateway.config.server import Server
from gateway.errors import TargetRejected
from gateway.policy.host import parse_authority
from gateway.policy.rules import HostNames
from gateway.policy.target import DEFAULT_PORTS, Target, parse_target, parse_url

_LONGEST: Final = 4096
OWN_SEGMENT: Final = ".gateway"


class Place(Enum):
    """Where a destination lies, which decides how a signed-in browser gets there."""

    PORTAL = auto()
    HOST = auto()  # the gateway answers there, too, so the login is handed over
    ELSEWHERE = auto()  # an origin of `login.return_origins`


@dataclass(frozen=True, slots=True)
class Destination:
    """An allowed place to go. ``url`` is absolute, ``path`` the same without its origin."""

    url: str
    origin: str
    host: str
    path: str
    place: Place


class ReturnTo:
    """Judges return addresses against the portal, the hosts that routes name, and ``login.return_origins``."""

    def __init__(self, server: Server, hosts: HostNames, return_origins: Iterable[str] = ()) -> None:
        self.portal_origin = server.public_origin
        self._scheme, _, authority = server.public_origin.partition("://")
        self.portal_host, self._port = _place(parse_authority(authority), self._scheme)
        self._authority = authority
        self._hosts = hosts
        self._elsewhere = frozenset(parse_url("GET", origin).origin for origin in return_origins)

    def read(self, unverified: str | None) -> Destination | None:
        """Return where ``rd`` leads, or None when it is absent or not allowed. A path is the portal's."""
        target = self._parse(unverified, self._authority)
        if target is None or target.segments[:1] == (OWN_SEGMENT,):
            return None
        place = self._placed(target)
        if place is None:
            return None
        return Destination(target.url, target.origin, target.host, target.raw, place)

    def path_on(self, host: str, unverified: str | None) -> str:
        """Return the path of ``rd`` when it lies on ``host``, else that host's front page."""
        port = "" if self._port is None else f":{self._port}"
        target = self._parse(unverified, f"{host}{port}")
        if target is None or target.origin != self.origin(host) or target.segments[:1] == (OWN_SEGMENT,):
            return "/"
        return target.raw

    def serves(self, host: str) -> bool:
        """Tell whether ``host`` is one that routes name."""
        return host in self._hosts

    def origin(self, host: str) -> str:
        """Return the origin of a host that the gateway serves: the portal's scheme and port."""
        return f"{self._scheme}://{host}" + ("" if self._port is None else f":{self._port}")

    def _parse(self, unverified: str | None, authority: str) -> Target | None:
        if not unverified or len(unverified) > _LONGEST:
            return None
        try:
            if unverified.startswith("/"):
                return parse_target("GET", unverified, authority, self._scheme)
            return parse_url("GET", unverified)
        except TargetRejected:
            return None

    def _placed(self, target: Target) -> Place | None:
        if target.scheme == self._scheme and target.port == self._port:
            if target.host == self.portal_host:
                return Place.PORTAL
            if target.host in self._hosts:
                return Place.HOST
        return Place.ELSEWHERE if target.origin in self._elsewhere else None


def _place(authority: tuple[str, int | None], scheme: str) -> tuple[str, int | None]:
    host, port = authority
    return host, None if port == DEFAULT_PORTS[scheme] else port
