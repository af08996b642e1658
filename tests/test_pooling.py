"""The SAME pools of chapter 8 against TensorFlow's, value for value."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import torch
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from notebooks import load

chapter = load("08")
both = pytest.mark.parametrize(
    ("pool", "tf_pool"),
    [
        (chapter.max_pool2d_same, tf.nn.max_pool2d),
        (chapter.avg_pool2d_same, tf.nn.avg_pool2d),
    ],
    ids=["max", "mean"],
)
axes = st.tuples(
    st.integers(1, 24), st.integers(1, 9), st.integers(1, 11)
)  # size, kernel, stride


def run_tensorflow(tf_pool, x, kernel_size, stride):
    """Return TensorFlow's SAME pool of a NumPy array (N, C, H, W)."""
    y = tf_pool(x.transpose(0, 2, 3, 1), kernel_size, stride, "SAME")
    return y.numpy().transpose(0, 3, 1, 2)


def how(input_size, kernel_size, stride):
    """Return how the chapter gets SAME's windows along one axis, by its rule."""
    before, after = chapter.same_padding(input_size, kernel_size, stride)
    if before == after:
        return "fits"
    return "rounded up" if stride > 1 else "first dropped"


@both
def test_every_small_layer(pool, tf_pool):
    """Every (size, kernel, stride) on each axis, paired with another one on the other axis."""
    grid = list(itertools.product(range(1, 11), range(1, 7), range(1, 8)))
    rng = np.random.default_rng(0)
    ways = set()
    for rows, columns in zip(grid, rng.permutation(grid).tolist(), strict=True):
        size, kernel_size, stride = zip(rows, columns, strict=True)
        x = rng.integers(-2048, 0, (2, 3, *size)).astype(
            "float32"
        )  # where a 0 would win
        expected = run_tensorflow(tf_pool, x, kernel_size, stride)
        y = pool(torch.from_numpy(x), kernel_size, stride).numpy()
        np.testing.assert_array_equal(y, expected, f"{size} {kernel_size} {stride}")
        ways.add((how(*rows), how(*columns)))
    assert len(ways) == 9, (
        "each axis must have fitted, been rounded up and been cropped"
    )


@both
@given(axes, axes, st.sampled_from(["float32", "float64"]), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(300))
def test_generated_layers(pool, tf_pool, rows, columns, dtype, seed):
    """Layers that no grid lists, in both memory formats, with and without a batch axis."""
    size, kernel_size, stride = zip(rows, columns, strict=True)
    # A mean of these is no integer, but its sum is exact and divided once, here and there.
    x = np.random.default_rng(seed).integers(-2048, 2049, (2, 3, *size)).astype(dtype)
    expected = run_tensorflow(tf_pool, x, kernel_size, stride)
    x = torch.from_numpy(x)
    np.testing.assert_array_equal(pool(x, kernel_size, stride).numpy(), expected)
    channels_last = x.to(memory_format=torch.channels_last)
    np.testing.assert_array_equal(
        pool(channels_last, kernel_size, stride).numpy(), expected
    )
    np.testing.assert_array_equal(pool(x[0], kernel_size, stride).numpy(), expected[0])


@both
@given(
    *[st.tuples(st.integers(1, 12), st.integers(1, 6), st.integers(1, 7))] * 2,
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(100))
def test_gradients(pool, tf_pool, rows, columns, seed):
    """Gradients in float64: values are distinct, so that a maximum has one place."""
    size, kernel_size, stride = zip(rows, columns, strict=True)
    rng = np.random.default_rng(seed)
    x = (
        rng.permutation(2 * size[0] * size[1]).reshape(1, 2, *size).astype("float64")
        - 200
    )
    y = pool(leaf := torch.from_numpy(x).requires_grad_(), kernel_size, stride)
    upstream = (
        rng.integers(-9, 10, y.shape).astype("float64") * 3600
    )  # divisible by every count
    y.backward(torch.from_numpy(upstream))
    variable = tf.Variable(x.transpose(0, 2, 3, 1))
    with tf.GradientTape() as tape:
        tf_y = tf_pool(variable, kernel_size, stride, "SAME")
    expected = tape.gradient(
        tf_y, variable, output_gradients=upstream.transpose(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(
        leaf.grad.numpy(), expected.numpy().transpose(0, 3, 1, 2)
    )


@both
def test_stride_defaults_to_the_kernel(pool, tf_pool):
    """As in PyTorch."""
    x = np.random.default_rng(0).integers(-9, 10, (1, 1, 7, 8)).astype("float32") * 36
    expected = run_tensorflow(tf_pool, x, (3, 2), (3, 2))
    np.testing.assert_array_equal(pool(torch.from_numpy(x), (3, 2)).numpy(), expected)


@both
@pytest.mark.parametrize(
    "wrong", [0, -1, 2.0, 1.5, True, "3", (2, 0), (2, False), (1, 2, 3), ()]
)
def test_wrong_numbers_are_refused_by_name(pool, tf_pool, wrong):
    """The message names the argument and its value."""
    value = wrong[1] if wrong in [(2, 0), (2, False)] else wrong
    for name in ("kernel_size", "stride"):
        with pytest.raises(ValueError) as error:
            pool(torch.zeros(1, 1, 6, 6), **({"kernel_size": 3} | {name: wrong}))
        assert str(error.value).startswith(f"{name} must be ")
        assert str(error.value).endswith(f"got {value!r}")


@both
@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(6, 6),
        torch.zeros(1, 1, 1, 6, 6),
        torch.zeros(1, 1, 0, 6),
        torch.zeros(1, 6, 0),
        torch.zeros(1, 1, 6, 6, dtype=torch.int64),
        torch.zeros(1, 1, 6, 6, dtype=torch.bool),
        torch.zeros(1, 1, 6, 6, dtype=torch.complex64),
    ],
    ids=lambda x: f"{tuple(x.shape)}-{x.dtype}",
)
def test_wrong_inputs_are_refused(pool, tf_pool, x):
    """A wrong rank, an empty axis and a dtype without means."""
    with pytest.raises(ValueError, match="^x must "):
        pool(x, 3, 2)
