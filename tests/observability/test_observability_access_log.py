"""Access log, metrics, request ids and the log's redaction."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.access_log import AccessLog, Where, Who
from gateway.observability.logs import configure, redact, wants_json
from gateway.observability.metrics import BUCKETS, Metrics
from gateway.observability.request_id import RequestIds

TEXT = st.text(max_size=50)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
async def test_a_json_line_is_one_line_of_json_whatever_it_holds(
    method: str, host: str, path: str, route: str, user: str
) -> None:
    written = io.StringIO()
    log = AccessLog(as_json=True, stream=written)
    where = log.where(Where("192.0.2.1", method, host, path))
    log.write("id-1", where, 200, 12, 0.0015, log.who(Who(route, user, "authenticated", "app")))
    log.flush()
    (line,) = written.getvalue().split("\n")[:-1]
    record = json.loads(line)
    assert [record[key] for key in ("method", "host", "path", "route", "user")] == [method, host, path, route, user]
    assert (record["status"], record["bytes"], record["duration_ms"]) == (200, 12, 1.5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])


async def test_a_console_line_shows_no_control_characters() -> None:
    written = io.StringIO()
    log = AccessLog(as_json=False, stream=written)
    where = log.where(Where("192.0.2.1", "GET", "app.test", "/x"))
    log.write("id-1", where, 403, 0, 0.001, log.who(Who("app", "ann\n\x1b[31m", "forbidden")))
    log.flush()
    assert re.fullmatch(
        r'[\d:.]{12} 403 GET    app\.test/x "ann\\n\\u001b\[31m" app forbidden 1\.0ms id-1\n', written.getvalue()
    )


async def test_lines_are_written_in_batches_and_a_broken_stream_stops_nobody() -> None:
    class Broken(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            raise OSError("the disk is full")

    stream = Broken()
    log = AccessLog(as_json=True, stream=stream)
    for _ in range(1000):
        log.write("id", "", 200, 0, 0.0, "")
    assert stream.writes in {1, 2}
    log.flush()


def test_redaction_masks_whatever_speaks_of_secrets() -> None:
    event = {"event": "token made", "api_token": "gwt_x", "Password": "p", "user": "ann", "cookie_value": "c"}
    assert redact(None, "info", event) == {
        "event": "token made",
        "api_token": "***",
        "Password": "***",
        "user": "ann",
        "cookie_value": "***",
    }


def test_the_log_is_json_and_names_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        configure("json", "info")
        logging.getLogger("gateway.test").warning("tried", extra={"password": "hunter2", "request_id": "r1"})
        record = json.loads(capfd.readouterr().err)
    finally:
        root.handlers[:], root.level = before
    assert (record["event"], record["level"], record["request_id"]) == ("tried", "warning", "r1")
    assert "hunter2" not in str(record)
    assert wants_json("json")
    assert not wants_json("console")


def test_request_ids_differ_and_a_given_one_is_kept_when_well_formed() -> None:
    ids = RequestIds()
    assert len({ids.new() for _ in range(1000)}) == 1000
    assert ids.keep("A-z.0_9") == "A-z.0_9"
    for odd in (None, "", "a b", "x" * 129, 'a"', "a\n"):
        assert ids.keep(odd) != odd


def test_metrics_are_rendered_under_their_names() -> None:
    metrics = Metrics()
    metrics.request("app", "GET", 200, 0.004)
    metrics.request("app", "BREW", 200, 100.0)
    metrics.request("app", "GET", 101, 5000.0)
    metrics.decisions["app", "allow", "authenticated"] += 1
    metrics.authentications["session", "accepted"] += 1
    metrics.upstream_durations["app"].observe(0.004)
    metrics.gauge("gateway_revocation_fresh", "Fresh.", lambda: 1.0)
    metrics.labelled_gauge("gateway_database_connections", "Open.", "state", lambda: {"open": 2.0, "idle": 1.0})
    text = metrics.render().decode()
    for line in (
        'gateway_http_requests_total{code="200",method="GET",route="app"} 1.0',
        'gateway_http_requests_total{code="200",method="other",route="app"} 1.0',
        'gateway_http_request_duration_seconds_bucket{le="0.005",route="app"} 1.0',
        'gateway_http_request_duration_seconds_bucket{le="+Inf",route="app"} 2.0',
        "gateway_http_requests_in_flight 0.0",
        'gateway_decisions_total{decision="allow",reason="authenticated",route="app"} 1.0',
        'gateway_authentications_total{method="session",outcome="accepted"} 1.0',
        'gateway_upstream_request_duration_seconds_count{upstream="app"} 1.0',
        "gateway_revocation_fresh 1.0",
        'gateway_database_connections{state="idle"} 1.0',
    ):
        assert line in text
    assert "gateway_build_info{version=" in text
    assert list(BUCKETS) == sorted(BUCKETS)
