"""A front with routes of the test's own, over upstreams that keep every byte; who asks is said by a table.

Everything from the socket to the upstream is the real thing; only verification is not, so no database is needed.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.authz.endpoints import Endpoints
from gateway.clock import SystemClock
from gateway.config.rules import compile_rules
from gateway.config.settings import Settings
from gateway.errors import CredentialRejected, StorageUnavailable
from gateway.identity.cache import CredentialCache
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.ledger import RevocationLedger
from gateway.identity.live import LiveConnections
from gateway.identity.presented import Presented, Presenter
from gateway.identity.resolver import Resolver
from gateway.identity.verified import Verified
from gateway.listening.hall import Hall
from gateway.listening.patrol import Patrol
from gateway.listening.renewal import Certificates
from gateway.observability.access_log import AccessLog
from gateway.observability.metrics import Metrics
from gateway.observability.request_id import RequestIds
from gateway.policy.client import TrustedProxies
from gateway.problem import Problem
from gateway.proxy.admission import Admission
from gateway.proxy.decisions import Decisions
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.front import Front
from gateway.proxy.handler import ProxyHandler, ProxyLimits
from gateway.proxy.headers import RequestHeaders, ResponseHeaders
from gateway.proxy.journeys import Journeys
from gateway.proxy.own_fields import OwnFields
from gateway.proxy.portal import Portal
from gateway.proxy.request_head import RequestHeads
from gateway.proxy.server import GatewayServer
from gateway.proxy.trip import Book
from gateway.proxy.upstream.upstreams import Upstreams

ISSUER = "http://portal.test"
OWN_COOKIES = ("gateway", "gateway-form")
SECONDS = 5.0


class People:
    """Stands in for verification: texts and whose they are.

    ``down`` is a database that does not answer; ``ends_in`` how long a credential is good, in seconds.
    """

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, tuple[str, ...]]] = {
            "ann-token": ("ann", ("staff", "user")),
            "bob-token": ("bob", ("user",)),
            "ann-session": ("ann", ("staff", "user")),
        }
        # What a token is kept to: routes and hosts.
        self.kept: dict[str, tuple[frozenset[str] | None, frozenset[str] | None]] = {}
        self.down = False
        self.ends_in = math.inf
        self.asked = 0

    def table(self, _memory: object) -> Mapping[CredentialKind, Callable[[Presented, str], Awaitable[Verified]]]:
        return dict.fromkeys(CredentialKind, self._verify)

    async def _verify(self, presented: Presented, _host: str) -> Verified:
        self.asked += 1
        if self.down:
            raise StorageUnavailable
        if presented.unverified not in self.known:
            raise CredentialRejected("unknown")
        name, roles = self.known[presented.unverified]
        identity = Identity(name, name, f"{name}@example.com", roles, presented.kind, datetime(2026, 1, 1, tzinfo=UTC))
        routes, hosts = self.kept.get(presented.unverified, (None, None))
        identity = replace(identity, routes=routes, hosts=hosts)
        depends_on = frozenset({("account", name)})
        ends_at = time.monotonic() + self.ends_in
        return Verified(identity, depends_on, math.inf, ends_at, consumed=frozenset({presented.header}))


class _Feed:
    """Revocations always arrive here."""

    def fresh(self) -> bool:
        return True


class _Activity:
    def note(self, verified: Verified) -> None:
        """Nobody asks."""


@dataclass
class Standing:
    """A front that answers, and what a test looks at."""

    port: int
    people: People
    live: LiveConnections
    cache: CredentialCache
    metrics: Metrics
    upstreams: Upstreams
    access_log: AccessLog
    written: io.StringIO
    hall: Hall
    patrol: Patrol
    server: GatewayServer
    certificates: Certificates | None

    def revoke(self, name: str) -> None:
        self.cache.drop(("account", name))
        self.live.close(("account", name))

    @property
    def log(self) -> list[dict[str, Any]]:
        self.access_log.flush()
        return [json.loads(line) for line in self.written.getvalue().splitlines()]

    async def ask(self, data: bytes, *, method: str = "GET") -> Reply:
        """Send bytes on a connection of their own and return the one answer."""
        async with connected(self.port) as client:
            client.send(data)
            return await client.reply(method=method)

    async def get(self, path: str = "/", *fields: str, host: str = "app.test", token: str = "ann-token") -> Reply:
        return await self.ask(request(f"GET {path}", *fields, host=host, token=token))


def request(line: str, *fields: str, host: str = "app.test", token: str = "ann-token", body: bytes = b"") -> bytes:
    """Write a request; ``line`` is method and target. No token: no Authorization."""
    version = "" if line.count(" ") > 1 else " HTTP/1.1"
    given = [f"Host: {host}"] if host else []
    given += [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([f"{line}{version}", *given, *fields, "", ""]).encode("latin-1") + body


@dataclass
class Reply:
    """One answer, read strictly."""

    status: int
    head: bytes
    body: bytes

    def all(self, name: str) -> list[str]:
        pairs = [line.partition(b": ") for line in self.head.split(b"\r\n")[1:]]
        return [value.decode("latin-1") for key, _, value in pairs if key.lower() == name.lower().encode()]

    def one(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, (name, self.head)
        return values[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.one("content-type") == "application/problem+json", self.head
        return str(self.json["code"])


class RawClient:
    """One connection to the front."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, bytes]:
        async with asyncio.timeout(SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", head)
        assert found, head
        return int(found[1]), head[:-4]

    async def reply(self, *, method: str = "GET") -> Reply:
        status, head = await self.head()
        reply = Reply(status, head, b"")
        if method == "HEAD" or status in {204, 304} or status < 200:
            return reply
        async with asyncio.timeout(SECONDS):
            if reply.all("transfer-encoding") == ["chunked"]:
                assert reply.all("content-length") == []
                reply.body = await self._chunked()
            elif length := reply.all("content-length"):
                reply.body = await self.reader.readexactly(int(*length))
            else:
                reply.body = await self.reader.read()
        return reply

    async def _chunked(self) -> bytes:
        body = b""
        while True:
            size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
            piece = await self.reader.readexactly(size + 2)
            assert piece.endswith(b"\r\n")
            if size == 0:
                return body
            body += piece[:-2]

    async def ended(self) -> bytes:
        """Return what is still sent until the connection ends."""
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


@dataclass
class Received:
    """A request as it reached an upstream, byte for byte."""

    head: bytes
    body: bytes = b""

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode()

    @property
    def fields(self) -> list[tuple[str, str]]:
        pairs = [line.partition(b": ") for line in self.head.split(b"\r\n")[1:] if line]
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, _, value in pairs]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def environ(self) -> dict[str, str]:
        """What a CGI, WSGI or PHP application sees: every spelling of a name folds into one variable."""
        folded: dict[str, str] = {}
        for name, value in self.fields:
            variable = "HTTP_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
            folded[variable] = f"{folded[variable]},{value}" if variable in folded else value
        return folded


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Upstream:
    """Keeps what it is sent. It answers ``answer``, or does what ``serve`` does with each connection."""

    answer: bytes = OK
    close: bool = False
    serve: Serve | None = None
    port: int = 0
    socket_path: str = ""
    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Received:
        return self.requests[-1]

    async def start(self) -> None:
        """Listen; once it was stopped, at the same place again."""
        if self.socket_path:
            self._server = await asyncio.start_unix_server(self._run, self.socket_path, limit=1 << 20)
            return
        self._server = await asyncio.start_server(self._run, "127.0.0.1", self.port, limit=1 << 20, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def receive(self, reader: asyncio.StreamReader) -> Received:
        received = Received((await reader.readuntil(b"\r\n\r\n"))[:-4])
        self.requests.append(received)
        return received

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            await (self.serve or self._answer)(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.ended.set()
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            received = await self.receive(reader)
            if length := received.all("content-length"):
                received.body = await reader.readexactly(int(*length))
            elif received.all("transfer-encoding"):
                while not received.body.endswith(b"0\r\n\r\n"):
                    received.body += await reader.readuntil(b"\r\n")
            writer.write(self.answer)
            await writer.drain()
            if self.close:
                return


def _page(problem: Problem, request_id: str, _request: web.BaseRequest) -> web.Response:
    return web.Response(status=problem.status, text=f"<h1>{problem.code}</h1>{request_id}", content_type="text/html")


async def _login(_request: web.Request) -> web.Response:
    return web.Response(text="the login page")


async def _upload(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def _broken(_request: web.Request) -> web.Response:
    raise ValueError("a secret of the inside")


async def _elsewhere(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/login")


def _portal() -> web.Application:
    application = web.Application()
    application.add_routes(
        [
            web.get("/login", _login),
            web.post("/api/upload", _upload),
            web.get("/api/users/{user}", _login),
            web.get("/broken", _broken),
            web.get("/elsewhere", _elsewhere),
            web.get("/.gateway/start", _login),
        ]
    )
    return application


@asynccontextmanager
async def standing(settings: Settings, *, fast: bool = True) -> AsyncIterator[Standing]:
    """Serve a front with these settings; without ``fast`` every request takes the plain path."""
    rules, people, metrics, ledger = compile_rules(settings), People(), Metrics(), RevocationLedger()
    clock, written = SystemClock(), io.StringIO()
    cache, live = CredentialCache(clock, ledger), LiveConnections(ledger, clock)
    resolver = Resolver(Presenter("gateway"), people, cache, ledger, _Feed(), _Activity(), clock)  # type: ignore[arg-type]
    upstreams = Upstreams(settings)
    access_log = AccessLog(as_json=True, stream=written)
    limits = settings.server.limits
    idle_seconds = limits.idle_timeout.total_seconds()
    heads = RequestHeads(RequestHeaders(rules, OWN_COOKIES), lambda who, to: f"signed.{who.username}.{to}", ISSUER)
    admission = Admission(
        rules=rules,
        resolver=resolver,
        upstreams=upstreams,
        metrics=metrics,
        access_log=access_log,
        heads=heads,
        response_headers=ResponseHeaders(rules, OWN_COOKIES),
        client_seconds=idle_seconds,
        clock=clock,
    )
    proxy = ProxyHandler(
        admission=admission,
        live=live,
        metrics=metrics,
        limits=ProxyLimits(limits.body_bytes, idle_seconds),
    )
    portal, endpoints = (
        Portal(_portal(), "portal.test"),
        Endpoints(settings.authz.key),
    )
    trusted_proxies = TrustedProxies(settings.server.trusted_proxies)
    journeys, request_ids = Journeys(portal, endpoints, trusted_proxies, "http", access_log), RequestIds()
    decisions = Decisions(admission, heads, metrics, access_log)
    lane = FastLane(
        journeys=journeys,
        admission=admission,
        decisions=decisions,
        book=Book(metrics, access_log),
        request_ids=request_ids,
        max_header_bytes=limits.header_bytes,
        match_headers=rules.match_headers,
    )
    front = Front(
        portal=portal,
        proxy=proxy,
        decisions=decisions,
        endpoints=endpoints,
        journeys=journeys,
        lane=lane,
        trusted_proxies=trusted_proxies,
        portal_url="http://portal.test",
        access_log=access_log,
        metrics=metrics,
        request_ids=request_ids,
        error_page=_page,
        own_fields=OwnFields("http://localhost"),
        max_header_bytes=limits.header_bytes,
    )
    server = GatewayServer(
        front,
        request_factory=front.make_request,
        limits=limits,
        malformed=front.malformed,
        lane=lane if fast else None,
    )
    given = "listen" in settings.server.model_fields_set
    listening = settings.server if given else settings.server.model_copy(update={"listen": ("127.0.0.1:0",)})
    tls = settings.server.tls
    certificates = Certificates(tls, clock) if tls is not None else None
    hall = Hall(
        listening, trusted_proxies, server.greet, None if certificates is None else lambda: certificates.context
    )
    patrol = Patrol(limits, lambda: server.open)
    server.crowded = lambda: patrol.crowded
    upstreams.start()
    hall.open()
    patrol.start()
    try:
        yield Standing(
            hall.ports[0],
            people,
            live,
            cache,
            metrics,
            upstreams,
            access_log,
            written,
            hall,
            patrol,
            server,
            certificates,
        )
    finally:
        await hall.close()
        server.pre_shutdown()
        await server.shutdown(0.1)
        await patrol.stop()
        await upstreams.stop()
        access_log.flush()
