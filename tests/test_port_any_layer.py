"""`keras_to_torch` of chapter 11 against Keras on TensorFlow: any layer, at any size.

Where a CPU kernel of TensorFlow's refuses or breaks the rule, the rule judges: explicit
padding, then a kernel without any. Those layers are named at `law` and at `pool_law`.
HYPOTHESIS_PROFILE=long draws 50 times as many layers, over 70,000 in this file.
"""

import logging
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from notebooks import load

same_padding = load("01").same_padding
to_torch = load("10").to_torch
chapter = load("11")
keras_to_torch = chapter.keras_to_torch
L = keras.layers
pytestmark = pytest.mark.usefixtures("one_thread")


seeds = st.integers(0, 2**32 - 1)


def integers(rng, shape, dtype="float32"):
    """Return random integers from -9 to 9."""
    return rng.integers(-9, 10, shape).astype(dtype)


def channels_first(array):
    """Return an array in TensorFlow's layout in PyTorch's, without channels as it is."""
    return np.moveaxis(np.asarray(array), -1, 1)


def filled(layer, rng, *shape):
    """Return a Keras layer built for inputs of that shape, with integer weights."""
    layer.build((None, *shape))
    weights = [integers(rng, w.shape, w.dtype) for w in layer.weights]
    for i, w in enumerate(layer.weights):
        weights[i] = abs(weights[i]) + 1 if w.name == "moving_variance" else weights[i]
    layer.set_weights(weights)
    return layer


def values(tensor):
    """Return a Keras variable or TensorFlow tensor as an array."""
    return keras.ops.convert_to_numpy(tensor)


def of_rank(axes, family):
    """Return keras.layers.Conv1D for 1 and "Conv", Conv1DTranspose for "ConvTranspose"."""
    kind = family.removesuffix("Transpose")
    return getattr(L, f"{kind}{axes}D{family.removeprefix(kind)}")


def twin(layer, **changes):
    """Return a layer of the same class with other arguments, not built."""
    return type(layer).from_config(layer.get_config() | changes)


def compare(layer, rng, sizes, channels, wanted=None, exact=True):
    """Compare a layer with its module at every size; `wanted` computes what must come out.

    A channels_first layer without weights is judged by its channels_last twin.
    """
    module, wanted = keras_to_torch(layer), wanted or layer
    if wanted is layer and getattr(layer, "data_format", None) == "channels_first":
        wanted = twin(layer, data_format="channels_last")
    for size in sizes:
        x = integers(rng, (2, *size, channels))
        y = module(torch.from_numpy(channels_first(x).copy())).detach().numpy()
        expected = channels_first(wanted(x))
        assert y.shape == expected.shape and y.dtype == expected.dtype, size
        if exact:
            np.testing.assert_array_equal(y, expected, str(size))
        else:
            scale = max(1.0, abs(expected).max())
            np.testing.assert_allclose(y, expected, 0, 1e-5 * scale, err_msg=str(size))


def spread(kernel, dilation):
    """Return a kernel with zeros between its taps in place of a dilation."""
    size = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    wide = np.zeros((*size, *kernel.shape[-2:]), kernel.dtype)
    wide[tuple(slice(None, None, d) for d in dilation)] = kernel
    return wide


def convolve(x, kernel, groups, pads, strides):
    """Return a convolution of x after that padding, group by group, by VALID kernels."""
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    parts = (np.split(array, groups, axis=-1) for array in (x, kernel))
    pairs = zip(*parts, strict=True)
    parts = [tf.nn.convolution(*pair, strides, "VALID") for pair in pairs]
    return np.concatenate(parts, axis=-1)


def law(layer):
    """Return a function that computes Conv, DepthwiseConv or SeparableConv by the rule.

    For groups, which Keras compiles anew for each layer; for 3-D with a stride above the
    kernel, where Eigen forgets max(0, ...); for depthwise strides that differ, refused.
    """
    arrays = [values(w) for w in layer.weights]
    bias = arrays.pop() if layer.use_bias else 0
    depthwise = not isinstance(layer, (L.Conv1D, L.Conv2D, L.Conv3D))
    channels = arrays[0].shape[-2]
    groups = channels if depthwise else layer.groups
    kernel = arrays[0].reshape(*layer.kernel_size, 1, -1) if depthwise else arrays[0]
    steps = layer.kernel_size, layer.strides, layer.dilation_rate

    def function(x):
        pads = []
        for n, k, s, d in zip(x.shape[1:-1], *steps, strict=True):
            rule = {"valid": (0, 0), "causal": ((k - 1) * d, 0)}
            pads.append(rule.get(layer.padding) or same_padding(n, k, s, d))
        y = convolve(
            x, spread(kernel, layer.dilation_rate), groups, pads, layer.strides
        )
        for pointwise in arrays[1:]:
            y = np.einsum("...i,io->...o", y, pointwise.reshape(pointwise.shape[-2:]))
        return np.array(layer.activation(tf.constant(y + bias)))

    return function


@st.composite
def geometry(draw, max_kernel=4):
    """Draw (kernel, strides, dilation) in one to three axes, stride or dilation 1."""
    axes = draw(st.integers(1, 3))
    numbers = [st.integers(1, top) for top in (max_kernel, 4, 3)]
    kernel, strides, dilation = (draw(st.tuples(*[n] * axes)) for n in numbers)
    one = (1,) * axes
    return draw(st.sampled_from([(kernel, strides, one), (kernel, one, dilation)]))


def sizes_for(draw, kernel, dilation=(1, 1, 1), same=False):
    """Draw a size, from 1 on for SAME, else at least one window, and one cell more."""
    top = 3 if len(kernel) == 3 else 8
    steps = zip(kernel, dilation, strict=False)
    least = [1 if same else (k - 1) * d + 1 for k, d in steps]
    size = draw(st.tuples(*[st.integers(n, n + top) for n in least]))
    return [size, tuple(n + 1 for n in size)]


formats = st.sampled_from(["channels_last"] * 3 + ["channels_first"])


@settings(max_examples=examples(400))
@given(st.data(), seeds)
def test_convolutions(data, seed):
    """Conv1D to 3D: padding, strides, dilation, groups, bias, activation, data_format."""
    draw, rng = data.draw, np.random.default_rng(seed)
    kernel, strides, dilation = draw(geometry())
    axes = len(kernel)
    padding = draw(
        st.sampled_from(["same", "same", "valid", "causal"][: 3 + (axes == 1)])
    )
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    how = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    how |= {"groups": groups, "use_bias": draw(st.booleans())}
    how |= {"activation": draw(st.sampled_from([None, "relu"]))}
    how |= {"data_format": draw(formats)}
    channels = groups * draw(st.integers(1, 2))
    layer = of_rank(axes, "Conv")(groups * draw(st.integers(1, 2)), kernel, **how)
    sizes = sizes_for(draw, kernel, dilation, padding != "valid")
    first = layer.data_format == "channels_first"
    shape = (channels, *(None,) * axes) if first else (*(None,) * axes, channels)
    filled(layer, rng, *shape)
    over = axes == 3 and any(s > k for s, k in zip(strides, kernel, strict=True))
    by_law = first or groups > 1 or (over and padding == "same")
    compare(layer, rng, sizes, channels, law(layer) if by_law else None)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_dilation_counts_in_the_padding(axes):
    """At stride 1 an even (k - 1) d is a fixed padding of half of that, an odd one is not."""
    rng = np.random.default_rng(0)
    for k, d in ((3, 2), (2, 2), (3, 1), (2, 3)):
        for padding in ("same", "causal")[: 1 + (axes == 1)]:
            layer = of_rank(axes, "Conv")(2, k, padding=padding, dilation_rate=d)
            filled(layer, rng, *[None] * axes, 3)
            compare(layer, rng, [(4, 5, 3)[:axes], (1, 2, 6)[:axes]], 3)


@settings(max_examples=examples(200))
@given(st.data(), seeds)
def test_depthwise_and_separable_convolutions(data, seed):
    """Both, in 1-D and 2-D: multiplier, stride and dilation even together."""
    draw, rng = data.draw, np.random.default_rng(seed)
    axes = draw(st.integers(1, 2))
    kernel = draw(st.tuples(*[st.integers(1, 4)] * axes))
    strides = draw(st.tuples(*[st.integers(1, 4)] * axes))
    dilation = draw(st.tuples(*[st.integers(1, 3)] * axes))
    padding = draw(st.sampled_from(["same", "valid"]))
    how = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    how |= {"depth_multiplier": draw(st.integers(1, 2)), "data_format": draw(formats)}
    how |= {"use_bias": draw(st.booleans())}
    how |= {"activation": draw(st.sampled_from([None, "relu"]))}
    family = draw(st.sampled_from(["DepthwiseConv", "SeparableConv"]))
    arguments = (kernel,) if family == "DepthwiseConv" else (3, kernel)
    layer = of_rank(axes, family)(*arguments, **how)
    sizes = sizes_for(draw, kernel, dilation, padding == "same")
    first = layer.data_format == "channels_first"
    filled(layer, rng, *((3, *(None,) * axes) if first else (*(None,) * axes, 3)))
    differ = len(set(strides)) > 1
    compare(layer, rng, sizes, 3, law(layer) if differ or first else None)


def spread_kernel(layer):
    """Return a transposed layer without dilation, its taps apart instead.

    TensorFlow's CPU kernels take no dilation here.
    """
    wide, axes = spread(values(layer.kernel), layer.dilation_rate), layer.rank
    changes = {
        "kernel_size": wide.shape[:axes],
        "dilation_rate": 1,
        "data_format": "channels_last",
    }
    other = twin(layer, **changes)
    other.build((*(None,) * (axes + 1), wide.shape[-1]))
    other.set_weights([wide, *layer.get_weights()[1:]])
    return other


@settings(max_examples=examples(320))
@given(st.data(), seeds)
def test_transposed_convolutions(data, seed):
    """Conv1DTranspose to 3D: padding, strides, dilation, output_padding, data_format."""
    draw, rng = data.draw, np.random.default_rng(seed)
    kernel, strides, dilation = draw(geometry())
    axes, padding = len(kernel), draw(st.sampled_from(["same", "valid"]))
    more = tuple(draw(st.integers(0, s - 1)) for s in strides)
    how = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    how |= {"output_padding": draw(st.sampled_from([None, more]))}
    how |= {"use_bias": draw(st.booleans()), "data_format": draw(formats)}
    how |= {"activation": draw(st.sampled_from([None, "relu"]))}
    layer = of_rank(axes, "ConvTranspose")(draw(st.integers(1, 3)), kernel, **how)
    channels, first = draw(st.integers(1, 3)), layer.data_format == "channels_first"
    sizes = sizes_for(draw, kernel, dilation, same=True)
    filled(layer, rng, *((channels, *[5] * axes) if first else (*[5] * axes, channels)))
    steps = zip(kernel, strides, dilation, strict=True)
    even = [((k - 1) * d + 1) % 2 == 0 for k, s, d in steps]
    no_size = any(e and not o for e, o in zip(even, more, strict=True))
    if padding == "same" and layer.output_padding and no_size:
        with pytest.raises(ValueError, match="output_padding must be at least 1"):
            keras_to_torch(layer)
        return
    plain = max(dilation) == 1 and not first
    compare(layer, rng, sizes, channels, None if plain else spread_kernel(layer))


def test_sizes_that_tensorflow_refuses():
    """An even kernel, 'same' and output_padding=0: no input of SAME has that size."""
    layer = filled(
        L.Conv1DTranspose(1, 4, 2, "same", output_padding=0),
        np.random.default_rng(0),
        5,
        1,
    )
    with pytest.raises(tf.errors.InvalidArgumentError):
        layer(np.ones((1, 5, 1), "float32"))
    with pytest.raises(ValueError, match="output_padding must be at least 1"):
        keras_to_torch(layer)


def pool_law(layer):
    """Return a function that computes a SAME pool in 3-D by the rule.

    Eigen's own kernels forget max(0, ...) where the stride is above the kernel.
    """
    mean = isinstance(layer, L.AveragePooling3D)
    pool = tf.nn.avg_pool3d if mean else tf.nn.max_pool3d

    def valid(x, pads, value):
        x = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=value)
        return pool(x, layer.pool_size, (1, *layer.strides, 1), "VALID").numpy()

    def function(x):
        axes = zip(x.shape[1:-1], layer.pool_size, layer.strides, strict=True)
        pads = [same_padding(n, k, s) for n, k, s in axes]
        if mean:
            return valid(x, pads, 0) / valid(np.ones_like(x), pads, 0)
        return valid(x, pads, -np.inf)

    return function


@settings(max_examples=examples(300))
@given(st.data(), seeds)
def test_pools(data, seed):
    """MaxPooling and AveragePooling 1-D to 3-D, with the stride left out as well."""
    draw, rng = data.draw, np.random.default_rng(seed)
    kernel, strides, _ = draw(geometry())
    axes, padding = len(kernel), draw(st.sampled_from(["same", "valid"]))
    mean, default = draw(st.booleans()), draw(st.booleans())
    family = "AveragePooling" if mean else "MaxPooling"
    steps = None if default else strides
    layer = of_rank(axes, family)(kernel, steps, padding, draw(formats))
    over = any(s > k for s, k in zip(layer.strides, kernel, strict=True))
    by_law = axes == 3 and padding == "same" and over
    sizes = sizes_for(draw, kernel, same=padding == "same")
    compare(layer, rng, sizes, 2, pool_law(layer) if by_law else None, exact=not mean)


@settings(max_examples=examples(150))
@given(st.data(), seeds)
def test_layers_that_move_cells(data, seed):
    """ZeroPadding, Cropping, UpSampling, global pools, Flatten, Permute, Reshape."""
    draw, rng = data.draw, np.random.default_rng(seed)
    axes = draw(st.integers(1, 3))
    pair = st.tuples(st.integers(0, 3), st.integers(0, 3))
    pairs = draw(pair if axes == 1 else st.tuples(*[pair] * axes))
    times = draw(
        st.integers(1, 3) if axes == 1 else st.tuples(*[st.integers(1, 3)] * axes)
    )
    keep = draw(st.booleans())
    kind, how = draw(st.integers(0, 9)), {"data_format": draw(formats)}
    on_axis_1 = {} if axes == 1 else how  # Cropping1D and UpSampling1D take no layout
    cells = draw(st.tuples(*[st.integers(1, 3)] * axes))
    layer = (
        lambda: of_rank(axes, "ZeroPadding")(pairs, **how),
        lambda: of_rank(axes, "Cropping")(pairs, **on_axis_1),
        lambda: of_rank(axes, "UpSampling")(times, **on_axis_1),
        lambda: of_rank(axes, "GlobalMaxPooling")(keepdims=keep, **how),
        lambda: of_rank(axes, "GlobalAveragePooling")(keepdims=keep, **how),
        lambda: of_rank(axes, "AdaptiveMaxPooling")(cells, **how),
        lambda: of_rank(axes, "AdaptiveAveragePooling")(cells, **how),
        L.Flatten,
        lambda: L.Permute(draw(st.permutations(range(1, axes + 2)))),
        lambda: L.Reshape((2, -1)),
    )[kind]()
    least = {1: 7, 5: 3, 6: 3}.get(kind, 1)
    size = st.tuples(*[st.integers(least, least + (6 if axes < 3 else 3))] * axes)
    sizes = draw(st.lists(size, min_size=3, max_size=3))
    compare(layer, rng, sizes, 2, exact=kind not in (4, 6))


@settings(max_examples=examples(40))
@given(st.data(), seeds)
def test_prelu(data, seed):
    """Any axes shared, both layouts: bit for bit."""
    draw, rng = data.draw, np.random.default_rng(seed)
    size = draw(st.tuples(*[st.integers(1, 4)] * draw(st.integers(0, 3))))
    shared = [i for i in range(1, len(size) + 2) if draw(st.booleans())]
    layer = filled(L.PReLU(shared_axes=shared or None), rng, *size, 3)
    compare(layer, rng, [size], 3)
    x = integers(
        rng, (2, *size, 3)
    )  # the same array, its axis 1 taken for the channels
    y = keras_to_torch(layer, "channels_first")(torch.from_numpy(x)).detach()
    assert np.array_equal(y, layer(x))


def test_prelu_of_channels_is_that_of_pytorch():
    """With the other axes shared, sizes open; else a slope for each cell."""
    rng = np.random.default_rng(0)
    layer = filled(L.PReLU(shared_axes=[1, 2]), rng, None, None, 3)
    module = keras_to_torch(layer)
    assert type(module) is torch.nn.PReLU and module.num_parameters == 3
    compare(layer, rng, [(4, 5), (1, 7)], 3)
    module = keras_to_torch(filled(L.PReLU(), rng, 4, 5, 3))
    assert module.weight.shape == (3, 4, 5) and module.weight.requires_grad


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_spatial_dropout(axes):
    """Nothing in inference; in training whole channels, the others scaled, as in Keras."""
    layer = of_rank(axes, "SpatialDropout")(0.75)
    compare(layer, np.random.default_rng(0), [(5, 4, 6)[:axes]], 3)
    module = keras_to_torch(layer).train()
    x = np.ones((2, *[4] * axes, 64), "float32")
    ours = module(torch.from_numpy(channels_first(x).copy())).numpy()
    for y in (ours, channels_first(layer(x, training=True))):
        y = y.reshape(2, 64, -1)
        assert np.array_equal(y, y[..., :1].repeat(4**axes, -1))
        assert set(np.unique(y)) == {0, 4}


def test_alpha_dropout():
    """Nothing in inference; in training PyTorch's and Keras's values are the same two."""
    layer = L.AlphaDropout(0.25)
    compare(layer, np.random.default_rng(0), [(5, 4)], 3)
    x = np.ones((1, 40, 40, 3), "float32")
    y = keras_to_torch(layer).train()(torch.from_numpy(x))
    wanted = np.unique(layer(x, training=True))
    assert len(wanted) == 2
    np.testing.assert_allclose(np.unique(y), wanted, 1e-5)


ACTIVATIONS = (
    "elu exponential gelu hard_sigmoid hard_silu leaky_relu linear log_softmax mish relu "
    "relu6 selu sigmoid silu softmax softplus softsign tanh"
).split()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    """As a layer and as an argument, to 1e-5."""
    rng = np.random.default_rng(0)
    compare(L.Activation(name), rng, [(4, 5)], 3, exact=False)
    layer = filled(L.Conv2D(3, 1, activation=name), rng, 4, 5, 1)
    layer.set_weights([w / 9 for w in layer.get_weights()])
    compare(layer, rng, [(4, 5)], 1, exact=False)


@settings(max_examples=examples(100))
@given(st.data(), seeds)
def test_layers_that_round(data, seed):
    """BatchNormalization, Dense, bilinear upsampling, activations: to 1e-5."""
    draw, rng = data.draw, np.random.default_rng(seed)
    axes = draw(st.integers(0, 3))
    layer = draw(
        st.sampled_from(
            [
                L.BatchNormalization(
                    epsilon=draw(st.sampled_from([1e-3, 0.5])),
                    scale=draw(st.booleans()),
                    center=draw(st.booleans()),
                ),
                L.Dense(3, draw(st.sampled_from([None, "relu", "softmax"]))),
                L.Activation(draw(st.sampled_from(ACTIVATIONS))),
                L.Softmax(draw(st.integers(-1, axes))) if axes else L.Softmax(),
                L.ReLU(6),
                L.ReLU(0.0),
                L.ReLU(2.5),
                L.ReLU(negative_slope=0.25),
                L.LeakyReLU(),
                L.ELU(0.5),
                L.Rescaling(0.5, 3),
                L.Dropout(0.5),
                L.Identity(),
            ]
        )
    )
    sizes = draw(
        st.lists(st.tuples(*[st.integers(1, 5)] * axes), min_size=3, max_size=3)
    )
    filled(layer, rng, *(None,) * axes, 3)
    compare(layer, rng, sizes, 3, exact=False)


@settings(max_examples=examples(40))
@given(st.data(), seeds)
def test_gradients_of_convolutions(data, seed):
    """Of x, kernel and bias, bit for bit, where TensorFlow has them: without dilation."""
    draw, rng = data.draw, np.random.default_rng(seed)
    kernel, strides, _ = draw(geometry())
    axes = len(kernel)
    if axes == 3:
        strides = tuple(min(s, k) for s, k in zip(strides, kernel, strict=True))
    family = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    padding = draw(st.sampled_from(["same", "valid"]))
    layer = of_rank(axes, family)(2, kernel, strides, padding)
    filled(layer, rng, *(None,) * axes, 3)
    module = keras_to_torch(layer)
    for size in sizes_for(draw, kernel, same=padding == "same"):
        x = integers(rng, (2, *size, 3))
        x_t = torch.tensor(channels_first(x), requires_grad=True)
        theirs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(theirs)
            wanted = layer(theirs)
        y = module(x_t)
        upstream = integers(rng, wanted.shape)
        module.zero_grad()
        y.backward(torch.from_numpy(channels_first(upstream).copy()))
        of_x, of_kernel, of_bias = tape.gradient(
            wanted, [theirs, *layer.trainable_weights], tf.constant(upstream)
        )
        ours = dict(module.named_parameters())
        weight = next(p for n, p in ours.items() if n.endswith("weight"))
        bias = next(p for n, p in ours.items() if n.endswith("bias"))
        assert np.array_equal(x_t.grad, channels_first(of_x))
        assert torch.equal(weight.grad, to_torch(values(of_kernel)))
        assert np.array_equal(bias.grad, values(of_bias))


class Branches(torch.nn.Module):
    """Modules side by side, so that the sizes stay simple expressions."""

    def __init__(self, modules):
        """Keep the modules."""
        super().__init__()
        self.branches = torch.nn.ModuleList(modules)

    def forward(self, x):
        """Return the list of what they make of x."""
        return [branch(x) for branch in self.branches]


def one_of_each(axes):
    """Return layers of most kinds, for 3 channels and any size from 6 on."""
    small = 2 if axes < 3 else 3  # below the stride, where TensorFlow keeps the rule
    kinds = [
        keras.Sequential(
            [
                of_rank(axes, "Conv")(4, 3, 2, "same", activation="relu"),
                of_rank(axes, "MaxPooling")(3, 2, "same"),
                of_rank(axes, "GlobalAveragePooling")(),
            ]
        ),
        of_rank(axes, "Conv")(4, small, 3, "same"),
        of_rank(axes, "ConvTranspose")(4, 3, 2, "same"),
        of_rank(axes, "AveragePooling")(small, 3, "same"),
        of_rank(axes, "MaxPooling")(2),
    ]
    if axes != 2:
        kinds.pop()
    else:
        kinds += [L.Conv2D(4, 2, 1, "same", dilation_rate=3), L.UpSampling2D(2)]
        kinds += [
            L.DepthwiseConv2D(3, 2, "same"),
            L.Cropping2D(1),
            L.Dense(2, "softmax"),
        ]
    return kinds


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_exports_with_open_sizes(axes):
    """torch.export, torch.compile and ONNX: one program serves every size."""
    rng = np.random.default_rng(axes)
    kinds = [filled(layer, rng, *(None,) * axes, 3) for layer in one_of_each(axes)]
    module = Branches(map(keras_to_torch, kinds))
    dims = ({i: torch.export.Dim.DYNAMIC for i in range(2, axes + 2)},)
    x = torch.zeros(2, 3, *(8, 9, 10)[:axes])
    program = torch.export.export(module, (x,), dynamic_shapes=dims)
    torch._dynamo.reset()
    ways = [program.module()]
    if axes == 2:
        ways.append(torch.compile(module, backend="eager", dynamic=True))
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX was not run")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        file = torch.onnx.export(program, dynamo=True, verbose=False).model_proto
    session = onnxruntime.InferenceSession(file.SerializeToString())
    name = session.get_inputs()[0].name
    ways.append(lambda x: session.run(None, {name: x.numpy()}))
    for size in ((6, 7, 8), (11, 10, 6)):
        x = integers(rng, (2, *size[:axes], 3))
        x_t = torch.from_numpy(channels_first(x).copy())
        wanted = [channels_first(layer(x)) for layer in kinds]
        for way in (module, *ways):
            for y, correct in zip(way(x_t), wanted, strict=True):
                y = y.detach() if isinstance(y, torch.Tensor) else y
                np.testing.assert_allclose(y, correct, 1e-5, 1e-5)


class EachItsOwn(torch.nn.Module):
    """Modules that take one input each."""

    def __init__(self, modules):
        """Keep the modules."""
        super().__init__()
        self.parts = torch.nn.ModuleList(modules)

    def forward(self, *inputs):
        """Return the list of what each makes of its input."""
        return [part(x) for part, x in zip(self.parts, inputs, strict=True)]


def test_compiled_by_inductor(inductor, fresh_compiler):
    """The default backend generates code once, for 1-D and 2-D, which serves every size.

    In 3-D that of PyTorch 2.13 stops at a convolution with open sizes: ValueRangeError.
    """
    rng = np.random.default_rng(0)
    kinds = []
    for axes in (1, 2):
        conv = of_rank(axes, "Conv")(2, 3, 2, "same", activation="relu")
        pool = of_rank(axes, "MaxPooling")(3, 2, "same")
        kinds.append(filled(keras.Sequential([conv, pool]), rng, *[None] * axes, 3))
    compiled = EachItsOwn(map(keras_to_torch, kinds)).requires_grad_(False)
    compiled = torch.compile(compiled, dynamic=True)
    for sizes in ((9, 8), (11, 12)):
        arrays = [integers(rng, (2, *sizes[:axes], 3)) for axes in (1, 2)]
        tensors = [torch.from_numpy(channels_first(x).copy()) for x in arrays]
        for y, layer, x in zip(compiled(*tensors), kinds, arrays, strict=True):
            assert np.array_equal(y, channels_first(layer(x)))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_models_with_the_channels_first(axes):
    """A channels_first model flattens as Keras does, in both layouts of Flatten."""
    rng = np.random.default_rng(axes)
    for flat in ("channels_first", "channels_last"):
        how = {"data_format": "channels_first"}
        kinds = [
            of_rank(axes, "MaxPooling")(2, 2, "same", **how),
            L.BatchNormalization(axis=1),
            L.Softmax(1),
            L.Flatten(data_format=flat),
            L.Dense(3),
        ]
        model = filled(keras.Sequential(kinds), rng, 4, *(5, 6, 7)[:axes])
        x = integers(rng, (2, 4, *(5, 6, 7)[:axes]))
        y = keras_to_torch(model)(torch.from_numpy(x)).detach()
        np.testing.assert_allclose(y, model(x), 1e-5, 1e-5)


def test_groups_and_layouts_of_keras_itself():
    """Keras compiles these with XLA: grouped layers, and NCDHW in 3-D; dilated upwards."""
    rng = np.random.default_rng(0)
    compare(filled(L.Conv2D(4, 3, 2, "same", groups=2), rng, 7, 6, 4), rng, [(7, 6)], 4)
    layer = filled(
        L.Conv3D(4, 3, 2, "same", data_format="channels_first"), rng, 2, 5, 6, 4
    )
    x = integers(rng, (1, 2, 5, 6, 4))
    assert np.array_equal(keras_to_torch(layer)(torch.from_numpy(x)).detach(), layer(x))
    layer = L.Conv2DTranspose(3, 3, padding="same", dilation_rate=2)
    compiled = tf.function(filled(layer, rng, 5, 6, 2), jit_compile=True)
    compare(layer, rng, [(5, 6)], 2, compiled)


def graph():
    """Return a functional model with branches, a shared layer and two outputs."""
    image = keras.Input((None, None, 3))
    shared = L.Conv2D(3, 3, 1, "same", name="shared")
    a = shared(image)
    b = shared(L.ReLU()(a))
    joined = L.Concatenate(axis=-1)([a, b, L.Add()([image, a])])
    wide = keras.Sequential(
        [L.Conv2D(3, 3, 2, "same"), L.MaxPooling2D(2)], name="nested"
    )
    squeezed = L.GlobalMaxPooling2D(keepdims=True)(joined)
    scaled = L.Multiply()([joined, squeezed])
    flat = L.Concatenate()(
        [L.GlobalMaxPooling2D()(wide(scaled)), L.GlobalMaxPooling2D()(a)]
    )
    most = L.Maximum()([a, L.Minimum()([b, L.Subtract()([b, a])])])
    return keras.Model(image, [most, L.Dense(2)(flat)])


def test_graphs():
    """Every wire of a functional model, in float64, for the numbers grow."""
    rng = np.random.default_rng(0)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = graph()
        model.set_weights([integers(rng, w.shape, "float64") for w in model.weights])
    finally:
        keras.config.set_dtype_policy(policy)
    module = keras_to_torch(model)
    for size in ((8, 9), (7, 11)):
        x = integers(rng, (2, *size, 3), "float64")
        ours = module(torch.from_numpy(channels_first(x).copy()))
        for y, wanted in zip(ours, model(x), strict=True):
            assert np.array_equal(y.detach(), channels_first(wanted))
    assert sum("shared" in name for name in module.state_dict()) == 2


def test_models_within_models():
    """A functional body in a functional model in a Sequential, and names of PyTorch's."""
    rng = np.random.default_rng(0)
    image = keras.Input((None, None, 3))
    body = keras.Model(image, L.Conv2D(2, 3, 2, "same", name="training")(image))
    y = L.Maximum()([body(image, training=False), L.Conv2D(2, 1, 2, name="pop")(image)])
    model = keras.Sequential([keras.Model(image, y), L.ReLU(name="forward")])
    compare(filled(model, rng, None, None, 3), rng, [(6, 7), (9, 8)], 3)


def test_graphs_with_bare_operations_are_refused():
    """x + 1 is no layer, before one or behind the last; nor is training=True taken."""
    image = keras.Input((4, 4, 3))
    for y in (L.Conv2D(2, 1, name="conv")(image + 1), L.ReLU()(image) + 2):
        with pytest.raises(ValueError, match="'m': operations must be .*, got 'Add'"):
            keras_to_torch(keras.Model(image, y, name="m"))
    norm = L.BatchNormalization(name="norm")(image, training=True)
    with pytest.raises(ValueError, match="'norm': training must be False, got True"):
        keras_to_torch(keras.Model(image, norm))


def test_the_module_is_a_copy_in_eval_mode():
    """Nothing is shared; trainable is kept; a trainable BatchNormalization keeps its rest."""
    rng = np.random.default_rng(0)
    layer = filled(L.Conv2D(2, 1), rng, 4, 4, 3)
    module = keras_to_torch(layer)
    before = module.weight.clone()
    layer.set_weights([w + 1 for w in layer.get_weights()])
    assert torch.equal(module.weight, before) and not module.training
    assert all(p.requires_grad for p in module.parameters())
    layer.trainable = False
    assert not any(p.requires_grad for p in keras_to_torch(layer).parameters())
    norm = filled(L.BatchNormalization(momentum=0.75, center=False), rng, 4, 4, 3)
    module = keras_to_torch(norm)
    assert (module.momentum, module.eps) == (0.25, 1e-3)
    assert module.weight.requires_grad and not module.bias.requires_grad


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions(dtype):
    """A layer in half or double precision gives a module of it."""
    rng = np.random.default_rng(0)
    layer = filled(L.Conv2D(2, 3, 2, "same", dtype=dtype), rng, 5, 6, 3)
    x = integers(rng, (1, 5, 6, 3), dtype)
    y = keras_to_torch(layer)(torch.from_numpy(channels_first(x).copy())).detach()
    assert str(y.dtype) == f"torch.{dtype}"
    assert np.array_equal(y, channels_first(layer(x)))


class Shifted(L.Conv2D):
    """A subclass: whatever its call computes, Keras's own Conv2D does not."""


class Conv2D(L.Layer):
    """A class with a name of Keras's."""


def own_relu(x):
    """An activation of somebody's own."""
    return keras.ops.relu(x - 1)


def built(layer, *shape):
    """Return a layer built for batches of that shape."""
    layer.build((None, *(shape or (8, 8, 4))))
    return layer


def quantized():
    """Return a Dense in int8."""
    layer = built(L.Dense(4, name="dense"), 8)
    layer.quantize("int8")
    return layer


def mixed_layouts():
    """Return a Sequential of both layouts."""
    first = L.MaxPooling2D(2, data_format="channels_first", name="first")
    return built(keras.Sequential([L.MaxPooling2D(2), first]))


def axis_of_the_width():
    """Return a channels_first Sequential that normalises the last axis."""
    first = L.MaxPooling2D(2, data_format="channels_first")
    return built(keras.Sequential([first, L.BatchNormalization(name="norm")]))


def cropped_channels():
    """Return a channels_first Sequential that crops the channels."""
    first = L.MaxPooling1D(2, data_format="channels_first")
    return built(keras.Sequential([first, L.Cropping1D(1, name="c")]), 8, 8)


def two_names_in_one():
    """Return a Sequential of two layers whose names PyTorch could not tell apart."""
    return built(keras.Sequential([L.Cropping2D(1, name=n) for n in ("a.b", "a_b")]))


def nested_outputs():
    """Return a functional model that contains one with two outputs."""
    image = keras.Input((4, 4, 3))
    inner = keras.Model(image, [L.ReLU()(image), L.ELU()(image)], name="nested")
    return keras.Model(image, L.Add()(inner(image)))


REFUSED = {
    "Conv2D 'c': built must be True": lambda: L.Conv2D(2, 3, name="c"),
    "Dense 'd': built must be True": lambda: L.Dense(2, name="d"),
    "Conv2D 'c': activation must be .*, got <function own_relu": lambda: built(
        L.Conv2D(2, 3, activation=own_relu, name="c")
    ),
    "Activation 'a': activation must be .*, got <function glu": lambda: L.Activation(
        "glu", name="a"
    ),
    "Conv2DTranspose 't': output_padding must be .*, got (0, 0)": lambda: built(
        L.Conv2DTranspose(2, 4, 2, "same", output_padding=0, name="t")
    ),
    "UpSampling2D 'u': interpolation must be .*, got 'bicubic'": lambda: L.UpSampling2D(
        2, interpolation="bicubic", name="u"
    ),
    "UpSampling2D 'u': interpolation must be .*, got 'lanczos3'": lambda: (
        L.UpSampling2D(2, interpolation="lanczos3", name="u")
    ),
    "MaxPooling2D 'm': strides must be positive, got (1, 0)": lambda: L.MaxPooling2D(
        2, (1, 0), name="m"
    ),
    "MaxPooling2D 'm': padding must be .*, got 'causal'": lambda: L.MaxPooling2D(
        2, padding="causal", name="m"
    ),
    "BatchNormalization 'b': axis must be .*, got 2": lambda: built(
        L.BatchNormalization(2, name="b")
    ),
    "BatchNormalization 'b': renorm must be False, got True": lambda: built(
        L.BatchNormalization(renorm=True, name="b")
    ),
    "BatchNormalization 'b': number of axes must be at most 5, got 6": lambda: built(
        L.BatchNormalization(name="b"), 2, 2, 2, 2, 3
    ),
    "BatchNormalization 'norm': data_format must be 'channels_f": axis_of_the_width,
    "MaxPooling2D 'first': data_format must be 'channels_last'.*first'": mixed_layouts,
    "Softmax 's': axis must be one integer, got (1, 2)": lambda: L.Softmax(
        (1, 2), name="s"
    ),
    "ReLU 'r': threshold must be 0, got 0.5": lambda: L.ReLU(threshold=0.5, name="r"),
    "ReLU 'r': negative_slope must be 0 .*, got 0.5": lambda: L.ReLU(
        6, negative_slope=0.5, name="r"
    ),
    "Rescaling 'r': scale must be a number, got [1.0, 2.0]": lambda: L.Rescaling(
        [1.0, 2.0], name="r"
    ),
    "MaxPooling2D 'm': dtype must be .*, got 'mixed_float16'": lambda: L.MaxPooling2D(
        2, dtype="mixed_float16", name="m"
    ),
    "Conv2D 'c': dtype must be .*, got 'bfloat16'": lambda: built(
        L.Conv2D(2, 3, dtype="bfloat16", name="c")
    ),
    "Dense 'dense': quantization_mode must be None, got 'int8'": quantized,
    "Cropping1D 'c': data_format must be channels_last, its axis is 1": cropped_channels,
    "Cropping2D 'a_b': name must be another one than 'a.b'": two_names_in_one,
    "Functional 'nested': outputs must be one tensor": nested_outputs,
    "layer must be one of Keras's own .*, got <LSTM name=l": lambda: L.LSTM(
        2, name="l"
    ),
    "PReLU 'p': built must be True": lambda: L.PReLU(name="p"),
    "Dropout 'd': noise_shape must be None, got (None, 1)": lambda: L.Dropout(
        0.5, (None, 1), name="d"
    ),
    "layer must be one of Keras's own .*, got <GaussianNoise name=g": lambda: (
        L.GaussianNoise(1, name="g")
    ),
    "layer must be one of Keras's own .*, got <GaussianDropout name=g": lambda: (
        L.GaussianDropout(0.5, name="g")
    ),
    "layer must be one of Keras's own .*, got <Shifted name=s": lambda: built(
        Shifted(2, 3, name="s")
    ),
    "layer must be one of Keras's own .*, got <Conv2D name=c": lambda: Conv2D(name="c"),
    "layer must be one of Keras's own .*, got 3": lambda: 3,
    "layer must be one of Keras's own .*, got Conv2d": lambda: torch.nn.Conv2d(1, 1, 1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_exact_is_refused(message):
    """By the layer's name, the argument and its value."""
    pattern = re.escape(message).replace(re.escape(".*"), ".*")
    with pytest.raises(ValueError, match=pattern):
        keras_to_torch(REFUSED[message]())


def spatial_dropout_of_channels():
    """Return a channels_first Sequential whose SpatialDropout1D drops cells."""
    first = L.MaxPooling1D(2, data_format="channels_first")
    return built(keras.Sequential([first, L.SpatialDropout1D(0.5, name="s")]), 8, 8)


REFUSED["SpatialDropout1D 's': data_format must be channels_last"] = (
    spatial_dropout_of_channels
)


def instances_of_other_classes():
    """Return a layer of every class of keras.layers that has no port and can be made."""
    ports, made = chapter.layer_ports(), []
    cell, arguments = L.LSTMCell(2), [(), (2,), (2, 2), (2, 2, 2), ([2.0], [1.0])]
    arguments += [(cell,), ([cell],), (L.LSTM(2),), (np.tanh,), ([L.ReLU()],)]
    arguments += [("a,bc->abc", 2), ("ab,bc->ac", 2)]
    for name in dir(L):
        kind = getattr(L, name)
        skip = not isinstance(kind, type) or not issubclass(kind, L.Layer)
        if skip or re.sub("[123]D", "", kind.__name__) in ports:
            continue
        for some in arguments:
            try:
                made.append(kind(*some))
                break
            except Exception:
                continue
    return made


def test_every_other_class_of_keras_is_refused():
    """By its name; no class is ported by accident of its name."""
    layers = instances_of_other_classes()
    assert len(layers) > 60
    for layer in layers:
        with pytest.raises(ValueError, match=f"got <{type(layer).__name__} "):
            keras_to_torch(layer)


def test_a_flatten_that_moves_channels_that_are_last():
    """In a channels_last model a channels_first Flatten reads (columns, channels, rows)."""
    flat = L.Flatten(data_format="channels_first", name="flat")
    model = keras.Sequential([L.MaxPooling2D(2), flat])
    with pytest.raises(ValueError, match="'flat': data_format must be 'channels_last'"):
        keras_to_torch(built(model))


def test_data_format_tells_the_layout_of_a_layer_that_does_not():
    """Dense acts on Keras's last axis: the channels, or the width with channels first."""
    rng = np.random.default_rng(0)
    layer, x = filled(L.Dense(2), rng, 4, 5), integers(rng, (2, 4, 5))
    y = keras_to_torch(layer, "channels_first")(torch.from_numpy(x))
    assert np.array_equal(y.detach(), layer(x))
    with pytest.raises(ValueError, match="data_format must be .*, got 'NCHW'"):
        keras_to_torch(layer, "NCHW")
    y = keras_to_torch(layer)(torch.from_numpy(channels_first(x).copy()))
    assert np.array_equal(y.detach(), channels_first(layer(x)))


def test_tensors_of_several_ranks_are_not_broadcast():
    """Add of (N, C) and (N, H, W, C) lines up axes that PyTorch would not."""
    image, row = keras.Input((3, 3, 3)), keras.Input((3,))
    module = keras_to_torch(keras.Model([image, row], L.Add()([image, row])))
    with pytest.raises(ValueError, match="tensors must have as many axes each"):
        module([torch.zeros(1, 3, 3, 3), torch.zeros(1, 3)])


def test_round_trips():
    """keras_to_torch(torch_to_keras(m)) is m where the Keras model is layers only."""
    rng = np.random.default_rng(0)
    for module in (
        torch.nn.Conv2d(3, 4, 3, stride=2, padding=1),
        torch.nn.Conv1d(4, 4, 3, padding=2, dilation=2, groups=2),
        torch.nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
        torch.nn.ConvTranspose3d(3, 2, 3, stride=2, padding=1),
        torch.nn.AvgPool2d(3, 2, padding=1),
        torch.nn.MaxPool1d(2),
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1),
            torch.nn.BatchNorm2d(4),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d((2, 3)),
            torch.nn.Flatten(),
            torch.nn.Linear(24, 5),
        ),
    ):
        for parameter in module.parameters():
            drawn = integers(rng, parameter.shape)
            parameter.data = torch.from_numpy(np.asarray(drawn))
        first = (
            next(iter(module)) if isinstance(module, torch.nn.Sequential) else module
        )
        axes = int(type(first).__name__[-2])
        size = (7, 8, 6)[:axes]
        channels = getattr(first, "in_channels", 3)
        back = keras_to_torch(chapter.torch_to_keras(module.eval(), size))
        x = torch.from_numpy(integers(rng, (2, channels, *size)))
        torch.testing.assert_close(back(x), module(x), rtol=1e-6, atol=1e-5)


def test_training_of_batch_normalization():
    """The outputs and the running mean agree; the running variance has n - 1 for n."""
    rng = np.random.default_rng(0)
    norm = filled(L.BatchNormalization(momentum=0.75), rng, 4, 5, 3)
    module, x = keras_to_torch(norm).train(), integers(rng, (2, 4, 5, 3))
    old = values(norm.moving_variance)
    y = module(torch.from_numpy(channels_first(x).copy())).detach()
    wanted = channels_first(norm(x, training=True))
    np.testing.assert_allclose(y, wanted, 1e-5, 1e-4)
    np.testing.assert_allclose(
        module.running_mean, values(norm.moving_mean), 1e-5, 1e-6
    )
    new, n = values(norm.moving_variance), 2 * 4 * 5
    ours = 0.75 * old + (new - 0.75 * old) * n / (n - 1)
    np.testing.assert_allclose(module.running_var, ours, 1e-5)


class Joined(torch.nn.Module):
    """A graph whose branches are joined by one function."""

    def __init__(self, join):
        """Keep the function."""
        super().__init__()
        self.conv, self.join = torch.nn.Conv2d(3, 3, 3, 2, 1), join

    def forward(self, x):
        """Return the function of two convolutions of x."""
        return self.join(self.conv(x), self.conv(x + x))


def test_graphs_to_keras():
    """The chapter's network at its size, and each function of its three with open ones."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    joins = (torch.add, lambda a, b: torch.cat([a, b], dim=1))
    joins += (lambda a, b: torch.cat((a, b), 1), lambda a, b: torch.relu(a) + b)
    cases = [(Joined(join), (None, None)) for join in joins]
    for module, size in [*cases, (chapter.ResUNet(), (59, 77))]:
        model = chapter.graph_to_keras(module.eval(), (*size, 3))
        x = integers(rng, (2, *((59, 77) if size[0] else (8, 9)), 3))
        y = module(torch.from_numpy(channels_first(x).copy())).detach()
        scale = float(abs(y).max())
        np.testing.assert_allclose(channels_first(model(x)), y, 0, 1e-5 * scale)


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a - b,
        lambda a, b: torch.cat([a, b], dim=2),
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.add(a, b, alpha=2),
        lambda a, b: a.flatten(1),
        lambda a, b: a + 1,
        lambda a, b: a + torch.amax(b, (2, 3)),
    ],
)
def test_graphs_to_keras_refuse_other_functions(join):
    """What is not addition of tensors, a join of channels or relu is named."""
    with pytest.raises(ValueError, match="forward must only add, torch.cat or relu"):
        chapter.graph_to_keras(Joined(join), (None, None, 3))
