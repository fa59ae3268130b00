"""Where other proxies ask for decisions, on any host, and who may ask.

Only these very spellings are endpoints. An answer tells what an upstream is told, secrets of routes included, so only
trusted proxies get one, and with ``authz.key`` only those that show it.
"""

from __future__ import annotations

import hmac
from typing import Final

from pydantic import SecretStr

from gateway.authz.dialect import Asked, Dialect, single
from gateway.authz.envoy import ENVOY
from gateway.authz.forward import FORWARD
from gateway.authz.nginx import NGINX, OAUTH2_PROXY
from gateway.errors import TargetRejected
from gateway.policy.host import parse_authority
from gateway.policy.target import Target

KEY_HEADER: Final = "X-Gateway-Authz-Key"
BY_ADDRESS: Final = (NGINX, OAUTH2_PROXY, FORWARD)
_EXACT: Final = {dialect.path: dialect for dialect in (*BY_ADDRESS, ENVOY)}
_BELOW_ENVOY: Final = f"{ENVOY.path}/"


class Endpoints:
    """The decision endpoints. ``key`` is what a proxy must show in ``X-Gateway-Authz-Key``; None: nothing."""

    def __init__(self, key: SecretStr | None = None) -> None:
        self._key = key.get_secret_value().encode() if key is not None else None

    def of(self, raw_target: str) -> Dialect | None:
        """Return the endpoint that a request line names, None for everything else."""
        dialect = _EXACT.get(raw_target)
        if dialect is not None:
            return dialect
        if raw_target.startswith(_BELOW_ENVOY):
            return ENVOY
        path, mark, _ = raw_target.partition("?")
        return _EXACT.get(path) if mark else None

    def target(self, dialect: Dialect, asked: Asked) -> Target:
        """Return the request that is asked about. Raises TargetRejected where nobody may know."""
        if not asked.client.trusted:
            raise TargetRejected("untrusted_caller")
        if self._key is not None:
            shown = single(asked.headers, KEY_HEADER).encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(shown, self._key):
                raise TargetRejected("bad_authz_key")
        if asked.client.host is not None:
            parse_authority(asked.client.host)  # unreadable, it is refused even where nothing hangs on it
        return dialect.target(asked)
