"""Sound starts and ends with its clip, to the sample."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipping.config.execution import Execution
from tests.media.conftest import Make
from tests.support.media import (
    RATE,
    add_channels,
    add_sound,
    counter_video,
    ffmpeg,
    heard,
    lag,
    noise,
    steady,
)

# Codec options, container, whether its packets are copied, and by how many samples the place
# of sound is uncertain: Matroska writes times in milliseconds, MPEG-TS in 1/90000 s.
SOURCES = [
    pytest.param(["-c:a", "aac", "-b:a", "192k"], "in.mp4", True, 1, id="aac-mp4"),
    pytest.param(["-c:a", "aac", "-b:a", "192k"], "in.ts", True, 2, id="aac-ts"),
    pytest.param(["-c:a", "aac", "-b:a", "192k"], "in.mkv", True, 24, id="aac-mkv"),
    pytest.param(["-c:a", "libmp3lame", "-b:a", "192k"], "in.mp4", True, 1, id="mp3-mp4"),
    pytest.param(["-c:a", "ac3", "-b:a", "256k"], "in.mp4", True, 1, id="ac3-mp4"),
    pytest.param(["-c:a", "flac"], "in.mkv", False, 24, id="flac-mkv"),
    pytest.param(["-c:a", "alac"], "in.mov", True, 1, id="alac-mov"),
    pytest.param(["-c:a", "libopus", "-b:a", "192k"], "in.mkv", True, 24, id="opus-mkv"),
    pytest.param(["-c:a", "pcm_s16le"], "in.mov", False, 1, id="pcm-mov"),
    pytest.param(["-c:a", "pcm_s16le"], "in.mkv", False, 24, id="pcm-mkv"),
    pytest.param(["-c:a", "libvorbis", "-q:a", "8"], "in.mkv", False, 24, id="vorbis-mkv"),
]


@pytest.mark.parametrize(("codec", "name", "copied", "tolerance"), SOURCES)
def test_sound_is_where_the_source_has_it(
    make: Make, tmp_path: Path, codec: list[str], name: str, copied: bool, tolerance: int
) -> None:
    """Each clip's sound, against the source's own decode, lies at the clip's start."""
    counter_video(tmp_path / "silent.mp4", *steady(200, 25))
    add_sound(tmp_path / "silent.mp4", noise(8), tmp_path / name, *codec)
    made = make(tmp_path / name, clip_len_s=2, clip_stride_s=1.3)
    source = heard(tmp_path / name)
    video = made.source.video
    # `heard` starts at the first sound; the spans count from the first picture.
    offset = round(float(_start(tmp_path / name)) * RATE)
    assert len(made.clips) >= 5
    for record in made.clips:
        assert record.audio is not None
        assert record.audio["copied"] is copied
        at = (record.clip.start_pts - video.first_pts) * video.time_base
        end = (record.clip.end_pts - video.first_pts) * video.time_base
        expected = source[max(0, round(at * RATE) - offset) : round(end * RATE) - offset]
        if len(expected) < RATE // 2:
            continue
        clip = heard(Path(record.location or ""))
        late = max(0, offset - round(at * RATE))
        assert abs(lag(expected, clip) - late) <= tolerance
        # It ends with the packet that holds its end: ALAC's are long.
        assert abs(len(clip) - len(expected)) <= (4096 if "alac" in codec else 1200)


def _start(path: Path) -> Fraction:
    """Seconds from the first picture to the first sound that a decoder gives."""
    with av.open(str(path)) as container:
        first = {}
        for stream in (container.streams.video[0], container.streams.audio[0]):
            frame: Any = next(container.decode(stream))
            first[stream.type] = frame.pts * frame.time_base
            container.seek(0)
    return first["audio"] - first["video"]


def test_copied_packets_are_the_sources_own(make: Make, tmp_path: Path) -> None:
    """Copying copies: adjacent clips' sound, joined, is the source's decode without a seam."""
    counter_video(tmp_path / "silent.mp4", *steady(150, 25))
    add_sound(tmp_path / "silent.mp4", noise(6), tmp_path / "in.mp4", "-c:a", "aac", "-b:a", "192k")
    made = make(tmp_path / "in.mp4", clip_len_s=2, clip_stride_s=2)
    source = heard(tmp_path / "in.mp4")
    for record in made.clips:
        clip = heard(Path(record.location or ""))[: 2 * RATE]
        at = record.clip.number * 2 * RATE
        expected = source[at : at + len(clip)]
        # The decoder has settled at the clip's very first sample.
        assert np.max(np.abs(clip[: len(expected)] - expected)) < 1e-3


@pytest.mark.parametrize("depth", ["s16", "s32"])
@pytest.mark.parametrize("rate", ["48000", "44100"])
def test_flac_is_the_sources_sample_for_sample(
    make: Make, tmp_path: Path, rate: str, depth: str
) -> None:
    """From its first to its last sample, with nothing for an edit list to hide.

    Chromium takes a hidden part of a first packet away twice, and FFmpeg 9 with threads takes it
    from the wrong packet where a whole one is hidden before it.
    """
    counter_video(tmp_path / "silent.mp4", *steady(100, 25))
    codec = ["-c:a", "flac", "-ar", rate, "-sample_fmt", depth, "-frame_size", "4608"]
    add_sound(tmp_path / "silent.mp4", noise(4), tmp_path / "in.mp4", *codec)
    made = make(tmp_path / "in.mp4", clip_len_s=1.52, clip_stride_s=1.04)
    source = _samples(tmp_path / "in.mp4")
    for record in made.clips[:2]:
        assert record.audio is not None
        assert (record.audio["codec"], record.audio["copied"]) == ("flac", False)
        begin = round(record.clip.number * 1.04 * int(rate))
        wanted = source[begin : begin + round(1.52 * int(rate))]
        clip = _samples(Path(record.location or ""))
        assert len(clip) == len(wanted)
        assert np.array_equal(clip, wanted)
        with av.open(record.location or "") as container:
            sizes = [(p.pts, p.duration) for p in container.demux(audio=0) if p.size]
            assert sizes[0] == (0, 4096)
            # Samples of 24 bits stay so: few decoders take FLAC of 32.
            assert _flac_bits(container) == {"s16": 16, "s32": 24}[depth]


def test_flac_that_is_damaged(make: Make, tmp_path: Path) -> None:
    """What decodes is in its place; where nothing does, the clip has what the source has."""
    counter_video(tmp_path / "silent.mp4", *steady(75, 25))
    codec = ["-c:a", "flac", "-frame_size", "4608"]
    add_sound(tmp_path / "silent.mp4", noise(3), tmp_path / "in.mp4", *codec)
    with av.open(str(tmp_path / "in.mp4")) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
    data = bytearray((tmp_path / "in.mp4").read_bytes())
    for number in [3, 4, 5, *range(10, 21)]:  # some of the first second, all of the second one
        place, size = packets[number].pos, packets[number].size
        assert place is not None
        data[place : place + size] = bytes(size)
    (tmp_path / "in.mp4").write_bytes(data)
    clips = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1).clips
    assert [(c.audio or {}).get("copied") for c in clips] == [False, True, False]
    source = noise(3)
    first, last = (heard(Path(clips[i].location or "")) for i in (0, 2))
    assert np.max(np.abs(first[: 3 * 4608] - source[: 3 * 4608])) < 1e-6
    assert np.max(np.abs(first[6 * 4608 :] - source[6 * 4608 : 10 * 4608])) < 1e-6
    # FFmpeg takes what is hidden of a packet that it cannot decode from the next one.
    begin = 22 * 4608 - 2 * RATE
    assert np.max(np.abs(last[begin:] - source[2 * RATE + begin :])) < 1e-6


def _flac_bits(container: Any) -> int:
    """Bits of a sample in STREAMINFO (RFC 9639, 8.2): 5 bits after 103."""
    info = bytes(container.streams.audio[0].codec_context.extradata)
    return (int.from_bytes(info, "big") >> (len(info) * 8 - 108) & 31) + 1


def _samples(path: Path) -> np.ndarray:
    """A track as its decoder gives it, of one channel."""
    raw = ffmpeg("-i", path, "-map", "0:a:0", "-f", "s32le", "-ac", "1", "-")
    return np.frombuffer(raw, np.int32)


def test_mp3_has_a_whole_packet_before_one_that_is_hidden_in_part(
    make: Make, tmp_path: Path
) -> None:
    """At the start of a track too, where LAME's delay is hidden: the packet itself once more.

    Chromium takes the hidden part of a first packet away twice; 1105 samples are 23 ms.
    """
    counter_video(tmp_path / "silent.mp4", *steady(75, 25))
    codec = ["-c:a", "libmp3lame", "-b:a", "192k"]
    add_sound(tmp_path / "silent.mp4", noise(3), tmp_path / "in.mp4", *codec)
    source = heard(tmp_path / "in.mp4")
    for record in make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1).clips:
        with av.open(record.location or "") as container:
            first = next(p for p in container.demux(audio=0) if p.size)
        assert first.pts is not None
        assert first.pts + 1152 <= 0
        at = record.clip.number * RATE
        assert lag(source[at : at + RATE], heard(Path(record.location or ""))[:RATE]) == 0
        if at == 0:  # nothing that is heard is decoded otherwise than in the source
            clip = heard(Path(record.location or ""))[:RATE]
            assert np.max(np.abs(clip - source[: len(clip)])) < 1e-4


def test_opus_says_no_second_time_what_to_leave_out(make: Make, tmp_path: Path) -> None:
    """The edit list alone says where sound starts: browsers would also take away the pre-skip."""
    counter_video(tmp_path / "silent.mp4", *steady(75, 25))
    codec = ["-c:a", "libopus", "-b:a", "192k"]
    add_sound(tmp_path / "silent.mp4", noise(3), tmp_path / "in.mkv", *codec)
    with av.open(str(tmp_path / "in.mkv")) as container:
        assert _pre_skip(container) == 312
    for record in make(tmp_path / "in.mkv", clip_len_s=1, clip_stride_s=1).clips:
        with av.open(record.location or "") as container:
            assert _pre_skip(container) == 0


def _pre_skip(container: Any) -> int:
    """Samples that an Opus header (RFC 7845, 5.1) tells a player to leave out."""
    header = bytes(container.streams.audio[0].codec_context.extradata)
    return int.from_bytes(header[10:12], "little")


def test_clips_far_apart_have_their_own_sound(make: Make, tmp_path: Path) -> None:
    """The sound between clips is not read, and none of it is in a clip beyond the preroll."""
    counter_video(tmp_path / "silent.mp4", *steady(300, 25))
    add_sound(
        tmp_path / "silent.mp4", noise(12), tmp_path / "in.mp4", "-c:a", "aac", "-b:a", "192k"
    )
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=5)
    source = heard(tmp_path / "in.mp4")
    assert len(made.clips) == 3
    for record in made.clips:
        clip = heard(Path(record.location or ""))[:RATE]
        at = record.clip.number * 5 * RATE
        assert len(clip) == RATE
        assert np.max(np.abs(clip - source[at : at + RATE])) < 1e-3
        with av.open(record.location or "") as container:
            sound = [p for p in container.demux(audio=0) if p.size and p.time_base]
        assert all(p.dts and float(p.dts * (p.time_base or 1)) > -0.2 for p in sound[:1])


def test_sound_that_starts_late_and_ends_early(make: Make, tmp_path: Path) -> None:
    """A clip before the sound has none; one that it begins in has it in its place."""
    counter_video(tmp_path / "silent.mp4", *steady(150, 25))
    raw = ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-"]
    ffmpeg(*raw, "-c:a", "aac", tmp_path / "voice.m4a", feed=noise(2.5).tobytes())
    ffmpeg(
        *["-i", tmp_path / "silent.mp4", "-itsoffset", "1.5", "-i", tmp_path / "voice.m4a"],
        *["-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "in.mp4"],
    )
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1)
    lengths = [_sound_seconds(Path(c.location or "")) for c in made.clips]
    assert lengths[0] < 0.05  # an encoder's lead-in may reach into it
    assert lengths[1] == pytest.approx(0.5, abs=0.05)
    assert float(_start(Path(made.clips[1].location or ""))) == pytest.approx(0.5, abs=0.03)
    assert lengths[2] == pytest.approx(1, abs=0.03)
    assert lengths[3] == pytest.approx(1, abs=0.03)
    assert max(lengths[4:]) < 0.05
    # Records say of a clip's sound what is in the clip.
    for record in made.clips:
        with av.open(record.location or "") as container:
            assert bool(record.audio) == bool(container.streams.audio)


def _sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return 0
    return len(heard(path)) / RATE


def test_what_mp4_refuses_becomes_aac(make: Make, tmp_path: Path) -> None:
    """MP3 at 8 kHz is MP3, but no muxer puts it into MP4: it is encoded instead."""
    counter_video(tmp_path / "silent.mp4", *steady(50, 25))
    low = ["-c:a", "libmp3lame", "-ar", "8000"]
    add_sound(tmp_path / "silent.mp4", noise(2), tmp_path / "in.mkv", *low)
    made = make(tmp_path / "in.mkv", clip_len_s=1, clip_stride_s=1)
    facts = [c.audio for c in made.clips]
    assert [(f["codec"], f["source_codec"], f["copied"]) for f in facts if f] == [
        ("aac", "mp3", False)
    ] * 2
    assert all(_sound_seconds(Path(c.location or "")) > 0.9 for c in made.clips)


def test_no_audio_by_parameter(make: Make, tmp_path: Path) -> None:
    """`audio` off leaves the track out."""
    counter_video(tmp_path / "silent.mp4", *steady(50, 25))
    add_sound(tmp_path / "silent.mp4", noise(2), tmp_path / "in.mp4", "-c:a", "aac")
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1, audio=False)
    assert [_sound_seconds(Path(c.location or "")) for c in made.clips] == [0, 0]


def two_languages(folder: Path) -> Path:
    """German noise (the default track) and English noise; 48 kHz, AAC and Vorbis."""
    counter_video(folder / "silent.mp4", *steady(150, 25))
    for name, seed in (("de", 1), ("en", 2)):
        (folder / name).write_bytes(noise(6, seed).tobytes())
    raw = ["-f", "f32le", "-ar", str(RATE), "-ac", "1"]
    ffmpeg(
        *["-i", folder / "silent.mp4", *raw, "-i", folder / "de", *raw, "-i", folder / "en"],
        *["-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "copy", "-c:a:0", "aac"],
        *["-c:a:1", "libvorbis", "-q:a", "8", "-metadata:s:a:0", "language=ger"],
        *["-metadata:s:a:1", "language=eng", "-disposition:a:0", "default", folder / "in.mkv"],
    )
    return folder / "in.mkv"


@pytest.mark.parametrize(
    ("track", "seed", "note"),
    [("", 1, None), ("eng", 2, None), ("EN", 2, None), ("deu", 1, None), ("2", 2, None),
     ("fra", 1, "there is no audio track fra: it is the default one"),
     ("3", 1, "there is no audio track 3: it is the default one")],
)  # fmt: skip
def test_the_track_that_is_asked_for(
    make: Make, tmp_path: Path, track: str, seed: int, note: str | None
) -> None:
    """By its language or its number; without it the default one, and the record says so."""
    made = make(two_languages(tmp_path), clip_len_s=2, clip_stride_s=2, audio_track=track)
    for record in made.clips:
        assert record.audio is not None
        assert record.audio.get("note") == note
        assert record.audio["language"] == ("ger" if seed == 1 else "eng")
        at = record.clip.number * 2 * RATE
        expected = noise(6, seed)[at : at + 2 * RATE]
        assert abs(lag(expected, heard(Path(record.location or "")))) <= 24


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(("name", "codec"), [("in.mp4", "aac"), ("in.mkv", "pcm_s16le")])
@pytest.mark.parametrize("split", [Execution(), Execution(num_clips_per_chunk=1)], ids=["1", "n"])
def test_sound_of_another_rate_is_where_it_was(
    make: Make, tmp_path: Path, rate: int, name: str, codec: str, split: Execution
) -> None:
    """Overlapping clips, however the work is split: at the clip's start, as long as the clip."""
    counter_video(tmp_path / "silent.mp4", *steady(150, 25))
    low = low_noise(6)
    add_sound(tmp_path / "silent.mp4", low, tmp_path / name, "-c:a", codec)
    made = make(
        tmp_path / name, execution=split, clip_len_s=2, clip_stride_s=1.3,
        audio_sample_rate=rate, audio_channels=1,
    )  # fmt: skip
    for record in made.clips:
        assert record.audio is not None
        facts = record.audio
        assert (facts["codec"], facts["sample_rate"], facts["channels"]) == ("aac", rate, 1)
        video = made.source.video
        at = round((record.clip.start_pts - video.first_pts) * video.time_base * RATE)
        clip = heard(Path(record.location or ""))
        # Two samples of 48 kHz are less than one of 16 kHz.
        assert abs(lag(low[at : at + 2 * RATE], clip)) <= (24 if name == "in.mkv" else 3)
        length = float(record.duration or 0)
        assert abs(len(clip) / RATE - min(length, 6 - at / RATE)) <= 1024 / rate


@pytest.mark.parametrize("rate", [0, 16_000])
def test_sound_beside_a_variable_rate(make: Make, tmp_path: Path, rate: int) -> None:
    """Of clips whose frames lie anywhere, in a file that begins at 7 s; the sound ends earlier."""
    chance = random.Random(2)
    pts = [0]
    while pts[-1] < 6000:
        pts.append(pts[-1] + chance.choice([16, 33, 120, 400]))
    counter_video(tmp_path / "silent.mkv", pts, Fraction(1, 1000))
    low = low_noise(4)
    late = ["-c:a", "pcm_s16le", "-output_ts_offset", "7"]
    add_sound(tmp_path / "silent.mkv", low, tmp_path / "in.mkv", *late)
    made = make(
        tmp_path / "in.mkv", frames=12, frame_stride=9, audio_sample_rate=rate,
        execution=Execution(num_clips_per_chunk=2),
    )  # fmt: skip
    video = made.source.video
    compared = 0
    for record in made.clips:
        begin = (record.start_pts - video.first_pts) * video.time_base
        end = begin + (record.duration or 0)
        clip = heard(Path(record.location or "")) if record.audio else np.zeros(0)
        expected = low[round(begin * RATE) : round(end * RATE)]
        assert abs(len(clip) - len(expected)) <= 1024 * 3
        if len(expected) > RATE // 2:
            compared += 1
            assert abs(lag(expected, clip)) <= 2
    assert compared >= 3


def test_a_video_without_sound_has_none(make: Make, tmp_path: Path) -> None:
    """Whatever is asked for."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25))
    wish = {"audio": "aac", "audio_sample_rate": 16_000, "audio_channels": 2, "audio_track": "en"}
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1, **wish)
    assert [(c.audio, c.errors) for c in made.clips] == [(None, ())] * 2


def low_noise(seconds: float) -> np.ndarray:
    """Noise that a sample rate of 16 kHz holds as well: nothing above 4 kHz."""
    sound = noise(seconds)
    spectrum = np.fft.rfft(sound)
    spectrum[int(4000 * seconds) :] = 0
    return (3 * np.fft.irfft(spectrum, len(sound))).astype(np.float32)


def test_surround_becomes_mono_and_stereo(make: Make, tmp_path: Path) -> None:
    """A tone in the centre is heard in both; what is mixed down is told."""
    counter_video(tmp_path / "silent.mp4", *steady(50, 25))
    sound = np.zeros((2 * RATE, 6), np.float32)
    sound[:, 2] = low_noise(2)
    add_channels(tmp_path / "silent.mp4", sound, tmp_path / "in.mkv", "-c:a", "flac")
    for channels, layout in ((1, "mono"), (2, "stereo")):
        made = make(tmp_path / "in.mkv", clip_len_s=1, clip_stride_s=1, audio_channels=channels)
        for record in made.clips:
            assert record.audio is not None
            facts = record.audio
            assert (facts["channels"], facts["layout"]) == (channels, layout)
            assert facts["note"] == f"5.1 mixed down to {layout}, as asked"
            at = record.clip.number * RATE
            clip = heard(Path(record.location or ""))
            assert abs(lag(sound[at : at + RATE, 2], clip)) <= 24
            assert np.std(clip) > 0.1 * np.std(sound[:, 2])


def test_sound_that_is_as_wished_is_copied(make: Make, tmp_path: Path) -> None:
    """And only what differs is encoded: the rate, the channels, or any other codec with `aac`."""
    counter_video(tmp_path / "silent.mp4", *steady(50, 25))
    for codec, wish, copied in (
        ("aac", {"audio_sample_rate": RATE, "audio_channels": 1}, True),
        ("aac", {"audio_channels": 2}, False),
        ("aac", {"audio": "aac"}, True),
        ("ac3", {"audio": "aac"}, False),
        ("ac3", {"audio": True}, True),
    ):
        add_sound(tmp_path / "silent.mp4", noise(2), tmp_path / "in.mp4", "-c:a", codec)
        made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1, **wish)
        assert {c.audio["copied"] for c in made.clips if c.audio} == {copied}, (codec, wish)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("in.mp4", "aac"), ("in.mkv", "pcm_s16le"), ("in.mp4", "ac3"), ("in.mkv", "libopus")],
)
@pytest.mark.parametrize("split", [Execution(), Execution(num_clips_per_chunk=1)], ids=["1", "n"])
def test_opus_begins_and_ends_with_the_clip(
    make: Make, tmp_path: Path, name: str, codec: str, split: Execution
) -> None:
    """Overlapping clips, however the work is split; what is Opus already is copied."""
    counter_video(tmp_path / "silent.mp4", *steady(150, 25))
    sound = noise(6)
    add_sound(tmp_path / "silent.mp4", sound, tmp_path / name, "-c:a", codec)
    made = make(
        tmp_path / name, execution=split, clip_len_s=2, clip_stride_s=1.3, audio="opus",
    )  # fmt: skip
    assert len(made.clips) == 5
    for record in made.clips:
        assert record.audio is not None
        facts = record.audio
        assert (facts["codec"], facts["sample_rate"]) == ("opus", RATE)
        assert facts["copied"] is (codec == "libopus")
        video = made.source.video
        at = round((record.clip.start_pts - video.first_pts) * video.time_base * RATE)
        clip = heard(Path(record.location or ""))
        assert abs(lag(sound[at : at + 2 * RATE], clip)) <= (24 if name == "in.mkv" else 1)
        length = float(record.duration or 0)
        assert abs(len(clip) / RATE - min(length, 6 - at / RATE)) <= 960 / RATE


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_opus_of_another_rate_and_of_surround(make: Make, tmp_path: Path, rate: int) -> None:
    """Resampled to 48 kHz where it was; 4.0, for which Opus has no number, becomes 5.0."""
    counter_video(tmp_path / "silent.mp4", *steady(100, 25))
    low = low_noise(4)
    more = ["-c:a", "pcm_s16le", "-ar", str(rate), "-ac", "1"]
    add_sound(tmp_path / "silent.mp4", low, tmp_path / "in.mkv", *more)
    made = make(tmp_path / "in.mkv", clip_len_s=2, clip_stride_s=1, audio="opus")
    for record in made.clips:
        assert record.audio is not None
        assert (record.audio["sample_rate"], record.audio["channels"]) == (RATE, 1)
        at = record.clip.number * RATE
        clip = heard(Path(record.location or ""))
        if rate > 8_000:
            assert abs(lag(low[at : at + 2 * RATE], clip)) <= 24
    channels = np.stack([low] * 4, axis=1)
    layout = ["-c:a", "flac", "-channel_layout", "4.0"]
    add_channels(tmp_path / "silent.mp4", channels, tmp_path / "four.mkv", *layout)
    made = make(tmp_path / "four.mkv", clip_len_s=2, clip_stride_s=2, audio="opus")
    for record in made.clips:
        assert record.audio is not None
        assert (record.audio["channels"], record.audio["layout"]) == (5, "5.0")
        with av.open(record.location or "") as container:
            assert container.streams.audio[0].layout.name.startswith("5.0")
