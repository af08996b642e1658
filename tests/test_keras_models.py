"""fold_zero_padding on whole models of keras.applications, the original as judge.

Weights are random, BatchNormalization statistics those of one batch, so that a signal reaches the
features. HYPOTHESIS_PROFILE=long tries every model at every size.
"""

import functools

import h5py
import keras
import numpy as np
import pytest
from conftest import PROFILE
from keras import layers
from keras.src.applications.nasnet import NASNet

from notebooks import load

chapter = load("06")
fold_zero_padding = chapter.fold_zero_padding
same_padding = load("01").same_padding

MODELS = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"alpha": 0.75},
    "EfficientNetB0": {},
    "EfficientNetV2B0": {},
    "ResNet50": {},
    "ResNet50V2": {},
    "DenseNet121": {},
    "NASNetMobile": {},
    "NASNet": {  # NASNetMobile with one block for four: as many paddings
        "num_blocks": 1,
        "penultimate_filters": 288,
        "stem_block_filters": 8,
        "skip_reduction": False,
        "filter_multiplier": 2,
    },
    "ConvNeXtTiny": {},
    "VGG16": {},
    "Xception": {},
    "InceptionV3": {},
    "InceptionResNetV2": {},
}
SIZES = {"even": (64, 64), "odd": (65, 65), "oblong": (49, 78), "open": (None, None)}
LARGE = (
    "Xception",
    "InceptionV3",
    "InceptionResNetV2",
)  # they take no less than 71 or 75
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
IN_CI = {  # the paddings before and after
    ("MobileNet", "even"): (4, 0),
    ("MobileNetV2", "oblong"): (4, 0),
    ("MobileNetV3Small", "odd"): (4, 0),
    ("EfficientNetB0", "even"): (5, 0),
    ("EfficientNetV2B0", "open"): (0, 0),
    ("ResNet50", "odd"): (2, 1),
    ("DenseNet121", "oblong"): (2, 2),
    ("NASNet", "even"): (24, 8),
    ("ConvNeXtTiny", "oblong"): (0, 0),
    ("VGG16", "open"): (0, 0),
}
ALL = [(name, size) for name in MODELS for size in SIZES]
for nasnet in ("NASNetMobile", "NASNet"):
    ALL.remove((nasnet, "open"))  # pads as if sizes were even: does not run itself


def size_of(name, size):
    """Return (height, width) of the input of a model of keras.applications."""
    return tuple(n and n + 32 * (name in LARGE) for n in SIZES[size])


def images(size, seed=0):
    """Return two random images; an open size is tried at 96 x 128."""
    shape = [n or known for n, known in zip(size, (96, 128), strict=True)]
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (2, *shape, 3)).astype("float32")


@functools.lru_cache(maxsize=1)
def network(name, size):
    """Return a model without its top, with a signal in its features."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name, NASNet)(
        weights=None,
        include_top=False,
        input_shape=(*size_of(name, size), 3),
        **MODELS[name],
    )
    return chapter.with_batch_statistics(model, images(size_of(name, size), seed=1))


def paddings(model):
    """Return {name: layer} of the ZeroPadding2D layers of a model."""
    return {x.name: x for x in model.layers if isinstance(x, layers.ZeroPadding2D)}


def is_foldable(pad):
    """Tell by hand whether all that reads a padding, called once, is SAME with it."""
    sizes = pad.input.shape[1:3]
    for conv in (node.operation for node in pad._outbound_nodes):
        if not isinstance(conv, CONVOLUTIONS) or conv.padding != "valid":
            return False
        for pair, n, k, s in zip(
            pad.padding, sizes, conv.kernel_size, conv.strides, strict=True
        ):
            every = [n] if n else range(1, 50)
            for (
                size
            ) in every:  # the same start, and as many windows as SAME's ceil(n / s)
                before, _ = same_padding(size, k, s)
                if before != pair[0] or (size + sum(pair) - k) // s != (size - 1) // s:
                    return False
    return True


def assert_close(found, wanted):
    """Assert that features are equal to rounding, and that there is something to compare."""
    found, wanted = np.asarray(found, "float64"), np.asarray(wanted, "float64")
    assert found.shape == wanted.shape
    assert wanted.std() > 1e-2 * np.abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())


def contents(path):
    """Return {place: array} of a weight file."""
    found = {}

    def visit(place, item):
        if isinstance(item, h5py.Dataset):
            found[place] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("name, size", ALL)
def test_a_model_of_keras_applications(name, size, tmp_path):
    """Folded as counted by hand; same layers, features and weight files, both ways."""
    if PROFILE != "long" and (name, size) not in IN_CI:
        pytest.skip("one size a model, ten models; all with HYPOTHESIS_PROFILE=long")
    model = network(name, size)
    folded = fold_zero_padding(model)
    before, after = paddings(model), paddings(folded)
    assert set(after) == {n for n, pad in before.items() if not is_foldable(pad)}
    counts = len(before), len(after)
    assert IN_CI.get((name, size), counts) == counts
    assert [x.name for x in folded.layers] == [x.name for x in model.layers]
    assert [w.shape for w in folded.weights] == [w.shape for w in model.weights]
    x = images(size_of(name, size))[:1]
    features = model(x)
    assert_close(folded(x), features)
    # A file of either loads into either if both files hold the same: one load will do.
    files = []
    for number, source in enumerate((model, folded)):
        source.save_weights(tmp_path / f"{number}.weights.h5")
        files.append(contents(tmp_path / f"{number}.weights.h5"))
    ours, theirs = files
    assert ours.keys() == theirs.keys() and len(ours) >= len(model.weights)
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    if name != "MobileNet":
        return
    values = model.get_weights()
    for variable in folded.weights:
        variable.assign(variable * 0 + 7)
    folded.load_weights(tmp_path / "0.weights.h5")
    pairs = zip(folded.get_weights(), values, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_a_whole_model_saved_and_loaded(tmp_path):
    """A folded model as a .keras file."""
    model = network("MobileNet", "even")
    folded = fold_zero_padding(model)
    assert paddings(model) and not paddings(folded)
    folded.save(tmp_path / "folded.keras")
    loaded = keras.models.load_model(tmp_path / "folded.keras")
    x = images(SIZES["even"])
    assert np.array_equal(loaded(x), folded(x))
    assert_close(loaded(x), model(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision(policy):
    """Every layer keeps its policy; what is rounded more coarsely agrees more coarsely."""
    if PROFILE != "long" and policy == "mixed_bfloat16":
        pytest.skip("two of three policies; all with HYPOTHESIS_PROFILE=long")
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        model = keras.applications.MobileNet(
            (64, 64, 3), weights=None, include_top=False, alpha=0.25, dropout=0.0
        )
    finally:
        keras.config.set_dtype_policy("float32")
    x = images((64, 64))
    chapter.with_batch_statistics(model, x)
    folded = fold_zero_padding(model)
    assert len(paddings(model)) == 4 and not paddings(folded)
    for a, b in zip(model.layers, folded.layers, strict=True):
        assert a.dtype_policy.name == b.dtype_policy.name
    assert [v.dtype for v in model.weights] == [v.dtype for v in folded.weights]
    found, wanted = (np.asarray(m(x), "float32") for m in (folded, model))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.1 * np.abs(wanted).max())


def test_a_training_step_of_a_whole_model():
    """Gradients go through the folded layers as through the pairs, dropout included."""
    keras.utils.set_random_seed(0)
    base = network("MobileNet", "even")
    x = layers.GlobalAveragePooling2D()(base.output)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(base.input, layers.Dense(3)(x))
    folded = fold_zero_padding(model)
    assert not paddings(folded)
    x, wanted = images(SIZES["even"]), np.ones((2, 3), "float32")
    start = model.get_weights()
    for one in (model, folded):
        one.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=True)
        one.train_on_batch(x, wanted)
    steps = zip(start, model.get_weights(), folded.get_weights(), strict=True)
    moved = [(a - s, b - s) for s, a, b in steps]
    largest = max(np.abs(a).max() for a, _ in moved)
    assert largest > 1e-4
    for a, b in moved:
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-2 * largest)
