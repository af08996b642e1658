"""`torch_to_keras` of chapter 11 against PyTorch: every layer, rank and argument.

HYPOTHESIS_PROFILE=long draws 50 times as many layers, over 80,000 in this file.
"""

import contextlib
import itertools
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from conftest import examples, lite_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from notebooks import load

chapter = load("11")
same_padding = load("01").same_padding
torch_to_keras, as_keras = chapter.torch_to_keras, chapter.as_keras
pytestmark = pytest.mark.usefixtures("one_thread")


def with_integers(module, seed=0):
    """Return a module in eval() whose weights are random integers from -4 to 4."""
    rng = np.random.default_rng(seed)
    for part in module.modules():
        for tensor in part.parameters(recurse=False):
            low = 1 if isinstance(part, nn.PReLU) else -4
            tensor.data = torch.tensor(
                rng.integers(low, 5, tensor.shape), dtype=torch.float32
            )
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.copy_(
                torch.tensor(rng.integers(-4, 5, part.num_features))
            )
            part.running_var.copy_(
                torch.tensor(rng.choice([1, 4, 16], part.num_features))
            )
    return module.eval()


def integers(shape, seed=0):
    """Return random integers from -9 to 9 as float32."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float32")


@contextlib.contextmanager
def own_kernels(rank):
    """Let TensorFlow's kernels compute groups, which Keras has XLA compile at every call.

    They do in 1-D and 2-D; test_samples lets XLA.
    """
    tf.config.run_functions_eagerly(rank < 3)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def both(module, model, size, channels, seed=0):
    """Return the outputs of a module and of a Keras model, channels last."""
    x = integers((2, channels, *size), seed)
    wanted = module(torch.from_numpy(x)).detach().numpy()
    return np.moveaxis(wanted, 1, -1), model(tf.constant(np.moveaxis(x, 1, -1))).numpy()


def assert_equal(module, model, size, channels=1, exact=True):
    """Assert that both have equal values, bit for bit or to 1e-5."""
    wanted, y = both(module, model, size, channels)
    assert y.shape == wanted.shape, (module, size, y.shape, wanted.shape)
    if exact:
        assert np.array_equal(y, wanted), (module, size)
    else:
        limit = 1e-5 * max(1, np.nanmax(np.abs(wanted)))
        assert np.allclose(y, wanted, 1e-5, limit, equal_nan=True), (module, size)


def check(module, sizes, channels=1, exact=True, known=True):
    """Assert that the port is equal: at two sizes with open sizes, at a third that it knows.

    The third is computed on the spot; knowing the size, it may be one 'same' layer.
    """
    model = torch_to_keras(module)
    with own_kernels(len(sizes[0])):
        for size in sizes[:2]:
            assert_equal(module, model, size, channels, exact)
        if known:
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
    mode = draw(
        st.sampled_from(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"])
    )
    padding = draw(
        st.one_of(
            st.tuples(*[st.integers(0, 4)] * rank),
            st.just(tuple((r + 1) // 2 for r in reach)),
            st.sampled_from(["same", "valid"]),
        )
    )
    if padding == "same":
        stride = (1,) * rank
        pads = [(r // 2, r - r // 2) for r in reach]
    else:
        pads = [(p, p) for p in ((0,) * rank if padding == "valid" else padding)]
    often = [1, 1, 1, 2, 3] if rank < 3 else [1] * 30 + [2, 3]  # compiled by XLA
    groups = draw(st.sampled_from(often))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kind = getattr(nn, f"Conv{rank}d")
    layer = kind(
        inputs,
        outputs,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        draw(st.booleans()),
        mode,
    )
    short = {"reflect": 1, "circular": 0}.get(mode, -99)
    least = [
        max(1, r + 1 - sum(p), max(p) + short) for r, p in zip(reach, pads, strict=True)
    ]
    return with_integers(layer, draw(st.integers(0, 99))), three_sizes(draw, least)


@st.composite
def transposed(draw):
    """Draw a transposed convolution with integers for weights, and three sizes it takes."""
    rank, kernel, stride, dilation = draw(axes())
    reach = reach_of(kernel, dilation)
    padding = draw(
        st.one_of(
            st.tuples(*[st.integers(0, 3)] * rank),
            st.just(
                tuple(
                    max(0, r + 1 - s) // 2 for r, s in zip(reach, stride, strict=True)
                )
            ),
        )
    )
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1))
        for s, d in zip(stride, dilation, strict=True)
    )
    extra = draw(st.sampled_from([extra, (0,) * rank]))
    often = [1, 1, 1, 2, 3] if rank < 3 else [1] * 30 + [2, 3]  # compiled by XLA
    groups = draw(st.sampled_from(often))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kind = getattr(nn, f"ConvTranspose{rank}d")
    layer = kind(
        inputs,
        outputs,
        kernel,
        stride,
        padding,
        extra,
        groups,
        draw(st.booleans()),
        dilation,
    )
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


def of_keras(model, x, upstream):
    """Return the gradients of x and of the weights of a Keras model."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x)
    sources = [x, *(v.value for v in model.trainable_variables)]
    return tape.gradient(y, sources, upstream)


def assert_equal_gradients(*layers, together=None):
    """Assert that the gradients of x, weight and bias are equal, bit for bit.

    Each layer is (module, its port, size); `together` wraps what computes all of them. The
    gradients of the weights are compared in Keras's layout: as the weights of the port of a
    module whose weights they are.
    """
    inputs, wanted = [], []
    for module, _, size in layers:
        x = torch.tensor(integers((2, module.in_channels, *size)), requires_grad=True)
        y = module(x)
        upstream = integers(y.shape, 1)
        y.backward(torch.from_numpy(upstream))
        arrays = x.detach().numpy(), upstream
        arrays = [tf.constant(np.moveaxis(array, 1, -1)) for array in arrays]
        inputs.append(arrays)
        for parameter in module.parameters():
            parameter.data, parameter.grad = parameter.grad, None
        weights = torch_to_keras(module).trainable_variables
        wanted.append([np.moveaxis(x.grad.numpy(), 1, -1), *weights])

    def gradients(inputs):
        models = (model for _, model, _ in layers)
        pairs = zip(models, inputs, strict=True)
        return [of_keras(model, *arrays) for model, arrays in pairs]

    found = (together or (lambda function: function))(gradients)(inputs)
    for (module, *_), mine, its in zip(layers, found, wanted, strict=True):
        for one, other in zip(mine, its, strict=True):
            assert np.array_equal(one, other), module


def test_equals_same():
    """Every small axis: equal where, and only where, the windows and their number are SAME's."""
    axis = itertools.product(range(1, 9), range(1, 5), range(1, 5), range(1, 3))
    for n, k, s, d in axis:
        reach, (same, _) = (k - 1) * d, same_padding(n, k, s, d)
        starts = [i * s - same for i in range(-(-n // s))]
        for before, after in itertools.product(range(4), repeat=2):
            windows = list(range(-before, n + after - reach, s))
            equal = windows == starts and reach >= (n - 1) % s
            assert chapter.equals_same(n, k, s, d, before, after) == equal
    for k, s, d, before, after in itertools.product(
        range(1, 6), range(1, 6), range(1, 4), range(5), range(5)
    ):
        always = all(
            chapter.equals_same(n, k, s, d, before, after) for n in range(1, 60)
        )
        assert chapter.equals_same(None, k, s, d, before, after) == always


@settings(max_examples=examples(400))
@given(convolutions(), st.integers(0, 7))
def test_convolutions(drawn, chance):
    """Values, and of one in eight the gradients, where TensorFlow's CPU kernels have them."""
    module, sizes = drawn
    model = check(module, sizes, module.in_channels, known=chance < 3)
    if chance == 0 and max(module.dilation) == 1 and module.groups == 1:
        assert_equal_gradients((module, model, sizes[0]))


@settings(max_examples=examples(350))
@given(transposed(), st.integers(0, 7))
def test_transposed(drawn, chance):
    """Values and gradients as above; the port does not depend on the size."""
    module, sizes = drawn
    model = check(module, sizes, module.in_channels, known=False)
    if chance == 0 and max(module.dilation) == 1 and module.groups == 1:
        assert_equal_gradients((module, model, sizes[0]))


def test_gradients_for_groups_and_dilation():
    """They have none for these: XLA compiles all the models and their gradients, at once."""
    layers = [
        (nn.Conv1d(4, 6, 3, 2, 1, groups=2), (7,)),
        (nn.Conv1d(2, 3, 3, 1, 2, dilation=2), (8,)),
        (nn.Conv2d(4, 2, (3, 2), 1, 1, groups=2), (5, 6)),
        (nn.Conv2d(2, 4, 3, 2, 1, groups=2), (6, 5)),  # depthwise
        (nn.Conv2d(2, 3, 3, 2, 2, dilation=(2, 3), padding_mode="circular"), (8, 9)),
        (nn.Conv2d(4, 4, 2, padding="same", dilation=3, groups=2), (5, 6)),
        (nn.Conv3d(4, 2, 2, (1, 2, 1), 1, groups=2), (3, 4, 3)),
        (nn.Conv3d(2, 2, 2, dilation=2), (4, 3, 5)),
        (nn.ConvTranspose1d(4, 2, 3, 2, 1, 1, groups=2), (4,)),
        (nn.ConvTranspose2d(2, 3, 3, 2, 1, dilation=2), (3, 4)),
        (nn.ConvTranspose2d(3, 3, 3, 2, 1, 1, groups=3), (3, 4)),
        (nn.ConvTranspose3d(2, 2, 2, 2, groups=2, dilation=(1, 2, 1)), (2, 3, 2)),
    ]
    layers = [(with_integers(m), torch_to_keras(m), size) for m, size in layers]
    assert_equal_gradients(*layers, together=partial(tf.function, jit_compile=True))


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
    kind = data.draw(
        st.sampled_from(["Zero", "Constant", "Reflection", "Replication", "Circular"])
    )
    amounts = data.draw(st.tuples(*[st.integers(-1, 3)] * 2 * rank))
    if kind in ("Reflection", "Replication"):
        amounts = tuple(map(abs, amounts))
    value = [data.draw(st.sampled_from([0, 5, -np.inf]))] if kind == "Constant" else []
    sizes = three_sizes(data.draw, (4,) * rank)
    check(getattr(nn, f"{kind}Pad{rank}d")(amounts, *value), sizes, channels=2)


# One or more of every family: (module, input size, channels, exact).
SAMPLES = [
    (nn.Conv1d(2, 4, 3, 2, padding=1, padding_mode="reflect"), (9,), 2, True),
    (nn.Conv2d(2, 3, 3, 2, padding=1), (7, 9), 2, True),
    (nn.Conv2d(2, 3, (2, 3), padding="same", dilation=(3, 1)), (7, 8), 2, True),
    (nn.Conv2d(2, 3, 3, 2, padding=1, padding_mode="circular"), (8, 9), 2, True),
    (nn.Conv2d(3, 6, 3, 2, 1, groups=3), (8, 9), 3, True),
    (nn.Conv2d(4, 6, 3, 1, 2, 2, groups=2), (8, 9), 4, True),
    (nn.Conv3d(2, 3, 3, 2, 1, 2), (8, 7, 6), 2, True),
    (nn.Conv3d(2, 3, (3, 2, 3), 2, 1), (8, 7, 6), 2, True),
    (nn.ConvTranspose1d(2, 3, 3, 2, 1, 1), (6,), 2, True),
    (nn.ConvTranspose2d(2, 3, (3, 4), 2, 1, (1, 0)), (5, 6), 2, True),
    (nn.ConvTranspose2d(2, 3, 4, 2, 1), (5, 6), 2, True),
    (nn.ConvTranspose2d(4, 2, 3, 2, 1, 1, groups=2, dilation=2), (5, 6), 4, True),
    (nn.ConvTranspose3d(2, 3, 2, 3, 0, 2), (3, 4, 5), 2, True),
    (nn.MaxPool1d(3, 2, 1), (8,), 2, True),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (7, 8), 2, True),
    (nn.MaxPool2d(2, 2, 1, dilation=2), (7, 8), 2, True),
    (nn.MaxPool3d(2, ceil_mode=True), (5, 6, 7), 2, True),
    (nn.AvgPool1d(3, 2, 1), (8,), 2, False),
    (nn.AvgPool2d(3, 2, 1, True, False), (7, 8), 2, False),
    (nn.AvgPool2d(3, 2, 1, divisor_override=2), (7, 8), 2, False),
    (nn.AvgPool3d(2, 3, 1, True), (5, 6, 7), 2, False),
    (nn.LPPool1d(2, 3), (8,), 2, False),
    (nn.LPPool2d(3, 2, ceil_mode=True), (7, 5), 2, False),
    (nn.AdaptiveAvgPool1d(4), (7,), 2, False),
    (nn.AdaptiveAvgPool2d((3, None)), (8, 5), 2, False),
    (nn.AdaptiveAvgPool2d(1), (8, 5), 2, False),
    (nn.AdaptiveAvgPool3d((2, 3, 1)), (4, 7, 5), 2, False),
    (nn.AdaptiveMaxPool2d((3, 4)), (8, 5), 2, True),
    (nn.AdaptiveMaxPool3d(1), (3, 4, 5), 2, True),
    (nn.ConstantPad2d((1, 2, 0, 3), 5.0), (4, 5), 2, True),
    (nn.ReflectionPad2d((1, 2, 0, 3)), (4, 5), 2, True),
    (nn.ReplicationPad3d((1, 2, 0, 3, 4, 1)), (4, 5, 3), 2, True),
    (nn.CircularPad2d((1, 2, 0, 3)), (4, 5), 2, True),
    (nn.ZeroPad2d((1, 2, -1, 3)), (4, 5), 2, True),
    (nn.BatchNorm1d(3, eps=0.1, affine=False), (5,), 3, False),
    (nn.BatchNorm2d(3), (4, 5), 3, False),
    (nn.BatchNorm2d(3, bias=False), (4, 5), 3, False),
    (nn.BatchNorm3d(3), (4, 5, 2), 3, False),
    (nn.Flatten(), (4, 5), 3, True),
    (nn.Linear(3, 4), (), 3, True),
    (nn.Upsample(scale_factor=2), (4, 5), 3, True),
    (nn.Upsample(size=(8, 15)), (4, 5), 3, True),
    (nn.Upsample(scale_factor=(2, 3), mode="bilinear"), (4, 5), 3, False),
    (nn.UpsamplingNearest2d(scale_factor=3), (4, 5), 3, True),
    *(
        (module, (4, 5), 3, isinstance(module, nn.ReLU | nn.ReLU6 | nn.Identity))
        for module in (
            nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.PReLU(), nn.PReLU(3), nn.ELU(0.5),
            nn.SELU(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Sigmoid(),
            nn.Tanh(), nn.Softplus(), nn.Softsign(), nn.Hardtanh(-2.0, 3.0), nn.Hardswish(),
            nn.Hardsigmoid(), nn.Softmax(1), nn.Identity(), nn.Dropout(), nn.Dropout2d(),
        )
    ),
]  # fmt: skip


def network():
    """Return a network with most of the families in a row; it takes 9×12 images of 2 channels."""
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Dropout(0.5)),
        nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.Flatten(),
        nn.Linear(3 * 8 * 8, 5),
        nn.BatchNorm1d(5),
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: repr(s[0])[:60])
def test_samples(sample, tmp_path):
    """Every family: sizes given, saved and loaded as .keras with nothing registered, symbolic."""
    module, size, channels, exact = sample
    module = with_integers(module)
    model = torch_to_keras(module, size)
    assert_equal(module, model, size, channels, exact)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(module, loaded, size, channels, exact)
    assert all(type(step).__module__.startswith("keras.") for step in model.operations)
    symbolic = keras.Model(x := keras.Input((*size, channels)), model(x))
    assert_equal(module, symbolic, size, channels, exact)


@pytest.mark.parametrize("given_size", [(9, 12), (None, None), None])
def test_network(given_size, tmp_path):
    """A whole Sequential, at known and at open sizes, and after saving."""
    module = with_integers(network())
    model = torch_to_keras(module, given_size)
    assert_equal(module, model, (9, 12), 2, exact=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(module, loaded, (9, 12), 2, exact=False)
    with pytest.raises(Exception):  # noqa: B017  as in PyTorch: the Linear takes one size only
        model(integers((1, 20, 20, 2)))


def test_open_sizes_are_equal_at_every_size():
    """One model of a fully convolutional network, at odd and even sizes."""
    module = with_integers(network()[:7])
    model = torch_to_keras(module)
    for size in ((9, 12), (8, 8), (15, 7), (10, 21)):
        assert_equal(module, model, size, 2, exact=False)


def test_branches():
    """`as_keras` ports the layers of a graph: a U-Net step with a skip at odd sizes."""
    down, up = nn.Conv2d(2, 3, 3, 2, 1), nn.ConvTranspose2d(3, 2, 3, 2, 1)
    for layer in (down, up):
        with_integers(layer)
    x = keras.Input((9, 13, 2))
    model = keras.Model(x, keras.layers.Add()([x, as_keras(up, as_keras(down, x))]))
    assert_equal(lambda x: x + up(down(x)), model, (9, 13), 2)


def in_litert(module):
    """Tell whether LiteRT has the operations: no 3-D pools, no dilation in 3-D."""
    name = type(module).__name__
    dilated = getattr(module, "dilation", 1)
    return not name.endswith("3d") or not ("Pool" in name or dilated != (1, 1, 1))


def keras_steps(module, size=None):
    """Return the names of the layers that a module becomes."""
    return chapter.steps(torch_to_keras(module, size))


def litert(model, arrays):
    """Return what LiteRT makes of {name of an input: array}, by the outputs' order."""
    runner = tf.lite.Interpreter(model_content=lite_of(model)).get_signature_runner()
    outputs = runner(**arrays)
    return [outputs[f"output_{i}"] for i in range(len(outputs))]


@pytest.mark.filterwarnings("ignore")  # tf.lite announces its move to another package
def test_litert():
    """Samples of every rank in one model through LiteRT, if it has their operations."""
    samples = [s for s in [*SAMPLES[:15], *SAMPLES[15:46:2]] if in_litert(s[0])]
    assert {len(size) for _, size, *_ in samples} >= {1, 2, 3} and len(samples) > 25
    inputs, outputs, arrays, wanted = [], [], {}, []
    for i, (module, size, channels, _) in enumerate(samples):
        model = torch_to_keras(with_integers(module), size)
        inputs.append(keras.Input((*size, channels), name=f"x{i}"))
        outputs.append(model(inputs[-1]))
        x = integers((2, channels, *size))
        arrays[f"x{i}"] = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        wanted.append(np.moveaxis(module(torch.from_numpy(x)).detach().numpy(), 1, -1))
    found = litert(keras.Model(inputs, outputs), arrays)
    for (module, *_), y, correct in zip(samples, found, wanted, strict=True):
        assert y.shape == correct.shape, module
        assert np.allclose(y, correct, 1e-5, 1e-4, equal_nan=True), module


def test_one_layer_where_it_is_exact():
    """'same' where equal at the size given, or at every size; the pair elsewhere."""
    strided = nn.Conv2d(1, 1, 3, 2, 1)
    assert keras_steps(strided) == ["ZeroPadding2D", "Conv2D"]
    assert keras_steps(strided, (9, 8)) == ["ZeroPadding2D", "Conv2D"]
    assert keras_steps(strided, (9, 9)) == ["Conv2D"]
    assert keras_steps(nn.Conv3d(1, 1, 3, 1, 1)) == ["Conv3D"]
    assert keras_steps(nn.MaxPool2d(2, ceil_mode=True)) == ["MaxPooling2D"]
    assert keras_steps(nn.MaxPool2d(3, 2, ceil_mode=True), (8, 8)) == ["MaxPooling2D"]
    assert keras_steps(nn.MaxPool2d(3, 2, ceil_mode=True)) == ["Pad", "MaxPooling2D"]
    assert keras_steps(nn.AvgPool2d(3, 1, 1, count_include_pad=False)) == [
        "AveragePooling2D"
    ]
    assert keras_steps(nn.ConvTranspose2d(1, 1, 4, 2, 1)) == ["Conv2DTranspose"]


def test_weights_are_copies():
    """Training the model leaves the module alone."""
    module = with_integers(nn.Conv2d(8, 8, 3))
    before = module.weight.clone()
    model = torch_to_keras(module)
    model.compile("sgd", "mse")
    x = integers((1, 5, 5, 8))
    model.fit(x, model(x) + 1, verbose=0)
    assert torch.equal(module.weight, before)
    assert not np.array_equal(
        torch_to_keras(module).get_weights()[0], model.get_weights()[0]
    )


def test_training_of_batch_normalization():
    """Keras's momentum is what stays: in training both running means move alike."""
    module = with_integers(nn.BatchNorm2d(3, eps=0.5, momentum=0.25))
    model = torch_to_keras(module)
    layer = model.layers[-1]
    assert (layer.momentum, layer.epsilon) == (0.75, 0.5)
    x = integers((2, 3, 4, 5))
    module.train()(torch.from_numpy(x))
    model(np.moveaxis(x, 1, -1), training=True)
    mean = layer.moving_mean.numpy()
    np.testing.assert_allclose(mean, module.running_mean, 1e-5, 1e-6)


class Subclass(nn.Conv2d):
    """A convolution that may compute anything."""


def hooked():
    """Return a layer whose hook changes the result."""
    layer = nn.Conv2d(1, 1, 3)
    layer.register_forward_hook(lambda *_: None)
    return layer


REFUSED = [
    ("conv", None, ["module", "'conv'"]),
    (Subclass(1, 1, 3), None, ["module", "Subclass"]),
    (nn.Bilinear(2, 2, 2), (), ["module", "Bilinear"]),
    (nn.LazyConv2d(2, 3), None, ["LazyConv2d", "not built"]),
    (hooked(), None, ["Conv2d", "hooks"]),
    (nn.Conv2d(1, 1, 3).double(), None, ["Conv2d", "weight.dtype", "float64"]),
    (nn.Conv2d(1, 1, 3, padding=-1), None, ["Conv2d", "padding", "-1"]),
    (
        nn.Conv2d(1, 1, 3, padding=((0, 1), (0, 1))),
        None,
        ["Conv2d", "padding", "(0, 1)"],
    ),
    (nn.ConvTranspose2d(1, 1, 3, padding="same"), None, ["ConvTranspose2d", "padding"]),
    (nn.Conv2d(1, 1, 3), (8,), ["Conv2d", "input_size", "(8,)"]),
    (nn.Conv2d(1, 1, 3), (8, 0), ["input_size", "0"]),
    (nn.Conv2d(1, 1, 3), (8, True), ["input_size", "True"]),
    (nn.Conv2d(1, 1, 3), (8, 2.5), ["input_size", "2.5"]),
    (
        nn.MaxPool2d(2, return_indices=True),
        None,
        ["MaxPool2d", "return_indices", "True"],
    ),
    (nn.MaxPool2d(2, padding=2), None, ["MaxPool2d", "padding", "2"]),
    (nn.AvgPool2d(2, divisor_override=0), None, ["AvgPool2d", "divisor_override", "0"]),
    (
        nn.AdaptiveMaxPool1d(2, True),
        (8,),
        ["AdaptiveMaxPool1d", "return_indices", "True"],
    ),
    (
        nn.AdaptiveAvgPool2d(2),
        None,
        ["AdaptiveAvgPool2d", "output_size", "2", "input_size"],
    ),
    (nn.LPPool1d(-1, 2), None, ["LPPool1d", "norm_type", "-1"]),
    (nn.FractionalMaxPool2d(2, 2), None, ["module", "FractionalMaxPool2d"]),
    (nn.ReflectionPad1d(3), (3,), ["ReflectionPad1d", "reflect", "3"]),
    (nn.CircularPad1d(4), (3,), ["CircularPad1d", "circular", "4"]),
    (
        nn.BatchNorm2d(2, track_running_stats=False),
        None,
        ["track_running_stats", "False"],
    ),
    (nn.BatchNorm2d(2, momentum=None), None, ["BatchNorm2d", "momentum", "None"]),
    (nn.Flatten(2), (3, 4), ["Flatten", "start_dim", "2"]),
    (nn.Flatten(1, 2), (3, 4), ["Flatten", "end_dim", "2"]),
    (nn.Flatten(), None, ["input_size", "Flatten"]),
    (nn.ReLU(), None, ["input_size", "ReLU"]),
    (nn.Linear(3, 2), (4, 3), ["Linear", "in_features", "3"]),
    (
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(4, 1, 3)),
        None,
        ["Sequential: Conv2d", "4 channels", "3"],
    ),
    (nn.Upsample(scale_factor=1.5), (4, 4), ["Upsample", "scale_factor", "1.5"]),
    (nn.Upsample(size=(6, 6)), (4, 4), ["Upsample", "1.5"]),
    (nn.Upsample(size=(6, 6)), (None, None), ["Upsample", "size", "input_size"]),
    (
        nn.Upsample(scale_factor=2, mode="bicubic"),
        (4, 4),
        ["Upsample", "mode", "bicubic"],
    ),
    (nn.UpsamplingBilinear2d(scale_factor=2), (4, 4), ["align_corners", "True"]),
    (nn.Softmax(2), (4, 4), ["Softmax", "dim", "2"]),
    (nn.Softmax(), (4, 4), ["Softmax", "dim", "None"]),
    (nn.Softplus(2.0), (4, 4), ["Softplus", "beta", "2.0"]),
    (nn.GLU(), (4, 4), ["module", "GLU"]),
]


@pytest.mark.parametrize("module, size, words", REFUSED, ids=lambda v: repr(v)[:40])
def test_refusals(module, size, words):
    """A ValueError naming layer, argument and value."""
    with pytest.raises(ValueError) as error:
        torch_to_keras(module, size)
    for word in words:
        assert word in str(error.value)


def arguments_for(name):
    """Return arguments with which a class of torch.nn can be made."""
    if "Pad" in name:
        return (1, 2.0) if "Constant" in name else (1,)
    power = name.startswith(("LP", "Fractional")) * (2,)
    return (*power, 2) if "Pool" in name else (1, 1, 3)


@pytest.mark.parametrize(
    "name", [n for n in dir(nn) if any(kind in n for kind in ("Conv", "Pad", "Pool"))]
)
def test_every_convolution_padding_and_pool_of_pytorch(name):
    """Each class is ported and equal, or refused by its name."""
    lazy = (1, 3) if "Lazy" in name else None
    module = getattr(nn, name)(*(lazy or arguments_for(name)))
    if lazy or "Unpool" in name or "Fractional" in name:
        with pytest.raises(ValueError, match=name):
            torch_to_keras(module, (6, 6, 6)[: int(name[-2])])
        return
    size = (6, 5, 7)[: int(name[-2])]
    module, exact = with_integers(module), "Avg" not in name and "LP" not in name
    assert_equal(module, partial(as_keras, module), size, 1, exact)
    if "Adaptive" not in name:
        assert_equal(module, torch_to_keras(module), size, 1, exact)


@pytest.mark.parametrize("module", [nn.CircularPad1d(4), nn.ReflectionPad1d(4)])
def test_open_sizes_that_pytorch_refuses(module):
    """PyTorch refuses 3 cells; the port refuses them where it knows that they are 3."""
    with pytest.raises(RuntimeError, match="[Pp]adding"):
        module(torch.zeros(1, 1, 3))
    with pytest.raises(ValueError, match=type(module).__name__):
        torch_to_keras(module, (3,))
    assert_equal(module, torch_to_keras(module), (5,))


def test_refuses_channels_first():
    """Keras set to channels first would pad the channels."""
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="image_data_format.*channels_first"):
            torch_to_keras(nn.ReLU(), (4, 4))
    finally:
        keras.config.set_image_data_format("channels_last")


def assert_round_trip(module, size, channels, exact=True):
    """Assert that `keras_to_torch` of the port is the module, or refuses what is no layer."""
    model = torch_to_keras(module, size)
    if not all(isinstance(step, keras.layers.Layer) for step in model.operations):
        with pytest.raises(ValueError):
            chapter.keras_to_torch(model)
        return
    back = chapter.keras_to_torch(model).eval()
    x = torch.from_numpy(integers((2, channels, *size)))
    y, wanted = back(x), module(x)
    close = torch.equal if exact else partial(torch.allclose, rtol=1e-5, atol=1e-4)
    assert close(y, wanted), module


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: repr(s[0])[:60])
def test_round_trip(sample):
    """Every family, there and back."""
    module, size, channels, exact = sample
    assert_round_trip(with_integers(module), size, channels, exact)


@settings(max_examples=examples(60))
@given(st.one_of(convolutions(), transposed()))
def test_round_trip_of_convolutions(drawn):
    """Convolutions of every rank, there and back, bit for bit."""
    module, sizes = drawn
    with own_kernels(len(sizes[0])):
        assert_round_trip(module, sizes[0], module.in_channels)


@settings(max_examples=examples(30))
@given(st.one_of(pools(mean=False), pools(mean=True)))
def test_round_trip_of_pools(drawn):
    """Pools of every rank, there and back, where the port is layers alone."""
    module, sizes = drawn
    assert_round_trip(module, sizes[0], 2, exact="Max" in type(module).__name__)
