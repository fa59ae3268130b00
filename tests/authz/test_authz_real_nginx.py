"""deploy/nginx as it stands, with a real nginx: only addresses, ports and paths are this run's own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.authz.fronts import (
    DEPLOY,
    PORTAL,
    SPOOFED,
    WIKI,
    Front,
    bearer,
    certificate,
    gateway_yaml,
    log_in,
    running,
    unverified,
    visit,
    written,
)
from tests.gateways import BROWSER, GatewayFactory, Recorder, free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def configuration(directory: Path, port: int, gateway: int, application: str) -> Path:
    """Write deploy/nginx/nginx.conf for this run."""
    replaced = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:8080": f"127.0.0.1:{gateway}",
        "127.0.0.1:9000": application.removeprefix("http://"),
        "/etc/nginx/tls/": f"{directory}/",
        # An ordinary user has no /var/lib/nginx.
        "http {": "http {" + "".join(f" {kind}_temp_path {directory}/{kind};" for kind in TEMPORARY),
    }
    return written(DEPLOY / "nginx" / "nginx.conf", directory, replaced)


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@pytest.fixture
async def front(gateway_factory: GatewayFactory, recorder: Recorder, tmp_path: Path) -> AsyncIterator[Front]:
    certificate(tmp_path)
    port = free_port()
    yaml = gateway_yaml("nginx", tmp_path)
    gateway = await gateway_factory(yaml, SERVER__PUBLIC_URL=f"https://{PORTAL}:{port}")
    path = configuration(tmp_path, port, gateway.port, recorder.url)
    assert NGINX is not None
    arguments = ("-p", str(tmp_path), "-c", str(path), "-e", "stderr", "-g", f"daemon off; pid {tmp_path}/pid;")
    async with running((NGINX, *arguments), port) as client:
        yield Front(gateway, recorder, port, client)


async def test_the_application_is_told_who_it_is_and_nothing_else(front: Front) -> None:
    ann = await front.gateway.user("ann", "staff", "user")
    token = await front.gateway.token(ann)
    answer = await front.get("/x%20y;z=1/?q=%2F", bearer(token))
    assert (answer.status, answer.text) == (200, "ok")
    seen = front.application
    assert seen.last.startswith("GET /x%20y;z=1/?q=%2F HTTP/1.1\r\n")
    assert seen.field("X-Forwarded-User") == seen.field("X-Forwarded-Preferred-Username") == ["ann"]
    assert seen.field("X-Forwarded-Email") == ["ann@example.com"]
    assert seen.field("X-Forwarded-Groups") == ["staff,user"]
    assert len(seen.field("X-Gateway-Assertion")) == 1
    assert seen.field("Host") == seen.field("X-Forwarded-Host") == [f"{WIKI}:{front.port}"]
    assert (seen.field("X-Forwarded-Proto"), seen.field("X-Forwarded-For")) == (["https"], ["127.0.0.1"])
    assert token not in seen.last


async def test_what_clients_claim_to_be_is_gone(front: Front) -> None:
    ann = await front.gateway.token(await front.gateway.user("ann"))
    for path, token in (("/public/x", ""), ("/x", ann)):
        for method in ("GET", "OPTIONS", "POST"):
            spoofed = [*SPOOFED, ("X-Original-URL", front.url(WIKI, "/public/root"))]
            answer = await front.send(method, path, [*spoofed, *bearer(token).items()] if token else spoofed)
            assert answer.status == 200
            assert "root" not in front.application.last.lower()
            assert front.application.field("X-Forwarded-User") == (["ann"] if token else [])
    # What is claimed about the address does not choose the route.
    claimed = [("X-Original-URL", front.url(WIKI, "/public/x")), ("X-Original-Method", "GET")]
    claimed += [("X-Forwarded-Host", "other.example"), ("X-Forwarded-Uri", "/public/x")]
    assert (await front.get("/x", claimed)).status == 401


async def test_another_host_in_the_header_field_is_not_decided_on(front: Front) -> None:
    """An absolute address chooses nginx's server; a Host field that differs must not choose the route."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port, ssl=unverified(), server_hostname=WIKI)
    lines = (
        f"GET https://{WIKI}:{front.port}/admin/ HTTP/1.1\r\nHost: {PORTAL}:{front.port}\r\nConnection: close\r\n\r\n"
    )
    writer.write(lines.encode())
    status = (await reader.read()).split(b" ")[1]
    writer.close()
    assert status == b"401"
    assert front.application.requests == []


async def test_a_person_logs_in_and_comes_back(front: Front) -> None:
    await front.gateway.user("ann")
    wanted = front.url(WIKI, "/notes?page=2")
    to_login = await front.get(wanted, BROWSER)
    assert (to_login.status, to_login.headers["Cache-Control"]) == (302, "no-store")
    assert to_login.location.startswith(front.url(PORTAL, "/login?rd="))
    jar: dict[str, dict[str, str]] = {}
    way, answer = await log_in(front, jar, to_login.location)
    assert way[-1] == wanted
    assert (answer.status, answer.text) == (200, "ok")
    assert front.application.field("X-Forwarded-User") == ["ann"]
    # The application does not get the session, and keeps its own cookies.
    assert front.application.field("Cookie") == []
    jar[WIKI] = {"a": "1", **jar[WIKI], "b": "2"}
    await visit(front, jar, "GET", wanted)
    assert front.application.field("Cookie") == ["a=1; b=2"]
    signed_out = await visit(front, jar, "GET", front.url(WIKI, "/.gateway/sign_out"))
    assert signed_out.status == 200
    assert (await visit(front, jar, "GET", wanted)).status == 302


async def test_a_program_is_told_that_it_needs_a_token(front: Front) -> None:
    for headers in ({}, bearer("broken"), {"Accept": "text/html", "X-Requested-With": "fetch"}):
        answer = await front.get("/x", headers)
        assert (answer.status, "Location" in answer.headers) == (401, False)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    post = await front.send("POST", "/x", BROWSER, data=b"a=1")
    assert post.status == 303
    by_accept = await front.get("/x", {"Accept": "text/html,*/*"})
    assert by_accept.status == 302
    assert front.application.requests == []


async def test_who_may_not_gets_a_page_that_says_so(front: Front) -> None:
    ann = await front.gateway.token(await front.gateway.user("ann"))
    root = await front.gateway.token(await front.gateway.user("root", "admin"))
    refused = await front.get("/admin/", bearer(ann))
    assert (refused.status, refused.headers["Content-Type"]) == (403, "text/html")
    assert "not open to you" in refused.text
    assert (await front.get("/admin/", bearer(root))).status == 200
    for path in ("/public/../admin/", "/public/%2e%2e/admin/", "/public/..%2fadmin/", "//admin/", "/public;/../admin"):
        for token in ("", ann):
            answer = await front.get(path, bearer(token) if token else {})
            assert answer.status in {400, 403}, path
    assert [request.split(b" ")[1] for request in front.application.requests] == [b"/admin/"]


async def test_many_roles_fit_into_the_answer(front: Front) -> None:
    roles = [f"department-of-things-{number:04}" for number in range(200)]
    ann = await front.gateway.user("ann", *roles)
    answer = await front.get("/x", bearer(await front.gateway.token(ann)))
    assert answer.status == 200
    assert front.application.field("X-Forwarded-Groups") == [",".join(roles)]
    long = {**bearer(await front.gateway.token(ann)), "Cookie": f"a={'x' * 20_000}"}
    assert (await front.get("/x", long)).status == 200


async def test_the_portal_is_reached_and_decisions_are_not(front: Front) -> None:
    ann = await front.gateway.user("ann")
    token = await front.gateway.token(ann)
    me = await front.get(front.url(PORTAL, "/api/me"), bearer(token))
    assert (me.status, me.json["username"]) == (200, "ann")
    asked = [("X-Original-URL", front.url(WIKI, "/x")), ("X-Original-Method", "GET"), *bearer(token).items()]
    for host in (PORTAL, WIKI):
        for path in ("/.gateway/authz/nginx", "/oauth2/auth", "/gateway-decides", "/.gateway/authz/%6eginx"):
            answer = await front.get(front.url(host, path), asked)
            assert "X-Gateway-Assertion" not in answer.headers, (host, path)
            assert "X-Forwarded-User" not in answer.headers, (host, path)
    assert (await front.get("/.gateway/healthz")).status == 200


async def test_a_socket_opens_through_nginx_for_its_own_pages_only(front: Front) -> None:
    ann = await front.gateway.user("ann")
    cookie = {"Cookie": f"__Host-gateway={await front.gateway.session(ann, WIKI)}"}
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    own = await front.get("/socket", {**cookie, **handshake, "Origin": front.url(WIKI, "")})
    assert own.status == 200  # this application answers it as any request
    assert front.application.field("Upgrade") == ["websocket"]
    other = await front.get("/socket", {**cookie, **handshake, "Origin": "https://evil.example"})
    assert other.status == 403


async def test_what_was_signed_out_is_stopped_at_the_next_request(front: Front) -> None:
    ann = await front.gateway.user("ann")
    token = await front.gateway.token(ann)
    assert (await front.get("/x", bearer(token))).status == 200
    await front.send("POST", front.url(PORTAL, "/api/v1/auth/logout"), bearer(token))
    assert (await front.get("/x", bearer(token))).status == 401
