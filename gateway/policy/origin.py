"""Whether a request was sent by a page of the host that it is for (RFC 6454)."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.policy.rules import Headers
from gateway.policy.target import DEFAULT_PORTS, Target


def same_origin(headers: Headers, target: Target) -> bool:
    """Tell whether exactly one Origin is sent and names the target's own host and port."""
    origins = headers.getall("Origin", ())
    if len(origins) != 1:
        return False
    try:
        parts = urlsplit(origins[0])
        host, port = (parts.hostname or "").rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    return (host, port) == (target.host, target.port or DEFAULT_PORTS[target.scheme])
