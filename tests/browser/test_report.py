"""report.html in headless Chromium: it opens anywhere, finds, plays, and asks nobody else."""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Page

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.run.progress import Snapshot
from clipping.run.report import LiveReport
from clipping.run.tally import Tally
from clipping.storage.outputs import open_output
from tests.support.browser import browser
from tests.support.damage import flip_bits, gop_video
from tests.support.many_clips import many_clips
from tests.support.media import counter_video, number_in, steady
from tests.support.real_run import real_run

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = Path(os.environ.get("CLIPPING_SCREENSHOTS", ROOT / "build" / "screenshots"))
START = """<script>alert(1)<img src=x onerror=alert(2)> "double" 'single' & """
EVIL = f"{START}{'w' * (240 - len(START) - 4)}.mp4"
EVIL_PAGE = """<b onclick='alert(3)'>"page".mp4"""
READY = "document.getElementById('found').textContent.includes('video')"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a real run makes of good, damaged, gappy and useless videos, some with evil names."""
    folder = tmp_path_factory.mktemp("report")
    videos = folder / "videos"
    videos.mkdir()
    counter_video(videos / "counter.mp4", *steady(100, 25), size=(320, 192))
    counter_video(videos / EVIL, *steady(50, 25))
    pts, time_base = steady(200, 25)
    counter_video(videos / "gap.mp4", [p for p in pts if not 40 <= p < 140], time_base)
    flipped = flip_bits(
        gop_video(folder, "h264"), [(2, 11, 1), *((4, place, place) for place in range(12))]
    )
    flipped.rename(videos / "damaged.mp4")
    for name in ("page.mp4", "other page.mp4", EVIL_PAGE):
        (videos / name).write_text("<html>404</html>")
    (videos / "empty.mov").touch()
    recipe = Recipe(clip_len_s=1, clip_stride_s=1, min_clip_length_s=1, preset="ultrafast")
    real_run(RunConfig(recipe, Execution(), (str(videos),), str(folder / "out")))
    return folder / "out"


@dataclass
class Seen:
    """A page, with all that a test may hold against it."""

    page: Page
    home: str
    messages: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def elsewhere(self) -> list[str]:
        """What was asked for outside the output."""
        return [url for url in self.asked if not url.startswith((self.home, "data:"))]

    @property
    def films(self) -> list[str]:
        """The clips that were asked for."""
        return [url for url in self.asked if url.endswith(".mp4")]

    def names(self) -> list[str]:
        """The videos that are shown."""
        return self.page.locator(".video h3").all_text_contents()

    def found(self) -> str:
        return self.page.text_content("#found") or ""

    def wait_for(self, text: str) -> None:
        """Until the line above the list says so."""
        condition = "text => document.getElementById('found').textContent === text"
        self.page.wait_for_function(condition, arg=text)


def opened(
    chromium: Browser, home: str, *, width: int = 1280, scheme: str = "light", wait: str = READY
) -> Seen:
    """The report of the output at `home`, when it shows its videos."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(15_000)
    seen = Seen(page, home)
    page.on("console", lambda message: seen.messages.append(message.text))
    page.on("pageerror", lambda error: seen.messages.append(str(error)))
    page.on("dialog", lambda dialog: seen.messages.append(dialog.message))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(f"{home}/report.html")
    page.wait_for_function(wait)
    return seen


@pytest.fixture
def seen(chromium: Browser, output: Path) -> Iterator[Seen]:
    """The report, opened from its folder; at the end nobody was asked and nothing complained."""
    shown = opened(chromium, output.as_uri())
    yield shown
    assert (shown.messages, shown.elsewhere) == ([], [])
    shown.page.close()


def test_it_opens_from_a_folder_and_tells_what_the_run_was(seen: Seen) -> None:
    """The sums add up, failures stand by reason, the most frequent first, with their names."""
    page = seen.page
    text = page.inner_text("body")
    assert "Clips of 1 s every 1 s, encoded by libx264 (quality 21, preset ultrafast)" in text
    assert "8\n4 clipped + 0 without clips + 4 failed" in text
    assert "22\n18 written + 1 failed + 3 absent" in text
    assert "18 clips made; 0 were there already" in text
    first, second, third, *_ = page.locator(".groups > li").all()
    assert "3 videos" in first.inner_text()
    assert "an HTML page" in first.inner_text()
    assert first.locator(".names a").all_text_contents() == [
        EVIL_PAGE, "other page.mp4", "page.mp4",
    ]  # fmt: skip
    assert "1 video" in second.inner_text()
    assert "the file is empty" in second.inner_text()
    assert "1 clip" in third.inner_text()
    assert "lost or damaged" in third.inner_text()
    assert page.locator(".charts svg").count() == 4
    assert page.locator(".charts rect title").first.text_content()
    assert seen.films == [], "no clip is loaded before somebody wants to see it"


def test_it_opens_from_a_web_server_in_a_folder_below(chromium: Browser, output: Path) -> None:
    """As from a bucket: all links are relative."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet.of(output.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        seen = opened(chromium, f"http://127.0.0.1:{server.server_port}/out")
        seen.page.locator(".clip img").first.scroll_into_view_if_needed()
        seen.page.locator(".clip.written").first.click()
        seen.page.wait_for_function("document.querySelector('dialog video').currentTime > 0.1")
        assert (seen.messages, seen.elsewhere) == ([], [])
        assert len(seen.films) >= 1
        seen.page.close()
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    folder = ""

    @classmethod
    def of(cls, folder: Path) -> type[_Quiet]:
        return type("_Serving", (cls,), {"folder": str(folder)})

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, directory=self.folder)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def test_names_are_text(seen: Seen) -> None:
    """With markup, quotes and 240 letters, in the list of failures, in the list and on a clip."""
    page = seen.page
    assert len(EVIL) == 240
    assert seen.names() == sorted([EVIL, EVIL_PAGE, "counter.mp4", "damaged.mp4", "empty.mov",
                                   "gap.mp4", "other page.mp4", "page.mp4"])  # fmt: skip
    page.get_by_role("link", name=EVIL_PAGE).click()
    seen.wait_for("1 video, 0 clips")
    assert seen.names() == [EVIL_PAGE]
    page.fill("#find", EVIL)
    seen.wait_for("1 video, 2 clips")
    page.locator(".clip").first.click()
    assert page.text_content("#player-title") == f"{EVIL} #0"
    alt = page.locator(".clip img").first.get_attribute("alt")
    assert alt == f"First picture of clip 0 of {EVIL}"
    assert page.locator("img[src=x], .video script, b[onclick]").count() == 0


def test_it_finds_filters_and_sorts(seen: Seen, output: Path) -> None:
    """By name, by what became of it, by the id of a clip; the worst, longest and largest first."""
    page = seen.page
    page.fill("#find", "COUNT")
    seen.wait_for("1 video, 4 clips")
    assert seen.names() == ["counter.mp4"]
    page.fill("#find", "no such name")
    seen.wait_for("Nothing like that is here.")
    page.fill("#find", "")
    for status, names in {
        "failed": [EVIL_PAGE, "damaged.mp4", "empty.mov", "other page.mp4", "page.mp4"],
        "absent": ["gap.mp4"],
        "damaged": ["damaged.mp4"],
        "stale": [],
    }.items():
        page.select_option("#status", status)
        page.wait_for_function(f"document.querySelectorAll('.video').length === {len(names)}")
        assert seen.names() == names
    page.select_option("#status", "absent")
    page.wait_for_selector(".clip.absent")
    assert page.locator(".clip").count() == 1, "consecutive ones are one"
    assert "#2–4" in page.locator(".clip").inner_text()
    page.select_option("#status", "")
    page.select_option("#sort", "damage")
    assert seen.names()[:5][-1] == "damaged.mp4", "after the four that gave nothing"
    page.select_option("#sort", "length")
    assert seen.names()[:2] == ["damaged.mp4", "gap.mp4"]
    page.select_option("#view", "clips")
    page.select_option("#sort", "size")
    page.wait_for_selector("#list.grid .clip")
    shown = page.locator(".clip").evaluate_all("cards => cards.map(c => c.dataset.clip)")
    sizes = {p.stem: p.stat().st_size for p in (output / "clips").iterdir()}
    assert set(sizes) <= set(shown)
    assert [sizes[i] for i in shown if i in sizes] == sorted(sizes.values(), reverse=True)
    clip = shown[3]
    page.fill("#find", clip)
    page.wait_for_function("document.querySelectorAll('.clip').length === 1")
    assert page.locator(".clip").get_attribute("data-clip") == clip


def test_the_time_line_shows_what_became_of_a_video(seen: Seen) -> None:
    """Each clip in its place, with its state; gaps, overlaps and the rest stand in words, too."""
    page = seen.page
    gap = page.locator(".strip[aria-label*='gap.mp4']")
    assert gap.get_attribute("aria-label") == (
        "Time line of gap.mp4: 1 absent, 5 written, no gap, no overlap"
    )
    kinds = gap.locator("rect").evaluate_all("r => r.map(e => e.getAttribute('class'))")
    assert kinds == ["written", "written", "absent", "written", "written", "written"]
    width = gap.locator("rect.absent").evaluate("r => r.getAttribute('width')")
    assert abs(float(width) - 3000 / 8) < 1
    damaged = page.locator(".strip[aria-label*='damaged.mp4'] rect")
    kinds = damaged.evaluate_all("r => r.map(e => e.getAttribute('class'))")
    assert {"failed", "damaged", "written"} == set(kinds)
    assert len(kinds) == 8


def shown_number(page: Page, film: str) -> int:
    """The number in the picture that a video element shows."""
    page.locator(film).evaluate(
        """film => { film.controls = false; film.style.cssText =
           `width:${film.videoWidth}px;height:${film.videoHeight}px;max-height:none` }"""
    )
    with av.open(io.BytesIO(page.locator(film).screenshot()), "r") as picture:
        frame = next(picture.decode(video=0))
        return number_in(frame.to_ndarray(format="gray"))


def test_a_clip_plays_and_its_first_picture_is_the_right_one(seen: Seen) -> None:
    """By a tap, in the player: the frame with the number that the clip begins with."""
    page = seen.page
    page.fill("#find", "counter")
    seen.wait_for("1 video, 4 clips")
    page.locator(".clip").nth(2).click()
    page.wait_for_function("document.querySelector('dialog video').currentTime > 0.2")
    assert page.text_content("#player-title") == "counter.mp4 #2"
    page.locator("dialog video").evaluate(
        """film => new Promise(done => { film.pause(); film.onseeked = () =>
           requestAnimationFrame(() => requestAnimationFrame(done)); film.currentTime = 0 })"""
    )
    assert shown_number(page, "dialog video") == 50
    facts = page.inner_text("dialog .facts")
    for fact in ("25, from number 50", "320×192 h264", "1 s, 25 frames/s", "libx264"):
        assert fact in facts
    assert page.locator("#file").get_attribute("href", timeout=1000).startswith("clips/")  # type: ignore[union-attr]


def test_a_clip_plays_under_the_mouse(seen: Seen) -> None:
    """Silent, and gone when the mouse is."""
    page = seen.page
    page.locator(".clip.written").first.hover()
    page.wait_for_function("document.querySelector('.clip video')?.currentTime > 0.1")
    assert page.evaluate("document.querySelector('.clip video').muted")
    page.mouse.move(0, 0)
    page.wait_for_function("!document.querySelector('.clip video')")


def test_it_is_used_with_the_keyboard_alone(seen: Seen) -> None:
    """Skip to the clips, tab to one, play it, go on to the next, close it: the focus is back."""
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "view"
    page.keyboard.press("Tab")
    assert "clip" in page.evaluate("document.activeElement.className")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    before = page.text_content("#player-title")
    page.locator("#after").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("t => document.getElementById('player-title').textContent !== t",
                           arg=before)  # fmt: skip
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    assert "clip" in page.evaluate("document.activeElement.className")


def test_everything_has_a_name_for_a_screen_reader(seen: Seen) -> None:
    """Pictures have words, controls have labels, the page has one title and one language."""
    page = seen.page
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    for control in page.locator("input, select, button:visible, a:visible").all():
        name = control.evaluate(
            "e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim()"
        )
        assert name, control.evaluate("e => e.outerHTML")
    assert page.locator("svg:not([role=img]), svg:not([aria-label])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen(width: int, scheme: str, chromium: Browser, output: Path) -> None:
    """Nothing is wider than the screen; screenshots are kept for people to look at."""
    seen = opened(chromium, output.as_uri(), width=width, scheme=scheme)
    page = seen.page
    page.add_style_tag(content=".video { content-visibility: visible !important }")
    page.wait_for_function("document.querySelectorAll('.video .grid').length === 4")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Lazy pictures come when they are near.
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth)")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{width}-{scheme}.png", full_page=True)
    page.locator(".clip.written").first.click()
    page.wait_for_function("document.querySelector('dialog video').currentTime > 0.1")
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    page.screenshot(path=SCREENSHOTS / f"player-{width}-{scheme}.png")
    assert (seen.messages, seen.elsewhere) == ([], [])
    page.close()


def test_a_report_that_has_changed_meanwhile_says_so(
    chromium: Browser, output: Path, tmp_path: Path
) -> None:
    """A page whose data are gone asks to be loaded again, instead of showing half of it."""
    copy = shutil.copytree(output, tmp_path / "out")
    seen = opened(chromium, copy.as_uri())
    for path in (copy / "report").glob("clips-*.js"):
        path.unlink()
    seen.page.reload()
    seen.page.select_option("#view", "clips")
    seen.page.wait_for_function("document.getElementById('found').textContent.includes('cannot')")
    assert "Load the page again" in seen.found()
    seen.page.close()


def test_ten_thousand_clips_are_shown_bit_by_bit(chromium: Browser, tmp_path: Path) -> None:
    """It begins with the first few, loads what is scrolled to, and has them all in the end."""
    many_clips(tmp_path, 2500, 4)
    seen = opened(chromium, tmp_path.as_uri())
    assert seen.found() == "2,500 videos, 10,000 clips"
    page = seen.page
    page.wait_for_selector(".clip")
    assert page.evaluate("document.querySelectorAll('*').length") < 5_000
    assert len([url for url in seen.asked if "/clips-" in url]) == 1
    shown = len(seen.names())
    page.evaluate("window.scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    page.wait_for_function(f"document.querySelectorAll('.video').length > {shown}")
    page.select_option("#status", "failed")
    page.select_option("#view", "clips")
    failed = len((tmp_path / "failures.csv").read_text().splitlines()) - 1
    page.wait_for_function(
        "n => document.getElementById('found').textContent.startsWith(`${n} clips of`)",
        arg=failed,
    )
    assert (seen.messages, seen.elsewhere) == ([], [])
    page.close()


def test_many_videos_are_shown_in_parts(chromium: Browser, tmp_path: Path) -> None:
    """Nothing of them is loaded until one is chosen, or a name is looked for."""
    many_clips(tmp_path, 41_000, 1)
    seen = opened(
        chromium, tmp_path.as_uri(), wait="document.querySelectorAll('.ranges li').length"
    )
    page = seen.page
    assert page.locator(".ranges li").count() == 3
    assert "20,000 videos, " in page.locator(".ranges li").first.inner_text()
    assert not [url for url in seen.asked if "/videos-" in url]
    page.locator(".ranges a").last.click()
    seen.wait_for("1,000 videos, 1,000 clips")
    assert len([url for url in seen.asked if "/videos-" in url]) == 1
    page.goto(f"{tmp_path.as_uri()}/report.html")
    page.fill("#find", "video 0000123")
    seen.wait_for("1 video, 1 clip")
    assert len([url for url in seen.asked if "/videos-" in url]) == 21 + 1
    assert (seen.messages, seen.elsewhere) == ([], [])
    page.close()


def test_a_run_at_work_is_seen_on_the_page(chromium: Browser, tmp_path: Path) -> None:
    """How far it is, what failed, its newest clips; before anything is finished, too."""
    config = RunConfig(Recipe(), Execution(previews=False), output=str(tmp_path / "out"))
    tally = Tally()
    tally.newest.append(
        {"clip": "0" * 8, "source": "a <b>.mp4", "number": 3, "start_s": 30.0, "end_s": 40.0,
         "duration_s": 10.0, "start_frame": 0, "frames": 250, "damaged_frames": 0, "fps": 25.0,
         "width": 320, "height": 180, "bytes": 1000, "encoder": "libx264", "video_codec": "h264",
         "audio_codec": None, "errors": None, "failure_kind": None, "recipe_digest": "abc"}
    )  # fmt: skip

    class Silent:
        def show(self, snapshot: Snapshot) -> None: ...
        def say(self, lines: list[str]) -> None: ...

    with LiveReport(Silent(), open_output(config.output), tally, config) as view:
        view.show(Snapshot(videos=4, videos_opened=4, planned=14, share=0.5, done=7))
    seen = opened(
        chromium, (tmp_path / "out").as_uri(), wait="!document.getElementById('now').hidden"
    )
    text = seen.page.inner_text("#now")
    assert "A run is at work: 7 of 14 clips" in text
    assert "a <b>.mp4" in text
    assert "Nothing is finished yet." in seen.found()
    assert seen.page.locator("#now progress").get_attribute("value") == "0.5"
    assert (seen.messages, seen.elsewhere) == ([], [])
    seen.page.close()
