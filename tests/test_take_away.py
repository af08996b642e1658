"""The files to take away: word for word, complete, and of use with their frameworks alone."""

import ast
import builtins
import importlib.util
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
import take_away
import yaml
from bs4 import BeautifulSoup
from packaging.requirements import Requirement
from take_away import FILES, LAW, all_imports, public_names

import notebooks
from notebooks import definitions, find_chapters, used_names

ROOT = Path(__file__).resolve().parents[1]
BASE = "https://example.github.io/padding.book/"  # of the site `known`
homes = cache(notebooks.homes)
every_file = pytest.mark.parametrize("file", FILES)


@cache
def text(file, address=""):
    """Return the text of a file."""
    return take_away.take_away(file, address)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that holds the files and nothing else."""
    folder = tmp_path_factory.mktemp("take_away")
    for file in FILES:
        (folder / file).write_text(text(file), encoding="utf-8")
    return folder


def defined(file):
    """Return {name: source} of the functions and classes in a file."""
    return definitions(type("cell", (), {"source": text(file)}))


def imported(folder, file):
    """Return a file as a module, whatever else can be imported here."""
    spec = importlib.util.spec_from_file_location(file[:-3], folder / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@every_file
def test_every_text_is_that_of_its_home(file):
    """Word for word; one class is the file's own, and nothing else but names and imports."""
    known, found = homes(), defined(file)
    own = {"Later"} if FILES[file].later else set()
    assert set(found) - set(known) == own
    for name in set(found) & set(known):
        assert found[name] == known[name][1], name
    assigned = [n for n in ast.parse(text(file)).body if isinstance(n, ast.Assign)]
    made = {ast.unparse(node.targets[0]): ast.unparse(node.value) for node in assigned}
    assert {"__version__", "__all__"} <= set(made)
    for name in set(made) - {"__version__", "__all__"}:
        assert re.fullmatch(r"Later\('[a-z.]+', '[a-z_ ,]+'\)", made[name]), name


@every_file
def test_nothing_is_missing_and_nothing_is_idle(file):
    """Every public name is defined, every name used too; the rest is used by something."""
    found = defined(file)
    (public,) = re.findall(r"^__all__ = (\[.*?\])", text(file), re.M | re.S)
    public = ast.literal_eval(public)
    assert public == public_names(file, homes()) and set(public) <= set(found)
    assert used_names(text(file)) <= set(dir(builtins))
    used = set().union(*(used_names(source) for source in found.values()))
    assert set(found) - set(public) <= used | {"Later"}


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("same_torch.py", " ".join(LAW)),
        ("same_keras.py", " ".join(LAW)),
        ("same_torch.py", "conv2d_same Conv2dSame MaxPool2dSame AvgPool2dSame"),
        ("same_torch.py", "max_pool2d_same avg_pool2d_same conv_transpose2d_same"),
        ("same_torch.py", "use_same_padding conv_same conv_transpose_same"),
        ("same_torch.py", "keras_to_torch"),
        (
            "same_keras.py",
            "fold_zero_padding torch_to_keras graph_to_keras padded_max_pool",
        ),
        ("same_audit.py", "audit print_audit compare fix"),
    ],
)
def test_what_the_design_calls_public_is_there(file, names):
    """And the four functions of the law, in both of one framework."""
    assert set(names.split()) <= set(public_names(file, homes()))


@every_file
@pytest.mark.parametrize("address", ["", BASE])
def test_says_what_it_is(file, address):
    """Version and licence at the top; above each public function its chapter and the link."""
    docstring, code = (
        ast.get_docstring(ast.parse(text(file, address))),
        text(file, address),
    )
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert f"version {citation['version']}." in docstring
    assert f'__version__ = "{citation["version"]}"' in code and "MIT" in docstring
    assert (address in docstring) if address else "http" not in code
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    licence = licence[licence.rindex("MIT License") :]
    comments = re.findall(r"^#(?: (.*))?$", code.partition("\nimport")[0], re.M)
    assert "\n".join(comments) == licence.strip()
    for name in public_names(file, homes()):
        (above,) = re.findall(rf"((?:^#.*\n)+)(?:def|class) {name}\(", code, re.M)
        home = homes()[name][0]
        title = take_away.read(home).cells[0].source.splitlines()[0][2:]
        link = f"{home.stem}.html" if address else home.name
        wanted = [
            f"Chapter {int(home.stem[:2])}: {title}",
            f"{address}notebooks/{link}",
        ]
        assert above == "".join(f"# {line}\n" for line in wanted)


def test_is_as_tidy_as_the_repository(folder):
    """By ruff, with the same settings: names, imports, docstrings, lines, and the format."""
    ruff = [sys.executable, "-m", "ruff"]
    settings = ["--no-cache", "--config", ROOT / "pyproject.toml", folder]
    for command in (["check"], ["format", "--diff"]):
        process = subprocess.run(
            [*ruff, *command, *settings], capture_output=True, text=True
        )
        assert process.returncode == 0, process.stdout + process.stderr


def packages_of(*distributions):
    """Return the top-level packages of some distributions and of all that they require."""

    def plain(name):
        """Return a distribution's name as pip compares it."""
        return re.sub(r"[-_.]+", "-", name).lower()

    found, waiting = set(), list(distributions)
    while waiting:
        name = plain(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            required = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:  # for another system
            continue
        here = [r for r in required if not r.marker or r.marker.evaluate({"extra": ""})]
        waiting += [requirement.name for requirement in here]
    owners = packages_distributions().items()
    return sorted(p for p, own in owners if found & {plain(name) for name in own})


@every_file
def test_is_of_use_alone(folder, file):
    """Where only its framework can be imported: each public name on a layer, by the law."""
    packages = packages_of(*FILES[file].packages)
    others = {"torch", "keras", "tensorflow", "jax", "matplotlib", "onnx", "pandas"}
    assert not set(packages) & (others - set(FILES[file].packages))
    script = ROOT / "tests" / "take_away_alone.py"
    process = subprocess.run(
        [sys.executable, "-I", script, file, *packages],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == public_names(file, homes())


def example(module, /, **names):
    """Run the lines that the file's docstring shows, and return their names."""
    lines = re.findall(r"^ {4}(.*)", module.__doc__, re.M)
    assert len(lines) == 3
    space = dict(names)
    sys.modules[module.__name__] = module
    try:
        exec("\n".join(lines), space)
    finally:
        del sys.modules[module.__name__]
    return space


def test_each_file_crosses_the_border_where_both_frameworks_are(folder):
    """And the examples at their tops run."""
    import keras
    import torch
    from torch import nn

    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (1, 6, 8, 3)).astype("float32")
    x_t = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    weight = rng.integers(-9, 10, (3, 3, 3, 8)).astype("float32")

    same_torch = imported(folder, "same_torch.py")
    conv = keras.layers.Conv2D(8, 3, 2, "same", use_bias=False)
    conv(x)
    conv.set_weights([weight])
    wanted = np.moveaxis(conv(x).numpy(), -1, 1)
    port = same_torch.keras_to_torch(conv)
    assert np.array_equal(port(x_t).detach().numpy(), wanted)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1, bias=False))
    model[0].weight.data = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())
    padded = model(x_t).detach().numpy()
    assert not np.array_equal(padded, wanted)

    same_keras = imported(folder, "same_keras.py")
    for port in (
        same_keras.torch_to_keras(model),
        same_keras.graph_to_keras(model, (None, None, 3)),
    ):
        assert np.array_equal(np.moveaxis(port(x).numpy(), -1, 1), padded)

    same_audit = imported(folder, "same_audit.py")
    original = keras.Sequential([keras.Input((None, None, 3)), conv])
    found = example(same_audit, model=original, port=model, x=x)["found"]
    assert found["cause"] == "padding"

    made = example(same_torch, model=model)
    assert made["layer"](x_t).shape == (1, 8, 3, 4) and made["model"] is model
    assert np.array_equal(model(x_t).detach().numpy(), wanted)
    pads = [keras.Input((6, 8, 3)), keras.layers.ZeroPadding2D(((0, 1), (0, 1)))]
    pair = keras.Sequential([*pads, keras.layers.Conv2D(8, 3, 2)])
    made = example(same_keras, model=pair, module=nn.Conv2d(3, 8, 3))
    assert made["layer"](x).shape == (1, 4, 6, 8)
    folded = [type(layer).__name__ for layer in made["model"].layers]
    assert folded == ["Identity", "Conv2D"]


def known_with(source):
    """Return the book's functions and one more, f, in chapter 5."""
    return homes() | {"f": (find_chapters(["05"])[0], source)}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f():\n    return plt", "same_torch.py: f needs matplotlib.pyplot"),
        ("def f(x=keras):\n    return x", "same_torch.py: f needs keras at once"),
        ("class f(keras.Model):\n    pass", "same_torch.py: f needs keras at once"),
        ("def f():\n    return rng", "f cannot leave 05-fix-in-pytorch: what is rng?"),
        ("def f():\n    return F + typo", "what is typo?"),
    ],
)
def test_what_cannot_be_taken_away_is_refused(source, said):
    """With the name, before a file is made that does not work."""
    with pytest.raises(ValueError, match=re.escape(said)):
        all_imports("same_torch.py", ["f"], known_with(source))


def test_a_name_that_stands_for_two_things_is_refused():
    """Chapter 5's F is torch.nn.functional; a function F would be hidden by it."""
    known = known_with("def f():\n    return F")
    with pytest.raises(ValueError, match="F stands for two things"):
        all_imports("same_torch.py", ["f", "F"], known)


def test_a_public_name_without_a_function_is_refused(monkeypatch):
    """A function that was renamed is not lost silently."""
    wrong = FILES["same_keras.py"]._replace(names=[*LAW, "fold_zero_paddings"])
    monkeypatch.setitem(FILES, "same_keras.py", wrong)
    with pytest.raises(ValueError, match="is called fold_zero_paddings"):
        take_away.take_away("same_keras.py")


def test_new_functions_of_the_same_kinds_are_taken_without_a_change():
    """At another rank, but no helper and no exercise."""
    names = "conv3d_same max_pool1d_same Conv1dSame AvgPool3dSame".split()
    others = "ConvSame pool_same tensorflow_conv_same conv1d_same_answer".split()
    known = homes() | {name: None for name in names + others}
    found = set(public_names("same_torch.py", known))
    assert set(names) <= found and not set(others) & found


@every_file
def test_the_site_offers_it(known, file):
    """As made here, at the top; every link to it names it; the chapters lead to these links."""
    assert (known / file).read_text(encoding="utf-8") == text(file, BASE)
    sheet = known / "book" / "cheat-sheet.html"
    page = BeautifulSoup(sheet.read_text(encoding="utf-8"), "html.parser")
    section = page.select_one("section#one-file-to-take-away")
    (link,) = [a for a in section.select("a.internal") if a.get_text() == file]
    assert (sheet.parent / link["href"]).resolve() == known / file
    chapters = {"same_torch.py": (5, 8, 9, 10, 11), "same_keras.py": (6, 11, 17)}
    for number in chapters.get(file, [16]):
        path = known / "notebooks" / f"{find_chapters([f'{number:02}'])[0].stem}.html"
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        section = page.select_one("section#in-one-line")
        (link,) = [a for a in section.select("a") if file in a.get_text()]
        target, _, anchor = link["href"].partition("#")
        assert (path.parent / target).resolve() == sheet
        assert anchor == "one-file-to-take-away"
