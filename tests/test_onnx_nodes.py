"""ONNX's backend node tests with 'same' in their name pass through the book's functions.

SAME_UPPER is SAME; SAME_LOWER is its mirror image: flip the image and the kernel, apply, flip back.
Where cells are left over (stride larger than kernel) it is SAME itself.
"""

import importlib
import sys
from unittest import mock

import numpy as np
import onnx.backend.test.case.node as node_cases
import onnx.helper
import pytest
import torch

from notebooks import load

# The tests whose total padding is odd, so that UPPER and LOWER give different results, or is not.
TELLS = {
    "test_conv_with_autopad_same": False,
    "test_convtranspose_autopad_same": True,
    "test_averagepool_2d_precomputed_same_upper": False,
    "test_averagepool_2d_same_upper": True,
    "test_averagepool_2d_same_lower": True,
    "test_maxpool_2d_precomputed_same_upper": False,
    "test_maxpool_2d_same_upper": True,
    "test_maxpool_2d_same_lower": True,
}


@pytest.fixture(scope="module")
def cases():
    """Return {name: (operator, attributes, input arrays, output arrays)} of the tests."""
    found = {}

    def record(node, inputs, outputs, name, **_):
        attributes = {
            a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
        }
        found[name] = (node.op_type, attributes, inputs, outputs)

    with mock.patch.object(node_cases, "expect", record):
        for module in ("conv", "convtranspose", "averagepool", "maxpool"):
            name = f"onnx.backend.test.case.node.{module}"
            sys.modules.pop(name, None)  # the cases are made when it is imported
            importlib.import_module(name)
    return {name: case for name, case in found.items() if "same" in name}


def run(operator, attributes, inputs, rule):
    """Return what the book's function makes of one node test under "SAME_UPPER" or "SAME_LOWER"."""
    flipped = rule == "SAME_LOWER"
    tensors = [
        torch.from_numpy(a).flip(-2, -1) if flipped else torch.from_numpy(a)
        for a in inputs
    ]
    stride = tuple(attributes.get("strides", (1, 1)))
    if operator == "Conv":
        y = load("05").conv2d_same(*tensors, stride=stride)
    elif operator == "ConvTranspose":
        y = load("09").conv_transpose2d_same(*tensors, stride=stride)
    else:
        pool = {"AveragePool": "avg_pool2d_same", "MaxPool": "max_pool2d_same"}[
            operator
        ]
        y = getattr(load("08"), pool)(
            *tensors, tuple(attributes["kernel_shape"]), stride
        )
    return (y.flip(-2, -1) if flipped else y).numpy()


def test_there_are_eight(cases):
    """A test that ONNX adds or renames is noticed."""
    assert set(cases) == set(TELLS)


@pytest.mark.parametrize("name", TELLS)
def test_node(cases, name):
    """The function gives the node test's output; the other rule gives it if the test is blind."""
    operator, attributes, inputs, (expected,) = cases[name]
    rule = attributes["auto_pad"].decode()
    other = {"SAME_UPPER": "SAME_LOWER", "SAME_LOWER": "SAME_UPPER"}[rule]
    y = run(operator, attributes, inputs, rule)
    assert y.dtype == expected.dtype and y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    same = np.allclose(
        run(operator, attributes, inputs, other), expected, rtol=1e-5, atol=1e-5
    )
    assert same != TELLS[name]


@pytest.mark.parametrize("name", TELLS)
def test_what_it_tells_follows_from_the_sizes(cases, name):
    """UPPER and LOWER are the same padding just where the total is even on every axis."""
    operator, attributes, inputs, (expected,) = cases[name]
    same_padding = load("01").same_padding
    image = expected if operator == "ConvTranspose" else inputs[0]
    kernel = inputs[1].shape[2:] if "Conv" in operator else attributes["kernel_shape"]
    strides = attributes.get("strides", (1, 1))
    pads = [
        same_padding(*axis)
        for axis in zip(image.shape[2:], kernel, strides, strict=True)
    ]
    assert any(before != after for before, after in pads) == TELLS[name]
