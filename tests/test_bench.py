"""`make bench`: what it checks, what it keeps, and what the book shows of it. No time is judged."""

import json
import statistics
import subprocess
import sys
import types

import bench
import numpy as np
import pytest
import torch
from matrix import ENVIRONMENTS, install

from notebooks import ROOT, find_chapters, load, read

FILES = sorted((ROOT / "book" / "_data").glob("bench-*.json"))
PART = "layers, PyTorch, NCHW, batch 1"


def run(out, *arguments):
    """Run the command on a tiny grid; return the file's contents and what it said."""
    how = "--small", "--seconds", "0.01", "--threads", "1", "--out", str(out)
    command = [sys.executable, ROOT / "tools" / "bench.py", *arguments, *how]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
    return json.loads(out.read_text(encoding="utf-8")), done.stdout


def check_schema(data):
    """Fail unless the contents are what the page and the chapter read."""
    assert set(data) == {"date", "machine", "versions", "parts"}
    assert set(data["machine"]) == {"processor", "cores", "threads", "system", "python"}
    assert data["versions"]["torch"] and len(data["date"]) == 10
    assert set(data["parts"]) <= set(bench.grid())
    for part, result in data["parts"].items():
        assert set(result) in ({"rows", "seconds"}, {"failed", "seconds"}), part
        for row in result.get("rows", []):
            assert {"what", "variant", "ms", "runs"} <= set(row)
            assert row["runs"] >= 3 and row["ms"] == sorted(row["ms"])
            assert row["ms"][0] > 0 and len(row["ms"]) == 3
            assert len(row.get("ratio", "abc")) == 3
            assert row.get("peak_mb", 1) > 0


def test_a_tiny_grid_resumed(tmp_path):
    """What is stored is not run again, and every part is stored as it is finished."""
    out = tmp_path / "bench.json"
    data, said = run(out, PART)
    assert "1/" in said
    check_schema(data)
    # Its name is the beginning of another one's, which was run too.
    rows = data["parts"][PART]["rows"]
    names = [row["variant"] for row in rows]
    wanted = ["symmetric", "pad", "crop", "view", "enlarge", "Conv2dSame"]
    assert names == wanted and {row["what"] for row in rows} == {"MobileNetV2 14"}
    data["parts"][PART]["rows"][0]["ms"] = [1, 2, 3]
    out.write_text(json.dumps(data), encoding="utf-8")
    again, _ = run(out, PART)
    assert again["parts"][PART] == data["parts"][PART]


def test_what_another_part_of_the_repository_pins_is_installed(tmp_path):
    """OpenVINO is not among requirements.txt; a clean clone gets it when its part begins."""
    if why := install("openvino"):
        pytest.skip(f"OpenVINO was not run: {why}")
    data, _ = run(tmp_path / "bench.json", "layers, openvino")
    check_schema(data)
    assert f"openvino=={data['versions']['openvino']}" in ENVIRONMENTS["openvino"]


def test_a_wrong_variant_is_caught(monkeypatch):
    """A form with other windows, another shape, or a not-a-number is named and not timed."""
    chapter = types.SimpleNamespace(**vars(load("18")))
    right, timed = chapter.timed_forms, []
    layer = chapter.timed_layers()[4]._replace(size=8)
    how = dict(bench.grid()[PART][1])
    monkeypatch.setattr(bench, "time_in_turn", lambda *_: timed.append(1) or [])
    run_layers = bench.torch_layers
    run_layers(chapter, [layer], 0, **how, device="cpu")
    assert timed == [1]
    wrongs = {
        "differs from": lambda forms: forms["symmetric"],
        "has shape": lambda forms: lambda x: forms["pad"](x)[..., 1:],
        "by nan": lambda forms: lambda x: forms["pad"](x) * torch.nan,
    }
    for message, wrong in wrongs.items():

        def planted(*arguments, wrong=wrong, **how):
            forms = right(*arguments, **how)
            return forms | {"planted": wrong(forms)}

        chapter.timed_forms = planted
        with pytest.raises(bench.NotEqual, match=f"^planted .*{message}"):
            run_layers(chapter, [layer], 0, **how, device="cpu")
    assert timed == [1]


def test_the_floor_is_not_asked():
    """Symmetric padding is wrong on purpose; with it alone beside SAME nothing is raised."""
    one, two = np.zeros(2), np.ones(2)
    bench.check_equal({"symmetric": one, "pad": two, "crop": two}, "symmetric")
    with pytest.raises(bench.NotEqual, match="^pad differs from symmetric"):
        bench.check_equal({"symmetric": one, "pad": two}, None)


@pytest.mark.parametrize(
    "name", ["MobileNetV2", "EfficientNet-B0", "ResNet-50", "U-Net"]
)
def test_the_networks_have_layers_with_uneven_zeros(name):
    """Built on the meta device: the last output's shape, and which layers a form concerns."""
    chapter = load("18")
    shapes = []
    with torch.device("meta"):
        for form in ("symmetric", "pad", "Conv2dSame"):
            model = bench.make_network(name, chapter.conv_maker(form)).eval()
            shapes.append(model(torch.empty(1, 3, 64, 64)).shape)
    assert len(set(shapes)) == 1
    sizes = {(m.kernel_size[0], m.stride[0]) for m in model.modules() if is_same(m)}
    assert (7 if name == "ResNet-50" else 3, 2) in sizes
    assert ((2, 1) in sizes) == (name == "U-Net")


def is_same(module):
    """Tell whether a module is a Conv2dSame."""
    return isinstance(module, load("18").Conv2dSame)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_published_file(path):
    """It has the schema, every part of the grid, and no part that failed."""
    data = json.loads(path.read_text(encoding="utf-8"))
    check_schema(data)
    assert set(data["parts"]) == set(bench.grid())
    assert not [p for p, result in data["parts"].items() if "rows" not in result]


def stored_lines(beginning):
    """Return the lines of the text that a cell of chapter 18 keeps after a comment."""
    (path,) = find_chapters(["18"])
    sources = [cell.source for cell in read(path).cells]
    (source,) = [s[s.index(beginning) :] for s in sources if beginning in s]
    return source.split('"""')[1].strip().split("\n")


def test_the_chapter_shows_what_is_published():
    """Its picture's lines are the networks of the published file, its table the layers."""
    (data,) = (json.loads(p.read_text(encoding="utf-8")) for p in FILES)
    ratios = {
        part: {(row["what"], row["variant"]): row["ratio"][1] for row in result["rows"]}
        for part, result in data["parts"].items()
    }
    wanted = []
    for part, found in ratios.items():
        if not part.startswith("layers"):
            name = part.split(",")[0]
            both = found[name, "pad"], found[name, "Conv2dSame"]
            wanted.append("{:.2f}|{:.2f}".format(*both))
    lines = stored_lines("# Medians of `make bench`")
    assert [line.partition("|")[2] for line in lines] == wanted
    for line in stored_lines("# Crop divided by pad"):
        name, *numbers = line.split("|")
        parts = PART, "layers, PyTorch, channels last, batch 8"
        found = [ratios[p][name, "crop"] / ratios[p][name, "pad"] for p in parts]
        assert numbers == [f"{ratio:.2f}" for ratio in found]


def geometric_means(rows, kind=lambda what: True):
    """Return {variant: geometric mean of its ratios} over the layers of one kind."""
    found = {}
    for row in rows:
        if kind(row["what"]):
            found.setdefault(row["variant"], []).append(row["ratio"][1])
    return {name: statistics.geometric_mean(found[name]) for name in found}


def layers_line(setting, rows):
    """Return a line of chapter 18's table of PyTorch's layers."""
    means, count = geometric_means(rows), len({row["what"] for row in rows})
    setting += "" if count == len(load("18").timed_layers()) else f", {count} layers"
    names = "Conv2dSame", "pad", "crop", "view", "enlarge"
    cells = [f"{means[name]:.2f}" if name in means else "" for name in names]
    return " | ".join([f"| {setting}", *cells]) + " |"


def runtime_line(name, rows):
    """Return a line of its table of runtimes: own pads and zeros first, dense and depthwise."""
    dense = {layer.name for layer in load("18").timed_layers() if layer.groups == 1}
    cells = []
    for kind in (dense.__contains__, lambda what: what not in dense):
        means = geometric_means(rows, kind)
        for variants in (
            ("uneven pads",),
            ("Pad + Conv", "pad", "PAD + VALID", "ZeroPadding + valid"),
        ):
            (mean, *_) = [means[v] for v in variants if v in means] or [None]
            cells.append(f"{mean:.2f}" if mean else "none")
    return " | ".join([f"| {name}", *cells]) + " |"


def test_the_chapter_says_what_is_published():
    """The opening's ranges, the tables of layers and runtimes, and the sentences are the file's."""
    (data,) = (json.loads(p.read_text(encoding="utf-8")) for p in FILES)
    (path,) = find_chapters(["18"])
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    networks, wanted, compiled, view = {"pad": [], "Conv2dSame": []}, [], [], []
    alone, small = [], []
    depthwise = {
        x.name for x in load("18").timed_layers() if x.groups > 1 and x.size < 56
    }
    for part, result in data["parts"].items():
        kind, _, setting = part.partition(", ")
        if kind == "layers" and setting.startswith("PyTorch, "):
            wanted.append(
                layers_line(setting.removeprefix("PyTorch, "), result["rows"])
            )
            if "compiled" not in setting and "backward" not in setting:
                alone.append(geometric_means(result["rows"])["Conv2dSame"])
                if setting.endswith("batch 1"):  # and not bfloat16
                    small += [
                        row["ms"][1]
                        for row in result["rows"]
                        if row["what"] in depthwise and row["variant"] == "symmetric"
                    ]
            if "between" in setting:
                stem = geometric_means(result["rows"], lambda what: "stem" in what)
                rest = geometric_means(result["rows"], lambda what: "stem" not in what)
                wanted.append(f"the stem at {stem['pad']:.2f}")
                both = rest["pad"], rest["Conv2dSame"]
                wanted.append(
                    "pad is at {:.2f} and `Conv2dSame` at {:.2f}".format(*both)
                )
        elif kind == "layers":
            name = setting.removesuffix(", batch 1")
            wanted.append(runtime_line(name, result["rows"]))
            if name == "TensorFlow":
                slow = max(
                    r["ratio"][1]
                    for r in result["rows"]
                    if r["variant"] == "ZeroPadding + valid"
                )
                wanted.append(f"pay for the zeros, up to {slow:.2f}")
        elif "backward" not in part:
            found = {row["variant"]: row["ratio"][1] for row in result["rows"]}
            for name in networks:
                networks[name].append(found[name])
            if "compiled" in part:
                compiled.append(found["Conv2dSame"] / found["pad"])
            if "static" in part:  # "the three networks compiled so are never slower"
                assert found["Conv2dSame"] <= found["pad"]
            if "view" in found:
                view.append(found["view"] > found["crop"])
    low, high, middle = spread(networks["Conv2dSame"])
    wanted.append(
        f"{low} to {high} times as long as with symmetric padding, the median {middle}"
    )
    low, high, middle = spread(networks["pad"])
    wanted.append(f"with padding first {low} to {high}, the median {middle}")
    low, high, _ = spread(alone)
    wanted.append(f"a layer alone takes {low} to {high} times as long")
    both = 1e3 * min(small), 1e3 * max(small)
    wanted.append("lasts {:.0f} to {:.0f} microseconds".format(*both))
    low, high, _ = spread(compiled)
    wanted.append(f"takes {low} to {high} times as long as padded first")
    wanted.append(f"slower than the crop in {sum(view)} of {len(view)}")
    assert [words for words in wanted if words not in text] == []


def test_a_crop_in_training_costs_more_in_most_layers():
    """And up to twice as much, says the chapter, of the published file."""
    (data,) = (json.loads(p.read_text(encoding="utf-8")) for p in FILES)
    largest = []
    for part, result in data["parts"].items():
        if part.startswith("layers") and "backward" in part:
            found = {(r["what"], r["variant"]): r["ratio"][1] for r in result["rows"]}
            pads = {
                what: ratio for (what, name), ratio in found.items() if name == "pad"
            }
            ratios = [found[what, "crop"] / ratio for what, ratio in pads.items()]
            assert sum(ratio > 1 for ratio in ratios) > len(ratios) / 2
            largest.append(max(ratios))
    assert len(largest) == 2 and f"{max(largest):.1f}" == "2.0"


def test_compiled_between_two_layers_no_form_has_a_kernel_of_its_own():
    """As many kernels as symmetric padding has, which has two; alone, one more each."""
    from torch._inductor.utils import run_and_get_code

    chapter = load("18")
    (layer,) = (x for x in chapter.timed_layers() if x.name == bench.SMALL)
    layer = layer._replace(size=8)
    x, weight = bench.layer_data(layer, 1)
    x = x.contiguous(memory_format=torch.channels_last)
    forms = chapter.timed_forms(weight, layer)
    found = {}
    for name in ("symmetric", "pad", "crop", "Conv2dSame"):
        for between in (False, True):
            run = bench.compiled_form(forms[name], between, layer, weight)
            with torch.no_grad():
                _, codes = run_and_get_code(run, x)
            count = sum(code.count("async_compile.cpp") for code in codes)
            found.setdefault(name, []).append(count)
    alone, between = found.pop("symmetric")
    assert between == 2 and set(map(tuple, found.values())) == {(alone + 1, 2)}, found


def spread(ratios):
    """Return the least, the largest and the median in words."""
    found = min(ratios), max(ratios), statistics.median(ratios)
    return [f"{ratio:.2f}" for ratio in found]
