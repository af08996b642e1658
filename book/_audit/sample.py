"""Make sample.onnx, the file that the audit's page reads first: python book/_audit/sample.py

It needs the book's packages only. Ten layers, each with another padding, on 224 x 224; the weights
are zeros, and the file has no size but the input's, so that the page has to follow them.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILE = Path(__file__).with_name("sample.onnx")


def sample():
    """Return the model."""
    nodes, weights = [], []

    def weight(name, *shape):
        weights.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
        return name

    def add(kind, name, source, k=3, s=2, shape=None, **attributes):
        inputs = [source, *([weight(name + ".weight", *shape)] if shape else [])]
        node = helper.make_node(
            kind,
            inputs,
            [name],
            name,
            **{"kernel_shape": [k, k], "strides": [s, s]} | attributes,
        )
        nodes.append(node)
        return name

    def plain(kind, name, inputs, **attributes):
        nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    x = add("Conv", "stem", "image", shape=(4, 3, 3, 3), pads=[1] * 4)
    x = plain("Relu", "relu", [x])
    x = add("MaxPool", "pool", x, pads=[0, 0, 1, 1])
    skip = add("Conv", "block.conv1", x, s=1, shape=(4, 4, 3, 3), pads=[1] * 4)
    x = add("Conv", "block.conv2", skip, s=1, shape=(4, 1, 3, 3), group=4, pads=[1] * 4)
    x = plain("Add", "block.add", [x, skip])
    x = add("Conv", "down1", x, 5, shape=(4, 4, 5, 5), auto_pad="SAME_UPPER")
    pads = numpy_helper.from_array(np.int64([0, 0, 0, 0, 0, 0, 1, 1]), "pads")
    weights.append(pads)
    x = plain("Pad", "pad", [x, "pads"])
    x = add("Conv", "down2", x, shape=(4, 4, 3, 3))
    x = add(
        "Conv", "dilated", x, s=1, shape=(4, 4, 3, 3), dilations=[2, 2], pads=[2] * 4
    )
    x = add("AveragePool", "average", x, pads=[1] * 4, count_include_pad=1)
    x = add(
        "ConvTranspose",
        "up",
        x,
        shape=(4, 4, 3, 3),
        pads=[1] * 4,
        output_padding=[1, 1],
    )
    x = add("Conv", "head", x, 1, 1, shape=(2, 4, 1, 1))
    graph = helper.make_graph(
        nodes,
        "sample",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 2, None, None])],
        weights,
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    model.producer_name = "book/_audit/sample.py"
    return model


if __name__ == "__main__":
    model = sample()
    onnx.checker.check_model(model, full_check=True)
    FILE.write_bytes(model.SerializeToString(deterministic=True))
