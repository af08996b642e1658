// What scrolls sideways can be scrolled by keyboard; other blocks are no stop on the way.
const letScroll = () => {
  for (const block of document.querySelectorAll("div.math, .pst-scrollable-table-container")) {
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
    else block.removeAttribute("tabindex");
  }
};
addEventListener("load", letScroll);
addEventListener("resize", letScroll);

// Paper is white: print with the light colours, then go back.
const root = document.documentElement.dataset;
let onScreen = "light";
matchMedia("print").addEventListener("change", ({ matches }) => {
  if (matches) onScreen = root.theme;
  root.theme = matches ? "light" : onScreen;
});

// The theme's two buttons: code inside a page is forbidden (book/_ext/book_site.py).
addEventListener("click", ({ target }) => {
  const does = target.closest?.("[data-does]")?.dataset.does;
  if (does == "print") print();
  if (does == "full-screen") toggleFullScreen();
});

// Light or dark as the reader chose: before the first paint, and last, as storage may be forbidden.
root.mode = localStorage.getItem("mode") || "auto";
root.theme = localStorage.getItem("theme") || "auto";
