"""npm's openid-client, certified as a relying party, goes through every flow; it checks what it is given, signatures
included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from gateway.oauth.state.client_metadata import AUTH_METHODS, DEVICE_CODE, ID_TOKEN_ALGORITHMS
from tests.fake_clock import RunningClock
from tests.gateways import GatewayFactory
from tests.oauth.op import Op, discovered, start_op
from tests.oauth.relying.node import play
from tests.oauth.relying.person import Person
from tests.oauth.relying_party import CALLBACK, RelyingParty

Play = Callable[..., Awaitable[Any]]
BYE = "https://rp.example.com/bye"
KEY = JWK.generate(kty="EC", crv="P-256", kid="k1", alg="ES256", use="sig")
PUBLIC = {"keys": [KEY.export_public(as_dict=True)]}


@pytest.fixture
def flow(scripts: Path) -> Play:
    """Play a flow as a client of a provider, with ann at the browser."""

    async def playing(name: str, op: Op, client: RelyingParty | None = None, **more: Any) -> Any:
        settings = {
            "issuer": op.metadata["issuer"],
            "redirect_uri": CALLBACK,
            "post_logout_redirect_uri": BYE,
            "scope": "openid email profile",
            "algorithm": "RS256",
            "jwk": KEY.export_private(as_dict=True),
        }
        if client is not None:
            settings |= {"client_id": client.client_id, "secret": client.secret, "auth_method": client.auth_method}
        person = Person(op.browser(), op.running.client)

        async def visit(url: str) -> str:
            op.clock.advance(1)  # auth_time has whole seconds, and nobody signs in twice in one
            return await person.visit(url)

        return await play(scripts, name, settings | more, visit)

    return playing


@pytest.mark.parametrize("auth_method", AUTH_METHODS)
async def test_code_with_pkce_then_userinfo_and_refresh(op: Op, flow: Play, auth_method: str) -> None:
    jwks: dict[str, Any] = (
        {"jwks": {"keys": [KEY.export_public(as_dict=True)]}} if auth_method == "private_key_jwt" else {}
    )
    client = await op.client(auth_method=auth_method, requires_pkce=True, **jwks)
    done = await flow("code", op, client)
    ann = await op.person()
    assert done["claims"]["sub"] == ann.id
    assert done["userinfo"]["email"] == "ann@example.com"
    assert done["userinfo"]["preferred_username"] == "ann"
    assert done["again"] == done["userinfo"]
    assert sorted(done["scope"].split()) == ["email", "openid", "profile"]
    assert done["refreshed"]["sub"] == ann.id


@pytest.mark.parametrize("algorithm", ID_TOKEN_ALGORITHMS)
async def test_an_id_token_is_signed_as_the_client_asks(op: Op, flow: Play, algorithm: str) -> None:
    client = await op.client(id_token_signed_response_alg=algorithm)
    assert (await flow("code", op, client, algorithm=algorithm))["claims"]["aud"] in (
        client.client_id,
        [client.client_id],
    )


async def test_max_age_and_prompt_bring_a_new_login(op: Op, flow: Play) -> None:
    client = await op.client(auth_method="none", requires_pkce=True)
    done = await flow("step_up", op, client)
    assert done["first"]["sub"] == done["second"]["sub"]
    assert done["second"]["auth_time"] > done["first"]["auth_time"]


async def test_revoking_a_refresh_token_ends_the_access_token(op: Op, flow: Play) -> None:
    done = await flow("revocation", op, await op.client())
    assert done["before"]["active"] is True
    assert done["before"]["sub"] == (await op.person()).id
    assert done["after"] == {"active": False}
    assert done["refresh"] == "invalid_grant"
    assert done["userinfo"] == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"


async def test_a_program_gets_a_token_of_its_own(gateway_factory: GatewayFactory, flow: Play) -> None:
    op = await start_op(gateway_factory, "oauth: {scopes: {reports: Read reports}}")
    client = await op.client(grants=["client_credentials"], redirect_uris=[], opens_routes=True)
    done = await flow("client_credentials", op, client, scope="reports")
    assert done["tokens"]["scope"] == "reports"
    assert "refresh_token" not in done["tokens"]
    assert done["token"]["active"] is True
    assert done["token"]["sub"] == client.client_id


async def test_a_device_is_signed_in_from_elsewhere(op: Op, flow: Play) -> None:
    client = await op.client(auth_method="none", grants=[DEVICE_CODE, "refresh_token"], redirect_uris=[])
    done = await flow("device", op, client)
    assert done["claims"]["sub"] == (await op.person()).id
    assert done["refresh"] is True


async def test_a_request_is_pushed(op: Op, flow: Play) -> None:
    client = await op.client(require_pushed_authorization_requests=True)
    done = await flow("pushed", op, client)
    assert done["names"] == ["client_id", "request_uri"]
    assert done["claims"]["sub"] == (await op.person()).id


async def test_logout_comes_back_and_ends_what_was_granted(op: Op, flow: Play) -> None:
    client = await op.client(post_logout_redirect_uris=[BYE])
    done = await flow("logout", op, client)
    assert done == {"back": BYE, "same_state": True, "refresh": "invalid_grant"}


async def test_a_client_registers_itself(gateway_factory: GatewayFactory, flow: Play) -> None:
    op = await start_op(gateway_factory, "oauth: {registration: open}")
    ann = await op.person()
    done = await flow("registration", op)
    assert done["client"]["client_name"] == "Registered by itself"
    assert done["client"]["registration_client_uri"].startswith(op.metadata["registration_endpoint"])
    assert done["claims"]["sub"] == ann.id


async def test_everything_works_below_a_prefix(gateway_factory: GatewayFactory, flow: Play) -> None:
    """The issuer has a path then, and discovery stands below it (OpenID Connect Discovery 1.0 section 4)."""
    running = await gateway_factory(SERVER__PREFIX="/auth")
    op = Op(running, gateway_factory, RunningClock(), await discovered(running))
    ann = await op.person()
    client = await op.client(post_logout_redirect_uris=[BYE], first_party=False)
    assert op.metadata["issuer"].endswith("/auth")
    assert (await flow("code", op, client))["claims"]["sub"] == ann.id
    assert (await flow("pushed", op, client))["claims"]["sub"] == ann.id
    assert (await flow("logout", op, client))["back"] == BYE
