"""What a source may make ffmpeg open: nothing but itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.errors import FailureKind
from clipping.media import probe as probing
from clipping.models import ProbedSource
from clipping.run.chunk import probe_file
from clipping.storage.discover import find_sources
from tests.support.media import FFMPEG, counter_video, steady
from tests.support.stores import Seen, web_server

# Texts that make ffmpeg open {file} or {url}, if it is let.
SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{url}\n#EXTINF:2,\n{file}\n"
    "#EXT-X-ENDLIST\n",
    "hls after a blank line": "\n#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{url}\n",
    "hls behind a byte order mark": "\ufeff#EXTM3U\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{file}'\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "lyrics": "[00:01.00]{url}\n",
    "avisynth": 'DirectShowSource("{file}")\n',
    "imf": '<?xml version="1.0"?><AssetMap><Path>{file}</Path></AssetMap>',
}  # fmt: skip


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[tuple[Path, str, list[Seen]]]:
    """A video that nobody may open through another file, here and on a server."""
    secret = tmp_path / "private" / "secret.mp4"
    secret.parent.mkdir()
    counter_video(secret, *steady(75, 25))
    with web_server({"seg.mp4": secret.read_bytes()}) as (url, seen):
        yield secret, f"{url}/seg.mp4", seen


def probed(path: Path | str) -> ProbedSource:
    [file] = find_sources([str(path)], [".mp4", ".lrc"]).sources
    return probe_file(file, Execution())


def allow_any_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_refuse_hopeless", lambda _reading: None)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("look_first", [True, False], ids=["looked at", "straight to ffmpeg"])
@pytest.mark.parametrize("where", ["local", "web"])
def test_a_playlist_or_script_opens_nothing(
    bait: tuple[Path, str, list[Seen]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    where: str,
    *,
    look_first: bool,
) -> None:
    """Named .mp4, it fails as bad input; even without the look at its head."""
    secret, url, seen = bait
    if not look_first:
        allow_any_head(monkeypatch)
    content = script.format(file=secret, url=url).encode()
    (tmp_path / "video.mp4").write_bytes(content)
    if where == "local":
        result = probed(tmp_path / "video.mp4")
    else:
        with web_server({"video.mp4": content}) as (site, _):
            result = probed(f"{site}/video.mp4")
    assert result.source is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.BAD_INPUT
    assert "Traceback" not in result.failure.message
    assert seen == [], "the server must see no request"


def test_the_bait_is_one(bait: tuple[Path, str, list[Seen]], tmp_path: Path) -> None:
    """ffmpeg without our allow-lists does follow such a playlist: the tests above can fail."""
    secret, url, seen = bait
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(SCRIPTS["hls"].format(file=secret, url=url))
    options = ["-allowed_extensions", "ALL", "-protocol_whitelist", "file,http,tcp"]
    command = [FFMPEG, *options, "-i", str(playlist), "-f", "null", "-"]
    subprocess.run(command, capture_output=True, check=False)
    assert seen


@pytest.mark.parametrize("name", ["frame%03d.mp4", "frame*.mp4", "pipe:0.mp4", "concat:a|b.mp4"])
def test_a_name_is_never_a_pattern_or_protocol(
    tmp_path: Path, name: str, bait: tuple[Path, str, list[Seen]]
) -> None:
    """A file called like one of ffmpeg's addresses is the file."""
    secret, _, _ = bait
    (tmp_path / name).write_bytes(secret.read_bytes())
    counter_video(tmp_path / "frame001.mp4", *steady(25, 25))
    result = probed(tmp_path / name)
    assert result.source is not None
    assert result.source.video.frame_count == 75


@pytest.mark.parametrize("kind", ["url ", "alis"])
def test_a_movie_that_refers_to_another_file_does_not_get_it(
    bait: tuple[Path, str, list[Seen]], tmp_path: Path, kind: str
) -> None:
    """QuickTime data references (ISO/IEC 14496-12, section 8.7.2) are not followed."""
    secret, url, seen = bait
    content = secret.read_bytes()
    old = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    assert content.count(old) == 1
    (tmp_path / "movie.mp4").write_bytes(_referring(content, old, kind, url))
    result = probed(tmp_path / "movie.mp4")
    assert seen == []
    # The frames that are there are its own.
    assert result.source is None or result.source.video.frame_count <= 75


def _referring(content: bytes, old: bytes, kind: str, url: str) -> bytes:
    """The movie with its data reference replaced by one to `url`; boxes around it grow."""
    body = b"\x00\x00\x00\x00" + url.encode() + b"\x00"
    new = (8 + len(body)).to_bytes(4, "big") + kind.encode() + body
    grown, at = len(new) - len(old), content.index(old)
    changed = bytearray(content[:at] + new + content[at + len(old) :])
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = content.rindex(box, 0, at) - 4
        size = int.from_bytes(content[start : start + 4], "big") + grown
        changed[start : start + 4] = size.to_bytes(4, "big")
    return bytes(changed)


def test_what_macos_keeps_beside_a_video_is_named(tmp_path: Path) -> None:
    """Given by name it is tried, and the message says which file is meant."""
    (tmp_path / "._in.mp4").write_bytes(bytes.fromhex("0005160700020000") + bytes(4000))
    failure = probed(tmp_path / "._in.mp4").failure
    assert failure is not None
    assert failure.kind is FailureKind.BAD_INPUT
    assert "AppleDouble" in failure.message
