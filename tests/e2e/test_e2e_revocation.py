"""A right that is taken away is gone at the next request, however warm the cache; and without a database, at once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import zlib
from collections.abc import Awaitable, Callable

from jwcrypto import jwk, jwt

from gateway.accounts.changes import Changes
from gateway.accounts.user import User
from tests.gateways import Cable, GatewayFactory, Recorder, Running, database_url

ROUTES = """
database: {max_staleness: 1500ms}
routes:
  - {match: {host: app.localhost, path: /public/**}, access: public, upstream: "URL"}
  - {match: {host: app.localhost, path: /staff/**}, require: {roles: [staff]}, upstream: "URL"}
  - {match: {host: app.localhost}, identity: {assertion: {audience: app}}, upstream: "URL"}
"""
Make = Callable[[User], Awaitable[dict[str, str]]]
End = Callable[[User, dict[str, str]], Awaitable[None]]
# Of the right form, with its checksum; nobody has it.
UNKNOWN = f"gwt_{'a' * 59}{zlib.crc32(b'a' * 59):08x}"


async def statuses(gateway: Running, path: str = "/x", **credential: str) -> list[int]:
    """Ask twice, so that the second answer comes from the cache where there is one."""
    return [(await gateway.get(path, host="app.localhost", **credential)).status for _ in range(2)]


async def test_what_is_taken_away_is_gone_at_the_next_request(
    gateway_factory: GatewayFactory, recorder: Recorder
) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url))
    root = await gateway.token(await gateway.user("root", "admin"))

    async def log_out(_: User, credential: dict[str, str]) -> None:
        assert (await gateway.post("/api/v1/auth/logout", token=credential["token"])).status == 200

    async def disable(user: User, _: dict[str, str]) -> None:
        changed = await gateway.send("PUT", f"/api/v1/users/{user.id}", token=root, json={"is_active": False})
        assert changed.status == 200

    async def delete(user: User, _: dict[str, str]) -> None:
        assert (await gateway.send("DELETE", f"/api/v1/users/{user.id}", token=root)).status == 204

    async def new_password(user: User, _: dict[str, str]) -> None:
        await gateway.gateway.accounts.users.change(user.id, Changes(password="another good one"))

    async def delete_token(user: User, credential: dict[str, str]) -> None:
        path = f"/api/v1/users/{user.id}/api-tokens/{credential['token'][4:20]}"
        assert (await gateway.send("DELETE", path, token=root)).status == 200

    async def revoke_session(user: User, _: dict[str, str]) -> None:
        [session] = await gateway.gateway.accounts.sessions.list_for(user.id)
        await gateway.gateway.accounts.sessions.revoke(session.id)

    async def bearer(user: User) -> dict[str, str]:
        return {"token": await gateway.token(user)}

    async def api_token(user: User) -> dict[str, str]:
        return {"token": (await gateway.api_token(user))[1]}

    async def session(user: User) -> dict[str, str]:
        return {"cookie": await gateway.session(user, "app.localhost")}

    table: list[tuple[Make, End]] = [
        (bearer, log_out),
        (bearer, disable),
        (bearer, delete),
        (bearer, new_password),
        (session, disable),
        (session, delete),
        (session, new_password),
        (session, revoke_session),
        (api_token, disable),
        (api_token, delete),
        (api_token, delete_token),
    ]
    for number, (make, end) in enumerate(table):
        user = await gateway.user(f"user-{number}")
        credential = await make(user)
        assert await statuses(gateway, **credential) == [200, 200]
        await end(user, credential)
        assert await statuses(gateway, **credential) == [401, 401], (make.__name__, end.__name__)


async def test_a_demotion_holds_at_the_next_request(gateway_factory: GatewayFactory, recorder: Recorder) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url))
    ann = await gateway.user("ann", "staff", "user")
    root = await gateway.token(await gateway.user("root", "admin"))
    credentials = [
        {"token": await gateway.token(ann)},
        {"token": (await gateway.api_token(ann))[1]},
        {"cookie": await gateway.session(ann, "app.localhost")},
    ]
    for credential in credentials:
        assert await statuses(gateway, "/staff/x", **credential) == [200, 200]
    await gateway.send("PUT", f"/api/v1/users/{ann.id}", token=root, json={"roles": ["user"]})
    for credential in credentials:
        assert await statuses(gateway, "/staff/x", **credential) == [403, 403]
        assert await statuses(gateway, "/x", **credential) == [200, 200]
        assert recorder.field("X-Forwarded-Groups") == ["user"]


async def command(gateway: Running, *arguments: str) -> str:
    """Run a command of the gateway in a process of its own; give what it prints."""
    environ = {**os.environ, "GATEWAY_DATABASE__URL": database_url_of(gateway)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from gateway.cli import main; main()", "-c", str(gateway.config), *arguments),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def database_url_of(gateway: Running) -> str:
    url = gateway.gateway.settings.database.url
    assert url is not None
    return url.get_secret_value()


async def until_refused(gateway: Running, **credential: str) -> float:
    """Return after how many seconds a credential is refused."""
    started = time.monotonic()
    while (await gateway.get("/x", host="app.localhost", **credential)).status != 401:
        assert time.monotonic() - started < 5
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def test_what_a_command_takes_away_is_gone_here(gateway_factory: GatewayFactory, recorder: Recorder) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url).replace("1500ms", "30s"))
    ann, bob = await gateway.user("ann"), await gateway.user("bob")
    session = {"cookie": await gateway.session(ann, "app.localhost")}
    token_id, text = await gateway.api_token(ann)
    bobs = {"token": await gateway.token(bob)}
    for credential in (session, {"token": text}, bobs):
        assert await statuses(gateway, **credential) == [200, 200]
    await command(gateway, "session", "revoke", "ann")
    assert await until_refused(gateway, **session) < 1.5
    assert await statuses(gateway, token=text) == [200, 200]
    await command(gateway, "token", "revoke", "ann", token_id)
    assert await until_refused(gateway, token=text) < 1.5
    await command(gateway, "user", "disable", "bob")
    assert await until_refused(gateway, **bobs) < 1.5


async def test_another_gateway_hears_of_it(gateway_factory: GatewayFactory, recorder: Recorder) -> None:
    configuration = ROUTES.replace("URL", recorder.url)
    one, other = await gateway_factory(configuration), await gateway_factory(configuration)
    ann = await one.user("ann")
    cookie = await one.session(ann, "app.localhost")
    for gateway in (one, other):
        assert await statuses(gateway, cookie=cookie) == [200, 200]
    assert (await one.gateway.accounts.sessions.revoke_account(ann.id)) == 1
    assert await statuses(one, cookie=cookie) == [401, 401]
    assert await until_refused(other, cookie=cookie) < 1.5


async def test_without_a_database_nobody_is_let_in_and_the_public_goes_on(
    gateway_factory: GatewayFactory, recorder: Recorder, cable: Cable
) -> None:
    through = database_url(gateway_factory.dsn_args, f"127.0.0.1:{cable.port}")
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url), database=through)
    ann = await gateway.user("ann")
    credentials = [{"token": await gateway.token(ann)}, {"cookie": await gateway.session(ann, "app.localhost")}]
    for credential in credentials:
        assert await statuses(gateway, **credential) == [200, 200]
    await cable.cut()
    await asyncio.sleep(1.6)  # max_staleness: what is cached is believed no longer than this
    before = len(recorder.requests)
    for credential in [*credentials, {"token": UNKNOWN}]:
        answer = await gateway.get("/x", host="app.localhost", **credential)
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert "Retry-After" in answer.headers
    assert len(recorder.requests) == before
    assert await statuses(gateway, "/public/x") == [200, 200]
    assert await statuses(gateway) == [401, 401]
    for path, document in {
        "/api/v1/users/login": {"username": "ann", "password": "x"},
        "/api/v1/users/register": {"username": "bob", "email": "bob@example.com", "password": "long enough"},
    }.items():
        assert (await gateway.post(path, document)).status == 503
    assert (await gateway.get("/.well-known/jwks.json")).status == 200
    await cable.mend()
    deadline = time.monotonic() + 10
    while await statuses(gateway, **credentials[0]) != [200, 200]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert await statuses(gateway, **credentials[1]) == [200, 200]


async def test_the_assertion_verifies_with_the_published_keys(
    gateway_factory: GatewayFactory, recorder: Recorder
) -> None:
    gateway = await gateway_factory(ROUTES.replace("URL", recorder.url))
    ann = await gateway.user("ann", "staff")
    token = await gateway.token(ann)
    await gateway.get("/x", host="app.localhost", token=token, headers={"X-Gateway-Assertion": "forged"})
    [assertion] = recorder.field("X-Gateway-Assertion")
    keys = jwk.JWKSet.from_json((await gateway.get("/.well-known/jwks.json")).text)
    verified = jwt.JWT(jwt=assertion, key=keys, algs=["ES256"], check_claims={"aud": "app", "iss": gateway.origin})
    claims = json.loads(verified.claims)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (ann.id, 300)
    # It is no access token, neither here nor for another application.
    assert (await gateway.get("/x", host="app.localhost", token=assertion)).status == 401
    assert (await gateway.get("/api/me", token=assertion)).status == 401
