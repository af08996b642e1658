"""Make `.venv` and install what a command needs; do nothing if that is already there.

    python tools/environment.py book   what `make book` needs (no TensorFlow, no PyTorch)
    python tools/environment.py all    everything

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
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
BOOK_PACKAGES = ("jupyter-book", "latex2mathml", "lunr", "mkdocs")
SUPPORTED = ((3, 11), (3, 13))
NEEDED_GB = {"book": 1, "all": 5}


def fail(message):
    """Stop with a message on stderr and exit status 1."""
    sys.exit("error: " + message)


def requirements(what):
    """Return the pinned requirements of `what`, "book" or "all", as pip takes them."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("#")[0].strip() for line in lines]
    pins = [pin for pin in pins if pin]
    if what == "book":
        pins = [pin for pin in pins if pin.split("==")[0] in BOOK_PACKAGES]
    return pins


def state(what):
    """Return a digest of all that an installation of `what` is made of."""
    constraints = (ROOT / "constraints.txt").read_bytes()
    return hashlib.sha256(
        "\n".join(requirements(what)).encode() + constraints
    ).hexdigest()


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
    """Bring `.venv` to the pinned set of `what`; exit with a clear message if that fails."""
    low, high = SUPPORTED
    if not low <= sys.version_info[:2] <= high:
        fail(
            "Python {}.{} to {}.{} is needed, this is {}.{}; name another one with "
            "`make PYTHON=python3.12 ...`".format(*low, *high, *sys.version_info[:2])
        )
    pins = requirements(what)
    stamp = VENV / (".installed-" + what)
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == state(what):
        return
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < NEEDED_GB[what]:
        fail(
            f"{NEEDED_GB[what]} GB of free disk are needed here, {free:.1f} GB are left"
        )
    print(
        f"Installing {len(pins)} pinned packages and their dependencies into .venv",
        flush=True,
    )
    VENV.mkdir(exist_ok=True)
    log = VENV / "pip.log"
    log.unlink(missing_ok=True)
    if subprocess.call([sys.executable, "-m", "venv", str(VENV)]) != 0:
        fail("could not create .venv; on Debian and Ubuntu install python3-venv")
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install"]
    options = ["--log", str(log), "--constraint", str(ROOT / "constraints.txt")]
    if subprocess.call([*pip, *options, *pins]) != 0:
        fail("the installation failed: " + explain(log))
    for part in ("book", "all") if what == "all" else (what,):
        (VENV / (".installed-" + part)).write_text(state(part))


if __name__ == "__main__":
    if sys.argv[1:] not in (["book"], ["all"]):
        fail("usage: python tools/environment.py book|all")
    install(sys.argv[1])
