"""Chapter 5's PyTorch recipes against TensorFlow and Keras; real layers, exact values."""

import shutil
import types
import warnings

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from notebooks import load

torch.set_num_threads(1)  # the layers are tiny: a second thread only waits

chapter = load("05")
conv2d_same, Conv2dSame = chapter.conv2d_same, chapter.Conv2dSame
use_same_padding = chapter.use_same_padding

pairs = st.tuples
sizes = st.integers(1, 12)


@st.composite
def layers(draw):
    """Draw the geometry and the seed of one layer."""
    kernel = draw(pairs(st.integers(1, 6), st.integers(1, 6)))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    return types.SimpleNamespace(
        size=draw(pairs(sizes, sizes)),
        kernel=kernel,
        stride=draw(pairs(st.integers(1, 8), st.integers(1, 8))),
        dilation=draw(
            st.one_of(st.just((1, 1)), pairs(st.integers(1, 4), st.integers(1, 4)))
        ),
        groups=groups,
        inputs=groups * draw(st.integers(1, 2)),
        outputs=groups * draw(st.integers(1, 2)),
        batch=draw(st.integers(1, 2)),
        bias=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def data(layer, dtype):
    """Return integer (x NCHW, weight OIHW, bias) of a drawn layer, some negative."""
    rng = np.random.default_rng(layer.seed)
    x = rng.integers(-99, 100, (layer.batch, layer.inputs, *layer.size))
    weight = rng.integers(
        -9, 10, (layer.outputs, layer.inputs // layer.groups, *layer.kernel)
    )
    bias = rng.integers(-99, 100, layer.outputs) * layer.bias
    return x.astype(dtype), weight.astype(dtype), bias.astype(dtype)


def tensorflow_conv(layer, x, weight, bias):
    """Return TensorFlow's SAME convolution, NCHW, from TensorFlow tensors in PyTorch's layouts.

    TensorFlow's CPU gradients know neither groups nor dilation, so a group is a convolution of its
    own channels, and a dilated kernel is written out with zeros between its taps.
    """
    for axis, (k, d) in enumerate(
        zip(layer.kernel, layer.dilation, strict=True), start=2
    ):
        taps = tf.one_hot(tf.range(k) * d, (k - 1) * d + 1, dtype=weight.dtype)
        weight = tf.experimental.numpy.moveaxis(
            tf.tensordot(weight, taps, [[axis], [0]]), -1, axis
        )
    y = [
        tf.nn.conv2d(
            tf.transpose(a, (0, 2, 3, 1)), tf.transpose(b, (2, 3, 1, 0)), s, "SAME"
        )
        for s in [layer.stride]
        for a, b in zip(
            tf.split(x, layer.groups, 1), tf.split(weight, layer.groups), strict=True
        )
    ]
    return tf.transpose(tf.concat(y, 3) + bias, (0, 3, 1, 2))


def readable(layer, x, weight, bias):
    """Run conv2d_same."""
    return conv2d_same(x, weight, bias, layer.stride, layer.dilation, layer.groups)


def fast(layer, x, weight, bias):
    """Run a Conv2dSame that holds the given parameters."""
    options = {"dilation": layer.dilation, "groups": layer.groups, "dtype": x.dtype}
    module = Conv2dSame(
        layer.inputs, layer.outputs, layer.kernel, layer.stride, **options
    )
    module.weight, module.bias = weight, bias
    return module(x)


@settings(max_examples=examples(2000))
@given(layers())
def test_values_equal_tensorflow(layer):
    """Both recipes give TensorFlow's float32 values bit for bit on integers."""
    x, weight, bias = data(layer, "float32")
    grouped = x.transpose(0, 2, 3, 1), weight.transpose(2, 3, 1, 0)
    wanted = (
        tf.nn.conv2d(*grouped, layer.stride, "SAME", dilations=layer.dilation) + bias
    )
    wanted = wanted.numpy().transpose(0, 3, 1, 2)
    assert wanted.shape[2:] == tuple(
        -(-n // s) for n, s in zip(layer.size, layer.stride, strict=True)
    )
    parameters = (
        nn.Parameter(torch.from_numpy(weight)),
        nn.Parameter(torch.from_numpy(bias)),
    )
    for recipe in (readable, fast):
        y = recipe(layer, torch.from_numpy(x), *parameters)
        np.testing.assert_array_equal(y.detach().numpy(), wanted)


@settings(max_examples=examples(500))
@given(layers())
def test_gradients_equal_tensorflow(layer):
    """The float64 gradients of x, weight and bias are TensorFlow's, exactly."""
    arrays = data(layer, "float64")
    variables = [tf.Variable(array) for array in arrays]
    with tf.GradientTape() as tape:
        y = tensorflow_conv(layer, *variables)
        upstream = (
            np.random.default_rng(layer.seed)
            .integers(-9, 10, y.shape)
            .astype("float64")
        )
        loss = tf.reduce_sum(y * upstream)
    wanted = [gradient.numpy() for gradient in tape.gradient(loss, variables)]
    for recipe in (readable, fast):
        tensors = [nn.Parameter(torch.from_numpy(array)) for array in arrays]
        output = recipe(layer, *tensors)
        np.testing.assert_array_equal(output.detach().numpy(), y.numpy())
        (output * torch.from_numpy(upstream)).sum().backward()
        for tensor, gradient in zip(tensors, wanted, strict=True):
            np.testing.assert_array_equal(tensor.grad.numpy(), gradient)


@settings(max_examples=examples(300))
@given(
    pairs(sizes, sizes),
    pairs(st.integers(1, 6), st.integers(1, 6)),
    st.integers(1, 7),
    sizes,
)
def test_pools_equal_tensorflow(size, kernel, stride, seed):
    """Padded pools follow SAME on negative data; the means are equal to the last bit."""
    x = np.random.default_rng(seed).integers(-99, 0, (2, 3, *size)).astype("float32")
    pools = (
        nn.MaxPool2d(kernel, stride, ceil_mode=True),
        nn.AvgPool2d(kernel, stride, ceil_mode=True),
    )
    for pool, function in zip(pools, (tf.nn.max_pool2d, tf.nn.avg_pool2d), strict=True):
        wanted = function(x.transpose(0, 2, 3, 1), kernel, stride, "SAME").numpy()
        y = use_same_padding(pool)(torch.from_numpy(x))
        np.testing.assert_array_equal(y.numpy(), wanted.transpose(0, 3, 1, 2))


@settings(max_examples=examples(200))
@given(
    pairs(sizes, sizes), pairs(sizes, sizes), pairs(sizes, sizes), pairs(sizes, sizes)
)
def test_same_padding_2d_is_chapter_1(size, kernel, stride, dilation):
    """The branchless law for tensors is `same_padding` on each axis."""
    axes = zip(size, kernel, stride, dilation, strict=True)
    wanted = [chapter.same_padding(*axis) for axis in axes]
    assert (
        chapter.same_padding_2d(torch.empty(1, *size), kernel, stride, dilation)
        == wanted
    )


def test_one_image_without_a_batch_axis():
    """(C, H, W) is taken like nn.Conv2d does."""
    x = torch.randn(2, 6, 7)
    layer = Conv2dSame(2, 3, 3, stride=2)
    torch.testing.assert_close(layer(x), layer(x[None])[0])
    torch.testing.assert_close(conv2d_same(x, layer.weight, layer.bias, 2), layer(x))


IMAGE, KERNEL = torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 3, 3)


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, 2.0, True, "2", None, (1, 0), (2, 1.5), (1, 2, 3)]
)
@pytest.mark.parametrize("argument", ["stride", "dilation", "kernel_size"])
def test_sizes_that_are_no_positive_integers(argument, value):
    """ValueError names the argument and the offending value, in both recipes."""
    offender = value
    if isinstance(value, tuple) and len(value) == 2:
        offender = next(v for v in value if not isinstance(v, int) or v < 1)
    message = f"^{argument} must be .* got " + repr(offender).replace(
        "(", r"\("
    ).replace(")", r"\)")
    with pytest.raises(ValueError, match=message):
        Conv2dSame(1, 1, **({"kernel_size": 3} | {argument: value}))
    if argument != "kernel_size":
        with pytest.raises(ValueError, match=message):
            conv2d_same(IMAGE, KERNEL, **{argument: value})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Conv2dSame(1, 1, 3, padding=1), "padding .* got 1"),
        (lambda: Conv2dSame(1, 1, 3, 1, (0, 1)), r"padding .* got \(0, 1\)"),
        (lambda: Conv2dSame(1, 1, 3, padding="valid"), "padding .* got 'valid'"),
        (
            lambda: Conv2dSame(1, 1, 3, padding_mode="reflect"),
            "padding_mode .* got 'reflect'",
        ),
        (lambda: Conv2dSame(1, 1, 3, groups=0), "groups .* got 0"),
        (lambda: conv2d_same(IMAGE, KERNEL, groups=0), "groups .* got 0"),
        (lambda: conv2d_same(torch.zeros(6, 6), KERNEL), r"x .* got \(6, 6\)"),
        (
            lambda: conv2d_same(torch.zeros(1, 1, 1, 6, 6), KERNEL),
            r"x .* got \(1, 1, 1, 6, 6\)",
        ),
        (
            lambda: conv2d_same(torch.zeros(1, 1, 0, 6), KERNEL),
            r"x .* got \(1, 1, 0, 6\)",
        ),
        (lambda: conv2d_same(IMAGE, torch.zeros(3, 3)), r"weight .* got \(3, 3\)"),
        (lambda: Conv2dSame(1, 1, 3)(torch.zeros(6, 6)), r"x .* got \(6, 6\)"),
    ],
)
def test_other_bad_input(call, message):
    """Padding given twice, wrong ranks and empty axes are refused by name and value."""
    with pytest.raises(ValueError, match=message):
        call()


class Branches(nn.Module):
    """A model with a residual branch, normalisation, a module used twice and a VALID layer."""

    def __init__(self):
        """Build the layers."""
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 2, 2)
        )
        self.short = nn.Conv2d(4, 4, 1, stride=2)
        self.depthwise = nn.Conv2d(4, 4, 5, stride=3, padding=2, groups=4)
        self.twice = nn.Conv2d(4, 4, 3, padding="same")
        self.mean = nn.AvgPool2d((3, 2), stride=(2, 1), padding=1)
        self.valid = nn.Conv2d(4, 3, 2)

    def forward(self, x):
        """Return the output maps of x (N, 2, H, W)."""
        x = self.pool(self.norm(self.stem(x)))
        x = self.block(x) + self.short(x)
        return self.valid(self.mean(self.twice(self.twice(self.depthwise(x)))))


def keras_branches(model):
    """Return the Keras model with 'same' padding and the weights of a Branches."""
    conv, same = keras.layers.Conv2D, {"padding": "same"}
    inputs = keras.Input((None, None, 2), dtype="float64")
    x = conv(4, 7, strides=2, use_bias=False, name="stem", **same)(inputs)
    x = keras.layers.BatchNormalization(epsilon=model.norm.eps, name="norm")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool", **same)(x)
    a = conv(4, 3, strides=2, name="block.0", **same)(x)
    a = conv(4, 3, dilation_rate=2, name="block.1", **same)(a)
    x = keras.layers.Add(name="add")([a, conv(4, 1, strides=2, name="short")(x)])
    x = keras.layers.DepthwiseConv2D(5, strides=3, name="depthwise", **same)(x)
    twice = conv(4, 3, name="twice", **same)
    x = keras.layers.AveragePooling2D((3, 2), strides=(2, 1), name="mean", **same)(
        twice(twice(x))
    )
    result = keras.Model(inputs, conv(3, 2, name="valid")(x))
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            axes = (2, 3, 0, 1) if name == "depthwise" else (2, 3, 1, 0)
            weights = [module.weight.detach().numpy().transpose(axes)]
            bias = [] if module.bias is None else [module.bias.detach().numpy()]
            result.get_layer(name).set_weights(weights + bias)
        if isinstance(module, nn.BatchNorm2d):
            tensors = (
                module.weight,
                module.bias,
                module.running_mean,
                module.running_var,
            )
            result.get_layer(name).set_weights([t.detach().numpy() for t in tensors])
    return result


def with_random_state(model):
    """Fill the parameters and running statistics of a model with float64 numbers; return it."""
    generator = torch.Generator().manual_seed(0)
    model = model.double().eval()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(
                torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) + 0.1
            )
    return model


def test_whole_model_equals_keras():
    """A converted model gives Keras's values at even, odd and non-square sizes."""
    model = with_random_state(Branches())
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        wanted = keras_branches(model)
        fixed = use_same_padding(model)
        for size in ((64, 64), (97, 97), (75, 122)):
            x = np.random.default_rng(0).normal(size=(1, 2, *size))
            y = fixed(torch.from_numpy(x)).detach().numpy()
            expected = wanted(x.transpose(0, 2, 3, 1)).numpy().transpose(0, 3, 1, 2)
            np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-8)
    finally:
        keras.config.set_dtype_policy(previous)


def test_model_keeps_names_and_parameters_and_the_original():
    """Parameters and buffers are shared under the same names; the input is unchanged."""
    model = Branches()
    before = repr(model)
    fixed = use_same_padding(model)
    assert repr(model) == before
    assert list(fixed.state_dict()) == list(model.state_dict())
    for (name, ours), (_, theirs) in zip(
        (*fixed.named_parameters(), *fixed.named_buffers()),
        (*model.named_parameters(), *model.named_buffers()),
        strict=True,
    ):
        assert ours is theirs, name
    kinds = [
        type(m).__name__ for m in (fixed.stem, fixed.pool, fixed.mean, fixed.short)
    ]
    assert kinds == ["Conv2dSame", "MaxPool2dSame", "AvgPool2dSame", "Conv2d"]
    assert type(fixed.valid) is type(fixed.twice) is nn.Conv2d
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert repr(use_same_padding(fixed)) == repr(fixed)
    assert "changed nothing" in str(caught[0].message)


def test_state_dict_of_conv2d_loads():
    """A Conv2dSame loads the state dict of an nn.Conv2d and the reverse."""
    ours, theirs = Conv2dSame(4, 6, 3, stride=2, groups=2), nn.Conv2d(4, 6, 3, groups=2)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours.weight, theirs.weight)


@pytest.mark.parametrize(
    "model", [nn.Linear(2, 2), nn.Conv2d(1, 1, 3), nn.Sequential(), nn.ReLU()]
)
def test_nothing_to_change_says_so(model):
    """A model without padded layers comes back as it is, with a warning."""
    with pytest.warns(UserWarning, match="changed nothing"):
        assert repr(use_same_padding(model)) == repr(model)


def test_padded_layers_of_other_kinds_are_named():
    """Layers that stay although they pad are listed in a warning."""
    up, pad = nn.ConvTranspose2d(1, 1, 3, 2, 1), nn.ZeroPad2d(1)
    with pytest.warns(
        UserWarning, match=r"left alone: 1 \(ConvTranspose2d\), 2 \(ZeroPad2d\)$"
    ):
        use_same_padding(nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), up, pad))


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
            "padding_mode .* got 'reflect'",
        ),
        (
            nn.Conv2d(1, 1, 3, padding="same", padding_mode="circular"),
            "padding_mode .* 'circular'",
        ),
        (nn.MaxPool2d(3, 2, 1, return_indices=True), "return_indices .* got True"),
        (nn.MaxPool2d(3, 2, 1, dilation=2), "dilation .* got 2"),
        (nn.AvgPool2d(3, 2, 1, divisor_override=4), "divisor_override .* got 4"),
    ],
)
def test_layers_without_a_same_counterpart(layer, message):
    """ValueError names the layer, the argument and its value."""
    with pytest.raises(ValueError, match="^" + message):
        use_same_padding(layer)
    with pytest.raises(ValueError, match=r"^body\.1\." + message):
        use_same_padding(nn.ModuleDict({"body": nn.Sequential(nn.ReLU(), layer)}))


def integer_model():
    """Return a small port of integer weights: strided, depthwise and dilated, with both pools."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 4, (5, 3), stride=(2, 1), padding=(2, 1), groups=4),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 3, 3, padding=2, dilation=2),
        nn.AvgPool2d(2, stride=2, ceil_mode=True),
    ).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.copy_(torch.randint(-3, 4, parameter.shape, generator=generator))
    return use_same_padding(model)


def integers(*shape):
    """Return a float32 tensor of integers from -9 to 9."""
    return torch.randint(
        -9, 10, shape, generator=torch.Generator().manual_seed(1)
    ).float()


def in_onnx_runtime(model, size, dynamic):
    """Return a function of a tensor that runs the exported model, for `size` or for every size."""
    dims = {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (integers(1, 2, *size),),
            dynamic_shapes=(dims,) if dynamic else None,
            dynamo=True,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (name,) = (node.name for node in session.get_inputs())
    return lambda x: session.run(None, {name: x.numpy()})[0]


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx_runtime_gives_the_same_values(dynamic):
    """The exported model is equal in ONNX Runtime: at its size, or at every size if left open."""
    model, size = integer_model(), (30, 41)
    run = in_onnx_runtime(model, size, dynamic)
    others = [(31, 40), (1, 1), (2, 9), (64, 65), (57, 58)] if dynamic else []
    for height, width in [size, *others]:
        x = integers(1, 2, height, width)
        np.testing.assert_array_equal(run(x), model(x).numpy())


def test_mean_of_nine_in_onnx_runtime():
    """Where the divisor is no power of two, the exported mean may differ in its last bit."""
    model = use_same_padding(nn.AvgPool2d(3, 2, padding=1))
    run = in_onnx_runtime(model, (6, 9), dynamic=True)
    for size in ((6, 9), (7, 7), (1, 4)):
        x = integers(1, 2, *size)
        np.testing.assert_allclose(run(x), model(x).numpy(), rtol=1e-6, atol=1e-6)


@pytest.fixture
def fresh_compiler():
    """Let torch.compile forget what it has compiled, before and after."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("dynamic", [False, True])
def test_traced_by_torch_compile(fresh_compiler, dynamic):
    """A compiled model is equal at several sizes."""
    model = integer_model()
    compiled = torch.compile(model, backend="eager", dynamic=dynamic)
    for size in ((30, 41), (31, 40), (64, 65)):
        x = integers(1, 2, *size)
        assert torch.equal(compiled(x), model(x))


needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="inductor needs g++"
)


@needs_compiler
def test_compiled_by_inductor(fresh_compiler):
    """The default backend, with code generation, gives the same values at any size."""
    layer = Conv2dSame(2, 3, 3, stride=2).requires_grad_(False)
    for parameter in layer.parameters():
        parameter.copy_(integers(*parameter.shape))
    compiled = torch.compile(layer, dynamic=True)
    for size in ((6, 9), (7, 8), (10, 12), (5, 5)):
        x = integers(1, 2, *size)
        assert torch.equal(compiled(x), layer(x))


class NativeWhereCompiled(nn.Module):
    """What Conv2dSame does eagerly, at kernel 3 and stride 2, with no other way where compiled."""

    def forward(self, x):
        """Return the SAME convolution of x with ones."""
        padding = chapter.same_padding_2d(x, (3, 3), (2, 2))
        both = [before + 2 * (after - before) for before, after in padding]
        top, left = (after - before for before, after in padding)
        return F.conv2d(x, torch.ones(3, 2, 3, 3), None, 2, both)[..., top:, left:]


@needs_compiler
def test_why_conv2d_same_replaces_the_crop_where_compiled(fresh_compiler):
    """Inductor freezes a computed padding: chapter 5 says so; the day it does not, say less."""
    native, x = NativeWhereCompiled(), integers(1, 2, 6, 9)
    assert (
        torch.compile(native, dynamic=True)(x).shape != native(x).shape == (1, 3, 3, 5)
    )


def test_padding_same_of_pytorch_is_same_at_stride_1():
    """Chapter 4's claim: padding='same' equals SAME, even kernels and dilation included."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # PyTorch tells of the copy it makes for even kernels
        for n in range(1, 8):
            for k in range(1, 7):
                for d in range(1, 4):
                    x, weight = integers(1, 1, n, n), integers(1, 1, k, k)
                    y = F.conv2d(x, weight, padding="same", dilation=d)
                    assert torch.equal(y, conv2d_same(x, weight, dilation=d))
