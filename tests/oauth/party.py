"""An application that somebody signs in to, driven by plain requests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Issued, Rights
from tests.fake_clock import FakeClock
from tests.gateways import Answer, GatewayFactory, Running

CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Party:
    """A gateway with an application that somebody signs in to."""

    running: Running
    issued: Issued
    cookie: str

    @property
    def client_id(self) -> str:
        return self.issued.client.id

    async def authorize(self, *, cookie: str | None = None, **changes: str) -> Answer:
        asked = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": "openid profile",
            "state": "s t/a",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        cookie = self.cookie if cookie is None else cookie
        return await self.running.get(f"/oauth/authorize?{query}", cookie=cookie)

    async def token(self, **form: str) -> Answer:
        data = urlencode({"client_id": self.client_id, "client_secret": self.issued.secret or "", **form})
        return await self.running.send("POST", "/oauth/token", headers=FORM, data=data)

    async def redeem(self, answer: Answer, **changes: str) -> Answer:
        code = landed(answer)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token(**{**form, **changes})


def landed(answer: Answer) -> dict[str, str]:
    """Return the parameters of an answer that came to the client's address."""
    assert answer.status == 303, answer.text
    assert answer.location.startswith(CALLBACK)
    parts = urlsplit(answer.location)
    return dict(parse_qsl(parts.query or parts.fragment))


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


METADATA: Mapping[str, Any] = {
    "client_name": "Wiki",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "token_endpoint_auth_method": "client_secret_post",
}


async def open_party(
    gateway_factory: GatewayFactory,
    clock: FakeClock,
    metadata: Mapping[str, Any] = METADATA,
    *,
    first_party: bool = True,
    opens_routes: bool = True,
    manages_itself: bool = False,
) -> Party:
    """Serve a gateway with ann signed in, and an application of these metadata."""
    running = await gateway_factory(clock=clock)
    gateway = running.gateway
    rights = Rights(first_party=first_party, opens_routes=opens_routes)
    issued = await gateway.registry.create(checked_metadata(metadata), rights, manages_itself=manages_itself)
    return Party(running, issued, await running.session(await running.user()))


@pytest.fixture
async def party(gateway_factory: GatewayFactory, clock: FakeClock) -> Party:
    return await open_party(gateway_factory, clock)
