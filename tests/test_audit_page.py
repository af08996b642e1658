"""The audit's page: its readers against the frameworks, its words on broken files, its page.

`UPDATE_AUDIT=1 pytest tests/test_audit_page.py -k drawn_at_build` draws the sample's table anew
into book/_audit/sample.html, after a change of the sample, the rows or the words.
"""

import base64
import gzip
import io
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    LAYOUT_SHIFT,
    PROFILE,
    ROOT,
    TALL,
    axe_objections,
    examples,
    lite_of,
)

sys.path.append(str(ROOT / "book" / "_ext"))

import audit_page  # noqa: E402
import explorer  # noqa: E402

FOLDER = audit_page.FOLDER
PAGE = "book/audit.html"
SAMPLE = (FOLDER / audit_page.SAMPLE).read_bytes()
BUDGET = 30_000  # bytes of the audit's script and the explorer's together, compressed
STATUS = (
    '<p class="audit-status" role="status"></p>\n'
    '<div class="audit-result" role="region" aria-label="Layers" tabindex="0"></div>'
)
# What the tests call of the script, which keeps its names to itself.
REACHED = "Object.assign(globalThis, { read, audit, Unreadable, samePadding });\n"
ON_THE_PAGE = """
globalThis.ask = async (file) => {
  try {
    const graph = await read(file);
    const say = (note) => (note ? sentence(...[note].flat()) : note);
    return {format: graph.format, rows: audit(graph).map((row) => ({...row, note: say(row.note)}))};
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return {says: sentence(error.message)};
  }
};
"""
ROWS = """
(text) => ask(new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]))
"""


@pytest.fixture(scope="module")
def bare(chromium):
    """A page with the shipped script and the audit's markup alone."""
    page = chromium.new_page()
    markup = (FOLDER / "audit.html").read_text(encoding="utf-8")
    data = base64.b64encode(SAMPLE).decode()
    markup = markup.replace("SAMPLE", STATUS)
    page.set_content(
        f'<div class="audit" data-explorer="" data-sample="{data}">{markup}</div>'
    )
    page.add_script_tag(content=audit_page.script(more=REACHED + ON_THE_PAGE))
    yield page
    page.close()


@pytest.fixture(scope="module")
def ask(bare):
    """A function that gives what the page makes of some bytes: {format, rows} or {says}."""
    return lambda data: bare.evaluate(ROWS, base64.b64encode(data).decode())


@pytest.fixture(scope="module")
def node():
    """Node, the system's or the one that Playwright carries."""
    found = shutil.which("node")
    if not found:
        reason = "the readers were not fuzzed: no Node"
        playwright = pytest.importorskip("playwright", reason=reason)
        found = Path(playwright.__file__).parent / "driver" / "node"
    return found


def keras_file(config, method=zipfile.ZIP_DEFLATED, name="config.json"):
    """Return a .keras file with this configuration and some weights."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("metadata.json", "{}")
        text = config if isinstance(config, str) else json.dumps(config)
        file.writestr(name, text)
        file.writestr("model.weights.h5", bytes(3000))
    return out.getvalue()


def keras_layer(kind, **config):
    """Return a layer as Keras writes it."""
    config = {"name": kind.lower(), **config}
    return {"module": "keras.layers", "class_name": kind, "config": config}


def sequential(*layers):
    """Return the configuration of a Sequential model."""
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": list(layers)},
    }


CONV = {"kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "filters": 2}
CONV |= {"activation": "linear"}
SMALL = sequential(
    keras_layer("InputLayer", batch_shape=[None, 224, 225, 3]),
    keras_layer("Conv2D", **CONV),
    keras_layer("ZeroPadding2D", padding=[[0, 1], [0, 1]]),
    keras_layer("MaxPooling2D", pool_size=[3, 3], strides=[2, 2], padding="valid"),
    keras_layer("Conv2DTranspose", **CONV),
    keras_layer("UpSampling2D", size=[2, 2]),
    keras_layer("SeparableConv2D", **CONV),
)


# ---- the rows


def test_the_sample_is_what_its_script_makes():
    """Byte for byte with the pinned onnx: onnx's own check passed, and no size but the input's."""
    import onnx

    space = {"__file__": str(FOLDER / "sample.py"), "__name__": "sample"}
    text = (FOLDER / "sample.py").read_text(encoding="utf-8")
    exec(compile(text, "sample.py", "exec"), space)
    made = space["sample"]()
    onnx.checker.check_model(made, full_check=True)
    assert onnx.load_from_string(SAMPLE) == made
    assert len(SAMPLE) < 8000 and not made.graph.value_info


def test_drawn_at_build_is_what_the_script_draws(bare):
    """The table that the page begins with is what it makes of its sample."""
    bare.get_by_role("button", name="sample").click()
    bare.wait_for_selector(".audit-result tbody tr")
    drawn = bare.evaluate(
        "[...document.querySelectorAll('.audit-status, .audit-result')]"
        ".map((one) => one.outerHTML).join('\\n')"
    )
    drawn = drawn.replace("</tr>", "</tr>\n") + "\n"
    path = FOLDER / "sample.html"
    if os.environ.get("UPDATE_AUDIT"):
        path.write_text(drawn, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == drawn


def test_the_sample_shows_every_verdict(ask):
    """What its rows say, by hand: three SAME, three symmetric, four both."""
    rows = ask(SAMPLE)["rows"]
    found = {
        row["name"]: (row["same"], row["symmetric"], row["lower"], *row["shift_pixels"])
        for row in rows
    }
    both, even, odd = (True,) * 3, (False, True, True), (True, False, False)
    assert found == {
        "stem": (*even, 1, 1),
        "pool": (*odd, 2, 2),
        "block.conv1": (*both, 0, 0),
        "block.conv2": (*both, 0, 0),
        "down1": (*odd, 4, 4),
        "down2": (*odd, 8, 8),
        "dilated": (*both, 0, 0),
        "average": (False, True, False, 16, 16),
        "up": (*even, 16, 16),
        "head": (*both, 0, 0),
    }
    sizes = [row["input_size"][0] for row in rows]
    assert sizes == [224, 112, 56, 56, 56, 28, 14, 14, 7, 14]


def test_the_law_is_the_explorers(bare):
    """The functions are the text of padding.js, so there is no second law."""
    text = audit_page.PADDING.read_text(encoding="utf-8")
    for name in audit_page.LAW:
        function = re.search(rf"function {name}\(.*?\n\}}\n", text, re.DOTALL)[0]
        assert function in audit_page.law()
    assert bare.evaluate("samePadding(6, 3, 2, 1)") == [0, 1]


@pytest.mark.parametrize("name", ["audit.js", *explorer.SHIPPED])
def test_no_name_of_a_script_is_defined_twice(name):
    """The scripts of a page are one function: of two alike the last would count, unsaid."""
    files = [explorer.FOLDER / part for part in explorer.SHIPPED.get(name, ())]
    files = files or [FOLDER / part for part in audit_page.SCRIPTS]
    text = "".join(path.read_text("utf-8") for path in files)
    text += audit_page.law() if name == "audit.js" else ""
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.M)
    assert len(names) > 40 and len(names) == len(set(names))


@pytest.mark.parametrize("op", ["conv", "max_pool"])
def test_verdicts_are_those_of_the_windows(ask, op):
    """One axis against windows listed cell by cell: every rule, known and open sizes."""
    from onnx import TensorProto, helper, numpy_helper

    from notebooks import load

    same_padding = load("01").same_padding
    grid = list(itertools.product((3, 6, 7, 11, None), (1, 2, 3, 5), (1, 2, 3), (1, 2)))
    pads = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 2), "SAME_UPPER", "SAME_LOWER"]
    cases = [(*layer, pad) for layer in grid for pad in pads]
    nodes, inputs, weights = [], [], []
    for i, (n, k, s, d, pad) in enumerate(cases):
        how = {"auto_pad": pad} if isinstance(pad, str) else {"pads": list(pad)}
        weight = [f"w{k}"] if op == "conv" else []
        kind = "Conv" if op == "conv" else "MaxPool"
        how |= {"kernel_shape": [k], "strides": [s], "dilations": [d]}
        nodes.append(helper.make_node(kind, [f"x{i}", *weight], [f"y{i}"], **how))
        size = [1, 1, n or "open"]
        inputs.append(helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, size))
    for k in (1, 2, 3, 5):
        values = np.zeros((1, 1, k), "float32")
        weights.append(numpy_helper.from_array(values, f"w{k}"))
    graph = helper.make_graph(nodes, "grid", inputs, [], weights)
    rows = ask(helper.make_model(graph).SerializeToString())["rows"]
    assert len(rows) == len(cases)

    def windows(n, k, s, d, before, count):
        """Return the cells that each window reads: of a pool, as a set."""
        cells = [
            [w * s - before + j * d for j in range(k)] for w in range(max(0, count))
        ]
        inside = [[c if 0 <= c < n else None for c in each] for each in cells]
        return inside if op == "conv" else [set(each) - {None} for each in inside]

    def plan(n, k, s, d, pad):
        """Return the windows of a rule."""
        reach = (k - 1) * d + 1
        before, after = pad if isinstance(pad, tuple) else same_padding(n, k, s, d)
        if pad == "SAME_LOWER":
            before, after = after, before
        return windows(n, k, s, d, before, (n + before + after - reach) // s + 1)

    def right(n, k, s, d, pad):
        """Return (same, symmetric, lower) of a layer of known size, None without an output."""
        mine = plan(n, k, s, d, pad)
        if not mine:
            return (None,) * 3
        reach = (k - 1) * d + 1
        most = reach // 2 if op == "max_pool" else 2 * reach + 3
        before = pad[0] if isinstance(pad, tuple) else same_padding(n, k, s, d)[0]
        if pad == "SAME_LOWER":
            before = same_padding(n, k, s, d)[1]
        even = before <= most and mine == plan(n, k, s, d, (before, before))
        rules = [mine == plan(n, k, s, d, rule) for rule in ("SAME", "SAME_LOWER")]
        return rules[0], even, rules[1]

    sentences = 0
    for (n, k, s, d, pad), row in zip(cases, rows, strict=True):
        found = row["same"], row["symmetric"], row["lower"]
        if n:
            assert found == right(n, k, s, d, pad), (n, k, s, d, pad)
            continue
        answers = [right(60 + r, k, s, d, pad) for r in range(1, s + 1)]  # 60 % s == 0
        for verdict, each in zip(found, zip(*answers, strict=True), strict=True):
            where = ", ".join(str(r) for r, yes in enumerate(each) if yes)
            sentence = f"equal where (n - 1) mod {s} = {where}"
            assert verdict == (all(each) or (sentence if any(each) else False))
            sentences += isinstance(verdict, str)
    assert sentences > 20


def test_sizes_of_onnx_are_those_of_onnx_itself(ask):
    """The graphs that onnx ships, without a size but the input's, against its shape inference."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    layers = 0
    for path in sorted(folder.glob("*.onnx")):
        model = onnx.load(path)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        graph = inferred.graph
        sizes = {
            one.name: [d.dim_value for d in one.type.tensor_type.shape.dim[2:]]
            for one in [*graph.value_info, *graph.input, *graph.output]
        }
        windows = ("Conv", "MaxPool", "AveragePool", "ConvTranspose")
        nodes = [one for one in graph.node if one.op_type in windows]
        rows = ask(path.read_bytes())["rows"]
        assert [row["type"] for row in rows] == [one.op_type for one in nodes]
        for row, one in zip(rows, nodes, strict=True):
            assert row["input_size"] == sizes[one.input[0]], (path.stem, row)
            assert row["output_size"] == sizes[one.output[0]], (path.stem, row)
            layers += 1
    assert layers > 400


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A Keras model, its .keras and its .tflite file, and a .tflite file of open sizes."""
    pytest.importorskip("tensorflow", reason="no file was converted to TFLite")
    import keras

    layers = keras.layers
    x = inputs = keras.Input((33, 40, 3))
    x = layers.Conv2D(4, 3, 2, "same", activation="relu")(x)
    x = layers.ZeroPadding2D(((0, 1), (1, 1)))(x)
    x = layers.MaxPooling2D(3, 2)(x)
    x = layers.DepthwiseConv2D(5, 1, "same")(x)
    skip = x = layers.AveragePooling2D(2, 1, "same")(x)
    x = layers.Conv2DTranspose(4, 3, 2, "same")(x)
    x = layers.ZeroPadding2D(1)(layers.Cropping2D(1)(x))
    x = layers.Conv2D(4, 2, 2)(x)
    x = layers.Concatenate()([x, skip])
    # TFLite writes a dilated layer in blocks: of an odd total, behind a Pad, with a crop.
    x = layers.Conv2D(4, (2, 4), padding="same", dilation_rate=(2, 3))(x)
    x = layers.Conv2D(4, 2, dilation_rate=3)(layers.ZeroPadding2D(((1, 3), (2, 2)))(x))
    how = {"padding": "same", "dilation_rate": 2, "use_bias": False}
    x = layers.Cropping2D(1)(layers.DepthwiseConv2D(3, **how)(x))
    x = layers.Conv2DTranspose(2, 4, 3, "valid")(x)
    model = keras.Model(inputs, x)
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path)
    x = inputs = keras.Input((None, None, 3))
    x = layers.Cropping2D(((0, 1), (0, 1)))(layers.Conv2D(4, 3, 2, "same")(x))
    x = layers.Conv1D(2, 3, padding="same", dilation_rate=2)(x[:, 0])
    x = layers.Conv2D(2, 3, padding="same", dilation_rate=2)(x[:, None])
    return model, path.read_bytes(), lite_of(model), lite_of(keras.Model(inputs, x))


def test_keras_and_tflite_say_the_same_of_one_model(ask, converted):
    """A model saved by Keras and converted by TensorFlow: the same rows, by two readers."""
    model, saved, data, _ = converted
    by_keras, by_tflite = ask(saved), ask(data)
    assert (by_keras["format"], by_tflite["format"]) == ("Keras", "TFLite")
    compared = (
        "kind input_size output_size kernel_size stride dilation pads same symmetric lower shift"
    ).split()
    for one, other in zip(by_keras["rows"], by_tflite["rows"], strict=True):
        assert [one[key] for key in compared] == [other[key] for key in compared]
    shapes = {one.name: one.output.shape[1:3] for one in model.layers}
    cropped = {  # the crop behind a layer is part of it
        one.name
        for one, following in itertools.pairwise(model.layers)
        if type(following).__name__ == "Cropping2D"
    }
    assert len(cropped) == 2
    for row in by_keras["rows"]:
        grown = 2 if row["name"] in cropped else 0
        assert [n + grown for n in row["output_size"]] == list(shapes[row["name"]])
    assert [row["pads"] for row in by_keras["rows"]] == [
        [[1, 1], [0, 1]],
        [[0, 1], [1, 1]],
        [[2, 2], [2, 2]],
        [[0, 1], [0, 1]],
        [[1, 2], [1, 2]],
        [[1, 1], [1, 1]],
        [[1, 1], [4, 5]],
        [[1, 3], [2, 2]],
        [[1, 1], [1, 1]],
        [[0, 0], [0, 0]],
    ]


def test_a_nested_model_is_followed(ask, tmp_path):
    """A shared layer has a row for each call, a nested model's layers its name in front."""
    import keras

    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(3, 3, 2, "same", name="in")],
        name="block",
    )
    x = inputs = keras.Input((20, 21, 3))
    shared = layers.Conv2D(3, 3, 2, "same", name="shared")
    x = inner(shared(shared(x)))
    model = keras.Model(inputs, layers.Conv2D(1, 2, name="last")(x))
    model.save(tmp_path / "model.keras")
    rows = ask((tmp_path / "model.keras").read_bytes())["rows"]
    assert [(row["name"], row["input_size"], row["jump"]) for row in rows] == [
        ("shared", [20, 21], [1, 1]),
        ("shared", [10, 11], [2, 2]),
        ("block/in", [5, 6], [4, 4]),
        ("last", [3, 3], [8, 8]),
    ]


# ---- the chapter's audit


@pytest.fixture(scope="module")
def chapter():
    """Chapter 16's audit."""
    from notebooks import load

    try:
        return load("16").audit
    except (ValueError, AttributeError):
        pytest.skip("not compared with the Python audit: chapter 16 is not here")


COMPARED = (
    "name type kind input_size output_size kernel_size stride dilation pads"
    " same symmetric lower shift"
).split()


def compare(ask, chapter, data):
    """Hold the page's rows of a file to the chapter's; return how many there are.

    Layers of branches that do not wait for each other may come in either order.
    """
    here, there = (
        sorted(rows, key=lambda row: row["name"])
        for rows in (ask(data)["rows"], chapter(data))
    )
    assert len(here) == len(there)
    for mine, theirs in zip(here, json.loads(json.dumps(there)), strict=True):
        for key in COMPARED:
            assert mine.get(key) == theirs[key], (mine, theirs)
        for key in ("jump", "shift_pixels"):
            pairs = zip(mine.get(key) or (), theirs[key] or (), strict=False)
            for a, b in pairs:
                near = a is None or b is None or a == pytest.approx(b, abs=1e-5)
                assert near, (mine, theirs)
    return len(here)


def test_onnx_rows_are_the_chapters(ask, chapter):
    """The sample, and every graph that onnx ships as a network or as an exported operator."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    paths = [
        *folder.glob("light/*.onnx"),
        *folder.glob("pytorch-*/*Conv*/*.onnx"),
        *folder.glob("pytorch-*/*conv*/*.onnx"),
        *folder.glob("pytorch-*/*ool*/*.onnx"),
        *folder.glob("pytorch-*/*[pP]ad*/*.onnx"),
    ]
    files = [SAMPLE, *(path.read_bytes() for path in paths)]
    assert sum(compare(ask, chapter, data) for data in files) > 450


def test_exported_pytorch_rows_are_the_chapters(ask, chapter):
    """A net with every kind of layer, exported at a fixed and at an open size."""
    import torch
    from torch import nn

    class Net(nn.Module):
        """Down with pads of every kind, and up again."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, 2, 1)
            self.pad = nn.ZeroPad2d((0, 1, 0, 1))
            self.down = nn.Conv2d(2, 2, 3, 2, groups=2)
            self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
            self.mean = nn.AvgPool2d(3, 1, 1)
            self.up = nn.ConvTranspose2d(4, 4, 3, 2, 1, 1)
            self.last = nn.Conv2d(8, 2, 3, padding=2, dilation=2)

        def forward(self, x):
            """Return the last map."""
            x = torch.relu(self.stem(x))
            x = self.up(self.mean(self.pool(x)))
            x = self.last(torch.cat([x, torch.relu(x)], 1))
            return self.down(self.pad(x))

    for open_axes in ({}, {"x": {0: "batch", 2: "h", 3: "w"}}):
        out = io.BytesIO()
        x = torch.zeros(1, 3, 31, 33)
        names = {"input_names": ["x"], "dynamic_axes": open_axes, "dynamo": False}
        torch.onnx.export(Net().eval(), x, out, **names)
        assert compare(ask, chapter, out.getvalue()) == 6


def test_keras_rows_are_the_chapters(ask, chapter, tmp_path):
    """A network of every kind of layer at an open size; in the long profile a real one too."""
    import keras

    layers = keras.layers
    x = inputs = keras.Input((None, 64, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    inner = keras.Input((None, None, 3))
    y = layers.Conv2D(4, 3, 2, activation="relu")(inner)
    y = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(y))
    x = keras.Model(inner, y, name="inside")(x)
    x = layers.AveragePooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    x = layers.SeparableConv2D(4, 5, 2, "same")(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(4, 3, 2, "valid")(x)
    x = layers.Conv2D(4, 4, 3)(layers.Cropping2D(((0, 1), (1, 0)))(x))
    x = layers.UpSampling2D(3)(x)
    outputs = layers.Conv2DTranspose(2, 4, 3, "same", output_padding=2)(x)
    every = keras.Model(inputs, outputs)
    models, rows = [every], 0
    if PROFILE == "long":
        models.append(keras.applications.MobileNetV2((96, 96, 3), 0.35, False, None))
    for i, model in enumerate(models):
        model.save(tmp_path / f"{i}.keras")
        rows += compare(ask, chapter, (tmp_path / f"{i}.keras").read_bytes())
    assert rows > 55 if PROFILE == "long" else rows == 7


def test_tflite_rows_are_the_chapters(ask, chapter, converted):
    """Every operation of chapter 12's grid as a file of one operator, and two networks."""
    assert compare(ask, chapter, converted[2]) == 10
    assert compare(ask, chapter, converted[3]) == 3  # of open sizes
    assert all(compare(ask, chapter, data) == 1 for data in one_operator_files())


def padded_onnx(kind, *pads, **how):
    """Return an ONNX model of 3×3 or 2×2 windows behind Pads (pads, mode, value)."""
    from onnx import helper, numpy_helper

    make, floats = helper.make_tensor_value_info, np.float32
    nodes, arrays, key = [], [np.ones((3, 3, 3, 3), floats)], "x"
    for i, (cells, mode, value) in enumerate(pads):
        arrays += [np.array(cells, np.int64), np.array(value, floats)]
        names = [key, f"c{2 * i + 1}", f"c{2 * i + 2}"]
        key = f"p{i}"
        nodes.append(helper.make_node("Pad", names, [key], mode=mode))
    for kind_between in how.pop("between", ()):
        nodes.append(helper.make_node(kind_between, [key], [f"b{key}"]))
        key = f"b{key}"
    for i in range(2 if how.pop("twice", False) else 1):
        weight = ["c0"] if kind == "Conv" else []
        how |= {"strides": [2, 2]} | ({} if weight else {"kernel_shape": [2, 2]})
        nodes.append(helper.make_node(kind, [key, *weight], [f"y{i}"], **how))
    arrays = [numpy_helper.from_array(a, f"c{i}") for i, a in enumerate(arrays)]
    x = make("x", 1, [1, 3, 224, 224])
    ends = [make(one.output[0], 1, None) for one in nodes if one.op_type == kind]
    graph = helper.make_graph(nodes, "g", [x], ends, arrays)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset).SerializeToString()


def spatial(top, left, bottom, right):
    """Return a Pad's cells of the two spatial axes, as ONNX takes them."""
    return [0, 0, top, left, 0, 0, bottom, right]


ONE, BEHIND = spatial(1, 1, 1, 1), spatial(0, 0, 1, 1)
CHANNELS = [0, 1, 0, 0, 0, 0, 0, 0]
TWO = (spatial(0, 0, 1, 0), "constant", 0), (spatial(0, 0, 0, 1), "constant", 0)
PADDED = {  # what all windows are: SAME, symmetric
    "reflect": (("Conv", (ONE, "reflect", 0)), {}, (None, None)),
    "ones": (("Conv", (ONE, "constant", 1)), {}, (None, None)),
    "shared": (("Conv", (BEHIND, "constant", 0)), {"twice": True}, (True, False)),
    "two": (("Conv", *TWO), {}, (True, False)),
    "reflected zeros": (("Conv", (ONE, "reflect", 0), TWO[0]), {}, (None, None)),
    "before SAME": (
        ("Conv", (ONE, "constant", 0)),
        {"auto_pad": "SAME_UPPER"},
        (None, None),
    ),
    "ceil": (("MaxPool", (ONE, "constant", 0)), {"ceil_mode": 1}, (None, None)),
    "an activation between": (
        ("Conv", (ONE, "constant", 0)),
        {"between": ("Relu", "Sigmoid")},
        (None, None),
    ),
    "channels between": (("MaxPool", (CHANNELS, "constant", 0)), {}, (True, True)),
    "channels too": (
        ("MaxPool", ([0, 1, *BEHIND[2:]], "constant", 0)),
        {},
        (None, None),
    ),
    "channels before": (
        ("MaxPool", (CHANNELS, "constant", 0), (BEHIND, "constant", -np.inf)),
        {},
        (True, True),
    ),
    "the lowest": (
        ("MaxPool", (ONE, "constant", np.finfo(np.float32).min)),
        {},
        (False, True),
    ),
    "mixed": (
        ("MaxPool", (spatial(1, 1, -1, -1), "constant", 0)),
        {},
        (False, False),
    ),
    "cropped zeros": (
        (
            "Conv",
            (spatial(0, 0, 2, 2), "constant", 0),
            (spatial(0, 0, -1, -1), "constant", 0),
        ),
        {},
        (True, False),
    ),
    "zeros on a crop": (
        ("Conv", (spatial(1, 1, -1, -1), "constant", 0), (BEHIND, "constant", 0)),
        {},
        (None, None),
    ),
}


@pytest.mark.parametrize("name", PADDED)
def test_a_pad_is_counted_in_or_named(ask, chapter, name):
    """Here and in the chapter: no Pad before a layer vanishes without a word."""
    pads, how, verdicts = PADDED[name]
    data = padded_onnx(*pads, **how)
    compare(ask, chapter, data)
    for row in (*ask(data)["rows"], *chapter(data)):
        assert (row["same"], row["symmetric"]) == verdicts
        assert None not in row["input_size"]
        low = any(value < -1e38 for *_, value in pads[1:])
        assert ("does not survive int8" in row["note"]) is low
        if verdicts[0] is None:
            assert (
                "not judged: Pad" in row["note"] and "stands before it" in row["note"]
            )


FILLS = [  # in int8; what the pool behind is, and its note
    (-1e-6, True, ""),  # the lowest, which stands for 0: nothing is below
    (-1000.0, True, "does not survive int8"),
    (-np.inf, True, "does not survive int8"),
    (60.0, None, "stands before it"),
]


@pytest.mark.parametrize(("fill", "same", "note"), FILLS)
def test_a_fill_of_int8_is_read_by_its_zero_point(ask, chapter, fill, same, note):
    """PADV2 writes an integer: a zero where it stands for 0, −∞ where it is the lowest."""
    pytest.importorskip("tensorflow", reason="no file was converted to TFLite")
    from notebooks import find_chapters, load, read

    quantise = load("17")
    for cell in read(*find_chapters(["17"])).cells:
        if cell.id == "i8-lite":  # its routes
            exec(cell.source, vars(quantise))
    x = np.linspace(0, 127, 6, dtype="float32").reshape(1, 1, 6, 1)
    route = "LiteRT int8"
    data = quantise.to_tflite(lambda x: quantise.fill_then_pool(x, fill), route, x)
    graph = load("16").TfliteGraph(data)
    fills = [step["inputs"][2] for step in graph.steps if step["type"] == "PADV2"]
    held = [(graph.numbers(key).item(), graph.zero_point(key)) for key in fills]
    assert len(held) == 1 and (held == [(-128, -128)]) is (fill == -1e-6)
    assert compare(ask, chapter, data) == 1
    for row in (*ask(data)["rows"], *chapter(data)):
        assert (
            row["same"] is same
            and note in row["note"]
            and bool(row["note"]) is bool(note)
        )
    if not note:  # as it says, the pool's own SAME makes the same integers
        own = quantise.to_tflite(quantise.own_padding_pool, route, x)
        (mine,), (theirs,) = (quantise.quantised_outputs(d, x)[0] for d in (data, own))
        assert mine.tolist() == theirs.tolist()


def test_a_dense_layer_behind_a_pad_is_looked_through(ask, chapter, tmp_path):
    """It works on the channels of each cell: the Pad before it is named, in every format."""
    pytest.importorskip("tensorflow", reason="no file was converted to TFLite")
    import keras

    from notebooks import load

    layers = keras.layers
    einsum = layers.EinsumDense("abcd,de->abce", (None, None, 3))
    for batch, dense in ((1, layers.Dense(3)), (None, einsum)):
        inputs = keras.Input((9, 9, 3), batch_size=batch)
        x = dense(layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs))
        model = keras.Model(inputs, layers.Conv2D(2, 3, 2)(x))
        model.save(tmp_path / "model.keras")
        data = lite_of(model)
        types = [step["type"] for step in load("16").TfliteGraph(data).steps]
        assert types[:2] == ["PAD", "FULLY_CONNECTED"] and types[-1] == "CONV_2D"
        saved = (tmp_path / "model.keras").read_bytes()
        for file in (
            (data, saved) if batch else (data,)
        ):  # its sizes are in .tflite alone
            assert compare(ask, chapter, file) == 1
            for row in (*ask(file)["rows"], *chapter(file)):
                assert row["same"] is None and "stands before it" in row["note"]


def onnx_file(nodes, size, **constants):
    """Return an ONNX model of nodes (type, inputs, output, attributes) from x to y."""
    from onnx import helper, numpy_helper

    made = [
        helper.make_node(kind, read.split(), [to], **how)
        for kind, read, to, how in nodes
    ]
    ends = [
        [helper.make_tensor_value_info(name, 1, shape)]
        for name, shape in (("x", [1, 3, *size]), ("y", None))
    ]
    arrays = [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()]
    graph = helper.make_graph(made, "g", *ends, arrays)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset).SerializeToString()


TWO_BY_TWO = {"strides": [2, 2]}
MOVED = {  # nodes, what of x the layer reads, whether both audits say SAME, their note
    "transposed": (
        [
            ("Pad", "x pads", "a", {}),
            ("Transpose", "a", "b", {"perm": [0, 1, 3, 2]}),
            ("Conv", "b w", "y", TWO_BY_TWO),
        ],
        lambda x: x.swapaxes(2, 3),
        None,
        "not judged: Pad",
    ),
    "zeros of a Concat": (
        [
            ("Concat", "x zeros", "a", {"axis": -1}),
            ("Conv", "a w", "y", TWO_BY_TWO | {"pads": [0, 0, 1, 0]}),
        ],
        lambda x: x,
        None,
        "not judged: Concat",
    ),
    "two Pads beside each other": (
        [
            ("Pad", "x pads", "a", {}),
            ("Pad", "x pads", "b", {}),
            ("Concat", "a b", "c", {"axis": 1}),
            ("Conv", "c v", "y", TWO_BY_TWO),
        ],
        lambda x: np.concatenate([x, x], 1),
        None,
        "not judged: Pad",
    ),
    "a padded factor": (
        [
            ("Pad", "x pads", "a", {}),
            ("ReduceMax", "x", "b", {"axes": [2, 3]}),
            ("Mul", "a b", "c", {}),
            ("Conv", "c w", "y", TWO_BY_TWO),
        ],
        lambda x: x * x.max((2, 3), keepdims=True),
        None,
        "not judged: Pad",
    ),
    "a computed shape": (
        [
            ("Pad", "x pads", "a", {}),
            ("Shape", "a", "s", {}),
            ("Reshape", "a s", "b", {}),
            ("Conv", "b w", "y", TWO_BY_TWO),
        ],
        lambda x: x,
        None,
        "not judged: Pad",
    ),
    "channels cut off": (
        [
            ("Concat", "x x", "a", {"axis": 1}),
            ("Pad", "a pads", "b", {}),
            ("Slice", "b start stop one", "c", {}),
            ("Conv", "c w", "y", TWO_BY_TWO),
        ],
        lambda x: x,
        None,
        "not judged: Pad",
    ),
    "cut off behind an operator": (
        [
            ("Pad", "x more", "a", {}),
            ("Abs", "a", "b", {}),
            ("Slice", "b front minus axes", "c", {}),
            ("Conv", "c w", "y", TWO_BY_TWO),
        ],
        abs,
        None,
        "not judged: Pad",
    ),
    "channels of a Concat": (
        [
            ("Concat", "x x", "a", {"axis": 1}),
            ("Conv", "a v", "y", TWO_BY_TWO | {"pads": [0, 0, 1, 1]}),
        ],
        lambda x: np.concatenate([x, x], 1),
        True,
        "",
    ),
    "flipped": (
        [
            ("Slice", "x from to axis step", "a", {}),
            ("Conv", "a w", "y", TWO_BY_TWO | {"pads": [0, 0, 1, 1]}),
        ],
        lambda x: x[..., ::-1],
        True,
        "",
    ),
}


@pytest.mark.parametrize("name", MOVED)
def test_what_moves_cells_before_a_layer(ask, chapter, name):
    """A transposition, a Concat, a flip: where the layer run is SAME, neither says no."""
    tf = pytest.importorskip("tensorflow", reason="SAME was not executed")
    from onnx.reference import ReferenceEvaluator

    nodes, reads, verdict, note = MOVED[name]
    weights = np.arange(54, dtype="float32").reshape(1, 6, 3, 3) % 7 - 3
    cuts = {"from": [-1], "to": [-(2**31)], "axis": [3], "step": [-1], "one": [1]}
    cuts |= {"start": [0], "stop": [3], "front": [0, 0], "minus": [-1, -1]}
    cuts |= {"axes": [2, 3], "more": spatial(0, 0, 2, 2)}
    constants = {"w": weights[:, :3], "v": weights, "pads": np.array(BEHIND, np.int64)}
    constants |= {key: np.array(value, np.int64) for key, value in cuts.items()}
    for size in ((16, 16), (16, 20)):
        constants["zeros"] = np.zeros((1, 3, size[0], 1), "float32")
        data = onnx_file(nodes, size, **constants)
        if name != "a computed shape":  # the page does not know its sizes
            compare(ask, chapter, data)
        for row in (*ask(data)["rows"], *chapter(data)):
            assert row["same"] is verdict and row["note"].startswith(note), row
        x = np.random.default_rng(0).integers(-9, 9, (1, 3, *size)).astype("float32")
        (y,) = ReferenceEvaluator(data).run(None, {"x": x})
        kernel = weights[:, : reads(x).shape[1]].transpose(2, 3, 1, 0)
        same = tf.nn.conv2d(reads(x).transpose(0, 2, 3, 1), kernel, 2, "SAME")
        assert np.array_equal(np.moveaxis(same, -1, 1), y)


def test_a_pad_behind_which_the_axes_change_is_named(ask, chapter, tmp_path):
    """Permute, keras.ops.transpose, Reshape: in .keras and .tflite, square or not."""
    pytest.importorskip("tensorflow", reason="no file was converted to TFLite")
    import keras

    layers, ops = keras.layers, keras.ops
    ways = (
        layers.Permute((2, 1, 3)),
        lambda x: ops.transpose(x, (0, 2, 1, 3)),
        lambda x: layers.Reshape((*x.shape[2:0:-1], 3))(x),
    )
    cases = [*itertools.product(ways[:2], ((16, 16), (16, 20))), (ways[2], (16, 20))]
    for way, size in cases:
        inputs = keras.Input((*size, 3), batch_size=1)
        x = way(layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs))
        model = keras.Model(inputs, layers.Conv2D(2, 3, 2)(x))
        model.save(tmp_path / "model.keras")
        data = lite_of(model)
        for file in (data, (tmp_path / "model.keras").read_bytes()):
            assert compare(ask, chapter, file) == 1
            for row in (*ask(file)["rows"], *chapter(file)):
                assert row["same"] is None and "stands before it" in row["note"]


HIDING = {  # a function, a branch: what the chapter says of the layer behind it
    "function": (
        """<ir_version: 8, opset_import: ["": 17, "my": 1]>
        g (float[1, 3, 16, 16] x, float[1, 3, 3, 3] w) => (float y) {
          p = my.f(x)
          y = Conv<strides=[2, 2]>(p, w)
        }
        <domain: "my", opset_import: ["": 17]> f (x) => (y) {
          pads = Constant<value_ints=[0, 0, 0, 0, 0, 0, 1, 1]>()
          y = Pad(x, pads)
        }""",
        True,
    ),
    "branch": (
        """<ir_version: 8, opset_import: ["": 17]>
        g (float[1, 3, 16, 16] x, bool c, float[1, 3, 3, 3] w) => (float y) {
          r = Relu(x)
          p = If(c)<
            then_branch = t () => (float a) {
              pads = Constant<value_ints=[0, 0, 0, 0, 0, 0, 1, 1]>()
              a = Pad(r, pads)
            },
            else_branch = e () => (float b) { b = Identity(r) }
          >
          y = Conv<strides=[2, 2]>(p, w)
        }""",
        None,
    ),
}


@pytest.mark.parametrize("name", HIDING)
def test_what_may_hide_a_pad_is_named(ask, chapter, name):
    """A function of the file, which the chapter puts in its place; a branch, which may pad."""
    from onnx import parser

    text, verdict = HIDING[name]
    data = parser.parse_model(text).SerializeToString()
    (mine,), (theirs,) = ask(data)["rows"], chapter(data)
    assert mine["same"] is None and mine["note"].startswith("not judged: ")
    assert theirs["same"] is verdict


@pytest.mark.parametrize("zero", [0, 128])
def test_a_pad_in_integers_is_named(ask, chapter, zero):
    """Its zeros stand for something else where the zero point is not 0."""
    constants = {"scale": np.float32(0.1), "zero": np.uint8(zero), "pads": BEHIND}
    constants |= {"none": np.int8(0), "w": np.ones((3, 3, 3, 3), "int8")}
    reads = "p scale zero w scale none scale zero"
    nodes = [
        ("QuantizeLinear", "x scale zero", "q", {}),
        ("Pad", "q pads", "p", {}),
        ("QLinearConv", reads, "i", TWO_BY_TWO),
        ("DequantizeLinear", "i scale zero", "y", {}),
    ]
    data = onnx_file(nodes, (16, 16), **constants)
    compare(ask, chapter, data)
    for row in (*ask(data)["rows"], *chapter(data)):
        assert row["same"] is None and "stands before it" in row["note"]


RELU = ("Relu", "x", "a", {})
SIGNS = {  # nodes from x to r, before a Pad of zeros and a maximum; what both audits say
    "x": ([("Identity", "x", "r", {})], False),
    "Dropout": ([("Softplus", "x", "a", {}), ("Dropout", "a", "r", {})], True),
    "Tanh": ([("HardSigmoid", "x", "a", {}), ("Tanh", "a", "r", {})], True),
    "LeakyRelu": ([("LeakyRelu", "x", "r", {})], False),
    "Clip": ([("Clip", "x zero", "r", {})], True),
    "Concat": (
        [RELU, ("Sigmoid", "x", "b", {}), ("Concat", "a b", "r", {"axis": 1})],
        True,
    ),
    "half a Concat": ([RELU, ("Concat", "a x", "r", {"axis": 1})], None),
    "its half": (
        [
            RELU,
            ("Concat", "a x", "b", {"axis": 1}),
            ("Slice", "b zeros threes ones", "r", {}),
        ],
        None,
    ),
    "Transpose": (
        [("Softmax", "x", "a", {}), ("Transpose", "a", "r", {"perm": [0, 1, 3, 2]})],
        True,
    ),
    "MaxPool": ([RELU, ("MaxPool", "a", "r", {"kernel_shape": [1, 1]})], True),
    "convolution": ([RELU, ("Conv", "a w", "r", {})], False),
    "blur": ([RELU, ("Conv", "a blur", "r", {"group": 3})], None),
    "square": ([("Mul", "x x", "r", {})], None),
    "maximum": ([("Max", "x zero", "r", {})], None),
    "difference": ([RELU, ("Sub", "a x", "r", {})], None),
    "sum": ([RELU, ("Sub", "a one", "r", {})], None),
    "ThresholdedRelu": ([("ThresholdedRelu", "x", "r", {})], None),
}


@pytest.mark.parametrize("name", SIGNS)
def test_whether_zeros_win_a_maximum(ask, chapter, name):
    """Never, surely or nobody knows: no verdict is another than what both rules, run, say."""
    tf = pytest.importorskip("tensorflow", reason="SAME was not executed")
    from onnx.reference import ReferenceEvaluator

    before, verdict = SIGNS[name]
    pool = ("MaxPool", "p", "y", TWO_BY_TWO | {"kernel_shape": [3, 3]})
    nodes = [*before, ("Pad", "r pads", "p", {}), pool]
    floats = {"zero": 0, "one": 1, "w": -np.ones((3, 3, 1, 1))}
    floats |= {"blur": np.ones((3, 1, 1, 1))}
    constants = {key: np.array(value, "float32") for key, value in floats.items()}
    constants |= {"pads": BEHIND, "zeros": [0], "threes": [3], "ones": [1]}
    read = {word for _, words, *_ in nodes for word in words.split()}
    constants = {key: constants[key] for key in read & {*constants}}
    data = onnx_file(nodes, (16, 16), **constants)
    compare(ask, chapter, data)
    for row in (*ask(data)["rows"][-1:], *chapter(data)[-1:]):
        assert row["same"] is verdict
        words = {True: "", False: "win.? a maximum", None: "win a maximum is not known"}
        assert re.search(words[verdict] or "^$", row["note"])
    same, random = [], np.random.default_rng(0)
    for sign in (1, -1):
        x = sign * random.uniform(0.1, 2, (1, 3, 16, 16)).astype("float32")
        del constants["pads"]
        ends = [*before, ("Identity", "r", "y", {})]
        reads = onnx_file(ends, (16, 16), **constants)
        constants["pads"] = BEHIND
        (r,), (y,) = (
            ReferenceEvaluator(one).run(None, {"x": x}) for one in (reads, data)
        )
        own = tf.nn.max_pool2d(r.transpose(0, 2, 3, 1), 3, 2, "SAME")
        same.append(np.array_equal(np.moveaxis(own, -1, 1), y))
    assert verdict is None or all(same) is verdict


def test_what_is_below_zero_is_so_in_every_format(ask, chapter, tmp_path):
    """The layers of Keras in .keras and in .tflite; an activation of one's own is unknown."""
    pytest.importorskip("tensorflow", reason="no file was converted to TFLite")
    import keras

    layers, ops = keras.layers, keras.ops
    relu, conv = layers.ReLU(), layers.Conv2D

    @keras.saving.register_keras_serializable("test")
    def relu6(x):
        """Return what no ReLU6 does."""
        return ops.abs(x) - 1

    ways = {  # the layers before the Pad: the verdicts on .keras and .tflite
        "dropout": (lambda x: layers.Dropout(0.1)(relu(x)), True),
        "concat": (lambda x: layers.Concatenate()([relu(x), relu(x)]), True),
        "softmax": (layers.Softmax(), True),
        "permute": (lambda x: layers.Permute((2, 1, 3))(relu(x)), True),
        "fused": (conv(2, 3, activation="relu", padding="same"), True),
        "normalised": (lambda x: layers.BatchNormalization()(conv(2, 1)(x)), False),
        "silu": (conv(2, 1, activation="leaky_relu"), False),
        "none": (lambda x: layers.Dropout(0.1)(x), False),
        "ops": (lambda x: ops.add(relu(x), -1.0), None),
        "constant": (lambda x: ops.concatenate([relu(x), -ops.ones_like(x)], -1), None),
        "own": (conv(2, 1, activation=relu6), None),
        "slope": (layers.ReLU(negative_slope=0.1), (None, False)),
    }
    for name, (way, verdict) in ways.items():
        inputs = keras.Input((16, 16, 3), 1)
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(way(inputs))
        model = keras.Model(inputs, layers.MaxPooling2D(3, 2)(x))
        model.save(tmp_path / "model.keras")
        data = lite_of(model)
        verdicts = verdict if isinstance(verdict, tuple) else (verdict, verdict)
        saved = (tmp_path / "model.keras").read_bytes()
        for file, told in zip((saved, data), verdicts, strict=True):
            assert compare(ask, chapter, file) >= 1
            for row in (ask(file)["rows"][-1], chapter(file)[-1]):
                assert row["same"] is told, (name, row)


def test_pools_that_round_up_into_the_padding_are_the_chapters(ask, chapter):
    """Their sizes are ONNX Runtime's in both, and both say so."""
    from onnx import helper

    make, opset = helper.make_tensor_value_info, [helper.make_opsetid("", 17)]
    for n, k, s in ((7, 2, 3), (6, 3, 4), (5, 3, 2)):
        how = {"kernel_shape": [k], "strides": [s], "pads": [1, 1], "ceil_mode": 1}
        nodes = [helper.make_node("AveragePool", ["x"], ["m"], **how)]
        nodes += [helper.make_node("MaxPool", ["m"], ["y"], kernel_shape=[2])]
        ends = [make("x", 1, [1, 1, n])], [make("y", 1, None)]
        model = helper.make_model(
            helper.make_graph(nodes, "g", *ends), opset_imports=opset
        )
        data = model.SerializeToString()
        assert compare(ask, chapter, data) == 2
        for row in (ask(data)["rows"][0], chapter(data)[0]):
            assert ("before opset 22" in row["note"]) is (s > k)


def test_operations_of_keras_are_the_chapters(ask, chapter, tmp_path):
    """keras.ops.pad is a Pad; what else reads windows there, or in a loop, is unknown."""
    import keras

    layers, ops = keras.layers, keras.ops
    behind = ((0, 0), (0, 1), (0, 1), (0, 0))
    x = inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(3, 3, 2)(ops.pad(x, behind))
    x = layers.Conv2D(3, 3, 2)(ops.pad(x, behind, mode="reflect"))
    x = layers.MaxPooling2D(3, 2)(ops.pad(x, behind, constant_values=1))
    x = ops.conv(ops.max_pool(x, 2), np.ones((1, 1, 3, 3), "float32"), 1, "same")
    x = layers.TimeDistributed(layers.Conv1D(3, 3, padding="same"))(x)
    model = keras.Model(inputs, layers.TimeDistributed(layers.Dense(2))(x))
    model.save(tmp_path / "model.keras")
    data = (tmp_path / "model.keras").read_bytes()
    assert compare(ask, chapter, data) == 6
    rows = ask(data)["rows"]
    assert [row["same"] for row in rows] == [True, *[None] * 5]
    assert [row["kind"] for row in rows[3:]] == ["unknown"] * 3
    first = {"data_format": "channels_first"}
    x = inputs = keras.Input((3, 64, 64))
    x = layers.Conv2D(3, 3, 2, **first)(
        ops.pad(x, (behind[0], *behind[::-1][:1], *behind[1:3]))
    )
    x = layers.MaxPooling2D(3, 2, **first)(
        ops.pad(
            layers.BatchNormalization(axis=1)(
                ops.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
            ),
            ((0, 0), (0, 0), (0, 1), (0, 1)),
            constant_values=-np.inf,
        )
    )
    x = ops.pad(x, ((0, 0), (1, 0), (0, 1), (0, 1)))
    model = keras.Model(inputs, layers.MaxPooling2D(2, 2, **first)(x))
    model.save(tmp_path / "first.keras")
    data = (tmp_path / "first.keras").read_bytes()
    assert compare(ask, chapter, data) == 3
    assert [row["same"] for row in ask(data)["rows"]] == [True, None, None]


# ---- files that are none


def number(value):
    """Return a number as protobuf writes it."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def huge(field, length=2**62):
    """Return a protobuf field that claims that many bytes."""
    return bytes([field << 3 | 2]) + number(length) + b"short"


def bomb():
    """Return a .keras file of 100 kB whose config.json is 100 MB."""
    return keras_file('{"config": "' + " " * 10**8 + '"}')


BROKEN = {
    "empty": (b"", "It is empty"),
    "text": (b"not a model at all, but a letter", "no model that this page can read"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no model that this page can read"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "It is an HDF5 file"),
    "pytorch": (keras_file("{}", name="archive/data.pkl"), "It is a PyTorch file"),
    "zip": (keras_file("{}", name="other.json"), "without config.json"),
    "half a zip": (keras_file(SMALL)[:500], "It is a zip that is cut off"),
    "half an ONNX": (SAMPLE[: len(SAMPLE) // 2], "It is cut off or damaged"),
    "no JSON": (keras_file('{"config": '), "Its config.json is no JSON"),
    "no layers": (keras_file({"config": {}}), "lists no layers"),
    "numbers": (keras_file("17"), "lists no layers"),
    "layers of numbers": (keras_file({"config": {"layers": [1, None]}}), "damaged"),
    "zip bomb": (bomb(), "larger than 16 MB"),
    "giant length": (b"\x08\x07" + huge(7), "It is cut off or damaged"),
    "endless number": (b"\x08" + b"\xff" * 40, "damaged|no model"),
    "a table beyond the end": (struct.pack("<I", 2**31) + b"TFL3", "damaged"),
    "half a TFLite": (struct.pack("<I4s", 8, b"TFL3") + bytes(6), "damaged|without"),
}


CHOSEN = (  # by a condition, at its place in the scripts
    "avg_pool blocks fault late loop lowest max_pool no-json no-keras no-output opset own"
    " own-size sign torch"
)


def test_every_sentence_of_the_markup_is_said_and_no_other():
    """What is said of files and rows are names in the scripts, and sentences in audit.html."""
    names = audit_page.SCRIPTS
    text = "".join((FOLDER / name).read_text("utf-8") for name in names)
    markup = (FOLDER / "audit.html").read_text("utf-8")
    words = set(re.findall(r'<p id="([\w-]+)">', markup))
    place = r'(?:fail\(|sentence\(|unknown\(|note: |note = )\[?"([\w-]+)"'
    chosen = CHOSEN.split()
    assert all(f'"{word}"' in text for word in chosen)
    assert {*re.findall(place, text), *chosen} == words


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_none_gets_a_sentence(ask, name):
    """What is wrong with it, and no error."""
    data, says = BROKEN[name]
    assert re.search(says, ask(data)["says"])


def billion():
    """Return a TFLite file whose list of subgraphs claims a billion elements, each the same."""
    table = struct.pack("<HHHHH", 10, 8, 0, 0, 4) + bytes(2)
    head = struct.pack("<I4s", 20, b"TFL3") + table
    return head + struct.pack("<iI", 12, 4) + struct.pack("<I", 10**9) + bytes(64)


def cyclic(count):
    """Return a Keras model of layers each called with the next one's output, in a ring."""
    layers = []
    for i in range(count):
        tensor = {"keras_history": [f"l{(i + 1) % count}", 0, 0], "shape": None}
        inbound = {"class_name": "__keras_tensor__", "config": tensor}
        layer = keras_layer("Conv2D", **CONV | {"name": f"l{i}"})
        layers.append(layer | {"inbound_nodes": [{"args": [inbound], "kwargs": {}}]})
    outputs = [["l0", 0, 0]]
    config = {"layers": layers, "input_layers": [], "output_layers": outputs}
    return keras_file({"class_name": "Functional", "config": config})


def test_hostile_claims_end(ask):
    """A billion elements, a ring of layers, models within models, giant numbers."""
    assert ask(billion())["says"]
    ring = ask(cyclic(300))["rows"]
    assert len(ring) == 300 and ring[5]["input_size"] == [None, None]
    nested = keras_layer("Conv2D", **CONV)
    for _ in range(100):
        nested = sequential(nested)
        nested["config"]["name"] = "deep"
    assert "nested too deep" in ask(keras_file(nested))["says"]
    wide = CONV | {"kernel_size": [2**30] * 2, "strides": [2**30] * 2}
    (row,) = ask(keras_file(sequential(keras_layer("Conv2D", **wide))))["rows"]
    assert row["same"] is None and "too large" in row["note"]
    far = keras_layer("ZeroPadding2D", padding=[[2**30, 2**30]] * 2)
    first = keras_layer("InputLayer", batch_shape=[None, 9, 9, 3])
    conv = keras_layer("Conv2D", **CONV | {"padding": "valid"})
    (row,) = ask(keras_file(sequential(first, far, conv)))["rows"]
    assert row["same"] is False


def test_a_crop_behind_a_layer_of_which_nothing_is_known(ask):
    """The layer stays unknown: one whose kernel is no number, one behind a Pad of run time."""
    from onnx import TensorProto, helper, numpy_helper

    odd = keras_layer("Conv2D", **CONV | {"kernel_size": "three"})
    first = keras_layer("InputLayer", batch_shape=[None, 9, 9, 3])
    crop = keras_layer("Cropping2D", cropping=[[0, 1], [0, 1]])
    (row,) = ask(keras_file(sequential(first, odd, crop)))["rows"]
    assert row["kind"] == "unknown" and "not in the file" in row["note"]
    make = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[3, 3]),
        helper.make_node("Slice", ["y", "from", "to", "axes"], ["z"]),
    ]
    cuts = {"from": [0, 0], "to": [-1, -1], "axes": [2, 3]}
    cuts = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in cuts.items()]
    ends = make("x", 1, [1, 1, 9, 9]), make("pads", TensorProto.INT64, [8])
    made = [make("y", 1, [1, 1, 8, 8]), make("z", 1, None)]
    graph = helper.make_graph(nodes, "g", ends, made[1:], cuts, value_info=made[:1])
    (row,) = ask(helper.make_model(graph).SerializeToString())["rows"]
    assert row["kind"] == "unknown" and "run time" in row["note"]


FUZZ = r"""
const [script, folder, count, seed] = process.argv.slice(1);
require(script);
const fs = require("fs");
let state = Number(seed);
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
const seeds = fs.readdirSync(folder).sort().map((name) => fs.readFileSync(`${folder}/${name}`));
const mutate = (bytes) => {
  let out = Buffer.from(bytes);
  for (let i = random(4); i >= 0 && out.length > 4; i--) {
    const at = random(out.length - 4), other = random(out.length);
    const kind = random(7);
    if (kind === 0) out[at] = random(256);
    else if (kind === 1) out[at] ^= 1 << random(8);
    else if (kind === 2) out = out.subarray(0, 1 + at);
    else if (kind === 3) out.fill(255, at, at + 1 + random(4));
    else if (kind === 4) out = Buffer.concat([out.subarray(0, at), out.subarray(other)]);
    else if (kind === 5) out.copy(out, at, other, random(out.length));
    else out.writeUInt32LE(random(2 ** 32), at);
  }
  return out;
};
(async () => {
  const said = {};
  for (let i = 0; i < count; i++) {
    const bytes = mutate(seeds[i % seeds.length]);
    fs.writeFileSync(`${folder}.last`, bytes); // the one that hangs or fails
    try {
      const found = audit(await read(new Blob([bytes])));
      JSON.stringify(found);
      said[found.length ? "rows" : "none"] = (said[found.length ? "rows" : "none"] || 0) + 1;
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      said[error.message] = (said[error.message] || 0) + 1;
    }
  }
  console.log(JSON.stringify(said));
})();
"""


def test_mutated_files_neither_hang_nor_fail(node, tmp_path):
    """Bits flipped, parts cut, doubled, overwritten: rows or a sentence, every time."""
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "a.onnx").write_bytes(SAMPLE)
    (seeds / "b.keras").write_bytes(keras_file(SMALL, zipfile.ZIP_STORED))
    (seeds / "c.keras").write_bytes(keras_file(SMALL))
    (seeds / "d.keras").write_bytes(cyclic(3))
    (seeds / "e.tflite").write_bytes(next(one_operator_files()))
    script = tmp_path / "script.js"
    text = audit_page.script(audit_page.READING, REACHED)
    script.write_text(text, encoding="utf-8")
    count, seed = examples(200), os.environ.get("FUZZ_SEED", "1")
    process = subprocess.run(
        [node, "-e", FUZZ, str(script), str(seeds), str(count), seed],
        capture_output=True,
        text=True,
        timeout=20 + count / 20,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    said = json.loads(process.stdout)
    assert sum(said.values()) == count and said["rows"] > count / 20 and len(said) >= 5


def one_operator_files(step=40):
    """Yield TFLite files of one operator, made by chapter 12's function."""
    from notebooks import load

    schema = pytest.importorskip(
        "tensorflow.lite.python.schema_py_generated", reason="no TFLite file was made"
    )
    chapter = load("12")
    for op in ("conv", "depthwise", "max", "avg", "transposed"):
        for layer in chapter.layers_to_ask(op, "upper", "full")[::step]:
            if layer.op == "transposed" and layer.d > 1:
                continue  # TFLite's has no dilation
            data = chapter.layer_data(layer)
            yield bytes(chapter.tflite_layer(layer, *data, schema))


def test_a_file_of_100_mb_is_stepped_over(ask, bare):
    """Its rows are the sample's: the weights are no list, and cost no entries."""
    length = 100 * 2**20
    tensor = bytes([0x08, 1, 0x10, 1, 0x42, 1, 0x77, 0x4A]) + number(length)
    inside = b"\x2a" + number(len(tensor) + length) + tensor
    head = (
        b"\x3a" + number(len(inside) + length) + inside
    )  # a second graph: the first counts
    size, rows = bare.evaluate(
        """async ([text, length]) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const file = new Blob([bytes, new Uint8Array(length)]);
          return [file.size, (await ask(file)).rows];
        }""",
        [base64.b64encode(SAMPLE + head).decode(), length],
    )
    assert size > length and rows == ask(SAMPLE)["rows"]


# ---- the page


@pytest.fixture
def visit(chromium, address):
    """A function that opens the page; nothing on it may fail, complain or leave."""
    problems, contexts = [], []

    def open_page(url=None, script=True, **options):
        size = {"width": 1280, "height": 900}
        options = {"viewport": size, "java_script_enabled": script, **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                problems.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        own = ("data:", address, *(["file:"] if url else []))
        page.on(
            "request",
            lambda request: (
                problems.append(f"leaves: {request.url}")
                if not request.url.startswith(own)
                else None
            ),
        )
        page.goto(url or address + PAGE, wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


def give(page, name, data):
    """Choose a file, and wait until the page has read it."""
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    page.set_input_files("#audit-file", file)
    page.wait_for_function(
        "(name) => { const text = document.querySelector('.audit-status').textContent;"
        " return text.startsWith(name) }",
        arg=name,
    )
    return page.inner_text(".audit-status")


@pytest.mark.parametrize("way", ["http", "file"])
def test_a_file_is_read_without_a_request(visit, known, way):
    """Rows, the status, links to the explorer, a sentence for a file that is none."""
    page = visit((known / PAGE).as_uri() if way == "file" else None)
    page.wait_for_load_state("networkidle")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    text = give(page, "small.keras", keras_file(SMALL))
    assert text.startswith("small.keras (Keras): in 4 of 4 layers")
    lines = page.locator(".audit-result tbody tr")
    assert lines.count() == 4 and "by size" not in lines.first.inner_text()
    assert "cannot be read. It is an HDF5" in give(page, "w.h5", BROKEN["hdf5"][0])
    assert lines.count() == 0
    assert give(page, "again.onnx", SAMPLE).startswith("again.onnx (ONNX)")
    assert all(url.endswith("favicon.svg") for url in requests)  # the browser's own
    link = lines.nth(4).get_by_role("link")
    assert "rule=same&with=p" in link.get_attribute("href")
    link.click()
    page.wait_for_selector(".ex-live")
    text = page.inner_text(".ex-text")
    assert "Convolution, input 56 × 56, kernel 5, stride 2. TensorFlow SAME" in text
    assert "pads 1 before and 2 after" in text


def test_every_link_shows_the_row_in_the_explorer(visit, address):
    """Its two plans are the row's pads and the other rule; nothing is corrected."""
    page = visit()
    rows = page.locator(".audit-result tbody tr")
    links = rows.get_by_role("link").evaluate_all("all => all.map((a) => a.href)")
    assert len(links) == rows.count() == 10
    page.goto(links[0], wait_until="load")
    page.wait_for_selector(".ex-live")
    seen = set()
    for (
        link
    ) in links:  # one load: the explorer reads its address anew when it goes back
        show = "(a) => { history.pushState(null, '', a); dispatchEvent(new Event('popstate')) }"
        page.evaluate(show, link)
        assert page.locator(".ex-notice").count() == 0, link
        assert link.split("&n=")[1].split(",")[0] == page.input_value("[name=n0]")
        seen.add(page.inner_text(".ex-headline"))
    assert seen == {"Equal.", "Shifted by 1 pixel."}


def test_a_dropped_file_is_read_and_only_the_last_counts(bare):
    """Anywhere on the page; dropped text is the browser's own."""
    page = bare
    drop = """([names, text]) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      for (const name of names) {
        const data = new DataTransfer();
        data.items.add(new File([bytes], name));
        for (const type of ["dragover", "drop"]) {
          const event = new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true});
          if (document.body.dispatchEvent(event)) throw new Error("not taken");
        }
      }
    }"""
    page.evaluate(drop, [["one.onnx", "two.onnx"], base64.b64encode(SAMPLE).decode()])
    page.wait_for_function(
        "() => document.querySelector('.audit-status').textContent.startsWith('two.onnx (')"
    )
    page.wait_for_timeout(100)
    assert page.locator("caption").inner_text() == "two.onnx"


def test_its_words_fit_what_it_found(bare):
    """Its counts; no link where the explorer would show another layer; of two files one."""
    conv = keras_layer("Conv2D", **CONV)
    page, links = bare, ".audit-result tbody a"
    inputs = keras_layer("InputLayer", batch_shape=[None, 8, 8, 3])
    text = give(page, "one.keras", keras_file(sequential(inputs, conv)))
    assert (
        "in 1 of 1 layers the rule matters. SAME and no symmetric padding: 1;" in text
    )
    assert "of the input: 1, at" in text and page.locator(links).count() == 1
    loop = keras_layer("ConvLSTM2D")
    text = give(page, "two.keras", keras_file(sequential(conv, loop)))
    assert "of 2 layers" in text and "Unknown: 1." in text
    assert "padding: 0; symmetric and not SAME: 0. In 1 it hangs" in text  # not settled
    assert page.locator(links).count() == 0  # of an open size
    crop = keras_layer("Cropping2D", cropping=[[1, 0], [1, 0]])
    give(page, "crop.keras", keras_file(sequential(inputs, conv, crop)))
    assert page.locator(links).count() == 0
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          for (const name of ["a.h5", "b.h5"]) data.items.add(new File(["nothing"], name));
          document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }"""
    )
    page.wait_for_function(
        "() => document.querySelector('.audit-status').textContent.endsWith('first one is read.')"
    )
    assert page.inner_text(".audit-status").startswith("a.h5 cannot be read.")


def test_a_phone_shows_the_verdicts_beside_whole_names(visit):
    """At 360 px: SAME?, Symmetric? and Shift without scrolling, no word broken."""
    page = visit(viewport={"width": 360, "height": 740})
    assert page.locator("thead th").all_inner_texts()[:4] == [
        "Layer", "SAME?", "Symmetric?", "Shift",
    ]  # fmt: skip
    edges = "all => all.map((one) => one.getBoundingClientRect().right)"
    seen = page.locator("thead th:nth-child(4)").evaluate_all(edges)
    assert max(seen) <= 360
    layer = CONV | {"name": "block_13_expand/depthwise_convolution/BiasAdd"}
    first = keras_layer("InputLayer", batch_shape=[None, 8, 8, 3])
    data = keras_file(sequential(first, keras_layer("Conv2D", **layer)))
    give(page, "names.keras", data)
    heights = """all => all.flatMap((th) => {
      const walk = document.createTreeWalker(th, NodeFilter.SHOW_TEXT), found = [];
      for (let text; (text = walk.nextNode()); ) {
        const range = document.createRange();
        range.selectNode(text);
        found.push(new Set([...range.getClientRects()].map((one) => one.top)).size);
      }
      return found;
    })"""
    lines = page.locator("tbody th").evaluate_all(heights)
    assert set(lines) == {1} and len(lines) > 5
    assert max(page.locator("thead th:nth-child(4)").evaluate_all(edges)) <= 360
    give(page, "note.keras", keras_file(SMALL))
    note = page.locator("tbody small", has_text="never wins a maximum")
    assert 0 < max(note.evaluate_all(edges)) <= 180  # under the layer's name


def test_the_keyboard_does_all(visit):
    """Tab to the file, the filter and the sample; the table scrolls, and its links are reached."""
    page = visit(viewport={"width": 360, "height": 700})
    page.locator("#audit-file").focus()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.slice(0, 30)"))
        if page.evaluate("document.activeElement.type") == "checkbox":
            page.keyboard.press("Space")
    assert page.locator(".audit-result tbody tr:visible").count() == 6
    assert "Read the sample" in reached and "stem" in reached
    page.get_by_role("button", name="Read the sample").press("Enter")
    page.get_by_role("status").filter(has_text="sample.onnx (ONNX)").wait_for()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0


def test_without_scripts_the_samples_table_is_there(visit):
    """And the way to chapter 16; no control that does nothing."""
    page = visit(script=False)
    assert page.locator(".audit-result tbody tr").count() == 10
    assert page.locator("#audit-file").is_hidden()
    assert "needs JavaScript" in page.inner_text(".audit")
    assert page.get_by_role("link", name="chapter 16").count() == 1


MEDIA = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced colours at 320 px": {
        "forced_colors": "active",
        "viewport": {"width": 320, "height": 640},
    },
}


@pytest.mark.parametrize("mode", MEDIA)
def test_axe_finds_nothing(visit, mode):
    """With a table of unknown sizes and with a sentence of refusal, in every mode."""
    page = visit(**{"reduced_motion": "reduce", "viewport": TALL, **MEDIA[mode]})
    open_sizes = sequential(keras_layer("Conv2D", **CONV), keras_layer("ConvLSTM2D"))
    for name, data in (("open.keras", keras_file(open_sizes)), ("bad", b"nothing..")):
        give(page, name, data)
        page.wait_for_timeout(100)
        found = axe_objections(
            page, "all" if mode in ("light", "dark") else "structure"
        )
        assert not found, "\n".join(found)


STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


@pytest.mark.parametrize("name", ["audit.js", "explorer.js", "small.js"])
def test_it_works_under_a_strict_policy(chromium, name):
    """Scripts and styles of its own files only: no inline code, no eval, no worker, no request."""
    audits = name == "audit.js"
    if audits:
        body = (FOLDER / "audit.html").read_text("utf-8").replace("SAMPLE", STATUS)
        data = base64.b64encode(SAMPLE).decode()
        body = f'<div class="audit" data-explorer="" data-sample="{data}">{body}</div>'
        script, style = audit_page.script(), FOLDER / audit_page.STYLE
    else:
        kind = name[:-3].removeprefix("explorer")
        body = (explorer.FOLDER / "explorer.html").read_text("utf-8")
        body = (
            f'<div class="explorer" data-explorer="{kind}" data-op="conv">{body}</div>'
        )
        body = explorer.picture("index.html") * bool(kind) + body
        script, style = explorer.shipped(name), explorer.FOLDER / explorer.STYLE
    head = f'<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{style.name}">'
    files = {
        "index.html": ("text/html", f'{head}{body}<script src="{name}"></script>'),
        name: ("text/javascript", script),
        style.name: ("text/css", style.read_text("utf-8")),
    }
    for scripts in (True, False):
        context, problems = chromium.new_context(java_script_enabled=scripts), []

        def answer(route):
            kind, text = files.get(route.request.url.rpartition("/")[2], ("", ""))
            headers = {"Content-Security-Policy": STRICT, "Content-Type": kind}
            route.fulfill(body=text, headers=headers, status=200 if kind else 404)

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda one, seen=problems: seen.append(one.text))
        page.on("pageerror", lambda one, seen=problems: seen.append(str(one)))
        page.goto("http://strict.example/index.html", wait_until="load")
        if not scripts:
            assert page.locator("button").filter(visible=True).count() == 0
        elif audits:
            assert give(page, "small.keras", keras_file(SMALL)).startswith(
                "small.keras"
            )
            page.get_by_role("button", name="sample").click()
            page.get_by_text("sample.onnx (ONNX)").wait_for()
        else:
            page.get_by_label("Kernel").first.fill("5")
            page.wait_for_function("document.body.textContent.includes('kernel 5')")
            assert page.locator(".ex-live").count() == 1
        problems = [one for one in problems if "404" not in one]  # a picture
        context.close()
        assert not problems


def test_budgets_and_no_inline_code(visit, known, address):
    """Weight, no shift, no script or style in the text, and no other page loads any of it."""
    folder = known / "_static" / "audit"
    scripts = (folder / "audit.js", known / "_static" / "explorer" / "explorer.js")
    weights = [len(gzip.compress(path.read_bytes(), 9)) for path in scripts]
    assert sum(weights) <= BUDGET, weights
    page = visit(viewport={"width": 360, "height": 740})
    assert page.evaluate(LAYOUT_SHIFT) <= 0.02
    give(page, "small.keras", keras_file(SMALL))
    inline = page.evaluate(
        "[...document.querySelectorAll('.audit [style], .audit style, .audit script')].length"
    )
    assert inline == 0
    using = [
        path.name
        for path in known.rglob("*.html")
        if "audit/audit" in path.read_text(encoding="utf-8")
    ]
    assert using == ["audit.html"]
