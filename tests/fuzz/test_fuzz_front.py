"""Bytes of any shape on a client's connection: upstreams see strict requests only, and nothing forged."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import strategies as st

from gateway.config.load import load_settings
from tests.fuzz.exploring import explored
from tests.proxy.conftest import ROUTES
from tests.proxy.proxying import Standing, connected, standing
from tests.strict.recorder import Recorder

_LINES = [b"GET /a HTTP/1.1", b"POST /b HTTP/1.1", b"GET /staff HTTP/1.1", b"GET /a/../b HTTP/1.1", b"GET / HTTP/1.0"]
_LINES += [
    b"GET / RTSP/1.0",
    b"HEAD /a HTTP/1.1",
    b"CONNECT /a HTTP/1.1",
    b"GET http://app.test/a HTTP/1.1",
    b"GET /public/a HTTP/1.1",
]
_FIELDS = [
    b"Authorization: Bearer bob-token",
    b"Content-Length: 2",
    b"Content-Length: 0",
    b"Transfer-Encoding: chunked",
]
_FIELDS += [
    b"X-Forwarded-User: forged",
    b"X_Forwarded_User: forged",
    b"Connection: close",
    b"Connection: X-Forwarded-User",
]
_FIELDS += [
    b"Expect: 100-continue",
    b"Host: forged.test",
    b" folded",
    b"X-A: b",
    b"Content-Length : 2",
    b"X-A: b\rc",
    b"Upgrade: h2c",
]
_FIELDS += [b"Connection: Upgrade", b"Transfer-Encoding: xchunked", b"X-A:", b"\0: b", b"Content-Length: 5"]
_BODIES = [
    b"",
    b"hi",
    b"2\r\nhi\r\n0\r\n\r\n",
    b"0\r\nX-Forwarded-User: forged\r\n\r\n",
    b"2;a\r\nhi\r\n0\r\nX-A: forged\r\n\r\n",
]
_BODIES += [b"0\r\n\r\n", b"zz\r\n", b"2\nhi\n0\n\n", b"\r\n", b"GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n"]
_HOST = b"Host: app.test"
_BOB = _HOST + b"\r\nAuthorization: Bearer bob-token"
_WITH_TRAILER = b"POST /b HTTP/1.1\r\n" + _BOB + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: forged\r\n\r\n"
_MADE = st.tuples(
    st.sampled_from(_LINES),
    st.lists(st.sampled_from(_FIELDS), max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n"]),
    st.sampled_from(_BODIES) | st.binary(max_size=6),
    st.sampled_from([_HOST, _BOB, _BOB]),
).map(lambda parts: parts[2].join([parts[0], parts[4], *parts[1], b"", b""]) + parts[3])
REQUESTS = _MADE | _MADE | _MADE | st.just(_WITH_TRAILER)
_QUIET_SECONDS = 0.012
# Never 500, and never 502: the upstream answers whatever is well-formed.
_STATUSES = {100, 200, 400, 401, 403, 404, 413, 417, 431, 505}


class Rig:
    """A front and its upstream that live in a loop of their own between examples."""

    def __init__(self, runner: asyncio.Runner, front: Standing, recorder: Recorder) -> None:
        self.runner = runner
        self.front = front
        self.recorder = recorder

    async def send(self, packets: list[bytes]) -> bytes:
        async with connected(self.front.port) as client:
            answers = b""
            for packet in packets:
                client.send(packet)
                await asyncio.sleep(0)
            while True:
                try:
                    async with asyncio.timeout(_QUIET_SECONDS):
                        data = await client.reader.read(1 << 16)
                except (TimeoutError, ConnectionError):
                    return answers
                if not data:
                    return answers
                answers += data


_rigs: list[Rig] = []


@pytest.fixture(scope="module", autouse=True)
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with asyncio.Runner() as runner:
        recorder = Recorder()
        runner.run(recorder.start())
        path: Path = tmp_path_factory.mktemp("fuzz") / "gateway.yaml"
        text = ROUTES.replace("URL", recorder.url).replace("RESPONSE", "5s").replace("IDLE", "5s")
        path.write_text(f"version: 1\n{text}", encoding="utf-8")
        context = standing(load_settings(path, {"GATEWAY_SERVER__PUBLIC_URL": "http://portal.test"}).settings)
        made = Rig(runner, runner.run(context.__aenter__()), recorder)
        _rigs.append(made)
        yield made
        _rigs.clear()
        runner.run(context.__aexit__(None, None, None))
        runner.run(recorder.stop())


@explored(requests=st.lists(REQUESTS, min_size=1, max_size=3), cuts=st.lists(st.integers(0, 500), max_size=3))
def test_upstreams_see_strict_requests_only(requests: list[bytes], cuts: list[int]) -> None:
    rig = _rigs[0]
    data = b"".join(requests)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    rig.recorder.seen.clear()
    rig.recorder.malformed.clear()
    packets = [data[start:end] for start, end in pairwise(places)]
    answers = rig.runner.run(rig.send(packets))
    assert rig.recorder.malformed == []
    ids = [each.all("x-request-id")[0] for each in rig.recorder.seen]
    assert len(ids) == len(set(ids))
    for each in rig.recorder.seen:
        assert "forged" not in str(each.environ), each
        assert each.environ.get("HTTP_X_FORWARDED_USER", "bob") == "bob"
        assert "/staff" not in each.line
        assert each.line.startswith("GET /public") or each.all("x-forwarded-user") == ["bob"]
    statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answers)}
    assert statuses <= _STATUSES, answers
