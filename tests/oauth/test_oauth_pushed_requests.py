"""Pushed authorization requests: judged as any other, kept for one use of one client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from gateway.policy.rate_limit import Buckets, RateLimit
from tests.gateways import Answer, GatewayFactory
from tests.oauth.browser import Page
from tests.oauth.op import Op, start_op
from tests.oauth.relying_party import CALLBACK, AuthorizationRequest, RelyingParty
from tests.oauth.test_oauth_bad_input import CHANGES, Case, assert_error_shape, assert_no_surprise, changed

ENDPOINT = "pushed_authorization_request_endpoint"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def push(rp: RelyingParty, asked: AuthorizationRequest, **changes: str) -> Answer:
    return await rp.call(ENDPOINT, {**asked.parameters, **changes})


async def open_pushed(op: Op, rp: RelyingParty, request_uri: str, cookie: str = "", **more: str) -> Page:
    query = urlencode({"client_id": rp.client_id, "request_uri": request_uri, **more})
    browser = op.browser()
    if cookie:
        browser.cookies["gateway"] = cookie
    return await browser.open(f"{rp.metadata['authorization_endpoint']}?{query}")


@pytest.mark.parametrize("auth_method", ["client_secret_basic", "client_secret_post", "none"])
async def test_a_pushed_request_becomes_tokens(op: Op, auth_method: str) -> None:
    rp = await op.client(auth_method=auth_method, requires_pkce=True)
    request = rp.request()
    answer = await push(rp, request)
    assert answer.status == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json.keys() == {"request_uri", "expires_in"}
    assert answer.json["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert 5 <= answer.json["expires_in"] <= 600
    browser = op.browser()
    query = urlencode({"client_id": rp.client_id, "request_uri": answer.json["request_uri"]})
    page = await browser.through(await browser.open(f"{rp.metadata['authorization_endpoint']}?{query}"))
    tokens = await rp.tokens(await rp.redeem(rp.code(page, request), request), request)
    assert tokens.claims["nonce"] == request.parameters["nonce"]


async def test_what_is_pushed_counts_and_not_what_the_browser_adds(op: Op) -> None:
    rp = await op.client(requires_pkce=True)
    request = rp.request(scope="openid email")
    pushed = (await push(rp, request)).json["request_uri"]
    cookie = await op.running.session(await op.person())
    page = await open_pushed(op, rp, pushed, cookie, scope="openid roles", state="other", nonce="other")
    tokens = await rp.tokens(await rp.redeem(rp.code(page, request), request), request)
    assert tokens.answer["scope"] == "openid email"


async def test_a_pushed_request_is_answered_once(op: Op) -> None:
    rp = await op.client()
    request = rp.request()
    pushed = (await push(rp, request)).json["request_uri"]
    cookie = await op.running.session(await op.person())
    assert rp.code(await open_pushed(op, rp, pushed, cookie), request)
    assert (await open_pushed(op, rp, pushed, cookie)).status == 400


async def test_a_pushed_request_is_of_one_client_and_expires(op: Op) -> None:
    rp, other = await op.client(), await op.client("Other")
    pushed = (await push(rp, rp.request())).json
    assert (await open_pushed(op, other, pushed["request_uri"])).status == 400
    op.clock.advance(timedelta(seconds=pushed["expires_in"] + 1))
    assert (await open_pushed(op, rp, pushed["request_uri"])).status == 400


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"redirect_uri": "https://evil.example.com/"}, "invalid_request"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "nothing-like-it"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"resource": "https://elsewhere.example.com"}, "invalid_target"),
        ({"claims": "["}, "invalid_request"),
    ],
    ids=str,
)
async def test_a_request_is_judged_as_it_is_pushed(op: Op, change: Mapping[str, str], error: str) -> None:
    rp = await op.client(requires_pkce=True)
    answer = await push(rp, rp.request(), **change)
    assert_error_shape(answer)
    assert answer.json["error"] == error


async def test_a_client_pushes_for_itself_alone(op: Op) -> None:
    rp, other = await op.client(), await op.client("Other")
    answer = await push(rp, rp.request(), client_id=other.client_id)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    stranger = await op.running.send("POST", rp.path(ENDPOINT), data=dict(rp.request().parameters))
    assert (stranger.status, stranger.json["error"]) == (401, "invalid_client")


async def test_secrets_are_not_kept_with_the_request(op: Op) -> None:
    rp = await op.client(auth_method="client_secret_post")
    assert (await push(rp, rp.request())).status == 201
    [row] = await op.sql("select parameters::text as kept from authorization_request")
    assert rp.secret not in row["kept"]
    assert set(json.loads(row["kept"])) & {"client_secret", "client_assertion"} == set()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_has_to_push_cannot_do_without(op: Op, method: str) -> None:
    rp = await op.client(require_pushed_authorization_requests=True)
    request = rp.request()
    cookie = await op.running.session(await op.person())
    query = urlencode(request.parameters)
    path = rp.path("authorization_endpoint")
    if method == "GET":
        answer = await op.running.get(f"{path}?{query}", cookie=cookie)
        assert rp.error(Page(answer.location), request) == "invalid_request"
    else:
        answer = await op.running.send("POST", path, data=query, headers=FORM, cookie=cookie)
        assert answer.status == 400
        assert "Location" not in answer.headers
    pushed = (await push(rp, request)).json["request_uri"]
    assert rp.code(await open_pushed(op, rp, pushed, cookie), request)


async def test_every_parameter_that_is_pushed_wrong_is_an_error_of_rfc_6749(op: Op) -> None:
    rp = await op.client(requires_pkce=True)
    request = rp.request(prompt="consent", max_age="100", claims="{}", login_hint="ann", display="page")
    case = Case(rp.path(ENDPOINT), [*request.parameters.items()], rp.authentication()[1])
    for name, _ in case.pairs:
        for change in CHANGES:
            body = changed(case.pairs, name, change)
            answer = await op.running.send("POST", case.path, data=body, headers={**case.headers, **FORM})
            assert_no_surprise(answer)
            if answer.status != 201:
                assert_error_shape(answer, f"{name} {change}")
            else:
                assert not change.startswith("doubled"), name
            if name in {"response_type", "redirect_uri", "code_challenge"}:
                assert answer.status in {400, 413}, (name, change)


async def test_bodies_and_methods_that_are_not_for_pushing(op: Op) -> None:
    rp = await op.client()
    path, headers = rp.path(ENDPOINT), rp.authentication()[1]
    for method in ("GET", "PUT", "DELETE"):
        assert (await op.running.send(method, path, headers=headers)).status == 405
    answer = await op.running.send("POST", path, data=b"{}", headers={**headers, "Content-Type": "application/json"})
    assert_error_shape(answer)


async def test_a_public_client_pushes_no_more_than_a_browser_may_ask(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever knows its name can push for it."""
    limit = RateLimit(3, 60, by_user=False)
    monkeypatch.setattr(op.running.gateway.provider.strangers, "_limit", limit)
    monkeypatch.setattr(op.running.gateway.provider.strangers, "_buckets", Buckets(limit))
    rp, trusted = await op.client(auth_method="none", requires_pkce=True), await op.client()
    answers = [await push(rp, rp.request()) for _ in range(5)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429, 429]
    assert_error_shape(answers[-1])
    assert (await push(trusted, trusted.request())).status == 201


async def test_who_registered_itself_stores_no_more_than_a_public_client(
    gateway_factory: GatewayFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secret was given to whoever asked."""
    op = await start_op(gateway_factory, "oauth: {registration: open}")
    limit = RateLimit(3, 60, by_user=False)
    monkeypatch.setattr(op.running.gateway.provider.strangers, "_limit", limit)
    monkeypatch.setattr(op.running.gateway.provider.strangers, "_buckets", Buckets(limit))
    made = (await op.running.post("/oauth/register", {"redirect_uris": [CALLBACK]})).json
    rp = RelyingParty(op.running, op.clock, op.metadata, made["client_id"], made["client_secret"])
    answers = [await push(rp, rp.request()) for _ in range(5)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429, 429]
