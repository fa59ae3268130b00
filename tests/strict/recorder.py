"""An upstream that takes nothing but what every server reads alike, answers what it was asked, and notes the rest."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

from tests.proxy.proxying import Received

# RFC 9112 section 3, and narrower than it: what the gateway writes has no reason to be any wider.
_LINE = re.compile(rb"[A-Z][A-Z0-9_-]* /[!-\"$-\[\]-~]* HTTP/1\.1")
_FIELD = re.compile(rb"([A-Za-z0-9-]+): ([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_LENGTH = re.compile(r"0|[1-9][0-9]*")
_SIZE = re.compile(rb"[0-9a-f]+\r\n")


@dataclass
class Seen(Received):
    """A request that was read."""


class Malformed(Exception):
    """The bytes are no request that every server reads alike."""


@dataclass
class Recorder:
    """``malformed`` must stay empty; ``torn`` counts bodies that ended with their connection."""

    seen: list[Seen] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    torn: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._run, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                await self._serve_one(reader, writer)
        except Malformed as error:
            self.malformed.append(str(error))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                self.malformed.append(f"a head without an end: {error.partial!r}")
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Seen((await reader.readuntil(b"\r\n\r\n"))[:-4])
        _check(seen)
        self.seen.append(seen)
        try:
            seen.body = await _body(reader, seen)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.torn += 1
            raise ConnectionResetError from None
        answer = seen.line.rpartition(" ")[0].encode()
        body = b"" if seen.line.startswith("HEAD") else answer
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), body))


def _check(seen: Seen) -> None:
    line, *fields = seen.head.split(b"\r\n")
    if not _LINE.fullmatch(line) or not all(_FIELD.fullmatch(each) for each in fields):
        raise Malformed(repr(seen.head))
    framings = seen.all("content-length") + seen.all("transfer-encoding")
    if len(seen.all("host")) != 1 or len(framings) > 1:
        raise Malformed(repr(seen.head))
    once = {"authorization", "expect", "connection", "upgrade", "x-request-id", "x-forwarded-for", "x-forwarded-user"}
    if any(len(seen.all(name)) > 1 for name in once):
        raise Malformed(repr(seen.head))


async def _body(reader: asyncio.StreamReader, seen: Seen) -> bytes:
    if lengths := seen.all("content-length"):
        if not _LENGTH.fullmatch(lengths[0]):
            raise Malformed(lengths[0])
        return await reader.readexactly(int(lengths[0]))
    if codings := seen.all("transfer-encoding"):
        if codings != ["chunked"]:
            raise Malformed(codings[0])
        return await _chunked(reader)
    return b""


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    """Read chunks without extensions, and no trailers: the gateway writes neither."""
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        if not _SIZE.fullmatch(line):
            raise Malformed(f"chunk size {line!r}")
        size = int(line, 16)
        chunk = await reader.readexactly(size + 2)
        if not chunk.endswith(b"\r\n"):
            raise Malformed(f"chunk {chunk!r}")
        if size == 0:
            return body
        body += chunk[:-2]
