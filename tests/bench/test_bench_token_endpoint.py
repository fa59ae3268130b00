"""The comparison of token endpoints says what was measured, and compares only what gives the same tokens."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.bench.readiness import LeftOut
from tests.bench.token_endpoint import Case, report, table
from tests.bench.token_servers import CREDENTIALS, REFRESH, Server, check

ES256, RS256 = "eyJhbGciOiJFUzI1NiJ9.e30.AA", "eyJhbGciOiJSUzI1NiJ9.e30.AA"
GOOD = {"access_token": ES256, "id_token": ES256, "refresh_token": "new"}


class Answers(BaseHTTPRequestHandler):
    """A token endpoint that is right in everything that a test does not change."""

    answer: ClassVar[dict[str, str]] = GOOD
    checks_secrets: ClassVar[bool] = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        is_known = self.headers["Authorization"] == AUTHORIZATION or not self.checks_secrets
        body = json.dumps(self.answer if is_known else {"error": "invalid_client"}).encode()
        self.send_response(http.client.OK if is_known else http.client.UNAUTHORIZED)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


AUTHORIZATION = "Basic YXBwOmEtc2VjcmV0LXRoYXQtaXMtbG9uZw=="


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    answering = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{answering.server_port}/token"
    yield Server("it", url, dict.fromkeys((CREDENTIALS, REFRESH), AUTHORIZATION), (1,), lambda _: tokens)
    answering.shutdown()
    thread.join()
    answering.server_close()


def test_a_server_that_does_the_same_is_compared(server: Server) -> None:
    check(server)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("answer", {**GOOD, "access_token": RS256}),
        ("answer", {**GOOD, "id_token": RS256}),
        ("answer", {**GOOD, "refresh_token": "old"}),
        ("checks_secrets", False),
    ],
    ids=["another-algorithm", "another-algorithm-of-the-id-token", "no-rotation", "any-secret"],
)
def test_a_server_that_does_less_is_not_compared(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(Answers, name, value)
    with pytest.raises(LeftOut):
        check(server)


def test_ratios_are_taken_within_rounds(server: Server) -> None:
    """The second round was slow for both, which changes no ratio."""
    ours = Case(server, REFRESH, [100, 1000], [50, 5], [1, 1])
    theirs = Case(server, REFRESH, [200, 2000], [25, 2.5], [1, 1])
    rows = report([ours, theirs])
    assert [row["gateway_cpu_ratio"] for row in rows] == [1, 0.5]
    assert [row["gateway_throughput_ratio"] for row in rows] == [1, 2]
    assert table(rows).splitlines()[-1] == "| refresh: it | 1100.0 | 14 | 1.0 | 0.5 | 2.0 |"
