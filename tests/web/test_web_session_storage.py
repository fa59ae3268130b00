"""aiohttp-session on the session table: updated while it lives, never brought back."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from aiohttp_session import get_session, session_middleware

from gateway.accounts.sessions import Login
from gateway.policy.client import TrustedProxies
from gateway.web.cookies import Cookies
from gateway.web.session_storage import SessionStorage, browser_session
from gateway.web.visit import Visits
from tests.web.portal import World


class Notes:
    """An application that keeps notes in the session."""

    def __init__(self, world: World) -> None:
        self.world = world
        storage = SessionStorage(
            world.sessions, Cookies.named(secure=False).session, Visits(TrustedProxies()), world.clock
        )
        self.app = web.Application(middlewares=[session_middleware(storage)])
        self.app.add_routes([web.get("/", self.show), web.post("/", self.write), web.post("/race", self.race)])

    async def show(self, request: web.Request) -> web.Response:
        session = await get_session(request)
        return web.Response(text=f"{session.new} {session.get('note')}")

    async def write(self, request: web.Request) -> web.Response:
        (await get_session(request))["note"] = await request.text()
        return web.Response()

    async def race(self, request: web.Request) -> web.Response:
        """The session is revoked while the request is answered."""
        session = await browser_session(request)
        assert session.owner is not None
        await self.world.sessions.revoke(session.owner.session.id)
        session["note"] = "too late"
        return web.Response()


async def request(
    server: BaseTestServer, client: aiohttp.ClientSession, method: str, path: str, secret: str, text: str = ""
) -> tuple[int, str, str | None]:
    headers = {"Host": "localhost", "Cookie": f"gateway={secret}"}
    async with client.request(method, server.make_url(path), headers=headers, data=text) as reply:
        cookie = reply.cookies.get("gateway")
        return reply.status, await reply.text(), cookie["max-age"] if cookie is not None else None


@pytest.fixture
async def secret(world: World) -> str:
    login = Login(world.ann.id, "localhost", world.clock.now())
    return (await world.sessions.create(login))[0]


async def test_data_is_kept_and_activity_moves_the_idle_limit(
    world: World, secret: str, client: aiohttp.ClientSession
) -> None:
    async with TestServer(Notes(world).app) as server:
        assert await request(server, client, "GET", "/", secret) == (200, "False None", None)
        world.clock.advance(timedelta(hours=11))
        await request(server, client, "POST", "/", secret, "milk")
        world.clock.advance(timedelta(hours=11))
        assert (await request(server, client, "GET", "/", secret))[1] == "False milk"
        world.clock.advance(timedelta(hours=1, seconds=1))
        assert (await request(server, client, "GET", "/", secret))[1] == "True None"


async def test_session_ends_with_its_lifetime_however_busy(
    world: World, secret: str, client: aiohttp.ClientSession
) -> None:
    async with TestServer(Notes(world).app) as server:
        for _ in range(14):
            world.clock.advance(timedelta(hours=12) - timedelta(seconds=1))
            assert (await request(server, client, "GET", "/", secret))[1].startswith("False")
            await request(server, client, "POST", "/", secret, "milk")
        world.clock.advance(15)
        assert (await request(server, client, "GET", "/", secret))[1] == "True None"


async def test_revoked_session_is_not_brought_back_by_saving(
    world: World, secret: str, client: aiohttp.ClientSession
) -> None:
    async with TestServer(Notes(world).app) as server:
        assert await request(server, client, "POST", "/race", secret) == (200, "", "0")
        assert await world.count() == 0
        assert (await request(server, client, "GET", "/", secret))[1] == "True None"


async def test_nothing_is_kept_for_who_has_not_signed_in(world: World, client: aiohttp.ClientSession) -> None:
    async with TestServer(Notes(world).app) as server:
        status, _, cookie = await request(server, client, "POST", "/", "A" * 43, "milk")
        assert (status, cookie) == (500, None)
        assert await world.count() == 0


async def test_secret_of_another_host_is_nobody_s(world: World, client: aiohttp.ClientSession) -> None:
    login = Login(world.ann.id, "app.localhost", world.clock.now())
    secret, _ = await world.sessions.create(login)
    async with TestServer(Notes(world).app) as server:
        assert (await request(server, client, "GET", "/", secret))[1] == "True None"
