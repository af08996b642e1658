"""A release: the site as a zip, unpacked into an empty folder and opened as files; its notes."""

import re
import subprocess
import sys
import zipfile

import pytest
import release
from conftest import ROOT, page_names

VIOLATION = (
    "addEventListener('securitypolicyviolation', e => console.error(e.blockedURI))"
)


@pytest.fixture(scope="module")
def unpacked(known, tmp_path_factory):
    """The zip's one folder, in an empty folder of its own."""
    folder = tmp_path_factory.mktemp("offline")
    archive = folder / "site-1.0.0.zip"
    release.pack(known, archive)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        opened.extractall(folder)
    archive.unlink()
    (site,) = folder.iterdir()
    assert site.name == "site-1.0.0"
    return site


@pytest.fixture
def visit(unpacked, chromium):
    """A function that opens a page of the zip; nothing may fail, complain or leave the folder."""
    here, problems = unpacked.as_uri(), []
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(VIOLATION)
    page.on("requestfailed", lambda r: problems.append(f"failed: {r.url}")
            if r.failure != "net::ERR_ABORTED" else None)  # fmt: skip  # by leaving the page
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("console", lambda m: problems.append(m.text)
            if m.type in ("error", "warning") else None)  # fmt: skip
    page.on("request", lambda r: problems.append(f"leaves the folder: {r.url}")
            if not r.url.startswith((here, "data:")) else None)  # fmt: skip

    def go(name):
        page.goto(f"{here}/{name}")
        return page

    yield go
    page.close()
    assert not problems, "\n".join(problems)


def test_the_zip_holds_the_site_and_is_always_the_same(known, unpacked, tmp_path):
    """Every file, unchanged but for what a file's page may not load; the same bytes again."""
    files = {p.relative_to(known) for p in known.rglob("*") if p.is_file()}
    assert files == {
        p.relative_to(unpacked) for p in unpacked.rglob("*") if p.is_file()
    }
    for name in files:
        was, now = (known / name).read_bytes(), (unpacked / name).read_bytes()
        assert now == release.PRELOADED_FONT.sub(b"", was)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        release.pack(known, tmp_path / name / "site.zip")
    one, two = (tmp_path / name / "site.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_every_page_opens_from_the_zip(unpacked, visit):
    """With its style, its letters for formulas and its pictures, by nothing but files."""
    names, formulas = page_names(unpacked), 0
    assert len(names) > 20
    for name in names:
        page = visit(name)
        page.locator("h1:visible").first.wait_for()  # index.html leads on
        broken = "all => all.filter((i) => !(i.complete && i.naturalWidth)).length"
        assert not page.locator("article img").evaluate_all(broken), name
        if formula := page.locator("article math").count():
            assert page.locator("article math").first.bounding_box()["width"] > 0
            page.wait_for_function("() => document.fonts.check('16px math')")
        formulas += formula
    assert formulas > 50


def test_search_explorer_and_audit_work_from_the_zip(visit):
    """A question finds a chapter; a size changes the drawing; a dropped model is read."""
    page = visit("notebooks/08-pooling.html")
    page.keyboard.press("Control+K")
    page.keyboard.type("ConvTranspose2d shifted")
    page.locator("dialog .search-results a").first.wait_for()
    page.locator("dialog .search-results a").first.click()
    page.wait_for_load_state()
    page = visit("search.html?q=tensorflow+dilation")
    page.locator(".bd-search-container .search-results li").first.wait_for()
    page = visit("book/explorer.html?op=conv&n=6&k=3&s=2")
    assert page.inner_text(".ex-headline").startswith("Shifted")
    page = visit("book/explorer.html?op=conv&n=7&k=3&s=2")
    assert page.inner_text(".ex-headline").startswith("Equal")
    page = visit("book/audit.html")
    model = (ROOT / "book" / "_audit" / "sample.onnx").read_bytes()
    file = {
        "name": "mine.onnx",
        "mimeType": "application/octet-stream",
        "buffer": model,
    }
    page.set_input_files("#audit-file", file)
    page.get_by_text("mine.onnx (ONNX)").first.wait_for()
    assert page.locator(".audit-result tbody tr").count() == 10


CITATION = "cff-version: 1.2.0\nversion: 1.2.3\ndate-released: 2026-12-01\n"
CHANGES = """# Changes

## Unreleased

Next.

## 1.2.3, 2026-12-01

Done.

## 1.2.2, 2026-01-01

Old.
"""


@pytest.mark.parametrize(
    ("tag", "citation", "changes", "says"),
    [
        ("v1.2.3", CITATION, CHANGES, None),
        ("v1.2.4", CITATION, CHANGES, "CITATION.cff has version 1.2.3"),
        ("1.2.3", CITATION, CHANGES, "CITATION.cff has version 1.2.3"),
        ("v1.2.3", CITATION, CHANGES.replace("1.2.3, 2026-12-01", "1.2.3, 2026-12-02"),
         "no section '## 1.2.3, 2026-12-01'"),
        ("v1.2.3", CITATION, CHANGES.replace("Done.\n", ""), "no section"),
    ],
)  # fmt: skip
def test_notes(monkeypatch, tmp_path, tag, citation, changes, says):
    """The changelog's section for the version that CITATION.cff has, or the reason for none."""
    (tmp_path / "CITATION.cff").write_text(citation, encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    if says:
        with pytest.raises(SystemExit, match=re.escape(says)):
            release.notes(tag)
    else:
        assert release.notes(tag) == "Done."


def test_the_changelog_fits_the_citation():
    """What would be tagged now has its section, or is still to be written under Unreleased."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads[0] == "Unreleased"
    version, date = release.citation("version"), release.citation("date-released")
    assert heads[1] == f"{version}, {date}"
    done = subprocess.run(
        [sys.executable, "tools/release.py", "notes", f"v{version}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
