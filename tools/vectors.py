"""The test vectors: small layers whose SAME padding any implementation can be tested with.

    python tools/vectors.py        write book/_data/vectors anew

Outputs are the chapters' functions' and TensorFlow's; SAME_LOWER is the mirror image of both. What
each case catches is run: every wrong rule that the book knows, in place of the right one.
"""

import csv
import functools
import importlib
import io
import itertools
import json
import math
import os
import re
import sys
import zipfile
import zlib
from collections import defaultdict
from typing import NamedTuple
from unittest import mock

import numpy as np

from notebooks import ROOT, load

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
sys.path.append(str(ROOT / "tests"))  # the wrong rules of the chapters live there

FOLDER = ROOT / "book" / "_data" / "vectors"
WEIGHT_LAYOUTS = {"conv": "HWIO", "depthwise": "HWIM", "conv_transpose": "HWOI"}
OPERATORS = {
    "conv": "Conv",
    "depthwise": "Conv",
    "max_pool": "MaxPool",
    "avg_pool": "AveragePool",
    "conv_transpose": "ConvTranspose",
}
CHANNELS, FILTERS = 2, 3


class Layer(NamedTuple):
    """An operation and its sizes, pairs (vertical, horizontal)."""

    op: str
    size: tuple
    kernel: tuple
    strides: tuple
    dilations: tuple = (1, 1)

    def axes(self):
        """Return (n, k, s, d) of the rows and of the columns."""
        return list(zip(*self[1:], strict=True))


# Few and small; tests/test_vectors.py holds that each is needed to catch some wrong rule.
LAYERS = [
    Layer("conv", (6, 7), (3, 3), (2, 2)),
    Layer("conv", (5, 7), (4, 5), (1, 3)),
    Layer("conv", (1, 8), (3, 5), (3, 2)),
    Layer("conv", (8, 7), (3, 2), (1, 1), (2, 3)),
    Layer("conv", (8, 9), (3, 3), (3, 3), (2, 2)),
    Layer("conv", (9, 8), (1, 2), (3, 4)),
    Layer("depthwise", (6, 7), (3, 3), (2, 2)),
    Layer("depthwise", (5, 7), (4, 5), (1, 1)),
    Layer("depthwise", (1, 8), (3, 5), (3, 3)),
    Layer("depthwise", (8, 7), (3, 2), (1, 1), (2, 3)),
    Layer("depthwise", (8, 9), (3, 3), (3, 3), (2, 2)),
    Layer("depthwise", (9, 6), (1, 2), (3, 3)),
    Layer("max_pool", (6, 7), (5, 4), (2, 1)),
    Layer("max_pool", (1, 8), (3, 5), (3, 3)),
    Layer("max_pool", (9, 8), (1, 2), (3, 4)),
    Layer("avg_pool", (6, 7), (5, 4), (2, 1)),
    Layer("avg_pool", (1, 8), (3, 5), (3, 3)),
    Layer("avg_pool", (9, 8), (1, 2), (3, 4)),
    Layer("conv_transpose", (3, 4), (5, 4), (2, 3)),
    Layer("conv_transpose", (3, 2), (1, 2), (3, 3)),
]


# Data: integers, so that every output is one too.


def draw(name, shape, choices):
    """Return an array of `choices`, the same on every machine."""
    state, values = zlib.crc32(name.encode()), []
    for _ in range(math.prod(shape)):
        state = (state * 1103515245 + 12345) % 2**31
        values.append(choices[(state >> 16) % len(choices)])
    return np.array(values, "float32").reshape(shape)


def data(layer, name):
    """Return the input NHWC and the weight (None for pools) of a layer."""
    shape, (height, width) = (1, *layer.size, CHANNELS), layer.kernel
    if layer.op == "max_pool":  # below zero, or a zero of the padding would not win
        return draw(name, shape, range(-99, 0)), None
    if layer.op == "avg_pool":  # multiples of every divisor that occurs
        rows, columns = (
            reads(*axis, *same_plan(*axis)).sum((1, 2)) for axis in layer.axes()
        )
        step = math.lcm(*np.outer(rows, columns).astype(int).ravel().tolist())
        return draw(name, shape, range(-9 * step, 0, step)), None
    last = {"conv": (2, 3), "depthwise": (2, 1), "conv_transpose": (3, 2)}[layer.op]
    numbers = [*range(-4, 0), *range(1, 5)]
    return draw(name, shape, [2 * n for n in numbers]), draw(
        name + " weight", (height, width, *last), numbers
    )


# Right: the chapters' functions and TensorFlow.


def chapters_same(layer, x, w):
    """Return SAME by the functions of chapters 5, 8 and 9."""
    import torch

    def nchw(array):
        return torch.from_numpy(array.transpose(0, 3, 1, 2).copy())

    def kernel(order):
        return torch.from_numpy(w.transpose(order).copy())

    op, x = layer.op, nchw(x)
    if op == "conv":
        y = load("05").conv2d_same(
            x, kernel((3, 2, 0, 1)), None, layer.strides, layer.dilations
        )
    elif op == "depthwise":
        y = load("05").conv2d_same(
            x,
            kernel((2, 3, 0, 1)),
            None,
            layer.strides,
            layer.dilations,
            groups=CHANNELS,
        )
    elif op == "conv_transpose":
        y = load("09").conv_transpose2d_same(
            x, kernel((3, 2, 0, 1)), stride=layer.strides
        )
    else:
        pool = getattr(load("08"), f"{op}2d_same")
        y = pool(x, layer.kernel, layer.strides)
    return y.numpy().transpose(0, 2, 3, 1)


def tensorflow_same(layer, x, w):
    """Return TensorFlow's SAME.

    Its depthwise convolution takes one stride, and no dilation beside it (chapter 10);
    then it is its convolution with zeros where channel and group differ.
    """
    import tensorflow as tf

    op, size, kernel, strides, dilations = layer
    if op == "depthwise":
        if strides[0] == strides[1] and 1 in (max(strides), max(dilations)):
            steps = (1, *strides, 1)
            return tf.nn.depthwise_conv2d(
                x, w, steps, "SAME", dilations=dilations
            ).numpy()
        w = w * np.eye(CHANNELS, dtype="float32")
    if op in ("conv", "depthwise"):
        return tf.nn.conv2d(x, w, strides, "SAME", dilations=dilations).numpy()
    if op == "conv_transpose":
        shape = (1, *np.multiply(size, strides), w.shape[2])
        return tf.nn.conv2d_transpose(x, w, shape, strides, "SAME").numpy()
    pool = {"max_pool": tf.nn.max_pool2d, "avg_pool": tf.nn.avg_pool2d}[op]
    return pool(x, kernel, strides, "SAME").numpy()


def clamped(layer):
    """Tell whether windows end before the input does on both axes, so that UPPER is LOWER.

    Where one axis does that and the other does not, flips would not make LOWER.
    """
    short = {needed(*axis) < 0 for axis in layer.axes()}
    if layer.op == "conv_transpose":
        short = {False}
    assert len(short) == 1, layer
    return short == {True}


def mirrored(function):
    """Return a function for SAME_LOWER: image and kernel flipped, `function`, flipped back."""

    def flipped(layer, x, w):
        if clamped(layer):  # windows start at the first cell, with no padding to move
            return function(layer, x, w)
        w = None if w is None else w[::-1, ::-1].copy()
        y = function(layer, x[:, ::-1, ::-1].copy(), w)
        return y[:, ::-1, ::-1] if y.ndim == 4 else y

    return flipped


def pads(layer, rule):
    """Return [(before, after), ...]: padding, or what a transposed layer cuts off."""
    same_padding = load("01").same_padding
    found = []
    for n, k, s, d in layer.axes():
        if layer.op == "conv_transpose":
            n *= s
        before, after = same_padding(n, k, s, d)
        found.append([before, after] if rule == "SAME_UPPER" else [after, before])
    return found


# Wrong: any padding along each axis. A plan is (before, number of outputs).


def same_plan(n, k, s, d=1):
    """Return SAME's plan along one axis."""
    return halves(total(n, k, s, d))[0], -(-n // s)


def reads(n, k, s, d, before, outputs, edge=False):
    """Return [window, tap, cell]: 1 where the tap reads the cell; at the edge if `edge`."""
    cells = np.arange(outputs)[:, None] * s - before + np.arange(k) * d
    cells = np.clip(cells, 0, n - 1) if edge else cells
    return (cells[..., None] == np.arange(n)).astype("float32")


def by_plans(layer, x, w, plans, edge=False):
    """Return the layer's output by one plan for each axis, an empty array if it has none.

    `edge` repeats the edge as padding. For a transposed layer the plan is (cells cropped
    before, output size).
    """
    if min(outputs for _, outputs in plans) < 1:
        return np.zeros(0, "float32")
    pairs = zip(layer.axes(), plans, strict=True)
    if layer.op == "conv_transpose":
        rows, columns = (
            reads(m, k, s, d, before, n) for (n, k, s, d), (before, m) in pairs
        )
        return np.einsum("yai,xbj,nyxc,abdc->nijd", rows, columns, x, w, optimize=True)
    rows, columns = (reads(*axis, *plan, edge) for axis, plan in pairs)
    if layer.op == "conv":
        return np.einsum("yai,xbj,nijc,abcd->nyxd", rows, columns, x, w, optimize=True)
    if layer.op == "depthwise":
        y = np.einsum("yai,xbj,nijc,abcm->nyxcm", rows, columns, x, w, optimize=True)
        return y.reshape(*y.shape[:3], -1)
    if layer.op == "lp_pool":  # of data that have their power already
        return np.einsum("yai,xbj,nijc->nyxc", rows, columns, x, optimize=True)
    number = np.einsum("yai,xbj->yx", rows, columns)[..., None]
    if layer.op == "avg_pool":
        number = np.prod(layer.kernel) if edge else number
        y = np.einsum("yai,xbj,nijc->nyxc", rows, columns, x, optimize=True)
        with np.errstate(all="ignore"):
            return y / number
    seen = np.einsum("yai,xbj->yxij", rows, columns)[None, ..., None] > 0
    return np.where(seen, x[:, None, None], -np.inf).max((3, 4))


def by_rule(rule):
    """Return the functions for UPPER and LOWER of a rule (n, k, s, d): (before, after)."""
    return by_plan(
        lambda *axis: fitted(*axis, *rule(*axis)),
        lambda *axis: fitted(*axis, *rule(*axis)[::-1]),
    )


def fitted(n, k, s, d, before, after):
    """Return the plan of a padding: as many windows as fit."""
    return before, (n + before + after - (k - 1) * d - 1) // s + 1


def by_plan(*plans, **options):
    """Return the functions of plans (n, k, s, d): (before, outputs), the same on each axis."""

    def function(plan):
        return lambda layer, x, w: by_plans(
            layer, x, w, [plan(*axis) for axis in layer.axes()], **options
        )

    return [function(plan) for plan in plans]


def both(function):
    """Return the functions for UPPER and LOWER of one that is turned round with the rule."""
    return function, mirrored(function)


def by_pads(change):
    """Return the function of ((top, bottom), (left, right)) after `change` of SAME's."""

    def function(layer, x, w):
        transposed = layer.op == "conv_transpose"
        plans = []
        axes, sides = layer.axes(), change(*pads(layer, "SAME_UPPER"))
        for (n, k, s, d), (before, after) in zip(axes, sides, strict=True):
            if transposed:  # what is left, zeros behind where the stride is larger
                size = max(n * s, (n - 1) * s + k)
                plans.append((before, size - before - after))
            else:
                plans.append(fitted(n, k, s, d, before, after))
        return by_plans(layer, x, w, plans)

    return function


def flipped_kernel(layer, x, w):
    """Return SAME of the kernel turned round: a convolution as mathematics defines it."""
    return chapters_same(layer, x, w[::-1, ::-1].copy())


def batch_and_channels(layer, x, w):
    """The padding of the sizes that NCHW has in the places of height and width."""
    plans = []
    for n, (m, k, s, d) in zip((len(x), x.shape[3]), layer.axes(), strict=True):
        plans.append(fitted(m, k, s, d, *halves(total(n, k, s, d))))
    return by_plans(layer, x, w, plans)


class Wrong(NamedTuple):
    """A wrong rule in place of one operation."""

    name: str
    op: str
    upper: object  # what it makes of (layer, x, w) in place of SAME_UPPER
    lower: object  # and of SAME_LOWER: the same where nobody would turn it round
    source: str  # a chapter's number, or who has or had it


WINDOWS = ("conv", "depthwise", "max_pool", "avg_pool")
POOLS = ("max_pool", "avg_pool", "lp_pool")


def halves(total):
    """Return the total as SAME splits it."""
    return total // 2, total - total // 2


def total(n, k, s, d):
    """Return SAME's padding in all."""
    return max(0, (k - 1) * d - (n - 1) % s)


def needed(n, k, s, d):
    """Return the padding that ceil(n / s) windows need, below 0 where they end before n."""
    return (-(-n // s) - 1) * s + (k - 1) * d + 1 - n


ALL = (*WINDOWS, "lp_pool")
BUT_CONV = ("depthwise", *POOLS, "conv_transpose")  # conv has them from the chapters

# Beside those of the chapters: name: (operations, functions, who has or had it).
OTHERS = {
    "stride and dilation ignored in the padding": (
        ALL,
        by_plan(
            lambda n, k, s, d: ((k - 1) // 2, -(-n // s)),
            lambda n, k, s, d: (k // 2, -(-n // s)),
        ),
        "OpenCV 5",
    ),
    "stride ignored in the padding": (
        ALL,
        by_plan(
            lambda n, k, s, d: (d * (k - 1) // 2, -(-n // s)),
            lambda n, k, s, d: (-(-d * (k - 1) // 2), -(-n // s)),
        ),
        "",
    ),
    "stride ignored in the padding where there is dilation": (
        ("conv", "depthwise"),
        by_plan(
            lambda n, k, s, d: (
                halves(total(n, k, s if d == 1 else 1, d))[0],
                -(-n // s),
            ),
            lambda n, k, s, d: (
                halves(total(n, k, s if d == 1 else 1, d))[1],
                -(-n // s),
            ),
        ),
        "",
    ),
    "a total below 0 halved towards 0": (
        ALL,
        by_plan(
            lambda *axis: (int(needed(*axis) / 2), same_plan(*axis)[1]),
            lambda *axis: (
                needed(*axis) - int(needed(*axis) / 2),
                same_plan(*axis)[1],
            ),
        ),
        "",
    ),
    "the output's size rounded down": (
        ALL,
        by_plan(
            lambda n, k, s, d: (halves(total(n, k, s, d))[0], n // s),
            lambda n, k, s, d: (halves(total(n, k, s, d))[1], n // s),
        ),
        "",
    ),
    "the total halved for both sides": (
        ALL,
        by_rule(lambda *axis: (total(*axis) // 2,) * 2),
        "",
    ),
    "an output as large as the input": (
        ALL,
        by_rule(lambda n, k, s, d: halves((n - 1) * s + (k - 1) * d + 1 - n)),
        "ONNX's text of Conv-1",
    ),
    "batch and channels taken for height and width": (
        ALL,
        both(batch_and_channels),
        "ONNX's reference evaluator 1.17",
    ),
    "the edge repeated": (
        ("conv", "depthwise", "avg_pool"),
        both(*by_plan(same_plan, edge=True)),
        "Keras 3.15 on PyTorch, average pools",
    ),
    "the kernel flipped": (("conv", "depthwise"), both(flipped_kernel), ""),
    "rows padded as columns": (
        BUT_CONV,
        both(by_pads(lambda rows, columns: (columns, rows))),
        "",
    ),
    "both axes padded as the rows": (
        BUT_CONV,
        both(by_pads(lambda rows, columns: (rows, rows))),
        "",
    ),
    "(top, bottom, left, right) read as (top, left, bottom, right)": (
        BUT_CONV,
        both(by_pads(lambda r, c: ((r[0], c[0]), (r[1], c[1])))),
        "",
    ),
    "(n - 1) * s + 1 outputs": (
        ("conv_transpose",),
        both(*by_plan(lambda n, k, s, d: ((k - 1) // 2, (n - 1) * s + 1))),
        "OpenCV 4 and 5",
    ),
    "a total below 0 halved": (
        ("conv_transpose",),
        both(*by_plan(lambda n, k, s, d: ((k - s) // 2, n * s))),
        "ONNX's text and reference evaluator",
    ),
}

SAME_NAMES = {  # of the chapters' wrong rules; the name that the other operations' have
    "rows_for_both": "both axes padded as the rows",
    "rows_first": "rows padded as columns",
    "(0, 1) at stride 2, else SAME: even sizes taken for granted": "(0, 1) at stride 2, else SAME",
    "interleaved": "(top, bottom, left, right) read as (top, left, bottom, right)",
    "no_dilation": "dilation ignored altogether",
    "the extra one in front": "the extra zero in front",
    "no padding": "no padding: auto_pad is never read",
}
RECIPE = re.compile(r"ceil_mode|padding=|^\(0, 1\)")  # nobody would turn these round


def of_the_chapters():
    """Return the wrong rules of tests/test_pages.py, and its paddings in every operation."""
    import test_pages

    def named(name):
        name, source = re.fullmatch(r"(.+?)(?: \((\d\d(?:, \d\d)*)\))?", name).groups()
        return SAME_NAMES.get(name, name), source or ""

    def adapted(op, function):
        def wrong(layer, x, w):
            try:
                if op == "conv":
                    return function(x, w, layer.strides, layer.dilations)
                if op == "conv_transpose":
                    return function(x, w, layer.strides)
                return function(x, layer.kernel, layer.strides)
            except RuntimeError:  # PyTorch: the kernel is larger than the padded input
                return np.zeros(0, "float32")

        return wrong

    found = []
    for op, name, function in test_pages.mutants():
        name, source = named(name)
        upper = adapted(op, function)
        lower = upper if RECIPE.search(name) else mirrored(upper)
        found.append(Wrong(name, op, upper, lower, source))
    known = {(wrong.name, wrong.op) for wrong in found}
    for name, rule in test_pages.RULES.items():
        name, source = named(name)
        for op in ("depthwise", *POOLS):
            if (name, op) not in known and (op == "depthwise" or differs(rule)):
                upper, lower = by_rule(rule)
                lower = upper if RECIPE.search(name) else lower
                found.append(Wrong(name, op, upper, lower, source))
    return found


def differs(rule):
    """Tell whether a rule differs from SAME anywhere without dilation."""
    grid = itertools.product(range(1, 10), range(1, 6), range(1, 5), [1])
    return any(fitted(*axis, *rule(*axis)) != same_plan(*axis) for axis in grid)


def wrong_rules():
    """Return all wrong rules, fresh: one of them remembers the sizes that it met."""
    found = of_the_chapters()
    for name, (ops, functions, source) in OTHERS.items():
        found += [Wrong(name, op, *functions, source) for op in ops]
    return found


def in_place_of(rule, wrong):
    """Return the function of a wrong rule where `rule` is asked for."""
    return {"SAME_UPPER": wrong.upper, "SAME_LOWER": wrong.lower}[rule]


# The cases, and what each of them catches.


class Case(NamedTuple):
    """A layer under a rule, with its data and its right output, all NHWC."""

    name: str
    layer: Layer
    rule: str
    x: np.ndarray
    w: np.ndarray | None
    y: np.ndarray


def by_number(*pairs):
    """Return sizes as they stand in a name: 6x7_k3x3_s2x2."""
    return "_".join(f"{letter}{a}x{b}" for letter, (a, b) in pairs if (a, b) != (1, 1))


@functools.cache
def cases():
    """Return the cases. The chapters' functions and TensorFlow must agree on each."""
    found = []
    for rule in ("SAME_UPPER", "SAME_LOWER"):
        for layer in LAYERS:
            short = any(k < s for _, k, s, _ in layer.axes())
            if layer.op == "conv_transpose" and short and rule == "SAME_LOWER":
                continue  # TensorFlow has no LOWER, and a mirror would move its zeros
            letters = zip("nksd", layer[1:], strict=True)
            name = f"{layer.op}_{by_number(*letters)}_{rule[5:].lower()}"
            x, w = data(layer, name)
            right, reference = chapters_same, tensorflow_same
            if rule == "SAME_LOWER":
                right, reference = mirrored(right), mirrored(reference)
            y = right(layer, x, w)
            if not np.array_equal(y, reference(layer, x, w)):
                raise AssertionError(f"{name}: TensorFlow's output is another")
            if not np.array_equal(y, np.rint(y)):
                raise AssertionError(f"{name}: the output is not of integers")
            found.append(Case(name, layer, rule, x, w, y))
    return found


def fails(case, function):
    """Tell whether a function in place of the case's operation has another result."""
    y = function(case.layer, case.x, case.w)
    return y.shape != case.y.shape or not (np.abs(y - case.y) <= 1e-3).all()


ONLY_WHERE_SHORT = ("no zeros where the stride is larger", "a total below 0 halved")


@functools.cache
def caught():
    """Return {(name, op, rule): names of the cases it fails} of every wrong rule."""
    table = {}
    for rule in ("SAME_UPPER", "SAME_LOWER"):
        for wrong in wrong_rules():
            if wrong.op == "lp_pool":  # for ONNX's tests only
                continue
            if rule == "SAME_LOWER" and wrong.name in ONLY_WHERE_SHORT:
                continue
            function = in_place_of(rule, wrong)
            table[wrong.name, wrong.op, rule] = [
                case.name
                for case in cases()
                if (case.layer.op, case.rule) == (wrong.op, rule)
                and fails(case, function)
            ]
    return table


def said(name, rule, turned):
    """Return a wrong rule's name as it reads in place of SAME_UPPER or SAME_LOWER."""
    if rule == "SAME_LOWER" and turned:
        other = {"in front": "behind", "behind": "in front"}
        name = re.sub("in front|behind", lambda found: other[found[0]], name)
    return name


# ONNX's own node tests with auto_pad, and the wrong rules that they let pass.


ONNX_TESTS = {
    "Conv": "conv",
    "ConvTranspose": "conv_transpose",
    "MaxPool": "max_pool",
    "AveragePool": "avg_pool",
    "LpPool": "lp_pool",
}


@functools.cache
def onnx_tests():
    """Return ONNX's node tests with SAME as cases; of the rules here, SAME must give theirs."""
    import onnx.backend.test.case.node as node_cases
    from onnx.helper import get_attribute_value

    recorded = []

    def record(node, inputs, outputs, name, **_):
        attributes = {a.name: get_attribute_value(a) for a in node.attribute}
        rule = attributes.get("auto_pad", b"").decode()
        if rule.startswith("SAME"):
            op = ONNX_TESTS[node.op_type]
            recorded.append((name, op, attributes, rule, inputs, outputs[0]))

    state = np.random.get_state()
    np.random.seed(0)  # their data are random
    with mock.patch.object(node_cases, "expect", record):
        for operator in ONNX_TESTS:
            path = f"onnx.backend.test.case.node.{operator.lower()}"
            sys.modules.pop(path, None)  # the tests are made when it is imported
            importlib.import_module(path)
    np.random.set_state(state)

    found = []
    for name, op, attributes, rule, (x, *weights), y in recorded:
        kernel = attributes.get("kernel_shape") or weights[0].shape[2:]
        assert max(attributes.get("dilations", [1])) == 1 and x.ndim == 4
        layer = Layer(
            op,
            x.shape[2:],
            tuple(kernel),
            tuple(attributes.get("strides", (1, 1))),
        )
        x, y = x.transpose(0, 2, 3, 1), y.transpose(0, 2, 3, 1)
        w = weights[0].transpose(2, 3, 1, 0) if weights else None
        if op == "lp_pool":
            x, y = (np.abs(array) ** attributes.get("p", 2) for array in (x, y))
        right = right_by_plans if rule == "SAME_UPPER" else mirrored(right_by_plans)
        np.testing.assert_allclose(right(layer, x, w), y, 1e-4, 1e-5, err_msg=name)
        found.append(Case(name, layer, rule, x.copy(), w, y))
    return found


def right_by_plans(layer, x, w):
    """Return SAME by the same code as the wrong rules."""
    plans = [same_plan(*axis) for axis in layer.axes()]
    if layer.op == "conv_transpose":
        plans = [(max(0, k - s) // 2, n * s) for n, k, s, _ in layer.axes()]
    return by_plans(layer, x, w, plans)


@functools.cache
def onnx_catches():
    """Return {name: names of ONNX's tests that a wrong rule fails} in any operation."""
    table = defaultdict(list)
    rules = wrong_rules()
    for case in onnx_tests():
        for wrong in rules:
            if wrong.op != case.layer.op:
                continue
            y = in_place_of(case.rule, wrong)(case.layer, case.x, case.w)
            wanted = case.y
            equal = y.shape == wanted.shape and np.allclose(y, wanted, 1e-3, 1e-5)
            table[wrong.name] += [] if equal else [case.name]
    return table


# Files.


def as_json(case):
    """Return a case as the object that vectors.json has."""
    layer = case.layer
    turned = {
        (wrong.name, wrong.op): wrong.lower is not wrong.upper
        for wrong in wrong_rules_once()
    }
    return {
        "name": case.name,
        "op": layer.op,
        "rule": case.rule,
        "layout": "NHWC",
        "input_shape": list(case.x.shape),
        "kernel": list(layer.kernel),
        "strides": list(layer.strides),
        "dilations": list(layer.dilations),
        "group": CHANNELS if layer.op == "depthwise" else 1,
        "input": case.x.astype(int).tolist(),
        "weight_layout": WEIGHT_LAYOUTS.get(layer.op),
        "weight": None if case.w is None else case.w.astype(int).tolist(),
        "output": case.y.astype(int).tolist(),
        "pads": pads(layer, case.rule),
        "output_shape": list(case.y.shape),
        "why": [
            said(name, rule, turned[name, op])
            for (name, op, rule), names in caught().items()
            if case.name in names
        ],
    }


wrong_rules_once = functools.cache(wrong_rules)  # for their names


def as_onnx(case):
    """Return {file name: bytes}: the case as ONNX's backend tests have theirs, NCHW."""
    from onnx import TensorProto, helper, numpy_helper

    def tensor(array, name):
        return numpy_helper.from_array(array.copy(), name)

    layer = case.layer
    x, y = case.x.transpose(0, 3, 1, 2), case.y.transpose(0, 3, 1, 2)
    attributes = {"kernel_shape": layer.kernel, "strides": layer.strides}
    weights = []
    if case.w is not None:
        order = (2, 3, 0, 1) if layer.op == "depthwise" else (3, 2, 0, 1)
        weights = [tensor(case.w.transpose(order), "w")]
        attributes["dilations"] = layer.dilations
        attributes["group"] = CHANNELS if layer.op == "depthwise" else 1
    node = helper.make_node(
        OPERATORS[layer.op],
        ["x", *(["w"] if weights else [])],
        ["y"],
        auto_pad=case.rule,
        **attributes,
    )
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in (("x", x), ("y", y))
    ]
    graph = helper.make_graph([node], case.name, values[:1], values[1:], weights)
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    files = {
        "model.onnx": model,
        "test_data_set_0/input_0.pb": tensor(x, "x"),
        "test_data_set_0/output_0.pb": tensor(y, "y"),
    }
    return {
        path: message.SerializeToString(deterministic=True)
        for path, message in files.items()
    }


CODE = re.compile(
    r'padding="same"|padding=k // 2, output_padding=s - 1|padding=\w+|ceil_mode|auto_pad'
    r"|get_padding|correct_pad|keras\.applications|\(n - 1\) \* s \+ 1|\(n - 1\) % s|n % s"
    r"|(?:d \* )?\(k - 1\) // 2|k // 2|k - n % s|k - s|k - 1|k \* d"
)


def wrong_rules_csv():
    """Return the page's table: how many cases each wrong rule fails, ours and ONNX's."""
    ops = list(OPERATORS)
    number = {op: sum(case.layer.op == op for case in cases()) for op in ops}
    sources, failed = {}, defaultdict(lambda: defaultdict(int))
    for wrong in wrong_rules_once():
        sources[wrong.name] = sources.get(wrong.name) or wrong.source
    for (name, op, _), names in caught().items():
        failed[name][op] += len(names)
    titles = ["conv", "depthwise", "max", "average", "transposed"]
    rows = [["wrong rule"]]
    rows[0] += [
        f"{title} ({number[op]})" for title, op in zip(titles, ops, strict=True)
    ]
    rows[0] += [f"ONNX ({len(onnx_tests())})"]
    order = sorted(failed, key=list({**OTHERS, **failed}).index)
    for name in sorted(order, key=lambda name: len(onnx_catches()[name])):
        source = re.sub(r"\b0(\d)", r"\1", sources[name])
        if source[:1].isdigit():
            source = f"chapter{'s' * (', ' in source)} {source}"
        counts = [str(failed[name].get(op, "")) for op in ops]
        title = code(name) + (f" ({source})" if source else "")
        rows.append([title, *counts, str(len(onnx_catches()[name]))])
    return rows


def code(name):
    """Return a wrong rule's name with its code set as code."""
    return CODE.sub(lambda found: f"`{found[0]}`", name)


def cases_csv():
    """Return the page's table of layers: padding, how much they catch, and what few catch."""
    rows, shown = [["layer", "padding", "UPPER", "LOWER", "for example"]], set()
    for layer in LAYERS:
        both = [case for case in cases() if case.layer == layer]
        keys = [[k for k, v in caught().items() if c.name in v] for c in both]
        new = [key for key in keys[0] if key not in shown]
        rare = min(new, key=lambda key: len(caught()[key]))
        shown.add(rare)
        sides = " ".join(map(str, map(tuple, pads(layer, "SAME_UPPER"))))
        sides = sides.replace(" ", "\N{NO-BREAK SPACE}")
        counts = [*(str(len(k)) for k in keys), "–"][:2]
        name = both[0].name.removesuffix("_upper")
        rows.append([f"`{name}`", sides, *counts, code(rare[0])])
    return rows


def files():
    """Return {path below book/_data/vectors: bytes} of all that is published."""
    lines = [json.dumps(as_json(case), separators=(",", ":")) for case in cases()]
    found = {"vectors.json": ("[\n" + ",\n".join(lines) + "\n]\n").encode()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:  # stored: the same bytes everywhere
        for case in cases():
            for path, content in as_onnx(case).items():
                found[f"onnx/{case.name}/{path}"] = content
                entry = zipfile.ZipInfo(f"{case.name}/{path}", (2026, 11, 26, 0, 0, 0))
                entry.create_system = 3  # on Windows too
                packed.writestr(entry, content)
    found["onnx.zip"] = archive.getvalue()
    for name, rows in (("cases", cases_csv()), ("wrong-rules", wrong_rules_csv())):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        found[f"{name}.csv"] = text.getvalue().encode()
    return found


def main():
    """Write the files; whatever else lies in the folder goes."""
    wanted = files()
    for path in sorted(FOLDER.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(FOLDER).as_posix() not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name, content in wanted.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    size = sum(map(len, wanted.values()))
    print(f"{len(cases())} cases, {len(wanted)} files, {size} bytes in {FOLDER}")


if __name__ == "__main__":
    main()
