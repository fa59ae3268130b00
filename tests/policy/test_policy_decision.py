"""Who may pass, for each kind of access and each requirement."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.identity import CredentialKind, Identity
from gateway.policy.decision import Decision, Outcome, decide
from gateway.policy.requirements import (
    UNDETERMINED,
    All,
    AnyOf,
    IPAddress,
    Not,
    Requirement,
    Roles,
    Scopes,
    SourceIp,
    Users,
    checked,
)
from gateway.policy.rules import Access, Rule
from tests.policy.asking import someone

INSIDE, OUTSIDE = ip_address("10.1.2.3"), ip_address("192.0.2.1")
INTERNAL = SourceIp((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
ADMIN = Roles(frozenset({"admin", "ops"}))
WRITE = Scopes(frozenset({"wiki:read", "wiki:write"}))
BOB = Users(frozenset({"bob"}))


def rule(access: Access = Access.REQUIRED, requirement: Requirement | None = None) -> Rule:
    return Rule(index=0, name="r", access=access, requirement=requirement)


def ruling(decision: Decision) -> tuple[str, str]:
    return decision.outcome.value, decision.reason


def test_no_route_is_unknown_even_for_an_admin() -> None:
    decision = decide(None, someone(roles=("admin",)), INSIDE)
    assert ruling(decision) == ("unknown", "no_route")
    assert not decision.allowed
    assert decision.rule is None


@pytest.mark.parametrize(
    ("access", "anonymous", "signed_in"),
    [
        (Access.PUBLIC, ("allow", "public"), ("allow", "public")),
        (Access.OPTIONAL, ("allow", "optional"), ("allow", "authenticated")),
        (Access.REQUIRED, ("login", "anonymous"), ("allow", "authenticated")),
        (Access.DENY, ("forbid", "denied"), ("forbid", "denied")),
    ],
)
def test_access(access: Access, anonymous: tuple[str, str], signed_in: tuple[str, str]) -> None:
    assert ruling(decide(rule(access), None, INSIDE)) == anonymous
    assert ruling(decide(rule(access), someone(roles=("admin",)), INSIDE)) == signed_in


@pytest.mark.parametrize("kind", list(CredentialKind))
def test_a_kind_that_the_route_does_not_list_counts_as_nobody(kind: CredentialKind) -> None:
    others = frozenset(CredentialKind) - {kind}
    one = Rule(index=0, name="r", credentials=others)
    assert decide(one, someone(kind=kind), INSIDE).outcome is Outcome.LOGIN
    listed = Rule(index=0, name="r", credentials=frozenset({kind}))
    assert decide(listed, someone(kind=kind), INSIDE).outcome is Outcome.ALLOW


REQUIREMENTS = [
    pytest.param(ADMIN, someone(roles=("ops", "user")), INSIDE, None, id="one of the roles"),
    pytest.param(ADMIN, someone(roles=("user",)), INSIDE, "missing_role", id="none of the roles"),
    pytest.param(ADMIN, someone(roles=("Admin",)), INSIDE, "missing_role", id="roles by case"),
    pytest.param(ADMIN, someone(), INSIDE, "missing_role", id="no roles"),
    pytest.param(WRITE, someone(), INSIDE, None, id="scopes do not limit a session"),
    pytest.param(WRITE, someone(scopes=frozenset()), INSIDE, "missing_scope", id="no scopes"),
    pytest.param(WRITE, someone(scopes=frozenset({"wiki:read"})), INSIDE, "missing_scope", id="some scopes"),
    pytest.param(WRITE, someone(scopes=frozenset({"wiki:read", "wiki:write", "x"})), INSIDE, None, id="all scopes"),
    pytest.param(BOB, someone("bob"), INSIDE, None, id="user"),
    pytest.param(BOB, someone("Bob"), INSIDE, "user_not_listed", id="user by case"),
    pytest.param(BOB, someone("eve", email="bob"), INSIDE, "user_not_listed", id="user never by e-mail"),
    pytest.param(INTERNAL, someone(), INSIDE, None, id="address inside"),
    pytest.param(INTERNAL, someone(), OUTSIDE, "address_not_listed", id="address outside"),
    pytest.param(INTERNAL, someone(), ip_address("fd00::1"), None, id="IPv6 address inside"),
    pytest.param(INTERNAL, someone(), None, "unknown_address", id="address that cannot be seen"),
    pytest.param(All((ADMIN, BOB)), someone("bob", roles=("ops",)), INSIDE, None, id="all"),
    pytest.param(All((ADMIN, BOB)), someone("eve", roles=("ops",)), INSIDE, "user_not_listed", id="not all"),
    pytest.param(All(()), someone(), INSIDE, None, id="all of nothing"),
    pytest.param(AnyOf((ADMIN, BOB)), someone("bob"), INSIDE, None, id="any"),
    pytest.param(AnyOf((ADMIN, BOB)), someone("eve"), INSIDE, "no_alternative", id="not any"),
    pytest.param(AnyOf(()), someone(), INSIDE, "no_alternative", id="any of nothing"),
    pytest.param(Not(BOB), someone("eve"), INSIDE, None, id="not"),
    pytest.param(Not(BOB), someone("bob"), INSIDE, "excluded", id="not not"),
    pytest.param(Not(INTERNAL), someone(), OUTSIDE, None, id="not inside"),
    pytest.param(Not(INTERNAL), someone(), None, "unknown_address", id="not inside, address unseen"),
    pytest.param(Not(Not(BOB)), someone("bob"), INSIDE, None, id="double not"),
]


@pytest.mark.parametrize(("requirement", "identity", "ip", "reason"), REQUIREMENTS)
def test_requirement(requirement: Requirement, identity: Identity, ip: IPAddress | None, reason: str | None) -> None:
    assert requirement.unmet(identity, ip) == reason
    expected = ("allow", "authenticated") if reason is None else ("forbid", reason)
    assert ruling(decide(rule(requirement=requirement), identity, ip)) == expected


@pytest.mark.parametrize(
    ("requirement", "ip", "expected"),
    [
        (ADMIN, INSIDE, ("login", "anonymous")),
        (INTERNAL, INSIDE, ("allow", "optional")),
        (INTERNAL, OUTSIDE, ("forbid", "address_not_listed")),
        (AnyOf((INTERNAL, ADMIN)), INSIDE, ("allow", "optional")),
        (AnyOf((INTERNAL, ADMIN)), OUTSIDE, ("login", "anonymous")),
        (AnyOf((INTERNAL, ADMIN)), None, ("login", "anonymous")),
        # signing in would not help
        (All((ADMIN, INTERNAL)), OUTSIDE, ("forbid", "address_not_listed")),
        # signing out is no way around it
        (Not(BOB), INSIDE, ("login", "anonymous")),
        (Not(AnyOf((BOB, INTERNAL))), INSIDE, ("forbid", "excluded")),
        (Not(All((BOB, INTERNAL))), OUTSIDE, ("allow", "optional")),
    ],
)
def test_optional_route_without_identity(
    requirement: Requirement, ip: IPAddress | None, expected: tuple[str, str]
) -> None:
    assert ruling(decide(rule(Access.OPTIONAL, requirement), None, ip)) == expected


def test_detail_names_what_is_missing() -> None:
    nested = All((All((BOB,)), AnyOf((ADMIN, Not(INTERNAL)))))
    decision = decide(rule(requirement=nested), someone("bob"), INSIDE)
    assert decision.detail == (
        "the route requires (one of the roles admin, ops or not address in one of 10.0.0.0/8, fd00::/8)"
    )
    assert [(check.description, check.unmet, check.depth) for check in checked(nested, someone("bob"), INSIDE)] == [
        ("all of", "no_alternative", 0),
        ("all of", None, 1),
        ("user bob", None, 2),
        ("any of", "no_alternative", 1),
        ("one of the roles admin, ops", "missing_role", 2),
        ("not", "excluded", 2),
        ("address in one of 10.0.0.0/8, fd00::/8", None, 3),
    ]


LEAVES = st.one_of(
    st.sets(st.sampled_from(["admin", "ops", "user"]), min_size=1).map(lambda names: Roles(frozenset(names))),
    st.sets(st.sampled_from(["r", "w"]), min_size=1).map(lambda names: Scopes(frozenset(names))),
    st.sets(st.sampled_from(["ann", "bob"]), min_size=1).map(lambda names: Users(frozenset(names))),
    st.sampled_from([SourceIp((ip_network("10.0.0.0/8"),)), SourceIp((ip_network("192.0.2.0/24"),))]),
)
TREES: st.SearchStrategy[Requirement] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda children: All(tuple(children))),
        st.lists(inner, max_size=3).map(lambda children: AnyOf(tuple(children))),
        inner.map(Not),
    ),
    max_leaves=8,
)
PEOPLE = st.builds(
    lambda username, roles, scopes, kind: someone(
        username, roles=tuple(sorted(roles)), scopes=None if scopes is None else frozenset(scopes), kind=kind
    ),
    st.sampled_from(["ann", "bob", "eve"]),
    st.sets(st.sampled_from(["admin", "ops", "user"])),
    st.none() | st.sets(st.sampled_from(["r", "w"])),
    st.sampled_from(list(CredentialKind)),
)
ADDRESSES = st.sampled_from([None, INSIDE, OUTSIDE, ip_address("fd00::1"), ip_address("198.51.100.1")])
RULES = st.builds(
    lambda access, requirement, kinds: Rule(
        index=0, name="r", access=access, requirement=requirement, credentials=frozenset(kinds)
    ),
    st.sampled_from(list(Access)),
    st.none() | TREES,
    st.sets(st.sampled_from(list(CredentialKind))),
)


@given(RULES, ADDRESSES)
def test_a_required_route_never_allows_nobody(one: Rule, ip: IPAddress | None) -> None:
    decision = decide(one, None, ip)
    if one.access in {Access.REQUIRED, Access.DENY}:
        assert not decision.allowed
    assert decision.detail


@given(RULES, PEOPLE, ADDRESSES)
def test_a_denied_route_never_allows_anyone(one: Rule, person: Identity, ip: IPAddress | None) -> None:
    decision = decide(one, person, ip)
    if one.access is Access.DENY:
        assert not decision.allowed
    if decision.allowed and one.requirement is not None:
        assert one.requirement.unmet(None if one.access is Access.PUBLIC else person, ip) is None or (
            person.kind not in one.credentials
        )


def two_valued(tree: Requirement, person: Identity, ip: IPAddress) -> bool:
    """Judge by plain logic, which serves when everything is known."""
    if isinstance(tree, All):
        return all(two_valued(child, person, ip) for child in tree.children)
    if isinstance(tree, AnyOf):
        return any(two_valued(child, person, ip) for child in tree.children)
    if isinstance(tree, Not):
        return not two_valued(tree.child, person, ip)
    return tree.unmet(person, ip) is None


@given(TREES, PEOPLE, ADDRESSES.filter(bool))
def test_with_everything_known_it_is_plain_logic(tree: Requirement, person: Identity, ip: IPAddress) -> None:
    assert (tree.unmet(person, ip) is None) is two_valued(tree, person, ip)
    assert tree.unmet(person, ip) not in UNDETERMINED


@given(TREES, PEOPLE, ADDRESSES)
def test_what_holds_for_nobody_holds_for_everybody(tree: Requirement, person: Identity, ip: IPAddress | None) -> None:
    """So signing out never wins anything; and a definite no stays one after signing in."""
    alone = tree.unmet(None, ip)
    if alone is None:
        assert tree.unmet(person, ip) is None
    elif alone not in UNDETERMINED:
        assert tree.unmet(person, ip) is not None


@given(TREES, st.none() | PEOPLE, ADDRESSES)
def test_what_holds_from_nowhere_holds_from_everywhere(
    tree: Requirement, person: Identity | None, ip: IPAddress | None
) -> None:
    if tree.unmet(person, None) is None:
        assert tree.unmet(person, ip) is None


def test_detail_of_a_foreign_reason_is_the_reason() -> None:
    assert Decision(Outcome.FORBID, rule(), "bad_origin").detail == "bad origin"
