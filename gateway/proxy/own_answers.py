"""Answers that a route gives in place of an upstream: redirects, fixed words, preflights."""

from __future__ import annotations

from aiohttp import web

from gateway.policy.answer import Redirect, Respond
from gateway.policy.cors import Cors, origin_of, preflight_headers, preflight_method
from gateway.policy.fields import Headers
from gateway.policy.rules import Rule
from gateway.problem import Problem
from gateway.proxy.journey import Journey
from gateway.proxy.route_reply import route_fields
from gateway.refusal import Refused


def own_answer(rule: Rule, answer: Redirect | Respond, journey: Journey) -> web.Response:
    """Return what a route answers by itself."""
    if isinstance(answer, Redirect):
        location = answer.location(journey.target)
        response = web.Response(status=answer.status, headers={"Location": location})
    else:
        response = web.Response(
            status=answer.status, text=answer.body, content_type=answer.content_type, charset="utf-8"
        )
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in route_fields(rule, journey):
        if name.lower() in response.headers and name != "Vary":
            response.headers[name] = value
        else:
            response.headers.add(name, value)
    return response


def preflight_answer(rule: Rule, journey: Journey) -> web.Response:
    """Answer a preflight (Fetch standard, section 4.8). Raises Refused where the route gives no leave."""
    return preflight(rule.cors, journey.target.method, journey.plan.headers)


def preflight(cors: Cors | None, request_method: str, headers: Headers) -> web.Response:
    """Answer a preflight by what ``cors`` gives leave to. Raises Refused where that is nothing."""
    origin = origin_of(headers)
    method = preflight_method(request_method, headers)
    if cors is None or origin is None or not cors.allows(origin) or method not in cors.methods:
        detail = "Scripts of this page may not ask for this."
        raise Refused(Problem(403, "cors_refused", detail, headers={"Vary": "Origin"}))
    response = web.Response(status=204)
    for name, value in cors.preflight_fields(origin, preflight_headers(headers)):
        response.headers.add(name, value)
    return response
