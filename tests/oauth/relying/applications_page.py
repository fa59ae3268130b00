"""What docs/oauth/applications.md shows: commands that register clients, and programs that are these clients."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import cli
from tests.gateways import database_url
from tests.oauth.op import Op

PAGE = Path(__file__).parents[3] / "docs" / "oauth" / "applications.md"
PORTAL = "https://portal.example.com"


@dataclass(frozen=True)
class Registered:
    """A client as the command printed it."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Section:
    """A section of the page, with the places of a test in place of the example's."""

    blocks: Mapping[str, str]

    @classmethod
    def under(cls, heading: str, at: Mapping[str, str]) -> Section:
        """Return the blocks below a heading by their language; ``at`` says what stands for which address."""
        text = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert text, heading
        for example, own in at.items():
            text = text.replace(example, own)
        return cls(dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)))

    async def register(self, op: Op) -> Registered:
        """Run the command that is shown, beside the running gateway."""
        command = shlex.split(self.blocks["sh"])
        assert command[:3] == ["gateway", "client", "add"]
        more = ["-c", str(op.running.config), "--output", "json"]
        runner = CliRunner(env={"GATEWAY_DATABASE__URL": database_url(op.factory.dsn_args)})
        result = await asyncio.to_thread(runner.invoke, cli, [*command[1:], *more])
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        return Registered(document["client_id"], document.get("client_secret") or "")
