"""Routes of JSON endpoints, open to scripts of every origin where a browser's application calls them.

Nothing here is told by a cookie: a script gets what anybody gets who holds the same token, so `*` gives nothing away.
"""

from __future__ import annotations

from functools import wraps
from typing import Final

from aiohttp import web

from gateway.oauth.problem import Handler, oauth_endpoint

_ANY: Final = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "WWW-Authenticate"}
_PREFLIGHT_SECONDS: Final = 3600


def endpoint(path: str, handler: Handler, *methods: str, cors: bool = True) -> list[web.RouteDef]:
    """Return the routes of a JSON endpoint: its methods, and with ``cors`` the preflight of browsers."""
    answered = oauth_endpoint(handler)
    if not cors:
        return [web.route(method, path, answered) for method in methods]
    preflight = {
        **_ANY,
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    }

    @wraps(handler)
    async def shared(request: web.Request) -> web.StreamResponse:
        response = await answered(request)
        response.headers.update(_ANY)
        return response

    async def allowed(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers=preflight)

    return [*(web.route(method, path, shared) for method in methods), web.options(path, allowed)]
