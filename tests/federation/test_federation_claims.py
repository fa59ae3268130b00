"""Claims of others are read as they are found, whatever shape they have."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.role_rules import RoleRule
from gateway.federation.claims import claim_at, email_of, names_at, roles_by, scopes_of, text_at

CLAIMS = {
    "a": {"b": {"c": 1}, "b.c": 2},
    "kubernetes.io": {"namespace": "ci", "pod": {"name": "p-1"}},
    "https://example.com/roles": ["x"],
    "list": ["a", "b"],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.c", 2),
        ("a.b", {"c": 1}),
        ("kubernetes.io.namespace", "ci"),
        ("kubernetes.io.pod.name", "p-1"),
        ("https://example.com/roles", ["x"]),
        ("list.0", None),
        ("a.x", None),
        ("", None),
        ("a..b", None),
        ("a.b.c.d", None),
    ],
)
def test_dots_lead_into_objects(path: str, value: Any) -> None:
    assert claim_at(CLAIMS, path) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ann", "ann"),
        ("Ann Lee", "Ann Lee"),
        ("Zoë 😀", "Zoë 😀"),
        ("", ""),
        (" ann", ""),
        ("ann\n", ""),
        ("a\x00b", ""),
        ("\ud800", ""),
        ("a\u2028b", ""),
        ("a\u202eb", ""),
        ("x" * 254, "x" * 254),
        ("x" * 255, ""),
        (7, ""),
        (["ann"], ""),
        (None, ""),
    ],
)
def test_a_name_is_text(value: Any, text: str) -> None:
    assert text_at({"name": value}, "name") == text


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": "a@b.cc"}, "a@b.cc"),
        ({"email": "a@b.cc", "email_verified": True}, "a@b.cc"),
        ({"email": "a@b.cc", "email_verified": "true"}, "a@b.cc"),
        ({"email": "a@b.cc", "email_verified": False}, ""),
        ({"email": "a@b.cc", "email_verified": "false"}, ""),
        ({"email": "a@b.cc", "email_verified": None}, ""),
        ({"email": "a@b.cc", "email_verified": 0}, ""),
        ({"email": "a@b@c"}, ""),
        ({"email": "@b"}, ""),
        ({"email": "a b@b.cc"}, ""),
        ({"email": "a<b@b.cc"}, ""),
        ({"email": "a\uff20b@b.cc"}, ""),
        ({"email": "a@"}, ""),
        ({"email": ["a@b.c"]}, ""),
        ({}, ""),
    ],
)
def test_an_address_that_is_not_verified_is_none(claims: dict[str, Any], email: str) -> None:
    assert email_of(claims, "email") == email


def test_an_odd_statement_about_an_address_is_no_statement_for_it() -> None:
    assert email_of({"email": "a@b.cc", "email_verified": []}, "email") == ""
    assert email_of({"email": "a@b.cc", "email_verified": {"a": 1}}, "email") == ""


def test_names_are_texts_of_a_list_or_one() -> None:
    assert names_at({"groups": ["a", 1, None, "", "b\n", ["c"], "d"]}, "groups") == ("a", "d")
    assert names_at({"groups": "a"}, "groups") == ("a",)
    assert names_at({"groups": {"a": 1}}, "groups") == ()
    assert len(names_at({"groups": [str(number) for number in range(1000)]}, "groups")) == 500


def test_scopes_are_those_of_the_first_claim_that_is_there() -> None:
    assert scopes_of({"scope": "a b"}, ("scope", "scp")) == {"a", "b"}
    assert scopes_of({"scp": ["a", 1], "scope": None}, ("scope", "scp")) == {"a"}
    assert scopes_of({"scope": "", "scp": "a"}, ("scope", "scp")) == set()
    assert scopes_of({"scope": {"a": 1}}, ("scope", "scp")) == set()


def rule(**given: Any) -> RoleRule:
    return RoleRule.model_validate({"claim": "group", "role": "r", **given})


@pytest.mark.parametrize(
    ("given", "value", "holds"),
    [
        ({"equals": "staff"}, "staff", True),
        ({"equals": "staff"}, ["x", "staff"], True),
        ({"equals": "staff"}, "Staff", False),
        ({"equals": "staff"}, "staffing", False),
        ({"equals": "staff"}, {"staff": True}, False),
        ({"equals": "staff"}, [["staff"]], False),
        ({"equals": "staff"}, None, False),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": "a"}, ["a"], True),
        ({"equals": True}, True, True),
        ({"equals": True}, 1, False),
        ({"equals": True}, "true", False),
        ({"equals": 1}, True, False),
        ({"equals": 1}, 1, True),
        ({"equals": False}, False, True),
    ],
)
def test_a_rule_holds_for_the_very_value(given: dict[str, Any], value: Any, holds: bool) -> None:
    assert roles_by([rule(**given)], {"group": value}) == ({"r"} if holds else set())
