"""Which error a mistake gets: clients act on the code, so that it is the one that the RFCs name."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.oauth.op import Op
from tests.oauth.relying_party import RelyingParty

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
BASIC, POST, PUBLIC, MACHINE, NARROW = "basic", "post", "public", "machine", "narrow"


@pytest.fixture
async def clients(op: Op) -> dict[str, RelyingParty]:
    return {
        BASIC: await op.client(),
        POST: await op.client(auth_method="client_secret_post"),
        PUBLIC: await op.client(auth_method="none", requires_pkce=True),
        MACHINE: await op.client(grants=["client_credentials"], redirect_uris=[], scope="roles"),
        NARROW: await op.client(grants=["authorization_code"]),
    }


# RFC 6749 section 5.2, RFC 8707 section 2, RFC 8628 section 3.5
TOKEN_ERRORS = {
    "no-grant-type": (BASIC, {}, "invalid_request"),
    "unknown-grant-type": (BASIC, {"grant_type": "bogus"}, "unsupported_grant_type"),
    "grant-type-in-capitals": (BASIC, {"grant_type": "AUTHORIZATION_CODE", "code": "x"}, "unsupported_grant_type"),
    "password-not-registered": (
        BASIC,
        {"grant_type": "password", "username": "ann", "password": "x"},
        "unauthorized_client",
    ),
    "refresh-not-registered": (NARROW, {"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
    "code-not-registered": (
        MACHINE,
        {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://rp.example.com/callback"},
        "unauthorized_client",
    ),
    "device-not-registered": (BASIC, {"grant_type": DEVICE, "device_code": "x"}, "unauthorized_client"),
    "machine-not-registered": (BASIC, {"grant_type": "client_credentials"}, "unauthorized_client"),
    "public-machine": (PUBLIC, {"grant_type": "client_credentials"}, "unauthorized_client"),
    "no-code": (BASIC, {"grant_type": "authorization_code"}, "invalid_request"),
    "unknown-code": (
        BASIC,
        {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://rp.example.com/callback"},
        "invalid_grant",
    ),
    "no-refresh-token": (BASIC, {"grant_type": "refresh_token"}, "invalid_request"),
    "unknown-refresh-token": (BASIC, {"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
    "machine-wants-more": (MACHINE, {"grant_type": "client_credentials", "scope": "roles email"}, "invalid_scope"),
    "machine-wants-a-person": (MACHINE, {"grant_type": "client_credentials", "scope": "openid"}, "invalid_scope"),
    "machine-wants-elsewhere": (
        MACHINE,
        {"grant_type": "client_credentials", "resource": "https://elsewhere.example/"},
        "invalid_target",
    ),
}


async def test_each_mistake_at_the_token_endpoint_has_its_code(op: Op, clients: dict[str, RelyingParty]) -> None:
    for name, (client, fields, error) in TOKEN_ERRORS.items():
        answer = await clients[client].call("token_endpoint", fields)
        assert (answer.status, answer.json["error"]) == (400, error), name


async def test_a_client_that_does_not_authenticate_is_told_how(op: Op, clients: dict[str, RelyingParty]) -> None:
    """RFC 6749 section 5.2: 401, and with the challenge of the scheme where the client used one."""
    fields = {"grant_type": "refresh_token", "refresh_token": "x"}
    for name in (BASIC, POST):
        rp = clients[name]
        rp.secret = f"{rp.secret}x"
        answer = await rp.call("token_endpoint", fields)
        assert (answer.status, answer.json["error"]) == (401, "invalid_client"), name
        assert ("WWW-Authenticate" in answer.headers) == (name == BASIC)
    for unknown in ({"client_id": "nobody"}, {"client_id": "nobody", "client_secret": "x"}, {}):
        answer = await op.running.post(clients[BASIC].path("token_endpoint"), data={**fields, **unknown})
        assert (answer.status, answer.json["error"]) == (401, "invalid_client"), unknown


# RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6, RFC 8707 section 2
AUTHORIZATION_ERRORS = {
    "unknown-response-type": ({"response_type": "bogus"}, "unsupported_response_type"),
    "unknown-scope": ({"scope": "bogus"}, "invalid_scope"),
    "unknown-resource": ({"resource": "https://elsewhere.example/"}, "invalid_target"),
    "resource-with-a-fragment": ({"resource": "https://elsewhere.example/#x"}, "invalid_target"),
    "unknown-response-mode": ({"response_mode": "bogus"}, "invalid_request"),
    "response-mode-without-script": ({"response_mode": "form_post"}, "invalid_request"),
    "unknown-prompt": ({"prompt": "bogus"}, "invalid_request"),
    "max-age-of-no-number": ({"max_age": "1.5"}, "invalid_request"),
    "max-age-negative": ({"max_age": "-1"}, "invalid_request"),
    "max-age-in-other-digits": ({"max_age": "\u0661"}, "invalid_request"),
    "hint-that-is-no-token": ({"id_token_hint": "x"}, "invalid_request"),
    "request-object": ({"request": "x.y.z"}, "request_not_supported"),
    "request-address": ({"request_uri": "https://rp.example.com/1"}, "request_uri_not_supported"),
}


async def test_each_mistake_at_the_authorization_endpoint_has_its_code(
    op: Op, clients: dict[str, RelyingParty]
) -> None:
    rp = clients[BASIC]
    signed_in = op.browser()
    await rp.flow(signed_in)
    for name, (changed, error) in AUTHORIZATION_ERRORS.items():
        for browser in (op.browser(), signed_in):
            request = rp.request()
            address = f"{rp.metadata['authorization_endpoint']}?{urlencode({**request.parameters, **changed})}"
            assert rp.error(await browser.open(address), request) == error, name


async def test_a_request_that_was_never_pushed_is_answered_here(op: Op, clients: dict[str, RelyingParty]) -> None:
    """Neither who asks nor where the answer belongs is known of it."""
    rp = clients[BASIC]
    for random in ("", "x", "a" * 43, "\u00e4" * 43):
        query = urlencode({"client_id": rp.client_id, "request_uri": f"urn:ietf:params:oauth:request_uri:{random}"})
        page = await op.browser().open(f"{rp.metadata['authorization_endpoint']}?{query}")
        assert page.status == 400, random
