"""What routes do besides deciding: rewritten paths, changed fields, CORS, rate limits, answers of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import ConfigError
from tests.proxy.conftest import Stand
from tests.proxy.proxying import Upstream, connected, request

HOST = "match: {host: app.test"


def routes(*lines: str) -> str:
    return "routes:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


REWRITES = {
    "prefix off": ("strip_prefix: /wiki", "/wiki/a/b?c=d", "/a/b?c=d"),
    "prefix on": ("add_prefix: /app", "/a", "/app/a"),
    "both": ("strip_prefix: /wiki, add_prefix: /app", "/wiki", "/app/"),
    "expression": (r"regex: '/v1/([^/]+)/(.*)', replacement: '/api/\2/\1'", "/v1/a/b/c?q=1", "/api/b/c/a?q=1"),
    "named group": (r"regex: '/(?P<lang>de|fr)/(.*)', replacement: '/\2/\g<lang>'", "/de/x", "/x/de"),
    "no match": ("regex: '/v1/.*', replacement: /gone", "/v2/x", "/v2/x"),
    "part of the path only": ("regex: '/v1', replacement: /gone", "/v1/x", "/v1/x"),
}


@pytest.mark.parametrize(("rewrite", "asked", "sent"), REWRITES.values(), ids=REWRITES)
async def test_paths_are_rewritten(stand: Stand, upstream: Upstream, rewrite: str, asked: str, sent: str) -> None:
    front = await stand(routes(f'{HOST}}}, access: public, rewrite: {{{rewrite}}}, upstream: "URL"'))
    async with connected(front.port) as client:
        for _ in range(3):
            client.send(request(f"GET {asked}", token=""))
            assert (await client.reply()).status == 200
    assert {each.line for each in upstream.requests} == {f"GET {sent} HTTP/1.1"}


@pytest.mark.parametrize(
    ("regex", "replacement", "asked"),
    [
        (r"/(.*)/x", r"/\1/../x", "/a/x"),
        (r"(/.*)/x", r"/\1", "/a/x"),
        (r"/a(.*)", r"\1", "/ab"),
        (r"/(.*)", r"/%2f\1", "/a"),
    ],
    ids=["dot segment", "two slashes", "no slash", "encoded slash"],
)
async def test_a_path_that_no_client_may_ask_for_is_not_made_either(
    stand: Stand, upstream: Upstream, regex: str, replacement: str, asked: str
) -> None:
    rewrite = f"rewrite: {{regex: '{regex}', replacement: '{replacement}'}}"
    front = await stand(routes(f'{HOST}}}, access: public, {rewrite}, upstream: "URL"'))
    assert (await front.get(asked, token="")).status == 400
    assert upstream.requests == []


def answering(*fields: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 302 Found", *fields, "Content-Length: 0", "", ""]).encode()


LOCATIONS = {
    "own origin": ("", "URL/a?b#c", "/a?b#c"),
    "own origin alone": ("", "URL", "/"),
    "own origin, prefix off": ("strip_prefix: /wiki", "URL/a", "/wiki/a"),
    "path, prefix off": ("strip_prefix: /wiki", "/a", "/wiki/a"),
    "path, prefix on": ("add_prefix: /app", "/app/a?x", "/a?x"),
    "path, both": ("strip_prefix: /wiki, add_prefix: /app", "/app/a", "/wiki/a"),
    "path outside what was put before": ("add_prefix: /app", "/other/a", "/other/a"),
    "path that only begins alike": ("add_prefix: /app", "/apple", "/apple"),
    "relative": ("strip_prefix: /wiki", "a/b", "a/b"),
    "elsewhere": ("strip_prefix: /wiki", "https://example.com/a", "https://example.com/a"),
    "without a scheme": ("strip_prefix: /wiki", "//example.com/a", "//example.com/a"),
    "own origin as a prefix of another": ("", "URL.evil.test/a", "URL.evil.test/a"),
    "off": ("location: false, strip_prefix: /wiki", "URL/a", "URL/a"),
    "prefix beyond ASCII": ("strip_prefix: /日本", "/a", "/%E6%97%A5%E6%9C%AC/a"),
    # What is a path here must not become another host's name.
    "two slashes": ("", "URL//evil.test/a", "/.//evil.test/a"),
    "backslash": ("", "URL/\\evil.test/a", "/./\\evil.test/a"),
    "tab": ("", "URL/\t/evil.test/a", "/./\t/evil.test/a"),
    "two slashes below a prefix": ("add_prefix: /app", "/app//evil.test/a", "/.//evil.test/a"),
    "two slashes, prefix off": ("strip_prefix: /wiki", "URL//evil.test/a", "/wiki//evil.test/a"),
}


@pytest.mark.parametrize(("rewrite", "sent", "seen"), LOCATIONS.values(), ids=LOCATIONS)
async def test_locations_lead_to_where_clients_reach_the_application(
    stand: Stand, upstream: Upstream, rewrite: str, sent: str, seen: str
) -> None:
    front = await stand(routes(f'{HOST}}}, access: public, rewrite: {{{rewrite}}}, upstream: "URL"'))
    sent, seen = sent.replace("URL", upstream.url), seen.replace("URL", upstream.url)
    upstream.answer = answering(f"Location: {sent}", f"Content-Location: {sent}", f"Refresh: 5; url={sent}")
    reply = await front.get("/", token="")
    assert (reply.one("location"), reply.one("content-location")) == (seen, seen)
    assert reply.one("refresh") == f"5; url={seen}"


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("http://app.test/a", "/a"),
        ("https://app.test/a", "https://app.test/a"),
        ("http://app.test:81/a", "http://app.test:81/a"),
        ("http://app.test//evil.test/a", "/.//evil.test/a"),
    ],
)
async def test_an_application_that_does_not_know_of_tls_leads_nobody_out_of_it(
    stand: Stand, upstream: Upstream, location: str, seen: str
) -> None:
    front = await stand("server: {trusted_proxies: 127.0.0.1}\n" + routes(f'{HOST}}}, access: public, upstream: "URL"'))
    upstream.answer = answering(f"Location: {location}")
    assert (await front.get("/", "X-Forwarded-Proto: https", token="")).one("location") == seen
    # Over http the same may mean another host's port, or the way to https.
    assert (await front.get("/", token="")).one("location") == location


COOKIES = {
    "plain": ("", "a=b; Path=/; HttpOnly", "a=b; Path=/; HttpOnly"),
    "the client's domain": ("", "a=b; Domain=app.test", "a=b; Domain=app.test"),
    "a domain above": ("", "a=b; domain=.test", "a=b; domain=.test"),
    "another domain": ("", "a=b; Domain=legacy.internal; Secure", "a=b; Secure"),
    "a domain that only ends alike": ("", "a=b; Domain=p.test", "a=b"),
    "path, prefix off": ("strip_prefix: /wiki", "a=b; Path=/; Secure", "a=b; Path=/wiki; Secure"),
    "path below, prefix off": ("strip_prefix: /wiki", "a=b; path=/x", "a=b; path=/wiki/x"),
    "path, prefix on": ("add_prefix: /app", "a=b; Path=/app", "a=b; Path=/"),
    "path outside": ("add_prefix: /app", "a=b; Path=/x", "a=b; Path=/x"),
    "off": ("cookies: false, strip_prefix: /wiki", "a=b; Path=/; Domain=x.y", "a=b; Path=/; Domain=x.y"),
}


@pytest.mark.parametrize(("rewrite", "sent", "seen"), COOKIES.values(), ids=COOKIES)
async def test_cookies_fit_where_clients_reach_the_application(
    stand: Stand, upstream: Upstream, rewrite: str, sent: str, seen: str
) -> None:
    front = await stand(routes(f'{HOST}}}, access: public, rewrite: {{{rewrite}}}, upstream: "URL"'))
    upstream.answer = answering(f"Set-Cookie: {sent}")
    assert (await front.get("/", token="")).all("set-cookie") == [seen]


async def test_request_fields_are_set_and_removed(stand: Stand, upstream: Upstream) -> None:
    changes = "request_headers: {set: {X-Tenant: acme, Authorization: Basic YTpi}, remove: [Accept-Language, Cookie]}"
    front = await stand(routes(f'{HOST}}}, {changes}, upstream: "URL"'))
    reply = await front.get("/", "x-tenant: evil", "X_Tenant: evil", "Accept-Language: de", "Cookie: a=b", "X-A: 1")
    assert reply.status == 200
    seen = upstream.last
    assert seen.all("x-tenant") == ["acme"]
    assert seen.all("authorization") == ["Basic YTpi"]
    assert seen.all("accept-language") == seen.all("cookie") == []
    assert seen.all("x-a") == ["1"]
    assert seen.all("x-forwarded-user") == ["ann"]
    assert "evil" not in str(seen.environ)


async def test_response_fields_are_set_and_removed(stand: Stand, upstream: Upstream) -> None:
    changes = "response_headers: {set: {X-Frame-Options: DENY}, remove: [Server, Set-Cookie]}"
    front = await stand(routes(f'{HOST}}}, access: public, {changes}, upstream: "URL"'))
    upstream.answer = answering("server: old/1.0", "X-Frame-Options: ALLOWALL", "Set-Cookie: a=b", "X-A: 1")
    async with connected(front.port) as client:
        for _ in range(3):
            client.send(request("GET /", token=""))
            reply = await client.reply()
            assert reply.all("x-frame-options") == ["DENY"]
            assert reply.all("server") == reply.all("set-cookie") == []
            assert reply.all("x-a") == ["1"]


REDIRECTS = {
    "path": ("redirect: /new/", "/old/a?b", 302, "/new/"),
    "with what was asked": (
        "redirect: {to: 'https://new.test{path}{query}', status: 308}",
        "/a;b/c?d=%20e",
        308,
        "https://new.test/a;b/c?d=%20e",
    ),
    "to https": ("redirect: 'https://{host}{path}{query}'", "/a", 302, "https://app.test/a"),
    "below": ("redirect: {to: '/new{path}', status: 301}", "/a", 301, "/new/a"),
}


@pytest.mark.parametrize(("rule", "asked", "status", "location"), REDIRECTS.values(), ids=REDIRECTS)
async def test_a_route_redirects(
    stand: Stand, upstream: Upstream, rule: str, asked: str, status: int, location: str
) -> None:
    front = await stand(routes(f"{HOST}}}, access: public, {rule}"))
    reply = await front.get(asked, token="")
    assert (reply.status, reply.one("location")) == (status, location)
    assert reply.one("x-request-id") == front.log[-1]["request_id"]
    assert upstream.requests == []
    assert front.log[-1]["decision"] == "public"


async def test_a_route_responds(stand: Stand, upstream: Upstream) -> None:
    respond = "respond: {status: 410, body: 'Weg für immer', content_type: text/html}"
    front = await stand(routes(f"{HOST}}}, access: public, response_headers: {{set: {{X-A: '1'}}}}, {respond}"))
    reply = await front.get("/", token="")
    assert (reply.status, reply.body.decode()) == (410, "Weg für immer")
    assert reply.one("content-type") == "text/html; charset=utf-8"
    assert reply.one("x-a") == "1"
    async with connected(front.port) as client:
        client.send(request("POST /", "Content-Length: 1000000", token=""))
        assert (await client.reply()).all("connection") == ["close"]


@pytest.mark.parametrize("answer", ["redirect: /new/", "respond: {body: inside}"])
async def test_an_own_answer_is_given_only_to_those_who_may_have_it(stand: Stand, answer: str) -> None:
    front = await stand(routes(f"{HOST}}}, require: {{roles: [staff]}}, {answer}"))
    assert (await front.get("/", token="")).status == 401
    assert (await front.get("/", token="bob-token")).status == 403
    assert (await front.get("/")).status in {200, 302}


CORS = "cors: {allow_origins: [https://a.test, https://b.test], allow_methods: [GET, PUT], allow_headers: [X-A], "
CORS += "expose_headers: [ETag], allow_credentials: true, max_age: 5m}"
FIELDS = ("access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers", "vary")


async def preflight(front: Any, origin: str, method: str, *fields: str) -> Any:
    given = (f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *fields)
    return await front.ask(request("OPTIONS /x", *given, token=""))


async def test_a_preflight_is_answered_without_a_credential_and_never_forwarded(
    stand: Stand, upstream: Upstream
) -> None:
    front = await stand(routes(f'{HOST}, methods: [GET, PUT]}}, {CORS}, upstream: "URL"'))
    reply = await preflight(front, "https://a.test", "PUT", "Access-Control-Request-Headers: x-a, X-B")
    assert reply.status == 204
    assert reply.one("access-control-allow-origin") == "https://a.test"
    assert reply.one("access-control-allow-methods") == "GET, PUT"
    assert reply.one("access-control-allow-headers") == "x-a"
    assert reply.one("access-control-allow-credentials") == "true"
    assert reply.one("access-control-max-age") == "300"
    assert reply.one("vary") == "Origin"
    for origin, method in (("https://evil.test", "PUT"), ("https://a.test", "DELETE"), ("null", "GET")):
        refused = await preflight(front, origin, method)
        assert refused.status in {403, 404}
        assert refused.all("access-control-allow-origin") == []
    assert upstream.requests == []


async def test_a_preflight_of_a_route_without_cors_is_an_ordinary_request(stand: Stand, upstream: Upstream) -> None:
    front = await stand(routes(f'{HOST}}}, upstream: "URL"'))
    assert (await preflight(front, "https://a.test", "GET")).status == 401
    assert upstream.requests == []


async def test_answers_can_be_read_by_scripts_of_allowed_origins_alone(stand: Stand, upstream: Upstream) -> None:
    front = await stand(routes(f'{HOST}}}, {CORS}, upstream: "URL"'))
    upstream.answer = answering(
        "Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true", "Vary: Accept"
    )
    async with connected(front.port) as client:
        for origin, seen in (("https://b.test", ["https://b.test"]), ("https://evil.test", [])) * 2:
            client.send(request("GET /", f"Origin: {origin}"))
            reply = await client.reply()
            assert reply.all("access-control-allow-origin") == seen
            assert reply.all("access-control-allow-credentials") == (["true"] if seen else [])
            assert reply.all("access-control-expose-headers") == (["ETag"] if seen else [])
            assert reply.all("vary") == ["Accept", "Origin"]


async def test_a_script_can_read_why_it_was_refused(stand: Stand) -> None:
    front = await stand(routes(f'{HOST}}}, {CORS}, upstream: "URL"'))
    reply = await front.get("/", "Origin: https://a.test", token="")
    assert (reply.status, reply.one("access-control-allow-origin")) == (401, "https://a.test")
    reply = await front.get("/", "Origin: https://evil.test", token="")
    assert (reply.status, reply.all("access-control-allow-origin")) == (401, [])


async def test_any_origin_is_any_origin(stand: Stand) -> None:
    front = await stand(routes(f'{HOST}}}, access: public, cors: {{allow_origins: "*"}}, upstream: "URL"'))
    for fields in ((), ("Origin: https://evil.test",)):
        assert (await front.get("/", *fields, token="")).one("access-control-allow-origin") == "*"


async def test_too_many_requests_are_429_for_that_user_alone(stand: Stand, upstream: Upstream) -> None:
    front = await stand(routes(f'{HOST}}}, rate_limit: {{requests: 3, per: 1h}}, upstream: "URL"'))
    async with connected(front.port) as client:
        replies = []
        for _ in range(5):
            client.send(request("GET /"))
            replies.append(await client.reply())
    assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
    reply = replies[-1]
    assert reply.code == "rate_limited"
    assert 0 < int(reply.one("retry-after")) <= 1200
    assert reply.one("ratelimit-policy") == '"default";q=3;w=3600'
    assert reply.one("ratelimit").startswith('"default";r=0;t=')
    assert (await front.get("/", token="bob-token")).status == 200
    assert len(upstream.requests) == 4


async def test_who_is_not_signed_in_is_counted_by_address(stand: Stand) -> None:
    front = await stand(
        "server: {trusted_proxies: 127.0.0.1}\n"
        + routes(f'{HOST}}}, access: optional, rate_limit: {{requests: 1, per: 1h}}, upstream: "URL"')
    )
    told = [
        (await front.get("/", f"X-Forwarded-For: {address}", token="")).status
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    ]
    assert told == [200, 429, 200, 200, 429, 200]


BAD = {
    "identity set": "request_headers: {set: {X-Forwarded-User: root}}",
    "own identity set on another route": "request_headers: {set: {X-Team: a}}",
    "framing set": "request_headers: {set: {Content-Length: '0'}}",
    "host set": "request_headers: {set: {Host: a}}",
    "underscore": "request_headers: {set: {X_A: a}}",
    "two spellings": "request_headers: {set: {X-A: a, x-a: b}}",
    "set and removed": "request_headers: {set: {X-A: a}, remove: [x-a]}",
    "line break": 'request_headers: {set: {X-A: "a\\r\\nX-B: b"}}',
    "framing removed": "response_headers: {remove: [Content-Length]}",
    "cookie for all": "response_headers: {set: {Set-Cookie: a=b}}",
    "cors by hand too": "cors: {allow_origins: '*'}, response_headers: {set: {Access-Control-Allow-Origin: a}}",
    "every origin with cookies": 'cors: {allow_origins: "*", allow_credentials: true}',
    "replacement without expression": "rewrite: {replacement: /a}",
    "expression with prefix": "rewrite: {regex: /a, replacement: /b, add_prefix: /c}",
    "unknown group": r"rewrite: {regex: /a, replacement: '/\1'}",
    "replacement with a query": "rewrite: {regex: /a, replacement: '/b?c'}",
    "replacement that is no path": "rewrite: {regex: /a, replacement: 'http://b'}",
}


@pytest.mark.parametrize("rule", BAD.values(), ids=BAD)
async def test_what_would_undo_the_gateways_own_work_is_refused_at_load(stand: Stand, rule: str) -> None:
    with pytest.raises(ConfigError):
        await stand(
            routes(
                'match: {host: other.test}, upstream: "URL", identity: {headers: {X-Team: x}}',
                f'{HOST}}}, {rule}, upstream: "URL"',
            )
        )


@pytest.mark.parametrize(
    "to",
    [
        "//evil.test",
        "/\\\\evil.test",
        "{path}",
        "https://",
        "javascript:alert(1)",
        "https://a.test.{host}/",
        "/a/../b",
        "https://a@b.test/",
        "/old/{path}",
        "/{query}{path}",
        "{host}",
        "/{user}",
    ],
)
async def test_a_redirect_that_leads_nowhere_or_anywhere_is_refused_at_load(stand: Stand, to: str) -> None:
    with pytest.raises(ConfigError):
        await stand(routes(f"{HOST}}}, access: public, redirect: {json.dumps(to)}"))
