"""Every field of every form, as nobody should send it: the page says which field it is, and nothing has happened."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit
from uuid import UUID

import pyotp
import pytest

from gateway.accounts.user import User
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Rights
from tests.gateways import BROWSER, PASSWORD, Answer, GatewayFactory, Running
from tests.oauth.browser import Browser

MARKUP = "<script>alert(1)</script>"
# Values as they stand in the body, encoded already.
BROKEN: Mapping[str, str] = {
    "empty": "",
    "nul": "hello%00world",
    "not-utf-8": "hello%ff%feworld",
    "half-a-surrogate": "hello%ed%a0%80world",
    "bidi": quote("\u202egnp.exe"),
    "control": "a%07%0d%0aX-Injected:%20yes",
    "emoji": quote("🙂🦊🌳🚀🙃🐢🎈🎯"),
    "sql": quote("' or 1=1; --"),
    "markup": quote(MARKUP),
    "template": quote("{{7*7}}${7*7}%(x)s{0}"),
    "long": "a" * 3000,
    "huge": "a" * 2**20,
}
CHANGES = ("missing", "doubled", *BROKEN)
# Read as one replacement character or two, these are words like others.
UNREADABLE = frozenset({"not-utf-8", "half-a-surrogate"})
NAME = frozenset({"emoji", "sql", "markup", "template"}) | UNREADABLE
SECRET = NAME | {"bidi", "control", "nul"}
# RFC 6749 section 3.3 lets them be made of nearly anything.
SCOPES = frozenset({"empty", "missing", "sql", "markup", "template"})
EVERYTHING = frozenset(CHANGES) - {"huge", "doubled"}
CONFIG = """
login: {max_failures: 10000, per_ip: 100000, per_network: 100000}
sessions: {max_per_user: 1000}
oauth: {registration: open}
"""
MAIL = """
mail: {url: "smtp://127.0.0.1:1?tls=none", from: wiki@example.com}
"""
REFUSED = frozenset({400, 401, 403, 409, 410})
DONE = frozenset({200, 303})
# A login that waits is over after a few wrong guesses.
USED_UP = frozenset({"proving", "enrolling", "adding"})

_PASSKEY = """
    insert into passkey (credential_id, account_id, name, public_key, sign_count, transports, discoverable, created_at)
    values ($1::uuid::text::bytea, $1, 'Key', '', 0, '{}', true, now())
"""


@dataclass(frozen=True)
class Field:
    """A field with a right value (``{n}`` is counted up); ``takes`` are the changes that are as right.

    A guess at a secret, and a value that only our own page can have put there, is refused without naming the field.
    """

    good: str = ""
    takes: frozenset[str] = frozenset()
    unnamed: bool = False


@dataclass(frozen=True)
class Shape:
    """A form: the page that shows it, where it is sent, who sends it."""

    route: str
    page: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    who: str = ""
    config: str = CONFIG

    def __str__(self) -> str:
        return self.route


GUESS = Field(unnamed=True)
ANYTHING = Field(takes=EVERYTHING)
NEW_PASSWORD = Field("a good new password {n}", SECRET)
CLIENT = {
    "client_name": Field("Wiki", NAME),
    "redirect_uris": Field("https://wiki.example.com/callback"),
    "grant_authorization_code": Field("yes", EVERYTHING),
    "grant_refresh_token": Field("yes", EVERYTHING),
    "grant_device_code": ANYTHING,
    "grant_client_credentials": ANYTHING,
    "token_endpoint_auth_method": Field("client_secret_basic", frozenset({"missing", "empty"})),
    "scope": Field("openid", SCOPES),
    "post_logout_redirect_uris": Field("https://wiki.example.com/", frozenset({"missing", "empty"})),
    "backchannel_logout_uri": Field("https://wiki.example.com/out", frozenset({"missing", "empty"})),
    "client_uri": Field("https://wiki.example.com/", frozenset({"missing", "empty"})),
    "policy_uri": Field("https://wiki.example.com/privacy", frozenset({"missing", "empty"})),
    "tos_uri": Field("https://wiki.example.com/terms", frozenset({"missing", "empty"})),
    "id_token_signed_response_alg": Field("ES256", frozenset({"missing", "empty"})),
    "pairwise": Field("", EVERYTHING),
    "jwks_uri": Field("", frozenset({"missing", "empty"})),
    "jwks": Field("", frozenset({"missing", "empty"})),
}
BY_ADMIN = {
    **CLIENT,
    "grant_password": ANYTHING,
    "grant_implicit": ANYTHING,
    "first_party": ANYTHING,
    "opens_routes": ANYTHING,
    "may_introspect": ANYTHING,
    "requires_pkce": Field("yes", EVERYTHING),
    "access_token_lifetime": Field("600", frozenset({"missing", "empty"})),
    "refresh_token_lifetime": Field("86400", frozenset({"missing", "empty"})),
}
OWN, ALL, USERS = "/account/clients", "/admin/clients", "/admin/users"
SECURITY = "/account/security"
SHAPES = (
    Shape("/login", "/login", {"username": GUESS, "password": GUESS, "remember": GUESS}),
    Shape("/login/passkey", "/login", {"credential": GUESS}),
    Shape("/login/second-factor", "/login/second-factor", {"code": Field(), "trust": GUESS}, who="proving"),
    Shape("/login/second-factor/passkey", "/login/second-factor", {"credential": GUESS}, who="proving"),
    Shape("/login/enrol", "/login/enrol", {"app": GUESS, "code": Field()}, who="enrolling"),
    Shape("/login/enrol/passkey", "/login/enrol", {"credential": GUESS}, who="enrolling"),
    Shape(
        "/register",
        "/register",
        {"username": Field("user-{n}"), "email": Field("user-{n}@example.com"), "password": NEW_PASSWORD},
    ),
    Shape(
        "/forgot",
        "/forgot",
        # Everybody is answered alike, or it would tell who has an account.
        {"username": Field("ann", EVERYTHING - {"missing", "empty"})},
        config=CONFIG + MAIL,
    ),
    Shape("/reset", "{reset}", {"token": GUESS, "username": ANYTHING, "password": NEW_PASSWORD}, config=CONFIG + MAIL),
    Shape("/verify", "{verify}", {"token": GUESS}, config=CONFIG + MAIL),
    Shape(
        "/invite",
        "{invite}",
        {"token": GUESS, "username": Field("user-{n}"), "password": NEW_PASSWORD},
        config=CONFIG + MAIL,
    ),
    Shape(
        "/account/profile",
        "/account/profile",
        {
            "name": Field("Ann", NAME | {"empty", "missing"}),
            "username": Field("ann-{n}", frozenset({"missing"})),
            "language": Field("en", frozenset({"empty", "missing"})),
        },
        who="somebody",
    ),
    Shape("/account/profile/email", "/account/profile", {"email": Field("ann-{n}@example.com")}, who="somebody"),
    Shape(
        "/account/password",
        "/account/password",
        {"username": ANYTHING, "current": Field(PASSWORD), "password": NEW_PASSWORD},
        who="somebody",
    ),
    Shape(
        "/account/tokens/new",
        "/account/tokens/new",
        {
            "name": Field("backup", NAME),
            "scopes": Field("read", SCOPES),
            "routes": Field("", frozenset({"empty", "missing"})),
            "hosts": Field("wiki.example.com", frozenset({"empty", "missing"})),
            "lifetime": Field("90d", frozenset({"missing"})),
        },
        who="ann",
    ),
    Shape(
        f"{SECURITY}/app",
        f"{SECURITY}/app",
        {"app": GUESS, "name": Field("Phone", unnamed=True), "code": Field()},
        who="adding",
    ),
    Shape(f"{SECURITY}/passkeys", f"{SECURITY}/passkeys/new", {"credential": GUESS, "name": GUESS}, who="ann"),
    Shape("/account/sessions/end", "/account/sessions", {"login": Field("", EVERYTHING)}, who="ann"),
    Shape("/account/data/delete", "/account/data/delete", {"username": Field("somebody-{n}")}, who="somebody"),
    Shape(f"{OWN}/new", f"{OWN}/new", CLIENT, who="somebody"),
    Shape(f"{OWN}/{{client}}/edit", f"{OWN}/{{own}}/edit", CLIENT, who="somebody"),
    Shape(f"{OWN}/{{client}}/rotate", f"{OWN}/{{own}}", {"overlap": Field("day", EVERYTHING)}, who="somebody"),
    Shape(f"{ALL}/new", f"{ALL}/new", BY_ADMIN, who="root"),
    Shape(f"{ALL}/{{client}}/edit", f"{ALL}/{{own}}/edit", BY_ADMIN, who="root"),
    Shape(f"{ALL}/{{client}}/rotate", f"{ALL}/{{own}}", {"overlap": Field("day", EVERYTHING)}, who="root"),
    Shape(f"{ALL}/{{client}}/active", f"{ALL}/{{own}}", {"active": Field("yes", EVERYTHING)}, who="root"),
    Shape(
        f"{USERS}/invite",
        USERS,
        {"email": Field("user-{n}@example.com"), "roles": Field("user", NAME | {"empty", "missing"})},
        who="root",
        config=CONFIG + MAIL,
    ),
    Shape(
        f"{USERS}/{{user}}/roles", f"{USERS}/{{ann}}", {"roles": Field("user", NAME | {"empty", "missing"})}, who="root"
    ),
    Shape("/account/security/passkeys/{id}/rename", SECURITY, {"name": Field("Key", NAME, unnamed=True)}, who="keyed"),
)
# Forms that are one button: nothing in them but the token, and the address.
BUTTONS = frozenset(
    {
        "/logout",
        "/.gateway/sign_out",
        "/login/passkey/options",
        "/login/second-factor/passkey/options",
        "/login/enrol/passkey/options",
        "/account/applications",
        "/account/profile/email/keep",
        "/account/tokens/{id}/delete",
        "/account/security/app/{id}/remove",
        "/account/security/recovery-codes",
        "/account/security/distrust",
        "/account/security/passkeys/options",
        "/account/security/passkeys/{id}/remove",
        "/account/logins/unlink",
        "/account/logins/link/{provider}",
        "/account/sessions/end-others",
        "/account/sessions/end-all",
        "/account/data/export",
        "/account/clients/{client}/delete",
        "/admin/clients/{client}/delete",
        "/admin/users/{user}/disable",
        "/admin/users/{user}/enable",
        "/admin/users/{user}/verify",
        "/admin/users/{user}/sign-out",
        "/admin/users/{user}/unlock",
    }
)
# Other providers post to them; tests/federation/test_federation_malicious.py and test_federation_logout.py have tables.
PROVIDERS = frozenset({"/login/callback/{provider}", "/login/logout/{provider}"})
# Their tables are in tests/oauth/test_oauth_bad_input.py and tests/oauth/test_oauth_bad_registration.py.
OAUTH = frozenset(
    {
        "/oauth/authorize",
        "/oauth/consent",
        "/oauth/device",
        "/oauth/device/decision",
        "/oauth/logout",
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/introspect",
        "/oauth/par",
        "/oauth/device_authorization",
        "/oauth/userinfo",
        "/oauth/register",
        "/oauth/register/{client_id}",
    }
)


class _Names(HTMLParser):
    """The forms of a page: where each is sent, its fields as they stand, and the names of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((named.get("action", ""), {}))
        elif self.forms and tag in {"input", "select", "textarea"} and named.get("name"):
            self.forms[-1][1][named["name"]] = named.get("value", "") if named.get("type") == "hidden" else ""


@dataclass
class Scene:
    """A gateway, people in every state that a form wants, and links from letters."""

    running: Running
    count: int = 0

    async def opened(self, shape: Shape) -> tuple[Browser, str, dict[str, str]]:
        """Open the page of a form as who sends it. Returns the browser, the form's address and its hidden values."""
        self.count += 1
        browser = Browser(self.running)
        people = self.running.gateway.accounts
        user = await self.person(shape.who)
        if shape.who in {"proving", "enrolling"}:
            secret = await people.pending_logins.begin(user, ("pwd",), must_enrol=shape.who == "enrolling", address="")
            browser.cookies["gateway-login"] = secret or ""
        elif shape.who:
            browser.cookies["gateway"] = await self.running.session(user)
        path = await self.filled(shape.page, user)
        page = await browser.send("GET", f"{self.running.origin}{path}", headers=BROWSER)
        assert page.status == 200, (str(shape), page.status, page.body[:300])
        names = _Names()
        names.feed(page.text)
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", shape.route) + "$")
        fitting = [form for form in names.forms if pattern.match(urlsplit(form[0] or path).path)]
        assert fitting, (str(shape), names.forms)
        action, hidden = fitting[0]
        # Forms that wait for a script take the token of the page's other form.
        hidden["csrf_token"] = next(fields["csrf_token"] for _, fields in names.forms if "csrf_token" in fields)
        assert set(hidden) == {*shape.fields, "csrf_token"}, f"{shape}: the table does not know the form's fields"
        return browser, f"{self.running.origin}{action or path}", hidden

    async def person(self, who: str) -> User:
        people = self.running.gateway.accounts
        name = f"somebody-{self.count}" if who in {"somebody", "keyed", *USED_UP} else who or "ann"
        user = await people.users.find(name) or await self.running.user(name, *(("admin",) if who == "root" else ()))
        if who == "proving":
            enrolment = await people.second_factors.begin_totp(user, "Phone")
            code = pyotp.TOTP(enrolment.secret).now()
            assert await people.second_factors.prove_totp(user, enrolment.id, code)
        if who in {"proving", "keyed"}:
            await self.running.gateway._database.execute(_PASSKEY, UUID(user.id))
        return user

    async def filled(self, path: str, user: User) -> str:
        """Fill in what a page's address names."""
        recovery = self.running.gateway.accounts.recovery
        if path == "{reset}":
            return _path(await recovery.forgotten.link(user))
        if path == "{verify}":
            return _path(await recovery.verification.link(user))
        if path == "{invite}":
            root = await self.person("root")
            made = await recovery.invitations.invite(f"new-{self.count}@example.com", None, invited_by=root.id)
            return _path(made.url)
        if "{own}" in path:
            owner_id = None if user.is_admin else user.id
            metadata = {"client_name": "Wiki", "redirect_uris": ["https://wiki.example.com/callback"]}
            issued = await self.running.gateway.registry.create(checked_metadata(metadata), Rights(), owner_id=owner_id)
            return path.replace("{own}", issued.client.id)
        return path.replace("{ann}", (await self.person("ann")).id) if "{ann}" in path else path

    def body(self, fields: Mapping[str, str], shape: Shape, name: str, change: str) -> bytes:
        """Encode the form, one field of it changed."""
        values = {key: each.good.replace("{n}", str(self.count)) or fields[key] for key, each in shape.fields.items()}
        values["csrf_token"] = fields["csrf_token"]
        pairs = [f"{key}={quote(value, safe='')}" for key, value in values.items() if key != name]
        if change == "doubled":
            pairs += [f"{name}={quote(values[name], safe='')}"] * 2
        elif change:
            pairs += [f"{name}={BROKEN[change]}"] if change != "missing" else []
        return "&".join(pairs).encode()


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _words(answer: Answer) -> str:
    """Return what a page says is wrong, for messages."""
    wrong = re.findall(r'<div class="alert".*?</div>|<p class="wrong".*?</p>', answer.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", " ".join(wrong)).split())


def assert_safe(answer: Answer, what: object) -> None:
    assert answer.status < 500, (what, answer.status, answer.body[:300])
    assert "X-Injected" not in answer.headers, what
    assert MARKUP.encode() not in answer.body, what
    assert b"Traceback" not in answer.body, what
    assert answer.headers["Cache-Control"] == "no-store", what


def assert_refused(answer: Answer, shape: Shape, name: str, change: str) -> None:
    """Hold a refusal to saying which field it is, where a person has filled that in."""
    what = (str(shape), name, change, answer.status, answer.headers.get("Location"))
    if change == "huge":
        assert answer.status == 413, what
    elif change == "doubled" or shape.fields[name].unnamed:
        assert answer.status in REFUSED, what
    else:
        assert answer.status in {400, 401}, what
        assert f'href="#{name}"' in answer.text or f'id="{name}-error"' in answer.text, (what, _words(answer))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_no_field_is_taken_as_nobody_should_send_it(gateway_factory: GatewayFactory, shape: Shape) -> None:
    scene = Scene(await gateway_factory(shape.config))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    browser, url, hidden = await scene.opened(shape)
    for name, each in shape.fields.items():
        for change in CHANGES:
            body = io.BytesIO(scene.body(hidden, shape, name, change))
            answer = await browser.send("POST", url, headers={**BROWSER, **form}, data=body)
            assert_safe(answer, (str(shape), name, change))
            if change in each.takes:
                assert answer.status in DONE, (str(shape), name, change, answer.status, _words(answer))
            else:
                assert_refused(answer, shape, name, change)
            if change in each.takes or shape.who in USED_UP:
                browser, url, hidden = await scene.opened(shape)
