"""The kinds of frame stores, and an S3 server for one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.recordings.frames import Kept, MemoryKept, ZarrKept

BUCKET = "recordings"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of a bucket on an S3 server of this process's own, on a free port of the loopback."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{address}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.close()
    yield f"s3://{BUCKET}"
    s3fs.S3FileSystem.clear_instance_cache()
    os.environ.clear()
    os.environ.update(before)
    server.stop()


@pytest.fixture(params=["memory", "zarr", "zarr on S3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """A new recording of each kind."""
    if request.param == "memory":
        return MemoryKept()
    if request.param == "zarr":
        return ZarrKept(str(tmp_path / "one.zarr"))
    return ZarrKept(f"{request.getfixturevalue('s3')}/{tmp_path.name}/one.zarr")
