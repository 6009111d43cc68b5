"""Where a browser shows an output."""

from __future__ import annotations

import pytest

from clipping.orchestration import artifacts
from clipping.storage.addresses import browser_address

S3 = "https://s3.console.aws.amazon.com/s3"
GOOGLE = "https://console.cloud.google.com/storage/browser"


@pytest.mark.parametrize(
    ("uri", "is_folder", "address"),
    [
        ("s3://bucket/a b/", True, f"{S3}/buckets/bucket?prefix=a%20b/"),
        ("s3://bucket", True, f"{S3}/buckets/bucket?prefix="),
        ("s3://bucket/clips/1.mp4", False, f"{S3}/object/bucket?prefix=clips/1.mp4"),
        ("gs://bucket/clips", True, f"{GOOGLE}/bucket/clips"),
        ("gs://bucket/clips/1.mp4", False, f"{GOOGLE}/_details/bucket/clips/1.mp4"),
        ("https://user:word@host/1.mp4?sig=1&v=2", False, "https://host/1.mp4?v=2"),
        ("az://container/clips", True, None),
        ("/data/clips", True, None),
    ],
)
def test_a_browser_is_sent_where_it_can_go(uri: str, is_folder: bool, address: str | None) -> None:
    """To a store's console, never with a secret; nowhere for a path, which no page may open."""
    assert browser_address(uri, is_folder=is_folder) == address


def test_another_s3_has_no_console_at_amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an endpoint of one's own the address would lead to somebody else's bucket."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert artifacts._opens("s3://bucket/clips", is_folder=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert artifacts._opens("s3://bucket/clips", is_folder=True) is None
