"""The gateway's keys in an application: asked for seldom, kept when the gateway is down, and never anybody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest

from gateway.identity.identity import CredentialKind, Identity
from gateway_client import AssertionRejected, KeysUnavailable, Verifier
from gateway_client.fetch import fetch
from gateway_client.keys import COOL_DOWN_SECONDS, FAILED_COOL_DOWN_SECONDS, FRESH_SECONDS, STALE_SECONDS, Keys
from tests.clients_python.signing import AUDIENCE, Published, Seconds, assertion, key_set, public_jwk, verifier
from tests.gateways import GatewayFactory, Running


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def test_a_thousand_unknown_kids_ask_once_a_cool_down(published: Published, clock: Seconds) -> None:
    strict = verifier(published, clock)
    for number in range(1000):
        with pytest.raises(AssertionRejected, match="unknown_key"):
            strict.verify(assertion(header={"kid": f"k{number}"}))
    assert published.asked == 1
    clock.now += COOL_DOWN_SECONDS
    for number in range(1000):
        with pytest.raises(AssertionRejected, match="unknown_key"):
            strict.verify(assertion(header={"kid": f"k{number}"}))
    assert published.asked == 2


def test_keys_are_kept_and_then_asked_for_again(published: Published, clock: Seconds) -> None:
    strict = verifier(published, clock)
    for _ in range(5):
        strict.verify(assertion())
    assert published.asked == 1
    clock.now += FRESH_SECONDS
    strict.verify(assertion())
    assert published.asked == 2


def test_a_new_key_is_found_and_one_that_is_gone_is_not_believed(published: Published, clock: Seconds) -> None:
    published.content = key_set(public_jwk("EdDSA"))
    strict = verifier(published, clock)
    strict.verify(assertion())
    published.content = key_set(public_jwk("ES256"))
    clock.now += COOL_DOWN_SECONDS
    assert strict.verify(assertion("ES256")).username == "ann"
    with pytest.raises(AssertionRejected, match="unknown_key"):
        strict.verify(assertion())


def test_a_gateway_that_is_down_keeps_nobody_out_for_a_day(published: Published, clock: Seconds) -> None:
    strict = verifier(published, clock)
    strict.verify(assertion())
    published.down = True
    clock.now += STALE_SECONDS - 1
    for _ in range(50):
        strict.verify(assertion())
    assert published.asked == 2
    with pytest.raises(AssertionRejected, match="unknown_key"):
        strict.verify(assertion(header={"kid": "other"}))
    clock.now += 1
    with pytest.raises(KeysUnavailable):
        strict.verify(assertion())


def test_without_keys_nobody_is_believed_until_they_come(published: Published, clock: Seconds) -> None:
    published.down = True
    strict = verifier(published, clock)
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            strict.verify(assertion())
    assert published.asked == 1
    published.down = False
    clock.now += FAILED_COOL_DOWN_SECONDS
    assert strict.verify(assertion()).username == "ann"


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"{}", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, {}, {"kid": 1}]}', b"[" * 200_000],
    ids=["nothing", "a page", "a list", "no keys", "a number", "none", "odd ones", "deep"],
)
def test_what_is_no_set_of_keys_changes_nothing(content: bytes, published: Published, clock: Seconds) -> None:
    strict = verifier(published, clock)
    strict.verify(assertion())
    published.content = content
    clock.now += FRESH_SECONDS
    assert strict.verify(assertion()).username == "ann"
    assert published.asked == 2


def test_many_threads_ask_once(clock: Seconds) -> None:
    go_on = threading.Event()
    asked: list[int] = []

    def slow() -> bytes:
        asked.append(1)
        go_on.wait(10)
        return key_set()

    keys = Keys(slow, clock)
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(keys.find, "EdDSA") for _ in range(8)]
        go_on.set()
        assert all(each.result(10) is not None for each in found)
    assert len(asked) == 1


def test_who_has_a_known_key_does_not_wait_for_a_slow_gateway(published: Published, clock: Seconds) -> None:
    go_on, asking = threading.Event(), threading.Event()

    def sometimes_slow() -> bytes:
        if published.asked:
            asking.set()
            go_on.wait(10)
        return published()

    keys = Keys(sometimes_slow, clock)
    keys.find("EdDSA")
    clock.now += FRESH_SECONDS
    with ThreadPoolExecutor(1) as thread:
        waits = thread.submit(keys.find, "EdDSA")
        assert asking.wait(10)
        assert keys.find("EdDSA") is not None
        assert not waits.done()
        go_on.set()
        assert waits.result(10) is not None


async def test_an_event_loop_does_not_stand_still_meanwhile(published: Published) -> None:
    go_on = threading.Event()

    def slow() -> bytes:
        assert go_on.wait(10)
        return published()

    strict = verifier()
    strict._keys = Keys(slow)
    waiting = asyncio.create_task(strict.verify_soon(assertion()))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    go_on.set()
    assert (await waiting).username == "ann"


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def good(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(key_set())


def moved(handler: BaseHTTPRequestHandler) -> None:
    if handler.path == "/elsewhere":
        good(handler)
        return
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.end_headers()


def missing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(404)
    handler.end_headers()
    handler.wfile.write(key_set())


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * 65536)
    except OSError:
        return


def drop_by_drop(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while not threading.Event().wait(0.05):
            handler.wfile.write(b" ")
    except OSError:
        return


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"hello\r\n\r\n")


ODD: dict[Callable[[BaseHTTPRequestHandler], None], str] = {
    moved: "answered 302",
    missing: "answered 404",
    endless: "more than",
    drop_by_drop: "slowly",
    no_http: "hello",
}


@pytest.mark.parametrize("answer", ODD, ids=lambda each: each.__name__)
def test_an_answer_that_is_odd_is_none(answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
    with served(answer) as url, pytest.raises(KeysUnavailable, match=ODD[answer]):
        fetch(url, 0.4)


def test_keys_are_fetched_and_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with served(good) as url:
        assert fetch(url, 5) == key_set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://127.0.0.1:1/"])
def test_nothing_but_http_is_asked(url: str) -> None:
    with pytest.raises(KeysUnavailable):
        fetch(url, 1)


def word_of(gateway: Running) -> str:
    """Return what this gateway says of ann to the application."""
    now = gateway.gateway.clock.now()
    ann = Identity("acc_1", "ann", "ann@example.com", ("staff",), CredentialKind.SESSION, now)
    return gateway.gateway.accounts.access_tokens.assertion(ann, AUDIENCE)


@pytest.mark.parametrize("prefix", ["", "/auth"], ids=["without a prefix", "with one"])
async def test_a_gateways_keys_are_found(prefix: str, gateway_factory: GatewayFactory) -> None:
    gateway = await (gateway_factory(SERVER__PREFIX=prefix) if prefix else gateway_factory())
    assert (await Verifier(f"{gateway.origin}{prefix}", AUDIENCE).verify_soon(word_of(gateway))).username == "ann"


async def test_a_gateways_keys_are_found_inside_a_cluster(gateway_factory: GatewayFactory) -> None:
    gateway = await gateway_factory()
    inside = f"http://127.0.0.1:{gateway.port}/.well-known/jwks.json"
    by_name = Verifier(gateway.origin, AUDIENCE, keys_url=inside, keys_host=f"localhost:{gateway.port}")
    assert (await by_name.verify_soon(word_of(gateway))).username == "ann"
    with pytest.raises(KeysUnavailable):
        await Verifier(gateway.origin, AUDIENCE, keys_url=inside).verify_soon(word_of(gateway))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_each_algorithm_that_a_gateway_signs_by_is_known(algorithm: str, gateway_factory: GatewayFactory) -> None:
    gateway = await gateway_factory(f"tokens: {{algorithm: {algorithm}}}")
    word = word_of(gateway)
    assert jwt.get_unverified_header(word)["alg"] == algorithm
    user = await Verifier(gateway.origin, AUDIENCE).verify_soon(word)
    assert (user.id, user.roles, user.scopes) == ("acc_1", frozenset({"staff"}), None)
