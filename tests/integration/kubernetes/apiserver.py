"""A real API server on this machine: etcd and kube-apiserver, without kubelet or controllers."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from kubernetes import client, config

import emulators

STARTS_WITHIN = 120.0  # s
BINARIES = ("etcd", "kube-apiserver")


def binaries() -> dict[str, str]:
    """Paths of the binaries; raises `emulators.Missing` where they are not all here."""
    cache = Path(os.environ.get("THUNDERCAST_CACHE", Path.home() / ".cache" / "thundercast")) / "bin"
    found = {name: shutil.which(name) or shutil.which(name, path=str(cache)) for name in BINARIES}
    if missing := [name for name, path in found.items() if path is None]:
        raise emulators.Missing(
            f"no API server: {' and '.join(missing)} not found on the PATH or in {cache} (set KUBECONFIG to use a cluster that runs)"
        )
    return {name: str(path) for name, path in found.items()}


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """Starts both on free ports; yields an administrator's kubeconfig."""
    paths = binaries()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        peers, clients, port = (emulators.free_port() for _ in range(3))
        processes.append(_start(folder / "etcd.log", [
            paths["etcd"], f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{clients}", f"--advertise-client-urls=http://127.0.0.1:{clients}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-cluster=default=http://127.0.0.1:{peers}",
        ]))  # fmt: skip
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        _write_key(folder / "accounts.key")
        processes.append(_start(folder / "apiserver.log", [
            paths["kube-apiserver"], f"--etcd-servers=http://127.0.0.1:{clients}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}", f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'accounts.key'}", f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
        ]))  # fmt: skip
        kubeconfig = folder / "kubeconfig"
        until = time.monotonic() + STARTS_WITHIN
        while not _answers(folder, port, token, kubeconfig):
            ended = next((process for process in processes if process.poll() is not None), None)
            if ended is not None or time.monotonic() > until:
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
                raise emulators.Failed(f"the API server did not start; the ends of its logs:\n{logs}")
            time.sleep(0.2)
        yield kubeconfig
    finally:
        # Nothing is to be kept, and an orderly end takes them long.
        for process in processes:
            process.kill()
            process.wait()


def _start(log: Path, command: list[str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def _answers(folder: Path, port: int, token: str, kubeconfig: Path) -> bool:
    certificate = folder / "certificates" / "apiserver.crt"
    if not certificate.is_file() or not certificate.read_bytes():
        return False
    content = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": f"https://127.0.0.1:{port}", "certificate-authority-data": base64.b64encode(certificate.read_bytes()).decode(),
        }}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    }  # fmt: skip
    kubeconfig.write_text(yaml.safe_dump(content))
    with api_client(kubeconfig) as api:
        try:
            client.CoreV1Api(api).read_namespace("default", _request_timeout=5.0)
        except Exception:
            # Refused, not ready, not yet there: whatever it is, it is asked again until the time is over.
            return False
    return True


def api_client(kubeconfig: Path) -> client.ApiClient:
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=settings)
    settings.retries = 0
    return client.ApiClient(settings)
