"""axe-core on every page of the built site, in every mode a reader may use."""

from conftest import TALL, axe_objections, page_names

from notebooks import chapters

FIRST_CHAPTER = f"notebooks/{chapters()[0].stem}.html"
ONE_OF_EACH_KIND = [FIRST_CHAPTER]
ONE_OF_EACH_KIND += [
    f"book/{name}.html"
    for name in ("index", "explorer", "audit", "cheat-sheet", "matrix")
]

# axe weighs the colours of each piece of code, thousands on a page. Those with the same class on
# the same ground look the same, so one of each is enough; likewise ten rows of a long table.
ONE_OF_EACH = """() => {
  const rest = document.querySelectorAll("table.matrix tbody tr:nth-child(n+11)");
  for (const row of rest) row.remove();
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
    "light": {"color_scheme": "light", "forced_colors": "none", "media": "screen"},
    "dark": {"color_scheme": "dark"},
    "forced colours": {"forced_colors": "active"},
    "print": {"forced_colors": "none", "media": "print"},  # on a dark screen
    "320 px": {"color_scheme": "light", "forced_colors": "none", "media": "screen"},
}


def test_axe_finds_nothing_on_any_page(known, chromium, address):
    """No violation and nothing undecided, with everything opened.

    Every page in light and at 320 px; its colours in dark as well, since that is all that a theme
    changes. Forced colours and paper, which also hide and show, on one page of each kind. At 320 px
    colours are those of "light", and forced ones are the reader's own. A page is loaded once, wide,
    and made narrow at last, as by who enlarges it fourfold: loading takes longer than axe does.
    """
    page = chromium.new_page(reduced_motion="reduce")
    objections = []
    for name in page_names(known):
        if name == "index.html":  # leads at once to the first page
            continue
        page.set_viewport_size(TALL)
        page.emulate_media(**MEDIA["light"])
        page.goto(address + name, wait_until="load")
        page.evaluate(ONE_OF_EACH)
        page.wait_for_timeout(
            100
        )  # the theme makes what scrolls reachable a moment after loading
        modes = {"light": "all", "dark": "colours"}
        if name in ONE_OF_EACH_KIND:
            modes |= {"forced colours": "structure", "print": "structure"}
        if name == FIRST_CHAPTER:
            modes["print"] = "all"
        modes["320 px"] = "structure"
        for mode, rules in modes.items():
            page.emulate_media(**MEDIA[mode])
            dark = mode in ("dark", "forced colours")
            theme = f"document.documentElement.dataset.theme == '{'dark' if dark else 'light'}'"
            page.wait_for_function(f"() => {theme}")
            if mode == "320 px":
                page.set_viewport_size(PHONE)
                page.wait_for_timeout(
                    400
                )  # the theme looks again, 300 ms after a resize
            found = axe_objections(page, rules)
            objections += [f"{name}, {mode}: {objection}" for objection in found]
    page.close()
    assert not objections, "\n".join(objections)
