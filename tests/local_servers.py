"""Servers that tests talk to: an object store and a PostgreSQL of their own, on this machine only."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from patience import PATIENCE

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class ObjectStore:
    """An S3 server with one empty bucket a test."""

    endpoint: str
    bucket: str
    filesystem: pafs.FileSystem

    def address(self, path: str, bucket: str | None = None) -> str:
        """The address of a path in the bucket, with the query that leads to this server."""
        options = f"endpoint_override={self.endpoint}&scheme=http&region=us-east-1"
        return f"s3://{bucket or self.bucket}/{path}?{options}"

    def put(self, folder: Path) -> None:
        """Copies a local folder into the bucket."""
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            with self.filesystem.open_output_stream(f"{self.bucket}/{path.relative_to(folder)}") as sink:
                sink.write(path.read_bytes())


@pytest.fixture(scope="session")
def object_store_server() -> Iterator[str]:
    """host:port of a moto server, with dummy credentials in the environment."""
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    try:
        host, port = server.get_host_and_port()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in CREDENTIALS.items():
                patch.setenv(name, value)
            yield f"{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def object_store(object_store_server: str, request: pytest.FixtureRequest) -> ObjectStore:
    bucket = f"log-{abs(hash(request.node.nodeid)):x}"[:40]
    filesystem = pafs.S3FileSystem(
        endpoint_override=object_store_server,
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
        connect_timeout=PATIENCE,
        request_timeout=PATIENCE,
    )
    filesystem.create_dir(bucket)
    return ObjectStore(object_store_server, bucket, filesystem)


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of a private PostgreSQL that listens on a socket in a temporary folder."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    found = shutil.which("initdb") or (programs[-1] if programs else None)
    if found is None:
        pytest.skip("no PostgreSQL server is installed")
    binaries, user = os.path.dirname(found), _server_user()
    with tempfile.TemporaryDirectory(prefix="mw-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data, log = f"{folder}/data", f"{folder}/log"
        as_user = {"user": user} if user is not None else {}
        subprocess.run(
            [f"{binaries}/initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,  # type: ignore[call-overload]
        )
        options = ["-c", "listen_addresses=", "-k", folder, "-c", "fsync=off", "-c", "timezone=UTC"]
        with open(log, "wb") as output:
            server = subprocess.Popen(
                [f"{binaries}/postgres", "-D", data, *options],
                stdout=output,
                stderr=output,
                cwd=folder,
                **as_user,  # type: ignore[call-overload]
            )
        try:
            where = f"host={folder} user=tester dbname=postgres"
            _wait_for(where, server, log)
            yield where
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown, which does not wait for clients
            server.wait(timeout=PATIENCE)


def _wait_for(where: str, server: subprocess.Popen[bytes], log: str) -> None:
    import psycopg

    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            psycopg.connect(where, connect_timeout=PATIENCE).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, Path(log).read_text()
            time.sleep(0.1)
    raise AssertionError(Path(log).read_text())
