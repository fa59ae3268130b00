"""`/account/clients` and `/admin/clients`: applications, registered by the people who run them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import aiohttp
import pytest
from jwcrypto.jwk import JWK

from gateway.accounts.changes import Changes
from gateway.oauth.state import registry as registry_module
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Rights, rights_of
from tests.web.portal import PASSWORD, Answer, Browser, World

OWN, ALL = "/account/clients", "/admin/clients"
CALLBACK = "https://app.example.com/callback"
NEW = {
    "client_name": "Grafana",
    "redirect_uris": CALLBACK,
    "grant_authorization_code": "yes",
    "token_endpoint_auth_method": "client_secret_basic",
}
NAMED = {"client_name": "Secret project", "redirect_uris": [CALLBACK]}
SECRET = re.compile(r"gws_[0-9A-Za-z]{51}")
KEYS = json.dumps({"keys": [JWK.generate(kty="EC", crv="P-256", kid="one").export_public(as_dict=True)]})


@pytest.fixture
async def ann(browser: Browser) -> Browser:
    """Ann's browser: anybody with an account."""
    await browser.sign_in()
    return browser


@pytest.fixture
async def admin(world: World, client: aiohttp.ClientSession) -> Browser:
    """An administrator's browser."""
    await world.users.create("root", "root@example.com", PASSWORD, roles=["admin", "user"])
    browser = Browser(world, client)
    await browser.submit("/login", {"username": "root", "password": PASSWORD})
    return browser


async def registered(browser: Browser, section: str = OWN, **changes: str) -> Answer:
    return await browser.submit(f"{section}/new", {**NEW, **changes})


async def only_client(world: World) -> Client:
    (client,) = (await world.registry.page()).items
    return client


def secret_in(answer: Answer) -> str:
    (secret,) = {match[0] for match in SECRET.finditer(answer.text)}
    return secret


async def test_an_application_is_registered_and_its_secret_shown_once(world: World, ann: Browser) -> None:
    assert "No applications yet" in (await ann.get(OWN)).text
    made = await registered(ann)
    assert (made.status, made.headers["Cache-Control"]) == (200, "no-store")
    client, secret = await only_client(world), secret_in(made)
    assert client.has_secret(secret, world.clock.now())
    assert (client.name, client.redirect_uris, client.owner_id) == ("Grafana", (CALLBACK,), world.ann.id)
    assert rights_of(client) == Rights()  # nothing that an administrator decides
    assert client.id in made.text
    for page in (OWN, f"{OWN}/{client.id}", f"{OWN}/{client.id}/edit"):
        shown = await ann.get(page)
        assert "Grafana" in shown.text
        assert secret not in shown.text
    assert not SECRET.search((await ann.get(f"{OWN}/{client.id}")).text)


async def test_every_setting_is_kept_when_the_form_is_sent_again(world: World, ann: Browser) -> None:
    members = {
        "client_name": '<b>Wiki</b> & "more"',
        "redirect_uris": [CALLBACK, "http://localhost:3000/cb"],
        "post_logout_redirect_uris": ["https://app.example.com/bye"],
        "scope": "openid wiki:read",
        "client_uri": "https://app.example.com/",
        "policy_uri": "https://app.example.com/p",
        "tos_uri": "https://app.example.com/t",
        "backchannel_logout_uri": "https://app.example.com/out",
        "id_token_signed_response_alg": "EdDSA",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": json.loads(KEYS),
        "grant_types": ["authorization_code", "refresh_token", "client_credentials", "implicit"],
        "response_types": ["code", "id_token"],
        "contacts": ["ann@example.com"],
        "default_max_age": 60,
        "access_token_lifetime": 120,
        "subject_type": "public",
    }
    metadata = checked_metadata(members, by_admin=True)
    client = (await world.registry.create(metadata, Rights(opens_routes=True), owner_id=world.ann.id)).client
    page = await ann.get(f"{OWN}/{client.id}/edit")
    assert "<b>Wiki" not in page.text
    saved = await ann.send("POST", f"{OWN}/{client.id}/edit", data=fields_of(page))
    assert saved.location == f"{OWN}/{client.id}?done=saved"
    assert "Saved." in (await ann.get(saved.location)).text
    after = await only_client(world)
    assert after.metadata == metadata
    assert rights_of(after) == Rights(opens_routes=True)


def fields_of(page: Answer) -> dict[str, str]:
    """Return what a browser would send of a page's form, untouched."""
    fields = {}
    for tag in re.findall(r"<input [^>]*>", page.text):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if "name" in found and (found.get("type") != "checkbox" or " checked" in tag):
            fields[found["name"]] = unescape(found["value"])
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL):
        fields[name] = unescape(text)
    for name, options in re.findall(r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', page.text, re.DOTALL):
        chosen = re.search(r"<option([^>]*) selected>([^<]*)", options)
        value = re.search(r'value="([^"]*)"', chosen[1]) if chosen else None
        if chosen:
            fields[name] = value[1] if value else chosen[2]
    return fields


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_name": " "}, "The name is missing"),
        ({"client_name": "\u202eanafarG"}, "The name must be"),
        ({"redirect_uris": ""}, "is required"),
        ({"redirect_uris": "http://app.example.com/"}, "must begin with https://"),
        ({"redirect_uris": "javascript:alert(1)"}, "must begin with https://"),
        ({"redirect_uris": f"{CALLBACK}\nhttps://*.example.com/"}, "wildcard"),
        ({"grant_authorization_code": ""}, "one thing at least"),
        ({"grant_password": "yes"}, "administrators only"),
        ({"grant_implicit": "yes"}, "administrators only"),
        ({"grant_client_credentials": "yes", "token_endpoint_auth_method": "none"}, "authenticate itself"),
        ({"token_endpoint_auth_method": "hope"}, "must be one of"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "is required"),
        ({"jwks": "{"}, "JSON Web Key Set"),
        ({"jwks": "[" * 5000}, "JSON Web Key Set"),
        ({"scope": "gateway"}, "administrators only"),
        ({"pairwise": "yes", "redirect_uris": f"{CALLBACK} https://b.example/"}, "one host"),
        ({"id_token_signed_response_alg": "none"}, "must be one of"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_cannot_be_is_said_beside_what_was_typed(
    world: World, ann: Browser, changes: dict[str, str], said: str
) -> None:
    answer = await registered(ann, **changes)
    assert answer.status == 400
    text = unescape(answer.text)
    assert said in text
    assert 'role="alert"' in text
    for name, value in changes.items():
        if "\n" not in value and not name.startswith(("grant", "token", "id_token", "pairwise")):
            assert value in text
    assert (await world.registry.page()).total == 0


async def test_fields_that_only_administrators_have_do_nothing(world: World, ann: Browser) -> None:
    rights = {"first_party": "yes", "opens_routes": "yes", "may_introspect": "yes"}
    await registered(ann, **rights, access_token_lifetime="99999999")
    client = await only_client(world)
    assert rights_of(client) == Rights()
    assert "access_token_lifetime" not in client.metadata
    page = await ann.get(f"{OWN}/{client.id}/edit")
    await ann.send("POST", f"{OWN}/{client.id}/edit", data={**fields_of(page), **rights})
    assert rights_of(await only_client(world)) == Rights()


async def test_a_secret_is_made_anew_while_the_old_one_goes_on(world: World, ann: Browser) -> None:
    first = secret_in(await registered(ann))
    client = await only_client(world)
    url = f"{OWN}/{client.id}"
    second = secret_in(await rotated(ann, url, "hour"))
    client = await only_client(world)
    assert [client.has_secret(each, world.clock.now()) for each in (first, second)] == [True, True]
    assert "good until" in (await ann.get(url)).text
    world.clock.advance(timedelta(hours=1))
    assert [client.has_secret(each, world.clock.now()) for each in (first, second)] == [False, True]
    assert "good until" not in (await ann.get(url)).text
    third = secret_in(await rotated(ann, url, "none"))
    client = await only_client(world)
    assert [client.has_secret(each, world.clock.now()) for each in (second, third)] == [False, True]


async def rotated(browser: Browser, url: str, overlap: str) -> Answer:
    page = await browser.get(url)
    return await browser.send("POST", f"{url}/rotate", data={"csrf_token": page.token, "overlap": overlap})


async def test_a_public_application_comes_to_a_secret(world: World, ann: Browser) -> None:
    made = await registered(ann, token_endpoint_auth_method="none")
    assert not SECRET.search(made.text)
    client = await only_client(world)
    page = await ann.get(f"{OWN}/{client.id}/edit")
    data = {**fields_of(page), "token_endpoint_auth_method": "client_secret_post"}
    secret = secret_in(await ann.send("POST", f"{OWN}/{client.id}/edit", data=data))
    assert (await only_client(world)).has_secret(secret, world.clock.now())


async def test_deleting_asks_first(world: World, ann: Browser) -> None:
    await registered(ann)
    client = await only_client(world)
    asked = await ann.get(f"{OWN}/{client.id}/delete")
    assert (asked.status, (await world.registry.page()).total) == (200, 1)
    gone = await ann.send("POST", f"{OWN}/{client.id}/delete", data={"csrf_token": asked.token})
    assert gone.location == f"{OWN}?done=deleted"
    assert "is deleted" in (await ann.get(gone.location)).text
    assert (await world.registry.page()).total == 0


POSTS = ["new", "{id}/edit", "{id}/rotate", "{id}/delete"]


@pytest.mark.parametrize("path", ["", "/new", "/{id}", "/{id}/edit", "/{id}/delete"])
@pytest.mark.parametrize("section", [OWN, ALL])
async def test_who_is_not_signed_in_signs_in_first(world: World, stranger: Browser, section: str, path: str) -> None:
    answer = await stranger.get(section + path.replace("{id}", "abcd"))
    assert answer.status == 303
    assert answer.location.startswith("/login?rd=")


@pytest.mark.parametrize("path", ["", "/new", "/{id}", "/{id}/edit", "/{id}/delete"])
async def test_everybodys_applications_are_for_administrators(world: World, ann: Browser, path: str) -> None:
    client = (await world.registry.create(checked_metadata(NAMED))).client
    answer = await ann.get(ALL + path.replace("{id}", client.id))
    assert answer.status == 403
    assert client.name not in answer.text
    assert ALL not in (await ann.get("/account")).text


@pytest.mark.parametrize("path", [*POSTS, "{id}/active"])
async def test_nobody_else_changes_everybodys_applications(world: World, ann: Browser, path: str) -> None:
    await registered(ann)
    before = await only_client(world)
    token = (await ann.get(f"{OWN}/{before.id}")).token
    answer = await ann.send("POST", f"{ALL}/{path.format(id=before.id)}", data={"csrf_token": token, **NEW})
    assert answer.status == 403
    assert await only_client(world) == before


@pytest.mark.parametrize("path", ["{id}", "{id}/edit", "{id}/delete"])
async def test_another_persons_application_is_not_there(world: World, ann: Browser, admin: Browser, path: str) -> None:
    await registered(admin)
    theirs = await only_client(world)
    for client_id in (theirs.id, "nobody", "%00", "x" * 300, "%F0%9F%98%80"):
        answer = await ann.get(f"{OWN}/{path.format(id=client_id)}")
        assert answer.status in {400, 404}
        assert "Grafana" not in answer.text


@pytest.mark.parametrize("path", POSTS[1:])
async def test_another_persons_application_is_not_changed(
    world: World, ann: Browser, admin: Browser, path: str
) -> None:
    await registered(admin)
    theirs = await only_client(world)
    token = (await ann.get(f"{OWN}/new")).token
    answer = await ann.send("POST", f"{OWN}/{path.format(id=theirs.id)}", data={"csrf_token": token, **NEW})
    assert answer.status == 404
    assert await only_client(world) == theirs


@pytest.mark.parametrize("path", [*POSTS, "{id}/active"])
async def test_another_sites_form_does_nothing(world: World, admin: Browser, path: str) -> None:
    await registered(admin, ALL)
    before = await only_client(world)
    url = f"{ALL}/{path.format(id=before.id)}"
    token = (await admin.get(f"{ALL}/{before.id}")).token
    good = {"csrf_token": token, **NEW, "client_name": "Stolen", "overlap": "none"}
    for data, headers in (
        ({**good, "csrf_token": "x"}, {}),
        ({name: value for name, value in good.items() if name != "csrf_token"}, {}),
        (good, {"Sec-Fetch-Site": "cross-site"}),
        (good, {"Origin": "https://evil.example"}),
    ):
        answer = await admin.send("POST", url, headers, data)
        assert answer.status == 403
        assert await only_client(world) == before


async def test_an_administrator_gives_what_others_may_not_take(world: World, admin: Browser, ann: Browser) -> None:
    await registered(ann)
    client = await only_client(world)
    page = await admin.get(f"{ALL}/{client.id}/edit")
    given = {"first_party": "yes", "grant_password": "yes", "access_token_lifetime": "60"}
    saved = await admin.send("POST", f"{ALL}/{client.id}/edit", data={**fields_of(page), **given})
    assert saved.status == 303, saved.text
    after = await only_client(world)
    assert (after.first_party, after.opens_routes, after.owner_id) == (True, False, world.ann.id)
    assert after.grant_types == ("authorization_code", "password")
    assert after.metadata["access_token_lifetime"] == 60
    shown = await admin.get(f"{ALL}/{client.id}")
    assert "ann" in shown.text
    assert "It is ours" in shown.text
    # Its owner edits it without losing that, and sends nobody elsewhere.
    edited = {**fields_of(await ann.get(f"{OWN}/{client.id}/edit")), "client_name": "Grafana 2"}
    assert (await ann.send("POST", f"{OWN}/{client.id}/edit", data=edited)).status == 303
    kept = await only_client(world)
    assert (kept.name, kept.first_party, kept.grant_types) == ("Grafana 2", True, after.grant_types)
    assert kept.metadata["access_token_lifetime"] == 60
    edited["redirect_uris"] = "https://evil.example/"
    refused = await ann.send("POST", f"{OWN}/{client.id}/edit", data=edited)
    assert (refused.status, "from an administrator" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"access_token_lifetime": "soon"}, "number of seconds"),
        ({"refresh_token_lifetime": "0"}, "from 1 to"),
        ({"token_endpoint_auth_method": "none", "requires_pkce": ""}, "cannot do without PKCE"),
        (
            {"token_endpoint_auth_method": "none", "may_introspect": "yes", "requires_pkce": "yes"},
            "authenticate itself",
        ),
    ],
    ids=["words", "zero", "pkce", "introspect"],
)
async def test_an_administrator_is_told_too(world: World, admin: Browser, changes: dict[str, str], said: str) -> None:
    answer = await registered(admin, ALL, **changes)
    assert (answer.status, said in unescape(answer.text)) == (400, True)
    assert (await world.registry.page()).total == 0


async def test_an_administrators_application_is_nobodys(world: World, admin: Browser) -> None:
    await registered(admin, ALL, opens_routes="yes", grant_implicit="yes", requires_pkce="yes")
    client = await only_client(world)
    assert (client.owner_id, rights_of(client)) == (None, Rights(opens_routes=True))
    assert "implicit" in client.grant_types
    assert "No applications yet" in (await admin.get(OWN)).text


async def test_an_application_is_disabled_and_enabled(world: World, admin: Browser, ann: Browser) -> None:
    await registered(ann)
    client = await only_client(world)
    for active, words in (("no", "is disabled"), ("yes", "can be used again")):
        page = await admin.get(f"{ALL}/{client.id}")
        data = {"csrf_token": page.token, "active": active}
        answer = await admin.send("POST", f"{ALL}/{client.id}/active", data=data)
        assert words in (await admin.get(answer.location)).text
        assert (await only_client(world)).is_active == (active == "yes")
        assert ("has disabled" in (await ann.get(f"{OWN}/{client.id}")).text) == (active == "no")
        edited = fields_of(await ann.get(f"{OWN}/{client.id}/edit"))
        await ann.send("POST", f"{OWN}/{client.id}/edit", data=edited)
        assert (await only_client(world)).is_active == (active == "yes")  # its owner does not enable it


async def test_all_are_searched_and_paged(world: World, admin: Browser) -> None:
    for number in range(60):
        metadata = checked_metadata({"client_name": f"App {number:02}", "redirect_uris": [CALLBACK]})
        await world.registry.create(metadata, owner_id=world.ann.id if number == 7 else None)
    first = await admin.get(ALL)
    assert ("App 00" in first.text, "App 49" in first.text, "App 50" in first.text) == (True, True, False)
    assert "page=2" in first.text
    second = await admin.get(f"{ALL}?page=2")
    assert ("App 49" in second.text, "App 59" in second.text, "page=3" in second.text) == (False, True, False)
    found = await admin.get(f"{ALL}?search=app%2007")
    assert ("App 07" in found.text, "App 08" in found.text, ">ann<" in found.text) == (True, False, True)
    for odd in (
        "search=%00",
        "search=%ED%A0%80",
        "page=0",
        "page=-1",
        "page=99999999",
        "page=x",
        "done=x",
        "search=%3Cb%3E",
    ):
        answer = await admin.get(f"{ALL}?{odd}")
        assert answer.status == 200, odd
        assert "<b>" not in answer.text


async def test_one_person_has_so_many(world: World, ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MOST_PER_OWNER", 1)
    assert (await registered(ann)).status == 200
    answer = await registered(ann)
    assert (answer.status, "delete some first" in answer.text) == (400, True)


async def test_a_person_who_is_disabled_sees_nothing(world: World, ann: Browser) -> None:
    await registered(ann)
    await world.users.change(world.ann.id, Changes(is_active=False))
    assert (await ann.get(OWN)).status == 303
