"""A client is as good as the account that it belongs to, and its tokens with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.user import User
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Issued, Rights
from tests.gateways import GatewayFactory, Running
from tests.oauth.op import start_op

ROUTE = "routes: [{match: {path: /app/**}, respond: {status: 200, body: fine}}]"
MACHINE = checked_metadata({"grant_types": ["client_credentials"]})


async def disable(running: Running, user: User) -> None:
    await running.gateway.accounts.users.change(user.id, Changes(is_active=False))


async def delete(running: Running, user: User) -> None:
    await running.gateway.accounts.users.delete(user.id)


async def token_of(running: Running, issued: Issued) -> str:
    answer = await running.post(
        "/oauth/token",
        data={
            "grant_type": "client_credentials",
            "client_id": issued.client.id,
            "client_secret": issued.secret,
        },
    )
    return str(answer.json.get("access_token", answer.json.get("error")))


@pytest.mark.parametrize("end", [disable, delete])
async def test_tokens_of_a_client_end_with_its_owner(
    gateway_factory: GatewayFactory, end: Callable[[Running, User], Awaitable[None]]
) -> None:
    running = await gateway_factory(ROUTE)
    ann, bob = await running.user("ann"), await running.user("bob")
    metadata = {**MACHINE, "token_endpoint_auth_method": "client_secret_post"}
    anns, bobs = [
        await running.gateway.registry.create(metadata, Rights(opens_routes=True), owner_id=owner.id)
        for owner in (ann, bob)
    ]
    tokens = [await token_of(running, each) for each in (anns, bobs)]
    assert [(await running.get("/app/x", token=token)).status for token in tokens] == [200, 200]
    await end(running, ann)
    assert [(await running.get("/app/x", token=token)).status for token in tokens] == [401, 200]
    assert await token_of(running, anns) == "invalid_client"


async def test_they_are_good_again_when_the_owner_is(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory(ROUTE)
    ann = await running.user("ann")
    metadata = {**MACHINE, "token_endpoint_auth_method": "client_secret_post"}
    issued = await running.gateway.registry.create(metadata, Rights(opens_routes=True), owner_id=ann.id)
    token = await token_of(running, issued)
    await disable(running, ann)
    assert (await running.get("/app/x", token=token)).status == 401
    await running.gateway.accounts.users.change(ann.id, Changes(is_active=True))
    assert (await running.get("/app/x", token=token)).status == 200
    assert await running.gateway.clients.find(issued.client.id) is not None


async def test_what_people_granted_ends_with_the_owner_of_the_client(gateway_factory: GatewayFactory) -> None:
    op = await start_op(gateway_factory, ROUTE)
    running, owner, ann = op.running, await op.person("owner"), await op.person("ann")
    app = await op.client(opens_routes=True)
    await op.sql("update oauth_client set owner_id = $1::text::uuid", owner.id)
    tokens = await app.flow(op.browser())
    assert (await running.get("/app/x", token=tokens.access_token)).status == 200
    await disable(running, owner)
    assert (await running.get("/app/x", token=tokens.access_token)).status == 401
    assert (await app.refresh(tokens.refresh_token)).json["error"] == "invalid_client"
    await delete(running, owner)
    assert (await running.get("/app/x", token=tokens.access_token)).status == 401
    assert (await running.get("/app/x", token=await running.token(ann))).status == 200
