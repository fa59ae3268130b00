"""The whole gateway where clients come in: a unix socket, TLS with a client's certificate."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
from cryptography.x509 import RFC822Name

from gateway.accounts.changes import Changes
from gateway.cli.healthcheck import probe
from tests.gateways import GatewayFactory, Recorder, free_port
from tests.listening.authority import CLIENT, Authority

ROUTES = 'routes: [{{name: app, match: {{host: app.test}}, {}upstream: "{}"}}]'


async def test_decisions_are_asked_for_over_a_unix_socket(
    gateway_factory: GatewayFactory, recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.sock"
    for trusted, expected in (("unix", 200), ("127.0.0.1", 403)):
        server = f'server: {{listen: "unix:{path}", internal_listen: null, trusted_proxies: {trusted}}}\n'
        await gateway_factory(server + ROUTES.format("access: public, ", recorder.url), SERVER__LISTEN=f"unix:{path}")
        asked = {"X-Original-URL": "http://app.test/x", "X-Original-Method": "GET"}
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client,
            client.get("http://localhost/.gateway/authz/nginx", headers=asked) as reply,
        ):
            assert reply.status == expected


async def test_a_client_s_certificate_signs_its_user_in(
    gateway_factory: GatewayFactory, recorder: Recorder, tmp_path: Path
) -> None:
    authority, port = Authority(tmp_path / "ca"), free_port()
    own, theirs = authority.issue(), authority.issue(RFC822Name("ann@example.com"), usage=CLIENT)
    tls = f"cert_file: {own.cert}, key_file: {own.key}, client_ca_file: {authority.ca_file}"
    gateway = await gateway_factory(
        f"server: {{internal_listen: null, drain_timeout: 1s, tls: {{{tls}}}}}\n"
        + ROUTES.format("credentials: client_certificate, ", recorder.url),
        port=port,
        SERVER__PUBLIC_URL=f"https://localhost:{port}",
    )
    users = gateway.gateway.accounts.users
    ann = await gateway.user("ann", "staff")
    await users.change(ann.id, Changes(is_verified=True))
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.load_cert_chain(theirs.cert, theirs.key)
    url, host = f"https://127.0.0.1:{port}/x", {"Host": "app.test"}
    async with gateway.client.get(url, headers=host, ssl=context) as reply:
        assert reply.status == 200
    assert recorder.field("X-Forwarded-User") == ["ann"]
    assert recorder.field("X-Forwarded-Proto") == ["https"]
    await users.change(ann.id, Changes(is_active=False))
    async with gateway.client.get(url, headers=host, ssl=context) as reply:
        assert reply.status == 401


async def test_the_healthcheck_speaks_tls_where_nothing_else_listens(
    gateway_factory: GatewayFactory, tmp_path: Path
) -> None:
    pair, port = Authority(tmp_path / "ca").issue(), free_port()
    gateway = await gateway_factory(
        f"server: {{internal_listen: null, drain_timeout: 1s, tls: {{cert_file: {pair.cert}, key_file: {pair.key}}}}}",
        port=port,
        SERVER__PUBLIC_URL=f"https://localhost:{port}",
    )
    connection, path = probe(gateway.gateway.settings.server)
    await asyncio.to_thread(connection.request, "GET", path)
    assert (await asyncio.to_thread(connection.getresponse)).status == 200
    connection.close()
