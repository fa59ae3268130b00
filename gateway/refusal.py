"""What a client is told when a request does not go through: one table from reasons to problems."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.errors import (
    AuthorityUnavailable,
    CredentialRejected,
    GatewayError,
    InvalidInput,
    LastAdministrator,
    LoginRefused,
    NotFound,
    Outdated,
    Overloaded,
    StorageError,
    TargetRejected,
    TooManyAttempts,
    UpstreamBusy,
    UpstreamDown,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.identity.identity import CredentialKind
from gateway.policy.challenge import challenge_header, step_up, step_up_header
from gateway.policy.decision import WRONG_AUDIENCE, Decision, Outcome
from gateway.policy.requirements import required_scopes
from gateway.problem import Problem

_RETRY_SECONDS: Final = "2"
_AGAIN: Final = "Signing in again is needed for this: the last time was too long ago."

UNAVAILABLE: Final = Problem(
    503,
    "unavailable",
    "The gateway cannot check who you are right now. Try again in a moment.",
    headers={"Retry-After": _RETRY_SECONDS},
)
INTERNAL: Final = Problem(500, "internal_error", "The gateway made a mistake; the request was not let through.")
FORBIDDEN: Final = Problem(403, "forbidden", "This is not open to you.")
NO_ROUTE: Final = Problem(404, "no_route", "Nothing is served at this address.")
OUTDATED: Final = Problem(412, "outdated", "It has changed since you looked at it: read it again, then decide.")
BAD_GATEWAY: Final = Problem(502, "bad_gateway", "The application behind the gateway did not give a usable answer.")
GATEWAY_TIMEOUT: Final = Problem(504, "gateway_timeout", "The application behind the gateway did not answer in time.")
BODY_TOO_LARGE: Final = Problem(413, "body_too_large", "The request's body is larger than is allowed here.")
BODY_TOO_SLOW: Final = Problem(408, "body_too_slow", "The request's body did not arrive in time.")
HEADER_TOO_SLOW: Final = Problem(408, "header_too_slow", "The request's header fields did not arrive in time.")
HEADER_TOO_LARGE: Final = Problem(
    431, "header_too_large", "The request's header fields are larger than is allowed here."
)
MALFORMED: Final = Problem(400, "malformed_request", "The request is not well-formed HTTP/1.1.")
BAD_EXPECTATION: Final = Problem(417, "bad_expectation", "Nothing but 100-continue can be expected here.")
BAD_UPGRADE: Final = Problem(400, "bad_upgrade", "Only WebSocket connections can be upgraded here.")
BAD_ORIGIN: Final = Problem(403, "bad_origin", "A WebSocket must be opened by a page of the same host.")
BAD_VERSION: Final = Problem(505, "http_version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")


class Refused(GatewayError):
    """A request that is answered with a problem instead of being passed on.

    ``close`` says that the connection cannot be used for another request.
    """

    def __init__(self, problem: Problem, *, close: bool = False) -> None:
        self.problem = problem
        self.close = close
        super().__init__(problem.code)


def unauthenticated(kinds: Collection[CredentialKind], *, presented: bool = False) -> Problem:
    """Return the 401 with its challenge (RFC 6750 section 3)."""
    if presented:
        detail = "The credential is not valid, or not any more. Get a new one and try again."
        code, error = "invalid_credential", "invalid_token"
    else:
        detail = "Sign in, or send a token in the Authorization header."
        code, error = "unauthenticated", None
    return Problem(401, code, detail, headers={"WWW-Authenticate": challenge_header(kinds, error)})


def of_decision(decision: Decision) -> Problem:
    """Return the problem for a decision that is not to allow. What the route requires stays in the log."""
    if decision.outcome is Outcome.UNKNOWN:
        return NO_ROUTE
    if decision.outcome is Outcome.STEP_UP:
        asks = step_up(decision)
        detail = "Signing in with a second factor is needed for this." if "prompt" in asks else _AGAIN
        return Problem(401, "step_up_required", detail, headers={"WWW-Authenticate": step_up_header(asks)}, asks=asks)
    if decision.outcome is Outcome.LOGIN and decision.rule is not None:
        return unauthenticated(decision.rule.credentials)
    if decision.reason == WRONG_AUDIENCE and decision.rule is not None:
        return unauthenticated(decision.rule.credentials, presented=True)
    if decision.reason == "missing_scope":
        scopes = " ".join(sorted(required_scopes(decision.unmet)))
        # RFC 6750 section 3.1
        header = f'Bearer realm="gateway", error="insufficient_scope", scope="{scopes}"'
        return Problem(
            403, "insufficient_scope", "The token lacks a scope for this.", headers={"WWW-Authenticate": header}
        )
    return FORBIDDEN


def of_error(error: GatewayError, kinds: Collection[CredentialKind] = frozenset(CredentialKind)) -> Problem:  # noqa: PLR0911
    """Return the problem for an error that a handler let through. Anything unknown is a 500: closed."""
    match error:
        case TargetRejected():
            return Problem(
                400, error.reason, "The request's address has no single safe reading; it was not let through."
            )
        case CredentialRejected():
            return unauthenticated(kinds, presented=True)
        case TooManyAttempts():
            retry = {"Retry-After": str(error.retry_after_seconds)}
            return Problem(429, "too_many_attempts", "Too many attempts failed. Wait, then try again.", headers=retry)
        case LoginRefused():
            return _login_refused(error)
        case Overloaded():
            retry = {"Retry-After": str(error.retry_after_seconds)}
            return Problem(503, "overloaded", "Too much is asked of the gateway right now. Try again.", headers=retry)
        case LastAdministrator():
            detail = "This is the last active administrator. Name another one first."
            return Problem(409, "last_administrator", detail, errors=error.errors)
        case InvalidInput():
            return Problem(400, "invalid_input", "Some fields cannot be accepted.", errors=error.errors)
        case Outdated():
            return OUTDATED
        case NotFound():
            return Problem(404, "not_found", "There is nothing like that, or it is not yours to see.")
        case StorageError() | AuthorityUnavailable():
            return UNAVAILABLE
        case UpstreamError():
            return _upstream(error)
        case _:
            return INTERNAL


def _upstream(error: UpstreamError) -> Problem:
    match error:
        case UpstreamBusy() | UpstreamDown():
            retry = {"Retry-After": str(error.retry_after_seconds)}
            detail = "The application behind the gateway cannot take this right now. Try again in a moment."
            return Problem(503, f"upstream_{error.reason}", detail, headers=retry)
        case UpstreamTimeout():
            return GATEWAY_TIMEOUT
        case _:
            return BAD_GATEWAY


def _login_refused(error: LoginRefused) -> Problem:
    if error.reason == "inactive":
        return Problem(403, "inactive", "This account has been disabled. Ask an administrator.")
    if error.reason == "unverified":
        return Problem(403, "unverified", "This account's e-mail address has not been verified yet.")
    challenge = {"WWW-Authenticate": challenge_header(())}
    return Problem(401, "bad_credentials", "The name or the password is not right.", headers=challenge)
