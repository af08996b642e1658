"""`conv_transpose2d_same` and `conv_transpose_same` against TensorFlow and Keras."""

import itertools
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from notebooks import load

same_padding = load("01").same_padding
conv2d_same = load("05").conv2d_same
conv_transpose2d_same = load("09").conv_transpose2d_same
conv_same = load("10").conv_same
conv_transpose_same = load("10").conv_transpose_same


def integers(rng, shape, dtype="float32"):
    """Return random integers from -9 to 9."""
    return rng.integers(-9, 10, shape).astype(dtype)


def tensorflow(x, weight, stride, size, bias=0, dilation=(1, 1)):
    """Return `tf.nn.conv2d_transpose` SAME of tensors in PyTorch's layouts, in TensorFlow's."""
    x, weight = tf.transpose(x, (0, 2, 3, 1)), tf.transpose(weight, (2, 3, 1, 0))
    shape = (x.shape[0], *size, weight.shape[2])
    return (
        tf.nn.conv2d_transpose(x, weight, shape, stride, "SAME", dilations=dilation)
        + bias
    )


def channels_first(y):
    """Return a TensorFlow tensor as an array with the channels on axis 1."""
    return np.moveaxis(y.numpy(), -1, 1)


def output_sizes(n, s):
    """Return every size that SAME with stride s maps to n."""
    return range((n - 1) * s + 1, n * s + 1)


@pytest.mark.parametrize("vertical", [True, False])
def test_every_small_axis_and_output_size(vertical):
    """Bit for bit, along one axis, for every output size TensorFlow takes."""
    rng = np.random.default_rng(0)
    for n, k, s in itertools.product(range(1, 10), range(1, 8), range(1, 6)):
        x, weight = integers(rng, (1, 1, n, 1)), integers(rng, (1, 1, k, 1))
        stride = (s, 1)
        if not vertical:
            x, weight, stride = x.swapaxes(2, 3), weight.swapaxes(2, 3), (1, s)
        for m in output_sizes(n, s):
            size = (m, 1) if vertical else (1, m)
            wanted = channels_first(tensorflow(x, weight, stride, size))
            tensors = torch.from_numpy(x), torch.from_numpy(weight)
            y = conv_transpose2d_same(*tensors, None, stride, size)
            assert np.array_equal(y, wanted), (n, k, s, m)
        assert torch.equal(conv_transpose2d_same(*tensors, stride=stride), y)


@settings(max_examples=examples(300))
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    data=st.data(),
)
def test_values_and_gradients(seed, size, kernel, stride, channels, data):
    """Values in float32 and float64 and the gradients of x, weight and bias, bit for bit."""
    rng = np.random.default_rng(seed)
    out = tuple(
        data.draw(st.sampled_from(output_sizes(n, s)))
        for n, s in zip(size, stride, strict=True)
    )
    arrays = [
        integers(rng, (2, channels[0], *size), "float64"),
        integers(rng, (*channels, *kernel), "float64"),
        integers(rng, channels[1], "float64"),
    ]
    ours = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = conv_transpose2d_same(*ours, stride, out)
    theirs = [tf.constant(a) for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(theirs)
        wanted = tensorflow(*theirs[:2], stride, out, theirs[2])
    assert np.array_equal(y.detach(), channels_first(wanted))
    upstream = integers(rng, y.shape, "float64")
    y.backward(torch.from_numpy(upstream))
    gradients = tape.gradient(wanted, theirs, np.moveaxis(upstream, 1, -1))
    for mine, its in zip(ours, gradients, strict=True):
        assert np.array_equal(mine.grad, its)
    single = conv_transpose2d_same(*(t.detach().float() for t in ours), stride, out)
    assert single.dtype == torch.float32 and np.array_equal(single, y.detach())
    assert torch.equal(conv_transpose_same(*ours, stride, out), y)
    if out == tuple(n * s for n, s in zip(size, stride, strict=True)):
        assert torch.equal(conv_transpose_same(*ours, stride), y)
    assert torch.equal(conv_transpose2d_same(ours[0][0], *ours[1:], stride, out), y[0])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_keras_layers(axes):
    """Conv1DTranspose, Conv2DTranspose and Conv3DTranspose, strides above the kernel included."""
    rng = np.random.default_rng(axes)
    layer_class = getattr(keras.layers, f"Conv{axes}DTranspose")
    for step, (k, s) in enumerate(itertools.product(range(1, 6), range(1, 5))):
        size = [1 + (step + axis) % 5 for axis in range(axes)]
        kernel = [k, 1 + k % 3, 2][:axes]
        stride = [s, 1 + s % 2, 3][:axes]
        x = integers(rng, (2, 3, *size))
        layer = layer_class(2, kernel, stride, "same", name="layer")
        layer.build((None, *size, 3))
        weight, bias = integers(rng, (3, 2, *kernel)), integers(rng, 2)
        layer.set_weights([np.moveaxis(weight, (1, 0), (-2, -1)), bias])
        wanted = channels_first(layer(np.moveaxis(x, 1, -1)))
        tensors = [torch.from_numpy(a) for a in (x, weight, bias)]
        assert np.array_equal(conv_transpose_same(*tensors, stride), wanted), (
            size,
            kernel,
            stride,
        )
        if axes == 2:
            assert np.array_equal(conv_transpose2d_same(*tensors, stride), wanted)


@settings(max_examples=examples(150))
@given(st.sampled_from([1, 3]), st.data(), st.integers(0, 2**32 - 1))
def test_every_output_size_of_one_and_three_axes(axes, data, seed):
    """tf.nn.conv1d_transpose and conv3d_transpose with output_shape, bit for bit."""
    numbers = partial(st.tuples, *[st.integers(1, 5 if axes == 1 else 4)] * axes)
    size, kernel, stride = (data.draw(numbers()) for _ in range(3))
    draw = [
        st.sampled_from(output_sizes(*n_s)) for n_s in zip(size, stride, strict=True)
    ]
    out = data.draw(st.tuples(*draw))
    rng = np.random.default_rng(seed)
    x, weight = integers(rng, (2, 3, *size)), integers(rng, (3, 2, *kernel))
    last = (*range(2, axes + 2), 1)
    kernel = weight.transpose(*last, 0)
    shape, operation = (2, *out, 2), getattr(tf.nn, f"conv{axes}d_transpose")
    wanted = operation(x.transpose(0, *last), kernel, shape, stride, "SAME")
    tensors = torch.from_numpy(x), torch.from_numpy(weight)
    y = conv_transpose_same(*tensors, None, stride, out)
    assert np.array_equal(y, channels_first(wanted))
    assert torch.equal(
        conv_transpose_same(tensors[0][0], *tensors[1:], None, stride, out), y[0]
    )
    image = torch.zeros(2, 2, *out, requires_grad=True)  # it is conv_same's gradient
    small = conv_same(image, tensors[1], stride=stride)
    assert torch.equal(torch.autograd.grad(small, image, tensors[0])[0], y)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_output_sizes_that_are_none_are_named(axes):
    """Too small, too large, no integer, one too many."""
    x, weight = torch.zeros(1, 1, *(3,) * axes), torch.zeros(1, 1, *(3,) * axes)
    for wrong in (4, 7, (6,) * (axes - 1) + (7,), 5.0, True, (6,) * (axes + 1)):
        with pytest.raises(ValueError, match="^output_size must be .*, got ") as error:
            conv_transpose_same(x, weight, stride=2, output_size=wrong)
        bad = wrong if isinstance(wrong, tuple) else repr(wrong)
        assert str(error.value).endswith(str(bad))
    y = conv_transpose_same(x, weight, stride=2, output_size=5)
    assert y.shape[2:] == (5,) * axes


def test_gradients_along_three_axes():
    """The gradients of `conv_transpose_same` are TensorFlow's in 3-D too."""
    rng = np.random.default_rng(3)
    for kernel, stride in itertools.product(
        ((3, 2, 4), (1, 5, 2)), ((2, 1, 3), (1, 2, 2))
    ):
        arrays = [
            integers(rng, shape, "float64")
            for shape in ((1, 2, 3, 2, 4), (2, 3, *kernel))
        ]
        ours = [torch.tensor(a, requires_grad=True) for a in arrays]
        y = conv_transpose_same(*ours, stride=stride)
        upstream = integers(rng, y.shape, "float64")
        y.backward(torch.from_numpy(upstream))
        theirs = [tf.constant(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(theirs)
            x, weight = (
                tf.transpose(t, p)
                for t, p in zip(theirs, ((0, 2, 3, 4, 1), (2, 3, 4, 1, 0)), strict=True)
            )
            shape = (1, *y.shape[2:], 3)
            wanted = tf.nn.conv3d_transpose(x, weight, shape, stride, "SAME")
        assert np.array_equal(y.detach(), channels_first(wanted))
        gradients = tape.gradient(wanted, theirs, np.moveaxis(upstream, 1, -1))
        assert all(
            np.array_equal(o.grad, g) for o, g in zip(ours, gradients, strict=True)
        )


def test_dilation_as_xla_computes_it():
    """TensorFlow's CPU kernels refuse dilation here; XLA does not."""
    compiled = tf.function(tensorflow, jit_compile=True)
    rng = np.random.default_rng(4)
    for size, kernel, stride, dilation, less in (
        ((5, 4), (3, 3), (1, 1), (2, 2), (0, 0)),
        ((4, 5), (3, 3), (2, 2), (2, 2), (0, 1)),
        ((3, 6), (2, 4), (3, 2), (3, 1), (2, 0)),
        ((4, 4), (4, 3), (2, 3), (1, 2), (1, 2)),
        ((2, 7), (1, 5), (2, 1), (2, 3), (0, 0)),
    ):
        x, weight = integers(rng, (1, 2, *size)), integers(rng, (2, 3, *kernel))
        out = tuple(n * s - c for n, s, c in zip(size, stride, less, strict=True))
        wanted = channels_first(
            compiled(tf.constant(x), tf.constant(weight), stride, out, 0, dilation)
        )
        tensors = torch.from_numpy(x), torch.from_numpy(weight)
        y = conv_transpose2d_same(*tensors, None, stride, out, dilation=dilation)
        assert np.array_equal(y, wanted), (size, kernel, stride, dilation, out)
        y = conv_transpose_same(*tensors, None, stride, out, dilation=dilation)
        assert np.array_equal(y, wanted), (size, kernel, stride, dilation, out)


@settings(max_examples=examples(200))
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    groups=st.integers(1, 2),
)
def test_it_is_the_gradient_of_conv2d_same(
    seed, size, kernel, stride, dilation, groups
):
    """With dilation and groups, for every image size; and <A u, y> = <u, At y>."""
    rng = np.random.default_rng(seed)
    image = torch.tensor(integers(rng, (1, 2 * groups, *size)), requires_grad=True)
    weight = torch.from_numpy(integers(rng, (3 * groups, 2, *kernel)))
    y = conv2d_same(image, weight, None, stride, dilation, groups)
    upstream = torch.from_numpy(integers(rng, y.shape))
    (gradient,) = torch.autograd.grad(y, image, upstream)
    back = conv_transpose2d_same(upstream, weight, None, stride, size, groups, dilation)
    assert torch.equal(back, gradient)
    assert (y * upstream).sum() == (image * back).sum()


def test_pairs_exist_for_even_totals_only():
    """Every (padding, output_padding) PyTorch takes, for the sizes of the chapter's table."""
    x = torch.from_numpy(integers(np.random.default_rng(0), (1, 1, 1, 6)))
    for k, s in itertools.product(range(1, 8), range(1, 6)):
        weight = torch.arange(1.0, k + 1).reshape(1, 1, 1, k)
        same = conv_transpose2d_same(x, weight, stride=(1, s))
        pairs = [
            (p, extra)
            for p, extra in itertools.product(range(k), range(s))
            if 5 * s - 2 * p + k + extra == 6 * s
            and torch.equal(
                F.conv_transpose2d(x, weight, None, (1, s), (0, p), (0, extra)), same
            )
        ]
        total = max(0, k - s)
        assert pairs == ([] if total % 2 else [(total // 2, max(0, s - k))])


@pytest.mark.parametrize("n", range(1, 10))
@pytest.mark.parametrize("s", range(1, 4))
def test_there_and_back_is_symmetric(n, s):
    """What pixel i sends to pixel j, j sends to i, for any kernel."""
    rng = np.random.default_rng(n)
    for k in range(1, 7):
        weight = torch.from_numpy(integers(rng, (1, 1, 1, k)))
        small = conv2d_same(torch.eye(n).reshape(n, 1, 1, n), weight, stride=(1, s))
        there_and_back = conv_transpose2d_same(
            small, weight, None, (1, s), (1, n)
        ).reshape(n, n)
        assert torch.equal(there_and_back, there_and_back.T)


def test_sizes_may_be_left_open_in_an_export():
    """torch.export with both sizes as symbols, also for odd totals and kernels below strides."""

    class Layer(torch.nn.Module):
        def __init__(self, kernel, stride):
            super().__init__()
            self.weight, self.stride = torch.arange(1.0, kernel * kernel + 1), stride
            self.weight = self.weight.reshape(1, 1, kernel, kernel)

        def forward(self, x):
            return conv_transpose2d_same(x, self.weight, stride=self.stride)

    sizes = {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    for kernel, stride in ((3, 2), (4, 2), (2, 3)):
        layer = Layer(kernel, stride)
        program = torch.export.export(
            layer, (torch.ones(1, 1, 5, 6),), dynamic_shapes=(sizes,)
        )
        x = torch.arange(28.0).reshape(1, 1, 7, 4)
        assert torch.equal(program.module()(x), layer(x))


X, WEIGHT = torch.zeros(1, 4, 3, 5), torch.zeros(4, 2, 3, 3)


@pytest.mark.parametrize(
    ("argument", "value", "shown"),
    [
        ("stride", 0, "0"),
        ("stride", (2, -1), "-1"),
        ("stride", 1.5, "1.5"),
        ("stride", True, "True"),
        ("stride", (1, 2, 3), "(1, 2, 3)"),
        ("stride", "2", "'2'"),
        ("dilation", 0, "0"),
        ("dilation", (1, 2.0), "2.0"),
        ("groups", 0, "0"),
        ("groups", True, "True"),
        ("output_size", 0, "0"),
        ("output_size", (3.0, 5), "3.0"),
        ("output_size", (4, 5), "(4, 5)"),
        ("output_size", (3, 4), "(3, 4)"),
        ("x", torch.zeros(4, 3), "(4, 3)"),
        ("x", torch.zeros(1, 2, 3, 5), "(1, 2, 3, 5)"),
        ("x", torch.zeros(1, 4, 0, 5), "(1, 4, 0, 5)"),
        ("x", torch.zeros(1, 1, 4, 3, 5), "(1, 1, 4, 3, 5)"),
        ("weight", torch.zeros(4, 2), "(4, 2)"),
        ("weight", torch.zeros(4, 2, 0, 3), "(4, 2, 0, 3)"),
        ("bias", torch.zeros(4), "(4,)"),
        ("bias", torch.zeros(1, 2), "(1, 2)"),
    ],
)
def test_mistakes_are_named(argument, value, shown):
    """A ValueError begins with the argument and shows its value; never a wrong number."""
    arguments = {"x": X, "weight": WEIGHT} | {argument: value}
    for function in (conv_transpose2d_same, conv_transpose_same):
        with pytest.raises(ValueError, match=f"^{argument} must ") as error:
            function(**arguments)
        assert shown in str(error.value)


def test_mistakes_in_combination_are_named():
    """Channels that groups do not divide, and a weight with another number of axes."""
    with pytest.raises(
        ValueError, match=r"^weight must .*groups \(3\).*\(4, 2, 3, 3\)"
    ):
        conv_transpose2d_same(X, WEIGHT, groups=3)
    with pytest.raises(
        ValueError, match=r"^weight must have 4 axes, got shape \(4, 2, 3\)"
    ):
        conv_transpose2d_same(X[:, :, 0], WEIGHT[..., 0])
    with pytest.raises(
        ValueError, match=r"^weight must have 4 axes, got shape \(4, 2, 3\)"
    ):
        conv_transpose2d_same(X, WEIGHT[..., 0])
