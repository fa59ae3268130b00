"""A provider on loopback that people sign in with: OpenID Connect, or OAuth 2 alone as GitHub documents it.

It signs its person in at once. Everything it says can be made wrong in one thing.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import aiohttp
from aiohttp import web
from jwcrypto.jwk import JWK

from tests.federation.signed import EC, public, sign

CLIENT, SECRET = "wiki", "s:cret & more"


@dataclass
class ProviderServer:
    """What it says: ``claims`` of its person, ``tamper`` changes an ID token's claims, ``signs`` makes the token."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: dict(ANN))
    tamper: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    signs: Callable[[dict[str, Any]], str] | None = None
    key: JWK = EC
    metadata: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    emails: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    # instead of what would be answered at a path
    instead: dict[str, Callable[[web.Request], Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        if request.path in self.instead:
            said = self.instead[request.path](request)
            answer: web.StreamResponse = await said if inspect.isawaitable(said) else said
            return answer
        handlers = {
            "/.well-known/openid-configuration": self._metadata,
            "/authorize": self._authorize,
            "/token": self._token,
            "/keys": self._keys,
            "/userinfo": self._userinfo,
            "/emails": self._emails,
        }
        return await handlers[request.path](request)

    async def _metadata(self, _request: web.Request) -> web.Response:
        document = {
            "issuer": self.url,
            **{f"{name}_endpoint": f"{self.url}/{path}" for name, path in ENDPOINTS.items()},
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["ES256", "RS256", "HS256", "none"],
            **self.metadata,
        }
        return web.json_response({name: value for name, value in document.items() if value is not None})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["state"]) >= 43
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], **self.answer}
        location = asked["redirect_uri"] + ("&" if "?" in asked["redirect_uri"] else "?")
        return web.Response(
            status=302,
            headers={
                "Location": location + urlencode({name: value for name, value in back.items() if value is not None})
            },
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        if asked is None or not self._is_client(request, form):
            return web.json_response({"error": "invalid_grant"}, status=400)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        tokens = {"access_token": "at-" + secrets.token_urlsafe(8), "token_type": "Bearer"}
        if "openid" in asked["scope"].split():
            tokens["id_token"] = self._id_token(asked)
        return web.json_response(tokens)

    def _is_client(self, request: web.Request, form: Any) -> bool:
        header = request.headers.get("Authorization")
        if header is None:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        basic = aiohttp.BasicAuth.decode(header)
        return (unquote_plus(basic.login), unquote_plus(basic.password)) == (CLIENT, SECRET)

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, **self.claims}
        claims |= {"nonce": asked["nonce"]} if "nonce" in asked else {}
        claims |= {"auth_time": now} if "max_age" in asked else {}
        claims = {name: value for name, value in self.tamper(claims).items() if value is not None}
        return self.signs(claims) if self.signs is not None else sign(claims, self.key, "ES256")

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [public(self.key)]})

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("Bearer at-")
        return web.json_response(self.claims if self.userinfo is None else self.userinfo)

    async def _emails(self, _request: web.Request) -> web.Response:
        return web.json_response(self.emails)


ENDPOINTS = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
ANN: dict[str, Any] = {
    "sub": "u-1",
    "preferred_username": "ann",
    "email": "ann@example.com",
    "email_verified": True,
    "name": "Ann Example",
    "groups": ["staff"],
}


@asynccontextmanager
async def provider_served() -> AsyncIterator[ProviderServer]:
    provider = ProviderServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", provider.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()


def configured(provider: ProviderServer, more: str = "", name: str = "corp") -> str:
    """Return the configuration of a gateway that people sign in to with the provider."""
    lines = "".join(f"\n    {line}" for line in more.splitlines())
    return f"""
providers:
  {name}:
    issuer: {provider.url}
    client_id: {CLIENT}
    client_secret: {json.dumps(SECRET)}
    allow_private: true{lines}
"""


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
