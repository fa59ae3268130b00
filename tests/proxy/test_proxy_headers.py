"""Which header fields cross the gateway, and in which spelling none does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.presets import IDENTITY_HEADERS
from gateway.policy.rules import Match, Rule, RuleTable
from gateway.proxy.headers import RequestHeaders, ResponseHeaders
from tests.proxy.conftest import Stand
from tests.proxy.proxying import OWN_COOKIES, Standing, Upstream, connected, request

FORWARDING = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Anything",
    "X-Original-URL",
    "X-Original-Method",
    "X-Original-Uri",
    "X-Rewrite-URL",
    "X-Real-IP",
    "X-Gateway-Assertion",
    "X-Gateway-Anything",
    "X-Request-Id",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
]
NAMES = sorted({*IDENTITY_HEADERS, *(name.lower() for name in FORWARDING), "x-team"})
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda name: name.title(),
    "lower": lambda name: name,
    "upper": lambda name: name.upper(),
    "underscore": lambda name: name.replace("-", "_"),
    "one-underscore": lambda name: name.replace("-", "_", 1),
    "dot": lambda name: name.replace("-", "."),
    "bang": lambda name: name.replace("-", "!"),
    "tilde": lambda name: name.replace("-", "~"),
}
ROUTE = """
routes:
  - {match: {host: app.test, path: /public/**}, access: public, upstream: "URL"}
  - {match: {host: app.test}, identity: {preset: none, headers: {X-Team: "{username}"}}, upstream: "URL"}
"""


@pytest.mark.parametrize("path", ["/public/x", "/x"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
async def test_no_spelling_of_an_identity_or_forwarding_field_gets_through(
    stand: Stand, upstream: Upstream, path: str, method: str
) -> None:
    front = await stand(ROUTE)
    async with connected(front.port) as client:
        for spell in SPELLINGS.values():
            for names in _batches(NAMES, 20):
                client.send(request(f"{method} {path}", *(f"{spell(name)}: forged" for name in names)))
                assert (await client.reply()).status == 200
                assert "forged" not in upstream.last.head.decode()
                assert "forged" not in str(upstream.last.environ)


def _batches(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


async def test_every_copy_of_a_repeated_field_is_removed(front: Standing, upstream: Upstream) -> None:
    await front.get("/", *["X-Forwarded-User: forged", "x-forwarded-user: forged"] * 3)
    assert upstream.last.all("x-forwarded-user") == ["ann"]
    assert upstream.last.environ["HTTP_X_FORWARDED_USER"] == "ann"


@given(st.text(st.sampled_from("!#$%&'*+-.^_`|~09azAZ"), min_size=1, max_size=30))
def test_only_names_of_letters_digits_and_hyphens_pass(name: str) -> None:
    table = RuleTable.compile([Rule(0, "r", Match())])
    lines = RequestHeaders(table, OWN_COOKIES).filtered([(name.encode(), b"v")], table.rules[0], frozenset())
    if lines:
        assert set(name) <= set("-09azAZ")
        folded = name.lower()
        assert folded not in IDENTITY_HEADERS
        assert not folded.startswith(("x-forwarded-", "x-original-", "x-gateway-"))


@pytest.mark.parametrize(
    "listed",
    [
        "X-Forwarded-User, X-Forwarded-Groups, X-Gateway-Assertion, Remote-User",
        "close, X-Forwarded-User",
        "X-Forwarded-For, X-Real-IP, X-Request-Id, Host, Authorization, Content-Length, Transfer-Encoding",
        "x-forwarded-user\t,,x-forwarded-for",
    ],
)
async def test_connection_cannot_remove_what_the_gateway_says(front: Standing, upstream: Upstream, listed: str) -> None:
    await front.get("/", f"Connection: {listed}", f"Connection: {listed}")
    assert upstream.last.all("x-forwarded-user") == ["ann"]
    assert upstream.last.all("x-forwarded-for") == ["127.0.0.1"]
    assert upstream.last.all("host") == ["app.test"]
    assert len(upstream.last.all("x-request-id")) == 1
    assert upstream.last.all("connection") == []


async def test_hop_by_hop_fields_stay_behind(front: Standing, upstream: Upstream) -> None:
    sent = ["Keep-Alive: 5", "TE: trailers", "Trailer: X-User", "Proxy-Connection: x", "Proxy-Authorization: Basic x"]
    sent += ["Connection: X-Private, keep-alive", "X-Private: 1", "X-Public: 1", "HTTP2-Settings: AA"]
    await front.get("/", *sent)
    names = {name.lower() for name, _ in upstream.last.fields}
    assert "x-public" in names
    unwanted = {"keep-alive", "te", "trailer", "proxy-connection", "proxy-authorization", "connection", "x-private"}
    assert not names & {*unwanted, "http2-settings"}


async def test_the_gateway_says_where_a_request_came_from(stand: Stand, upstream: Upstream) -> None:
    front = await stand()
    await front.get("/", "X-Forwarded-For: 10.9.9.9", "X-Forwarded-Proto: https", host="app.test:8443")
    last = upstream.last
    assert (last.all("x-forwarded-for"), last.all("x-real-ip")) == (["127.0.0.1"], ["127.0.0.1"])
    assert (last.all("x-forwarded-proto"), last.all("x-forwarded-host")) == (["http"], ["app.test:8443"])
    assert last.all("x-forwarded-port") == ["8443"]


async def test_a_trusted_proxy_is_believed(stand: Stand, upstream: Upstream) -> None:
    front = await stand(SERVER__TRUSTED_PROXIES="127.0.0.0/8")
    sent = ["X-Forwarded-For: 6.6.6.6, 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.test"]
    reply = await front.get("/", *sent, "X-Request-Id: from-nginx.1", host="inside:8080")
    last = upstream.last
    assert (last.all("host"), last.all("x-forwarded-host")) == (["app.test"], ["app.test"])
    assert (last.all("x-forwarded-for"), last.all("x-real-ip")) == (["192.0.2.7, 127.0.0.1"], ["192.0.2.7"])
    assert (last.all("x-forwarded-proto"), last.all("x-forwarded-port")) == (["https"], ["443"])
    assert last.all("x-request-id") == [reply.one("x-request-id")] == ["from-nginx.1"]


@pytest.mark.parametrize("given", ["a b", "x" * 129, "<script>", '"', "é", ""])
async def test_an_odd_request_id_is_replaced(stand: Stand, upstream: Upstream, given: str) -> None:
    front = await stand(SERVER__TRUSTED_PROXIES="127.0.0.0/8")
    reply = await front.get("/", f"X-Request-Id: {given}")
    assert upstream.last.all("x-request-id") == [reply.one("x-request-id")] != [given]


async def test_a_route_may_let_method_overrides_pass(stand: Stand, upstream: Upstream) -> None:
    route = "match: {host: app.test}, access: public, request_headers: {pass: [X-HTTP-Method-Override]}"
    front = await stand(f'routes: [{{{route}, upstream: "URL"}}]')
    await front.get("/", "X-HTTP-Method-Override: PUT", "X-Method-Override: PUT", "X_HTTP_Method_Override: PUT")
    assert upstream.last.all("x-http-method-override") == ["PUT"]
    assert upstream.last.head.count(b"PUT") == 1


OURS = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwOi8vcG9ydGFsLnRlc3QifQ.c2ln"  # {"iss": "http://portal.test"}
FOREIGN = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwOi8vb3RoZXIudGVzdCJ9.c2ln"


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([f"Authorization: Bearer {FOREIGN}"], True),
        (["Authorization: Basic YTpi"], True),
        (["X-API-Key: foreign"], True),
        ([f"Authorization: Bearer {OURS}"], False),
        (["Authorization: Bearer gwt_abc_def"], False),
        (["Authorization: Token gwt_abc_def"], False),
        (["X-API-Key: gwt_abc_def"], False),
        ([f"Connection: x, Authorization\r\nAuthorization: Bearer {OURS}"], False),
    ],
)
async def test_tokens_of_ours_stay_behind_on_public_routes_and_foreign_ones_pass(
    front: Standing, upstream: Upstream, fields: list[str], kept: bool
) -> None:
    for _ in range(2):
        assert (await front.get("/public/x", *fields, token="")).status == 200
        passed = upstream.last.all("authorization") + upstream.last.all("x-api-key")
        assert bool(passed) == kept


async def test_a_token_of_ours_stays_behind_where_another_credential_is_asked_for(
    stand: Stand, upstream: Upstream
) -> None:
    front = await stand('routes: [{match: {host: app.test}, credentials: [session], upstream: "URL"}]')
    reply = await front.get("/", "Cookie: gateway=ann-session", token=OURS)
    assert (reply.status, upstream.last.all("authorization")) == (200, [])
    await front.get("/", "Cookie: gateway=ann-session", token=FOREIGN)
    assert upstream.last.all("authorization") == [f"Bearer {FOREIGN}"]


async def test_a_route_may_pass_the_authorization_on(stand: Stand, upstream: Upstream) -> None:
    front = await stand('routes: [{match: {host: app.test}, identity: {pass_authorization: true}, upstream: "URL"}]')
    await front.get("/", "Cookie: gateway=ann-session")
    assert upstream.last.all("authorization") == ["Bearer ann-token"]
    assert upstream.last.all("cookie") == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("gateway=ann-session", []),
        ("a=1; gateway=ann-session", ["a=1"]),
        ("gateway=ann-session; a=1", ["a=1"]),
        ("a=1;gateway=ann-session;b=2", ["a=1;b=2"]),
        ("a=1; gateway-form=x; gateway=ann-session; b=2", ["a=1; b=2"]),
        ("xgateway=1; gateway2=2; gateway=ann-session", ["xgateway=1; gateway2=2"]),
    ],
)
async def test_our_cookies_stay_behind_and_others_pass(
    front: Standing, upstream: Upstream, sent: str, kept: list[str]
) -> None:
    assert (await front.get("/", f"Cookie: {sent}", token="")).status == 200
    assert upstream.last.all("cookie") == kept


async def test_a_trailer_is_not_forwarded(front: Standing, upstream: Upstream) -> None:
    body = b"2\r\nhi\r\n0\r\nX-Forwarded-User: forged\r\nX_Forwarded_User: forged\r\n\r\n"
    reply = await front.ask(request("POST /", "Transfer-Encoding: chunked", "Trailer: X-Forwarded-User", body=body))
    assert reply.status == 200
    assert upstream.last.body == b"2\r\nhi\r\n0\r\n\r\n"
    assert b"forged" not in upstream.last.head


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-User", "Remote-Groups", "X-Auth-Request-Email", "X-Gateway-Assertion", "x_forwarded_user", "X-Team"],
)
async def test_an_upstream_cannot_set_identity_headers(stand: Stand, upstream: Upstream, name: str) -> None:
    front = await stand(ROUTE)
    upstream.answer = f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{name}: forged\r\nX-Other: 1\r\n\r\n".encode()
    reply = await front.get()
    assert b"forged" not in reply.head
    assert reply.one("x-other") == "1"


async def test_an_upstream_cannot_set_our_cookies_or_request_id(front: Standing, upstream: Upstream) -> None:
    # Without a name, `=gateway=x` would come back as `gateway=x`.
    cookies = ("gateway=theirs", " gateway-form = x", "=gateway=x", " = gateway=x", "app=1")
    lines = "\r\n".join(["X-Request-Id: forged", *(f"Set-Cookie: {cookie}" for cookie in cookies)])
    upstream.answer = f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n\r\n".encode()
    reply = await front.get()
    assert reply.all("set-cookie") == ["app=1"]
    assert reply.one("x-request-id") != "forged"


async def test_hop_by_hop_fields_of_an_answer_stay_behind(front: Standing, upstream: Upstream) -> None:
    fields = "Connection: X-Private, Set-Cookie\r\nX-Private: 1\r\nSet-Cookie: a=1\r\nKeep-Alive: 5\r\nUpgrade: h2c"
    upstream.answer = f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n\r\n".encode()
    reply = await front.get()
    assert reply.all("set-cookie") == ["a=1"]
    assert [reply.all(name) for name in ("connection", "x-private", "keep-alive", "upgrade")] == [[], [], [], []]


def test_what_is_remembered_of_names_is_bounded() -> None:
    table = RuleTable.compile([Rule(0, "r", Match())])
    requests, responses = RequestHeaders(table, OWN_COOKIES), ResponseHeaders(table, OWN_COOKIES)
    for number in range(10_000):
        requests.filtered([(b"X-%d" % number, b"v")], table.rules[0], frozenset())
        responses.filtered([(b"X-%d" % number, b"v")])
    assert len(requests._actions) <= 4096
    assert len(responses._actions) <= 4096
