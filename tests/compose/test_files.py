"""Properties of the compose files, read from their text or from `docker compose config`. No container is started."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from tussle.lobby.settings import Settings
from tussle.player.client import FORK_S

COMPOSE = ROOT / "compose"
TEXT = (COMPOSE / "docker-compose.yml").read_text()

NOT_PASSED_ON = {
    "redis_url", "host", "port", "server_id", "data_dir", "store_port", "server_url", "bots", "log_format",
    "store_fsync", "public_url", "internal_url", "trusted_proxies", "operator_token",
}  # fmt: skip
"""Settings that the compose file sets itself and does not pass on from .env; ``operator_token`` is a person's."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the configuration that `docker compose config` makes of the file, with every profile."""
    if shutil.which("docker") is None:
        pytest.skip("!! NO DOCKER CLIENT: the compose file was NOT read by docker compose")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("!! NO DOCKER COMPOSE: the compose file was NOT read by docker compose")
    env = tmp_path_factory.mktemp("env") / ".env"
    subprocess.run([COMPOSE / "make-env.sh", env], check=True, capture_output=True)
    files = ["--env-file", str(env), "-f", str(COMPOSE / "docker-compose.yml")]
    command = ["docker", "compose", *files, "--profile", "*", "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_every_setting_can_be_given() -> None:
    """Each setting of Tussle is passed on from .env or set by the file itself."""
    passed = set(re.findall(r"^  ([A-Z_]+): \$\{\1:-\}$", TEXT, re.MULTILINE))
    wanted = {item.name.upper() for item in fields(Settings) if item.name not in NOT_PASSED_ON}
    assert passed == wanted, "\n".join(f"  {name}: ${{{name}:-}}" for name in sorted(wanted - passed))


def _repeated_keys(node: yaml.Node | None) -> Iterator[str]:
    """The keys that occur twice in one mapping, with their lines."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item)
    elif isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        for (key, value), name in zip(node.value, names, strict=True):
            if names.count(name) > 1:
                yield f"line {key.start_mark.line + 1}: {name}"
            yield from _repeated_keys(value)


@pytest.mark.parametrize("path", sorted(COMPOSE.rglob("*.yml")), ids=lambda path: path.name)
def test_no_key_occurs_twice(path: Path) -> None:
    """Each file parses, and no mapping has a key twice: docker compose refuses such a file."""
    assert list(_repeated_keys(yaml.compose(path.read_text()))) == []


def test_the_image_makes_no_anonymous_volume() -> None:
    """A VOLUME of an image becomes a volume without a name in each container that mounts nothing there."""
    assert not re.search(r"^VOLUME", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE)


def test_every_image_has_a_version() -> None:
    """Each image of the compose files and of the Dockerfile has a tag, and the tag is not `latest`."""
    texts = [
        TEXT,
        *(path.read_text() for path in COMPOSE.glob("*.yml")),
        (COMPOSE / "Dockerfile").read_text(),
    ]
    images = [
        image for text in texts for image in re.findall(r"^\s*(?:image:|FROM)\s+(\S+)", text, re.MULTILINE)
    ]
    assert images
    for image in images:
        assert ":" in image, image
        assert "latest" not in image, image


def test_no_password_has_a_default() -> None:
    """A stack without an .env does not start, so no stack runs with a known password."""
    for name in ("STORE_PASSWORD", "STORE_SERVER_PASSWORD", "STORE_WORKER_PASSWORD", "STORE_SEED_PASSWORD"):
        assert f"${{{name}:?" in TEXT
        assert not re.search(rf"\$\{{{name}:-.", TEXT)


def test_make_env_writes_fresh_passwords_and_keeps_old_ones(tmp_path: Path) -> None:
    """Passwords are random and long, only the owner can read the file, and a second call changes nothing."""
    files = [tmp_path / "a.env", tmp_path / "b.env"]
    for file in files:
        shown = subprocess.run(
            [COMPOSE / "make-env.sh", file], check=True, capture_output=True, text=True
        ).stdout
        assert not any(line.partition("=")[2] in shown for line in file.read_text().splitlines())
        assert file.stat().st_mode & 0o077 == 0
    first = files[0].read_text()
    assert not set(first.splitlines()) & set(files[1].read_text().splitlines())
    assert all(len(line.partition("=")[2]) >= 32 for line in first.splitlines())
    subprocess.run([COMPOSE / "make-env.sh", files[0]], check=True, capture_output=True)
    assert files[0].read_text() == first


def test_the_image_has_few_rights() -> None:
    """The image runs as a normal user, has a health check, and builds without BuildKit's syntax."""
    text = (COMPOSE / "Dockerfile").read_text()
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001", last, re.MULTILINE)
    assert "chmod 1777 /data" in last  # a volume that is made of it can be written by any user
    assert "HEALTHCHECK" in last
    assert "<<" not in text
    assert "--link" not in text
    assert "# syntax" not in text


def test_each_service_is_bounded(config: dict[str, Any]) -> None:
    """Each service has a memory limit, log rotation, no new privileges, a restart policy and a health check."""
    for name, service in config["services"].items():
        one_shot = name == "build_db"
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        if not one_shot:
            assert service["deploy"]["resources"]["limits"]["memory"], name
            assert service["restart"] in ("unless-stopped", "on-failure"), name
        if service["image"].startswith("tussle:"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
        else:
            assert service["healthcheck"]["test"], name


def test_only_servers_and_workers_reach_the_store(config: dict[str, Any]) -> None:
    """Bots and the proxy share no network with the store; its network is internal and publishes no port."""
    services = config["services"]
    assert set(services["player"]["networks"]) == {"edge"}
    assert "store" not in services["nginx"]["networks"]
    assert config["networks"]["store"]["internal"]
    assert "ports" not in services["redis"]
    assert not any(
        "REDIS_URL" in service.get("environment", {})
        for name, service in services.items()
        if name == "player"
    )


def test_replicas_can_be_scaled(config: dict[str, Any]) -> None:
    """Scaled services have no container name and no host port, which two replicas could not share."""
    for name in ("server", "worker", "player"):
        assert "container_name" not in config["services"][name]
        assert "ports" not in config["services"][name]


def test_the_embedded_container_has_one_port_inside_and_outside(config: dict[str, Any]) -> None:
    """Its bots connect to PUBLIC_URL like everyone else, so the published port equals the inner one."""
    embedded = config["services"]["embedded"]
    (port,) = embedded["ports"]
    assert str(port["target"]) == str(port["published"]) == embedded["environment"]["PORT"]
    assert embedded["environment"]["PUBLIC_URL"].endswith(f":{port['published']}")


def test_servers_have_time_to_hand_over(config: dict[str, Any]) -> None:
    """Compose waits longer for a stopped server than GRACE_S."""
    assert config["services"]["server"]["stop_grace_period"] == "20s"
    assert Settings().grace_s < 20


def test_the_proxy_finds_new_replicas_and_keeps_sockets() -> None:
    """Names are resolved per request, sockets outlive the ping interval, and /at/ leads only to /ws of a replica."""
    text = (COMPOSE / "nginx" / "tussle.conf").read_text()
    for conf in ("nginx.conf", "nginx-tls.conf"):
        assert "resolver 127.0.0.11 valid=1s" in (COMPOSE / "nginx" / conf).read_text()
    assert "upstream" not in text.replace("upstream_addr", "")
    match = re.search(r"proxy_read_timeout (\d+)s", text)
    assert match is not None
    assert int(match[1]) > 20 * 2
    place = re.search(r'location ~ "(.*/at/.*)" \{', text)
    assert place is not None
    pattern = re.compile(place[1].replace("(?<", "(?P<"))
    assert pattern.match("/at/0123456789ab/ws")
    for bad in (
        "/at/redis/ws",
        "/at/0123456789ab/metrics",
        "/at/0123456789ab.evil/ws",
        "/at/0123456789ab/ws/x",
    ):
        assert not pattern.match(bad), bad
    assert "location = /metrics { return 404; }" in text
    assert re.search(r'location ~ "\^/\(ws\$\|live\$\|replay/\)" \{\s+limit_conn sockets', text)
    fork = re.search(r"/fork\$\" \{[^}]*proxy_read_timeout (\d+)s", text)
    assert fork is not None
    assert int(fork[1]) > FORK_S, "the proxy gives up before the client"
    uploads = re.search(r'location ~ "\^/api/\(recordings\|meshes\)[^{]*\{([^}]*)', text)
    assert uploads is not None
    assert "client_max_body_size 0;" in uploads[1]
    assert "proxy_request_buffering off;" in uploads[1]


def test_the_proxy_logs_no_query_and_no_header() -> None:
    """A log line has the path only, so a secret in a query or header is not logged."""
    for conf in ("nginx.conf", "nginx-tls.conf"):
        (line,) = re.findall(r"log_format plain '(.*)';", (COMPOSE / "nginx" / conf).read_text())
        assert "$uri" in line
        for variable in ("$request ", "$request_uri", "$args", "$query_string", "$http_", "$cookie_"):
            assert variable not in line, (conf, variable)


def test_the_store_file_names_no_password(tmp_path: Path) -> None:
    """store.sh writes password digests and one user per role; only `default` may administer."""
    text = (COMPOSE / "store.sh").read_text()
    assert "sha256sum" in text
    assert re.findall(r"^user (\w+) on #\$\(digest", text, re.MULTILINE) == [
        "default",
        "server",
        "worker",
        "seed",
        "reader",
    ]
    assert 'safe="+@all -@admin -@dangerous' in text


def test_the_dashboard_queries_existing_metrics() -> None:
    """A server exposes every metric that the dashboard queries."""
    from tussle.server.metrics.telemetry import Telemetry

    telemetry = Telemetry()
    telemetry.messages.inc(label_value="act")
    exposed = telemetry.exposition().decode()
    names = set(re.findall(r"tussle_[a-z_]+", (COMPOSE / "grafana" / "tussle.json").read_text()))
    assert len(names) > 10
    for name in names:
        assert re.search(rf"^(# TYPE )?{re.sub('_(total|bucket)$', '', name)}", exposed, re.MULTILINE), name


def test_every_mounted_file_exists() -> None:
    """Each file that the compose files mount from this folder exists, except the user's certificates."""
    for path in COMPOSE.glob("*.yml"):
        for mounted in re.findall(r"[\s\"](\./[\w./-]+):/", path.read_text()):
            if mounted != "./certs":
                assert (COMPOSE / mounted).exists(), mounted
