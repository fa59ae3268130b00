"""The demo as a person runs it: a process, its output, and its end by Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.gateways import free_port

LAST_LINE = "Ctrl-C ends everything"


@dataclass
class Demo:
    process: subprocess.Popen[str]
    printed: str
    port: int
    seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        found = re.search(r"Bearer (gwt_\w+)", self.printed)
        assert found is not None, self.printed
        return found[1]

    @property
    def curl_lines(self) -> list[str]:
        return re.findall(r"^ +(curl .+)$", self.printed, re.MULTILINE)

    def password(self, name: str) -> str:
        found = re.search(rf"^ +{name} +(\S+)", self.printed, re.MULTILINE)
        assert found is not None, self.printed
        return found[1]


def command(port: int, data_dir: Path) -> list[str]:
    entry = "from gateway.cli import main; main()"
    return [sys.executable, "-c", entry, "demo", "--port", str(port), "--data-dir", str(data_dir)]


@contextmanager
def demo(data_dir: Path) -> Iterator[Demo]:
    """Run the demo until it has said all, and end it as Ctrl-C does."""
    port = free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    began = time.monotonic()
    with subprocess.Popen(command(port, data_dir), env=plain, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            printed = ""
            for line in process.stdout:
                printed += line
                if LAST_LINE in line:
                    break
            assert LAST_LINE in printed
            yield Demo(process, printed, port, time.monotonic() - began)
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            assert process.returncode == 0
            assert not [child for child in family if child.is_running()], "the demo left processes behind"
