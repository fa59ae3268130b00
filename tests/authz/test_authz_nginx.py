"""The answers that nginx's auth_request gets: 200, 401, 403 or 503, and 200 for nothing that is malformed."""

from __future__ import annotations

import pytest

from tests.gateways import Answer, Cable, GatewayFactory, Running, database_url

PATH = "/.gateway/authz/nginx"
CONFIG = """
server: {internal_listen: null, trusted_proxies: [127.0.0.1/32]}
routes:
  - {name: open, match: {host: app.localhost, path: /public/**}, access: public, upstream: "http://127.0.0.1:9"}
  - {name: maybe, match: {host: app.localhost, path: /maybe/**}, access: optional, upstream: "http://127.0.0.1:9"}
  - {name: shut, match: {host: app.localhost, path: /shut/**}, access: deny, upstream: "http://127.0.0.1:9"}
  - {name: staff, match: {host: app.localhost, path: /staff/**}, require: {roles: [staff]}, upstream: "http://127.0.0.1:9"}
  - name: write
    match: {host: app.localhost, path: /notes/**, methods: [POST, DELETE]}
    require: {roles: [staff]}
    upstream: "http://127.0.0.1:9"
  - name: inside
    match: {host: app.localhost, path: /inside/**}
    require: {source_ip: [10.0.0.0/8]}
    upstream: "http://127.0.0.1:9"
  - name: tokens
    match: {host: app.localhost, path: /tokens/**}
    credentials: [api_token]
    identity: {preset: remote-user}
    upstream: "http://127.0.0.1:9"
  - {name: app, match: {host: app.localhost}, identity: {assertion: {audience: app}}, upstream: "http://127.0.0.1:9"}
"""
IDENTITY = ("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Gateway-Assertion", "Remote-User")


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory(CONFIG)


async def ask(
    gateway: Running,
    url: str,
    method: str = "GET",
    *,
    token: str = "",
    cookie: str = "",
    path: str = PATH,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    sent = [("X-Original-URL", url), ("X-Original-Method", method), *headers]
    return await gateway.get(path, host="app.localhost", token=token, cookie=cookie, headers=sent)


def at(path: str) -> str:
    return f"https://app.localhost{path}"


def nothing_given(answer: Answer) -> bool:
    return not any(name in answer.headers for name in IDENTITY)


async def test_who_is_let_through_is_named(gateway: Running) -> None:
    ann = await gateway.user("ann", "staff", "user")
    token = await gateway.token(ann)
    for path in (PATH, "/oauth2/auth"):
        answer = await ask(gateway, at("/x?y=1"), token=token, path=path)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["X-Forwarded-User"] == "ann"
        assert answer.headers["X-Forwarded-Email"] == "ann@example.com"
        assert answer.headers["X-Forwarded-Groups"] == "staff,user"
        assert answer.headers["X-Gateway-Assertion"].count(".") == 2
        assert (answer.headers["Cache-Control"], "Set-Cookie" in answer.headers) == ("no-store", False)
    session = await gateway.session(ann, "app.localhost")
    assert (await ask(gateway, at("/x"), cookie=session)).headers["X-Forwarded-User"] == "ann"
    _, api_token = await gateway.api_token(ann)
    by_token = await ask(gateway, at("/tokens/x"), token=api_token)
    assert (by_token.status, by_token.headers["Remote-User"]) == (200, "ann")
    # The kinds of credentials are the route's.
    assert (await ask(gateway, at("/tokens/x"), token=token)).status == 401


async def test_nobody_is_named_where_anybody_may_pass(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann"))
    for answer in (
        await ask(gateway, at("/public/x")),
        await ask(gateway, at("/public/x"), token=token),
        await ask(gateway, at("/public/x"), token="broken"),
        await ask(gateway, at("/maybe/x")),
        await ask(gateway, at("/public/x"), headers=(("X-Forwarded-User", "root"), ("Remote-User", "root"))),
    ):
        assert answer.status == 200
        assert nothing_given(answer)
    known = await ask(gateway, at("/maybe/x"), token=token)
    assert known.headers["X-Forwarded-User"] == "ann"


async def test_who_is_not_signed_in_is_told_where_to(gateway: Running) -> None:
    ann = await gateway.user("ann")
    stale = await gateway.session(ann, "app.localhost")
    await gateway.gateway.accounts.sessions.revoke_account(ann.id)
    elsewhere = await gateway.session(ann, "other.localhost")
    location = f"{gateway.origin}/login?rd=https%3A%2F%2Fapp.localhost%2Fx%3Fy%3D1%26z"
    for answer in (
        await ask(gateway, at("/x?y=1&z")),
        await ask(gateway, at("/x?y=1&z"), token="broken"),
        await ask(gateway, at("/x?y=1&z"), cookie=stale),
        await ask(gateway, at("/x?y=1&z"), cookie=elsewhere),
        await ask(gateway, at("/x?y=1&z"), cookie="x; gateway=y"),
        await ask(gateway, at("/x?y=1&z"), token="x", cookie=await gateway.session(ann, "app.localhost")),
        await ask(gateway, at("/x?y=1&z"), headers=(("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html"))),
    ):
        assert answer.status == 401
        assert answer.location == location
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert nothing_given(answer)
    assert (await ask(gateway, at("/maybe/x"), token="broken")).status == 401


async def test_who_may_not_is_forbidden(gateway: Running) -> None:
    ann, bob = await gateway.user("ann"), await gateway.user("bob", "staff")
    ann_token, bob_token = await gateway.token(ann), await gateway.token(bob)
    assert (await ask(gateway, at("/staff/x"), token=ann_token)).status == 403
    assert (await ask(gateway, at("/staff/x"), token=bob_token)).status == 200
    assert (await ask(gateway, at("/shut/x"), token=bob_token)).status == 403
    assert (await ask(gateway, at("/notes/x"), "POST", token=ann_token)).status == 403
    assert (await ask(gateway, at("/notes/x"), "GET", token=ann_token)).status == 200
    for answer in (await ask(gateway, at("/staff/x"), token=ann_token), await ask(gateway, at("/shut/"))):
        assert (answer.status, "Location" in answer.headers) == (403, False)
        assert nothing_given(answer)


async def test_the_address_that_counts_is_the_clients(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann"))
    cases = {
        "10.1.2.3": 200,
        "192.0.2.1": 403,
        "10.1.2.3, 192.0.2.1": 403,
        "10.1.2.3, 127.0.0.1": 200,
        "": 403,
    }
    for forwarded, status in cases.items():
        headers = (("X-Forwarded-For", forwarded),) if forwarded else ()
        assert (await ask(gateway, at("/inside/x"), token=token, headers=headers)).status == status, forwarded


MALFORMED = (
    "",
    "/x",
    "x",
    "//app.localhost/public/x",
    "app.localhost/public/x",
    "https:/app.localhost/public/x",
    "https:///public/x",
    "ftp://app.localhost/public/x",
    "ws://app.localhost/public/x",
    "javascript:alert(1)",
    "https://ann@app.localhost/public/x",
    "https://ann:pw@app.localhost/public/x",
    "https://evil.example@app.localhost/public/x",
    "https://app.localhost@evil.example/public/x",
    "https://app.localhost:x/public/x",
    "https://app.localhost:/public/x",
    "https://app.localhost:99999/public/x",
    "https://app.localhost:0/public/x",
    "https://app.localhost, https://app.localhost/public/x",
    "https://app.localhost\\@evil.example/public/x",
    "https://app.localhost/public/../staff/x",
    "https://app.localhost/public/%2e%2e/staff/x",
    "https://app.localhost/public/%252e%252e/staff/x",
    "https://app.localhost/public/..;x/staff/x",
    "https://app.localhost/public/..%2fstaff",
    "https://app.localhost/public%5c..%5cstaff",
    "https://app.localhost/public//x",
    "https://app.localhost/public/%00",
    "https://app.localhost/public/x#fragment",
    "https://app.localhost/public/x y",
    "https://app.localhost/public/%zz",
    "https://[::1/public/x",
    "https://app_localhost%00/public/x",
    "https://app.localhost%2f.evil.example/public/x",
)


async def test_a_malformed_address_is_never_an_allow(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann", "staff", "admin"))
    assert (await ask(gateway, at("/public/x"), token=token)).status == 200
    for url in MALFORMED:
        for sent in ("", token):
            answer = await ask(gateway, url, token=sent)
            assert answer.status == 403, url
            assert nothing_given(answer)


async def test_a_missing_route_is_forbidden(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann", "admin"))
    for url in ("https://nowhere.example/", "https://app.localhost.evil.example/public/x"):
        assert (await ask(gateway, url, token=token)).status == 403


async def test_what_is_not_sent_once_is_never_an_allow(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann"))
    url, method = ("X-Original-URL", at("/public/x")), ("X-Original-Method", "GET")
    assert (await gateway.get(PATH, headers=[url, method], token=token)).status == 200
    assert (await gateway.get(PATH, headers=[method], token=token)).status == 403
    assert (await gateway.get(PATH, headers=[url], token=token)).status == 403
    assert (await gateway.get(PATH, headers=[url, url, method], token=token)).status == 403
    assert (await gateway.get(PATH, headers=[url, method, ("X-Original-Method", "POST")])).status == 403
    for odd in ("", "G T", "G\u00c9T", "CONNECT /", "GET,POST"):
        assert (await gateway.get(PATH, headers=[url, ("X-Original-Method", odd)])).status == 403, odd
    twice = (("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}"))
    assert (await ask(gateway, at("/x"), headers=twice)).status == 403


async def test_only_trusted_proxies_may_ask(gateway_factory: GatewayFactory) -> None:
    stranger = CONFIG.replace("127.0.0.1/32", "192.0.2.0/24")
    gateway = await gateway_factory(stranger)
    token = await gateway.token(await gateway.user("ann"))
    for path in (PATH, "/oauth2/auth"):
        for url in (at("/public/x"), at("/x")):
            headers = (("X-Forwarded-For", "192.0.2.7"),)
            answer = await ask(gateway, url, token=token, path=path, headers=headers)
            assert (answer.status, nothing_given(answer)) == (403, True)


async def test_a_socket_of_another_host_is_not_opened_with_somebodys_cookie(gateway: Running) -> None:
    ann = await gateway.user("ann")
    cookie = await gateway.session(ann, "app.localhost")
    handshake = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    own, other = (("Origin", origin) for origin in ("https://app.localhost", "https://evil.example"))
    assert (await ask(gateway, at("/socket"), cookie=cookie, headers=(handshake, own))).status == 200
    assert (await ask(gateway, at("/socket"), cookie=cookie, headers=(handshake, other))).status == 403
    assert (await ask(gateway, at("/socket"), cookie=cookie, headers=(handshake,))).status == 403
    assert (await ask(gateway, at("/socket"), token=await gateway.token(ann), headers=(handshake, other))).status == 200


async def test_a_database_that_does_not_answer_closes_what_needs_it(
    gateway_factory: GatewayFactory, cable: Cable
) -> None:
    gateway = await gateway_factory(CONFIG, database=database_url(gateway_factory.dsn_args, f"127.0.0.1:{cable.port}"))
    token = await gateway.token(await gateway.user("ann"))
    await cable.cut()
    answer = await ask(gateway, at("/x"), token=token)
    assert (answer.status, nothing_given(answer)) == (503, True)
    assert "Retry-After" in answer.headers
    assert (await ask(gateway, at("/public/x"))).status == 200
    assert (await ask(gateway, at("/x"))).status == 401
    await cable.mend()


async def test_everything_else_below_the_reserved_path_is_not_found(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann"))
    for path in (
        "/.gateway/",
        "/.gateway/authz",
        "/.gateway/authz/",
        "/.gateway/authz/nginx/",
        "/.gateway/authz/nginx/x",
    ):
        answer = await gateway.get(path, host="app.localhost", token=token)
        assert answer.status == 404, path


async def test_what_a_proxy_says_about_the_client_must_be_readable(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann"))
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"):
        for value in ("unreadable@", "10.0.0.1, <>"):
            answer = await ask(gateway, at("/public/x"), token=token, headers=((name, value),))
            assert answer.status == 403, (name, value)
            assert nothing_given(answer)
