"""Law 3, chapter 3: when symmetric padding is ONNX's SAME_LOWER; and Law 2 beside it.

Chapter 3 runs the laws on window plans and needs no ONNX. Here they meet those who
implement the rule, ONNX Runtime and ONNX's reference evaluator (`auto_pad`), on random
integers, where equal means every value. ONNX Runtime takes no dilation with `auto_pad`
(microsoft/onnxruntime#20582; so still in 1.32.0), so dilated layers are left to the
reference evaluator.
"""

import itertools
from functools import cache, partial

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from notebooks import load

book = load("03")
ENGINES = ("ONNX Runtime", "reference evaluator")

layers = st.tuples(
    st.integers(1, 60), st.integers(1, 11), st.integers(1, 11), st.integers(1, 4)
)  # input_size, kernel_size, stride, dilation


def remainder_law(r):
    """Law 3 for p = d (k - 1) / 2 of an odd kernel of 3 or more; r = (n - 1) mod s."""
    return r <= 1


# What may be believed instead; each must be refuted by the same runs.
WRONG_LAWS = {
    "as for SAME": lambda r: r == 0,
    "at every size": lambda r: True,
    "up to 2": lambda r: r <= 2,
    "above 0": lambda r: r > 0,
}


def plans(layer, p):
    """The window plans of p zeros on both sides, of SAME, and of SAME_LOWER."""
    zeros = book.same_padding(*layer)
    return [book.window_plan(*layer, pads) for pads in ((p, p), zeros, zeros[::-1])]


@given(layers)
@settings(max_examples=examples(500))
def test_the_p_of_a_law_and_no_other_gives_the_windows(layer):
    """Laws 2 and 3: every p against the window plans, unless they hold nothing but padding."""
    _, k, s, d = layer
    zeros = book.same_padding(*layer)
    for pads, equal in (
        (zeros, book.symmetric_equals_same(*layer)),
        (zeros[::-1], book.symmetric_equals_lower(*layer)),
    ):
        plan = book.window_plan(*layer, pads)
        tried = range(book.effective_kernel_size(k, d) + s)
        found = [
            p for p in tried if np.array_equal(book.window_plan(*layer, (p, p)), plan)
        ]
        expected = [] if equal is None else [equal]
        blind = (plan == -1).all()
        assert found == expected or (blind and set(expected) <= set(found))
        assert not (blind and k % 2 == 1)  # an odd kernel always sees the input


@given(st.integers(1, 200), st.integers(1, 6), st.integers(1, 9), st.integers(1, 4))
@settings(max_examples=examples(500))
def test_odd_kernels_of_three_or_more(n, half, s, d):
    """p = d (k - 1) / 2 is SAME just when (n - 1) mod s = 0, SAME_LOWER just when <= 1."""
    symmetric, upper, lower = plans((n, 2 * half + 1, s, d), d * half)
    r = (n - 1) % s
    assert np.array_equal(symmetric, upper) == (r == 0)
    assert np.array_equal(symmetric, lower) == remainder_law(r)


def test_at_stride_2_at_every_size():
    """995 of 995 window plans, of which SAME shares the odd sizes."""
    tried = [
        plans((n, k, 2, 1), k // 2) for n in range(1, 200) for k in (3, 5, 7, 9, 11)
    ]
    assert len(tried) == 995
    assert all(np.array_equal(symmetric, lower) for symmetric, _, lower in tried)
    assert sum(np.array_equal(symmetric, upper) for symmetric, upper, _ in tried) == 500


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", None])
@pytest.mark.parametrize("name", ["input_size", "kernel_size", "stride", "dilation"])
def test_bad_sizes_are_refused_by_name_and_value(name, value):
    """As everywhere in the book."""
    sizes = {"input_size": 6, "kernel_size": 3, "stride": 2, "dilation": 1, name: value}
    with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
        book.symmetric_equals_lower(**sizes)


def run(engine, operator, attributes, x, *weight):
    """Return what an engine makes of one node with these attributes."""
    names = ["x", "weight"][: 1 + len(weight)]
    node = helper.make_node(operator, names, ["y"], **attributes)
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(array, "weight") for array in weight]
    graph = helper.make_graph([node], "lower", [info], [y], constants)
    opsets = [helper.make_opsetid("", 22)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if engine == "reference evaluator":
        return ReferenceEvaluator(model).run(None, {"x": x})[0]
    providers = ["CPUExecutionProvider"]
    model = model.SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=providers)
    return session.run(None, {"x": x})[0]


def equal(y, other):
    """Tell whether two results on integers have one shape and the same values."""
    return y.shape == other.shape and np.array_equal(np.rint(y), np.rint(other))


def symmetric(pair, x, weight, padding):
    """Return PyTorch's convolution with `padding`, empty where no window fits."""
    sizes = zip(pair, padding, strict=True)
    if 0 in [book.output_size(*axis, (p, p)) for axis, p in sizes]:
        return np.empty(0)
    _, _, stride, dilation = zip(*pair, strict=True)
    return F.conv2d(x, weight, None, stride, padding, dilation).numpy()


@cache
def convolutions(engine):
    """Return [(layers, conv, y)]: y by SAME_LOWER, conv(padding) by PyTorch.

    `layers` = (input_size, kernel_size, stride, dilation) down and across, which differ;
    every kernel size meets every stride and every remainder.
    """
    rng = np.random.default_rng(0)
    found = []
    axes = [
        (r + s * more + 1, k, s)
        for k, s in itertools.product((1, 2, 3, 5), (1, 2, 3, 4))
        for r in range(s)
        for more in (0, 2)
    ]
    for (n, k, s), second in zip(axes, rng.permutation(axes), strict=True):
        m, k_across, s_across = map(int, second)
        dilation = rng.integers(1, 4, size=2) if engine != "ONNX Runtime" else (1, 1)
        d, d_across = map(int, dilation)
        x = rng.integers(-99, 100, size=(2, 2, n, m)).astype("float32")
        weight = rng.integers(1, 20, size=(3, 2, k, k_across)).astype("float32")
        attributes = {"auto_pad": "SAME_LOWER", "strides": (s, s_across)}
        if (d, d_across) != (1, 1):
            attributes["dilations"] = (d, d_across)

        pair = ((n, k, s, d), (m, k_across, s_across, d_across))
        conv = partial(symmetric, pair, torch.from_numpy(x), torch.from_numpy(weight))
        found.append((pair, conv, run(engine, "Conv", attributes, x, weight)))
    return found


def odd_kernels(engine):
    """Return [(remainders, equal)]: where p = d (k - 1) / 2 on both axes is SAME_LOWER."""
    found = []
    for pair, conv, y in convolutions(engine):
        if all(k % 2 and k >= 3 for _, k, _, _ in pair):
            padding = tuple(d * (k - 1) // 2 for _, k, _, d in pair)
            found.append(
                ([(n - 1) % s for n, _, s, _ in pair], equal(conv(padding), y))
            )
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_what_onnx_makes_of_odd_kernels(engine):
    """Law 3's short form, value for value, on images and kernels that are not square."""
    found = odd_kernels(engine)
    assert {True, False} == {same for _, same in found}
    for remainders, same in found:
        assert same == all(map(remainder_law, remainders)), remainders


@pytest.mark.parametrize("wrong", WRONG_LAWS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_runs_refute_other_laws(engine, wrong):
    """A test that no wrong law fails would show nothing."""
    law = WRONG_LAWS[wrong]
    assert any(same != all(map(law, rs)) for rs, same in odd_kernels(engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_onnx_makes_of_any_kernel(engine):
    """Law 3: half the total, rounded up, is SAME_LOWER; rounded down it is not always."""
    rounded_down = []
    for pair, conv, y in convolutions(engine):
        padding = tuple(book.symmetric_equals_lower(*axis) for axis in pair)
        totals = [sum(book.same_padding(*axis)) for axis in pair]
        if None in padding:  # an odd total at stride 1: another shape, with any p
            for ps in itertools.product(*[(t // 2, (t + 1) // 2) for t in totals]):
                assert conv(ps).shape != y.shape
        else:
            assert equal(conv(padding), y), pair
            rounded_down.append(equal(conv([t // 2 for t in totals]), y))
    assert {True, False} == set(rounded_down)


@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER"])
def test_what_onnx_runtime_makes_of_max_pools(rule):
    """Laws 2 and 3 hold for max pools, whose padding never wins: the numbers are negative.

    Without totals below 0, which ONNX Runtime refuses in a pool. The reference evaluator
    is not asked: its MaxPool rounds SAME_LOWER's output size down (onnx 1.23.2).
    """
    law = {
        "SAME_UPPER": book.symmetric_equals_same,
        "SAME_LOWER": book.symmetric_equals_lower,
    }[rule]
    rng = np.random.default_rng(0)
    verdicts = []
    for k, s, n in itertools.product((2, 3, 5), (1, 2, 3), (6, 7, 8)):
        if s > k:
            continue
        sizes, across = (n, k, s), (11, 3, 2)
        x = rng.integers(-999, -1, size=(1, 2, n, 11)).astype("float32")
        attributes = {"kernel_shape": (k, 3), "strides": (s, 2), "auto_pad": rule}
        y = run("ONNX Runtime", "MaxPool", attributes, x)
        for p in range(k // 2 + 1):
            pool = F.max_pool2d(torch.from_numpy(x), (k, 3), (s, 2), (p, 1)).numpy()
            assert law(*across) == 1
            assert equal(pool, y) == (p == law(*sizes)), (sizes, p)
            verdicts.append(p == law(*sizes))
    assert {True, False} == set(verdicts)
