"""`torch_to_keras` of chapter 11 against PyTorch: every layer, rank and argument."""

import contextlib
import io
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from notebooks import load

chapter = load("11")
torch_to_keras, as_keras = chapter.torch_to_keras, chapter.as_keras


def with_integers(module, seed=0):
    """Return a module in eval() whose weights are random integers from -4 to 4."""
    rng = np.random.default_rng(seed)
    for part in module.modules():
        for name, tensor in [*part.named_parameters(recurse=False)]:
            low = 1 if isinstance(part, nn.PReLU) else -4
            tensor.data = torch.tensor(rng.integers(low, 5, tensor.shape), dtype=torch.float32)
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.copy_(torch.tensor(rng.integers(-4, 5, part.num_features)))
            part.running_var.copy_(torch.tensor(rng.choice([1, 4, 16], part.num_features)))
    return module.eval()


def integers(shape, seed=0):
    """Return random integers from -9 to 9 as float32."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float32")


def both(module, model, size, channels, seed=0):
    """Return the outputs of a module and of a Keras model, channels last."""
    x = integers((2, channels, *size), seed)
    wanted = module(torch.from_numpy(x)).detach().numpy()
    return np.moveaxis(wanted, 1, -1), model(tf.constant(np.moveaxis(x, 1, -1))).numpy()


def assert_equal(module, model, size, channels=1, exact=True):
    """Assert that both have equal values, bit for bit or to 1e-5."""
    wanted, y = both(module, model, size, channels)
    assert y.shape == wanted.shape, (module, size, y.shape, wanted.shape)
    close = np.array_equal if exact else np.allclose
    options = {} if exact else {"rtol": 1e-5, "atol": 1e-5, "equal_nan": True}
    assert close(y, wanted, **options), (module, size)


def check(module, sizes, channels=1, exact=True):
    """Assert that the port is equal: at two sizes with open sizes, at a third that it knows.

    The third is computed on the spot; knowing the size, it may be one 'same' layer.
    """
    model = torch_to_keras(module)
    for size in sizes[:2]:
        assert_equal(module, model, size, channels, exact)
    assert_equal(module, partial(as_keras, module), sizes[2], channels, exact)
    return model


@st.composite
def axes(draw, largest=4):
    """Draw the rank, and a kernel, stride and dilation along each axis."""
    rank = draw(st.sampled_from([1, 1, 1, 2, 2, 2, 3]))
    most = largest if rank < 3 else 3
    number = st.integers(1, most)
    kernel, stride = (draw(st.tuples(*[number] * rank)) for _ in range(2))
    one = st.just((1,) * rank)
    dilation = draw(st.one_of(one, st.tuples(*[st.integers(1, 3)] * rank)))
    return rank, kernel, stride, dilation


def three_sizes(draw, least):
    """Draw three sizes of an input, each at least `least` along each axis."""
    more = 6 if len(least) < 3 else 3
    size = st.tuples(*[st.integers(n, n + more) for n in least])
    return [draw(size) for _ in range(3)]


def reach_of(kernel, dilation):
    """Return (k - 1) d along each axis."""
    return [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]


@st.composite
def convolutions(draw):
    """Draw a convolution with integers for weights, and three sizes it takes."""
    rank, kernel, stride, dilation = draw(axes())
    reach = reach_of(kernel, dilation)
    mode = draw(st.sampled_from(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"]))
    padding = draw(st.one_of(
        st.tuples(*[st.integers(0, 4)] * rank),
        st.just(tuple((r + 1) // 2 for r in reach)),
        st.sampled_from(["same", "valid"]),
    ))
    if padding == "same":
        stride = (1,) * rank
        pads = [(r // 2, r - r // 2) for r in reach]
    else:
        pads = [(p, p) for p in ((0,) * rank if padding == "valid" else padding)]
    groups = draw(st.sampled_from([1] * 22 + [2, 3]))  # XLA compiles each grouped one
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kind = getattr(nn, f"Conv{rank}d")
    layer = kind(inputs, outputs, kernel, stride, padding, dilation, groups,
                 draw(st.booleans()), mode)
    short = {"reflect": 1, "circular": 0}.get(mode, -99)
    least = [max(1, r + 1 - sum(p), max(p) + short) for r, p in zip(reach, pads, strict=True)]
    return with_integers(layer, draw(st.integers(0, 99))), three_sizes(draw, least)


@st.composite
def transposed(draw):
    """Draw a transposed convolution with integers for weights, and three sizes it takes."""
    rank, kernel, stride, dilation = draw(axes())
    reach = reach_of(kernel, dilation)
    padding = draw(st.one_of(
        st.tuples(*[st.integers(0, 3)] * rank),
        st.just(tuple(max(0, r + 1 - s) // 2 for r, s in zip(reach, stride, strict=True))),
    ))
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    extra = draw(st.sampled_from([extra, (0,) * rank]))
    groups = draw(st.sampled_from([1] * 22 + [2, 3]))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kind = getattr(nn, f"ConvTranspose{rank}d")
    layer = kind(inputs, outputs, kernel, stride, padding, extra, groups,
                 draw(st.booleans()), dilation)
    # the output, (n - 1) s - 2 p + reach + o + 1, must have a cell
    least = [
        1 + max(0, -(-(2 * p - r - o) // s))
        for r, s, p, o in zip(reach, stride, padding, extra, strict=True)
    ]
    return with_integers(layer, draw(st.integers(0, 99))), three_sizes(draw, least)


@st.composite
def pools(draw, mean):
    """Draw a pool and three sizes it takes."""
    rank, kernel, stride, dilation = draw(axes())
    dilation = (1,) * rank if mean else dilation
    reach = reach_of(kernel, dilation)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil = draw(st.booleans())
    options = {"stride": draw(st.sampled_from([stride, None])), "padding": padding}
    options["ceil_mode"] = ceil
    if mean:
        options["count_include_pad"] = draw(st.booleans())
        if rank > 1:
            options["divisor_override"] = draw(st.sampled_from([None, None, 3, -1, 7]))
    else:
        options["dilation"] = dilation
    kind = getattr(nn, f"{'Avg' if mean else 'Max'}Pool{rank}d")
    least = [max(1, r + 1 - 2 * p) for r, p in zip(reach, padding, strict=True)]
    if rank == 3:  # PyTorch asks for as much, whatever the padding
        least = [max(pair) for pair in zip(kernel, least, strict=True)]
    return kind(kernel, **options), three_sizes(draw, least)


def assert_equal_gradients(module, model, size):
    """Assert that the gradients of x, weight and bias are equal, bit for bit.

    Those of the weights are compared in Keras's layout: as the weights of the port of a module
    whose weights they are.
    """
    x = torch.tensor(integers((2, module.in_channels, *size)), requires_grad=True)
    y = module(x)
    upstream = integers(y.shape, 1)
    y.backward(torch.from_numpy(upstream))
    x_keras = tf.constant(np.moveaxis(x.detach().numpy(), 1, -1))
    with tf.GradientTape() as tape:
        tape.watch(x_keras)
        y_keras = model(x_keras)
    sources = [x_keras, *(v.value for v in model.trainable_variables)]
    gradients = tape.gradient(y_keras, sources, np.moveaxis(upstream, 1, -1))
    assert np.array_equal(gradients[0], np.moveaxis(x.grad.numpy(), 1, -1))
    for parameter in module.parameters():
        parameter.data, parameter.grad = parameter.grad, None
    wanted = torch_to_keras(module).trainable_variables
    for mine, its in zip(gradients[1:], wanted, strict=True):
        assert np.array_equal(mine, its)


@settings(max_examples=examples(400))
@given(convolutions(), st.integers(0, 7))
def test_convolutions(drawn, chance):
    """Values at three sizes, and one in eight gradients, where TensorFlow's CPU has them."""
    module, sizes = drawn
    model = check(module, sizes, module.in_channels)
    if chance == 0 and max(module.dilation) == 1 and module.groups == 1:
        assert_equal_gradients(module, model, sizes[0])


@settings(max_examples=examples(350))
@given(transposed(), st.integers(0, 7))
def test_transposed(drawn, chance):
    """Values at three sizes, and gradients as above."""
    module, sizes = drawn
    model = check(module, sizes, module.in_channels)
    if chance == 0 and max(module.dilation) == 1 and module.groups == 1:
        assert_equal_gradients(module, model, sizes[0])


@settings(max_examples=examples(350))
@given(pools(mean=False))
def test_max_pools(drawn):
    """Bit for bit, with negative numbers, ceil_mode and dilation."""
    check(*drawn, channels=2)


@settings(max_examples=examples(300))
@given(pools(mean=True))
def test_average_pools(drawn):
    """To 1e-5, with every divisor."""
    check(*drawn, channels=2, exact=False)


@settings(max_examples=examples(150))
@given(st.data())
def test_paddings(data):
    """Bit for bit, every mode, unequal sides; negative numbers cut."""
    rank = data.draw(st.integers(1, 3))
    kind = data.draw(st.sampled_from(["Zero", "Constant", "Reflection", "Replication", "Circular"]))
    amounts = data.draw(st.tuples(*[st.integers(-1, 3)] * 2 * rank))
    if kind in ("Reflection", "Replication"):
        amounts = tuple(map(abs, amounts))
    value = [data.draw(st.sampled_from([0, 5, -np.inf]))] if kind == "Constant" else []
    sizes = three_sizes(data.draw, (4,) * rank)
    check(getattr(nn, f"{kind}Pad{rank}d")(amounts, *value), sizes, channels=2)
