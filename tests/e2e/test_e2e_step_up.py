"""Step-up through a whole gateway: the proxy, its fast lane, decisions for others, login pages, applications."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from gateway.accounts.sessions import Login
from gateway.accounts.user import User
from tests.fake_clock import RunningClock
from tests.gateways import BROWSER, Answer, GatewayFactory, Recorder, Running

YAML = """
server: {{trusted_proxies: [127.0.0.1]}}
routes:
  - match: {{host: localhost, path: /strong/**}}
    require: {{mfa: true}}
    upstream: {url}
  - match: {{host: [localhost, app.localhost], path: /recent/**}}
    require: {{max_auth_age: 15m}}
    upstream: {url}
  - match: {{host: app.localhost, path: /strong/**}}
    require: {{mfa: true}}
    upstream: {url}
"""
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
async def running(gateway_factory: GatewayFactory, recorder: Recorder, clock: RunningClock) -> Running:
    return await gateway_factory(YAML.format(url=recorder.url), clock=clock)


async def session(running: Running, user: User, *methods: str, host: str = "localhost") -> str:
    login = Login(user.id, host, running.gateway.clock.now(), methods=methods or ("pwd",))
    secret, _ = await running.gateway.accounts.sessions.create(login)
    return secret


async def app_of(running: Running, user: User) -> pyotp.TOTP:
    """Set up an authenticator app; its first code is used."""
    factors, now = running.gateway.accounts.second_factors, running.gateway.clock.now()
    begun = await factors.begin_totp(user, "Phone")
    app = pyotp.TOTP(begun.secret)
    assert await factors.prove_totp(user, begun.id, app.at(now - timedelta(seconds=30))) is not None
    return app


def asked(answer: Answer) -> dict[str, list[str]]:
    assert answer.status in {302, 401}, answer.text
    query = parse_qs(urlsplit(answer.location).query)
    query.pop("rd")
    return query


@pytest.mark.parametrize("times", [1, 3], ids=["plain path", "fast lane"])
async def test_a_route_takes_a_second_factor(running: Running, times: int) -> None:
    ann = await running.user()
    one, two = await session(running, ann), await session(running, ann, "pwd", "otp", "mfa")
    for _ in range(times):
        program = await running.get("/strong/x", cookie=one)
        assert (program.status, program.json["code"]) == (401, "step_up_required")
        assert 'acr_values="aal2"' in program.headers["WWW-Authenticate"]
        assert asked(await running.get("/strong/x", cookie=one, headers=BROWSER)) == {"prompt": ["mfa"]}
        assert (await running.get("/strong/x", cookie=two)).status == 200


@pytest.mark.parametrize("times", [1, 3], ids=["plain path", "fast lane"])
async def test_a_route_takes_a_recent_sign_in(running: Running, clock: RunningClock, times: int) -> None:
    ann = await running.user()
    cookie, token = await session(running, ann), await running.token(ann)
    for _ in range(times):
        assert (await running.get("/recent/x", cookie=cookie)).status == 200
        assert (await running.get("/recent/x", token=token)).status == 200
    clock.advance(timedelta(minutes=14))
    assert (await running.get("/recent/x", cookie=cookie)).status == 200
    # The very next request, whatever was remembered of those before.
    clock.advance(timedelta(minutes=2))
    for _ in range(times):
        answer = await running.get("/recent/x", cookie=cookie)
        assert (answer.status, answer.json["code"]) == (401, "step_up_required")
        assert asked(await running.get("/recent/x", cookie=cookie, headers=BROWSER)) == {"max_age": ["900"]}


async def test_api_tokens_are_no_sign_in(running: Running) -> None:
    _, token = await running.api_token(await running.user())
    for path in ("/strong/x", "/recent/x"):
        assert (await running.get(path, token=token)).status == 403


@pytest.mark.parametrize(("path", "query"), [("/strong/x", "prompt=mfa"), ("/recent/x", "max_age=900")])
async def test_other_proxies_are_told_the_same(running: Running, clock: RunningClock, path: str, query: str) -> None:
    ann = await running.user()
    cookie, strong = await session(running, ann), await session(running, ann, "pwd", "otp", "mfa")
    about = {"X-Original-URL": f"{running.origin}{path}", "X-Original-Method": "GET"}
    assert (await running.get("/.gateway/authz/nginx", cookie=strong, headers=about)).status == 200
    clock.advance(timedelta(minutes=16))
    answer = await running.get("/.gateway/authz/nginx", cookie=cookie, headers=about)
    assert answer.status == 401
    assert answer.location.endswith(f"&{query}")
    forward = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": f"localhost:{running.port}",
        "X-Forwarded-Uri": path,
        **BROWSER,
    }
    answer = await running.get("/.gateway/authz/forward", cookie=cookie, headers=forward)
    assert answer.status == 302
    assert answer.location.endswith(f"&{query}")


async def test_the_second_factor_is_asked_for_and_leads_back(running: Running, clock: RunningClock) -> None:
    ann = await running.user()
    app, cookie = await app_of(running, ann), await session(running, ann)
    stopped = await running.get("/strong/x?y=1", cookie=cookie, headers=BROWSER)
    login = urlsplit(stopped.location)
    step = await running.get(f"{login.path}?{login.query}", cookie=cookie, headers=BROWSER)
    assert step.location.startswith("/login/second-factor?rd=")
    jar = f"gateway={cookie}; gateway-login={step.cookie('gateway-login')}"
    page = await running.get(step.location, headers={**BROWSER, "Cookie": jar})
    jar += f"; gateway-form={page.cookie('gateway-form')}"
    found = TOKEN.search(page.text)
    assert found, page.text
    clock.advance(60)
    data = {"csrf_token": found[1], "code": app.at(clock.now())}
    # What adds to a session needs that session still.
    alone = jar.replace(f"gateway={cookie}; ", "")
    assert (await running.send("GET", "/strong/x", headers={"Cookie": alone})).status == 401
    done = await running.send("POST", step.location, data=data, headers={**BROWSER, "Cookie": jar})
    assert (done.status, done.location) == (303, f"{running.origin}/strong/x?y=1")
    fresh = done.cookie()
    assert fresh not in {"", cookie}
    assert (await running.get("/strong/x", cookie=fresh)).status == 200
    assert (await running.get("/strong/x", cookie=cookie)).status == 401
    owner = await running.gateway.accounts.sessions.find(fresh, "localhost")
    assert owner is not None
    assert owner.session.methods == ("pwd", "otp", "mfa")
    # The password was not typed again: the sign-in is as old as it was.
    assert clock.now() - owner.session.authenticated_at >= timedelta(seconds=60)


async def test_a_step_up_ends_with_the_session_that_it_adds_to(running: Running, clock: RunningClock) -> None:
    ann = await running.user()
    app, cookie = await app_of(running, ann), await session(running, ann)
    step = await running.get("/login?prompt=mfa", cookie=cookie, headers=BROWSER)
    jar = f"gateway={cookie}; gateway-login={step.cookie('gateway-login')}"
    page = await running.get(step.location, headers={**BROWSER, "Cookie": jar})
    found = TOKEN.search(page.text)
    assert found
    owner = await running.gateway.accounts.sessions.find(cookie, "localhost")
    assert owner is not None
    await running.gateway.accounts.sessions.revoke_login(owner.session.login_id)
    clock.advance(60)
    jar += f"; gateway-form={page.cookie('gateway-form')}"
    data = {"csrf_token": found[1], "code": app.at(clock.now())}
    done = await running.send("POST", step.location, data=data, headers={**BROWSER, "Cookie": jar})
    assert done.location.startswith("/login")
    assert not done.cookie()


async def test_whoever_has_no_second_factor_sets_one_up(running: Running) -> None:
    cookie = await session(running, await running.user())
    step = await running.get("/login?prompt=mfa", cookie=cookie, headers=BROWSER)
    assert step.location == "/login/enrol"


async def test_whoever_signed_in_recently_enough_goes_on(running: Running, clock: RunningClock) -> None:
    cookie = await session(running, await running.user(), "pwd", "otp", "mfa")
    for query in ("prompt=mfa", "max_age=900", "max_age=x", "max_age=99999999999"):
        assert (await running.get(f"/login?rd=/recent/x&{query}", cookie=cookie, headers=BROWSER)).status == 302, query
    clock.advance(timedelta(minutes=16))
    assert (await running.get("/login?rd=/recent/x&max_age=900", cookie=cookie, headers=BROWSER)).status == 200


async def test_the_step_reaches_the_host_that_asked(running: Running) -> None:
    """The other host's session is older than the portal's: it is replaced, or the browser would go round for ever."""
    ann = await running.user()
    login = Login(ann.id, "localhost", running.gateway.clock.now(), methods=("pwd", "otp", "mfa"))
    strong, portal = await running.gateway.accounts.sessions.create(login)
    weak_login = Login(ann.id, "app.localhost", portal.authenticated_at)
    weak, _ = await running.gateway.accounts.sessions.create(weak_login, continues=portal.login_id)
    start = await running.get("/.gateway/start?rd=/strong/x", host="app.localhost", cookie=weak, headers=BROWSER)
    nonce, at = start.cookie("gateway-nonce"), urlsplit(start.location)
    ticket = urlsplit((await running.get(f"{at.path}?{at.query}", cookie=strong, headers=BROWSER)).location)
    jar = {"Cookie": f"gateway={weak}; gateway-nonce={nonce}", **BROWSER}
    back = await running.send("GET", f"{ticket.path}?{ticket.query}", host="app.localhost", headers=jar)
    assert back.cookie() not in {"", weak}
    assert (await running.get("/strong/x", host="app.localhost", cookie=back.cookie())).status == 200
    assert (await running.get("/strong/x", host="app.localhost", cookie=weak)).status == 401
