"""Envoy's HTTP ``ext_authz``: the original request itself, with this endpoint as its ``path_prefix``.

What stands after the prefix is decided on byte by byte, as Envoy forwards it. Anything but a 200 is for the client.
"""

from __future__ import annotations

from typing import Final

from gateway.authz.dialect import Asked, Dialect, single
from gateway.errors import TargetRejected
from gateway.policy.target import Target, parse_target


def _target(asked: Asked) -> Target:
    if not asked.rest.startswith("/"):
        raise TargetRejected("not_origin_form")
    headers, scheme = asked.headers, asked.scheme
    # X-Forwarded-Host is the client's own: Envoy routes by Host and leaves the other alone.
    if headers.getall("X-Forwarded-Proto", ()):
        if "," in single(headers, "X-Forwarded-Proto"):
            raise TargetRejected("bad_forwarded_proto")
        scheme = asked.client.scheme or scheme
    return parse_target(asked.method, asked.rest, asked.host, scheme)


ENVOY: Final = Dialect("/.gateway/authz/envoy", _target)
