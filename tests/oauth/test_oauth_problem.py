"""Errors of the JSON endpoints: one shape for all of them, nothing in it that was not meant to be told."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, UnsupportedGrantTypeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Overloaded, StorageError, StorageUnavailable, TooManyAttempts
from gateway.oauth.problem import OAuthError, as_oauth_error, error_answer, invalid_client, oauth_endpoint
from tests.gateways import GatewayFactory
from tests.oauth.op import start_op

SHOWABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")  # RFC 6749 section 5.2


async def answered(error: BaseException) -> tuple[web.StreamResponse, dict[str, Any]]:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    response = await oauth_endpoint(handler)(make_mocked_request("POST", "/oauth/token"))
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return response, json.loads(response.body)


@given(st.text(max_size=200))
def test_no_description_holds_what_it_must_not(text: str) -> None:
    for error in (OAuthError("invalid_request", text), invalid_client(text, by_header=False)):
        assert SHOWABLE.fullmatch(error.description)
        body = error_answer(error).body
        assert isinstance(body, bytes)
        assert json.loads(body).get("error_description", "") == error.description


@given(st.text(max_size=60), st.text(max_size=60))
def test_errors_of_the_library_are_made_fit_to_be_shown(name: str, text: str) -> None:
    error = OAuth2Error(error=name or "x")
    error.description = text  # a subclass may set it past the constructor's check
    assert SHOWABLE.fullmatch(as_oauth_error(error).description)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OAuthError("invalid_target", "No."), 400, "invalid_target"),
        (OAuthError("invalid_request", "Too large.", status=413), 413, "invalid_request"),
        (InvalidRequestError("Missing."), 400, "invalid_request"),
        (UnsupportedGrantTypeError("password"), 400, "unsupported_grant_type"),
        (InvalidClientError(status_code=401), 401, "invalid_client"),
        (TooManyAttempts(17), 400, "invalid_grant"),
        (StorageError("no"), 503, "temporarily_unavailable"),
        (StorageUnavailable("no"), 503, "temporarily_unavailable"),
        (Overloaded(1), 503, "temporarily_unavailable"),
        (ValueError("Error description contains forbidden characters"), 500, "server_error"),
        (KeyError("secret"), 500, "server_error"),
        (TimeoutError(), 500, "server_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_every_error_has_an_answer(
    error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response, document = await answered(error)
    assert (response.status, document["error"]) == (status, code)
    assert document.keys() <= {"error", "error_description"}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert bool(caplog.records) == (status == 500), "what is our mistake is logged, and nothing else"
    assert "secret" not in str(document)
    if status == 503:
        assert int(response.headers["Retry-After"]) > 0
    if isinstance(error, TooManyAttempts):
        assert response.headers["Retry-After"] == "17"


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_client_that_used_the_header_is_challenged(by_header: bool) -> None:
    """RFC 6749 section 5.2."""
    response, document = await answered(invalid_client("No.", by_header=by_header))
    assert (response.status, document["error"]) == (401, "invalid_client")
    assert ("WWW-Authenticate" in response.headers) == by_header


async def test_answers_of_the_framework_and_cancellation_go_through() -> None:
    with pytest.raises(web.HTTPMethodNotAllowed):
        await answered(web.HTTPMethodNotAllowed("PUT", ["POST"]))
    with pytest.raises(asyncio.CancelledError):
        await answered(asyncio.CancelledError())


# Scripts of other origins


@pytest.mark.parametrize(
    ("endpoint", "open_to_scripts"),
    [
        ("token_endpoint", True),
        ("userinfo_endpoint", True),
        ("revocation_endpoint", True),
        ("pushed_authorization_request_endpoint", True),
        ("device_authorization_endpoint", True),
        ("jwks_uri", True),
        ("introspection_endpoint", False),
        ("authorization_endpoint", False),
    ],
)
async def test_scripts_reach_what_is_for_them(
    gateway_factory: GatewayFactory, endpoint: str, open_to_scripts: bool
) -> None:
    op = await start_op(gateway_factory)
    path = op.metadata[endpoint].removeprefix(op.running.origin)
    origin = {"Origin": "https://spa.example.com"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = await op.running.send("OPTIONS", path, headers=asked)
    assert (preflight.status == 204) == open_to_scripts
    answer = await op.running.send("POST", path, headers=origin, data={"x": "y"})
    if open_to_scripts:
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    for each in (preflight, answer):
        assert "Access-Control-Allow-Credentials" not in each.headers
        if not open_to_scripts:
            assert "Access-Control-Allow-Origin" not in each.headers
    if open_to_scripts and endpoint != "jwks_uri":
        assert 400 <= answer.status < 500
        assert answer.headers["Access-Control-Allow-Origin"] == "*", "a script has to be able to read the error"
