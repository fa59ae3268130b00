"""``python -m tests.soak.upstream PORT``: an application whose every answer says for whom it is and can be checked."""

from __future__ import annotations

import asyncio
import hashlib
import sys

from aiohttp import web

USER = "X-Soak-User"
_PIECE = 16 * 1024


def pattern(user: str, path: str, length: int) -> bytes:
    """Return the body of ``/bytes/…``: another one for each user and path."""
    seed = f"{user} {path}\n".encode()
    return (seed * (length // len(seed) + 1))[:length]


def _user(request: web.Request) -> str:
    return ",".join(request.headers.getall(USER, []))


async def _echo(request: web.Request) -> web.Response:
    digest, length = hashlib.sha256(), 0
    async for data in request.content.iter_any():
        digest.update(data)
        length += len(data)
    said = {"user": _user(request), "method": request.method, "path": request.raw_path}
    return web.json_response({**said, "length": length, "sha256": digest.hexdigest()})


async def _bytes(request: web.Request) -> web.StreamResponse:
    length = int(request.match_info["length"])
    body = pattern(_user(request), request.raw_path, length)
    response = web.StreamResponse()
    if "chunked" in request.query:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    for start in range(0, length, _PIECE):
        await response.write(body[start : start + _PIECE])
    await response.write_eof()
    return response


async def _events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(int(request.match_info["count"])):
        await response.write(f"data: {_user(request)} {number}\n\n".encode())
        await asyncio.sleep(0.02)
    return response


async def _socket(request: web.Request) -> web.StreamResponse:
    opened = web.WebSocketResponse()
    await opened.prepare(request)
    async for message in opened:
        await opened.send_str(f"{_user(request)} {message.data}")
    return opened


async def _poll(request: web.Request) -> web.Response:
    await asyncio.sleep(0.5)
    return web.Response(text=_user(request))


async def _refuse(request: web.Request) -> web.Response:
    """Answer before the body is read."""
    return web.Response(status=409, text=_user(request), headers={"Connection": "close"})


def application() -> web.Application:
    made = web.Application(client_max_size=1 << 30)
    made.router.add_get("/bytes/{length}", _bytes)
    made.router.add_get("/events/{count}", _events)
    made.router.add_get("/socket", _socket)
    made.router.add_get("/poll", _poll)
    made.router.add_post("/refuse", _refuse)
    made.router.add_route("*", "/echo/{rest:.*}", _echo)
    return made


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, shutdown_timeout=0)
