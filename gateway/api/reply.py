"""JSON answers: never cached, never guessed at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web


def reply(document: Mapping[str, Any] | Sequence[Any], status: int = 200) -> web.Response:
    """Answer with JSON that no cache keeps."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    body = json.dumps(document, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=headers)
