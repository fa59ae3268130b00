"""A small portal to visit: the pages over real accounts, and behind every host an application that knows sessions."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
from aiohttp import web

from gateway.accounts.accounts import Accounts, build_accounts
from gateway.accounts.factors.pending import PendingLogin
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.sessions import Sessions
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.config.rules import compile_rules
from gateway.config.settings import Settings
from gateway.federation.federation import build_federation
from gateway.oauth.provider import Provider, build_provider
from gateway.oauth.provider import Surroundings as ProviderSurroundings
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.registry import Registry
from gateway.observability.metrics import Metrics
from gateway.policy.challenge import login_url
from gateway.policy.client import TrustedProxies
from gateway.policy.rules import RuleTable
from gateway.problem import Problem
from gateway.storage.database import Database
from gateway.tokens.master_key import MasterKey
from gateway.web.cookies import Cookies
from gateway.web.site import Site, build_site
from tests.fake_clock import FakeClock

PASSWORD = "correct horse battery"
REFERENCE = "5f0c7a91d2b4-0000002a"
ROUTES = ({"match": {"host": ["localhost", "app.localhost", "127.0.0.1"]}, "upstream": "http://127.0.0.1:9"},)
DEFAULTS = {"passwords": {"bcrypt_cost": 4}, "branding": {"name": "Acme"}}
BROWSER = {"Accept": "text/html", "User-Agent": "Firefox on Linux"}
HIDDEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass
class World:
    """Everything behind the pages, and the pages on a port of their own."""

    settings: Settings
    clock: FakeClock
    database: Database
    sessions: Sessions
    users: Users
    site: Site
    accounts: Accounts
    provider: Provider
    rules: RuleTable
    ann: User
    port: int
    registry: Registry
    slept: list[float] = field(default_factory=list)

    def url(self, host: str, path: str) -> str:
        return f"http://{host}:{self.port}{path}"

    async def pending_by_api(self, browser: Browser) -> PendingLogin | None:
        """Return the login that waits in a browser, if the JSON API would take it."""
        return await self.accounts.pending_logins.find(browser.jar["localhost"]["gateway-login"], for_api=True)

    async def count(self, table: str = "session") -> int:
        return int(await self.database.fetchval(f"select count(*) from {table}"))


@dataclass
class Answer:
    """One response, read."""

    status: int
    headers: Any
    text: str
    cookies: SimpleCookie

    @property
    def location(self) -> str:
        return str(self.headers["Location"])

    @property
    def token(self) -> str:
        found = HIDDEN.search(self.text)
        assert found, self.text
        return found[1]


class Browser:
    """A person's browser without JavaScript: cookies for each host, redirects only when told."""

    def __init__(self, world: World, client: aiohttp.ClientSession) -> None:
        self.world = world
        self._client = client
        self.jar: dict[str, dict[str, str]] = {}

    async def get(self, url: str, **headers: str) -> Answer:
        return await self.send("GET", url, headers)

    async def send(self, method: str, url: str, headers: dict[str, str] | None = None, data: Any = None) -> Answer:
        """Send one request. A path is the portal's."""
        host, path = self._split(url)
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.get(host, {}).items())
        sent = {**BROWSER, "Host": f"{host}:{self.world.port}"} | ({"Cookie": cookies} if cookies else {})
        sent |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        target = f"http://127.0.0.1:{self.world.port}{path}"
        async with self._client.request(method, target, headers=sent, data=data, allow_redirects=False) as reply:
            for name, morsel in reply.cookies.items():
                held = self.jar.setdefault(host, {})
                if morsel["max-age"] == "0" or not morsel.value:
                    held.pop(name, None)
                else:
                    held[name] = morsel.value
            return Answer(reply.status, reply.headers, await reply.text(), reply.cookies)

    async def follow(self, answer: Answer, at: str = "localhost") -> tuple[Answer, list[str]]:
        """Follow redirects from ``at``. Returns the last answer and the addresses on the way."""
        way: list[str] = []
        while answer.status in {302, 303}:
            assert len(way) < 10, way
            location = answer.location
            url = location if location.startswith("http") else self.world.url(at, location)
            way.append(url)
            at = self._split(url)[0]
            answer = await self.get(url)
        return answer, way

    async def submit(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Open a page of the portal and send its form."""
        page = await self.get(path)
        return await self.send("POST", path, headers, {"csrf_token": page.token, **fields})

    async def sign_in(self, path: str = "/login", password: str = PASSWORD, **more: str) -> Answer:
        return await self.submit(path, {"username": "ann", "password": password, **more})

    def secret(self, host: str = "localhost") -> str | None:
        return self.jar.get(host, {}).get("gateway")

    def _split(self, url: str) -> tuple[str, str]:
        if url.startswith("/"):
            return "localhost", url
        authority, _, path = url.removeprefix("http://").partition("/")
        host, _, port = authority.partition(":")
        assert int(port) == self.world.port, url
        return host, f"/{path}"


def application(settings: Settings, sessions: Sessions, site: Site) -> web.Application:
    """The pages, and instead of the proxy an application that greets whoever has a session on its host."""
    cookie = Cookies.named(secure=settings.server.secure).session

    async def behind(request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0]
        secret = cookie.read(request)
        owner = await sessions.find(secret, host) if secret else None
        if request.path.startswith("/error/"):
            status, _, code = request.path.removeprefix("/error/").partition("/")
            return site.pages.error_page(Problem(int(status), code or "any", "Detail."), REFERENCE, request)
        if owner is None:
            here = f"http://{request.host}{request.raw_path}"
            return web.Response(status=302, headers={"Location": login_url(settings.server.public_url, here)})
        page = f"<!doctype html><title>App</title><h1>Hello {owner.username} on {host}</h1>"
        return web.Response(text=page + '<a href="/.gateway/sign_out">Sign out</a>', content_type="text/html")

    app = web.Application()
    app.add_routes(site.routes)
    app.router.add_route("*", "/{rest:.*}", behind)
    return app


async def serve(app: web.Application, bound: socket.socket) -> web.AppRunner:
    """Serve on a socket that is bound already, so that no other test can take its port meanwhile."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    return runner


def bind() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


class Portals:
    """Makes worlds and ends them."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self._database = database
        self._clock = clock
        self._runners: list[web.AppRunner] = []
        self._hashers: list[PasswordHasher] = []

    async def open(
        self,
        *,
        scheme: str = "http",
        routes: Sequence[dict[str, Any]] = ROUTES,
        server: dict[str, Any] | None = None,
        **sections: Any,
    ) -> World:
        """Start a portal with changed settings."""
        bound = bind()
        port = bound.getsockname()[1]
        values = {"server": {"public_url": f"{scheme}://localhost:{port}", **(server or {})}, "routes": routes}
        settings = Settings.model_validate({**DEFAULTS, **values, **sections})
        key, clock, database = MasterKey(b"k" * 32), self._clock, self._database
        rules = compile_rules(settings)
        slept: list[float] = []
        registry = Registry(database, clock)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        consents = Consents(database, clock)
        accounts = build_accounts(settings, database, key, clock, sleep=sleep)
        users, sessions = accounts.users, accounts.sessions
        self._hashers.append(accounts.hasher)
        provider = build_provider(
            ProviderSurroundings(
                settings=settings,
                database=database,
                clients=Clients(database, clock),
                feed=None,
                keys=accounts.keys,
                master_key=key,
                consents=consents,
                resources={},
                route_scopes=(),
                proxies=TrustedProxies(settings.server.trusted_proxies),
                password_login=accounts.login,
                second_factors=accounts.second_factors,
                metrics=Metrics(),
                clock=clock,
            )
        )
        site = build_site(
            settings=settings,
            rules=rules,
            proxies=TrustedProxies(settings.server.trusted_proxies),
            accounts=accounts,
            provider=provider,
            consents=consents,
            registry=registry,
            master_key=key,
            federation=build_federation(settings, database, key, users, sessions, clock),
            clock=clock,
            request_id=lambda request: REFERENCE,
        )
        ann = await users.find("ann") or await users.create("ann", "ann@example.com", PASSWORD)
        self._runners.append(await serve(application(settings, sessions, site), bound))
        return World(
            settings, clock, database, sessions, users, site, accounts, provider, rules, ann, port, registry, slept
        )

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        for hasher in self._hashers:
            hasher.close()
