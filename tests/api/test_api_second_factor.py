"""The JSON login of somebody with a second factor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest

from tests.gateways import PASSWORD, GatewayFactory, Running

LOGIN = "/api/v1/users/login"
MFA = "/api/v1/users/login/mfa"
CREDENTIALS = {"username": "ann", "password": PASSWORD}


async def enrolled(running: Running, name: str = "ann") -> tuple[pyotp.TOTP, list[str]]:
    user, factors = await running.user(name), running.gateway.accounts.second_factors
    begun = await factors.begin_totp(user, "Phone")
    app = pyotp.TOTP(begun.secret)
    proven = await factors.prove_totp(user, begun.id, app.at(datetime.now(UTC) - timedelta(seconds=30)))
    assert proven is not None
    return app, list(proven.recovery_codes)


@pytest.mark.parametrize("path", [LOGIN, "/api/v1/auth/token"])
async def test_the_password_is_answered_with_what_comes_next(gateway_factory: GatewayFactory, path: str) -> None:
    running = await gateway_factory()
    app, _ = await enrolled(running)
    asked = await running.post(path, CREDENTIALS)
    assert (asked.status, asked.json["code"]) == (401, "mfa_required")
    done = await running.post(MFA, {"mfa_token": asked.json["mfa_token"], "code": app.now()})
    assert done.status == 200
    assert set(done.json) == {"token", "refresh_token", "user"}
    claims = running.gateway.accounts.access_tokens.verify(done.json["token"])
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    assert (await running.get("/api/me", token=done.json["token"])).json["username"] == "ann"
    again = await running.post(MFA, {"mfa_token": asked.json["mfa_token"], "code": app.now()})
    assert (again.status, again.json["code"]) == (401, "mfa_token_over")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param({"code": "123456"}, 400, "invalid_input", id="no-token"),
        pytest.param({"mfa_token": "x"}, 400, "invalid_input", id="no-code"),
        pytest.param({"mfa_token": 1, "code": "1"}, 400, "invalid_input", id="number"),
        pytest.param({"mfa_token": "x" * 43, "code": "1"}, 401, "mfa_token_over", id="unknown"),
        pytest.param({"mfa_token": "\x00" * 43, "code": "1"}, 400, "invalid_input", id="nul"),
        pytest.param({"mfa_token": "é" * 5000, "code": "1"}, 400, "invalid_input", id="huge"),
    ],
)
async def test_bad_input_is_refused(
    gateway_factory: GatewayFactory, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await (await gateway_factory()).post(MFA, body)
    assert (answer.status, answer.json["code"]) == (status, code)


async def test_five_wrong_codes_end_it(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory()
    await enrolled(running)
    token = (await running.post(LOGIN, CREDENTIALS)).json["mfa_token"]
    codes = [(await running.post(MFA, {"mfa_token": token, "code": "wrong"})).json["code"] for _ in range(6)]
    assert codes == ["bad_code"] * 4 + ["mfa_token_over"] * 2


async def test_whose_role_demands_a_factor_gets_no_token(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory("second_factors: {required_roles: [user]}")
    await running.user()
    answer = await running.post(LOGIN, CREDENTIALS)
    assert (answer.status, answer.json["code"]) == (403, "enrolment_required")
    bea = {"username": "bea", "email": "bea@example.com", "password": "a good long password"}
    made = await running.post("/api/v1/users/register", bea)
    assert (made.status, made.json["token"], made.json["refresh_token"]) == (201, None, None)
