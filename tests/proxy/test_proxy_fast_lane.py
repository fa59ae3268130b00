"""The fast lane answers as the plain path does, byte for byte, and is what answers where it should."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.proxy.fast_lane import FastLane
from tests.proxy.proxying import OK, Standing, Upstream, connected, request, standing

ROUTES = """
server: {trusted_proxies: TRUSTED}
routes:
  - {name: open, match: {host: app.test, path: /public/**}, access: public, upstream: "URL"}
  - {name: maybe, match: {host: app.test, path: /maybe/**}, access: optional, upstream: "URL"}
  - {name: closed, match: {host: app.test, path: /closed/**}, access: deny}
  - {name: staff, match: {host: app.test, path: /staff/**}, require: {roles: [staff]}, upstream: "URL"}
  - {name: kept, match: {host: app.test, path: /kept/**}, preserve_host: true, upstream: "URL",
     identity: {pass_authorization: true, preset: remote-user, headers: {X-Team: "{username}"}}}
  - {name: wiki, match: {host: app.test, path: /wiki/**}, rewrite: {strip_prefix: /wiki, add_prefix: /app},
     upstream: "URL", identity: {assertion: {audience: wiki}}}
  - {name: dead, match: {host: app.test, path: /dead/**}, upstream: "http://127.0.0.1:1"}
  - {name: app, match: {host: app.test}, upstream: "URL"}
"""
TIMES = 4
_VARIES = re.compile(rb"[0-9a-f]{12}-[0-9a-f]{8}|(?<=Date: )[^\r]*")


@dataclass
class Seen:
    """What came of the same request, sent again and again on one connection."""

    replies: list[tuple[bytes, bytes]] = field(default_factory=list)
    upstream: list[tuple[bytes, bytes]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    requests: dict[Any, int] = field(default_factory=dict)
    decisions: dict[Any, int] = field(default_factory=dict)


@dataclass
class Lanes:
    """Two fronts before one upstream: one with the fast lane, one without."""

    fast: Standing
    plain: Standing
    upstream: Upstream
    entered: list[bool]

    async def both(self, data: bytes, method: str = "GET") -> tuple[Seen, Seen]:
        return await self._seen(self.fast, data, method), await self._seen(self.plain, data, method)

    async def _seen(self, front: Standing, data: bytes, method: str) -> Seen:
        seen = Seen()
        self.upstream.requests.clear()
        async with connected(front.port) as client:
            for _ in range(TIMES):
                client.send(data)
                try:
                    reply = await client.reply(method=method)
                except (asyncio.IncompleteReadError, ConnectionError):
                    seen.replies.append((b"", b""))
                    break
                seen.replies.append((_VARIES.sub(b"", reply.head), _VARIES.sub(b"", reply.body)))
                if reply.all("connection") == ["close"]:
                    break
        await asyncio.sleep(0)
        seen.upstream = [(_VARIES.sub(b"", each.head), each.body) for each in self.upstream.requests]
        seen.log = [
            {key: value for key, value in line.items() if key not in {"time", "request_id", "duration_ms"}}
            for line in front.log
        ]
        seen.requests, seen.decisions = dict(front.metrics.requests), dict(front.metrics.decisions)
        assert front.metrics.in_flight == 0
        return seen


@pytest.fixture
def lanes(settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    entered: list[bool] = []
    enter = FastLane.enter

    def counted(self: FastLane, client: Any, data: bytes) -> Any:
        taken = enter(self, client, data)
        entered.append(taken)
        return taken

    monkeypatch.setattr(FastLane, "enter", counted)

    @asynccontextmanager
    async def run(*, trusted: str = "[]", answer: bytes = OK, close: bool = False) -> AsyncIterator[Lanes]:
        upstream = Upstream(answer=answer, close=close)
        await upstream.start()
        text = ROUTES.replace("URL", upstream.url).replace("TRUSTED", trusted)
        settings = settings_for(text, GATEWAY_SERVER__PUBLIC_URL="http://portal.test")
        try:
            async with standing(settings) as fast, standing(settings, fast=False) as plain:
                yield Lanes(fast, plain, upstream, entered)
        finally:
            await upstream.stop()

    return run


REQUESTS = {
    "get": (request("GET /"), 3),
    "head": (request("HEAD /"), 3),
    "session": (request("GET /", "Cookie: a=1; gateway=ann-session; b=2", token=""), 3),
    "api key": (request("GET /", "X-API-Key: bob-token", token=""), 3),
    "query": (request("GET /search?q=a%20b&c=/../x"), 3),
    "question mark alone": (request("GET /search?"), 3),
    "query, rewritten": (request("GET /wiki/x?a=b"), 3),
    "query with a question mark": (request("GET /x?a?b"), 3),
    "query with odd bytes": (request('GET /x?a="b"'), 0),
    "query at the portal": (request("GET /login?rd=/x", host="portal.test"), 0),
    "query, role not held": (request("GET /staff/x?a=b", token="bob-token"), 0),
    "public": (request("GET /public/x", token=""), 3),
    "public with a foreign token": (request("GET /public/x", "Authorization: Bearer other", token=""), 3),
    "optional, nobody": (request("GET /maybe/x", token=""), 3),
    "optional, somebody": (request("GET /maybe/x"), 3),
    "role held": (request("GET /staff/x"), 3),
    "preserved host, own headers": (request("GET /kept/x"), 3),
    "rewritten, with an assertion": (request("GET /wiki/x;y=1/z"), 3),
    "parameters": (request("GET /a;b=c/d;e"), 3),
    "escapes": (request("GET /caf%C3%A9"), 3),
    "claimed identity": (request("GET /", "X-Forwarded-User: root", "X_Forwarded_User: root", "Remote-User: root"), 3),
    "listed by Connection": (request("GET /", "Connection: keep-alive, X-Secret", "X-Secret: 1", "X-Other: 2"), 3),
    "claimed origin": (request("GET /", "X-Forwarded-For: 10.0.0.1", "X-Real-IP: 10.0.0.1", "Forwarded: for=x"), 3),
    "method override": (request("GET /", "X-HTTP-Method-Override: DELETE"), 3),
    # What is refused, or is no request of the simple kind.
    "role not held": (request("GET /staff/x", token="bob-token"), 0),
    "denied": (request("GET /closed/x"), 0),
    "nobody": (request("GET /", token=""), 0),
    "unknown token": (request("GET /", token="wrong"), 0),
    "no route": (request("GET /", host="other.test"), 0),
    "portal": (request("GET /login", host="portal.test"), 0),
    "reserved": (request("GET /.gateway/x"), 0),
    "server down": (request("GET /dead/x"), 0),
    "dot segment": (request("GET /a/../b"), 0),
    "encoded slash": (request("GET /a%2fb"), 0),
    "two slashes": (request("GET //a"), 0),
    "fragment": (request("GET /a#b"), 0),
    "absolute form": (request("GET http://app.test/a"), 0),
    "asterisk": (request("OPTIONS *"), 0),
    "post": (request("POST /", "Content-Length: 3", body=b"abc"), 0),
    "empty body": (request("GET /", "Content-Length: 0"), 0),
    "chunked": (request("POST /", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"), 0),
    "delete": (request("DELETE /a"), 0),
    "expectation": (request("GET /", "Expect: 100-continue"), 0),
    "close": (request("GET /", "Connection: close"), 0),
    "old version": (request("GET / HTTP/1.0", "Connection: keep-alive"), 0),
    "two hosts": (request("GET /", "Host: app.test"), 0),
    "two credentials": (request("GET /", "Cookie: gateway=ann-session"), 0),
    "who disagree": (request("GET /", "X-API-Key: bob-token"), 0),
    "upgrade to something": (request("GET /", "Connection: upgrade", "Upgrade: h2c"), 0),
    "long line": (request("GET /" + "x" * 3000), 0),
    "many fields": (request("GET /", *[f"X-{number}: {'y' * 60}" for number in range(100)]), 0),
}


@pytest.mark.parametrize(("data", "fast"), REQUESTS.values(), ids=REQUESTS)
async def test_a_request_is_answered_alike_on_both_ways(lanes: Any, data: bytes, fast: int) -> None:
    method = data.partition(b" ")[0].decode()
    async with lanes(answer=OK.removesuffix(b"ok") if method == "HEAD" else OK) as both:
        on_fast, on_plain = await both.both(data, method)
        assert on_fast == on_plain
        assert sum(both.entered) == fast


TRUSTED = {
    "client": (request("GET /", "X-Forwarded-For: 192.0.2.7, 127.0.0.1"), 3),
    "host": (request("GET /", "X-Forwarded-Host: app.test", host="inside"), 3),
    "id": (request("GET /", "X-Request-Id: abc.1"), 3),
    "scheme": (request("GET /", "X-Forwarded-Proto: https"), 3),
    "bad address": (request("GET /", "X-Forwarded-For: nobody"), 0),
    "bad host": (request("GET /", "X-Forwarded-Host: a b"), 0),
}


@pytest.mark.parametrize(("data", "fast"), TRUSTED.values(), ids=TRUSTED)
async def test_a_trusted_proxy_is_believed_alike(lanes: Any, data: bytes, fast: int) -> None:
    async with lanes(trusted="[127.0.0.0/8]") as both:
        on_fast, on_plain = await both.both(data)
        assert on_fast == on_plain
        assert sum(both.entered) == fast


def answer(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


ANSWERS = {
    "whole": answer("HTTP/1.1 200 OK", "Content-Length: 3", "X-A: 1", 'ETag: "x"', body=b"abc"),
    "empty": answer("HTTP/1.1 200 OK", "Content-Length: 0"),
    "no reason": answer("HTTP/1.1 299 ", "Content-Length: 0"),
    "not found": answer("HTTP/1.1 404 Nope", "Content-Length: 1", body=b"x"),
    "no content": answer("HTTP/1.1 204 No Content"),
    "not modified": answer("HTTP/1.1 304 Not Modified", "Content-Length: 5", 'ETag: "x"'),
    "chunked": answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "trailers": answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\nX-User: a\r\n\r\n"),
    "large": answer("HTTP/1.1 200 OK", "Content-Length: 300000", body=b"x" * 300000),
    "interim": answer("HTTP/1.1 103 Early Hints", "Link: x") + OK,
    "identity": answer(
        "HTTP/1.1 200 OK", "Content-Length: 0", "X-Forwarded-User: a", "Remote_User: b", "X-Gateway-A: c"
    ),
    "cookies": answer("HTTP/1.1 200 OK", "Content-Length: 0", "Set-Cookie: gateway=x", "Set-Cookie: a=b; Path=/"),
    "hop by hop": answer("HTTP/1.1 200 OK", "Content-Length: 0", "Keep-Alive: timeout=5", "X-Request-Id: theirs"),
    "kept": answer("HTTP/1.1 200 OK", "Content-Length: 0", "Connection: keep-alive"),
    "listed": answer("HTTP/1.1 200 OK", "Content-Length: 0", "Connection: X-A", "X-A: 1", "X-B: 2"),
    "closing": answer("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close", body=b"ok"),
    "old": answer("HTTP/1.0 200 OK", "Content-Length: 2", body=b"ok"),
    "two lengths": answer("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 2", body=b"ok"),
    "two framings": answer("HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked", body=b"ok"),
    "odd length": answer("HTTP/1.1 200 OK", "Content-Length: +2", body=b"ok"),
    "folded": answer("HTTP/1.1 200 OK", "Content-Length: 2", "X-A: 1", " 2", body=b"ok"),
    "bare line feed": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "space before colon": answer("HTTP/1.1 200 OK", "Content-Length : 2", body=b"ok"),
    "spaces around values": answer("HTTP/1.1 200 OK", "Content-Length: 2", "X-A:  1  ", "X-B:", "X-C: ", body=b"ok"),
    "latin": answer("HTTP/1.1 200 Gr\xfc\xdfe", "Content-Length: 2", "X-A: \xfc", body=b"ok"),
    "nul": answer("HTTP/1.1 200 O\0K", "Content-Length: 2", body=b"ok"),
    "nul in a value": answer("HTTP/1.1 200 OK", "Content-Length: 2", "X-A: a\0b", body=b"ok"),
    "status too small": answer("HTTP/1.1 099 OK", "Content-Length: 2", body=b"ok"),
    "status too large": answer("HTTP/1.1 600 OK", "Content-Length: 2", body=b"ok"),
    "unasked upgrade": answer("HTTP/1.1 101 Switching", "Upgrade: websocket", "Connection: upgrade"),
    "too much": OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "nothing like it": b"SSH-2.0-OpenSSH\r\n\r\n",
    "large head": answer(
        "HTTP/1.1 200 OK", "Content-Length: 2", *[f"X-{i}: {'y' * 90}" for i in range(200)], body=b"ok"
    ),
}
CLOSED = {
    "without a length": answer("HTTP/1.1 200 OK", body=b"all of it"),
    "cut short": answer("HTTP/1.1 200 OK", "Content-Length: 10", body=b"abc"),
    "cut in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "nothing": b"",
    "whole, then closed": OK,
}


@pytest.mark.parametrize(
    ("data", "close"),
    [*((each, False) for each in ANSWERS.values()), *((each, True) for each in CLOSED.values())],
    ids=[*ANSWERS, *CLOSED],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_answer_is_passed_on_alike_on_both_ways(lanes: Any, data: bytes, close: bool, method: str) -> None:
    async with lanes(answer=data, close=close) as both:
        asked = request(f"{method} /public/x", token="")
        on_fast, on_plain = await both.both(asked, method)
        assert on_fast == on_plain


async def test_fields_are_looked_at_as_a_whole(lanes: Any) -> None:
    """One byte more, and they are read anew."""
    async with lanes() as both, connected(both.fast.port) as client:
        for token, status in (("ann-token", 200), ("ann-token", 200), ("ann-tokeN", 401), ("bob-token", 403)):
            client.send(request("GET /staff/x", token=token))
            assert (await client.reply()).status == status
        assert len(both.upstream.requests) == 2


async def test_a_revoked_credential_is_refused_at_the_next_request(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        for _ in range(3):
            client.send(request("GET /"))
            assert (await client.reply()).status == 200
        assert sum(both.entered) == 2
        del both.fast.people.known["ann-token"]
        both.fast.revoke("ann")
        client.send(request("GET /"))
        assert (await client.reply()).status == 401
        assert len(both.upstream.requests) == 3


async def test_another_address_is_another_request(lanes: Any) -> None:
    """What was granted to one path says nothing about another with the same fields."""
    async with lanes() as both, connected(both.fast.port) as client:
        for path, status in (("/public/x", 200), ("/public/x", 200), ("/staff/x", 401), ("/closed/x", 403)):
            client.send(request(f"GET {path}", token=""))
            assert (await client.reply()).status == status
        assert both.entered == [False, True, False, False]


async def test_requests_after_a_body_take_the_fast_lane_again(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        sent = [request("GET /"), request("POST /", "Content-Length: 5", body=b"ab"), b"cde", request("GET /")]
        client.send(sent[0])
        await client.reply()
        client.send(sent[1])
        await asyncio.sleep(0.01)
        client.send(sent[2])
        await client.reply()
        client.send(sent[3])
        assert (await client.reply()).status == 200
        assert both.entered[-1] is True
        assert [each.body for each in both.upstream.requests] == [b"", b"abcde", b""]


async def test_a_request_inside_a_body_is_a_body(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        inside = request("GET /staff/x")
        for _ in range(2):
            client.send(inside)
            assert (await client.reply()).status == 200
        client.send(request("POST /", f"Content-Length: {len(inside)}"))
        await asyncio.sleep(0.02)
        client.send(inside)
        assert (await client.reply()).status == 200
        assert [(each.line.split()[0], each.body) for each in both.upstream.requests[2:]] == [("POST", inside)]


async def test_requests_sent_together_are_answered_in_order(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        client.send(request("GET /"))
        await client.reply()
        client.send(request("GET /0"))
        for number in range(1, 20):
            await asyncio.sleep(0)
            client.send(request(f"GET /{number}"))
        for _ in range(20):
            assert (await client.reply()).status == 200
        assert [each.line.split()[1] for each in both.upstream.requests[1:]] == [f"/{number}" for number in range(20)]


class Slow:
    """Answers when told to."""

    def __init__(self, upstream: Upstream, pieces: list[bytes]) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.upstream = upstream
        self.pieces = pieces
        upstream.serve = self.serve

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            received = await self.upstream.receive(reader)
            if received.line.startswith("GET /slow"):
                self.asked.set()
                await self.go.wait()
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
            else:
                writer.write(OK)


async def _warm(client: Any, times: int = 2) -> None:
    for _ in range(times):
        client.send(request("GET /"))
        assert (await client.reply()).status == 200


async def test_a_request_under_way_is_handed_over_when_more_arrives(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        slow = Slow(both.upstream, [OK])
        await _warm(client)
        client.send(request("GET /slow"))
        await slow.asked.wait()
        client.send(request("GET /after"))
        await asyncio.sleep(0.01)
        slow.go.set()
        assert [(await client.reply()).status for _ in range(2)] == [200, 200]
        lines = [each.line.split()[1] for each in both.upstream.requests]
        assert lines == ["/", "/", "/slow", "/after"]
        assert [line["path"] for line in both.fast.log] == lines
        assert both.fast.metrics.in_flight == 0


async def test_an_answer_in_pieces_is_streamed(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        slow = Slow(both.upstream, [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 6\r\n\r\nabc", b"def"])
        slow.go.set()
        await _warm(client)
        client.send(request("GET /slow"))
        reply = await client.reply()
        assert (reply.status, reply.body) == (200, b"abcdef")
        await _warm(client, 1)
        assert len(both.fast.log) == 4


async def test_a_query_is_kept_where_a_request_is_handed_over(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        slow = Slow(both.upstream, [OK])
        await _warm(client)
        client.send(request("GET /slow?a=1"))
        await slow.asked.wait()
        client.send(request("GET /"))
        await asyncio.sleep(0.01)
        # The kept connection dies unanswered: the plain path sends the request again, and the same one.
        for writer in tuple(both.upstream._writers):
            writer.transport.abort()
        slow.go.set()
        assert [(await client.reply()).status for _ in range(2)] == [200, 200]
        assert [each.line for each in both.upstream.requests[2:4]] == ["GET /slow?a=1 HTTP/1.1"] * 2


async def test_queries_have_nothing_in_common_but_their_path(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        for number in range(4):
            client.send(request(f"GET /x?n={number}"))
            assert (await client.reply()).status == 200
        assert [each.line for each in both.upstream.requests] == [f"GET /x?n={number} HTTP/1.1" for number in range(4)]
        assert both.entered == [False, True, True, True]


async def test_a_client_that_leaves_ends_the_exchange(lanes: Any) -> None:
    async with lanes() as both:
        async with connected(both.fast.port) as client:
            slow = Slow(both.upstream, [OK])
            await _warm(client)
            client.send(request("GET /slow"))
            await slow.asked.wait()
        async with asyncio.timeout(5):
            while len(both.fast.log) < 3:
                await asyncio.sleep(0.01)
            slow.go.set()
            await both.upstream.ended.wait()
        assert [line["status"] for line in both.fast.log] == [200, 200, 499]
        assert both.fast.metrics.in_flight == 0


async def test_a_kept_connection_that_died_is_replaced(lanes: Any) -> None:
    async with lanes() as both, connected(both.fast.port) as client:
        await _warm(client)
        before = both.upstream.connections
        for writer in tuple(both.upstream._writers):
            writer.transport.abort()
        client.send(request("GET /again"))
        assert (await client.reply()).status == 200
        assert both.upstream.connections == before + 1
        assert both.upstream.requests[-1].line == "GET /again HTTP/1.1"


async def test_a_large_answer_that_arrives_at_once_does_not_spoil_its_connection(lanes: Any) -> None:
    """More than is buffered, and whole: the upstream's connection must be read from again."""
    large = answer("HTTP/1.1 200 OK", "Content-Length: 300000", body=b"x" * 300000)
    async with lanes(answer=large) as both, connected(both.plain.port) as client:
        for _ in range(5):
            client.send(request("GET /"))
            assert len((await client.reply()).body) == 300000


async def test_an_upstream_that_never_answers_is_a_504(lanes: Any, settings_for: Callable[..., Settings]) -> None:
    upstream = Upstream()
    await upstream.start()
    yaml = (
        f'upstreams: {{app: {{servers: ["{upstream.url}"], timeouts: {{response: 300ms}}}}}}\n'
        "routes: [{match: {host: app.test}, upstream: app}]"
    )
    settings = settings_for(yaml, GATEWAY_SERVER__PUBLIC_URL="http://portal.test")
    async with standing(settings) as front, connected(front.port) as client:
        slow = Slow(upstream, [])
        await _warm(client)
        client.send(request("GET /slow"))
        assert (await client.reply()).status == 504
        slow.go.set()
        await _warm(client, 1)
    await upstream.stop()
