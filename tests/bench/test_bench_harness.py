"""The harness says what wrk and the kernel said, and refuses to compare what did not work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.credentials import Issuer, forged
from tests.bench.load import LoadFailed, parse
from tests.bench.machine import Cores, cpu_seconds

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
    wanted = [word for name in ("envoy", "gateway-jwt", "gateway-session") for word in ("--only", name)]
    command = [sys.executable, "-m", "tests.bench", "--rounds", "1", "--seconds", "1", *wanted, "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["left_out"] == {}
    results = {result["name"]: result for result in found["results"]}
    assert set(results) == {"envoy", "gateway-jwt", "gateway-session"}
    # No figure is held here: what else this machine does decides on it.
    assert all(result["cpu_us_per_request"] > 0 and result["requests_per_second"] > 0 for result in results.values())
    assert results["gateway-jwt"]["ratio"]["envoy"] > 0
