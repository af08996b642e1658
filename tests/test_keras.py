"""fold_zero_padding of chapter 06: it folds what is equal, all of it, and nothing else."""

import collections
import functools
import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import examples
from hypothesis import Phase, given, settings
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
EVERY = {  # kind of layer: its ranks
    "Conv": (1, 2, 3),
    "DepthwiseConv": (1, 2),
    "SeparableConv": (1, 2),
    "ConvTranspose": (1, 2, 3),
}


def ranked(kind, axes):
    """Return Keras's layer of a kind for 1 to 3 axes."""
    name = kind.removesuffix("Transpose")
    return getattr(layers, f"{name}{axes}D{kind.removeprefix(name)}")


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
    """Return {name: padding} of a model's convolutions, transposed ones too."""
    kinds = tuple(ranked(kind, axes) for kind, ranks in EVERY.items() for axes in ranks)
    return {
        layer.name: layer.padding for layer in model.layers if isinstance(layer, kinds)
    }


# The law, counted: which cell of an axis (or no cell, None) each tap of each output reads.


@functools.cache
def cells(n, k, s, d, before, after):
    """Return the cells that a 'valid' layer reads of n cells, padded; None is a zero."""
    starts = range(-before, n + after - (k - 1) * d, s)
    return [
        [i if 0 <= i < n else None for i in range(start, start + (k - 1) * d + 1, d)]
        for start in starts
    ]


def acts_as_same(n, k, s, d, pair):
    """Tell by counting whether zeros (before, after) act as SAME's; n None: always."""
    sizes = range(1, 2 * s + 2 * d * k) if n is None else [n]
    return all(
        cells(n, k, s, d, *pair) == cells(n, k, s, d, *same_padding(n, k, s, d))
        for n in sizes
    )


def leaves_cells_over(n, k, s, d):
    """Tell whether SAME has cells behind its last window; n None: at some size."""
    sizes = range(1, s + 1) if n is None else [n]
    return any((n - 1) % s > (k - 1) * d for n in sizes)


def test_the_verdict_is_that_of_the_cells_read():
    """On one axis, known and open; but for layers that read no cell at all, left alone."""
    verdicts = []
    for n, k, s in itertools.product((*range(1, 10), None), range(1, 6), range(1, 5)):
        for d, before, after in itertools.product((1, 2), range(4), range(6)):
            pair = before, after
            found = chapter.zeros_equal_same([pair], [n], [k], [s], [d])
            wanted = acts_as_same(n, k, s, d, pair) and (s == 1 or d == 1)
            read = {c for row in cells(n or 1, k, s, d, *pair) for c in row}
            assert found == wanted or (not found and read == {None}), (n, k, s, d, pair)
            in_3d = [[x] * 3 for x in (pair, n, k, s, d)]
            over = leaves_cells_over(n, k, s, d)
            assert chapter.zeros_equal_same(*in_3d) == (found and not over)
            once = found and all(
                same_padding(m, k, s, d) == pair
                for m in (range(1, s + 1) if n is None else [n])
            )
            verdicts.append((found, once, n is None, over))
    counts = [sum(v[0] and v[i] for v in verdicts) for i in range(4)]
    assert counts == [466, 228, 16, 52]  # all, SAME's own, open, with cells left over


def test_zeros_that_are_never_read_in_figures():
    """The cases of the issue, and the two strided pairs that are SAME at every size."""
    verdict = chapter.zeros_equal_same
    assert verdict([(0, 2)], [6], [3], [2], [1])
    assert not verdict([(0, 3)], [6], [3], [2], [1])  # one output more
    assert not verdict([(0, 2)], [7], [3], [2], [1])
    for n in (6, 7, None):
        assert verdict([(0, 1)], [n], [2], [2], [1])
        assert verdict([(1, 2)], [n], [4], [2], [1])
        assert not verdict([(1, 1)], [n], [4], [2], [1]) or n == 6
    for after in range(4):  # total 0 and cells left over: 0 of 6, 0 and 3 of 6
        assert verdict([(0, after)], [6], [1], [3], [1]) == (after < 1)
        assert verdict([(0, after)], [4], [1], [3], [1]) == (after < 3)
    assert not verdict([(0, 0)] * 3, [6] * 3, [1] * 3, [3] * 3, [1] * 3)
    assert verdict([(0, 2)] * 3, [4] * 3, [1] * 3, [3] * 3, [1] * 3)


@st.composite
def chains(draw, kind, axes):
    """Draw a padded (or cropped) 'valid' layer, often SAME or nearly, with its verdict."""

    def along(*sizes):
        return draw(st.tuples(*[st.integers(*sizes)] * axes))

    size, kernel, stride = along(1, 9), along(1, 5), along(1, 4)
    if kind in ("DepthwiseConv", "SeparableConv"):  # TensorFlow's take equal strides
        stride = stride[:1] * axes
    dilation = (1,) * axes
    if max(stride) == 1 and kind != "ConvTranspose":
        dilation = along(1, 3)
    known = draw(st.tuples(*[st.sampled_from([True] * 5 + [False])] * axes))
    shape = [n if fixed else None for n, fixed in zip(size, known, strict=True)]
    how = draw(st.sampled_from(["exact"] * 3 + ["behind"] * 2 + ["mirrored", "any"]))
    amounts, equal = [], True
    for n, m, k, s, d in zip(size, shape, kernel, stride, dilation, strict=True):
        any_pair = draw(st.tuples(st.integers(0, 3), st.integers(0, 4)))
        if kind == "ConvTranspose":
            total = max(k - s, 0)
            exact = total // 2, total - total // 2
            pair = {"mirrored": exact[::-1], "any": any_pair}.get(how, exact)
            length = n * s + total
            pair = min(pair[0], length - 1), min(pair[1], length - 1 - pair[0])
            pair = pair[0], max(0, pair[1])
            equal &= pair == exact
        else:
            exact = same_padding(n, k, s, d)
            longer = exact[0], exact[1] + any_pair[0]
            pair = {"exact": exact, "mirrored": exact[::-1], "behind": longer}
            pair = pair.get(how, any_pair)
            lacking = max(0, (k - 1) * d + 1 - n - sum(pair))  # one window at least
            pair = pair[0], pair[1] + lacking
            equal &= acts_as_same(m, k, s, d, pair)
            if {c for row in cells(n, k, s, d, *pair) for c in row} == {None}:
                equal &= m is None or pair == exact  # what reads nothing is left alone
            equal &= axes < 3 or not leaves_cells_over(m, k, s, d)
        amounts.append(pair)
    return kind, axes, size, shape, kernel, stride, dilation, amounts, equal


FOLDED = collections.Counter()


@given(
    st.tuples(*[chains(kind, axes) for kind, ranks in EVERY.items() for axes in ranks])
)
@settings(max_examples=examples(12), phases=[Phase.generate])  # shrinking takes minutes
def every_kind_at_every_rank(drawn):
    """Ten pairs in one model: the verdict is the count's, every output keeps its bits."""
    images, results, expected = [], [], {}
    for i, (kind, axes, _, shape, kernel, stride, dilation, pairs, equal) in enumerate(
        drawn
    ):
        images.append(keras.Input((*shape, 2), name=f"image{i}"))
        options = {"strides": stride, "dilation_rate": dilation, "name": f"conv{i}"}
        if kind != "DepthwiseConv":
            options["filters"] = 3
        layer = ranked(kind, axes)(kernel_size=kernel, **options)
        pairs = pairs if axes > 1 else pairs[0]
        if kind == "ConvTranspose":
            crop = getattr(layers, f"Cropping{axes}D")(pairs, name=f"other{i}")
            results.append(crop(layer(images[-1])))
        else:
            pad = getattr(layers, f"ZeroPadding{axes}D")(pairs, name=f"other{i}")
            results.append(layer(pad(images[-1])))
        expected[f"conv{i}"] = "same" if equal else "valid"
        FOLDED[kind, axes, equal] += 1
    model = with_integers(keras.Model(images, results))
    folded = fold_zero_padding(model)
    found = named_padding(folded)
    assert found.keys() == expected.keys()
    others = [n for n, padding in expected.items() if found[n] != padding]
    assert not [drawn[int(name.removeprefix("conv"))] for name in others]
    rng = np.random.default_rng(1)
    inputs = [rng.integers(-9, 10, (1, *d[2], 2)).astype("float32") for d in drawn]
    assert_equal_outputs(model, folded, inputs)
    for i, padding in enumerate(expected.values()):
        gone = type(folded.get_layer(f"other{i}")) is layers.Identity
        assert gone == (padding == "same")


def test_a_pair_is_folded_just_when_it_is_same():
    """Layers of ten classes, as drawn; each class folded and left alone."""
    FOLDED.clear()
    every_kind_at_every_rank()
    for kind, ranks in EVERY.items():
        for axes in ranks:
            assert min(FOLDED[kind, axes, equal] for equal in (True, False)) >= 1


def upward(axes, cropping, kernel=4, strides=2, **options):
    """Return a model of a transposed layer and a cropping."""
    image = keras.Input((5,) * axes + (2,), name="image")
    up = ranked("ConvTranspose", axes)(3, kernel, strides, name="up", **options)
    crop = getattr(layers, f"Cropping{axes}D")(cropping, name="crop")
    return keras.Model(image, crop(up(image)), name="upward")


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_layers_with_an_output_padding(axes):
    """It is part of what is cut off: onnx2keras writes 0 where Keras's default is None."""
    for extra, after, equal in ((None, 1, True), (0, 1, True), (1, 2, True),
                                (1, 1, False), (0, 2, False)):  # fmt: skip
        pair = (1, after)
        model = with_integers(
            upward(axes, pair if axes == 1 else (pair,) * axes, output_padding=extra)
        )
        folded = fold_zero_padding(model)
        assert named_padding(folded) == {"up": "same" if equal else "valid"}
        assert_equal_outputs(model, folded, integer_inputs(model))
        if equal:
            assert folded.get_layer("up").output_padding is None
    for axis in range(axes):  # one axis is wrong
        pairs = [(1, 1)] * axes
        pairs[axis] = (0, 2)  # as many cells, another start
        folded = fold_zero_padding(upward(axes, pairs if axes > 1 else pairs[0]))
        assert named_padding(folded) == {"up": "valid"}


def spread_over_rows(x):
    """Return x less its mean along the rows: an activation that looks at other cells."""
    return x - keras.ops.mean(x, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "options, padding",
    [
        ({}, "same"),
        ({"activation": "relu", "use_bias": False}, "same"),
        ({"activation": "softmax"}, "same"),
        ({"activation": spread_over_rows}, "valid"),
        ({"activation": layers.ReLU()}, "valid"),
        ({"activity_regularizer": "l2"}, "valid"),
        ({"dilation_rate": 2, "strides": 1, "kernel": 3}, "valid"),
        ({"data_format": "channels_first"}, "valid"),
    ],
)
def test_what_a_transposed_layer_does_besides(options, padding):
    """Only what looks at each cell alone is the same before the cut and after it."""
    model = with_integers(upward(1, (1, 1), **options))
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"up": padding}
    runs = options.get("data_format") is None and "dilation_rate" not in options
    if runs and options.get("activation") != "softmax":  # rounded as it happens to lie
        assert_equal_outputs(model, folded, integer_inputs(model))


def test_a_transposed_layer_that_others_read_stays():
    """An output, a layer between, a second cropping of another size, a subclass."""
    image = keras.Input((5, 5, 2), name="image")

    def up(name):
        return layers.Conv2DTranspose(3, 4, 2, name=name)

    def crop(cropping=1):
        return layers.Cropping2D(cropping)

    class OwnCropping2D(layers.Cropping2D):
        """A subclass may cut something else."""

    given, read, twice, own = (up(n)(image) for n in ("given", "read", "twice", "own"))
    same, shared = up("same"), up("shared")
    results = [given, crop()(given), crop()(layers.ReLU()(read)), OwnCropping2D(1)(own)]
    results += [crop()(twice), crop(2)(twice), crop()(same(image))]
    results += [crop()(shared(image)), crop()(shared(image * 2))]
    model = with_integers(keras.Model(image, results))
    folded = fold_zero_padding(model)
    assert {n for n, p in named_padding(folded).items() if p == "same"} == {
        "same",
        "shared",
    }
    assert sum(isinstance(x, layers.Identity) for x in folded.layers) == 3
    assert_equal_outputs(model, folded, integer_inputs(model))


def test_causal_zeros_are_no_same():
    """All zeros in front are Conv1D's 'causal', which the fold does not write."""
    row = keras.Input((9, 2), name="row")
    padded = layers.ZeroPadding1D((2, 0), name="pad")(row)
    causal = layers.Conv1D(3, 3, padding="causal", name="causal")
    crop = layers.Cropping1D((1, 1))(causal(row))
    model = keras.Model(row, [layers.Conv1D(3, 3, name="conv")(padded), crop])
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"conv": "valid", "causal": "causal"}


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


def padded_convolution(x, name="a", **options):
    """Return a pair called on x: ZeroPadding2D(1) and a convolution."""
    padded = layers.ZeroPadding2D(1, name=f"pad_{name}")(x)
    return convolution(name=name, **options)(padded)


def exchange_weight_files(one, other, folder):
    """Assert that the weight file of either model loads into the other, values and all."""
    for number, (source, target) in enumerate([(one, other), (other, one)]):
        with_integers(source, seed=number)
        source.save_weights(folder / f"{number}.weights.h5")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras warns of what it could not load
            target.load_weights(folder / f"{number}.weights.h5")
        inputs = integer_inputs(source)
        assert_equal_outputs(source, target, inputs)


def test_a_nested_sequential_stays_one_and_weight_files_fit(tmp_path):
    """Both ways; a functional copy of it made Keras say 1 object could not be loaded."""
    inner, _, _ = sequential()
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.Flatten(name="flat")(inner(image)))
    folded = fold_zero_padding(model)
    assert type(folded.get_layer("chain")) is keras.Sequential
    assert [v.path for v in folded.weights] == [v.path for v in model.weights]
    exchange_weight_files(model, folded, tmp_path)


def test_weight_files_fit_where_a_branch_would_get_shorter(tmp_path):
    """Keras orders layers by their distance to the output: a padding must not drop out."""
    image = keras.Input((9, 9, 4), name="image")
    long = convolution(name="p", padding="same")(image)
    long = padded_convolution(long, "q")
    short = convolution(name="r", padding="same")(image)
    short = layers.ReLU(name="relu")(short)
    model = keras.Model(image, layers.Subtract(name="minus")([short, long]))
    folded = fold_zero_padding(model)
    assert named_padding(folded)["q"] == "same"
    exchange_weight_files(model, folded, tmp_path)


def test_a_sequential_built_by_its_first_call(tmp_path):
    """The InputLayer that Keras adds belongs to it."""
    model = keras.Sequential([layers.ZeroPadding2D(1), convolution()], name="late")
    model(np.zeros((1, 8, 8, 3), "float32"))
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"conv": "same"}
    exchange_weight_files(model, folded, tmp_path)


class Plus(layers.Layer):
    """A layer of one's own without get_config: Keras keeps what __init__ was given."""

    def __init__(self, amount=1, **options):
        """Keep the amount."""
        super().__init__(**options)
        self.amount = amount

    def build(self, shape):
        """Make one weight."""
        self.scale = self.add_weight(shape=(), name="scale")

    def call(self, x):
        """Return scale * x + amount."""
        return self.scale * x + self.amount


def test_layers_without_get_config_are_copied_and_keep_their_names(tmp_path):
    """Copies are found by object, not by a name that from_config cannot know."""
    image = keras.Input((9, 9, 3), name="image")
    x = padded_convolution(Plus(3)(image))
    model = keras.Model(image, Plus(2)(x))
    folded = fold_zero_padding(model)
    assert [layer.name for layer in folded.layers] == [
        layer.name for layer in model.layers
    ]
    assert named_padding(folded) == {"a": "same"}
    exchange_weight_files(model, folded, tmp_path)


def test_a_lambda_keeps_its_function_shape_mask_and_arguments():
    """Also a function that was written on the spot and that no config can restore."""
    image = keras.Input((9, 9, 3), name="image")

    def unknown(x, factor):
        return keras.ops.reshape(x, (-1, 81, 4)) * factor

    shape = layers.Lambda(
        unknown, output_shape=(81, 4), arguments={"factor": 3}, name="shape"
    )
    model = with_integers(keras.Model(image, shape(padded_convolution(image))))
    folded = fold_zero_padding(model)
    copy = folded.get_layer("shape")
    assert copy.get_config()["output_shape"] == (81, 4)
    assert copy.arguments == {"factor": 3} and copy.mask is None
    assert_equal_outputs(model, folded, integer_inputs(model))


def test_inputs_stay_optional_sparse_and_of_their_type():
    """An input that may be None still may."""
    image = keras.Input((9, 9, 3), name="image")
    extra = keras.Input((9, 9, 4), name="extra", optional=True)
    table = keras.Input((5,), name="table", sparse=True, dtype="float64")

    class Add(layers.Layer):
        """Add what is there."""

        def call(self, x, y=None):
            """Return x + y, or x."""
            return x if y is None else x + y

        def compute_output_shape(self, x_shape, y_shape=None):
            """Return the shape of x."""
            return x_shape

    y = Add(name="add")(padded_convolution(image), extra)
    result = layers.Dense(2, name="dense")(table)
    model = with_integers(keras.Model([image, extra, table], [y, result]))
    folded = fold_zero_padding(model)
    for x, copy in zip(model.inputs, folded.inputs, strict=True):
        wanted, found = (t._keras_history.operation.get_config() for t in (x, copy))
        assert wanted == found
    x = np.random.default_rng(0).integers(-9, 10, (1, 9, 9, 3)).astype("float32")
    for inputs in (
        [x, None, np.ones((1, 5))],
        [x, x[..., [0, 1, 2, 0]], np.ones((1, 5))],
    ):
        for a, b in zip(model(inputs), folded(inputs), strict=True):
            assert np.array_equal(a, b)


def test_dtype_policies_are_the_model_s_and_not_the_program_s():
    """Built under mixed_float16, folded under float32."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        image = keras.Input((9, 9, 3), name="image")
        chain = keras.Sequential(
            [keras.Input((9, 9, 4)), layers.ZeroPadding2D(1), convolution()],
            name="inner",
        )
        model = keras.Model(image, Plus(1)(chain(padded_convolution(image))))
    finally:
        keras.config.set_dtype_policy("float32")
    folded = fold_zero_padding(model)
    for old, new in zip(
        [model, *model.layers, *model.get_layer("inner").layers],
        [folded, *folded.layers, *folded.get_layer("inner").layers],
        strict=True,
    ):
        assert old.dtype_policy.name == new.dtype_policy.name == "mixed_float16"
    assert {v.dtype for v in folded.weights} == {"float32"}
    assert folded(np.zeros((1, 9, 9, 3), "float32")).dtype == "float16"
    assert_equal_outputs(
        with_integers(model), with_integers(folded), integer_inputs(model)
    )


@pytest.mark.parametrize("frozen", ["model", "chain", "a", "part", "batch", None])
def test_trainable_flags(frozen):
    """Of the model, of a model in it, of a layer, of a layer in a layer."""
    image = keras.Input((9, 9, 3), name="image")
    inner, _, _ = sequential()
    rows = layers.TimeDistributed(layers.Dense(3, name="part"), name="rows")
    x = layers.BatchNormalization(name="batch")(rows(image))
    model = keras.Model(image, [padded_convolution(x), inner(x[:, 1:, 1:])])

    def every(model):
        return {layer.name: layer for layer in model._flatten_layers()}

    if frozen:
        (model if frozen == "model" else every(model)[frozen]).trainable = False
    folded = fold_zero_padding(model)
    flags = {name: layer.trainable for name, layer in every(model).items()}
    copies = {name: layer.trainable for name, layer in every(folded).items()}
    shared = flags.keys() & copies.keys()  # but for the names that Keras numbers
    assert len(shared) >= 10
    assert {n: flags[n] for n in shared} == {n: copies[n] for n in shared}
    assert folded.trainable == model.trainable == (frozen != "model")
    assert [v.path for v in folded.trainable_weights] == [
        v.path for v in model.trainable_weights
    ]


def test_a_layer_shared_between_nesting_levels_stays_one():
    """178 parameters had become 346."""
    shared = convolution(name="shared")
    part = keras.Input((9, 9, 4), name="part")
    padded = layers.ZeroPadding2D(1, name="pad_part")(part)
    inner = keras.Model(part, shared(padded), name="inner")
    chain = keras.Sequential([keras.Input((9, 9, 4)), shared], name="chain")
    image = keras.Input((9, 9, 4), name="image")
    padded = layers.ZeroPadding2D(1, name="pad")(image)
    model = keras.Model(image, [shared(padded), inner(image), inner(inner(image))])
    mixed = keras.Model(image, [shared(padded), chain(image)])
    for whole, padding in ((model, "same"), (mixed, "valid")):
        with_integers(whole)
        folded = fold_zero_padding(whole)
        assert folded.count_params() == whole.count_params() == 148
        assert folded.get_layer("shared").padding == padding
        nested = folded.get_layer("inner" if whole is model else "chain")
        assert nested.get_layer("shared") is folded.get_layer("shared")
        assert_equal_outputs(whole, folded, integer_inputs(whole))


class Subclassed(keras.Model):
    """A subclassed model that its config cannot rebuild."""

    def __init__(self, inner):
        """Hold a layer."""
        super().__init__(name="subclassed")
        self.inner = inner

    def call(self, x):
        """Call it."""
        return self.inner(x)


class Closed(layers.Layer):
    """A layer whose __init__ does not take what every config has."""

    def __init__(self):
        """Take nothing."""
        super().__init__(name="closed")

    def call(self, x):
        """Return x."""
        return x


class Borrowing(layers.Layer):
    """A layer with a variable that its own code does not make."""

    def call(self, x):
        """Return x."""
        return x


def test_what_cannot_be_copied_is_refused_by_name():
    """A ValueError that names the layer, whatever Keras raises."""
    borrowing = Borrowing(name="borrowing")
    borrowing.extra = keras.Variable(1.0)
    conv = convolution(name="conv", activation=lambda x: x)
    for layer in (Subclassed(layers.Dense(2)), Closed(), conv, borrowing):
        image = keras.Input((9, 9, 3), name="image")
        model = keras.Model(image, layer(padded_convolution(image)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of the lambda
            with pytest.raises(ValueError, match=f"model holds .*{layer.name}"):
                fold_zero_padding(model)


def test_a_function_of_one_s_own_as_activation():
    """Keras finds it by name, if told where."""

    def twice(x):
        return 2 * x

    image = keras.Input((9, 9, 3), name="image")
    model = with_integers(
        keras.Model(image, padded_convolution(image, activation=twice))
    )
    folded = fold_zero_padding(model)
    assert folded.get_layer("a").activation is twice
    assert_equal_outputs(model, folded, integer_inputs(model))


def test_an_adapted_vocabulary():
    """It is in no config and in no variable."""
    word = keras.Input((), dtype="string", name="word")
    text = keras.Input((), dtype="string", name="text")
    number = keras.Input((1,), name="number")
    lookup = layers.StringLookup(output_mode="one_hot", name="lookup")
    lookup.adapt(["b", "a", "b"])
    vectors = layers.TextVectorization(output_mode="tf_idf", name="vectors")
    vectors.adapt(["a b", "b c c", "d"])
    bins = layers.Discretization(num_bins=3, name="bins")
    bins.adapt(np.arange(9.0)[:, None])
    image = keras.Input((9, 9, 3), name="image")
    results = [lookup(word), vectors(text), bins(number), padded_convolution(image)]
    model = keras.Model([word, text, number, image], results)
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"a": "same"}
    inputs = [tf.constant(["a", "b", "z"]), tf.constant(["a a", "c d", "b"])]
    inputs += [tf.constant([[0.0], [5.0], [9.0]]), tf.ones((3, 9, 9, 3))]
    for a, b in zip(model(inputs), folded(inputs), strict=True):
        assert np.array_equal(a, b)


def test_models_in_time_distributed_are_folded(tmp_path):
    """Functional and Sequential ones, also one that stands outside too."""
    chain, _, _ = sequential()
    film = keras.Input((5, 8, 8, 3), name="film")
    image = keras.Input((8, 8, 3), name="image")
    x = layers.TimeDistributed(chain, name="frames")(film)
    model = keras.Model([film, image], [x, chain(image)])
    folded = fold_zero_padding(model)
    inner = folded.get_layer("frames").layer
    assert inner is folded.get_layer("chain")
    assert named_padding(inner) == {"a": "same", "b": "valid"}
    assert folded.count_params() == model.count_params()
    exchange_weight_files(model, folded, tmp_path)


def test_compile_state_is_not_kept_and_training_goes_on_from_the_same_weights():
    """Compiled alike, both take the same step, dropout included."""
    image = keras.Input((9, 9, 3), name="image")
    x = layers.Dropout(0.5, name="drop")(padded_convolution(image))
    x = layers.GlobalAveragePooling2D(name="mean")(layers.BatchNormalization()(x))
    model = with_integers(keras.Model(image, layers.Dense(2, name="dense")(x)))

    def loss(wanted, found):  # written on the spot: no config can restore it
        return keras.ops.mean((wanted - found) ** 2)

    model.compile(keras.optimizers.Adam(0.1), loss)
    x, wanted = integer_inputs(model)[0], np.ones((2, 2), "float32")
    model.train_on_batch(x, wanted)
    folded = fold_zero_padding(model)
    assert model.compiled and not folded.compiled
    assert not hasattr(folded, "optimizer")
    for network in (model, folded):
        network.compile(keras.optimizers.SGD(0.1), loss)
    for _ in range(2):
        losses = [float(n.train_on_batch(x, wanted)) for n in (model, folded)]
        np.testing.assert_allclose(*losses, rtol=1e-3)
    for a, b in zip(model.get_weights(), folded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


class OwnTraining(keras.Model):
    """A functional model with a training step of its own and an attribute."""

    extra = 3

    def train_step(self, data):
        """Do nothing."""
        return {}


def test_a_class_of_the_model_s_own_is_not_kept():
    """The copy is a plain model: what it computes is in the graph."""
    image = keras.Input((9, 9, 3), name="image")
    model = with_integers(OwnTraining(image, padded_convolution(image), name="own"))
    folded = fold_zero_padding(model)
    assert folded.name == "own" and not isinstance(folded, OwnTraining)
    assert_equal_outputs(model, folded, integer_inputs(model))


def mixture():
    """Masks, recurrence, attention, LoRA, a wrapper, nested dicts, late building."""
    words = keras.Input((7,), name="words", dtype="int32")
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Embedding(9, 4, mask_zero=True)(words)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    flat = layers.Flatten()(padded_convolution(image))
    dense = layers.Dense(2)
    results = [layers.GlobalAveragePooling1D()(x), dense(flat)]
    dense.enable_lora(2)
    norm = layers.SpectralNormalization(convolution(name="normed"))
    results.append(norm(layers.ZeroPadding2D(1)(image)))
    part = keras.Input((8, 8, 3), name="part")
    twins = {"p": padded_convolution(part, "b"), "q": part * 2}
    results.append(keras.Model({"part": part}, twins)({"part": image}))
    chain = keras.Sequential([layers.ZeroPadding2D(1), convolution(name="c")])
    late = keras.Sequential([chain, layers.Flatten()])
    results.append(late(image))
    drop = layers.Dropout(0.5)
    results.append(drop(image))
    drop.rate = 0.0  # the copy needs no seed then
    return keras.Model([words, image], results)


def test_all_kinds_of_layers_in_one_model(tmp_path):
    """Copied, folded, saved and loaded; weight files fit both ways."""
    model = mixture()
    folded = fold_zero_padding(model)
    assert named_padding(folded) == {"a": "same"}
    inputs = [
        np.random.default_rng(0).integers(0, 9, (2, 7)).astype("int32"),
        integer_inputs(model)[1],
    ]

    def check(one, other):
        pairs = zip(
            keras.tree.flatten(one(inputs)),
            keras.tree.flatten(other(inputs)),
            strict=True,
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)

    check(model, folded)
    folded.save(tmp_path / "folded.keras")
    check(model, keras.models.load_model(tmp_path / "folded.keras"))
    for source, target in ((folded, model), (model, folded)):
        source.save_weights(tmp_path / "file.weights.h5")
        target.load_weights(tmp_path / "file.weights.h5")
        check(source, target)


@pytest.mark.parametrize("rows", [False, True])
def test_a_sequential_called_at_other_sizes_than_its_own(rows):
    """Keras runs it there; its zeros are SAME's at the size it was built for only."""
    pair = [keras.layers.ZeroPadding2D(((0, 1), (0, 1))), keras.layers.Conv2D(3, 3, 2)]
    inner = keras.Sequential([keras.Input((8, 8, 3)), *pair])
    image = keras.Input((2, None, None, 3) if rows else (None, None, 3))
    layer = keras.layers.TimeDistributed(inner) if rows else inner
    model = keras.Model(image, layer(image))
    folded = fold_zero_padding(model)
    for size in (8, 9):
        x = np.ones((1, 2, size, size, 3) if rows else (1, size, size, 3), "float32")
        np.testing.assert_array_equal(folded(x), model(x))
    again = keras.models.clone_model(inner)
    fixed = keras.Sequential([keras.Input((8, 8, 3)), again])
    assert len(chapter.same_pairs(fixed)) == 2


def paddings_within(model):
    """Return {name: padding} of the convolutions at every level of a model."""
    kinds = tuple(ranked(kind, axes) for kind, ranks in EVERY.items() for axes in ranks)
    parts = model._flatten_layers()
    return {part.name: part.padding for part in parts if isinstance(part, kinds)}


@pytest.mark.parametrize("around", ["", "rows", "chain", "model in rows"])
@pytest.mark.parametrize("shared", [0, 1])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_layer_that_time_distributed_holds_too(transposed, shared, around):
    """Its call there is in no graph; a pair that is not shared folds all the same."""
    if transposed:
        layer = layers.Conv2DTranspose(1, 4, 2, name="layer")
        pair = [layer, layers.Cropping2D(1)]
    else:
        layer = layers.Conv2D(1, 3, 2, name="layer")
        pair = [layers.ZeroPadding2D(((0, 1), (0, 1))), layer]
    image, shape = keras.Input((6, 6, 1)), (2, 6, 6, 1)
    results = [pair[1](pair[0](image)), padded_convolution(image, "free")]
    held = layers.TimeDistributed(pair[shared])
    if around == "chain":
        held = keras.Sequential([keras.Input(shape), held])
    if around == "model in rows":
        part = keras.Input(shape)
        held = keras.Model(part, held(part))
    if around.endswith("rows"):
        held, shape = layers.TimeDistributed(held), (3, *shape)
    film = keras.Input(shape)
    model = with_integers(keras.Model([image, film], [*results, held(film)]))
    folded = fold_zero_padding(model)
    assert paddings_within(folded) == {"layer": "valid", "free": "same"}
    assert_equal_outputs(model, folded, integer_inputs(model))
    model = keras.Model(image, results)  # without it, the pair is folded
    folded = fold_zero_padding(model)
    assert paddings_within(folded) == {"layer": "same", "free": "same"}
    assert_equal_outputs(model, folded, integer_inputs(model))


def five_by_five(functional, pair):
    """Return a model of a padding and a convolution that declares 5 x 5 cells."""
    part = keras.Input((5, 5, 1))
    if functional:
        return keras.Model(part, pair[1](pair[0](part)))
    return keras.Sequential([part, *pair])


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize(
    "calls",  # (number of TimeDistributed around it, size) of each
    [
        [(0, 5), (1, 5), (2, 5)],  # the control: folded
        [(1, None)],
        [(2, None)],
        [(1, 5), (0, None)],
        [(0, None), (1, 5)],
        [(0, 5), (1, None)],
        [(1, None), (0, 5)],
        [(0, 5), (0, None)],
        [(0, None), (0, 5)],
        [(1, 5), (1, None)],
        [(1, None), (1, 5)],
    ],
)
def test_a_model_called_at_its_own_and_at_other_sizes(calls, functional):
    """One call at other sizes keeps it as it is, whichever call is met first."""
    pair = [layers.ZeroPadding2D(1), layers.Conv2D(1, 3, 2, name="layer")]
    inner = five_by_five(functional, pair)
    image = keras.Input((5, 5, 1))
    inputs, results = [image], [padded_convolution(image, "free")]
    for rows, size in calls:
        inputs.append(keras.Input((*[2] * rows, size, size, 1)))
        layer = inner
        for _ in range(rows):
            layer = layers.TimeDistributed(layer)
        results.append(layer(inputs[-1]))
    model = with_integers(keras.Model(inputs, results))
    folded = fold_zero_padding(model)
    fixed = (0, None) not in calls and (1, None) not in calls and (2, None) not in calls
    wanted = {"layer": "same" if fixed else "valid", "free": "same"}
    assert paddings_within(folded) == wanted
    refused = functional and (0, None) in calls  # by Keras, in a direct call
    for size in (5,) if refused else (5, 6):
        assert_equal_outputs(model, folded, integer_inputs(model, size))


@pytest.mark.parametrize("rows", [False, True])
def test_layers_shared_with_a_model_called_at_other_sizes(rows):
    """The copies of both are the same layers."""
    pair = [layers.ZeroPadding2D(1), layers.Conv2D(1, 3, 2, name="layer")]
    inner = five_by_five(rows, pair)
    if rows:
        inner = layers.TimeDistributed(inner)
    image = keras.Input((5, 5, 1))
    other = keras.Input((*[2] * rows, None, None, 1))
    results = [pair[1](pair[0](image)), inner(other), padded_convolution(image, "free")]
    model = with_integers(keras.Model([image, other], results))
    folded = fold_zero_padding(model)
    assert paddings_within(folded) == {"layer": "valid", "free": "same"}
    assert_equal_outputs(model, folded, integer_inputs(model, 6))


def test_a_functional_model_whose_sizes_keras_does_not_check():
    """It checks none where the inputs are a dict of lists."""
    part, image = keras.Input((5, 5, 1)), keras.Input((None, None, 1))
    x = layers.Conv2D(1, 3, 2, name="layer")(layers.ZeroPadding2D(1)(part))
    inner = keras.Model({"parts": [part]}, x)
    model = with_integers(keras.Model(image, inner({"parts": [image]})))
    folded = fold_zero_padding(model)
    assert_equal_outputs(model, folded, integer_inputs(model, 6))


def test_zeros_with_a_penalty_stay():
    """An Identity would lose it; a penalty on the convolution is no matter."""
    image = keras.Input((8, 8, 1))
    pad = layers.ZeroPadding2D(1, activity_regularizer="l2")
    crop = layers.Cropping2D(1, activity_regularizer="l2")
    up = layers.Conv2DTranspose(1, 4, 2, name="up")
    free = padded_convolution(image, "free", activity_regularizer="l2")
    results = [layers.Conv2D(1, 3, name="layer")(pad(image)), crop(up(image)), free]
    model = with_integers(keras.Model(image, results))
    folded = fold_zero_padding(model)
    wanted = {"layer": "valid", "up": "valid", "free": "same"}
    assert paddings_within(folded) == wanted
    assert_equal_outputs(model, folded, integer_inputs(model))
    assert len(model.losses) == 3
    np.testing.assert_allclose(folded.losses, model.losses, rtol=1e-6)
