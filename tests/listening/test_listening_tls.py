"""TLS as clients meet it: modern only, the right certificate for a name, and a new one without a restart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.config.load import load_settings
from gateway.config.server import Tls
from gateway.errors import ConfigError, StartupError
from gateway.listening.renewal import Certificates
from tests.listening.authority import DAY, Authority, Pair, pem_key
from tests.proxy.conftest import Stand
from tests.proxy.proxying import RawClient, Standing, request

HTTPS = {"SERVER__PUBLIC_URL": "https://portal.test"}
OLD = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def server(pair: Pair, *more: str) -> str:
    given = ", ".join([f"cert_file: {pair.cert}, key_file: {pair.key}", *more])
    return f"""
server: {{tls: {{{given}}}, public_url: "https://portal.test", limits: {{header_timeout: 500ms}}}}
routes: [{{name: app, match: {{host: app.test}}, access: public, upstream: "URL"}}]
"""


def trusting(authority: Authority, **settings: object) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca_file)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@asynccontextmanager
async def over_tls(
    front: Standing, context: ssl.SSLContext, name: str = "localhost"
) -> AsyncIterator[tuple[RawClient, ssl.SSLObject]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port, ssl=context, server_hostname=name)
    try:
        yield RawClient(reader, writer), writer.get_extra_info("ssl_object")
    finally:
        writer.transport.abort()


async def test_a_request_over_tls_is_answered(stand: Stand, authority: Authority) -> None:
    front = await stand(server(authority.issue()), **HTTPS)
    context = trusting(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with over_tls(front, context) as (client, tls):
        for _ in range(2):
            client.send(request("GET /", token=""))
            assert (await client.reply()).status == 200
        assert (tls.version(), tls.selected_alpn_protocol(), tls.compression()) == ("TLSv1.3", "http/1.1", None)


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        pytest.param({"maximum_version": ssl.TLSVersion.TLSv1_2}, True, id="tls-1.2"),
        pytest.param(OLD, False, id="tls-1.1"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_only_modern_versions_are_spoken(
    stand: Stand, authority: Authority, settings: dict[str, object], *, accepted: bool
) -> None:
    front = await stand(server(authority.issue()), **HTTPS)
    context = trusting(authority, **settings)
    context.set_ciphers("ALL:@SECLEVEL=0")
    if accepted:
        async with over_tls(front, context) as (_, tls):
            cipher = tls.cipher()
            assert cipher is not None
            assert cipher[0].startswith("ECDHE-")
    else:
        with pytest.raises(OSError):
            async with over_tls(front, context):
                pass


async def test_without_forward_secrecy_there_is_no_connection(stand: Stand, authority: Authority) -> None:
    front = await stand(server(authority.issue()), **HTTPS)
    context = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(OSError):
        async with over_tls(front, context):
            pass


async def test_plain_http_on_a_tls_port_is_not_answered(stand: Stand, authority: Authority) -> None:
    front = await stand(server(authority.issue()), **HTTPS)
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(request("GET /", token=""))
    assert b"200" not in await reader.read()
    writer.close()
    assert front.hall.capacity.taken == 0


async def test_a_handshake_that_stops_frees_its_place(stand: Stand, authority: Authority) -> None:
    front = await stand(server(authority.issue()), **HTTPS)
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"\x16\x03\x01")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert (front.hall.capacity.taken, front.hall.refused["broken"]) == (0, 1)


async def test_the_proxy_protocol_comes_before_tls(stand: Stand, authority: Authority) -> None:
    text = server(authority.issue()).replace(
        "server: {", "server: {proxy_protocol: true, trusted_proxies: [127.0.0.1], ", 1
    )
    front = await stand(text, **HTTPS)
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"PROXY TCP4 192.0.2.7 198.51.100.1 5 443\r\n")
    await writer.start_tls(trusting(authority), server_hostname="localhost")
    client = RawClient(reader, writer)
    client.send(request("GET /", token=""))
    assert (await client.reply()).status == 200
    assert front.log[-1]["client"] == "192.0.2.7"
    writer.transport.abort()


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("localhost", "localhost"),
        ("wiki.test", "wiki.test"),
        ("WIKI.TEST", "wiki.test"),
        ("a.shop.test", "*.shop.test"),
        ("a.b.shop.test", "localhost"),
        ("shop.test", "localhost"),
        ("unknown.test", "localhost"),
        (None, "localhost"),
    ],
)
async def test_the_certificate_is_that_of_the_name(
    stand: Stand, authority: Authority, asked: str | None, served: str
) -> None:
    wiki, shop = authority.issue(x509.DNSName("wiki.test")), authority.issue(x509.DNSName("*.shop.test"))
    listed = ", ".join(f"{{cert_file: {pair.cert}, key_file: {pair.key}}}" for pair in (wiki, shop))
    front = await stand(server(authority.issue(), f"sni: [{listed}]"), **HTTPS)
    context = trusting(authority, check_hostname=False)
    async with over_tls(front, context, asked or "") as (_, tls):
        certificate = tls.getpeercert()
        assert certificate is not None
        assert certificate["subjectAltName"][0][1] == served


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Tls:
    """Copy a pair to where it will be replaced."""
    pair = authority.issue()
    return replace(Tls(cert_file=tmp_path / "tls.crt", key_file=tmp_path / "tls.key"), pair)


def replace(tls: Tls, pair: Pair) -> Tls:
    tls.cert_file.write_bytes(pair.cert.read_bytes())
    tls.key_file.write_bytes(pair.key.read_bytes())
    return tls


async def test_a_new_pair_is_used_from_then_on(files: Tls, authority: Authority) -> None:
    certificates = Certificates(files, SystemClock())
    before, expired = certificates.context, certificates.expires_at
    await certificates.look()
    assert certificates.context is before
    replace(files, authority.issue(ends=3 * DAY))
    await certificates.look()
    assert certificates.context is not before
    assert certificates.expires_at > expired
    assert certificates.current


async def test_a_secret_that_kubernetes_swaps_is_read_again(tmp_path: Path, authority: Authority) -> None:
    """The files are links to links; one of these is renamed over, and no file is ever written to."""

    def publish(version: str, pair: Pair) -> None:
        (mount / version).mkdir()
        (mount / version / "tls.crt").write_bytes(pair.cert.read_bytes())
        (mount / version / "tls.key").write_bytes(pair.key.read_bytes())
        (mount / "..data_tmp").symlink_to(version)
        (mount / "..data_tmp").rename(mount / "..data")

    mount = tmp_path / "mount"
    mount.mkdir()
    publish("..one", authority.issue())
    for name in ("tls.crt", "tls.key"):
        (mount / name).symlink_to(f"..data/{name}")
    certificates = Certificates(Tls(cert_file=mount / "tls.crt", key_file=mount / "tls.key"), SystemClock())
    before = certificates.context
    publish("..two", authority.issue())
    await certificates.look()
    assert certificates.context is not before


Spoil = Callable[[Tls, Authority], object]
SPOILED = [
    pytest.param(lambda tls, ca: tls.cert_file.write_bytes(ca.issue().cert.read_bytes()), "does not belong", id="half"),
    pytest.param(lambda tls, _: tls.cert_file.write_text("no"), "holds no certificate in PEM", id="no-certificate"),
    pytest.param(lambda tls, _: tls.key_file.write_text("no"), "holds no private key", id="no-key"),
    pytest.param(lambda tls, _: tls.key_file.unlink(), "cannot be read", id="key-gone"),
    pytest.param(
        lambda tls, _: tls.key_file.write_bytes(pem_key(ec.generate_private_key(ec.SECP256R1()), b"secret")),
        "is encrypted",
        id="key-with-passphrase",
    ),
    pytest.param(lambda tls, ca: replace(tls, ca.issue(ends=-DAY)), "is not valid now", id="expired"),
]


@pytest.mark.parametrize(("spoil", "reason"), SPOILED)
async def test_a_bad_pair_changes_nothing_and_is_told_of_once(
    files: Tls, authority: Authority, caplog: pytest.LogCaptureFixture, spoil: Spoil, reason: str
) -> None:
    certificates = Certificates(files, SystemClock())
    before = certificates.context
    spoil(files, authority)
    for _ in range(3):
        await certificates.look()
    assert (certificates.context is before, certificates.current) == (True, False)
    assert [reason in record.getMessage() for record in caplog.records] == [True]
    replace(files, authority.issue())
    await certificates.look()
    assert (certificates.context is before, certificates.current) == (False, True)


async def test_an_old_pair_that_comes_back_is_good_again(files: Tls, authority: Authority) -> None:
    good = files.key_file.read_bytes()
    certificates = Certificates(files, SystemClock())
    files.key_file.write_text("no")
    await certificates.look()
    files.key_file.write_bytes(good)
    await certificates.look()
    assert certificates.current


@pytest.mark.parametrize(("spoil", "reason"), [each for each in SPOILED if each.id != "expired"])
def test_without_a_good_pair_nothing_starts(files: Tls, authority: Authority, spoil: Spoil, reason: str) -> None:
    spoil(files, authority)
    with pytest.raises(StartupError, match=f"server.tls: .*{reason}"):
        Certificates(files, SystemClock())


def test_an_expired_pair_is_served_as_there_is_no_other(
    files: Tls, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    Certificates(replace(files, authority.issue(ends=-DAY)), SystemClock())
    assert [record.getMessage() for record in caplog.records] == ["the certificate is not valid now"]


async def test_a_running_gateway_takes_a_new_certificate(stand: Stand, authority: Authority, files: Tls) -> None:
    front = await stand(server(Pair(files.cert_file, files.key_file)), **HTTPS)
    assert front.certificates is not None

    async def number() -> object:
        async with over_tls(front, trusting(authority)) as (client, tls):
            client.send(request("GET /", token=""))
            assert (await client.reply()).status == 200
            certificate = tls.getpeercert()
            assert certificate is not None
            return certificate["serialNumber"]

    async with over_tls(front, trusting(authority)) as (open_already, _):
        before = await number()
        replace(files, authority.issue())
        await front.certificates.look()
        assert await number() != before
        open_already.send(request("GET /", token=""))
        assert (await open_already.reply()).status == 200


def case(name: str, tls: str, problem: str, more: str = "") -> object:
    return pytest.param(tls, problem, more, id=name)


@pytest.mark.parametrize(
    ("tls", "problem", "more"),
    [
        case("no-file", "{cert_file: a, key_file: b}", "server.tls.cert_file: .*/a cannot be read: No such file"),
        case("other-key", "{cert_file: CERT, key_file: OTHER}", "server.tls.key_file: .* does not belong to"),
        case(
            "other-key-of-a-name",
            "{cert_file: CERT, key_file: KEY, sni: [{cert_file: CERT, key_file: OTHER}]}",
            r"server.tls.sni\[0\].key_file: .* does not belong to",
        ),
        case(
            "no-ca",
            "{cert_file: CERT, key_file: KEY, client_ca_file: OTHER}",
            "server.tls.client_ca_file: .* holds no certificate",
        ),
        case("plain-url", "{cert_file: CERT, key_file: KEY}", "server.public_url: must begin with https", "plain"),
        case(
            "certificates-without-ca",
            "{cert_file: CERT, key_file: KEY}",
            r"routes\[0\].credentials: client_certificate takes server.tls.client_ca_file",
            "routes: [{credentials: client_certificate, upstream: 'http://a'}]",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_told_of(
    tmp_path: Path, authority: Authority, tls: str, problem: str, more: str
) -> None:
    pair, other = authority.issue(), authority.issue()
    for word, path in (("CERT", pair.cert), ("KEY", pair.key), ("OTHER", other.key)):
        tls = tls.replace(word, str(path))
    url = "http://portal.test" if more == "plain" else "https://portal.test"
    text = f"server: {{public_url: {url}, tls: {tls}}}\n" + ("" if more == "plain" else more)
    config = tmp_path / "gateway.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load_settings(config, {}, rules=True)
