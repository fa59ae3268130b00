"""Signing out at a provider ends what rests on it here, and signing out here may lead there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pyotp
import pytest
from jwcrypto.jwk import JWK

from tests.federation.provider import CLIENT, ProviderServer, configured, provider_served, query_of
from tests.federation.signed import EC, assembled, sign
from tests.federation.test_federation_login import Person, person
from tests.gateways import Answer, GatewayFactory, Running

EVENT = "http://schemas.openid.net/event/backchannel-logout"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OTHER = JWK.generate(kty="EC", crv="P-256", kid="ec")


@pytest.fixture
async def provider() -> AsyncIterator[ProviderServer]:
    async with provider_served() as served:
        served.claims["sid"] = "s-1"
        yield served


def said(provider: ProviderServer, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": provider.url,
        "aud": CLIENT,
        "iat": now,
        "exp": now + 120,
        "jti": f"{time.monotonic_ns()}",
        "sub": "u-1",
        "sid": "s-1",
        "events": {EVENT: {}},
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


async def told(running: Running, token: str, path: str = "/login/logout/corp") -> Answer:
    return await running.send("POST", path, headers=FORM, data=urlencode({"logout_token": token}))


async def signed_in(running: Running) -> Person:
    ann = await person(running)
    await ann.sign_in()
    assert await ann.who() is not None
    return ann


@pytest.mark.parametrize(
    "changes",
    [{}, {"sid": None}, {"sub": None}, {"aud": [CLIENT, "other"]}],
    ids=["both", "subject", "session", "audiences"],
)
async def test_whoever_signs_out_there_is_signed_out_here(
    gateway_factory: GatewayFactory, provider: ProviderServer, changes: dict[str, Any]
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await signed_in(running)
    done = await told(running, sign(said(provider, **changes), EC, "ES256", typ="logout+jwt"))
    assert (done.status, done.headers["Cache-Control"]) == (200, "no-store")
    assert await ann.who() is None


async def test_a_session_s_end_is_that_one_s_alone(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    ann = await signed_in(running)
    provider.claims["sid"] = "s-2"
    there = await signed_in(running)
    await told(running, sign(said(provider, sub=None), EC, "ES256"))
    assert (await ann.who() is None, await there.who() is None) == (True, False)
    provider.claims |= {"sub": "u-2", "email": "bob@example.com", "preferred_username": "bob", "sid": "s-3"}
    bob = await signed_in(running)
    await told(running, sign(said(provider, sid=None), EC, "ES256"))
    assert (await there.who() is None, await bob.who() is None) == (True, False)


async def test_a_login_with_a_second_factor_here_rests_on_it_as_well(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await signed_in(running)
    user = await ann.who()
    assert user is not None
    factors = running.gateway.accounts.second_factors
    enrolment = await factors.begin_totp(user, "Phone")
    app = pyotp.TOTP(enrolment.secret)
    proven = await factors.prove_totp(user, enrolment.id, app.now())
    assert proven is not None
    again = await person(running)
    asked = await again.sign_in()
    assert asked.location.startswith("/login/second-factor")
    page = await again.browser.open(f"{running.origin}{asked.location}")
    code = proven.recovery_codes[0]
    await again.browser.submit(page, next(each for each in page.forms if "code" in each.fields), code=code)
    assert await again.who() is not None
    await told(running, sign(said(provider), EC, "ES256"))
    assert await again.who() is None


LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "other"},
    "expired": {"exp": int(time.time()) - 120},
    "no end": {"exp": None},
    "no event": {"events": None},
    "another event": {"events": {"http://example.com/event": {}}},
    "events that are a list": {"events": [EVENT]},
    "an event that is no object": {"events": {EVENT: True}},
    "a nonce": {"nonce": "n"},
    "nobody": {"sub": None, "sid": None},
    "a subject that is a number": {"sub": 7},
    "a session that is a list": {"sid": ["s-1"]},
    "no name of its own": {"jti": None},
    "a name that is a number": {"jti": 7},
}


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES)
async def test_a_lie_ends_nothing(
    gateway_factory: GatewayFactory, provider: ProviderServer, changes: dict[str, Any]
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await signed_in(running)
    refused = await told(running, sign(said(provider, **changes), EC, "ES256"))
    assert (refused.status, refused.json) == (400, {"error": "invalid_request"})
    assert await ann.who() is not None


async def test_what_is_not_signed_by_the_provider_ends_nothing(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await signed_in(running)
    for token in (
        "",
        "a.b.c",
        sign(said(provider), OTHER, "ES256"),
        assembled({"alg": "none"}, said(provider)),
        sign(said(provider), EC, "ES256", typ="at+jwt"),
    ):
        assert (await told(running, token)).status == 400
    assert (await told(running, "x", "/login/logout/nobody")).status == 404
    assert await ann.who() is not None


async def test_a_token_counts_once(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    await signed_in(running)
    token = sign(said(provider), EC, "ES256")
    assert (await told(running, token)).status == 200
    ann = await signed_in(running)
    assert (await told(running, token)).status == 400
    assert await ann.who() is not None


async def test_what_is_over_is_forgotten(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    await signed_in(running)
    database, sessions = running.gateway._database, running.gateway.federation.sessions
    await sessions.forget_old()
    assert await database.fetchval("select count(*) from external_session") == 1
    await told(running, sign(said(provider), EC, "ES256"))
    await database.execute("update federation_logout set expires_at = now() - interval '1s'")
    await sessions.forget_old()
    assert await database.fetchval("select count(*) from external_session") == 0
    assert await database.fetchval("select count(*) from federation_logout") == 0


@pytest.mark.parametrize(
    ("settings", "metadata", "leads"),
    [
        ("logout: true", {"end_session_endpoint": "{url}/end"}, True),
        ("logout: true", {}, False),
        ("", {"end_session_endpoint": "{url}/end"}, False),
    ],
)
async def test_signing_out_here_leads_there_where_that_is_wanted(
    gateway_factory: GatewayFactory, provider: ProviderServer, settings: str, metadata: dict[str, str], leads: bool
) -> None:
    provider.metadata = {name: value.format(url=provider.url) for name, value in metadata.items()}
    running = await gateway_factory(configured(provider, settings))
    ann = await signed_in(running)
    page = await ann.browser.open(f"{running.origin}/logout")
    done = await ann.browser.submit(page, page.forms[0])
    assert await ann.who() is None
    found = [part.replace("&amp;", "&") for part in done.text.split('"') if part.startswith(f"{provider.url}/end?")]
    assert bool(found) is leads
    if leads:
        asked = query_of(found[0])
        assert asked == {"client_id": CLIENT, "post_logout_redirect_uri": f"{running.origin}/logout"}
