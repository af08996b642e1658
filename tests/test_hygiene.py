"""What must hold of every chapter as it is stored, without running it."""

import ast
import base64
import inspect
import re
import sys

import pytest

from notebooks import (
    chapters,
    code_cells,
    figures,
    has_tag,
    homes,
    imported_packages,
    names_for_defining,
    parse,
    read,
    recap_cells,
    used_names,
)

THIRD_PARTY = {
    "MNN",
    "ai_edge_litert",
    "cv2",
    "equinox",
    "flatbuffers",
    "flax",
    "haiku",
    "iree",
    "jax",
    "keras",
    "matplotlib",
    "matplotlib_inline",
    "mlx",
    "ncnn",
    "numpy",
    "onnx",
    "onnx2keras",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "paddle",
    "scipy",
    "skimage",
    "sklearn",
    "tensorflow",
    "tflite",
    "tinygrad",
    "torch",
    "tract",
    "tvm",
}
MAX_NOTEBOOK_BYTES = 1_000_000
MAX_FIGURE_BYTES = 80_000
MAX_COLUMNS = 88  # what a page shows at 1280 px without scrolling
MAX_FIGURE_PIXELS = 1000  # at 2x: text of 10 points is then 9 px high at 360 px
ENVIRONMENT_LINES = [
    'os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")',
    'os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")',
]
every_chapter = pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)


def outputs(notebook):
    """Yield (cell, output) for every stored output."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            yield cell, output


def texts(output):
    """Return everything an output shows as text."""
    shown = [output.get("text", ""), output.get("evalue", "")]
    return "\n".join(
        shown + [str(v) for k, v in output.get("data", {}).items() if "text" in k]
    )


@every_chapter
def test_was_executed_from_top_to_bottom(path):
    """Counts run 1, 2, 3, … and every cell that prints or draws has its output."""
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        shows = any(
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func) in ("print", "plt.show")
            for node in parse(cell).body
        )
        assert cell.outputs or not shows, f"no output stored for:\n{cell.source}"


@every_chapter
def test_outputs_are_the_same_on_any_machine(path):
    """No stderr, error, memory address, absolute path, automatic layer name or editor metadata."""
    for cell, output in outputs(read(path)):
        assert output.output_type != "error", cell.source
        assert output.get("name") != "stderr", output.get("text")
        text = texts(output)
        assert not re.search(r"0x[0-9a-fA-F]{6,}", text), text
        assert not re.search(
            r"(?<![\w.)/])/(home|root|tmp|usr|Users|content|opt)/", text
        ), text
        assert not re.search(
            r"\b(conv2d|dense|functional|sequential|model|input_layer)_\d+\b", text
        )
        assert not any("colab" in key for key in output.get("data", {}))
    for cell in code_cells(read(path)):
        assert not cell.source.rstrip().endswith(";"), (
            f"a ; does not silence nbval:\n{cell.source}"
        )


@every_chapter
def test_figures_have_alt_text_and_are_small(path):
    """Every figure says in words what is to be seen, as PNG of at most 80 kB."""
    for cell, output in outputs(read(path)):
        assert "image/svg+xml" not in output.get("data", {}), (
            "nbval compares SVG, so draw PNG"
        )
        if "image/png" in output.get("data", {}):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 8, f"alt text {alt!r} of:\n{cell.source}"
            png = base64.b64decode(output.data["image/png"])
            assert len(png) <= MAX_FIGURE_BYTES
            assert int.from_bytes(png[16:20], "big") <= MAX_FIGURE_PIXELS, cell.source


@every_chapter
def test_code_and_outputs_are_narrow(path):
    """Nothing that a page shows scrolls sideways on a laptop."""
    for cell in code_cells(read(path)):
        shown = [cell.source, *map(texts, cell.outputs)]
        wide = [line for text in shown for line in text.splitlines()]
        wide = [line for line in wide if len(line) > MAX_COLUMNS]
        assert not wide, "\n".join(wide)


@every_chapter
def test_figures_borrowed_by_prose_pages_are_the_notebooks_own(path):
    """A PNG in `book/` is byte for byte the figure its chapter has drawn."""
    for target, png in figures(read(path)):
        assert target.read_bytes() == png, f"{target.name} is stale: run make execute"


@every_chapter
def test_is_of_reasonable_size(path):
    """A notebook opens quickly in Colab and shows in a repository viewer."""
    assert path.stat().st_size <= MAX_NOTEBOOK_BYTES


@every_chapter
def test_stands_alone(path):
    """No import from the repository and no file read by a fixed name: it runs anywhere."""
    assert imported_packages(read(path)) <= THIRD_PARTY | sys.stdlib_module_names
    for cell in code_cells(read(path)):
        for node in ast.walk(parse(cell)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                reads = re.search(
                    r"(^|\.)(open|load|loadtxt|read_text|read_bytes|imread)$", name
                )
                fixed = [a.value for a in node.args if isinstance(a, ast.Constant)]
                assert not (reads and fixed), (
                    f"{name}({fixed}) reads a file beside the notebook"
                )


@every_chapter
def test_setup_cell_comes_first_and_sets_the_same_things(path):
    """One tagged setup cell, after at most an install cell; settings precede imports; no TF32."""
    cells = [cell for cell in code_cells(read(path)) if not has_tag(cell, "install")]
    assert [has_tag(cell, "setup") for cell in cells] == [True] + [False] * (
        len(cells) - 1
    )
    source = cells[0].source
    imported = {
        name for name in ("tensorflow", "keras", "torch") if f"import {name}" in source
    }
    if imported & {"tensorflow", "keras"}:
        for line in ENVIRONMENT_LINES:
            assert source.index(line) < source.index("\nimport ", source.index(line))
        assert (
            "tf.config.experimental.enable_tensor_float_32_execution(False)" in source
        )
    if "torch" in imported:
        assert "torch.backends.cudnn.allow_tf32 = False" in source
        assert "torch.backends.cuda.matmul.allow_tf32 = False" in source
    if {"tensorflow", "torch"} <= imported:  # both on the CPU, but for on_every_device
        hidden = 'tf.config.set_visible_devices([], "GPU")' in source
        assert hidden != ('tf.device("CPU").__enter__()' in source)
    for cell in cells[1:]:
        other_process = cell.source.startswith("%%alone")  # chapter 13: its own script
        sets = re.search(r"os\.environ(\[|\.)", cell.source)  # reading it is harmless
        assert not sets or other_process


@every_chapter
def test_recap_is_word_for_word_the_text_of_the_homes(path):
    """`homes()` refuses a second definition; the Recap cells must be what `make recap` writes."""
    stored = [
        c for c in read(path).cells if has_tag(c, "recap") or has_tag(c, "recap-links")
    ]
    expected = recap_cells(path, homes()) or ()
    assert [cell.source for cell in stored] == [cell.source for cell in expected]


def test_recap_takes_names_that_are_read_and_not_the_code_s_own():
    """A local variable, an argument and an assigned name are no functions of another chapter."""
    code = """
    import math
    audit = 3
    def f(compare, x=default):
        mirrored = compare
        return mirrored + audit + same(x) + sum(window for window in x)
    print(f(math.pi), [row for row in table])
    """
    wanted = {"default", "same", "sum", "print", "table"}
    assert used_names(inspect.cleandoc(code)) == wanted


def test_recap_defines_first_what_a_definition_needs_at_once():
    """Bases, decorators, defaults and class attributes; not what runs later."""
    code = """
    @decorated
    class C(base):
        size = attribute
        def f(self, x=default):
            return later(x)
    """
    wanted = {"decorated", "base", "attribute", "default"}
    assert names_for_defining(inspect.cleandoc(code)) == wanted


@every_chapter
def test_public_functions_have_docstrings(path):
    """The printed function is what readers copy, so it says what it takes and returns."""
    for cell in code_cells(read(path), recap=False):
        for node in parse(cell).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert ast.get_docstring(node), f"{node.name} has no docstring"


@every_chapter
def test_text_has_the_parts_of_a_chapter(path):
    """Title, the answer in bold, what is needed, what goes wrong, exercises, one line, next."""
    text = "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    assert re.match(r"# .+\n\n\*\*", text), (
        "the answer must follow the title, bold first"
    )
    parts = (
        "*You need:*",
        "## What goes wrong",
        "## Exercises",
        "## In one line",
        "**Next:**",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), dict(
        zip(parts, places, strict=True)
    )
