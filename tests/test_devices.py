"""One result on every device: the chapters' loop over devices, and the law on CPU and GPU.

`make test-gpu` runs this file where there is a GPU; elsewhere its half of the tests is skipped.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import torch
from conftest import PROFILE

from notebooks import ROOT, load

mismatch, pooling, axes, every = load("04"), load("08"), load("10"), load("12")
OPERATIONS = "conv", "depthwise", "max", "avg", "transposed"
noise = mismatch.noise_image(16), np.ones((3, 3, 3, 1), "float32")


@pytest.fixture
def two_in_pytorch(monkeypatch):
    """Let the loop find two devices: PyTorch takes the name cpu:1, which is the CPU again."""
    monkeypatch.setattr(mismatch, "devices", lambda: [(None, "cpu"), (None, "cpu:1")])


@pytest.fixture
def shifted(monkeypatch):
    """Let PyTorch's convolution move its values by a column on the second of two devices."""
    convolve = torch.nn.functional.conv2d

    def conv2d(*arguments, **options):
        y = convolve(*arguments, **options)
        return y.roll(1, -1) if torch.get_default_device().index else y

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)


def test_loop_returns_the_one_result(two_in_pytorch):
    """Two devices that agree: the function ran on both, and what it returns is the first's."""
    seen = []

    @mismatch.on_every_device
    def compute(x):
        """Return a value and an array."""
        seen.append(torch.get_default_device())
        return 3, torch.tensor(x).numpy(force=True)

    number, array = compute(np.arange(4))
    assert (number, array.tolist()) == (3, [0, 1, 2, 3])
    assert seen == [torch.device("cpu"), torch.device("cpu:1")]
    assert compute.__doc__ == "Return a value and an array."
    mismatch.keras_and_torch(*noise)


def test_loop_catches_a_device_of_pytorch_that_differs(two_in_pytorch, shifted):
    """A GPU whose windows stand elsewhere stops the chapter's proof."""
    with pytest.raises(AssertionError, match=r"keras_and_torch on \(None, 'cpu:1'\)"):
        mismatch.keras_and_torch(*noise)


# In a process of its own, because TensorFlow and JAX are told once how many CPUs they have.
TWO_CPUS = """
import json, sys
sys.path.insert(0, "tools")
import gpu
exec(gpu.TWO_CPUS)
import numpy as np
from notebooks import load

mismatch, every = load("04"), load("12")
every.operations = ("conv", "max")
x, kernel = np.ones((1, 6, 6, 1), "float32"), np.ones((3, 3, 1, 1), "float32")
found = {"devices": mismatch.devices()}
found["values"] = mismatch.same_and_padded(x, kernel, 2, 1)[0].sum()
found["jax"] = sorted(every.jax_letters())

import jax

convolve, convolve_jax = tf.nn.conv2d, jax.lax.conv_general_dilated

def conv2d(*arguments, **options):
    y = convolve(*arguments, **options)
    return y + 1 if y.device.endswith("CPU:1") else y

def conv_general_dilated(*arguments, **options):
    y = convolve_jax(*arguments, **options)
    return y + 1 if y.devices() == {jax.devices()[1]} else y

tf.nn.conv2d, jax.lax.conv_general_dilated = conv2d, conv_general_dilated
try:
    mismatch.same_and_padded(x, kernel, 2, 1)
except AssertionError as error:
    found["caught"] = str(error)
found["jax, one shifted"] = sorted(every.jax_letters())
print(json.dumps(found, default=float))
"""


def test_loop_catches_a_device_of_tensorflow_or_jax_that_differs():
    """With two logical CPUs: both run and agree, and one that adds 1 is found."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_CPUS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    names = [name for name, _ in found["devices"]]
    assert names[:2] == ["/device:CPU:0", "/device:CPU:1"]
    assert found["values"] == 64  # 9 9 6, twice, and 6 6 4
    assert found["jax"] == ["EE"]
    assert found["caught"].startswith("same_and_padded on ('/device:CPU:1'")
    assert found["jax, one shifted"] == ["DE", "EE"]


def ask_book(layer, x, w):
    """The book's own functions for PyTorch, on its current device."""
    x = torch.tensor(every.to_nchw(x))
    if layer.op in ("max", "avg"):
        pool = {"max": pooling.max_pool2d_same, "avg": pooling.avg_pool2d_same}
        y = pool[layer.op](x, layer.k, layer.s)
    elif layer.op == "transposed":
        weight = torch.tensor(every.filters_first(layer, w))
        y = axes.conv_transpose_same(x, weight, None, layer.s)
    else:
        groups = x.shape[1] if layer.op == "depthwise" else 1
        weight = torch.tensor(every.filters_first(layer, w))
        y = axes.conv_same(x, weight, None, layer.s, layer.d, groups)
    return every.to_nhwc(y.numpy(force=True))


def on(framework, kind):
    """Return a context in which a framework computes on its CPU or its GPU; skip without one."""
    if framework == "tensorflow":
        if kind == "gpu" and not tf.config.list_logical_devices("GPU"):
            pytest.skip(f"not run on a GPU: TensorFlow {tf.__version__} sees none")
        return tf.device(kind)
    if framework == "pytorch":
        if kind == "gpu" and not torch.cuda.is_available():
            pytest.skip(f"not run on a GPU: PyTorch {torch.__version__} sees none")
        return torch.device("cuda" if kind == "gpu" else "cpu")
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    found = [device for device in jax.devices() if device.platform == "gpu"]
    if kind == "gpu" and not found:
        pytest.skip(f"not run on a GPU: JAX {jax.__version__} sees none")
    return jax.default_device(found[0] if kind == "gpu" else jax.devices("cpu")[0])


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize(
    ("framework", "adapter"),
    [
        ("tensorflow", every.ask_tensorflow),
        ("pytorch", ask_book),
        ("jax", every.ask_jax),
    ],
    ids=["tensorflow", "pytorch", "jax"],
)
def test_every_device_keeps_the_law(framework, adapter, op, kind):
    """TensorFlow, JAX and the book's functions give the law's numbers; a refusal is a skip."""
    layers = every.layers_to_ask(op, "upper", "full" if PROFILE == "long" else "live")
    if framework == "tensorflow" and op == "depthwise":  # chapter 10: not the law
        layers = [layer for layer in layers if layer.s == 1 or layer.d == 1]
    with on(framework, kind):
        row = every.probe(adapter, layers)
    assert not row["differs"], row["first"]["differs"]
    if row["refuses"]:
        layer, reason = row["first"]["refuses"]
        pytest.skip(f"{framework}'s {kind} refuses {row['refuses']} layers: {reason}")
    assert row["equal"] == len(layers)


@pytest.mark.parametrize("framework", ["tensorflow", "pytorch", "jax"])
def test_integer_tensors_on_a_gpu(framework):
    """Integers proper, not float32, as the CPU convolves them; a kernel that cannot is a skip."""
    x, kernel = np.arange(36).reshape(1, 1, 6, 6), np.arange(9).reshape(1, 1, 3, 3)
    wanted = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(kernel)).numpy()
    with on(framework, "gpu"):
        try:
            if framework == "pytorch":
                y = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(kernel))
                y = y.numpy(force=True)
            elif framework == "tensorflow":
                hwio = kernel.transpose(2, 3, 1, 0).astype("int32")
                y = tf.nn.conv2d(
                    x.reshape(1, 6, 6, 1).astype("int32"), hwio, 1, "VALID"
                )
                y = y.numpy().transpose(0, 3, 1, 2)
            else:
                from jax import lax

                y = np.asarray(lax.conv(x, kernel, (1, 1), "VALID"))
        except Exception as error:
            pytest.skip(f"{framework}'s GPU: {str(error).splitlines()[0]}")
    np.testing.assert_array_equal(y, wanted)
