"""Password and implicit: for the clients that an administrator gave them to, with no less care than the others."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.gateways import PASSWORD, Answer, GatewayFactory
from tests.oauth.browser import Page
from tests.oauth.op import Op, start_op
from tests.oauth.relying_party import FORM, AuthorizationRequest, RelyingParty, half_hash
from tests.oauth.test_oauth_bad_input import CHANGES, assert_error_shape, assert_no_surprise, changed

TYPES = ["token", "id_token", "id_token token"]


async def asking(op: Op, **more: Any) -> RelyingParty:
    return await op.client(grants=["password", "refresh_token"], redirect_uris=[], **more)


async def ask(rp: RelyingParty, **changes: str) -> Answer:
    fields = {"grant_type": "password", "username": "ann", "password": PASSWORD, "scope": "openid email", **changes}
    return await rp.call("token_endpoint", {name: value for name, value in fields.items() if value})


# Password


@pytest.mark.parametrize("auth_method", ["none", "client_secret_basic", "client_secret_post"])
async def test_a_name_and_its_password_become_tokens(op: Op, auth_method: str) -> None:
    rp = await asking(op, auth_method=auth_method)
    tokens = await rp.tokens(await ask(rp))
    assert tokens.answer["scope"] == "openid email"
    assert tokens.claims["amr"] == ["pwd"]
    assert (await rp.userinfo(tokens.access_token))["email"] == "ann@example.com"
    assert (await rp.refresh(tokens.refresh_token)).status == 200


async def test_what_is_wrong_with_a_login_is_not_told(op: Op) -> None:
    rp = await asking(op)
    wrong = ({"password": "wrong"}, {"username": "nobody"}, {"username": "\u202e"}, {"password": "x" * 5000})
    answers = [await ask(rp, **changes) for changes in wrong]
    await op.sql("update account set is_active = false")
    answers.append(await ask(rp))
    assert {(answer.status, answer.body) for answer in answers} == {(400, answers[0].body)}
    assert answers[0].json["error"] == "invalid_grant"


async def test_failures_count_with_those_of_the_login_page(gateway_factory: GatewayFactory) -> None:
    op = await start_op(gateway_factory, "login: {max_failures: 3, lockout: 10m}\n")
    await op.person()
    rp = await asking(op)
    for _ in range(3):
        assert (await ask(rp, password="wrong")).json["error"] == "invalid_grant"
    locked = await ask(rp)
    assert (locked.status, locked.json["error"]) == (400, "invalid_grant")
    assert int(locked.headers["Retry-After"]) > 500
    elsewhere = await op.running.post("/api/v1/users/login", {"username": "ann", "password": PASSWORD})
    assert elsewhere.status == 429
    op.clock.advance(601)
    assert (await ask(rp)).status == 200


@pytest.mark.parametrize("missing", ["username", "password"])
async def test_both_name_and_password_are_needed(op: Op, missing: str) -> None:
    answer = await ask(await asking(op), **{missing: ""})
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_nobody_else_may_send_passwords(op: Op) -> None:
    answer = await ask(await op.client())
    assert (answer.status, answer.json["error"]) == (400, "unauthorized_client")
    refused = await ask(await asking(op), client_secret="wrong")
    assert refused.json["error"] == "invalid_request"


async def test_a_password_opens_no_more_than_the_client_may_have(op: Op) -> None:
    rp = await asking(op, scope="openid")
    assert (await ask(rp)).json["scope"] == "openid"
    assert (await ask(rp, scope="gateway")).json["error"] == "invalid_scope"
    assert (await ask(rp, resource="https://elsewhere.example.com")).json["error"] == "invalid_target"


async def test_every_parameter_of_the_password_grant_that_is_wrong_is_an_error(op: Op) -> None:
    rp = await asking(op)
    pairs = [("grant_type", "password"), ("username", "ann"), ("password", PASSWORD), ("scope", "openid")]
    headers = {**rp.authentication()[1], "Content-Type": FORM}
    for name, _ in pairs:
        for change in CHANGES:
            body = changed(pairs, name, change)
            answer = await op.running.send("POST", rp.path("token_endpoint"), data=body, headers=headers)
            await op.sql("delete from login_failure")
            assert_no_surprise(answer)
            if answer.status == 200:
                assert (name, change) in {("scope", "missing"), ("scope", "empty")}
            else:
                assert_error_shape(answer, f"{name} {change}")


# Implicit


async def browser_only(op: Op, **more: Any) -> RelyingParty:
    more = {"auth_method": "none", "response_types": TYPES, "grants": ["implicit"], **more}
    return await op.client("Old page", **more)


def fragment_of(page: Page, rp: RelyingParty, request: AuthorizationRequest) -> dict[str, str]:
    """Return an answer in the fragment: ours, from this issuer, and nothing of it in the query."""
    assert page.answer is None, page.words
    parts = urlsplit(page.url)
    assert page.url.startswith(f"{rp.redirect_uri}#")
    assert parts.query == ""
    pairs = parse_qsl(parts.fragment, strict_parsing=True)
    parameters = dict(pairs)
    assert len(parameters) == len(pairs)
    assert (parameters["state"], parameters["iss"]) == (request.state, rp.metadata["issuer"])
    return parameters


@pytest.mark.parametrize("response_type", [*TYPES, "token id_token"])
@pytest.mark.parametrize("auth_method", ["none", "client_secret_basic"])
async def test_tokens_come_in_the_fragment(op: Op, response_type: str, auth_method: str) -> None:
    rp = await browser_only(op, auth_method=auth_method)
    request = rp.request(pkce=False, response_type=response_type, scope="openid email offline_access")
    browser = op.browser()
    answer = fragment_of(await browser.through(await browser.open(request.url)), rp, request)
    expected = {"state", "iss"}
    if "id_token" in response_type.split():
        expected |= {"id_token"}
        claims = await rp.verified(answer["id_token"], request)
        assert claims["email"] == "ann@example.com"
        assert ("at_hash" in claims) == ("access_token" in answer)
        if "access_token" in answer:
            assert claims["at_hash"] == half_hash(answer["access_token"], "RS256")
    if "token" in response_type.split():
        expected |= {"access_token", "token_type", "expires_in", "scope"}
        assert (answer["token_type"], answer["scope"]) == ("Bearer", "openid email")
        assert (await rp.userinfo(answer["access_token"]))["email"] == "ann@example.com"
    assert answer.keys() == expected


async def test_tokens_of_a_fragment_end_with_the_login(op: Op) -> None:
    rp = await browser_only(op)
    request = rp.request(pkce=False, response_type="token", scope="openid offline_access")
    browser = op.browser()
    answer = fragment_of(await browser.through(await browser.open(request.url)), rp, request)
    await op.sql("delete from session")
    await op.sql("update refresh_family set revoked_at = now() where not offline")
    assert (await op.running.get(rp.path("userinfo_endpoint"), token=answer["access_token"])).status == 401


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"nonce": ""}, "invalid_request"),
        ({"scope": "profile"}, "invalid_request"),
        ({"response_mode": "query"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "id_token id_token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "e30.e30."}, "request_not_supported"),
    ],
    ids=str,
)
async def test_errors_come_in_the_fragment_too(op: Op, change: dict[str, str], error: str) -> None:
    rp = await browser_only(op)
    asked = {"response_type": "id_token", **change}
    without = [name for name, value in asked.items() if not value]
    request = rp.request(pkce=False, without=without, **asked)
    assert fragment_of(await op.browser().open(request.url), rp, request)["error"] == error


async def test_a_client_gets_what_it_is_registered_for_alone(op: Op) -> None:
    rp = await op.client()
    request = rp.request(response_type="id_token token")
    page = await op.browser().open(request.url)
    assert fragment_of(page, rp, request)["error"] == "unauthorized_client"
    one = await browser_only(op, response_types=["id_token"])
    request = one.request(pkce=False, response_type="id_token token")
    assert fragment_of(await op.browser().open(request.url), one, request)["error"] == "unauthorized_client"
    request = one.request(pkce=False, response_type="code")
    assert one.error(await op.browser().open(request.url), request) == "unauthorized_client"


# Both


async def test_old_grants_are_not_advertised(op: Op) -> None:
    assert not {"password", "implicit"} & set(op.metadata["grant_types_supported"])
    assert op.metadata["response_types_supported"] == ["code"]


async def test_operators_are_warned_of_each_client_once(op: Op, caplog: pytest.LogCaptureFixture) -> None:
    rp, page = await asking(op), await browser_only(op)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await ask(rp)
            request = page.request(pkce=False, response_type="token")
            browser = op.browser()
            await browser.through(await browser.open(request.url))
    warned = [record.getMessage() for record in caplog.records if "old grant" in record.getMessage()]
    assert sorted(text.split(":")[0] for text in warned) == sorted(
        [f"client {rp.client_id} uses the old grant password", f"client {page.client_id} uses the old grant implicit"]
    )


async def test_the_library_never_writes_what_it_handles_into_the_log(op: Op, caplog: pytest.LogCaptureFixture) -> None:
    """Authlib formats whole answers into its messages at the level DEBUG."""
    caplog.set_level(logging.DEBUG)
    secrets: list[str] = []
    rp, old, page = await op.client(), await asking(op), await browser_only(op)
    browser, request = op.browser(), rp.request()
    code = await rp.sign_in(browser, request)
    for answer in (await rp.redeem(code, request), await ask(old)):
        secrets += [answer.json["access_token"], answer.json["refresh_token"], answer.json["id_token"]]
    secrets.append((await rp.refresh(secrets[1])).json["refresh_token"])
    request = page.request(pkce=False, response_type="id_token token")
    shown = fragment_of(await browser.through(await browser.open(request.url)), page, request)
    secrets += [shown["access_token"], shown["id_token"], code, rp.secret, old.secret, PASSWORD]
    written = "\n".join(record.getMessage() for record in caplog.records)
    assert written
    assert [secret[:12] for secret in secrets if secret in written or secret.rpartition(".")[2] in written] == []
    assert not [record.name for record in caplog.records if record.name.startswith("authlib")]
