"""The command line: `clip-videos`, `python -m clipping`, `python flows/clip_flow.py`."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

import psutil
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console

from clipping.config.execution import Execution
from clipping.config.load import Settings, resolve
from clipping.config.recipe import Recipe
from clipping.dataset.resume import earlier_record, finished_source
from clipping.errors import ClippingError, UsageError
from clipping.run.progress import Snapshot, shown_on
from clipping.storage.addresses import is_remote
from clipping.storage.discover import check_input, find_sources
from clipping.storage.outputs import open_output

__all__ = ["main", "parse"]

_USAGE, _FAILED, _INTERRUPTED = 2, 1, 130
_SOURCES_LOOKED_AT = 100


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (--help lists all flags)")


def _flags(parser: argparse.ArgumentParser, title: str, model: type[BaseModel], names: Any) -> None:
    group = parser.add_argument_group(title)
    for name in names:
        field = model.model_fields[name]
        flag = f"--{name.replace('_', '-')}"
        default = field.get_default(call_default_factory=True)
        text = (field.description or "").replace("%", "%%")
        if field.annotation is bool:
            group.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None,
                help=f"{text} (default: {'on' if default else 'off'})",
            )  # fmt: skip
        elif isinstance(default, list):
            shown = f" (default: {' '.join(default)})" if default else ""
            group.add_argument(
                flag, action="append", default=None, metavar=_metavar(name, field),
                help=f"{text}{shown}",
            )  # fmt: skip
        else:
            shown = f" (default: {default})" if default not in (None, "") else ""
            choices = get_args(field.annotation) if _is_literal(field) else None
            group.add_argument(
                flag, default=None, choices=choices,
                metavar=None if choices else _metavar(name, field), help=f"{text}{shown}",
            )  # fmt: skip


def _is_literal(field: FieldInfo) -> bool:
    from typing import Literal

    return get_origin(field.annotation) is Literal


def _metavar(name: str, field: FieldInfo) -> str:
    if name in ("input", "output", "scratch_dir", "ffmpeg_binary"):
        return "PATH"
    if name.endswith("_s"):
        return "SECONDS"
    return "NUMBER" if field.annotation in (int, float) else "VALUE"


def parse(argv: Sequence[str], program: str = "clip-videos") -> Settings:
    """Settings from flags over the environment over `.env`. Raises UsageError."""
    parser = _Parser(
        prog=program,
        description="Cut videos into fixed-stride clips, frame-exact, and transcode each to a"
        " standard MP4. Run it again to go on where it stopped.",
        epilog="Every flag is also an environment variable (--clip-len-s: CLIPPING_CLIP_LEN_S),"
        " which may stand in a .env file; the flag wins.",
        allow_abbrev=False,
    )
    mine = [
        n
        for n in Settings.model_fields
        if n not in {**Recipe.model_fields, **Execution.model_fields}
    ]
    _flags(parser, "input and output", Settings, mine)
    _flags(
        parser,
        "recipe: what decides the content of a clip",
        Recipe,
        Recipe.model_fields,
    )
    _flags(parser, "execution: where and how", Execution, Execution.model_fields)
    given = {k: v for k, v in vars(parser.parse_args(argv)).items() if v is not None}
    return resolve(**given)


def main(argv: Sequence[str] | None = None, *, program: str = "clip-videos") -> int:
    """Run the command line; the exit status: 0 done, 1 something failed, 2 wrong usage.

    program: what it was called as, for its messages.
    """
    try:
        settings = parse(sys.argv[1:] if argv is None else argv, program)
        return _run(settings)
    except UsageError as error:
        print(f"{program}: {error.message}", file=sys.stderr)
        return _USAGE
    except ClippingError as error:
        print(f"{program}: {error.kind.value}: {error.message}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print(
            "\nStopped. What is finished stays; run the same command again to go on.",
            file=sys.stderr,
            flush=True,
        )
        # At once: imports that Ctrl-C cut in half would hang or complain on the way out.
        _end_children()
        os._exit(_INTERRUPTED)


def _end_children() -> None:
    """End everything that descends from this process, the server and a half-started Ray."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()


def _run(settings: Settings) -> int:
    from clipping.run.sample import make_sample

    output = open_output(settings.output)
    if settings.merge_manifests:
        from clipping.dataset.merge import merge_manifests

        print(merge_manifests(output))
        return 0
    if not settings.input:
        sample = make_sample(Path("sample"), settings.execution)
        print(f"No --input: clipping a sample made for this, {sample}", file=sys.stderr)
        settings = settings.model_copy(update={"input": [str(sample)]})
    # A wrong path should not have to wait for a server and a cluster.
    for given in settings.input:
        check_input(given)
    if settings.dry_run:
        from clipping.run.dry_run import describe

        for line in describe(settings):
            print(line)
        return 0
    _quiet(settings.verbose)
    return _run_flow(settings)


def _quiet(verbose: bool) -> None:
    """Keep Prefect's and Ray's own chatter off the screen; the API records it all the same."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_CLI_COLORS", "false")
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")


def _run_flow(settings: Settings) -> int:
    from clipping.orchestration.local_server import api

    with ExitStack() as stack:
        view = stack.enter_context(shown_on(Console(stderr=True)))
        view.show(Snapshot(phase="starting"))
        stack.enter_context(api(meanwhile=lambda: _start_ray(settings, stack)))
        from prefect.exceptions import FailedRun

        from clipping.orchestration.flow import clip_flow

        state: Any = clip_flow(
            input=[_everywhere(i) for i in settings.input],
            output=_everywhere(settings.output),
            recipe=settings.recipe,
            execution=settings.execution,
            return_state=True,
        )
    if state.is_completed():
        return 0
    error = state.result(raise_on_failure=False)
    if isinstance(error, ClippingError):
        raise error
    if isinstance(error, BaseException) and not isinstance(error, FailedRun):
        raise ClippingError(f"{type(error).__name__}: {error} (--verbose shows where)") from error
    return _FAILED


def _everywhere(path: str) -> str:
    """A path as it is from any working directory; a URI as it stands."""
    return path if is_remote(path) else str(Path(path.removeprefix("file://")).absolute())


def _has_work(settings: Settings) -> bool:
    """Whether Ray will be needed, by a look at the first sources."""
    if any(is_remote(uri) for uri in (*settings.input, settings.output)):
        return True  # to find out takes as long as to start Ray
    output, digest = open_output(settings.output), settings.recipe.digest()
    found = find_sources(settings.input, settings.extensions, settings.output, settings.shard)
    sizes = output.sizes("clips")
    return any(
        finished_source(
            output,
            earlier_record(output, file.key),
            file,
            digest,
            settings.num_clips_per_chunk,
            sizes,
            retry_failed=settings.retry_failed,
        )
        is None
        for file in found.sources[:_SOURCES_LOOKED_AT]
    )


def _start_ray(settings: Settings, stack: ExitStack) -> None:
    """Start Ray, if there is work for it; the flow joins it."""
    if not _has_work(settings):
        return
    from clipping.cluster import encoder_survey as nvenc
    from clipping.cluster import placement as lanes
    from clipping.cluster import ray_session
    from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
    from clipping.orchestration import WORKER_MODULES

    # What runs a program comes first: the threads of a Ray client (gRPC) do not bear a fork.
    ffmpeg_version(ffmpeg_path(settings.execution))
    nvenc.require_here(settings)
    try:
        if ray_session.start(
            settings.ray_address,
            tags=lanes.tags(settings),
            verbose=settings.talks,
            preload=WORKER_MODULES,
        ):
            stack.callback(ray_session.stop)
    except KeyboardInterrupt:
        _end_children()
        raise
