"""Every address that the portal answers: known to the tables of bad input, safe headers, and no word taken on trust."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from aiohttp import web

from gateway.accounts.user import User
from tests.gateways import BROWSER, Answer, GatewayFactory, Running
from tests.naughty.test_naughty_forms import BROKEN, BUTTONS, MAIL, MARKUP, OAUTH, PROVIDERS, SHAPES
from tests.naughty.test_naughty_json import ENDPOINTS

CONFIG = f"""
oauth: {{registration: open}}
providers: {{corp: {{issuer: "https://id.example.com", client_id: wiki}}}}
{MAIL}"""
# They take no body: what is in their address is tried below.
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# Documents that are for everybody and change with the configuration alone.
PUBLIC = re.compile(r"/\.well-known/|/oauth/jwks$|/api/docs|/api/openapi")
PARAMETERS = (
    "rd", "handover", "ticket", "state", "code", "token", "prompt", "max_age", "login_hint", "done", "search", "page",
    "limit", "offset", "sort", "user_code", "client_id", "request_uri", "id_token_hint", "post_logout_redirect_uri",
)  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": re.compile("nosniff"),
    "X-Frame-Options": re.compile("DENY"),
    "Referrer-Policy": re.compile("same-origin|no-referrer"),
    "Content-Security-Policy": re.compile(r"default-src 'none'.*frame-ancestors 'none'"),
    "Server": re.compile("gateway"),
}


@dataclass
class Scene:
    running: Running
    root: User
    cookie: str
    token: str

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Return the method and the pattern of every route."""
        application: web.Application = self.running.gateway.front._portal._application
        return sorted({(each.method, each.resource.canonical) for each in application.router.routes() if each.resource})

    async def ask(self, method: str, path: str, who: str) -> Answer:
        """Ask as nobody, with a session, or with a token."""
        headers = {**BROWSER, "Sec-Fetch-Site": "none"} if who == "session" else {}
        cookie, token = (self.cookie if who == "session" else ""), (self.token if who == "token" else "")
        return await self.running.send(method, path, headers=headers, cookie=cookie, token=token)


@pytest.fixture
async def scene(gateway_factory: GatewayFactory) -> Scene:
    running = await gateway_factory(CONFIG)
    root = await running.user("root", "admin")
    return Scene(running, root, await running.session(root), await running.token(root))


def filled(pattern: str, value: str) -> str:
    return re.sub(r"\{[^}]+\}", value, pattern)


def changing(routes: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    return {route for route in routes if route[0] not in WITHOUT_BODY}


async def test_every_form_and_endpoint_has_its_table_of_bad_input(scene: Scene) -> None:
    known = {("POST", shape.route) for shape in SHAPES}
    known |= {("POST", path) for path in BUTTONS}
    known |= {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    known |= {("POST", path) for path in OAUTH if path != "/oauth/register/{client_id}"}
    known |= {("POST", path) for path in PROVIDERS}
    known |= {("PUT", "/oauth/register/{client_id}")}
    assert changing(scene.routes) - known == set(), "no table says what they do with bad input"
    assert known - changing(scene.routes) == set(), "these are no more"


@pytest.mark.parametrize("who", ["nobody", "session", "token"])
async def test_every_answer_has_safe_headers(scene: Scene, who: str) -> None:
    """Pages, JSON, redirects, nothing at all, and errors."""
    seen = set()
    for method, pattern in scene.routes:
        if (method, pattern) in {("POST", "/account/sessions/end-all"), ("POST", "/api/v1/auth/logout")}:
            continue
        answer = await scene.ask(method, filled(pattern, "00000000-0000-4000-8000-000000000000"), who)
        what = (method, pattern, answer.status, answer.headers)
        assert answer.status < 500, what
        for name, expected in HEADERS.items():
            assert expected.search(answer.headers.get(name, "")), (name, what)
        assert PUBLIC.search(pattern) or "no-store" in answer.headers["Cache-Control"], what
        assert "Strict-Transport-Security" not in answer.headers, what
        seen.add(answer.status // 100)
    assert seen >= {2, 3, 4} if who != "token" else {2, 4}


@pytest.mark.parametrize("path", ["/login", "/api/v1/users/me", "/account", "/oauth/jwks"])
async def test_a_portal_that_is_on_https_alone_says_so(gateway_factory: GatewayFactory, path: str) -> None:
    running = await gateway_factory("", SERVER__PUBLIC_URL="https://auth.example.com")
    answer = await running.get(path, host="auth.example.com", headers=BROWSER)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("url", ["http://auth.example.com", "https://auth.example.com:8443"])
async def test_what_may_be_on_another_port_as_well_does_not(gateway_factory: GatewayFactory, url: str) -> None:
    running = await gateway_factory("", SERVER__PUBLIC_URL=url)
    assert "Strict-Transport-Security" not in (await running.get("/login", host="auth.example.com")).headers


@pytest.mark.parametrize("change", [change for change in BROKEN if change not in {"empty", "huge"}])
async def test_no_address_is_believed(scene: Scene, change: str) -> None:
    """In the path's places and in every parameter that some page reads."""
    value = BROKEN[change]
    query = "&".join(f"{name}={value[:300]}" for name in PARAMETERS)
    for method, pattern in scene.routes:
        if method not in {"GET", "DELETE"}:
            continue
        for path in {filled(pattern, value), f"{filled(pattern, str(scene.root.id))}?{query}"}:
            if method == "DELETE" and path.startswith(f"/api/v1/users/{scene.root.id}"):
                continue
            for who in ("session", "token"):
                answer = await scene.ask(method, path, who)
                assert answer.status < 500, (method, path, who, answer.status, answer.body[:300])
                assert MARKUP.encode() not in answer.body, (method, path, who)
                assert "X-Injected" not in answer.headers, (method, path, who)


@pytest.mark.parametrize("change", ["missing", *BROKEN])
async def test_no_form_is_taken_without_its_token(scene: Scene, change: str) -> None:
    sent = b"" if change == "missing" else f"csrf_token={BROKEN[change]}".encode()
    form = {**BROWSER, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    # An application's own page may sign out of that application by a link.
    for path in sorted({shape.route for shape in SHAPES} | BUTTONS - {"/.gateway/sign_out"}):
        url = filled(path, str(scene.root.id))
        answer = await scene.running.send("POST", url, headers=form, cookie=scene.cookie, data=io.BytesIO(sent))
        assert answer.status in {303, 400, 403, 404, 410, 413}, (path, answer.status)
        if answer.status == 303:
            assert answer.location.startswith(("/login", "/account")), (path, answer.location)
            assert path.startswith(("/login/", "/register")), path
    assert (await scene.ask("GET", "/account", "session")).status == 200
