"""Kafka, Redis and MariaDB that let nobody in without TLS and a password."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from segmenter.embedded.supervisor import free_ports

ROOT = "root"
"""The user, of each part, that may do everything; the tests grant the others' rights as this one."""


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """A process, until the block ends."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()


def redis(folder: Path, certificates: Path, password: str) -> tuple[list[str], int]:
    """The command that serves Redis, and the port where it will listen."""
    (port,) = free_ports(1)
    folder.mkdir()
    (folder / "redis.conf").write_text(
        f"""
        bind 127.0.0.1
        port 0
        tls-port {port}
        tls-cert-file {certificates}/server.pem
        tls-key-file {certificates}/server.key
        tls-ca-cert-file {certificates}/ca.pem
        tls-auth-clients no
        dir {folder}
        save ""
        user default off
        user {ROOT} on >{password} ~* &* +@all
        """
    )
    return ["redis-server", f"{folder}/redis.conf"], port


def mariadb(folder: Path, certificates: Path, password: str) -> tuple[list[str], int]:
    """The command that serves MariaDB, and the port where it will listen."""
    (port,) = free_ports(1)
    folder.mkdir()
    temporary = folder / "tmp"  # a MariaDB that starts removes the temporary tables of all others in its folder
    temporary.mkdir()
    options = ["--no-defaults", f"--datadir={folder}/data", f"--user={getpass.getuser()}"]
    install = ["mariadb-install-db", *options, "--skip-test-db"]
    installed = subprocess.run(install, env=os.environ | {"TMPDIR": str(temporary)}, capture_output=True, text=True)
    assert not installed.returncode, installed.stdout + installed.stderr
    (folder / "init.sql").write_text(
        f"CREATE USER '{ROOT}'@'%' IDENTIFIED BY '{password}' REQUIRE SSL;\n"
        f"GRANT ALL PRIVILEGES ON *.* TO '{ROOT}'@'%' WITH GRANT OPTION;\n"
        "CREATE DATABASE segments;\n"
    )
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program
    return [
        program,
        *options,
        f"--tmpdir={temporary}",
        f"--socket={folder}/socket",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--skip-name-resolve",
        f"--init-file={folder}/init.sql",
        f"--ssl-cert={certificates}/server.pem",
        f"--ssl-key={certificates}/server.key",
        f"--ssl-ca={certificates}/ca.pem",
    ], port


def kafka(folder: Path, certificates: Path, passwords: Mapping[str, str]) -> tuple[list[str], int]:
    """The command that serves Kafka to these users, and the port where it will listen."""
    port, controller = free_ports(2)
    folder.mkdir()
    login = f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{ROOT}" '
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f'{login}password="{passwords[ROOT]}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ROOT};User:ANONYMOUS",  # who is anonymous came to the controller
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": f"{certificates}/both.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"{certificates}/ca.pem",
        "log.dirs": f"{folder}/logs",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
    }
    file = folder / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    java = ["java", "-Xmx512m", "-cp", f"{os.environ['SEGMENTER_TEST_KAFKA_JARS']}/*"]
    java.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    users = [f"--add-scram=SCRAM-SHA-512=[name={user},password={word}]" for user, word in passwords.items()]
    formatting = ["kafka.tools.StorageTool", "format", "--cluster-id", "c2VnbWVudGVyLXRlc3RzIQ", "--config", str(file)]
    subprocess.run([*java, *formatting, *users], check=True, capture_output=True)
    return [*java, "kafka.Kafka", str(file)], port
