"""A request that is answered with a problem instead of being passed on."""

from __future__ import annotations

from gateway.errors import GatewayError
from gateway.problem import Problem


class Refused(GatewayError):
    """Carries what the client is told. ``close`` says that the connection cannot be used for another request."""

    def __init__(self, problem: Problem, *, close: bool = False) -> None:
        self.problem = problem
        self.close = close
        super().__init__(problem.code)
