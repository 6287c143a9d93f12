"use strict";
// A click, Enter or Space on the heading of a column sorts its table by it: first down (large numbers first), then up.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const text = new Intl.Collator(undefined, { numeric: true });
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = [...table.tBodies[0].rows].map(row => {
      const cell = row.cells[column], key = cell.dataset.v ?? cell.textContent;
      return { row, key, number: key.trim() === "" ? NaN : Number(key) };
    });
    keyed.sort((a, b) => {
      if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "");  // empty cells last, either way
      const both = a.number - b.number;
      return (Number.isNaN(both) ? text.compare(a.key, b.key) : both) * (up ? 1 : -1);
    });
    table.tBodies[0].append(...keyed.map(entry => entry.row));
  }));
}
