"""Settings shared by all tests."""

import contextlib
import functools
import gc
import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

from notebooks import load, write_whole

ROOT = Path(__file__).resolve().parent.parent

# As the notebooks' first cell does: before TensorFlow is imported by any test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("TF_CUDNN_USE_AUTOTUNE", "0")

# The kernels that run the chapters look for garbage less often.
os.environ["PYTHONSTARTUP"] = str(ROOT / "tests" / "kernel_startup.py")

# HYPOTHESIS_PROFILE=long draws 50 times as many layers, and other ones in every run.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("long", deadline=None, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)


def examples(count):
    """Return how many examples to draw: `count` in CI, 50 times as many in the long profile."""
    return 50 * count if PROFILE == "long" else count


def lite_of(model, **how):
    """Return the bytes of a Keras model's .tflite file; how: attributes to set."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    for name, value in how.items():
        setattr(converter, name, value)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints addresses
        return converter.convert()


@functools.cache
def mediapipe_wheel():
    """Return chapter 15's wheel and None, or None and why it cannot be had."""
    chapter = load("15")
    try:
        return chapter.fetch_wheel(chapter.wheel_folder()), None
    except FileNotFoundError as error:
        return None, str(error)


def packages_out_of_reach(source):
    """Fetch what a cell of chapter 13 runs with; return what cannot be had, as text, or ""."""
    if not source.startswith("%%alone"):
        return ""
    # Whatever the chapter sets for its own kernel is undone.
    with mock.patch.dict(os.environ, PIP_RETRIES="0"):
        chapter = load("13")
        pins = [p for p in source.splitlines()[0].split()[1:] if not chapter.is_here(p)]
        try:
            if pins:
                chapter.folder_of(pins)
        except RuntimeError:
            return " ".join(pins)
    return ""


def run_or_skip(source, runtest):
    """Run a cell of chapter 13, or say that its packages cannot be had; CI has a network."""
    missing = "" if os.environ.get("CI") else packages_out_of_reach(source)
    if missing:
        pytest.skip(f"this section was not run: pip does not reach {missing}")
    runtest()


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector from the frameworks' millions of objects, which stay to the end.

    It would go through them several times while they are imported, and again in many tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(100_000, 50, 50)


# Longest first, so that no process is left alone with one of them at the end. The first builds the
# site, the second does not need it.
LONGEST = (
    "test_site",
    "test_pytorch",
    "test_accessibility",
    "test_explorer",
    "test_torch_to_keras",
    "test_keras_models",
    "test_port_any_layer",
    "test_search",
    "test_audit_page",
    "test_release",
)


def rank(item):
    """When the file of a test is run; notebooks and files alike keep their order otherwise."""
    stem = item.path.stem
    return LONGEST.index(stem) if stem in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(items):
    """Skip chapter 15 and sections of chapter 13 whose files cannot be had; longest files first."""
    items.sort(key=rank)
    cells = [item for item in items if item.path.name.startswith("15-")]
    _, missing = mediapipe_wheel() if cells else (None, None)
    if missing:
        for cell in cells:
            cell.add_marker(
                pytest.mark.skip(reason=f"chapter 15 was not run: {missing}")
            )
    for cell in [item for item in items if item.path.name.startswith("13-")]:
        cell.runtest = functools.partial(run_or_skip, cell.cell.source, cell.runtest)


@pytest.fixture(scope="session")
def mediapipe_models():
    """The .tflite files of chapter 15's wheel, {stem: bytes}; skipped where it cannot be had."""
    wheel, missing = mediapipe_wheel()
    if missing:
        pytest.skip(f"MediaPipe's models were not run: {missing}")
    with zipfile.ZipFile(wheel) as members:
        names = [name for name in members.namelist() if name.endswith(".tflite")]
        return {Path(name).stem: members.read(name) for name in names}


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors are faster so, and a busy machine does not wait for itself."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fresh_compiler():
    """Let torch.compile forget what it has compiled, before and after."""
    import torch

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def inductor():
    """Skip where the default backend cannot compile a trivial function, and say why.

    It has a cache of its own: from the one on disk PyTorch 2.13 takes code for wider vectors than
    those that ATEN_CPU_CAPABILITY allows, and that is wrong for a plain nn.Conv2d too.
    """
    if shutil.which("g++") is None:
        pytest.skip("the default backend needs g++")
    import torch
    from torch._inductor.utils import fresh_cache

    torch._dynamo.reset()
    with fresh_cache():
        try:
            torch.compile(lambda x: torch.relu(x + 1), dynamic=True)(torch.zeros(3, 5))
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            pytest.skip(f"the default backend compiles no trivial function here: {why}")
        torch._dynamo.reset()
        yield


@pytest.fixture(scope="session")
def root():
    """Return the repository's root."""
    return ROOT


REPOSITORY = {
    "GITHUB_REPOSITORY": "example/padding.book",
    "GITHUB_REF": "refs/heads/topic/x",
}


def copy_sources(folder):
    """Copy all that the build reads, and no .git, to `folder`."""
    folder.mkdir()
    files = "_config.yml", "_toc.yml", "CITATION.cff", "LICENSE", "requirements.txt"
    for name in files:
        shutil.copy(ROOT / name, folder)
    for name in ("book", "notebooks", "tools"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def html(sources):
    """The folder of the pages of a book that was built."""
    return sources / "_build" / "html"


def build(sources, **variables):
    """Build the book; return the finished process, whose stdout holds everything it said."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "SITE_"))
    }
    # It has no __main__; and a third of its time is Python's search for garbage.
    program = "import gc; gc.disable(); from jupyter_book.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "build",
        sources,
        "-n",
        "-W",
        "--keep-going",
        "--all",
    ]
    return subprocess.run(
        command,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def built(sources, **variables):
    """Build the book, which must succeed; return the folder of its pages."""
    process = build(sources, **variables)
    if process.returncode:
        pytest.fail(f"the book does not build:\n{process.stdout}", pytrace=False)
    return html(sources)


@pytest.fixture(scope="session")
def known(tmp_path_factory, pytestconfig):
    """The site as GitHub builds it, once for all processes; no test may change it."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(pytestconfig, "workerinput"):
        folder = folder.parent  # that of all of xdist's processes
    report = folder / "known.txt"
    try:
        sources = copy_sources(folder / "known")
    except FileExistsError:  # another process builds it, or has built it
        end = time.monotonic() + 600
        while not report.exists() and time.monotonic() < end:
            time.sleep(0.2)
    else:
        process = build(sources, **REPOSITORY)
        write_whole(report, process.stdout if process.returncode else "")
    if complaints := report.read_text(encoding="utf-8"):
        pytest.fail(f"the book does not build:\n{complaints}", pytrace=False)
    return html(folder / "known")


def page_names(site):
    """The address of each page within the site."""
    paths = [path.relative_to(site) for path in sorted(site.rglob("*.html"))]
    return [
        path.as_posix()
        for path in paths
        if path.parts[0] not in ("_static", "_sources")
    ]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that keeps its log to itself."""

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture(scope="module")
def address(known):
    """The address of the site on a local server."""
    handler = functools.partial(QuietHandler, directory=known)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; without one the test is skipped, except where CI promises it."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if not program:
        reason = "no Chromium or no Playwright: the pages were not loaded in a browser"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@functools.cache
def axe_core():
    """The source of axe-core, from the package that carries it."""
    package = pytest.importorskip(
        "axe_playwright_python", reason="axe was not run: no axe-core"
    )
    return Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


# Contrast is three quarters of axe's time. Texts of the same colour and letters, in the same
# classes on the same grounds all the way up, have the same: one of each on a page is weighed.
ONE_OF_EACH_LOOK = """() => {
  const PLAIN = ",rgba(0, 0, 0, 0),none,1,static,none,normal";
  const grounds = new Map(), seen = new Set();
  const ground = (e) => {
    if (!e) return "";
    if (!grounds.has(e)) {
      const style = getComputedStyle(e);
      const own = [e.getAttribute("class"), style.backgroundColor, style.backgroundImage,
        style.opacity, style.position, style.filter, style.mixBlendMode].join();
      grounds.set(e, ground(e.parentElement) + (own == PLAIN ? "" : "/" + own));
    }
    return grounds.get(e);
  };
  for (const e of document.querySelectorAll("body *")) {
    const style = getComputedStyle(e);
    const text = [...e.childNodes].some((node) => node.nodeType == 3 && node.data.trim());
    const look = [e.localName, text, style.color, style.fontSize, style.fontWeight,
      style.textShadow, style.visibility, style.display, ground(e)].join();
    e.toggleAttribute("data-weighed", !seen.has(look));
    seen.add(look);
  }
  axe.configure({rules: [{id: "color-contrast", selector: "[data-weighed]"}]});
}"""

AXE = """(rules) => axe.run(document, {
  preload: false,
  ...rules == "colours"
    ? {runOnly: {type: "rule", values: ["color-contrast"]}}
    : {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        rules: {"color-contrast": {enabled: rules == "all"}},
      },
}).then(({violations, incomplete, passes}) => [violations, incomplete, passes.length])"""


def axe_objections(page, rules="all"):
    """What axe-core finds wrong on a page, and what it cannot decide, a line for each element.

    Its rules are "all", those about "structure", or those about "colours".
    """
    page.evaluate(axe_core())
    if rules != "structure":
        page.evaluate(ONE_OF_EACH_LOOK)
    violations, incomplete, passes = page.evaluate(AXE, rules)
    assert passes > 15 or (rules == "colours" and passes == 1)
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary']}"
        for rule in violations + incomplete
        for node in rule["nodes"]
        # Two contrasts that axe leaves open: on a drawing (test_what_is_drawn_can_be_seen measures
        # those), and of signs such as a minus in a formula, which have the colour of its letters.
        if not (rule in incomplete and node["html"].startswith(("<text ", "<mo")))
    ]


TALL = {
    "width": 1280,
    "height": 2400,
}  # the whole sidebar: axe cannot judge what is scrolled away


LAYOUT_SHIFT = """new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) sum += entry.value;
  }).observe({type: "layout-shift", buffered: true});
  setTimeout(() => done(sum), 200);
})"""
