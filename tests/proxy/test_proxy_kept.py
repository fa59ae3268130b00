"""Tokens that are kept to routes and hosts, on the fast lane and on the plain path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_settings
from tests.proxy.proxying import Upstream, connected, request, standing

ROUTES = """
version: 1
server: {internal_listen: null}
routes:
  - {name: twin, match: {host: [one.test, two.test], path: /twin/**}, upstream: "URL"}
  - {name: maybe, match: {host: [one.test, two.test], path: /maybe/**}, access: optional, upstream: "URL"}
  - {name: other, match: {host: [one.test, two.test]}, upstream: "URL"}
"""
PLACES = (("one.test", "/twin/x"), ("two.test", "/twin/x"), ("one.test", "/else"), ("two.test", "/maybe/x"))


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param((None, None), (200, 200, 200, 200), id="everywhere"),
        pytest.param((None, frozenset({"one.test"})), (200, 403, 200, 403), id="host"),
        pytest.param((frozenset({"twin"}), None), (200, 200, 403, 403), id="route"),
    ],
)
async def test_a_token_opens_only_what_it_is_kept_to(
    tmp_path: Path, fast: bool, kept: tuple[Any, Any], expected: tuple[int, ...]
) -> None:
    upstream = Upstream()
    await upstream.start()
    config = tmp_path / "gateway.yaml"
    config.write_text(ROUTES.replace("URL", upstream.url))
    async with standing(load_settings(config, {}).settings, fast=fast) as front:
        front.people.kept["ann-token"] = kept
        async with connected(front.port) as client:
            for _ in range(3):
                for (host, path), status in zip(PLACES, expected, strict=True):
                    client.send(request(f"GET {path}", host=host))
                    assert (await client.reply()).status == status, (host, path)
    await upstream.stop()
