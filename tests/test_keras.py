"""fold_zero_padding of chapter 06: it folds what is equal, all of it, and nothing else."""

import keras
import numpy as np
import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from notebooks import load

chapter = load("06")
fold_zero_padding = chapter.fold_zero_padding
same_padding = load("01").same_padding

KINDS = {
    "conv": layers.Conv2D,
    "depthwise": layers.DepthwiseConv2D,
    "separable": layers.SeparableConv2D,
}


def convolution(
    kind="conv", kernel_size=3, strides=1, padding="valid", name="conv", **options
):
    """Return a convolution with four filters, or depthwise."""
    if kind != "depthwise":
        options["filters"] = 4
    return KINDS[kind](
        kernel_size=kernel_size, strides=strides, padding=padding, name=name, **options
    )


def with_integers(model, seed=0):
    """Fill a model's weights with small integers and return it."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.integers(-4, 5, w.shape).astype("float32") for w in model.get_weights()]
    )
    return model


def integer_inputs(model, open_size=7, seed=1):
    """Return random integer inputs for a model; unknown sizes become `open_size`, batches 2."""
    rng = np.random.default_rng(seed)
    shapes = [
        (2, *[open_size if n is None else n for n in x.shape[1:]]) for x in model.inputs
    ]
    return [rng.integers(-9, 10, shape).astype("float32") for shape in shapes]


def outputs(model, inputs):
    """Return the flat list of a model's outputs for a list of its inputs."""
    one = isinstance(model, keras.Sequential)
    x = inputs[0] if one else keras.tree.pack_sequence_as(model.input, inputs)
    return [y.numpy() for y in keras.tree.flatten(model(x))]


def assert_equal_outputs(before, after, inputs):
    """Assert that two models give the same shapes and the same bits."""
    for a, b in zip(outputs(before, inputs), outputs(after, inputs), strict=True):
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


def named_padding(model):
    """Return {name: padding} of a model's convolutions."""
    kinds = tuple(KINDS.values())
    return {
        layer.name: layer.padding for layer in model.layers if isinstance(layer, kinds)
    }


@st.composite
def pairs(draw):
    """Draw a ZeroPadding2D + 'valid' pair whose zeros are often SAME's, or nearly."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    size = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    if kind != "conv":  # TensorFlow's depthwise kernels take equal strides only
        stride = (stride[0], stride[0])
    dilation = (1, 1)
    if stride == (1, 1):
        dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    same = [
        same_padding(*axis) for axis in zip(size, kernel, stride, dilation, strict=True)
    ]
    padding = []
    for n, k, d, exact in zip(size, kernel, dilation, same, strict=True):
        choice = draw(st.sampled_from(["exact", "exact", "exact", "mirrored", "any"]))
        pair = {"exact": exact, "mirrored": exact[::-1]}.get(choice)
        pair = pair or draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
        lacking = max(
            0, (k - 1) * d + 1 - n - sum(pair)
        )  # 'valid' must have one window
        padding.append((pair[0], pair[1] + lacking))
    known = draw(st.tuples(*[st.sampled_from([True, True, True, False])] * 2))
    return kind, size, known, kernel, stride, dilation, tuple(padding)


@given(st.lists(pairs(), min_size=8, max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(80))
def test_a_pair_is_folded_just_when_it_is_same(drawn, seed):
    """Eight pairs in one model: the verdict is the law's, every output keeps its bits."""
    images, results, expected = [], [], {}
    for i, (kind, size, known, kernel, stride, dilation, padding) in enumerate(drawn):
        open_size = [n if fixed else None for n, fixed in zip(size, known, strict=True)]
        images.append(keras.Input((*open_size, 2), name=f"image{i}"))
        padded = layers.ZeroPadding2D(padding, name=f"pad{i}")(images[-1])
        layer = convolution(
            kind, kernel, stride, name=f"conv{i}", dilation_rate=dilation
        )
        results.append(layer(padded))
        equal = all(
            same_padding(n, k, s, d) == pair
            for pair, axis_size, k, s, d in zip(
                padding, open_size, kernel, stride, dilation, strict=True
            )
            for n in (range(1, 60) if axis_size is None else [axis_size])
        )
        expected[f"conv{i}"] = "same" if equal else "valid"
    model = with_integers(keras.Model(images, results), seed)
    folded = fold_zero_padding(model)
    assert named_padding(folded) == expected
    rng = np.random.default_rng(seed)
    inputs = [
        rng.integers(-9, 10, (1, *pair[1], 2)).astype("float32") for pair in drawn
    ]
    assert_equal_outputs(model, folded, inputs)
    for i in range(8):
        kept = isinstance(folded.get_layer(f"pad{i}"), layers.ZeroPadding2D)
        assert kept == (expected[f"conv{i}"] == "valid")


def branches():
    """Three branches of one image, joined."""
    image = keras.Input((12, 11, 3), name="image")
    a = convolution(name="a")(layers.ZeroPadding2D(1, name="pad_a")(image))
    b = convolution(kernel_size=5, name="b")(
        layers.ZeroPadding2D(2, name="pad_b")(image)
    )
    c = convolution(name="c")(layers.ZeroPadding2D((1, 0), name="pad_c")(image))
    c = layers.ZeroPadding2D((0, 1), name="pad_after")(c)
    return (
        keras.Model(image, layers.Add(name="add")([a, b, c])),
        {"a", "b"},
        {"pad_a", "pad_b"},
    )


def shared_padding():
    """One padding read by a layer that is SAME and by one that is not: all stay."""
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    model = keras.Model(
        image,
        [convolution(name="a")(padded), convolution(kernel_size=2, name="b")(padded)],
    )
    return model, set(), set()


def shared_padding_all_equal():
    """One padding read by two layers that both fold."""
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    results = [
        convolution(name="a")(padded),
        convolution("depthwise", strides=2, name="b")(padded),
    ]
    return keras.Model(image, results), {"a", "b"}, {"pad"}


def padding_is_an_output():
    """A padding that is an output stays, and so does what reads it."""
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    return (
        keras.Model(image, {"pad": padded, "a": convolution(name="a")(padded)}),
        set(),
        set(),
    )


def already_folded():
    """'same' layers only."""
    image = keras.Input((9, 9, 3), name="image")
    return (
        keras.Model(image, convolution(padding="same", name="a")(image)),
        set(),
        set(),
    )


def nothing_to_fold():
    """PyTorch's padding at an even size, a pool, a layer between, zeros before a 'same' layer."""
    image = keras.Input((8, 8, 4), name="image")
    x = convolution(strides=2, name="a")(layers.ZeroPadding2D(1, name="pad_a")(image))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad_pool")(x)
    x = layers.MaxPooling2D(3, strides=2, name="max")(x)
    x = layers.ReLU(name="relu")(layers.ZeroPadding2D(1, name="pad_relu")(x))
    x = convolution(name="b")(x)
    x = layers.ZeroPadding2D(1, name="pad_mean")(x)
    x = layers.AveragePooling2D(2, strides=1, name="mean")(x)
    x = layers.ZeroPadding2D(1, name="pad_same")(x)
    return keras.Model(image, convolution(padding="same", name="c")(x)), set(), set()


def two_paddings():
    """Two paddings in a row: only the second belongs to the pair."""
    image = keras.Input((8, 8, 4), name="image")
    x = layers.ZeroPadding2D(((0, 0), (0, 1)), name="first")(image)  # 8 x 9
    x = layers.ZeroPadding2D(((0, 1), (1, 1)), name="second")(x)
    return keras.Model(image, convolution(strides=2, name="a")(x)), {"a"}, {"second"}


def dynamic_sizes():
    """Unknown height and width: stride 1 folds, stride 2 does not, nor a half-known one."""
    image = keras.Input((None, None, 3), name="image")
    strip = keras.Input((9, None, 3), name="strip")
    results = [
        convolution(name="a")(layers.ZeroPadding2D(1, name="pad_a")(image)),
        convolution(strides=2, name="b")(layers.ZeroPadding2D(1, name="pad_b")(image)),
        convolution(strides=(2, 1), name="c")(
            layers.ZeroPadding2D(1, name="pad_c")(strip)
        ),
        convolution(strides=(1, 2), name="d")(
            layers.ZeroPadding2D(1, name="pad_d")(strip)
        ),
        convolution(kernel_size=1, strides=3, name="e")(
            layers.ZeroPadding2D(0, name="pad_e")(image)
        ),
    ]
    return (
        keras.Model([image, strip], results),
        {"a", "c", "e"},
        {"pad_a", "pad_c", "pad_e"},
    )


def no_convolutions():
    """A model without convolutions."""
    image = keras.Input((8, 8, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    return keras.Model(image, layers.Dense(2, name="dense")(padded)), set(), set()


def sequential():
    """A Sequential model."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad_a"),
            convolution(strides=2, name="a", activation="relu"),
            layers.ZeroPadding2D(1, name="pad_b"),
            convolution(strides=2, name="b"),
        ],
        name="chain",
    )
    return model, {"a"}, {"pad_a"}


def reused_layer():
    """A layer called twice folds if both calls are SAME, stays if one is not."""
    image = keras.Input((9, 9, 3), name="image")
    smaller = layers.Cropping2D(((1, 0), (1, 0)), name="crop")(image)
    pads = [layers.ZeroPadding2D(1, name=f"pad{i}") for i in range(2)]
    always, once = convolution(name="always"), convolution(strides=2, name="once")
    results = [
        always(pads[0](image)),
        always(pads[0](smaller)),
        once(pads[1](image)),
        once(pads[1](smaller)),
    ]
    return keras.Model(image, results), {"always"}, {"pad0"}


def chained_by_sharing():
    """One reading that is not SAME keeps all that is tied to it, over two paddings."""
    image = keras.Input((9, 9, 3), name="image")
    pads = [layers.ZeroPadding2D(1, name=f"pad{i}")(image) for i in range(2)]
    shared = convolution(name="shared")
    results = [
        convolution(kernel_size=2, name="not_same")(pads[0]),
        shared(pads[0]),
        shared(pads[1]),
        convolution(name="same")(pads[1]),
    ]
    return keras.Model(image, results), set(), set()


def called_without_padding():
    """A layer called on a padded image and on the bare one."""
    image = keras.Input((9, 9, 3), name="image")
    conv = convolution(name="a")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    return keras.Model(image, [conv(padded), conv(image)]), set(), set()


def keyword_call():
    """Layers called with inputs=..."""
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(inputs=image)
    return keras.Model(image, convolution(name="a")(inputs=padded)), {"a"}, {"pad"}


def operations_and_functions():
    """keras.ops between the layers and a Lambda that no config can restore."""
    image = keras.Input((9, 9, 3), name="image")
    x = convolution(name="a")(layers.ZeroPadding2D(1, name="pad")(image * 2 + 1))

    def negative(values):
        return -values

    x = layers.Lambda(negative, name="negative")(x)
    return keras.Model(image, keras.ops.maximum(x, 0)), {"a"}, {"pad"}


def other_precision():
    """Zeros made in half precision round what passes through."""
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad", dtype="float16")(image)
    return keras.Model(image, convolution(name="a")(padded)), set(), set()


class OwnConv2D(layers.Conv2D):
    """A subclass may compute something else."""


def subclassed_layer():
    """A subclass of Conv2D is left alone."""
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    return keras.Model(image, OwnConv2D(4, 3, name="a")(padded)), set(), set()


def dict_inputs():
    """Inputs and outputs in dicts."""
    images = {name: keras.Input((9, 9, 3), name=name) for name in ("left", "right")}
    results = {
        name: convolution(name=f"conv_{name}")(
            layers.ZeroPadding2D(1, name=f"pad_{name}")(image)
        )
        for name, image in images.items()
    }
    return (
        keras.Model(images, results),
        {"conv_left", "conv_right"},
        {"pad_left", "pad_right"},
    )


MODELS = [
    branches,
    shared_padding,
    shared_padding_all_equal,
    padding_is_an_output,
    already_folded,
    nothing_to_fold,
    two_paddings,
    dynamic_sizes,
    no_convolutions,
    sequential,
    reused_layer,
    chained_by_sharing,
    called_without_padding,
    keyword_call,
    operations_and_functions,
    other_precision,
    subclassed_layer,
    dict_inputs,
]


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_models(build):
    """What folds folds, the rest stays as it was, the outputs keep their bits."""
    model, foldable, gone = build()
    with_integers(model)
    names = [layer.name for layer in model.layers]
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    weights = model.get_weights()
    folded = fold_zero_padding(model)
    valid, padding = named_padding(model), named_padding(folded)
    assert {name for name in padding if valid[name] != padding[name]} == foldable
    assert [layer.name for layer in folded.layers] == names
    for before, after in zip(model.layers, folded.layers, strict=True):
        wanted = layers.Identity if before.name in gone else type(before)
        assert type(after) is wanted
    assert type(folded) is type(model)
    assert folded.name == model.name
    for size in (7, 8):
        assert_equal_outputs(model, folded, integer_inputs(model, size))

    # The original is as it was, and a copy shares nothing with it.
    assert [layer.name for layer in model.layers] == names
    assert [len(layer._inbound_nodes) for layer in model.layers] == calls
    for variable in folded.variables:
        variable.assign(variable + 1)
    assert all(
        np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True)
    )

    again = fold_zero_padding(folded)
    assert named_padding(again) == padding
    assert len(again.layers) == len(folded.layers)


@pytest.mark.parametrize(
    "build", [branches, shared_padding, dynamic_sizes, sequential, dict_inputs]
)
def test_saved_and_loaded(build, tmp_path):
    """A model folds after loading as before saving, and a folded one can be saved."""
    model, foldable, _ = build()
    with_integers(model).save(tmp_path / "model.keras")
    folded = fold_zero_padding(keras.models.load_model(tmp_path / "model.keras"))
    folded.save(tmp_path / "folded.keras")
    loaded = keras.models.load_model(tmp_path / "folded.keras")
    assert {
        name for name, padding in named_padding(loaded).items() if padding == "same"
    } == foldable
    assert_equal_outputs(model, loaded, integer_inputs(model))


def test_nested_models():
    """Models in models are folded too; one called at two sizes only where every size allows."""
    part = keras.Input((None, None, 4), name="part")
    x = convolution(name="s1")(layers.ZeroPadding2D(1, name="pad_s1")(part))
    x = convolution(strides=2, name="s2")(layers.ZeroPadding2D(1, name="pad_s2")(x))
    inner = keras.Model(part, x, name="inner")
    image = keras.Input((17, 17, 4), name="image")
    chain, _, _ = sequential()
    results = [
        inner(inner(image)),
        chain(layers.Cropping2D(((0, 9), (0, 9)))(image[..., :3])),
    ]
    model = with_integers(keras.Model(image, results, name="outer"))
    folded = fold_zero_padding(model)
    assert named_padding(folded.get_layer("inner")) == {"s1": "same", "s2": "valid"}
    assert named_padding(folded.get_layer("chain")) == {"a": "same", "b": "valid"}
    assert [layer.name for layer in folded.layers] == [
        layer.name for layer in model.layers
    ]
    assert_equal_outputs(model, folded, integer_inputs(model))


def test_adapted_normalization_keeps_its_statistics():
    """Normalization computes with constants made from its weights, also within another layer."""
    image = keras.Input((9, 9, 3), name="image")
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(np.random.default_rng(0).normal(100, 50, (4, 9, 9, 3)))
    part = keras.Input((9, 3), name="part")
    again = keras.Model(part, layers.Normalization(name="again")(part), name="inner")
    again.layers[-1].adapt(np.random.default_rng(1).normal(2, 3, (4, 9, 3)))
    x = layers.TimeDistributed(again, name="rows")(normalization(image))
    x = convolution(name="a")(layers.ZeroPadding2D(1, name="pad")(x))
    model = keras.Model(image, x)
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"a": "same"}
    image = np.random.default_rng(2).normal(100, 50, (1, 9, 9, 3)).astype("float32")
    np.testing.assert_allclose(
        outputs(model, [image]), outputs(folded, [image]), atol=1e-5
    )


class Doubled(keras.Model):
    """A functional model with a call() of its own beside the graph."""

    def __init__(self, **options):
        """Make the graph: one pair."""
        image = keras.Input((9, 9, 3), name="image")
        padded = layers.ZeroPadding2D(1, name="pad")(image)
        super().__init__(image, convolution(name="a")(padded), **options)

    def call(self, x, training=None, mask=None):
        """Return twice what the graph says."""
        return 2 * super().call(x)


class DoubledChain(keras.Sequential):
    """A Sequential model with a call() of its own."""

    def call(self, x, training=None, mask=None):
        """Return twice what the layers say."""
        return 2 * super().call(x)


def test_a_call_of_its_own_is_refused_and_left_alone_in_a_model():
    """What a graph with its own call() computes is not in the graph."""
    chain = DoubledChain(
        [keras.Input((9, 9, 3)), layers.ZeroPadding2D(1), convolution()]
    )
    for wrong in (Doubled(), chain):
        with pytest.raises(ValueError, match="model must be .*, got "):
            fold_zero_padding(wrong)
    image = keras.Input((9, 9, 3), name="image")
    padded = layers.ZeroPadding2D(1, name="pad_b")(Doubled(name="doubled")(image))
    model = with_integers(keras.Model(image, convolution(name="b")(padded)))
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"b": "same"}
    assert named_padding(folded.get_layer("doubled")) == {"a": "valid"}
    assert_equal_outputs(model, folded, integer_inputs(model))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_channels_first_is_folded_by_its_own_axes(kind):
    """The axes are the last two; the CPU may not run it, so the graph is looked at."""
    image = keras.Input((3, 8, 9), name="image")
    options = {"strides": 2, "data_format": "channels_first"}
    padded = layers.ZeroPadding2D(((0, 1), (1, 1)), "channels_first", name="pad")(image)
    wrong = layers.ZeroPadding2D(((1, 1), (0, 1)), "channels_first", name="pad_wrong")(
        image
    )
    results = [
        convolution(kind, name="a", **options)(padded),
        convolution(kind, name="b", **options)(wrong),
    ]
    folded = fold_zero_padding(keras.Model(image, results))
    assert named_padding(folded) == {"a": "same", "b": "valid"}
    assert [y.shape for y in folded.outputs] == [y.shape for y in results]


def test_formats_that_differ_are_no_pair():
    """Zeros on other axes than the convolution's."""
    image = keras.Input((9, 9, 9), name="image")
    padded = layers.ZeroPadding2D(1, "channels_first", name="pad")(image)
    model = keras.Model(image, convolution(data_format="channels_last")(padded))
    assert named_padding(fold_zero_padding(model)) == {"conv": "valid"}


@pytest.mark.parametrize("kind", ["depthwise", "separable"])
def test_strided_and_dilated_is_left_alone(kind):
    """Keras cannot compute it with 'same' everywhere."""
    image = keras.Input((9, 9, 3), name="image")
    layer = convolution(kind, strides=2, dilation_rate=2)
    padded = layers.ZeroPadding2D(same_padding(9, 3, 2, 2), name="pad")(image)
    folded = fold_zero_padding(keras.Model(image, layer(padded)))
    assert named_padding(folded) == {"conv": "valid"}


class OwnModel(keras.Model):
    """A model with a Python method instead of a graph."""

    def call(self, x):
        """Return x."""
        return x


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        3,
        "model.keras",
        layers.Conv2D(1, 1, name="layer"),
        keras.Sequential(),
        OwnModel(),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_has_no_graph_is_refused(wrong):
    """The error names the argument and shows its value."""
    with pytest.raises(ValueError, match="model must be .*, got ") as error:
        fold_zero_padding(wrong)
    assert repr(wrong) in str(error.value)
