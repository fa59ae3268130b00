"""Errors as clients see them: problem+json (RFC 9457) for programs; pages are drawn by ``gateway.web``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from gateway.errors import FieldError


@dataclass(frozen=True, slots=True)
class Problem:
    """What is told to the client: no internal detail belongs here.

    ``code`` is a stable word for programs, ``detail`` one or two sentences for people.
    """

    status: int
    code: str
    detail: str
    title: str = ""
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    # What the login page is asked to ask for, where signing in would help.
    asks: Mapping[str, str] = field(default_factory=dict)

    def document(self, request_id: str) -> dict[str, object]:
        """Return the members of RFC 9457 section 3.1 with our ``code``, ``request_id`` and ``errors``."""
        document: dict[str, object] = {
            "type": "about:blank",
            "title": self.title or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **({"request_id": request_id} if request_id else {}),
            **self.extra,
        }
        if self.errors:
            document["errors"] = [{"field": error.field, "detail": error.detail} for error in self.errors]
        return document


def problem_bytes(problem: Problem, request_id: str) -> bytes:
    """Return a whole answer that is the connection's last, for where no request could be made of what came."""
    body = json.dumps(problem.document(request_id)).encode()
    fields = {
        "Server": "gateway",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **({"X-Request-Id": request_id} if request_id else {}),
        **problem.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n{lines}\r\n".encode() + body


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """Answer with application/problem+json, never cached."""
    return web.Response(
        status=problem.status,
        body=json.dumps(problem.document(request_id)).encode(),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", "X-Request-Id": request_id, **problem.headers},
    )
