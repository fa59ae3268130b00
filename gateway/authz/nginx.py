"""nginx's ``auth_request``: the original request is in two fields of our own.

nginx turns any status but 200, 401 and 403 into a 500 for the client, so the login page is told in a 401.
"""

from __future__ import annotations

from typing import Final

from gateway.authz.dialect import Asked, Dialect, single
from gateway.errors import TargetRejected
from gateway.policy.target import Target, parse_url

_ADDRESS: Final = "X-Original-URL"


def _target(asked: Asked) -> Target:
    url = asked.address if asked.address is not None else single(asked.headers, _ADDRESS)
    return parse_url(single(asked.headers, "X-Original-Method"), url)


def _target_of_oauth2_proxy(asked: Asked) -> Target:
    if asked.rest:
        # A query narrows the answer there, by `allowed_groups` and the like: ignored, it would let in more.
        raise TargetRejected("query_not_understood")
    return _target(asked)


NGINX: Final = Dialect("/.gateway/authz/nginx", _target, redirects=False, address=_ADDRESS)
# oauth2-proxy's name for it, so that its nginx configurations work unchanged.
OAUTH2_PROXY: Final = Dialect("/oauth2/auth", _target_of_oauth2_proxy, redirects=False, address=_ADDRESS)
