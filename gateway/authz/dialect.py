"""What every dialect shares: how another proxy describes a request, and how it is told the answer.

Nothing is guessed here. What is missing, doubled or not readable came through a proxy that should know better, and is
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.errors import TargetRejected
from gateway.policy.client import ClientAddress
from gateway.policy.fields import Headers
from gateway.policy.target import Target
from gateway.problem import Problem
from gateway.refusal import FORBIDDEN

_UNAUTHENTICATED: Final = 401
# Whatever else is wrong with a request is no concern of the proxy in front: nginx makes a 500 of it.
_TOLD: Final = frozenset({_UNAUTHENTICATED, 403, 500, 503})


class Asked(NamedTuple):
    """What another proxy sent to a decision endpoint: ``rest`` is the request line's target after the endpoint's path.

    ``host`` is the Host field, ``scheme`` the one that clients use unless ``client`` names another. ``address`` stands
    for the field that holds the original address, where ``headers`` are those of a question about another one.
    """

    method: str
    rest: str
    host: str | None
    scheme: str
    headers: Headers
    client: ClientAddress
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask. ``target`` finds the original request, or raises TargetRejected.

    ``redirects`` tells whether the proxy hands our refusals to the browser as they are; ``address`` names the field
    that holds the original address, where it is a field.
    """

    path: str
    target: Callable[[Asked], Target]
    redirects: bool = True
    address: str = ""

    def refusal(self, problem: Problem, login: str | None) -> Problem:
        """Return what the proxy is told instead of ``problem``; ``login`` is where the browser could sign in."""
        if problem.status not in _TOLD:
            return FORBIDDEN
        if problem.status != _UNAUTHENTICATED or self.redirects or login is None:
            return problem
        headers = {**problem.headers, "Location": login}
        return Problem(problem.status, problem.code, problem.detail, headers=headers, asks=problem.asks)


def single(headers: Headers, name: str) -> str:
    """Return a field that describes the original request. Raises TargetRejected unless it is sent once."""
    values = headers.getall(name, ())
    if len(values) != 1:
        raise TargetRejected("not_sent_once")
    return values[0]
