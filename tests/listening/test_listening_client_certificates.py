"""A client's certificate: verified by TLS, looked at where a route lists it, and each connection's own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import RFC822Name, load_pem_x509_certificate

from gateway.identity.certificate import ClientCertificate
from tests.listening.authority import CLIENT, DAY, SERVER, Authority, Pair
from tests.proxy.conftest import Stand
from tests.proxy.proxying import RawClient, Standing, Upstream, request

ROUTES = """
server: {tls: {cert_file: CERT, key_file: KEY, client_ca_file: CA}, public_url: "https://portal.test"}
routes:
  - {name: open, match: {host: app.test, path: /public/**}, access: public, upstream: "URL"}
  - {name: tokens, match: {host: app.test, path: /tokens/**}, credentials: bearer, upstream: "URL"}
  - name: maybe
    match: {host: app.test, path: /maybe/**}
    access: optional
    credentials: [bearer, client_certificate]
    upstream: "URL"
  - {name: app, match: {host: app.test}, credentials: [bearer, client_certificate], upstream: "URL"}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
async def front(stand: Stand, authority: Authority) -> Standing:
    return await stand(text(authority), SERVER__PUBLIC_URL="https://portal.test")


def text(authority: Authority) -> str:
    pair = authority.issue()
    files = (("CERT", pair.cert), ("KEY", pair.key), ("CA", authority.ca_file))
    found = ROUTES
    for word, path in files:
        found = found.replace(word, str(path))
    return found


def known(front: Standing, authority: Authority, name: str) -> Pair:
    """Make a certificate and let ``name`` be who it stands for."""
    pair = authority.issue(RFC822Name(f"{name}@example.com"), usage=CLIENT)
    front.people.known[fingerprint(pair)] = (name, ("user",))
    return pair


def fingerprint(pair: Pair) -> str:
    parsed = load_pem_x509_certificate(pair.cert.read_bytes())
    return ClientCertificate.of(parsed.public_bytes(Encoding.DER)).fingerprint


@asynccontextmanager
async def presenting(
    front: Standing, authority: Authority, pair: Pair | None, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[RawClient]:
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.maximum_version = version
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", front.port, ssl=context, server_hostname="localhost", limit=1 << 20
    )
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


async def ask(client: RawClient, path: str, *fields: str, token: str = "") -> int:
    client.send(request(f"GET {path}", *fields, token=token))
    return (await client.reply()).status


async def test_a_certificate_stands_for_its_user(front: Standing, authority: Authority, upstream: Upstream) -> None:
    async with presenting(front, authority, known(front, authority, "cleo")) as client:
        for _ in range(3):
            assert await ask(client, "/x") == 200
            assert upstream.last.all("X-Forwarded-User") == ["cleo"]
    assert front.log[-1]["user"] == "cleo"
    assert front.people.asked == 1
    assert front.metrics.authentications["client_certificate", "accepted"] == 3


async def test_each_connection_is_its_own_user_s(front: Standing, authority: Authority, upstream: Upstream) -> None:
    """Both send the same bytes: whatever is remembered of these must not carry one's identity to the other."""
    pairs = {name: known(front, authority, name) for name in ("cleo", "dora")}
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(presenting(front, authority, pair)) for name, pair in pairs.items()
        }
        nobody = await stack.enter_async_context(presenting(front, authority, None))
        for _ in range(4):
            for name, client in clients.items():
                for path in ("/x", "/maybe/x"):
                    assert await ask(client, path) == 200
                    assert upstream.last.all("X-Forwarded-User") == [name]
            assert await ask(nobody, "/x") == 401
            assert await ask(nobody, "/maybe/x") == 200
            assert upstream.last.all("X-Forwarded-User") == []


async def test_a_certificate_is_not_looked_at_where_it_is_not_listed(front: Standing, authority: Authority) -> None:
    async with presenting(front, authority, authority.issue(usage=CLIENT)) as client:
        assert await ask(client, "/public/x") == 200
        assert await ask(client, "/tokens/x") == 401
        assert await ask(client, "/tokens/x", token="ann-token") == 200
    assert front.people.asked == 1


@pytest.mark.parametrize("path", ["/x", "/maybe/x"])
@pytest.mark.parametrize("token", ["", "ann-token"], ids=["alone", "beside-a-good-token"])
async def test_a_certificate_of_nobody_is_refused(front: Standing, authority: Authority, path: str, token: str) -> None:
    async with presenting(front, authority, authority.issue(usage=CLIENT)) as client:
        assert await ask(client, path, token=token) == 401


async def test_a_certificate_and_a_token_of_two_people_are_refused(front: Standing, authority: Authority) -> None:
    async with presenting(front, authority, known(front, authority, "cleo")) as client:
        assert await ask(client, "/x", token="ann-token") == 401
        front.people.known["cleo-token"] = ("cleo", ("user",))
        assert await ask(client, "/x", token="cleo-token") == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls-1.2", "tls-1.3"])
@pytest.mark.parametrize("flaw", ["other-ca", "expired", "for-servers"])
async def test_no_connection_is_made_with_a_certificate_that_does_not_verify(
    front: Standing, authority: Authority, tmp_path: Path, flaw: str, version: ssl.TLSVersion
) -> None:
    pair = {
        "other-ca": lambda: Authority(tmp_path / "other").issue(usage=CLIENT),
        "expired": lambda: authority.issue(usage=CLIENT, ends=-DAY),
        "for-servers": lambda: authority.issue(usage=SERVER),
    }[flaw]()
    front.people.known[fingerprint(pair)] = ("cleo", ("user",))
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        async with presenting(front, authority, pair, version=version) as client:
            await ask(client, "/public/x")
    assert front.log == []


async def test_a_resumed_session_brings_no_certificate_that_nobody_verified(
    front: Standing, authority: Authority
) -> None:
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.load_cert_chain(*vars(known(front, authority, "cleo")).values())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for _ in range(2):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        assert tls.session_reused is False
        session = tls.session
        writer.transport.abort()


async def test_a_trusted_proxy_s_certificate_is_not_its_client_s(stand: Stand, authority: Authority) -> None:
    front = await stand(text(authority), SERVER__PUBLIC_URL="https://portal.test", SERVER__TRUSTED_PROXIES="127.0.0.1")
    async with presenting(front, authority, known(front, authority, "proxy")) as client:
        assert await ask(client, "/x", "X-Forwarded-For: 192.0.2.1") == 401
        assert await ask(client, "/x") == 401


@pytest.mark.parametrize(("origin", "status"), [("http://evil.test", 403), ("http://app.test", 502), ("", 403)])
async def test_a_websocket_with_a_certificate_needs_its_own_origin(
    front: Standing, authority: Authority, origin: str, status: int
) -> None:
    handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="]
    fields = [*handshake, *([f"Origin: {origin}"] if origin else [])]
    async with presenting(front, authority, known(front, authority, "cleo")) as client:
        answer = await ask(client, "/x", *fields)
    assert (answer == 403) == (status == 403), answer


async def test_a_revocation_is_heeded_on_an_open_connection(front: Standing, authority: Authority) -> None:
    pair = known(front, authority, "cleo")
    async with presenting(front, authority, pair) as client:
        assert await ask(client, "/x") == 200
        del front.people.known[fingerprint(pair)]
        front.revoke("cleo")
        assert await ask(client, "/x") == 401
