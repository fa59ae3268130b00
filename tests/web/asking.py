"""Applications that ask people of a small portal for something."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Registry, Rights
from tests.web.portal import Answer, Browser, World

CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
_ORDINARY = Rights()


@dataclass
class Asking:
    """A registered application."""

    client: Client

    def url(self, scope: str = "openid profile", **more: str) -> str:
        """Return where it sends a browser, as a path of the portal."""
        asked = {
            "client_id": self.client.id,
            "response_type": "code",
            "redirect_uri": self.client.redirect_uris[0],
            "scope": scope,
            "state": "s t/a",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **more,
        }
        return f"/oauth/authorize?{urlencode({name: value for name, value in asked.items() if value})}"


async def register(
    world: World,
    name: str = "Wiki",
    rights: Rights = _ORDINARY,
    *,
    owner_id: str | None = None,
    by_itself: bool = False,
    **metadata: Any,
) -> Asking:
    """Register an application, as an administrator does unless told."""
    document = {
        "client_name": name,
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    registry = Registry(world.database, world.clock)
    checked = checked_metadata({**document, **metadata}, by_admin=not by_itself)
    return Asking((await registry.create(checked, rights, owner_id=owner_id, manages_itself=by_itself)).client)


async def consent_page(browser: Browser, url: str) -> tuple[str, Answer]:
    """Follow an application's link of somebody who is signed in to the consent page. Returns its address as well."""
    answer = await browser.get(url)
    assert answer.status in {302, 303}, answer.text
    assert answer.location.startswith("/oauth/consent?request_uri="), answer.location
    return answer.location, await browser.get(answer.location)


async def decide(browser: Browser, url: str, decision: str) -> Answer:
    """Answer the consent page that an application's link leads to."""
    path, page = await consent_page(browser, url)
    return await browser.send("POST", path, {}, {"csrf_token": page.token, "decision": decision})


def told(location: str) -> Mapping[str, str]:
    """Return what an answer tells the application."""
    return dict(parse_qsl(urlsplit(location).query, strict_parsing=True))
