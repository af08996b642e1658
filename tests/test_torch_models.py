"""`use_same_padding` on public architectures of `transformers`, built without their weights.

The judge is the library's own SAME where it has one (MobileNetV1 and V2, tf_padding=True), and for
the others the same model with TensorFlow itself in every layer that pads.
"""

import copy
import io
import os
import pickle
import re
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is fetched: configurations are made here

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import torch
import transformers
from conftest import PROFILE
from torch import nn

from notebooks import load

torch.set_num_threads(1)
chapter = load("05")
use_same_padding = chapter.use_same_padding

SIZES = ((224, 224), (225, 225), (160, 212))
ONES = [1, 1, 1, 1]
WIDTHS = {"hidden_sizes": [16, 24, 32, 40], "depths": ONES}
BASIC = WIDTHS | {"embedding_size": 16, "layer_type": "basic"}

# name: class, configuration, how many layers become Conv2dSame and MaxPool2dSame
MODELS = {
    "ResNet": ("ResNetModel", BASIC, (4, 1)),
    "RegNet": (
        "RegNetModel",
        {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64]}
        | {"depths": ONES, "groups_width": 8},
        (5, 0),
    ),
    "RTDetrResNet": ("RTDetrResNetBackbone", BASIC, (4, 1)),
    "MobileNetV1": ("MobileNetV1Model", {"depth_multiplier": 0.25}, (5, 0)),
    "MobileNetV2": ("MobileNetV2Model", {"depth_multiplier": 0.35}, (5, 0)),
    "MobileViT": (
        "MobileViTModel",
        {"hidden_sizes": [16, 24, 32], "num_attention_heads": 2}
        | {"neck_hidden_sizes": [8, 8, 12, 16, 20, 24, 48]},
        (5, 0),
    ),
    "MobileViTV2": ("MobileViTV2Model", {"width_multiplier": 0.5}, (5, 0)),
    "PoolFormer": ("PoolFormerModel", WIDTHS, (4, 0)),
    "Segformer": (
        "SegformerModel",
        {"hidden_sizes": [8, 16, 24, 32], "depths": ONES}
        | {"num_attention_heads": ONES},
        (4, 0),
    ),
    "PvtV2": (
        "PvtV2Model",
        {"hidden_sizes": [8, 16, 24, 32], "depths": ONES}
        | {"num_attention_heads": ONES},
        (4, 0),
    ),
    "FocalNet": (
        "FocalNetModel",
        {"embed_dim": 16, "depths": ONES, "use_conv_embed": True},
        (4, 0),
    ),
    "SwiftFormer": (
        "SwiftFormerModel",
        {"embed_dims": [16, 24, 32, 40], "depths": ONES},
        (5, 0),
    ),
    "PPLCNet": ("PPLCNetBackbone", {"scale": 0.25}, (5, 0)),
    "HGNetV2": ("HGNetV2Backbone", {}, (5, 0)),
    "TextNet": ("TextNetModel", {}, (13, 0)),
}
LARGE = {"HGNetV2", "TextNet"}  # over 10 million parameters


def built(name, **changes):
    """Return a model with weights under which a wrong window shows, and its configuration."""
    model_class, arguments, _ = MODELS[name]
    prefix = re.sub(r"(Model|Backbone)$", "", model_class)
    configuration = getattr(transformers, f"{prefix}Config")(**(arguments | changes))
    torch.manual_seed(0)
    return alive(getattr(transformers, model_class)(configuration))


def alive(model):
    """Fill a model so that no activation dies: the libraries' own start shrinks them to nothing."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval().requires_grad_(False)


class Features(nn.Module):
    """A model of the library that returns its last map alone."""

    def __init__(self, model):
        """Keep the model."""
        super().__init__()
        self.model = model

    def forward(self, x):
        """Return the last features of x (N, 3, H, W)."""
        outputs = self.model(x)
        maps = getattr(outputs, "feature_maps", None)
        return maps[-1] if maps is not None else outputs.last_hidden_state


class TensorFlowSame(nn.Module):
    """A layer's SAME, computed by TensorFlow."""

    def __init__(self, layer):
        """Keep the layer, for its weights and sizes."""
        super().__init__()
        self.layer = layer

    def forward(self, x):
        """Return TensorFlow's result, (N, C, H, W)."""
        layer, x = self.layer, x.numpy().transpose(0, 2, 3, 1)
        if isinstance(layer, nn.Conv2d):
            kernel = layer.weight.numpy().transpose(2, 3, 1, 0)
            if layer.groups > 1 and layer.groups == layer.in_channels:
                kernel = kernel.transpose(0, 1, 3, 2)
                strides = (1, *layer.stride, 1)
                y = tf.nn.depthwise_conv2d(x, kernel, strides, "SAME").numpy()
            else:
                y = tf.nn.conv2d(x, kernel, layer.stride, "SAME").numpy()
            y = y if layer.bias is None else y + layer.bias.numpy()
        else:
            maximum = isinstance(layer, nn.MaxPool2d)
            pool = tf.nn.max_pool2d if maximum else tf.nn.avg_pool2d
            y = pool(x, layer.kernel_size, layer.stride, "SAME").numpy()
        return torch.from_numpy(y.transpose(0, 3, 1, 2).copy())


def with_tensorflow(model, left_alone=()):
    """Return a copy of a model in which TensorFlow computes every layer that pads."""
    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
        pads = isinstance(layer, kinds) and layer.padding not in (0, (0, 0), "valid")
        rounds = getattr(layer, "ceil_mode", False)
        if (pads or rounds) and name not in left_alone:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, TensorFlowSame(layer))
    return model


def judge_of(name, model):
    """Return the model that is right: the library's own SAME, or TensorFlow inside."""
    if name.startswith("MobileNet"):
        judge = built(name, tf_padding=True)
        judge.load_state_dict(model.state_dict())
        return judge
    # HGNetV2 pads by F.pad before a pool of kernel 2, stride 1 with ceil_mode: VALID.
    return with_tensorflow(model, left_alone=("embedder.pool",))


def distance(y, wanted):
    """Return the largest difference as a part of the largest value; infinite for a shape."""
    if y.shape != wanted.shape:
        return float("inf")
    return float((y - wanted).abs().max() / wanted.abs().max())


def changed(model):
    """Return how many layers of a model are Conv2dSame and MaxPool2dSame."""
    kinds = (chapter.Conv2dSame, chapter.MaxPool2dSame)
    return tuple(sum(isinstance(m, kind) for m in model.modules()) for kind in kinds)


def plain(name):
    """Return a model with PyTorch's padding."""
    of_mobile_net = name.startswith("MobileNet") and name[-2:] in ("V1", "V2")
    return built(name, **({"tf_padding": False} if of_mobile_net else {}))


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_model_is_the_judge_s(name):
    """Equal up to rounding at an even, an odd and a non-square size; before it was not."""
    if name in LARGE and PROFILE != "long":
        pytest.skip(f"{name} is large: run with HYPOTHESIS_PROFILE=long")
    model = plain(name)
    judge, fixed = judge_of(name, model), copy.deepcopy(model)
    with warnings.catch_warnings():
        if name != "HGNetV2":
            warnings.simplefilter("error")  # no layer was left alone
        use_same_padding(fixed)
    assert changed(fixed) == MODELS[name][2]
    wrong = []
    for size in SIZES:
        x = torch.randn(1, 3, *size)
        wanted = Features(judge)(x)
        assert distance(Features(fixed)(x), wanted) < 1e-4
        wrong.append(distance(Features(model)(x), wanted) > 1e-2)
    assert wrong[0] and wrong[2], "padding=1 was not told from SAME"


def test_frozen_padding_of_efficient_net_is_thawed():
    """ZeroPad2d((0, 1, 0, 1)) and a subclass of nn.Conv2d: right at 225 when thawed."""
    how = {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}
    torch.manual_seed(0)
    configuration = transformers.EfficientNetConfig(**how)
    model = alive(transformers.EfficientNetModel(configuration))
    judge, thawed = copy.deepcopy(model), copy.deepcopy(model)
    for name, layer in list(judge.named_modules()):
        parent, _, child = name.rpartition(".")
        if isinstance(layer, nn.ZeroPad2d):
            setattr(judge.get_submodule(parent), child, nn.Identity())
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            setattr(judge.get_submodule(parent), child, TensorFlowSame(layer))
    with pytest.warns(UserWarning, match="see thaw="):
        use_same_padding(copy.deepcopy(model))
    with pytest.warns(
        UserWarning, match="depthwise_conv_pad"
    ):  # of stride 1, never run
        use_same_padding(thawed, thaw=chapter.frozen_pairs(thawed))
    assert changed(thawed) == (5, 0)
    frozen = []
    for size in SIZES:
        x = torch.randn(1, 3, *size)
        wanted = Features(judge)(x)
        assert distance(Features(thawed)(x), wanted) < 1e-4
        pooled = thawed(
            x
        ).pooler_output  # AvgPool2d(320, ceil_mode=True): the global mean
        torch.testing.assert_close(pooled, Features(thawed)(x).mean((2, 3)))
        frozen.append(distance(Features(model)(x), wanted) > 1e-2)
    assert frozen[1], "the frozen padding was right at 225"


def test_a_model_that_is_same_already_is_not_changed():
    """ConvNext: strides as large as the kernels, and stride 1 with padding k // 2."""
    configuration = transformers.ConvNextConfig(**WIDTHS)
    model = alive(transformers.ConvNextModel(configuration))
    before = repr(model)
    with pytest.warns(UserWarning, match="SAME at every size"):
        use_same_padding(model)
    assert repr(model) == before
    x = torch.randn(1, 3, 160, 212)
    wanted = Features(with_tensorflow(model))(x)
    assert distance(Features(model)(x), wanted) < 1e-4


def test_standardised_weights_are_named():
    """BiT's convolutions compute by themselves, from its own pads: left alone, and named."""
    how = BASIC | {"layer_type": "preactivation", "num_groups": 4}
    model = transformers.BitModel(transformers.BitConfig(**how))
    with pytest.warns(
        UserWarning, match=r"\(WeightStandardizedConv2d\).*class of its own"
    ):
        use_same_padding(model)


OTHER = ((64, 64), (65, 65), (57, 62), (96, 81))


@pytest.fixture(scope="module")
def pair():
    """A ResNet, plain and changed, that return tensors: five SAME layers, a pool among them."""
    model = Features(plain("ResNet")).eval()  # the old exporter sets all to its mode
    return model, use_same_padding(copy.deepcopy(model))


def exported(model):
    """Return the exported program with open sizes."""
    open_sizes = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    x = torch.randn(1, 3, 64, 80)
    return torch.export.export(model, (x,), dynamic_shapes=(open_sizes,))


def test_exported_with_open_sizes(pair):
    """Right at every size, and the graph is larger by a constant for each changed layer."""
    model, fixed = pair
    program, before = exported(fixed), exported(model)
    for size in OTHER:
        x = torch.randn(1, 3, *size)
        assert distance(program.module()(x), fixed(x)) < 1e-5
    added = len(program.graph.nodes) - len(before.graph.nodes)
    assert added < 45 * sum(changed(fixed))
    (output,) = program.graph.output_node().args[0]
    assert len(str(output.meta["val"].shape[2])) < 120


def test_traced_and_exported_the_old_way(pair):
    """torch.jit.trace and ONNX with dynamo=False: open sizes, equal at every one."""
    _, fixed = pair
    x, file = torch.randn(1, 3, 64, 80), io.BytesIO()
    axes = {"x": {2: "height", 3: "width"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(fixed, x)
        how = {"dynamo": False, "input_names": ["x"], "dynamic_axes": axes}
        torch.onnx.export(fixed, (x,), file, **how)
    session = onnxruntime.InferenceSession(file.getvalue())
    for size in OTHER:
        x = torch.randn(1, 3, *size)
        assert distance(traced(x), fixed(x)) < 1e-5
        (y,) = session.run(None, {"x": x.numpy()})
        assert distance(torch.from_numpy(y), fixed(x)) < 1e-5


@pytest.mark.parametrize("dynamic", [True, None])
def test_compiled_in_one_graph(pair, dynamic):
    """torch.compile without code generation; test_pytorch.py has the default backend."""
    torch._dynamo.reset()
    compiled = torch.compile(pair[1], backend="eager", dynamic=dynamic, fullgraph=True)
    for size in OTHER:
        x = torch.randn(1, 3, *size)
        assert distance(compiled(x), pair[1](x)) < 1e-5
    torch._dynamo.reset()


def test_state_dicts_copies_and_low_precision(pair):
    """State dicts fit both ways; copies are independent; half, bfloat16, autocast run."""
    model, fixed = pair
    model.load_state_dict(fixed.state_dict())
    fixed.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 57, 62)
    wanted = fixed(x)
    for other in (copy.deepcopy(fixed), pickle.loads(pickle.dumps(fixed))):
        assert torch.equal(other(x), wanted)
    for dtype, tolerance in ((torch.float16, 0.02), (torch.bfloat16, 0.1)):
        low = copy.deepcopy(fixed).to(dtype)
        assert distance(low(x.to(dtype)).float(), wanted) < tolerance
        assert fixed(x).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert distance(fixed(x).float(), wanted) < 0.1


def test_one_training_step_is_the_one_with_tensorflow_s_padding():
    """MobileNetV2: loss and gradients of a step in float64 equal the library's own SAME."""
    model = plain("MobileNetV2").double()
    judge = built("MobileNetV2", tf_padding=True).double()
    judge.load_state_dict(model.state_dict())
    use_same_padding(model)
    x = torch.randn(2, 3, 96, 81, dtype=torch.float64)
    for one in (model, judge):
        one.train().requires_grad_(True)
        loss = Features(one)(x).square().mean()
        loss.backward()
        torch.optim.SGD(one.parameters(), 0.1).step()
    for (name, ours), (_, theirs) in zip(
        model.state_dict().items(), judge.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=name)
    assert np.isfinite(loss.item())
