"""The files under deploy/ render, and the configurations in them load."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load_settings

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
SECRETS = "/run/secrets/gateway"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    """Return the objects of the Kubernetes example by kind."""
    command = [program("kubectl"), "kustomize", str(DEPLOY / "kubernetes")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(run.stdout)}


def test_kubernetes_sends_everything_through_the_gateway(rendered: dict[str, Any]) -> None:
    pod = rendered["Deployment"]["spec"]["template"]
    gateway, application = pod["spec"]["containers"]
    assert "127.0.0.1" in application["command"]
    assert "ports" not in application
    assert pod["metadata"]["labels"].items() >= rendered["Service"]["spec"]["selector"].items()
    (port,) = rendered["Service"]["spec"]["ports"]
    assert port["targetPort"] in [each["name"] for each in gateway["ports"]]
    for container in (gateway, application):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # The kubelet cannot reach what listens on the loopback address.
    assert "127.0.0.1:8081" in " ".join(application["readinessProbe"]["exec"]["command"])


def test_kubernetes_configuration_loads_and_leads_to_the_application(rendered: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text(base64.b64encode(bytes(range(32))).decode())
    (tmp_path / "database-url").write_text("postgresql://gateway:password@postgres.example.com/gateway")
    (tmp_path / "secret-key").chmod(0o440)
    config = tmp_path / "gateway.yaml"
    config.write_text(rendered["ConfigMap"]["data"]["gateway.yaml"].replace(SECRETS, str(tmp_path)))
    settings = load_settings(config, {}, rules=True).settings
    gateway, application = rendered["Deployment"]["spec"]["template"]["spec"]["containers"]
    port = application["command"][application["command"].index("--port") + 1]
    assert [upstream.servers for upstream in settings.upstreams.values()] == [(f"http://127.0.0.1:{port}",)]
    listening = {int(address.rpartition(":")[2]) for address in (*settings.server.listen, "0.0.0.0:9180")}
    assert settings.server.internal_listen == "0.0.0.0:9180"
    assert listening == {each["containerPort"] for each in gateway["ports"]}
    assert SECRETS in [mount["mountPath"] for mount in gateway["volumeMounts"]]
    grace = rendered["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > settings.server.drain_timeout.total_seconds() + 5


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_compose_hides_the_application_and_the_database(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["gateway"]
    assert set(services["sample"]["networks"]).isdisjoint(services["postgres"]["networks"])
    for name in ("gateway", "sample"):
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True


def test_compose_configuration_loads(compose: dict[str, Any]) -> None:
    (mounted,) = [each for each in compose["services"]["gateway"]["volumes"] if each.endswith(":ro")]
    config = DEPLOY / mounted.partition(":")[0]
    environ = {
        name: re.sub(r"\$\{\w+:\?[^}]*\}", "password", value)
        for name, value in compose["services"]["gateway"]["environment"].items()
    }
    settings = load_settings(config, environ, rules=True).settings
    (server,) = settings.upstreams["sample"].servers
    entry = compose["services"]["sample"]["entrypoint"]
    assert server == f"http://sample:{entry[entry.index('--port') + 1]}"
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql://gateway:password@postgres/gateway"


def test_compose_is_understood_by_docker() -> None:
    docker = program("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return  # a client without that plugin; the tests above read the file themselves
    environ = {**os.environ, "POSTGRES_PASSWORD": "password"}
    command = [docker, "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr


def test_systemd_understands_the_unit_and_finds_it_locked_down(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    unit = tmp_path / "gateway.service"
    # The program is not installed there on this machine.
    text = (DEPLOY / "systemd/gateway.service").read_text()
    unit.write_text(text.replace("/opt/gateway/bin/gateway ", f"{shutil.which('true')} "))
    run = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    command = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout[-300:]


def test_the_image_is_not_root_and_asks_the_gateway_how_it_is() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
    assert len(stages) == 2
    assert re.search(r"^USER 10001:10001$", stages[1], re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .*CMD \["gateway", "healthcheck"\]$', stages[1], re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["gateway"\]$', stages[1], re.MULTILINE)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--)(.+)$", stages[0], re.MULTILINE) for word in line.split()[:-1]}
    assert copied == let_in
