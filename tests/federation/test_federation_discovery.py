"""What issuers say of themselves: believed to the letter, and kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.federation.discovery import Discoveries, IssuerUnknown, Metadata
from tests.fake_clock import FakeClock
from tests.federation.conftest import Network

ISSUER = "https://issuer.example/tenant"
URL = f"{ISSUER}/.well-known/openid-configuration"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": "https://keys.example/keys",
    "userinfo_endpoint": None,
    "id_token_signing_alg_values_supported": ["RS256", "ES384", "HS256", "none"],
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
    "authorization_response_iss_parameter_supported": True,
    "something_else": [1, 2],
}


@pytest.fixture
def discoveries(clock: FakeClock, network: Network) -> Discoveries:
    network.documents[URL] = DOCUMENT
    return Discoveries(clock, network.fetch)


async def test_metadata_is_read(discoveries: Discoveries) -> None:
    assert await discoveries.of(ISSUER, internal=False) == Metadata(
        issuer=ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize",
        token_endpoint=f"{ISSUER}/token",
        jwks_uri="https://keys.example/keys",
        algorithms=frozenset({"RS256", "ES384"}),
        token_auth_methods=frozenset({"client_secret_post"}),
        iss_parameter_supported=True,
    )


async def test_what_is_not_said_has_its_default(discoveries: Discoveries, network: Network) -> None:
    network.documents[URL] = {"issuer": ISSUER}
    assert await discoveries.of(ISSUER, internal=False) == Metadata(issuer=ISSUER)
    assert Metadata(issuer=ISSUER).algorithms == {"RS256"}


async def test_one_slash_at_the_end_of_an_issuer_is_not_doubled(clock: FakeClock, network: Network) -> None:
    network.documents[URL] = {**DOCUMENT, "issuer": f"{ISSUER}/"}
    assert (
        await Discoveries(clock, network.fetch).of(f"{ISSUER}/", internal=False)
    ).jwks_uri == "https://keys.example/keys"


async def test_the_document_may_be_elsewhere(discoveries: Discoveries, network: Network) -> None:
    network.documents["https://elsewhere.example/metadata"] = DOCUMENT
    await discoveries.of(ISSUER, internal=True, url="https://elsewhere.example/metadata")
    assert network.asked == [("https://elsewhere.example/metadata", True)]


async def test_it_is_kept_for_an_hour_and_fetched_once(
    discoveries: Discoveries, network: Network, clock: FakeClock
) -> None:
    await asyncio.gather(*(discoveries.of(ISSUER, internal=False) for _ in range(50)))
    clock.advance(3599)
    await discoveries.of(ISSUER, internal=False)
    assert len(network.asked) == 1
    clock.advance(1)
    await discoveries.of(ISSUER, internal=False)
    assert len(network.asked) == 2


async def test_it_outlives_an_outage_for_a_day(discoveries: Discoveries, network: Network, clock: FakeClock) -> None:
    await discoveries.of(ISSUER, internal=False)
    network.documents.clear()
    clock.advance(86400)
    await discoveries.of(ISSUER, internal=False)
    clock.advance(1)
    with pytest.raises(IssuerUnknown):
        await discoveries.of(ISSUER, internal=False)


BAD = {
    "list": [DOCUMENT],
    "text": "metadata",
    "no-issuer": {},
    "other-issuer": {**DOCUMENT, "issuer": "https://evil.example"},
    "issuer-with-slash": {**DOCUMENT, "issuer": f"{ISSUER}/"},
    "issuer-in-capitals": {**DOCUMENT, "issuer": ISSUER.upper()},
    "plain-http": {**DOCUMENT, "token_endpoint": "http://issuer.example/token"},
    "file": {**DOCUMENT, "jwks_uri": "file:///etc/passwd"},
    "data": {**DOCUMENT, "jwks_uri": 'data:application/json,{"keys":[]}'},
    "script": {**DOCUMENT, "authorization_endpoint": "javascript:alert(1)"},
    "no-host": {**DOCUMENT, "jwks_uri": "https:///keys"},
    "relative": {**DOCUMENT, "jwks_uri": "/keys"},
    "user": {**DOCUMENT, "jwks_uri": "https://issuer.example@evil.example/keys"},
    "fragment": {**DOCUMENT, "jwks_uri": "https://issuer.example/keys#a"},
    "bad-port": {**DOCUMENT, "jwks_uri": "https://issuer.example:99999/keys"},
    "line-break": {**DOCUMENT, "jwks_uri": "https://issuer.example/keys\r\nX: y"},
    "space": {**DOCUMENT, "jwks_uri": "https://issuer.example/a b"},
    "number": {**DOCUMENT, "token_endpoint": 7},
    "long": {**DOCUMENT, "token_endpoint": "https://issuer.example/" + "a" * 3000},
    "algorithms": {**DOCUMENT, "id_token_signing_alg_values_supported": "RS256"},
    "algorithm-numbers": {**DOCUMENT, "id_token_signing_alg_values_supported": [1]},
}


@pytest.mark.parametrize("document", BAD.values(), ids=BAD.keys())
async def test_what_is_not_its_metadata_is_refused(discoveries: Discoveries, network: Network, document: Any) -> None:
    network.documents[URL] = document
    with pytest.raises(IssuerUnknown):
        await discoveries.of(ISSUER, internal=False)


async def test_inside_http_is_let_through(discoveries: Discoveries, network: Network) -> None:
    network.documents[URL] = {**DOCUMENT, "jwks_uri": "http://keycloak:8080/keys"}
    assert (await discoveries.of(ISSUER, internal=True)).jwks_uri == "http://keycloak:8080/keys"
