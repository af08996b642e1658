"""The SAME pools of chapter 8 against TensorFlow's, value for value."""

import io
import itertools
import warnings

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from notebooks import load

chapter = load("08")
both = pytest.mark.parametrize(
    ("pool", "tf_pool"),
    [
        (chapter.max_pool2d_same, tf.nn.max_pool2d),
        (chapter.avg_pool2d_same, tf.nn.avg_pool2d),
    ],
    ids=["max", "mean"],
)
axes = st.tuples(
    st.integers(1, 24), st.integers(1, 9), st.integers(1, 11)
)  # size, kernel, stride


def run_tensorflow(tf_pool, x, kernel_size, stride):
    """Return TensorFlow's SAME pool of a NumPy array (N, C, H, W)."""
    y = tf_pool(x.transpose(0, 2, 3, 1), kernel_size, stride, "SAME")
    return y.numpy().transpose(0, 3, 1, 2)


def how(input_size, kernel_size, stride):
    """Return how the chapter gets SAME's windows along one axis, by its rule."""
    before, after = chapter.same_padding(input_size, kernel_size, stride)
    if before == after:
        return "fits"
    return "rounded up" if stride > 1 else "first dropped"


@both
def test_every_small_layer(pool, tf_pool):
    """Every (size, kernel, stride) on each axis, paired with another one on the other axis."""
    grid = list(itertools.product(range(1, 11), range(1, 7), range(1, 8)))
    rng = np.random.default_rng(0)
    ways = set()
    for rows, columns in zip(grid, rng.permutation(grid).tolist(), strict=True):
        size, kernel_size, stride = zip(rows, columns, strict=True)
        x = rng.integers(-2048, 0, (2, 3, *size)).astype(
            "float32"
        )  # where a 0 would win
        expected = run_tensorflow(tf_pool, x, kernel_size, stride)
        y = pool(torch.from_numpy(x), kernel_size, stride).numpy()
        np.testing.assert_array_equal(y, expected, f"{size} {kernel_size} {stride}")
        ways.add((how(*rows), how(*columns)))
    assert len(ways) == 9, (
        "each axis must have fitted, been rounded up and been cropped"
    )


@both
@given(axes, axes, st.sampled_from(["float32", "float64"]), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(300))
def test_generated_layers(pool, tf_pool, rows, columns, dtype, seed):
    """Layers that no grid lists, in both memory formats, with and without a batch axis."""
    size, kernel_size, stride = zip(rows, columns, strict=True)
    # A mean of these is no integer, but its sum is exact and divided once, here and there.
    x = np.random.default_rng(seed).integers(-2048, 2049, (2, 3, *size)).astype(dtype)
    expected = run_tensorflow(tf_pool, x, kernel_size, stride)
    x = torch.from_numpy(x)
    np.testing.assert_array_equal(pool(x, kernel_size, stride).numpy(), expected)
    channels_last = x.to(memory_format=torch.channels_last)
    np.testing.assert_array_equal(
        pool(channels_last, kernel_size, stride).numpy(), expected
    )
    np.testing.assert_array_equal(pool(x[0], kernel_size, stride).numpy(), expected[0])


@both
@given(
    *[st.tuples(st.integers(1, 12), st.integers(1, 6), st.integers(1, 7))] * 2,
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(100))
def test_gradients(pool, tf_pool, rows, columns, seed):
    """Gradients in float64: values are distinct, so that a maximum has one place."""
    size, kernel_size, stride = zip(rows, columns, strict=True)
    rng = np.random.default_rng(seed)
    x = (
        rng.permutation(2 * size[0] * size[1]).reshape(1, 2, *size).astype("float64")
        - 200
    )
    y = pool(leaf := torch.from_numpy(x).requires_grad_(), kernel_size, stride)
    upstream = (
        rng.integers(-9, 10, y.shape).astype("float64") * 3600
    )  # divisible by every count
    y.backward(torch.from_numpy(upstream))
    if pool is chapter.avg_pool2d_same:
        expected = mean_gradient(x, upstream, kernel_size, stride)
        np.testing.assert_array_equal(leaf.grad.numpy(), expected)
        if any(k > n for n, k in zip(size, kernel_size, strict=True)):
            return  # TensorFlow's AvgPoolGrad can be wrong there: see below
    variable = tf.Variable(x.transpose(0, 2, 3, 1))
    with tf.GradientTape() as tape:
        tf_y = tf_pool(variable, kernel_size, stride, "SAME")
    expected = tape.gradient(
        tf_y, variable, output_gradients=upstream.transpose(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(
        leaf.grad.numpy(), expected.numpy().transpose(0, 3, 1, 2)
    )


def windows(size, kernel_size, stride):
    """Yield (output, slices of the cells in its window) of a SAME pool, by chapter 1's law."""
    axes = []
    for n, k, s in zip(size, kernel_size, stride, strict=True):
        before, _ = chapter.same_padding(n, k, s)
        starts = [i * s - before for i in range(-(-n // s))]
        axes.append([slice(max(0, b), min(n, b + k)) for b in starts])
    for output in itertools.product(*map(range, map(len, axes))):
        yield output, tuple(axis[i] for axis, i in zip(axes, output, strict=True))


def mean_gradient(x, upstream, kernel_size, stride):
    """Return the gradient of a SAME mean: each output gives its cells equal parts."""
    gradient = np.zeros_like(x)
    for output, cells in windows(x.shape[2:], kernel_size, stride):
        part = gradient[(..., *cells)]
        part += upstream[(..., *output)][..., None, None] / part[0, 0].size
    return gradient


def test_tensorflow_forgets_the_front_in_the_gradient_of_a_mean():
    """Why it is no judge where the kernel is larger than the input: tensorflow#48773.

    Output 0 of 4 cells under kernel 5 is the mean of cells 0, 1 and 2 and gives none to cell 3.
    The cause is one line of AvgPoolGrad on the CPU, which forgets what it cut off in front.
    """
    x, upstream = np.zeros((1, 1, 1, 4)), np.array([12.0, 0, 0, 0]).reshape(1, 1, 1, 4)
    leaf = torch.from_numpy(x).requires_grad_()
    chapter.avg_pool2d_same(leaf, (1, 5), 1).backward(torch.from_numpy(upstream))
    assert leaf.grad.flatten().tolist() == [4, 4, 4, 0]
    variable = tf.Variable(x.reshape(1, 1, 4, 1))
    with tf.GradientTape() as tape:
        y = tf.nn.avg_pool2d(variable, (1, 5), 1, "SAME")
    gradient = tape.gradient(y, variable, upstream.reshape(1, 1, 4, 1))
    if gradient.numpy().ravel().tolist() == [4, 4, 4, 0]:
        warnings.warn("TensorFlow has mended AvgPoolGrad", stacklevel=1)


def pool_by_hand(x, kernel_size, stride, mean):
    """Return the SAME pool of a NumPy array (N, C, ...) from the cells of each window."""
    size = x.shape[2:]
    y = np.empty(
        (*x.shape[:2], *(-(-n // s) for n, s in zip(size, stride, strict=True)))
    )
    for output, cells in windows(size, kernel_size, stride):
        over = tuple(range(2, x.ndim))
        part = x[(..., *cells)]
        y[(..., *output)] = part.mean(axis=over) if mean else part.max(axis=over)
    return y


LAYERS = [
    ((8,), (3,), (2,)),
    ((9,), (2,), (1,)),
    ((7,), (2,), (4,)),
    ((8, 9), (3, 3), (2, 2)),
    ((5, 6), (2, 4), (1, 3)),
    ((6, 7), (3, 1), (4, 2)),
    ((4, 5, 6), (3, 2, 4), (2, 1, 3)),
    ((5, 3, 4), (1, 2, 6), (3, 2, 1)),
]  # size, kernel_size, stride: one to three axes, and each way to get the windows


def takes(native, dtype, axes):
    """Tell whether PyTorch's own pool of this dtype exists."""
    try:
        native(torch.ones(1, 1, *(4,) * axes, dtype=dtype), 2)
    except (RuntimeError, NotImplementedError):
        return False
    return True


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_rank_and_dtype_of_the_native_pool(layer, mean):
    """float16 to float64, bfloat16, and integers for a maximum; with and without a batch axis."""
    size, kernel_size, stride = layer
    axes = len(size)
    native = getattr(F, f"{'avg' if mean else 'max'}_pool{axes}d")
    dtypes = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    if not mean:
        dtypes += [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
    dtypes = [dtype for dtype in dtypes if takes(native, dtype, axes)]
    assert len(dtypes) >= 2
    for dtype in dtypes:
        low = 0 if dtype == torch.uint8 else -9
        x = np.random.default_rng(0).integers(low, 10, (2, 3, *size)) * 8
        wanted = pool_by_hand(x, kernel_size, stride, mean)
        wanted = torch.from_numpy(wanted).to(dtype)
        x = torch.from_numpy(x).to(dtype)
        y = chapter.pool_same(x, kernel_size, stride, mean)
        assert y.dtype == dtype and torch.equal(y, wanted), dtype
        y = chapter.pool_same(x[0], kernel_size, stride, mean)
        assert torch.equal(y, wanted[0]), dtype


def test_a_mean_of_float16_does_not_overflow():
    """49 times 2000 is more than a float16 holds; with numbers for sizes and with open ones."""
    x = torch.full((1, 1, 9, 9), 2000.0, dtype=torch.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated
        program = torch.jit.trace(Pool(True, (7, 7), (2, 2)), x)
    for y in (chapter.avg_pool2d_same(x, 7, 2), program(x)):
        assert torch.equal(y, x[..., :5, :5])


class Pool(torch.nn.Module):
    """One SAME pool as a module, for tracers and exporters."""

    def __init__(self, mean, kernel_size, stride):
        """Remember the layer."""
        super().__init__()
        self.layer = kernel_size, stride, mean

    def forward(self, x):
        """Return the pooled x."""
        return chapter.pool_same(x, *self.layer)


def run_onnx(program):
    """Return a function of one tensor that runs an ONNX model, given as bytes."""
    ort = pytest.importorskip("onnxruntime", reason="no onnxruntime to run ONNX files")
    session = ort.InferenceSession(program)
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def traced(pool, x):
    """torch.jit.trace."""
    return torch.jit.trace(pool, x)


def legacy_onnx(pool, x):
    """The TorchScript exporter with all sizes open."""
    file, axes = io.BytesIO(), {i: f"n{i}" for i in range(2, x.dim())}
    names = {"input_names": ["x"], "dynamic_axes": {"x": axes}}
    torch.onnx.export(pool, (x,), file, dynamo=False, **names)
    return run_onnx(file.getvalue())


def open_sizes(x):
    """Leave every axis to be pooled open; an exporter that binds one to a number fails."""
    return ({i: torch.export.Dim.DYNAMIC for i in range(2, x.dim())},)


def exported(pool, x):
    """torch.export."""
    return torch.export.export(pool, (x,), dynamic_shapes=open_sizes(x)).module()


def dynamo_onnx(pool, x):
    """The exporter of today, which is torch.export and a translation."""
    pytest.importorskip("onnxscript", reason="no onnxscript to export to ONNX")
    how = {"dynamic_shapes": open_sizes(x), "dynamo": True, "verbose": False}
    return run_onnx(
        torch.onnx.export(pool, (x,), **how).model_proto.SerializeToString()
    )


def compiled(pool, x):
    """torch.compile with open sizes, stopped before code generation."""
    torch.compiler.reset()
    return torch.compile(pool, backend="eager", dynamic=True, fullgraph=True)


WAYS = [traced, legacy_onnx, exported, dynamo_onnx, compiled]


@pytest.mark.parametrize("mean", [False, True], ids=["max", "mean"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_open_sizes(way, mean):
    """Traced at one size, right at others of either parity, in one to three axes.

    1 to 3 axes; kernels below, at and above the stride. Means to 1e-6: ONNX has no
    divisor_override, so they are divided twice there.
    """
    layers = [(8,), (2,), (1,)], [(8, 9), (3, 4), (2, 3)], [(6, 9), (2, 3), (4, 1)]
    for size, kernel_size, stride in (*layers, [(6, 5, 7), (3, 2, 1), (2, 1, 3)]):
        pool, rng = Pool(mean, kernel_size, stride), np.random.default_rng(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters' own deprecations
            warnings.simplefilter("error", torch.jit.TracerWarning)
            run = way(pool, torch.from_numpy(rng.normal(size=(1, 2, *size))).float())
        for other in (
            size,
            [n + 3 for n in size],
            [n + 5 - i for i, n in enumerate(size)],
        ):
            x = rng.integers(-9, 10, (1, 2, *other)).astype("float32")
            wanted = pool_by_hand(x, kernel_size, stride, mean)
            y = run(torch.from_numpy(x)).numpy()
            assert y.shape == wanted.shape, (size, other)
            tolerance = 1e-6 if mean else 0
            np.testing.assert_allclose(
                y, wanted, tolerance, tolerance, err_msg=str(other)
            )


def test_traced_at_8x9_it_runs_at_11x14():
    """Not bound to one parity."""
    pool, x = Pool(False, (3, 3), (2, 2)), torch.randn(1, 2, 8, 9)
    program, x = exported(pool, x), torch.randn(1, 2, 11, 14)
    assert torch.equal(program(x), pool(x))


def test_a_fixed_size_is_exported_without_a_pad():
    """A Pad of minus infinity would not survive a quantisation to int8."""
    pytest.importorskip("onnxscript", reason="no onnxscript to export to ONNX")
    for size, kernel_size, stride in (LAYERS[1], *LAYERS[3:5], LAYERS[7]):
        x = torch.from_numpy(
            np.random.default_rng(0).normal(size=(1, 2, *size))
        ).float()
        for mean in (False, True):
            pool = Pool(mean, kernel_size, stride)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.onnx.export(pool, (x,), dynamo=True, verbose=False)
            kinds = {node.op_type for node in program.model_proto.graph.node}
            refused = mean and len(size) == 3 and max(kernel_size) > min(size)
            assert refused or not kinds & {"Pad", "Div"}, (size, kinds)
            y = run_onnx(program.model_proto.SerializeToString())(x)
            assert torch.allclose(y, pool(x), 1e-6, 1e-6), (size, kernel_size, stride)


def test_stride_1_is_exported_without_a_pad_at_open_sizes():
    """Its padding is the same at every size."""
    pytest.importorskip("onnxscript", reason="no onnxscript to export to ONNX")
    x, other = torch.randn(1, 2, 8, 9), torch.randn(1, 2, 11, 14)
    for mean in (False, True):
        pool = Pool(mean, (5, 2), (1, 1))
        how = {"dynamic_shapes": open_sizes(x), "dynamo": True, "verbose": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(pool, (x,), **how).model_proto
        assert "Pad" not in {node.op_type for node in program.graph.node}
        y = run_onnx(program.SerializeToString())(other)
        assert torch.allclose(y, pool(other), 1e-6, 1e-6)


class Largest(TorchDispatchMode):
    """Remember how many values the largest tensor had that any operation made."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run an operation and look at what it returns."""
        y = function(*args, **(kwargs or {}))
        tensors = y if isinstance(y, tuple) else (y,)
        sizes = [t.numel() for t in tensors if isinstance(t, torch.Tensor)]
        self.values = max(self.values, *sizes, 0)
        return y


@both
def test_no_padding_is_allocated(pool, tf_pool):
    """A window of 2560 x 2560 cells on 19 x 19: nothing is larger than the input or the output."""
    x = (
        np.random.default_rng(0).integers(-9, 10, (1, 2, 19, 19)).astype("float32")
        * 361
    )
    for stride, most in ((2560, 2 * 19 * 19), (1, 2 * 20 * 20)):
        with Largest() as largest:
            y = pool(torch.from_numpy(x), 2560, stride)
        assert largest.values <= most
        np.testing.assert_array_equal(
            y, run_tensorflow(tf_pool, x, (2560,) * 2, (stride,) * 2)
        )


def test_little_padding_is_allocated_in_3d():
    """PyTorch's avg_pool3d refuses kernels above the size: less than the size on each side."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 3, 4, 5)))
    with Largest() as largest:
        y = chapter.pool_same(x, (2560,) * 3, (2560,) * 3, mean=True)
    assert largest.values <= 27 * x.numel()
    assert torch.allclose(y, x.mean((2, 3, 4), keepdim=True))


@pytest.mark.parametrize("mean", [False, True], ids=["max", "mean"])
def test_a_kernel_of_twice_the_input_sees_all_of_it(mean):
    """No larger one is needed, nor used in 3-D: every window along one axis of three."""
    for n, s in itertools.product(range(1, 8), range(1, 9)):
        x = np.random.default_rng(n).integers(-9, 10, (1, 1, n, 1, 1)) * 420.0
        for k in range(max(1, 2 * n - 2), 2 * n + 6):
            layer = (k, 1, 1), (s, 1, 1), mean
            y = chapter.pool_same(torch.from_numpy(x), *layer)
            np.testing.assert_allclose(y, pool_by_hand(x, *layer), 1e-12)


def test_which_native_pools_are_same():
    """At which n, given (n - 1) mod s: all, some or none; and PyTorch's own pool agrees."""

    def sizes(k, s, p, ceil):
        return [chapter.pool_is_same(n, k, s, p, ceil) for n in range(1, s + 1)]

    assert sizes(2, 2, 0, True) == [True, True]
    assert sizes(3, 2, 0, True) == [False, True]
    assert sizes(3, 2, 1, False) == [True, False]
    assert sizes(3, 2, 1, True) == [True, False]
    assert sizes(2, 1, 0, True) == [False]  # VALID: 6 x 6 becomes 5 x 5
    assert sizes(3, 1, 1, False) == [True]
    assert sizes(5, 2, 0, True) == [False, False]
    assert sizes(1, 3, 0, False) == [True, True, True]
    x = torch.arange(1.0, 40).reshape(1, 1, 1, 39)
    for n, k, s, ceil in itertools.product(
        range(12, 20), range(1, 6), (1, 2, 3), (0, 1)
    ):
        for p in range(k // 2 + 1):
            native = F.max_pool2d(
                -x[..., :n], (1, k), (1, s), (0, p), ceil_mode=bool(ceil)
            )
            equal = torch.equal(
                native, chapter.max_pool2d_same(-x[..., :n], (1, k), (1, s))
            )
            ours = F.max_pool2d(
                x[..., :n], (1, k), (1, s), (0, p), ceil_mode=bool(ceil)
            )
            equal &= torch.equal(
                ours, chapter.max_pool2d_same(x[..., :n], (1, k), (1, s))
            )
            assert equal == chapter.pool_is_same(n, k, s, p, bool(ceil)), (
                n,
                k,
                s,
                p,
                ceil,
            )


@both
def test_stride_defaults_to_the_kernel(pool, tf_pool):
    """As in PyTorch."""
    x = np.random.default_rng(0).integers(-9, 10, (1, 1, 7, 8)).astype("float32") * 36
    expected = run_tensorflow(tf_pool, x, (3, 2), (3, 2))
    np.testing.assert_array_equal(pool(torch.from_numpy(x), (3, 2)).numpy(), expected)


@both
@pytest.mark.parametrize(
    "wrong", [0, -1, 2.0, 1.5, True, "3", (2, 0), (2, False), (1, 2, 3), ()]
)
def test_wrong_numbers_are_refused_by_name(pool, tf_pool, wrong):
    """The message names the argument and its value."""
    value = wrong[1] if wrong in [(2, 0), (2, False)] else wrong
    for name in ("kernel_size", "stride"):
        with pytest.raises(ValueError) as error:
            pool(torch.zeros(1, 1, 6, 6), **({"kernel_size": 3} | {name: wrong}))
        assert str(error.value).startswith(f"{name} must be ")
        assert str(error.value).endswith(f"got {value!r}")


@both
@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(6, 6),
        torch.zeros(1, 1, 1, 6, 6),
        torch.zeros(1, 1, 0, 6),
        torch.zeros(1, 6, 0),
        torch.zeros(1, 1, 6, 6, dtype=torch.bool),
        torch.zeros(1, 1, 6, 6, dtype=torch.complex64),
    ],
    ids=lambda x: f"{tuple(x.shape)}-{x.dtype}",
)
def test_wrong_inputs_are_refused(pool, tf_pool, x):
    """A wrong rank, an empty axis and a dtype without means."""
    with pytest.raises(ValueError, match="^x must "):
        pool(x, 3, 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_a_mean_of_integers_is_refused(dtype):
    """PyTorch cuts it off where it takes it at all; TensorFlow refuses it."""
    with pytest.raises(ValueError, match=f"^x must .*{dtype}$"):
        chapter.avg_pool2d_same(torch.zeros(1, 1, 6, 6, dtype=dtype), 3, 2)


def test_the_rank_is_that_of_the_kernel():
    """An image without a batch is no batch of rows: the kernel tells."""
    x = torch.zeros(3, 4, 5)
    assert chapter.pool_same(x, (3,), (2,)).shape == (3, 4, 3)
    assert chapter.pool_same(x, (3, 3), (2, 2)).shape == (3, 2, 3)
    for kernel_size in ((3,) * 3, (3,)):
        with pytest.raises(ValueError, match="^x must "):
            chapter.pool_same(
                x[0] if len(kernel_size) == 3 else x[0, 0], kernel_size, kernel_size
            )


RANKS = {1: (chapter.max_pool1d_same, chapter.avg_pool1d_same)}
RANKS[3] = (chapter.max_pool3d_same, chapter.avg_pool3d_same)


@given(st.sampled_from([1, 3]), st.data(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(100))
def test_pools_of_one_and_three_axes(axes, data, seed):
    """The law's values bit for bit, and TensorFlow's where it keeps the law; means to 1e-6.

    In 3-D that is where no stride is larger than its kernel (chapter 10).
    """
    most = 24 if axes == 1 else 6
    size = data.draw(st.tuples(*[st.integers(1, most)] * axes))
    kernel, stride = (
        data.draw(st.tuples(*[st.integers(1, 6)] * axes)) for _ in range(2)
    )
    x = np.random.default_rng(seed).integers(-2048, 0, (2, 3, *size)).astype("float32")
    for mean, pool in enumerate(RANKS[axes]):
        y = pool(torch.from_numpy(x), kernel, stride).numpy()
        assert torch.equal(
            pool(torch.from_numpy(x[0]), kernel, stride), torch.from_numpy(y[0])
        )
        tolerance = 1e-6 * mean
        wanted = pool_by_hand(x, kernel, stride, mean)
        np.testing.assert_allclose(y, wanted, tolerance, tolerance)
        if axes == 3 and any(s > k for s, k in zip(stride, kernel, strict=True)):
            continue
        tf_pool = getattr(tf.nn, f"{('max', 'avg')[mean]}_pool{axes}d")
        wanted = tf_pool(np.moveaxis(x, 1, -1), kernel, stride, "SAME").numpy()
        np.testing.assert_allclose(y, np.moveaxis(wanted, -1, 1), tolerance, tolerance)


@pytest.mark.parametrize("axes", [1, 3])
def test_one_and_three_axes_take_what_two_take(axes):
    """One number for all axes, stride None, integers; refusals name the argument."""
    maximum, mean = RANKS[axes]
    x = torch.arange(float(2 * 5**axes)).reshape(1, 2, *(5,) * axes)
    assert torch.equal(maximum(x, 3), maximum(x, (3,) * axes, (3,) * axes))
    assert torch.equal(maximum(x.int(), 3, 2), maximum(x, 3, 2).int())
    for pool in (maximum, mean):
        for wrong in (0, 1.5, True, (2,) * (axes + 1)):
            for name in ("kernel_size", "stride"):
                with pytest.raises(ValueError, match=f"^{name} must be .* got"):
                    pool(x, **({"kernel_size": 3} | {name: wrong}))
        for shape in ((5,) * axes, (1, 1, 2, *(5,) * axes), (1, 1, *(0,) * axes)):
            with pytest.raises(ValueError, match="^x must .* got shape"):
                pool(torch.zeros(shape), 3)
    with pytest.raises(ValueError, match="^x must be of a floating-point dtype"):
        mean(x.int(), 3)


def test_a_sequence_in_a_pool_of_images_is_pooled_over_its_channels():
    """The trap that the chapter shows, in PyTorch's own pools too; the 1-D pool is Keras's."""
    x = np.random.default_rng(0).integers(-99, 0, (2, 4, 7)).astype("float32")
    wanted = tf.nn.max_pool1d(x.transpose(0, 2, 1), 3, 1, "SAME").numpy()
    wanted, x = torch.from_numpy(wanted.transpose(0, 2, 1).copy()), torch.from_numpy(x)
    assert torch.equal(chapter.max_pool1d_same(x, 3, 1), wanted)
    wrong = chapter.max_pool2d_same(x, 3, 1)
    assert wrong.shape == wanted.shape and not torch.equal(wrong, wanted)
    assert torch.equal(F.max_pool2d(x, 3, 1, 1), wrong)
