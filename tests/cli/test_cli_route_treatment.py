"""``gateway route explain`` tells what a route does besides deciding, and no secret of it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import cli

CONFIG = """
routes:
  - {name: old, match: {path: /old/**}, access: public, redirect: {to: "/new{path}{query}", status: 308}}
  - {name: gone, match: {path: /gone}, access: public, respond: {status: 410}}
  - name: api
    match: {path: /api/**}
    access: public
    rewrite: {regex: "/api/(.*)", replacement: '/v2/\\1'}
    request_headers: {set: {Authorization: {file: secret}}, remove: [Cookie]}
    response_headers: {set: {X-A: b}, remove: [Server]}
    rate_limit: {requests: 100, per: 1m}
    cors: {allow_origins: [https://a.test]}
    upstream: http://127.0.0.1:1
"""


def explained(tmp_path: Path, path: str, *more: str) -> str:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "secret").write_text("Basic c2VjcmV0\n")
    config = str(tmp_path / "gateway.yaml")
    result = CliRunner().invoke(cli, ["route", "explain", f"http://a.test{path}", "-c", config, *more])
    assert result.exit_code == 0, result.output
    assert "c2VjcmV0" not in result.output
    return result.output


def test_own_answers_are_told(tmp_path: Path) -> None:
    assert "answered with 308 to /new/old/a?b=c" in explained(tmp_path, "/old/a?b=c")
    told = explained(tmp_path, "/gone")
    assert "answered with 410 by the gateway itself" in told
    assert "forwarded" not in told


def test_changes_limits_and_origins_are_told(tmp_path: Path) -> None:
    told = explained(tmp_path, "/api/x")
    assert "as GET /v2/x" in told
    assert json.loads(explained(tmp_path, "/api/x", "--output", "json"))["treatment"] == [
        "fields set in the request: Authorization",
        "fields removed from the request: cookie",
        "fields set in the answer: X-A",
        "fields removed from the answer: server",
        "at most 100 requests in 60s for each user",
        "scripts of these origins may read the answer: https://a.test",
    ]
