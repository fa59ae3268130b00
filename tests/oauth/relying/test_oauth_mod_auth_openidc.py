"""Apache with mod_auth_openidc in front of a directory: login, what the application sees, and both ways of logout."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from tests.gateways import free_port
from tests.oauth.op import Op
from tests.oauth.relying.applications_page import PORTAL, Section
from tests.oauth.relying.node import running
from tests.oauth.relying.person import Person, listening

EXAMPLE = "https://files.example.com"
MODULES = Path("/usr/lib/apache2/modules")
APACHE = shutil.which("apache2", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(APACHE is None, reason="apache2 is not installed"),
    pytest.mark.skipif(
        not (MODULES / "mod_auth_openidc.so").exists(), reason=f"{MODULES}/mod_auth_openidc.so is not installed"
    ),
]
# Each request for /private/ is answered with what an application behind would see.
CONFIG = """
ServerRoot {directory}
ServerName 127.0.0.1
Listen {address}
PidFile {directory}/apache.pid
ErrorLog {directory}/error.log
DefaultRuntimeDir {directory}
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule include_module {modules}/mod_include.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
TypesConfig /dev/null
ThreadsPerChild 8
MaxRequestWorkers 8
DocumentRoot {directory}/www

{shown}
<Location /private>
    Options +Includes
    AddType text/plain .shtml
    AddOutputFilter INCLUDES .shtml
</Location>
"""
PAGE = """\
user=<!--#echo var="REMOTE_USER" -->
email=<!--#echo var="OIDC_CLAIM_email" -->
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a directory that Apache can still read when it is not root any more."""
    with tempfile.TemporaryDirectory(prefix="apache-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def site(directory: Path, op: Op) -> AsyncIterator[str]:
    """Serve a directory as docs/oauth/applications.md shows it, and give its address."""
    at = f"http://127.0.0.1:{free_port()}"
    section = Section.under("Apache: mod_auth_openidc", {EXAMPLE: at, PORTAL: op.metadata["issuer"]})
    client = await section.register(op)
    shown = section.blocks["apache"].replace("CLIENT_ID", client.client_id).replace("CLIENT_SECRET", client.secret)
    (directory / "www" / "private").mkdir(parents=True)
    (directory / "www" / "bye.txt").write_text("bye")
    (directory / "www" / "private" / "index.shtml").write_text(PAGE)
    config = directory / "apache.conf"
    config.write_text(
        CONFIG.format(
            directory=directory,
            address=at.removeprefix("http://"),
            modules=MODULES,
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            shown=shown,
        )
    )
    assert APACHE is not None
    async with running(APACHE, "-f", str(config), "-DFOREGROUND", directory=directory) as process:
        await listening(int(at.rpartition(":")[2]))
        yield at
        # The master ends its children; killed, it would leave them.
        process.terminate()
        await process.wait()


@asynccontextmanager
async def person_at(op: Op) -> AsyncIterator[Person]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield Person(op.browser(), client)


async def test_login_shows_the_application_who_it_is(op: Op, site: str) -> None:
    async with person_at(op) as person:
        answer = await person.at(f"{site}/private/index.shtml")
        assert (answer.status, answer.text) == (200, "user=ann\nemail=ann@example.com\n")
        assert person.browser.seen == ["login", "consent"]
        assert (await person.at(f"{site}/private/index.shtml")).text == answer.text
        assert person.browser.seen == ["login", "consent"]


async def test_logout_there_is_logout_here(op: Op, site: str) -> None:
    async with person_at(op) as person:
        await person.at(f"{site}/private/index.shtml")
        answer = await person.at(f"{site}/private/callback?logout={quote(f'{site}/bye.txt', safe='')}")
        assert answer.text == "bye"
        person.browser.seen.clear()
        await person.at(f"{site}/private/index.shtml")
        assert person.browser.seen == ["login"]


async def test_logout_here_is_logout_there(op: Op, site: str) -> None:
    """The gateway tells Apache (back-channel logout); its session is gone although its cookie is still there."""
    async with person_at(op) as person:
        await person.at(f"{site}/private/index.shtml")
        await person.visit(f"{op.running.origin}/logout")
        person.browser.seen.clear()
        async with asyncio.timeout(10):
            while "login" not in person.browser.seen:
                await person.at(f"{site}/private/index.shtml")
                await asyncio.sleep(0.05)
