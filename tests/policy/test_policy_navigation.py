"""Who is sent to the login, and how a client is asked."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.identity import CredentialKind
from gateway.policy.challenge import challenge_header, login_url
from gateway.policy.navigation import is_navigation, redirect_status
from tests.policy.asking import headers

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("method", "sent", "expected"),
    [
        ("GET", [("Sec-Fetch-Mode", "navigate")], True),
        ("POST", [("Sec-Fetch-Mode", "navigate")], True),
        ("GET", [("Sec-Fetch-Mode", "cors"), ("Accept", CHROMIUM)], False),
        ("GET", [("Sec-Fetch-Mode", ""), ("Accept", CHROMIUM)], False),
        ("GET", [("Sec-Fetch-Mode", "websocket")], False),
        ("GET", [("Accept", CHROMIUM)], True),
        ("HEAD", [("Accept", "TEXT/HTML; q=0.5")], True),
        ("GET", [("Accept", "application/xhtml+xml")], True),
        ("GET", [("Accept", "application/json"), ("Accept", "text/html")], True),
        ("POST", [("Accept", CHROMIUM)], False),
        ("GET", [("Accept", CHROMIUM), ("X-Requested-With", "XMLHttpRequest")], False),
        ("GET", [("Accept", "*/*")], False),
        ("GET", [("Accept", "text/*")], False),
        ("GET", [("Accept", "application/json")], False),
        ("GET", [("Accept", "text/html;q=0")], False),
        ("GET", [("Accept", "text/html; q=0.000, */*")], False),
        ("GET", [("Accept", "text/html-not")], False),
        ("GET", [], False),
    ],
    ids=str,
)
def test_navigation(method: str, sent: list[tuple[str, str]], expected: bool) -> None:
    assert is_navigation(method, headers(*sent)) is expected


@pytest.mark.parametrize(("method", "status"), [("GET", 302), ("HEAD", 302), ("POST", 303), ("PUT", 303)])
def test_redirect_keeps_or_changes_the_method(method: str, status: int) -> None:
    assert redirect_status(method) == status


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_login_url_holds_the_way_back_in_one_parameter(return_to: str) -> None:
    url = login_url("https://id.example.com/portal", return_to)
    parts = urlsplit(url)
    assert url.startswith("https://id.example.com/portal/login?rd=")
    assert parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) == {"rd": [return_to]}
    assert not parts.fragment


@pytest.mark.parametrize(
    ("kinds", "error", "value"),
    [
        ({CredentialKind.BEARER}, None, 'Bearer realm="gateway"'),
        ({CredentialKind.SESSION}, None, 'Bearer realm="gateway"'),
        ({CredentialKind.API_TOKEN}, "invalid_token", 'Bearer realm="gateway", error="invalid_token"'),
        ({CredentialKind.BASIC}, None, 'Bearer realm="gateway", Basic realm="gateway", charset="UTF-8"'),
    ],
)
def test_challenge(kinds: set[CredentialKind], error: str | None, value: str) -> None:
    assert challenge_header(kinds, error) == value
