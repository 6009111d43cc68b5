"""The report of an output in a bucket, opened in a browser from where the bucket is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import s3fs

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.report.page import require_page, write_now
from clipping.storage import object_store
from clipping.storage.outputs import open_output
from tests.support.browser import browser
from tests.support.bucket import put_videos
from tests.support.real_run import real_run
from tests.support.stores import S3


def publish_bucket() -> None:
    """Let anybody read, as a bucket does that is served as a site."""
    rule = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::videos/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    client: Any = s3fs.S3FileSystem()
    client.call_s3("put_bucket_policy", Bucket="videos", Policy=policy)


def test_it_opens_from_a_bucket_and_plays(s3: S3, tmp_path: Path) -> None:
    """Objects are served as what they are, links stay within the bucket, a free run writes none."""
    put_videos(tmp_path, 2)
    recipe = Recipe(clip_len_s=1, clip_stride_s=1, min_clip_length_s=1, preset="ultrafast")
    config = RunConfig(recipe, Execution(), ("s3://videos/in",), "s3://videos/out")
    tally = real_run(config)
    publish_bucket()
    assert tally.report == "Report: s3://videos/out/report.html"
    home = f"{s3.url}/videos/out"
    types = {"report.html": "text/html; charset=utf-8", "report/now.js": "text/javascript",
             "failures.csv": "text/csv; charset=utf-8"}  # fmt: skip
    assert {name: httpx.get(f"{home}/{name}").headers["content-type"] for name in types} == types
    messages: list[str] = []
    asked: list[tuple[str, str]] = []
    with browser() as chromium:
        page = chromium.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("response", lambda r: asked.append((r.url, r.headers.get("content-type", ""))))
        page.goto(f"{home}/report.html")
        page.locator(".clip.written").first.click()
        page.wait_for_function("document.querySelector('dialog video').currentTime > 0.1")
        page.wait_for_function("[...document.images].some(i => i.naturalWidth)")
    assert messages == []
    served = [(url, kind) for url, kind in asked if not url.startswith("data:")]
    assert [url for url, _ in served if not url.startswith(home)] == []
    kinds = {url.split("?")[0].rpartition(".")[2]: kind for url, kind in served}
    assert (kinds["jpg"], kinds["mp4"]) == ("image/jpeg", "video/mp4")
    s3.seen.clear()
    again = real_run(config)
    assert again.report == tally.report
    written = [seen.path for seen in s3.seen if seen.method == "PUT" and ".locks" not in seen.path]
    assert written == []
    page_text = object_store.read("s3://videos/out/report.html")
    output = open_output("s3://videos/out")
    write_now(output, "", {"text": "going on"})
    require_page(output, "")
    assert object_store.read("s3://videos/out/report.html") == page_text
    assert b"going on" in (object_store.read("s3://videos/out/report/now.js") or b"")


def test_its_secrets_are_not_told(s3: S3, tmp_path: Path) -> None:
    """A page that anybody may see has no address of a video in it."""
    del s3
    put_videos(tmp_path, 1)
    recipe = Recipe(clip_len_s=1, clip_stride_s=1, min_clip_length_s=1, preset="ultrafast")
    output = tmp_path / "out"
    real_run(RunConfig(recipe, Execution(), ("s3://videos/in",), str(output)))
    texts = [(output / "report.html").read_text(encoding="utf-8")]
    texts += [path.read_text(encoding="utf-8") for path in (output / "report").iterdir()]
    assert not [text for text in texts if "s3://" in text]
