"""Chapter 14's law of whole networks, measured on random stacks and on real architectures."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from conftest import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from notebooks import load

book = load("14")
window_offset = book.window_offset

kernels, strides, dilations = st.integers(1, 5), st.integers(1, 3), st.integers(1, 2)
paddings = st.one_of(
    st.none(),
    st.sampled_from(["valid", "same", "same_lower", "symmetric"]),
    st.integers(0, 3),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
ruled_layers = st.lists(st.tuples(kernels, strides, dilations), max_size=3)
declared_layers = st.lists(
    st.tuples(kernels, strides, dilations, paddings), min_size=1, max_size=3
)
odd_layers = st.lists(
    st.tuples(st.sampled_from((1, 3, 5)), strides, dilations), min_size=1, max_size=4
)


def extent_and_step(layers):
    """Return how many pixels an output's field is wide, and how far the next one is."""
    extent, step = 1, 1
    for kernel, stride, dilation, *_ in layers:
        extent += (kernel - 1) * dilation * step
        step *= stride
    return extent, step


def larger_size(layers, input_size):
    """Return a size with the same remainders in all layers, and room for a whole field."""
    extent, step = extent_and_step(layers)
    return input_size + step * (4 * extent // step + 8)


def field_offset(x, y, step):
    """Return the offset that the gradient of a middle output of y (1, 1, L) tells."""
    output = y.shape[-1] // 2
    y[0, 0, output].backward()
    read = torch.nonzero(x.grad[0, 0]).flatten()
    assert 0 < read[0] and read[-1] < x.shape[-1] - 1
    return float(read[0] + read[-1]) / 2 - output * step


def ones(kernel):
    """Return a weight of ones (1, 1, kernel) in float64."""
    return torch.ones(1, 1, kernel, dtype=torch.float64)


def measured_symmetric(layers, input_size):
    """Return the offset of PyTorch's own symmetric padding, from a gradient."""
    x = y = torch.zeros(1, 1, input_size, dtype=torch.float64, requires_grad=True)
    for kernel, stride, dilation in layers:
        y = F.conv1d(
            y, ones(kernel), None, stride, dilation * (kernel - 1) // 2, dilation
        )
    return field_offset(x, y, extent_and_step(layers)[1])


def measured_same(layers, input_size):
    """Return the offset of TensorFlow's SAME: which pixels change a middle output, alone lit.

    Its gradients refuse a dilation on the CPU, so every pixel is an image of its own.
    """
    y = tf.reshape(tf.eye(input_size), (input_size, 1, input_size, 1))
    for kernel, stride, dilation in layers:
        weight = tf.ones((1, kernel, 1, 1))
        y = tf.nn.conv2d(y, weight, (1, stride), "SAME", dilations=(1, dilation))
    y = y.numpy()[:, 0, :, 0]
    output = y.shape[1] // 2
    read = np.flatnonzero(y[:, output])
    assert 0 < read[0] and read[-1] < input_size - 1
    return (read[0] + read[-1]) / 2 - output * extent_and_step(layers)[1]


@given(ruled_layers, st.integers(1, 64))
@settings(max_examples=examples(40))
def test_symmetric_offset_is_what_pytorch_does(layers, input_size):
    """Random stacks, the field's middle by a gradient."""
    size = larger_size(layers, input_size)
    assert window_offset(layers, size).symmetric == measured_symmetric(layers, size)


@given(ruled_layers, st.integers(1, 64))
@settings(max_examples=examples(25))
def test_same_offset_is_what_tensorflow_does(layers, input_size):
    """Random stacks with tf.nn.conv2d's own SAME."""
    size = larger_size(layers, input_size)
    assume(size < 300)
    assert window_offset(layers, size).same == measured_same(layers, size)


def offset_or_none(layers, input_size):
    """Return window_offset, None where an even kernel does not fit a tiny input."""
    try:
        return window_offset(layers, input_size)
    except ValueError as error:
        assert "does not fit" in str(error) and any(k % 2 == 0 for k, *_ in layers)
        return None


@given(ruled_layers, st.integers(1, 64))
@settings(max_examples=examples(100))
def test_only_the_remainder_of_the_size_counts(layers, input_size):
    """SAME's and the middle's offset at n are those at a larger n of equal remainders."""
    small = offset_or_none(layers, input_size)
    assume(small is not None)
    large = window_offset(layers, larger_size(layers, input_size))
    assert (small.same, small.ideal) == (large.same, large.ideal)


@given(declared_layers, st.integers(1, 64))
@settings(max_examples=examples(60))
def test_declared_padding_is_kept(layers, input_size):
    """Every way to declare padding against F.pad and a plain convolution, under both rules."""
    size = larger_size(layers, input_size)
    try:
        offset = window_offset(layers, size)
    except ValueError as error:
        assert "does not fit" in str(error)
        return
    for rule in ("same", "symmetric"):
        x = y = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
        for kernel, stride, dilation, padding in layers:
            n, p = y.shape[-1], dilation * (kernel - 1) // 2
            total = max(
                0, (-(-n // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n
            )
            less, more = total // 2, total - total // 2
            word = {
                "valid": (0, 0),
                "same": (less, more),
                "same_lower": (more, less),
                "symmetric": (p, p),
            }
            padding = rule if padding is None else padding
            padding = word[padding] if isinstance(padding, str) else padding
            padding = (padding, padding) if isinstance(padding, int) else padding
            y = F.conv1d(F.pad(y, padding), ones(kernel), None, stride, 0, dilation)
        assert field_offset(x, y, extent_and_step(layers)[1]) == getattr(offset, rule)


@given(ruled_layers, st.integers(1, 64))
@settings(max_examples=examples(100))
def test_ideal_centres_lie_mirrored_on_the_input(layers, input_size):
    """The first centre is as far from the first pixel as the last one from the last."""
    n = input_size
    for _, stride, _ in layers:
        n = -(-n // stride)
    offset = offset_or_none(layers, input_size)
    assume(offset is not None)
    first = offset.ideal
    last = first + (n - 1) * extent_and_step(layers)[1]
    assert first == input_size - 1 - last


@given(odd_layers, st.integers(1, 64))
@settings(max_examples=examples(100))
def test_rules_agree_just_where_every_remainder_is_0(layers, input_size):
    """Law 5, with the sizes taken layer by layer; and no term is negative."""
    n, agree = input_size, True
    for kernel, stride, _ in layers:
        agree &= kernel == 1 or (n - 1) % stride == 0
        n = -(-n // stride)
    offset = window_offset(layers, input_size)
    assert (offset.same == offset.symmetric) == agree
    assert offset.same >= offset.symmetric


@given(odd_layers, st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(30))
def test_rules_agree_in_values(layers, input_size, seed):
    """Law 5 on integers: equal outputs just where the offsets are equal."""
    draw = np.random.RandomState(seed)
    same = symmetric = torch.from_numpy(draw.randint(-9, 10, (4, 3, input_size)) * 1.0)
    for kernel, stride, dilation in layers:
        weight = torch.from_numpy(draw.randint(1, 4, (3, 3, kernel)) * 1.0)
        n, reach = same.shape[-1], (kernel - 1) * dilation
        total = max(0, (-(-n // stride) - 1) * stride + reach + 1 - n)
        padded = F.pad(same, (total // 2, total - total // 2))
        same = F.conv1d(padded, weight, None, stride, 0, dilation)
        symmetric = F.conv1d(symmetric, weight, None, stride, reach // 2, dilation)
    assert same.shape == symmetric.shape
    offset = window_offset(layers, input_size)
    if offset.same == offset.symmetric:
        assert torch.equal(same, symmetric)
    elif input_size > 2 * extent_and_step(layers)[0]:  # some window is whole
        assert not torch.equal(same, symmetric)


@pytest.mark.parametrize("depth", range(7))
def test_stride_2_leaves_the_lowest_bits(depth):
    """(n - 1) mod 2^d, at every size up to 600, and half of it in the middle."""
    for kernel, n in itertools.product((3, 5, 7), range(1, 601)):
        bits = (n - 1) % 2**depth
        assert window_offset([(kernel, 2)] * depth, n) == (bits, 0, bits / 2)


def test_the_title():
    """31, 0 and 15.5 at 224; nothing at 225."""
    assert window_offset([(3, 2)] * 5, 224) == (31, 0, 15.5)
    assert window_offset([(3, 2)] * 5, 225) == (0, 0, 0)
    assert window_offset([], 224) == (0, 0, 0)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_paths_per_pixel_are_the_gradient_of_the_sum(kernel, stride):
    """The counts of the window plans against autograd, both rules."""
    for n in range(8 if kernel == 2 else 1, 16):
        x = y = torch.zeros(1, 1, n, dtype=torch.float64, requires_grad=True)
        for _ in range(2):
            y = F.conv1d(y, ones(kernel), None, stride, (kernel - 1) // 2)
        y.sum().backward()
        layers = [(kernel, stride, 1)] * 2
        paths = book.paths_per_pixel(layers, n, "symmetric")
        assert paths.tolist() == x.grad[0, 0].tolist()

        with tf.GradientTape() as tape:
            image = y = tf.Variable(tf.zeros((1, 1, n, 1)))
            for _ in range(2):
                y = tf.nn.conv2d(y, tf.ones((1, kernel, 1, 1)), (1, stride), "SAME")
            y = tf.reduce_sum(y)
        paths = book.paths_per_pixel(layers, n, "same")
        assert paths.tolist() == tape.gradient(y, image).numpy().ravel().tolist()


def keras_offset(model, step, axis, size):
    """Return the offset of a Keras network along an axis, from the gradient of one output.

    All weights are made averages, so that no activation is at 0 or at its top; the other
    axis is short. The output is a middle one whose field lies within the image.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        names = [weight.path.split("/")[-1] for weight in layer.weights]
        values = []
        for name, weight in zip(names, layer.weights, strict=True):
            shape = tuple(weight.shape)
            if "kernel" in name:
                depthwise = "Depthwise" in type(layer).__name__
                fan = np.prod(shape[:2] if depthwise else shape[:-1])
                values.append(np.full(shape, 1 / fan))
            else:
                values.append(
                    np.full(shape, float(name in ("gamma", "moving_variance")))
                )
        layer.set_weights(values)
    shape = [32, 32]
    shape[axis] = size
    image = tf.Variable(tf.fill((1, *shape, 3), 0.01))
    with tf.GradientTape() as tape:
        y = model(image, training=False)
        output = [0, 0]
        output[axis] = y.shape[1 + axis] // 2
        y = tf.reduce_sum(y[0, output[0], output[1]])
    gradient = tf.reduce_sum(tf.abs(tape.gradient(y, image)), 3).numpy()[0]
    read = np.flatnonzero(gradient.any(axis=1 - axis))
    assert 0 < read[0] and read[-1] < size - 1, "cut by the border"
    return (read[0] + read[-1]) / 2 - output[axis] * step


# The main path of keras.applications.MobileNetV2: every layer with a kernel above 1.
MOBILENET_V2 = [(3, s) for s in (2, 1, 2, 1, 2, 1, 1, 2, *(1,) * 6, 2, 1, 1)]


def mobilenet_v2(axis, size):
    """Return Keras's MobileNetV2 without weights, `size` along the axis and 32 across."""
    import keras

    shape = [32, 32, 3]
    shape[axis] = size
    how = {"weights": None, "include_top": False, "alpha": 0.35}
    return keras.applications.MobileNetV2(input_shape=shape, **how)


@pytest.mark.parametrize(("axis", "remainder"), [(0, 31), (1, 13), (0, 0)])
def test_mobilenet_v2_of_keras_looks_where_the_law_says(axis, remainder):
    """Keras pads it by `correct_pad`, which is SAME; its residual branches agree."""
    size = 32 * 24 + 1 + remainder
    expected = window_offset(MOBILENET_V2, size)
    assert expected == (remainder, 0, remainder / 2)
    assert keras_offset(mobilenet_v2(axis, size), 32, axis, size) == expected.same


def test_mobilenet_v2_with_its_padding_layers_made_even():
    """The change that the chapter's table is about; Keras's first layer still says "same"."""
    import keras

    def pad_evenly(layer):
        if isinstance(layer, keras.layers.ZeroPadding2D):
            return keras.layers.ZeroPadding2D(1, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    size = 32 * 25
    model = mobilenet_v2(0, size)
    model = keras.models.clone_model(model, clone_function=pad_evenly)
    expected = window_offset([(3, 2, 1, "same"), *MOBILENET_V2[1:]], size).symmetric
    assert keras_offset(model, 32, 0, size) == expected == 1


class Block(torch.nn.Module):
    """A ResNet's block: two convolutions with kernel 3, beside a strided shortcut of 1×1."""

    def __init__(self, stride, same):
        """Make a block of one channel."""
        super().__init__()
        self.stride, self.same = stride, same

    def forward(self, x):
        """Return the sum of both branches, and the strided 3×3 and the 1×1 alone."""
        n = x.shape[-1]
        total = max(0, 2 - (n - 1) % self.stride)
        pads = (total // 2, total - total // 2) if self.same else (1, 1)
        wide = F.conv1d(F.pad(x, pads), ones(3), None, self.stride)
        narrow = F.conv1d(x, ones(1), None, self.stride)
        return F.conv1d(wide, ones(3), None, 1, 1), narrow


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("size", [896, 897, 900, 927])
def test_branches_of_a_resnet_part_under_same_alone(same, size):
    """Each branch follows the law of its own path; the exercise's answer."""
    x = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
    stem = [(3, 2), (3, 2)]
    y = x
    for _ in stem:
        y = Block(2, same)(y)[0]
    rule = "same" if same else "symmetric"
    stem = [(3, 2), (3, 1), (3, 2), (3, 1)]
    for branch, path in zip(
        Block(2, same)(y), ([(3, 2), (3, 1)], [(1, 2)]), strict=True
    ):
        x.grad = None
        branch = branch.clone()
        output = branch.shape[-1] // 2
        branch[0, 0, output].backward(retain_graph=True)
        read = torch.nonzero(x.grad[0, 0]).flatten()
        measured = float(read[0] + read[-1]) / 2 - 8 * output
        assert measured == getattr(window_offset([*stem, *path], size), rule)


@pytest.mark.parametrize(
    ("layers", "size", "words"),
    [
        ([(3, 2)], 0, ("input_size", "0")),
        ([(3, 2)], 2.5, ("input_size", "2.5")),
        ([(0, 2)], 9, ("kernel_size", "0")),
        ([(3, True)], 9, ("stride", "True")),
        ([(3, 2, -1)], 9, ("dilation", "-1")),
        ([(3, 2, 1, "full")], 9, ("padding", "'full'")),
        ([(3, 2, 1, "SAME")], 9, ("padding", "'SAME'")),
        ([(3, 2, 1, -1)], 9, ("padding", "(-1, -1)")),
        ([(3, 2, 1, True)], 9, ("padding", "(True, True)")),
        ([(3, 2, 1, (1, 1, 1))], 9, ("padding", "(1, 1, 1)")),
        ([(3, 2, 1, 1.5)], 9, ("padding", "(1.5, 1.5)")),
        ([()], 9, ("layer 1", "()")),
        ([(3, 2), (3, 2, 1, 0, 0)], 9, ("layer 2", "(3, 2, 1, 0, 0)")),
        ([(3, 2), (9, 1, 1, "valid")], 9, ("layer 2", "5 cells")),
    ],
)
def test_bad_input_is_refused_by_name(layers, size, words):
    """A ValueError that names the argument, or the layer, and its value."""
    with pytest.raises(ValueError) as error:
        window_offset(layers, size)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_declared_padding_may_be_written_short():
    """(k,), (k, s) and (k, s, d) mean stride 1, dilation 1 and the rule's padding."""
    full = [(3, 1, 1, None), (3, 2, 1, None), (3, 2, 2, None)]
    assert window_offset([(3,), (3, 2), (3, 2, 2)], 60) == window_offset(full, 60)
