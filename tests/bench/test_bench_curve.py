"""Load that does not wait for answers, and the plot that is drawn of what it saw."""

from __future__ import annotations

import asyncio
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.curve import Curve, Point, _end
from tests.bench.load import LoadFailed
from tests.bench.open_loop import Order, Seen, offer
from tests.bench.plot import HEIGHT, WIDTH, svg

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STALL_SECONDS = 0.4


@contextmanager
def answering(first: bytes = OK, stall_seconds: float = 0.0) -> Iterator[int]:
    """Serve in a thread: the first request is answered by ``first`` after a stall, all others at once."""
    ready, over, ports = threading.Event(), threading.Event(), []

    async def serve() -> None:
        begun = False

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal begun
            while (await reader.read(65536)).endswith(b"\r\n\r\n"):
                if begun:
                    writer.write(OK)
                else:
                    begun = True
                    await asyncio.sleep(stall_seconds)
                    writer.write(first)
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        while not over.is_set():
            await asyncio.sleep(0.02)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield ports[0]
    finally:
        over.set()
        thread.join()


def test_a_stall_is_felt_by_all_that_was_due_meanwhile() -> None:
    with answering(stall_seconds=STALL_SECONDS) as port:
        seen = offer(Order(f"http://127.0.0.1:{port}/", {}, rate=200, seconds=0.5, connections=1), [0])
    assert seen.answered == seen.offered > 50
    # One request alone was slow to be answered; a load that waits for it would call the median quick.
    assert seen.p50_ms > STALL_SECONDS * 1e3 / 4
    assert seen.p99_ms > STALL_SECONDS * 1e3 * 0.9


def test_one_refusal_makes_the_load_worthless() -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with answering(refusal) as port, pytest.raises(LoadFailed, match="1 answers were not 200"):
        offer(Order(f"http://127.0.0.1:{port}/", {}, rate=100, seconds=0.2, connections=2), [0])


@pytest.mark.parametrize(
    ("rounds", "end"),
    [
        ([Seen(100, 100, 0, 1, 2, 0.1)], ""),
        ([Seen(100, 100, 0, 1, 900, 0.1), Seen(100, 100, 0, 1, 2, 0.1)], ""),
        ([Seen(100, 100, 0, 1, 900, 0.1)], "more is too much for it"),
        ([Seen(100, 50, 0, 1, 2, 0.1)], "more is too much for it"),
        ([Seen(100, 100, 0, 1, 2, 8.0)], "the load generator can do no more"),
    ],
    ids=["fine", "a-noisy-round", "slow", "behind", "late"],
)
def test_a_curve_ends_where_higher_rates_show_nothing(rounds: list[Seen], end: str) -> None:
    assert _end(rounds) == end


CURVES = [
    Curve("nginx", "nginx `proxy_pass`, none", [Point(1000, 0.2, 0.9), Point(8000, 0.5, 3.0)], ""),
    Curve("envoy", "Envoy <&>", [Point(1000, 0.4, 2.0), Point(4000, 9.0, 90.0)], "more is too much for it"),
    Curve("gateway-jwt", "this gateway, JWT", [Point(1000, 0.3, 1.5)], ""),
    Curve("caddy", "Caddy", [], "nothing"),
]


def test_the_plot_shows_each_curve_inside_its_frame() -> None:
    root = ET.fromstring(svg(CURVES, "a <machine>"))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"nginx proxy_pass", "Envoy <&>", "this gateway", "a <machine>"} <= set(texts)
    assert "Caddy" not in texts
    lines = [element for element in root.iter(f"{SVG}path") if "line" in element.get("class", "")]
    assert len(lines) == 6
    for line in lines:
        numbers = [float(number) for number in re.findall(r"[\d.]+", line.get("d", ""))]
        assert all(0 <= x <= WIDTH for x in numbers[::2])
        assert all(0 <= y <= HEIGHT for y in numbers[1::2])
    whole = next(element for element in lines if element.get("class") == "line p99 of1")
    (_, low, _, high) = map(float, re.findall(r"[\d.]+", whole.get("d", "")))
    assert high < low, "a longer latency stands higher"
    told = root.findtext(f"{SVG}desc") or ""
    assert "p99 90.0 ms, median 9.0 ms at 4,000 requests/s" in told


def test_the_plot_is_a_picture_for_light_and_dark_pages() -> None:
    drawn = svg(CURVES, "")
    assert "prefers-color-scheme: dark" in drawn
    assert "<script" not in drawn
    # Nothing is loaded: the only address is the name of the language.
    assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]
