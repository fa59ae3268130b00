"""What an authorization request can demand beyond the plans' modules (OpenID Connect Core 1.0 sections 3.1.2, 5.5)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.oauth.op import Op
from tests.oauth.relying_party import FORM, AuthorizationRequest, RelyingParty


@pytest.fixture
async def rp(op: Op) -> RelyingParty:
    return await op.client()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


async def test_claims_are_stored_by_the_names_that_mean_something(op: Op, rp: RelyingParty) -> None:
    """Nothing else of the parameter gets as far as the database, which could not hold all of it."""
    harmless = [
        r'{"userinfo": {"\u0000": null, "name": null}}',
        r'{"userinfo": {"\ud800": null, "name": null}}',
        '{"userinfo": {"name": {"value": NaN}}}',
        '{"userinfo": {"name": {"value": 1e999}}}',
        f'{{"userinfo": {{"name": {{"value": {nested(400)}}}}}}}',
        f'{{"userinfo": {{"name": {{"value": {"9" * 3000}}}}}}}',
        '{"userinfo": {"name": {"essential": true}, "sub": null, "iss": {"value": "x"}, "bogus": null}}',
        '{"userinfo": {"name": null}, "id_token": null, "more": {"a": 1}}',
    ]
    browser = op.browser()
    for claims in harmless:
        tokens = await rp.flow(browser, claims=claims)
        assert set(await rp.userinfo(tokens.access_token)) == {"sub", "name"}, claims
        assert tokens.claims["iss"] == rp.metadata["issuer"]
    stored = await op.sql("select distinct claims::text as claims from refresh_family")
    assert [json.loads(row["claims"]) for row in stored] == [{"userinfo": {"name": None}, "id_token": {}}]


async def test_claims_of_another_form_are_an_invalid_request(op: Op, rp: RelyingParty) -> None:
    for claims in (
        *("x", "null", "[]", '"userinfo"', "1", '{"userinfo": [1]}', '{"userinfo": "name"}', "{" * 2000),
        *('{"userinfo": {"name": true}}', '{"userinfo": {"name": []}}', '{"id_token": {"sub": {"value": 1}}}'),
        *('{"id_token": {"sub": {"values": "a"}}}', '{"id_token": {"sub": {"values": [null]}}}'),
    ):
        request = rp.request(claims=claims, prompt="none")
        assert rp.error(await op.browser().open(request.url), request) == "invalid_request", claims


async def test_an_id_token_that_has_to_be_about_somebody_is_about_nobody_else(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    tokens = await rp.flow(browser)

    def asking(sub: dict[str, Any], prompt: str = "none") -> AuthorizationRequest:
        return rp.request(claims=json.dumps({"id_token": {"sub": sub}}), prompt=prompt)

    for sub in ({"value": tokens.claims["sub"]}, {"values": ["x", tokens.claims["sub"]]}, {"essential": True}):
        request = asking(sub)
        assert rp.code(await browser.open(request.url), request)
    for sub in ({"value": "somebody"}, {"values": ["x", "y"]}, {"values": []}):
        request = asking(sub)
        assert rp.error(await browser.open(request.url), request) == "login_required"
    page = await browser.open(asking({"value": "somebody"}, prompt="").url)
    assert page.login_form is not None


async def test_a_way_to_sign_in_that_is_essential_and_not_there_is_an_error(op: Op, rp: RelyingParty) -> None:
    known = rp.metadata["acr_values_supported"][0]

    def asking(acr: dict[str, Any]) -> AuthorizationRequest:
        return rp.request(claims=json.dumps({"id_token": {"acr": acr}}))

    browser = op.browser()
    request = asking({"essential": True, "values": ["urn:example:gold", known]})
    assert rp.code(await browser.through(await browser.open(request.url)), request)
    request = asking({"values": ["urn:example:gold"]})  # voluntary
    assert rp.code(await browser.open(request.url), request)
    request = asking({"essential": True, "value": "urn:example:gold"})
    assert rp.error(await browser.open(request.url), request) == "unmet_authentication_requirements"


async def test_silence_is_kept_about_everything_that_would_need_a_page(op: Op) -> None:
    rp = await op.client(first_party=False)
    browser = op.browser()
    request = rp.request(prompt="none")
    assert rp.error(await browser.open(request.url), request) == "login_required"
    page = await browser.sign_in(await browser.open(rp.request().url))
    assert page.consent_form is not None
    for parameters, error in (
        ({"prompt": "none"}, "consent_required"),
        ({"prompt": "none", "max_age": "0"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "bogus"}, "invalid_request"),
        ({"prompt": "none", "id_token_hint": "x.y.z"}, "invalid_request"),
    ):
        request = rp.request(pkce=True, without=(), **parameters)
        assert rp.error(await browser.open(request.url), request) == error, parameters
    await browser.decide(page)
    request = rp.request(prompt="none")
    assert rp.code(await browser.open(request.url), request)
    request = rp.request(prompt="none", scope="openid email")
    assert rp.error(await browser.open(request.url), request) == "consent_required", "it covers what was agreed to"


async def test_consent_that_is_asked_for_is_asked_again(op: Op) -> None:
    rp = await op.client(first_party=False)
    browser = op.browser()
    await rp.flow(browser)
    await rp.flow(browser)
    assert browser.seen == ["login", "consent"]
    await rp.flow(browser, prompt="consent")
    assert browser.seen == ["login", "consent", "consent"]


async def test_another_person_decides_anew_about_a_request_that_somebody_agreed_to(op: Op) -> None:
    await op.person("bob")
    rp = await op.client(first_party=False)
    anns, bobs = op.browser(), op.browser()
    request = rp.request()
    page = await anns.sign_in(await anns.open(request.url))
    seen = await bobs.sign_in(await bobs.open(page.url), "bob")
    assert seen.consent_form is not None
    form = page.consent_form
    assert form is not None
    name, value = form.buttons[0]
    address = urljoin(page.url, form.action)
    # ann agrees, and bob's browser is first at the address that goes on
    answer = await anns.send("POST", address, headers={"Content-Type": FORM}, data={**form.fields, name: value})
    taken = await bobs.open(urljoin(page.url, answer.location))
    assert taken.answer is not None
    assert taken.consent_form is not None


async def test_a_request_that_waited_is_answered_once(op: Op) -> None:
    rp = await op.client(first_party=False)
    browser = op.browser()
    request = rp.request()
    page = await browser.sign_in(await browser.open(request.url))
    form = page.consent_form
    assert form is not None
    name, value = form.buttons[0]
    address = urljoin(page.url, form.action)
    agreed = await browser.send("POST", address, headers={"Content-Type": FORM}, data={**form.fields, name: value})
    cookie = browser.cookies["gateway"]
    answers = await asyncio.gather(*(op.running.get(agreed.location, cookie=cookie) for _ in range(30)))
    assert Counter(answer.status for answer in answers) == {303: 1, 400: 29}
    assert len(await op.sql("select 1 from authorization_code")) == 1


async def test_introspection_tells_clients_about_their_own_tokens_alone(op: Op, rp: RelyingParty) -> None:
    other, auditor = await op.client("Other"), await op.client("Auditor", may_introspect=True)
    public = await op.client("Public", auth_method="none", requires_pkce=True)
    tokens = await rp.flow(op.browser())
    own = await op.running.token(await op.person())
    for token in (tokens.access_token, tokens.refresh_token):
        told = (await rp.call("introspection_endpoint", {"token": token})).json
        assert told["active"] is True
        assert told["client_id"] == rp.client_id
        assert (await other.call("introspection_endpoint", {"token": token})).json == {"active": False}
        assert (await auditor.call("introspection_endpoint", {"token": token})).json["active"] is True
        assert (await public.call("introspection_endpoint", {"token": token})).status == 401
    for token in (tokens.id_token, own, "x", "a.b.c", f"{tokens.access_token}x"):
        assert (await auditor.call("introspection_endpoint", {"token": token})).json == {"active": False}
    await rp.refresh(tokens.refresh_token)
    assert (await rp.call("introspection_endpoint", {"token": tokens.refresh_token})).json == {"active": False}


async def test_a_client_revokes_its_own_tokens_alone_and_with_one_the_others(op: Op, rp: RelyingParty) -> None:
    other = await op.client("Other")
    for name in ("access_token", "refresh_token"):
        tokens = await rp.flow(op.browser())
        token = tokens.answer[name]
        assert (await other.call("revocation_endpoint", {"token": token})).status in {200, 400}
        await rp.userinfo(tokens.access_token)
        assert (await rp.call("revocation_endpoint", {"token": token, "token_type_hint": "bogus"})).status == 200
        assert (await rp.call("revocation_endpoint", {"token": token})).status == 200
        assert (await op.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token)).status == 401
        assert (await rp.refresh(tokens.refresh_token)).json["error"] == "invalid_grant"


async def test_a_client_that_is_disabled_or_deleted_is_nobody(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser())
    registry = op.running.gateway.registry
    await registry.set_active(rp.client_id, active=False)
    assert (await rp.refresh(tokens.refresh_token)).json["error"] == "invalid_client"
    assert (await op.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token)).status == 401
    assert (await op.browser().open(rp.request().url)).status == 400
    await registry.set_active(rp.client_id, active=True)
    assert (await rp.refresh(tokens.refresh_token)).json["error"] == "invalid_grant", "what it had is over for good"
    await registry.delete(rp.client_id)
    assert (await op.browser().open(rp.request().url)).status == 400
