"""The walk of one request: who gets through, what the upstream is told, and what everybody else is told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.proxy.admission import Admission
from tests.proxy.conftest import Stand
from tests.proxy.proxying import Standing, Upstream, connected, request

BROWSER = ("Accept: text/html", "Sec-Fetch-Mode: navigate")


async def test_an_allowed_request_reaches_the_upstream_and_its_answer_the_client(
    front: Standing, upstream: Upstream
) -> None:
    upstream.answer = b"HTTP/1.1 201 Made up\r\nContent-Length: 3\r\nX-One: 1\r\nX-One: 2\r\nServer: app\r\n\r\nyes"
    reply = await front.get("/x?y=1&z", "X-Custom: kept")
    assert (reply.status, reply.body) == (201, b"yes")
    assert (reply.all("x-one"), reply.one("server")) == (["1", "2"], "app")
    assert upstream.last.line == "GET /x?y=1&z HTTP/1.1"
    assert upstream.last.all("host") == ["app.test"]
    assert upstream.last.all("x-custom") == ["kept"]
    assert upstream.last.all("x-forwarded-user") == ["ann"]
    assert upstream.last.all("x-forwarded-groups") == ["staff,user"]
    assert upstream.last.all("authorization") == []
    assert reply.one("x-request-id") == upstream.last.all("x-request-id")[0]


async def test_connections_are_kept_on_both_sides(front: Standing, upstream: Upstream) -> None:
    async with connected(front.port) as client:
        for _ in range(5):
            client.send(request("GET /"))
            assert (await client.reply()).status == 200
    assert (len(upstream.requests), upstream.connections) == (5, 1)


async def test_pipelined_requests_are_answered_in_order(front: Standing, upstream: Upstream) -> None:
    async with connected(front.port) as client:
        client.send(request("GET /one") + request("GET /closed/two") + request("GET /three"))
        assert [(await client.reply()).status for _ in range(3)] == [200, 403, 200]
    assert [received.line.split()[1] for received in upstream.requests] == ["/one", "/three"]


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        ("/", "", 401, "unauthenticated"),
        ("/", "nobodys-token", 401, "invalid_credential"),
        ("/staff/x", "bob-token", 403, "forbidden"),
        ("/closed/x", "ann-token", 403, "forbidden"),
        ("/maybe/x", "nobodys-token", 401, "invalid_credential"),
        ("/a/../b", "ann-token", 400, "dot_segment"),
        ("/a%2fb", "ann-token", 400, "encoded_slash"),
        ("//a", "ann-token", 400, "empty_segment"),
    ],
)
async def test_what_is_refused_never_reaches_the_upstream(
    front: Standing, upstream: Upstream, path: str, token: str, status: int, code: str
) -> None:
    reply = await front.get(path, token=token)
    assert (reply.status, reply.code) == (status, code)
    assert reply.json["request_id"] == reply.one("x-request-id")
    assert (status == 401) == bool(reply.all("www-authenticate"))
    assert reply.one("cache-control") == "no-store"
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("path", "token", "user"),
    [
        ("/staff/x", "ann-token", ["ann"]),
        ("/public/x", "", []),
        ("/public/x", "ann-token", []),
        ("/maybe/x", "", []),
        ("/maybe/x", "bob-token", ["bob"]),
    ],
)
async def test_whom_the_upstream_hears_of(
    front: Standing, upstream: Upstream, path: str, token: str, user: list[str]
) -> None:
    assert (await front.get(path, token=token)).status == 200
    assert upstream.last.all("x-forwarded-user") == user


async def test_an_unknown_host_is_404_and_nothing_is_forwarded(front: Standing, upstream: Upstream) -> None:
    assert (await front.get("/", host="other.test")).code == "no_route"
    assert upstream.requests == []


async def test_a_browser_is_sent_to_the_login_and_told_where_to_come_back_to(front: Standing) -> None:
    reply = await front.get("/x?y=1", *BROWSER, token="")
    assert (reply.status, reply.one("location")) == (
        302,
        "http://portal.test/login?rd=http%3A%2F%2Fapp.test%2Fx%3Fy%3D1",
    )
    posted = await front.ask(request("POST /x", *BROWSER, "Content-Length: 2", token="", body=b"hi"))
    assert posted.status == 303


async def test_a_browser_sees_a_page_for_every_other_refusal(front: Standing) -> None:
    reply = await front.get("/closed/x", *BROWSER)
    assert (reply.status, reply.one("content-type")) == (403, "text/html; charset=utf-8")
    assert reply.body.decode() == f"<h1>forbidden</h1>{reply.one('x-request-id')}"


async def test_a_session_cookie_signs_in_and_is_not_forwarded(front: Standing, upstream: Upstream) -> None:
    reply = await front.get("/", "Cookie: theme=dark; gateway=ann-session; lang=en", token="")
    assert reply.status == 200
    assert upstream.last.all("x-forwarded-user") == ["ann"]
    assert upstream.last.all("cookie") == ["theme=dark; lang=en"]


async def test_two_authorization_fields_are_refused(front: Standing, upstream: Upstream) -> None:
    reply = await front.get("/", "Authorization: Bearer bob-token")
    assert (reply.status, reply.code) == (400, "duplicate_authorization")
    assert upstream.requests == []


async def test_a_bad_credential_beside_a_good_one_is_refused(front: Standing, upstream: Upstream) -> None:
    assert (await front.get("/", "Cookie: gateway=stolen")).status == 401
    assert (await front.get("/", "Cookie: gateway=ann-session")).status == 200


async def test_a_credential_is_verified_once_and_anew_after_its_revocation(front: Standing) -> None:
    for _ in range(3):
        assert (await front.get()).status == 200
    assert front.people.asked == 1
    del front.people.known["ann-token"]
    front.revoke("ann")
    assert (await front.get()).status == 401


async def test_what_is_kept_of_a_request_does_not_outlive_its_verification(front: Standing, upstream: Upstream) -> None:
    async with connected(front.port) as client:

        async def ask() -> int:
            client.send(request("GET /staff/x"))
            return (await client.reply()).status

        assert [await ask(), await ask()] == [200, 200]
        front.people.known["ann-token"] = ("ann-renamed", ("staff",))
        front.revoke("ann")
        assert await ask() == 200
        assert upstream.last.all("x-forwarded-user") == ["ann-renamed"]
        assert upstream.last.all("x-forwarded-groups") == ["staff"]
        front.people.known["ann-token"] = ("ann", ("user",))
        front.revoke("ann-renamed")
        assert [await ask(), await ask()] == [403, 403]
        assert len(upstream.requests) == 3


async def test_a_database_that_does_not_answer_lets_nobody_in(front: Standing, upstream: Upstream) -> None:
    front.people.down = True
    reply = await front.get()
    assert (reply.status, reply.code) == (503, "unavailable")
    assert reply.one("retry-after")
    assert upstream.requests == []


@pytest.mark.parametrize("error", [ValueError, KeyError, RecursionError, TypeError, RuntimeError, AssertionError])
async def test_a_mistake_of_ours_is_a_500_without_a_word_about_it(
    front: Standing,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def fail(*_args: object) -> None:
        raise error("the inside")

    monkeypatch.setattr(Admission, "grant", fail)
    with caplog.at_level(logging.ERROR):
        reply = await front.get()
    assert (reply.status, reply.code) == (500, "internal_error")
    assert b"inside" not in reply.body
    assert upstream.requests == []
    (record,) = [each for each in caplog.records if each.name == "gateway.proxy.front"]
    assert record.request_id == reply.json["request_id"]  # type: ignore[attr-defined]
    assert record.exc_info


async def test_a_prefix_is_taken_off_and_another_put_on(stand: Stand, upstream: Upstream) -> None:
    front = await stand(
        "routes: [{match: {host: app.test, path: /wiki/**}, access: public, "
        'rewrite: {strip_prefix: /wiki, add_prefix: /app}, upstream: "URL"}]'
    )
    assert (await front.get("/wiki/page%20one?q=/wiki")).status == 200
    assert upstream.last.line == "GET /app/page%20one?q=/wiki HTTP/1.1"


async def test_the_upstreams_own_name_is_sent_where_the_clients_is_not_kept(stand: Stand, upstream: Upstream) -> None:
    front = await stand('routes: [{match: {host: app.test}, access: public, preserve_host: false, upstream: "URL"}]')
    assert (await front.get()).status == 200
    assert upstream.last.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert upstream.last.all("x-forwarded-host") == ["app.test"]


async def test_an_assertion_is_signed_for_the_routes_audience_and_reused(stand: Stand, upstream: Upstream) -> None:
    front = await stand(
        'routes: [{match: {host: app.test}, identity: {preset: none, assertion: {audience: wiki}}, upstream: "URL"}]'
    )
    for _ in range(2):
        assert (await front.get("/", "X-Gateway-Assertion: forged")).status == 200
        assert upstream.last.all("x-gateway-assertion") == ["signed.ann.wiki"]
        assert upstream.last.all("x-forwarded-user") == []


async def test_servers_take_turns_and_one_that_is_down_is_passed_over(stand: Stand, upstream: Upstream) -> None:
    second = Upstream()
    await second.start()
    yaml = f"upstreams: {{app: {{servers: ['URL', '{second.url}']}}}}\n"
    front = await stand(yaml + "routes: [{match: {host: app.test}, access: public, upstream: app}]")
    for _ in range(4):
        assert (await front.get()).status == 200
    assert (len(upstream.requests), len(second.requests)) == (2, 2)
    await second.stop()
    await asyncio.sleep(0.05)
    assert [(await front.get()).status for _ in range(4)] == [200] * 4
    assert len(upstream.requests) == 6


async def test_the_portal_answers_its_own_paths_on_its_own_host_only(front: Standing, upstream: Upstream) -> None:
    assert (await front.get("/login", host="portal.test")).body == b"the login page"
    assert (await front.get("/login")).body == b"ok"
    assert upstream.last.line == "GET /login HTTP/1.1"
    assert (await front.get("/api/users/ann", host="portal.test")).body == b"the login page"
    assert (await front.get("/.gateway/start")).body == b"the login page"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("path", ["/.gateway/other", "/.gateway", "/.gateway/", "/%2Egateway/other", "/.gateway;x/y"])
async def test_nothing_below_the_reserved_path_is_ever_forwarded(
    front: Standing, upstream: Upstream, path: str
) -> None:
    reply = await front.get(path)
    assert (reply.status, reply.code) == (404, "not_found")
    assert upstream.requests == []


async def test_the_portal_redirects_refuses_and_fails_in_our_words(front: Standing) -> None:
    moved = await front.get("/elsewhere", host="portal.test")
    assert (moved.status, moved.one("location")) == (302, "/login")
    reply = await front.ask(request("PUT /login", host="portal.test"))
    assert (reply.status, reply.code, reply.one("allow")) == (405, "method_not_allowed", "GET,HEAD")
    failed = await front.get("/broken", host="portal.test")
    assert (failed.status, failed.code) == (500, "internal_error")
    assert b"inside" not in failed.body
    big = request("POST /api/upload", "Content-Length: 2000000", host="portal.test", body=b"x" * 2_000_000)
    assert (await front.ask(big)).code == "body_too_large"
    sent = await front.ask(request("POST /api/upload", "Content-Length: 5", host="portal.test", body=b"hello"))
    assert sent.body == b"5"
