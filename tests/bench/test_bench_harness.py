"""The harness says what wrk and the kernel said, and refuses to compare what did not work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.bench import report
from tests.bench.credentials import Issuer, forged
from tests.bench.load import LoadFailed, parse, wrk
from tests.bench.machine import Cores, cpu_seconds
from tests.bench.shapes import COLD, PATHS, QUERY, Shape

ROOT = Path(__file__).resolve().parent.parent.parent

WRK = """Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.31ms  541.00us  12.05ms   90.02%
    Req/Sec    24.51k     1.20k   26.79k    71.43%
  Latency Distribution
     50%  780.00us
     75%    1.50ms
     90%    1.80ms
     99%    3.20ms
  51234 requests in 2.10s, 58.14MB read
{more}Requests/sec:  24397.14
Transfer/sec:     27.69MB
"""


def test_reads_what_wrk_prints() -> None:
    load = parse(WRK.format(more=""))
    assert (load.requests, load.requests_per_second) == (51234, 24397.14)
    assert (load.p50_ms, load.p99_ms) == (0.78, 3.2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (WRK.format(more="  Non-2xx or 3xx responses: 7\n"), "7 answers"),
        (WRK.format(more="  Socket errors: connect 0, read 3, write 0, timeout 0\n"), "connections broke"),
        (WRK.replace("51234 requests", "0 requests").format(more=""), "nothing was answered"),
        ("", "nothing was answered"),
    ],
    ids=["refused", "broken", "no-request", "silence"],
)
def test_a_failed_load_is_no_figure(text: str, why: str) -> None:
    with pytest.raises(LoadFailed, match=why):
        parse(text)


@pytest.mark.parametrize(
    ("usable", "proxy", "upstream", "load"),
    [([0, 1, 2, 3], 3, 0, (1, 2)), ([4, 5], 5, 4, (4,)), ([2], 2, 2, (2,))],
    ids=["four", "two", "one"],
)
def test_the_proxy_has_a_core_of_its_own_where_there_are_two(
    usable: list[int], proxy: int, upstream: int, load: tuple[int, ...]
) -> None:
    assert Cores.of(usable) == Cores(proxy, upstream, load)


def test_counts_the_time_of_children() -> None:
    burn = "import os, time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True); time.sleep(60)"
    shell = [
        sys.executable,
        "-c",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])",
    ]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert cpu_seconds(parent.pid) >= 0.3
        os.killpg(parent.pid, 9)


def test_ratios_are_taken_within_a_round() -> None:
    def result(name: str, *microseconds: float) -> report.Result:
        return report.Result(name, name, tuple(report.Sample(each, 1, 1, 1, 1) for each in microseconds), 1)

    assert report.ratio(result("gateway", 30, 60, 90), result("envoy", 20, 40, 60)) == 1.5


def test_ratios_are_taken_between_those_with_the_same_shape_of_requests() -> None:
    def result(name: str, shape: str, microseconds: float) -> report.Result:
        return report.Result(name, f"`{name}`", (report.Sample(microseconds, 1, 1, 1, 1),), 1, shape)

    results = [
        result("envoy", "same", 10),
        result("gateway-jwt", "same", 20),
        result("envoy-query", "query", 20),
        result("gateway-jwt-query", "query", 30),
        result("haproxy-cold", "cold", 10),
        result("gateway-cold", "cold", 15),
    ]
    made = report.document(results, {"caddy": "not installed"}, {"rounds": 1, "seconds": 1, "connections": 1})
    assert [each["ratio"] for each in made["results"]] == [
        {"envoy": 1.0},
        {"envoy": 2.0},
        {"envoy": 1.0},
        {"envoy": 1.5},
        {"haproxy-cold": 1.0},
        {"haproxy-cold": 1.5},
    ]
    written = report.markdown(made)
    assert "**Each request has another query**" in written
    assert "| `gateway-cold` | 15.0 | 1 | 1.00 | 1.00 | 1 | 1.50 |" in written
    assert "left out: caddy: not installed" in report.text(made)
    assert "`" not in report.text(made)


class _Noting(BaseHTTPRequestHandler):
    """Answers 200 and keeps what it was asked with."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize("shape", [QUERY, PATHS, COLD], ids=lambda shape: shape.name)
def test_no_request_of_a_changing_shape_is_sent_twice(shape: Shape, tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"token-{number}\n" for number in range(60)))
    _Noting.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Noting) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        arguments = [str(tokens), "2"] if shape is COLD else []
        url, cores = f"http://127.0.0.1:{server.server_port}/", sorted(os.sched_getaffinity(0))
        options = shape.options(tmp_path)
        wrk(url, {}, seconds=1, connections=2, cores=cores, options=options, arguments=arguments)
        server.shutdown()
        serving.join()
    assert len(_Noting.seen) == len(set(_Noting.seen)) > 50


def test_a_forged_token_differs_in_its_signature_only() -> None:
    issuer = Issuer.make()
    good, bad = issuer.token.split("."), forged(issuer.token).split(".")
    assert good[:2] == bad[:2]
    assert good[2] != bad[2]
    assert len(good[2]) == len(bad[2])


def test_a_short_run_measures_the_gateway_beside_envoy() -> None:
    for program in ("nginx", "wrk", "taskset"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    names = {"envoy", "gateway-jwt", "gateway-session", "gateway-cold"}
    wanted = [word for name in names for word in ("--only", name)]
    shapes = ["--shape", "same", "--shape", "cold"]
    command = [sys.executable, "-m", "tests.bench", "--rounds", "1", "--seconds", "1", *shapes, *wanted, "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["left_out"] == {}
    results = {result["name"]: result for result in found["results"]}
    assert set(results) == names
    # No figure is held here: what else this machine does decides on it.
    assert all(result["cpu_us_per_request"] > 0 and result["requests_per_second"] > 0 for result in results.values())
    assert results["gateway-jwt"]["ratio"]["envoy"] > 0
