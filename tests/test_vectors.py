"""The test vectors: made anew and compared, run by the page's programs, and what they catch."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import test_pages
import vectors
from conftest import ROOT

PAGE = ROOT / "book" / "test-vectors.md"
FIELDS = (
    "name op rule layout input_shape kernel strides dilations group input weight_layout "
    "weight output pads output_shape why"
).split()


@pytest.fixture(scope="module")
def published():
    """Return the cases of the published vectors.json."""
    return json.loads((vectors.FOLDER / "vectors.json").read_text(encoding="utf-8"))


def test_the_published_files_are_what_the_generator_makes():
    """Byte for byte; TensorFlow and the chapters agree, or nothing would be made."""
    wanted = vectors.files()
    paths = (path for path in vectors.FOLDER.rglob("*") if path.is_file())
    found = {
        path.relative_to(vectors.FOLDER).as_posix(): path.read_bytes() for path in paths
    }
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert sum(map(len, found.values())) < 200_000


def test_a_wrong_output_stops_the_generator(monkeypatch):
    """Neither the chapters nor TensorFlow alone decides."""
    for name in ("chapters_same", "tensorflow_same"):
        right = getattr(vectors, name)
        monkeypatch.setattr(vectors, name, lambda *a, right=right: right(*a) + 1)
        with pytest.raises(AssertionError, match="TensorFlow's output is another"):
            vectors.cases.__wrapped__()
        monkeypatch.undo()


def test_the_cases_say_what_they_hold(published):
    """The fields, their order, integers, the sizes in the name, and no case twice."""
    assert len(published) <= 40
    assert len({case["name"] for case in published}) == len(published)
    for case in published:
        assert list(case) == FIELDS
        assert case["op"] in vectors.OPERATORS and case["layout"] == "NHWC"
        assert case["rule"] in ("SAME_UPPER", "SAME_LOWER")
        for data in ("input", "output"):
            array = np.array(case[data])
            assert array.dtype.kind == "i" and abs(array).max() < 2**20
            assert list(array.shape) == case[f"{data}_shape"]
        assert (case["weight"] is None) == case["op"].endswith("_pool")
        assert case["why"] and len(set(case["why"])) == len(case["why"])
        sizes = {"n": case["input_shape"][1:3], "k": case["kernel"]}
        sizes |= {"s": case["strides"], "d": case["dilations"]}
        named = re.findall(r"_([nksd])(\d+)x(\d+)", case["name"])
        assert {letter: size for letter, size in sizes.items() if size != [1, 1]} == {
            letter: [int(a), int(b)] for letter, a, b in named
        }


def test_pads_alone_give_the_output(published):
    """PyTorch with the padding written out, or cut off, has the same numbers."""
    import torch
    import torch.nn.functional as F

    for case in published:
        x = test_pages.nchw(np.array(case["input"], "float32"))
        rows, columns = case["pads"]
        stride, dilation, op = case["strides"], case["dilations"], case["op"]
        fill = -np.inf if op == "max_pool" else 0
        padded = F.pad(x, (*columns, *rows), value=fill)
        if case["weight"] is not None:
            w = np.array(case["weight"], "float32")
            order = (2, 3, 0, 1) if op == "depthwise" else (3, 2, 0, 1)
            w = torch.from_numpy(w.transpose(order).copy())
        if op in ("conv", "depthwise"):
            y = F.conv2d(padded, w, None, stride, 0, dilation, case["group"])
        elif op == "max_pool":
            y = F.max_pool2d(padded, case["kernel"], stride)
        elif op == "avg_pool":
            ones = F.pad(torch.ones_like(x), (*columns, *rows))
            y, cells = (F.avg_pool2d(t, case["kernel"], stride) for t in (padded, ones))
            y = torch.round(y / cells)
        else:
            y = F.pad(F.conv_transpose2d(x, w, None, stride), (0, 9, 0, 9))
            _, height, width, _ = case["output_shape"]
            y = y[:, :, rows[0] :, columns[0] :][:, :, :height, :width]
        assert test_pages.nhwc(y).tolist() == case["output"], case["name"]


def test_the_archive_holds_the_folder():
    """The same files, the layout of ONNX's backend tests."""
    with zipfile.ZipFile(vectors.FOLDER / "onnx.zip") as archive:
        names = archive.namelist()
        for name in names:
            assert archive.read(name) == (vectors.FOLDER / "onnx" / name).read_bytes()
    cases = {name.split("/")[0] for name in names}
    assert len(names) == 3 * len(cases) == 3 * len(vectors.cases())


# What they catch.


def test_every_wrong_rule_fails_a_case(published):
    """In each operation, in place of UPPER and of LOWER; and `why` says so."""
    assert [key for key, names in vectors.caught().items() if not names] == []
    said = sum(len(case["why"]) for case in published)
    assert said == sum(map(len, vectors.caught().values()))


def test_the_control_fails_none():
    """SAME, written as the wrong rules are, has the right output in every case."""
    right = {
        "SAME_UPPER": vectors.right_by_plans,
        "SAME_LOWER": vectors.mirrored(vectors.right_by_plans),
    }
    assert not [
        case for case in vectors.cases() if vectors.fails(case, right[case.rule])
    ]


def test_the_chapters_wrong_rules_are_all_there():
    """Each of the mutants of test_pages.py, as it stands there."""
    found = {(wrong.op, wrong.name) for wrong in vectors.wrong_rules_once()}
    for op, name, _ in test_pages.mutants():
        name = re.sub(r" \(\d\d(, \d\d)*\)$", "", name)
        assert (op, vectors.SAME_NAMES.get(name, name)) in found


def test_every_layer_is_needed():
    """Without it a wrong rule passes where dilation, or dilation with stride, is refused."""
    layers = {case.name: case.layer for case in vectors.cases()}

    def kind(layer):
        dilated = max(layer.dilations) > 1
        return dilated + (dilated and max(layer.strides) > 1)

    needed = set()
    for refused in (1, 2, 3):
        for names in vectors.caught().values():
            left = {layers[name] for name in names if kind(layers[name]) < refused}
            needed |= left if len(left) == 1 else set()
    assert set(vectors.LAYERS) == needed


def test_the_tables_count_what_is_caught():
    """The page says how many wrong rules ONNX's own tests let pass."""
    rows = vectors.wrong_rules_csv()[1:]
    passed = [row for row in rows if row[-1] == "0"]
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    passes = f"Those ten let {len(passed)} of the {len(rows)} wrong rules pass."
    assert passes in text
    assert text.count(f"{len(vectors.cases())} small layers") == 1
    assert len(vectors.onnx_tests()) == 10
    for case in vectors.onnx_tests():
        height, width = case.layer.size
        assert height == width and max(case.layer.dilations) == 1
        assert all(k >= s for _, k, s, _ in case.layer.axes())


# The programs of the page.


def program(language):
    """Return a program of the page and what it says that this prints."""
    blocks = test_pages.fences("test-vectors.md", "python", "js", "text")
    at = [name for name, _ in blocks].index(language)
    assert blocks[at + 1][0] == "text"
    text = blocks[at][1]
    assert max(map(len, text.splitlines())) <= 88
    return text, blocks[at + 1][1]


def test_the_python_program(monkeypatch):
    """As it stands, beside the folder of models."""
    text, wanted = program("python")
    monkeypatch.chdir(vectors.FOLDER)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(text, {})
    assert out.getvalue() == wanted


def test_the_javascript_program(tmp_path):
    """As it stands, in Node: the system's, or the one that Playwright carries."""
    modules = ROOT / "tests" / "node_modules"
    if not (modules / "@tensorflow" / "tfjs-core").is_dir():
        pytest.skip("TensorFlow.js was not run: `npm ci --prefix tests` installs it")
    node = shutil.which("node")
    if not node:
        playwright = pytest.importorskip(
            "playwright", reason="TensorFlow.js was not run: no Node"
        )
        node = Path(playwright.__file__).parent / "driver" / "node"
    text, wanted = program("js")
    (tmp_path / "run.js").write_text(text, encoding="utf-8")
    shutil.copy(vectors.FOLDER / "vectors.json", tmp_path)
    environment = os.environ | {"NODE_PATH": str(modules)}
    process = subprocess.run(
        [node, tmp_path / "run.js"], env=environment, capture_output=True, text=True
    )
    assert process.stdout == wanted, process.stderr
