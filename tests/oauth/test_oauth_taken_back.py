"""What somebody takes back under their account is over at once: on routes, at every endpoint, for every process."""

from __future__ import annotations

import pytest

from tests.gateways import GatewayFactory
from tests.oauth.op import Op, start_op

ROUTES = """
routes:
  - {match: {host: app.localhost}, respond: {status: 200}}
"""


@pytest.fixture
async def op(gateway_factory: GatewayFactory) -> Op:
    provider = await start_op(gateway_factory, ROUTES)
    await provider.person()
    return provider


@pytest.mark.parametrize("first_party", [False, True], ids=["agreed to", "first-party"])
async def test_tokens_end_when_they_are_taken_back(op: Op, first_party: bool) -> None:
    wiki = await op.client(opens_routes=True, first_party=first_party)
    blog = await op.client("Blog", opens_routes=True)
    browser = op.browser()
    gone = await wiki.flow(browser, scope="openid offline_access")
    kept = await blog.flow(browser, scope="openid offline_access")
    route = {"host": "app.localhost"}
    for tokens in (gone, kept):
        assert (await op.running.get("/x", token=tokens.access_token, **route)).status == 200
    page = await browser.open(f"{op.running.origin}/account/applications")
    form = next(each for each in page.forms if each.fields.get("client_id") == wiki.client_id)
    done = await browser.submit(page, form)
    assert "The application can no longer use your account." in done.text
    assert (await op.running.get("/x", token=gone.access_token, **route)).status == 401
    assert (await op.running.get("/oauth/userinfo", token=gone.access_token)).status == 401
    refused = await wiki.refresh(gone.refresh_token)
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")
    assert (await op.running.get("/x", token=kept.access_token, **route)).status == 200
    assert (await blog.refresh(kept.refresh_token)).status == 200


async def test_code_that_was_not_redeemed_yet_is_taken_back(op: Op) -> None:
    wiki = await op.client()
    browser = op.browser()
    request = wiki.request(scope="openid")
    code = await wiki.sign_in(browser, request)
    page = await browser.open(f"{op.running.origin}/account/applications")
    await browser.submit(page, next(each for each in page.forms if "client_id" in each.fields))
    assert (await wiki.redeem(code, request)).json["error"] == "invalid_grant"
