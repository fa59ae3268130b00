"""Tokens that are kept to routes and hosts: everywhere else they count as bad, on routes that take everybody, too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.identity.identity import CredentialKind
from gateway.policy.decision import decide
from gateway.policy.rules import Access, Rule
from tests.policy.asking import someone

TOKEN = someone(kind=CredentialKind.API_TOKEN, scopes=frozenset())
HOST = "wiki.example.com"
ALLOWED, OTHER_ROUTE, OTHER_HOST = ("allow", "authenticated"), ("forbid", "wrong_route"), ("forbid", "wrong_host")


@pytest.mark.parametrize(
    ("routes", "hosts", "host", "expected"),
    [
        pytest.param(None, None, HOST, ALLOWED, id="not-kept"),
        pytest.param({"wiki"}, None, HOST, ALLOWED, id="its-route"),
        pytest.param({"mail"}, None, HOST, OTHER_ROUTE, id="other-route"),
        pytest.param({"Wiki"}, None, HOST, OTHER_ROUTE, id="route-in-another-case"),
        pytest.param(set(), None, HOST, OTHER_ROUTE, id="no-route"),
        pytest.param(None, {HOST}, HOST, ALLOWED, id="its-host"),
        pytest.param(None, {"*.example.com"}, HOST, ALLOWED, id="below-its-host"),
        pytest.param(None, {"*.example.com"}, "example.com", OTHER_HOST, id="wildcard-itself"),
        pytest.param(None, {"*.example.com"}, "wiki.example.com.evil.test", OTHER_HOST, id="longer"),
        pytest.param(None, {HOST}, "mail.example.com", OTHER_HOST, id="other-host"),
        pytest.param(None, set(), HOST, OTHER_HOST, id="no-host"),
        pytest.param(None, {HOST}, "", OTHER_HOST, id="host-unknown"),
        pytest.param({"wiki"}, {"mail.example.com"}, HOST, OTHER_HOST, id="both-must-hold"),
    ],
)
@pytest.mark.parametrize("access", [Access.REQUIRED, Access.OPTIONAL])
def test_a_token_opens_what_it_is_kept_to_and_nothing_else(
    routes: set[str] | None, hosts: set[str] | None, host: str, expected: tuple[str, str], access: Access
) -> None:
    kept = replace(
        TOKEN,
        routes=None if routes is None else frozenset(routes),
        hosts=None if hosts is None else frozenset(hosts),
    )
    decision = decide(Rule(index=0, name="wiki", access=access), kept, None, host=host)
    assert (decision.outcome.value, decision.reason) == expected
