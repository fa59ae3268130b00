"""Requests and identities for the policy tests."""

from __future__ import annotations

from datetime import UTC, datetime

from multidict import CIMultiDict

from gateway.identity.identity import CredentialKind, Identity
from gateway.policy.path_pattern import parse_pattern
from gateway.policy.rules import Match, Rule, RuleTable
from gateway.policy.target import Target, parse_target

NO_HEADERS: CIMultiDict[str] = CIMultiDict()


def ask(path: str, *, host: str = "wiki.example.com", method: str = "GET") -> Target:
    return parse_target(method, path, host, "https")


def headers(*lines: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(lines)


def someone(
    username: str = "ann",
    *,
    roles: tuple[str, ...] = (),
    scopes: frozenset[str] | None = None,
    kind: CredentialKind = CredentialKind.SESSION,
    email: str = "ann@example.com",
    name: str = "",
    claims: dict[str, str | int | float | bool | tuple[str, ...]] | None = None,
) -> Identity:
    return Identity(
        user_id="7b0d5d0a-0f4f-4a0e-9f4c-0b1f5d3c2a11",
        username=username,
        email=email,
        roles=roles,
        kind=kind,
        authenticated_at=datetime(2026, 1, 1, tzinfo=UTC),
        name=name,
        scopes=scopes,
        claims=claims or {},
    )


def match(*paths: str, **given: object) -> Match:
    return Match(paths=tuple(parse_pattern(path) for path in paths), **given)  # type: ignore[arg-type]


def table(*matches: Match) -> RuleTable:
    return RuleTable.compile(Rule(index=index, name=f"r{index}", match=one) for index, one in enumerate(matches))


def found(rules: RuleTable, target: Target, sent: CIMultiDict[str] = NO_HEADERS) -> str | None:
    rule = rules.find(target, sent)
    return None if rule is None else rule.name
