"""One result on every device: the chapters' loop over devices, and the law on CPU and GPU.

`make test-gpu` runs this file where there is a GPU; elsewhere its half of the tests is skipped.
"""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from conftest import PROFILE

from notebooks import ROOT, load

mismatch, pooling, axes, every = load("04"), load("08"), load("10"), load("12")
OPERATIONS = "conv", "depthwise", "max", "avg", "transposed"
noise = mismatch.noise_image(16), np.ones((3, 3, 3, 1), "float32")


def small_port():
    """Return a Keras model of a convolution and a pool, and its port of chapter 11."""
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(2, 3, padding="same", groups=1, name="conv"),
            keras.layers.MaxPooling2D(2, name="pool"),
        ]
    )
    kernel = np.random.default_rng(0).integers(-9, 10, (3, 3, 3, 2))
    model.set_weights([kernel.astype("float32"), np.ones(2, "float32")])
    return model, load("11").keras_to_torch(model)


# What each chapter compares with, called on a layer or two: (chapter, name) and the call.
PROOFS = {
    ("04", "keras_and_torch"): lambda prove: prove(*noise),
    ("04", "same_and_padded"): lambda prove: prove(
        noise[0][..., :1], noise[1][:, :, :1], 2, 1
    ),
    ("05", "tensorflow_conv_same"): lambda prove: prove(*in_torch_order(), (2, 2)),
    ("05", "both_recipes"): lambda prove: prove(*in_torch_order(), (2, 2), (1, 1)),
    ("05", "keras_and_port"): lambda prove: prove(*small_port(), in_torch_order()[0]),
    ("08", "tensorflow_pool"): lambda prove: prove(in_torch_order()[0], 3, 2),
    ("08", "pytorch_pool"): lambda prove: prove(in_torch_order()[0], 3, 2, 1, False),
    ("08", "our_pool"): lambda prove: prove(
        pooling.max_pool2d_same, in_torch_order()[0], 3, 2
    ),
    ("11", "both_on_integers"): lambda prove: prove(*small_port(), noise[0]),
    ("11", "both_rows"): lambda prove: prove(
        load("11").conv_to_keras,
        load("11").with_ones(torch.nn.Conv2d(1, 1, 3, padding=1)),
        noise[0][0, ..., 0],
        (16, 16),
    ),
    ("16", "audit_here"): lambda prove: prove(small_port()[1], 16),
    ("16", "compare_here"): lambda prove: prove(*small_port(), noise[0]),
    ("17", "both_max_pools"): lambda prove: prove(noise[0], 3, 2, 1),
}
IN_TENSORFLOW = ("tensorflow_conv_same", "tensorflow_pool")
IN_PYTORCH = ("both_recipes", "pytorch_pool", "our_pool", "audit_here")


def in_torch_order():
    """Return the noise and its kernel as arrays in PyTorch's layouts."""
    return noise[0].transpose(0, 3, 1, 2), noise[1].transpose(3, 2, 0, 1)


def run_proof(chapter, name):
    """Return what a chapter's comparing function returns, on the devices it finds."""
    return PROOFS[chapter, name](getattr(load(chapter), name))


@pytest.fixture
def two_in_pytorch(monkeypatch):
    """Let the loop find two devices: PyTorch takes the name cpu:1, which is the CPU again."""
    for chapter in {chapter for chapter, _ in PROOFS}:
        pairs = [(None, "cpu"), (None, "cpu:1")]
        monkeypatch.setattr(load(chapter), "devices", lambda pairs=pairs: pairs)


@pytest.fixture
def shifted(monkeypatch):
    """Let PyTorch move what it computes by a column on the second of two devices."""

    def patch(name):
        compute = getattr(torch.nn.functional, name)

        def moved(*arguments, **options):
            y = compute(*arguments, **options)
            if torch.get_default_device().index:
                y = torch.cat((y[..., 1:], y[..., :1]), -1)
            return y

        monkeypatch.setattr(torch.nn.functional, name, moved)

    for name in ("conv2d", "max_pool2d"):
        patch(name)


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


@pytest.mark.parametrize(
    ("chapter", "name"), [key for key in PROOFS if key[1] not in IN_TENSORFLOW]
)
def test_loop_catches_a_device_of_pytorch_that_differs(
    two_in_pytorch, request, chapter, name
):
    """Two that agree pass; one whose windows stand elsewhere stops the chapter's proof."""
    run_proof(chapter, name)
    request.getfixturevalue("shifted")
    with pytest.raises(AssertionError, match=rf"{name} on \(None, 'cpu:1'\)"):
        run_proof(chapter, name)


# In a process of its own, because TensorFlow and JAX are told once how many CPUs they have.
TWO_CPUS = """
import json, sys
sys.path[:0] = ["tools", "tests"]
import gpu
exec(gpu.TWO_CPUS)
import test_devices
print(json.dumps(test_devices.found_on_two_cpus()))
"""


def found_on_two_cpus():
    """Return what the chapters' loops find with two CPUs, and with one that adds 1."""
    import jax

    every.operations = ("conv", "max")
    found = {"devices": mismatch.devices(), "caught": {}}
    found["jax"] = sorted(every.jax_letters())
    asked = [key for key in PROOFS if key[1] not in IN_PYTORCH]
    for key in asked:
        run_proof(*key)

    def shift(module, name, second):
        compute = getattr(module, name)

        def shifted(*arguments, **options):
            y = compute(*arguments, **options)
            return y + 1 if second(y) else y

        setattr(module, name, shifted)

    for name in ("conv2d", "convolution", "max_pool", "max_pool2d"):
        shift(tf.nn, name, lambda y: y.device.endswith("CPU:1"))
    second = {jax.devices()[1]}
    shift(jax.lax, "conv_general_dilated", lambda y: y.devices() == second)
    for key in asked:
        try:
            run_proof(*key)
        except AssertionError as error:
            found["caught"][" ".join(key)] = str(error)
    found["jax, one shifted"] = sorted(every.jax_letters())
    return found


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
    for chapter, name in PROOFS:
        if name not in IN_PYTORCH:
            said = found["caught"].get(f"{chapter} {name}", "passed")
            assert said.startswith(f"{name} on ('/device:CPU:1'"), (chapter, said)
    assert found["jax"] == ["EE"]
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
