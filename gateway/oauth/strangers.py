"""How often those may ask who have shown nothing: counted for each address."""

from __future__ import annotations

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import TargetRejected
from gateway.oauth.problem import OAuthError
from gateway.policy.client import TrustedProxies
from gateway.policy.rate_limit import Buckets, RateLimit, bucket_key


class Strangers:
    """Bounds what anybody can have stored."""

    def __init__(self, limit: RateLimit, proxies: TrustedProxies, clock: Clock) -> None:
        self._limit = limit
        self._buckets = Buckets(limit)
        self._proxies = proxies
        self._clock = clock

    def admit(self, request: web.Request) -> None:
        """Count a request. Raises OAuthError when its address has asked too often."""
        try:
            client = self._proxies.client_of(request.remote, request.headers)
        except TargetRejected as error:
            raise OAuthError("invalid_request", "The request's address has no single safe reading.") from error
        key, now = bucket_key(self._limit, None, client.ip), self._clock.monotonic()
        if wait := self._buckets.wait(key, now):
            retry = {"Retry-After": str(int(wait) + 1)}
            raise OAuthError("temporarily_unavailable", "Too many requests. Wait.", status=429, headers=retry)
        self._buckets.spend(key, now)
