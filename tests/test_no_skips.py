"""A skip that nobody excused fails in CI, and stays a skip elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SUITE = """
import pytest

def test_skips():
    pytest.skip("nginx is not installed")

@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False
"""

MODULE = 'import pytest\npytest.skip("chromium is not installed", allow_module_level=True)\n'


@pytest.mark.parametrize(
    ("suite", "environment", "code"),
    [
        pytest.param(SUITE, {}, 0, id="outside-ci"),
        pytest.param(SUITE, {"CI": "true"}, 1, id="in-ci"),
        pytest.param(SUITE, {"CI": "true", "CI_MISSING": "caddy nginx"}, 0, id="excused"),
        pytest.param(SUITE, {"CI": "true", "CI_MISSING": "caddy"}, 1, id="another-is-excused"),
        pytest.param(MODULE, {"CI": "true"}, 2, id="module"),
        pytest.param(MODULE, {}, 5, id="module-outside-ci"),
    ],
)
def test_skip_in_ci_is_a_failure(tmp_path: Path, suite: str, environment: dict[str, str], code: int) -> None:
    (tmp_path / "test_suite.py").write_text(suite)
    # without the other plugins pytest starts in half the time
    environment = environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plain = {name: value for name, value in os.environ.items() if name not in {"CI", "CI_MISSING"}}
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.no_skips", "-p", "no:cacheprovider"]
    command = [*pytest_command, "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)]
    run = subprocess.run(
        command, cwd=ROOT, env=plain | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == code, run.stdout + run.stderr
