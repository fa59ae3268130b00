"""An issuer on loopback: it publishes metadata and keys, and answers about opaque tokens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import BasicAuth, web
from jwcrypto.jwk import JWK

from tests.federation.signed import EC, RSA, public, sign

# What it may say of an opaque token (RFC 7662 section 2.2).
ACTIVE: dict[str, Any] = {
    "active": True,
    "sub": "u-2",
    "aud": "wiki",
    "email": "bob@example.com",
    "scope": "write",
    "token_type": "Bearer",
}


class IssuerServer:
    """What it publishes can be changed; ``asked`` counts by path. ``down`` makes it answer 500."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[JWK] = [EC, RSA]
        self.down = False
        self.asked: Counter[str] = Counter()
        self.opaque: dict[str, Any] = {}
        self.secrets = {("gateway", "s:cret & more")}
        self.needs_token = ""
        self.metadata: dict[str, Any] = {}

    def token(self, key: JWK = EC, algorithm: str = "ES256", *, kid: str | None = "", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.url, "aud": "wiki", "sub": "u-1", "iat": now, "exp": now + 300, **claims}
        return sign({name: value for name, value in said.items() if value is not None}, key, algorithm, kid=kid)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        if self.down:
            raise web.HTTPInternalServerError
        if self.needs_token and request.headers.get("Authorization") != f"Bearer {self.needs_token}":
            raise web.HTTPUnauthorized
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.metadata})
        if request.path == "/keys":
            return web.json_response({"keys": [public(key) for key in self.keys]})
        if request.path == "/introspect":
            return await self._introspect(request)
        raise web.HTTPNotFound

    async def _introspect(self, request: web.Request) -> web.Response:
        fields = await request.post()
        header = request.headers.get("Authorization")
        if header is not None:
            basic = BasicAuth.decode(header, "utf-8")
            given = (unquote_plus(basic.login), unquote_plus(basic.password))
        else:
            given = (str(fields.get("client_id")), str(fields.get("client_secret")))
        if given not in self.secrets:
            raise web.HTTPUnauthorized
        if fields["token"] == "no token at all":
            raise web.HTTPBadRequest
        return web.json_response(self.opaque.get(str(fields["token"]), {"active": False}))


@asynccontextmanager
async def issuer_served(tls: SSLContext | None = None) -> AsyncIterator[IssuerServer]:
    issuer = IssuerServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", issuer.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        issuer.url = f"{scheme}://{host}:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()
