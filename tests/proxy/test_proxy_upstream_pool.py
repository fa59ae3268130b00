"""A pool before real servers: who gets which connection, and what becomes of servers that fail."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from gateway.config.settings import Settings
from gateway.errors import UpstreamBusy, UpstreamDown, UpstreamError, UpstreamUnreachable
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.times import Times
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.report import UpstreamReport
from gateway.proxy.upstream.upstreams import Upstreams
from tests.fake_clock import FakeClock
from tests.proxy.proxying import OK, Upstream

FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CLIENT = "192.0.2.1"


@dataclass
class Rig:
    """A pool named app before three servers, and a clock that a test moves."""

    pool: UpstreamPool
    servers: list[Upstream]
    clock: FakeClock
    report: UpstreamReport
    client: str = CLIENT
    _held: list[UpstreamConnection] = field(default_factory=list)

    async def connection(self, *, fresh: bool = False) -> UpstreamConnection:
        taken = None if fresh else self.pool.take(self.client)
        return taken or await self.pool.acquire(self.client, fresh=fresh)

    def place(self, connection: UpstreamConnection) -> int:
        """Return which server a connection leads to."""
        return [server.url.partition("//")[2].encode() for server in self.servers].index(connection.authority)

    async def exchange(self, connection: UpstreamConnection) -> int:
        """Send a request and await its answer; return the status, 0 for none."""
        head = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"
        await connection.start(head, Times(5, 5, 5), head_request=False, upgrade=False)
        try:
            connection.check()
        except UpstreamError:
            return 0
        return connection.status

    async def ask(self) -> int:
        """Carry out a request and return which server had it."""
        connection = await self.connection()
        await self.exchange(connection)
        self.pool.release(connection)
        return self.place(connection)

    async def spread(self, count: int) -> list[int]:
        found = Counter([await self.ask() for _ in range(count)])
        return [found[place] for place in range(len(self.servers))]

    async def fail(self, place: int, times: int = 5) -> None:
        """Have requests to one server fail, without the others being asked meanwhile."""
        self.servers[place].answer = FAILED
        while times:
            connection = await self.connection()
            if self.place(connection) == place:
                await self.exchange(connection)
                times -= 1
            self.pool.release(connection)
        self.servers[place].answer = OK

    def check(self, place: int, *, good: bool, times: int = 3) -> None:
        for _ in range(times):
            self.pool.checked(self.pool.servers[place], good=good, why="" if good else "status_500")

    @property
    def states(self) -> list[str]:
        return [line.partition(": ")[2].rpartition(",")[0] for line in self.report.lines()]


Build = Callable[..., Rig]


@pytest.fixture
async def build(settings_for: Callable[..., Settings]) -> AsyncIterator[Build]:
    """Give what makes a rig; ``more`` is YAML of the upstream."""
    async with AsyncExitStack() as stack:
        servers = [Upstream() for _ in range(3)]
        for each in servers:
            await each.start()
            stack.push_async_callback(each.stop)

        def make(more: str = "", count: int = 3) -> Rig:
            urls = ", ".join(each.url for each in servers[:count])
            more = more and f", {more}"
            settings = settings_for(f"upstreams: {{app: {{servers: [{urls}]{more}}}}}")
            clock = FakeClock()
            upstreams = Upstreams(settings, clock.monotonic)
            stack.push_async_callback(upstreams.stop)
            report = UpstreamReport(upstreams, clock.monotonic)
            return Rig(upstreams["app"], servers[:count], clock, report)

        yield make


async def test_servers_take_turns_and_connections_are_kept(build: Build) -> None:
    rig = build()
    assert await rig.spread(9) == [3, 3, 3]
    assert [each.connections for each in rig.servers] == [1, 1, 1]
    assert [server.in_flight for server in rig.pool.servers] == [0, 0, 0]


async def test_the_least_loaded_server_is_next(build: Build) -> None:
    rig = build("balance: least_requests")
    held = [await rig.connection() for _ in range(3)]
    assert sorted(map(rig.place, held)) == [0, 1, 2]
    rig.pool.release(held[1])
    assert [await rig.ask() for _ in range(4)] == [rig.place(held[1])] * 4


async def test_a_client_keeps_its_server_and_clients_are_spread(build: Build) -> None:
    rig = build("balance: hash_ip")
    homes = set()
    for number in range(20):
        rig.client = f"198.51.100.{number}"
        places = {await rig.ask() for _ in range(3)}
        assert len(places) == 1
        homes |= places
    assert homes == {0, 1, 2}


async def test_a_server_that_cannot_be_reached_is_followed_by_another(build: Build) -> None:
    rig = build()
    await rig.servers[1].stop()
    assert (await rig.spread(6))[1] == 0
    assert sum(server.in_flight for server in rig.pool.servers) == 0
    for each in rig.servers:
        await each.stop()
    with pytest.raises(UpstreamUnreachable, match="connect_failed"):
        await rig.connection(fresh=True)
    assert sum(server.in_flight for server in rig.pool.servers) == 0


async def test_an_unreachable_server_is_what_is_told_though_checks_took_the_others_out(build: Build) -> None:
    rig = build()
    rig.check(1, good=False)
    rig.check(2, good=False)
    await rig.servers[0].stop()
    with pytest.raises(UpstreamUnreachable, match="connect_failed"):
        await rig.connection()


async def test_a_server_that_fails_requests_is_left_alone_and_comes_back_slowly(build: Build) -> None:
    rig = build("ejection: {failures: 5, duration: 10s}, slow_start: 20s")
    await rig.fail(1)
    assert await rig.spread(30) == [15, 0, 15]
    assert rig.states == ["up", "left alone for 10 s, it failed requests", "up"]
    rig.clock.advance(12)
    assert rig.states[1] == "up, starting slowly"
    slow = await rig.spread(60)
    assert 0 < slow[1] < 6
    rig.clock.advance(30)
    assert await rig.spread(30) == [10, 10, 10]
    assert rig.states[1] == "up"


async def test_a_server_that_fails_its_trial_is_left_alone_for_longer(build: Build) -> None:
    rig = build("ejection: {failures: 5, duration: 10s}")
    await rig.fail(1)
    rig.clock.advance(11)
    await rig.fail(1, times=1)
    assert rig.states[1] == "left alone for 20 s, it failed requests"


async def test_failures_count_only_in_a_row(build: Build) -> None:
    rig = build("ejection: {failures: 5, duration: 10s}")
    for _ in range(3):
        await rig.fail(1, times=4)
        await rig.spread(3)
    assert rig.states == ["up"] * 3


async def test_used_and_resting_connections_together_keep_to_the_limit(build: Build) -> None:
    rig = build("limits: {connections: 3, queue: 0}, balance: least_requests", count=2)
    chance, held = random.Random(7), list[UpstreamConnection]()
    for _ in range(300):
        if held and chance.random() < 0.5:
            connection = held.pop(chance.randrange(len(held)))
            if chance.random() < 0.8:
                await rig.exchange(connection)
            rig.pool.release(connection)
        else:
            try:
                held.append(await rig.connection(fresh=chance.random() < 0.3))
            except UpstreamBusy:
                assert len(held) == 6
        assert all(server.in_flight + len(server.idle) <= 3 for server in rig.pool.servers)
        assert sum(server.in_flight for server in rig.pool.servers) == len(held)
    for connection in held:
        rig.pool.release(connection)


async def test_requests_that_fail_everywhere_take_the_application_from_nobody(build: Build) -> None:
    rig = build()
    for each in rig.servers:
        each.answer = FAILED
    for _ in range(100):
        await rig.ask()
    for each in rig.servers:
        each.answer = OK
    connection = await rig.connection()
    assert await rig.exchange(connection) == 200
    rig.pool.release(connection)


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        pytest.param(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", False, id="an-application-error"),
        pytest.param(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", False, id="nothing-there"),
        pytest.param(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", True, id="502"),
        pytest.param(FAILED, True, id="503"),
        pytest.param(b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", True, id="504"),
        pytest.param(b"SSH-2.0-x\r\n", True, id="not-http"),
        pytest.param(b"", True, id="closed-without-an-answer"),
    ],
)
async def test_what_counts_as_a_failure(build: Build, answer: bytes, counts: bool) -> None:
    rig = build(count=1)
    rig.servers[0].answer = answer
    rig.servers[0].close = True
    await rig.ask()
    assert rig.pool.servers[0].failures == (1 if counts else 0)


async def test_a_kept_connection_that_the_server_closed_is_no_failure(build: Build) -> None:
    rig = build(count=1)
    server = rig.servers[0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.receive(reader)
        writer.write(OK)
        await server.receive(reader)  # and closes

    server.serve = serve
    await rig.ask()
    await rig.ask()
    assert rig.pool.servers[0].failures == 0


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], ids=["head", "rest"])
async def test_an_answer_that_does_not_come_in_time_is_a_failure(build: Build, begun: bytes) -> None:
    rig = build(count=1)
    server = rig.servers[0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.receive(reader)
        writer.write(begun)
        await reader.read()

    server.serve = serve
    connection = await rig.connection()
    answered = connection.start(b"GET / HTTP/1.1\r\n\r\n", Times(5, 5, 5), head_request=False, upgrade=False)
    if begun:
        await answered
    rig.pool.watch(connection.deadline - 1)
    assert connection.usable
    rig.pool.watch(connection.deadline + 1)
    await answered
    rig.pool.release(connection)
    assert (rig.pool.servers[0].failures, rig.pool.servers[0].in_flight) == (1, 0)


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "resting"])
async def test_a_connection_to_where_its_server_is_not_any_more_is_not_used_again(build: Build, busy: bool) -> None:
    rig = build(count=1)
    await rig.ask()
    connection = await rig.connection()
    if not busy:
        await rig.exchange(connection)
        rig.pool.release(connection)
    connection.address = "192.0.2.9"
    rig.pool.watch(asyncio.get_running_loop().time())
    if busy:
        assert await rig.exchange(connection) == 200, "what is under way is not broken off"
        rig.pool.release(connection)
    assert not connection.usable
    assert not rig.pool.servers[0].idle


async def test_a_client_that_goes_away_is_no_failure(build: Build) -> None:
    rig = build(count=1)
    rig.servers[0].serve = _silent
    connection = await rig.connection()
    connection.start(b"GET / HTTP/1.1\r\n\r\n", Times(5, 5, 5), head_request=False, upgrade=False)
    rig.pool.release(connection)
    assert (rig.pool.servers[0].failures, rig.pool.servers[0].in_flight) == (0, 0)
    assert not connection.usable


async def test_checks_take_servers_out_and_bring_them_back(build: Build) -> None:
    rig = build("health_check: {path: /up, unhealthy_after: 3, healthy_after: 2}, slow_start: 20s")
    await rig.spread(3)
    rig.check(0, good=False)
    assert not rig.pool.servers[0].idle, "what rests at a server that is out is closed"
    assert await rig.spread(10) == [0, 5, 5]
    assert rig.states[0] == "out (status_500)"
    rig.check(0, good=True, times=1)
    assert await rig.spread(10) == [0, 5, 5]
    rig.check(0, good=True, times=1)
    assert 0 < (await rig.spread(60))[0] < 6
    rig.clock.advance(20)
    assert await rig.spread(30) == [10, 10, 10]


async def test_when_checks_say_that_none_works_requests_are_refused_at_once(build: Build) -> None:
    rig = build()
    for place in range(3):
        rig.check(place, good=False)
    with pytest.raises(UpstreamDown):
        await rig.connection()
    assert rig.pool.refused == 1
    rig.check(1, good=True, times=3)
    assert await rig.ask() == 1


async def test_a_server_is_given_no_more_than_its_limit_and_the_rest_waits(build: Build) -> None:
    rig = build("limits: {connections: 2, queue: 2, queue_timeout: 5s}")
    held = [await rig.connection() for _ in range(6)]
    assert Counter(map(rig.place, held)) == {0: 2, 1: 2, 2: 2}
    waiting = [asyncio.create_task(rig.connection()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UpstreamBusy):
        await rig.connection()
    await rig.exchange(held[4])
    rig.pool.release(held[4])
    first = await waiting[0]
    assert first is held[4], "a connection that was kept is given on"
    assert rig.pool.take(CLIENT) is None, "who comes later does not push in"
    rig.pool.release(held[0])
    await waiting[1]
    assert [server.in_flight for server in rig.pool.servers] == [2, 2, 2]
    assert (rig.pool.refused, rig.pool.waiting) == (1, 0)


async def test_a_full_server_is_passed_over(build: Build) -> None:
    rig = build("limits: {connections: 1}, balance: hash_ip")
    held = [await rig.connection() for _ in range(3)]
    assert sorted(map(rig.place, held)) == [0, 1, 2]


async def test_a_fresh_connection_does_not_come_on_top_of_the_limit(build: Build) -> None:
    rig = build("limits: {connections: 1}", count=1)
    await rig.ask()
    assert len(rig.pool.servers[0].idle) == 1
    connection = await rig.connection(fresh=True)
    assert not rig.pool.servers[0].idle
    rig.pool.release(connection)


async def test_a_tunnel_counts_until_it_ends_and_has_no_deadline(build: Build) -> None:
    rig = build("limits: {connections: 1, queue: 0}", count=1)
    connection = await rig.connection()
    rig.pool.forget(connection)
    assert not rig.pool.active
    with pytest.raises(UpstreamBusy):
        await rig.connection()
    rig.pool.release(connection)
    rig.pool.release(connection)
    assert rig.pool.servers[0].in_flight == 0
    rig.pool.release(await rig.connection())


async def test_waiting_ends_when_a_server_comes_back_by_time_alone(build: Build) -> None:
    more = "limits: {connections: 1}, ejection: {failures: 2, duration: 10s}, slow_start: 1ms"
    rig = build(f"{more}, balance: least_requests", count=2)
    await rig.fail(1, times=2)
    held = await rig.connection()
    waiting = asyncio.create_task(rig.connection())
    await asyncio.sleep(0)
    rig.clock.advance(11)
    assert rig.pool.servers[1].idle
    assert rig.pool.take(CLIENT) is None, "who comes later does not push in"
    rig.pool.watch(asyncio.get_running_loop().time())
    assert rig.place(await waiting) == 1
    rig.pool.release(held)


async def test_a_connection_that_fails_to_open_gives_its_room_back(build: Build) -> None:
    rig = build("limits: {connections: 1, queue: 1}", count=1)
    await rig.servers[0].stop()
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable):
            await rig.connection()
    await rig.servers[0].start()
    assert await rig.ask() == 0


async def test_what_rested_too_long_is_closed(build: Build) -> None:
    rig = build(count=1)
    await rig.ask()
    (resting,) = rig.pool.servers[0].idle
    usable = []
    for seconds in (29, 31):
        rig.pool.watch(resting.last_used + seconds)
        usable.append(resting.usable)
    assert usable == [True, False]
    assert not rig.pool.servers[0].idle


async def test_metrics_tell_how_servers_do(build: Build) -> None:
    rig = build("ejection: {failures: 2, duration: 10s}")
    rig.check(0, good=False)
    await rig.fail(1, times=2)
    held = await rig.connection()
    server = [each.url for each in rig.servers]
    found = {
        (sample.name, sample.labels.get("server", "")): sample.value
        for family in rig.report.collect()
        for sample in family.samples
    }
    assert [found["gateway_upstream_up", each] for each in server] == [0, 0, 1]
    assert [found["gateway_upstream_failures_total", each] for each in server] == [0, 2, 0]
    assert [found["gateway_upstream_ejections_total", each] for each in server] == [0, 1, 0]
    assert [found["gateway_upstream_requests_in_flight", each] for each in server] == [0, 0, 1]
    assert found["gateway_upstream_queue", ""] == found["gateway_upstream_refused_total", ""] == 0
    rig.pool.release(held)


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()
