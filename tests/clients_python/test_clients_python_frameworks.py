"""Every framework lets in, and keeps out, the same."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable

import pytest

from gateway_client import HEADER, User, check
from gateway_client.asgi import GatewayMiddleware
from gateway_client.errors import Refused
from gateway_client.keys import Keys
from tests.clients_python.apps import BUILD, aiohttp_app, fastapi_app, flask_app, starlette_app, with_keys
from tests.clients_python.drivers import over_aiohttp, over_asgi, over_wsgi, scope_of, sent_by_asgi
from tests.clients_python.signing import STRANGER, Published, assertion, claims, verifier

PLAIN = [
    ("X-Forwarded-User", "root"),
    ("X-Forwarded-Groups", "staff"),
    ("Remote-User", "root"),
    ("X-Auth-Request-User", "root"),
    ("Authorization", "Basic cm9vdDpyb290"),
]
every_framework = pytest.mark.parametrize("name", BUILD)


def sign(**changes: object) -> list[tuple[str, str]]:
    return [(HEADER, assertion(**changes))]  # type: ignore[arg-type]  # claims are what the test wants


@every_framework
async def test_it_knows_who_asks(name: str) -> None:
    reply = await BUILD[name](verifier())("/", sign())
    assert (reply.status, reply.text) == (200, "ann")


@every_framework
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(list, id="nothing"),
        pytest.param(lambda: PLAIN, id="plain headers"),
        pytest.param(lambda: [(HEADER, "ann")], id="no token"),
        pytest.param(lambda: [(HEADER, "")], id="an empty one"),
        pytest.param(lambda: [(HEADER, assertion(key=STRANGER))], id="a strangers signature"),
        pytest.param(lambda: [(HEADER, assertion(aud="mail"))], id="for another application"),
        pytest.param(lambda: [(HEADER, assertion()), (HEADER, assertion())], id="two"),
        pytest.param(lambda: [(HEADER, assertion()), *PLAIN, (HEADER, "x")], id="one of two"),
    ],
)
async def test_nobody_else_gets_in(name: str, make: Callable[[], list[tuple[str, str]]]) -> None:
    for path in ("/", "/staff", "/missing"):
        reply = await BUILD[name](verifier())(path, make())
        assert (reply.status, reply.code) == (401, "unauthenticated")
        assert reply.headers["www-authenticate"].startswith("Gateway-Assertion ")
        assert reply.headers["cache-control"] == "no-store"


@every_framework
@pytest.mark.parametrize(
    ("path", "said", "status"),
    [
        pytest.param("/staff", {"roles": ["staff"]}, 200, id="one of the roles"),
        pytest.param("/staff", {"roles": ["user"]}, 403, id="another role"),
        pytest.param("/staff", {"roles": []}, 403, id="no role"),
        pytest.param("/write", {"scope": "read write"}, 200, id="the scope"),
        pytest.param("/write", {"scope": "read"}, 403, id="another scope"),
        pytest.param("/write", {"scope": ""}, 403, id="no scope"),
        pytest.param("/write", {}, 200, id="not limited by scopes"),
    ],
)
async def test_roles_and_scopes_decide(name: str, path: str, said: dict[str, object], status: int) -> None:
    reply = await BUILD[name](verifier())(path, sign(**said))
    assert reply.status == status
    assert (reply.text == "ann") is (status == 200)


@every_framework
async def test_the_anonymous_get_in_where_that_is_said_and_no_further(name: str) -> None:
    ask = BUILD[name](verifier(), anonymous=True)
    reply = await ask("/", PLAIN)
    assert (reply.status, reply.text) == (200, "nobody")
    assert (await ask("/staff", PLAIN)).status == 401
    assert (await ask("/", [(HEADER, assertion(key=STRANGER))])).status == 401


@every_framework
async def test_open_paths_are_open_alone(name: str) -> None:
    ask = BUILD[name](verifier(), open_paths=["/"])
    assert (await ask("/", [])).text == "nobody"
    assert (await ask("/", sign())).text == "ann"
    assert (await ask("/staff", [])).status == 401
    assert (await ask("/", [(HEADER, "x")])).status == 401


@every_framework
async def test_without_keys_the_answer_is_that_nobody_can_be_told(name: str) -> None:
    reply = await BUILD[name](with_keys(Keys(Published(down=True))))("/", sign())
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "5")


async def test_frameworks_answer_a_missing_role_in_their_way() -> None:
    for ask in (over_wsgi(flask_app(verifier())), over_aiohttp(aiohttp_app(verifier()))):
        assert (await ask("/staff", sign(roles=[]))).code == "missing_role"
    reply = await over_asgi(fastapi_app(verifier()))("/staff", sign(roles=[]))
    assert json.loads(reply.body) == {"detail": "You do not have a role that this needs."}


async def test_the_answer_does_not_tell_why_and_the_log_does(caplog: pytest.LogCaptureFixture) -> None:
    wrong = assertion(aud="mail")
    reply = await BUILD["flask"](verifier())("/", [(HEADER, wrong)])
    assert "audience" not in reply.text
    assert "wrong_audience" in caplog.text
    assert wrong not in caplog.text


@pytest.mark.parametrize(
    ("path", "said", "sent"),
    [
        pytest.param("/socket", {}, "ann", id="with an assertion"),
        pytest.param("/socket", None, None, id="without"),
        pytest.param("/boss", {}, None, id="without the role"),
        pytest.param("/boss", {"roles": ["boss"]}, "ann", id="with the role"),
    ],
)
async def test_websockets_open_for_users_alone(path: str, said: dict[str, object] | None, sent: str | None) -> None:
    scope = scope_of("websocket", path, PLAIN if said is None else [*PLAIN, *sign(**said)])
    messages = await sent_by_asgi(starlette_app(verifier()), scope, [{"type": "websocket.connect"}])
    texts = [each["text"] for each in messages if each["type"] == "websocket.send"]
    assert texts == ([] if sent is None else [sent])
    if sent is None:
        assert [(each["type"], each["code"]) for each in messages] == [("websocket.close", 1008)]


async def test_what_is_no_request_passes_and_what_is_unknown_does_not() -> None:
    reached: list[str] = []

    async def app(scope: dict[str, object], _receive: object, _send: object) -> None:
        reached.append(str(scope["type"]))

    guarded = GatewayMiddleware(app, verifier())  # type: ignore[arg-type]  # it is never sent anything
    await sent_by_asgi(guarded, {"type": "lifespan"}, [])
    with pytest.raises(KeyError):
        await sent_by_asgi(guarded, {"type": "carrier-pigeon"}, [])
    assert reached == ["lifespan"]


MISSING = {
    "wsgi": ({}, KeyError),
    "asgi": ({}, KeyError),
    "django": (object(), AttributeError),
}


@pytest.mark.parametrize("name", MISSING)
def test_without_the_middleware_there_is_an_error_and_not_nobody(name: str) -> None:
    request, error = MISSING[name]
    with pytest.raises(error):
        importlib.import_module(f"gateway_client.{name}").current_user(request)


def ann(**changes: object) -> User:
    return verifier().verify(assertion(**changes))  # type: ignore[arg-type]  # claims are what the test wants


def test_names_that_are_one_text_are_a_mistake() -> None:
    with pytest.raises(TypeError):
        check(ann(), roles="staff")
    with pytest.raises(TypeError):
        check(ann(), scopes="write")


def test_all_scopes_are_needed_and_any_role_will_do() -> None:
    user = ann(scope="read write")
    assert check(user, roles=["boss", "staff"], scopes=["read", "write"]) is user
    with pytest.raises(Refused) as refused:
        check(user, scopes=["read", "write", "delete"])
    assert (refused.value.status, refused.value.code) == (403, "missing_scope")
    assert claims()["sub"] == user.id
