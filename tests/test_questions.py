"""The pages of questions and names: their code runs, their messages and claims hold."""

import inspect
import itertools
import re
import warnings
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from markdown_it import MarkdownIt
from torch import nn

from notebooks import load

ROOT = Path(__file__).resolve().parents[1]
layers = keras.layers


@cache
def blocks(page):
    """Return {heading: code} of the Python blocks of a page of `book/`."""
    text = (ROOT / "book" / page).read_text(encoding="utf-8")
    heading, found = None, {}
    tokens = MarkdownIt().parse(text)
    for token, following in itertools.pairwise([*tokens, None]):
        if token.type == "heading_open":
            heading = following.content.replace("`", "")
        if token.type == "fence":
            assert token.info == "python" and heading not in found
            found[heading] = token.content
    return found


def code(page, beginning):
    """Return the code under the heading that begins so."""
    (found,) = [c for h, c in blocks(page).items() if h.startswith(beginning)]
    return found


SIZES = [(6, 7), (7, 6), (9, 8), (5, 5)]
POOLS = [((3, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 5), (1, 2)), ((4, 3), (3, 2))]


def space(size, kernel=(3, 3), stride=(2, 2), channels=3, seed=0):
    """Return the pages' names for one layer: x, x_t, top, left, kh, sh, ..."""
    rng = np.random.default_rng(seed)
    count = 2 * size[0] * size[1] * channels  # no two values are equal: one index
    x = rng.permutation(count).reshape(2, *size, channels).astype("float32") - 100
    same = load("01").same_padding
    (top, bottom), (left, right) = map(same, size, kernel, stride)
    found = {
        "x": x,
        "x_t": nchw(x),
        "channels": channels,
        "h": size[0],
        "width": size[1],
    }
    found |= dict(zip(("kh", "kw", "sh", "sw"), (*kernel, *stride), strict=True))
    found |= {"top": top, "bottom": bottom, "left": left, "right": right}
    modules = {"np": np, "tf": tf, "keras": keras, "torch": torch, "F": F}
    return found | modules | {"conv2d_same": load("05").conv2d_same}


def nchw(x):
    """Return NHWC data as a PyTorch tensor NCHW."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def nhwc(y):
    """Return a PyTorch result as an array NHWC."""
    return np.moveaxis(y.detach().numpy(), 1, -1)


def run(page, beginning, names):
    """Run a block of a page with these names, and return them with what it added."""
    exec(code(page, beginning), names)
    return names


def weights(*shape):
    """Return random integers as a kernel."""
    return np.random.default_rng(1).integers(-9, 10, shape).astype("float32")


def check_equivalent():
    """`F.pad` and a convolution are TensorFlow's SAME."""
    for size, (kernel, stride) in itertools.product(SIZES, POOLS):
        w = weights(*kernel, 3, 4)
        names = space(size, kernel, stride) | {
            "w_t": torch.tensor(w.transpose(3, 2, 0, 1))
        }
        y = run("questions.md", "What is the equivalent", names)["y_t"]
        assert np.array_equal(nhwc(y), tf.nn.conv2d(names["x"], w, stride, "SAME"))


def check_reflect():
    """`keras.ops.pad(mode="reflect")` and "valid" are PyTorch's reflecting layer."""
    w = weights(3, 5, 3, 4)
    layer = nn.Conv2d(3, 4, (3, 5), 2, (1, 2), padding_mode="reflect", bias=False)
    layer.load_state_dict({"weight": torch.tensor(w.transpose(3, 2, 0, 1))})
    for size in SIZES:
        names = space(size) | {"ph": 1, "pw": 2}
        x_p = run("questions.md", "How do I get nn.Conv2d(padding_mode", names)["x_p"]
        y = keras.ops.conv(x_p, w, 2, "valid").numpy()
        assert np.array_equal(y, nhwc(layer(names["x_t"])))
    # "Symmetric" repeats the edge, reflect does not.
    row = np.arange(4)
    assert np.pad(row, 1, mode="symmetric").tolist() == [0, 0, 1, 2, 3, 3]
    assert np.pad(row, 1, mode="reflect").tolist() == [1, 0, 1, 2, 3, 2]


def check_pools():
    """PyTorch's pools with `ceil_mode` are SAME's, kernel 3 and stride 2."""
    for size in SIZES:
        names = run("questions.md", "Is ceil_mode=True", space(size))
        wanted = tf.nn.max_pool2d(names["x"], 3, 2, "SAME")
        assert np.array_equal(nhwc(names["y_t"]), wanted)
        names = run("questions.md", "Is the padding counted", space(size))
        wanted = tf.nn.avg_pool2d(names["x"], 3, 2, "SAME")
        np.testing.assert_allclose(nhwc(names["y_t"]), wanted, rtol=1e-5)


def check_max_pool_to_keras():
    """Padding with −∞ is PyTorch's pool, also on a symbolic tensor; "same" at odd sizes only."""
    for n, odd in ((7, True), (9, True), (6, False), (8, False)):
        names = run("questions.md", "How do I convert nn.MaxPool2d", space((n, n)))
        wanted = nhwc(F.max_pool2d(names["x_t"], 3, 2, 1))
        assert np.array_equal(names["y"], wanted)
        same = layers.MaxPooling2D(3, 2, "same")(names["x"])
        assert np.array_equal(same, wanted) == odd
    image = keras.Input((6, 6, 3))
    names = run(
        "questions.md", "How do I convert nn.MaxPool2d", space((6, 6)) | {"x": image}
    )
    assert names["y"].shape == (None, 3, 3, 3)


def check_transposed_pair():
    """Kernel 4, stride 2 is (1, 0); the rule for the other pairs; none for an odd k − s."""
    for k, s in itertools.product(range(1, 8), range(1, 5)):
        w, x = weights(k, k, 2, 3), space((4, 5), channels=3)["x"]
        wanted = tf.nn.conv2d_transpose(x, w, (2, 4 * s, 5 * s, 2), s, "SAME")
        w_t = torch.tensor(w.transpose(3, 2, 0, 1))
        if k >= s and (k - s) % 2 == 0:
            y = F.conv_transpose2d(nchw(x), w_t, None, s, (k - s) // 2)
        elif k < s:
            y = F.conv_transpose2d(nchw(x), w_t, None, s, 0, s - k)
        else:
            pairs = itertools.product(range(k), range(s))
            for p, extra in pairs:
                if 3 * s + k + extra > 2 * p:  # a row is left
                    y = F.conv_transpose2d(nchw(x), w_t, None, s, p, extra)
                    assert not np.array_equal(nhwc(y), wanted)
            continue
        assert np.array_equal(nhwc(y), wanted), (k, s)
        if (k, s) == (4, 2):
            names = {"F": F, "x_t": nchw(x), "w_t": w_t}
            y = run("questions.md", "Which padding and output_padding", names)["y_t"]
            assert np.array_equal(nhwc(y), wanted)


def check_transposed_crop():
    """Kernel 3, stride 2: the first 2n rows and columns of the full output."""
    for size in SIZES:
        names, w = space(size), weights(3, 3, 2, 3)
        names["w_t"] = torch.tensor(w.transpose(3, 2, 0, 1))
        y = run("questions.md", "How do I port Conv2DTranspose", names)["y_t"]
        shape = (2, 2 * size[0], 2 * size[1], 2)
        assert np.array_equal(
            nhwc(y), tf.nn.conv2d_transpose(names["x"], w, shape, 2, "SAME")
        )


def check_causal():
    """The zeros in front are Keras's causal layer, at every stride and dilation it takes."""
    x, w = weights(2, 9, 3), weights(3, 3, 4)
    for s, d in ((1, 1), (1, 3), (2, 1), (3, 1)):
        layer = layers.Conv1D(4, 3, s, "causal", dilation_rate=d, use_bias=False)
        layer.build(x.shape)
        layer.set_weights([w])
        names = {"F": F, "x_t": nchw(x), "k": 3, "d": d, "s": s}
        names["w_t"] = torch.tensor(w.transpose(2, 1, 0))
        y = run("questions.md", "How do I do causal padding", names)["y_t"]
        assert np.array_equal(nhwc(y), layer(x))


def check_eegnet():
    """(31, 32) is SAME and `padding="same"`; (0, 32) has one output more."""
    assert load("01").same_padding(128, 64) == (31, 32)
    x, w = weights(1, 4, 128, 1), weights(1, 64, 1, 2)
    names = {"F": F, "x_t": nchw(x), "w_t": torch.tensor(w.transpose(3, 2, 0, 1))}
    y = run("questions.md", "EEGNet", names)["y_t"]
    assert np.array_equal(nhwc(y), tf.nn.conv2d(x, w, 1, "SAME"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.equal(y, F.conv2d(names["x_t"], names["w_t"], padding="same"))
    more = F.conv2d(names["x_t"], names["w_t"], padding=(0, 32))
    assert more.shape[-1] == 129 and torch.equal(more[..., 1:], y)


def check_patches():
    """`F.unfold` is `tf.image.extract_patches`, channels in its order."""
    for size, (kernel, stride) in itertools.product(SIZES, POOLS):
        names = run("names.md", "extract_patches", space(size, kernel, stride))
        taken = [[1, *pair, 1] for pair in (kernel, stride, (1, 1))]
        wanted = tf.image.extract_patches(names["x"], *taken, "SAME").numpy()
        assert np.array_equal(names["patches"].reshape(wanted.shape), wanted)


def check_argmax():
    """The indices agree on data without ties, but for an even kernel at stride 1."""
    for size, (kernel, stride) in itertools.product(SIZES, POOLS):
        names = run("names.md", "max_pool_with_argmax", space(size, kernel, stride))
        assert np.array_equal(nhwc(names["index_t"]), names["index_tf"])


def check_dilation2d():
    """A maximum of sums over what is there: `tf.nn.dilation2d`."""
    for size, (kernel, stride) in itertools.product(SIZES, POOLS):
        w = weights(*kernel, 3)
        names = space(size, kernel, stride) | {
            "w_t": torch.tensor(w.transpose(2, 0, 1))
        }
        y = run("names.md", "dilation2d", names)["y_t"]
        steps = [1, *stride, 1], "SAME", "NHWC", [1, 1, 1, 1]
        wanted = tf.nn.dilation2d(names["x"], w, *steps).numpy()
        assert np.array_equal(y.permute(0, 2, 1).reshape(wanted.shape), wanted)


def check_conv_lstm():
    """Keras's layer, its gates in Keras's order, with stride 1 and 2, up to rounding."""
    names = run("names.md", "ConvLSTM2D", space((6, 7)))
    x = np.random.default_rng(0).normal(size=(2, 5, 8, 6, 3)).astype("float32")
    for stride in (1, 2):
        layer = layers.ConvLSTM2D(4, 3, stride, "same", bias_initializer="normal")
        wanted = layer(x).numpy()
        kernel, recurrent, bias = map(np.array, layer.get_weights())
        kernels = [torch.tensor(k.transpose(3, 2, 0, 1)) for k in (kernel, recurrent)]
        x_t = torch.tensor(x.transpose(0, 1, 4, 2, 3))
        y = names["conv_lstm"](x_t, *kernels, torch.tensor(bias), stride)
        np.testing.assert_allclose(nhwc(y), wanted, atol=1e-5)
    # The state's convolution is "same" where the input's is not.
    assert layers.ConvLSTM2D(4, 3, padding="valid")(x).shape == (2, 6, 4, 4)
    # Along one axis and along three it is the same layer.
    flat = layers.ConvLSTM1D(4, 3, 2, "same")
    y = flat(x[:, :, 0])
    for rank in (layers.ConvLSTM2D, layers.ConvLSTM3D):
        extra = 1 if rank is layers.ConvLSTM2D else 2
        layer = rank(4, (1,) * extra + (3,), (1,) * extra + (2,), "same")
        frames = x[:, :, 0].reshape(2, 5, *(1,) * extra, 6, 3)
        layer.build(frames.shape)
        given = [np.array(w) for w in flat.get_weights()]
        ones = [(1,) * extra if w.ndim > 1 else () for w in given]
        layer.set_weights(
            [w.reshape(o + w.shape) for w, o in zip(given, ones, strict=True)]
        )
        np.testing.assert_allclose(np.reshape(layer(frames), y.shape), y, atol=1e-5)


def check_unpooling():
    """Every maximum is back in its place, at odd sizes too; without the size it is another."""
    for size in SIZES:
        names = space(size) | {"x_t": space(size)["x_t"] + 1000}
        names = run("names.md", "Unpooling", names)
        x_t, back = names["x_t"], names["back"]
        assert back.shape == x_t.shape and torch.equal(back[back > 0], x_t[back > 0])
        assert int((back > 0).sum()) == names["y_t"].numel()
    lost = F.max_unpool2d(names["y_t"], names["index_t"], 2)
    assert lost.shape[2:] == (6, 6)  # of 5 and 5


def check_unet():
    """It builds at 358 with the sizes that the page names, and at every size from 16 to 33."""
    unet = run("names.md", "U-Net", {"keras": keras})["unet"]
    pools = [
        layer.output.shape[1]
        for layer in unet(358).layers
        if isinstance(layer, layers.MaxPooling2D)
    ]
    assert pools == [179, 90, 45, 23]
    for n in range(16, 34):
        assert unet(n).output_shape[1:3] == (n, n)


def check_causal_transposed():
    """No output before i·s depends on input i, and the first of its own does."""
    x = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(0))
    names = {"F": F, "w_t": torch.ones(1, 1, 5), "s": 2}

    def apply(x):
        return run("names.md", "Causal transposed", names | {"x_t": x})["y_t"][0, 0]

    assert len(apply(x)) == 12
    for i in range(6):
        changed = x.clone()
        changed[..., i] += 1
        assert int((apply(changed) != apply(x)).nonzero()[0]) == 2 * i


CHECKS = {
    ("questions.md", "What is the equivalent"): check_equivalent,
    ("questions.md", "How do I get nn.Conv2d(padding_mode"): check_reflect,
    ("questions.md", "Is the padding counted"): check_pools,
    ("questions.md", "Is ceil_mode=True"): check_pools,
    ("questions.md", "How do I convert nn.MaxPool2d"): check_max_pool_to_keras,
    ("questions.md", "Which padding and output_padding"): check_transposed_pair,
    ("questions.md", "How do I port Conv2DTranspose"): check_transposed_crop,
    ("questions.md", "How do I do causal padding"): check_causal,
    ("questions.md", "EEGNet"): check_eegnet,
    ("names.md", "extract_patches"): check_patches,
    ("names.md", "max_pool_with_argmax"): check_argmax,
    ("names.md", "dilation2d"): check_dilation2d,
    ("names.md", "ConvLSTM2D"): check_conv_lstm,
    ("names.md", "Unpooling"): check_unpooling,
    ("names.md", "U-Net"): check_unet,
    ("names.md", "Causal transposed"): check_causal_transposed,
}


@pytest.mark.parametrize(
    "check", sorted(set(CHECKS.values()), key=lambda c: c.__name__)
)
def test_the_code_does_what_the_page_says(check):
    """Each block, run as it stands and compared with the framework it speaks of."""
    check()


def test_no_code_is_unchecked():
    """Every block of both pages has its check."""
    found = {(page, h) for page in ("questions.md", "names.md") for h in blocks(page)}
    for page, beginning in CHECKS:
        matches = {
            block
            for block in found
            if block[0] == page and block[1].startswith(beginning)
        }
        assert len(matches) == 1, beginning
        found -= matches
    assert not found


def concatenate():
    """Join what a Keras U-Net at an odd size would join."""
    sides = keras.Input((45, 45, 8)), keras.Input((44, 44, 8))
    return layers.Concatenate()(list(sides))


def dilated_node():
    """Run a dilated ONNX convolution with auto_pad, which the reference evaluator computes."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from onnx.reference import ReferenceEvaluator

    helper = onnx.helper
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", dilations=[2, 2]
    )
    value = helper.make_tensor_value_info
    inputs = [value("x", 1, [1, 1, 6, 6]), value("w", 1, [1, 1, 3, 3])]
    graph = helper.make_graph([node], "g", inputs, [value("y", 1, None)])
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    data = {
        "x": np.ones((1, 1, 6, 6), "float32"),
        "w": np.ones((1, 1, 3, 3), "float32"),
    }
    assert ReferenceEvaluator(model).run(None, data)[0].shape == (1, 1, 6, 6)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    session = ort.InferenceSession(model.SerializeToString(), options, providers)
    return session.run(None, data)


IMAGE, KERNEL = torch.zeros(1, 1, 7, 7), torch.zeros(1, 1, 3, 3)
CAUSES = [
    lambda: nn.Conv2d(1, 1, 3, stride=2, padding="same"),
    lambda: layers.Conv2D(1, 3, padding=1),
    lambda: F.conv2d(IMAGE, torch.zeros(1, 1, 2, 2), padding="same"),
    lambda: F.max_pool2d(IMAGE, 3, 2, padding=2),
    lambda: F.conv_transpose2d(IMAGE, KERNEL, stride=2, padding=1, output_padding=-1),
    lambda: F.conv_transpose2d(IMAGE, KERNEL, stride=2, padding=1, output_padding=2),
    lambda: nn.ConvTranspose2d(1, 1, 3, padding="same")(IMAGE),
    concatenate,
    lambda: torch.cat([torch.zeros(1, 8, 45, 45), torch.zeros(1, 8, 44, 44)], 1),
    lambda: layers.Conv2D(2, 3, strides=2, padding="same", dilation_rate=2),
    dilated_node,
]


def test_every_message_is_the_frameworks_own():
    """The headings that quote an error or a warning quote what is raised, kind and words."""
    text = (ROOT / "book" / "questions.md").read_text(encoding="utf-8")
    quoted = re.findall(
        r"^### (`+)((?:\w+(?:Error|Warning): |Dilation not).*)\1$", text, re.M
    )
    raised = []
    torch.set_warn_always(True)  # else the warning comes once in a process
    for cause in CAUSES:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(Exception) as caught:
                cause()
        raised.append(f"{caught.type.__name__}: {caught.value}")
    torch.set_warn_always(False)
    assert len(quoted) == len(CAUSES)
    for _, message in quoted:
        assert [r for r in raised if message.strip() in r], message


def test_what_the_pages_say_of_layers():
    """Short claims without code of their own."""
    # Asymmetric padding is taken when the layer is made, not when it is used.
    with pytest.raises(TypeError, match="received an invalid combination of arguments"):
        nn.Conv2d(1, 1, 3, stride=2, padding=((0, 1), (0, 1)))(IMAGE)
    # use_same_padding leaves a lazy layer alone, and finds it after the first call.
    net = nn.Sequential(nn.LazyConv2d(4, 3, stride=2, padding=1))
    use_same_padding = load("05").use_same_padding
    with pytest.warns(UserWarning):
        assert isinstance(use_same_padding(net)[0], nn.LazyConv2d)
    net(IMAGE)
    assert type(use_same_padding(net)[0]).__name__ == "Conv2dSame"
    # Adaptive pools.
    x = np.random.default_rng(0).normal(size=(2, 7, 10, 3)).astype("float32")
    ours = layers.AdaptiveAveragePooling2D((3, 4))(x)
    theirs = F.adaptive_avg_pool2d(nchw(x), (3, 4))
    np.testing.assert_allclose(ours, nhwc(theirs), atol=1e-5)
    windows = [(o * 7 // 3, -(-(o + 1) * 7 // 3)) for o in range(3)]
    row = F.adaptive_avg_pool1d(torch.arange(7.0)[None, None], 3)[0, 0]
    assert [sum(range(a, b)) / (b - a) for a, b in windows] == row.tolist()
    assert not hasattr(layers, "LocallyConnected2D")
    # Explicit padding, by operation.
    x, w = tf.zeros((1, 7, 7, 1)), tf.zeros((3, 3, 1, 1))
    pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert tf.nn.conv2d(x, w, 2, pads).shape == tf.nn.max_pool2d(x, 3, 2, pads).shape
    with pytest.raises((TypeError, ValueError)):
        tf.nn.avg_pool2d(x, 3, 2, pads)
    with pytest.raises((TypeError, ValueError)):
        tf.nn.conv3d(x[None], w[None], [1] * 5, [[0, 0], *pads])
    # Other names of TensorFlow's one rule.
    x, w = weights(1, 6, 7, 2), weights(3, 3, 2, 4)
    wanted = tf.nn.conv2d(x, w, 1, "SAME", dilations=2)
    assert np.array_equal(tf.nn.atrous_conv2d(x, w, 2, "SAME"), wanted)
    wanted = tf.nn.conv2d(x, w, 2, "SAME")
    assert np.array_equal(tf.nn.convolution(x, w, 2, "SAME"), wanted)
    depthwise, pointwise = weights(3, 3, 2, 1), weights(1, 1, 2, 4)
    y = tf.nn.separable_conv2d(x, depthwise, pointwise, (1, 2, 2, 1), "SAME")
    full = np.einsum("abcm,xycd->abcd", depthwise, pointwise)
    assert np.array_equal(y, tf.nn.conv2d(x, full, 2, "SAME"))
    y = tf.nn.conv1d(x[:, 0], w[0], 2, "SAME")
    assert np.array_equal(y, tf.nn.conv2d(x[:, :1], w[:1], 2, "SAME")[:, 0])
    # Repeated cells; the edge of a mirror.
    up = np.repeat(np.repeat(x, 2, 1), 2, 2)
    assert np.array_equal(layers.UpSampling2D(2)(x), up)
    assert tf.pad([1, 2, 3], [[1, 1]], "SYMMETRIC").numpy().tolist() == [1, 1, 2, 3, 3]
    # erosion2d: SAME with +∞; the padding never wins.
    x, w = tf.zeros((1, 7, 7, 1)), tf.zeros((3, 3, 1))
    y = tf.nn.erosion2d(x, w, [1, 2, 2, 1], "SAME", "NHWC", [1, 1, 1, 1])
    assert y.shape == (1, 4, 4, 1) and not np.any(y)


def test_correct_pad_is_same_at_stride_2_for_odd_kernels():
    """For sizes from 4; for kernel 4 it is not; an unknown size counts as even."""
    from keras.src.applications.imagenet_utils import correct_pad

    same = load("01").same_padding
    for n, k in itertools.product(range(4, 40), (3, 5, 7)):
        assert correct_pad(keras.Input((n, n, 3)), k)[0] == same(n, k, 2)
    assert correct_pad(keras.Input((8, 8, 3)), 4)[0] != same(8, 4, 2)
    assert correct_pad(keras.Input((None, None, 3)), 3)[0] == (0, 1)


def test_pytorchs_padding_against_same_lower():
    """`k // 2` puts SAME_LOWER's windows just when (n − 1) mod s is 0 or 1, odd kernels from 3."""
    same, output_size = load("01").same_padding, load("01").output_size
    for n, k, s in itertools.product(range(1, 60), (3, 5, 7, 9), (1, 2, 3, 4)):
        before, after = same(n, k, s)[::-1]
        count = output_size(n, k, s, padding=(k // 2, k // 2))
        equal = k // 2 == before and count == -(-n // s)
        assert equal == ((n - 1) % s <= 1), (n, k, s)
        if before != after:
            assert k // 2 != after or not equal  # then it is not SAME_UPPER


def test_even_kernels_of_numpy_and_scipy():
    """`convolve` has its odd zero in front."""
    signal = pytest.importorskip("scipy.signal", reason="SciPy is not installed")
    row, ones = np.arange(1, 7), np.ones(2, int)
    for convolve in (np.convolve, signal.convolve):
        assert convolve(row, ones, "same").tolist() == [1, 3, 5, 7, 9, 11]
    assert len(np.convolve([1, 2, 3], np.ones(5), "same")) == 5
    assert len(signal.convolve([1, 2, 3], np.ones(5), "same")) == 3


def test_jax_names():
    """SAME, SAME_LOWER and the transposed layer, as the table says."""
    lax = pytest.importorskip("jax.lax", reason="JAX is not installed")
    x, w = weights(1, 6, 7, 2), weights(3, 2, 2, 3)
    numbers = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=numbers)
    assert np.array_equal(y, tf.nn.conv2d(x, w, 2, "SAME"))
    lower = lax.conv_general_dilated(
        x, w, (2, 2), "SAME_LOWER", dimension_numbers=numbers
    )
    assert not np.array_equal(y, lower)
    w = weights(3, 3, 4, 2)
    wanted = tf.nn.conv2d_transpose(x, w, (1, 12, 14, 4), 2, "SAME")
    options = {"dimension_numbers": numbers, "transpose_kernel": True}
    assert np.array_equal(lax.conv_transpose(x, w, (2, 2), "SAME", **options), wanted)


def test_the_source_that_no_run_can_show():
    """PyTorch computes the padding of "same" when the layer is made, from kernel and dilation."""
    source = inspect.getsource(nn.modules.conv._ConvNd.__init__)
    assert "total_padding = d * (k - 1)" in source
