"""An upstream that answers well what is asked for below /own, and plays a script for everything else."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from tests.proxy.proxying import Received


@dataclass(frozen=True, slots=True)
class Bad:
    """``pieces`` are written one after the other; ``then`` the connection is kept, closed, reset, or left to hang.

    ``status`` is the client's answer. ``body`` is None where the answer is cut short and the client can tell.
    """

    pieces: tuple[bytes, ...]
    status: int
    body: bytes | None = None
    then: str = "keep"
    method: str = "GET"


@dataclass
class Script:
    """``written`` counts what it could write of an answer without an end."""

    bad: Bad = Bad((), 0)
    in_pieces: bool = False
    port: int = 0
    seen: list[Received] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._run, "127.0.0.1", 0)
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
                received = Received((await reader.readuntil(b"\r\n\r\n"))[:-4])
                self.seen.append(received)
                target = received.line.split()[1].encode()
                if target.startswith(b"/own"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))
                elif await self._play(reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Write the script, and return whether that was the connection's end."""
        for piece in self.bad.pieces:
            step = max(1, len(piece) // 12) if self.in_pieces else max(1, len(piece))
            for start in range(0, len(piece), step):
                writer.write(piece[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)
            if len(self.bad.pieces) > 1:
                await asyncio.sleep(0.01)
        if self.bad.then == "hang":
            await reader.read()
        elif self.bad.then == "reset":
            await asyncio.sleep(0.01)
            _reset(writer)
        return self.bad.then != "keep"


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
