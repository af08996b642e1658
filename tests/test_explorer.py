"""The padding explorer: its rules against the chapters', its code in the frameworks, its page.

`UPDATE_EXPLORER=1 pytest tests/test_explorer.py -k drawn_at_build` draws the default case anew into
book/_explorer/explorer.html, after a change of the markup, the drawing or the words.
"""

import gzip
import itertools
import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import LAYOUT_SHIFT, ROOT, TALL, axe_objections, examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notebooks import load

sys.path.append(str(ROOT / "book" / "_ext"))

import explorer  # noqa: E402

FOLDER = explorer.FOLDER
PAGE = "book/explorer.html"
STOPPED = ("net::ERR_ABORTED", "csp")  # by leaving the page; by switching scripts off
BUDGET = 16_050  # bytes of the script, compressed; with the audit's: test_audit_page
GRID = list(itertools.product(range(1, 33), range(1, 9), range(1, 6), range(1, 4)))


SENTENCE = re.compile(r'<p id="([\w-]+)">(.*?)</p>')
WORDS = dict(SENTENCE.findall((FOLDER / "explorer.html").read_text("utf-8")))
# What the tests call of the script, which keeps its names to itself; and the markup's sentences.
REACHED = f"const WORDS = {json.dumps(WORDS)};"
REACHED += """
Object.assign(window, {
  Padding: {
    effectiveKernelSize, plan, planAlike, ruleName, symmetric,
    verdict: (...given) => {
      const found = verdict(...given);
      const notes = found.notes.map(([name, slot]) => WORDS[name].replace("…", slot));
      return { ...found, notes };
    },
  },
  LayerCode: {
    snippet: (code, layer, rule) =>
      snippet({ ...defaults(), layer, rules: [rule, rule], locked: false, code }),
  },
  LayerPaste: { read: readLayer, comesFrom },
});
"""


@pytest.fixture
def visit(chromium, address):
    """A function that opens the explorer; nothing on its page may fail, complain or leave."""
    problems, contexts = [], []

    def note(message):
        if message.type in ("error", "warning"):
            problems.append(message.text)

    def open_page(query="", url=None, **options):
        size = {"width": 1280, "height": 900}
        context = chromium.new_context(**{"viewport": size, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}")
                if request.failure not in STOPPED else None)  # fmt: skip
        own = ("data:", address, *(["file:"] if url else []))
        page.on("request", lambda request: problems.append(f"leaves: {request.url}")
                if not request.url.startswith(own) else None)  # fmt: skip
        page.goto((url or address + PAGE) + query, wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture(scope="module")
def rules(chromium):
    """A blank page with the script as the site has it: it starts on no explorer."""
    page = chromium.new_page()
    page.add_script_tag(content=explorer.shipped("explorer.js", REACHED))
    yield page
    page.close()


@pytest.fixture(scope="module")
def book():
    """The functions of the chapters that the rules repeat."""
    return SimpleNamespace(**{**vars(load("01")), **vars(load("03"))})


# ---- the rules


KINDS = [("same", 0, 0), ("upper", 0, 0), ("lower", 0, 0), ("valid", 0, 0)]
KINDS += [("torch", p, p) for p in range(5)]
KINDS += [("pads", 0, 1), ("pads", 1, 0), ("pads", 2, 3)]

IN_BROWSER = """([grid, kinds, op]) => JSON.stringify(grid.map(([n, k, s, d]) => {
  const both = (value) => [value, value];
  const layer = {op, n: both(n), k: both(k), s: both(s), d: both(d)};
  const plans = kinds.map(([kind, a, b]) => {
    const [axis] = Padding.plan(layer, {kind, p: both(a), pads: both([a, b])});
    return [axis.before, axis.after, axis.outputs];
  });
  const conv = {...layer, op: "conv"};
  const found = Padding.symmetric(conv, Padding.plan(conv, {kind: "same"}));
  return [plans, found && found.p[0], Padding.effectiveKernelSize(k, d)];
}))"""


def in_the_book(book, kind, a, b, layer):
    """The padding of a rule along one axis, and its outputs, by the chapters' functions."""
    if kind in ("same", "upper", "lower"):
        padding = book.same_padding(*layer)
        padding = padding[::-1] if kind == "lower" else padding
    else:
        padding = (0, 0) if kind == "valid" else (a, b)
    return [*padding, book.output_size(*layer, padding)]


@pytest.mark.parametrize("op", ["conv", "max"])
def test_rules_are_those_of_the_chapters(rules, book, op):
    """Every rule on every layer of the grid: before, after, outputs, and the p that equals SAME."""
    found = json.loads(rules.evaluate(IN_BROWSER, [GRID, KINDS, op]))
    assert len(found) == 3840
    for layer, (plans, p, effective) in zip(GRID, found, strict=True):
        n, k, s, d = layer
        assert plans == [in_the_book(book, *kind, layer) for kind in KINDS], layer
        assert p == book.symmetric_equals_same(*layer), layer
        assert effective == book.effective_kernel_size(k, d)
        assert plans[0][2] == -(-n // s)


def test_pools_are_pytorchs(rules):
    """padding, dilation and ceil_mode: PyTorch's windows, by their first and last cells."""
    import torch
    import torch.nn.functional as F

    grid = [
        (n, k, s, d, p, ceil)
        for n, k, s, d in itertools.product(
            range(1, 12), range(1, 6), range(1, 5), (1, 2)
        )
        for p in range(k // 2 + 1)
        for ceil in (False, True)
    ]
    plans = rules.evaluate(
        """(grid) => grid.map(([n, k, s, d, p, ceil]) => Padding.plan(
          {op: "max", n: [n, n], k: [k, k], s: [s, s], d: [d, d]},
          {kind: "torch", p: [p, p], ceil})[0])""",
        grid,
    )
    shapes = set()
    for (n, k, s, d, p, ceil), plan in zip(grid, plans, strict=True):
        x = torch.arange(1.0, n + 1)
        taps = [
            [o * s - plan["before"] + j * d for j in range(k)]
            for o in range(plan["outputs"])
        ]
        seen = [[cell for cell in window if 0 <= cell < n] for window in taps]
        reach = (plan["outputs"] - 1) * s + (k - 1) * d + 1 - n - plan["before"]
        assert plan["after"] >= reach or not taps
        try:
            last = F.max_pool1d(x[None], k, s, p, d, ceil)[0].tolist()
            first = F.max_pool1d(-x[None], k, s, p, d, ceil)[0].tolist()
        except RuntimeError:
            assert not taps, (n, k, s, d, p, ceil)
            continue
        nothing = float("-inf")
        assert last == [max(w, default=nothing - 1) + 1 for w in seen]
        assert first == [-(min(w, default=-nothing - 1) + 1) for w in seen]
        shapes.add((ceil, plan["outputs"] == -(-n // s)))
    assert len(shapes) == 4


def test_transposed_layers_are_those_of_the_chapters(rules):
    """output_padding, dilation, SAME and the crop: chapter 10's cells, and PyTorch's."""
    import torch
    import torch.nn.functional as F

    same = load("10").conv_transpose_same
    grid = [
        (n, k, s, d, p, extra)
        for n, k, s, d, p in itertools.product(
            range(1, 5), range(1, 5), range(1, 4), (1, 2), (0, 1)
        )
        for extra in range(max(s, d))
        if (n - 1) * s + (k - 1) * d + 1 + extra > 2 * p
    ]
    plans = rules.evaluate(
        """(grid) => grid.map(([n, k, s, d, p, extra]) => {
          const layer = {op: "transposed", n: [n, n], k: [k, k], s: [s, s], d: [d, d]};
          const rule = {kind: "torch", p: [p, p], extra: [extra, extra]};
          return [Padding.plan(layer, rule)[0], Padding.plan(layer, {kind: "same"})[0]];
        })""",
        grid,
    )
    for (n, k, s, d, p, extra), found in zip(grid, plans, strict=True):
        x = torch.arange(1.0, n + 1)[None, None]
        weight = 3.0 ** torch.arange(k)[None, None]
        full = F.conv_transpose1d(x, weight, stride=s, dilation=d)
        full = F.pad(full, (0, s + d)).reshape(-1)
        wanted = (
            F.conv_transpose1d(x, weight, None, s, p, extra, dilation=d),
            same(x, weight, stride=s, dilation=d),
        )
        for plan, values in zip(found, wanted, strict=True):
            cells = full[plan["before"] :][: plan["outputs"]]
            assert cells.tolist() == values.reshape(-1).tolist(), (n, k, s, d, p, extra)


def test_pytorchs_half_kernel_is_same_lower(rules, book):
    """Chapter 3's law, d(k - 1)/2 with (n - 1) mod s <= 1: said where it holds, and only there."""
    grid = [case for case in GRID if case[2] > 1 and case[0] <= 16]
    answers = rules.evaluate(
        """(grid) => grid.map(([n, k, s, d]) => {
          const layer = {op: "conv", n: [n, n], k: [k, k], s: [s, s], d: [d, d]};
          const {equal, notes} = Padding.verdict(layer, {kind: "lower"}, {kind: "torch"});
          return [equal, notes.filter((note) => note.includes("exactly ONNX SAME_LOWER")).join()];
        })""",
        grid,
    )
    said = {"at every size": 0, "at this size": 0, "": 0}
    for (n, k, s, d), (equal, note) in zip(grid, answers, strict=True):
        reach = (k - 1) * d
        holds = reach > 0 and reach % 2 == 0 and (n - 1) % s <= 1
        assert bool(note) == holds, (n, k, s, d)
        if holds:
            before, after = book.same_padding(n, k, s, d)
            assert equal and reach // 2 == after >= before
            assert ("padding=k // 2 " in note) == (d == 1)
            assert ("at every size" in note) == (s == 2)
        said[next(words for words in said if words in note)] += 1
    assert min(said.values()) > 100


def test_equal_means_that_every_window_is_in_the_same_place(rules, book):
    """The verdict and its symmetric p against the lists of windows, for every pair of rules."""
    grid = [
        layer for layer in GRID if layer[0] <= 8 and layer[1] <= 4 and layer[2] <= 3
    ]
    pairs = list(itertools.combinations(range(len(KINDS)), 2))
    answer = rules.evaluate(
        """([grid, kinds, pairs]) => JSON.stringify(
        grid.map(([n, k, s, d]) => pairs.map(([i, j]) => {
          const both = (value) => [value, value];
          const layer = {op: "conv", n: both(n), k: both(k), s: both(s), d: both(d)};
          const [a, b] = [i, j].map((at) => {
            const [kind, p, q] = kinds[at];
            return {kind, p: both(p), pads: both([p, q])};
          });
          const {equal, text} = Padding.verdict(layer, a, b);
          const found = /ymmetric padding=(\\d+) equals/.exec(text);
          return [equal, found && Number(found[1])];
        })))""",
        [grid, KINDS, pairs],
    )
    for layer, row in zip(grid, json.loads(answer), strict=True):
        n, k, s, d = layer

        def windows(padding, outputs, layer=layer):
            return [o * layer[2] - padding for o in range(outputs)]

        plans = [in_the_book(book, *kind, layer) for kind in KINDS]
        starts = [windows(before, outputs) for before, _, outputs in plans]
        symmetric = {p: windows(p, book.output_size(*layer, (p, p))) for p in range(12)}
        for (i, j), (equal, p) in zip(pairs, row, strict=True):
            assert equal == (starts[i] == starts[j] != []), (layer, KINDS[i], KINDS[j])
            side = i if KINDS[i][0] != "torch" else j
            if KINDS[side][0] == "torch" or not starts[side]:
                continue
            equals = [q for q, places in symmetric.items() if places == starts[side]]
            assert equals == ([] if p is None else [p]), (layer, KINDS[side])


def test_every_sentence_of_the_markup_is_said_and_no_other():
    """Remarks and notices are names in the scripts, and sentences in explorer.html."""
    names = explorer.SHIPPED["explorer.js"]
    text = "".join((FOLDER / name).read_text("utf-8") for name in names)
    said = set(re.findall(r'(?:say\(|push\(\[|sentence\(\[)"([\w-]+)"', text))
    said |= {"lower", "lower-here", "keras-conv", "keras-transposed"}  # chosen there
    assert said == set(WORDS)


# ---- the code


def layer(op, n, k, s, d=1):
    """A layer of the explorer; numbers stand for both axes."""
    return {"op": op} | {
        name: list(value) if isinstance(value, tuple) else [value, value]
        for name, value in (("n", n), ("k", k), ("s", s), ("d", d))
    }


LAYERS = [
    layer("conv", 5, 2, 2),
    layer("conv", 6, 3, 2),
    layer("conv", 7, 3, 2),
    layer("conv", (9, 8), (5, 4), (1, 1)),
    layer("conv", (6, 9), (3, 2), (2, 3)),
    layer("conv", 8, 3, 2, 2),
    layer("conv", 9, (3, 2), 1, (2, 1)),
    layer("conv", 7, 2, 3),
    layer("conv", 10, 7, 3),
    layer("max", 5, 2, 2),
    layer("max", 6, 3, 2),
    layer("max", (7, 9), (4, 3), (1, 2)),
    layer("max", 9, 2, 3),
    layer("max", (8, 9), 3, 2, 2),
    layer("max", 9, (3, 2), 1, (1, 3)),
    layer("avg", (8, 9), (3, 2), (2, 1), (1, 2)),
    layer("avg", 5, 2, 2),
    layer("avg", 6, 3, 2),
    layer("avg", (7, 9), (4, 3), (1, 2)),
    layer("transposed", 4, 3, 2),
    layer("transposed", (3, 5), (4, 2), (2, 3)),
    layer("transposed", (4, 3), (5, 4), (3, 1)),
    layer("transposed", (4, 3), (3, 2), 1, (2, 3)),
    layer("transposed", (3, 4), (3, 2), (2, 3), 2),
    layer("transposed", (3, 4), (1, 2), (3, 5), (1, 2)),
]
RULES = [
    {"kind": kind, "p": p and list(p), "pads": [list(pair) for pair in pads]}
    for kind, p, pads in [
        ("same", (0, 0), ((0, 0), (0, 0))),
        ("valid", (0, 0), ((0, 0), (0, 0))),
        ("upper", (0, 0), ((0, 0), (0, 0))),
        ("lower", (0, 0), ((0, 0), (0, 0))),
        ("torch", (1, 1), ((0, 0), (0, 0))),
        ("torch", (0, 1), ((0, 0), (0, 0))),
        ("torch", None, ((0, 0), (0, 0))),
        ("pads", (0, 0), ((0, 1), (0, 1))),
        ("pads", (0, 0), ((2, 0), (0, 1))),
    ]
]
RULES += [
    {"kind": "torch", "p": [0, 0], "ceil": True},
    {"kind": "torch", "p": [1, 0], "ceil": True, "extra": [1, 0]},
]


def claimed(case, plan, x):
    """The output a plan claims: per tap in convolutions (rows, columns, taps), else the pool's."""
    (top, bottom), (left, right) = [(a["before"], a["after"]) for a in plan]
    sizes = [a["outputs"] for a in plan]
    k, s, d = case["k"], case["s"], case["d"]
    if case["op"] == "transposed":
        full = np.zeros(
            [
                (n - 1) * t + (j - 1) * e + 1 + t + e
                for n, t, j, e in zip(case["n"], s, k, d, strict=True)
            ]
        )
        full = np.repeat(full[..., None], k[0] * k[1], axis=-1)
        for (r, c), (i, j) in itertools.product(np.ndindex(*case["n"]), np.ndindex(*k)):
            full[r * s[0] + i * d[0], c * s[1] + j * d[1], i * k[1] + j] += x[r, c]
        return full[top : top + sizes[0], left : left + sizes[1]]
    fill = 0 if case["op"] == "conv" else np.nan
    padded = np.pad(x, ((top, bottom), (left, right)), constant_values=fill)
    y = np.empty([*sizes, k[0] * k[1]])
    for r, c in np.ndindex(*sizes):
        rows = r * s[0] + d[0] * np.arange(k[0])
        columns = c * s[1] + d[1] * np.arange(k[1])
        y[r, c] = padded[np.ix_(rows, columns)].reshape(-1)
    return {
        "conv": lambda: y,
        "max": lambda: np.nanmax(y, -1),
        "avg": lambda: np.nanmean(y, -1),
    }[case["op"]]()


def taps(case, inputs):
    """One filter for each tap, reading the first channel: (height, width, inputs, 64)."""
    weights = np.zeros((*case["k"], inputs, 64), "float32")
    for i, j in np.ndindex(*case["k"]):
        weights[i, j, 0, i * case["k"][1] + j] = 1
    return weights


def run_keras(case, code, x):
    """What the Keras code makes of x (rows, columns), channels last; of a symbolic tensor too."""
    import keras

    space = {}
    exec(code, space)
    image = np.stack([x, 0 * x, 0 * x], -1)[None].astype("float32")
    symbolic = space["layer"](keras.Input((*x.shape, 3)))
    layers = [space.get("convolve", space["layer"])]
    layers = getattr(layers[0], "layers", layers)
    for one in layers:
        if getattr(one, "kernel", None) is not None:
            weights = taps(case, 3)
            one.kernel.assign(
                weights.swapaxes(2, 3) if case["op"] == "transposed" else weights
            )
    call = space["layer"]
    if "XLA’s take it" in code:
        import tensorflow as tf

        call = tf.function(call, jit_compile=True)
    y = np.asarray(call(image))[0]
    assert symbolic.shape[1:] == y.shape
    return y


def run_torch(case, code, x):
    """The same in PyTorch, channels moved last."""
    import torch

    space = {}
    exec(code, space)
    image = torch.from_numpy(np.stack([x, 0 * x, 0 * x])[None].astype("float32"))
    for module in (space.get("convolve"), space["layer"]):
        if isinstance(module, torch.nn.Module) and list(module.parameters()):
            order = (2, 3, 0, 1) if case["op"] == "transposed" else (3, 2, 0, 1)
            module.weight.data = torch.from_numpy(taps(case, 3).transpose(order).copy())
            module.bias.data[:] = 0
    return space["layer"](image).detach().numpy()[0].transpose(1, 2, 0)


def run_flax(case, code, x):
    """The same in Flax."""
    space = {}
    exec(code, space)
    image = x[None, :, :, None].astype("float32")
    if case["op"] in ("max", "avg"):
        return np.asarray(space["layer"](image))[0]
    weights = taps(case, 1)
    weights = weights.swapaxes(2, 3) if case["op"] == "transposed" else weights
    parameters = {"kernel": weights, "bias": np.zeros(64, "float32")}
    return np.asarray(space["layer"].apply({"params": parameters}, image))[0]


def run_jax(case, code, x):
    """The same in JAX."""
    space = {}
    exec(code, space)
    image = x[None, :, :, None].astype("float32")
    if case["op"] in ("max", "avg"):
        return np.asarray(space["layer"](image))[0]
    weights = taps(case, 1)
    weights = weights.swapaxes(2, 3) if case["op"] == "transposed" else weights
    return np.asarray(space["layer"](image, weights))[0]


def run_onnx(case, code, x):
    """The same in ONNX Runtime, channels moved last."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    space = {}
    exec(code, space)
    order = (2, 3, 0, 1) if case["op"] == "transposed" else (3, 2, 0, 1)
    weights = [numpy_helper.from_array(taps(case, 1).transpose(order).copy(), "weight")]
    graph = helper.make_graph(
        [space["node"]],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, *x.shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights if case["op"] in ("conv", "transposed") else [],
    )
    opset = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x[None, None].astype("float32")})[0][0].transpose(
        1, 2, 0
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch, of even kernels
@pytest.mark.parametrize("framework", ["keras", "torch", "flax", "jax", "onnx"])
def test_code_does_what_it_claims(rules, framework):
    """Each snippet, executed: every tap of every window reads the cell the picture shows."""
    for module in {"onnx": ("onnx", "onnxruntime")}.get(framework, (framework,)):
        pytest.importorskip(
            module, reason=f"{module} is not installed: its code was not run"
        )
    cases = rules.evaluate(
        """([layers, rules, framework]) => layers.flatMap((layer) => rules.map((rule) => [
          layer, Padding.ruleName(layer, rule), Padding.plan(layer, rule),
          LayerCode.snippet(framework, layer, rule),
        ]))""",
        [LAYERS, RULES, framework],
    )
    run = globals()[f"run_{framework}"]
    random = np.random.default_rng(0)
    executed, seen = 0, set()
    for case, name, plan, code in cases:
        pool = case["op"] in ("max", "avg")
        if pool and any(
            max(a["before"], a["after"]) > (k - 1) * d
            for a, k, d in zip(plan, case["k"], case["d"], strict=True)
        ):
            continue  # the page never shows it: a window in nothing but padding
        if "no output" in code:
            continue
        image = [str(size) for size in case["n"]]
        assert ", ".join(image) in code.split("\n")[1], code
        x = np.arange(1, 1 + case["n"][0] * case["n"][1]).reshape(case["n"])
        x = (
            random.permutation(-x.reshape(-1)).reshape(x.shape).astype(float)
            if pool
            else x
        )
        if "ONNX Runtime refuses it" in code:
            with pytest.raises(Exception, match="Pad should be smaller than kernel"):
                run(case, code, x)
            continue
        executed += 1
        lines = code.split("\n", 1)[1]  # the first names the rule
        if (str(case), lines) in seen:
            continue
        seen.add((str(case), lines))
        wanted = claimed(case, plan, x)
        found = run(case, code, x)
        found = found[..., 0] if pool else found[..., : wanted.shape[-1]]
        assert found.shape == wanted.shape, (name, case, code)
        assert np.allclose(found, wanted, rtol=1e-6, atol=0), (name, case, code)
    assert executed >= 200 and len(seen) >= 90


REFUSALS = [
    (
        layer("conv", 8, 3, 2, 2),
        RULES[0],
        "Keras's Conv2D and tf.nn.convolution refuse",
    ),
    (
        layer("conv", 8, 3, 2, 2),
        RULES[1],
        "Keras's Conv2D and tf.nn.convolution refuse",
    ),
    (layer("conv", 8, 3, 1, 2), RULES[2], "ONNX Runtime refuses SAME_UPPER"),
    (layer("conv", 8, 1, 1, 2), RULES[3], "ONNX Runtime refuses SAME_LOWER"),
    (layer("max", 6, 2, 3), RULES[2], "ONNX Runtime refuses SAME_UPPER"),
    (layer("max", 6, 1, 3), RULES[3], "ONNX Runtime refuses SAME_LOWER"),
    (
        layer("avg", 8, 2, 4),
        RULES[2],
        "ONNX Runtime reads other cells under SAME_UPPER",
    ),
    (
        layer("avg", 8, 1, 4),
        RULES[3],
        "ONNX Runtime reads other cells under SAME_LOWER",
    ),
    (layer("transposed", 5, 2, 3), RULES[2], "ONNX Runtime returns 14 × 14"),
    (layer("max", 9, 3, 2, 2), RULES[6], "PyTorch refuses: a pool’s"),
    (layer("max", 6, 3, 2), RULES[4] | {"p": [2, 2]}, "PyTorch refuses: a pool’s"),
    (layer("avg", 6, 3, 2), RULES[4] | {"p": [1, 2]}, "PyTorch refuses: a pool’s"),
    (layer("conv", 6, 3, 2), RULES[0], 'PyTorch’s own padding="same" refuses'),
    (layer("conv", 2, 3, 1), RULES[1], "leaves no output"),
]


def ask_framework(case, rule, remark):
    """Build the layer as its rule names it, in the framework that is said to refuse."""
    op, n, k, s, d = (case[name] for name in ("op", "n", "k", "s", "d"))
    if remark.startswith("Keras"):
        import keras

        padding = {"same": "same", "valid": "valid"}[rule["kind"]]
        keras.layers.Conv2D(1, k, strides=s, dilation_rate=d, padding=padding)(
            np.ones((1, *n, 1))
        )
    elif remark.startswith("ONNX"):
        kind = {"upper": "SAME_UPPER", "lower": "SAME_LOWER"}[rule["kind"]]
        name = {"conv": "Conv", "max": "MaxPool", "avg": "AveragePool"}.get(
            op, "ConvTranspose"
        )
        dilations = f", dilations={d}" if op == "conv" else ""
        code = (
            f"from onnx import helper\nnode = helper.make_node('{name}', ['x'"
            f"{', ' + repr('weight') if op in ('conv', 'transposed') else ''}], ['y'], "
            f"kernel_shape={k}, strides={s}, auto_pad='{kind}'{dilations})"
        )
        x = np.arange(n[0] * n[1]).reshape(n)
        y = run_onnx(case, code, x)
        wanted = [m * t for m, t in zip(n, s, strict=True)]
        if op == "transposed" and list(y.shape[:2]) != wanted:
            raise ValueError(f"{y.shape[:2]} instead of {wanted}")
        if op == "avg" and y[0, 0, 0] != x[: k[0], : k[1]].mean():
            raise ValueError("the first window is not at cell (0, 0)")
    else:
        import torch
        import torch.nn.functional as F

        x, w = torch.ones(1, 1, *n), torch.ones(1, 1, *k)
        if op == "conv":
            F.conv2d(x, w, stride=s, padding="same" if "same" in remark else 0)
        elif op == "max":
            p = rule["p"] or [(j - 1) * e // 2 for j, e in zip(k, d, strict=True)]
            F.max_pool2d(x, k, s, p, d)
        else:
            F.avg_pool2d(x, k, s, padding=rule["p"])


@pytest.mark.parametrize(
    ("case", "rule", "remark"),
    REFUSALS,
    ids=[f"{r[0]['op']}-{r[2][:32]}" for r in REFUSALS],
)
def test_what_is_said_to_be_refused_is_refused(rules, case, rule, remark):
    """The explorer says so, and the framework does so; without stride or dilation neither does."""
    said = "(([layer, rule]) => Padding.verdict(layer, rule, rule).notes.join(' '))"
    assert remark in rules.evaluate(said, [case, rule])
    plain = case | {"s": [1, 1], "d": [1, 1], "n": [9, 9]}
    assert remark not in rules.evaluate(said, [plain, rule | {"p": [1, 1]}])
    if remark.startswith("ONNX"):
        pytest.importorskip(
            "onnxruntime", reason="onnxruntime is not installed: it was not asked"
        )
    if remark.startswith("Keras"):  # what the remark adds: this one call accepts it
        import tensorflow as tf

        kernel = tf.ones((*case["k"], 1, 1))
        padding = rule["kind"].upper()
        tf.nn.conv2d(
            tf.ones((1, *case["n"], 1)), kernel, case["s"], padding, dilations=case["d"]
        )
    with pytest.raises(Exception):  # noqa: B017 - each framework has its own
        ask_framework(case, rule, remark)


DILATED_POOLS = [
    (layer("max", 9, 3, 1, 2), RULES[0], "Keras’s pools take no dilation."),
    (layer("avg", 9, 3, 1, 2), RULES[4], "PyTorch’s AvgPool2d takes no dilation."),
    (layer("max", 9, 3, 2, 2), RULES[2], "out of SAME_UPPER in pools: write the pads."),
    (layer("avg", 9, 3, 2, 2), RULES[3], "out of SAME_LOWER in pools: write the pads."),
    (layer("max", 1, 2, 1, 2), RULES[0], "A window here reads nothing but padding"),
]


def test_what_is_said_of_dilated_pools(rules):
    """No such argument in Keras and AvgPool2d; ONNX Runtime's SAME has the plain kernel's size."""
    import keras
    from torch import nn

    said = "(([layer, rule]) => Padding.verdict(layer, rule, rule).notes.join(' '))"
    for case, rule, remark in DILATED_POOLS:
        assert remark in rules.evaluate(said, [case, rule])
        assert remark not in rules.evaluate(said, [case | {"d": [1, 1]}, rule])
    for refused in (
        lambda: keras.layers.MaxPooling2D(3, dilation_rate=2),
        lambda: nn.AvgPool2d(3, dilation=2),
    ):
        with pytest.raises((TypeError, ValueError)):
            refused()
    pytest.importorskip(
        "onnxruntime", reason="onnxruntime is not installed: it was not asked"
    )
    for case, rule, _ in DILATED_POOLS[2:4]:
        name = {"max": "MaxPool", "avg": "AveragePool"}[case["op"]]
        kind = "SAME_" + rule["kind"].upper()
        node = (
            f"from onnx import helper\nnode = helper.make_node('{name}', ['x'], ['y'], "
            f"kernel_shape=[3, 3], strides=[2, 2], dilations=[2, 2], auto_pad='{kind}')"
        )
        assert run_onnx(case, node, np.ones((9, 9))).shape[:2] == (4, 4)  # SAME: (5, 5)


# ---- a pasted layer


LINES = [
    ("nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)",
     {"op": "conv", "k": [7, 7], "s": [2, 2], "d": [1, 1]}, {"kind": "torch", "p": [3, 3]}),
    ("(conv1): Conv2d(3, 64, kernel_size=(7, 5), stride=(2, 1), padding=same, dilation=(1, 2))",
     {"op": "conv", "k": [7, 5], "s": [2, 1], "d": [1, 2]}, {"kind": "same"}),
    ("self.pool = nn.MaxPool2d(3, ceil_mode=True)",
     {"op": "max", "k": [3, 3], "s": [3, 3]}, {"kind": "torch", "p": [0, 0], "ceil": True}),
    ("MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)",
     {"op": "max", "k": [3, 3], "s": [2, 2]}, {"kind": "torch", "p": [1, 1], "ceil": False}),
    ("nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)",
     {"op": "transposed", "k": [3, 3], "s": [2, 2]},
     {"kind": "torch", "p": [1, 1], "extra": [1, 1]}),
    ("F.max_pool2d(F.pad(x, (0, 1, 2, 3)), 3, 2)",
     {"op": "max", "k": [3, 3], "s": [2, 2]}, {"kind": "pads", "pads": [[2, 3], [0, 1]]}),
    ("x = keras.layers.Conv2D(64, (3, 5), strides=2, padding='same', activation='relu')(x)",
     {"op": "conv", "k": [3, 5], "s": [2, 2]}, {"kind": "same"}),
    ("Conv2D(32, 3, input_shape=(28, 30, 1))",
     {"op": "conv", "n": [28, 30], "k": [3, 3], "s": [1, 1]}, {"kind": "valid"}),
    ("layers.DepthwiseConv2D((5, 5), 2, 'same')",
     {"op": "conv", "k": [5, 5], "s": [2, 2]}, {"kind": "same"}),
    ("tf.keras.layers.AveragePooling2D()",
     {"op": "avg", "k": [2, 2], "s": [2, 2]}, {"kind": "valid"}),
    ("Conv2DTranspose(64, 4, 2, padding='same')",
     {"op": "transposed", "k": [4, 4], "s": [2, 2]}, {"kind": "same"}),
    ("keras.Sequential([keras.layers.ZeroPadding2D(1), keras.layers.Conv2D(64, 3, strides=2)])",
     {"op": "conv", "k": [3, 3], "s": [2, 2]}, {"kind": "pads", "pads": [[1, 1], [1, 1]]}),
    ("nn.Conv(features=64, kernel_size=(3, 3), strides=(2, 2))",
     {"op": "conv", "k": [3, 3], "s": [2, 2]}, {"kind": "same"}),
    ("nnx.Conv(3, 64, (3, 3), strides=2, padding='VALID', rngs=rngs)",
     {"op": "conv", "k": [3, 3], "s": [2, 2]}, {"kind": "valid"}),
    ("nn.avg_pool(x, (3, 3), strides=(2, 2), padding=((0, 1), (1, 0)))",
     {"op": "avg", "k": [3, 3], "s": [2, 2]}, {"kind": "pads", "pads": [[0, 1], [1, 0]]}),
    ("y = tf.nn.max_pool2d(x, [1, 3, 3, 1], [1, 2, 2, 1], 'SAME')",
     {"op": "max", "k": [3, 3], "s": [2, 2]}, {"kind": "same"}),
    ("tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding='SAME')",
     {"op": "conv", "s": [2, 2]}, {"kind": "same"}),
    ('kernel_shape=[3,3] strides=[2,2] auto_pad="SAME_UPPER"',
     {"k": [3, 3], "s": [2, 2]}, {"kind": "upper"}),
    ('Conv <auto_pad: string = "SAME_LOWER", kernel_shape: ints = [3, 3]> (x, w)',
     {"op": "conv", "k": [3, 3], "s": [1, 1]}, {"kind": "lower"}),
    ("MaxPool kernel_shape: 3, 3 strides: 2, 2 pads: 0, 0, 1, 1",
     {"op": "max", "k": [3, 3], "s": [2, 2]}, {"kind": "pads", "pads": [[0, 1], [0, 1]]}),
    ("MAX_POOL_2D padding: SAME, stride_w: 2, stride_h: 1, filter_width: 3, filter_height: 4",
     {"op": "max", "k": [4, 3], "s": [1, 2]}, {"kind": "same"}),
    ('"Conv2DOptions", {padding: "VALID", "stride_w": 2, "stride_h": 2} CONV_2D 3x3',
     {"op": "conv", "s": [2, 2]}, {"kind": "valid"}),
]  # fmt: skip

UNREAD = [
    ("nn.Conv2d(3, 64, k, stride=2 + s, padding=1, padding_mode='reflect')",
     ["padding_mode='reflect'", "k", "stride=2+s"]),
    ("tf.nn.conv2d(x, w, strides=2, padding='SAME')", ["the kernel’s size"]),
    ("Conv2D(64, (3, 3, 3), padding=pick(1, [2]))", ["(3,3,3)", "padding=pick(1,[2])"]),
    ("nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2))", ["nn.MaxPool2d(2)"]),
    ("nn.Conv2d(3, 64, 3, padding=2)(x)[..., 1:4, 1:4]", ["[...,1:4,1:4]"]),
    ("Conv2DTranspose(64, 3, 2, output_padding=1)", ["output_padding=1"]),
    ("F.max_pool2d(F.pad(x, pads), 3, 2, 1)", ["F.pad(x,pads)"]),
]  # fmt: skip


def pasted(rules, text):
    """What the explorer reads in a text."""
    return rules.evaluate("(text) => LayerPaste.read(text)", text)


@pytest.mark.parametrize(("text", "layer", "rule"), LINES, ids=[t for t, *_ in LINES])
def test_lines_that_people_paste(rules, text, layer, rule):
    """Each framework's way of writing a layer, defaults included."""
    found = pasted(rules, text)
    assert {name: found["layer"].get(name) for name in layer} == layer
    assert {name: found["rule"].get(name) for name in rule} == rule
    assert set(found["layer"]) <= {*layer, "d"}


@pytest.mark.parametrize(("text", "parts"), UNREAD, ids=[text for text, _ in UNREAD])
def test_what_cannot_be_read_is_named(rules, text, parts):
    """In the text's own words, and its field is left out."""
    found = pasted(rules, text)
    unread = [part.replace(" ", "") for part in found["unread"]]
    assert unread == [part.replace(" ", "") for part in parts]


sizes = st.lists(st.integers(1, 9), min_size=2, max_size=2)
small = st.lists(st.integers(0, 3), min_size=2, max_size=2)
shown_layers = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["conv", "max", "avg", "transposed"]),
        "n": st.lists(st.integers(1, 300), min_size=2, max_size=2),
        "k": sizes,
        "s": sizes,
        "d": st.lists(st.integers(1, 3), min_size=2, max_size=2),
    }
)
shown_rules = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["same", "valid", "torch", "upper", "lower", "pads"]),
        "p": st.none() | small,
        "pads": st.lists(small, min_size=2, max_size=2),
        "extra": st.none() | small,
        "ceil": st.booleans(),
    }
)


@settings(max_examples=examples(100))
@given(shown_layers, shown_rules)
def test_the_explorers_own_code_pasted_back_is_the_same_layer(rules, case, rule):
    """In every framework: same layer, same windows. Without its comments: no other ones."""
    most = [max(steps) - 1 for steps in zip(case["s"], case["d"], strict=True)]
    rule["extra"] = rule["extra"] and list(map(min, rule["extra"], most))
    if case["op"] in ("max", "avg"):  # as the page settles it
        most = [(k - 1) * d for k, d in zip(case["k"], case["d"], strict=True)]
        rule["p"] = rule["p"] and list(map(min, rule["p"], most))
        rule["pads"] = [
            [min(cells, m) for cells in pads]
            for pads, m in zip(rule["pads"], most, strict=True)
        ]
    answers = rules.evaluate(
        r"""([layer, rule]) => {
          const plan = Padding.plan(layer, rule);
          if (plan.some((axis) => axis.outputs === 0)) return [];
          return ["keras", "torch", "flax", "jax", "onnx"].flatMap((framework) => {
            const code = LayerCode.snippet(framework, layer, rule);
            const windows = (seen, rule) =>
              rule && Padding.planAlike(Padding.plan(seen, rule), plan);
            const {state, notices} = LayerPaste.comesFrom(`x = 1\n${code}y = 2\n`);
            const same = windows(state.layer, state.rules[0]);
            const bare = code.replace(/^#.*\n/gm, "");
            const found = LayerPaste.read(bare);
            return [
              [code, {...state, unread: notices}, same],
              [bare, found, found && windows({...layer, ...found.layer}, found.rule)],
            ];
          });
        }""",
        [case, rule],
    )
    for i, (text, found, windows) in enumerate(answers):
        if i % 2 == 0:
            assert found["layer"] == case, (text, found)
            assert windows and not found["unread"], (text, found)
        elif found and not found["unread"]:
            assert windows or "d" not in found["layer"], (text, found)


HOSTILE_TEXTS = [
    "", " ", "(" * 5000, "Conv2d(" * 700, "Conv2d([[[[[[[[[[[[[[3", "kernel_shape=[[[", "=:=:",
    "__proto__=3", "Conv2d(1, 2, __proto__=3, constructor={})", "constructor: toString",
    "Conv2D(64, 3.5, strides=-2)", "MaxPool2d(99999999999999999999, 2)", "kernel_shape=[]",
    "nn.Conv2d(3, 64, 3)); alert(1); (", "Conv2d(3, 64, eval('1'), stride=(lambda: 2)())",
    "<img src=x onerror=alert(1)>", "Conv2d(<script>alert(1)</script>, 3, 3)", "]])}",
    "# x (batch, 6, 6, 3)", "# pads (", "# PyTorch padding=", "ONNX pads=[1", "nn.Conv2d(", "\x00",
]  # fmt: skip


@settings(max_examples=examples(100))
@given(
    st.text()
    | st.text("()[]{}=:,.<>#'\"0123456789 \nConv2dpadkernel_sizeMaxPool", max_size=60)
)
@example("")
def test_hostile_text_is_only_read(rules, text):
    """Any text: null, or pairs of numbers and words of the table; the page is untouched."""
    for one in [text, f"Conv2d({text})", *(HOSTILE_TEXTS if not text else [])]:
        found = rules.evaluate(
            """(text) => {
              const before = Object.keys(window).length;
              const found = LayerPaste.read(text);
              return {found, same: Object.keys(window).length === before && !({}).padding};
            }""",
            one,
        )
        assert found["same"]
        if found["found"] is None:
            continue
        read = found["found"]
        assert set(read["layer"]) <= {"op", "n", "k", "s", "d"}
        for name, value in read["layer"].items():
            if name == "op":
                assert value in ("conv", "max", "avg", "transposed")
            else:
                assert len(value) == 2 and all(
                    isinstance(v, int | float) for v in value
                )
        assert all(isinstance(part, str) for part in read["unread"])
        assert (read.get("rule") or {"kind": "same"})["kind"] in (
            "same", "valid", "torch", "upper", "lower", "pads"
        )  # fmt: skip


# ---- the page


def result(page):
    """The sentence that says it all."""
    return page.get_by_role("status").inner_text()


def number(page, label):
    """The number field with this label, and no other that begins so."""
    return page.get_by_role("spinbutton", name=label, exact=True)


def windows(page):
    """What the lines under the two pictures say."""
    return page.locator(".ex-here").all_inner_texts()


def test_the_default_case_is_drawn_at_build(visit):
    """explorer.html holds what the script draws: the picture and the text that need no script."""
    page = visit()
    page.mouse.move(0, 0)
    drawn = page.evaluate("document.querySelector('.explorer').innerHTML")
    path = FOLDER / "explorer.html"
    if os.environ.get("UPDATE_EXPLORER"):
        path.write_text(drawn, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == drawn, "see the top of this file"


def test_without_scripts(visit):
    """The default case stands as a picture with its text, and nothing dead can be operated."""
    page = visit(java_script_enabled=False)
    assert "Shifted by 1 pixel." in result(page)
    assert "No symmetric padding equals TensorFlow SAME." in result(page)
    assert page.locator("figure svg").count() == 2
    assert page.locator(".ex-window").first.get_attribute("width") not in (None, "0")
    assert (
        not page.locator(".explorer :is(input, select, button)")
        .filter(visible=True)
        .count()
    )
    page.get_by_text("Which input cells each output reads").click()
    assert page.get_by_role("row", name="2 4 5 (6) 3 4 5").is_visible()


def test_only_its_pages_load_it(known):
    """The scripts are not in the head of every page."""
    with_it = [
        p.name for p in known.rglob("*.html") if "explorer.js" in p.read_text("utf-8")
    ]
    assert (
        set(with_it) <= {"explorer.html", "index.html"} and "explorer.html" in with_it
    )


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_the_address_is_the_state(visit, known, scheme):
    """A deep link, two changes, back and forward, a reload: over http and from a file."""
    page = visit("?op=max&n=7&k=3&s=2&d=1&rule=same&with=lower&at=1,2",
                 url=(known / PAGE).as_uri() if scheme == "file" else None)  # fmt: skip
    assert result(page).startswith("Equal.")
    assert windows(page)[0] == "Output (1, 2) reads rows 1–3; columns 3–5."
    number(page, "Input size").fill("6")
    number(page, "Input size").press("Tab")
    assert result(page).startswith("Shifted by 1 pixel.")
    page.get_by_role("radio", name="Convolution").check()
    page.get_by_label("Rows and columns differ").check()
    number(page, "Stride, columns").fill("1")
    number(page, "Stride, columns").press("Tab")
    assert "op=conv&n=6,6&k=3,3&s=2,1&d=1,1&rule=same&with=lower" in page.url
    changed = result(page)
    page.go_back()
    page.go_back()
    assert not page.get_by_label("Rows and columns differ").is_checked()
    page.go_back()
    assert page.get_by_role("radio", name="Max pool").is_checked()
    assert number(page, "Input size").input_value() == "6"
    page.go_back()
    assert number(page, "Input size").input_value() == "7"
    for _ in range(4):
        page.go_forward()
    assert result(page) == changed
    page.reload()
    assert result(page) == changed


EXAMPLES = [
    (
        "5×5, k 2, s 2",
        "Shifted by 1 pixel.",
        "SAME pads 0 before and 1 after, output 3 × 3",
    ),
    (
        "5×5, SAME and VALID",
        "Different sizes.",
        "VALID pads 0 before and 0 after, output 2 × 2",
    ),
    (
        "6×6, k 3, s 2",
        "Shifted by 1 pixel.",
        "No symmetric padding equals TensorFlow SAME.",
    ),
    (
        "224 stem",
        "Shifted by 1 pixel.",
        "SAME pads 2 before and 3 after, output 112 × 112",
    ),
    ("225 stem", "Equal.", "Symmetric padding=3 equals TensorFlow SAME."),
    (
        "SAME_LOWER",
        "Equal.",
        "padding=k // 2 is exactly ONNX SAME_LOWER at every size, as for every odd kernel",
    ),
    (
        "Pool, ceil_mode",
        "Equal.",
        "Symmetric padding=0, ceil_mode=True equals TensorFlow SAME.",
    ),
    (
        "Dilated",
        "Shifted by 1 pixel.",
        "Keras's Conv2D and tf.nn.convolution refuse stride with",
    ),
    (
        "Transposed",
        "Shifted by 1 pixel.",
        "SAME crops 0 before and 1 after, output 8 × 8",
    ),
]


def test_examples(visit):
    """Each says what its layer is known for, in the sentence, and becomes the address."""
    page = visit()
    assert page.locator(".ex-presets a").all_inner_texts() == [
        name for name, *_ in EXAMPLES
    ]
    for name, headline, sentence in EXAMPLES:
        link = page.get_by_role("link", name=name, exact=True)
        link.click()
        assert result(page).startswith(headline), name
        assert sentence in result(page)
        assert page.url.endswith(link.get_attribute("href"))
        assert page.locator(".ex-presets [aria-current]").all_inner_texts() == [name]


def test_keyboard_alone(visit):
    """Tab reaches the pictures and the sliders; arrows walk both windows together."""
    page = visit()
    panels = page.get_by_role("group", name="Windows. Arrow keys walk them.")
    page.get_by_label("Second rule").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "ex-panels"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # there is no further window
    assert windows(page) == [
        "Output (1, 2) reads rows 2–4; columns 4–5 plus 1 of padding.",
        "Output (1, 2) reads rows 1–3; columns 3–5.",
    ]
    page.keyboard.press("Home")
    assert windows(page)[1].startswith("Output (0, 0) reads rows 0–1 plus 1 of padding")
    page.keyboard.press("Tab")
    slider = page.get_by_role("slider", name="Output row")
    assert slider.evaluate("element => element === document.activeElement")
    page.keyboard.press("ArrowRight")
    assert windows(page)[0] == "Output (1, 0) reads rows 2–4; columns 0–2."
    assert slider.get_attribute("aria-valuetext") == (
        "row 1: TensorFlow SAME reads rows 2–4; columns 0–2; "
        "PyTorch padding=1 reads rows 1–3; columns 0–1 plus 1 of padding"
    )
    page.wait_for_url("**at=1,0")
    assert panels.get_by_role("img").first.get_attribute("aria-labelledby") == (
        "ex-caption0 ex-here0"
    )


def test_mouse_and_touch(visit):
    """Pointing and tapping choose the window whose centre is nearest."""
    page = visit()
    picture = page.locator("figure svg").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 0.96 * box["width"], box["y"] + 0.96 * box["height"])
    assert windows(page)[0].startswith("Output (2, 2) reads rows 4–5 plus 1 of padding")
    phone = visit(viewport={"width": 360, "height": 740}, has_touch=True)
    second = phone.locator("figure svg").nth(1)
    second.scroll_into_view_if_needed()
    box = second.bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] - 3, box["y"] + 0.5 * box["height"])
    assert windows(phone)[1] == "Output (1, 2) reads rows 1–3; columns 3–5."


def test_copying_the_code(visit):
    """The button puts exactly the code shown on the clipboard."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("radio", name="PyTorch", exact=True).check()
    code = page.get_by_label("Code", exact=True).inner_text()
    assert "padding=2" in code and "[..., 1:4, 1:4]" in code
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == code
    page.get_by_role("radio", name="PyTorch padding=1").check()
    assert "stride=2, padding=1)" in page.get_by_label("Code", exact=True).inner_text()


HOSTILE = [
    ("?n=99999&k=-3&s=0&d=x&rule=<script>", ["“99999” is outside 1 to 16384", "“-3” is outside",
     "“0” is outside", "“x” is not a whole number", "Rule “<script>” is unknown"]),
    ("?n=&k=1e3&s=,&d=2,&rule=p&with=pads-1,9999,x", ["Input size “”", "Kernel “1e3”"]),
    ("?op=__proto__&rule=constructor&with=toString&code=%00&at=-1,1e9", ["Operation “__proto__”"]),
    ("?op=max&k=2&d=3&with=p64&rule=pads9,9,9,9", ["smaller than its kernel; shown with 3"]),
    ("?op=transposed&s=3&d=5&with=p1o7", ["output_padding is smaller than the stride or the"]),
    ("?op=transposed&with=p1o-1&rule=po", ["output_padding “-1” is outside", "Rule “po” is"]),
    ("?op=max&with=p0ceilceil&rule=p,,,o,", ["Rule “p0ceilceil” is unknown", "Padding “” is"]),
    ("?n=16384&k=512&s=1&d=64&rule=pads16384,16384&with=p16384&at=9999,9999&w=edge", []),
    ("?op=transposed&n=16384&k=512&s=64&rule=same&with=p&at=16000,16000&w=nothing", []),
    ("?n=1&k=16&s=16&d=8&rule=valid&with=valid", ["leaves no output"]),
    ("?op=transposed&n=1&k=1&s=16&with=p64", ["leaves no output"]),
    ("?n=%E0%A4%A&&&=&k=3=4&n=7", []),
]  # fmt: skip


@pytest.fixture
def bare(tmp_path):
    """The address of a page with nothing but an explorer of the given kind, from a file."""

    def write(kind=""):
        markup = (FOLDER / "explorer.html").read_text("utf-8")
        style = f'<link rel="stylesheet" href="{(FOLDER / "explorer.css").as_uri()}">'
        name = "small.js" if kind else "explorer.js"
        (tmp_path / name).write_text(explorer.shipped(name), "utf-8")
        page = f'{style}<div class="explorer" data-explorer="{kind}">{markup}</div>'
        page += f'<script src="{name}"></script>'
        path = tmp_path / "explorer.html"
        path.write_text("<!doctype html><meta charset=utf-8>" + page, "utf-8")
        return path.as_uri()

    return write


@pytest.mark.parametrize(("query", "notices"), HOSTILE)
def test_hostile_addresses(visit, bare, query, notices):
    """What cannot be shown is corrected, and said so; the page is never blank."""
    page = visit(query, url=bare())
    said = result(page)
    for notice in notices:
        assert notice in said
    assert re.match(r"(Equal|Shifted by \d+ pixels?|Different sizes|No output)\.", said)
    assert page.locator(".explorer script").count() == 0
    for picture in page.locator("figure svg").all():
        assert (
            len(picture.locator(".ex-cells").get_attribute("d")) > 10
            or "No output" in said
        )
    assert not re.search(r"NaN|undefined|null", page.locator(".explorer").inner_html())
    controls = page.locator(".explorer input[type=number]")
    for value, low, high in controls.evaluate_all(
        "all => all.map(e => [+e.value, +e.min, +e.max])"
    ):
        assert low <= value <= high


def test_hostile_typing(visit):
    """A wrong number is shown with the nearest one while it is typed, and replaced on leaving."""
    page = visit()
    size = number(page, "Input size")
    for typed, shown in (("99999", "16384"), ("-4", "1"), ("", "1"), ("2.5", "1")):
        size.fill(typed)
        assert page.locator(".ex-cells").first.get_attribute("d")
        size.press("Tab")
        assert size.input_value() == shown
    assert "“2.5” is not a whole number; shown with 1." in result(page)


def test_no_motion_for_those_who_ask(visit):
    """The outline glides for others only."""
    durations = (
        "getComputedStyle(document.querySelector('.ex-window')).transitionDuration"
    )
    assert visit(reduced_motion="reduce").evaluate(durations) == "0s"
    assert visit(reduced_motion="no-preference").evaluate(durations) != "0s"


# ---- what the pictures say


def signs(page, name):
    """What is drawn in the cells beyond the input: the path of that name, in each picture."""
    return [
        len(path.get_attribute("d") or "")
        for path in page.locator(f"figure .ex-still .ex-{name}").all()
    ]


def test_padding_shows_what_it_is(visit):
    """Zeros only where zeros are read; a pool's padding is empty, a cropped cell crossed out."""
    page = visit()
    legend = page.locator(".ex-legend")
    assert min(signs(page, "zero")) > 0 and "padding, a zero." in legend.inner_text()
    for name, words in (
        ("Max", "never wins a maximum"),
        ("Average", "never counts in"),
    ):
        page.get_by_role("radio", name=f"{name} pool").check()
        assert signs(page, "zero") == signs(page, "cross") == []
        assert signs(page, "empty") == [0, 0] and min(signs(page, "padding")) > 0
        assert words in legend.inner_text()
    page.get_by_role("radio", name="Transposed").check()
    assert signs(page, "zero") == signs(page, "empty") == signs(page, "hatch") == []
    assert min(signs(page, "cross")) > 0
    assert "cropped: computed, then cut off." in legend.inner_text()
    assert legend.locator(".ex-cross").count() == 1


def test_ticks_reach_the_last_cell(visit):
    """The first and the last cell have their number on both axes, whatever is left out between."""
    for query, last in (("?n=6", "5"), ("?n=32", "31"), ("?n=224&k=7", "223"),
                        ("?n=16384&k=512&s=7&at=900,900", "16383")):  # fmt: skip
        page = visit(query)
        for picture in page.locator("figure .ex-axes").all():
            texts = picture.locator("text").all_text_contents()
            assert texts.count(last) == 2 and texts.count("0") == 2, (query, texts)
            boxes = picture.locator("text:not(.ex-left)").evaluate_all(
                "all => all.map(e => e.getBoundingClientRect()).map(({x, width}) => [x, x + width])"
            )
            for (_, right), (left, _) in itertools.pairwise(sorted(boxes)):
                assert right <= left, (query, texts)


def test_words_of_the_windows(visit):
    """One row is a row, padding alone is said to be so, long lists are cut."""
    page = visit("?n=6&k=1&s=2&rule=valid&with=pads1,0")
    assert windows(page) == [
        "Output (0, 0) reads row 0; column 0.",
        "Output (0, 0) reads 1 row of padding; 1 column of padding.",
    ]
    page = visit("?op=transposed&n=4&k=2&s=2&rule=pads2,0&with=p1")
    assert windows(page) == [
        "Input cell (0, 0) writes 2 rows cropped; 2 columns cropped.",
        "Input cell (0, 0) writes row 0 plus 1 cropped; column 0 plus 1 cropped.",
    ]
    page = visit("?n=400&k=12&d=9&s=1&rule=valid&with=valid")
    assert "rows 0, 9, 18, 27, 36, …, 90, 99; columns" in windows(page)[0]


SUMS = [
    ("?n=6&k=2&at=1,1", ["15 + 16 + 21 + 22 = 74"] * 2),
    ("?n=6&k=3&w=count",
     ["1×1 + 2×2 + 3×3 + 7×4 + 8×5 + 9×6 + 13×7 + 14×8 + 15×9 = 474",
      "0×1 + 0×2 + 0×3 + 0×4 + 1×5 + 2×6 + 0×7 + 7×8 + 8×9 = 145"]),
    ("?n=6&k=3&w=edge&at=0,2",
     ["5×(−1) + 6×0 + 0×1 + 11×(−1) + 12×0 + 0×1 + 17×(−1) + 18×0 + 0×1 = −33",
      "0×(−1) + 0×0 + 0×1 + 4×(−1) + 5×0 + 6×1 + 10×(−1) + 11×0 + 12×1 = 4"]),
    ("?op=max&n=6&k=3",
     ["max(1, 2, 3, 7, 8, 9, 13, 14, 15) = 15", "max(1, 2, 7, 8) = 8"]),
    ("?op=avg&n=6&k=3",
     ["(1 + 2 + 3 + 7 + 8 + 9 + 13 + 14 + 15) / 9 = 8", "(1 + 2 + 7 + 8) / 4 = 4.5"]),
    ("?op=transposed&n=4&k=2&w=count&at=1,1",
     ["Adds 6×1, 6×2, 6×3, 6×4 to the cells under it."] * 2),
    ("?n=20&k=9", ["The sum is written out for kernels of up to 64 cells."] * 2),
]  # fmt: skip


@pytest.mark.parametrize(("query", "sums"), SUMS, ids=[query for query, _ in SUMS])
def test_the_live_sum(visit, query, sums):
    """The numbers under each window, times the chosen weights, and what that makes."""
    page = visit(query)
    assert page.locator(".ex-sum").all_inner_texts() == sums


def test_the_sum_follows_the_walk_and_the_weights(visit):
    """Another window, other weights: the line changes, and the address keeps the choice."""
    page = visit("?n=6&k=2")
    page.get_by_role("slider", name="Output column").press("ArrowRight")
    assert page.locator(".ex-sum").first.inner_text() == "3 + 4 + 9 + 10 = 26"
    page.get_by_label("Weights").select_option("1, 2, 3, …")
    assert page.locator(".ex-sum").first.inner_text() == "3×1 + 4×2 + 9×3 + 10×4 = 78"
    assert "&w=count" in page.url
    page.get_by_role("radio", name="Max pool").check()
    assert not page.get_by_label("Weights").is_visible()


# ---- what can be asked


def test_p_follows_the_kernel_until_it_is_typed(visit):
    """d(k - 1)/2 as long as nobody types; emptied, it follows again; the address tells which."""
    page = visit()
    p = number(page, "p")
    number(page, "Kernel").fill("7")
    assert p.input_value() == "3"
    number(page, "Dilation").fill("2")
    assert p.input_value() == "6" and "PyTorch padding=6" in result(page)
    number(page, "Dilation").press("Tab")
    assert page.url.endswith("&k=7&s=2&d=2&rule=same&with=p")
    p.fill("1")
    p.press("Tab")
    number(page, "Kernel").fill("5")
    number(page, "Kernel").press("Tab")
    assert p.input_value() == "1" and page.url.endswith("&with=p1")
    p.fill("")
    p.press("Tab")
    assert p.input_value() == "4" and page.url.endswith("&with=p")


def test_ceil_mode(visit):
    """A choice of PyTorch's rule, in pools alone; the address keeps it."""
    page = visit("?op=max&n=6&k=3&s=2&d=1&rule=same&with=p0")
    assert result(page).startswith("Different sizes.")
    page.get_by_role("checkbox", name="ceil_mode").check()
    assert result(page).startswith("Equal.")
    assert "PyTorch padding=0, ceil_mode=True pads 0 before and 1 after" in result(page)
    assert page.url.endswith("with=p0ceil")
    page.reload()
    assert page.get_by_role("checkbox", name="ceil_mode").is_checked()
    page.get_by_role("radio", name="Convolution").check()
    assert not page.get_by_role("checkbox", name="ceil_mode").is_visible()
    assert page.url.endswith("with=p0") and "ceil" not in result(page)


def test_output_padding(visit):
    """Typed, in transposed layers alone; not typed, what reaches n * s."""
    page = visit("?op=transposed&n=4&k=3&s=2&d=1&rule=same&with=p1")
    extra = number(page, "output_padding")
    assert extra.input_value() == "1"
    extra.fill("0")
    extra.press("Tab")
    assert result(page).startswith("Different sizes.") and "output 7 × 7" in result(
        page
    )
    assert page.url.endswith("with=p1o0")
    extra.fill("5")
    extra.press("Tab")
    assert extra.input_value() == "1" and "output_padding is smaller than" in result(
        page
    )
    page.get_by_role("radio", name="Max pool").check()
    assert not extra.is_visible() and page.url.endswith("with=p1")


def test_dilation_in_pools(visit):
    """The field is open, the windows are dilated, the code is written."""
    page = visit("?op=max&n=9&k=3&s=1&d=2&rule=valid&with=p1&code=torch&of=with")
    assert windows(page)[0] == "Output (0, 0) reads rows 0, 2, 4; columns 0, 2, 4."
    assert number(page, "Dilation").is_enabled()
    code = page.get_by_label("Code", exact=True).inner_text()
    assert "nn.MaxPool2d(3, stride=1, padding=1, dilation=2)" in code


def test_large_layers(visit):
    """The largest that is taken: only the ends are drawn, and it does not take long to do so."""
    page = visit("?n=16384&k=512&s=64&d=64&rule=same&with=p&at=128,7")
    assert "input 16384 × 16384, kernel 512, stride 64, dilation 64" in result(page)
    assert (
        page.locator("figure .ex-still path").first.get_attribute("d").count("M") < 400
    )
    outline = page.locator(".ex-window").first
    assert float(outline.get_attribute("width")) > 30
    page.locator(".explorer summary").click()
    page.get_by_role("row").nth(20).wait_for()
    assert len(page.locator(".ex-tables").inner_text()) < 20_000


def test_play(visit):
    """A window at a time until the last or a second click; the address waits for the end."""
    page = visit("?n=6&k=3&s=2&d=1&rule=same&with=p")
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(60_000)
    button = page.locator(".ex-play")
    button.click()
    assert button.inner_text() == "Pause"
    assert windows(page)[0].startswith("Output (0, 1)")
    page.clock.run_for(1500)
    assert windows(page)[0].startswith("Output (1, 0)") and "at=" not in page.url
    button.click()
    page.clock.run_for(3000)
    assert windows(page)[0].startswith("Output (1, 0)") and page.url.endswith("at=1,0")
    button.click()
    page.clock.run_for(5000)
    assert windows(page)[0].startswith("Output (2, 2)") and page.url.endswith("at=2,2")
    assert button.inner_text() == "Play"
    button.click()
    assert windows(page)[0].startswith("Output (0, 0)")
    page.get_by_role("slider", name="Output row").press("ArrowRight")
    assert button.inner_text() == "Play"


def test_play_steps_for_those_who_want_less_motion(visit):
    """Nothing moves by itself: each click is one window."""
    page = visit("?n=6", reduced_motion="reduce")
    page.clock.install()
    page.reload()
    button = page.get_by_role("button", name="Next window")
    button.click()
    page.clock.run_for(5000)
    assert windows(page)[0].startswith("Output (0, 1)")
    assert button.inner_text() == "Next window"


def paste_in(page, text):
    """Put a text into the field and have it read."""
    page.get_by_label("Paste a layer").fill(text)
    page.get_by_role("button", name="Read it").click()


def test_pasting_a_layer(visit):
    """A line fills the fields, the second rule for PyTorch; what it does not say stays."""
    page = visit("?n=40")
    paste_in(
        page,
        "self.stem = nn.Conv2d(3, 64, (7, 5), stride=2, padding=(3, 2), bias=False)",
    )
    assert page.get_by_label("Rows and columns differ").is_checked()
    assert "Convolution, input 40 × 40, kernel (7, 5), stride 2." in result(page)
    assert "PyTorch padding=(3, 2)" in result(page) and "Not read" not in result(page)
    assert page.url.endswith(
        "?op=conv&n=40,40&k=7,5&s=2,2&d=1,1&rule=same&with=p3,2&of=with"
    )
    paste_in(page, "layers.MaxPooling2D(3, strides=2, padding='same', hidden=1 + 1)")
    assert not page.get_by_label("Rows and columns differ").is_checked()
    assert "Max pool, input 40 × 40, kernel 3, stride 2. TensorFlow SAME" in result(
        page
    )
    assert "Not read, and left alone: “hidden=1+1”." in result(page)
    paste_in(page, "Conv2D(64, 9999, strides=0)")
    assert "Kernel “9999” is outside 1 to 512; shown with 512." in result(page)
    assert "Stride “0” is outside 1 to 64; shown with 1." in result(page)
    before = page.url
    paste_in(page, "Who pads symmetrically?")
    assert (
        "No layer was found in “Who pads symmetrical…”; nothing has changed."
        in result(page)
    )
    assert page.url == before
    page.get_by_label("Paste a layer").fill("")
    page.evaluate("""() => {
      const area = document.querySelector("textarea");
      area.value = "nn.MaxPool2d(2, 2)";
      area.dispatchEvent(new Event("paste", {bubbles: true}));
    }""")
    page.get_by_text("Max pool, input 40 × 40, kernel 2, stride 2.").wait_for()


def test_hostile_paste(visit):
    """Nothing runs, nothing is loaded, nothing becomes markup."""
    page = visit()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for text in HOSTILE_TEXTS:
        paste_in(page, text)
        assert page.locator(".ex-headline").inner_text()
        assert page.locator(".explorer :is(script, img)").count() == 0
        assert not re.search(
            r"NaN|undefined|null", page.locator(".ex-result").inner_text()
        )


@pytest.mark.parametrize("framework", ["Keras", "PyTorch", "Flax", "JAX", "ONNX"])
def test_the_code_shown_can_be_pasted(visit, framework):
    """The page's own code, put into its own field, changes nothing but what is chosen."""
    page = visit("?op=max&n=9,8&k=3,2&s=2,2&d=1,1&rule=lower&with=p1,0ceil")
    for name in ("ONNX SAME_LOWER", "PyTorch padding=(1, 0), ceil_mode=True"):
        page.get_by_role("radio", name=name).check()
        page.get_by_role("radio", name=framework, exact=True).check()
        before = result(page)
        paste_in(page, page.get_by_label("Code", exact=True).inner_text())
        assert result(page) == before


def test_changed_code_and_addresses_can_be_pasted(visit):
    """What was changed in the page's own code counts; an address alone is followed."""
    page = visit("?op=conv&n=9&k=3&s=2&d=1&rule=same&with=p")
    code = page.get_by_label("Code", exact=True).inner_text()
    page.get_by_role("link", name="Pool, ceil_mode").click()
    paste_in(page, code.replace("strides=2", "strides=4"))
    assert "Convolution, input 9 × 9, kernel 3, stride 4. TensorFlow SAME" in result(
        page
    )
    paste_in(page, f"y = 1\n{code}")
    assert "Convolution, input 9 × 9, kernel 3, stride 2. TensorFlow SAME" in result(
        page
    )
    paste_in(page, "https://example.org/explorer.html?op=avg&n=7&k=2&with=valid&s=99")
    assert "Average pool, input 7 × 7, kernel 2, stride 64. TensorFlow SAME" in result(
        page
    )
    assert "“99” is outside 1 to 64" in result(page) and "VALID" in result(page)


@pytest.mark.parametrize("width", [320, 360])
def test_fits_a_phone(visit, width):
    """Nothing is wider than the screen, whatever is shown; fingers find every control."""
    page = visit(viewport={"width": width, "height": 740})
    for name in ("6×6, k 3, s 2", "224 stem", "Dilated", "Transposed"):
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("radio", name="ONNX", exact=True).check()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_label("Rows and columns differ").check()
    page.get_by_label("First rule").select_option("Explicit pads")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("radio", name="Max pool").check()
    targets = page.locator(
        ".explorer :is(a, button, select, summary, textarea, [type=number], [type=range],"
        " .ex-radio, .ex-check)"
    ).filter(visible=True)
    assert targets.count() > 40
    for width, height, what in targets.evaluate_all(
        """all => all.map((e) => {
          const {width, height} = e.getBoundingClientRect();
          return [width, height, e.outerHTML.slice(0, 80)];
        })"""
    ):
        assert width >= 44 and height >= 44, what


def test_the_small_one(visit, bare):
    """For the index: three numbers, SAME against padding=p, no address of its own, a way on."""
    page = visit("?n=9", url=bare("small"))
    numbers = page.locator("input[type=number]").filter(visible=True)
    assert [field.get_attribute("name") for field in numbers.all()] == [
        "n0",
        "k0",
        "s0",
    ]
    number(page, "Input size").fill("7")
    number(page, "Input size").press("Tab")
    assert result(page).startswith("Equal.") and page.url.endswith("?n=9")
    number(page, "Kernel").fill("5")
    assert "PyTorch padding=2" in result(page)  # p follows the kernel
    number(page, "Kernel").fill("3")
    page.get_by_role("button", name="Play").click()
    shown = windows(page)[0]  # the second one, or a later one where the machine is busy
    assert shown.startswith("Output (") and not shown.startswith("Output (0, 0)")
    onward = page.get_by_role(
        "link", name="All operations, rules and code for this layer"
    )
    assert onward.get_attribute("href") == (
        "explorer.html?op=conv&n=7&k=3&s=2&d=1&rule=same&with=p"
    )


def test_the_picture_of_the_small_one(visit, known, address):
    """Without scripts the index shows the picture instead; with them nobody loads it."""
    path = "book/index.html" if (known / "book/index.html").exists() else "index.html"
    url = address + path
    page = visit(url=url, java_script_enabled=False)
    picture = page.locator(".ex-picture")
    assert picture.evaluate("image => image.naturalWidth") > 500
    assert "All nine windows differ" in picture.get_attribute("alt")
    assert not page.locator(".explorer").is_visible()
    page = visit(url=url)
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').map((e) => e.name)"
    )
    assert (
        page.locator(".ex-picture").count() == 0
        and page.locator(".ex-live").count() == 1
    )
    assert not [name for name in loaded if name.endswith("_static/six-by-six.png")]


# ---- accessibility and weight


LARGE = "?op=avg&n=224,6&k=7,2&s=2,1&d=1,1&rule=pads2,3,0,1&with=p1,1&n=x"
MODES = {
    "light": ("", {"viewport": TALL}),
    "dark": (LARGE, {"color_scheme": "dark", "viewport": TALL}),
    "forced colours": ("", {"forced_colors": "active", "viewport": TALL}),
    "transposed": ("?op=transposed&with=p1o0", {"viewport": TALL}),
    "pool, dark": ("?op=max&with=p0ceil", {"color_scheme": "dark", "viewport": TALL}),
    "320 px": (LARGE, {"viewport": {"width": 320, "height": 640}}),
}


@pytest.mark.parametrize("mode", MODES)
def test_axe_finds_nothing(visit, mode):
    """No violation, and nothing that axe could not decide, with everything opened."""
    query, options = MODES[mode]
    page = visit(query, **options)
    page.locator(".explorer summary").click()
    # At 320 px a part of the table of rules is scrolled away; its colours are those of "light".
    objections = axe_objections(page, "structure" if mode == "320 px" else "all")
    assert not objections, "\n".join(objections)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_is_drawn_can_be_seen(visit, mode):
    """Each rule's colour has a contrast of 3 to the paper and to the cells, numbers 4.5."""
    page = visit(**MODES[mode][1])
    colours = page.evaluate(
        """["tf", "pt", "ink", "line", "paper", "cell"].map((name) => {
          const probe = document.createElement("i");
          document.querySelector(".explorer").append(probe);
          probe.style.color = `var(--ex-${name})`;
          return [name, getComputedStyle(probe).color.match(/\\d+/g).slice(0, 3).map(Number)];
        })"""
    )

    def luminance(rgb):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb
        ]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    light = {name: luminance(np.array(rgb) / 255) for name, rgb in colours}

    def contrast(a, b):
        low, high = sorted((light[a], light[b]))
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "cell"):
        assert contrast("tf", ground) >= 3 and contrast("pt", ground) >= 3
        assert contrast("ink", ground) >= 4.5
    assert contrast("line", "paper") >= 3


def test_read_aloud(visit):
    """The explorer as a screen reader meets it, in order."""
    page = visit()
    spoken = page.locator(".explorer").aria_snapshot()
    print(spoken)
    order = [
        'navigation "Examples"',
        'link "6×6, k 3, s 2"',
        'textbox "Paste a layer: Keras, PyTorch,',
        'button "Read it"',
        'group "Layer"',
        'radiogroup "Operation"',
        'radio "Convolution" [checked]',
        'spinbutton "Input size": "6"',
        'spinbutton "Dilation": "1"',
        'checkbox "Rows and columns differ"',
        'group "Two rules"',
        'combobox "First rule"',
        'combobox "Second rule"',
        'spinbutton "p": "1"',
        "- status:",
        "Shifted by 1 pixel.",
        "No symmetric padding equals TensorFlow SAME.",
        'group "Windows. Arrow keys walk them."',
        'img "TensorFlow SAME pads 0 before and 1 after, output 3 × 3 Output (0, 0) reads rows',
        'img "PyTorch padding=1 pads 1 before and 1 after, output 3 × 3 Output (0, 0) reads rows',
        'slider "Output row',
        'slider "Output column',
        'button "Play"',
        'combobox "Weights"',
        "Which input cells each output reads",
        'group "Code for"',
        'group "in"',
        'region "Code"',
        'button "Copy"',
    ]
    place = 0
    for line in order:
        assert line in spoken[place:], f"{line} does not follow in\n{spoken}"
        place = spoken.index(line, place)
    assert spoken.count("status") == 1


FORMS = """(n, k) => {
  const full = n + k;
  const twice = { full };
  const [before, after] = { a: [full, full - n], b: [twice.full, 1] }[k > 2 ? "a" : "b"];
  const { full: same } = { full, ...twice };
  const nested = `${[1, 2].map((i) => `${i} of ${full}`).join(`; `)} - ${n  - k}`;
  const named = ({ n = 3, ...rest }) => [n, rest];
  let sum = 0;
  for (const [i, one] of [before, after].entries()) sum += i - -one;
  const test = /[/'"`]\\/ x/.test("/ x"), least = n ?? 1, way = k?.a?.[0];
  const text = n > 1 ? "a" : k === 1 ? null : undefined;
  for (let i = 0, more = 1; i < 3; i++, more *= 128) sum += more;
  label: for (;;) { for (;;) break label; }
  const point = (function () { if (!sum) return; return { x: -sum, y: - -sum, z: 2 ** 31 }; })();
  return [before, after, same, nested, named({ k }), sum, test, least, way, text, point, full + +k];
}"""


def test_the_minifier_leaves_every_form_as_it_was(rules):
    """Those of the scripts, those that rjsmin 1.3 and tdewolff-minify 2.24.12 broke among them."""
    short = explorer.minified("forms.js", f"window.forms = {FORMS}").rstrip(";")
    assert len(short) < 0.8 * len(FORMS)
    rules.add_script_tag(content=short)
    for n, k in ((1, 2), (7, 3), (0, 1)):
        asked = f"([n, k]) => JSON.stringify(({FORMS})(n, k))"
        told = "([n, k]) => JSON.stringify(forms(n, k))"
        assert rules.evaluate(told, [n, k]) == rules.evaluate(asked, [n, k])


def test_budgets(known, visit, record_property):
    """Weight and layout shift are limits; the time of an update at n = 32 is reported."""
    shipped = {
        name: len(gzip.compress((known / "_static/explorer" / name).read_bytes(), 9))
        for name in ("explorer.js", "small.js", "explorer.css")
    }
    assert shipped["small.js"] < shipped["explorer.js"] <= BUDGET
    page = visit(
        "?n=32&k=3&s=1&d=1&rule=same&with=p2", viewport={"width": 360, "height": 740}
    )
    page.wait_for_load_state("load")
    shift = page.evaluate(LAYOUT_SHIFT)
    assert shift <= 0.02
    times = page.evaluate(
        """(() => {
          const size = document.querySelector("[name=n0]"), times = [];
          for (let i = 0; i < 100; i++) {
            size.value = 32 - (i % 2);
            const start = performance.now();
            size.dispatchEvent(new Event("input", {bubbles: true}));
            document.querySelector(".explorer").getBoundingClientRect();  // the layout counts
            times.push(performance.now() - start);
          }
          return times;
        })()"""
    )
    report = {
        "bytes, compressed": shipped,
        "layout shift": round(shift, 4),
        "update, median ms": round(float(np.median(times)), 1),
        "update, 95 % ms": round(float(np.percentile(times, 95)), 1),
    }
    for name, value in report.items():
        record_property(name, value)
    print(report)
