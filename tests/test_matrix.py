"""The matrix of chapter 12: what is published is what runs here, and what is planted is found."""

import csv
import importlib.metadata
import io
import json
from pathlib import Path

import matrix
import numpy as np
import pytest

from notebooks import load

DOCUMENT = json.loads(matrix.JSON.read_text(encoding="utf-8"))
ROWS = {row["key"]: row for row in DOCUMENT["rows"]}
HERE = [  # installed in .venv; each with what of its row a process without settings computes
    "tensorflow-without-onednn",
    "keras-3.15-tensorflow",
    "pytorch",
    "jax",
    "flax",
    "onnx",
    "onnxruntime",
    "numpy",
    "scipy",
    "scipy-2d",
]


@pytest.fixture(scope="module")
def chapter():
    """The functions of chapter 12."""
    return load("12")


def cells():
    """Yield (row, operation, rule, cell) of all that is published."""
    for row in DOCUMENT["rows"]:
        for op, rules in row["cells"].items():
            for rule, cell in rules.items():
                yield row, op, rule, cell


@pytest.mark.parametrize("key", HERE)
@pytest.mark.filterwarnings("ignore")
def test_a_sample_made_again_is_what_is_published(chapter, key):
    """Layer by layer: every ninth of a small grid, every thirty-first of the full one."""
    row = ROWS[key]
    adapter = getattr(chapter, row["adapter"])
    asked, step = 0, 31 if row["grid"] == "full" else 9
    for op, rules in row["cells"].items():
        for rule, cell in rules.items():
            if cell["outcome"] == "absent":
                continue
            layers = chapter.layers_to_ask(op, rule, row["grid"])
            for layer, letter in list(zip(layers, cell["each"], strict=True))[3::step]:
                outcome, details = chapter.ask(adapter, layer)
                assert matrix.LETTERS[outcome] == letter, (layer, details)
                asked += 1
    assert asked >= 4


def test_published_versions_are_those_of_the_pins():
    """A new pin asks for a new matrix; rows of other environments name their own pin."""
    pins = dict(
        pin.rsplit("==", 1) for pins in matrix.ENVIRONMENTS.values() for pin in pins
    )
    for one in matrix.IMPLEMENTATIONS:
        row = ROWS[one.key]
        assert "failed" not in row, (one.key, row["failed"])
        if one.package.startswith("npm:"):
            assert f"{one.package[4:]}@{row['version']}" in matrix.NODE_PACKAGES
        elif any(
            p.startswith(one.package + "==")
            for p in matrix.ENVIRONMENTS[one.environment]
        ):
            own = dict(p.rsplit("==", 1) for p in matrix.ENVIRONMENTS[one.environment])
            assert row["version"] == own[one.package]
        else:
            here = importlib.metadata.version(one.package)
            assert row["version"].split("+")[0] == here.split("+")[0], one.key
    assert pins and set(ROWS) == {one.key for one in matrix.IMPLEMENTATIONS}
    assert len({row["name"] for row in DOCUMENT["rows"]}) >= 24


def test_every_cell_is_whole_and_its_first_layer_the_smallest(chapter):
    """Counts, outcome and the layer of each outcome follow from the letters of its layers."""
    for row, op, rule, cell in cells():
        layers = chapter.layers_to_ask(op, rule, row["grid"])
        assert len(cell["each"]) == len(layers), (row["key"], op, rule)
        for outcome, letter in matrix.LETTERS.items():
            assert cell[outcome] == cell["each"].count(letter)
        assert cell["outcome"] == matrix.outcome_of(cell)
        assert cell["layers"] == len(layers) - cell["absent"]
        for outcome, first in cell["first"].items():
            layer = layers[cell["each"].index(matrix.LETTERS[outcome])]
            assert [*first["n"], *first["k"], first["s"], first["d"]] == [
                *layer.n,
                *layer.k,
                layer.s,
                layer.d,
            ]
            if outcome == "differs":
                right = chapter.right_answer(layer, *chapter.layer_data(layer))
                if "at" in first:
                    spot = right[(0, *first["at"])]
                    assert first["right"] == pytest.approx(spot, abs=1e-4)
                else:
                    assert first["right"] == list(right.shape) != first["gives"]


def test_the_csv_is_the_json():
    """Line by line."""
    text = matrix.JSON.with_suffix(".csv").read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(text)))
    expected = [
        {name: str(line.get(name, "")) for name in matrix.CSV_HEAD}
        for line in matrix.csv_rows(DOCUMENT["rows"])
    ]
    assert found == expected and len(found) == len(list(cells()))


def test_the_picture_of_the_chapter_is_the_matrix():
    """FOUND in chapter 12, line for line."""
    (path,) = matrix.find_chapters(["12"])
    sources = [cell.source for cell in matrix.code_cells(matrix.read(path))]
    (text,) = [source for source in sources if "FOUND = " in source]
    lines = text.split('FOUND = """\n')[1].split('\n"""')[0].splitlines()
    assert lines == matrix.picture_lines(DOCUMENT["rows"])


def test_the_chapter_counts_what_the_picture_shows():
    """The numbers and names of the answer, and the date of the legend."""
    (path,) = matrix.find_chapters(["12"])
    text = "\n".join(
        c.source for c in matrix.read(path).cells if c.cell_type == "markdown"
    )
    lines = [line.split("|") for line in matrix.picture_lines(DOCUMENT["rows"])]
    good = [name for name, letters in lines if letters == "EEEEE"]
    bad = [name for name, letters in lines if set(letters) & set("DCH")]
    names = f"{', '.join(good[:-1])} and {good[-1]}"
    assert f"**Of {len(lines)} implementations asked, " in text
    assert f"of five operations: {names}.**" in text
    assert f"{len(bad)} give other numbers somewhere" in text
    words = (
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
    quiet = words[len(lines) - len(good) - len(bad)].capitalize()
    assert f"{quiet} more never give another number" in text
    assert f"from {DOCUMENT['date']};" in text


PLANTED = """
def ask_planted(layer, x, w):
    y = right_answer(layer, x, w)
    here = layer.k == (3, 1) and layer.s == 2
    {}
    return y
"""


@pytest.fixture
def planted(monkeypatch, tmp_path):
    """Return a function that asks an implementation whose one line is given."""
    defined, imports = matrix.chapter_text()
    monkeypatch.setattr(matrix, "CACHE", tmp_path)
    monkeypatch.setattr(matrix, "OPERATIONS", ("conv", "max"))
    monkeypatch.setattr(matrix, "RULES", ("upper",))
    implementation = matrix.Implementation("planted", "Planted", "ask_planted", "numpy")

    def chapter_text_with(line):
        """Return the chapter's definitions and the planted one."""
        own = {"ask_planted": PLANTED.format(line).strip()}
        return defined | own, imports | {"time": "import time"}

    def ask(line, seconds=None):
        """Ask it, on the live grid."""
        monkeypatch.setattr(matrix, "chapter_text", lambda: chapter_text_with(line))
        return matrix.ask_implementation(implementation, "live", seconds)

    ask.implementation, ask.text = implementation, chapter_text_with
    return ask


def first_layer(found, op, outcome):
    """Return the layer that a cell names."""
    first = found["cells"][op]["upper"]["first"][outcome]
    return first["n"], first["k"], first["s"], first["d"]


def test_a_planted_shift_is_reduced_to_its_smallest_layer(planted):
    """One cell down for kernel 3x1 at stride 2: that is the layer named."""
    found = planted("y = np.roll(y, 1, 1) if here else y")
    assert first_layer(found, "conv", "differs") == ([4, 1], [3, 1], 2, 1)
    cell = found["cells"]["conv"]["upper"]
    assert (cell["differs"], cell["equal"]) == (
        cell["each"].count("x"),
        cell["each"].count("="),
    )
    assert cell["differs"] and cell["equal"] + cell["differs"] == len(cell["each"])
    assert found["restarts"] == 0


def test_a_planted_crash_is_a_row_and_the_rest_is_asked(planted, chapter):
    """os.abort() ends a process; the next one goes on behind the layer, and none is lost."""
    found = planted("os.abort() if here and layer.op == 'conv' and layer.d == 1 else 0")
    cell = found["cells"]["conv"]["upper"]
    assert cell["crashes"] == found["restarts"] >= 1
    asked = chapter.layers_to_ask("conv", "upper", "live")
    assert cell["crashes"] + cell["equal"] == len(cell["each"]) == len(asked)
    assert first_layer(found, "conv", "crashes") == ([4, 1], [3, 1], 2, 1)
    assert cell["first"]["crashes"]["says"] == "SIGABRT"
    assert set(found["cells"]["max"]["upper"]["each"]) == {"="}


def test_too_many_crashes_end_it(planted, monkeypatch):
    """What was not asked is counted as that."""
    monkeypatch.setattr(matrix, "RESTARTS", 1)
    found = planted("os.abort()")
    counts = [rules["upper"] for rules in found["cells"].values()]
    assert sum(cell["crashes"] for cell in counts) == 2
    assert (
        sum(cell["unasked"] for cell in counts)
        == sum(len(c["each"]) for c in counts) - 2
    )


def test_a_planted_hang_is_a_row(planted):
    """A layer that does not answer is killed after its time."""
    line = (
        "time.sleep(600) if layer == Layer('max', 'upper', (4, 1), (3, 1), 2, 1) else 0"
    )
    found = planted(line, seconds=4)
    cell = found["cells"]["max"]["upper"]
    assert (cell["hangs"], cell["equal"]) == (1, len(cell["each"]) - 1)
    assert first_layer(found, "max", "hangs") == ([4, 1], [3, 1], 2, 1)
    assert matrix.outcome_of(cell) == "hangs"


def test_what_is_not_installed_says_so(planted):
    """An ImportError is no refusal of the framework's."""
    found = planted("import no_such_framework")
    assert found["cells"] == {} and "no_such_framework" in found["failed"][0]


def test_a_result_is_found_again_until_text_or_pins_change(planted, monkeypatch):
    """The second time nothing is asked; a changed adapter is asked again, and --again always."""
    asked = []

    def count(implementation, grid):
        """Stand in for the processes."""
        asked.append(grid)
        return {"version": "1", "cells": {}, "restarts": 0}

    monkeypatch.setattr(matrix, "ask_implementation", count)
    monkeypatch.setattr(matrix, "chapter_text", lambda: planted.text("y = y"))
    task = planted.implementation, "live"
    for again in (False, False, True):
        matrix.do(task, {}, again, lambda *_: None)
    assert len(asked) == 2
    monkeypatch.setattr(matrix, "chapter_text", lambda: planted.text("y = y + 1"))
    matrix.do(task, {}, False, lambda *_: None)
    assert len(asked) == 3
    broken = {"main": "no network"}
    assert "no network" in matrix.do(task, broken, True, lambda *_: None)["failed"][0]


def test_the_law_is_mirrored_by_mirroring_the_input(chapter):
    """SAME_LOWER is SAME of the mirrored layer, mirrored back, where windows reach both ends."""
    for op in matrix.OPERATIONS:
        for layer in chapter.layers_to_ask(op, "lower")[::7]:
            reach = [chapter.effective_kernel_size(k, layer.d) for k in layer.k]
            sizes = [n * layer.s if op == "transposed" else n for n in layer.n]
            last = [(n - 1) % layer.s for n in sizes]
            if any(r - 1 < m for r, m in zip(reach, last, strict=True)):
                continue  # cells at the end are never read: the mirror image reads others
            x, w = chapter.layer_data(layer)
            turned = [
                None if a is None else np.flip(a, axes)
                for a, axes in ((x, (1, 2)), (w, (0, 1)))
            ]
            upper = chapter.right_answer(layer._replace(rule="upper"), *turned)
            assert np.allclose(
                chapter.right_answer(layer, x, w), np.flip(upper, (1, 2))
            )


def test_the_page_sorts_and_does_not_scroll_sideways(known, chromium, address):
    """A heading sorts its table; at 360 px the tables scroll inside themselves."""
    page = chromium.new_page(viewport={"width": 360, "height": 800})
    page.goto(address + "book/matrix.html", wait_until="load")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    table = page.locator("table.matrix").first
    names = table.locator("tbody tr td:first-child")
    before = names.all_inner_texts()
    assert len(before) == len(DOCUMENT["rows"])
    table.get_by_role("button", name="Implementation").click()
    fold = [text.casefold() for text in names.all_inner_texts()]
    assert fold != [text.casefold() for text in before] and fold[0] <= fold[-1]
    links = table.locator("tbody a").evaluate_all(
        "all => all.map((a) => a.getAttribute('href'))"
    )
    assert links and all(link.startswith("explorer.html?op=") for link in links)
    page.goto(address + "book/" + links[0], wait_until="load")
    assert page.locator(".explorer").count() == 1
    page.close()
    assert (Path(known) / "_static" / "matrix" / "matrix.js").exists()
