"""What every dialect answers, over real sockets: the same decision in the words of the proxy that asks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_settings
from gateway.errors import ConfigError
from gateway.proxy.questions import Questions
from tests.proxy.proxying import Reply, Standing, connected, request, standing

ROUTES = """
version: 1
server: {internal_listen: null, trusted_proxies: [127.0.0.1/32]}
routes:
  - {name: open, match: {host: app.test, path: /public/**}, access: public, upstream: "http://127.0.0.1:9"}
  - {name: shut, match: {host: app.test, path: /shut/**}, access: deny, upstream: "http://127.0.0.1:9"}
  - {name: staff, match: {host: app.test, path: /staff/**}, require: {roles: [staff]}, upstream: "http://127.0.0.1:9"}
  - name: write
    match: {host: app.test, path: /notes/**, methods: [PATCH, DELETE]}
    require: {roles: [staff]}
    upstream: "http://127.0.0.1:9"
  - {name: here, match: {host: app.test, path: /here/**}, require: {source_ip: [10.0.0.0/8]}, upstream: "http://127.0.0.1:9"}
  - {name: quiet, match: {host: app.test, path: /quiet/**}, websocket: false, upstream: "http://127.0.0.1:9"}
  - {name: twin, match: {host: [one.test, two.test], path: /twin/**}, upstream: "http://127.0.0.1:9"}
  - {name: other, match: {host: [one.test, two.test]}, upstream: "http://127.0.0.1:9"}
  - {name: app, match: {host: app.test}, identity: {assertion: {audience: app}}, upstream: "http://127.0.0.1:9"}
"""
DIALECTS = ("nginx", "forward", "envoy")
NAVIGATION = "Sec-Fetch-Mode: navigate"


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
async def front(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Standing]:
    config = tmp_path / "gateway.yaml"
    config.write_text(ROUTES)
    async with standing(load_settings(config, {}).settings, fast=request.param) as stand:
        yield stand


def asking(
    dialect: str,
    path: str,
    *fields: str,
    method: str = "GET",
    host: str = "app.test",
    scheme: str = "https",
    token: str = "ann-token",
) -> bytes:
    """Write the request by which a proxy asks about another."""
    if dialect == "envoy":
        proto = f"X-Forwarded-Proto: {scheme}"
        return request(f"{method} /.gateway/authz/envoy{path}", proto, *fields, host=host, token=token)
    if dialect == "nginx":
        described = [f"X-Original-URL: {scheme}://{host}{path}", f"X-Original-Method: {method}"]
    else:
        described = [
            f"X-Forwarded-Method: {method}",
            f"X-Forwarded-Proto: {scheme}",
            f"X-Forwarded-Host: {host}",
            f"X-Forwarded-Uri: {path}",
        ]
    return request(f"GET /.gateway/authz/{dialect}", *described, *fields, host="asked.test", token=token)


async def twice(front: Standing, data: bytes, method: str = "GET") -> Reply:
    """Ask on a kept connection until what is remembered answers; every answer must be the same but for its id."""
    async with connected(front.port) as client:
        replies = []
        for _ in range(3):
            client.send(data)
            replies.append(await client.reply(method=method))
            if replies[-1].all("connection") == ["close"]:
                break
    heads = {tuple(line for line in reply.head.split(b"\r\n") if _lasting(line)) for reply in replies}
    assert len(heads) == 1, heads
    return replies[-1]


def _lasting(line: bytes) -> bool:
    # The id is in the problem's body, too, so its length varies with the test's own counter only.
    return not line.lower().startswith((b"x-request-id", b"date"))


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_who_may_pass_is_named(front: Standing, dialect: str) -> None:
    reply = await twice(front, asking(dialect, "/x?y=/../1"))
    assert (reply.status, reply.body) == (200, b"")
    assert reply.one("X-Forwarded-User") == "ann"
    assert reply.one("X-Forwarded-Groups") == "staff,user"
    assert reply.one("X-Gateway-Assertion") == "signed.ann.app"
    assert (reply.one("Cache-Control"), reply.all("Set-Cookie")) == ("no-store", [])
    nobody = await twice(front, asking(dialect, "/public/x"))
    assert (nobody.status, nobody.all("X-Forwarded-User")) == (200, [])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_is_remembered_ends_with_the_credential(front: Standing, dialect: str) -> None:
    async with connected(front.port) as client:
        for _ in range(3):
            client.send(asking(dialect, "/x"))
            assert (await client.reply()).status == 200
        front.people.known.pop("ann-token")
        front.revoke("ann")
        client.send(asking(dialect, "/x"))
        assert (await client.reply()).status == 401
        front.people.down = True
        client.send(asking(dialect, "/x", "X-Extra: 1"))
        down = await client.reply()
        assert (down.status, down.all("X-Forwarded-User")) == (503, [])


async def test_a_person_is_sent_to_log_in(front: Standing) -> None:
    login = "http://portal.test/login?rd=https%3A%2F%2Fapp.test%2Fx%3Fy%3D1"
    for dialect in ("forward", "envoy"):
        for method, status in (("GET", 302), ("HEAD", 302), ("POST", 303)):
            reply = await twice(front, asking(dialect, "/x?y=1", NAVIGATION, method=method, token=""), method)
            assert (reply.status, reply.one("Location")) == (status, login), (dialect, method)
        by_accept = await front.ask(asking(dialect, "/x?y=1", "Accept: text/html", token=""))
        assert (by_accept.status, by_accept.one("Location")) == (302, login)
        posted = await front.ask(asking(dialect, "/x?y=1", "Accept: text/html", method="POST", token=""))
        assert (posted.status, posted.all("Location")) == (401, [])
    nginx = await twice(front, asking("nginx", "/x?y=1", NAVIGATION, token=""))
    assert (nginx.status, nginx.one("Location")) == (401, login)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_program_is_told(front: Standing, dialect: str) -> None:
    for token in ("", "unknown"):
        reply = await twice(front, asking(dialect, "/x", token=token))
        assert (reply.status, reply.code) == (401, "invalid_credential" if token else "unauthenticated")
        assert reply.one("WWW-Authenticate").startswith("Bearer")
        assert reply.all("X-Forwarded-User") == []


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_who_may_not_is_forbidden(front: Standing, dialect: str) -> None:
    for path, method, host in (
        ("/staff/x", "GET", "app.test"),
        ("/shut/x", "GET", "app.test"),
        ("/notes/x", "PATCH", "app.test"),
        ("/notes/x", "DELETE", "app.test"),
        ("/x", "GET", "nowhere.test"),
    ):
        for fields in ((), (NAVIGATION,)):
            reply = await twice(front, asking(dialect, path, *fields, method=method, host=host, token="bob-token"))
            assert (reply.status, reply.all("Location")) == (403, []), (path, method, host)
    assert (await front.ask(asking(dialect, "/notes/x", token="bob-token"))).status == 200
    assert (await front.ask(asking(dialect, "/notes/x", method="DELETE"))).status == 200


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_address_that_counts_is_the_clients(front: Standing, dialect: str) -> None:
    for forwarded, status in (("10.1.2.3", 200), ("10.1.2.3, 192.0.2.1", 403), ("10.1.2.3, 127.0.0.1", 200)):
        reply = await twice(front, asking(dialect, "/here/x", f"X-Forwarded-For: {forwarded}"))
        assert reply.status == status, forwarded


PATHS = (
    "/public/../staff/x",
    "/public/%2e%2e/staff/x",
    "/public/%252e%252e/staff/x",
    "/public/..;x/staff/x",
    "/public/..%2fstaff",
    "/public%5c..%5cstaff",
    "/public\\..\\staff",
    "/public//x",
    "//app.test/public/x",
    "/public/%00",
    "/public/x#fragment",
    "/public/%zz",
    "/public/%c0%ae%c0%ae/staff",
    "public/x",
    "",
    "*",
    "http://app.test/public/x",
    "https://app.test/public/x",
    "/public/\u00e9",
)


# To nginx's dialect a URL without a path names the root.
@pytest.mark.parametrize(
    ("dialect", "path"), [(dialect, path) for dialect in DIALECTS for path in PATHS if path or dialect != "nginx"]
)
async def test_a_path_without_one_reading_is_never_an_allow(front: Standing, dialect: str, path: str) -> None:
    reply = await front.ask(asking(dialect, path))
    # Envoy writes its prefix and the path together: what is no path then names another address, or is no HTTP.
    allowed = {400, 403, 404} if dialect == "envoy" else {403}
    assert reply.status in allowed, reply.head
    assert reply.all("X-Forwarded-User") == []


ADDRESSES = (
    *(path for path in PATHS if path),
    "/x",
    "/x?secret=1",
    "/x?secret=2",
    "/public/x",
    "/staff/x",
    "/shut/x",
    "/notes/x",
    "/quiet/x",
    "/%7Eann/x",
    "/x;y=1",
    f"/{'x' * 3000}",
    f"/{'x' * 9000}",
    "/x\tX-Forwarded-User: root",
    '/x" y',
    "/x|y",
    "/",
)


@pytest.mark.parametrize("dialect", ["nginx", "forward"])
@pytest.mark.parametrize("token", ["ann-token", "bob-token", "unknown", ""])
async def test_another_address_in_the_same_fields_is_judged_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str, token: str
) -> None:
    """What the fast lane has learned from one address answers as the plain path answers each."""
    config = tmp_path / "gateway.yaml"
    config.write_text(ROUTES)
    seen: list[list[tuple[int, list[str], list[str]]]] = []
    paths: list[str] = []
    found: list[object] = []
    find = Questions.find

    def noted(self: Questions, *given: Any) -> Any:
        found.append(find(self, *given))
        return found[-1]

    monkeypatch.setattr(Questions, "find", noted)
    for fast in (True, False):
        async with standing(load_settings(config, {}).settings, fast=fast) as front, connected(front.port) as client:
            answers = []
            for path in (*["/public/learn"] * 3, *ADDRESSES, *ADDRESSES, *reversed(ADDRESSES)):
                client.send(asking(dialect, path, token=token))
                reply = await client.reply()
                answers.append((reply.status, reply.all("X-Forwarded-User"), reply.all("Location")))
            seen.append(answers)
            assert sum(front.metrics.requests.values()) == len(answers)
            paths = [line["path"] for line in front.log]
    assert seen[0] == seen[1]
    assert {200} < {status for status, _, _ in seen[0]}
    assert paths.count("/public/x") == 3
    assert sum(journey is not None for journey in found) > 10


async def test_a_second_address_in_other_letters_is_seen(front: Standing) -> None:
    learned = asking("nginx", "/public/x")
    assert (await twice(front, learned)).status == 200
    for other in ("x-original-url", "X-ORIGINAL-URL", "X-Original-URL"):
        spoiled = learned.replace(b"\r\n\r\n", f"\r\n{other}: https://app.test/x\r\n\r\n".encode())
        assert (await twice(front, spoiled)).status == 403
        before = learned.replace(b"\r\nHost", f"\r\n{other}: https://app.test/x\r\nHost".encode())
        assert (await twice(front, before)).status == 403
        # Another address in these very fields, which are known by now.
        assert (await twice(front, spoiled.replace(b"/public/x", b"/public/y"))).status == 403


async def test_a_head_that_is_too_large_is_so_with_another_address(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(ROUTES.replace("server: {", "server: {limits: {header_bytes: 1KiB}, "))
    async with standing(load_settings(config, {}).settings) as front:
        for length, status in ((1, 200), (500, 200), (960, 403)):
            assert (await front.ask(asking("nginx", f"/public/{'x' * length}"))).status == status


async def test_rights_that_have_changed_are_asked_for(front: Standing) -> None:
    async with connected(front.port) as client:
        for roles, status in ((("staff",), 200), (("user",), 403), (("staff",), 200)):
            front.people.known["ann-token"] = ("ann", roles)
            front.revoke("ann")
            for dialect in DIALECTS:
                for path in ("/staff/1", "/staff/2", "/staff/1"):
                    client.send(asking(dialect, path))
                    assert (await client.reply()).status == status, (dialect, roles)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_only_trusted_proxies_may_ask(tmp_path: Path, dialect: str) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(ROUTES.replace("127.0.0.1/32", "192.0.2.0/24"))
    async with standing(load_settings(config, {}).settings) as front:
        for path in ("/public/x", "/x"):
            for fields in ((), ("X-Forwarded-For: 192.0.2.7",)):
                reply = await twice(front, asking(dialect, path, *fields))
                assert (reply.status, reply.all("X-Forwarded-User")) == (403, [])


async def test_an_address_that_chooses_the_route_is_read_with_its_fields(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    only = "match: {host: app.test, headers: {X-Original-URL: 'https://app.test/one'}}"
    config.write_text(
        f"{ROUTES.partition('routes:')[0]}routes: [{{{only}, access: public, upstream: 'http://127.0.0.1:9'}}]"
    )
    async with standing(load_settings(config, {}).settings) as front, connected(front.port) as client:
        for path, status in (("/one", 200), ("/one", 200), ("/two", 403), ("/one", 200), ("/two", 403)):
            client.send(asking("nginx", path, token=""))
            assert (await client.reply()).status == status


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-Forwarded-Method: GET",),
        ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x"),
        ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x", "X-Forwarded-Host: app.test"),
        ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x", "X-Forwarded-Proto: https"),
        ("X-Forwarded-Uri: /public/x", "X-Forwarded-Host: app.test", "X-Forwarded-Proto: https"),
    ],
    ids=["nothing", "method", "method and path", "no scheme", "no host", "no method"],
)
async def test_forward_needs_all_four_fields(front: Standing, fields: tuple[str, ...]) -> None:
    assert (await front.get("/.gateway/authz/forward", *fields)).status == 403


WHOLE = (
    "X-Forwarded-Method: GET",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: app.test",
    "X-Forwarded-Uri: /public/x",
)


@pytest.mark.parametrize("doubled", WHOLE)
async def test_forward_refuses_a_field_that_is_sent_twice(front: Standing, doubled: str) -> None:
    assert (await front.get("/.gateway/authz/forward", *WHOLE)).status == 200
    assert (await front.get("/.gateway/authz/forward", *WHOLE, doubled)).status == 403


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Method: GET", "Method: GET, POST"),
        ("Method: GET", "Method: get"),
        ("Method: GET", "Method: "),
        ("Proto: https", "Proto: http, https"),
        ("Proto: https", "Proto: gopher"),
        ("Proto: https", "Proto: "),
        ("Host: app.test", "Host: app.test, app.test"),
        ("Host: app.test", "Host: ann@app.test"),
        ("Host: app.test", "Host: app.test:x"),
        ("Host: app.test", "Host: "),
    ],
)
async def test_forward_refuses_a_field_without_one_reading(front: Standing, old: str, new: str) -> None:
    fields = [field.replace(old, new) for field in WHOLE]
    assert fields != list(WHOLE)
    assert (await front.get("/.gateway/authz/forward", *fields)).status == 403


async def test_forward_takes_the_schemes_that_traefik_writes_for_sockets(front: Standing) -> None:
    for scheme in ("ws", "wss"):
        assert (await front.ask(asking("forward", "/x", scheme=scheme))).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"])
async def test_envoy_may_ask_with_every_method(front: Standing, method: str) -> None:
    reply = await front.ask(asking("envoy", "/x", "Content-Length: 0", method=method), method=method)
    assert (reply.status, reply.all("X-Forwarded-User")) == (200, ["ann"])


async def test_envoy_is_answered_without_waiting_for_a_body(front: Standing) -> None:
    for framing in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
        async with connected(front.port) as client:
            client.send(asking("envoy", "/x", framing, "Expect: 100-continue", method="POST"))
            reply = await client.reply()
            assert (reply.status, reply.one("Connection")) == (200, "close")


async def test_envoys_host_is_the_one_it_routes_by(front: Standing) -> None:
    for host in ("X-Forwarded-Host: app.test", "X-Forwarded-Host: nowhere.test"):
        assert (await front.ask(asking("envoy", "/x", host, host="nowhere.test"))).status == 403
        assert (await front.ask(asking("envoy", "/x", host))).status == 200
    assert (await front.ask(asking("envoy", "/x", "Host: app.test"))).status == 400
    assert (await front.ask(asking("envoy", "/x", "X-Forwarded-Proto: https"))).status == 403


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_socket_of_another_host_is_not_opened_with_somebodys_cookie(front: Standing, dialect: str) -> None:
    cookie, key = "Cookie: gateway=ann-session", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    own, other = "Origin: https://app.test", "Origin: https://evil.example"
    upgrade = ("Connection: Upgrade", "Upgrade: websocket")
    for also in ((), upgrade):
        assert (await twice(front, asking(dialect, "/socket", cookie, key, own, *also, token=""))).status == 200
        assert (await twice(front, asking(dialect, "/socket", cookie, key, other, *also, token=""))).status == 403
        assert (await twice(front, asking(dialect, "/socket", cookie, key, *also, token=""))).status == 403
        assert (await twice(front, asking(dialect, "/socket", key, other, *also))).status == 200
        assert (await twice(front, asking(dialect, "/quiet/socket", key, own, *also))).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/.gateway/authz",
        "/.gateway/authz/",
        "/.gateway/authz/nginx/",
        "/.gateway/authz/forward/x",
        "/.gateway/authz/envoyx/public/x",
        "/.gateway/authz/%6eginx",
        "/.gateway/authz;x/forward",
        "/.gateway/authz/FORWARD",
    ],
)
async def test_another_spelling_is_no_endpoint(front: Standing, path: str) -> None:
    fields = (*WHOLE, "X-Original-URL: https://app.test/public/x", "X-Original-Method: GET")
    reply = await front.get(path, *fields)
    assert (reply.status, reply.all("X-Forwarded-User")) == (404, [])


async def test_a_query_that_would_narrow_the_answer_is_not_ignored(front: Standing) -> None:
    fields = (*WHOLE, "X-Original-URL: https://app.test/public/x", "X-Original-Method: GET")
    for path, status in (("/oauth2/auth", 403), ("/.gateway/authz/nginx", 200), ("/.gateway/authz/forward", 200)):
        async with connected(front.port) as client:
            for _ in range(3):
                client.send(request(f"GET {path}", *fields))
                assert (await client.reply()).status == 200
                client.send(request(f"GET {path}?allowed_groups=admin", *fields))
                assert (await client.reply()).status == status, path


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_log_says_what_was_decided(front: Standing, dialect: str) -> None:
    await twice(front, asking(dialect, "/x?secret=1", method="GET"))
    await front.ask(asking(dialect, "/staff/x", token="bob-token"))
    *_, allowed, refused = front.log
    assert (allowed["host"], allowed["path"], allowed["status"]) == ("app.test", "/x", 200)
    assert (allowed["user"], allowed["route"], allowed["decision"]) == ("ann", "app", "authenticated")
    assert (refused["user"], refused["route"], refused["decision"]) == ("bob", "staff", "missing_role")
    assert front.metrics.decisions["app", "allow", "authenticated"] == 3
    assert front.metrics.requests["app", "GET", 200] == 3
    assert front.metrics.in_flight == 0


KEY = "a-key-that-only-the-proxy-knows"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_with_a_key_only_who_shows_it_gets_a_decision(tmp_path: Path, dialect: str) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    config = tmp_path / "gateway.yaml"
    config.write_text(f"{ROUTES}authz: {{key_file: key}}\n")
    settings = load_settings(config, {}).settings
    assert KEY not in repr(settings) + settings.model_dump_json()
    shown = f"X-Gateway-Authz-Key: {KEY}"
    async with standing(settings) as front:
        for path in ("/x", "/public/x"):
            assert (await twice(front, asking(dialect, path, shown))).status == 200
            for fields in (
                (),
                (f"{shown}x",),
                ("X-Gateway-Authz-Key:",),
                (shown, shown),
                ("X-Gateway-Authz-Key: \u00e9",),
            ):
                reply = await twice(front, asking(dialect, path, *fields))
                assert (reply.status, reply.all("X-Forwarded-User")) == (403, []), fields
        assert KEY not in front.written.getvalue()


@pytest.mark.parametrize("key", ["short", "x" * 257, "sixteen letters and a space", "sixteen-letters-\u00e9"])
def test_a_key_that_cannot_serve_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"{ROUTES}authz: {{key: {json.dumps(key)}}}\n")
    with pytest.raises(ConfigError, match="16 to 256 printable characters") as refused:
        load_settings(config, {})
    assert key not in str(refused.value)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param((None, None), (200, 200, 200), id="everywhere"),
        pytest.param((None, frozenset({"one.test"})), (200, 403, 200), id="host"),
        pytest.param((frozenset({"twin"}), None), (200, 200, 403), id="route"),
    ],
)
async def test_a_token_that_is_kept_opens_nothing_else_after_what_it_opens(
    front: Standing, dialect: str, kept: tuple[Any, Any], expected: tuple[int, ...]
) -> None:
    """One route has both hosts: what was said of one must not be said of the other."""
    front.people.kept["ann-token"] = kept
    places = (("one.test", "/twin/x"), ("two.test", "/twin/x"), ("one.test", "/else"))
    async with connected(front.port) as client:
        for _ in range(3):
            for (host, path), status in zip(places, expected, strict=True):
                client.send(asking(dialect, path, host=host))
                assert (await client.reply()).status == status, (host, path)
