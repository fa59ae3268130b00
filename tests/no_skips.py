"""In CI a skipped test is a failure: what was not run was not shown to work.

Outside CI a missing program skips its tests with the program's name. ``.ci/run`` names in ``CI_MISSING``
the programs that it could not install; only a skip whose reason names one of these stays a skip.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


def excused(reason: str) -> bool:
    """Say whether ``reason`` names a program that this machine is known to lack."""
    return any(program in reason for program in os.environ.get("CI_MISSING", "").split())


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    # an expected failure is reported as a skip, too
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = _reason(report)
    if excused(reason):
        return
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, which fails in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report
