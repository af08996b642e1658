"""axe-core on every page of the built site, in every mode a reader may use."""

import pytest
from conftest import TALL, axe_objections, page_names

from notebooks import chapters

FIRST_CHAPTER = f"notebooks/{chapters()[0].stem}.html"

# axe weighs the colours of each piece of code, thousands on a page. Those with the same class on
# the same ground look the same, so one of each is enough.
ONE_OF_EACH = """() => {
  const seen = new Set();
  for (const piece of document.querySelectorAll("pre span[class]")) {
    const look = piece.className + !!piece.closest(".cell_output");
    if (seen.has(look)) piece.replaceWith(piece.textContent);
    seen.add(look);
  }
  document.body.normalize();
  for (const block of document.querySelectorAll("details")) block.open = true;
}"""
PHONE = {"width": 320, "height": 640}
MEDIA = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced colours": {"forced_colors": "active"},
    "print": {"forced_colors": "none", "media": "print"},  # on a dark screen
}


@pytest.mark.parametrize("size", ["wide", "320 px"])
def test_axe_finds_nothing_on_any_page(known, chromium, address, size):
    """No violation and nothing undecided, with everything opened.

    Every page in every mode, and colours where they can differ: in light and dark, and on paper for
    the first chapter. At 320 px they are those of "light", and forced ones are the reader's own.
    """
    viewport = TALL if size == "wide" else PHONE
    context = chromium.new_context(reduced_motion="reduce", viewport=viewport)
    objections = []
    for name in page_names(known):
        if name == "index.html":  # leads at once to the first page
            continue
        page = context.new_page()
        page.goto(address + name, wait_until="load")
        page.evaluate(ONE_OF_EACH)
        page.wait_for_timeout(
            100
        )  # the theme makes what scrolls reachable a moment after loading
        for mode in MEDIA if size == "wide" else ["light"]:
            page.emulate_media(**MEDIA[mode])
            dark = mode in ("dark", "forced colours")
            theme = f"document.documentElement.dataset.theme == '{'dark' if dark else 'light'}'"
            page.wait_for_function(theme)
            paper = mode == "print" and name == FIRST_CHAPTER
            colours = size == "wide" and (mode in ("light", "dark") or paper)
            found = axe_objections(page, contrast=colours)
            objections += [f"{name}, {mode}: {objection}" for objection in found]
        page.close()
    context.close()
    assert not objections, "\n".join(objections)
