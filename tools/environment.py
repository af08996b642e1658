"""Make `.venv` and install what a command needs; do nothing if that is already there.

    python tools/environment.py book   what `make book` needs (no TensorFlow, no PyTorch)
    python tools/environment.py all    everything
    python tools/environment.py colab  .venv-colab, with what tests/colab.txt says that Colab has

Plain Python and nothing else, because it runs before anything is installed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLAB = ROOT / "tests" / "colab.txt"
BOOK_PACKAGES = ("jupyter-book", "latex2mathml", "lunr", "mkdocs", "tdewolff-minify")
SUPPORTED = ((3, 11), (3, 13))
NEEDED_GB = {"book": 1, "all": 5, "colab": 12}  # PyTorch for Linux comes with CUDA


def fail(message):
    """Stop with a message on stderr and exit status 1."""
    sys.exit("error: " + message)


def place(what):
    """Return the folder of the environment for `what`."""
    return ROOT / (".venv-colab" if what == "colab" else ".venv")


def python(what):
    """Return the Python of the environment for `what`."""
    return place(what) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def requirements(what):
    """Return the pinned requirements of `what`, a key of NEEDED_GB, as pip takes them.

    For "colab" the variable TORCH names another build of PyTorch, such as one without CUDA.
    """
    source = COLAB if what == "colab" else ROOT / "requirements.txt"
    lines = source.read_text(encoding="utf-8").splitlines()
    pins = [line.split("#")[0].strip() for line in lines]
    pins = [pin for pin in pins if pin]
    if what == "book":
        pins = [pin for pin in pins if pin.split("==")[0] in BOOK_PACKAGES]
    torch = os.environ.get("TORCH")
    if what == "colab" and torch:
        pins = [f"torch=={torch}" if p.startswith("torch==") else p for p in pins]
    return pins


def colab_python():
    """Return the version of Colab's Python, as tests/colab.txt records it."""
    return re.search(r"^# Python ([\d.]+)$", COLAB.read_text(encoding="utf-8"), re.M)[1]


def nearest_python(wanted):
    """Return the newest Python here that is supported and no newer than `wanted`.

    COLAB_PYTHON names it, else it is looked for on the path and where pyenv keeps them.
    """
    if os.environ.get("COLAB_PYTHON"):
        return os.environ["COLAB_PYTHON"]
    low, minor = SUPPORTED[0], int(wanted.split(".")[1])
    for number in range(minor, low[1] - 1, -1):
        kept = Path.home().glob(f".pyenv/versions/3.{number}.*/bin/python")
        for name in (f"python3.{number}", *map(str, sorted(kept, reverse=True))):
            ask = [name, "-c", "import sys, venv; print(sys.version_info[1])"]
            try:
                said = subprocess.run(ask, capture_output=True, text=True).stdout
            except OSError:
                continue
            if said.strip() == str(number):
                return name
    return sys.executable


def state(what):
    """Return a digest of all that an installation of `what` is made of."""
    pins = "\n".join(requirements(what)).encode()
    if what == "colab":
        return hashlib.sha256(
            pins + nearest_python(colab_python()).encode()
        ).hexdigest()
    return hashlib.sha256(pins + (ROOT / "constraints.txt").read_bytes()).hexdigest()


def explain(log):
    """Return the likely cause of a failed installation, read from pip's log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if re.search(r"No space left|not enough space", text):
        return "the disk is full"
    if re.search(
        r"NewConnectionError|Failed to establish|NameResolution|ConnectTimeout", text
    ):
        return "the package index cannot be reached: is there a network, or a proxy to set?"
    return "see pip's last lines above"


def install(what):
    """Bring its environment to the pinned set of `what`; exit with a message if that fails."""
    low, high = SUPPORTED
    if not low <= sys.version_info[:2] <= high:
        fail(
            "Python {}.{} to {}.{} is needed, this is {}.{}; name another one with "
            "`make PYTHON=python3.12 ...`".format(*low, *high, *sys.version_info[:2])
        )
    pins = requirements(what)
    venv, base = place(what), sys.executable
    stamp = venv / (".installed-" + what)
    if python(what).exists() and stamp.exists() and stamp.read_text() == state(what):
        return
    if what == "colab":  # another Python or another version: from scratch
        base = nearest_python(colab_python())
        shutil.rmtree(venv, ignore_errors=True)
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < NEEDED_GB[what]:
        fail(
            f"{NEEDED_GB[what]} GB of free disk are needed here, {free:.1f} GB are left"
        )
    print(
        f"Installing {len(pins)} pinned packages and their dependencies into {venv.name}",
        flush=True,
    )
    venv.mkdir(exist_ok=True)
    log = venv / "pip.log"
    log.unlink(missing_ok=True)
    if subprocess.call([base, "-m", "venv", str(venv)]) != 0:
        fail(f"no {venv.name} could be made; on Debian and Ubuntu install python3-venv")
    pip = [str(python(what)), "-m", "pip", "--disable-pip-version-check", "install"]
    options = ["--log", str(log)]
    if what != "colab":  # the resolved set is of other versions
        options += ["--constraint", str(ROOT / "constraints.txt")]
    if subprocess.call([*pip, *options, *pins]) != 0:
        fail("the installation failed: " + explain(log))
    for part in ("book", "all") if what == "all" else (what,):
        (venv / (".installed-" + part)).write_text(state(part))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in NEEDED_GB:
        fail("usage: python tools/environment.py book|all|colab")
    install(sys.argv[1])
