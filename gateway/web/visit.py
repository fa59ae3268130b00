"""Who visits a page: the host they asked for and where they come from, as the proxy's policy reads both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.errors import TargetRejected
from gateway.policy.client import TrustedProxies
from gateway.policy.host import parse_authority

RequestId = Callable[[web.BaseRequest], str]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a page. ``host`` is in its one spelling, without a port."""

    host: str
    address: str
    user_agent: str


class Visits:
    """Reads the visit out of a request."""

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies

    def of(self, request: web.BaseRequest) -> Visit:
        """Return the visit. Raises TargetRejected when host or address have no single safe reading."""
        client = self._proxies.client_of(request.remote, request.headers)
        hosts = [client.host] if client.host is not None else request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise TargetRejected("missing_host")
        host, _ = parse_authority(hosts[0])
        return Visit(host, client.address, request.headers.get("User-Agent", ""))
