"""The modules of OpenID's oidcc-basic-certification-test-plan, one test each, in the plan's order.

Each asserts what the conformance suite's module of that name asserts. Where the suite lets a provider choose (a
warning, a screenshot to review, a skip), the test holds the choice that this one made.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.gateways import Answer
from tests.oauth.op import Op
from tests.oauth.relying_party import CLAIMS_OF_SCOPE, RelyingParty


@pytest.fixture
async def rp(op: Op) -> RelyingParty:
    """Register the suite's client: confidential, by basic authentication, without PKCE."""
    return await op.client()


async def userinfo_matches(rp: RelyingParty, access_token: str, claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims of the userinfo endpoint, which are about the subject of the ID token."""
    found = await rp.userinfo(access_token)
    assert found["sub"] == claims["sub"]
    return found


def assert_unusable(answer: Answer) -> None:
    """Hold an answer to a bad access token (RFC 6750 section 3.1)."""
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def unsigned(claims: Mapping[str, str]) -> str:
    """Return a request object with ``alg: none`` (OpenID Connect Core 1.0 section 6.1)."""
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


async def test_oidcc_server(op: Op) -> None:
    rp = await op.client(first_party=False)
    browser = op.browser()
    tokens = await rp.flow(browser, pkce=False)
    assert browser.seen == ["login", "consent"]
    assert {"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid"} <= set(tokens.claims)
    await userinfo_matches(rp, tokens.access_token, tokens.claims)


async def test_oidcc_response_type_missing(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False, without=["response_type"])
    page = await op.browser().open(request.url)
    assert rp.error(page, request) == "invalid_request"


async def test_oidcc_idtoken_signature(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser(), pkce=False)
    header, claims = await rp.signed(tokens.id_token)
    assert header["alg"] == "RS256"  # the default of OpenID Connect Registration section 2
    assert claims == tokens.claims


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_oidcc_idtoken_signature_with_a_registered_algorithm(op: Op, algorithm: str) -> None:
    rp = await op.client(id_token_signed_response_alg=algorithm)
    tokens = await rp.flow(op.browser(), pkce=False)
    assert (await rp.signed(tokens.id_token))[0]["alg"] == algorithm


async def test_oidcc_idtoken_unsigned_is_not_offered(rp: RelyingParty) -> None:
    """A provider does not have to sign with ``none``; the suite skips where discovery leaves it out."""
    assert "none" not in rp.metadata["id_token_signing_alg_values_supported"]


async def test_oidcc_userinfo_get(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser(), pkce=False)
    await userinfo_matches(rp, tokens.access_token, tokens.claims)


async def test_oidcc_userinfo_post_header(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser(), pkce=False)
    answer = await op.running.post(rp.path("userinfo_endpoint"), token=tokens.access_token)
    assert rp.claims_of(answer)["sub"] == tokens.claims["sub"]


async def test_oidcc_userinfo_post_body(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser(), pkce=False)
    answer = await op.running.post(rp.path("userinfo_endpoint"), data={"access_token": tokens.access_token})
    assert rp.claims_of(answer)["sub"] == tokens.claims["sub"]


async def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False, without=["nonce"])
    tokens = await rp.tokens(await rp.redeem(await rp.sign_in(op.browser(), request), request), request)
    assert "nonce" not in tokens.claims


async def claims_for(op: Op, rp: RelyingParty, scope: str) -> dict[str, Any]:
    """Return what userinfo tells with a scope. Nothing that belongs to a scope that was not asked for is in it."""
    assert set(scope.split()) <= set(rp.metadata["scopes_supported"])
    tokens = await rp.flow(op.browser(), pkce=False, scope=scope)
    assert set(tokens.answer.get("scope", scope).split()) == set(scope.split())
    found = await userinfo_matches(rp, tokens.access_token, tokens.claims)
    for name, claims in CLAIMS_OF_SCOPE.items():
        if name not in scope.split():
            assert not claims & set(found), name
            assert not claims & set(tokens.claims), name
    return found


async def test_oidcc_scope_profile(op: Op, rp: RelyingParty) -> None:
    found = await claims_for(op, rp, "openid profile")
    assert found["preferred_username"] == "ann"
    assert {"name", "updated_at"} <= set(found)


async def test_oidcc_scope_email(op: Op, rp: RelyingParty) -> None:
    found = await claims_for(op, rp, "openid email")
    assert found["email"] == "ann@example.com"
    assert isinstance(found["email_verified"], bool)


async def test_oidcc_scope_address(op: Op, rp: RelyingParty) -> None:
    await claims_for(op, rp, "openid address")


async def test_oidcc_scope_phone(op: Op, rp: RelyingParty) -> None:
    await claims_for(op, rp, "openid phone")


async def test_oidcc_scope_all(op: Op, rp: RelyingParty) -> None:
    found = await claims_for(op, rp, "openid profile email address phone")
    assert {"preferred_username", "email", "email_verified"} <= set(found)


async def test_oidcc_ensure_other_scope_order_succeeds(op: Op, rp: RelyingParty) -> None:
    found = await claims_for(op, rp, "email openid")
    assert found["email"] == "ann@example.com"


async def test_oidcc_alternate_happy_flow(op: Op, rp: RelyingParty) -> None:
    """Neither the order of scopes nor that of parameters matters (RFC 6749 section 3.3)."""
    request = rp.request(pkce=False, scope="email openid")
    endpoint = rp.metadata["authorization_endpoint"]
    browser = op.browser()
    page = await browser.open(f"{endpoint}?{urlencode(dict(reversed([*request.parameters.items()])))}")
    code = rp.code(await browser.through(page), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    found = await userinfo_matches(rp, tokens.access_token, tokens.claims)
    assert found["email"] == "ann@example.com"


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"display": "page"}, id="oidcc-display-page"),
        pytest.param({"display": "popup"}, id="oidcc-display-popup"),
        pytest.param({"extra": "foobar"}, id="oidcc-ensure-request-with-unknown-parameter-succeeds"),
        pytest.param({"ui_locales": "se"}, id="oidcc-ui-locales"),
        pytest.param({"claims_locales": "se"}, id="oidcc-claims-locales"),
    ],
)
async def test_parameters_that_may_be_ignored(op: Op, rp: RelyingParty, parameters: dict[str, str]) -> None:
    browser = op.browser()
    tokens = await rp.flow(browser, pkce=False, **parameters)
    assert browser.seen == ["login"]
    await userinfo_matches(rp, tokens.access_token, tokens.claims)


async def test_oidcc_prompt_login(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    first = await rp.flow(browser, pkce=False)
    op.clock.advance(2)
    request = rp.request(pkce=False, prompt="login")
    page = await browser.open(request.url)
    assert page.login_form is not None, "someone who is signed in is asked again"
    code = rp.code(await browser.through(page), request)
    second = await rp.tokens(await rp.redeem(code, request), request)
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] > first.claims["auth_time"]


async def test_oidcc_prompt_none_not_logged_in(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False, prompt="none", state="s" * 128)
    page = await op.browser().open(request.url)
    assert rp.error(page, request) == "login_required"


async def test_oidcc_prompt_none_logged_in(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    first = await rp.flow(browser, pkce=False)
    op.clock.advance(2)
    request = rp.request(pkce=False, prompt="none")
    code = rp.code(await browser.open(request.url), request)
    second = await rp.tokens(await rp.redeem(code, request), request)
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] == first.claims["auth_time"]


async def test_oidcc_max_age_1(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    first = await rp.flow(browser, pkce=False)
    op.clock.advance(2)
    request = rp.request(pkce=False, max_age="1")
    page = await browser.open(request.url)
    assert page.login_form is not None, "the login is older than a second"
    code = rp.code(await browser.through(page), request)
    second = await rp.tokens(await rp.redeem(code, request), request)
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] > first.claims["auth_time"]


async def test_oidcc_max_age_10000(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    first = await rp.flow(browser, pkce=False, max_age="15000")
    op.clock.advance(2)
    request = rp.request(pkce=False, max_age="10000")
    code = rp.code(await browser.open(request.url), request)
    second = await rp.tokens(await rp.redeem(code, request), request)
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] == first.claims["auth_time"]


async def test_oidcc_id_token_hint(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    first = await rp.flow(browser, pkce=False)
    op.clock.advance(2)
    request = rp.request(pkce=False, prompt="none", id_token_hint=first.id_token)
    code = rp.code(await browser.open(request.url), request)
    second = await rp.tokens(await rp.redeem(code, request), request)
    assert second.claims["sub"] == first.claims["sub"]


async def test_id_token_hint_of_someone_else_is_login_required(op: Op, rp: RelyingParty) -> None:
    await op.person("bob")
    bobs = op.browser()
    request = rp.request(pkce=False)
    code = await rp.sign_in(bobs, request, "bob")
    hint = (await rp.tokens(await rp.redeem(code, request), request)).id_token
    browser = op.browser()
    await rp.flow(browser, pkce=False)
    request = rp.request(pkce=False, prompt="none", id_token_hint=hint)
    assert rp.error(await browser.open(request.url), request) == "login_required"


async def test_oidcc_login_hint(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    request = rp.request(pkce=False, login_hint="ann@example.com")
    page = await browser.open(request.url)
    assert page.login_form is not None
    assert page.login_form.fields["username"] == "ann@example.com"
    assert rp.code(await browser.through(page), request)


async def test_oidcc_ensure_request_with_acr_values_succeeds(op: Op, rp: RelyingParty) -> None:
    values = rp.metadata["acr_values_supported"]
    tokens = await rp.flow(op.browser(), pkce=False, acr_values=" ".join(values))
    assert tokens.claims["acr"] in values
    # A voluntary claim: what nobody can give is no error, and is not said to have been done.
    tokens = await rp.flow(op.browser(), pkce=False, acr_values="urn:example:gold")
    assert tokens.claims["acr"] in values


async def test_oidcc_codereuse(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False)
    code = await rp.sign_in(op.browser(), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    again = await rp.redeem(code, request)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    assert_unusable(await op.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token))


async def test_oidcc_codereuse_30seconds(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False)
    code = await rp.sign_in(op.browser(), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    await userinfo_matches(rp, tokens.access_token, tokens.claims)
    op.clock.advance(30)
    again = await rp.redeem(code, request)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    # What the code gave ends as well (RFC 6749 section 4.1.2).
    assert_unusable(await op.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token))
    refused = await rp.refresh(tokens.refresh_token)
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")


async def test_oidcc_ensure_registered_redirect_uri(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False, redirect_uri=f"{rp.redirect_uri}/bad")
    page = await op.browser().open(request.url)
    assert page.status == 400
    assert page.login_form is None


async def test_oidcc_ensure_post_request_succeeds(op: Op, rp: RelyingParty) -> None:
    request = rp.request(pkce=False)
    browser = op.browser()
    page = await browser.open(
        rp.metadata["authorization_endpoint"], request.parameters, Origin="https://rp.example.com"
    )
    code = rp.code(await browser.through(page), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    await userinfo_matches(rp, tokens.access_token, tokens.claims)


async def test_oidcc_server_client_secret_post(op: Op) -> None:
    rp = await op.client(auth_method="client_secret_post")
    assert "client_secret_post" in rp.metadata["token_endpoint_auth_methods_supported"]
    tokens = await rp.flow(op.browser(), pkce=False)
    await userinfo_matches(rp, tokens.access_token, tokens.claims)


async def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    op: Op, rp: RelyingParty
) -> None:
    assert rp.metadata["request_uri_parameter_supported"] is False
    request = rp.request(pkce=False, request_uri="https://rp.example.com/requests/1")
    assert rp.error(await op.browser().open(request.url), request) == "request_uri_not_supported"


async def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    op: Op, rp: RelyingParty
) -> None:
    assert rp.metadata.get("request_parameter_supported", False) is False
    inside = rp.request(pkce=False)
    request = rp.request(pkce=False, request=unsigned(inside.parameters))
    assert rp.error(await op.browser().open(request.url), request) == "request_not_supported"


async def test_oidcc_claims_essential(op: Op, rp: RelyingParty) -> None:
    assert rp.metadata["claims_parameter_supported"] is True
    tokens = await rp.flow(op.browser(), pkce=False, claims='{"userinfo": {"name": {"essential": true}}}')
    found = await userinfo_matches(rp, tokens.access_token, tokens.claims)
    assert found["name"]
    assert "email" not in found


async def test_oidcc_ensure_request_object_with_redirect_uri(op: Op, rp: RelyingParty) -> None:
    """The good address is in the request object alone. Without support for those, nobody is sent anywhere."""
    inside = rp.request(pkce=False)
    bad = f"{rp.redirect_uri}/bad"
    request = rp.request(pkce=False, redirect_uri=bad, request=unsigned(inside.parameters))
    page = await op.browser().open(request.url)
    assert page.status == 400


async def test_oidcc_refresh_token(op: Op, rp: RelyingParty) -> None:
    other = await op.client("Other")
    assert "refresh_token" in rp.metadata["grant_types_supported"]
    browser = op.browser()
    tokens = await rp.flow(browser, pkce=False, scope="openid offline_access", prompt="consent")
    assert tokens.refresh_token.isascii()
    assert tokens.refresh_token.isprintable()
    op.clock.advance(2)
    second = await rp.tokens(await rp.refresh(tokens.refresh_token))
    assert second.access_token != tokens.access_token
    # OpenID Connect Core 1.0 section 12.2
    for name in ("iss", "sub", "aud", "auth_time"):
        assert second.claims[name] == tokens.claims[name], name
    assert second.claims["iat"] > tokens.claims["iat"]
    assert second.claims.get("azp") == tokens.claims.get("azp")
    assert second.claims.get("nonce", tokens.claims["nonce"]) == tokens.claims["nonce"]
    await userinfo_matches(rp, second.access_token, second.claims)
    # Another client's refresh token is good for nobody else.
    others = await other.flow(browser, pkce=False, scope="openid offline_access", prompt="consent")
    refused = await rp.refresh(others.refresh_token)
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")


async def test_oidcc_ensure_request_with_valid_pkce_succeeds(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser(), pkce=True)
    await userinfo_matches(rp, tokens.access_token, tokens.claims)


async def test_every_module_has_its_test() -> None:
    """The plan's 38 modules as of release 5.1, by the names that results are published under."""
    modules = PLAN.split()
    tests = {name.removeprefix("test_").replace("_", "-") for name in globals()} | set(NAMED_OTHERWISE)
    assert not set(modules) - tests
    assert len(set(modules)) == 38


NAMED_OTHERWISE = [
    *("oidcc-display-page", "oidcc-display-popup", "oidcc-ui-locales", "oidcc-claims-locales"),
    *("oidcc-ensure-request-with-unknown-parameter-succeeds", "oidcc-idtoken-unsigned"),
]
PLAN = """
oidcc-server oidcc-response-type-missing oidcc-idtoken-signature oidcc-idtoken-unsigned oidcc-userinfo-get
oidcc-userinfo-post-header oidcc-userinfo-post-body oidcc-ensure-request-without-nonce-succeeds-for-code-flow
oidcc-scope-profile oidcc-scope-email oidcc-scope-address oidcc-scope-phone oidcc-scope-all
oidcc-alternate-happy-flow oidcc-display-page oidcc-display-popup oidcc-prompt-login
oidcc-prompt-none-not-logged-in oidcc-prompt-none-logged-in oidcc-max-age-1 oidcc-max-age-10000
oidcc-ensure-request-with-unknown-parameter-succeeds oidcc-id-token-hint oidcc-login-hint oidcc-ui-locales
oidcc-claims-locales oidcc-ensure-request-with-acr-values-succeeds oidcc-codereuse oidcc-codereuse-30seconds
oidcc-ensure-registered-redirect-uri oidcc-ensure-post-request-succeeds oidcc-server-client-secret-post
oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported
oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported oidcc-claims-essential
oidcc-ensure-request-object-with-redirect-uri oidcc-refresh-token oidcc-ensure-request-with-valid-pkce-succeeds
"""
