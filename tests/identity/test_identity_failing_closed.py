"""Whole gateways, with a failure put into each step of each kind of credential: the upstream never hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.accounts.accounts import Accounts
from gateway.errors import CredentialRejected, StorageError, StorageUnavailable, TokenRejected
from tests.gateways import GatewayFactory, Recorder, Running, gateway_factory, recorder

__all__ = ["gateway_factory", "recorder"]

ROUTES = """
server: {internal_listen: null, trusted_proxies: [127.0.0.1/32]}
routes:
  - {name: maybe, match: {host: app.localhost, path: /maybe/**}, access: optional, upstream: "URL"}
  - {name: app, match: {host: app.localhost}, upstream: "URL"}
"""
STEPS: tuple[tuple[str, Callable[[Accounts], object], str], ...] = (
    ("session", lambda accounts: accounts.sessions, "find"),
    ("bearer", lambda accounts: accounts.keys, "find"),
    ("bearer", lambda accounts: accounts.access_tokens, "verify"),
    ("bearer", lambda accounts: accounts.refresh_tokens, "identity_row"),
    ("api_token", lambda accounts: accounts.api_tokens, "find"),
)
# What goes wrong -> what the client is told; None: the step knows nobody.
FAILURES: tuple[tuple[Exception | None, int], ...] = (
    (None, 401),
    (CredentialRejected("reason"), 401),
    (TokenRejected("reason"), 401),
    (StorageUnavailable("no answer"), 503),
    (StorageError("refused"), 503),
    (RuntimeError("a mistake"), 500),
    (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), 500),
)


async def test_a_failure_in_any_step_is_never_an_allow(
    gateway_factory: GatewayFactory,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url))
    ann = await gateway.user("ann")
    _, api_token = await gateway.api_token(ann)
    credentials: dict[str, dict[str, str]] = {
        "session": {"cookie": await gateway.session(ann, "app.localhost")},
        "bearer": {"token": await gateway.token(ann)},
        "api_token": {"token": api_token},
    }
    with caplog.at_level(logging.CRITICAL):
        for kind, part, step in STEPS:
            for failure, status in FAILURES:
                with pytest.MonkeyPatch.context() as patch:
                    owner = part(gateway.gateway.accounts)
                    patch.setattr(owner, step, failing(getattr(owner, step), failure))
                    found = await statuses(gateway, credentials[kind])
                # Verifying knows no "nobody": that it answered with one is a mistake of the program's.
                told = 500 if (step, failure) == ("verify", None) else status
                assert found["/app"] == found["/maybe/x"] == told, (kind, step, failure)
                assert found["nginx"] in {401, 403, 500, 503}, (kind, step, failure)
                assert found["api"] in {401, 500, 503}, (kind, step, failure)
    assert recorder.requests == []
    for credential in credentials.values():
        assert (await gateway.get("/app", host="app.localhost", **credential)).status == 200


def failing(right: Callable[..., Any], failure: Exception | None) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        if failure is not None:
            raise failure

    async def fail_later(*_: object) -> None:
        fail()

    return fail_later if asyncio.iscoroutinefunction(right) else fail


async def statuses(gateway: Running, credential: dict[str, str]) -> dict[str, int]:
    """Ask on every way that a credential can come in."""
    host = "app.localhost"
    found = {path: (await gateway.get(path, host=host, **credential)).status for path in ("/app", "/maybe/x")}
    asked = {"X-Original-URL": "http://app.localhost/app", "X-Original-Method": "GET"}
    nginx = await gateway.get("/.gateway/authz/nginx", host=host, headers=asked, **credential)
    found["nginx"] = nginx.status
    found["api"] = (await gateway.get("/api/me", **credential)).status
    return found


RAW: tuple[bytes, ...] = (
    b"Cookie: gateway=" + b"\xff" * 43,
    b"Cookie: gateway=" + "é".encode() * 43,
    b"Cookie: gateway=; gateway=",
    b"Authorization: Bearer \xff\xfe.\xff.\xff",
    b"Authorization: Bearer gwt_\xff",
    b"Authorization: Bearer " + b"a" * 9000,
    b"X-API-Key: \xff",
    b"X-API-Key: ",
)


async def test_bytes_that_are_no_credential_are_told_so(
    gateway_factory: GatewayFactory,
    recorder: Recorder,
) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url))
    for line in RAW:
        for path, host in (("/app", "app.localhost"), ("/maybe/x", "app.localhost"), ("/api/me", "localhost")):
            assert await raw_status(gateway, path, host, line) == 401, (path, line[:40])
        # The login page of a browser with a broken cookie is a login page.
        assert await raw_status(gateway, "/login", "localhost", line) in {200, 400}, line[:40]
    assert recorder.requests == []


async def raw_status(gateway: Running, path: str, host: str, line: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {host}:{gateway.port}\r\nConnection: close\r\n".encode()
    writer.write(head + line + b"\r\n\r\n")
    status = int((await reader.read()).split(b" ")[1])
    writer.close()
    return status
