"""`make test-colab`: what it records and counts as a fault; what is skipped without a network."""

import re
import sys
from pathlib import Path

import colab
import conftest
import environment
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

REPLACES = """
import pathlib, sysconfig
folder = pathlib.Path(sysconfig.get_path("purelib"), "numpy-9.9.dist-info")
folder.mkdir()
_ = (folder / "METADATA").write_text("Name: numpy\\nVersion: 9.9\\n")
"""


def run(folder, *sources):
    """Run a notebook of some cells, none of which has a stored output, over this Python."""
    path = folder / "some.ipynb"
    cells = [new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return colab.run(path, Path(sys.prefix, "bin", "python"))


def test_colab_s_versions_are_exact_and_dated():
    """Every pin is one version; the date, the source and the Python are there."""
    text = environment.COLAB.read_text(encoding="utf-8")
    pins = environment.requirements("colab")
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", pin) for pin in pins)
    assert re.search(r"backend-info, commit \w{7} of 20\d\d-\d\d-\d\d", text)
    assert re.fullmatch(r"3\.\d+\.\d+", environment.colab_python())
    assert not {pin.split("==")[0] for pin in pins} & {"onnx", "onnxruntime", "tflite"}


def test_another_pytorch_can_be_named(monkeypatch):
    """TORCH takes the place of Colab's, and the environment is then another one."""
    state = environment.state("colab")
    monkeypatch.setenv("TORCH", "2.13.0")
    assert "torch==2.13.0" in environment.requirements("colab")
    assert "torch==2.13.0" not in environment.requirements("all")[:2]
    assert environment.state("colab") != state


def test_nearest_python_is_the_wanted_one_or_named(monkeypatch):
    """The Python of the wanted minor version if there is one; COLAB_PYTHON is taken as it is."""
    monkeypatch.delenv("COLAB_PYTHON", raising=False)
    wanted = f"3.{sys.version_info.minor}.99"
    found = environment.nearest_python(wanted)
    assert f"3.{sys.version_info.minor}" in found or found == sys.executable
    monkeypatch.setenv("COLAB_PYTHON", "some-python")
    assert environment.nearest_python(wanted) == "some-python"


def test_honest_notebook_passes(tmp_path):
    """Two cells, nothing added, nothing replaced; all that is installed below is there."""
    done = run(tmp_path, "import numpy", "assert numpy.__version__")
    assert (done.counts, done.failed, done.added) == ("2 passed", False, {}), done.text


def test_faults_are_counted_and_a_replaced_package_is_one(tmp_path):
    """A cell that fails, and one that puts another version over what Colab has."""
    done = run(tmp_path, "1 / 0", "2")
    assert done.counts == "1 failed, 1 passed" and done.failed, done.text
    done = run(tmp_path, REPLACES)
    assert done.counts == "1 passed" and done.failed
    assert list(done.replaced) == ["numpy"] and done.replaced["numpy"].endswith("> 9.9")


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("%%alone numpy==0.0.0 pytest==0.1\n1", "numpy==0.0.0 pytest==0.1"),
        ("%%alone\n1", ""),
        ("import numpy", ""),
    ],
    ids=["not to be had", "nothing to fetch", "no script"],
)
def test_sections_of_chapter_13_are_skipped_without_their_packages(source, missing):
    """Only what has to be fetched and cannot is skipped; the reason names it."""
    assert conftest.packages_out_of_reach(source) == missing
