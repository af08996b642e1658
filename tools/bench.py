"""What SAME costs on this machine, into `book/_data/bench-<machine>.json`: `make bench`.

    python tools/bench.py [PART ...] [--slice SECONDS] [--again] [--small] [--out FILE]

The forms and the layers are chapter 18's. Each part runs in a process of its own, checks that all
its variants are equal, times them in turn, and is stored at once: run again, what is stored is
skipped. A part is the beginning of a name that --list prints. --slice starts no further part after
so many seconds. --small is a tiny grid for the tests. Where PyTorch sees a GPU, --device cuda.
"""

import argparse
import ctypes
import datetime
import functools
import gc
import importlib.metadata
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path

from notebooks import ROOT, load, write_whole

DATA = ROOT / "book" / "_data"
PACKAGES = ("torch", "numpy", "onnxruntime", "openvino", "jax", "tensorflow", "keras")
SECONDS = 10  # of timing, for a part
ROUNDS = 30  # at most
# A compilation takes a second and more, so that of the 15 layers one of a kind is compiled.
COMPILED = "MobileNetV2 stem", "MobileNetV2 56", "MobileNetV2 14", "ResNet 28"
COMPILED += "U-Net down 128", "U-Net up 128"
SMALL = "MobileNetV2 14"  # for the tests


class NotEqual(AssertionError):
    """A variant that does not give the values of SAME."""


# Timing


def check_equal(results, floor, tolerance=0.0):
    """Raise NotEqual naming the first variant that is not what the others are.

    results is {variant: array}; the floor is symmetric, so that it is not asked. tolerance is a
    part of the largest value; 0 asks for equal bits.
    """
    import numpy as np

    (first, wanted), *others = [(k, v) for k, v in results.items() if k != floor]
    for name, value in others:
        if value.shape != wanted.shape:
            raise NotEqual(f"{name} has shape {value.shape}, {first} {wanted.shape}")
        off = np.abs(value - wanted).max()
        if not off <= tolerance * np.abs(wanted).max():
            raise NotEqual(f"{name} differs from {first} by {off}")


def quartiles(values):
    """Return [first quartile, median, third quartile]."""
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def time_in_turn(cases, floor, seconds, settle=lambda: None):
    """Return rows of times, from cases {what: {variant: function}}.

    In every round each case's variants run in a random order, each once untimed and once timed, so
    that whatever else the machine does falls on all alike. A row's "ratio" is of the median of the
    ratios to the floor within a round.
    """
    times = {(what, name): [] for what, runs in cases.items() for name in runs}
    draw, end = random.Random(0), time.monotonic() + seconds
    for rounds in range(ROUNDS):
        if rounds > 2 and time.monotonic() > end:
            break
        for what, runs in cases.items():
            for name in draw.sample(list(runs), len(runs)):
                runs[name]()
                settle()
                start = time.perf_counter()
                runs[name]()
                settle()
                times[what, name].append(1e3 * (time.perf_counter() - start))
    rows = []
    for (what, name), found in times.items():
        row = {"what": what, "variant": name, "ms": quartiles(found)}
        if floor in cases[what]:
            pairs = zip(found, times[what, floor], strict=True)
            row["ratio"] = quartiles([ours / theirs for ours, theirs in pairs])
        rows.append(row | {"runs": len(found)})
    for row in rows:
        for key in ("ms", "ratio"):
            if key in row:
                row[key] = [float(f"{value:.4g}") for value in row[key]]
    return rows


def keep_memory():
    """Let glibc keep freed memory, as every allocator made for this does; else it is all pages."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # mmap, trim, top pad
        libc.mallopt(option, value)


def peak_of(function):
    """Return how many MB of tensors `function` holds at most, beyond those it began with."""
    import torch

    with torch.profiler.profile(profile_memory=True) as profile:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    memory = [e["args"] for e in events if e.get("name") == "[memory]"]
    totals = [args["Total Allocated"] for args in memory]
    return round((max(totals) - totals[0] + memory[0]["Bytes"]) / 1e6, 2)


# PyTorch's layers


def integers(shape, seed, high=4):
    """Return a tensor of integers from -high to high, float32; sums of them are exact."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return torch.randint(-high, high + 1, tuple(shape), generator=draw).float()


def layer_data(layer, batch, high=4):
    """Return (x, weight) of a layer."""
    shape = layer.filters, layer.inputs // layer.groups, layer.kernel, layer.kernel
    x = integers((batch, layer.inputs, layer.size, layer.size), 1, high)
    return x, integers(shape, 2, high)


def own_code(function):
    """Return the function with a code of its own.

    Dynamo keeps what it compiled by code, and asks the guards of all it has for one in turn.
    """
    code = function.__code__.replace()
    return types.FunctionType(
        code, function.__globals__, None, None, function.__closure__
    )


def compiled_form(form, between, layer, weight):
    """Return a form compiled for a known size, alone or between two BatchNorm with ReLU6."""
    import torch
    import torch.nn.functional as F

    def norm(channels):
        zeros, ones = weight.new_zeros(channels), weight.new_ones(channels)
        return lambda x: F.relu6(F.batch_norm(x, zeros, ones, ones, zeros, eps=0))

    before, after = norm(layer.inputs), norm(layer.filters)

    def alone(x):
        return form(x)

    def block(x):
        return after(form(before(x)))

    run = own_code(block if between else alone)
    return torch.compile(run, dynamic=False, fullgraph=True)


def torch_layers(
    chapter, layers, seconds, layout, batch, dtype, backward, device, compiled=""
):
    """Time the forms of chapter 18 on PyTorch's layers, each with the tensor they return.

    compiled may be "alone" or "between BatchNorm and ReLU6".
    """
    import torch

    cases = {}
    how = {"device": device, "dtype": getattr(torch, dtype)}
    how["memory_format"] = getattr(torch, layout)
    for layer in layers:
        x, weight = layer_data(layer, batch, high=1 if dtype == "bfloat16" else 4)
        x, weight = x.to(**how), weight.to(**how)
        forms = chapter.timed_forms(weight, layer, training=backward)
        if compiled:
            forms = {
                name: compiled_form(forms[name], compiled != "alone", layer, weight)
                for name in ("symmetric", "pad", "crop", "Conv2dSame")
            }
        larger = chapter.image_of_floor(x, layer).contiguous(
            memory_format=how["memory_format"]
        )
        images = {name: larger if name == "symmetric" else x for name in forms}
        with torch.no_grad():  # the floor too, for a compiler
            found = {name: form(images[name]) for name, form in forms.items()}
        arrays = {k: v.float().cpu().numpy() for k, v in found.items()}
        tolerance = 0.02 if dtype == "bfloat16" else 0.0
        check_equal(arrays, "symmetric", tolerance)
        run = run_backward if backward else run_forward
        cases[layer.name] = {
            name: functools.partial(run, form, images[name])
            for name, form in forms.items()
        }
        if backward:
            x.requires_grad_(), larger.requires_grad_(), weight.requires_grad_()
    return time_and_memory(cases, seconds, backward, device)


def time_and_memory(cases, seconds, backward, device):
    """Return the rows of PyTorch's cases; on the CPU with their memory, counted after the times."""
    import torch

    settle = torch.cuda.synchronize if device == "cuda" else lambda: None
    with torch.set_grad_enabled(backward):
        rows = time_in_turn(cases, "symmetric", seconds, settle)
        if device == "cpu":
            for row in rows:
                row["peak_mb"] = peak_of(cases[row["what"]][row["variant"]])
    return rows


def run_forward(form, x):
    """Run a form."""
    return form(x)


def run_backward(form, x):
    """Run a form and its gradients."""
    form(x).sum().backward()


# PyTorch's networks


def make_network(name, conv):
    """Return a network whose k x k convolutions are conv(inputs, filters, kernel, stride, groups).

    MobileNetV2, EfficientNet-B0, ResNet-50 and a U-Net with 2x2 layers on the way up, without
    trained weights.
    """
    import torch
    import torch.nn.functional as F
    from torch import nn

    def unit(inputs, filters, kernel, stride=1, groups=1, act=None):
        """Return a convolution, its normalisation and an activation."""
        layers = conv(inputs, filters, kernel, stride, groups), nn.BatchNorm2d(filters)
        return nn.Sequential(*layers, *([act(inplace=True)] if act else []))

    class Gate(nn.Module):
        """Squeeze and excitation."""

        def __init__(self, channels, reduced):
            super().__init__()
            self.reduce = nn.Conv2d(channels, reduced, 1)
            self.expand = nn.Conv2d(reduced, channels, 1)

        def forward(self, x):
            """Return x, each channel times its gate."""
            y = F.silu(self.reduce(x.mean((2, 3), keepdim=True)))
            return x * torch.sigmoid(self.expand(y))

    class Residual(nn.Module):
        """A sequence, added to its input or to a projection of it."""

        def __init__(self, layers, short=None, act=None):
            super().__init__()
            self.layers = nn.Sequential(*layers)
            self.short, self.act = short, act

        def forward(self, x):
            """Return the sum."""
            y = self.layers(x) + (self.short(x) if self.short else x)
            return self.act(y) if self.act else y

    def head(filters):
        """Return the classifier."""
        return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters, 1000)

    def inverted(plan, act, gate):
        """Return a network of inverted residuals."""
        layers, inputs = [unit(3, 32, 3, 2, act=act)], 32
        for widen, filters, count, stride, kernel in plan:
            for step in [stride] + [1] * (count - 1):
                inner = inputs * widen
                block = [unit(inputs, inner, 1, act=act)] if widen > 1 else []
                block += [unit(inner, inner, kernel, step, inner, act)]
                block += [Gate(inner, inputs // 4)] if gate else []
                block += [unit(inner, filters, 1)]
                same = step == 1 and inputs == filters
                layers.append(Residual(block) if same else nn.Sequential(*block))
                inputs = filters
        return nn.Sequential(*layers, unit(inputs, 1280, 1, act=act), *head(1280))

    if name == "MobileNetV2":
        plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
        plan += (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
        return inverted([(*row, 3) for row in plan], nn.ReLU6, gate=False)
    if name == "EfficientNet-B0":
        plan = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3))
        plan += (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)
        return inverted(plan, nn.SiLU, gate=True)
    if name == "ResNet-50":
        layers, inputs = [unit(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)], 64
        for inner, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for step in [stride] + [1] * (count - 1):
                block = (
                    unit(inputs, inner, 1, act=nn.ReLU),
                    unit(inner, inner, 3, step, act=nn.ReLU),
                )
                short = (
                    unit(inputs, 4 * inner, 1, step) if inputs != 4 * inner else None
                )
                block += (unit(inner, 4 * inner, 1),)
                layers.append(Residual(block, short, F.relu))
                inputs = 4 * inner
        return nn.Sequential(*layers, *head(2048))

    class UNet(nn.Module):
        """Strided layers down; nearest neighbours and a 2x2 layer up."""

        def __init__(self, width=16):
            super().__init__()
            act = nn.ReLU
            self.first, levels = (
                unit(3, width, 3, act=act),
                [width * 2**i for i in range(4)],
            )
            self.down = nn.ModuleList(
                nn.Sequential(
                    unit(c, 2 * c, 3, 2, act=act), unit(2 * c, 2 * c, 3, act=act)
                )
                for c in levels
            )
            self.up = nn.ModuleList(unit(2 * c, c, 2, act=act) for c in levels)
            self.join = nn.ModuleList(unit(2 * c, c, 3, act=act) for c in levels)
            self.last = nn.Conv2d(width, 2, 1)
            # The floor's 2x2 layers pad nothing, and take one row and column more.
            self.extra = int(conv.floor)

        def forward(self, x):
            """Return the maps of x."""
            x, skips = self.first(x), []
            for down in self.down:
                skips.append(x)
                x = down(x)
            for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
                skip = skips.pop()
                size = [n + self.extra for n in skip.shape[2:]]
                x = join(torch.cat([up(F.interpolate(x, size=size)), skip], 1))
            return self.last(x)

    return UNet()


def torch_networks(
    chapter,
    name,
    size,
    seconds,
    layout,
    batch,
    dtype,
    backward,
    compiled,
    variants,
    device,
):
    """Time a whole network, the same weights in each form."""
    import torch

    models, state = {}, None
    for variant in variants:
        torch.manual_seed(0)
        model = make_network(name, chapter.conv_maker(variant))
        state = state or model.state_dict()
        model.load_state_dict(state)
        model = model.to(device, getattr(torch, dtype))
        models[variant] = model.to(memory_format=getattr(torch, layout)).train(backward)
    x = integers((batch, 3, size, size), 3).to(device, getattr(torch, dtype))
    x = x.contiguous(memory_format=getattr(torch, layout))
    runs = models
    if compiled:
        dynamic = {"static": False, "open sizes": True}[compiled]
        how = {"dynamic": dynamic, "fullgraph": True}
        runs = {k: torch.compile(m, **how) for k, m in models.items()}
    tolerance = 0.1 if dtype == "bfloat16" else 1e-3
    found = {}
    with torch.no_grad():
        for variant in runs:
            print(f"    {variant}", flush=True)
            found[variant] = (
                (models if backward else runs)[variant](x).float().cpu().numpy()
            )
    check_equal(found, "symmetric", tolerance)
    do = run_backward if backward else run_forward
    case = {k: functools.partial(do, run, x) for k, run in runs.items()}
    return time_and_memory({name: case}, seconds, backward, device)


# Runtimes that have uneven pads of their own


def laws_pads(layer):
    """Return (before, after) of SAME, and the symmetric pair of the floor."""
    same = load("01").same_padding(layer.size, layer.kernel, layer.stride)
    return same, ((layer.kernel // 2,) * 2 if layer.kernel % 2 else (0, 1))


def onnx_model(layer, pads, explicit, weight, batch):
    """Return a file of one Conv with its own pads, or of a Pad and a Conv."""
    from onnx import TensorProto, helper, numpy_helper

    (before, after), (n, c) = pads, (layer.size, layer.inputs)
    how = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
    how["group"] = layer.groups
    own = [0] * 4 if explicit else [before, before, after, after]
    constants = [numpy_helper.from_array(weight, "w")]
    nodes = [
        helper.make_node(
            "Conv", ["p" if explicit else "x", "w"], ["y"], pads=own, **how
        )
    ]
    if explicit:
        import numpy as np

        amounts = np.array([0, 0, before, before, 0, 0, after, after], "int64")
        constants.append(numpy_helper.from_array(amounts, "amounts"))
        nodes.insert(0, helper.make_node("Pad", ["x", "amounts"], ["p"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, c, n, n])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "layer", [x], [y], constants)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(
        graph, opset_imports=opset, ir_version=9
    ).SerializeToString()


def run_onnxruntime(file, x, threads):
    """Return a function that runs an ONNX file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # The threads of one session would otherwise spin while another one is timed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(file, options, providers=providers)
    return lambda: session.run(None, {"x": x})[0]


def run_openvino(file, x, threads):
    """Return a function that runs an ONNX file in OpenVINO, which chapter 12's matrix installs."""
    from matrix import CACHE, install

    if why := install("openvino"):
        raise ImportError(why)
    sys.path.append(str(CACHE / "environments" / "openvino"))
    import openvino

    core = openvino.Core()
    model = core.read_model(file, b"")
    # Its default on this processor may be bfloat16 arithmetic.
    how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(model, "CPU", how)
    request, tensor = compiled.create_infer_request(), openvino.Tensor(x)
    return lambda: request.infer({0: tensor})[0]


def onnx_layers(runtime, layers, seconds, batch, threads):
    """Time one-layer ONNX files: symmetric pads, SAME's pads, and a Pad before the Conv."""
    run = {"onnxruntime": run_onnxruntime, "openvino": run_openvino}[runtime]
    cases = {}
    for layer in layers:
        x, weight = (t.numpy() for t in layer_data(layer, batch))
        same, symmetric = laws_pads(layer)
        plan = {"symmetric": (symmetric, False), "uneven pads": (same, False)}
        plan["Pad + Conv"] = same, True
        runs = {
            name: run(onnx_model(layer, *how, weight, batch), x, threads)
            for name, how in plan.items()
        }
        check_equal({k: f().copy() for k, f in runs.items()}, "symmetric")
        cases[layer.name] = runs
    return time_in_turn(cases, "symmetric", seconds)


def xla_layers(layers, seconds, batch):
    """Time JAX's convolution, compiled by XLA, channels last."""
    import jax
    import numpy as np

    cases = {}
    for layer in layers:
        x, weight = (t.numpy() for t in layer_data(layer, batch))
        x, weight = x.transpose(0, 2, 3, 1).copy(), weight.transpose(2, 3, 1, 0).copy()
        same, symmetric = laws_pads(layer)
        how = {
            "window_strides": (layer.stride,) * 2,
            "feature_group_count": layer.groups,
        }
        how["dimension_numbers"] = ("NHWC", "HWIO", "NHWC")
        conv = functools.partial(jax.lax.conv_general_dilated, **how)

        def pad_first(x, weight, conv=conv, same=same):
            padded = jax.numpy.pad(x, ((0, 0), same, same, (0, 0)))
            return conv(padded, weight, padding="VALID")

        forms = {"symmetric": functools.partial(conv, padding=[symmetric] * 2)}
        forms |= {"uneven pads": functools.partial(conv, padding=[same] * 2)}
        forms |= {"SAME": functools.partial(conv, padding="SAME"), "pad": pad_first}
        x, weight = jax.device_put(x), jax.device_put(weight)
        runs = {
            name: functools.partial(block_until_ready, jax.jit(form), x, weight)
            for name, form in forms.items()
        }
        check_equal({k: np.asarray(f()) for k, f in runs.items()}, "symmetric")
        cases[layer.name] = runs
    return time_in_turn(cases, "symmetric", seconds)


def block_until_ready(function, *arguments):
    """Return JAX's result when it is there."""
    return function(*arguments).block_until_ready()


def tensorflow_layers(layers, seconds, batch, threads):
    """Time tf.nn.conv2d in a tf.function: its SAME, and zeros first and VALID."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    cases = {}
    for layer in layers:
        x, weight = (t.numpy() for t in layer_data(layer, batch))
        x = tf.constant(x.transpose(0, 2, 3, 1).copy())
        depthwise, steps = layer.groups > 1, [1, layer.stride, layer.stride, 1]
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        weight = tf.constant(weight.transpose(axes).copy())
        conv = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
        same = laws_pads(layer)[0]

        def explicit(pads, x, weight=weight, steps=steps):
            return tf.nn.conv2d(x, weight, steps, [[0, 0], pads, pads, [0, 0]])

        forms = {"SAME": same_function(conv, weight, steps)}
        forms["ZeroPadding + valid"] = same_function(conv, weight, steps, same)
        if not depthwise:  # a depthwise one takes no pads of one's own
            forms |= {"uneven pads": functools.partial(explicit, same)}
        runs = {
            name: functools.partial(tf.function(form), x)
            for name, form in forms.items()
        }
        check_equal({k: f().numpy() for k, f in runs.items()}, None)
        cases[layer.name] = runs
    return time_in_turn(cases, "SAME", seconds)


def litert_layers(layers, seconds, batch, threads):
    """Time one-layer .tflite files: SAME, and a PAD operation before VALID."""
    import tensorflow as tf

    cases = {}
    for layer in layers:
        x, weight = (t.numpy() for t in layer_data(layer, batch))
        x, depthwise = x.transpose(0, 2, 3, 1).copy(), layer.groups > 1
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        weight = tf.constant(weight.transpose(axes).copy())
        conv = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
        steps = [1, layer.stride, layer.stride, 1]
        same = laws_pads(layer)[0]
        forms = {"SAME": same_function(conv, weight, steps)}
        forms["PAD + VALID"] = same_function(conv, weight, steps, same)
        runs = {k: run_litert(tf, form, x, threads) for k, form in forms.items()}
        check_equal({k: f().copy() for k, f in runs.items()}, None)
        cases[layer.name] = runs
    return time_in_turn(cases, "SAME", seconds)


def same_function(conv, weight, steps, pads=None):
    """Return a function of x alone: SAME, or zeros first and VALID."""
    import tensorflow as tf

    if pads is None:
        return lambda x: conv(x, weight, steps, "SAME")
    amounts = [[0, 0], pads, pads, [0, 0]]
    return lambda x: conv(tf.pad(x, amounts), weight, steps, "VALID")


def run_litert(tf, form, x, threads):
    """Return a function that runs a form converted to a .tflite file."""
    module = tf.Module()
    module.run = tf.function(form, input_signature=[tf.TensorSpec(x.shape)])
    convert = tf.lite.TFLiteConverter.from_concrete_functions
    concrete = module.run.get_concrete_function()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = convert([concrete], module).convert()
        interpreter = tf.lite.Interpreter(model_content=file, num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]

    def run():
        """Run it and return its output."""
        interpreter.set_tensor(image, x)  # its memory is used again within a run
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return run


# The grid


def grid():
    """Return {part: (function, keyword arguments)}, in the order they are run.

    Left out, for time: bfloat16 in NCHW and in training, batch 8 of the runtimes and of ResNet-50,
    EfficientNet-B0 compiled; of the compiled layers all but channels last at batch 1.
    """
    parts = {}
    fixed = {"layout": "contiguous_format", "batch": 1, "dtype": "float32"}
    fixed |= {"backward": False}
    last = {"layout": "channels_last"}
    for changes in (
        {},
        last,
        {"batch": 8},
        last | {"batch": 8},
        last | {"dtype": "bfloat16"},
        {"backward": True},
        last | {"batch": 8, "backward": True},
    ):
        how = fixed | changes
        parts[f"layers, PyTorch, {in_words(**how)}"] = torch_layers, how
    for compiled in ("alone", "between BatchNorm and ReLU6"):
        # Channels last, in which Inductor convolves: else it copies x and the result anyway.
        how = fixed | last
        words = f"compiled {compiled}, {in_words(**how)}"
        parts[f"layers, PyTorch, {words}"] = torch_layers, how | {"compiled": compiled}
    many = ["symmetric", "pad", "crop", "view", "enlarge", "Conv2dSame"]
    few = ["symmetric", "pad", "Conv2dSame"]
    for name, size, settings in (
        (
            "MobileNetV2",
            224,
            ({}, last, last | {"batch": 8}, last | {"dtype": "bfloat16"}),
        ),
        ("EfficientNet-B0", 224, ({}, last | {"batch": 8})),
        ("ResNet-50", 224, ({}, last)),
        ("U-Net", 192, ({}, last)),
    ):
        for changes in settings:
            how = fixed | {"compiled": "", "variants": many} | changes
            words = in_words(**{k: how[k] for k in fixed})
            how |= {"name": name, "size": size}
            parts[f"{name}, eager, {words}"] = torch_networks, how
    for name, size, compiled, changes in (
        ("MobileNetV2", 224, "", last | {"batch": 8, "backward": True}),
        ("U-Net", 192, "", {"backward": True}),
        ("MobileNetV2", 224, "static", {}),
        ("MobileNetV2", 224, "static", last | {"batch": 8}),
        ("MobileNetV2", 224, "open sizes", {}),
        ("U-Net", 192, "static", {}),
    ):
        how = fixed | {"compiled": compiled, "variants": few} | changes
        words = in_words(**{k: how[k] for k in fixed})
        how |= {"name": name, "size": size}
        kind = f"compiled, {compiled}" if compiled else "eager"
        parts[f"{name}, {kind}, {words}"] = torch_networks, how
    for runtime in ("onnxruntime", "openvino"):
        how = {"runtime": runtime, "batch": 1}
        parts[f"layers, {runtime}, batch 1"] = onnx_layers, how
    parts["layers, JAX and XLA, batch 1"] = xla_layers, {"batch": 1}
    parts["layers, TensorFlow, batch 1"] = tensorflow_layers, {"batch": 1}
    parts["layers, LiteRT, batch 1"] = litert_layers, {"batch": 1}
    return parts


def in_words(layout, batch, dtype, backward):
    """Return a setting in words."""
    layout = {"contiguous_format": "NCHW", "channels_last": "channels last"}[layout]
    words = f"{layout}, batch {batch}"
    words += "" if dtype == "float32" else f", {dtype}"
    return words + (", forward and backward" if backward else "")


def run_part(part, seconds, small, threads, device):
    """Return the rows of one part; run it in a process of its own."""
    keep_memory()
    gc.disable()  # as timeit does; a compiler spends a tenth of its time on it
    function, how = grid()[part]
    how = dict(how)
    if function in (torch_layers, torch_networks):
        import torch

        torch.set_num_threads(threads)
        how |= {"chapter": load("18"), "device": device}
    if function in (onnx_layers, tensorflow_layers, litert_layers):
        how["threads"] = threads
    if function is torch_networks:
        how["size"] = 32 if small else how["size"]
    else:
        layers = load("18").timed_layers()
        if how.get("compiled"):
            layers = [layer for layer in layers if layer.name in COMPILED]
        if small:
            layers = [layer._replace(size=8) for layer in layers if layer.name == SMALL]
        how["layers"] = layers
    return function(seconds=seconds, **how)


# The file


def machine(threads):
    """Return the machine in words: processor, cores, threads used, system, Python."""
    from matrix import machine

    return machine() | {"threads": threads}


def versions():
    """Return {package: version} of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def default_file(device="cpu"):
    """Return where this machine's results are kept."""
    name = machine(1)["processor"] if device == "cpu" else gpu_name()
    words = re.sub(r"\((r|tm)\)", "", name.lower())
    return DATA / f"bench-{re.sub(r'[^a-z0-9]+', '-', words).strip('-')}.json"


def gpu_name():
    """Return the name of the GPU that PyTorch sees."""
    import torch

    return torch.cuda.get_device_name()


def store(path, part, result, threads):
    """Put one part's result into the file, whole or not at all."""
    data = {"parts": {}}
    if path.exists():
        data = json.loads(path.read_text(encoding="utf-8"))
    data["machine"] = machine(threads)
    data["versions"] = data.get("versions", {}) | result.pop("versions", {})
    data["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    data["parts"][part] = result
    order = ("date", "machine", "versions", "parts")
    text = json.dumps({key: data[key] for key in order}, indent=1, ensure_ascii=False)
    # One list of numbers a line, and not one number.
    text = re.sub(
        r"\[\s+([-\d.,e\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text
    )
    write_whole(path, text + "\n")


def child(part, arguments):
    """Run one part in a process of its own; return its rows and versions, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "rows.json")
        command = [sys.executable, __file__, "--child", part, str(result)]
        command += ["--seconds", str(arguments.seconds), "--device", arguments.device]
        command += ["--threads", str(arguments.threads), *["--small"] * arguments.small]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
        environment |= {"OMP_NUM_THREADS": str(arguments.threads)}
        process = subprocess.run(
            command, env=environment, stderr=subprocess.PIPE, text=True
        )
        if process.returncode:
            last = process.stderr.strip().splitlines()[-1:] or ["it died"]
            return {"failed": last[0][:300]}
        return json.loads(result.read_text(encoding="utf-8"))


def main():
    """Run the command line described at the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--slice", type=float, default=float("inf"))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        part, path = arguments.child
        how = arguments.seconds, arguments.small, arguments.threads, arguments.device
        result = {"rows": run_part(part, *how), "versions": versions()}
        Path(path).write_text(json.dumps(result), encoding="utf-8")
        return 0
    wanted = tuple(arguments.parts)
    parts = [part for part in grid() if not wanted or part.startswith(wanted)]
    if not parts:
        parser.error(f"no part begins with {wanted}; --list names them")
    if arguments.device == "cuda":  # the other runtimes are timed on the CPU
        parts = [p for p in parts if grid()[p][0] in (torch_layers, torch_networks)]
    if arguments.list:
        print(*parts, sep="\n")
        return 0
    path = arguments.out or default_file(arguments.device)
    known = (
        json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    )
    start, failed = time.monotonic(), []
    for number, part in enumerate(parts, 1):
        if "rows" in known.get(part, {}) and not arguments.again:
            continue
        spent = time.monotonic() - start
        if spent > arguments.slice:
            print("the slice is over; run it again for the rest")
            break
        print(f"{number}/{len(parts)} {spent:4.0f} s  {part}", flush=True)
        begun = time.monotonic()
        result = child(part, arguments)
        if "failed" in result:
            failed.append(part)
            print(f"    failed: {result['failed']}", flush=True)
        result["seconds"] = round(time.monotonic() - begun)
        store(path, part, result, arguments.threads)
    print(f"in {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
