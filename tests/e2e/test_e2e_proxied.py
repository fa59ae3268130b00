"""Requests through a whole gateway: who gets what, and what the application is told."""

from __future__ import annotations

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from tests.gateways import BROWSER, GatewayFactory, Recorder, field_of

ROUTES = """
routes:
  - {name: open, match: {host: app.localhost, path: /public/**}, access: public, upstream: "URL"}
  - {name: staff, match: {host: app.localhost, path: /staff/**}, require: {roles: [staff]}, upstream: "URL"}
  - {name: app, match: {host: app.localhost}, identity: {assertion: {audience: app}}, upstream: "URL"}
"""


async def test_a_token_reaches_the_application_with_its_users_name(gateway_factory: GatewayFactory, echo: str) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", echo))
    ann = await gateway.user("ann", "staff", "user")
    token = await gateway.token(ann)
    answer = await gateway.get("/x?y=1", host="app.localhost", token=token, headers={"X_Forwarded_User": "root"})
    assert answer.status == 200
    assert answer.json["path"] == "/x?y=1"
    assert field_of(answer, "X-Forwarded-User") == ["ann"]
    assert field_of(answer, "X-Forwarded-Groups") == ["staff,user"]
    assert field_of(answer, "Authorization") == field_of(answer, "X_Forwarded_User") == []


async def test_without_credentials_nothing_reaches_the_application(
    gateway_factory: GatewayFactory, recorder: Recorder
) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url))
    program = await gateway.get("/x?y=1", host="app.localhost")
    assert (program.status, program.json["code"]) == (401, "unauthenticated")
    assert program.headers["WWW-Authenticate"].startswith("Bearer")
    person = await gateway.get("/x?y=1", host="app.localhost", headers=BROWSER)
    back = f"http%3A%2F%2Fapp.localhost%3A{gateway.port}%2Fx%3Fy%3D1"
    assert (person.status, person.location) == (302, f"{gateway.origin}/login?rd={back}")
    assert recorder.requests == []


async def test_a_socket_ends_with_its_session(gateway_factory: GatewayFactory, echo: str) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", echo))
    ann = await gateway.user("ann")
    cookie = await gateway.session(ann, "app.localhost")
    host = f"app.localhost:{gateway.port}"
    headers = {"Host": host, "Cookie": f"gateway={cookie}", "Origin": f"http://{host}"}
    url = f"http://127.0.0.1:{gateway.port}/socket"
    async with gateway.client.ws_connect(url, headers=headers) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=5) == "hello"
        await gateway.gateway.accounts.sessions.revoke_account(ann.id)
        message = await socket.receive(timeout=5)
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}
    for wrong in ({**headers, "Origin": "http://evil.example"}, {"Host": host, "Cookie": headers["Cookie"]}):
        with pytest.raises(WSServerHandshakeError) as refused:
            await gateway.client.ws_connect(url, headers=wrong)
        assert refused.value.status in {401, 403}
