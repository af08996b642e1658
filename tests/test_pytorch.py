"""Chapter 5's PyTorch recipes against TensorFlow and Keras; real layers, exact values."""

import copy
import functools
import io
import pickle
import re
import types
import warnings
from functools import partial

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
from torch.nn.utils import prune

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


def fast_as(native, *arguments):
    """Run `fast` with the answer of the cost model given: a crop, or x padded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapter, "native_is_cheaper", lambda *_: native)
        patch.setattr(chapter, "remembered_plan", chapter.plan_of_same)
        return fast(*arguments)


cropped, padded = partial(fast_as, True), partial(fast_as, False)


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
    for recipe in (readable, fast, cropped, padded):
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
    for recipe in (readable, fast, cropped, padded):
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
    """Pools that are told to follow SAME do, on negative data; means to the last bit."""
    x = np.random.default_rng(seed).integers(-99, 0, (2, 3, *size)).astype("float32")
    pools = (
        nn.MaxPool2d(kernel, stride, ceil_mode=True),
        nn.AvgPool2d(kernel, stride, ceil_mode=True),
    )
    for pool, function in zip(pools, (tf.nn.max_pool2d, tf.nn.avg_pool2d), strict=True):
        wanted = function(x.transpose(0, 2, 3, 1), kernel, stride, "SAME").numpy()
        y = use_same_padding(pool, also="")(torch.from_numpy(x))
        np.testing.assert_array_equal(y.numpy(), wanted.transpose(0, 3, 1, 2))


@settings(max_examples=examples(200))
@given(
    pairs(sizes, sizes), pairs(sizes, sizes), pairs(sizes, sizes), pairs(sizes, sizes)
)
def test_same_padding_of_is_chapter_1(size, kernel, stride, dilation):
    """The branchless law for tensors is `same_padding` on each axis."""
    axes = zip(size, kernel, stride, dilation, strict=True)
    wanted = [chapter.same_padding(*axis) for axis in axes]
    assert chapter.same_padding_of((1, *size), kernel, stride, dilation) == wanted


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
        self.mean = nn.AvgPool2d((3, 2), 2, padding=(1, 0), ceil_mode=True)
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
    x = keras.layers.AveragePooling2D((3, 2), strides=2, name="mean", **same)(
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


def test_the_model_is_changed_in_place_and_keeps_names_and_tensors():
    """The same model comes back: same parameters, buffers, names, hooks and mode."""
    model = Branches().eval()
    names, tensors = list(model.state_dict()), [*model.parameters(), *model.buffers()]
    seen = []
    model.stem.register_forward_hook(lambda *_: seen.append(1))
    assert use_same_padding(model) is model
    assert list(model.state_dict()) == names
    now = [*model.parameters(), *model.buffers()]
    assert all(a is b for a, b in zip(now, tensors, strict=True))
    kinds = {name: type(m).__name__ for name, m in model.named_children()}
    changed = {"stem": "Conv2dSame", "pool": "MaxPool2dSame", "mean": "AvgPool2dSame"}
    assert kinds == kinds | changed | {"depthwise": "Conv2dSame"}
    assert type(model.short) is type(model.valid) is type(model.twice) is nn.Conv2d
    assert [type(m) for m in model.block] == [Conv2dSame, nn.Conv2d]
    assert not model.training and not model.stem.training
    model(torch.randn(1, 2, 80, 80))
    assert seen == [1]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = repr(model)
        assert repr(use_same_padding(model)) == before
    assert "changed nothing: what pads is SAME at every size" in str(caught[0].message)


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
    with pytest.warns(UserWarning, match="changed nothing: no padded layers"):
        assert repr(use_same_padding(model)) == repr(model)


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
        (nn.MaxPool2d(2, 2, 1, dilation=2), "dilation .* got 2"),
        (nn.AvgPool2d(3, 2, 1, divisor_override=4), "divisor_override .* got 4"),
    ],
)
def test_layers_without_a_same_counterpart(layer, message):
    """ValueError names the layer, the argument and its value."""
    with pytest.raises(ValueError, match="^" + message):
        use_same_padding(layer)
    with pytest.raises(ValueError, match=r"^body\.1\." + message):
        use_same_padding(nn.ModuleDict({"body": nn.Sequential(nn.ReLU(), layer)}))
    first = nn.Conv2d(1, 1, 3, 2, 1)
    with pytest.raises(ValueError, match=message):
        use_same_padding(nn.Sequential(first, layer))
    assert type(first) is nn.Conv2d, "refused, but changed in part"


def integer_model(axes=2):
    """Return a small port of integer weights: strided, depthwise and dilated, with both pools."""
    conv, maximum, mean = (
        getattr(nn, f"{kind}{axes}d") for kind in ("Conv", "MaxPool", "AvgPool")
    )
    model = nn.Sequential(
        conv(2, 4, 3, stride=2, padding=1),
        conv(4, 4, (5, 3, 4)[:axes], (2, 1, 2)[:axes], (2, 1, 1)[:axes], groups=4),
        maximum(3, stride=2, padding=1),
        conv(4, 3, 3, padding=2, dilation=2),
        mean(2, stride=2, ceil_mode=True),
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
    dims = {axis: torch.export.Dim(f"size_{axis}") for axis in range(2, 2 + len(size))}
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


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dynamic", [False, True, None])
def test_traced_by_torch_compile(fresh_compiler, dynamic, training):
    """A compiled model is one graph, without a break, and equal at several sizes."""
    model = integer_model().train(training)
    compiled = torch.compile(model, backend="eager", dynamic=dynamic, fullgraph=True)
    for size in ((30, 41), (31, 40), (64, 65)):
        x = integers(1, 2, *size)
        assert torch.equal(compiled(x), model(x))


SEVERAL = ((6, 9), (7, 8), (10, 12), (5, 5), (8, 8), (9, 12), (4, 7), (11, 14))


def test_compiled_by_inductor(inductor, fresh_compiler):
    """The default backend, with code generation, gives the same values at any size."""
    layer = Conv2dSame(2, 3, 3, stride=2).requires_grad_(False)
    for parameter in layer.parameters():
        parameter.copy_(integers(*parameter.shape))
    compiled = torch.compile(layer, dynamic=True)
    for size in SEVERAL:
        x = integers(1, 2, *size)
        assert torch.equal(compiled(x), layer(x))


def calls_in(layer, size, **how):
    """Return the names of what torch.compile finds called in a layer."""
    found = []

    def look(graph, _):
        calls = (n.target for n in graph.graph.nodes if n.op.startswith("call"))
        found.extend(getattr(target, "__name__", target) for target in calls)
        return graph.forward

    torch._dynamo.reset()
    torch.compile(layer, backend=look, **how)(integers(1, layer.in_channels, *size))
    return [name for name in found if name in ("pad", "conv2d", "clone")]


@pytest.mark.parametrize("dynamic", [False, None])
def test_compiled_with_sizes_that_are_numbers(inductor, fresh_compiler, dynamic):
    """A crop is compiled for one size and serves no other, so nothing is frozen wrongly."""
    layer = Conv2dSame(2, 3, 3, stride=2).eval().requires_grad_(False)
    for parameter in layer.parameters():
        parameter.copy_(integers(*parameter.shape))
    assert calls_in(layer, SEVERAL[0], dynamic=dynamic) == ["conv2d", "clone"]
    torch._dynamo.reset()
    compiled = torch.compile(layer, dynamic=dynamic)
    for size in SEVERAL[:4]:
        x = integers(1, 2, *size)
        assert torch.equal(compiled(x), layer(x))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
def test_what_is_symmetric_is_not_padded(fresh_compiler, training, dynamic):
    """At stride 1 whatever the size, also left open; at a larger one where it is known."""
    how = {"dynamic": dynamic}
    for kernel, stride, dilation in ((3, 1, 1), (3, 1, 2), (1, 1, 1), (1, 2, 1)):
        layer = Conv2dSame(2, 3, kernel, stride, dilation=dilation).train(training)
        known = stride == 1 or not dynamic
        wanted = ["conv2d"] if known else ["pad", "conv2d"]
        assert calls_in(layer, (8, 9), **how) == wanted
    layer = Conv2dSame(2, 3, 3, 2).train(training)
    wanted = ["pad", "conv2d"] if dynamic else ["conv2d"]
    assert calls_in(layer, (7, 9), **how) == wanted
    with torch.set_grad_enabled(training):
        even = calls_in(Conv2dSame(8, 3, 2).train(training), (30, 40), **how)
    crops = not (dynamic or training)
    assert even == (["conv2d", "clone"] if crops else ["pad", "conv2d"])


def test_the_cheaper_form():
    """Few inputs: x is padded. Many: a crop, but not to seven outputs of 512 filters."""
    for inputs, filters, size, groups, crop in (
        (3, 64, 224, 1, False),
        (64, 64, 128, 1, True),
        (96, 96, 112, 96, True),
        (512, 512, 14, 1, False),
    ):
        shape, weight = (1, inputs, size, size), (filters, inputs // groups, 3, 3)
        cheaper = partial(chapter.native_is_cheaper, shape, weight, (2, 2))
        assert cheaper((1, 1)) is crop
        assert not cheaper((1, 1), training=True) and cheaper((0, 0), training=True)


class NativeWhereCompiled(nn.Module):
    """What Conv2dSame does eagerly, at kernel 3 and stride 2, with no other way where compiled."""

    def forward(self, x):
        """Return the SAME convolution of x with ones."""
        padding = chapter.same_padding_of(x.shape, (3, 3), (2, 2), (1, 1))
        both = [before + 2 * (after - before) for before, after in padding]
        top, left = (after - before for before, after in padding)
        return F.conv2d(x, torch.ones(3, 2, 3, 3), None, 2, both)[..., top:, left:]


def test_why_conv2d_same_replaces_the_crop_where_compiled(inductor, fresh_compiler):
    """Inductor freezes a computed padding: chapter 5 says so; the day it does not, say less.

    One graph serves all sizes with one padding, so some are wrong; which, depends on the machine.
    Its cache does that, which is on by default: without it, the sizes are compiled one by one.
    """
    native = NativeWhereCompiled()
    compiled = torch.compile(native, dynamic=True)
    right = []
    for size in SEVERAL:
        x = integers(1, 2, *size)
        wanted = native(x)
        try:
            y = compiled(x)
        except RuntimeError:  # a shape that the generated code did not expect
            y = torch.empty(0)
        right.append(y.shape == wanted.shape and torch.equal(y, wanted))
    assert not all(right)


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


# Whole models, point by point: what a port of a public network met.


def strided_layers(count, same):
    """Return `count` strided 3x3 layers, SAME or with PyTorch's padding=1."""
    layer = (
        partial(Conv2dSame, 2, 2, 3, 2) if same else partial(nn.Conv2d, 2, 2, 3, 2, 1)
    )
    return nn.Sequential(*(layer() for _ in range(count)))


def exported(model, size=(97, 131), channels=2):
    """Return the exported program of a model with open sizes."""
    open_sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    x = torch.zeros(1, channels, *size)
    return torch.export.export(model, (x,), dynamic_shapes=(open_sizes,))


def length_of_size(program):
    """Return how many characters the expression of the output's height has."""
    (output,) = [node for node in program.graph.nodes if node.op == "output"]
    return len(str(output.args[0][0].meta["val"].shape[2]))


def test_the_size_expression_grows_by_a_layer_not_twofold():
    """Issue 9.1: with the law in `%` an export of n strided layers cost 2 ** n."""
    programs = [exported(strided_layers(n, same=True)) for n in (1, 2, 3, 4, 5)]
    lengths = [length_of_size(program) for program in programs]
    nodes = [len(program.graph.nodes) for program in programs]
    assert max(np.diff(lengths)) == min(np.diff(lengths)) < 20
    assert max(np.diff(nodes)) == min(np.diff(nodes)) < 30


@settings(max_examples=examples(300))
@given(sizes, st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
def test_the_open_law_is_the_compact_law(n, k, s, d):
    """`same_total`, which needs no remainder, is chapter 1's law; for tensors too."""
    total = sum(chapter.same_padding(n, k, s, d))
    assert chapter.same_total(n, k, s, d) == total
    assert int(chapter.same_total(torch.tensor(n), k, s, d)) == total


def test_ceil_mode_without_padding_is_taken_for_what_it_is():
    """Issue 9.2: VALID at stride 1; SAME at every size for 2x2 at stride 2; else looked at."""
    with pytest.warns(UserWarning, match="SAME at no size"):
        pool = use_same_padding(nn.MaxPool2d(2, 1, ceil_mode=True))
    assert pool(torch.zeros(1, 1, 6, 6)).shape == (1, 1, 5, 5)
    with pytest.warns(UserWarning, match="SAME at every size"):
        assert (
            type(use_same_padding(nn.MaxPool2d(2, 2, ceil_mode=True))) is nn.MaxPool2d
        )
    with pytest.warns(UserWarning, match="SAME at no size"):
        assert (
            type(use_same_padding(nn.MaxPool2d(5, 2, ceil_mode=True))) is nn.MaxPool2d
        )
    pool = use_same_padding(nn.MaxPool2d(3, 2, ceil_mode=True))
    for n in (6, 7):
        x = -1 - integers(1, 1, n, n).abs()
        wanted = tf.nn.max_pool2d(x.numpy().transpose(0, 2, 3, 1), 3, 2, "SAME")
        assert np.array_equal(pool(x).numpy(), wanted.numpy().transpose(0, 3, 1, 2))


@settings(max_examples=examples(300))
@given(
    st.integers(1, 7),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 9),
    st.booleans(),
    st.integers(1, 3),
)
def test_the_verdict_is_what_running_the_layer_says(k, s, d, p, ceil, axes):
    """SAME at every size, some or none: by comparing values, for convolutions and max pools.

    Along the last of one to three axes; the others have kernel 1.
    """
    pool = ceil or d == 1 and p <= k // 2 and p > 0
    if pool and (p > k // 2 or d > 1 or not (p or ceil)):
        return
    one = (1,) * (axes - 1)
    kernel, stride, dilation, padding = (
        (*one, k),
        (*one, s),
        (*one, d),
        (0,) * (axes - 1),
    )
    if pool:
        make = getattr(nn, f"MaxPool{axes}d")
        layer = make(kernel, stride, (*padding, p), ceil_mode=ceil)
        same = partial(chapter.pool_same, kernel_size=kernel, stride=stride)
    else:
        weight = (integers(k) ** 2 + 1).reshape(1, 1, *kernel)
        make = getattr(nn, f"Conv{axes}d")
        layer = make(1, 1, kernel, stride, (*padding, p), dilation, bias=False)
        layer.load_state_dict({"weight": weight})
        same = partial(
            chapter.conv_same, weight=weight, stride=stride, dilation=dilation
        )
    outcomes = set()
    reach = (k - 1) * d
    for n in range(2 * reach + 1, 2 * reach + 1 + 2 * s):  # no window sees all cells
        x = torch.arange(1.0, n + 1).reshape(1, 1, *one, n) ** 3
        for image in (x, -x, x.flip(-1)):
            y, wanted = layer(image), same(image)
            outcomes.add((n, y.shape == wanted.shape and bool((y == wanted).all())))
    sizes_ = {n for n, _ in outcomes}
    wrong = {n for n, equal in outcomes if not equal}
    verdict = "every" if not wrong else "no" if wrong == sizes_ else "some"
    if p == 0 and not ceil:
        assert chapter.padding_verdict(layer) == "none"
    else:
        assert chapter.padding_verdict(layer) == verdict


def test_a_mean_that_counts_zeros_is_same_at_no_border():
    """AvgPool2d(3, 1, 1) divides by 9 everywhere; SAME and count_include_pad=False do not."""
    pool, x = use_same_padding(nn.AvgPool2d(3, 1, 1)), integers(1, 1, 5, 6)
    wanted = tf.nn.avg_pool2d(x.numpy().transpose(0, 2, 3, 1), 3, 1, "SAME").numpy()
    wanted = torch.from_numpy(wanted.transpose(0, 3, 1, 2).copy())
    torch.testing.assert_close(pool(x), wanted)
    with pytest.warns(UserWarning, match="SAME at every size"):
        pool = use_same_padding(nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    assert type(pool) is nn.AvgPool2d
    torch.testing.assert_close(pool(x), wanted)


def test_a_pool_larger_than_its_input_pads_no_more_than_that():
    """Issue 9.3: the global pool AvgPool2d(2560, ceil_mode=True) allocated 67 GB."""
    pool = use_same_padding(nn.AvgPool2d(2560, ceil_mode=True))
    x = integers(1, 3, 19, 19)
    largest = []

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest.append(result.numel())
            return result

    with Sizes():
        y = pool(x)
    assert max(largest) <= 9 * x.numel()
    torch.testing.assert_close(y, x.mean((2, 3), keepdim=True))


OTHER_SIZES = ((31, 40), (33, 33), (8, 9), (11, 14))


def test_traced_with_open_sizes():
    """Issue 9.4: torch.jit.trace gives tensors as sizes; one trace serves every size."""
    model, size = integer_model(), (30, 41)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("error", torch.jit.TracerWarning)  # nothing is frozen
        traced = torch.jit.trace(model, integers(1, 2, *size))
    for other in (size, *OTHER_SIZES):
        x = integers(1, 2, *other)
        assert torch.equal(traced(x), model(x))


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_conv2d_same_traced(stride):
    """Issue 9.4: the function alone, the stride larger than the kernel included."""
    weight = integers(3, 2, 3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("error", torch.jit.TracerWarning)
        function = partial(conv2d_same, weight=weight, stride=stride)
        traced = torch.jit.trace(lambda x: function(x), integers(1, 2, 30, 41))
    for other in OTHER_SIZES:
        x = integers(1, 2, *other)
        assert torch.equal(traced(x), function(x))


def test_legacy_onnx_export_with_open_sizes():
    """Issue 9.4: dynamo=False, which chapter 7 uses, gives a file for every size."""
    model, file = integer_model(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (integers(1, 2, 30, 41),),
            file,
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {2: "height", 3: "width"}},
        )
    session = onnxruntime.InferenceSession(file.getvalue())
    for other in ((30, 41), *OTHER_SIZES):
        x = integers(1, 2, *other)
        assert np.array_equal(session.run(None, {"x": x.numpy()})[0], model(x).numpy())


def test_fx_symbolic_trace():
    """Issue 9.4: each layer becomes one node, right at every size."""
    model = integer_model()
    graph = torch.fx.symbolic_trace(model)
    called = {n.target for n in graph.graph.nodes if n.op == "call_function"}
    pools = {chapter.max_pool2d_same, chapter.avg_pool2d_same}
    assert conv2d_same in called and called <= pools | {conv2d_same}
    for other in OTHER_SIZES:
        x = integers(1, 2, *other)
        assert torch.equal(graph(x), model(x))


def fused_parts():
    """Return a convolution, its normalisation with running statistics, and a ReLU."""
    parts = nn.Sequential(nn.Conv2d(2, 3, 3, 2, 1), nn.BatchNorm2d(3), nn.ReLU())
    parts[1].running_mean.copy_(torch.tensor([1.0, -2.0, 3.0]))
    parts[1].running_var.copy_(torch.tensor([4.0, 0.25, 1.0]))
    return parts.eval().requires_grad_(False)


def test_fuse_first_then_use_same_padding():
    """Issue 9.4: fuse_modules knows no Conv2dSame; before the change it works."""
    parts, x = fused_parts(), integers(1, 2, 8, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        fuse = torch.ao.quantization.fuse_modules
        fused = use_same_padding(fuse(copy.deepcopy(parts), [["0", "1", "2"]]))
        wanted = use_same_padding(parts)(x)
        torch.testing.assert_close(fused(x), wanted)
        with pytest.raises((AssertionError, NotImplementedError)):
            fuse(parts, [["0", "1", "2"]])
    one = torch.nn.utils.fusion.fuse_conv_bn_eval(parts[0], parts[1])
    assert type(one) is Conv2dSame
    torch.testing.assert_close(one(x).relu(), wanted)


@pytest.mark.parametrize("pool", [chapter.max_pool2d_same, chapter.avg_pool2d_same])
def test_a_pool_exported_with_open_sizes_serves_both_parities(pool):
    """Issue 9.5: traced at 8 x 9, run at 11 x 14."""

    class Pool(nn.Module):
        def forward(self, x):
            return pool(x, 3, 2)

    program = exported(Pool(), (8, 9), channels=1)
    for other in ((8, 9), (11, 14), (9, 8), (5, 5)):
        x = integers(1, 1, *other)
        torch.testing.assert_close(program.module()(x), pool(x, 3, 2))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_half_mean_does_not_overflow(stride):
    """Issue 9.6: the mean of 2000 over 49 cells is 2000 in float16."""
    pool = use_same_padding(nn.AvgPool2d(7, stride, 3, count_include_pad=False))
    x = torch.full((1, 1, 10, 10), 2000.0, dtype=torch.float16)
    assert torch.equal(pool(x), torch.full_like(pool(x), 2000.0))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bfloat16])
def test_a_maximum_takes_what_the_native_pool_takes(dtype):
    """Issue 9.6: integer max pools; the same numbers as in float32."""
    x, pool = integers(1, 1, 8, 9).abs(), use_same_padding(nn.MaxPool2d(3, 2, 1))
    assert pool(x.to(dtype)).dtype == dtype
    assert torch.equal(pool(x.to(dtype)).float(), pool(x))


def test_half_and_training_leave_no_third_state():
    """Issue 9.7: a deep copy made first shares nothing; the changed model is the model."""
    model = Branches()
    original = copy.deepcopy(model)
    same = use_same_padding(model)
    same.half()
    same(torch.randn(1, 2, 80, 80, dtype=torch.float16))
    assert same is model and model.norm.running_mean.dtype == torch.float16
    weight = original.stem.weight.detach().clone()
    same.float()(torch.randn(2, 2, 80, 80)).sum().backward()
    torch.optim.SGD(same.parameters(), 1.0).step()
    assert torch.equal(original.stem.weight, weight)
    assert not torch.equal(same.stem.weight, weight)
    original(torch.randn(1, 2, 80, 80))
    assert "Conv2dSame" not in repr(original)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_result_is_dense_like_the_native_one(channels_last):
    """Issue 9.8: `y.view(len(y), -1)` works at even sizes too, and the layout is kept."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    plain, same = nn.Conv2d(2, 3, 3, 2, 1), Conv2dSame(2, 3, 3, 2)
    for module in (plain, same):
        module.to(memory_format=layout)
    for n in (6, 7):
        x = torch.randn(2, 2, n, n).to(memory_format=layout)
        assert same(x).stride() == plain(x).stride()
        if not channels_last:
            assert same(x).view(2, -1).shape == (2, 27 if n == 6 else 48)


def pruned(layer):
    """Return the layer with half its weights pruned."""
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


@pytest.mark.parametrize(
    "compute",
    [
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        pruned,
    ],
    ids=["weight_norm", "spectral_norm", "p.weight_norm", "p.spectral_norm", "prune"],
)
def test_computed_weights(compute):
    """Issue 9.9: the layer goes on computing its weight, and training it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = nn.Sequential(compute(nn.Conv2d(2, 3, 3, 2, 1))).eval()
    x, names = torch.randn(1, 2, 8, 9), list(model.state_dict())
    other = nn.Sequential(copy.deepcopy(model[0])) if "Param" in repr(model) else model
    model(x)
    y = use_same_padding(model)(x)
    layer = model[0]
    assert isinstance(layer, Conv2dSame) and list(model.state_dict()) == names
    torch.testing.assert_close(y, conv2d_same(x, layer.weight, layer.bias, 2))
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    if other is not model:
        assert not isinstance(other[0], Conv2dSame), "the copy's class was changed"


class Odd(nn.Module):
    """A module with a buffer, and one with a submodule, that is named padding."""

    def __init__(self, padding):
        """Keep it."""
        super().__init__()
        self.padding = padding

    def forward(self, x):
        """Return x."""
        return x


def test_what_is_only_named_padding():
    """Issue 9.9: a tensor is not asked for its truth, a submodule is not listed."""
    odd = Odd(torch.ones(3)), Odd(nn.ReLU()), Odd(np.zeros(2)), Odd(None)
    model = nn.Sequential(*odd, nn.Conv2d(1, 1, 3, 2, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use_same_padding(model)
    assert type(model[4]) is Conv2dSame


def test_code_that_looks_into_the_layer():
    """Issue 9.9: reading `padding` is refused loudly at a stride; `_conv_forward` is SAME."""
    layer, x = Conv2dSame(2, 3, 3, 2), integers(1, 2, 8, 9)
    with pytest.raises(RuntimeError, match="not supported for strided"):
        F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
    y = layer._conv_forward(x, 2 * layer.weight, None)
    torch.testing.assert_close(y, conv2d_same(x, 2 * layer.weight, None, 2))


class SubclassThatKeepsForward(nn.Conv2d):
    """What EfficientNet ports have: another constructor."""


class SubclassOfItsOwn(nn.Conv2d):
    """What weight standardisation does: another forward."""

    def forward(self, x):
        """Return the convolution of x."""
        return super().forward(2 * x)


def test_subclasses():
    """One that computes as nn.Conv2d does is changed, one that does not is named."""
    layers = (c(1, 1, 3, 2, 1) for c in (SubclassThatKeepsForward, SubclassOfItsOwn))
    model = nn.Sequential(*layers)
    with pytest.warns(
        UserWarning, match=r"1 \(SubclassOfItsOwn\): a class of its own$"
    ):
        use_same_padding(model)
    changed, kept = model
    assert isinstance(changed, Conv2dSame) and isinstance(
        changed, SubclassThatKeepsForward
    )
    assert type(kept) is SubclassOfItsOwn


def test_padding_that_never_was_same_is_left_alone_unless_told():
    """Issue 9.10: a 1x1 with padding 1, padding 100, a 7x7 with padding 1."""
    model = nn.Sequential(
        nn.Conv2d(1, 1, 1, padding=1),
        nn.Conv2d(1, 1, 3, padding=100),
        nn.Conv2d(1, 1, 7, 2, padding=1),
        nn.Conv2d(1, 1, 4, 2, padding=1),  # SAME at every even size
    )
    named = r"0 \(Conv2d\), 1 \(Conv2d\), 2 \(Conv2d\): padding that is SAME at no size"
    with pytest.warns(UserWarning, match=named):
        use_same_padding(model)
    assert [type(m) for m in model] == [nn.Conv2d] * 3 + [Conv2dSame]
    with pytest.warns(UserWarning, match=r"0 \(Conv2d\), 1 \(Conv2d\): padding"):
        use_same_padding(model, also="2")
    assert type(model[2]) is Conv2dSame
    use_same_padding(model, also=None, thaw=None)
    for wrong in ("9", "", ["2", "nothing"]):
        with pytest.raises(ValueError, match="^also must name"):
            use_same_padding(model, also=wrong)


def test_frozen_padding_is_recognised_and_thawed_when_asked():
    """Issue 9.11: ZeroPad2d((0, 1, 0, 1)) and a strided convolution, right at 225 as well."""
    model = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 2, 3, 2))
    with pytest.warns(UserWarning, match=r"0 \(ZeroPad2d\): SAME at some.*thaw="):
        use_same_padding(model)
    assert type(model[1]) is nn.Conv2d
    names, weight = list(model.state_dict()), model[1].weight
    use_same_padding(model, thaw=True)
    assert list(model.state_dict()) == names and model[1].weight is weight
    for size in ((224, 224), (225, 225), (57, 62)):
        x = torch.randn(1, 1, *size)
        wanted = conv2d_same(x, weight, model[1].bias, 2)
        torch.testing.assert_close(model(x), wanted)


@pytest.mark.parametrize(
    "pad, conv",
    [
        (nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(1, 1, 3, 2)),  # Darknet's
        (nn.ZeroPad2d(3), nn.Conv2d(1, 1, 3, 2)),
        (nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 2, padding=1)),
        (nn.ReflectionPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 3, 2)),
        (nn.ConstantPad2d((0, 1, 0, 1), 5.0), nn.Conv2d(1, 1, 3, 2)),
        (nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)),
    ],
)
def test_other_padding_is_not_thawed(pad, conv):
    """What is SAME at no size, or no zeros, or before another layer, stays and is named."""
    model = nn.Sequential(pad, conv)
    with pytest.warns(
        UserWarning, match=rf"0 \({type(pad).__name__}\): padding of its"
    ):
        use_same_padding(model, thaw=True)
    assert model[0] is pad


class OnePadForTwo(nn.Module):
    """A padding that two convolutions read, as ports write it by hand."""

    def __init__(self):
        """Make the layers."""
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.first, self.second = nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3, 2)

    def forward(self, x):
        """Return the second convolution's output."""
        return self.second(self.pad(self.first(self.pad(x))))


def test_thaw_takes_only_what_is_surely_a_pair():
    """A padding read twice, a shared convolution, a subclass of ZeroPad2d: by name only."""
    x = torch.randn(1, 1, 16, 16)
    conv, double = nn.Conv2d(1, 1, 3, 2), type("Double", (nn.ZeroPad2d,), {})
    double.forward = lambda self, x: 2 * nn.ZeroPad2d.forward(self, x)
    pad = (0, 1, 0, 1)
    shared = nn.Sequential(nn.ZeroPad2d(pad), conv), nn.Sequential(nn.ReLU(), conv)
    for model in (
        OnePadForTwo(),
        nn.Sequential(*shared),
        nn.Sequential(double(pad), nn.Conv2d(1, 1, 3, 2)),
    ):
        wanted = model(x)
        with pytest.warns(UserWarning, match="left alone"):
            assert torch.equal(use_same_padding(model, thaw=True)(x), wanted)
    model = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3))  # SAME at every size
    with pytest.warns(UserWarning, match="changed nothing: what pads is SAME at every"):
        use_same_padding(model, thaw=True)
    model = nn.ModuleDict({"pad": nn.ZeroPad2d(pad), "conv": nn.Conv2d(1, 1, 3, 2)})
    use_same_padding(model, thaw="pad")
    assert type(model["conv"]) is Conv2dSame and type(model["pad"]) is nn.Identity
    with pytest.raises(ValueError, match="^thaw must name .* got 'nothing'"):
        use_same_padding(OnePadForTwo(), thaw=["nothing"])


def test_what_is_patched_or_of_a_class_of_its_own():
    """A forward of the layer's own stays and is named; a subclass keeps what it adds."""
    patched = nn.Conv2d(1, 1, 3, 2, 1)
    patched.forward = lambda x: 2 * x
    called = type("Called", (nn.Conv2d,), {"__call__": lambda self, x: 3 * x})
    pool = nn.MaxPool2d(3, 2, 1)
    pool.forward = functools.partial(pool.forward)
    x = torch.randn(1, 1, 8, 8)
    for layer in (patched, called(1, 1, 3, 2, 1), pool):
        wanted = layer(x)
        with pytest.warns(
            UserWarning, match=r"left alone.*\): a (forward|class) of its"
        ):
            assert torch.equal(use_same_padding(nn.Sequential(layer))(x), wanted)
    sized = type("Sized", (nn.Conv2d,), {"area": property(lambda self: 9)})
    layer = use_same_padding(nn.Sequential(sized(1, 1, 3, 2, 1)))[0]
    assert (
        isinstance(layer, sized) and isinstance(layer, Conv2dSame) and layer.area == 9
    )
    wanted = conv2d_same(x, layer.weight, layer.bias, 2)
    torch.testing.assert_close(copy.deepcopy(layer)(x), wanted)
    named = use_same_padding(SubclassThatKeepsForward(1, 1, 3, 2, 1))
    named.load_state_dict(layer.state_dict())
    for again in (pickle.loads(pickle.dumps(named)), copy.deepcopy(named)):
        assert type(again) is type(named) and again.weight is not named.weight
        torch.testing.assert_close(again(x), wanted)
    normed = nn.utils.parametrizations.weight_norm(sized(1, 1, 3, 2, 1))
    layer = use_same_padding(normed)
    assert isinstance(layer, sized) and isinstance(layer, Conv2dSame)
    nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer, sized) and layer.area == 9
    torch.testing.assert_close(layer(x), conv2d_same(x, layer.weight, layer.bias, 2))


def test_a_padding_in_words_of_a_class_of_its_own():
    """Whoever writes "same" and pads in a forward of its own is named, once changed is not."""
    forward = {"forward": lambda self, x: super(own, self).forward(F.pad(x, [1] * 4))}
    own = type("Own", (nn.Conv2d,), forward)
    layer = own(1, 1, 3, 1, 0)
    layer.padding = "same"
    with pytest.warns(UserWarning, match=r"left alone 0 \(Own\): a class of its own"):
        use_same_padding(nn.Sequential(layer))
    with pytest.warns(UserWarning, match="changed nothing: what pads is SAME at every"):
        use_same_padding(
            nn.Sequential(Conv2dSame(1, 1, 3, 2), nn.Conv2d(1, 1, 3, 1, "same"))
        )


def test_a_keras_model_that_pads_as_pytorch_does():
    """ResNet50's stem is ZeroPadding2D and 'valid': its port is right until it is changed."""
    stem = keras.Sequential(
        [
            keras.layers.ZeroPadding2D(3),
            keras.layers.Conv2D(2, 7, 2, use_bias=False),
            keras.layers.ReLU(),
            keras.layers.ZeroPadding2D(1),
            keras.layers.MaxPooling2D(3, 2),
        ]
    )
    port = nn.Sequential(
        nn.Conv2d(2, 2, 7, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    ).requires_grad_(False)
    port[0].weight.copy_(integers(2, 2, 7, 7))
    stem.build((None, None, None, 2))
    stem.set_weights([port[0].weight.permute(2, 3, 1, 0).numpy()])
    changed = use_same_padding(copy.deepcopy(port))
    for size, equal in (((32, 34), False), ((33, 37), True)):
        x = integers(1, 2, *size)
        wanted = torch.from_numpy(stem(x.permute(0, 2, 3, 1)).numpy()).permute(
            0, 3, 1, 2
        )
        assert torch.equal(port(x), wanted)
        assert torch.equal(changed(x), wanted) == equal


def test_sizes_as_pytorch_takes_them():
    """Tuples of one and NumPy's integers, as nn.Conv2d and nn.MaxPool2d accept them."""
    x, two = torch.randn(1, 1, 8, 8), np.int64(2)
    conv = nn.Conv2d(1, 1, (3, 3), (2,), (1,))
    wanted = conv2d_same(x, conv.weight, conv.bias, 2)
    torch.testing.assert_close(use_same_padding(conv)(x), wanted)
    pool = use_same_padding(nn.MaxPool2d(np.int64(3), two, np.int64(1)))
    wanted = use_same_padding(nn.MaxPool2d(3, 2, 1))(x)
    assert torch.equal(pool(x), wanted)


@pytest.mark.parametrize("model", [None, {}, "script"])
def test_a_model_that_cannot_be_changed(model):
    """ValueError says what is wanted."""
    if model == "script":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.jit.trace(nn.Conv2d(1, 1, 3, 2, 1), torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="^model must be an nn.Module, not yet traced"):
        use_same_padding(model)


def test_the_warning_names_the_chapter():
    """Issue 9.12: where the layers that stay are dealt with."""
    layers = (
        nn.ConvTranspose2d(1, 1, 3, 2, 1),
        nn.ConvTranspose1d(1, 1, 3, 2, 1, output_padding=1),
        nn.ConvTranspose3d(1, 1, 4, 2, 1),  # SAME at every size
        nn.ConvTranspose2d(1, 1, 3, 2),  # VALID
        nn.AdaptiveAvgPool2d(2),  # does not pad
        nn.LazyConv1d(1, 3, 2, 1),
        nn.ReflectionPad2d(1),
        nn.LPPool1d(2, 3, ceil_mode=True),
        nn.Unfold(3, padding=1),
    )
    expected = (
        "changed nothing and left alone 0 (ConvTranspose2d), 1 (ConvTranspose1d): "
        "call conv_transpose_same instead, chapter 10; "
        "5 (LazyConv1d): run the model once first; "
        "6 (ReflectionPad2d), 7 (LPPool1d), 8 (Unfold): padding of its own"
    )
    with pytest.warns(UserWarning, match=re.escape(expected) + "$"):
        use_same_padding(nn.Sequential(*layers))


def test_autocast_half_pickle_and_one_training_step():
    """A changed model is a model: low precision, copies, and a step that Keras would take."""
    model = with_random_state(Branches()).float()
    use_same_padding(model)
    x = torch.randn(2, 2, 81, 78)
    wanted = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(again(x), wanted)
    model.train()
    loss = model(x).square().mean()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# One and three axes: the same contract.

CONVS = {axes: getattr(chapter, f"Conv{axes}dSame") for axes in (1, 2, 3)}


def run_conv_same(x, weight, bias, stride, dilation, groups):
    """Run the layer of x's rank that holds the given parameters, and `conv_same`."""
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    sizes = weight.shape[2:], stride
    how = {"dilation": dilation, "groups": groups, "dtype": x.dtype}
    layer = CONVS[len(stride)](inputs, outputs, *sizes, **how)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer(x), chapter.conv_same(x, weight, bias, stride, dilation, groups)


def conv_by_the_law(x, weight, bias, stride, dilation, groups):
    """Return the convolution of x padded by chapter 1's `same_padding`, axis by axis."""
    zeros = []
    for axis in zip(x.shape[2:], weight.shape[2:], stride, dilation, strict=True):
        zeros = [*chapter.same_padding(*axis), *zeros]
    convolve = getattr(F, f"conv{len(stride)}d")
    return convolve(F.pad(x, zeros), weight, bias, stride, 0, dilation, groups)


@settings(max_examples=examples(200))
@given(st.data(), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_layers_of_one_and_three_axes(data, axes, seed):
    """Values and gradients of the law, bit for bit, and TensorFlow's where it keeps the law.

    In 3-D that is not where a stride is larger than its kernel, nor with dilation or groups.
    """
    numbers = partial(st.tuples, *[st.integers(1, 5 if axes == 1 else 4)] * axes)
    size = data.draw(st.tuples(*[st.integers(1, 14 if axes == 1 else 6)] * axes))
    kernel, stride, dilation = (data.draw(numbers()) for _ in range(3))
    groups = data.draw(st.sampled_from([1, 1, 2]))
    if data.draw(st.booleans()):
        dilation, groups = (1,) * axes, 1
    rng = np.random.default_rng(seed)
    shapes = (2, 2 * groups, *size), (3 * groups, 2, *kernel), (3 * groups,)
    arrays = [rng.integers(-9, 10, shape).astype("float64") for shape in shapes]
    x, weight, bias = map(torch.from_numpy, arrays)
    x.requires_grad_()
    how = stride, dilation, groups
    wanted = conv_by_the_law(x, weight, bias, *how)
    upstream = torch.from_numpy(rng.integers(-9, 10, wanted.shape).astype("float64"))
    (gradient,) = torch.autograd.grad(wanted, x, upstream)
    for y in run_conv_same(x, weight, bias, *how):
        assert torch.equal(y, wanted)
        assert torch.equal(torch.autograd.grad(y, x, upstream)[0], gradient)
    layer = run_conv_same(x[0], weight, bias, *how)[0]  # without a batch axis
    assert torch.equal(layer, wanted[0])
    if max(dilation) > 1 or groups > 1:
        return
    if axes == 1 or all(s <= k for s, k in zip(stride, kernel, strict=True)):
        steps = stride if axes == 1 else (1, *stride, 1)
        operation = tf.nn.conv1d if axes == 1 else tf.nn.conv3d
        kernel = np.moveaxis(arrays[1], (0, 1), (-1, -2))
        y = operation(np.moveaxis(arrays[0], 1, -1), kernel, steps, "SAME") + arrays[2]
        assert np.array_equal(np.moveaxis(y.numpy(), -1, 1), wanted.detach())


class Blocks(nn.Module):
    """A residual network of one, two or three axes: an audio or a video classifier's layers."""

    def __init__(self, axes):
        """Build the layers; the stem is that of M5 in 1-D, kernel 80 and stride 4."""
        super().__init__()
        conv = getattr(nn, f"Conv{axes}d")
        norm = getattr(nn, f"BatchNorm{axes}d")
        maximum, mean = (getattr(nn, f"{kind}Pool{axes}d") for kind in ("Max", "Avg"))
        kernel, stride, padding = (80, 4, 38) if axes == 1 else (5, 2, 2)
        self.stem = conv(2, 4, kernel, stride, padding, bias=False)
        self.norm = norm(4)
        self.pool = maximum(3, 2, 1)
        self.first = conv(4, 6, 3, 2, 1)
        self.second = conv(6, 6, 3, 1, 2, 2)
        self.short = conv(4, 6, 1, 2)
        self.mean = mean(2, 2, ceil_mode=True)
        self.last = conv(6, 3, 4, 2, 1)
        self.counted = mean(3, 1, 1)

    def forward(self, x):
        """Return the maps of x."""
        x = self.pool(self.norm(self.stem(x)).relu())
        x = self.second(self.first(x).relu()) + self.short(x)
        return self.last(self.mean(self.counted(x)))


def keras_blocks(model, axes):
    """Return the Keras model with 'same' padding and the weights of a Blocks."""
    conv = partial(getattr(keras.layers, f"Conv{axes}D"), padding="same")
    maximum = getattr(keras.layers, f"MaxPooling{axes}D")
    mean = getattr(keras.layers, f"AveragePooling{axes}D")
    image = keras.Input((*[None] * axes, 2))
    kernel, stride = (80, 4) if axes == 1 else (5, 2)
    x = conv(4, kernel, strides=stride, use_bias=False, name="stem")(image)
    x = keras.layers.BatchNormalization(epsilon=model.norm.eps, name="norm")(x)
    x = maximum(3, 2, "same", name="pool")(keras.layers.ReLU(name="relu_1")(x))
    a = keras.layers.ReLU(name="relu_2")(conv(6, 3, strides=2, name="first")(x))
    a = conv(6, 3, dilation_rate=2, name="second")(a)
    x = keras.layers.Add(name="add")([a, conv(6, 1, strides=2, name="short")(x)])
    x = mean(2, 2, "same", name="mean")(mean(3, 1, "same", name="counted")(x))
    result = keras.Model(image, conv(3, 4, strides=2, name="last")(x))
    for name, module in model.named_children():
        state = [t.numpy() for t in module.state_dict().values() if t.dim()]
        if state and state[0].ndim > 1:
            state[0] = np.moveaxis(state[0], (0, 1), (-1, -2))
        result.get_layer(name).set_weights(state)
    return result


@pytest.mark.parametrize("axes", [1, 3])
def test_a_network_of_one_or_three_axes_equals_keras(axes):
    """Equal up to rounding at even, odd and mixed sizes; with PyTorch's padding it was not."""
    model = with_random_state(
        Blocks(axes)
    ).float()  # TensorFlow's MaxPool3D takes no float64
    judge = keras_blocks(model, axes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left alone
        fixed = use_same_padding(copy.deepcopy(model))
    for size in ((640,), (501,)) if axes == 1 else ((32, 24, 40), (31, 26, 33)):
        x = np.random.default_rng(0).normal(size=(1, 2, *size)).astype("float32")
        wanted = np.moveaxis(judge(np.moveaxis(x, 1, -1)).numpy(), -1, 1)
        y, wrong = (m(torch.from_numpy(x)).detach().numpy() for m in (fixed, model))
        assert np.abs(y - wanted).max() < 1e-5 * np.abs(wanted).max()
        same_shape = wrong.shape == wanted.shape
        assert not same_shape or np.abs(wrong - wanted).max() > 1e-2 * wanted.max()
    kinds = {type(m).__name__ for m in fixed.children()}
    named = {f"Conv{axes}dSame", f"MaxPool{axes}dSame", f"AvgPool{axes}dSame"}
    assert named <= kinds and list(fixed.state_dict()) == list(model.state_dict())
    assert type(fixed.short) is getattr(nn, f"Conv{axes}d")
    x = torch.from_numpy(x)
    assert torch.equal(pickle.loads(pickle.dumps(fixed))(x), fixed(x))


@pytest.fixture(scope="module", params=[1, 3])
def port(request):
    """An integer model of one or three axes, its size, and other sizes."""
    sizes_ = ((9, 12, 10), (10, 9, 13), (1, 2, 3), (16, 15, 6))
    if request.param == 1:
        sizes_ = (30,), (31,), (1,), (64,)
    return integer_model(request.param), *sizes_


def test_other_readers_of_one_and_three_axes(port, fresh_compiler):
    """torch.jit.trace, torch.fx, torch.export and torch.compile: one program, every size."""
    model, size, *others = port
    x = integers(1, 2, *size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("error", torch.jit.TracerWarning)
        traced = torch.jit.trace(model, x)
    graph = torch.fx.symbolic_trace(model)
    called = {n.target for n in graph.graph.nodes if n.op == "call_function"}
    assert chapter.conv_same in called
    open_sizes = {axis: torch.export.Dim.DYNAMIC for axis in range(2, x.dim())}
    program = torch.export.export(model, (x,), dynamic_shapes=(open_sizes,)).module()
    compiled = torch.compile(model, backend="eager", dynamic=True)
    for other in (size, *others):
        x = integers(1, 2, *other)
        for run in (traced, graph, compiled):
            assert torch.equal(run(x), model(x)), other
        if min(other) > 8:  # torch.export has a guard against a size of 1 on the way
            assert torch.equal(program(x), model(x)), other


def test_onnx_of_one_and_three_axes(port):
    """With open sizes, through the exporter of today: one file for every size."""
    model, size, *others = port
    run = in_onnx_runtime(model, size, dynamic=True)
    for other in (size, *others):
        x = integers(1, 2, *other)
        assert np.array_equal(run(x), model(x)), other


def test_one_axis_compiled_by_inductor(inductor, fresh_compiler):
    """Conv1dSame on the default backend, with an open length."""
    layer = chapter.Conv1dSame(2, 3, 3, stride=2).requires_grad_(False)
    for parameter in layer.parameters():
        parameter.copy_(integers(*parameter.shape))
    compiled = torch.compile(layer, dynamic=True)
    for n in (6, 7, 10, 5, 13):
        x = integers(1, 2, n)
        assert torch.equal(compiled(x), layer(x))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_an_exported_maximum_survives_quantisation(axes, tmp_path):
    """At a fixed size the pools carry their pads, so that no -inf meets an int8 scale."""
    quantization = pytest.importorskip(
        "onnxruntime.quantization", reason="no onnxruntime.quantization"
    )
    model = integer_model(axes)[:3]
    x = integers(1, 2, *(16, 18, 14)[:axes])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"dynamo": True, "verbose": False, "input_names": ["x"]}
        program = torch.onnx.export(model, (x,), **how).model_proto
    kinds = [node.op_type for node in program.graph.node]
    assert kinds.count("Conv") == 2 and kinds.count("MaxPool") == 1
    assert set(kinds) <= {"Conv", "MaxPool", "Unsqueeze", "Squeeze", "Constant"}
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    before.write_bytes(program.SerializeToString())
    samples = iter([{"x": integers(*x.shape).numpy()}])
    reader = types.SimpleNamespace(get_next=lambda: next(samples, None))
    quantization.quantize_static(before, after, reader)
    (y,) = onnxruntime.InferenceSession(after).run(None, {"x": x.numpy()})
    wanted = model(x).numpy()
    assert np.abs(y - wanted).max() < 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize("axes", [1, 3])
def test_thaw_and_also_for_one_and_three_axes(axes):
    """ZeroPad1d and 3d, with pairs in the order of F.pad; a padding that is SAME at no size."""
    zero, conv = getattr(nn, f"ZeroPad{axes}d"), getattr(nn, f"Conv{axes}d")
    kernel, stride = (3, 4, 5)[:axes], (2, 2, 2)[:axes]
    pads = ((0, 1), (1, 1), (1, 2))[:axes]  # SAME at even sizes
    flat = [side for pair in reversed(pads) for side in pair]
    model = nn.Sequential(zero(tuple(flat)), conv(1, 2, kernel, stride))
    with pytest.warns(UserWarning, match=r"0 \(ZeroPad\dd\): SAME at some.*thaw="):
        use_same_padding(model)
    assert use_same_padding(model, thaw=True) is model
    assert type(model[0]) is nn.Identity and type(model[1]) is CONVS[axes]
    for size in ((8, 8, 8), (9, 7, 8)):
        x = integers(1, 1, *size[:axes])
        wanted = chapter.conv_same(x, model[1].weight, model[1].bias, stride)
        torch.testing.assert_close(model(x), wanted)
    causal = nn.Sequential(zero((2, 0) * axes), conv(1, 1, 3))  # stays: it is not SAME
    with pytest.warns(UserWarning, match=r"0 \(ZeroPad\dd\): padding of its own"):
        use_same_padding(causal, thaw=True)
    other = nn.Sequential(getattr(nn, f"ZeroPad{4 - axes}d")(1), conv(1, 1, 3, 2))
    with pytest.warns(UserWarning, match="padding of its own"):
        use_same_padding(other, thaw=True)
    wide = nn.Sequential(conv(1, 1, 3, padding=2))  # the causal layer before its cut
    with pytest.warns(UserWarning, match=r"SAME at no size, see also="):
        use_same_padding(wide)
    assert type(use_same_padding(wide, also="0")[0]) is CONVS[axes]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_refusals_at_every_rank(axes):
    """The layer, the argument and its value are named; nothing is changed."""
    conv, maximum = getattr(nn, f"Conv{axes}d"), getattr(nn, f"MaxPool{axes}d")
    for layer, message in (
        (
            conv(1, 1, 3, 2, 1, padding_mode="circular"),
            "padding_mode .* got 'circular'",
        ),
        (maximum(3, 2, 1, return_indices=True), "return_indices .* got True"),
        (maximum(2, 2, 1, dilation=2), "dilation .* got 2"),
    ):
        first = conv(1, 1, 3, 2, 1)
        with pytest.raises(ValueError, match=r"^1\." + message):
            use_same_padding(nn.Sequential(first, layer))
        assert type(first) is conv
    same = CONVS[axes]
    for mistake in ({"padding": 1}, {"stride": 0}, {"kernel_size": (3,) * (axes + 1)}):
        ((argument, value),) = mistake.items()
        with pytest.raises(ValueError, match=f"^{argument} must be .* got"):
            same(1, 1, **({"kernel_size": 3} | mistake))
    for shape in ((6,) * axes, (1, 1, 1, *(6,) * axes), (1, 1, *(6,) * (axes - 1), 0)):
        with pytest.raises(ValueError, match="^x must have shape .* got"):
            same(1, 1, 3)(torch.zeros(shape))


def test_a_mean_of_three_axes_below_its_kernel():
    """PyTorch's AvgPool3d refuses it; so such a layer is always changed."""
    x = integers(1, 2, 1, 5, 1)
    pool = nn.AvgPool3d(2, ceil_mode=True)
    with pytest.raises(RuntimeError, match="smaller than kernel"):
        pool(x)
    assert type(use_same_padding(pool)) is chapter.AvgPool3dSame
    wanted = F.avg_pool1d(x[0, :, :, :, 0].flatten(1), 2, ceil_mode=True)
    assert torch.equal(pool(x).reshape(2, 3), wanted)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_layers_that_are_same_are_not_named(axes):
    """The pair exists for an even surplus; every other padded one is named."""
    conv = getattr(nn, f"ConvTranspose{axes}d")
    same = load("10").conv_transpose_same
    for k, s, p in ((1, 2, 0), (2, 2, 0), (3, 1, 1), (3, 2, 1), (4, 2, 1), (6, 3, 1)):
        for extra in range(s):
            layer = conv(1, 1, k, s, p, extra, bias=False).requires_grad_(False)
            x = integers(1, 1, *(3, 4, 2)[:axes])
            layer.weight.copy_(integers(*layer.weight.shape) ** 2 + 1)
            y, wanted = layer(x), same(x, layer.weight, stride=s)
            equal = y.shape == wanted.shape and torch.equal(y, wanted)
            verdict = chapter.padding_verdict(layer)
            assert verdict == ("none" if p == 0 else "every" if equal else "other")
