"""The prose pages that hold code, data or links: each block runs, each claim is counted."""

import contextlib
import io
import itertools
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from notebooks import chapters, execute, framework_versions, load, read, write

ROOT = Path(__file__).resolve().parents[1]


def fences(page, *languages):
    """Return (language, text) of the fenced blocks of a page of `book/`, in order."""
    tokens = MarkdownIt().parse((ROOT / "book" / page).read_text(encoding="utf-8"))
    return [
        (t.info, t.content) for t in tokens if t.type == "fence" and t.info in languages
    ]


def test_the_page_on_testing_runs_as_it_stands():
    """Each block of `test-your-port.md` prints the text block behind it."""
    namespace, printed = {}, ""
    for language, text in fences("test-your-port.md", "python", "text"):
        if language == "text":
            assert printed == text
            printed = ""
            continue
        assert not printed, "nothing on the page says what this printed"
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(text, namespace)
        printed = out.getvalue()
    assert not printed and len(namespace["CASES"]) == 10


@cache
def whole_page():
    """Return the namespace of the page on testing after all its blocks."""
    namespace = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for _, text in fences("test-your-port.md", "python"):
            exec(text, namespace)
    return namespace


def test_the_table_of_cases_is_that_of_the_code():
    """The same names in the same order, each with its kernel and its size."""
    text = (ROOT / "book" / "test-your-port.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+ [^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    cases = page_test()["CASES"]
    assert [name for name, _ in table] == list(cases)
    for (_, layer), (_, size, kernel, *_) in zip(table, cases.values(), strict=True):
        height, width = size
        assert f"on {height}×{width}" in layer or "the same" in layer
        assert "×".join(map(str, kernel)) in layer or "the same" in layer


def test_code_on_the_pages_is_narrow():
    """As in the chapters: 88 columns are what a page shows at 1280 px."""
    for page in sorted((ROOT / "book").glob("*.md")):
        for _, text in fences(page.name, "python", "text"):
            assert max(map(len, text.splitlines())) <= 88, (page.name, text)


@cache
def page_test():
    """Return the namespace of the block that readers paste, which needs NumPy only."""
    (_, text), *_ = fences("test-your-port.md", "python")
    assert re.findall(r"^(?:import|from) .*", text, re.MULTILINE) == [
        "import numpy as np"
    ]
    namespace = {}
    exec(text, namespace)
    return namespace


def nchw(x):
    """Return NHWC data as a PyTorch tensor NCHW."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def oihw(w):
    """Return a kernel HWIO as a PyTorch tensor OIHW, or HWOI as IOHW."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1)))


def nhwc(y):
    """Return a PyTorch result as an array NHWC."""
    return y.detach().numpy().transpose(0, 2, 3, 1)


@cache
def book_port():
    """Return the four operations as the book's PyTorch functions do them."""
    conv, pools, transposed = load("05"), load("08"), load("09")
    return {
        "conv": lambda x, w, s, d: nhwc(
            conv.conv2d_same(nchw(x), oihw(w), stride=s, dilation=d)
        ),
        "max_pool": lambda x, k, s: nhwc(pools.max_pool2d_same(nchw(x), k, s)),
        "avg_pool": lambda x, k, s: nhwc(pools.avg_pool2d_same(nchw(x), k, s)),
        "conv_transpose": lambda x, w, s: nhwc(
            transposed.conv_transpose2d_same(nchw(x), oihw(w), stride=s)
        ),
    }


def conv2d_same_layer(x, w, s, d):
    """Return what `Conv2dSame` of chapter 5 does."""
    layer = load("05").Conv2dSame(2, 2, w.shape[:2], s, dilation=d, bias=False)
    layer.load_state_dict({"weight": oihw(w)})
    return nhwc(layer(nchw(x)))


def any_axis(x, w, s, d):
    """Return what `conv_same` of chapter 10 does."""
    return nhwc(load("10").conv_same(nchw(x), oihw(w), stride=s, dilation=d))


def any_axis_transposed(x, w, s):
    """Return what `conv_transpose_same` of chapter 10 does."""
    return nhwc(load("10").conv_transpose_same(nchw(x), oihw(w), stride=s))


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"conv": conv2d_same_layer},
        {"conv": any_axis, "conv_transpose": any_axis_transposed},
    ],
    ids=["functions", "Conv2dSame", "chapter 10"],
)
def test_the_functions_of_the_book_pass(other):
    """As TensorFlow does, on the page itself."""
    assert page_test()["wrong_cases"](**(book_port() | other)) == []


# The mutants: every wrong rule of the chapters and of the frameworks, (before, after) along one
# axis of n cells with kernel k, stride s, dilation d. The number is the chapter that describes it.


def split(total):
    """Return the total as SAME splits it."""
    return total // 2, total - total // 2


def same(n, k, s, d):
    """Return SAME: the control."""
    return split(max(0, (k - 1) * d - (n - 1) % s))


def once(rule):
    """Return a rule that computes its padding for the first size it meets and keeps it."""
    kept = {}
    return lambda n, *layer: kept.setdefault(layer, rule(n, *layer))


RULES = {
    "k // 2 on both sides (01, 04)": lambda n, k, s, d: (k // 2, k // 2),
    "(k - 1) // 2 on both sides (03)": lambda n, k, s, d: ((k - 1) // 2,) * 2,
    "d * (k - 1) // 2 on both sides (05)": lambda n, k, s, d: (d * (k - 1) // 2,) * 2,
    "timm's get_padding (05)": lambda n, k, s, d: ((s - 1 + d * (k - 1)) // 2,) * 2,
    "k - 1 zeros, whatever the stride (01, 05)": lambda n, k, s, d: split(k - 1),
    'padding="same" as at stride 1 (04)': lambda n, k, s, d: split(d * (k - 1)),
    'padding="same" at stride 1, else half (04)': lambda n, k, s, d: (
        split(d * (k - 1)) if s == 1 else (d * (k - 1) // 2,) * 2
    ),
    "half at stride 1, else SAME": lambda n, k, s, d: (
        (d * (k - 1) // 2,) * 2 if s == 1 else same(n, k, s, d)
    ),
    "the extra zero in front (01, 03)": lambda n, k, s, d: same(n, k, s, d)[::-1],
    "the extra zero in front at stride 1": lambda n, k, s, d: same(n, k, s, d)[
        :: -1 if s == 1 else 1
    ],
    "the total on one side, behind": lambda n, k, s, d: (0, sum(same(n, k, s, d))),
    "the total on one side, in front": lambda n, k, s, d: (sum(same(n, k, s, d)), 0),
    "no padding: auto_pad is never read (07)": lambda n, k, s, d: (0, 0),
    "(0, 1) for every size (05)": lambda n, k, s, d: (0, 1),
    "(0, 1) at stride 2, else SAME: even sizes taken for granted": lambda n, k, s, d: (
        (0, 1) if s == 2 else same(n, k, s, d)
    ),
    "(1, 1) for every layer": lambda n, k, s, d: (1, 1),
    "dilation ignored": lambda n, k, s, d: same(n, k, s, 1),
    "k * d taken for the reach": lambda n, k, s, d: split(
        max(0, k * d - 1 - (n - 1) % s)
    ),
    "no clamp at 0 (10)": lambda n, k, s, d: split((k - 1) * d - (n - 1) % s),
    "n % s instead of (n - 1) % s": lambda n, k, s, d: split(
        max(0, (k - 1) * d - n % s)
    ),
    "k - s, as if s divided n": lambda n, k, s, d: split(max(0, (k - 1) * d + 1 - s)),
    "k - n % s, as if s did not divide n": lambda n, k, s, d: split(
        max(0, (k - 1) * d + 1 - n % s)
    ),
    "correct_pad of keras.applications": lambda n, k, s, d: (
        k // 2 - (1 - n % 2),
        k // 2,
    ),
    "at most as many zeros as cells": lambda n, k, s, d: split(
        min(n, sum(same(n, k, s, d)))
    ),
}


def padded_conv(x, w, s, d, rows, columns):
    """Return the convolution of x with its rows and columns padded, or cropped where negative."""
    import torch.nn.functional as F

    return nhwc(F.conv2d(F.pad(nchw(x), (*columns, *rows)), oihw(w), None, s, 0, d))


def axes(x, kernel, s, d=(1, 1)):
    """Return (n, k, s, d) of the rows and of the columns."""
    return list(zip(x.shape[1:3], kernel, s, d, strict=True))


def by_rule(rule, x, w, s, d):
    """Return the convolution padded by a rule along each axis."""
    return padded_conv(
        x, w, s, d, *[rule(*axis) for axis in axes(x, w.shape[:2], s, d)]
    )


def rows_for_both(x, w, s, d):
    """Both axes padded as the rows: PyTorch issue 3867."""
    rows = same(*axes(x, w.shape[:2], s, d)[0])
    return padded_conv(x, w, s, d, rows, rows)


def rows_first(x, w, s, d):
    """Rows padded as columns and the reverse: F.pad lists the last axis first."""
    rows, columns = (same(*axis) for axis in axes(x, w.shape[:2], s, d))
    return padded_conv(x, w, s, d, columns, rows)


def interleaved(x, w, s, d):
    """(top, bottom, left, right) read as (top, left, bottom, right)."""
    rows, columns = (same(*axis) for axis in axes(x, w.shape[:2], s, d))
    top, left, bottom, right = *rows, *columns
    return padded_conv(x, w, s, d, (top, bottom), (left, right))


def no_dilation(x, w, s, d):
    """The dilation forgotten in padding and convolution: the right shape."""
    return by_rule(same, x, w, s, (1, 1))


def pool(mean, x, k, s, padding, ceil=False, count=False, fill=None, crop=(0, 0)):
    """Return PyTorch's pool; with `fill`, after padding (rows, columns) of (before, after)."""
    import torch.nn.functional as F

    x = nchw(x)
    if fill is not None:
        rows, columns = padding
        x, padding = F.pad(x, (*columns, *rows), value=fill), 0
    if mean:
        y = F.avg_pool2d(x, k, s, padding, ceil_mode=ceil, count_include_pad=count)
    else:
        y = F.max_pool2d(x, k, s, padding, ceil_mode=ceil)
    return nhwc(y[:, :, crop[0] :, crop[1] :])


def pool_mutants(mean):
    """Return {name: pool} of the wrong pools of chapter 8."""
    run = partial(pool, mean)

    def sides(x, k, s):
        return [same(*axis) for axis in axes(x, k, s)]

    def side(x, k, s, i):
        return [pair[i] for pair in sides(x, k, s)]

    def odd_at_stride_1(x, k, s):
        return [(a - b) * (n == 1) for (b, a), n in zip(sides(x, k, s), s, strict=True)]

    def recipe(x, k, s, **change):
        pads = sides(x, k, s)
        padding = [a if n == 1 else b for (b, a), n in zip(pads, s, strict=True)]
        options = {"padding": padding, "ceil": True, "crop": odd_at_stride_1(x, k, s)}
        return run(x, k, s, **(options | change))

    mutants = {
        "k // 2 on both sides": lambda x, k, s: run(x, k, s, [n // 2 for n in k]),
        "the extra one in front": lambda x, k, s: run(
            x, k, s, [p[::-1] for p in sides(x, k, s)], fill=0 if mean else -np.inf
        ),
        "zeros, then the pool": lambda x, k, s: run(x, k, s, sides(x, k, s), fill=0),
        "padding=before, not rounded up": lambda x, k, s: run(
            x, k, s, side(x, k, s, 0)
        ),
        "ceil_mode alone": lambda x, k, s: run(x, k, s, 0, ceil=True),
        "ceil_mode alone where the stride is not 1": lambda x, k, s: recipe(
            x,
            k,
            s,
            padding=[p * (n == 1) for p, n in zip(side(x, k, s, 1), s, strict=True)],
        ),
        "padding=before, ceil_mode, no crop at stride 1": lambda x, k, s: run(
            x, k, s, side(x, k, s, 0), ceil=True
        ),
        "padding=after, no crop at stride 1": lambda x, k, s: recipe(
            x, k, s, crop=(0, 0)
        ),
        "no padding": lambda x, k, s: run(x, k, s, 0),
    }
    if mean:
        mutants["padding counted"] = lambda x, k, s: recipe(x, k, s, count=True)
    assert np.array_equal(
        recipe(*(sample := (np.ones((1, 6, 7, 2), "float32"), (5, 4), (2, 1)))),
        book_port()["avg_pool" if mean else "max_pool"](*sample),
    )
    return mutants


def transposed(x, w, s, before=None, padding=None, extra=None, flip=False):
    """Return PyTorch's pair, or the full output cropped by `before(k, s, n)` along each axis."""
    import torch.nn.functional as F

    w = w[::-1, ::-1] if flip else w
    if padding:
        pads = [padding(k, n) for k, n in zip(w.shape[:2], s, strict=True)]
        extras = [min(extra(k, n), n - 1) for k, n in zip(w.shape[:2], s, strict=True)]
        return nhwc(F.conv_transpose2d(nchw(x), oihw(w), None, s, pads, extras))
    y = nhwc(F.conv_transpose2d(nchw(x), oihw(w), None, s))
    for axis, (n, k, step, _) in enumerate(axes(x, w.shape[:2], s), start=1):
        size, first = n * step, before(k, step, n)
        y = np.take(y, range(first, y.shape[axis]), axis)
        y = np.take(y, range(min(size, y.shape[axis])), axis)
        fill = [(0, 0)] * 4
        fill[axis] = (0, size - y.shape[axis])
        y = np.pad(y, fill)
    return y


def unfilled(x, w, s):
    """The right crop, and no zeros where the stride is larger than the kernel."""
    y = book_port()["conv_transpose"](x, w, s)
    full = [(n - 1) * step + k for n, k, step, _ in axes(x, w.shape[:2], s)]
    return y[:, : full[0], : full[1]]


TRANSPOSED = {
    "padding=k // 2, output_padding=s - 1 (09)": partial(
        transposed, padding=lambda k, s: k // 2, extra=lambda k, s: s - 1
    ),
    "total halved, rounded up (09)": partial(
        transposed,
        padding=lambda k, s: -(-max(k - s, 0) // 2),
        extra=lambda k, s: max(s - k, (k - s) % 2),
    ),
    "total halved, rounded down (09)": partial(
        transposed,
        padding=lambda k, s: max(k - s, 0) // 2,
        extra=lambda k, s: max(s - k, 0),
    ),
    "more cropped in front": partial(
        transposed, before=lambda k, s, n: max(k - s, 0) - max(k - s, 0) // 2
    ),
    "cropped behind only": partial(transposed, before=lambda k, s, n: 0),
    "cropped in front only": partial(transposed, before=lambda k, s, n: max(k - s, 0)),
    "the crop of the input's size": partial(
        transposed, before=lambda k, s, n: same(n, k, s, 1)[0]
    ),
    "the padding of stride 1": partial(transposed, before=lambda k, s, n: (k - 1) // 2),
    "the kernel flipped": partial(
        transposed, before=lambda k, s, n: max(k - s, 0) // 2, flip=True
    ),
    "no crop": lambda x, w, s: transposed(
        x, w, s, padding=lambda *_: 0, extra=lambda *_: 0
    ),
    "no zeros where the stride is larger": unfilled,
}


def mutants():
    """Return [(operation, name, wrong operation)]."""
    found = [("conv", name, partial(by_rule, rule)) for name, rule in RULES.items()]
    found += [("conv", "frozen at the first size (05)", partial(by_rule, once(same)))]
    for wrong in (rows_for_both, rows_first, interleaved, no_dilation):
        found.append(("conv", wrong.__name__, wrong))
    for operation in ("max_pool", "avg_pool"):
        wrong = pool_mutants(operation == "avg_pool")
        found += [(operation, name, mutant) for name, mutant in wrong.items()]
    return found + [
        ("conv_transpose", name, mutant) for name, mutant in TRANSPOSED.items()
    ]


@cache
def verdicts():
    """Return {mutant: (numbers of the cases it fails, whether its shapes are right in all)}."""
    table = {}
    for operation, name, mutant in mutants():
        right, shapes = book_port()[operation], []

        def port(*arguments, right=right, mutant=mutant, shapes=shapes):
            try:
                y = mutant(*arguments)
            except RuntimeError:  # PyTorch: the kernel is larger than the padded input
                y = np.zeros(0)
            shapes.append(y.shape == right(*arguments).shape)
            return y

        failed = page_test()["wrong_cases"](**(book_port() | {operation: port}))
        table[f"{operation}: {name}"] = (
            [int(case.split()[0]) for case in failed],
            all(shapes),
        )
    return table


def test_every_mutant_is_killed():
    """Each wrong rule fails a case; SAME written the same way, the control, fails none."""
    assert (
        page_test()["wrong_cases"](**(book_port() | {"conv": partial(by_rule, same)}))
        == []
    )
    assert [name for name, (failed, _) in verdicts().items() if not failed] == []


def test_what_is_not_a_number_is_wrong():
    """A port that returns NaN, as a mean over nothing does, fails every case."""
    lost = {
        name: lambda *a, f=f: f(*a) * np.float32("nan")
        for name, f in book_port().items()
    }
    assert len(page_test()["wrong_cases"](**lost)) == 10


def test_a_first_attempt_is_listed_and_the_run_goes_on():
    """What raises, returns nothing or no numbers, or is left out has its own line."""

    def conv(x, w, s, d):
        x -= 1000  # its own business: the wanted values are those of the data given
        if s == (1, 1):
            raise KeyError("kernel")
        if s == (2, 2):
            raise ValueError("no such\n  stride")
        return nchw(x)  # a tensor, laid out otherwise

    lines = page_test()["wrong_cases"](
        conv=conv, max_pool=lambda *_: None, avg_pool=lambda *_: "no numbers"
    )
    assert lines == [
        "1 odd total: refused, no such stride",
        "2 even total: refused, no such stride",
        "3 nothing square: shape (1, 2, 7, 9), not (1, 3, 9, 2)",
        "4 stride > kernel: shape (1, 2, 8, 8), not (1, 2, 2, 2)",
        "5 even kernel, stride 1: refused, KeyError('kernel')",
        "6 dilation: refused, KeyError('kernel')",
        "7 size 1: shape (1, 2, 1, 1), not (1, 1, 1, 2)",
        "8 below zero: refused, returned None",
        "9 means: refused, could not convert string to float: 'no numbers'",
        "10 transposed: not tried",
    ]


def test_the_operations_can_be_tried_one_at_a_time():
    """A right one has no line of its own; the others are listed, each as not tried."""
    for operation, right in book_port().items():
        lines = page_test()["wrong_cases"](**{operation: right})
        cases = page_test()["CASES"].items()
        others = [f"{name}: not tried" for name, (op, *_) in cases if op != operation]
        assert lines == others


@pytest.mark.parametrize("memory", ["channels last", "channels first"])
@pytest.mark.parametrize(
    "layer",
    [
        ((64, 64, 32, 16), (3, 3), 2),
        ((31, 40, 8, 5), (7, 4), 3),
        ((20, 20, 1, 3), (2, 2), 1),
        ((16, 16, 256, 4), (5, 5), 2),
    ],
    ids=str,
)
def test_the_rule_for_real_weights_tells_rounding_from_padding(layer, memory):
    """Nothing of a right port is beyond it; of one that pads one cell more, nearly all is."""
    import tensorflow as tf
    import torch.nn.functional as F

    (height, width, channels, filters), kernel, stride = layer
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, height, width, channels), dtype="float32")
    w = rng.standard_normal((*kernel, channels, filters), dtype="float32")
    page = whole_page()
    wanted = tf.nn.conv2d(x, w, stride, "SAME").numpy()
    sums = tf.nn.conv2d(abs(x), abs(w), stride, "SAME").numpy()
    rounding = 2 * w[..., 0].size * 2**-24 * sums

    def port(extra):
        axes = zip((height, width), kernel, strict=True)
        (top, bottom), (left, right) = (same(n, k, stride, 1) for n, k in axes)
        x_t, w_t = page["nchw"](x), page["oihw"](w)
        if memory == "channels first":
            x_t, w_t = x_t.contiguous(), w_t.contiguous()
        sides = (left + extra, right, top + extra, bottom)
        y = page["nhwc"](F.conv2d(F.pad(x_t, sides), w_t, stride=stride))
        return y[:, : wanted.shape[1], : wanted.shape[2]]

    assert np.all(abs(port(0) - wanted) <= rounding)
    assert np.mean(abs(port(1) - wanted) > rounding) > 0.95


def test_rounding_stays_small_through_sixty_layers():
    """Below 1e-4 of the largest value, as the page says; one layer padded at 1 is not."""
    import tensorflow as tf
    import torch.nn.functional as F

    rng = np.random.default_rng(0)
    a = rng.standard_normal((1, 32, 32, 16), dtype="float32")
    b = a
    for _ in range(60):
        w = rng.standard_normal((3, 3, 16, 16), dtype="float32") / np.float32(12)
        a = tf.nn.relu(tf.nn.conv2d(a, w, 1, "SAME")).numpy()
        b = nhwc(F.conv2d(nchw(b), oihw(w), padding=1).relu())
        assert abs(a - b).max() <= 1e-4 * abs(a).max()
    wrong = nhwc(F.conv2d(nchw(a), oihw(w), stride=2, padding=1))
    right = tf.nn.conv2d(a, w, 2, "SAME").numpy()
    assert abs(wrong - right).max() > 0.1 * abs(right).max()


def test_the_recipe_finds_the_first_layer_that_differs():
    """Where names, nesting and layers differ too; each function has at most 15 lines."""
    import keras
    import torch

    page = whole_page()
    _, text = next(f for f in fences("test-your-port.md", "python") if "hook" in f[1])
    for function in text.split("\ndef ")[1:]:
        assert len([n for n in function.splitlines() if n.strip()]) <= 15, function

    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((None, None, 4)),
            layers.Conv2D(4, 5, 2, "same", use_bias=False, name="inside"),
        ],
        name="inner",
    )
    inputs = keras.Input((None, None, 4))
    y = layers.Conv2D(4, 3, 2, "same", use_bias=False, name="first")(inputs)
    y = layers.BatchNormalization(name="norm")(y)
    y = z = layers.ReLU(name="relu")(y)
    for i in range(2):
        y = layers.Conv2D(4, 3, 1, "same", use_bias=False, name=f"block{i}")(y)
    y = layers.Add(name="sum")([y, z])
    y = inner(y)
    y = layers.MaxPooling2D(3, 2, "same", name="pool")(y)
    y = layers.Conv2D(4, 7, 4, "same", use_bias=False, name="last")(y)
    y = layers.GlobalAveragePooling2D(name="mean")(y)
    model = keras.Model(inputs, y)

    class Port(torch.nn.Module):
        def __init__(self, strided):
            super().__init__()
            sizes = [(3, 2), (3, 1), (3, 1), (5, 2), (7, 4)]
            self.convs = torch.nn.ModuleList(
                torch.nn.Conv2d(4, 4, k, s, k // 2, bias=False) for k, s in sizes
            )
            if strided:
                self.convs[0] = torch.nn.Conv2d(4, 4, 3, 2, bias=False)
            self.strided = strided
            self.norm = torch.nn.BatchNorm2d(4, eps=1e-3)
            self.relu = torch.nn.ReLU(inplace=True)
            self.pool = torch.nn.MaxPool2d(3, 2, 1)

        def forward(self, x):
            if self.strided:  # the first layer padded by SAME, the others not
                x = torch.nn.functional.pad(x, (0, 1, 0, 1))
            x = self.relu(self.norm(self.convs[0](x)))
            x = x + self.convs[2](self.convs[1](x))
            return self.convs[4](self.pool(self.convs[3](x))).mean((2, 3))

    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    # far from the identity, or its output would pass for that of the layer before
    statistics = np.array([[2, 3, 2, 3], [1, -1, 0, 1], [0, 1, 0, -1], [1, 2, 3, 4]])
    model.get_layer("norm").set_weights(list(statistics.astype("float32")))

    def difference(size, strided=False):
        port = Port(strided).eval()
        for conv, kernel in zip(port.convs, kernels, strict=True):
            conv.load_state_dict({"weight": oihw(kernel)})
        norm = ("weight", "bias", "running_mean", "running_var")
        values = map(torch.from_numpy, statistics.astype("float32"))
        port.norm.load_state_dict(dict(zip(norm, values, strict=True)), strict=False)
        x = np.random.default_rng(0).standard_normal((1, size, size, 4))
        x = x.astype("float32")
        theirs, ours = page["keras_layers"](model, x), page["torch_layers"](port, x)
        assert not any(m._forward_hooks for m in port.modules())
        return page["missing"](theirs, ours)

    # `+` and the mean are no modules of the port: missing though they are right
    assert difference(33) == ["sum", "mean"]
    everything = "first norm relu block0 block1 sum inner pool last mean"
    assert difference(32) == everything.split()
    assert difference(64, strided=True) == "sum inner pool last mean".split()


def test_every_case_is_needed():
    """Each case is the only one to catch some mutant; without it that one would pass."""
    alone = {
        failed[0]: name for name, (failed, _) in verdicts().items() if len(failed) == 1
    }
    assert sorted(alone) == list(range(1, 11))
    only_7 = [name for name, (failed, _) in verdicts().items() if failed == [7]]
    assert only_7 == ["conv: at most as many zeros as cells"]  # the page says so


def test_the_page_counts_the_mutants():
    """How many there are, and how many a test of shapes would let pass."""
    text = " ".join(
        (ROOT / "book" / "test-your-port.md").read_text(encoding="utf-8").split()
    )
    shapes = sum(shape for _, shape in verdicts().values())
    assert f"{len(verdicts())} wrong rules" in text
    assert f"{shapes} of them have the right shape in all ten cases" in text


# The cheat sheet: (height, width), kernel, stride, dilation. Odd totals, even ones, both at once,
# stride beyond the kernel, one cell.
LAYERS = [
    ((6, 6), (3, 3), (2, 2), (1, 1)),
    ((7, 7), (3, 3), (2, 2), (1, 1)),
    ((6, 9), (3, 5), (2, 2), (1, 1)),
    ((9, 6), (5, 3), (2, 1), (1, 1)),
    ((5, 8), (4, 3), (1, 1), (1, 1)),
    ((7, 8), (2, 2), (3, 3), (1, 1)),
    ((8, 7), (3, 2), (1, 1), (2, 3)),
    ((8, 9), (3, 3), (2, 2), (2, 2)),
    ((1, 4), (3, 3), (2, 2), (1, 1)),
]
BACK = [((h, w), k, s, p) for (h, w), k, s in [((6, 6), (3, 3), (2, 2)), ((7, 9), (5, 3), (3, 1)),
        ((5, 8), (4, 4), (1, 2))] for p in [(1, 1), (2, 0), (0, 1)]]  # fmt: skip
BACK_LAYERS = ["nn.Conv2d", "nn.MaxPool2d", "nn.AvgPool2d", "nn.ConvTranspose2d"]
BACK_ARGUMENTS = ["padding_mode", "ceil_mode"]
FRAMEWORKS = ["TensorFlow", "Keras", "PyTorch", "JAX", "ONNX"]
KINDS = ["Convolution", "Depthwise", "Max pool", "Average pool", "Transposed"]


@cache
def sheet():
    """Return ({heading: {label: code}}, the law's code, the layouts' code) of the cheat sheet."""
    tokens = MarkdownIt().parse(
        (ROOT / "book" / "cheat-sheet.md").read_text(encoding="utf-8")
    )
    heading, blocks, plain = None, {}, []
    for token, following in itertools.pairwise([*tokens, None]):
        if token.type == "heading_open":
            heading = following.content
        if token.type == "fence":
            assert token.info == "python"
            label = re.match(r"# ([\w.]+)", token.content)
            if label:
                blocks.setdefault(heading, {})[label[1]] = token.content
            else:
                plain.append(token.content)
    law, layouts = plain
    return blocks, law, layouts


def allowed(kind, framework, size, kernel, stride, dilation):
    """Tell whether the page offers that layer in that framework: its own comments, as code."""
    dilated, strided = dilation != (1, 1), stride != (1, 1)
    if kind == "Depthwise" and framework in ("TensorFlow", "Keras"):
        return stride[0] == stride[1] and not (dilated and strided)
    if "pool" in kind or kind == "Transposed":
        even_at_1 = any(
            s == 1 and k % 2 == 0 for k, s in zip(kernel, stride, strict=True)
        )
        return not dilated and not (
            framework == "PyTorch" and "pool" in kind and even_at_1
        )
    return framework != "Keras" or not (dilated and strided)


def integers(rng, kind, size, kernel):
    """Return x and w of a layer; whole means for up to 25 cells; only negatives in a pool."""
    if "pool" in kind.lower():
        return -3600.0 * rng.integers(1, 10, (2, *size, 4)).astype("float32"), None
    x = rng.integers(-9, 10, (2, *size, 4)).astype("float32")
    ends = {"Depthwise": (4, 2), "Transposed": (6, 4)}.get(kind, (4, 6))
    return x, rng.integers(-9, 10, (*kernel, *ends)).astype("float32")


def names(x, w, size, kernel, stride, dilation=(1, 1), padding=(0, 0), extra=(0, 0)):
    """Return the names that the cheat sheet uses, with the modules, as a namespace."""
    import keras
    import tensorflow as tf
    import torch
    import torch.nn.functional as F

    pairs = {"k": kernel, "s": stride, "d": dilation, "p": padding, "o": extra}
    pairs["q"] = padding  # without ceil_mode
    space = {
        f"{name}{axis}": pair[i]
        for name, pair in pairs.items()
        for i, axis in enumerate("hw")
    }
    space |= {
        "x": x,
        "w": np.zeros((1, 1, 1, 1)) if w is None else w,
        "batch": x.shape[0],
    }
    space |= {
        "h": size[0],
        "width": size[1],
        "channels": 4,
        "multiplier": 2,
        "filters": 6,
    }
    space |= {"np": np, "tf": tf, "keras": keras, "torch": torch, "F": F}
    with contextlib.suppress(ImportError):
        import jax.numpy as jnp
        from jax import lax

        space |= {"jnp": jnp, "lax": lax}
    with contextlib.suppress(ImportError):
        from onnx import helper

        space["helper"] = helper
    return space


def result(space, code):
    """Run one block of the cheat sheet and return what it computes, NHWC."""
    exec(code, space)
    x, w = space["x"], space["w"]
    if "layer" in space:
        layer = space["layer"]
        layer.build(x.shape)
        if layer.weights:
            bias = np.zeros(layer.weights[1].shape)
            layer.set_weights([w, bias])
        return layer(x).numpy()
    if "node" in space:
        return run_onnx(space)
    return np.asarray(nhwc(space["y_t"]) if "y_t" in space else space["y"])


def run_onnx(space):
    """Return what ONNX Runtime makes of the node."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    node, x, w = space["node"], nchw(space["x"]).numpy(), space["w"]
    w = oihw(w).numpy()
    if any(a.name == "group" for a in node.attribute):
        w = space["w"].transpose(2, 3, 0, 1).reshape(-1, 1, *space["w"].shape[:2])
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", float32, x.shape)],
        [helper.make_tensor_value_info("y", float32, None)],
        [numpy_helper.from_array(np.ascontiguousarray(w), "w")]
        if "w" in node.input
        else [],
    )
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0].transpose(0, 2, 3, 1)


def reference(kind, x, w, size, kernel, stride, dilation):
    """Return TensorFlow's SAME; for depthwise with stride and dilation, by `tf.nn.conv2d`."""
    import tensorflow as tf

    if kind == "Max pool":
        return tf.nn.max_pool2d(x, kernel, stride, "SAME").numpy()
    if kind == "Average pool":
        return tf.nn.avg_pool2d(x, kernel, stride, "SAME").numpy()
    if kind == "Transposed":
        shape = (len(x), size[0] * stride[0], size[1] * stride[1], w.shape[2])
        return tf.nn.conv2d_transpose(x, w, shape, stride, "SAME").numpy()
    if kind == "Depthwise":  # a full kernel, zero where channel and group differ
        full = np.zeros((*kernel, 4, 4, 2), "float32")
        for channel in range(4):
            full[:, :, channel, channel] = w[:, :, channel]
        w = full.reshape(*kernel, 4, 8)
    return tf.nn.conv2d(x, w, stride, "SAME", dilations=dilation).numpy()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_block_of_the_cheat_sheet_is_tensorflows_same(framework, kind):
    """Value for value on every layer that the page does not exclude."""
    for module in {"JAX": ["jax"], "ONNX": ["onnx", "onnxruntime"]}.get(framework, []):
        pytest.importorskip(
            module, reason=f"{module} is not installed: its code was not run"
        )
    blocks, law, layouts = sheet()
    rng, compared = np.random.default_rng(0), 0
    for layer in LAYERS:
        if not allowed(kind, framework, *layer):
            continue
        x, w = integers(rng, kind, *layer[:2])
        space = names(x, w, *layer)
        exec(law + layouts, space)
        y = result(space, blocks[kind][framework])
        wanted = reference(kind, x, w, *layer)
        assert y.shape == wanted.shape, layer
        assert np.array_equal(np.rint(y), np.rint(wanted)), layer
        compared += 1
    assert compared >= 5


def padded_in_torch(layer, x, w, kernel, stride, padding, extra=(0, 0), ceil=False):
    """Return what a padded layer of PyTorch computes, NHWC."""
    import torch.nn.functional as F

    how = {"kernel_size": kernel, "stride": stride, "padding": padding}
    if layer == "nn.MaxPool2d":
        return nhwc(F.max_pool2d(nchw(x), **how, ceil_mode=ceil))
    if layer == "nn.AvgPool2d":
        return nhwc(F.avg_pool2d(nchw(x), **how, ceil_mode=ceil))
    if layer == "nn.Conv2d":
        return nhwc(F.conv2d(nchw(x), oihw(w), None, stride, padding))
    return nhwc(F.conv_transpose2d(nchw(x), oihw(w), None, stride, padding, extra))


@pytest.mark.parametrize("layer", BACK_LAYERS)
def test_the_way_back_is_pytorchs_padding(layer):
    """PyTorch's own padded layers, by the Keras and TensorFlow code of the page."""
    compared = 0
    for size, kernel, stride, padding in BACK:
        if "Pool" in layer and any(
            2 * p > k for p, k in zip(padding, kernel, strict=True)
        ):
            continue
        kind = {"nn.ConvTranspose2d": "Transposed"}.get(layer, layer)
        x, w = integers(np.random.default_rng(0), kind, size, kernel)
        space = names(x, w, size, kernel, stride, padding=padding)
        y = result(space, sheet()[0]["Back: PyTorch to Keras"][layer])
        wanted = padded_in_torch(layer, x, w, kernel, stride, padding)
        assert np.array_equal(np.rint(y), np.rint(wanted)), (
            size,
            kernel,
            stride,
            padding,
        )
        compared += 1
    assert compared >= 6


def test_the_way_back_has_output_padding():
    """Every amount that PyTorch takes and the page allows: less than the stride, up to p."""
    compared = 0
    block = sheet()[0]["Back: PyTorch to Keras"]["nn.ConvTranspose2d"]
    for size, kernel, stride, padding in [*BACK, ((3, 4), (5, 4), (3, 2), (2, 1))]:
        amounts = zip(stride, padding, strict=True)
        for extra in itertools.product(*(range(min(s, p + 1)) for s, p in amounts)):
            x, w = integers(np.random.default_rng(0), "Transposed", size, kernel)
            space = names(x, w, size, kernel, stride, padding=padding, extra=extra)
            wanted = padded_in_torch(
                "nn.ConvTranspose2d", x, w, kernel, stride, padding, extra
            )
            assert np.array_equal(result(space, block), wanted)
            compared += any(extra)
    assert compared >= 10


@pytest.mark.parametrize("layer", ["nn.MaxPool2d", "nn.AvgPool2d"])
def test_the_way_back_has_ceil_mode(layer):
    """At any size, for kernels, strides and paddings that PyTorch takes, one per axis."""
    blocks, compared, more = sheet()[0]["Back: PyTorch to Keras"], 0, 0
    axes = itertools.product(range(1, 5), range(1, 5), range(3))
    axes = [(k, s, p) for k, s, p in axes if 2 * p <= k]
    for size, (i, axis) in itertools.product(range(1, 8, 2), enumerate(axes)):
        size = (size, 1 + (size + i) % 8)
        kernel, stride, padding = zip(axis, axes[-1 - i], strict=True)
        x = integers(np.random.default_rng(0), "pool", size, kernel)[0]
        try:
            wanted = padded_in_torch(layer, x, None, kernel, stride, padding, ceil=True)
        except RuntimeError:  # not one window
            continue
        space = names(x, None, size, kernel, stride, padding=padding)
        exec(blocks["ceil_mode"], space)
        y = result(space, blocks[layer])
        np.testing.assert_allclose(y, wanted, rtol=1e-6)
        floor = [n + 2 * p >= k for n, k, p in zip(size, kernel, padding, strict=True)]
        compared += 1
        more += (
            all(floor)
            and wanted.shape
            != padded_in_torch(layer, x, None, kernel, stride, padding).shape
        )
    assert compared > 90 and more > 30


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_the_way_back_has_padding_modes(mode):
    """PyTorch's own padding, on arrays and on symbolic tensors; which NumPy calls otherwise."""
    import keras
    import torch.nn.functional as F

    page = (ROOT / "book" / "cheat-sheet.md").read_text(encoding="utf-8")
    block = sheet()[0]["Back: PyTorch to Keras"]["padding_mode"]
    name = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    assert name == mode or f'"{mode}" is "{name}"' in " ".join(page.split("\n# "))
    for size, padding in itertools.product([(4, 7), (5, 3)], [(1, 2), (2, 0), (0, 1)]):
        x = integers(np.random.default_rng(0), "nn.Conv2d", size, (1, 1))[0]
        sides = (padding[1], padding[1], padding[0], padding[0])
        wanted = nhwc(F.pad(nchw(x), sides, mode))
        space = names(x, None, size, (1, 1), (1, 1), padding=padding) | {"mode": name}
        exec(block, space)
        assert np.array_equal(space["x_p"], wanted)
        inputs = keras.Input((*size, 4))
        space["x"] = inputs
        exec(block, space)
        assert np.array_equal(keras.Model(inputs, space["x_p"])(x), wanted)


def test_which_modes_of_padding_keras_runs_on_tensorflow():
    """A symbolic tensor takes each, as the page says; one of PyTorch's runs."""
    import keras

    x, inputs = np.arange(6.0, dtype="float32").reshape(1, 6, 1), keras.Input((6, 1))
    amounts = ((0, 0), (2, 2), (0, 0))
    for mode in ("reflect", "edge", "wrap"):
        model = keras.Model(inputs, keras.ops.pad(inputs, amounts, mode=mode))
        if mode == "reflect":
            assert np.array_equal(model(x), np.pad(x, amounts, mode))
            continue
        with pytest.raises(ValueError, match="expected to be one of"):
            model(x)


@pytest.mark.parametrize("layer", BACK_LAYERS)
def test_the_way_back_takes_symbolic_tensors(layer):
    """As in a functional model: the block on a `keras.Input`, then the model on the data."""
    import keras

    size, kernel, stride, padding = BACK[0]
    kind = {"nn.ConvTranspose2d": "Transposed"}.get(layer, layer)
    x, w = integers(np.random.default_rng(0), kind, size, kernel)
    code = sheet()[0]["Back: PyTorch to Keras"][layer]
    for shape in (size, (None, None)):
        inputs = keras.Input((*shape, 4))
        space = names(inputs, w, size, kernel, stride, padding=padding)
        exec(code, space)
        outputs = space["layer"](inputs) if "layer" in space else space["y"]
        model = keras.Model(inputs, outputs)
        if model.weights:
            model.set_weights([w, np.zeros(model.weights[1].shape)])
        wanted = padded_in_torch(layer, x, w, kernel, stride, padding)
        assert np.array_equal(np.rint(model(x).numpy()), np.rint(wanted))


def test_half_the_kernel_is_same_lower_where_the_pages_say():
    """At stride 2 at every size; at any stride exactly when (n - 1) mod s is at most 1."""
    for n, k, s, d in itertools.product(
        range(1, 26), (3, 5, 7), range(1, 6), range(1, 4)
    ):
        before, after = same(n, k, s, d)[::-1]  # SAME_LOWER
        half = d * (k - 1) // 2
        starts = range(-before, n + after - d * (k - 1), s)
        symmetric = range(-half, n + half - d * (k - 1), s)
        assert (starts == symmetric) == ((n - 1) % s <= 1), (n, k, s, d)
        assert s != 2 or starts == symmetric
    for page in ("cheat-sheet.md", "glossary.md", "index.md"):
        text = (ROOT / "book" / page).read_text(encoding="utf-8")
        paragraphs = [p for p in text.split("\n\n") if "SAME_LOWER" in p]
        said = [p for p in paragraphs if "stride 2" in p and "at every size" in p]
        assert len(said) == 1, page


@pytest.mark.parametrize("kind", ["Conv", "MaxPool"])
def test_half_the_kernel_is_onnx_runtimes_same_lower(kind):
    """At stride 2, odd sizes and even ones, square and not."""
    pytest.importorskip("onnxruntime", reason="SAME_LOWER was not run")
    pytest.importorskip("onnx", reason="SAME_LOWER was not run")
    from onnx import helper

    layer = {"Conv": "nn.Conv2d", "MaxPool": "nn.MaxPool2d"}[kind]
    for size, kernel in itertools.product([(6, 6), (7, 7), (8, 11)], [(3, 3), (5, 7)]):
        x, w = integers(np.random.default_rng(0), layer, size, kernel)
        attributes = {"kernel_shape": kernel, "strides": (2, 2)}
        inputs = ["x", "w"] if kind == "Conv" else ["x"]
        w = np.zeros((1, 1, 1, 1), "float32") if w is None else w
        y = run_onnx(
            {
                "x": x,
                "w": w,
                "node": helper.make_node(
                    kind, inputs, ["y"], auto_pad="SAME_LOWER", **attributes
                ),
            }
        )
        half = [k // 2 for k in kernel]
        assert np.array_equal(y, padded_in_torch(layer, x, w, kernel, (2, 2), half))


def test_frozen_padding_holds_for_sizes_of_the_same_remainder():
    """As the glossary says, down to one cell."""
    for n, m in itertools.product(range(1, 30), repeat=2):
        for k, s, d in itertools.product(range(1, 8), range(1, 6), range(1, 4)):
            if n % s == m % s:
                assert same(n, k, s, d) == same(m, k, s, d)


def test_the_cheat_sheet_has_every_block():
    """Five kinds of layer in five frameworks, four layers and two arguments back."""
    blocks, *_ = sheet()
    assert {kind: list(blocks[kind]) for kind in KINDS} == dict.fromkeys(
        KINDS, FRAMEWORKS
    )
    assert len(blocks) == 6
    back = list(blocks["Back: PyTorch to Keras"])
    assert back == [*BACK_LAYERS[:1], *BACK_ARGUMENTS, *BACK_LAYERS[1:]]


# Status and glossary.


def rows(known):
    """Return the texts of the status table's rows, and the pages that they link to."""
    soup = BeautifulSoup(
        (known / "book" / "status.html").read_text(encoding="utf-8"), "html.parser"
    )
    for row in soup.select("table tbody tr"):
        yield (
            row.a["href"],
            [" ".join(cell.get_text().split()) for cell in row.find_all("td")],
        )


def test_the_status_page_has_what_the_notebooks_store(known):
    """A row for each chapter, in order, with its title, date, seconds and versions, or dashes."""
    found = list(rows(known))
    assert [Path(link).stem for link, _ in found] == [path.stem for path in chapters()]
    for (_, (title, *shown)), path in zip(found, chapters(), strict=True):
        notebook = read(path)
        run = notebook.metadata.get("executed")
        assert notebook.cells[0].source.startswith(f"# {title.replace('’', chr(39))}\n")
        versions = (
            ", ".join(f"{k} {v}" for k, v in run["versions"].items()) if run else "—"
        )
        assert shown == (
            [run["date"], str(run["seconds"]), versions] if run else ["—"] * 3
        )


def test_execute_stores_when_how_long_and_with_what(tmp_path):
    """In the metadata, where `clean` leaves nothing else of an editor's."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import numpy.linalg")]
    )
    notebook.metadata["signature"] = "an editor's"
    path = tmp_path / "small.ipynb"
    write(notebook, path)
    execute(path)
    run = read(path).metadata["executed"]
    assert set(read(path).metadata) == {"executed", "kernelspec", "language_info"}
    assert abs(date.fromisoformat(run["date"]) - datetime.now(UTC).date()) <= timedelta(
        days=1
    )
    assert 0 <= run["seconds"] < 120
    assert run["versions"] == {"numpy": version("numpy")}


def test_versions_are_those_of_the_imported_frameworks():
    """Whatever the form of the import; no other package, no local part such as +cpu."""
    source = "import keras, os\nimport torch.nn as nn\nfrom matplotlib import pyplot"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    expected = {"keras": version("keras"), "torch": version("torch").split("+")[0]}
    assert framework_versions(notebook) == expected


def test_the_glossary_is_sorted_and_defines_what_the_design_names():
    """Alphabetical, whatever the case and quotes."""
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(\S.*)\n  ", text, re.MULTILINE)
    assert terms == sorted(terms, key=lambda term: term.lower().strip('"'))
    for term in (
        "total",
        "before",
        "after",
        "window",
        "tap",
        "SAME",
        "VALID",
        "shifted",
        "equal",
    ):
        assert term in terms


def test_the_cheat_sheet_prints_on_one_page(known, chromium):
    """A4, landscape, no code cut off; other pages keep their own paper."""
    sizes = {}
    for name in ("cheat-sheet", "glossary"):
        page = chromium.new_page()
        page.goto((known / "book" / f"{name}.html").as_uri())
        pdf = page.pdf(prefer_css_page_size=True, format="A4")
        sizes[name] = re.findall(rb"/MediaBox *\[0 0 (\d+)[\d.]* (\d+)", pdf)
        page.close()
    assert sizes["cheat-sheet"] == [(b"841", b"594")]
    assert set(sizes["glossary"]) == {(b"595", b"842")}


# The front page.


def test_the_front_page_draws_its_first_figure_with_and_without_javascript(
    known, chromium
):
    """The explorer, once, between the first answer and the second; no picture repeats it."""
    for javascript in (True, False):
        context = chromium.new_context(java_script_enabled=javascript)
        page = context.new_page()
        page.goto((known / "book" / "index.html").as_uri())
        drawings = page.locator("article :is(.explorer figure svg, img):visible")
        # two drawings, or, without a script, the one picture that holds both
        assert drawings.count() == 2 if javascript else drawings.count() in (1, 2)
        top = drawings.first.bounding_box()["y"]
        assert top < page.get_by_text("How can").first.bounding_box()["y"]
        assert top < page.locator("article h2").first.bounding_box()["y"]
        pictures = page.locator("article img:visible").count()
        assert pictures + drawings.count() == 2
        assert page.locator(".explorer input:visible").count() > 0 or not javascript
        context.close()


def test_the_front_page_leads_each_reader_to_a_place():
    """Porter, learner, maintainer; the three questions; the recipe, which is not repeated."""
    text = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    begin, asks, cases = (
        text.split(f"## {title}\n")[1].split("\n## ")[0]
        for title in ("Where to begin", "Is it padding?", "Which case is yours?")
    )
    assert [line[:6] for line in begin.splitlines() if line[:1] == "-"] == [
        "- **Yo"
    ] * 3
    assert re.findall(r"^(\d)\. \*\*.+\?\*\*", asks, re.MULTILINE) == ["1", "2", "3"]
    assert "(whole-model)" in asks and "(real-weights)" in asks
    assert not fences("index.md", "python")
    rows = [row for row in cases.splitlines() if row.startswith("| ")][2:]
    linked = re.findall(r"notebooks/(\d\d)-", "".join(rows))
    assert sorted(linked) == [path.stem[:2] for path in chapters()]
