"""What a browser that was left open must not do over JSON, as it must not on the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.accounts.sessions import FRESH, Login
from gateway.accounts.user import User
from tests.gateways import PASSWORD, GatewayFactory, Running

ME = "/api/v1/users/me"
CHANGES: list[tuple[str, str, Any]] = [
    ("PUT", ME, {"password": "another good password"}),
    ("PUT", ME, {"email": "eve@example.com"}),
    ("PUT", ME, {"roles": ["user"]}),
    ("DELETE", ME, None),
    ("POST", f"{ME}/api-tokens", {"name": "mine"}),
    ("POST", "/api/v1/invitations", {"email": "eve@example.com"}),
    ("PUT", f"{ME}/verify", None),
]


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory()


async def signed_in(gateway: Running, user: User, ago: timedelta) -> str:
    login = Login(user.id, "localhost", gateway.gateway.clock.now() - ago)
    return (await gateway.gateway.accounts.sessions.create(login))[0]


@pytest.mark.parametrize(("method", "path", "document"), CHANGES, ids=lambda value: str(value)[:40])
async def test_an_old_sign_in_changes_nothing_that_keeps_its_owner_out(
    gateway: Running, method: str, path: str, document: Any
) -> None:
    root = await gateway.user("root", "admin")
    answer = await gateway.send(
        method, path, json=document, cookie=await signed_in(gateway, root, FRESH + timedelta(minutes=1))
    )
    assert (answer.status, answer.json["code"]) == (401, "step_up_required")
    assert 'max_age="900"' in answer.headers["WWW-Authenticate"]
    assert (await gateway.gateway.accounts.login.authenticate("root", PASSWORD, "10.0.0.1")).email == root.email


@pytest.mark.parametrize(("document", "ago"), [({"name": "Ann"}, 60), ({"password": "another good password"}, 14)])
async def test_what_does_no_harm_and_what_was_just_confirmed_is_done(
    gateway: Running, document: dict[str, str], ago: int
) -> None:
    cookie = await signed_in(gateway, await gateway.user(), timedelta(minutes=ago))
    assert (await gateway.send("PUT", ME, json=document, cookie=cookie)).status == 200
