"""What runs on GitHub: workflows by their schema and by zizmor, and their scripts, run here."""

import contextlib
import http.server
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import links
import nbformat
import one_issue
import packaging.requirements
import packaging.utils
import pytest
import yaml
from conftest import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
SCRIPTS = sorted((ROOT / ".ci").iterdir())
WRITES = {  # job: what it may write; no other may anything
    "publish.yml deploy": {"pages", "id-token"},
    "release.yml release": {"contents"},
    "issue.yml issue": {"issues"},
} | {f"{name}.yml issue": {"issues"} for name in ("canary", "colab", "links", "matrix")}
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-actions": ACTIONS,
    "vendor.github-issue-forms": [
        path for path in (GITHUB / "ISSUE_TEMPLATE").iterdir() if path.stem != "config"
    ],
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


@cache
def read(path):
    """A YAML file as GitHub reads it: `on` is a word, and no truth."""
    text = re.sub(r"^on:", '"on":', path.read_text(encoding="utf-8"), flags=re.M)
    return yaml.safe_load(text)


def steps():
    """Yield (where, step) for each step of the workflows and the composite actions."""
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            for step in job.get("steps", []):
                yield f"{path.name} {name}", step
    for path in ACTIONS:
        for step in read(path)["runs"]["steps"]:
            yield f"{path.parent.name}/action.yml", step


def needs(module, command):
    """Skip, with the reason, where a package of requirements.txt is not installed; CI has it."""
    if shutil.which(command, path=Path(sys.executable).parent):
        return [Path(sys.executable).parent / command]
    reason = f"{module} is not installed: not run"
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema):
    """As check-jsonschema carries it, without the network."""
    command = [
        *needs("check-jsonschema", "check-jsonschema"),
        "--builtin-schema",
        schema,
    ]
    assert SCHEMAS[schema]
    done = subprocess.run([*command, *SCHEMAS[schema]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing():
    """No template injection, no unpinned action, no credential left behind, no wide permission."""
    command = [*needs("zizmor", "zizmor"), "--offline", "--no-progress", GITHUB]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "No findings" in done.stdout


def test_actions_are_pinned_by_commit():
    """Forty digits and the version they are, the same everywhere; what is ours is here."""
    pins = {}
    for path in WORKFLOWS + ACTIONS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if not (found := re.search(r"uses:\s*(\S+)(.*)", line)):
                continue
            uses, comment = found.groups()
            if uses.startswith("./"):
                assert (ROOT / uses / "action.yml").exists() or (ROOT / uses).is_file()
                continue
            name, _, commit = uses.partition("@")
            assert re.fullmatch(r"[0-9a-f]{40}", commit), line
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), line
            pins.setdefault(name, set()).add(commit + comment)
    assert len(pins) >= 5
    assert {name for name, found in pins.items() if len(found) > 1} == set()


@every_workflow
def test_a_workflow_may_little_and_ends(path):
    """Nothing is written but where WRITES says so; each job has an end; no trigger lends rights."""
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(
        workflow["on"]
    )
    assert path.stem == "issue" or "group" in workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        granted = job.get("permissions", {})
        writes = {what for what, how in granted.items() if how == "write"}
        assert writes == WRITES.get(f"{path.name} {name}", set())
        assert "uses" in job or 0 < job["timeout-minutes"] <= 90


def test_steps_leave_no_credential_and_take_no_text_as_code():
    """checkout keeps no token; a run block reads variables, and no ${{ }} is pasted into it."""
    for where, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where
        assert "${{" not in step.get("run", ""), where


def test_nothing_is_published_before_the_proof():
    """deploy and release need test.yml on the same commit; main is proved by publish.yml alone."""
    test, publish, release = (
        read(GITHUB / "workflows" / f"{name}.yml")
        for name in ("test", "publish", "release")
    )
    proof = "./.github/workflows/test.yml"
    assert publish["jobs"]["proof"]["uses"] == release["jobs"]["proof"]["uses"] == proof
    assert (
        publish["jobs"]["deploy"]["needs"]
        == release["jobs"]["release"]["needs"]
        == "proof"
    )
    assert publish["jobs"]["deploy"]["if"] == "github.ref == 'refs/heads/main'"
    assert set(publish["on"]) == {"push", "workflow_dispatch"}
    assert test["on"]["push"] == {"branches-ignore": ["main"]}
    assert "pull_request" in test["on"] and "if" not in test["jobs"]["site"]
    for job in test["jobs"].values():  # a job that is skipped would count as proved
        assert "if" not in job and "continue-on-error" not in job


@pytest.mark.parametrize("name", ["canary", "colab", "links", "matrix"])
def test_a_check_ends_in_one_issue(name):
    """Each waits for all its jobs, runs when they fail, has a title of its own; none gates."""
    workflow = read(GITHUB / "workflows" / f"{name}.yml")
    assert set(workflow["on"]) == {"schedule", "workflow_dispatch"}
    jobs = dict(workflow["jobs"])
    issue = jobs.pop("issue")
    waits = issue["needs"] if isinstance(issue["needs"], list) else [issue["needs"]]
    assert waits == list(jobs) and issue["if"] == "${{ !cancelled() }}"
    assert issue["uses"] == "./.github/workflows/issue.yml"
    assert "'failure' && 'failure' || 'success'" in issue["with"]["result"] or (
        "'failure') && 'failure' || 'success'" in issue["with"]["result"]
    )
    for job in jobs.values():  # what they leave is what issue.yml takes
        last = job["steps"][-1]
        assert last["if"] == "always()" and last["with"]["name"].startswith("report-")


def test_scripts_are_bash():
    """Each script of .ci and each run block is one that bash can read, and stops at a fault."""
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert text.startswith("#!/usr/bin/env bash\n") and "set -euo pipefail" in text
        subprocess.run(["bash", "-n", script], check=True)
    for where, step in steps():
        if "run" in step:
            done = subprocess.run(["bash", "-n"], input=step["run"], text=True)
            assert done.returncode == 0, where


def test_commands_that_are_named_exist():
    """In workflows, scripts and what contributors read: make's targets, files, and a form."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    texts = {path: path.read_text(encoding="utf-8") for path in WORKFLOWS + SCRIPTS}
    for name in ("CONTRIBUTING.md", "README.md", "CHANGELOG.md"):
        texts[ROOT / name] = (ROOT / name).read_text(encoding="utf-8")
    for path, text in texts.items():
        code = "\n".join(
            re.findall(r"`([^`]+)`|^ {4,}(.+)$|run: (.+)$", text, re.M)[0:0]
        )
        code = "\n".join(
            next(filter(None, found))
            for found in re.findall(r"`([^`\n]+)`|^ {4,}(.+)$|run: (.+)$", text, re.M)
        )
        for target in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code):
            assert target in targets, f"{path.name}: {target}"
        for file in re.findall(
            r"(?<![\w/.])((?:tests|tools|notebooks|book|\.ci|\.github)/[\w./-]+\w)",
            code,
        ):
            assert (ROOT / file).exists() or "NN-" in file, f"{path.name}: {file}"
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


# The scripts, run here.


def test_a_failing_chapter_makes_the_issue_s_text(tmp_path):
    """.ci/chapters runs two chapters, each alone; the one that is wrong is named, with its cell."""
    copy = tmp_path / "copy"
    for name in (".ci", "notebooks", "tests", "tools"):
        (copy / name).mkdir(parents=True)
    for name in (".ci/chapters", "tools/colab.py", "tools/environment.py"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copy(ROOT / "tests" / "nbval.cfg", copy / "tests")
    shutil.copy(ROOT / "requirements.txt", copy)
    for name, shown in {"01-right": "2\n", "02-wrong": "3\n"}.items():
        notebook = nbformat.v4.new_notebook()
        for code, text in (("a = 1", ""), ("print(a + 1)", shown), ("print(a)", "1\n")):
            cell = nbformat.v4.new_code_cell(code, execution_count=1)
            if text:
                cell.outputs = [nbformat.v4.new_output("stream", text=text)]
            notebook.cells.append(cell)
        nbformat.write(notebook, copy / "notebooks" / f"{name}.ipynb")
    report = tmp_path / "reports" / "report-cpu"
    done = subprocess.run(
        ["bash", ".ci/chapters", report],
        cwd=copy,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert {p.name for p in report.iterdir()} == {
        "01-right.xml",
        "02-wrong.xml",
        "versions.md",
    }
    text = one_issue.describe(report.parent, "https://host/run")
    assert text.startswith("1 failed in 1 file, 5 passed.\n\nRun: https://host/run\n")
    assert "### report-cpu: 02-wrong.ipynb\n\n**Cell 1**, the first of 1:" in text
    assert "'3\\n' == '2\\n'" in text and "01-right" not in text
    assert f"numpy=={__import__('numpy').__version__}" in text
    assert not re.search(r"\x1b|#x1B|" + re.escape(str(tmp_path)), text)


JUNIT = """<testsuites><testsuite>
<testcase classname="a.ipynb" name="Cell 0"/>
<testcase classname="a.ipynb" name="Cell 1"><failure>{}</failure></testcase>
<testcase classname="a.ipynb" name="Cell 2"><failure>later</failure></testcase>
<testcase classname="tests.test_b" name="test_c"><error message="did not start"/></testcase>
<testcase classname="tests.test_b" name="test_d"><skipped/></testcase>
</testsuite></testsuites>"""


def test_the_issue_s_text_is_short_and_harmless(tmp_path):
    """The first failure of each file, cut; no text ends its block or calls anybody."""
    text = "#x1B[91m@someone\n```\n# out" + "x" * 5000
    (tmp_path / "a.xml").write_text(JUNIT.format(text), encoding="utf-8")
    (tmp_path / "note.md").write_text("Versions: 1\n", encoding="utf-8")
    body = one_issue.describe(tmp_path)
    assert body.startswith("3 failed in 2 files, 2 passed.\n\nVersions: 1\n")
    assert "````text\n@someone\n```\n# out" in body and "\n...\n````" in body
    assert "Also, perhaps because of it: `Cell 2`" in body and "did not start" in body
    assert len(body) < 2500
    many = "".join(
        f'<testcase classname="{i}" name="x"><failure>{"y" * 900}</failure></testcase>'
        for i in range(200)
    )
    (tmp_path / "a.xml").write_text(f"<testsuite>{many}</testsuite>", encoding="utf-8")
    body = one_issue.describe(tmp_path)
    assert 50_000 < len(body) < 65_536 and body.endswith(one_issue.CLIPPED)


def test_a_check_that_reported_nothing_says_so(tmp_path):
    """It failed before its first test: an installation, an image."""
    assert "stopped before it reported" in one_issue.describe(tmp_path)


GH = """#!{python}
import json, pathlib, sys
log = pathlib.Path({log!r})
known = json.loads((log / "open.json").read_text())
what = sys.argv[2]
with open(log / "calls.txt", "a") as file:
    print(*sys.argv[1:], file=file)
if what == "list":
    print(json.dumps(known))
if "--body-file" in sys.argv:
    (log / "body.md").write_text(sys.stdin.read())
"""


@pytest.fixture
def gh(tmp_path, monkeypatch):
    """A gh that writes down what it is asked; a function that runs the script with it."""
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(GH.format(python=sys.executable, log=str(tmp_path)))
    program.chmod(0o755)
    report = tmp_path / "report"
    report.mkdir()
    (report / "a.xml").write_text(JUNIT.format("why"), encoding="utf-8")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://host")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/n")
    monkeypatch.setenv("GITHUB_RUN_ID", "7")

    def ask(result, *titles):
        issues = [{"number": i, "title": t} for i, t in enumerate(titles, 1)]
        (tmp_path / "open.json").write_text(json.dumps(issues))
        (tmp_path / "calls.txt").unlink(missing_ok=True)
        one_issue.main(["A check", str(report), result])
        _, *calls = (tmp_path / "calls.txt").read_text().splitlines()
        return calls

    ask.body = tmp_path / "body.md"
    return ask


def test_one_issue_is_opened_updated_and_closed(gh):
    """By its title; another's issue is left alone; a second of the same title is closed."""
    assert gh("failure", "Another") == ["issue create --title A check --body-file -"]
    assert "**Cell 1**, the first of 2:" in gh.body.read_text()
    assert "Run: https://host/o/n/actions/runs/7" in gh.body.read_text()
    assert gh("failure", "Another", "A check") == ["issue edit 2 --body-file -"]
    again = "It passes again. https://host/o/n/actions/runs/7"
    assert gh("success", "A check") == [f"issue close 1 --comment {again}"]
    assert gh("success", "Another") == []
    assert len(gh("failure", "A check", "A check")) == 2


def stub(folder, **programs):
    """Put small bash programs into a folder; return the environment that finds them first."""
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize("change", ["", "echo c,3 >> book/_data/matrix.csv"])
def test_a_changed_matrix_is_a_difference(tmp_path, change):
    """.ci/matrix with a `make` that changes a row, and with one that does not."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / ".ci", copy / ".ci")
    (copy / "book" / "_data").mkdir(parents=True)
    (copy / "book" / "_data" / "matrix.csv").write_text("a,1\nb,2\n")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=copy, check=True)
    report = tmp_path / "report"
    env = stub(tmp_path / "bin", make=change)
    done = subprocess.run(["bash", ".ci/matrix", report], cwd=copy, env=env)
    assert done.returncode == bool(change)
    assert (report / "matrix.md").exists() == bool(change)
    if change:
        text = one_issue.describe(report)
        assert "\n+c,3\n" in text and "-b,2" not in text
        assert "stopped before" not in text


def test_the_canary_takes_the_newest_of_everything(tmp_path):
    """.ci/canary with a pip and a pytest that only say what they are asked; it fails as they do."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / ".ci", copy / ".ci")
    for name in ("requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    python3 = r"""mkdir -p .venv/bin; cat > .venv/bin/pip << 'END'
#!/usr/bin/env bash
if [ $1 = freeze ]; then echo keras==99; grep ^numpy== constraints.txt
else printf "%s\n" "$@" > asked; fi
END
printf '#!/usr/bin/env bash\necho "$@" > ran; exit 3' > .venv/bin/python
chmod +x .venv/bin/*"""
    env = stub(tmp_path / "bin", python3=python3)
    report = tmp_path / "report"
    done = subprocess.run(["bash", ".ci/canary", report], cwd=copy, env=env)
    assert done.returncode == 3
    asked = (copy / "asked").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").open()]
    expected = [pin.split("==")[0] for pin in pins if pin]
    expected[expected.index("jupyter-book")] = "jupyter-book<2"
    assert asked == ["install", "--quiet", "--upgrade", *expected]
    assert (copy / "ran").read_text() == f"-m pytest --junitxml={report}/canary.xml\n"
    text = (report / "versions.md").read_text()
    assert "keras==99" in text and "numpy" not in text


# External links.


def test_each_link_that_is_not_asked_has_its_reason():
    """Of the file as it is; a line without one is refused."""
    text = (ROOT / "tests" / "links.txt").read_text(encoding="utf-8")
    assert all(len(reason) > 10 for reason in links.exclusions(text).values())
    with pytest.raises(ValueError, match="gives no reason"):
        links.exclusions("^https://example\\.org/\n")


class Far(http.server.BaseHTTPRequestHandler):
    """Another site: one page is there, one forbids programs, the rest is gone."""

    def do_GET(self):
        """Answer by the address."""
        self.send_response({"/there": 200, "/forbidden": 403}.get(self.path, 404))
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        """Print nothing."""


def test_a_broken_link_is_named_with_its_pages(tmp_path, monkeypatch):
    """linkinator on a site with links that hold, that are gone, that are refused or left out."""
    if not (ROOT / "tests" / "node_modules" / "linkinator").is_dir():
        pytest.skip("linkinator was not run: `npm ci --prefix tests` installs it")
    site = tmp_path / "html"
    (site / "book").mkdir(parents=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Far) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        far = f"http://127.0.0.1:{server.server_port}"
        anchors = "".join(f'<a href="{far}/{name}">x</a>' for name in
                          ("there", "forbidden", "gone", "own/book/new.html"))  # fmt: skip
        edit = '<a href="https://github.com/o/n/edit/main/x.md">x</a>'
        page = (
            f'<!doctype html><title>x</title>{anchors}{edit}<a href="book/a.html">a</a>'
        )
        (site / "index.html").write_text(page, encoding="utf-8")
        (site / "book" / "a.html").write_text(
            page.replace("book/", ""), encoding="utf-8"
        )
        (site / "sitemap.xml").write_text(f"<loc>{far}/own/book/index.html</loc>")
        monkeypatch.setenv("SITE", str(site))
        monkeypatch.setattr(links, "REPORT", tmp_path / "report")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert links.main() == 1
        server.shutdown()
    assert out.getvalue().startswith("3 external links were asked.\n")
    expected = f"- <{far}/gone> (404) on book/a.html, index.html"
    assert (tmp_path / "report" / "links.md").read_text() == expected
    assert one_issue.describe(tmp_path / "report").strip() == expected


# What a reader who sees something else is asked for.


def form(name):
    """The texts of the fields of the form, by their ids."""
    body = read(GITHUB / "ISSUE_TEMPLATE" / "framework.yml")["body"]
    return {field.get("id"): field["attributes"] for field in body}[name]["description"]


def test_the_form_s_versions_are_printed():
    """The command of the form, as a shell takes it."""
    (command,) = re.findall(r"```\n(.*?)\n```", form("versions"), re.S)
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in ("tensorflow", "keras", "torch", "onnx", "numpy"):
        assert re.search(rf"^{name} \d", done.stdout, re.M), done.stdout


def test_the_form_s_probe_shows_what_a_window_reads():
    """The program of the form: for 6, 3, 2 the last window reads the last two cells and a zero."""
    (program,) = re.findall(r"```python\n(.*?)\n```", form("probe"), re.S)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, {})
    shown = [
        [int(n) for n in re.findall(r"\d", line)]
        for line in out.getvalue().splitlines()
    ]
    assert shown == [[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]]


# Pins.


def test_every_package_is_pinned_exactly():
    """Each requirement, and all that they need on this machine, has one version in constraints."""
    canonical = packaging.utils.canonicalize_name
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, version = re.fullmatch(r"([\w.-]+)==([\w.!-]+)", line).groups()
            pins[canonical(name)] = version
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    waiting = {}
    for line in filter(None, (line.split("#")[0].strip() for line in lines)):
        name, version = re.fullmatch(r"([\w.-]+)==([\w.!-]+)", line).groups()
        assert pins[canonical(name)] == version, line
        waiting[canonical(name)] = {""}
    needed = set()
    while waiting:
        name, extras = waiting.popitem()
        needed.add(name)
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # not installed here, as what only some systems need
        for requirement in map(packaging.requirements.Requirement, requires):
            marker = requirement.marker
            other = canonical(requirement.name)
            wanted = not marker or any(marker.evaluate({"extra": e}) for e in extras)
            if wanted and other not in needed:
                waiting.setdefault(other, set()).update(requirement.extras | {""})
    # PyPI's PyTorch for Linux brings CUDA's libraries, by exact pins of its own; and a base.
    brought = {"setuptools", "pip", "wheel"}
    missing = {
        name for name in needed - set(pins) if not name.startswith(("nvidia", "cuda"))
    }
    assert missing - brought - {"triton"} == set()
    assert len(needed) > 100


def test_npm_s_packages_are_pinned_by_hash():
    """Each of the lock file has one, and names no registry."""
    lock = json.loads(
        (ROOT / "tests" / "package-lock.json").read_text(encoding="utf-8")
    )
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages and all("integrity" in package for package in packages.values())
    assert not [name for name, package in packages.items() if "resolved" in package]
    direct = json.loads((ROOT / "tests" / "package.json").read_text(encoding="utf-8"))
    for name, version in direct["dependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
