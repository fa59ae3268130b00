"""API tokens that are kept to routes and hosts, as the JSON API makes them; they open nothing of that API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import GatewayFactory, Recorder, Running

TOKENS = "/api/v1/users/me/api-tokens"


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory, recorder: Recorder) -> Running:
    return await gateway_factory(
        f"""routes:
  - {{name: wiki, match: {{host: [wiki.test, mail.test], path: /wiki/**}}, upstream: "{recorder.url}"}}
  - {{name: rest, match: {{host: [wiki.test, mail.test]}}, upstream: "{recorder.url}"}}
"""
    )


async def make(gateway: Running, **kept: Any) -> str:
    ann = await gateway.gateway.accounts.users.find("ann") or await gateway.user()
    document = {"name": "ci", "scopes": ["gateway"], **kept}
    answer = await gateway.post(TOKENS, document, token=await gateway.token(ann))
    assert (answer.status, answer.json["routes"], answer.json["hosts"]) == (
        201,
        kept.get("routes"),
        kept.get("hosts"),
    )
    return str(answer.json["token"])


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param({}, (200, 200, 200), id="everywhere"),
        pytest.param({"routes": ["wiki"]}, (200, 403, 200), id="route"),
        pytest.param({"hosts": ["wiki.test"]}, (200, 200, 403), id="host"),
        pytest.param({"routes": ["wiki"], "hosts": ["wiki.test"]}, (200, 403, 403), id="both"),
    ],
)
async def test_a_token_opens_what_it_is_kept_to(
    gateway: Running, kept: dict[str, Any], expected: tuple[int, ...]
) -> None:
    token = await make(gateway, **kept)
    asked = (("wiki.test", "/wiki/x"), ("wiki.test", "/x"), ("mail.test", "/wiki/x"))
    assert tuple([(await gateway.get(path, host=host, token=token)).status for host, path in asked]) == expected


@pytest.mark.parametrize("kept", [{"routes": ["wiki"]}, {"hosts": ["localhost"]}, {"hosts": ["*.test"]}])
async def test_a_token_that_is_kept_cannot_make_one_that_is_not(gateway: Running, kept: dict[str, Any]) -> None:
    token = await make(gateway, **kept)
    for answer in (
        await gateway.post(TOKENS, {"name": "more", "scopes": []}, token=token),
        await gateway.get(TOKENS, token=token),
        await gateway.get("/api/me", token=token),
    ):
        assert (answer.status, answer.json["code"]) == (403, "token_kept")
    assert (await gateway.get(TOKENS, token=await make(gateway))).status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("routes", []),
        ("routes", "wiki"),
        ("routes", [1]),
        ("routes", [""]),
        ("routes", ["a\x00"]),
        ("hosts", []),
        ("hosts", [""]),
        ("hosts", ["*."]),
        ("hosts", ["wiki.test:80"]),
        ("hosts", ["http://wiki.test"]),
        ("hosts", ["*"]),
        ("hosts", ["a.*.test"]),
    ],
)
async def test_what_is_no_route_or_host_is_refused_by_its_field(gateway: Running, field: str, value: Any) -> None:
    ann = await gateway.user()
    answer = await gateway.post(TOKENS, {"name": "ci", field: value}, token=await gateway.token(ann))
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, [field])
