"""Use a file to take away where nothing but its framework can be imported; a test runs this.

    python -I take_away_alone.py FILE PACKAGE ...   FILE lies in the current folder

The expected values are written out here with NumPy, after TensorFlow's rule.
"""

import contextlib
import importlib
import inspect
import io
import itertools
import re
import sys
from functools import partial
from importlib.machinery import PathFinder

STEM = sys.argv[1].removesuffix(".py")
ALLOWED = {STEM, *sys.argv[2:], *sys.stdlib_module_names}


class OnlyAllowed(PathFinder):
    """Python's own finder of modules, for which the other packages are not installed."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """Return where a module is; None if it is of another package."""
        package = name.partition(".")[0]
        if package not in ALLOWED and not package.startswith("_sysconfigdata"):
            return None
        return super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyAllowed
sys.path.insert(0, "")

import numpy as np  # noqa: E402

rng = np.random.default_rng(0)


def law(n, k, s, d=1):
    """Return SAME's (before, after), by the number of outputs that TensorFlow promises."""
    total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
    return total // 2, total - total // 2


def integers(*shape):
    """Return random multiples of 3600; sums are too, and means of up to 9 of 400."""
    return 3600 * rng.integers(-9, 10, shape).astype("float32")


def windows(x, kernel, stride, dilation, fill):
    """Return what the SAME windows of x (N, C, ...) hold, (N, C, outputs ..., kernel ...)."""
    plan = zip(kernel, stride, dilation, strict=True)
    for axis, (k, s, d) in enumerate(plan, start=2):
        n = x.shape[axis]
        pads = [(0, 0)] * x.ndim
        pads[axis] = law(n, k, s, d)
        cells = np.arange(-(-n // s))[:, None] * s + np.arange(k) * d
        x = np.pad(x, pads, constant_values=fill).take(cells, axis)
        x = np.moveaxis(x, axis + 1, -1)
    return x


def conv(x, weight, bias, stride, dilation, groups):
    """Return the SAME convolution of x (N, C, ...)."""
    kernel = weight.shape[2:]
    read = windows(x, kernel, stride, dilation, 0)
    axes = [1, *range(-len(kernel), 0)]
    parts = zip(np.split(read, groups, 1), np.split(weight, groups), strict=True)
    parts = [np.tensordot(part, w, (axes, axes)) for part, w in parts]
    return np.moveaxis(np.concatenate(parts, -1) + bias, -1, 1)


def pool(x, kernel, stride, mean=False):
    """Return the SAME maxima, or means, of x (N, C, ...): of what is in the input."""
    read = windows(x, kernel, stride, (1,) * len(kernel), np.nan)
    axes = tuple(range(-len(kernel), 0))
    return np.nanmean(read, axes) if mean else np.nanmax(read, axes)


def conv_transpose(x, weight, bias, stride):
    """Return the transpose of the SAME convolution from n * s cells to the n of x."""
    kernel, axes = weight.shape[2:], range(len(stride))
    sizes = [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
    before = [law(*axis)[0] for axis in zip(sizes, kernel, stride, strict=True)]
    reach = [m + k + b for m, k, b in zip(sizes, kernel, before, strict=True)]
    full = np.zeros((x.shape[0], weight.shape[1], *reach))
    for tap in np.ndindex(*kernel):
        steps = [slice(tap[i], tap[i] + sizes[i], stride[i]) for i in axes]
        stamp = np.tensordot(x, weight[(..., *tap)], (1, 0))
        full[(..., *steps)] += np.moveaxis(stamp, -1, 1)
    kept = [slice(b, b + m) for b, m in zip(before, sizes, strict=True)]
    return full[(..., *kept)] + bias[:, *[None] * len(stride)]


SIZES, KERNEL, STRIDE, DILATION = (6, 9, 7), (3, 4, 2), (2, 3, 2), (2, 1, 3)


def plain(values):
    """Return a number for one axis, which every function takes, else a tuple."""
    return values[0] if len(values) == 1 else values


def equal(y, wanted):
    """Assert that a framework's tensor holds the wanted multiples of 400."""
    y = y.detach().numpy() if hasattr(y, "detach") else np.asarray(y)
    assert y.shape == wanted.shape and np.abs(y - wanted).max() < 2


def check_torch(kind, axes, make):
    """Compare one layer of a kind, of some rank, with the law; make(...)(x) computes it."""
    import torch

    stride, kernel = STRIDE[:axes], KERNEL[:axes]
    x = integers(2, 4, *SIZES[:axes])
    tensor = torch.from_numpy(x)
    if kind in ("max_pool", "avg_pool"):
        y = make(plain(kernel), plain(stride))(tensor)
        return equal(y, pool(x, kernel, stride, kind == "avg_pool"))
    groups = 1 if kind == "conv_transpose" else 2
    channels = (4, 6) if kind == "conv_transpose" else (6, 4 // groups)
    weight = rng.integers(-9, 10, (*channels, *kernel)).astype("float32")
    bias = integers(6)
    parameters = torch.from_numpy(weight), torch.from_numpy(bias)
    if kind == "conv_transpose":
        y = make(*parameters, stride=plain(stride))(tensor)
        return equal(y, conv_transpose(x, weight, bias, stride))
    for s, d in ((stride, (1,) * axes), (stride, DILATION[:axes])):
        how = {"stride": plain(s), "dilation": plain(d), "groups": groups}
        equal(make(*parameters, **how)(tensor), conv(x, weight, bias, s, d, groups))


def check_torch_function(function, kind, rank):
    """Compare a function with the law, at its rank or at every one."""

    def make(*arguments, **named):
        return lambda x: function(x, *arguments, **named)

    for axes in [int(rank)] if rank else (1, 2, 3):
        check_torch(kind, axes, make)


def check_torch_class(layer_class, kind, rank):
    """Compare a layer's class with the law."""

    def make(*arguments, **named):
        if kind != "Conv":
            return layer_class(*arguments, **named)
        weight, bias = arguments
        layer = layer_class(4, 6, plain(tuple(weight.shape[2:])), **named)
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer

    kinds = {"Conv": "conv", "MaxPool": "max_pool", "AvgPool": "avg_pool"}
    check_torch(kinds[kind], int(rank), make)


def check_use_same_padding(use_same_padding):
    """A model of three layers, each as the law says."""
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(4, 4, 3, 2, 1, bias=False),
        nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1),
    )
    x = integers(1, 4, 22, 27)
    weight = rng.integers(-9, 10, (4, 4, 3, 3)).astype("float32")
    model[0].weight.data = torch.from_numpy(weight)
    wanted = conv(x, weight, 0, (2, 2), (1, 1), 1)
    wanted = pool(pool(wanted, (3, 3), (2, 2)), (3, 3), (2, 2), mean=True)
    x = torch.from_numpy(x)
    assert np.abs(model(x).detach().numpy() - wanted).max() >= 400
    equal(use_same_padding(model)(x), wanted)


def check_fold_zero_padding(fold_zero_padding):
    """Zeros behind become 'same', zeros on every side stay, and both are what they were."""
    import keras
    from keras import layers

    for zeros, folded in ((((0, 1), (0, 1)), True), (1, False)):
        pads = layers.ZeroPadding2D(zeros)
        model = keras.Sequential(
            [keras.Input((6, 8, 4)), pads, layers.Conv2D(5, 3, 2, use_bias=False)]
        )
        weight = rng.integers(-9, 10, (3, 3, 4, 5)).astype("float32")
        model.set_weights([weight])
        lean = fold_zero_padding(model)
        kinds = [type(layer).__name__ for layer in lean.layers]
        assert ("ZeroPadding2D" not in kinds) == folded, kinds
        x = integers(2, 4, 6, 8)
        wanted = conv(x, weight.transpose(3, 2, 0, 1), 0, (2, 2), (1, 1), 1)
        y = np.moveaxis(np.asarray(lean(np.moveaxis(x, 1, -1))), -1, 1)
        before = np.moveaxis(np.asarray(model(np.moveaxis(x, 1, -1))), -1, 1)
        assert np.array_equal(y, before) and np.array_equal(y, wanted) == folded


def check_padded_max_pool(padded_max_pool):
    """Maxima of the windows that begin p cells before the input, where a 0 would win."""
    x = rng.integers(-99, 0, (2, 9, 11, 3)).astype("float32")
    for (kh, kw), (sh, sw), (top, left) in (
        ((3, 3), (2, 2), (1, 1)),
        ((5, 4), (3, 1), (1, 0)),
    ):
        pads = (0, 0), (top, top), (left, left), (0, 0)
        padded = np.pad(x, pads, constant_values=-np.inf)
        read = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), (1, 2))
        wanted = read[:, ::sh, ::sw].max((-2, -1))
        y = padded_max_pool(x, (kh, kw), (sh, sw), (top, left))
        assert np.array_equal(np.asarray(y), wanted)


def check_audit(_):
    """SAME's layer and the padded one, at an even size: their rows, the cure, the cause."""
    import keras
    import torch

    layer = keras.layers.Conv2D(6, 3, 2, "same", use_bias=False)
    model = keras.Sequential([keras.Input((8, 8, 4)), layer])
    port = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, 2, padding=1, bias=False))
    weight = rng.integers(-9, 10, (3, 3, 4, 6)).astype("float32")
    layer.set_weights([weight])
    port[0].weight.data = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())
    rows = module.audit(model), module.audit(port, 8)
    verdicts = [(row["same"], row["symmetric"]) for (row,) in rows]
    assert verdicts == [(True, False), (False, True)], verdicts
    with contextlib.redirect_stdout(io.StringIO()) as said:
        module.print_audit(rows[1])
    assert "8×8" in said.getvalue()
    assert any(line.startswith("+ F.pad(") for line in module.fix(*rows))
    x = integers(1, 8, 8, 4)
    assert module.compare(model, port, x)["cause"] == "padding"
    assert module.compare(model, model, x)["cause"] is None


def check_needs(package, function, *arguments):
    """Without the other framework, an ImportError that names it and the function."""
    try:
        function(*arguments)
    except ImportError as error:
        said = (
            f"^{package}[.a-z]* is needed by .*{function.__name__}.*: No module named"
        )
        assert re.match(said, str(error)), error
    else:
        raise AssertionError(f"{function.__name__} does without {package}")


def check_law(function, wanted):
    """Compare a function of the law with its definition, along one axis."""
    for layer in itertools.product(range(1, 10), range(1, 6), range(1, 5), (1, 2, 3)):
        assert function(*layer) == wanted(*layer), layer


def windows_that_fit(n, k, s, d):
    """Return how many windows start so that their last tap is in the input."""
    return len(range(0, n - (k - 1) * d, s))


def symmetric(n, k, s, d):
    """Return SAME's zeros in front if there are as many behind, else None."""
    before, after = law(n, k, s, d)
    return before if before == after else None


class KerasLayer:
    """Taken for a layer of Keras, where there is no Keras."""


KerasLayer.__name__, KerasLayer.__module__ = "Conv2D", "keras.layers"

CHECKS = {
    "effective_kernel_size": lambda f: check_law(
        lambda n, k, s, d: f(k, d), lambda n, k, s, d: len(range(0, (k - 1) * d + 1))
    ),
    "output_size": partial(check_law, wanted=windows_that_fit),
    "same_padding": partial(check_law, wanted=law),
    "symmetric_equals_same": partial(check_law, wanted=symmetric),
    "use_same_padding": check_use_same_padding,
    "keras_to_torch": lambda f: check_needs("keras", f, KerasLayer()),
    "fold_zero_padding": check_fold_zero_padding,
    "padded_max_pool": check_padded_max_pool,
    "torch_to_keras": lambda f: check_needs("torch", f, None),
    "graph_to_keras": lambda f: check_needs("torch", f, None, (None, None, 3)),
    **dict.fromkeys(["audit", "print_audit", "compare", "fix"], check_audit),
}


def check(name, thing):
    """Use a public function or class; AssertionError for a wrong value, or no check."""
    function = re.fullmatch(
        r"(conv_transpose|conv|max_pool|avg_pool)(?:(\d)d)?_same", name
    )
    layer = re.fullmatch(r"(Conv|MaxPool|AvgPool)(\d)dSame", name)
    if function and inspect.isfunction(thing):
        check_torch_function(thing, *function.groups())
    elif layer and inspect.isclass(thing):
        check_torch_class(thing, *layer.groups())
    else:
        assert name in CHECKS, f"{name} is not tried here"
        CHECKS[name](thing)


module = importlib.import_module(STEM)
for public in module.__all__:
    check(public, getattr(module, public))
    print(public)
