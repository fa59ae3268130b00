"""RP-initiated logout: the modules of OpenID's plan for it, one test a module, and what else must hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.oauth.issuing import ID_TOKEN_TYPE
from gateway.oauth.state.client_metadata import checked_metadata
from tests.fake_clock import FakeClock
from tests.gateways import BROWSER, Answer, GatewayFactory
from tests.oauth.party import FORM, METADATA, Party, claims, open_party

BYE = "https://app.example.com/bye"
HIDDEN = re.compile(r'action="([^"]+)".*?name="csrf_token" value="([^"]+)"', re.DOTALL)


@pytest.fixture
async def party(gateway_factory: GatewayFactory, clock: FakeClock) -> Party:
    return await open_party(gateway_factory, clock, {**METADATA, "post_logout_redirect_uris": [BYE]})


async def id_token(party: Party) -> str:
    answer = await party.redeem(await party.authorize())
    token: str = answer.json["id_token"]
    return token


async def leave(party: Party, **asked: str) -> Answer:
    return await party.running.get(f"/oauth/logout?{urlencode(asked)}", cookie=party.cookie, headers=BROWSER)


async def agree(party: Party, page: Answer) -> Answer:
    """Press the button of the page that asks."""
    assert (page.status, "Sign out?" in page.text) == (200, True), page.text
    found = HIDDEN.search(page.text)
    assert found is not None
    data = urlencode({"csrf_token": found[2]})
    action = found[1].replace("&amp;", "&")
    return await party.running.send("POST", action, cookie=party.cookie, headers={**FORM, **BROWSER}, data=data)


async def signed_in(party: Party) -> bool:
    return "code" in dict(parse_qsl(urlsplit((await party.authorize(prompt="none")).location).query))


async def test_oidcc_rp_initiated_logout(party: Party) -> None:
    hint = await id_token(party)
    answer = await leave(party, id_token_hint=hint, post_logout_redirect_uri=BYE, state="a b")
    assert (answer.status, answer.location) == (303, f"{BYE}?state=a+b")
    assert not await signed_in(party)


async def test_oidcc_rp_initiated_logout_no_state(party: Party) -> None:
    answer = await leave(party, id_token_hint=await id_token(party), post_logout_redirect_uri=BYE)
    assert answer.location == BYE


@pytest.mark.parametrize(
    "asked",
    [
        {"post_logout_redirect_uri": "https://app.example.com/bye/bad"},
        {"post_logout_redirect_uri": f"{BYE}?foo=bar"},
        {"post_logout_redirect_uri": "//app.example.com/bye"},
        {"post_logout_redirect_uri": f"{BYE}#x"},
    ],
    ids=["bad-post-logout-redirect-uri", "query-added-to-post-logout-redirect-uri", "without a scheme", "fragment"],
)
async def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(party: Party, asked: dict[str, str]) -> None:
    answer = await leave(party, id_token_hint=await id_token(party), **asked)
    assert (answer.status, "Location" in answer.headers) == (400, False)
    assert await signed_in(party)


def changed(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"


async def test_oidcc_rp_initiated_logout_modified_id_token_hint(party: Party) -> None:
    hint = changed(await id_token(party))
    answer = await leave(party, id_token_hint=hint, post_logout_redirect_uri=BYE, state="s")
    assert (answer.status, "Location" in answer.headers) == (400, False)
    assert await signed_in(party)


@pytest.mark.parametrize("hint", ["bad", "a.b.c", "e30.e30.e30"])
async def test_oidcc_rp_initiated_logout_bad_id_token_hint(party: Party, hint: str) -> None:
    answer = await leave(party, id_token_hint=hint, post_logout_redirect_uri=BYE, state="s")
    assert (answer.status, "Location" in answer.headers) == (400, False)


async def test_oidcc_rp_initiated_logout_no_id_token_hint(party: Party) -> None:
    done = await agree(party, await leave(party, post_logout_redirect_uri=BYE, state="s"))
    assert done.location == "/logout"
    assert not await signed_in(party)


@pytest.mark.parametrize("asked", [{}, {"state": "s"}], ids=["no-params", "only-state"])
async def test_oidcc_rp_initiated_logout_no_params(party: Party, asked: dict[str, str]) -> None:
    done = await agree(party, await leave(party, **asked))
    assert done.location == "/logout"
    assert not await signed_in(party)


async def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(party: Party) -> None:
    answer = await leave(party, id_token_hint=await id_token(party), state="s")
    assert answer.location == "/logout"
    assert not await signed_in(party)


async def test_an_application_that_only_says_its_name_is_gone_back_to_once_the_person_agreed(party: Party) -> None:
    page = await leave(party, client_id=party.client_id, post_logout_redirect_uri=BYE, state="s")
    assert f"form-action 'self' {'https://app.example.com'}" in page.headers["Content-Security-Policy"]
    assert (await agree(party, page)).location == f"{BYE}?state=s"
    assert not await signed_in(party)


async def test_an_application_s_form_goes_on_with_a_get_that_brings_the_cookie(party: Party) -> None:
    form = {"id_token_hint": await id_token(party), "post_logout_redirect_uri": BYE, "state": "s"}
    posted = await party.running.send("POST", "/oauth/logout", headers={**FORM, **BROWSER}, data=urlencode(form))
    answer = await party.running.get(posted.location, cookie=party.cookie, headers=BROWSER)
    assert (posted.status, answer.location) == (303, f"{BYE}?state=s")
    assert not await signed_in(party)


async def test_nobody_is_signed_out_without_our_own_form(party: Party) -> None:
    page = await leave(party, client_id=party.client_id)
    data = urlencode({"csrf_token": "A" * 64})
    found = HIDDEN.search(page.text)
    assert found is not None
    answer = await party.running.send("POST", found[1], cookie=party.cookie, headers={**FORM, **BROWSER}, data=data)
    assert answer.status == 403
    assert await signed_in(party)


async def test_the_token_of_another_login_proves_nothing(party: Party) -> None:
    hint = await id_token(party)
    gateway = party.running.gateway
    ann = await gateway.accounts.users.find("ann")
    assert ann is not None
    party.cookie = await party.running.session(ann)
    page = await leave(party, id_token_hint=hint, post_logout_redirect_uri=BYE)
    assert page.status == 200
    assert await signed_in(party)


@pytest.mark.parametrize(
    ("change", "typ"),
    [({"aud": "another"}, ID_TOKEN_TYPE), ({"iss": "https://evil.example"}, ID_TOKEN_TYPE), ({}, "at+jwt")],
    ids=["audience", "issuer", "type"],
)
async def test_a_token_that_is_no_id_token_of_this_client_is_refused(
    party: Party, change: Mapping[str, Any], typ: str
) -> None:
    said = claims(await id_token(party))
    forged = party.running.gateway.accounts.keys.sign({**said, **change}, typ, "RS256")
    answer = await leave(party, id_token_hint=forged, client_id=party.client_id, post_logout_redirect_uri=BYE)
    assert answer.status == 400
    assert await signed_in(party)


async def test_nobody_is_sent_to_an_address_that_a_stranger_registered(party: Party) -> None:
    """Else our links would lead wherever anybody likes (RFC 9700 section 4.11.2)."""
    said = checked_metadata({**METADATA, "post_logout_redirect_uris": ["https://evil.example/"]})
    stranger = (await party.running.gateway.registry.create(said, manages_itself=True)).client
    party.cookie = ""
    page = await leave(party, client_id=stranger.id, post_logout_redirect_uri="https://evil.example/", state="s")
    assert page.status == 200
    assert 'href="https://evil.example/?state=s">Back to evil.example' in page.text


async def test_whoever_is_signed_out_already_is_sent_on(party: Party) -> None:
    hint = await id_token(party)
    first = await leave(party, id_token_hint=hint, post_logout_redirect_uri=BYE)
    again = await leave(party, id_token_hint=hint, post_logout_redirect_uri=BYE)
    assert first.location == again.location == BYE
