"""Passkeys on the pages, with an authenticator in software: every answer that is wrong in one thing leads nowhere."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.factors.challenges import LIFETIME
from tests.authenticator import PRESENT, SoftPasskey, Wrong
from tests.web.portal import HIDDEN, PASSWORD, Answer, Browser, Portals, World
from tests.web.test_web_second_factor import CODES

SECURITY = "/account/security"
REFUSED = "That passkey does not open an account here"


def key_of(world: World, **options: Any) -> SoftPasskey:
    return SoftPasskey(world.settings.server.public_url, **options)


async def options_of(browser: Browser, page: Answer, path: str) -> dict[str, Any]:
    """Fetch what the authenticator is asked, as a page's script does."""
    asked = await browser.send("POST", path, data={"csrf_token": page.token})
    assert asked.status == 200, asked.text
    assert (asked.headers["Content-Type"], asked.headers["Cache-Control"]) == (
        "application/json; charset=utf-8",
        "no-store",
    )
    found: dict[str, Any] = json.loads(asked.text)
    return found


async def add(browser: Browser, key: SoftPasskey, name: str = "Laptop") -> Answer:
    """Add a passkey to the account that is signed in."""
    page = await browser.get(f"{SECURITY}/passkeys/new")
    options = await options_of(browser, page, f"{SECURITY}/passkeys/options")
    fields = {"csrf_token": page.token, "name": name, "credential": json.dumps(key.create(options))}
    return await browser.send("POST", f"{SECURITY}/passkeys", data=fields)


async def use(
    browser: Browser, key: SoftPasskey, wrong: Wrong | None = None, path: str = "/login", **fields: str
) -> Answer:
    """Open a page that asks for a passkey, and send what one has signed."""
    page = await browser.get(path)
    action, options = (re.search(rf'{name}="([^"]+)"', passkey_form(page)) for name in ("action", "data-options"))
    assert action is not None
    assert options is not None
    asked = await options_of(browser, page, options[1].replace("&amp;", "&"))
    sent = {"csrf_token": page.token, "credential": json.dumps(key.get(asked, wrong)), **fields}
    return await browser.send("POST", action[1].replace("&amp;", "&"), data=sent)


def passkey_form(page: Answer) -> str:
    found = re.search(r'<form id="passkey"[^>]*>', page.text)
    assert found, page.text
    return found[0]


async def remove(browser: Browser, world: World) -> Answer:
    """Remove ann's first passkey."""
    (passkey, *_) = await world.accounts.passkeys.list_for(world.ann.id)
    page = await browser.get(SECURITY)
    return await browser.send("POST", f"{SECURITY}/passkeys/{passkey.id}/remove", data={"csrf_token": page.token})


@pytest.fixture
async def key(world: World, browser: Browser) -> SoftPasskey:
    """Ann's passkey; she is signed out again."""
    await browser.sign_in()
    made = key_of(world)
    assert (await add(browser, made)).status == 200
    browser.jar.clear()
    return made


async def test_a_passkey_signs_in_and_leads_back(world: World, browser: Browser, key: SoftPasskey) -> None:
    world.clock.advance(60)
    stopped = await browser.get("/reports?year=2026")
    done = await use(browser, key, path=stopped.location.removeprefix(world.settings.server.public_url))
    assert (done.status, done.location) == (303, world.url("localhost", "/reports?year=2026"))
    assert "Hello ann" in (await browser.get("/reports")).text
    owner = await world.sessions.find(browser.secret() or "", "localhost")
    assert owner is not None
    assert (owner.session.methods, owner.session.remembered) == (("hwk", "mfa"), False)
    assert (await world.users.get(world.ann.id)).last_login == world.clock.now()


async def test_a_login_by_passkey_is_handed_over_to_another_host(
    world: World, browser: Browser, key: SoftPasskey
) -> None:
    stopped = await browser.get(world.url("app.localhost", "/work"))
    start, way = await browser.follow(stopped, "app.localhost")
    assert start.status == 200
    done = await use(browser, key, path=way[-1].removeprefix(world.settings.server.public_url), remember="yes")
    last, _ = await browser.follow(done)
    assert "Hello ann on app.localhost" in last.text
    assert {each.remembered for each in await world.sessions.list_for(world.ann.id)} == {False, True}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(Wrong(origin="http://evil.test"), id="wrong origin"),
        pytest.param(Wrong(rp_id="evil.test"), id="wrong relying party"),
        pytest.param(Wrong(flags=PRESENT), id="nobody verified"),
        pytest.param(Wrong(tampered=True), id="tampered signature"),
        pytest.param(Wrong(challenge=b"c" * 56), id="made-up challenge"),
        pytest.param(Wrong(handle=b"u" * 16), id="another's handle"),
        pytest.param(Wrong(count=1), id="count went back"),
        pytest.param(Wrong(origin="http://evil.test\nforged: line"), id="a line in the log"),
    ],
)
async def test_what_is_wrong_in_one_thing_signs_nobody_in(
    world: World, browser: Browser, key: SoftPasskey, caplog: pytest.LogCaptureFixture, wrong: Wrong
) -> None:
    caplog.set_level("INFO", "gateway")
    before = await world.count()
    key.count = 7
    assert (await use(browser, key)).status == 303
    key.count = 8
    browser.jar.clear()
    answer = await use(browser, key, wrong)
    assert (answer.status, browser.secret()) == (401, None)
    assert REFUSED in answer.text
    assert "WWW-Authenticate" in answer.headers
    assert await world.count() == before + 1
    assert "a passkey was refused: " in caplog.text
    assert "\nforged" not in caplog.text


async def test_an_unknown_passkey_and_a_removed_one_are_refused_alike(
    world: World, browser: Browser, key: SoftPasskey
) -> None:
    stranger = await use(browser, key_of(world, handle=key.handle))
    await use(browser, key)
    assert (await remove(browser, world)).location == f"{SECURITY}?done=passkey_removed"
    browser.jar.clear()
    removed = await use(browser, key)
    assert (stranger.status, removed.status, browser.secret()) == (401, 401, None)
    hidden = re.compile(r'(nonce|value)="[^"]*"')
    assert hidden.sub("", stranger.text) == hidden.sub("", removed.text)


async def test_a_challenge_is_used_once_and_only_in_its_browser(
    world: World, browser: Browser, stranger: Browser, key: SoftPasskey
) -> None:
    page, other = await browser.get("/login"), await stranger.get("/login")
    credential = json.dumps(key.get(await options_of(browser, page, "/login/passkey/options")))
    for _ in range(2):
        refused = await stranger.send(
            "POST", "/login/passkey", data={"csrf_token": other.token, "credential": credential}
        )
        assert (refused.status, stranger.secret()) == (401, None)
    sent = {"csrf_token": page.token, "credential": credential}
    assert (await browser.send("POST", "/login/passkey", data=sent)).status == 303
    browser.jar["localhost"].pop("gateway")
    assert (await browser.send("POST", "/login/passkey", data=sent)).status == 401


async def test_a_challenge_ends(world: World, browser: Browser, key: SoftPasskey) -> None:
    page = await browser.get("/login")
    credential = json.dumps(key.get(await options_of(browser, page, "/login/passkey/options")))
    world.clock.advance(LIFETIME)
    late = await browser.send("POST", "/login/passkey", data={"csrf_token": page.token, "credential": credential})
    assert (late.status, browser.secret()) == (401, None)


@pytest.mark.parametrize("path", ["/login/passkey/options", "/login/passkey"])
@pytest.mark.parametrize("how", ["no token", "another form's token", "another site", "another browser"])
async def test_only_our_own_page_asks_and_sends(
    world: World, browser: Browser, stranger: Browser, key: SoftPasskey, path: str, how: str
) -> None:
    page = await browser.get("/login")
    token = {
        "no token": "",
        "another form's token": (await browser.get("/register")).token,
        "another browser": (await stranger.get("/login")).token,
    }.get(how, page.token)
    options = await options_of(browser, page, "/login/passkey/options")
    headers = {"Sec-Fetch-Site": "cross-site"} if how == "another site" else {}
    sent = {"csrf_token": token, "credential": json.dumps(key.get(options))}
    answer = await browser.send("POST", path, headers, sent)
    assert (answer.status, browser.secret()) == (403, None)
    assert not answer.headers["Content-Type"].startswith("application/json")


MALFORMED = {
    "nothing": "",
    "no JSON": "{",
    "NUL": "\0",
    "a list": "[]",
    "deep": "[" * 9_000,
    "too long": "x" * 20_000,
    "markup": "<script>alert(1)</script>",
    "half a pair": '{"id": "\\ud800"}',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_cannot_be_read_is_refused_with_words(world: World, browser: Browser, text: str) -> None:
    await browser.sign_in()
    page = await browser.get(f"{SECURITY}/passkeys/new")
    fields = {"csrf_token": page.token, "name": "x", "credential": text}
    added = await browser.send("POST", f"{SECURITY}/passkeys", data=fields)
    assert added.status == 400
    assert "could not be added" in added.text
    browser.jar.clear()
    answer = await _send(browser, text)
    assert (answer.status, REFUSED in answer.text, browser.secret()) == (401, True, None)


async def _send(browser: Browser, credential: str) -> Answer:
    page = await browser.get("/login")
    return await browser.send("POST", "/login/passkey", data={"csrf_token": page.token, "credential": credential})


async def test_a_giant_answer_is_not_read(world: World, browser: Browser) -> None:
    answer = await _send(browser, "x" * 1_000_000)
    assert answer.status == 413
    assert browser.secret() is None


@pytest.mark.parametrize(
    ("changes", "sections", "words"),
    [
        pytest.param(Changes(is_active=False), {}, "has been disabled", id="disabled"),
        pytest.param(
            Changes(is_verified=False),
            {"registration": {"require_verified_email": True}},
            "not been confirmed",
            id="mail",
        ),
    ],
)
async def test_an_account_that_may_not_sign_in_does_not(
    portals: Portals, client: Any, changes: Changes, sections: dict[str, Any], words: str
) -> None:
    world = await portals.open(**sections)
    await world.users.change(world.ann.id, Changes(is_verified=True))
    browser, key = Browser(world, client), key_of(world)
    await browser.sign_in()
    await add(browser, key)
    browser.jar.clear()
    assert (await use(browser, key)).status == 303
    browser.jar.clear()
    await world.users.change(world.ann.id, changes)
    answer = await use(browser, key)
    assert (answer.status, browser.secret()) == (403, None)
    assert words in answer.text


async def test_a_passkey_is_both_factors_where_a_role_demands_two(portals: Portals, client: Any) -> None:
    world = await portals.open(second_factors={"required_roles": ["user"]})
    key = key_of(world)
    enrolment, user = world.accounts.passkey_enrolment, world.ann
    options = await enrolment.options(user, "b" * 43)
    await enrolment.add(user, "b" * 43, json.dumps(key.create(options)), "Laptop")
    browser = Browser(world, client)
    assert (await use(browser, key)).location == "/"
    last = await remove(browser, world)
    assert last.status == 409
    assert "demands a second factor" in last.text
    assert len(await world.accounts.passkeys.list_for(user.id)) == 1


# After the password.


async def asked_for_second(browser: Browser) -> str:
    asked = await browser.sign_in()
    assert asked.location.startswith("/login/second-factor"), asked.location
    return asked.location


async def test_a_passkey_follows_the_password(world: World, browser: Browser, key: SoftPasskey) -> None:
    key.flags = PRESENT
    done = await use(browser, key, Wrong(no_handle=True), await asked_for_second(browser), trust="yes")
    assert (done.status, done.location) == (303, "/")
    owner = await world.sessions.find(browser.secret() or "", "localhost")
    assert owner is not None
    assert owner.session.methods == ("pwd", "hwk", "mfa")
    browser.jar["localhost"].pop("gateway")
    assert (await browser.sign_in()).location == "/"  # this device is not asked again


async def test_anothers_passkey_is_no_second_factor(
    world: World, browser: Browser, stranger: Browser, key: SoftPasskey
) -> None:
    await world.users.create("bob", "bob@example.com", PASSWORD)
    await stranger.sign_in(username="bob")
    bobs = key_of(world)
    await add(stranger, bobs)
    page = await asked_for_second(browser)
    for wrong in (Wrong(), Wrong(handle=key.handle), Wrong(tampered=True), Wrong(origin="http://evil.test")):
        refused = await use(browser, bobs, wrong, page)
        assert (refused.status, browser.secret()) == (401, None)
        assert "did not work" in refused.text
    assert (await use(browser, key, path=page)).status == 303


async def test_what_was_signed_for_one_login_is_worth_nothing_for_another(
    world: World, browser: Browser, stranger: Browser, key: SoftPasskey
) -> None:
    first, second = await asked_for_second(browser), await asked_for_second(stranger)
    page, other = await browser.get(first), await stranger.get(second)
    credential = json.dumps(key.get(await options_of(browser, page, "/login/second-factor/passkey/options")))
    sent = {"csrf_token": other.token, "credential": credential}
    refused = await stranger.send("POST", "/login/second-factor/passkey", data=sent)
    assert (refused.status, stranger.secret()) == (401, None)
    alone = await browser.get("/login")
    sent = {"csrf_token": alone.token, "credential": credential}
    assert (await browser.send("POST", "/login/passkey", data=sent)).status == 401
    sent = {"csrf_token": page.token, "credential": credential}
    assert (await browser.send("POST", "/login/second-factor/passkey", data=sent)).status == 303
    again = await browser.send("POST", "/login/second-factor/passkey", data=sent)
    assert (again.status, again.location) == (303, "/login")  # nothing waits any more


async def test_nobody_is_asked_for_a_second_factor_before_the_first(
    world: World, browser: Browser, key: SoftPasskey
) -> None:
    page = await browser.get("/login")
    sent = {"csrf_token": page.token, "credential": "{}"}
    assert (await browser.send("POST", "/login/second-factor/passkey/options", data=sent)).status == 403
    assert (await browser.send("POST", "/login/second-factor/passkey", data=sent)).location == "/login"
    await asked_for_second(browser)
    wrong_form = await browser.send("POST", "/login/second-factor/passkey/options", data=sent)
    assert wrong_form.status == 403
    assert (await browser.send("POST", "/login/second-factor/passkey", data=sent)).status == 403
    assert browser.secret() is None


# To confirm who is signed in.


async def test_only_ones_own_passkey_confirms(world: World, browser: Browser, stranger: Browser) -> None:
    await world.users.create("bob", "bob@example.com", PASSWORD)
    await stranger.sign_in(username="bob")
    await browser.sign_in()
    anns, bobs = key_of(world), key_of(world)
    await add(browser, anns)
    await add(stranger, bobs)
    world.clock.advance(timedelta(minutes=16))
    stopped = await browser.get(f"{SECURITY}/passkeys/new")
    assert "prompt=login" in stopped.location
    before = browser.secret()
    refused = await use(browser, bobs, path=stopped.location)
    assert (refused.status, browser.secret()) == (401, before)
    assert (await browser.get(f"{SECURITY}/passkeys/new")).status == 303
    done = await use(browser, anns, path=stopped.location)
    assert done.status == 303
    assert browser.secret() not in {None, before}
    assert (await browser.get(f"{SECURITY}/passkeys/new")).status == 200


async def test_a_passkey_confirms_where_a_recent_sign_in_is_asked_for(
    world: World, browser: Browser, key: SoftPasskey
) -> None:
    await use(browser, key)
    world.clock.advance(60)
    done = await use(browser, key, Wrong(no_handle=True), "/login?max_age=30&rd=/reports")
    assert (done.status, done.location) == (303, world.url("localhost", "/reports"))
    (session, *_) = await world.sessions.list_for(world.ann.id)
    assert session.authenticated_at == world.clock.now()


async def test_who_has_no_passkey_is_not_asked_to_confirm_with_one(world: World, browser: Browser) -> None:
    await browser.sign_in()
    page = await browser.get("/login?prompt=login")
    assert 'id="passkey"' not in page.text
    assert "connect-src" not in page.headers["Content-Security-Policy"]
    sent = {"csrf_token": page.token}
    assert (await browser.send("POST", "/login/passkey/options?prompt=login", data=sent)).status == 404


# On the page of one's own.


async def test_the_first_passkey_comes_with_recovery_codes(world: World, browser: Browser) -> None:
    await browser.sign_in()
    first = await add(browser, key_of(world), "Laptop")
    codes = CODES.search(first.text)
    assert codes
    assert len(codes[1].split()) == 10
    second = await add(browser, key_of(world), "<i>Phone</i>")
    assert (second.status, second.location) == (303, f"{SECURITY}?done=passkey_added")
    page = await browser.get(second.location)
    assert "Laptop" in page.text
    assert "&lt;i&gt;Phone&lt;/i&gt;" in page.text
    assert codes[1].split()[0] not in page.text


async def test_a_passkey_is_added_once(world: World, browser: Browser, stranger: Browser) -> None:
    await world.users.create("bob", "bob@example.com", PASSWORD)
    key = key_of(world)
    await browser.sign_in()
    await add(browser, key)
    await stranger.sign_in(username="bob")
    for who in (browser, stranger):
        again = await add(who, key)
        assert again.status == 409
        assert "known here already" in again.text


@pytest.mark.parametrize("name", ["", "x" * 61, "a\0b", "a\u202eb"], ids=ascii)
async def test_a_bad_name_is_said_beside_its_field(world: World, browser: Browser, name: str) -> None:
    await browser.sign_in()
    answer = await add(browser, key_of(world), name)
    assert answer.status == 400
    assert "The name must be 1 to 60 printable characters" in answer.text
    assert 'aria-invalid="true"' in answer.text
    await add(browser, key_of(world))
    (passkey,) = await world.accounts.passkeys.list_for(world.ann.id)
    page = await browser.get(SECURITY)
    sent = {"csrf_token": page.token, "name": name}
    renamed = await browser.send("POST", f"{SECURITY}/passkeys/{passkey.id}/rename", data=sent)
    assert renamed.status == 400
    assert "The name must be 1 to 60 printable characters" in renamed.text


@pytest.mark.parametrize("what", ["rename", "remove"])
async def test_a_passkey_is_its_owners(world: World, browser: Browser, stranger: Browser, what: str) -> None:
    await world.users.create("bob", "bob@example.com", PASSWORD)
    await browser.sign_in()
    await add(browser, key_of(world))
    await stranger.sign_in(username="bob")
    await add(stranger, key_of(world))
    (passkey,) = await world.accounts.passkeys.list_for(world.ann.id)
    page = await stranger.get(SECURITY)
    for identifier in (passkey.id, passkey.id.upper(), "0" * 36, "nonsense", "%00"):
        path = f"{SECURITY}/passkeys/{identifier}/{what}"
        answer = await stranger.send("POST", path, data={"csrf_token": page.token, "name": "Mine"})
        assert answer.status == 404, identifier
    path = f"{SECURITY}/passkeys/{passkey.id}/{what}"
    assert (await browser.send("POST", path, data={"csrf_token": page.token, "name": "Mine"})).status == 403
    assert [each.name for each in await world.accounts.passkeys.list_for(world.ann.id)] == ["Laptop"]


async def test_changes_take_somebody_who_has_just_signed_in(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await add(browser, key_of(world))
    page = await browser.get(f"{SECURITY}/passkeys/new")
    world.clock.advance(timedelta(minutes=16))
    (passkey,) = await world.accounts.passkeys.list_for(world.ann.id)
    for path in ("passkeys/options", "passkeys", f"passkeys/{passkey.id}/remove"):
        answer = await browser.send("POST", f"{SECURITY}/{path}", data={"csrf_token": page.token})
        assert answer.status == 303
        assert "prompt=login" in answer.location
    assert len(await world.accounts.passkeys.list_for(world.ann.id)) == 1


async def test_where_they_are_off_nothing_asks_for_passkeys_and_old_ones_can_go(
    portals: Portals, world: World, browser: Browser, key: SoftPasskey, client: Any
) -> None:
    closed = await portals.open(second_factors={"passkeys": False})
    visitor = Browser(closed, client)
    page = await visitor.get("/login")
    assert 'id="passkey"' not in page.text
    assert "webauthn" not in page.text
    assert "connect-src" not in page.headers["Content-Security-Policy"]
    for path in ("/login/passkey/options", "/login/passkey", "/login/second-factor/passkey"):
        assert (await visitor.send("POST", path, data={"csrf_token": page.token})).status == 302  # the application's
    codes = await closed.accounts.second_factors.renew_recovery_codes(closed.ann.id)
    second = await visitor.sign_in()
    asked = await visitor.get(second.location)
    assert 'id="passkey"' not in asked.text
    await visitor.send("POST", second.location, data={"csrf_token": asked.token, "code": codes[0]})
    listed = await visitor.get(SECURITY)
    assert "Laptop" in listed.text
    assert "Add a passkey" not in listed.text
    assert (await remove(visitor, closed)).status == 303


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_where_the_portal_has_no_name_nothing_asks_for_passkeys(portals: Portals, client: Any, host: str) -> None:
    world = await portals.open(server={"public_url": f"https://{host}"})
    page = await Browser(world, client).get("/login")
    assert page.status == 200
    assert 'id="passkey"' not in page.text


async def test_below_a_prefix_every_address_keeps_it(portals: Portals, client: Any) -> None:
    world = await portals.open(server={"prefix": "/auth"})
    browser, key = Browser(world, client), key_of(world)
    page = await browser.get("/auth/login")
    assert 'action="/auth/login/passkey"' in passkey_form(page)
    enrolment = world.accounts.passkey_enrolment
    options = await enrolment.options(world.ann, "b" * 43)
    await enrolment.add(world.ann, "b" * 43, json.dumps(key.create(options)), "Laptop")
    assert (await use(browser, key, path="/auth/login")).status == 303


@pytest.mark.parametrize("path", ["/login", f"{SECURITY}/passkeys/new"])
async def test_the_script_is_small_and_may_ask_our_own_origin_alone(world: World, browser: Browser, path: str) -> None:
    await browser.sign_in()
    page = await browser.get(path if path != "/login" else "/login?prompt=select_account")
    (script,) = [
        each for each in re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.DOTALL) if "PublicKey" in each
    ]
    assert len(script.encode()) < 4096
    assert "connect-src 'self';" in page.headers["Content-Security-Policy"]
    assert HIDDEN.search(page.text)
    plain = await browser.get("/account")
    assert "connect-src" not in plain.headers["Content-Security-Policy"]


# Where a role demands a second factor and there is none.


async def test_a_passkey_is_set_up_where_a_role_demands_two(portals: Portals, client: Any) -> None:
    world = await portals.open(second_factors={"required_roles": ["user"]})
    browser, key = Browser(world, client), key_of(world)
    asked = await browser.sign_in("/login?rd=%2Freports")
    assert asked.location.startswith("/login/enrol?rd=")
    page = await browser.get(asked.location)
    options = await options_of(browser, page, "/login/enrol/passkey/options")
    refused = await _enrol(browser, page, key.create(options, Wrong(origin="http://evil.test")))
    assert (refused.status, browser.secret()) == (400, None)
    assert "could not be added" in refused.text
    for wrong in ({}, {"Sec-Fetch-Site": "cross-site"}):
        token = page.token if wrong else ""
        sent = {"csrf_token": token, "credential": "{}"}
        assert (await browser.send("POST", "/login/enrol/passkey/options", wrong, sent)).status == 403
        assert (await browser.send("POST", "/login/enrol/passkey", wrong, sent)).status == 403
    options = await options_of(browser, page, "/login/enrol/passkey/options")
    done = await _enrol(browser, page, key.create(options))
    assert done.status == 200
    assert CODES.search(done.text)
    owner = await world.sessions.find(browser.secret() or "", "localhost")
    assert owner is not None
    assert owner.session.methods == ("pwd", "hwk", "mfa")
    assert (await _enrol(browser, page, key.create(options))).location.startswith("/login?rd=")


async def _enrol(browser: Browser, page: Answer, answer: dict[str, Any]) -> Answer:
    found = re.search(r'action="([^"]+)"', passkey_form(page))
    assert found
    sent = {"csrf_token": page.token, "credential": json.dumps(answer)}
    return await browser.send("POST", found[1].replace("&amp;", "&"), data=sent)


async def test_nobody_sets_up_a_passkey_before_the_password(world: World, browser: Browser, key: SoftPasskey) -> None:
    page = await browser.get("/login")
    sent = {"csrf_token": page.token, "credential": "{}"}
    assert (await browser.send("POST", "/login/enrol/passkey/options", data=sent)).status == 403
    assert (await browser.send("POST", "/login/enrol/passkey", data=sent)).location == "/login"
    await asked_for_second(browser)  # who has a factor adds none on the way in
    assert (await browser.send("POST", "/login/enrol/passkey/options", data=sent)).status == 403
    assert (await browser.send("POST", "/login/enrol/passkey", data=sent)).location == "/login"


async def test_the_owner_is_told_by_mail(portals: Portals, client: Any) -> None:
    world = await portals.open(mail={"url": "smtp://127.0.0.1:9", "from": "Acme <acme@example.com>"})
    browser = Browser(world, client)
    await browser.sign_in()
    before = await world.count("outgoing_mail")
    await add(browser, key_of(world))
    assert await world.count("outgoing_mail") == before + 1
    await remove(browser, world)
    assert await world.count("outgoing_mail") == before + 2


@pytest.mark.parametrize(
    ("opened", "leads_to"),
    [
        ("/login/passkey?rd=/a&prompt=login", "/login?rd=/a&prompt=login"),
        ("/login/second-factor/passkey?rd=/a", "/login/second-factor?rd=/a"),
        ("/login/enrol/passkey", "/login/enrol"),
        ("/account/security/passkeys", "/account/security"),
    ],
)
async def test_the_address_of_a_form_leads_to_its_page(browser: Browser, opened: str, leads_to: str) -> None:
    answer = await browser.get(opened)
    assert (answer.status, answer.location) == (303, leads_to)
