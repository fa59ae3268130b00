"""An explanation of a decision, drawn for the terminal or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import click

from gateway.identity.identity import Identity
from gateway.policy.decision import Outcome
from gateway.policy.explain import Explanation, RouteStep
from gateway.policy.requirements import UNKNOWN_ADDRESS, Checked, IPAddress

# So many routes in a row that miss by their host are shown one by one; more become one line.
_SHOWN_HOST_MISSES: Final = 4
_COLOURS: Final = {Outcome.ALLOW: "green", Outcome.LOGIN: "yellow", Outcome.STEP_UP: "yellow"}
_SENTENCES: Final = {
    Outcome.ALLOW: "allowed",
    Outcome.LOGIN: "login: a browser is sent to the login page, a program gets 401",
    Outcome.STEP_UP: "step up: signing in more strongly is asked for",
    Outcome.FORBID: "forbidden: 403",
    Outcome.UNKNOWN: "no route: 404, nothing is forwarded",
}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks from where, and what else there is to know about it."""

    identity: Identity | None
    ip: IPAddress | None
    notes: tuple[str, ...]


def document(told: Explanation, asker: Asker) -> dict[str, Any]:
    """Return the explanation as JSON has it."""
    decision, identity = told.decision, asker.identity
    return {
        "url": told.target.url,
        "method": told.target.method,
        "user": None if identity is None else {"username": identity.username, "roles": list(identity.roles)},
        "ip": None if asker.ip is None else str(asker.ip),
        "outcome": decision.outcome.value,
        "allowed": decision.allowed,
        "route": None if decision.rule is None else decision.rule.name,
        "reason": decision.reason,
        "detail": decision.detail,
        "routes": [{"name": step.name, "hit": step.hit, "miss": step.miss or None} for step in told.steps],
        "requirements": [
            {
                "requirement": check.description,
                "holds": check.unmet is None,
                "reason": check.unmet,
                "depth": check.depth,
            }
            for check in told.checks
        ],
        "upstream": None if told.forwarded is None or decision.rule is None else decision.rule.upstream,
        "target": told.forwarded,
        "treatment": list(told.treatment),
        "headers": [{"name": name, "value": value} for name, value in told.headers],
        "notes": list(asker.notes),
    }


def lines(told: Explanation, asker: Asker) -> Iterator[str]:
    """Yield the explanation line by line, as a person reads it: the routes, the requirements, the outcome."""
    yield click.style(f"{told.target.method} {_plain(told.target.url)}", bold=True)
    yield _asker(asker)
    for note in asker.notes:
        yield click.style(f"note: {note}", fg="yellow")
    yield ""
    yield from _routes(told.steps)
    if told.checks:
        yield ""
        yield from (_check(check) for check in told.checks)
    yield ""
    yield from _outcome(told)


def refused(reason: str, sentence: str) -> str:
    """Return the line for a target that no route is asked about."""
    return f"{click.style('refused: 400', fg='red', bold=True)}  {sentence} ({reason})"


def _asker(asker: Asker) -> str:
    place = f" from {asker.ip}" if asker.ip is not None else ""
    if asker.identity is None:
        return f"as anonymous{place}"
    roles = ", ".join(asker.identity.roles) or "none"
    return f"as {_plain(asker.identity.username)} (roles: {_plain(roles)}){place}"


def _routes(steps: tuple[RouteStep, ...]) -> Iterator[str]:
    if not steps:
        yield "  there are no routes"
    width = max((len(step.name) for step in steps), default=0)
    number = len(str(len(steps)))
    for part, group in groupby(steps, key=lambda step: step.part):
        members = list(group)
        if part == "host" and len(members) > _SHOWN_HOST_MISSES:
            yield f"  {click.style('·', dim=True)} {len(members)} routes for other hosts"
            continue
        for step in members:
            sign = click.style("✓", fg="green") if step.hit else click.style("·", dim=True)
            told = click.style("matches", fg="green") if step.hit else click.style(_plain(step.miss), dim=True)
            yield f"  {sign} {step.index + 1:>{number}}  {_plain(step.name):<{width}}  {told}"


def _check(check: Checked) -> str:
    indent = "  " * (check.depth + 1)
    if check.unmet is None:
        return f"{indent}{click.style('✓', fg='green')} {_plain(check.description)}"
    hint = ": give --ip" if check.unmet == UNKNOWN_ADDRESS else ""
    reason = click.style(f"({check.unmet}{hint})", dim=True)
    return f"{indent}{click.style('✗', fg='red')} {_plain(check.description)} {reason}"


def _outcome(told: Explanation) -> Iterator[str]:
    decision = told.decision
    colour = _COLOURS.get(decision.outcome, "red")
    yield click.style(_SENTENCES[decision.outcome], fg=colour, bold=True)
    yield f"  because {_plain(decision.detail)} ({decision.reason})"
    yield from (f"  {_plain(sentence)}" for sentence in told.treatment)
    if told.forwarded is None or decision.rule is None:
        return
    yield f"  forwarded to {_plain(decision.rule.upstream)} as {told.target.method} {_plain(told.forwarded)}"
    if not told.headers:
        yield "  with no identity headers"
        return
    yield "  with the headers"
    width = max(len(name) for name, _ in told.headers)
    for name, value in told.headers:
        yield f"    {name + ':':<{width + 1}} {value}"


def _plain(text: str) -> str:
    """Keep what a configuration or an account holds from moving the terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
