"""The functions of Part I against TensorFlow, on layers that no chapter lists."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from notebooks import load

book = load("01")
symmetric_equals_same = load("03").symmetric_equals_same

layers = st.tuples(
    st.integers(1, 60), st.integers(1, 9), st.integers(1, 11), st.integers(1, 4)
)  # input_size, kernel_size, stride, dilation


def tf_conv(x, padding, kernel_size, stride, dilation):
    """Return tf.nn.conv2d of a row x with one distinct power of three per tap."""
    weight = (3.0 ** np.arange(kernel_size)).reshape(1, kernel_size, 1, 1)
    x = x.astype("float64").reshape(1, 1, -1, 1)
    return (
        tf.nn.conv2d(x, weight, (1, stride), padding, dilations=(1, dilation))
        .numpy()
        .ravel()
    )


@given(layers, st.randoms(use_true_random=False))
@settings(max_examples=examples(500))
def test_same_padding_is_what_tensorflow_adds(layer, random):
    """SAME equals the input padded by (before, after), then VALID, value for value."""
    input_size, kernel_size, stride, dilation = layer
    x = np.array([random.randint(-99, 99) for _ in range(input_size)])
    padding = book.same_padding(*layer)
    padded = np.pad(x, padding)
    expected = tf_conv(x, "SAME", kernel_size, stride, dilation)
    reach = book.effective_kernel_size(kernel_size, dilation)
    assert (
        book.output_size(*layer, padding) == len(expected) == -(-input_size // stride)
    )
    if len(padded) >= reach:
        assert (
            tf_conv(padded, "VALID", kernel_size, stride, dilation) == expected
        ).all()


@given(layers, st.tuples(st.integers(0, 9), st.integers(0, 9)))
@settings(max_examples=examples(500))
def test_output_size_counts_the_windows_that_fit(layer, padding):
    """The floor rule against the starts of the windows, counted one by one."""
    input_size, kernel_size, stride, dilation = layer
    reach = book.effective_kernel_size(kernel_size, dilation)
    starts = range(-padding[0], input_size + padding[1] - reach + 1, stride)
    assert book.output_size(*layer, padding) == len(starts)


@given(layers)
@settings(max_examples=examples(500))
def test_symmetric_padding_equals_same_where_it_says_so(layer):
    """The p it returns gives SAME's windows; where it returns None, no p does."""
    before, _ = book.same_padding(*layer)
    outputs = -(-layer[0] // layer[2])
    # Windows are in the same places when the first one starts there and as many follow.
    equal = [
        p
        for p in range(40)
        if p == before and book.output_size(*layer, (p, p)) == outputs
    ]
    assert equal == [p for p in [symmetric_equals_same(*layer)] if p is not None]


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, True, "3", None])
@pytest.mark.parametrize("name", ["input_size", "kernel_size", "stride", "dilation"])
def test_bad_sizes_are_refused_by_name_and_value(name, value):
    """Anything but a positive integer is a ValueError that tells which argument, and its value."""
    arguments = {
        "input_size": 6,
        "kernel_size": 3,
        "stride": 2,
        "dilation": 1,
        name: value,
    }
    for function in (book.same_padding, book.output_size, symmetric_equals_same):
        with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
            function(**arguments)
    if name in ("kernel_size", "dilation"):
        with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
            book.effective_kernel_size(arguments["kernel_size"], arguments["dilation"])


@pytest.mark.parametrize("padding", [(1,), (1, 2, 3), (-1, 0), (0.5, 0), (True, 0)])
def test_bad_padding_is_refused(padding):
    """Padding is a pair of integers that are not negative."""
    with pytest.raises(ValueError, match="padding must be"):
        book.output_size(6, 3, padding=padding)


def test_numpy_integers_are_integers():
    """Sizes often come out of arrays."""
    assert book.same_padding(np.int64(6), np.int32(3), stride=np.int64(2)) == (0, 1)
