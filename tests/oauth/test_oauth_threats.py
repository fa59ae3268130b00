"""The known attacks on authorization servers (RFC 9700, advisories of other gateways), each as its thief does it."""

from __future__ import annotations

import logging
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import pytest

from gateway.accounts.changes import Changes
from tests.gateways import Answer, GatewayFactory, field_of
from tests.oauth.browser import Browser, Page
from tests.oauth.op import Op, start_op
from tests.oauth.relying_party import AuthorizationRequest, RelyingParty

REFUSED = (400, "invalid_grant")


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json.get("error", "")


@pytest.fixture
async def rp(op: Op) -> RelyingParty:
    return await op.client(requires_pkce=True, first_party=False)


async def public(op: Op, name: str = "App") -> RelyingParty:
    return await op.client(name, auth_method="none", requires_pkce=True)


# Codes


@pytest.mark.parametrize(
    ("parameters", "without"),
    [
        pytest.param({}, ("code_challenge", "code_challenge_method"), id="no-challenge"),
        pytest.param({}, ("code_challenge",), id="method-alone"),
        pytest.param({"code_challenge_method": "plain"}, (), id="plain"),
        pytest.param({}, ("code_challenge_method",), id="plain-by-default"),
        pytest.param({"code_challenge_method": "s256"}, (), id="method-in-lower-case"),
        pytest.param({"code_challenge_method": "S512"}, (), id="unknown-method"),
        pytest.param({"code_challenge": "short"}, (), id="short-challenge"),
        pytest.param({"code_challenge": "a" * 129}, (), id="long-challenge"),
        pytest.param({"code_challenge": "a" * 42 + "="}, (), id="padded-challenge"),
    ],
)
async def test_pkce_cannot_be_left_out_or_weakened(
    op: Op, rp: RelyingParty, parameters: dict[str, str], without: tuple[str, ...]
) -> None:
    request = replace(rp.request(), url="")
    asked = {name: value for name, value in {**request.parameters, **parameters}.items() if name not in without}
    page = await op.browser().open(f"{rp.metadata['authorization_endpoint']}?{urlencode(asked)}")
    assert rp.error(page, request) == "invalid_request"


@pytest.mark.parametrize("verifier", ["", "a" * 43, "a" * 42, "a" * 129, "ä" * 43])
async def test_a_code_with_a_challenge_needs_its_verifier(op: Op, verifier: str) -> None:
    """Also of a client that may go without PKCE: leaving the verifier out would be the downgrade."""
    for rp in (await public(op), await op.client(requires_pkce=False)):
        request = rp.request(pkce=True)
        code = await rp.sign_in(op.browser(), request)
        assert (await rp.redeem(code, request, code_verifier=verifier)).status == 400


async def test_a_code_without_a_challenge_takes_no_verifier(op: Op) -> None:
    """RFC 9700 section 4.8.2: a thief strips the challenge and lets the victim's client send its verifier."""
    rp = await op.client(requires_pkce=False)
    request = rp.request(pkce=False)
    code = await rp.sign_in(op.browser(), request)
    answer = await rp.redeem(code, request, code_verifier="a" * 43)
    assert answer.status == 400
    assert answer.json["error"] in {"invalid_grant", "invalid_request"}


async def test_a_challenge_is_no_verifier(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    challenge = request.parameters["code_challenge"]
    assert refused(await rp.redeem(code, request, code_verifier=challenge)) == REFUSED


async def test_a_code_is_bound_to_its_client(op: Op, rp: RelyingParty) -> None:
    thief = await op.client("Thief", requires_pkce=False)
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    assert refused(await thief.redeem(code, request)) == REFUSED
    # The thief's try is not the client's: what is bound elsewhere is not used up.
    assert (await rp.redeem(code, request)).status == 200


async def test_a_code_is_bound_to_its_redirect_uri(op: Op) -> None:
    uris = ["https://rp.example.com/a", "https://rp.example.com/b"]
    for changed in ({"redirect_uri": uris[1]}, {"redirect_uri": ""}, {"redirect_uri": f"{uris[0]}/"}):
        rp = await op.client(redirect_uris=uris)
        request = rp.request()
        code = await rp.sign_in(op.browser(), request)
        assert refused(await rp.redeem(code, request, **changed)) in {REFUSED, (400, "invalid_request")}


async def test_a_code_that_is_injected_into_another_session_fails_by_pkce(op: Op) -> None:
    """RFC 9700 section 4.5: the thief's code arrives at the client with the victim's verifier."""
    rp = await public(op)
    await op.person("mallory")
    victims, thiefs = rp.request(), rp.request()
    code = await rp.sign_in(op.browser(), thiefs, "mallory")
    assert refused(await rp.redeem(code, victims)) == REFUSED


async def test_a_code_is_no_other_token_and_no_other_token_is_a_code(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    assert refused(await rp.refresh(code)) == REFUSED
    assert (await op.running.get(rp.path("userinfo_endpoint"), token=code)).status == 401
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    for other in (tokens.access_token, tokens.refresh_token, tokens.id_token):
        assert refused(await rp.redeem(other, request)) == REFUSED
    for other in (tokens.access_token, tokens.id_token):
        assert refused(await rp.refresh(other)) == REFUSED
    for other in (tokens.refresh_token, tokens.id_token):
        assert (await op.running.get(rp.path("userinfo_endpoint"), token=other)).status == 401
        assert (await op.running.get("/api/me", token=other)).status == 401


# Refresh tokens and scopes


async def test_a_refresh_token_is_bound_to_its_client(op: Op) -> None:
    mine, thief = await public(op, "Mine"), await public(op, "Thief")
    tokens = await mine.flow(op.browser())
    assert refused(await thief.refresh(tokens.refresh_token)) == REFUSED
    assert (await mine.refresh(tokens.refresh_token)).status == 200


async def test_scopes_shrink_at_refresh_and_never_grow(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser(), scope="openid email")
    wider = await rp.refresh(tokens.refresh_token, scope="openid email profile")
    assert refused(wider) == (400, "invalid_scope")
    narrow = await rp.tokens(await rp.refresh(tokens.refresh_token, scope="openid"))
    assert set(narrow.answer["scope"].split()) == {"openid"}
    assert "email" not in await rp.userinfo(narrow.access_token)
    # RFC 6749 section 6: what was granted stays so, and may be asked for again.
    again = await rp.tokens(await rp.refresh(narrow.refresh_token, scope="openid email"))
    assert (await rp.userinfo(again.access_token))["email"] == "ann@example.com"


async def test_a_scope_that_the_client_may_not_have_is_not_given(op: Op) -> None:
    rp = await op.client(scope="openid email")
    tokens = await rp.flow(op.browser(), scope="openid email profile roles gateway bogus")
    assert set(tokens.answer["scope"].split()) == {"openid", "email"}
    claims = await rp.userinfo(tokens.access_token)
    assert not {"preferred_username", "roles", "name"} & set(claims)


async def test_the_scope_of_the_api_is_not_for_clients(gateway_factory: GatewayFactory, echo: str) -> None:
    """Even where a route requires it: whoever holds it acts as the person in everything."""
    route = f"{{match: {{host: localhost, path: /app/**}}, upstream: '{echo}', require: {{scopes: [gateway]}}}}"
    op = await start_op(gateway_factory, f"routes: [{route}]")
    await op.person()
    rp = await op.client(opens_routes=True, first_party=False)
    assert "gateway" not in rp.metadata["scopes_supported"]
    tokens = await rp.flow(op.browser(), scope="openid gateway")
    assert tokens.answer["scope"] == "openid"
    for path in ("/app/", "/api/v1/users/me/api-tokens", "/api/v1/users/"):
        assert (await op.running.get(path, token=tokens.access_token)).status == 403, path
    without = await op.client(first_party=False)
    tokens = await without.flow(op.browser(), scope="openid gateway")
    for path in ("/app/", "/api/me", "/api/v1/users/me", "/api/v1/users/"):
        assert (await op.running.get(path, token=tokens.access_token)).status == 401, path


async def test_tokens_of_clients_and_own_logins_do_not_mix(op: Op, rp: RelyingParty) -> None:
    ann = await op.person()
    tokens = await rp.flow(op.browser())
    taken = await op.running.post(
        "/api/v1/auth/refresh", {"refresh_token": tokens.refresh_token, "grant_type": "refresh_token"}
    )
    assert taken.status == 401
    own = await op.running.gateway.accounts.refresh_tokens.start_family(ann.id)
    assert refused(await rp.refresh(own.refresh_token)) == REFUSED
    assert (await op.running.get(rp.path("userinfo_endpoint"), token=own.access_token)).status in {401, 403}


async def test_a_token_for_another_audience_is_not_taken_at_userinfo(op: Op, rp: RelyingParty) -> None:
    routes = await op.client(opens_routes=True, requires_pkce=True)
    for client, status in ((rp, 403), (routes, 401)):  # without openid it is not about OpenID Connect at all
        tokens = await client.flow(op.browser(), scope="email")
        answer = await op.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token)
        assert answer.status == status
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_of_a_client_that_opens_no_routes_opens_none(gateway_factory: GatewayFactory, echo: str) -> None:
    route = f"{{match: {{host: localhost, path: /app/**}}, upstream: '{echo}'}}"
    op = await start_op(gateway_factory, f"routes: [{route}]")
    await op.person()
    for opens, status in ((False, 401), (True, 200)):
        rp = await op.client(opens_routes=opens, first_party=False)
        tokens = await rp.flow(op.browser())
        assert (await op.running.get("/app/", token=tokens.access_token)).status == status, opens


async def test_people_are_one_to_routes_and_different_to_each_pairwise_client(
    gateway_factory: GatewayFactory, echo: str
) -> None:
    """OpenID Connect Core 1.0 section 8.1: what a client calls a person is its business; whom it acts for is ours."""
    route = f"{{match: {{host: localhost, path: /app/**}}, upstream: '{echo}'}}"
    op = await start_op(gateway_factory, f"routes: [{route}]")
    ann = await op.person()
    subjects = {ann.id}
    for host in ("one.example.com", "two.example.com"):
        rp = await op.client(subject_type="pairwise", redirect_uris=[f"https://{host}/callback"], opens_routes=True)
        tokens = await rp.flow(op.browser())
        assert (await rp.userinfo(tokens.access_token))["sub"] == tokens.claims["sub"]
        assert tokens.claims["sub"] not in subjects
        subjects.add(tokens.claims["sub"])
        answer = await op.running.get("/app/", token=tokens.access_token)
        assert field_of(answer, "X-Forwarded-User") == ["ann"]


# Pushed requests


async def pushed(rp: RelyingParty, request: AuthorizationRequest) -> str:
    """Push a request, and return the address that goes on with it."""
    answer = await rp.call("pushed_authorization_request_endpoint", request.parameters)
    assert answer.status == 201, answer.text
    query = urlencode({"client_id": rp.client_id, "request_uri": answer.json["request_uri"]})
    return f"{rp.metadata['authorization_endpoint']}?{query}"


async def test_a_pushed_request_is_for_its_client_once_and_soon(op: Op, rp: RelyingParty) -> None:
    other = await op.client("Other")
    request, browser = rp.request(), op.browser()
    address = await pushed(rp, request)
    assert (await browser.open(address.replace(rp.client_id, other.client_id))).status == 400
    # What stands beside it in the browser's hands changes nothing (RFC 9126 section 4).
    bent = f"{address}&{urlencode({'scope': 'openid email', 'redirect_uri': 'https://evil.example/', 'state': 'x'})}"
    code = rp.code(await browser.through(await browser.open(bent)), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    assert tokens.answer["scope"] == "openid"
    assert (await browser.open(address)).status == 400
    late = await pushed(rp, rp.request())
    op.clock.advance(91)
    assert (await browser.open(late)).status == 400


async def test_a_client_that_has_to_push_does(op: Op) -> None:
    rp = await op.client(require_pushed_authorization_requests=True)
    request, browser = rp.request(), op.browser()
    assert rp.error(await browser.open(request.url), request) == "invalid_request"
    by_form = await browser.open(rp.metadata["authorization_endpoint"], request.parameters)
    assert by_form.answer is not None
    assert by_form.status == 400
    assert rp.code(await browser.through(await browser.open(await pushed(rp, request))), request)


async def test_a_request_that_is_pushed_is_judged_at_once(op: Op, rp: RelyingParty) -> None:
    for parameters, error in (
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"response_type": "bogus"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"request": "x.y."}, "request_not_supported"),
        ({"client_id": "client-other"}, "invalid_request"),
    ):
        asked = {**rp.request().parameters, **parameters}
        answer = await rp.call("pushed_authorization_request_endpoint", asked)
        assert (answer.status, answer.json["error"]) == (400, error), parameters


# Responses


async def test_state_and_issuer_are_in_every_response(op: Op, rp: RelyingParty) -> None:
    """RFC 9207 against mix-up; an answer whose state is missing cannot be told from a forged one."""
    state = "a b+c&d=e%41é/?#'"
    request = rp.request(state=state)
    browser = op.browser()
    page = await browser.open(request.url)
    page = await browser.sign_in(page)
    denied = await browser.decide(page, allow=False)
    assert rp.error(denied, request) == "access_denied"
    assert denied.parameters["state"] == state
    request = rp.request(state=state)
    agreed = await browser.through(await browser.open(request.url))
    assert rp.code(agreed, request)
    assert agreed.parameters["state"] == state
    for wrong in ({"response_type": "bogus"}, {"scope": "bogus"}, {"prompt": "none login"}, {"max_age": "-1"}):
        request = replace(rp.request(state=state), url="")
        url = f"{rp.metadata['authorization_endpoint']}?{urlencode({**request.parameters, **wrong})}"
        assert rp.error(await browser.open(url), request)


@pytest.mark.parametrize(
    "response_type", ["token", "id_token", "code id_token", "code token", "id_token token", "none", "CODE", "code code"]
)
async def test_no_token_travels_through_the_browser(op: Op, rp: RelyingParty, response_type: str) -> None:
    request = rp.request(response_type=response_type)
    page = await op.browser().open(request.url)
    # OAuth 2.0 Multiple Response Types section 5: an error of a front-channel type comes in the fragment.
    query, _, fragment = page.url.partition("#")
    at = Page(f"{query.partition('?')[0]}?{fragment}") if fragment else page
    assert rp.error(at, request) in {"unsupported_response_type", "unauthorized_client", "invalid_request"}


async def test_state_and_issuer_are_in_a_fragment_too(op: Op) -> None:
    rp = await op.client()
    for changed, expected in (({}, "code"), ({"scope": "bogus"}, "error")):
        request = rp.request(response_mode="fragment")
        address = f"{rp.metadata['authorization_endpoint']}?{urlencode({**request.parameters, **changed})}"
        browser = op.browser()
        page = await browser.through(await browser.open(address))
        before, _, fragment = page.url.partition("#")
        assert before == rp.redirect_uri, "nothing of it in the address that servers see"
        answered = rp.response(Page(f"{before}?{fragment}"), request)
        assert expected in answered
        if expected == "code":
            assert (await rp.redeem(answered["code"], request)).status == 200


async def test_a_fresh_login_is_bound_to_the_browser_that_asked(op: Op, rp: RelyingParty) -> None:
    """A request that waits is of use to nobody else: whoever opens its address decides for himself alone."""
    await op.person("mallory")
    request = rp.request()
    thief = op.browser()
    page = await thief.sign_in(await thief.open(request.url), "mallory")
    assert page.consent_form is not None
    victim = op.browser()
    seen = await victim.through(await victim.open(page.url))
    if seen.answer is None and "code" in seen.parameters:
        assert victim.seen == ["login", "consent"], "what was decided elsewhere does not count"
    else:
        assert seen.status in {400, 404}


async def test_consent_is_not_given_by_a_page_of_another_site(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    page = await browser.sign_in(await browser.open(rp.request().url))
    form = page.consent_form
    assert form is not None
    name, value = form.buttons[0]
    fields = {**form.fields, name: value}
    hidden = {key: value for key, value in fields.items() if key != "csrf_token"}
    for sent, headers in (
        (hidden, {}),
        ({**fields, "csrf_token": "x" * 64}, {}),
        (fields, {"Sec-Fetch-Site": "cross-site"}),
        (fields, {"Origin": "https://evil.example"}),
    ):
        refusal = await browser.open(page.url, sent, **headers)
        assert refusal.answer is not None, headers
        assert refusal.status in {400, 403}
    assert not await op.sql("select 1 from oauth_consent")
    without = Browser(op.running)
    refusal = await without.open(page.url, fields)
    assert refusal.answer is None or refusal.consent_form is None


async def test_pages_cannot_be_framed_kept_or_read_off_a_referrer(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    page = await browser.sign_in(await browser.open(rp.request().url))
    assert page.consent_form is not None
    bad = await browser.open(rp.request(client_id="nobody").url)
    await browser.through(page)
    assert bad.status == 400
    for answer in browser.answers:
        assert answer.headers["Cache-Control"] == "no-store", answer.status
        assert answer.headers["Referrer-Policy"] in {"no-referrer", "same-origin", "strict-origin"}
        if answer.status == 200:
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_redirect_with_the_code_is_a_get(op: Op, rp: RelyingParty) -> None:
    """RFC 9700 section 4.12: a 307 would send the form, with what was typed, to the client."""
    browser = op.browser()
    await browser.through(await browser.open(rp.request().url))
    sent_on = [answer for answer in browser.answers if answer.headers.get("Location", "").startswith(rp.redirect_uri)]
    assert [answer.status in {302, 303} for answer in sent_on] == [True]
    assert all(answer.status not in {307, 308} for answer in browser.answers)


async def test_forms_may_lead_to_the_client_and_nowhere_else(op: Op, rp: RelyingParty) -> None:
    """Chromium holds every redirect after a form against form-action."""
    browser = op.browser()
    page = await browser.open(rp.request().url)
    login = page.answer
    page = await browser.sign_in(page)
    for answer in (login, page.answer):
        assert answer is not None
        policy = answer.headers["Content-Security-Policy"]
        (action,) = [part.strip() for part in policy.split(";") if part.strip().startswith("form-action")]
        assert set(action.split()[1:]) <= {"'self'", "https://rp.example.com", op.running.origin}
        assert "https://rp.example.com" in action.split()


async def test_cookies_are_for_this_host_and_no_script(op: Op, rp: RelyingParty) -> None:
    browser = op.browser()
    await browser.through(await browser.open(rp.request().url))
    lines = [line for answer in browser.answers for line in answer.headers.getall("Set-Cookie", [])]
    assert lines
    for line in lines:
        attributes = {part.strip().partition("=")[0].lower() for part in line.split(";")[1:]}
        assert {"httponly", "path", "samesite"} <= attributes
        assert "domain" not in attributes


# What is written down


async def test_secrets_are_in_no_log(op: Op, caplog: pytest.LogCaptureFixture) -> None:
    """Authlib logs whole tokens at DEBUG unless it is kept from it."""
    caplog.set_level(logging.DEBUG)
    for name in ("gateway", "aiohttp", "asyncpg"):
        caplog.set_level(logging.DEBUG, logger=name)
    rp = await op.client(auth_method="client_secret_post", requires_pkce=True)
    request = rp.request()
    browser = op.browser()
    code = await rp.sign_in(browser, request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    second = await rp.tokens(await rp.refresh(tokens.refresh_token))
    await rp.redeem(code, request)
    await rp.call("introspection_endpoint", {"token": second.access_token})
    await rp.call("revocation_endpoint", {"token": second.refresh_token})
    secrets = {
        "code": code,
        "access token": tokens.access_token,
        "second access token": second.access_token,
        "refresh token": tokens.refresh_token,
        "second refresh token": second.refresh_token,
        "ID token": tokens.id_token,
        "client secret": rp.secret,
        "verifier": request.verifier,
        "cookie": browser.cookies["gateway"],
        "nonce": request.parameters["nonce"],
    }
    text = "\n".join(f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records)
    assert [name for name, secret in secrets.items() if secret in text] == []


async def test_codes_tokens_and_secrets_are_stored_as_hashes(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    tokens = await rp.tokens(await rp.redeem(code, request), request)
    tables = ["authorization_code", "authorization_request", "refresh_token", "refresh_family", "oauth_client_secret"]
    rows = [row for table in tables for row in await op.sql(f"select * from {table}")]
    dump = "\n".join(repr(dict(row)) for row in rows)
    for secret in (code, tokens.access_token, tokens.refresh_token, rp.secret, request.verifier):
        assert secret not in dump


async def test_token_answers_are_kept_by_nobody(op: Op, rp: RelyingParty) -> None:
    request = rp.request()
    code = await rp.sign_in(op.browser(), request)
    good = await rp.redeem(code, request)
    bad = await rp.redeem(code, request)
    token = good.json["access_token"]
    userinfo = await op.running.get(urlsplit(rp.metadata["userinfo_endpoint"]).path, token=token)
    for answer in (good, bad, userinfo):
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_account_that_is_disabled_gets_nothing_more(op: Op, rp: RelyingParty) -> None:
    ann = await op.person()
    request = rp.request()
    browser = op.browser()
    code = await rp.sign_in(browser, request)
    tokens = await rp.flow(browser)
    await op.running.gateway.accounts.users.change(ann.id, Changes(is_active=False))
    assert refused(await rp.redeem(code, request)) == REFUSED
    assert refused(await rp.refresh(tokens.refresh_token)) == REFUSED
    assert (await op.running.get(rp.path("userinfo_endpoint"), token=tokens.access_token)).status == 401


async def test_what_is_granted_for_a_login_ends_with_it_and_offline_access_stays(op: Op) -> None:
    rp = await op.client()
    browser = op.browser()
    within = await rp.flow(browser)
    offline = await rp.flow(browser, scope="openid offline_access")
    page = await browser.open(f"{op.running.origin}/logout")
    await browser.submit(page, page.forms[0])
    assert refused(await rp.refresh(within.refresh_token)) == REFUSED
    assert (await op.running.get(rp.path("userinfo_endpoint"), token=within.access_token)).status == 401
    await rp.userinfo(offline.access_token)
    await rp.tokens(await rp.refresh(offline.refresh_token))
