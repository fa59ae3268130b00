"""One code, one refresh token, many hands at once: one winner, and what was won ends with the replay."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.gateways import Answer, GatewayFactory, Running
from tests.oauth.op import Op, start_op
from tests.oauth.relying_party import RelyingParty, Tokens

PARALLEL = 50
REFUSED = (400, "invalid_grant")


def outcome(answer: Answer) -> tuple[int, str]:
    """Return status and error; the error of a success is empty."""
    document = answer.json
    assert ("access_token" in document) == (answer.status == 200)
    return answer.status, document.get("error", "")


async def twin(op: Op) -> Running:
    """Serve the same provider from another process's place: its own memory, the same database."""
    first = op.running.gateway.settings.server
    return await op.factory(clock=op.clock, SERVER__PUBLIC_URL=first.public_url)


async def assert_over(rp: RelyingParty, tokens: Tokens) -> None:
    """Nothing that was given works any more."""
    assert outcome(await rp.refresh(tokens.refresh_token)) == REFUSED
    answer = await rp.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token)
    assert answer.status == 401


@pytest.fixture
async def rp(op: Op) -> RelyingParty:
    return await op.client(auth_method="none", requires_pkce=True)


async def test_one_of_fifty_redemptions_of_a_code_wins(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    answers = await asyncio.gather(*(rp.redeem(code, request) for _ in range(PARALLEL)))
    assert Counter(map(outcome, answers)) == {(200, ""): 1, REFUSED: PARALLEL - 1}
    won = next(answer for answer in answers if answer.status == 200)
    await assert_over(rp, await rp.tokens(won, request))


async def test_one_of_fifty_refreshes_wins(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser())
    answers = await asyncio.gather(*(rp.refresh(tokens.refresh_token) for _ in range(PARALLEL)))
    assert Counter(map(outcome, answers)) == {(200, ""): 1, REFUSED: PARALLEL - 1}
    won = next(answer for answer in answers if answer.status == 200)
    await assert_over(rp, await rp.tokens(won))


async def test_one_winner_among_two_processes(op: Op, rp: RelyingParty) -> None:
    there = replace(rp, running=await twin(op))
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    answers = await asyncio.gather(*((rp, there)[n % 2].redeem(code, request) for n in range(PARALLEL)))
    assert Counter(map(outcome, answers)) == {(200, ""): 1, REFUSED: PARALLEL - 1}
    won = next(answer for answer in answers if answer.status == 200)
    for each in (rp, there):
        await assert_over(each, await each.tokens(won, request))

    tokens = await rp.flow(op.browser())
    answers = await asyncio.gather(*((rp, there)[n % 2].refresh(tokens.refresh_token) for n in range(PARALLEL)))
    assert Counter(map(outcome, answers)) == {(200, ""): 1, REFUSED: PARALLEL - 1}
    won = next(answer for answer in answers if answer.status == 200)
    for each in (rp, there):
        await assert_over(each, await each.tokens(won))


async def test_a_process_that_starts_afterwards_knows_what_was_used(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    first = await rp.tokens(await rp.redeem(code, request), request)
    second = await rp.tokens(await rp.refresh(first.refresh_token))
    restarted = replace(rp, running=await twin(op))
    assert outcome(await restarted.redeem(code, request)) == REFUSED
    await assert_over(restarted, second)


async def test_a_code_is_redeemed_after_a_restart(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    restarted = replace(rp, running=await twin(op))
    first = await restarted.tokens(await restarted.redeem(code, request), request)
    await restarted.tokens(await restarted.refresh(first.refresh_token))


async def test_a_code_is_good_for_a_minute(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    op.clock.advance(61)
    assert outcome(await rp.redeem(code, request)) == REFUSED


@pytest.fixture
async def graceful(gateway_factory: GatewayFactory) -> Op:
    op = await start_op(gateway_factory, "oauth: {refresh_grace: 10s}")
    await op.person()
    return op


async def test_within_the_grace_a_client_that_lost_the_answer_gets_another(graceful: Op) -> None:
    rp = await graceful.client(auth_method="none", requires_pkce=True)
    tokens = await rp.flow(graceful.browser())
    await rp.refresh(tokens.refresh_token)  # the answer is lost
    graceful.clock.advance(5)
    second = await rp.tokens(await rp.refresh(tokens.refresh_token))
    await rp.tokens(await rp.refresh(second.refresh_token))


async def test_after_the_grace_a_replay_ends_the_family(graceful: Op) -> None:
    rp = await graceful.client(auth_method="none", requires_pkce=True)
    tokens = await rp.flow(graceful.browser())
    second = await rp.tokens(await rp.refresh(tokens.refresh_token))
    graceful.clock.advance(11)
    assert outcome(await rp.refresh(tokens.refresh_token)) == REFUSED
    await assert_over(rp, second)


async def test_the_grace_ends_once_the_new_token_has_been_used(graceful: Op) -> None:
    """Whoever uses the successor has it, so the answer was not lost, and who sends the old one stole it."""
    rp = await graceful.client(auth_method="none", requires_pkce=True)
    tokens = await rp.flow(graceful.browser())
    second = await rp.tokens(await rp.refresh(tokens.refresh_token))
    third = await rp.tokens(await rp.refresh(second.refresh_token))
    assert outcome(await rp.refresh(tokens.refresh_token)) == REFUSED
    await assert_over(rp, third)


async def test_the_grace_is_not_for_codes(graceful: Op) -> None:
    rp = await graceful.client(auth_method="none", requires_pkce=True)
    request = rp.request()
    code = await rp.sign_in(graceful.browser(), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    assert outcome(await rp.redeem(code, request)) == REFUSED
    await assert_over(rp, tokens)


async def test_without_grace_every_replay_ends_the_family(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser())
    second = await rp.tokens(await rp.refresh(tokens.refresh_token))
    assert outcome(await rp.refresh(tokens.refresh_token)) == REFUSED
    await assert_over(rp, second)


@pytest.mark.parametrize("changed", [{"code_verifier": "x" * 43}, {"redirect_uri": "https://rp.example.com/other"}])
async def test_a_wrong_redemption_uses_the_code_up_or_leaves_it_whole_but_never_gives_tokens(
    op: Op, rp: RelyingParty, changed: dict[str, str]
) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    assert outcome(await rp.redeem(code, request, **changed)) == REFUSED
    assert outcome(await rp.redeem(code, request)) in {(200, ""), REFUSED}


DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


async def test_one_of_many_polls_of_a_device_gets_its_tokens(op: Op) -> None:
    rp = await op.client("Television", auth_method="none", grants=[DEVICE, "refresh_token"], redirect_uris=[])
    asked = (await rp.call("device_authorization_endpoint", {"scope": "openid"})).json
    browser = op.browser()
    page = await browser.sign_in(await browser.open(asked["verification_uri_complete"]))
    typed = next(form for form in page.forms if "user_code" in form.fields)
    page = await browser.submit(page, typed)
    confirm = next(form for form in page.forms if len(form.buttons) > 1)
    name, value = confirm.buttons[0]
    assert (await browser.submit(page, confirm, **{name: value})).status == 200
    fields = {"grant_type": DEVICE, "device_code": asked["device_code"]}
    answers = await asyncio.gather(*(rp.call("token_endpoint", fields) for _ in range(PARALLEL)))
    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert {answer.json["error"] for answer in answers if answer.status != 200} <= {"slow_down", "invalid_grant"}
    await rp.tokens(won[0])
    op.clock.advance(60)
    assert outcome(await rp.call("token_endpoint", fields)) == REFUSED
