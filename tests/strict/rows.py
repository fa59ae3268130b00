"""Rows of bytes, and what must come of each: on a connection of its own, twice, in pieces, behind others, known before.

Whatever the row, the upstream sees well-formed requests only, one for each that the gateway let through, and each
answer on the client's connection is the answer to that connection's own request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.proxy.proxying import SECONDS, RawClient, Reply, Standing, connected, request
from tests.strict.recorder import Recorder, Seen

HOST = "Host: app.test"
AUTH = "Authorization: Bearer ann-token"
_END = b"\r\n\r\n"


def raw(*lines: str, body: bytes = b"") -> bytes:
    """Write lines and an empty one as they are."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask(line: str, *fields: str, body: bytes = b"") -> bytes:
    """Write a request of ann's; ``line`` is the whole request line."""
    return raw(line, HOST, AUTH, *fields, body=body)


@dataclass(frozen=True, slots=True)
class Row:
    """``data`` and the status of its answer.

    ``seen`` is the request line without version as the upstream gets it, empty when it gets nothing. ``fields`` are
    values that it must see, by lower-case name (empty: not at all), ``body`` what it gets after them. ``whole`` is
    false where the request's end never comes, so that nothing can follow it. ``torn``: the upstream may see a part of
    the body, and then its connection's end.
    """

    data: bytes
    status: int
    seen: str = ""
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True
    torn: bool = False


def refused(data: bytes, status: int = 400, *, whole: bool = True) -> Row:
    return Row(data, status, whole=whole)


def passed(data: bytes, seen: str, *, body: bytes = b"", **fields: list[str]) -> Row:
    """Expect 200; ``fields`` with underscores for hyphens."""
    wanted = {name.replace("_", "-"): values for name, values in fields.items()}
    return Row(data, 200, seen, wanted, body)


def torn(data: bytes, status: int = 400) -> Row:
    """Expect a refusal when the head may have been sent on already."""
    return Row(data, status, torn=True)


class Play:
    """One row against one front."""

    def __init__(self, front: Standing, upstream: Recorder, row: Row) -> None:
        self._front = front
        self._upstream = upstream
        self._row = row
        self._asked = 0
        self._refusals: dict[str, int] = {}

    async def run(self) -> None:
        """Play the row in every way."""
        for way in (self._alone, self._twice, self._in_pieces, self._after_another, self._behind_another, self._known):
            self._upstream.seen.clear()
            await way()
            assert self._upstream.malformed == []
            assert self._row.torn or not self._upstream.torn
            await self._check_what_was_sent_on()

    async def _alone(self) -> None:
        async with connected(self._front.port) as client:
            client.send(self._row.data)
            await self._answered(client)
            await self._goes_on(client)

    async def _twice(self) -> None:
        async with connected(self._front.port) as client:
            for _ in range(2):
                client.send(self._row.data)
                if await self._answered(client):
                    break
            else:
                await self._goes_on(client)

    async def _in_pieces(self) -> None:
        data = self._row.data
        step = max(1, len(data) // 16)
        async with connected(self._front.port) as client:
            for start in range(0, len(data), step):
                client.send(data[start : start + step])
                await asyncio.sleep(0)
            try:
                await self._answered(client)
            except ConnectionError:
                # It was refused before its end and the connection closed: what was sent after that resets it.
                assert self._row.status >= 400
                return
            await self._goes_on(client)

    async def _after_another(self) -> None:
        async with connected(self._front.port) as client:
            for _ in range(2):
                await self._good(client)
            client.send(self._row.data)
            await self._answered(client)
            await self._goes_on(client)

    async def _behind_another(self) -> None:
        """Send it in one packet with a request before it."""
        async with connected(self._front.port) as client:
            before, target = self._next()
            client.send(before + self._row.data)
            first = await client.reply()
            if first.body != target:
                # aiohttp forgets what it read in a packet that ends in garbage: one refusal for both, and the end.
                assert (first.status, first.one("connection")) == (self._row.status, "close")
                assert await client.ended() == b""
                return
            await self._answered(client)
            await self._goes_on(client)

    async def _known(self) -> None:
        """Send it once its block of fields has been seen with another request line."""
        data = self._row.data
        start, end = data.find(b"\r\n"), data.find(_END)
        if start > 0 and end > 0 and self._row.whole:
            for _ in range(2):
                async with connected(self._front.port) as client:
                    for _ in range(2):
                        client.send(b"GET /before HTTP/1.1" + data[start : end + 4])
                        if data[end + 4 :]:
                            client.send(data[end + 4 :])
                        if (await client.reply()).all("connection") == ["close"]:
                            break
        await self._alone()

    def _next(self) -> tuple[bytes, bytes]:
        self._asked += 1
        target = f"/own/{self._asked}"
        return request(f"GET {target}"), f"GET {target}".encode()

    async def _good(self, client: RawClient) -> None:
        data, target = self._next()
        client.send(data)
        reply = await client.reply()
        assert (reply.status, reply.body) == (200, target)

    async def _goes_on(self, client: RawClient) -> None:
        """Hold that the connection is closed or in step."""
        if not self._row.whole:
            return
        data, target = self._next()
        try:
            client.send(data)
            reply = await client.reply()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        assert (reply.status, reply.body) == (200, target), ("out of step", reply)

    async def _answered(self, client: RawClient) -> bool:
        """Hold the answer against the row, and return whether the connection is closed after it."""
        row, seen = self._row, self._upstream.seen
        reply = await client.reply(method=row.data[:4].decode("latin-1").strip())
        # Once a part of a body was read, what is wrong with it is said in one way.
        assert reply.status in ({row.status, 400} if row.torn else {row.status}), reply
        if row.seen:
            self._check_seen(seen[-1], reply)
        else:
            assert (reply.one("server"), reply.one("content-type")) == ("gateway", "application/problem+json")
            self._refusals[reply.one("x-request-id")] = reply.status
        kept = ["keep-alive"] if b" HTTP/1.0\r\n" in row.data else []
        return [value.lower() for value in reply.all("connection")] != kept

    def _check_seen(self, seen: Seen, reply: Reply) -> None:
        row = self._row
        assert seen.line == f"{row.seen} HTTP/1.1"
        assert seen.body == row.body
        for name, values in row.fields.items():
            assert seen.all(name) == values, (name, seen.head)
        if row.status == 200 and reply.body:
            assert reply.body == row.seen.encode()
            assert reply.all("x-request-id") == seen.all("x-request-id")

    async def _check_what_was_sent_on(self) -> None:
        """Hold that each request upstream is one that the gateway has let through, once, and says nothing forged."""
        # What is torn is seen by its head only.
        torn = self._row.data.partition(b" HTTP/")[0].decode("latin-1") if self._row.torn else ""
        allowed = {self._row.seen, torn, "GET /before", *(f"GET /own/{number + 1}" for number in range(self._asked))}
        for each in self._upstream.seen:
            assert each.line.removesuffix(" HTTP/1.1") in allowed, each
            assert "forged" not in str(each.environ).lower(), each
        ids = [each.environ["HTTP_X_REQUEST_ID"] for each in self._upstream.seen]
        assert len(ids) == len(set(ids))
        expected = {*self._refusals, *ids}
        async with asyncio.timeout(SECONDS):
            while not expected <= {line["request_id"] for line in self._front.log}:
                await asyncio.sleep(0)  # a line is written after its answer
        logged = {line["request_id"]: line["status"] for line in self._front.log}
        assert {request_id: logged[request_id] for request_id in self._refusals} == self._refusals
