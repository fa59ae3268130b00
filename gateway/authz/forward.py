"""Traefik's ForwardAuth and Caddy's ``forward_auth``: the original request is in four X-Forwarded fields.

Both set all four themselves, whatever the client sent, and hand anything but a 2xx to the client. Caddy also leaves the
client's query at the end of this endpoint's path: it says nothing here.
"""

from __future__ import annotations

from typing import Final

from gateway.authz.dialect import Asked, Dialect, single
from gateway.errors import TargetRejected
from gateway.policy.target import Target, parse_target

_ADDRESS: Final = "X-Forwarded-Uri"


def _target(asked: Asked) -> Target:
    headers = asked.headers
    method, host = single(headers, "X-Forwarded-Method"), single(headers, "X-Forwarded-Host")
    path = asked.address if asked.address is not None else single(headers, _ADDRESS)
    if not path.startswith("/"):
        raise TargetRejected("not_origin_form")
    # A list of schemes is a list of hops, and only the proxy that asks knows which one it stands at.
    scheme = asked.client.scheme
    if scheme is None or "," in single(headers, "X-Forwarded-Proto"):
        raise TargetRejected("bad_forwarded_proto")
    return parse_target(method, path, host, scheme)


FORWARD: Final = Dialect("/.gateway/authz/forward", _target, address=_ADDRESS)
