"""Acts that sign in and out: what was given works, what was taken away does not, and what stood on it ends."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import Any

import aiohttp

from tests.soak.ledger import Unavailable, WrongAnswer
from tests.soak.people import PASSWORD
from tests.soak.scene import Scene, hold, said

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_ENDED_SECONDS = 10


async def _call(scene: Scene, method: str, path: str, bearer: str = "", **document: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with scene.http.request(method, scene.origin + path, headers=headers, json=document or None) as answer:
        text = await answer.read()
        if answer.status not in (200, 201):
            raise WrongAnswer(f"{method} {path}: {answer.status} {text[:200]!r}")
        return dict(said(text))


async def _reads(scene: Scene, headers: dict[str, str]) -> None:
    async with scene.http.get(scene.origin + "/echo/visit", headers=headers) as answer:
        hold(answer.status, said(await answer.read()), user=scene.person.name)


async def _is_refused(scene: Scene, headers: dict[str, str], what: str) -> None:
    async with scene.http.get(scene.origin + "/echo/visit", headers=headers) as answer:
        await answer.read()
        if answer.status in (200, 502, 504):
            raise WrongAnswer(f"{what} still works: {answer.status}")


async def come_and_go(scene: Scene) -> None:
    """Log in by the API, use the token, open a WebSocket with it, log out: token and WebSocket have ended."""
    pair = await _call(scene, "POST", "/api/v1/users/login", username=scene.person.name, password=PASSWORD)
    renewed = await _call(scene, "POST", "/api/v1/users/token-refresh", refresh_token=pair["refresh_token"])
    first, bearer = ({"Authorization": f"Bearer {each['token']}"} for each in (pair, renewed))
    await _reads(scene, first)
    await _reads(scene, bearer)
    opened = await scene.http.ws_connect(scene.origin + "/socket", headers=bearer)
    async with opened:
        await opened.send_str("here")
        message = await opened.receive(timeout=_ENDED_SECONDS)
        if message.data != f"{scene.person.name} here":
            raise Unavailable(f"{message.type} in place of a message")
        await _call(scene, "POST", "/api/v1/auth/logout", renewed["token"])
        try:
            ended = await opened.receive(timeout=_ENDED_SECONDS)
        except TimeoutError as error:
            raise WrongAnswer("a WebSocket outlives its revoked token") from error
        if ended.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise WrongAnswer("a WebSocket speaks after its token was revoked")
    await _is_refused(scene, first, "a revoked token")
    await _is_refused(scene, bearer, "a revoked token")


async def lend_a_key(scene: Scene) -> None:
    """Make an API token, use it, take it back."""
    pair = await _call(scene, "POST", "/api/v1/users/login", username=scene.person.name, password=PASSWORD)
    made = await _call(scene, "POST", "/api/v1/users/me/api-tokens", pair["token"], name="lent", scopes=[])
    lent = {"X-API-Key": made["token"]}
    await _reads(scene, lent)
    await _call(scene, "DELETE", f"/api/v1/users/me/api-tokens/{made['id']}", pair["token"])
    await _is_refused(scene, lent, "a deleted API token")


async def sign_in_by_form(scene: Scene) -> None:
    """Sign in as a browser does, use the session, sign out."""
    jar: SimpleCookie = SimpleCookie()
    await _submit(scene, jar, "/login", username=scene.person.name, password=PASSWORD)
    session = {"Cookie": f"gateway={jar['gateway'].value}"}
    await _reads(scene, session)
    await _submit(scene, jar, "/logout")
    await _is_refused(scene, session, "an ended session")


async def _submit(scene: Scene, jar: SimpleCookie, path: str, **fields: str) -> None:
    async with scene.http.get(scene.origin + path, headers=_cookies(jar)) as page:
        jar.update(page.cookies)
        found = _TOKEN.search(await page.text())
    if found is None:
        raise WrongAnswer(f"GET {path}: {page.status} without a form")
    fields["csrf_token"] = found[1]
    headers = _cookies(jar) | {"Origin": scene.origin}
    async with scene.http.post(scene.origin + path, data=fields, headers=headers, allow_redirects=False) as answer:
        await answer.read()
        if answer.status not in (200, 302, 303):
            raise WrongAnswer(f"POST {path}: {answer.status}")
        jar.update(answer.cookies)


def _cookies(jar: SimpleCookie) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={each.value}" for name, each in jar.items() if each.value)} if jar else {}
