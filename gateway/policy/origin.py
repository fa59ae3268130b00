"""Whether a request was sent by a page of the host that it is for (RFC 6454)."""

from __future__ import annotations

from gateway.errors import TargetRejected
from gateway.policy.fields import Headers
from gateway.policy.host import parse_authority
from gateway.policy.target import DEFAULT_PORTS, Target


def same_origin(headers: Headers, target: Target) -> bool:
    """Tell whether exactly one Origin is sent and names the target's own host and port.

    Its scheme only gives the port that goes without saying: behind a proxy, ours may be another.
    """
    origins = headers.getall("Origin", ())
    if len(origins) != 1:
        return False
    scheme, separator, authority = origins[0].partition("://")
    default = DEFAULT_PORTS.get(scheme)
    if not separator or default is None:
        return False
    try:
        host, port = parse_authority(authority)
    except TargetRejected:
        return False
    return (host, port or default) == (target.host, target.port or DEFAULT_PORTS[target.scheme])
