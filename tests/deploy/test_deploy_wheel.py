"""The wheel, built from what the Dockerfile copies, carries what a running gateway reads."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def copied() -> list[str]:
    """Return what the Dockerfile's first stage takes from the repository."""
    first_stage = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1]
    lines = re.findall(r"^COPY (.+)$", first_stage, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    sources = directory / "src"
    sources.mkdir()
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, sources / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(directory)]
    run = subprocess.run([*command, str(sources)], capture_output=True, text=True, check=False, timeout=110)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = directory.glob("*.whl")
    return built


def test_it_carries_sql_templates_and_the_demo(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    read = [
        *(f"gateway/{path.relative_to(ROOT)}" for path in (ROOT / "sql").rglob("*.sql")),
        *(str(path.relative_to(ROOT)) for path in (ROOT / "gateway/web/templates").rglob("*.html")),
        "gateway/web/style.css",
        "gateway/demo/demo.yaml",
        "gateway/py.typed",
    ]
    assert [path for path in read if path not in inside] == []
    assert not [path for path in inside if path.startswith(("tests", "config"))]


def test_it_works_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import gateway\n"
        "from gateway.cli.demo import demo_configuration\n"
        "from gateway.config.load import load_settings\n"
        "from gateway.storage.statements import statements\n"
        "from gateway.web.pages import Pages\n"
        "print(gateway.__file__, demo_configuration(), len(statements('session')) > 0,\n"
        "      len(load_settings(demo_configuration(), {}, rules=True).settings.routes))\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    package = tmp_path / "gateway"
    assert run.stdout.split() == [str(package / "__init__.py"), str(package / "demo" / "demo.yaml"), "True", "3"]


def test_installed_in_an_environment_of_its_own_the_command_answers(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=60)
    # What it depends on comes from here; the gateway itself does not: the environment's own packages come first.
    (packages,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    run = subprocess.run(
        [tmp_path / "venv/bin/gateway", "version", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["gateway"] == importlib.metadata.version("auth-gateway")
