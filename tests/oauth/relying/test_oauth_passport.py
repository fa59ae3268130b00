"""An express application with passport-openidconnect: a client as they were before PKCE."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp

from tests.gateways import free_port
from tests.oauth.op import Op
from tests.oauth.relying.node import served
from tests.oauth.relying.person import Person


async def test_passport_signs_in_without_pkce(op: Op, scripts: Path) -> None:
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    client = await op.client(
        auth_method="client_secret_post", redirect_uris=[f"{at}/callback"], requires_pkce=False, first_party=True
    )
    environ = {
        "ISSUER": op.metadata["issuer"],
        "CLIENT_ID": client.client_id,
        "CLIENT_SECRET": client.secret,
        "PORT": str(port),
    }
    cookies = aiohttp.CookieJar(unsafe=True)
    async with served("passport_app.cjs", directory=scripts, **environ), aiohttp.ClientSession(cookie_jar=cookies) as s:
        person = Person(op.browser(), s)
        answer = await person.at(f"{at}/")
    assert answer.status == 200, answer.text
    assert answer.json["issuer"] == op.metadata["issuer"]
    assert answer.json["id"] == (await op.person()).id
    assert answer.json["username"] == "ann"
    assert answer.json["emails"] == [{"value": "ann@example.com"}]
    asked = next(url for url in person.passed if "/oauth/authorize" in url)
    assert not re.search("code_challenge", asked)
    assert person.browser.seen == ["login"]
