"""What a route demands of who asks, as a tree that is true, false, or undetermined.

Undetermined is what nobody knows: the roles of someone who has not signed in, the network of an address
that cannot be seen. It never fulfils anything, and ``not`` does not turn it into true: otherwise signing
out would be a way around ``not: {users: [bob]}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import ClassVar, Final, Protocol

from gateway.identity.identity import ClaimValue, Identity

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

ANONYMOUS: Final = "anonymous"
UNKNOWN_ADDRESS: Final = "unknown_address"
UNDETERMINED: Final = frozenset({ANONYMOUS, UNKNOWN_ADDRESS})
# What whoever is signed in can still do something about.
ONE_FACTOR: Final = "one_factor"
SIGNED_IN_TOO_LONG_AGO: Final = "signed_in_too_long_ago"
STEPS_UP: Final = frozenset({ONE_FACTOR, SIGNED_IN_TOO_LONG_AGO})


class Requirement(Protocol):
    """One condition. ``description`` says it in words; ``needs_identity`` whether it looks at who asks."""

    @property
    def description(self) -> str: ...

    @property
    def needs_identity(self) -> bool: ...

    @property
    def children(self) -> tuple[Requirement, ...]: ...

    def unmet(self, identity: Identity | None, client_ip: IPAddress | None, now: float | None = None) -> str | None:
        """Return None when the condition holds, else a fixed word that says why not. ``now`` is in POSIX seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Checked:
    """One condition as it came out, for people: ``unmet`` is None where it held."""

    description: str
    unmet: str | None
    depth: int


def checked(
    requirement: Requirement,
    identity: Identity | None,
    client_ip: IPAddress | None,
    now: float | None = None,
    depth: int = 0,
) -> Iterator[Checked]:
    """Yield the condition and everything under it, in the order of the configuration."""
    yield Checked(requirement.description, requirement.unmet(identity, client_ip, now), depth)
    for child in requirement.children:
        yield from checked(child, identity, client_ip, now, depth + 1)


def unmet_part(
    requirement: Requirement, identity: Identity | None, client_ip: IPAddress | None, now: float | None = None
) -> Requirement:
    """Return the condition under ``all`` that decides why ``requirement`` does not hold."""
    if not isinstance(requirement, All):
        return requirement
    reason = requirement.unmet(identity, client_ip, now)
    for child in requirement.children:
        if child.unmet(identity, client_ip, now) == reason:
            return unmet_part(child, identity, client_ip, now)
    return requirement


def required_scopes(requirement: Requirement | None) -> frozenset[str]:
    """Return every scope that a condition asks for, wherever in it."""
    if requirement is None:
        return frozenset()
    if isinstance(requirement, Scopes):
        return requirement.names
    return frozenset(scope for child in requirement.children for scope in required_scopes(child))


def phrase(requirement: Requirement) -> str:
    """Say a condition and all under it in one line."""
    if isinstance(requirement, Not):
        return f"not {phrase(requirement.child)}"
    if isinstance(requirement, All | AnyOf):
        word = " and " if isinstance(requirement, All) else " or "
        return f"({word.join(phrase(child) for child in requirement.children)})"
    return requirement.description


@dataclass(frozen=True, slots=True)
class Roles:
    """Any of these roles."""

    names: frozenset[str]
    needs_identity: ClassVar[bool] = True
    children: ClassVar[tuple[Requirement, ...]] = ()

    @property
    def description(self) -> str:
        return _one_of("role", self.names)

    def unmet(
        self,
        identity: Identity | None,
        client_ip: IPAddress | None,  # noqa: ARG002
        now: float | None = None,  # noqa: ARG002
    ) -> str | None:
        if identity is None:
            return ANONYMOUS
        return "missing_role" if self.names.isdisjoint(identity.roles) else None


@dataclass(frozen=True, slots=True)
class Scopes:
    """All of these scopes, of a credential that is limited by scopes at all."""

    names: frozenset[str]
    needs_identity: ClassVar[bool] = True
    children: ClassVar[tuple[Requirement, ...]] = ()

    @property
    def description(self) -> str:
        names = ", ".join(sorted(self.names))
        return f"scope{'s' * (len(self.names) > 1)} {names}, if the credential is limited by scopes"

    def unmet(
        self,
        identity: Identity | None,
        client_ip: IPAddress | None,  # noqa: ARG002
        now: float | None = None,  # noqa: ARG002
    ) -> str | None:
        if identity is None:
            return ANONYMOUS
        scopes = identity.scopes
        return None if scopes is None or self.names <= scopes else "missing_scope"


@dataclass(frozen=True, slots=True)
class Users:
    """Any of these usernames, spelt as the account is.

    Never e-mail addresses: anybody may register one before its owner does. Never folded: the database
    decides which spellings are one name, and folding more than it does would lend one user's rights to another.
    """

    names: frozenset[str]
    needs_identity: ClassVar[bool] = True
    children: ClassVar[tuple[Requirement, ...]] = ()

    @property
    def description(self) -> str:
        return _one_of("user", self.names)

    def unmet(
        self,
        identity: Identity | None,
        client_ip: IPAddress | None,  # noqa: ARG002
        now: float | None = None,  # noqa: ARG002
    ) -> str | None:
        if identity is None:
            return ANONYMOUS
        return None if identity.username in self.names else "user_not_listed"


@dataclass(frozen=True, slots=True)
class Claims:
    """For each of these claims one of the values; of a claim that is a list, any element."""

    values: tuple[tuple[str, frozenset[str]], ...]
    needs_identity: ClassVar[bool] = True
    children: ClassVar[tuple[Requirement, ...]] = ()

    @property
    def description(self) -> str:
        return " and ".join(f"claim {name} {_one_of('value', values)}" for name, values in self.values)

    def unmet(
        self,
        identity: Identity | None,
        client_ip: IPAddress | None,  # noqa: ARG002
        now: float | None = None,  # noqa: ARG002
    ) -> str | None:
        if identity is None:
            return ANONYMOUS
        for name, values in self.values:
            if values.isdisjoint(_texts(identity.claims.get(name))):
                return "missing_claim"
        return None


@dataclass(frozen=True, slots=True)
class SourceIp:
    """A client address inside any of these networks."""

    networks: tuple[IPNetwork, ...]
    needs_identity: ClassVar[bool] = False
    children: ClassVar[tuple[Requirement, ...]] = ()

    @property
    def description(self) -> str:
        names = ", ".join(str(network) for network in self.networks)
        return f"address in {'one of ' * (len(self.networks) > 1)}{names}"

    def unmet(
        self,
        identity: Identity | None,  # noqa: ARG002
        client_ip: IPAddress | None,
        now: float | None = None,  # noqa: ARG002
    ) -> str | None:
        if client_ip is None:
            return UNKNOWN_ADDRESS
        for network in self.networks:
            if client_ip in network:
                return None
        return "address_not_listed"


@dataclass(frozen=True, slots=True)
class All:
    """Every one of the conditions."""

    children: tuple[Requirement, ...]
    description: ClassVar[str] = "all of"

    @property
    def needs_identity(self) -> bool:
        return any(child.needs_identity for child in self.children)

    def unmet(self, identity: Identity | None, client_ip: IPAddress | None, now: float | None = None) -> str | None:
        undetermined = step_up = None
        for child in self.children:
            reason = child.unmet(identity, client_ip, now)
            if reason is None:
                continue
            if reason in UNDETERMINED:
                undetermined = undetermined or reason
            elif reason in STEPS_UP:
                step_up = step_up or reason
            else:  # nobody is asked for more who would not be let in then
                return reason
        return undetermined or step_up


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the conditions; with none at all it never holds."""

    children: tuple[Requirement, ...]
    description: ClassVar[str] = "any of"

    @property
    def needs_identity(self) -> bool:
        return any(child.needs_identity for child in self.children)

    def unmet(self, identity: Identity | None, client_ip: IPAddress | None, now: float | None = None) -> str | None:
        undetermined = step_up = None
        for child in self.children:
            reason = child.unmet(identity, client_ip, now)
            if reason is None:
                return None
            # Signing in may help where nothing else does, so it is what is asked for first.
            if reason == ANONYMOUS or (reason in UNDETERMINED and undetermined is None):
                undetermined = reason
            elif reason in STEPS_UP and step_up is None:
                step_up = reason
        # What somebody can do something about comes before what nobody knows.
        if undetermined == ANONYMOUS:
            return undetermined
        return step_up or undetermined or "no_alternative"


@dataclass(frozen=True, slots=True)
class Not:
    """The condition must be false; undetermined is not false."""

    child: Requirement
    description: ClassVar[str] = "not"

    @property
    def needs_identity(self) -> bool:
        return self.child.needs_identity

    @property
    def children(self) -> tuple[Requirement, ...]:
        return (self.child,)

    def unmet(self, identity: Identity | None, client_ip: IPAddress | None, now: float | None = None) -> str | None:
        reason = self.child.unmet(identity, client_ip, now)
        if reason is None:
            return "excluded"
        return reason if reason in UNDETERMINED else None


def _texts(value: ClaimValue | None) -> tuple[str, ...]:
    """Return a claim's values as the configuration writes them."""
    if value is None:
        return ()
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return value if isinstance(value, tuple) else (str(value),)


def _one_of(noun: str, names: frozenset[str]) -> str:
    ordered = sorted(names)
    return f"{noun} {ordered[0]}" if len(ordered) == 1 else f"one of the {noun}s {', '.join(ordered)}"
