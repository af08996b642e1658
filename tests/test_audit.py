"""`audit`, `compare` and `fix` of chapter 16 on real architectures, against the frameworks.

The judge of a verdict is an execution: each layer of a network is run alone by PyTorch on random
integers, with the layer's own windows, with SAME's, SAME_LOWER's and symmetric ones, and the values
decide. The judges of the sizes are the frameworks' own shapes.
"""

import copy
import io
import itertools
import json
import os
import re
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is fetched: configurations are made here

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from conftest import PROFILE, examples, lite_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from notebooks import load

chapter = load("16")
audit, compare, fix = chapter.audit, chapter.compare, chapter.fix
same_padding = load("01").same_padding
keras_to_torch = load("11").keras_to_torch
L = keras.layers
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
pytestmark = pytest.mark.usefixtures("one_thread")
long_only = pytest.mark.skipif(
    PROFILE != "long", reason="large: run with HYPOTHESIS_PROFILE=long"
)


def along_one_axis(kind, x, w, k, s, d, pads, count, how):
    """Return what windows from -pads[0] on make of x (1, 1, n), `count` of them, slowly."""
    n, (front, behind) = x.shape[-1], how["folded"]
    outputs = []
    for window in range(count):
        cells = [window * s - pads[0] + tap * d for tap in range(k)]
        inside = [0 <= cell < n for cell in cells]
        values = [
            x[0, 0, c] if ok else 0.0 for c, ok in zip(cells, inside, strict=True)
        ]
        if kind in ("conv", "depthwise"):
            outputs.append(sum(v * t for v, t in zip(values, w, strict=True)))
            continue
        zone = [-front <= cell < n + behind for cell in cells]
        if kind == "max_pool":
            zeros = zone if how["zeros"] else inside
            taken = [v for v, ok in zip(values, zeros, strict=True) if ok]
            outputs.append(max(taken, default=-np.inf))
        else:
            counted = sum(zone if how["counts"] else inside)
            outputs.append(sum(values) / counted if counted else 0.0)
    return np.array(outputs)


def equal_by_values(row, axis, rule, how, tries=3):
    """Tell by executing both whether a row's layer is what a rule makes, along one axis."""
    rng = np.random.default_rng(0)
    k, s, d = (row[f][axis] for f in ("kernel_size", "stride", "dilation"))
    n, pads, kind = row["input_size"][axis], row["pads"][axis], row["kind"]
    count = row["output_size"][axis]
    if kind == "conv_transpose":
        return transposed_by_values(row, axis, rule)
    less, more = same_padding(n, k, s, d)
    other = {"same": (less, more), "lower": (more, less)}.get(rule, (pads[0],) * 2)
    windows = (n + sum(other) - (k - 1) * d - 1) // s + 1
    if rule != "symmetric":
        windows = -(-n // s)
    if windows != count or other[0] < 0:
        return False
    plain = {"folded": (0, 0), "zeros": False, "counts": False}
    if rule == "symmetric" and kind == "avg_pool":
        how = plain
    for _ in range(tries):
        x = rng.integers(-2047, -1, (1, 1, n)).astype(float)  # a zero would win
        w = rng.integers(1, 2047, k).astype(float)
        own = along_one_axis(kind, x, w, k, s, d, pads, count, how)
        wanted = along_one_axis(kind, x, w, k, s, d, other, count, plain)
        if not np.array_equal(own, wanted):
            return False
    return True


def transposed_by_values(row, axis, rule):
    """Tell whether a transposed row's crop is a rule's, by TensorFlow or PyTorch itself."""
    k, s, d = (row[f][axis] for f in ("kernel_size", "stride", "dilation"))
    (before, after), n = row["pads"][axis], row["input_size"][axis]
    size = row["output_size"][axis]
    rng = np.random.default_rng(0)
    x, w = (rng.integers(1, 99, m).astype("float32") for m in (n, k))
    full = F.conv_transpose1d(
        *(torch.from_numpy(t.reshape(1, 1, -1)) for t in (x, w)), stride=s, dilation=d
    )
    own = F.pad(full, (-before, -after)).numpy().ravel()
    if rule == "symmetric":
        for p, o in itertools.product(range(k * d + 1), range(max(s, d))):
            try:
                y = F.conv_transpose1d(
                    *(torch.from_numpy(t.reshape(1, 1, -1)) for t in (x, w)),
                    None, s, p, o, 1, d,
                )  # fmt: skip
            except RuntimeError:
                continue
            if np.array_equal(y.numpy().ravel(), own):
                return True
        return False
    if not (n - 1) * s < size <= n * s:
        return False
    less, more = same_padding(size, k, s, d)
    kept = less if rule == "same" else more
    wanted = F.pad(full, (-kept, size + kept - full.shape[-1])).numpy().ravel()
    return np.array_equal(own, wanted)


def layers_of(model, size=None):
    """Return (rows, how) of a model: the row and how its padding is filled."""
    kept = []
    real = chapter.row_of

    def row_of(layer, *arguments):
        """Keep the layer of which a row is made."""
        row = real(layer, *arguments)
        if row["kind"] != "unknown":
            kept.append((row, layer))
        return row

    chapter.row_of = row_of
    try:
        rows = audit(model, size)
    finally:
        chapter.row_of = real
    json.dumps(rows)
    assert [row for row in rows if row["kind"] != "unknown"] == [row for row, _ in kept]
    return rows, kept


def check_verdicts(model, size=None):
    """Assert that every verdict of every row is what execution shows; return the rows."""
    rows, kept = layers_of(model, size)
    seen = {}
    for row, layer in kept:
        for axis in range(len(row["kernel_size"])):
            if row["input_size"][axis] is None or not row["output_size"][axis]:
                continue
            own = layer["pads"][axis]
            own = own if isinstance(own, tuple) else row["pads"][axis]
            put = tuple(layer["folded"][axis])
            counts = bool(layer["counts_padding"]) or any(put)
            zone = np.add(own, put) if layer["counts_padding"] and own else put
            zone = put if row["kind"] == "max_pool" or zone is None else zone
            how = {"folded": tuple(zone), "zeros": layer["zeros"], "counts": counts}
            one = {f: row[f] if f == "kind" else [row[f][axis]] for f in (
                "kind", "kernel_size", "stride", "dilation", "input_size",
                "output_size", "pads",
            )}  # fmt: skip
            key = json.dumps([one, how], default=str)
            if key not in seen:
                rules = ("same", "lower", "symmetric")
                seen[key] = [equal_by_values(one, 0, rule, how) for rule in rules]
            row.setdefault("by values", []).append(seen[key])
        if "by values" in row:
            values = np.all(row.pop("by values"), axis=0).tolist()
            told = [row[rule] for rule in ("same", "lower", "symmetric")]
            if not any(isinstance(verdict, str) for verdict in told):
                assert told == values, row
    return rows


def keras_sizes(model, size):
    """Return {layer: spatial sizes of its inputs} as Keras computes them."""
    found = {}
    x = {name: tf.TensorSpec((1, *size, 3)) for name in ("x",)}["x"]
    outputs = [layer.output for layer in model.layers[1:]]
    names = [layer.name for layer in model.layers[1:]]
    many = keras.Model(model.inputs, outputs)
    for name, y in zip(
        names, many.compute_output_spec(keras.KerasTensor(x.shape)), strict=True
    ):
        found[name] = list(y.shape)[1:-1]
    return found


KERAS = {
    "MobileNet": (((224, 224), (225, 192)), {"alpha": 0.25}),
    "MobileNetV2": (((224, 224),), {"alpha": 0.35}),
    "ResNet50": (((224, 224), (225, 225)), {}),
    "VGG16": (((224, 224),), {}),
    "DenseNet121": (((224, 224),), {}),
    "EfficientNetB0": (((224, 224), (225, 225)), {}),
    "EfficientNetV2B0": (((224, 224),), {}),
    "InceptionV3": (((299, 299),), {}),
    "Xception": (((299, 299),), {}),
    "NASNetMobile": (((224, 224),), {}),
    "ConvNeXtTiny": (((224, 224),), {}),
    "MobileNetV3Small": (((224, 224),), {}),
}
QUICK = ("MobileNet",)


@pytest.mark.parametrize("name", KERAS)
def test_keras_applications(name):
    """Sizes are Keras's own, verdicts what execution shows."""
    if name not in QUICK and PROFILE != "long":
        pytest.skip(f"{name} takes long: run with HYPOTHESIS_PROFILE=long")
    sizes, how = KERAS[name]
    for size in sizes if PROFILE == "long" else sizes[:1]:
        how = {"weights": None, "include_top": False} | how
        model = getattr(keras.applications, name)(input_shape=(*size, 3), **how)
        rows = check_verdicts(model)
        outputs = keras_sizes(model, size)
        for row in rows:
            if row["name"] in outputs and "Separable" not in row["type"]:
                assert row["output_size"] == outputs[row["name"]], row["name"]
        assert len(rows) > 15
        assert not any(row["kind"] == "unknown" for row in rows)


def test_what_is_known_of_mobile_net_and_res_net():
    """The shifts of chapter 14: 31 pixels in all at 224, none at 225 in a symmetric net."""
    model = keras.applications.MobileNet((224, 224, 3), 0.25, weights=None)
    rows = audit(model)
    assert [row["shift_pixels"][0] for row in rows if row["shift_pixels"][0]] == [
        1,
        2,
        4,
        8,
        16,
    ]
    assert [row["name"] for row in rows if row["same"] is not True] == []
    front = [  # of Keras's ResNet50
        L.ZeroPadding2D(3),
        L.Conv2D(8, 7, 2, name="conv"),
        L.BatchNormalization(),
        L.ReLU(),
        L.ZeroPadding2D(1),
        L.MaxPooling2D(3, 2, name="pool"),
    ]
    model = keras.Sequential([keras.Input((None, None, 3)), *front])
    rows = {row["name"]: row for row in audit(model)}
    for name in ("conv", "pool"):  # a Pad of zeros behind a ReLU, too
        assert rows[name]["same"] == "equal where (n - 1) mod 2 = 0"
        assert rows[name]["symmetric"] is rows[name]["lower"] is True


class Block(nn.Module):
    """A residual block of ResNet-18."""

    def __init__(self, inputs, outputs, stride):
        """Build it."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.down = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        """Return the block of x."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.down(x))


def resnet():
    """Return a thin ResNet-18."""
    widths, blocks = (8, 8, 16, 32, 64), []
    for i in range(4):
        blocks += [
            Block(widths[i], widths[i + 1], 1 + (i > 0)),
            Block(widths[i + 1], widths[i + 1], 1),
        ]
    stem = [
        nn.Conv2d(3, 8, 7, 2, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    return nn.Sequential(*stem, *blocks, nn.AvgPool2d(2))


class UNet(nn.Module):
    """A U-Net of two levels, with a pool that rounds up and a functional pad."""

    def __init__(self):
        """Build it."""
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.up, self.end = nn.ConvTranspose2d(8, 8, 3, 2, 1, 1), nn.Conv2d(16, 2, 3)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, x):
        """Return the map of x."""
        a = torch.relu(self.one(x))
        b = self.up(self.two(self.pool(a)))
        return self.end(F.pad(torch.cat([a, b], 1), (1, 1, 1, 1)))


def torch_check(model, x):
    """Audit a PyTorch model at x's size; its sizes must be those that hooks see."""
    seen, hooks = {}, []
    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d)
    for name, module in model.named_modules():
        if type(module) in kinds:

            def hook(module, args, y, name=name):
                """Note the shapes."""
                seen.setdefault(name, []).append(
                    (list(args[0].shape[2:]), list(y.shape[2:]))
                )

            hooks.append(module.register_forward_hook(hook))
    with torch.no_grad():
        model.eval()(x)
    for hook in hooks:
        hook.remove()
    rows = check_verdicts(model, x)
    for row in rows:
        if row["name"] in seen:
            size, output = seen[row["name"]].pop(0)
            assert row["output_size"] == output
            if "Pad" not in row["declared"]:
                assert row["input_size"] == size
    assert not any(seen.values())
    return rows


@pytest.mark.parametrize("size", [(64, 64), (65, 65), (57, 62)])
def test_plain_pytorch_networks(size):
    """A ResNet and a U-Net written here; the U-Net's F.pad is found in its forward."""
    rows = torch_check(resnet(), torch.zeros(1, 3, *size))
    assert len(rows) == 27
    if not any(n % 2 for n in size):
        rows = {
            row["name"]: row for row in torch_check(UNet(), torch.zeros(1, 3, *size))
        }
        assert rows["pool"]["same"] is True  # ceil_mode, total 1
        assert rows["end"]["declared"].startswith("Pad") and rows["end"]["same"] is True
        assert rows["up"]["same"] is False and rows["up"]["symmetric"] is True


NAMES = (
    "ResNet",
    "MobileNetV1",
    "MobileNetV2",
    "Segformer",
    "PoolFormer",
    "RegNet",
    "HGNetV2",
)


@pytest.mark.parametrize("name", NAMES)
def test_models_of_transformers(name):
    """The library's networks, built without weights."""
    if name not in NAMES[:3] and PROFILE != "long":
        pytest.skip(f"{name}: run with HYPOTHESIS_PROFILE=long")
    import test_torch_models

    model = test_torch_models.built(name)
    for size in ((64, 64), (65, 65))[: 2 if PROFILE == "long" else 1]:
        rows = torch_check(model, torch.zeros(1, 3, *size))
        if name.startswith("MobileNet"):  # pads by the size, as TensorFlow does
            assert all(row["same"] is True for row in rows)
    if name == "ResNet":
        rows = audit(model)
        assert rows[0]["same"] == "equal where (n - 1) mod 2 = 0"
    if name == "MobileNetV1":  # whose padding depends on the size: nothing is claimed
        assert {row["kind"] for row in audit(model)} >= {"unknown"}


@pytest.mark.parametrize(
    "path", sorted(LIGHT.glob("*.onnx")), ids=lambda path: path.stem
)
def test_onnx_models_that_a_package_ships(path):
    """Networks of ONNX's own tests: none unknown, sizes those of the shape inference."""
    if path.stem not in ("light_resnet50", "light_squeezenet", "light_inception_v1"):
        if PROFILE != "long":
            pytest.skip(f"{path.stem}: run with HYPOTHESIS_PROFILE=long")
    rows = check_verdicts(str(path))
    assert rows and not any(row["kind"] == "unknown" for row in rows)
    assert not any(None in row["input_size"] for row in rows)
    model = onnx.load(path)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred
    }
    for node in model.graph.node:
        found = [r for r in rows if r["name"] in (node.name, node.output[0])]
        if found and node.output[0] in shapes:
            assert found[0]["output_size"] == shapes[node.output[0]][2:]


def exported(model, x, **how):
    """Return the bytes of a module's ONNX file."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (x,), file, dynamo=False, input_names=["x"], **how
        )
    return file.getvalue()


VERDICTS = ("kind", "input_size", "output_size", "kernel_size", "stride", "dilation")
VERDICTS += ("pads", "same", "symmetric", "lower", "shift")


def verdicts(rows):
    """Return what must be equal of one network in two formats."""
    return [[row[f] for f in VERDICTS] for row in rows]


@pytest.mark.parametrize("model", [resnet(), UNet()], ids=["ResNet", "U-Net"])
def test_an_export_has_the_rows_of_its_module(model):
    """PyTorch and the ONNX file of it, at its own size, at another and at open ones."""
    x = torch.zeros(1, 3, 64, 64)
    data = exported(model, x)
    assert verdicts(audit(data)) == verdicts(audit(model, 64))
    open_sizes = exported(model, x, dynamic_axes={"x": {2: "h", 3: "w"}})
    assert verdicts(audit(open_sizes, 80)) == verdicts(audit(model, 80))
    rows = audit(open_sizes)
    assert rows[0]["input_size"] == [None, None]
    assert compare(model, data, np.ones((1, 3, 64, 64))).get("cause") is None


class Decoder(nn.Module):
    """The recipes of chapters 5 and 9 as they are written: pads and crops around a layer."""

    def __init__(self):
        """Build it."""
        super().__init__()
        self.conv, self.up = (
            load("05").Conv2dSame(3, 4, 3, 2),
            nn.ConvTranspose2d(4, 2, 3, 2),
        )

    def forward(self, x):
        """Return the convolution, then the transposed one without its last cells."""
        return self.up(self.conv(x))[..., :-1, :-1]


def test_the_books_own_recipes_are_seen_for_what_they_are():
    """Conv2dSame pads both sides and drops the first output; it is SAME all the same."""
    for model in (Decoder(), exported(Decoder(), torch.zeros(1, 3, 64, 64))):
        rows = audit(model, 64)
        if isinstance(model, bytes):  # the exporter keeps the count of the zeros
            assert rows[0]["kind"] == "unknown" and "run time" in rows[0]["note"]
            assert audit(nn.Sequential(*Decoder().children()), 64)[0]["same"] is True
            continue
        assert [row["same"] for row in rows] == [True, True]
        assert [row["pads"] for row in rows] == [[[0, 1], [0, 1]]] * 2
        assert rows[0]["input_size"] == [64, 64] and rows[1]["output_size"] == [64, 64]


def test_models_of_the_wheel(mediapipe_models):
    """Fourteen networks of Google: sizes are the interpreter's, verdicts those of execution."""
    quick = ("face_detection_short_range", "selfie_segmentation")
    for name, data in mediapipe_models.items():
        if PROFILE != "long" and name not in quick:
            continue
        rows = check_verdicts(data)
        unknown = [row["type"] for row in rows if row["kind"] == "unknown"]
        custom = ["Convolution2DTransposeBias"] if "selfie" in name else []
        assert unknown == custom
        assert not any(None in (row["input_size"] or []) for row in rows)
    rows = audit(mediapipe_models[quick[0]])
    assert len(rows) == 40 and all(row["same"] is True for row in rows)
    assert [r["shift_pixels"] for r in rows if r["symmetric"] is not True][0] == [1, 1]


def test_tflite_of_every_kind_of_layer():
    """A converted Keras model has Keras's rows, at sizes even and odd; compare agrees."""
    layers = [
        L.Conv2D(4, 3, 2, "same", activation="relu"),
        L.MaxPooling2D(3, 2, "same"),
        L.DepthwiseConv2D(3, 1, "valid", activation="relu6"),
        L.AveragePooling2D(3, 1, "same"),
        L.Conv2DTranspose(4, 3, 2, "same"),
        L.ZeroPadding2D(((0, 2), (1, 0))),
        L.Conv2D(4, 5, 2, "valid"),
    ]
    model = keras.Sequential([keras.Input((32, 29, 3)), *layers])
    data = lite_of(model)
    assert verdicts(audit(data)) == verdicts(audit(model))
    x = np.random.default_rng(0).normal(size=(1, 32, 29, 3)).astype("float32")
    found = compare(model, data, x)
    assert found["cause"] is None, found
    with pytest.raises(ValueError, match="input_size must be None or the file's own"):
        audit(data, 64)


def converted(*layers, size):
    """Return a Keras model of integer weights and the bytes of its .tflite file."""
    model = keras.Sequential([keras.Input((*size, 3)), *layers])
    rng = np.random.default_rng(0)
    model.set_weights([rng.integers(-9, 9, w.shape) for w in model.get_weights()])
    return model, lite_of(model)


DILATED = {
    "same": ([L.Conv2D(4, 3, padding="same", dilation_rate=2)], True, True),
    "valid": ([L.Conv2D(4, 3, dilation_rate=2)], False, True),
    "an odd total": (
        [L.Conv2D(4, (2, 4), padding="same", dilation_rate=(2, 3))], True, False,
    ),
    "depthwise": (
        [L.DepthwiseConv2D(3, padding="same", dilation_rate=2)], True, True,
    ),
    "a Pad before": (
        [L.ZeroPadding2D(((1, 3), (2, 2))), L.Conv2D(4, 3, dilation_rate=2)],
        False,
        False,
    ),
    "a crop behind": (
        [
            L.Conv2D(4, 3, padding="same", dilation_rate=2, use_bias=False),
            L.Cropping2D(1),
        ],
        False,
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DILATED)
def test_dilated_convolutions_of_tflite(name):
    """Blocks, a VALID layer, blocks joined: one row, as the executed file says."""
    layers, same, symmetric = DILATED[name]
    sizes = ((16, 17), (13, 14)) if PROFILE == "long" else ((16, 17),)
    for size in sizes:
        layers = [type(one).from_config(one.get_config()) for one in layers]
        model, data = converted(*layers, size=size)
        (row,) = check_verdicts(data)
        assert verdicts([row]) == verdicts(audit(model))
        assert (row["same"], row["symmetric"]) == (same, symmetric)
        x = np.random.default_rng(1).integers(-9, 9, (1, *size, 3)).astype("float32")
        (made,) = load("15").run_lite(data, x)
        rate = row["dilation"]
        layer = next(one for one in model.layers if one.weights)
        kernel, *bias = layer.get_weights()
        if row["kind"] == "depthwise":
            wanted = tf.nn.depthwise_conv2d(x, kernel, [1] * 4, "SAME", None, rate)
        else:
            wanted = tf.nn.conv2d(x, kernel, 1, "SAME", dilations=rate)
        assert np.array_equal(made, sum(bias, wanted.numpy())) is same
        assert compare(model, data, x)["cause"] is None


@pytest.mark.parametrize(
    "k, d, padding", [(3, 2, "same"), (4, 3, "same"), (3, 2, "causal")]
)
def test_dilated_convolutions_of_tflite_in_1_d(k, d, padding):
    """One row is put in before the layer and taken out behind it: a row of one axis."""
    how = {"padding": padding, "dilation_rate": d, "activation": "relu"}
    model, data = converted(L.Conv1D(4, k, **how), size=(18,))
    (row,) = check_verdicts(data)
    assert verdicts([row]) == verdicts(audit(model))
    assert row["kernel_size"] == [k] and row["jump"] == [1]
    x = np.random.default_rng(1).integers(-9, 9, (1, 18, 3)).astype("float32")
    (made,) = load("15").run_lite(data, x)
    kernel, bias = model.layers[-1].get_weights()
    same = tf.nn.relu(tf.nn.conv1d(x, kernel, 1, "SAME", dilations=d) + bias)
    assert np.array_equal(made, same) is row["same"] is (padding == "same")
    assert compare(model, data, x)["cause"] is None


def test_what_works_on_blocks_otherwise_is_unknown():
    """Blocks of a computed size: no verdict, and why."""
    for size, layer in (
        ((None, None), L.Conv2D(4, 3, padding="same", dilation_rate=2)),
        ((None,), L.Conv1D(4, 3, padding="same", dilation_rate=2)),
    ):
        (row,) = audit(converted(layer, size=size)[1])
        assert row["kind"] == "unknown" and "SPACE_TO_BATCH_ND" in row["note"]
        assert row["same"] is row["symmetric"] is row["lower"] is None


def test_a_causal_layer_has_its_row():
    """Though its call pads by an operation of its own; what follows is a layer apart."""
    front = L.Conv1D(4, 3, padding="causal", dilation_rate=2, name="causal")
    layers = [front, L.ZeroPadding1D((1, 2)), L.Conv1D(5, 3, 2, name="behind")]
    rows = audit(keras.Sequential([keras.Input((50, 3)), *layers]))
    assert [row["name"] for row in rows] == ["causal", "behind"]
    assert [row["pads"] for row in rows] == [[[4, 0]], [[1, 2]]]
    assert [row["same"] for row in rows] == [False, False]
    assert [row["jump"] for row in rows] == [[1], [1]]
    assert [row["note"] for row in rows] == ["", ""]  # zeros are right in a convolution

    class Mine(L.Conv1D):
        """Its call may do anything, a Pad too."""

    layer = Mine(4, 3, padding="causal")
    (row,) = audit(keras.Sequential([keras.Input((50, 3)), layer]))
    assert row["kind"] == "unknown"


# --- verdicts, generated


sizes = st.tuples(
    st.integers(1, 20), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3)
)


@settings(max_examples=examples(150))
@given(sizes, st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans())
def test_convolutions_by_execution(layer, before, after, same, lower):
    """Any size, kernel, stride, dilation and padding: the verdicts are the values'."""
    n, k, s, d = layer
    pads = ("lower" if lower else "same") if same else (before, after)
    how = {"stride": [s], "dilation": [d], "pads": [pads], "declared": ""}
    steps = [chapter.window_step("l", "Conv", "conv", ["x"], ["y"], [2], [k], **how)]
    (row,) = chapter.rows_of(steps, {"x": [1, 1, n]}, ["x"], ["y"])
    if row["output_size"] == [0]:
        assert row["same"] is row["symmetric"] is row["lower"] is None
        return
    plain = {"folded": (0, 0), "zeros": False, "counts": False}
    for rule in ("same", "lower", "symmetric"):
        assert row[rule] == equal_by_values(row, 0, rule, plain), (rule, row)


@settings(max_examples=examples(100))
@given(sizes, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_open_sizes_by_every_size(layer, before, after, same):
    """The sentence of an open size is the verdict of each size that it speaks of."""
    _, k, s, d = layer
    pads = "same" if same else (before, after)
    how = {"stride": [s], "dilation": [d], "pads": [pads], "declared": ""}
    steps = [chapter.window_step("l", "Conv", "conv", ["x"], ["y"], [2], [k], **how)]
    (open_row,) = chapter.rows_of(steps, {"x": [1, 1, None]}, ["x"], ["y"])
    reach = (k - 1) * d + 1
    for n in range(reach, reach + 3 * s):
        (row,) = chapter.rows_of(steps, {"x": [1, 1, n]}, ["x"], ["y"])
        for rule in ("same", "lower", "symmetric"):
            verdict = open_row[rule]
            if isinstance(verdict, str):
                held = verdict.removeprefix(f"equal where (n - 1) mod {s} = ").split(
                    ", "
                )
                verdict = str((n - 1) % s) in held
            assert row[rule] is verdict


@settings(max_examples=examples(60), deadline=None)
@given(
    st.integers(3, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2),
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_pools_of_pytorch_by_execution(n, k, s, p, mean, ceil, counts):
    """A pool is SAME just when PyTorch's result is TensorFlow's, ceil_mode and counting too."""
    p = min(p, k // 2)
    if n + 2 * p < k:
        return
    if mean:
        pool = nn.AvgPool2d((1, k), (1, s), (0, p), ceil, counts)
    else:
        pool = nn.MaxPool2d((1, k), (1, s), (0, p), ceil_mode=ceil)
    (row,) = audit(pool, torch.zeros(1, 1, 1, n))
    rng = np.random.default_rng(0)
    x = rng.integers(-2047, -1, (1, 1, 8, n)).astype("float32") * 420
    same = (tf.nn.avg_pool2d if mean else tf.nn.max_pool2d)(
        x.transpose(0, 2, 3, 1), (1, k), (1, s), "SAME"
    ).numpy()[0, :, :, 0]
    y = pool(torch.from_numpy(x)).numpy()[0, 0]
    assert row["output_size"][1] == y.shape[1]
    equal = y.shape == same.shape and bool(np.allclose(y, same, rtol=1e-5))
    assert row["same"] is equal


def test_a_pad_of_zeros_before_a_maximum():
    """Not SAME; behind a ReLU it is; -inf is; a mean counts it."""

    def same(*modules):
        """Return the verdict on the last layer."""
        return audit(nn.Sequential(nn.Conv2d(3, 3, 1), *modules), 8)[-1]["same"]

    class Beside(nn.Module):
        """A ReLU, and beside it what PyTorch does not tell of: a constant."""

        def forward(self, x):
            """Return both."""
            return torch.cat([torch.relu(x), -torch.ones_like(x)], 1)

    x = torch.zeros(1, 3, 8, 8)
    zeros, pool = nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)
    assert same(zeros, pool) is False
    assert same(nn.ReLU(), zeros, pool) is same(nn.ReLU6(), zeros, pool) is True
    assert same(nn.LeakyReLU(), zeros, pool) is False
    assert same(nn.Softplus(), nn.Dropout2d(), zeros, pool) is True
    assert same(nn.BatchNorm2d(3), zeros, pool) is False
    assert same(nn.Hardtanh(0, 1), zeros, pool) is True
    for unknown in (nn.Hardtanh(), nn.Threshold(0, 0), nn.LogSigmoid(), Beside()):
        assert same(unknown, zeros, pool) is None
        assert (
            "is not known" in audit(nn.Sequential(unknown, zeros, pool), x)[0]["note"]
        )
    assert same(nn.ConstantPad2d((0, 1, 0, 1), -torch.inf), pool) is True
    assert same(nn.ConstantPad2d((0, 1, 0, 1), 1.0), pool) is None
    assert same(nn.ReLU(), zeros, nn.AvgPool2d(3, 2)) is False
    for counts in (True, False):  # on 9 cells its windows are SAME's
        pool = nn.AvgPool2d(3, 2, 1, count_include_pad=counts)
        assert audit(pool, torch.zeros(1, 1, 9, 9))[0]["same"] is not counts


def test_a_pad_that_two_layers_read_is_the_padding_of_both():
    """And of a layer whose Pad is an output of the model too."""
    x = keras.Input((8, 8, 3))
    padded = L.ZeroPadding2D(((0, 1), (0, 1)))(x)
    both = L.Add()([L.Conv2D(2, 3, 2)(padded), L.Conv2D(2, 3, 2)(padded)])
    rows = audit(keras.Model(x, both))
    assert [(row["input_size"], row["same"]) for row in rows] == [([8, 8], True)] * 2
    rows = audit(keras.Model(x, [L.Conv2D(2, 3, 2)(padded), padded]))
    assert rows[0]["input_size"] == [8, 8] and rows[0]["same"] is True


class Before(nn.Module):
    """A layer behind what `pad` makes of its input."""

    def __init__(self, pad, layer):
        """Keep both."""
        super().__init__()
        self.pad, self.layer = pad, layer

    def forward(self, x):
        """Return the layer of the padded input."""
        return self.layer(self.pad(x))


def pads(*cells, **how):
    """Return a function that pads a tensor by each of some cells in turn."""

    def apply(x):
        """Return x, padded."""
        for one in cells:
            x = F.pad(x, one, **how)
        return x

    return apply


FOLDED = {
    "two": pads((0, 1, 0, 0), (0, 0, 0, 1)),
    "mixed": pads((1, -1, 1, -1)),
    "cropped": pads((2, 2, 2, 2), (-2, -1, -2, -1)),
    "sliced": lambda x: F.pad(x, (2, 2, 2, 2))[:, :, 1:, 1:],
    "twice": pads((1, 0, 1, 0), (0, 1, 0, 1)),
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("size", [15, 16])
def test_pads_in_a_row_by_execution(name, size):
    """A chain of Pads and crops is one padding: both rules are run, in 2-D."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(-99, -1, (1, 2, size, size)).astype("float32"))
    for k in (2, 3):
        conv, pool = nn.Conv2d(2, 2, k, 2, bias=False), nn.MaxPool2d(k, 2)
        nn.init.constant_(conv.weight, 1.0)
        conv.weight.data += torch.arange(conv.weight.numel()).reshape(conv.weight.shape)
        for layer in (conv, pool):
            module = Before(FOLDED[name], layer)
            y = module(x).detach().numpy()
            (row,) = audit(module, x)
            last = np.moveaxis(x.numpy(), 1, -1)
            if layer is pool:
                same = tf.nn.max_pool2d(last, k, 2, "SAME")
            else:
                w = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
                same = tf.nn.conv2d(last, w, 2, "SAME")
            assert row["input_size"] == [size, size]
            assert row["same"] is np.array_equal(np.moveaxis(same, -1, 1), y)
            shown = []
            for p in range(k if layer is conv else k // 2 + 1):
                other = copy.deepcopy(layer)
                other.padding = p
                shown.append(np.array_equal(other(x).detach().numpy(), y))
            assert row["symmetric"] is any(shown)


def test_a_pad_that_is_no_padding_is_named():
    """Another value or mode, before a layer that rounds up or pads itself: no verdict."""
    conv, example = nn.Conv2d(3, 4, 3, 2), torch.zeros(1, 3, 16, 16)
    rounds_up, one = nn.MaxPool2d(3, 2, ceil_mode=True), (1, 1, 1, 1)
    named = [
        ("reflection_pad2d", nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect")),
        ("circular|new_empty", nn.Conv2d(3, 4, 3, 2, 1, padding_mode="circular")),
        ("reflection_pad2d pad", Before(nn.ReflectionPad2d(1), conv)),
        ("replication_pad2d", Before(pads(one, mode="replicate"), conv)),
        ("new_empty", Before(pads(one, mode="circular"), conv)),
        ("constant_pad_nd", Before(pads(one, value=1), conv)),
        ("constant_pad_nd", Before(pads(one), rounds_up)),
        ("constant_pad_nd", Before(pads((1, -1, 1, -1), (0, 1, 0, 1)), conv)),
        ("constant_pad_nd", nn.Sequential(nn.ZeroPad2d(1), nn.BatchNorm2d(3), conv)),
        ("constant_pad_nd", nn.Sequential(nn.ZeroPad2d(1), nn.ELU(), nn.Tanh(), conv)),
    ]
    for name, model in named:
        (row,) = audit(model, example)
        assert row["same"] is row["symmetric"] is row["lower"] is None, name
        assert re.search(f"not judged.*({name}).*stands before it", row["note"])
        assert fix([row])[0].startswith("?")
    x = keras.Input((16, 16, 3))
    for layer in (L.Conv2D(2, 3, 2, "same"), L.Conv2DTranspose(2, 3, 2)):
        (row,) = audit(keras.Model(x, layer(L.ZeroPadding2D(1, name="zeros")(x))))
        assert row["same"] is None and "zeros" in row["note"]


def test_what_only_resembles_a_pad_with_an_operator_between():
    """A sum with what is not padded, a Pad of the channels, a layer between: judged."""

    class Sum(nn.Module):
        """What is padded and what is not, cropped or convolved between."""

        def forward(self, x):
            """Return their sum."""
            return torch.relu(
                F.pad(x, (1, 1, 1, 1)) + F.interpolate(x, scale_factor=1.125)
            )

    class Skip(nn.Module):
        """A U-Net's: what was padded to fit beside what was not."""

        def forward(self, x):
            """Return both."""
            small = F.max_pool2d(x[:, :1, 1:, 1:], 1)
            return torch.cat([x[:, :2], F.pad(small, (0, 1, 0, 1))], 1)

    conv, example = nn.Conv2d(3, 4, 3, 2), torch.zeros(1, 3, 16, 16)
    channels = Before(pads((0, 0, 0, 0, 0, 1)), nn.ReLU())
    for first in (Sum(), Skip(), nn.Sequential(nn.Conv2d(3, 2, 1), channels)):
        row = audit(Before(first, conv), example)[-1]
        assert row["symmetric"] is True and not row["note"]


def test_a_pad_of_minus_infinity_is_warned_of():
    """In front of a maximum, as PyTorch, ONNX and Keras write it; nothing else is."""
    low, zeros = nn.ConstantPad2d((0, 1, 0, 1), -torch.inf), nn.ZeroPad2d((0, 1, 0, 1))
    lowest = nn.ConstantPad2d((0, 1, 0, 1), torch.finfo(torch.float32).min)
    pool, example = nn.MaxPool2d(3, 2), torch.zeros(1, 3, 16, 16)
    x = keras.Input((16, 16, 3))
    y = keras.ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    keras_model = keras.Model(x, L.MaxPooling2D(3, 2)(y))
    models = [nn.Sequential(low, pool), nn.Sequential(lowest, pool)]
    models += [exported(models[0], example), keras_model]
    models += [lite_of(keras_model)]
    for model in models:
        (row,) = audit(model, example if isinstance(model, nn.Module) else None)
        assert row["same"] is True and "does not survive int8" in row["note"]
    for model in (nn.Sequential(zeros, pool), nn.MaxPool2d(3, 2, 1)):
        assert "int8" not in audit(model, example)[0]["note"]


def test_sizes_of_pools_that_round_up_are_onnx_runtimes():
    """ONNX's own inference counts a window in the padding before opset 22: the next layer too."""
    import onnxruntime

    make = onnx.helper
    w = onnx.numpy_helper.from_array(np.ones((1, 1, 2), "float32"), "w")
    cases = [(4, 2, 3), (6, 3, 4), (7, 2, 3), (5, 3, 2)]
    for opset, (n, k, s) in itertools.product((17, 22), cases):
        how = {"kernel_shape": [k], "strides": [s], "pads": [1, 1], "ceil_mode": 1}
        nodes = [make.make_node("MaxPool", ["x"], ["m"], **how)]
        nodes += [make.make_node("Conv", ["m", "w"], ["y"], strides=[2], pads=[1, 1])]
        x = make.make_tensor_value_info("x", 1, [1, 1, n])
        y = make.make_tensor_value_info("y", 1, None)
        graph = make.make_graph(nodes, "g", [x], [y], [w])
        graph.output.append(make.make_tensor_value_info("m", 1, None))
        opsets = [make.make_opsetid("", opset)]
        model = make.make_model(graph, opset_imports=opsets, ir_version=9)
        told = onnxruntime.SessionOptions()
        told.log_severity_level = 3  # it warns of the size that was inferred
        session = onnxruntime.InferenceSession(model.SerializeToString(), told)
        y, m = session.run(None, {"x": np.zeros((1, 1, n), "float32")})
        pool, conv = check_verdicts(model)
        assert pool["output_size"] == conv["input_size"] == [m.shape[2]]
        assert conv["output_size"] == [y.shape[2]]
        assert ("before opset 22" in pool["note"]) is ((n, k, s) != (5, 3, 2))


@pytest.mark.parametrize("n, k, s", [(5, 3, 2), (4, 5, 3), (4, 4, 2), (3, 2, 2)])
def test_a_transposed_layer_of_fewer_outputs_is_same_of_them(n, k, s):
    """(n - 1) s + 1 outputs, 2n - 1 at stride 2: TensorFlow's SAME for that output size."""
    p, size = (k - 1) // 2, (n - 1) * s + 1
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (1, 1, n, n)).astype("float32")
    up = nn.ConvTranspose2d(1, 1, k, s, p, bias=False)
    kernel = rng.integers(1, 9, (k, k, 1, 1)).astype("float32")
    up.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1))
    y = up(torch.from_numpy(x)).detach().numpy()[..., :size, :size]
    same = tf.nn.conv2d_transpose(
        x.transpose(0, 2, 3, 1), kernel, (1, size, size, 1), s, "SAME"
    )
    assert np.array_equal(y, np.moveaxis(same, -1, 1))
    (row,) = audit(
        Before(up, nn.ZeroPad2d((0, size - up(torch.from_numpy(x)).shape[-1]) * 2)), n
    )
    assert row["same"] is True and row["output_size"] == [size, size]
    assert "own output size" in row["note"]


def test_notes_and_lines_are_of_their_kind():
    """Zeros win a maximum, not a sum or a mean; a mean with zeros is written with zeros."""
    x = keras.Input((33, 34, 3))
    zeros = L.ZeroPadding2D(1)
    rows = [audit(keras.Model(x, one(zeros(x))))[0] for one in (
        L.Conv2D(2, 3, 2), L.AveragePooling2D(3, 2), L.MaxPooling2D(3, 2),
    )]  # fmt: skip
    assert ["zeros" in row["note"] for row in rows] == [False, False, True]
    line = 'ZeroPadding2D(((1, 1), (1, 1))), then padding="valid"'
    assert rows[1]["write"]["keras"] == line
    keras_pool = keras.Model(x, L.AveragePooling2D(3, 2)(zeros(x)))
    image = np.random.default_rng(0).normal(size=(1, 33, 34, 3)).astype("float32")
    y = nn.AvgPool2d(3, 2, 1)(torch.from_numpy(image).movedim(-1, 1))  # write.pytorch
    assert rows[1]["write"]["pytorch"] == "padding=1"
    assert np.allclose(y.movedim(1, -1), keras_pool(image), atol=1e-6)
    up = audit(nn.ConvTranspose2d(3, 3, 3, 2, 1), 9)[0]
    assert up["same"] is True and "own output size" in up["note"]
    assert not audit(nn.ConvTranspose2d(3, 3, 4, 2, 1), 9)[0]["note"]


def test_one_dimensional_pools_are_rows_of_one_dimension():
    """PyTorch runs them as 2-D pools of one row; the jump goes through."""
    for pool in (nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(3, 2, 1), nn.MaxPool1d(3, 2)):
        model = nn.Sequential(nn.Conv1d(3, 3, 3, 2, 1), pool, nn.Conv1d(3, 3, 3))
        rows = audit(model, 64)
        assert [row["input_size"] for row in rows] == [
            [64],
            [32],
            [16 - (not pool.padding)],
        ]
        assert [row["jump"] for row in rows] == [[1], [2], [4]]
        assert rows[1]["type"] == type(pool).__name__ and len(rows[1]["pads"]) == 1
        check_verdicts(model, 64)
    model = Before(pads((0, 1)), nn.MaxPool1d(3, 2))
    assert audit(model, torch.zeros(1, 2, 16))[0]["pads"] == [[0, 1]]


def test_other_windows_are_unknown_rows():
    """Of PyTorch and of keras.ops; none is taken for what it is made of."""
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3), nn.LPPool2d(2, 3), nn.FractionalMaxPool2d(2, 3),
        nn.AdaptiveMaxPool2d(3), nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1),
    )  # fmt: skip
    kinds = [row["kind"] for row in audit(model, 33)]
    assert kinds == ["conv", *["unknown"] * 4]  # one cell is all there is to a mean
    x = keras.Input((16, 16, 3))
    y = L.TimeDistributed(L.Conv1D(2, 3))(keras.ops.max_pool(x, 2))
    kinds = [row["kind"] for row in audit(keras.Model(x, L.Conv2D(2, 3)(y)))]
    assert kinds == ["unknown", "unknown", "conv"]


# --- what is not known, and what is no model


def onnx_model(*nodes, size=(1, 3, "h", "w"), domain=None):
    """Return an ONNX model of some nodes from x to y, with a 3×3 weight w."""
    make = onnx.helper
    x = make.make_tensor_value_info("x", 1, size)
    y = make.make_tensor_value_info("y", 1, None)
    w = onnx.numpy_helper.from_array(np.ones((3, 3, 3, 3), "float32"), "w")
    opsets = [make.make_opsetid("", 17)] + (
        [make.make_opsetid(domain, 1)] if domain else []
    )
    graph = make.make_graph(list(nodes), "g", [x], [y], [w])
    return make.make_model(graph, opset_imports=opsets)


def test_what_is_not_known_is_said_to_be():
    """Unknown operators, ranks and sizes: rows without a verdict, or with the remainders."""
    node = onnx.helper.make_node
    model = onnx_model(node("MyConv", ["x"], ["y"], domain="mine"), domain="mine")
    (row,) = audit(model)
    assert (
        row["kind"] == "unknown"
        and row["same"] is row["symmetric"] is row["lower"] is None
    )
    (row,) = audit(onnx_model(node("LpPool", ["x"], ["y"], kernel_shape=[2, 2])))
    assert row["kind"] == "unknown" and "not audited" in row["note"]
    first = node("MyOp", ["x"], ["m"], domain="mine")
    conv = node("Conv", ["m", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    (row,) = audit(onnx_model(first, conv, domain="mine"), 8)  # what comes out of MyOp?
    assert row["input_size"] == [None, None]
    assert row["same"] == "equal where (n - 1) mod 2 = 0"
    conv = node("Conv", ["x", "v"], ["y"])
    with pytest.raises(ValueError, match="reads 'v', which no node"):
        audit(onnx_model(conv))
    reshape = node("Shape", ["x"], ["v"])
    (row,) = audit(onnx_model(reshape, node("Conv", ["x", "v"], ["y"])))
    assert row["kind"] == "unknown" and "kernel" in row["note"]

    class Mine(L.Conv2D):
        """A convolution whose call may do anything."""

    model = keras.Sequential([keras.Input((8, 8, 3)), Mine(2, 3, padding="same")])
    (row,) = audit(model)
    assert row["kind"] == "unknown"


def saved(model, *dropped):
    """Return the bytes of a model's .keras file without some entries of its config."""
    import zipfile

    def without(value):
        """Return a part of the config without these entries."""
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in dropped}
        return [without(v) for v in value] if isinstance(value, list) else value

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        out = io.BytesIO()
        with (
            zipfile.ZipFile(Path(folder, "model.keras")) as old,
            zipfile.ZipFile(out, "w") as new,
        ):
            for name in old.namelist():
                data = old.read(name)
                if name == "config.json":
                    data = json.dumps(without(json.loads(data)))
                new.writestr(name, data)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_sequential_that_knows_its_sizes_and_one_that_does_not():
    """A config without the shapes of a build is read; of a model never built it is said."""
    layers = [L.Conv2D(4, 3, 2, "same"), L.MaxPooling2D(3, 2, "same")]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    data = saved(model, "build_config", "build_input_shape")
    assert verdicts(audit(data)) == verdicts(audit(model))
    layers = [type(one).from_config(one.get_config()) for one in layers]
    model = keras.Sequential(layers)
    for one in (model, saved(model)):
        with pytest.raises(ValueError, match=r"model must be built.*Input.*build\("):
            audit(one)


def broken_files():
    """Yield bytes that are no model, or not a whole one."""
    data = exported(nn.Conv2d(3, 4, 3, 2, 1), torch.zeros(1, 3, 8, 8))
    yield from (b"", b"no model", data[: len(data) // 2], data[:-3])
    yield from (b"PK\x03\x04" + b"x" * 40, b"\x89HDF" + b"x" * 40)
    yield from (b"\x10\0\0\0TFL3" + b"\xff" * 200, b"\x00\0\0\0TFL3" + b"\0" * 40)


def test_what_is_no_model_is_refused_by_name():
    """A ValueError that names the argument; nothing else, and no row."""
    for data in broken_files():
        with pytest.raises(ValueError, match="model must|model is not whole"):
            audit(data)
    for other in ("/nowhere.onnx", 7, None, [1]):
        with pytest.raises(ValueError, match="model must be"):
            audit(other)
    with pytest.raises(ValueError, match="input_size"):
        audit(nn.Linear(2, 2), 7)
    with pytest.raises(ValueError, match="input_size must be an input.*'input2'"):
        audit(nn.Bilinear(2, 2, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="input_size must be an input"):
        audit(nn.Conv2d(3, 3, 7), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripting is deprecated
        scripted = torch.jit.script(nn.Conv2d(3, 3, 3))
    image = np.zeros((1, 3, 8, 8), "float32")
    for model in (scripted, nn.Sequential(scripted)):
        with pytest.raises(ValueError, match="model must be.*scripted"):
            audit(model, 8)
        with pytest.raises(ValueError, match="b must be.*scripted"):
            compare(nn.Conv2d(3, 3, 3), model, image)
    for size in (0, 1.5, (8, 8, 8), True):
        with pytest.raises(ValueError, match="input_size"):
            audit(nn.Conv2d(3, 3, 3), size)
        with pytest.raises(ValueError, match="input_size"):
            audit(keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3)]), size)


def test_mutated_files_end_in_rows_or_a_value_error():
    """Bytes of an ONNX and of a .tflite file turned at random: never another error."""
    files = [exported(UNet(), torch.zeros(1, 3, 16, 16))]
    files += [converted(*DILATED["same"][0], size=(16, 17))[1]]
    rng = np.random.default_rng(0)
    for data in files:
        for _ in range(examples(15)):
            bad = bytearray(data)
            for place in rng.integers(0, min(len(bad), 4000), rng.integers(1, 20)):
                bad[place] = rng.integers(0, 256)
            bad = bad[: rng.integers(1, len(bad) + 1)] if rng.random() < 0.3 else bad
            try:
                rows = audit(bytes(bad))
            except ValueError:
                continue
            json.dumps(rows)


# --- compare and fix


def fifty_layers():
    """Return a Keras network of 50 layers that pad, and its port."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((64, 64, 3))
    x = L.Conv2D(8, 7, 2, "same", activation="relu", name="stem")(x)
    x = L.MaxPooling2D(3, 2, "same", name="max")(x)
    for i in range(15):
        s = 2 if i in (3, 8) else 1
        y = L.Conv2D(8, 3, s, "same", activation="relu", name=f"a{i}")(x)
        y = L.BatchNormalization(name=f"n{i}")(
            L.Conv2D(8, 3, 1, "same", name=f"b{i}")(y)
        )
        x = L.ReLU(name=f"r{i}")(
            L.Add()([y, L.Conv2D(8, 1, s, "same", name=f"s{i}")(x)])
        )
    x = L.AveragePooling2D(3, 2, "same", name="mean")(x)
    x = L.Conv2DTranspose(8, 3, 2, "same", name="up")(x)
    model = keras.Model(inputs, L.Conv2D(4, 1, name="head")(x))

    class Port(nn.Module):
        """Its layers by chapter 11."""

        def __init__(self):
            """Port every layer."""
            super().__init__()
            for layer in model.layers:
                if not isinstance(layer, (L.InputLayer, L.Add)):
                    self.add_module(layer.name, keras_to_torch(layer))

        def forward(self, x):
            """Return the network of x."""
            x = self.max(self.stem(x))
            for i in range(15):
                y = self.get_submodule(f"b{i}")(self.get_submodule(f"a{i}")(x))
                y = self.get_submodule(f"n{i}")(y) + self.get_submodule(f"s{i}")(x)
                x = self.get_submodule(f"r{i}")(y)
            return self.head(self.up(self.mean(x)))

    return model, Port()


@pytest.fixture(scope="module")
def fifty():
    """Both networks, and an input."""
    x = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
    return *fifty_layers(), x


def wrong_padding(port):
    """PyTorch's padding=1 in a strided layer."""
    conv = port.a8[0].conv
    conv.padding = (1, 1)
    port.a8[0] = conv
    return "padding", "a8"


def wrong_max_padding(port):
    """PyTorch's padding=1 in the maximum."""
    port.max = nn.MaxPool2d(3, 2, 1)
    return "padding", "max"


def wrong_pool(port):
    """A mean for the maximum."""
    port.max = nn.AvgPool2d(3, 2, ceil_mode=True)
    return "pool", "max"


def wrong_count(port):
    """A mean that counts the zeros."""
    port.mean = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AvgPool2d(3, 2))
    return "pool", "mean"


def wrong_crop(port):
    """padding=1, output_padding=1: the first cell cropped for the last."""
    port.up = port.up[0]
    port.up.padding, port.up.output_padding = (1, 1), (1, 1)
    return "crop", "up"


def wrong_weight(port):
    """One weight of 576."""
    port.b11.weight.data[3, 2, 1, 0] += 0.02
    return "weights", "b11"


def wrong_bias(port):
    """One bias."""
    port.s9.bias.data[3] += 0.1
    return "weights", "s9"


def wrong_norm(port):
    """A normalisation between two layers: not padding, and not a layer's."""
    port.n5.bias.data[3] += 0.5
    return "between", "a6"


FAULTS = (wrong_padding, wrong_max_padding, wrong_pool, wrong_count, wrong_crop)
FAULTS += (wrong_weight, wrong_bias, wrong_norm)


@pytest.mark.parametrize("plant", FAULTS)
def test_compare_says_what_was_planted(fifty, plant):
    """In a network of 50 layers, the layer and the cause."""
    model, port, x = fifty
    port = copy.deepcopy(port)
    with torch.no_grad():
        cause, name = plant(port)
    found = compare(model, port, x)
    assert (found["cause"], found["a"]) == (cause, name), found


def test_compare_agrees_where_nothing_is_wrong(fifty):
    """Both ways round, and a network with itself."""
    model, port, x = fifty
    rows = audit(model)
    assert len(rows) == 50 and verdicts(rows) == verdicts(audit(port, 64))
    first = np.moveaxis(x, -1, 1)
    for a, b, image in ((model, port, x), (port, model, first), (port, port, first)):
        assert compare(a, b, image)["cause"] is None
    assert fix(rows, audit(port, 64)) == []


def test_fix_lists_what_has_to_change(fifty):
    """Six layers of the fifty, with what to write; after a wrong padding that one."""
    model, port, _ = fifty
    port = copy.deepcopy(port)
    wrong_padding(port)
    rows = audit(model)
    lines = fix(rows, audit(port, 64))
    assert lines == [
        "  a8.0, input 8×8",
        "- padding=1",
        "+ F.pad(x, (0, 1, 0, 1)), then padding=0",
    ]
    lines = fix(rows)
    assert sum(line.startswith("+") for line in lines) == 6
    assert "- padding=1, output_padding=1" in lines
    assert fix(audit(resnet(), 65), framework="keras") == [
        "  12, input 3×3", '- padding="same"', '+ padding="valid"',
    ]  # fmt: skip
    with pytest.raises(ValueError, match="framework must be"):
        fix(rows, framework="caffe")
    with pytest.raises(ValueError, match="port must have as many rows"):
        fix(rows, rows[:-1])


def branches(first, last):
    """Return a port of two strided branches, and in which order they run."""

    class Port(nn.Module):
        """Branches of a 3×3 and of a 1×1 convolution, added."""

        def __init__(self):
            """Take the weights."""
            super().__init__()
            self.a = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2))
            self.b = nn.Conv2d(3, 4, 1, 2)
            self.c = nn.Conv2d(3, 4, 1, 2)

        def forward(self, x):
            """Return the sum."""
            found = {name: self.get_submodule(name)(x) for name in (first, "c", last)}
            return found["a"] + found["b"] + found["c"]

    x = keras.Input((16, 16, 3))
    how = {"strides": 2, "padding": "same"}
    parts = [
        L.Conv2D(4, k, name=name, **how)(x)
        for k, name in ((3, "a"), (1, "b"), (1, "c"))
    ]
    model, port = keras.Model(x, L.Add()(parts)), Port()
    for name, module in (("a", port.a[1]), ("b", port.b), ("c", port.c)):
        kernel, bias = model.get_layer(name).get_weights()
        state = {"weight": chapter.to_torch(kernel), "bias": torch.from_numpy(bias)}
        module.load_state_dict(state)
    return model, port


def test_branches_are_paired_by_what_they_are():
    """A right port that runs its branches in another order; a wrong one; another layer."""
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype("float32")
    for order in (("a", "b"), ("b", "a")):
        model, port = branches(*order)
        assert fix(audit(model), audit(port, 16)) == []
        found = compare(model, port, image)
        assert found["cause"] is None and found["difference"] < 1e-5
        port.a = nn.Sequential(nn.Identity(), port.a[1])
        port.a[1].padding = (1, 1)
        lines = fix(audit(model), audit(port, 16))
        assert lines[:2] == ["  a.1, input 16×16", "- padding=1"] and len(lines) == 3
        assert compare(model, port, image)["cause"] == "padding"
    port.b = nn.Conv2d(3, 4, 1, 2, dilation=2)
    lines = fix(audit(model), audit(port, 16))
    assert [line for line in lines if line[0] == "?"] == [
        "? c: no layer has its kernel and stride there",
        "? b: no layer has its kernel and stride there",
    ]


def test_another_epsilon_is_no_rounding():
    """Keras's 1e-3 against PyTorch's 1e-5 in one normalisation, and of the last one."""
    keras.utils.set_random_seed(0)
    norm = L.BatchNormalization()
    layers = [L.Conv2D(8, 3, padding="same"), norm, L.Conv2D(4, 3, padding="same")]
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype("float32")
    for count, epsilon in itertools.product((2, 3), (1e-3, 1e-5)):
        model = keras.Sequential([keras.Input((16, 16, 3)), *layers[:count]])
        modules = [keras_to_torch(layer) for layer in model.layers]
        modules[1].eps = epsilon
        found = compare(model, nn.Sequential(*modules), image)
        assert found["cause"] == (None if epsilon == 1e-3 else "between"), found
        assert (found["difference"] > 1e-4) is (epsilon == 1e-5)


# --- compare where one of the two has folded a normalisation


def with_statistics(model):
    """Return a Keras model whose normalisations do something."""
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            for weight, positive in zip(layer.weights, (1, 1, 0, 1), strict=True):
                low, high = (0.5, 1.5) if positive else (-0.5, 0.5)
                weight.assign(rng.uniform(low, high, weight.shape))
    return model


class Normalised(nn.Sequential):
    """A port of `normalised` by hand, as it can be exported."""

    def __init__(self, model):
        """Port every layer."""
        super().__init__()
        for layer in model.layers:
            norm = isinstance(layer, L.BatchNormalization)
            module = keras_to_torch(layer) if norm else self.plain(layer)
            self.add_module(layer.name, module)
        self.eval()

    def plain(self, layer):
        """Return PyTorch's layer, with SAME's cells in front if they are not symmetric."""
        if not layer.weights:
            pool = isinstance(layer, L.MaxPooling2D)
            return nn.MaxPool2d(3, 2, ceil_mode=True) if pool else nn.ReLU6()
        kernel, *bias = layer.get_weights()
        deep = isinstance(layer, L.DepthwiseConv2D)
        weight = (chapter.depthwise_to_torch if deep else chapter.to_torch)(kernel)
        size, groups = weight.shape[-1], len(weight) if deep else 1
        how = {"groups": groups, "bias": bool(bias), "stride": layer.strides}
        conv = nn.Conv2d(weight.shape[1] * groups, len(weight), size, **how)
        with torch.no_grad():
            conv.weight.copy_(weight)
            for values in bias:
                conv.bias.copy_(torch.from_numpy(values))
        if layer.padding == "valid":
            return conv
        total = size - layer.strides[0]  # of an even input
        before, after = total // 2, total - total // 2
        return nn.Sequential(nn.ZeroPad2d((before, after) * 2), conv)

    def fold(self):
        """Return a copy with its normalisations in its convolutions."""
        port = copy.deepcopy(self)
        for name in ("a", "b", "c"):
            conv, norm = innermost(port, name), port.get_submodule(f"norm_{name}")
            fused = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
            conv.weight, conv.bias = fused.weight, fused.bias
            setattr(port, f"norm_{name}", nn.Identity())
        return port


def innermost(port, name):
    """Return the convolution in a port's layer."""
    parts = port.get_submodule(name).modules()
    return next(part for part in parts if isinstance(part, nn.Conv2d))


@pytest.fixture(scope="module")
def normalised():
    """A Keras network, its port, the port's file by both exporters, a .tflite file, x."""
    keras.utils.set_random_seed(0)
    layers = []
    for name, layer in (
        ("a", L.Conv2D(8, 3, 2, "same", use_bias=False, name="a")),
        ("b", L.DepthwiseConv2D(3, 1, "same", name="b")),
        ("c", L.Conv2D(8, 5, 2, "same", name="c")),
    ):
        layers += [layer, L.BatchNormalization(name=f"norm_{name}")]
        layers += [L.ReLU(6.0, name=f"relu_{name}")]
    layers += [L.MaxPooling2D(3, 2, "same", name="max"), L.Conv2D(4, 3, name="d")]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    with_statistics(model)
    port = Normalised(model)
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    first = torch.from_numpy(x).movedim(-1, 1)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(port, (first,), file, dynamo=True, verbose=False)
    onnx_files = exported(port, first), file.getvalue()
    return model, port, *onnx_files, lite_of(model), x


def test_a_folded_normalisation_is_no_fault(normalised):
    """Two exporters, a converter, PyTorch's own folding, each against what is not folded."""
    model, port, old, new, lite, x = normalised
    first = np.moveaxis(x, -1, 1)
    pairs = [(model, port), (model, old), (model, new), (model, lite), (port, old)]
    pairs += [(port, new), (old, model), (lite, model), (lite, port), (new, lite)]
    pairs += [(model, port.fold()), (port.fold(), model)]
    for a, b in pairs:
        last = a is model or a is lite
        found = compare(a, b, x if last else first)
        assert found["cause"] is None and found["difference"] < 1e-5, found
        both = {model, port}, {old, new, lite}
        alike = any({a, b} <= part for part in both)
        assert ("3 of them behind a folded" in found["why"]) is not alike, found
        assert not found["without partner"]


def folded_padding(port, name):
    """PyTorch's symmetric padding in a strided layer."""
    conv = innermost(port, name)
    conv.padding = conv.kernel_size[0] // 2
    setattr(port, name, conv)
    return "padding"


def folded_pool(port, name):
    """A mean for the maximum."""
    port.max = nn.AvgPool2d(3, 2, ceil_mode=True)
    return "pool"


def folded_weight(port, name):
    """One weight."""
    innermost(port, name).weight[2, 0, 1, 0] += 0.3
    return "weights"


def folded_bias(port, name):
    """One bias."""
    innermost(port, name).bias[2] += 0.3
    return "weights"


def folded_scale(port, name):
    """All weights of a channel, and its bias."""
    conv = innermost(port, name)
    conv.weight[2] *= 1.5
    conv.bias[2] *= 1.5
    return "weights"


FOLDED_FAULTS = [(folded_padding, "a"), (folded_padding, "c"), (folded_pool, "max")]
FOLDED_FAULTS += [(folded_weight, "b"), (folded_weight, "c"), (folded_weight, "d")]
FOLDED_FAULTS += [(folded_bias, "a"), (folded_scale, "c"), (folded_scale, "d")]


@pytest.mark.parametrize("plant, name", FOLDED_FAULTS)
def test_a_fault_in_a_folded_network_is_found(normalised, plant, name):
    """In the layer where it was planted, whichever of the two is folded."""
    model, port, _, _, lite, x = normalised
    first = np.moveaxis(x, -1, 1)
    wrong = port.fold()
    with torch.no_grad():
        cause = plant(wrong, name)
    file = exported(wrong, torch.from_numpy(first))
    for a, b, image in ((model, wrong, x), (model, file, x), (file, model, first)):
        found = compare(a, b, image)
        where = found["a"] if a is model else found["b"]
        assert (found["cause"], where) == (cause, name), found
        count = {folded_weight: "1 of", folded_bias: "the bias"}.get(plant, "")
        assert found["why"].startswith(count), found
    if plant is not folded_bias:  # where it is not folded, a has none
        with torch.no_grad():
            plant(port := copy.deepcopy(port), name)
        assert compare(lite, port, x)["cause"] == cause


def test_a_scale_that_the_next_layer_undoes_is_no_fault():
    """The outputs agree; a scale that stays is a wrong weight, without a normalisation."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(), nn.Conv2d(4, 4, 3)).eval()
    other, x = copy.deepcopy(net), torch.randn(1, 3, 9, 9)
    scale = torch.tensor([2, 4, 0.5, 1])
    with torch.no_grad():
        other[0].weight *= scale.reshape(-1, 1, 1, 1)
        other[0].bias *= scale
        found = compare(net, other, x)
        assert (found["cause"], found["a"]) == ("weights", "0"), found
        other[2].weight /= scale.reshape(-1, 1, 1)
        found = compare(net, other, x)
        assert found["cause"] is found["a"] is None, found
        assert found["why"] == "the outputs agree, though 0 and 0 hold other values"
        net[1] = nn.Hardtanh(1e9, 2e9)  # whatever comes before it, its output is 1e9
        other = copy.deepcopy(net)
        other[0].weight[1, 2, 0, 0] += 1
    assert compare(net, other, x)["cause"] == "weights"


def test_mobile_net_v2_agrees_with_its_own_file():
    """52 layers, all folded by the converter; without weights of others."""
    how = {"alpha": 0.35, "include_top": False, "weights": None}
    model = with_statistics(keras.applications.MobileNetV2((96, 96, 3), **how))
    lite = lite_of(model)
    x = np.random.default_rng(0).normal(size=(1, 96, 96, 3)).astype("float32")
    found = compare(model, lite, x)
    assert found["cause"] is None and found["difference"] < 1e-4, found
    assert "52 layers agree" in found["why"] and not found["without partner"]
    assert fix(audit(model), audit(lite)) == []


def test_a_separable_layer_is_two():
    """Its file's two convolutions are its partners; a fault of either half is named."""
    keras.utils.set_random_seed(0)
    same = {"padding": "same", "bias_initializer": "normal"}
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            L.SeparableConv2D(8, 3, strides=2, activation="relu", **same),
            L.SeparableConv2D(6, 3, depth_multiplier=2, **same),
            L.Cropping2D(((1, 0), (0, 2))),
        ]
    )
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype("float32")
    for pair in ((model, lite_of(model)), (lite_of(model), model)):
        found = compare(*pair, x)
        assert found["cause"] is None and not found["without partner"], found
        assert found["why"] == "4 layers agree up to rounding"
    for number, half in itertools.product((0, 1), ("depthwise", "pointwise")):
        wrong = keras.models.clone_model(model)
        wrong.set_weights(model.get_weights())
        weights = getattr(wrong.layers[number], f"{half}_kernel")
        planted = np.array(weights)
        planted[0, 0, 1, 1 % planted.shape[-1]] += 0.5
        weights.assign(planted)
        found = compare(model, lite_of(wrong), x)
        assert found["cause"] == "weights" and "1 of " in found["why"], found
        half = " (pointwise)" if half == "pointwise" else ""
        assert found["a"] == model.layers[number].name + half


@pytest.mark.parametrize("activation", [L.ReLU(), L.PReLU(), L.Activation("relu")])
def test_a_layer_as_an_activation_hides_no_window(activation):
    """A Keras layer may end with another layer; its row and its partner stay."""
    same = {"strides": 2, "padding": "same"}
    layers = L.Conv2D(8, 3, **same), L.SeparableConv2D(4, 3, **same)
    layers += (L.Conv2DTranspose(3, 3, **same), L.DepthwiseConv2D(3, **same))
    for layer in layers:
        layer.activation = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(activation)
        )
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers, L.MaxPooling2D(2)])
    rows = audit(model)
    assert [row["name"] for row in rows] == [layer.name for layer in model.layers]
    assert [row["jump"][0] for row in rows] == [1, 2, 4, 2, 4]
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype("float32")
    found = compare(model, lite_of(model), x)
    assert found["cause"] is None and not found["without partner"], found


def test_an_own_class_is_not_lost_either():
    """Its activation is a layer of Keras, which is seen; its windows are not judged."""

    class Own(L.Conv2D):
        def __init__(self, *arguments, **how):
            super().__init__(*arguments, **how)
            self.end = L.ReLU()

        def call(self, x):
            return self.end(super().call(x))

    (row,) = audit(keras.Sequential([keras.Input((16, 16, 3)), Own(4, 3, 2)]))
    assert row["kind"] == "unknown" and "not Keras's own" in row["note"]


def test_an_own_class_may_have_a_name_of_keras():
    """What its parts are, not what it is called, makes the rows."""

    class ZeroPadding2D(keras.Layer):
        def __init__(self):
            super().__init__()
            self.part = L.Conv2D(3, 3, 2, "same")

        def call(self, x):
            return self.part(x)

    model = keras.Sequential([keras.Input((16, 16, 3)), ZeroPadding2D(), L.ReLU()])
    (row,) = audit(model)
    assert row["kind"] == "conv" and row["same"] is True and row["jump"] == [1, 1]


@pytest.mark.parametrize("offset", [0, -1])
def test_a_scale_folded_forward_hides_no_fault(offset):
    """The converter folds a Rescaling into the first weights: its inputs differ, no more."""
    keras.utils.set_random_seed(0)
    layers = L.Rescaling(1 / 127.5, offset), L.Conv2D(8, 3, 2, "same", name="first")
    layers += L.BatchNormalization(), L.ReLU(), L.Conv2D(4, 3, name="second")
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    x = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype("float32")
    lite = lite_of(model)
    assert compare(model, lite, x)["why"].startswith("2 layers agree up to rounding")
    kernel = model.get_layer("second").kernel
    wrong = keras.ops.convert_to_numpy(kernel).copy()
    wrong[0, 0, :, 0] += 0.5  # whichever channels the ReLU leaves
    kernel.assign(wrong)
    for pair, own in (((model, lite), "a"), ((lite, model), "b")):
        found = compare(*pair, x)
        assert found["cause"] == "weights" and found[own] == "second", found


def test_branches_find_their_partners():
    """Twin pools, a mean beside a maximum, alike convolutions; each fault is its layer's."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    pool = {"pool_size": 3, "strides": 2, "padding": "same"}
    branches = [
        L.AveragePooling2D(name="mean", **pool)(inputs),
        L.AveragePooling2D(name="twin", **pool)(inputs),
        L.MaxPooling2D(name="max", **pool)(inputs),
        L.MaxPooling2D(1, 2, name="pick")(inputs),
        L.MaxPooling2D(1, 2, name="other")(L.ZeroPadding2D(((0, 1), (0, 1)))(
            L.Cropping2D(((1, 0), (1, 0)))(inputs))),
    ]  # fmt: skip
    deep = L.Conv2D(8, 1, 2)(inputs)
    branches += [
        L.DepthwiseConv2D(3, padding="same", name="depth")(deep),
        *(L.Conv2D(8, 3, padding="same", name=n)(deep) for n in ("one", "two")),
    ]
    model = keras.Model(inputs, L.Conv2D(2, 1)(L.Concatenate()(branches)))
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype("float32")
    found = compare(model, lite_of(model), x)
    assert found["cause"] is None and "twin" in found["without partner"], found
    for name in ("depth", "one", "two"):
        kernel = model.get_layer(name).kernel
        right = keras.ops.convert_to_numpy(kernel)
        wrong = right.copy()
        wrong[0, 0, 0, 0] += 0.5
        kernel.assign(wrong)
        found = compare(model, lite := lite_of(model), x)
        assert found["cause"] is None, found
        kernel.assign(right)
        found = compare(model, lite, x)
        assert found["cause"] == "weights" and found["a"] == name, found
        assert f"/{name}_1/" in found["b"] and found["why"].startswith("1 of "), found


def test_compare_names_what_it_cannot_take(normalised):
    """A quantised file, one of halves, half a float, an x of another shape, no model."""
    model, port, *_, x = normalised
    ways = {
        "int8": {"representative_dataset": lambda: [[x]]},
        "float16": {"target_spec": tf.lite.TargetSpec(supported_types=[tf.float16])},
    }
    for kind, how in ways.items():
        lite = lite_of(model, optimizations=[tf.lite.Optimize.DEFAULT], **how)
        with pytest.raises(ValueError, match=f"b must be of float32.*{kind}"):
            compare(model, lite, x)
    for kind in (torch.float16, torch.bfloat16):
        with pytest.raises(ValueError, match=f"b must be of float32 or.*{kind}"):
            compare(model, copy.deepcopy(port).to(kind), x)
    with pytest.raises(ValueError, match="x must be an input that a takes.*3, 32, 32"):
        compare(model, port, np.moveaxis(x, -1, 1))
    with pytest.raises(ValueError, match="x must be an input that the module takes"):
        compare(port, model, x)
    halves = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3, dtype="float16")])
    with pytest.raises(ValueError, match="a must be of float32 or.*got float16"):
        compare(halves, halves, x[:, :8, :8])
    with pytest.raises(ValueError, match="a must be a model, got int"):
        compare(7, model, x)
    assert compare(model, copy.deepcopy(port).double(), x)["cause"] is None


def test_compare_of_nothing(normalised):
    """No partner at all; zeros, of which any difference is the largest value."""
    model, port, *_, x = normalised
    strange = nn.Sequential(nn.Conv2d(3, 4, 7, 15), nn.ReLU())
    found = compare(model, strange, x)
    assert found["cause"] == "between" and found["why"].endswith("layer has a partner")
    found = compare(nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU6()), x)
    assert found["cause"] is None and found["why"].endswith("no layer has a partner")
    with torch.no_grad():
        nn.init.ones_((port := copy.deepcopy(port)).d.bias)
    found = compare(model, port, 0 * x)
    assert found["cause"] == "weights" and found["difference"] <= 2, found


# --- the lines of fix


def run_line(line, layer, x, names):
    """Return what a line of `fix` makes of x, as it is pasted; layer(**how) builds one."""
    for part in line.removeprefix("+ ").split("  #")[0].split(", then "):
        if part.startswith("padding="):
            x = layer(**eval(f"dict({part})"))(x)
        else:
            y = eval(part, names | {"x": x, "y": x})
            x = y if hasattr(y, "shape") else y(x)
    return x


def in_keras(module, **how):
    """Return Keras's layer for a module of PyTorch, with its weights and some padding."""
    if isinstance(module, nn.MaxPool2d):
        return L.MaxPooling2D(module.kernel_size, module.stride, **how)
    if isinstance(module, nn.AvgPool2d):
        return L.AveragePooling2D(module.kernel_size, module.stride, **how)
    kernel = module.weight.detach().numpy().transpose(2, 3, 1, 0)
    up = isinstance(module, nn.ConvTranspose2d)
    layer = (L.Conv2DTranspose if up else L.Conv2D)(
        module.out_channels, module.kernel_size, module.stride, use_bias=False, **how
    )
    layer.build((1, 16, 16, module.in_channels))
    layer.set_weights([kernel])
    return layer


TO_KERAS = [
    nn.Conv2d(2, 2, 3, 1, 1, bias=False), nn.Conv2d(2, 2, 3, 2, 1, bias=False),
    nn.Conv2d(2, 2, 3, 2, (1, 0), bias=False), nn.Conv2d(2, 2, 3, 2, bias=False),
    nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((3, 5), (2, 3), (1, 2)), nn.MaxPool2d(5, 2, 1),
    nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2),
    nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.AvgPool2d(2, 2, divisor_override=3),
    nn.ConvTranspose2d(2, 2, 3, 2, 1, 1, bias=False),
    nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=False), nn.ConvTranspose2d(2, 2, 3, bias=False),
]  # fmt: skip


@pytest.mark.parametrize("module", TO_KERAS, ids=repr)
def test_what_fix_writes_in_keras_runs_and_is_right(module):
    """The line pasted around Keras's layer: PyTorch's values, below zero too."""
    rng = np.random.default_rng(0)
    x = rng.integers(-99, -1, (1, 2, 16, 16)).astype("float32")
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.from_numpy(rng.integers(1, 9, weight.shape)))
        wanted = module(torch.from_numpy(x)).numpy()
    line = audit(module, torch.from_numpy(x))[0]["write"]["keras"]
    names = vars(L) | {"padded_max_pool": load("17").padded_max_pool}
    last, build = np.moveaxis(x, 1, -1), lambda **how: in_keras(module, **how)
    if line.startswith("torch_to_keras"):
        made = load("11").torch_to_keras(module, (16, 16))(last)
    else:
        made = run_line(line, build, last, names)
    assert np.allclose(np.moveaxis(made, -1, 1), wanted, atol=1e-3), line
    lines = fix(audit(module, torch.from_numpy(x)), framework="keras")
    assert lines[2:] in ([], [f"+ {line}"])


@pytest.mark.parametrize("ceil, counts", itertools.product((False, True), repeat=2))
def test_what_fix_writes_of_a_mean(ceil, counts):
    """A line for PyTorch holds all that a mean of PyTorch has been given."""
    x = torch.arange(2.0 * 16 * 16).reshape(1, 2, 16, 16)
    for n, p in itertools.product((15, 16), (0, 1)):
        pool = nn.AvgPool2d(3, 2, p, ceil, counts)
        (row,) = audit(pool, x[..., :n, :n])
        build = lambda **how: nn.AvgPool2d(3, 2, **how)  # noqa: E731
        made = run_line(row["write"]["pytorch"], build, x[..., :n, :n], {"F": F})
        assert torch.allclose(made, pool(x[..., :n, :n])), row["write"]


TO_PYTORCH = [
    L.Conv2D(2, 3, 1, "same"), L.Conv2D(2, 3, 2, "same"), L.Conv2D(2, (2, 5), 2, "same"),
    L.Conv2D(2, 3, 2), L.MaxPooling2D(3, 2, "same"), L.MaxPooling2D(2, 1, "same"),
    L.MaxPooling2D((2, 3), 1, "same"), L.AveragePooling2D(3, 2, "same"),
    L.AveragePooling2D(2, 1, "same"), L.AveragePooling2D(3, 1, "same"),
    L.Conv2DTranspose(2, 3, 2, "same"), L.Conv2DTranspose(2, 4, 2, "same"),
    L.Conv2DTranspose(2, 5, 2, "same"), L.Conv2DTranspose(2, 2, 3),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TO_PYTORCH)))
def test_what_fix_writes_in_pytorch_runs_and_is_right(number):
    """The line pasted around PyTorch's layer: Keras's values, below zero too."""
    layer, rng = TO_PYTORCH[number], np.random.default_rng(0)
    model = keras.Sequential([keras.Input((16, 16, 2)), layer])
    model.set_weights([rng.integers(1, 9, w.shape) for w in model.get_weights()])
    x = rng.integers(-99, -1, (1, 16, 16, 2)).astype("float32")
    wanted = np.moveaxis(model(x), -1, 1)
    pool, up = "Pooling" in type(layer).__name__, "Transpose" in type(layer).__name__
    mean = "Average" in type(layer).__name__

    def build(**how):
        """Return PyTorch's layer with its weights and some padding."""
        if pool:
            return (nn.AvgPool2d if mean else nn.MaxPool2d)(
                layer.pool_size, layer.strides, **how
            )
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        module = kind(2, 2, layer.kernel_size, layer.strides, **how)
        kernel, bias = layer.get_weights()
        state = {"weight": chapter.to_torch(kernel), "bias": torch.from_numpy(bias)}
        module.load_state_dict(state)
        return module

    (row,) = audit(model)
    line = row["write"]["pytorch"]
    first = torch.from_numpy(x).movedim(-1, 1)
    if line.startswith("pool_same"):
        numbers = layer.pool_size, layer.strides, mean
        made = load("08").pool_same(first, *numbers)
    else:
        names = {"F": F, "torch": torch}
        made = run_line(line, build, first, names).detach()
    assert np.allclose(made, wanted, atol=1e-3), line
    assert "inf" not in line


def test_fix_looks_at_the_port_it_is_given():
    """Its framework, its size, its separable layers, and a maximum for a mean."""
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(8, 3, 2, "same", name="k0"), L.Conv2D(8, 3, 2, "same")]
    model = keras.Sequential([keras.Input((64, 64, 3)), *layers])
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1))
    for a, b in ((model, audit(net, 32)), (model, audit(net, 128))):
        for original, port in ((audit(a), b), (b, audit(a))):
            with pytest.raises(ValueError, match="port must be audited at the size of"):
                fix(original, port)
    lines = fix(audit(net, 64), audit(model))
    assert lines[:2] == ["  k0, input 64×64", '- padding="same"']
    assert lines[2] == '+ ZeroPadding2D(((1, 1), (1, 1))), then padding="valid"'
    assert fix(audit(net, 64), audit(lite_of(model)))[1:3] == lines[1:3]
    assert fix(audit(model), audit(net, 64))[1] == "- padding=1"
    # of open size
    assert fix(audit(net, 64), audit(net)) == []
    lines = fix(audit(model), audit(net))
    assert lines == ["? 0: audit both at one size", "? 1: audit both at one size"]
    # a separable layer
    layer = L.SeparableConv2D(8, 3, strides=2, padding="same")
    model = keras.Sequential([keras.Input((64, 64, 3)), layer])
    deep = nn.Conv2d(3, 3, 3, 2, 1, groups=3)
    net = nn.Sequential(deep, nn.Conv2d(3, 8, 1))
    assert [line[:2] for line in fix(audit(model), audit(net, 64))] == [
        "  ",
        "- ",
        "+ ",
    ]
    assert [line[:2] for line in fix(audit(net, 64), audit(model))] == [
        "  ",
        "- ",
        "+ ",
    ]
    assert fix(audit(model), audit(lite_of(model))) == []
    net = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), deep, nn.Conv2d(3, 8, 1))
    deep.padding = (0, 0)
    assert fix(audit(model), audit(net, 64)) == []
    # another pool, and what is not judged in the port only
    rows = [
        audit(pool(3, 2, 1), torch.zeros(1, 3, 32, 32))
        for pool in (nn.MaxPool2d, nn.AvgPool2d)
    ]
    assert fix(*rows)[1:] == ["- a mean, padding=1", "+ a maximum, padding=1"]
    odd = nn.Conv2d(3, 3, 3, 2, 1, padding_mode="circular")
    (line,) = fix(audit(nn.Conv2d(3, 3, 3, 2, 1), 32), audit(odd, 32))
    assert line.startswith("?") and "not judged" in line


def test_print_audit_says_why_a_verdict_is_open(capsys):
    """The note beneath, a dash where the two rules' shapes would differ."""
    odd = nn.Conv2d(3, 3, 3, 2, 1, padding_mode="circular")
    model = nn.Sequential(odd, nn.Conv2d(3, 3, 2, 2, 1), nn.AdaptiveMaxPool2d(3))
    chapter.print_audit(audit(model, 32), every=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and max(map(len, lines)) <= 88
    assert "?    ?    ?" in lines[1] and lines[2].startswith("    not judged: ")
    assert lines[3].endswith("–")
    assert lines[4].split()[1] == "unknown:" and "not audited" in lines[5]
    chapter.print_audit(audit(nn.Conv2d(3, 3, 3, 2, 1)))
    assert capsys.readouterr().out.splitlines()[1].endswith("  ?")
