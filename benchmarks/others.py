"""Other people's packages, each in a virtual environment of its own beside this file.

They stay out of the project's lock file: they are installed when first asked for, by
`--with-nemo` and `--with-pyscenedetect`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NEMO", "PYSCENEDETECT", "Package", "add_flags", "chosen"]


@dataclass(frozen=True)
class Package:
    """What is installed and what it takes; `without` are requirements that are left out."""

    flag: str
    title: str
    size: str
    requirements: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The virtual environment."""
        return Path(__file__).parent / "environments" / self.flag.removeprefix("--with-")

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.folder / "bin" / "python")

    def install(self) -> None:
        """Make the environment unless it is there with these requirements.

        Ends the program with uv's last words if it cannot be made.
        """
        note = self.folder / "installed.txt"
        wanted = "\n".join([*self.requirements, *(f"without {name}" for name in self.without)])
        if note.exists() and note.read_text() == wanted:
            return
        print(f"Installing {self.title} into {self.folder} ({self.size}) …", file=sys.stderr)
        _uv("venv", "--clear", "--python", sys.executable, str(self.folder))
        with tempfile.TemporaryDirectory() as folder:
            overrides = Path(folder) / "overrides.txt"
            overrides.write_text("".join(f"{n}; sys_platform == 'never'\n" for n in self.without))
            _uv(
                *["pip", "install", "--python", self.python, "--compile-bytecode"],
                *["--override", str(overrides), *self.requirements],
            )
        note.write_text(wanted)


# 1.1.0 still has libx264, which everybody else here encodes with. The stages that are run never
# import torch, which would bring gigabytes of CUDA on Linux: it is left out.
NEMO = Package(
    "--with-nemo",
    "NeMo Curator 1.1.0",
    "1.2 GB on disk",
    (
        *("nemo-curator==1.1.0", "av==13.1.0", "opencv-python-headless==5.0.0.93"),
        *("einops==0.8.2", "easydict==1.14", "transformers==4.57.6", "ray[default,data]==2.52.1"),
        *("numpy==2.3.5", "pandas==3.1.1", "pyarrow==26.0.1"),
    ),
    without=("torch",),
)
PYSCENEDETECT = Package(
    "--with-pyscenedetect",
    "PySceneDetect 0.7.2",
    "0.2 GB on disk",
    ("scenedetect-headless==0.7.2", "opencv-python-headless==5.0.0.93", "numpy==2.4.6"),
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add each package's flag."""
    for package in (NEMO, PYSCENEDETECT):
        parser.add_argument(
            package.flag,
            action="append_const", dest="packages", const=package, default=[],
            help=f"{package.title} too, installed on first use ({package.size})",
        )  # fmt: skip


def chosen(
    named: Sequence[str],
    contenders: Iterable[str],
    needs: Mapping[str, Package],
    packages: Sequence[Package],
) -> list[str]:
    """Install the packages; those named, or all that need none but these packages.

    Ends the program if one that is named needs a package that was not asked for.
    """
    left_out = [name for name in needs if needs[name] not in packages]
    for name in {*named} & {*left_out}:
        raise SystemExit(f"{name} needs {needs[name].flag} too")
    for package in packages:
        package.install()
    return [name for name in named or contenders if name not in left_out]


def _uv(*arguments: str) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise SystemExit("uv installs the other packages: start with `uv run`")
    done = subprocess.run([uv, *arguments], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        words = done.stderr[-1500:]
        raise SystemExit(f"uv {' '.join(arguments)} ended with {done.returncode}: {words}")
