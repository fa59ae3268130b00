"""Every exception that crosses a package boundary.

    GatewayError
    ├── ConfigError              the configuration cannot be used; carries every problem found
    ├── StartupError             this process cannot start; the message says what to do
    ├── StorageError
    │   ├── StorageUnavailable   PostgreSQL did not answer; the caller fails closed (503)
    │   ├── UniqueConflict       a row with that key exists; carries the constraint
    │   └── MigrationError       the schema is not what this program expects
    ├── TargetRejected           the request has no single safe reading (400)
    ├── CredentialRejected       a credential is present and bad (401)
    │   ├── TokenRejected        a JWT or refresh token did not verify
    │   └── PasskeyRefused       what an authenticator said is not what was asked for
    ├── LoginRefused             name and password do not sign in
    │   └── TooManyAttempts      not now; carries how long to wait (429)
    ├── AuthorityUnavailable     who decides about a credential did not answer; closed (503)
    ├── Overloaded               a bounded queue is full (503)
    ├── InvalidInput             fields that cannot be accepted; carries each (400)
    │   └── LastAdministrator    nobody would be left to administer (409)
    ├── Outdated                 it has changed since the asker looked at it (412)
    ├── NotFound                 the thing asked for does not exist (404)
    └── UpstreamError
        ├── UpstreamUnreachable  no connection, or it broke before an answer (502)
        ├── UpstreamInvalid      the answer is not strict HTTP (502)
        └── UpstreamTimeout      no answer in time (504)

Exceptions part what callers do differently and carry data. ``reason`` is a short fixed word for logs
and metrics; no message ever holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member


class GatewayError(Exception):
    """The root: anything the gateway raises on purpose."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with the configuration: where (1-based line and column when known), which key, what."""

    message: str
    key: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class ConfigError(GatewayError):
    """The configuration cannot be used. ``problems`` holds all that was found, in file order."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StartupError(GatewayError):
    """This process cannot start; the message is one line that says what to do."""


class StorageError(GatewayError):
    """PostgreSQL refused or could not do what was asked."""


class StorageUnavailable(StorageError):
    """PostgreSQL did not answer. Nothing may be allowed on the strength of this."""


class UniqueConflict(StorageError):
    """A row with that key exists already; ``constraint`` names the index that said so."""

    def __init__(self, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(constraint)


class MigrationError(StorageError):
    """The database's schema does not match the migrations that this program carries."""


class TargetRejected(GatewayError):
    """The request's target or host has no single safe reading."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CredentialRejected(GatewayError):
    """A credential is present and bad: never a fall-through to a weaker kind."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class TokenRejected(CredentialRejected):
    """A JWT or refresh token did not verify."""


class PasskeyRefused(CredentialRejected):
    """What an authenticator said is not what was asked for. ``detail`` is for the log alone."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.detail = detail
        super().__init__(reason)


class LoginRefused(GatewayError):
    """Name and password do not sign in. ``reason``: ``bad_credentials``, ``inactive`` or ``unverified``."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class TooManyAttempts(LoginRefused):
    """Too many failures for this account or address. ``retry_after_seconds`` says when to come back."""

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__("too_many_attempts")


class AuthorityUnavailable(GatewayError):
    """Whoever decides about a credential did not answer. Nothing is known about it, so it opens nothing."""


class Overloaded(GatewayError):
    """A bounded queue is full. ``retry_after_seconds`` says when to come back."""

    def __init__(self, retry_after_seconds: int = 1) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__("overloaded")


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request, in words for the person who sent it.

    ``message`` is in English, with ``%(name)s`` where ``values`` stand, so that pages can say it in another language.
    """

    field: str
    message: str
    values: Mapping[str, object] = member(default_factory=dict)

    @property
    def detail(self) -> str:
        """The message in English."""
        return self.message % self.values if self.values else self.message


class InvalidInput(GatewayError):
    """Fields that cannot be accepted; ``errors`` names each of them."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{error.field}: {error.detail}" for error in self.errors))


class AddressTaken(InvalidInput):
    """The e-mail address of a new account belongs to another. ``password_hash`` is what the account would have got."""

    def __init__(self, errors: Sequence[FieldError], password_hash: str | None) -> None:
        self.password_hash = password_hash
        super().__init__(errors)


class LastAdministrator(InvalidInput):
    """The change would leave nobody to administer: right in itself, but not while there is no other administrator."""


class Outdated(GatewayError):
    """The thing to change is not any more what the asker looked at."""


class NotFound(GatewayError):
    """The thing asked for does not exist, or the asker may not know that it does."""


class UpstreamError(GatewayError):
    """The upstream did not give a usable answer. ``reason`` is a fixed word for logs and metrics."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UpstreamUnreachable(UpstreamError):
    """No connection could be made, or it broke before a response head arrived."""


class UpstreamInvalid(UpstreamError):
    """The upstream's answer is not strict HTTP/1.1."""


class UpstreamBusy(UpstreamError):
    """All servers have as much to do as they may have, and so has the queue before them."""

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__("busy")


class UpstreamDown(UpstreamError):
    """Health checks say that none of the servers works."""

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__("down")


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer within the route's time."""
