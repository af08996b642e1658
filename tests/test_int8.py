"""Chapter 17's table over other layers than the chapter's, and its check of fills."""

import math

import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from conftest import examples
from onnx import TensorProto, helper

from notebooks import find_chapters, load, read

chapter = load("17")
for cell in read(
    find_chapters(["17"])[0]
).cells:  # the constants: routes, recipes, data
    if cell.id in ("i8-lite", "i8-layers", "i8-data", "i8-recipes"):
        exec(cell.source, vars(chapter))
chapter.lowest = float(np.finfo("float32").min)
chapter.row = np.array([-3, 90, -128, 127, 41, 60], "float32").reshape(1, 1, 6, 1)
FILLS = ("max pool, Pad of -inf", "max pool, Pad of -3.4e38", "max pool, Pad of -128")
ROUTES = ("LiteRT int8", "LiteRT 16x8", "LiteRT dynamic")
ROUTES += ("ORT static", "ORT dynamic", "PyTorch")


def generated_layers(seed):
    """Return four (kernel, stride): odd and strided, even at stride 1, and two drawn."""
    rng = np.random.default_rng(seed)
    wide = int(rng.choice([3, 5, 7]))
    layers = [((3, wide), (2, 1 + int(rng.integers(2)))), ((4, 2), (1, 1))]
    for _ in range(2):
        stride = rng.integers(1, 4, 2)
        kernel = stride + rng.integers(0, 4, 2)
        layers.append((tuple(kernel.tolist()), tuple(stride.tolist())))
    return list(dict.fromkeys(layers))


def expected(name, route):
    """Return what the chapter's table says of a recipe on a route."""
    if name == "convolution, padding=p":
        return "wrong"
    if name in FILLS and route == "LiteRT 16x8":
        return "refused"
    static = route in ("LiteRT int8", "ORT static", "PyTorch")
    if name in FILLS[:2] and static:
        return "wrong"
    return "near" if name == "mean, sum / count" and static else "equal"


def qnnpack_counts(layer):
    """Tell whether PyTorch's mean of a layer counts padding: see the chapter."""
    return max(layer[1]) == 1 and any(map(any, chapter.pads_of(layer)))


@pytest.fixture(scope="module", params=range(examples(1)))
def table(request, one_thread):
    """Return {route: {recipe: [error of each layer] or None}} on generated layers."""
    torch.backends.quantized.engine = "qnnpack"  # as the chapter's setup
    rng = np.random.default_rng(100 + request.param)
    chapter.LAYERS[:] = generated_layers(request.param)
    chapter.WEIGHTS.clear()
    for layer in chapter.LAYERS:
        w = 127 * rng.integers(-1, 2, (*layer[0], chapter.CHANNELS, 8))
        w[0, 0, 0] = 127  # exact in 8 bits and in 7, as the chapter's
        chapter.WEIGHTS[layer] = w.astype("float32")
    chapter.exported = chapter.export_recipes([*chapter.RECIPES], chapter.x)
    found = {}
    for route in ROUTES:
        found[route] = {
            name: result and chapter.errors_of(name, result[1], chapter.x)
            for name, result in chapter.run_route(route, chapter.x).items()
        }
    return found


@pytest.mark.parametrize("route", ROUTES)
def test_every_row_of_the_table(table, route):
    """Equal within one step, wrong in each layer that is padded, or refused."""
    assert set(table[route]) == set(chapter.RECIPES)
    for name, errors in table[route].items():
        says = expected(name, route)
        if says == "refused":
            assert errors is None, name
            continue
        layers = chapter.layers_of(name)
        assert len(errors) == len(layers) > 0 or name == "convolution, padding=p"
        for layer, error in zip(layers, errors, strict=True):
            padded = any(map(any, chapter.pads_of(layer)))
            if name == "mean, SAME" and route == "PyTorch" and qnnpack_counts(layer):
                assert error > 3, (name, layer)
            elif says == "wrong" and padded:
                assert not error <= 10, (name, layer)  # a NaN too
            elif says == "near":
                assert error <= 4, (name, layer)
            elif says == "equal":
                assert error < 1.01, (name, layer)


def onnx_pool(pads, fill=None, opset=18):
    """Return an ONNX max pool of 3×3, stride 2, on 4 channels of 12×13, padded or filled."""
    nodes, source, initializers = [], "x", []
    if fill is not None:
        sides = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], "int64")
        initializers = [
            onnx.numpy_helper.from_array(sides, "sides"),
            onnx.numpy_helper.from_array(np.array(fill, "float32"), "fill"),
        ]
        nodes, source = [helper.make_node("Pad", ["x", "sides", "fill"], ["p"])], "p"
    how = {"kernel_shape": [3, 3], "strides": [2, 2]}
    how |= {"pads": pads} if fill is None else {}
    nodes.append(helper.make_node("MaxPool", [source], ["y"], **how))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 12, 13])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 7])
    graph = helper.make_graph(nodes, "pool", [x], [y], initializers)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_uneven_pads_of_an_onnx_pool_survive():
    """The cheat sheet's form, in ONNX Runtime's static route, and what −inf makes of it."""
    x = np.random.default_rng(0).integers(-128, 128, (1, 12, 13, 4)).astype("float32")
    x.flat[:2] = -128, 127
    wanted = tf.nn.max_pool2d(x, 3, 2, "SAME").numpy()
    _, (y,) = chapter.in_onnx_runtime(onnx_pool([0, 1, 1, 1]), "ORT static", x)
    np.testing.assert_allclose(y, wanted, atol=1)
    model = onnx_pool([0, 1, 1, 1], -math.inf)
    _, (y,) = chapter.in_onnx_runtime(model, "ORT static", x)
    assert not np.isfinite(y).any()


def test_a_planted_fill_is_found():
    """In ONNX models, as protos and as bytes, and in .tflite files, float and int8."""
    find = chapter.find_fill_pads
    assert find(onnx_pool([0, 1, 1, 1])) == find(onnx_pool([0, 1, 1, 1], 0.0)) == []
    for fill in (-math.inf, -1000.0, 3.0):
        model = onnx_pool([0, 1, 1, 1], fill)
        assert find(model) == find(model.SerializeToString()) == [("Pad", fill)]
    x = chapter.row
    for fill in (-math.inf, -1000.0):
        data = chapter.to_tflite(
            lambda x, fill=fill: chapter.fill_then_pool(x, fill), "float", x
        )
        lowest = max(fill, chapter.lowest)
        assert find(data) == [("PADV2", lowest)]
        data = chapter.to_tflite(
            lambda x, fill=fill: chapter.fill_then_pool(x, fill), "LiteRT int8", x
        )
        ((name, held),) = find(data)
        assert name == "PADV2"
        assert held == pytest.approx(lowest, rel=0.01)
    assert find(chapter.to_tflite(chapter.own_padding_pool, "float", x)) == []
    zeros = chapter.to_tflite(lambda x: chapter.fill_then_pool(x, 0.0), "float", x)
    assert find(zeros) == []


def test_a_computed_fill_and_a_reflection():
    """The fill that is no constant is None; a Pad that reflects writes no fill."""
    model = onnx_pool([0, 1, 1, 1], 0.0)
    del model.graph.initializer[1]
    scalar = helper.make_tensor_value_info("fill", TensorProto.FLOAT, [])
    model.graph.input.append(scalar)
    assert chapter.find_fill_pads(model) == [("Pad", None)]
    pad = model.graph.node[0]
    pad.attribute.append(helper.make_attribute("mode", "reflect"))
    assert chapter.find_fill_pads(model) == []


def test_a_fill_behind_a_cast_and_in_a_file(tmp_path):
    """Constant's value_float, Cast and Identity are looked through; a path is read."""
    for fill in (0.0, -1000.0):
        model = onnx_pool([0, 1, 1, 1], fill)
        name = model.graph.initializer.pop(1).name
        model.graph.node[0].input[2] = "cast"
        make = helper.make_node
        nodes = [make("Constant", [], [name], value_float=fill)]
        nodes.append(make("Identity", [name], ["same"]))
        nodes.append(make("Cast", ["same"], ["cast"], to=TensorProto.FLOAT))
        for node in reversed(nodes):
            model.graph.node.insert(0, node)
        onnx.checker.check_model(model)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        wanted = [("Pad", fill)] if fill else []
        for way in (model, path, str(path)):
            assert chapter.find_fill_pads(way) == wanted


BROKEN = b"\0\0\0\0TFL3" + bytes(20)


@pytest.mark.parametrize("model", [b"nonsense", b"", BROKEN, "a path", None])
def test_what_is_no_model(model):
    """The argument is named."""
    with pytest.raises(ValueError, match="model must be"):
        chapter.find_fill_pads(model)


def test_padded_max_pool_against_pytorch():
    """Other kernels, strides and paddings on each axis, sizes odd and even."""
    rng, tried = np.random.default_rng(0), 0
    while tried < examples(150):
        size, stride = rng.integers(1, 16, 2), rng.integers(1, 5, 2)
        kernel = rng.integers(1, 8, 2)
        padding = tuple(int(rng.integers(0, (k - 1) // 2 + 1)) for k in kernel)
        if any(size + 2 * np.array(padding) < kernel):
            continue
        kernel, stride = tuple(kernel.tolist()), tuple(stride.tolist())
        x = rng.integers(-99, 0, (2, *size, 3)).astype("float32")
        y = F.max_pool2d(
            torch.from_numpy(np.moveaxis(x, -1, 1).copy()), kernel, stride, padding
        )
        mine = chapter.padded_max_pool(x, kernel, stride, padding)
        np.testing.assert_array_equal(mine, np.moveaxis(y.numpy(), 1, -1))
        tried += 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 4, "padding": 2}, "padding must be from 0 to 1"),
        ({"kernel_size": 3, "padding": -1}, "padding must be"),
        ({"kernel_size": 3, "padding": True}, "padding must be"),
        ({"kernel_size": 3, "padding": (0.5, 0)}, "padding must be"),
        ({"kernel_size": 3, "padding": (1,)}, "padding must be one integer or two"),
        (
            {"kernel_size": 3, "padding": (1, 1, 1)},
            "padding must be one integer or two",
        ),
        ({"kernel_size": 0}, "kernel_size must be"),
        ({"kernel_size": 3, "stride": 0}, "stride must be"),
        ({"kernel_size": 9}, "x must have"),
    ],
)
def test_padded_max_pool_refuses(arguments, message):
    """By name and value."""
    with pytest.raises(ValueError, match=message):
        chapter.padded_max_pool(np.zeros((1, 6, 6, 1), "float32"), **arguments)


@pytest.mark.parametrize("x", [[1.0, 2.0], np.zeros((6, 6, 1), "float32")])
def test_padded_max_pool_refuses_another_rank(x):
    """A list has no shape."""
    with pytest.raises(ValueError, match=r"x must have shape \(N, H, W, C\)"):
        chapter.padded_max_pool(x, 3)


def test_padded_max_pool_refuses_an_open_size():
    """The slices would have to be numbers."""
    image = chapter.keras.Input((None, 6, 1))
    with pytest.raises(ValueError, match="x must have a known height"):
        chapter.padded_max_pool(image, 3, 2, 1)


def test_an_unknown_route_is_named():
    """to_tflite's only argument of words."""
    with pytest.raises(ValueError, match="route must be one of .*'int4'"):
        chapter.to_tflite(chapter.own_padding_pool, "int4", chapter.row)
