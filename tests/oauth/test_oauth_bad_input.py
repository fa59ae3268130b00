"""Every parameter of every endpoint, as nobody should send it: an error of RFC 6749's shape, and never a surprise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from tests.gateways import PASSWORD, Answer
from tests.oauth.op import Op
from tests.oauth.relying_party import FORM, RelyingParty

HUGE = 100 * 1024
# Values as they stand in the query or body, encoded already
BROKEN = {
    "wrong": "bogus",
    "nul": "a%00b",
    "not-utf-8": "%ff%fe",
    "half-a-surrogate": "%ed%a0%80",
    "overlong": "%c0%af",
    "emoji": quote("🙂"),
    "header-injection": "a%0d%0aX-Injected:%20yes%0d%0a%0d%0abody",
    "quotes": "%22%27%5c",
    "markup": quote('"><script>alert(1)</script>'),
    "template": quote("{{7*7}}${7*7}%(x)s{0}"),
    "sql": quote("' or 1=1; --"),
    "bad-escape": "%zz%",
    "huge": "a" * HUGE,
    "bidi": quote("\u202e\u200b"),
}
CHANGES = ("missing", "empty", "doubled", "doubled-differently", *BROKEN)

Pairs = list[tuple[str, str]]


def changed(pairs: Sequence[tuple[str, str]], name: str, change: str) -> bytes:
    """Encode parameters with one of them changed."""
    out: list[str] = []
    for key, value in pairs:
        encoded = quote(value, safe="")
        if key != name:
            out.append(f"{key}={encoded}")
        elif change == "empty":
            out.append(f"{key}=")
        elif change == "doubled":
            out += [f"{key}={encoded}"] * 2
        elif change == "doubled-differently":
            out += [f"{key}={encoded}", f"{key}=other"]
        elif change != "missing":
            out.append(f"{key}={BROKEN[change]}")
    return "&".join(out).encode()


def assert_error_shape(answer: Answer, what: str = "") -> None:
    """Hold a JSON error to RFC 6749 section 5.2; ``what`` says in a message what was sent."""
    assert 400 <= answer.status < 500, (what, answer.status, answer.body[:300])
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json", (what, answer.status)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Location" not in answer.headers
    document = answer.json
    assert set(document) <= {"error", "error_description", "error_uri"}
    for text in document.values():
        assert isinstance(text, str)
        assert text.isascii()
        assert text.isprintable()
        assert not set('"\\') & set(text)
        assert len(text) < 500
    assert (answer.status == 401) <= (document["error"] in {"invalid_client", "invalid_token"})


def assert_no_surprise(answer: Answer, what: str = "") -> None:
    """Hold any answer to what nothing that was sent may bring about."""
    assert answer.status < 500, (what, answer.status, answer.body[:300])
    assert "X-Injected" not in answer.headers, what
    assert b"<script>alert(1)" not in answer.body, what
    assert b"Traceback" not in answer.body, what


@dataclass
class Case:
    """A request that is right, so that each change of it is wrong in one way alone."""

    path: str
    pairs: Pairs
    headers: dict[str, str]
    # parameters whose change may still be a success
    optional: frozenset[str] = frozenset()


async def code_case(op: Op, rp: RelyingParty) -> Case:
    request = rp.request(pkce=True)
    code = await rp.sign_in(op.browser(), request)
    pairs = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", rp.redirect_uri),
        ("code_verifier", request.verifier),
    ]
    return Case(rp.path("token_endpoint"), pairs, rp.authentication()[1])


async def post_authentication_case(op: Op, rp: RelyingParty) -> Case:
    posting = await op.client(auth_method="client_secret_post")
    case = await code_case(op, posting)
    return Case(case.path, [*case.pairs, *posting.authentication()[0].items()], {})


async def refresh_case(op: Op, rp: RelyingParty) -> Case:
    tokens = await rp.flow(op.browser(), scope="openid email")
    pairs = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token), ("scope", "openid")]
    return Case(rp.path("token_endpoint"), pairs, rp.authentication()[1], frozenset({"scope"}))


async def client_credentials_case(op: Op, rp: RelyingParty) -> Case:
    own = await op.client(grants=["client_credentials"], redirect_uris=[], scope="roles")
    pairs = [("grant_type", "client_credentials"), ("scope", "roles")]
    return Case(rp.path("token_endpoint"), pairs, own.authentication()[1], frozenset({"scope"}))


async def password_case(op: Op, rp: RelyingParty) -> Case:
    old = await op.client(grants=["password"], redirect_uris=[])
    pairs = [("grant_type", "password"), ("username", "ann"), ("password", PASSWORD), ("scope", "openid")]
    return Case(rp.path("token_endpoint"), pairs, old.authentication()[1], frozenset({"scope"}))


async def device_code_case(op: Op, rp: RelyingParty) -> Case:
    device = await op.client(grants=["urn:ietf:params:oauth:grant-type:device_code"], redirect_uris=[])
    answer = await device.call("device_authorization_endpoint", {"scope": "openid"})
    assert answer.status == 200, answer.text
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    pairs = [("grant_type", grant), ("device_code", answer.json["device_code"])]
    return Case(rp.path("token_endpoint"), pairs, device.authentication()[1])


async def revoke_case(op: Op, rp: RelyingParty) -> Case:
    tokens = await rp.flow(op.browser())
    pairs = [("token", tokens.refresh_token), ("token_type_hint", "refresh_token")]
    # RFC 7009 section 2.2: what is no token is revoked as it is.
    optional = frozenset({"token", "token_type_hint"})
    return Case(rp.path("revocation_endpoint"), pairs, rp.authentication()[1], optional)


async def introspect_case(op: Op, rp: RelyingParty) -> Case:
    tokens = await rp.flow(op.browser())
    pairs = [("token", tokens.access_token), ("token_type_hint", "access_token")]
    optional = frozenset({"token", "token_type_hint"})
    return Case(rp.path("introspection_endpoint"), pairs, rp.authentication()[1], optional)


async def device_authorization_case(op: Op, rp: RelyingParty) -> Case:
    device = await op.client(grants=["urn:ietf:params:oauth:grant-type:device_code"], redirect_uris=[])
    path = rp.path("device_authorization_endpoint")
    return Case(path, [("scope", "openid")], device.authentication()[1], frozenset({"scope"}))


async def par_case(op: Op, rp: RelyingParty) -> Case:
    parameters = rp.request().parameters
    # Who asks is known by the authentication already.
    optional = frozenset({"client_id", "state", "nonce", "scope"})
    path = rp.path("pushed_authorization_request_endpoint")
    return Case(path, [*parameters.items()], rp.authentication()[1], optional)


Make = Callable[[Op, RelyingParty], Awaitable[Case]]
JSON_CASES: dict[str, Make] = {
    "token-code": code_case,
    "token-code-secret-post": post_authentication_case,
    "token-refresh": refresh_case,
    "token-client-credentials": client_credentials_case,
    "token-password": password_case,
    "token-device-code": device_code_case,
    "revoke": revoke_case,
    "introspect": introspect_case,
    "device-authorization": device_authorization_case,
    "par": par_case,
}
REQUIRED = frozenset({"grant_type", "code", "refresh_token", "device_code", "token", "client_id", "response_type"})


@pytest.fixture
async def rp(op: Op) -> RelyingParty:
    return await op.client(requires_pkce=True)


@pytest.mark.parametrize("make", JSON_CASES.values(), ids=JSON_CASES)
async def test_a_changed_parameter_is_an_error_of_rfc_6749(op: Op, rp: RelyingParty, make: Make) -> None:
    right = await make(op, rp)
    answer = await op.running.send("POST", right.path, data=dict(right.pairs), headers=right.headers)
    pending = answer.status == 400 and answer.json["error"] == "authorization_pending"
    assert pending or answer.status in {200, 201}, f"what is changed is not right itself: {answer.text}"
    case = await make(op, rp)
    for name, _ in case.pairs:
        for change in CHANGES:
            body = changed(case.pairs, name, change)
            answer = await op.running.send("POST", case.path, data=body, headers={**case.headers, "Content-Type": FORM})
            what = f"{name} {change}: {answer.status} {answer.body[:200]!r}"
            assert_no_surprise(answer)
            if change.startswith("doubled"):
                assert answer.json["error"] in {"invalid_request", "invalid_client"}, what
            if change in {"missing", "empty"} and name in REQUIRED - {"client_id"}:
                assert answer.json["error"] == "invalid_request", what
            if answer.status in {200, 201}:
                assert name in case.optional, what
            else:
                assert_error_shape(answer, what)


BODIES = {
    "json": ("application/json", b'{"grant_type": "authorization_code"}'),
    "multipart": ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--\r\n"),
    "text": ("text/plain", b"grant_type=authorization_code"),
    "empty-type": ("", b"grant_type=authorization_code"),
    "bad-type": ("a/b/c;;==", b"grant_type=authorization_code"),
    "utf-16": (f"{FORM}; charset=utf-16", "grant_type=authorization_code".encode("utf-16")),
    "unknown-charset": (f"{FORM}; charset=martian", b"grant_type=authorization_code"),
    "raw-bytes": (FORM, bytes(range(256))),
    "many": (FORM, b"&".join(b"a%d=1" % n for n in range(5000))),
    "only-ampersands": (FORM, b"&" * 5000),
    "empty": (FORM, b""),
    "huge": (FORM, b"grant_type=" + b"a" * 10 * HUGE),
}


FORM_ENDPOINTS = ("token", "revocation", "introspection", "device_authorization", "pushed_authorization_request")


async def test_a_body_that_is_no_form_is_an_error_of_rfc_6749(op: Op, rp: RelyingParty) -> None:
    for endpoint in FORM_ENDPOINTS:
        for name, (kind, data) in BODIES.items():
            headers = {**rp.authentication()[1], "Content-Type": kind}
            answer = await op.running.send("POST", rp.path(f"{endpoint}_endpoint"), data=data, headers=headers)
            assert_no_surprise(answer)
            if answer.status != 200 or endpoint == "token":
                assert_error_shape(answer, f"{endpoint} {name}")


METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW")


async def test_a_wrong_method_is_refused_by_every_endpoint(op: Op, rp: RelyingParty) -> None:
    for name in [key for key in rp.metadata if key.endswith("_endpoint") or key == "jwks_uri"]:
        for method in METHODS:
            answer = await op.running.send(method, rp.path(name), headers=rp.authentication()[1])
            assert_no_surprise(answer)
            if method == "BREW":
                assert answer.status in {400, 405, 501}, (name, answer.status)
            elif method not in {"OPTIONS", "HEAD"}:
                assert answer.status == 405, (name, method, answer.status)
                assert "GET" in answer.headers["Allow"] or "POST" in answer.headers["Allow"]
    for name in FORM_ENDPOINTS:
        answer = await op.running.get(f"{rp.path(f'{name}_endpoint')}?grant_type=client_credentials")
        assert answer.status == 405, name


AUTHORIZATIONS = {
    "no-base64": "Basic %%%",
    "not-utf-8": "Basic //79",
    "no-colon": "Basic YWJj",
    "empty": "Basic ",
    "nul": "Basic AAA6AAA=",
    "other-scheme": "Digest username=x",
    "bearer": "Bearer abc",
    "lone-word": "Basic",
    "huge": f"Basic {'YTph' * 2000}",
    "escapes": "Basic JTAwOiUwMA==",
    "bad-escapes": "Basic JXp6OiV6eg==",
    "unknown": "Basic bm9ib2R5OnNlY3JldA==",
}


async def test_bad_client_authentication_is_invalid_client(op: Op, rp: RelyingParty) -> None:
    for endpoint in FORM_ENDPOINTS:
        for name, authorization in AUTHORIZATIONS.items():
            answer = await op.running.post(
                rp.path(f"{endpoint}_endpoint"),
                data={"grant_type": "client_credentials", "token": "x"},
                headers={"Authorization": authorization},
            )
            assert_no_surprise(answer)
            assert_error_shape(answer, f"{endpoint} {name}")
            assert answer.json["error"] in {"invalid_client", "invalid_request"}, (endpoint, name)
            if answer.status == 401:
                assert answer.headers["WWW-Authenticate"].startswith("Basic "), (endpoint, name)


async def test_two_ways_to_authenticate_are_one_too_many(op: Op, rp: RelyingParty) -> None:
    """RFC 6749 section 2.3."""
    tokens = await rp.flow(op.browser())
    both = {"client_id": rp.client_id, "client_secret": rp.secret}
    answer = await rp.call(
        "token_endpoint", {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token, **both}
    )
    assert_error_shape(answer)
    assert answer.json["error"] in {"invalid_request", "invalid_client"}


async def test_two_authorization_fields_are_one_too_many(op: Op, rp: RelyingParty) -> None:
    other = await op.client("Other")
    fields = [*rp.authentication()[1].items(), *other.authentication()[1].items()]
    answer = await op.running.post(
        rp.path("token_endpoint"), data={"grant_type": "refresh_token", "refresh_token": "x"}, headers=fields
    )
    assert 400 <= answer.status < 500


async def test_a_client_authenticates_in_the_way_that_it_registered(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser())
    own = {"client_id": rp.client_id, "client_secret": rp.secret}
    fields = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
    for authentication in (own, {"client_id": rp.client_id}):
        answer = await op.running.post(rp.path("token_endpoint"), data={**fields, **authentication})
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert (await rp.refresh(tokens.refresh_token)).status == 200


# The authorization endpoint


def callback_error(page_url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(page_url).query))


async def authorize(op: Op, method: str, query: bytes, cookie: str = "") -> Answer:
    path = urlsplit(op.metadata["authorization_endpoint"]).path
    if method == "POST":
        return await op.running.post(path, data=query, headers={"Content-Type": FORM}, cookie=cookie)
    return await op.running.get(f"{path}?{query.decode()}", cookie=cookie)


UNSAFE = frozenset({"client_id", "redirect_uri"})


@pytest.mark.parametrize("signed_in", [False, True], ids=["anonymous", "signed-in"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_authorize_redirects_errors_only_to_an_address_that_is_known_good(
    op: Op, method: str, signed_in: bool
) -> None:
    rp = await op.client(requires_pkce=True, first_party=False)
    cookie = await op.running.session(await op.person()) if signed_in else ""
    request = rp.request(
        prompt="consent",
        max_age="100",
        claims="{}",
        login_hint="ann",
        acr_values="1",
        display="page",
        ui_locales="en",
        response_mode="query",
    )
    portal = op.running.origin
    for name in request.parameters:
        for change in CHANGES:
            answer = await authorize(op, method, changed([*request.parameters.items()], name, change), cookie)
            what = f"{name} {change}: {answer.status} {answer.headers.get('Location', '')} {answer.body[:200]!r}"
            assert_no_surprise(answer)
            if change == "huge" and answer.status in {400, 413, 414, 431}:
                continue
            location = answer.headers.get("Location", "")
            if name in UNSAFE:
                # Missing and empty too: which of several addresses, or which client, would be a guess.
                assert answer.status in {400, 413}, what
                assert not location, what
            elif location.startswith(rp.redirect_uri):
                answered = callback_error(location)
                assert "code" not in answered, what
                assert answered["error"], what
                assert answered["iss"] == rp.metadata["issuer"], what
                if name != "state":
                    assert answered["state"] == request.state, what
            elif location:
                assert location.startswith((f"{portal}/", "/")), what
                assert not location.startswith("//"), what
            else:
                assert answer.status in {200, 400, 413}, what


async def test_a_missing_redirect_uri_is_never_guessed(op: Op) -> None:
    """OpenID Connect Core 1.0 section 3.1.2.1 requires it, however many are registered."""
    for uris in (["https://rp.example.com/a"], ["https://rp.example.com/a", "https://rp.example.com/b"]):
        rp = await op.client(redirect_uris=uris)
        page = await op.browser().open(rp.request(without=["redirect_uri"]).url)
        assert page.status == 400


async def test_an_unknown_client_is_never_redirected_to(op: Op, rp: RelyingParty) -> None:
    for client_id in ("nobody", "", "a" * 300, "%", "client:x", rp.client_id.upper(), f"{rp.client_id} "):
        page = await op.browser().open(rp.request(client_id=client_id).url)
        assert page.status == 400, client_id


def with_parameter(rp: RelyingParty, name: str, value: str) -> str:
    """Return the address of an authorization request with one parameter changed or added."""
    return f"{rp.metadata['authorization_endpoint']}?{urlencode({**rp.request().parameters, name: value})}"


async def test_pages_about_errors_show_what_was_sent_as_text_alone(op: Op, rp: RelyingParty) -> None:
    markup = '"><script>alert(1)</script>'
    for name in ("client_id", "redirect_uri", "scope", "state", "prompt", "ui_locales", "display", "login_hint"):
        page = await op.browser().open(with_parameter(rp, name, markup))
        if page.answer is not None:
            assert "<script>alert(1)" not in page.text
            assert "text/html" in page.answer.headers["Content-Type"]


# Endpoints with shapes of their own


async def test_userinfo_refuses_bad_tokens(op: Op, rp: RelyingParty) -> None:
    path = rp.path("userinfo_endpoint")
    tokens = await rp.flow(op.browser())
    for change in CHANGES:
        body = changed([("access_token", tokens.access_token)], "access_token", change)
        answer = await op.running.post(path, data=body, headers={"Content-Type": FORM})
        assert_no_surprise(answer)
        assert answer.status in {400, 401, 413}, (change, answer.status)
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), change


async def test_userinfo_takes_a_token_from_one_place_and_never_from_the_address(op: Op, rp: RelyingParty) -> None:
    """RFC 6750 section 2."""
    path = rp.path("userinfo_endpoint")
    token = (await rp.flow(op.browser())).access_token
    assert (await op.running.get(f"{path}?access_token={token}")).status in {400, 401}
    both = await op.running.post(path, data={"access_token": token}, token=token)
    assert both.status == 400
    assert (await op.running.get(path, headers={"Authorization": f"Basic {token}"})).status == 401
    for bad in ("", " ", "a.b.c", "a" * 20_000, f"{token}x", token[:-4], f"{token} {token}"):
        answer = await op.running.get(path, headers={"Authorization": f"Bearer {bad}"})
        assert answer.status in {400, 401, 431}, bad


# The page of the device flow


async def test_the_device_page_takes_any_code_for_a_mistake(op: Op, rp: RelyingParty) -> None:
    cookie = await op.running.session(await op.person())
    for change, value in BROKEN.items():
        body = f"user_code={value}"
        if change != "huge":
            answer = await op.running.get(f"/oauth/device?{body}", cookie=cookie)
            assert_no_surprise(answer)
            assert answer.status in {200, 400, 404}
        answer = await op.running.post(
            "/oauth/device", data=body.encode(), headers={"Content-Type": FORM}, cookie=cookie
        )
        assert_no_surprise(answer)
        assert 400 <= answer.status < 500


async def test_logout_takes_any_parameter_for_a_mistake_and_leads_nowhere(op: Op, rp: RelyingParty) -> None:
    tokens = await rp.flow(op.browser())
    pairs = [
        ("id_token_hint", tokens.id_token),
        ("client_id", rp.client_id),
        ("post_logout_redirect_uri", "https://evil.example/"),
        ("state", "abc"),
        ("logout_hint", "ann"),
        ("ui_locales", "en"),
    ]
    path = rp.path("end_session_endpoint")
    for name, _ in pairs:
        for change in CHANGES:
            encoded = changed(pairs, name, change)
            answers = [await op.running.post(path, data=encoded, headers={"Content-Type": FORM})]
            if change != "huge":
                answers.append(await op.running.get(f"{path}?{encoded.decode()}"))
            for answer in answers:
                assert_no_surprise(answer)
                location = answer.headers.get("Location", "/")
                assert not location.startswith("//"), (name, change)
                assert location.startswith(("/", f"{op.running.origin}/")), (name, change, location)


async def test_discovery_ignores_what_is_sent_with_it(op: Op) -> None:
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
        plain = await op.running.get(path)
        for change in sorted(set(BROKEN) - {"huge"}):
            answer = await op.running.get(f"{path}?issuer={BROKEN[change]}")
            assert_no_surprise(answer)
            assert answer.body == plain.body or answer.status == 400, change
    answer = await op.running.get("/.well-known/oauth-protected-resource/%ff%fe")
    assert_no_surprise(answer)
