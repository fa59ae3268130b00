"""What is written and counted about a request: enough to find it again, no secret, no query."""

from __future__ import annotations

import asyncio

from tests.proxy.proxying import Standing, Upstream, connected, request


async def test_a_line_tells_who_asked_for_what_and_what_came_of_it(front: Standing) -> None:
    reply = await front.get("/staff/x?code=hunter2", "Cookie: gateway=ann-session", "User-Agent: curl")
    (line,) = front.log
    assert line["request_id"] == reply.one("x-request-id")
    assert (line["client"], line["method"], line["host"], line["path"]) == ("127.0.0.1", "GET", "app.test", "/staff/x")
    assert (line["status"], line["bytes"], line["route"], line["user"]) == (200, 2, "staff", "ann")
    assert (line["decision"], line["upstream"], line["error"]) == ("authenticated", "app", "")
    assert line["duration_ms"] > 0
    for secret in ("hunter2", "ann-token", "ann-session"):
        assert secret not in front.written.getvalue()


async def test_refusals_and_failures_say_why(front: Standing, upstream: Upstream) -> None:
    await front.get("/staff/x", token="bob-token")
    await front.get("/", token="")
    await front.get("/", token="nobodys-token")
    await front.get("/a/../b")
    await front.get("/", host="other.test")
    upstream.answer = b"garbage\r\n\r\n"
    await front.get("/")
    seen = [(line["status"], line["route"], line["user"], line["error"]) for line in front.log]
    assert seen == [
        (403, "staff", "bob", "forbidden"),
        (401, "app", "", "unauthenticated"),
        (401, "app", "", "unknown"),
        (400, "", "", "dot_segment"),
        (404, "", "", "no_route"),
        (502, "app", "ann", "malformed_response"),
    ]


async def test_requests_and_decisions_are_counted(front: Standing) -> None:
    for token in ("ann-token", "ann-token", "bob-token"):
        await front.get("/staff/x", token=token)
    assert front.metrics.requests["staff", "GET", 200] == 2
    assert front.metrics.requests["staff", "GET", 403] == 1
    assert front.metrics.decisions["staff", "allow", "authenticated"] == 2
    assert sum(count for key, count in front.metrics.decisions.items() if key[1] == "forbid") == 1
    assert sum(front.metrics.upstream_durations["app"].counts) == 2
    assert front.metrics.in_flight == 0


async def test_what_clients_choose_does_not_grow_what_is_kept(front: Standing) -> None:
    async with connected(front.port) as client:
        for number in range(3000):
            client.send(request(f"GET /closed/{number}?q={number}", f"X-Number: {number}"))
            assert (await client.reply()).status == 403
            if number % 100 == 0:
                await asyncio.sleep(0)
    assert len(front.metrics.requests) == 1
    assert set(front.metrics.durations) == {"closed"}
