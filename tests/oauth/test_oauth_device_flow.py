"""The device flow from end to end: a device asks, a person decides in a browser, the device gets its tokens once."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.gateways import Answer
from tests.oauth.browser import Browser
from tests.oauth.op import Op
from tests.oauth.relying_party import FORM, RelyingParty
from tests.oauth.test_oauth_bad_input import CHANGES, assert_error_shape, assert_no_surprise, changed

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ENDPOINT = "device_authorization_endpoint"


async def television(op: Op, *grants: str, auth_method: str = "none", **metadata: Any) -> RelyingParty:
    own = grants or (DEVICE, "refresh_token")
    return await op.client("Television", auth_method=auth_method, grants=own, redirect_uris=(), **metadata)


async def ask(rp: RelyingParty, **asked: str) -> dict[str, Any]:
    answer = await rp.call(ENDPOINT, {"scope": "openid email", **asked})
    assert answer.status == 200, answer.text
    return dict(answer.json)


async def poll(op: Op, rp: RelyingParty, codes: dict[str, Any], after: float = 6, **more: str) -> Answer:
    op.clock.advance(timedelta(seconds=after))
    return await rp.call("token_endpoint", {"grant_type": DEVICE, "device_code": codes["device_code"], **more})


async def decide(browser: Browser, codes: dict[str, Any], decision: str = "allow") -> str:
    """Open the address that the device shows, sign in, send the code and press a button."""
    page = await browser.open(codes["verification_uri_complete"])
    if page.login_form is not None:
        page = await browser.sign_in(page)
    [form] = [each for each in page.forms if "user_code" in each.fields]
    assert form.fields["user_code"] == codes["user_code"]
    page = await browser.submit(page, form)
    [form] = [each for each in page.forms if ("decision", decision) in each.buttons]
    page = await browser.submit(page, form, decision=decision)
    assert page.status == 200, page.words
    return page.words


@pytest.mark.parametrize("auth_method", ["none", "client_secret_basic", "client_secret_post"])
async def test_a_device_gets_tokens_for_the_person_that_allowed_it(op: Op, auth_method: str) -> None:
    rp = await television(op, auth_method=auth_method)
    codes = await ask(rp)
    assert codes.keys() == {
        *("device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval")
    }
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert (codes["expires_in"], codes["interval"]) == (600, 5)
    assert codes["verification_uri"] == f"{op.running.origin}/oauth/device"
    assert (await poll(op, rp, codes)).json["error"] == "authorization_pending"
    await decide(op.browser(), codes)
    tokens = await rp.tokens(await poll(op, rp, codes))
    assert tokens.answer["scope"] == "openid email"
    assert (await rp.userinfo(tokens.access_token))["email"] == "ann@example.com"
    assert tokens.claims["sub"] == (await op.person()).id
    assert "nonce" not in tokens.claims
    assert (await rp.refresh(tokens.refresh_token)).status == 200


async def test_a_device_code_is_good_once_also_for_many_at_once(op: Op) -> None:
    rp = await television(op)
    codes = await ask(rp)
    await decide(op.browser(), codes)
    op.clock.advance(timedelta(seconds=6))
    answers = await asyncio.gather(*(poll(op, rp, codes, after=0) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200, *[400] * 19]
    assert {answer.json["error"] for answer in answers if answer.status == 400} <= {"invalid_grant", "slow_down"}
    assert (await poll(op, rp, codes, after=60)).json["error"] == "invalid_grant"


async def test_a_device_is_told_that_nobody_wants_it(op: Op) -> None:
    rp = await television(op)
    codes = await ask(rp)
    assert "Nothing was allowed" in await decide(op.browser(), codes, "deny")
    answer = await poll(op, rp, codes)
    assert (answer.status, answer.json["error"]) == (400, "access_denied")


async def test_a_device_that_hurries_slows_down_and_one_that_waits_too_long_begins_again(op: Op) -> None:
    rp = await television(op)
    codes = await ask(rp)
    assert (await poll(op, rp, codes)).json["error"] == "authorization_pending"
    assert (await poll(op, rp, codes, after=1)).json["error"] == "slow_down"
    assert (await poll(op, rp, codes, after=6)).json["error"] == "slow_down"
    assert (await poll(op, rp, codes, after=16)).json["error"] == "authorization_pending"
    assert (await poll(op, rp, codes, after=600)).json["error"] == "expired_token"


async def test_a_device_code_is_of_one_client(op: Op) -> None:
    rp, other = await television(op), await television(op)
    codes = await ask(rp)
    await decide(op.browser(), codes)
    assert (await poll(op, other, codes)).json["error"] == "invalid_grant"
    assert (await poll(op, rp, codes)).status == 200


async def test_without_the_refresh_grant_there_is_no_refresh_token(op: Op) -> None:
    rp = await television(op, DEVICE)
    codes = await ask(rp)
    await decide(op.browser(), codes)
    assert "refresh_token" not in (await poll(op, rp, codes)).json


async def test_a_client_without_the_grant_gets_neither_code_nor_tokens(op: Op) -> None:
    rp, device = await op.client(auth_method="none"), await television(op)
    answer = await rp.call(ENDPOINT, {})
    assert (answer.status, answer.json["error"]) == (400, "unauthorized_client")
    answer = await poll(op, rp, await ask(device))
    assert (answer.status, answer.json["error"]) == (400, "unauthorized_client")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scope": "nothing-like-it"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example.com"}, "invalid_target"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
        ({"client_secret": "x"}, "invalid_client"),
    ],
    ids=str,
)
async def test_what_a_device_may_not_ask_for(op: Op, change: dict[str, str], error: str) -> None:
    rp = await television(op)
    answer = await rp.call(ENDPOINT, change)
    assert_error_shape(answer)
    assert answer.json["error"] == error


async def test_a_public_client_cannot_fill_the_table_from_one_address(op: Op) -> None:
    rp, trusted = await television(op), await television(op, auth_method="client_secret_basic")
    answers = [await rp.call(ENDPOINT, {}) for _ in range(110)]
    refused = [answer for answer in answers if answer.status == 429]
    assert 5 < len(refused) < 20
    assert int(refused[0].headers["Retry-After"]) > 0
    assert refused[0].json["error"] == "temporarily_unavailable"
    assert (await trusted.call(ENDPOINT, {})).status == 200


@pytest.mark.parametrize("endpoint", [ENDPOINT, "token_endpoint"])
async def test_every_parameter_of_a_device_that_is_wrong_is_an_error_of_rfc_6749(op: Op, endpoint: str) -> None:
    rp = await television(op, auth_method="client_secret_basic")
    codes = await ask(rp)
    await decide(op.browser(), codes)
    asked = {"scope": "openid"} if endpoint == ENDPOINT else {}
    pairs = [*asked.items()] or [("grant_type", DEVICE), ("device_code", codes["device_code"])]
    pairs.append(("client_id", rp.client_id))
    for name, _ in pairs:
        for change in CHANGES:
            if name == "client_id" and change in {"missing", "empty"} and endpoint != ENDPOINT:
                continue  # whoever authenticates by the header need not say it again
            answer = await op.running.send(
                "POST",
                rp.path(endpoint),
                data=changed(pairs, name, change),
                headers={**rp.authentication()[1], "Content-Type": FORM},
            )
            assert_no_surprise(answer)
            if answer.status == 200:
                assert name in {"scope", "client_id"}, (name, change)
                assert change in {"missing", "empty"}, (name, change)
            else:
                assert_error_shape(answer, f"{name} {change}")
    assert endpoint == ENDPOINT or (await poll(op, rp, codes)).status == 200


async def test_the_code_on_the_screen_signs_nobody_in_by_itself(op: Op) -> None:
    """RFC 8628 section 5.4: whoever sends somebody the complete address must not get their account by it."""
    rp = await television(op)
    codes = await ask(rp)
    browser = op.browser()
    await browser.through(await browser.open(codes["verification_uri_complete"]))
    assert (await poll(op, rp, codes)).json["error"] == "authorization_pending"
    await browser.open(f"{op.running.origin}/oauth/device/decision?{urlencode({'user_code': codes['user_code']})}")
    assert (await poll(op, rp, codes)).json["error"] == "authorization_pending"
