"""`conv_same` and the layer table of chapter 10 against TensorFlow and Keras, axis by axis."""

import ast
import io
import itertools
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from notebooks import load

same_padding = load("01").same_padding
conv2d_same = load("05").conv2d_same
chapter = load("10")
conv_same, conv_transpose_same = chapter.conv_same, chapter.conv_transpose_same


def integers(rng, shape, dtype="float32"):
    """Return random integers from -9 to 9."""
    return rng.integers(-9, 10, shape).astype(dtype)


def channels_last(array):
    """Return an array in PyTorch's layout in TensorFlow's."""
    return np.moveaxis(array, 1, -1)


def channels_first(array):
    """Return an array in TensorFlow's layout in PyTorch's."""
    return np.moveaxis(array, -1, 1)


def tensorflow_kernel(weight):
    """Return a kernel (out, in, ...) as a TensorFlow tensor (..., in, out)."""
    return tf.transpose(weight, (*range(2, len(weight.shape)), 1, 0))


def tensorflow(x, weight, stride, dilation):
    """Return SAME of `tf.nn` in one to three axes of tensors in PyTorch's layouts, in TensorFlow's.

    The 3-D kernel takes no dilation on a CPU, so that goes through tf.nn.convolution.
    """
    axes = len(stride)
    x = tf.transpose(x, (0, *range(2, axes + 2), 1))
    weight = tensorflow_kernel(weight)
    if axes == 3 and max(dilation) > 1:
        return tf.nn.convolution(x, weight, stride, "SAME", dilations=dilation)
    if axes == 3:
        return tf.nn.conv3d(x, weight, (1, *stride, 1), "SAME")
    operation = tf.nn.conv1d if axes == 1 else tf.nn.conv2d
    return operation(x, weight, stride, "SAME", dilations=dilation)


def test_every_small_axis():
    """Bit for bit, along one axis, every stride with every dilation."""
    rng = np.random.default_rng(0)
    for n, k, s, d in itertools.product(
        range(1, 12), range(1, 7), range(1, 5), range(1, 4)
    ):
        x, weight = integers(rng, (1, 1, n)), integers(rng, (1, 1, k))
        wanted = channels_first(tensorflow(x, weight, (s,), (d,)).numpy())
        y = conv_same(
            torch.from_numpy(x), torch.from_numpy(weight), stride=s, dilation=d
        )
        assert np.array_equal(y, wanted), (n, k, s, d)


def test_every_small_image():
    """Bit for bit, for two axes at once, and `conv2d_same` likewise."""
    rng = np.random.default_rng(0)
    axis = list(itertools.product((4, 5), (1, 2, 3), (1, 2, 3)))
    for (h, k_h, s_h), (w, k_w, s_w) in itertools.product(axis, axis[::2]):
        x, weight = integers(rng, (1, 1, h, w)), integers(rng, (1, 1, k_h, k_w))
        wanted = channels_first(tensorflow(x, weight, (s_h, s_w), (1, 1)).numpy())
        x, weight = torch.from_numpy(x), torch.from_numpy(weight)
        y = conv_same(x, weight, stride=(s_h, s_w))
        assert np.array_equal(y, wanted), (h, w, k_h, k_w, s_h, s_w)
        assert torch.equal(conv2d_same(x, weight, stride=(s_h, s_w)), y)


@st.composite
def layers(draw):
    """Draw (seed, size, kernel, stride, dilation) in one to three axes, as TensorFlow takes them.

    In 3-D: stride or dilation, and no cells left over (chapter 10 shows what TensorFlow does then).
    """
    axes = draw(st.integers(1, 3))
    per_axis = st.tuples(*[st.integers(1, 5)] * axes)
    size = draw(st.tuples(*[st.integers(1, 10 if axes < 3 else 6)] * axes))
    kernel, stride, dilation = draw(per_axis), draw(per_axis), draw(per_axis)
    if axes == 3:
        stride = tuple(min(s, k) for s, k in zip(stride, kernel, strict=True))
        one = (1,) * 3
        stride, dilation = draw(st.sampled_from([(stride, one), (one, dilation)]))
    return draw(st.integers(0, 2**32 - 1)), size, kernel, stride, dilation


@settings(max_examples=examples(300))
@given(layers())
def test_values_and_gradients(layer):
    """Values in float32 and float64 and the gradients of x, weight and bias, bit for bit."""
    seed, size, kernel, stride, dilation = layer
    rng = np.random.default_rng(seed)
    arrays = [
        integers(rng, (2, 3, *size), "float64"),
        integers(rng, (2, 3, *kernel), "float64"),
        integers(rng, 2, "float64"),
    ]
    ours = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = conv_same(*ours, stride, dilation)
    theirs = [tf.constant(a) for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(theirs)
        wanted = tensorflow(*theirs[:2], stride, dilation) + theirs[2]
    assert np.array_equal(y.detach(), channels_first(wanted.numpy()))
    single = conv_same(*(t.detach().float() for t in ours), stride, dilation)
    assert single.dtype == torch.float32 and np.array_equal(single, y.detach())
    assert torch.equal(conv_same(ours[0][0], *ours[1:], stride, dilation), y[0])
    if len(size) < 3 and max(dilation) > 1:
        return  # TensorFlow's CPU kernels have no gradient with dilation
    upstream = integers(rng, y.shape, "float64")
    y.backward(torch.from_numpy(upstream))
    gradients = tape.gradient(wanted, theirs, channels_last(upstream))
    for mine, its in zip(ours, gradients, strict=True):
        assert np.array_equal(mine.grad, its)


@settings(max_examples=examples(100))
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 10),
    width=st.integers(1, 10),
    k=st.integers(1, 5),
    step=st.one_of(
        st.tuples(st.integers(1, 4), st.just(1)),
        st.tuples(st.just(1), st.integers(1, 3)),
    ),
    kind=st.sampled_from(
        [
            "DepthwiseConv1D",
            "DepthwiseConv2D",
            "SeparableConv1D",
            "SeparableConv2D",
            "causal",
        ]
    ),
)
def test_keras_layers(seed, n, width, k, step, kind):
    """Depthwise, separable and causal layers with weights and bias, bit for bit."""
    rng = np.random.default_rng(seed)
    axes = 2 if kind.endswith("2D") else 1
    size, kernel = (n, width)[:axes], (k, 1 + k % 3)[:axes]
    stride, dilation = (step[0],) * axes, (step[1],) * axes
    options = {
        "kernel_size": kernel,
        "strides": stride,
        "dilation_rate": dilation,
        "padding": "same",
        "name": "layer",
    }
    if kind == "causal":
        layer, ours = (
            keras.layers.Conv1D(2, **options | {"padding": "causal"}),
            chapter.as_causal,
        )
    elif kind.startswith("Depthwise"):
        layer = getattr(keras.layers, kind)(depth_multiplier=2, **options)
        ours = chapter.as_depthwise
    else:
        layer = getattr(keras.layers, kind)(filters=2, **options)
        ours = chapter.as_separable
    x = integers(rng, (2, *size, 3))
    layer.build(x.shape)
    weights = [integers(rng, w.shape) for w in layer.weights]
    layer.set_weights(weights)
    wanted = channels_first(layer(x).numpy())
    y = ours(torch.from_numpy(channels_first(x).copy()), *weights, stride, dilation)
    assert np.array_equal(y, wanted)


@pytest.mark.parametrize("axes", [1, 2])
def test_depthwise_with_stride_and_dilation(axes):
    """Keras 3.15's own detour agrees, where tf.nn.depthwise_conv2d does not."""
    rng = np.random.default_rng(axes)
    layer_class = getattr(keras.layers, f"DepthwiseConv{axes}D")
    for n, k, s, d in itertools.product((5, 8), (2, 3), (2, 3), (2, 3)):
        x = integers(rng, (1, *(n,) * axes, 2))
        layer = layer_class(k, s, "same", dilation_rate=d, name="layer")
        layer.build(x.shape)
        weights = [integers(rng, w.shape) for w in layer.weights]
        layer.set_weights(weights)
        x_t = torch.from_numpy(channels_first(x).copy())
        y = chapter.as_depthwise(x_t, *weights, (s,) * axes, (d,) * axes)
        assert np.array_equal(y, channels_first(layer(x).numpy())), (n, k, s, d)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_groups(axes):
    """A grouped layer is its groups side by side; Keras's grouped layers agree in the chapter."""
    rng = np.random.default_rng(axes)
    for size, kernel, stride in (
        ((5, 6, 4), (3, 2, 3), (2, 2, 1)),
        ((6, 3, 7), (2, 3, 5), (1, 2, 3)),
    ):
        size, kernel, stride = size[:axes], kernel[:axes], stride[:axes]
        x, weight = integers(rng, (1, 6, *size)), integers(rng, (6, 2, *kernel))
        parts = zip(np.split(x, 3, axis=1), np.split(weight, 3), strict=True)
        one = (1,) * axes
        wanted = np.concatenate(
            [channels_first(tensorflow(*part, stride, one).numpy()) for part in parts],
            axis=1,
        )
        y = conv_same(
            torch.from_numpy(x), torch.from_numpy(weight), stride=stride, groups=3
        )
        assert np.array_equal(y, wanted)


def test_mirrored_is_the_swapped_pair():
    """ONNX's SAME_LOWER in 2-D wherever no cells are left over."""
    rng = np.random.default_rng(0)
    for h, w, k, s in itertools.product((4, 5, 6), (5, 7, 8), (2, 3, 4), (1, 2)):
        x = torch.from_numpy(integers(rng, (1, 1, h, w)))
        weight = torch.from_numpy(integers(rng, (1, 1, k, k)))
        (top, bottom), (left, right) = (same_padding(n, k, s) for n in (h, w))
        padded = torch.nn.functional.pad(x, (right, left, bottom, top))
        wanted = torch.nn.functional.conv2d(padded, weight, None, s)
        assert torch.equal(chapter.mirrored(x, weight, stride=s), wanted)
        assert torch.equal(chapter.mirrored(x[0], weight, stride=s), wanted[0])


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_conv3d_keeps_the_law_or_forgets_the_maximum(onednn):
    """Where cells are left over, each kernel reads one of two sets of cells: chapter 10's.

    Which kernel runs depends on oneDNN, the dtype and the processor; at least one layer shows
    that TensorFlow's own, the only one for float64, forgets max(0, ...).
    """
    code = """
import itertools
import tensorflow as tf
tf.config.set_visible_devices([], "GPU")
for n, k, s, dtype in itertools.product(*LAYERS, ("float32", "float64")):
    x = tf.reshape(tf.range(1, n + 1, dtype=dtype), (1, 1, 1, n, 1))
    w = tf.reshape(tf.eye(k, dtype=dtype), (1, 1, k, 1, k))
    y = tf.nn.conv3d(x, w, (1, 1, 1, s, 1), "SAME")
    print(y.numpy().reshape(-1, k).astype(int).tolist())
"""
    layers = (5, 6, 7, 9), (1, 2), (3, 4)
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": onednn}
    command = [sys.executable, "-c", code.replace("LAYERS", repr(layers))]
    process = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    lines, forgotten = iter(process.stdout.splitlines()), 0
    for n, k, s in itertools.product(*layers):
        reads = []
        for before in (same_padding(n, k, s)[0], int((k - 1 - (n - 1) % s) / 2)):
            starts = range(-before, -(-n // s) * s - before, s)
            windows = [[i + t + 1 for t in range(k)] for i in starts]
            reads.append([[i if 0 < i <= n else 0 for i in w] for w in windows])
        for dtype in ("float32", "float64"):
            read = ast.literal_eval(next(lines))
            assert read in reads, (n, k, s, dtype)
            forgotten += dtype == "float64" and read != reads[0]
        x = torch.arange(1.0, n + 1).reshape(1, 1, 1, 1, n)
        ours = conv_same(x, torch.eye(k).reshape(k, 1, 1, 1, k), stride=(1, 1, s))
        assert ours.reshape(k, -1).T.int().tolist() == reads[0], (n, k, s)
    assert forgotten


def test_sizes_may_be_left_open_in_an_export():
    """torch.export of a strided 1-D layer with its length as a symbol."""

    class Layer(torch.nn.Module):
        def forward(self, x):
            return conv_same(x, torch.tensor([[[1.0, 2, 3]]]), stride=2, dilation=2)

    length = ({2: torch.export.Dim.AUTO},)
    program = torch.export.export(
        Layer(), (torch.ones(1, 1, 6),), dynamic_shapes=length
    )
    for n in (5, 8, 9):
        x = torch.arange(float(n)).reshape(1, 1, n)
        assert torch.equal(program.module()(x), Layer()(x))


class Strided(torch.nn.Module):
    """A recipe as a module, with its weight and stride 2."""

    def __init__(self, recipe, weight):
        """Keep both."""
        super().__init__()
        self.recipe, self.weight = recipe, weight

    def forward(self, x):
        """Return what the recipe makes of x."""
        return self.recipe(x, self.weight, stride=2)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("taps", [3, 1])  # 1: the stride is larger than the kernel
def test_one_trace_serves_every_size(axes, taps):
    """torch.jit.trace and the ONNX export that rests on it, at other parities.

    conv_same compares no size; conv_transpose_same only those of the weight, which are fixed.
    """
    rng = np.random.default_rng(axes)
    weight = torch.from_numpy(rng.integers(-9, 10, (2, 2, *[taps] * axes))).float()
    small, *others = (
        torch.from_numpy(rng.integers(-9, 10, (1, 2, *size[:axes]))).float()
        for size in ((8, 9, 7), (11, 14, 6), (9, 8, 8))
    )
    for recipe in (conv_same, conv_transpose_same):
        layer = Strided(recipe, weight)
        with warnings.catch_warnings():
            strict = "error" if recipe is conv_same else "ignore"
            warnings.simplefilter(strict, torch.jit.TracerWarning)
            traced = torch.jit.trace(layer, small)
        file = io.BytesIO()
        open_sizes = {axis: f"size_{axis}" for axis in range(2, 2 + axes)}
        names = {"input_names": ["x"], "dynamic_axes": {"x": open_sizes}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated
            torch.onnx.export(layer, (small,), file, dynamo=False, **names)
        session = onnxruntime.InferenceSession(file.getvalue())
        for x in others:
            wanted = layer(x)
            assert torch.equal(traced(x), wanted)
            assert np.array_equal(session.run(None, {"x": x.numpy()})[0], wanted)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("stride", 0),
        ("stride", -1),
        ("stride", 2.0),
        ("stride", True),
        ("stride", (1, 2, 3, 4)),
        ("stride", "1"),
        ("dilation", 0),
        ("dilation", 1.5),
        ("groups", 0),
        ("groups", False),
    ],
)
def test_numbers_that_are_no_layer_are_named(axes, argument, value):
    """A ValueError begins with the argument and ends with its value; never a wrong number."""
    x, weight = torch.zeros(1, 4, *(5,) * axes), torch.zeros(2, 4, *(3,) * axes)
    with pytest.raises(ValueError, match=f"^{argument} must ") as error:
        conv_same(x, weight, **{argument: value})
    assert str(error.value).endswith(f"got {value!r}")


@pytest.mark.parametrize(
    ("argument", "shape"),
    [
        ("x", (4, 5)),
        ("x", (1, 3, 5, 5)),
        ("x", (1, 4, 5)),
        ("x", (1, 1, 4, 5, 5)),
        ("x", (1, 4, 0, 5)),
        ("weight", (2, 4)),
        ("weight", (2, 4, 3, 3, 3, 3)),
        ("weight", (2, 4, 0, 3)),
        ("bias", (4,)),
        ("bias", (2, 1)),
    ],
)
def test_shapes_that_do_not_fit_are_named(argument, shape):
    """Wrong ranks, channels that do not match and empty axes."""
    tensors = {"x": torch.zeros(1, 4, 5, 5), "weight": torch.zeros(2, 4, 3, 3)}
    with pytest.raises(ValueError, match=f"^{argument} must ") as error:
        conv_same(**tensors | {argument: torch.zeros(shape)})
    assert str(error.value).endswith(f"got {shape}") or str(error.value).endswith(
        f"shape {shape}"
    )
