"""Imports point one way. The table below is the architecture; this test holds it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gateway"

# A module may import its own package and whatever stands on a strictly lower level.
LEVELS = {
    "gateway.errors": 0,
    "gateway.clock": 0,
    "gateway.identity.identity": 1,
    "gateway.fields": 1,
    "gateway.problem": 1,
    "gateway.translation": 1,
    # read by the configuration as well, which tells what is wrong with it
    "gateway.listening.certificates": 1,
    "gateway.policy": 2,
    "gateway.observability": 2,
    "gateway.refusal": 3,
    "gateway.config": 3,
    "gateway.authz": 4,
    "gateway.json_body": 4,
    "gateway.listening": 4,
    "gateway.storage": 4,
    # requests that the gateway makes by itself, off the proxy's path
    "gateway.outbound": 4,
    "gateway.tokens": 5,
    "gateway.accounts": 6,
    "gateway.oauth.state": 7,
    # what others say of people and sign: read by the authenticators above
    "gateway.federation": 7,
    "gateway.identity": 8,
    "gateway.oauth": 9,
    "gateway.housekeeping": 10,
    "gateway.proxy": 10,
    "gateway.api": 10,
    # draws the pages that an authorization waits for
    "gateway.web": 10,
    "gateway.app": 11,
    "gateway.serving": 12,
    "gateway.demo": 12,
    "gateway.cli": 13,
}

PURE = ("asyncio", "socket", "aiohttp", "asyncpg", "os", "pathlib", "subprocess", "time", "random")


def room(module: str) -> str:
    """Return the longest name in the table that ``module`` is or stands under."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in LEVELS:
            return name
    return module


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    importer = room(module_name(path))
    if importer == "gateway":
        assert list(imports(path)) == []
        return
    assert importer in LEVELS, f"{importer} has no level: give it one, and say why there"
    for line, imported in imports(path):
        if not imported.startswith("gateway."):
            continue
        target = room(imported)
        assert target in LEVELS, f"{path}:{line}: {imported} has no level"
        same_room = target == importer
        lower = LEVELS[target] < LEVELS[importer]
        assert same_room or lower, f"{path}:{line}: {importer} may not import {target}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "policy").glob("*.py")), ids=module_name)
def test_policy_does_no_io(path: Path) -> None:
    for line, imported in imports(path):
        assert imported.split(".")[0] not in PURE, f"{path}:{line}: the policy core is pure"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_packages_do_nothing_on_import(path: Path) -> None:
    if path.name == "__init__.py" and module_name(path) != "gateway.cli":
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree)
        assert len(tree.body) == 1, f"{path}: a package's __init__ holds its docstring only"
