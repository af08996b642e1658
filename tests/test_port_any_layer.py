"""`keras_to_torch` of chapter 11 against Keras on TensorFlow: any layer, at any size.

Where a CPU kernel of TensorFlow's refuses or breaks the rule, the rule judges: explicit
padding, then a kernel without any. Those layers are named at `law` and at `pool_law`.
"""

import itertools
import logging
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


def of_rank(axes, family):
    """Return keras.layers.Conv1D for 1 and "Conv", Conv1DTranspose for "ConvTranspose"."""
    kind = family.removesuffix("Transpose")
    return getattr(L, f"{kind}{axes}D{family.removeprefix(kind)}")


def twin(layer, **changes):
    """Return a layer of the same class with other arguments, not built."""
    return type(layer).from_config(layer.get_config() | changes)


def compare(layer, rng, sizes, channels, wanted=None, exact=True):
    """Compare a layer with its module at every size; `wanted` computes what must come out."""
    module, wanted = keras_to_torch(layer), wanted or layer
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


def convolve(x, kernel, groups, pads, strides, dilation):
    """Return a convolution of x after that padding, group by group, by VALID kernels."""
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    parts = zip(
        np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True
    )
    how = {"strides": strides, "padding": "VALID", "dilations": dilation}
    return np.concatenate([tf.nn.convolution(*part, **how) for part in parts], axis=-1)


def law(layer):
    """Return a function that computes Conv, DepthwiseConv or SeparableConv by the rule.

    For groups, which Keras compiles anew for each layer; for 3-D with a stride above the
    kernel, where Eigen forgets max(0, ...); for depthwise strides that differ, refused.
    """
    arrays = [np.array(keras.ops.convert_to_numpy(w)) for w in layer.weights]
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
        y = convolve(x, kernel, groups, pads, *steps[1:])
        for pointwise in arrays[1:]:
            y = np.einsum("...i,io->...o", y, pointwise.reshape(pointwise.shape[-2:]))
        return np.array(layer.activation(tf.constant(y + bias)))

    return function


@st.composite
def geometry(draw, max_kernel=4, same_steps=False):
    """Draw (kernel, strides, dilation) in one to three axes, stride or dilation 1."""
    axes = draw(st.integers(1, 3))
    numbers = [st.integers(1, top) for top in (max_kernel, 4, 3)]
    kernel, strides, dilation = (draw(st.tuples(*[n] * axes)) for n in numbers)
    one = (1,) * axes
    return draw(
        st.sampled_from([(kernel, strides, one), (kernel, one, dilation)] * 2)
        if axes < 3
        else st.sampled_from([(kernel, strides, one), (kernel, one, dilation)])
    )


def sizes_for(draw, kernel, dilation=(1, 1, 1), same=False):
    """Draw three input sizes: from 1 on for SAME, else at least one window."""
    axes, top = len(kernel), 5 if len(kernel) == 3 else 9
    least = [1 if same else (k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=False)]
    return [
        tuple(n + draw(st.integers(0, top if axes < 3 else 3)) for n in least)
        for _ in range(3)
    ]


formats = st.sampled_from(["channels_last"] * 3 + ["channels_first"])


@settings(max_examples=examples(450))
@given(st.data(), seeds)
def test_convolutions(data, seed):
    """Conv1D to 3D: padding, strides, dilation, groups, bias, activation, data_format."""
    draw, rng = data.draw, np.random.default_rng(seed)
    kernel, strides, dilation = draw(geometry())
    axes = len(kernel)
    padding = draw(st.sampled_from(["same", "same", "valid", "causal"][: 3 + (axes == 1)]))
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


@settings(max_examples=examples(250))
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
    how |= {"depth_multiplier": draw(st.integers(1, 2)), "use_bias": draw(st.booleans())}
    how |= {"activation": draw(st.sampled_from([None, "relu"]))}
    family = draw(st.sampled_from(["DepthwiseConv", "SeparableConv"]))
    arguments = (kernel,) if family == "DepthwiseConv" else (3, kernel)
    layer = of_rank(axes, family)(*arguments, **how)
    sizes = sizes_for(draw, kernel, dilation, padding == "same")
    filled(layer, rng, *(None,) * axes, 3)
    both = max(strides) > 1 and max(dilation) > 1
    differ = len(set(strides)) > 1
    if both and differ:
        return  # no kernel of TensorFlow's, nor VALID ones, do it
    compare(layer, rng, sizes, 3, law(layer) if differ else None)
