/* Sorts the tables of the matrix: the heading of a column becomes a button. */
(function () {
  "use strict";
  const collator = new Intl.Collator("en", { numeric: true });

  for (const table of document.querySelectorAll("table.matrix")) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const text = (row, i) => row.cells[i].textContent.trim();

    heads.forEach((head, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.querySelector("p").childNodes);
      head.querySelector("p").append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const sign = up ? 1 : -1;
        const rows = [...body.rows].sort((a, b) => sign * collator.compare(text(a, i), text(b, i)));
        body.append(...rows);
      });
    });
  }
})();
