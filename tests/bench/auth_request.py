"""``python -m tests.bench.auth_request``: what a decision costs the gateway, beside what forwarding costs nginx.

nginx asks the gateway about each request, which is how ``deploy/nginx`` runs. Counted is the gateway's CPU time alone;
a second nginx, that only forwards, is the measure. Requests are all the same, or each for another address: for the
gateway these are other header fields.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contenders import Place, nginx, nginx_command, upstream_command
from tests.bench.credentials import Issuer
from tests.bench.gateway_side import configure, gateway
from tests.bench.load import parse
from tests.bench.machine import Cores, cpu_seconds, missing_programs, pinned, process, settle
from tests.bench.readiness import answering
from tests.gateways import free_port

WORTH = 2.5
ANOTHER_EACH = """
local run, number = os.time(), 0
request = function()
  number = number + 1
  return wrk.format(nil, "/items/" .. run .. "/" .. number)
end
"""
ASKING = """
    upstream app {{ server 127.0.0.1:{app}; keepalive 64; keepalive_requests 1000000000; }}
    upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        proxy_http_version 1.1;
        location / {{
            auth_request /gateway-decides;
            auth_request_set $gateway_user $upstream_http_x_forwarded_user;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-User $gateway_user;
            proxy_pass http://app;
        }}
        location = /gateway-decides {{
            internal;
            proxy_pass http://gateway/.gateway/authz/nginx;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        }}
    }}"""


@dataclass(frozen=True)
class Case:
    """What is asked of whom, and whose CPU time that costs."""

    name: str
    pid: int
    url: str
    headers: Mapping[str, str]
    script: str = ""


def microseconds(case: Case, seconds: int, connections: int, cores: Sequence[int]) -> float:
    """Return the CPU time of one request."""
    fields = [word for name, value in case.headers.items() for word in ("-H", f"{name}: {value}")]
    shape = ["-t1", f"-c{connections}", "--timeout", "5s", "--latency", *(["-s", case.script] if case.script else [])]

    def load(duration: int) -> int:
        command = pinned(cores, ["wrk", *shape, f"-d{duration}s", *fields, case.url])
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=duration + 20)
        return parse(run.stdout).requests

    load(1)  # to warm up
    before = cpu_seconds(case.pid)
    requests = load(seconds)
    return (cpu_seconds(case.pid) - before) / requests * 1e6


def started(stack: ExitStack, directory: Path, cores: Cores) -> list[Case]:
    """Start everybody, and say what is measured."""
    app, plain, asking, port = (free_port() for _ in range(4))
    issuer = Issuer.make()

    def run(name: str, port: int, core: int, command: Sequence[str]) -> int:
        program = stack.enter_context(process(pinned([core], command), directory, name))
        answering(port, program)
        return program.pid

    run("upstream", app, cores.upstream, upstream_command(Place(directory, app, 0, issuer)))
    forwards = nginx(Place(directory, plain, app, issuer))
    nginx_pid = run("nginx", plain, cores.proxy, forwards.command)
    config = configure(directory, port, app)
    config.write_text(config.read_text().replace("server: {", "server: {trusted_proxies: [127.0.0.1/32], ", 1))
    pid, made = stack.enter_context(gateway(config, cores.proxy, port))
    place = Place(directory, asking, app, issuer)
    asks = nginx_command(place, "asking", ASKING.format(app=app, gateway=port, port=asking))
    asking_pid = run("asking", asking, cores.upstream, asks)
    good = {"Host": f"localhost:{port}", "Cookie": f"gateway={made.session}"}
    script = place.write("another.lua", ANOTHER_EACH)
    url = f"http://127.0.0.1:{asking}/"
    return [
        Case("nginx proxy_pass", nginx_pid, forwards.url, {}),
        Case("gateway, the same request", pid, url, good),
        Case("gateway, each another address", pid, url, good, script),
        Case("nginx with auth_request", asking_pid, url, good),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.auth_request", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, metavar="N", help="of load, each (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, metavar="N", help="kept open (default: %(default)s)")
    options = parser.parse_args()
    if missing := missing_programs(("wrk", "nginx", "taskset")):
        print(f"needed and not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    cores = Cores.of(sorted(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)  # nginx's workers and PostgreSQL drop root, and must still get through
        cases = started(stack, directory, cores)
        settle(1)
        rounds = [
            [microseconds(case, options.seconds, options.connections, cores.load) for case in cases]
            for _ in range(options.rounds)
        ]
    print(f"{'':32} {'CPU us':>8} {'x nginx':>8}")
    for place, case in enumerate(cases):
        cost = statistics.median(each[place] for each in rounds)
        ratio = statistics.median(each[place] / each[0] for each in rounds)
        print(f"{case.name:32} {cost:8.1f} {ratio:8.2f}")
    worth = statistics.median(each[1] / each[0] for each in rounds)
    print(f"worth at most {WORTH}: {'yes' if worth <= WORTH else 'no'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
