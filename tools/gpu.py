"""Prove the book on a GPU, and store what became of it for the book's status page.

    python tools/gpu.py [--without NAME]     strict nbval and the property tests, on CPU and GPU
    python tools/gpu.py --two-cpus NAME ...  chapters where TensorFlow and JAX have a second CPU

Run by the Python that has the frameworks. Ends with status 1 if an installed framework sees no GPU
(unless --without names it) or if a cell or test fails.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "book" / "_data" / "gpu.json"
# Each is asked in a process of its own, which gives the GPU's memory back.
ASK = {
    "tensorflow": """
import tensorflow as tf
devices = tf.config.list_physical_devices("GPU")
names = [tf.config.experimental.get_device_details(d)["device_name"] for d in devices]
built = tf.test.is_built_with_cuda()
version = tf.__version__""",
    "torch": """
import torch
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
built = torch.version.cuda or torch.version.hip
version = torch.__version__""",
    "jax": """
import jax
names = [d.device_kind for d in jax.devices() if d.platform == "gpu"]
from importlib.metadata import distributions
built = any(d.metadata["Name"].startswith("jax-cuda") for d in distributions())
version = jax.__version__""",
}
TWO_CPUS = """
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
both = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, both)
"""


def gpus_of(framework):
    """Return {"version", "gpus", "built"} of a framework; None if it is not installed."""
    code = (
        ASK[framework]
        + "\nimport json\nprint(json.dumps([version, names, bool(built)]))"
    )
    settings = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=settings
    )
    if done.returncode and "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        sys.exit(f"error: {framework} could not be asked:\n{done.stderr}")
    version, names, built = json.loads(done.stdout.splitlines()[-1])
    return {"version": version, "gpus": names, "built": built}


def found_devices(without):
    """Print what each framework sees; return it, or exit if one that counts sees no GPU."""
    found, blind = {}, []
    for framework in ASK:
        seen = gpus_of(framework)
        if seen is None:
            print(f"{framework}: not installed")
            continue
        found[framework] = seen
        print(f"{framework} {seen['version']}: CPU", *seen["gpus"], sep=", ")
        if not seen["gpus"] and framework not in without:
            why = "sees no GPU" if seen["built"] else "has no CUDA"
            blind.append(f"{framework} {seen['version']} {why}")
    if blind:
        sys.exit(f"error: {'; '.join(blind)}. --without NAME leaves one on the CPU")
    return found


def pytest_outcomes(arguments, **variables):
    """Run pytest; return {file: Counter of outcomes}, the reasons of skips, and its status."""
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-q"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command += [f"--junitxml={report}", "-o", "junit_family=xunit1", *arguments]
        status = subprocess.call(command, cwd=ROOT, env=os.environ | variables)
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    outcomes, reasons = {}, set()
    for case in cases:
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcome = kinds.pop() if kinds else "passed"
        outcomes.setdefault(case.get("file"), Counter())[outcome] += 1
        reasons |= {child.get("message") for child in case.iter("skipped")}
    return outcomes, sorted(reasons), status


def two_cpus(names):
    """Run chapters' cells where TensorFlow and JAX have two CPUs; return pytest's status."""
    paths = [str(p) for n in names for p in sorted(ROOT.glob(f"notebooks/{n}*.ipynb"))]
    with tempfile.TemporaryDirectory() as folder:
        startup = Path(folder, "profile_default", "startup", "two_cpus.py")
        startup.parent.mkdir(parents=True)
        startup.write_text(TWO_CPUS, encoding="utf-8")
        flags = "--xla_force_host_platform_device_count=2"
        outcomes, _, status = pytest_outcomes(paths, IPYTHONDIR=folder, XLA_FLAGS=flags)
    for path, counts in outcomes.items():
        print(path, *(f"{n} {outcome}" for outcome, n in counts.items()), sep="  ")
    return status


def main():
    """Run the command line described at the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--without", action="append", default=[], choices=ASK)
    parser.add_argument("--two-cpus", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    if arguments.two_cpus:
        return two_cpus(arguments.two_cpus)
    found = found_devices(arguments.without)
    outcomes, reasons, status = pytest_outcomes(["notebooks", "tests/test_devices.py"])
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "frameworks": {
            name: [seen["version"], sorted(set(seen["gpus"]))]
            for name, seen in found.items()
        },
        "outcomes": {path: dict(sorted(n.items())) for path, n in outcomes.items()},
        "skipped": reasons,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{RESULT.relative_to(ROOT)} written; the status page shows it")
    return status


if __name__ == "__main__":
    sys.exit(main())
