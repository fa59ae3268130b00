"""The package stands alone: nothing of the gateway's is in it, and each part needs its own framework only."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "clients" / "python"
MODULES = sorted((ROOT / "gateway_client").glob("*.py"))
ANY_MAY = {"__future__", "_typeshed", "gateway_client", "jwt", *sys.stdlib_module_names}
FRAMEWORKS = {
    "aiohttp": {"aiohttp"},
    "django": {"django", "asgiref"},
    "fastapi": {"starlette"},
    "flask": {"flask"},
    "starlette": {"starlette"},
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_needs_nothing_but_its_framework(module: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert imported - ANY_MAY <= FRAMEWORKS.get(module.stem, set())


def test_the_wheel_is_typed_and_works_without_the_gateway_or_a_framework(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert run.returncode == 0, run.stdout + run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {"gateway_client/py.typed", *(f"gateway_client/{each.name}" for each in MODULES)} <= inside
    assert {name.partition("/")[0] for name in inside} == {
        "gateway_client",
        f"{'-'.join(wheel.name.split('-')[:2])}.dist-info",
    }

    # Whatever else is installed here is refused, as where it is not installed.
    refused = sorted({"gateway", *(name for names in FRAMEWORKS.values() for name in names)})
    program = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        f"sys.modules.update(dict.fromkeys({refused!r}))\n"
        "import gateway_client, gateway_client.asgi, gateway_client.wsgi\n"
        "print(gateway_client.__file__)"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout.startswith(str(wheel)), ran.stderr
