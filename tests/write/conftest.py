"""A bucket that tests of this folder share."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """Options for a bucket called `bucket` of a server that speaks S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    credentials = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **credentials).create_bucket(Bucket="bucket")
    yield {"key": "a", "secret": "b", "endpoint_url": f"http://{host}:{port}"}
    server.stop()
