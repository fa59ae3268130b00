"""A gibibyte in either direction through a gateway of its own process: its memory stays where it was."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.gateways import database_url, free_port
from tests.proxy.proxying import OK, RawClient, connected

GIBIBYTE = 1 << 30
QUARTER = GIBIBYTE // 4  # for the other framing, so that the test stays short
PIECE = bytes(1 << 18)
GROWTH = 32 << 20
CONFIG = """version: 1
server: {{listen: "127.0.0.1:{port}", internal_listen: null, public_url: "http://localhost:{port}", drain_timeout: 1s}}
logging: {{level: warning}}
data_dir: {directory}
database: {{url: "{database}"}}
routes:
  - match: {{host: app.localhost}}
    access: public
    limits: {{body_bytes: 2GiB}}
    upstream: "http://127.0.0.1:{upstream}"
"""


async def _upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a body of any length, or give a gibibyte."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if head.startswith(b"get"):
        framing = b"Transfer-Encoding: chunked" if b"/chunked" in head else b"Content-Length: %d" % GIBIBYTE
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + framing + b"\r\n\r\n")
        piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if b"/chunked" in head else PIECE
        for _ in range((QUARTER if b"/chunked" in head else GIBIBYTE) // len(PIECE)):
            writer.write(piece)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if b"/chunked" in head else b"")
    else:
        received, tail = 0, b""
        while not (tail.endswith(b"0\r\n\r\n") or (b"content-length" in head and received >= GIBIBYTE)):
            data = await reader.read(1 << 18)
            received += len(data)
            tail = (tail + data)[-5:]
        # It closes, and says so: a POST is not sent again when a kept connection turns out to be dead.
        writer.write(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    await writer.drain()
    writer.close()


def _serve_upstream(port: int) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(_upstream, "127.0.0.1", port, limit=1 << 18)
        await server.serve_forever()

    asyncio.run(serve())


@pytest.fixture
async def gateway(dsn_args: dict[str, Any], tmp_path: Path) -> AsyncIterator[tuple[int, psutil.Process]]:
    """Run a gateway and its upstream as processes; give the gateway's port and process."""
    port, upstream_port = free_port(), free_port()
    config = tmp_path / "gateway.yaml"
    config.write_text(
        CONFIG.format(port=port, upstream=upstream_port, directory=tmp_path / "var", database=database_url(dsn_args))
    )
    upstream = multiprocessing.get_context("spawn").Process(target=_serve_upstream, args=(upstream_port,), daemon=True)
    upstream.start()
    command = (sys.executable, "-c", "from gateway.cli import main; main()", "-c", str(config), "serve")
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(60):
            await _until_listening(port)
            await _until_listening(upstream_port)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        upstream.terminate()
        async with asyncio.timeout(30):
            await process.wait()
        upstream.join(10)


async def _until_listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@asynccontextmanager
async def _watched(process: psutil.Process) -> AsyncIterator[list[int]]:
    """Note the resident memory while the block runs."""
    seen = [process.memory_info().rss]

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.05)
            seen.append(process.memory_info().rss)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


async def _download(client: RawClient) -> int:
    client.send(b"GET /chunked HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
    status, _ = await client.head()
    assert status == 200
    received = 0
    while data := await client.reader.read(1 << 18):
        received += len(data)
        if data.endswith(b"0\r\n\r\n"):
            break
    return received


async def _upload(client: RawClient) -> None:
    client.send(b"POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(QUARTER // len(PIECE)):
        client.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        await client.writer.drain()
    client.send(b"0\r\n\r\n")
    assert (await client.reply()).body == b"ok"


async def _curl(*words: str) -> tuple[str, str]:
    """Run curl; return what it printed and what it saw of the protocol."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--show-error", "--verbose", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, seen = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, seen.decode()[-2000:]
    return printed.decode(), seen.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_moves_a_gibibyte_each_way_and_memory_stays_flat(
    gateway: tuple[int, psutil.Process], tmp_path: Path
) -> None:
    port, process = gateway
    # A file with nothing in it takes no room on the disk.
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(GIBIBYTE)
    there = ("--resolve", f"app.localhost:{port}:127.0.0.1", "--proxy", "")
    await _curl(*there, f"http://app.localhost:{port}/.gateway/readyz")  # everything that is loaded once is loaded
    async with _watched(process) as seen, asyncio.timeout(100):
        sent, said = await _curl(
            *there,
            *("--upload-file", str(large), "--header", "Expect: 100-continue", "--expect100-timeout", "30"),
            *("--write-out", " %{http_code} %{size_upload}", f"http://app.localhost:{port}/up"),
        )
        taken, _ = await _curl(
            *there,
            *("--output", "/dev/null", "--write-out", "%{http_code} %{size_download}"),
            f"http://app.localhost:{port}/plain",
        )
    assert sent == f"ok 200 {GIBIBYTE}"
    assert (
        said.index("> Expect: 100-continue") < said.index("< HTTP/1.1 100 Continue") < said.index("< HTTP/1.1 200 OK")
    )
    assert taken == f"200 {GIBIBYTE}"
    assert max(seen) - seen[0] < GROWTH
    assert len(seen) > 20


async def test_chunks_each_way_leave_memory_flat(gateway: tuple[int, psutil.Process]) -> None:
    port, process = gateway
    async with connected(port) as client:
        client.send(b"GET /.gateway/readyz HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        assert (await client.reply()).status == 200
    async with _watched(process) as seen, asyncio.timeout(100):
        async with connected(port) as client:
            assert await _download(client) > QUARTER
        async with connected(port) as client:
            await _upload(client)
    assert max(seen) - seen[0] < GROWTH


async def test_a_client_that_takes_nothing_costs_little(gateway: tuple[int, psutil.Process]) -> None:
    port, process = gateway
    async with _watched(process) as seen, connected(port) as one, connected(port) as other:
        for client in (one, other):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send(b"GET /plain HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        await asyncio.sleep(1)
    assert max(seen) - seen[0] < GROWTH
