"""Run chapters as Colab does: each alone, in an empty folder, on the versions of tests/colab.txt.

    python tools/colab.py [NAME ...]
    python tools/colab.py --here FOLDER [NAME ...]    over this Python, a JUnit file each in FOLDER

NAME is a beginning of a chapter's file name; none means every chapter. Each gets a layer of its
own over .venv-colab, so that what it installs is missing again for the next one, and nothing that
Colab has is replaced without being seen. Prints a line for each chapter, runs them all, and ends
with status 1 if one failed. Plain Python and nothing else.
"""

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import environment

NOTEBOOKS = environment.ROOT / "notebooks"
GATE = (
    "--nbval",
    "--nbval-current-env",
    "--nbval-cell-timeout=120",
    f"--nbval-sanitize-with={environment.ROOT / 'tests' / 'nbval.cfg'}",
)
ASIDE = (
    "PYTHON",
    "PYTEST",
)  # variables that would change what is run or how it reports


class Run(NamedTuple):
    """What became of a notebook: pytest's counts and text, and what pip did in the layer."""

    counts: str
    seconds: float
    added: dict
    replaced: dict
    failed: bool
    text: str


def packages(*folders):
    """Return {name: version} of the packages in some site-packages folders."""
    found = importlib.metadata.distributions(path=list(map(str, folders)))
    return {
        re.sub("[-_.]+", "-", package.name).lower(): package.version
        for package in found
    }


def site_packages(python):
    """Return the folder that a Python installs packages into."""
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(ask, capture_output=True, text=True).stdout.strip())


def packages_of(python):
    """Return the folders in which a Python finds packages; Debian's has several."""
    ask = [str(python), "-c", "import sys; print(*sys.path, sep='\\n')"]
    paths = subprocess.run(ask, capture_output=True, text=True).stdout.splitlines()
    return [path for path in paths if path.endswith("-packages")]


def layer_over(python, folder):
    """Return the Python of a new environment in `folder` that sees all that `python` has.

    pip installs into the layer, and finds there what it may not touch below.
    """
    subprocess.run([str(python), "-m", "venv", "--without-pip", folder], check=True)
    layer = Path(folder, python.parent.name, python.name)
    below = (f"import site; site.addsitedir({p!r})\n" for p in packages_of(python))
    Path(site_packages(layer), "below.pth").write_text("".join(below), encoding="utf-8")
    return layer


def run(path, python, *options):
    """Run the notebook at `path` alone, in a layer over a Python; return its Run.

    options are more of pytest's.
    """
    with tempfile.TemporaryDirectory() as folder:
        layer = layer_over(python, Path(folder, "layer"))
        alone = Path(folder, "alone")
        alone.mkdir()
        (alone / path.name).write_bytes(path.read_bytes())
        command = [str(layer), "-m", "pytest", "-q", "--no-header", "-p", "no:warnings"]
        settings = {k: v for k, v in os.environ.items() if not k.startswith(ASIDE)}
        # Remarks on this machine, not on Colab's versions: a PyTorch built with CUDA and no driver
        # (Colab's CPU runtime has another build), and a Python 3.13.0 (Colab's is newer).
        remarks = "ignore:CUDA initialization,ignore:Guards may run slower on Python"
        settings["PYTHONWARNINGS"] = remarks
        settings["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else remarks in a report
        start = time.monotonic()
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", *GATE, *options, path.name],
            cwd=alone,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        seconds = time.monotonic() - start
        added = packages(site_packages(layer))
    below = packages(*packages_of(python))
    replaced = {
        name: f"{below[name]} -> {new}" for name, new in added.items() if name in below
    }
    counts = done.stdout.rstrip().rpartition("\n")[2].partition(" in ")[0]
    failed = bool(done.returncode or replaced or "passed" not in counts)
    return Run(counts, seconds, added, replaced, failed, done.stdout)


def prepare():
    """Install .venv-colab, print what it has, and return its Python."""
    environment.install("colab")
    python = environment.python("colab")
    have = packages(site_packages(python))
    version = subprocess.run([str(python), "-V"], capture_output=True, text=True).stdout
    print(f"{version.strip()} (Colab: {environment.colab_python()})")
    for pin in environment.requirements("colab"):
        name = pin.split("==")[0]
        print(f"{name} {have[name.replace('_', '-')]}", end=", ", flush=True)
    print()
    return python


def main(arguments):
    """Run the chapters and print what became of them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--here", type=Path, metavar="FOLDER")
    how = parser.parse_args(arguments)
    found = sorted(NOTEBOOKS.glob("*.ipynb"))
    chosen = [p for p in found if not how.names or p.name.startswith(tuple(how.names))]
    if not chosen:
        environment.fail(f"no chapter begins with {' or '.join(how.names)}")
    python = Path(sys.executable) if how.here else prepare()
    failed = []
    for path in chosen:
        report = how.here and how.here.resolve() / f"{path.stem}.xml"
        done = run(path, python, *([f"--junitxml={report}"] if report else []))
        added = "".join(f"  +{name} {version}" for name, version in done.added.items())
        print(
            f"{path.stem:24} {done.counts:20} {done.seconds:4.0f} s{added}", flush=True
        )
        if done.failed:
            failed.append(path.stem)
            print(f"replaced: {done.replaced}\n{done.text}", flush=True)
        if report and done.replaced:  # no test of a JUnit file says so
            text = f"{path.name} replaced packages: {done.replaced}\n"
            report.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"{len(chosen) - len(failed)} of {len(chosen)} chapters passed", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
