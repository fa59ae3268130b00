"""Random requests to the endpoints that take parameters: no answer is a surprise."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.oauth.op import Op
from tests.oauth.relying_party import FORM, RelyingParty
from tests.oauth.test_oauth_bad_input import (
    FORM_ENDPOINTS,
    assert_error_shape,
    assert_no_surprise,
    authorize,
    callback_error,
)

NAMES = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "prompt", "max_age", "claims"),
    *("code_challenge", "code_challenge_method", "request", "request_uri", "response_mode", "resource", "display"),
    *("id_token_hint", "login_hint", "acr_values", "ui_locales", "grant_type", "code", "code_verifier"),
    *("refresh_token", "client_secret", "client_assertion", "client_assertion_type", "device_code", "username"),
)
EXAMPLES = 150
names = st.sampled_from(NAMES) | st.text(max_size=8)
values = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"openid", b"code", b"none", b"login", b"S256", b"query", b"form_post", b"1", b"{}", b"true"]),
    st.sampled_from([b"authorization_code", b"refresh_token", b"client_credentials", b"password"]),
)


@pytest.fixture
async def rp(op: Op) -> RelyingParty:
    return await op.client(requires_pkce=True)


def encoded(pairs: list[tuple[str, Any]]) -> bytes:
    return b"&".join(
        quote_from_bytes(name.encode("utf-8", "replace")).encode() + b"=" + quote_from_bytes(value).encode()
        for name, value in pairs
    )


def examples() -> list[list[tuple[str, bytes]]]:
    """Return what hypothesis thinks of, before anything runs: it minds random numbers that others draw meanwhile."""
    found: list[list[tuple[str, bytes]]] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(names, values), max_size=8))
    def collect(pairs: list[tuple[str, bytes]]) -> None:
        found.append(pairs)

    collect()
    return found


async def test_authorize_survives_random_parameters(op: Op, rp: RelyingParty) -> None:
    cookie = await op.running.session(await op.person())
    for pairs in examples():
        taken = {name for name, _ in pairs}
        base = {name: value for name, value in rp.request().parameters.items() if name not in taken}
        query = urlencode(base).encode() + b"&" + encoded(pairs)
        for method in ("GET", "POST"):
            answer = await authorize(op, method, query, cookie)
            assert_no_surprise(answer, f"{pairs}")
            location = answer.headers.get("Location", "")
            if location.startswith(rp.redirect_uri):
                assert "client_id" in base, pairs
                assert "redirect_uri" in base, pairs
                assert callback_error(location.replace("#", "?"))["iss"] == rp.metadata["issuer"]
            elif location:
                assert location.startswith((f"{op.running.origin}/", "/"))
                assert not location.startswith("//")


@pytest.mark.parametrize("endpoint", FORM_ENDPOINTS)
async def test_endpoints_of_clients_survive_random_parameters(op: Op, rp: RelyingParty, endpoint: str) -> None:
    path, headers = rp.path(f"{endpoint}_endpoint"), {**rp.authentication()[1], "Content-Type": FORM}
    for pairs in examples():
        for sent in (headers, {"Content-Type": FORM}):
            answer = await op.running.send("POST", path, data=encoded(pairs), headers=sent)
            assert_no_surprise(answer, f"{pairs}")
            assert_error_shape(answer, f"{pairs}")
