"""People agree to what a token opens: agreeing to one resource is not agreeing to every route."""

from __future__ import annotations

import pytest

from tests.gateways import GatewayFactory
from tests.oauth.op import Op, start_op

ROUTES = """
routes:
  - {match: {host: notes.localhost}, resource: true, respond: {status: 200}}
  - {match: {host: app.localhost}, respond: {status: 200}}
"""


@pytest.fixture
async def op(gateway_factory: GatewayFactory) -> Op:
    provider = await start_op(gateway_factory, ROUTES)
    await provider.person()
    return provider


async def test_resource_that_was_agreed_to_opens_no_route_unasked(op: Op) -> None:
    wiki = await op.client(opens_routes=True, first_party=False)
    browser = op.browser()
    [notes] = [each for each in op.running.gateway.rules.audiences if "notes" in each]
    first = await browser.through(await browser.open(wiki.request(resource=notes).url))
    assert "code" in first.parameters
    assert browser.seen == ["login", "consent"]
    again = await browser.open(wiki.request(resource=notes).url)
    assert "code" in again.parameters
    page = await browser.open(wiki.request().url)
    assert page.consent_form is not None, "all routes are more than one resource"
    assert "Open the applications behind Gateway as you" in page.text
    await browser.decide(page)
    for request in (wiki.request(), wiki.request(resource=notes)):
        assert "code" in (await browser.open(request.url)).parameters


async def test_client_that_is_let_into_routes_has_to_ask(op: Op) -> None:
    wiki = await op.client(first_party=False)
    browser = op.browser()
    await browser.through(await browser.open(wiki.request().url))
    assert "code" in (await browser.open(wiki.request().url)).parameters
    await op.sql("update oauth_client set opens_routes = true")
    await op.sql("insert into event (topic, key) values ('client', $1)", wiki.client_id)
    await op.running.gateway.feed.caught_up()
    assert (await browser.open(wiki.request().url)).consent_form is not None
