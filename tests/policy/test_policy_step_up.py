"""Routes that ask for more than a sign-in: a second factor, or a recent one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.identity.identity import CredentialKind
from gateway.policy.challenge import NOTHING_MORE, acr_of, login_url, step_up, step_up_header
from gateway.policy.decision import Outcome, decide
from gateway.policy.freshness import MaxAuthAge, Mfa, is_timed
from gateway.policy.requirements import All, AnyOf, Not, Requirement, Roles, SourceIp
from gateway.policy.rules import Rule
from gateway.refusal import of_decision
from tests.policy.asking import someone

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE = replace(someone(), methods=("pwd",), authenticated_at=NOW)
TWO = replace(ONE, methods=("pwd", "otp", "mfa"))
ADMIN = Roles(frozenset({"admin"}))
RECENT = MaxAuthAge(900)


def ruling(requirement: Requirement, identity: object, seconds: float = 0) -> tuple[str, str]:
    rule = Rule(index=0, name="r", requirement=requirement, credentials=frozenset(CredentialKind))
    decision = decide(rule, identity, None, NOW.timestamp() + seconds)  # type: ignore[arg-type]
    return decision.outcome.value, decision.reason


@pytest.mark.parametrize(
    ("requirement", "identity", "seconds", "expected"),
    [
        pytest.param(Mfa(), None, 0, ("login", "anonymous"), id="mfa-anonymous"),
        pytest.param(Mfa(), ONE, 0, ("step_up", "one_factor"), id="mfa-one"),
        pytest.param(Mfa(), TWO, 0, ("allow", "authenticated"), id="mfa-two"),
        pytest.param(Mfa(), replace(TWO, kind=CredentialKind.API_TOKEN), 0, ("forbid", "no_login"), id="mfa-api-token"),
        pytest.param(
            Mfa(), replace(TWO, kind=CredentialKind.CLIENT_CERTIFICATE), 0, ("forbid", "no_login"), id="mfa-certificate"
        ),
        pytest.param(Mfa(), replace(TWO, kind=CredentialKind.BEARER), 0, ("allow", "authenticated"), id="mfa-bearer"),
        pytest.param(RECENT, None, 0, ("login", "anonymous"), id="age-anonymous"),
        pytest.param(RECENT, ONE, 900, ("allow", "authenticated"), id="age-just"),
        pytest.param(RECENT, ONE, 900.1, ("step_up", "signed_in_too_long_ago"), id="age-over"),
        pytest.param(
            RECENT, replace(ONE, kind=CredentialKind.API_TOKEN), 0, ("forbid", "no_login"), id="age-api-token"
        ),
        # Nobody is asked for more who would not be let in then.
        pytest.param(All((Mfa(), ADMIN)), ONE, 0, ("forbid", "missing_role"), id="all-role-first"),
        pytest.param(All((RECENT, Mfa())), ONE, 1000, ("step_up", "signed_in_too_long_ago"), id="all-both"),
        pytest.param(All((SourceIp(()), Mfa())), ONE, 0, ("forbid", "unknown_address"), id="all-unknown-address"),
        pytest.param(AnyOf((ADMIN, Mfa())), ONE, 0, ("step_up", "one_factor"), id="any-second-factor-helps"),
        pytest.param(AnyOf((ADMIN, Mfa())), TWO, 0, ("allow", "authenticated"), id="any-holds"),
        pytest.param(AnyOf((SourceIp(()), Mfa())), ONE, 0, ("step_up", "one_factor"), id="any-unknown-address"),
        pytest.param(AnyOf((SourceIp(()), Mfa())), None, 0, ("login", "anonymous"), id="any-anonymous"),
        pytest.param(Not(Mfa()), ONE, 0, ("allow", "authenticated"), id="not-mfa"),
        pytest.param(Not(Mfa()), None, 0, ("login", "anonymous"), id="not-mfa-anonymous"),
        pytest.param(Not(Mfa()), TWO, 0, ("forbid", "excluded"), id="not-mfa-two"),
    ],
)
def test_what_is_asked_for(
    requirement: Requirement, identity: object, seconds: float, expected: tuple[str, str]
) -> None:
    assert ruling(requirement, identity, seconds) == expected


def test_without_the_time_nobody_is_recent() -> None:
    decision = decide(Rule(index=0, name="r", requirement=RECENT), ONE, None)
    assert (decision.outcome, decision.reason) == (Outcome.STEP_UP, "signed_in_too_long_ago")


@pytest.mark.parametrize(
    ("requirement", "timed"),
    [(None, False), (Mfa(), False), (RECENT, True), (All((ADMIN, AnyOf((Not(RECENT), ADMIN)))), True), (ADMIN, False)],
)
def test_rules_know_whether_time_changes_them(requirement: Requirement | None, timed: bool) -> None:
    assert is_timed(requirement) is timed
    assert Rule(index=0, name="r", requirement=requirement).timed is timed


@pytest.mark.parametrize(
    ("requirement", "seconds", "asks", "header"),
    [
        (Mfa(), 0, {"prompt": "mfa"}, 'acr_values="aal2"'),
        (RECENT, 1000, {"max_age": "900"}, 'max_age="900"'),
        (AnyOf((RECENT, ADMIN)), 1000, {"max_age": "0"}, 'max_age="0"'),
    ],
)
def test_programs_and_browsers_are_told_what_is_missing(
    requirement: Requirement, seconds: float, asks: dict[str, str], header: str
) -> None:
    decision = decide(Rule(index=0, name="r", requirement=requirement), ONE, None, NOW.timestamp() + seconds)
    assert step_up(decision) == asks
    problem = of_decision(decision)
    assert (problem.status, problem.code, problem.asks) == (401, "step_up_required", asks)
    expected = f'Bearer realm="gateway", error="insufficient_user_authentication", {header}'
    assert problem.headers["WWW-Authenticate"] == expected == step_up_header(asks)
    query = "&".join(f"{name}={value}" for name, value in asks.items())
    assert login_url("https://id.example", "https://a.example/", asks).endswith(f"&{query}")


def test_other_decisions_ask_for_nothing() -> None:
    assert step_up(decide(Rule(index=0, name="r", requirement=ADMIN), ONE, None)) == NOTHING_MORE


@pytest.mark.parametrize(("methods", "acr"), [(("pwd",), "aal1"), (("pwd", "otp", "mfa"), "aal2"), ((), "aal1")])
def test_classes_of_sign_ins(methods: tuple[str, ...], acr: str) -> None:
    assert acr_of(methods) == acr
