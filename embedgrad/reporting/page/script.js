"use strict";
// Sort a table by the column whose heading was pressed; numbers by value, the rest as text; missing cells stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        if (!cell || cell.classList.contains("missing")) return null;
        const text = cell.dataset.value ?? cell.textContent.trim();
        const number = Number.parseFloat(text);
        return Number.isNaN(number) ? text : number;
      };
      [...body.rows]
        .map((row) => [key(row), row])
        .sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
          return down ? -order : order;
        })
        .forEach(([, row]) => body.append(row));
    });
  });
}
// A link into a folded cell unfolds it.
const unfold = () => {
  const cell = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  if (cell instanceof HTMLDetailsElement) cell.open = true;
};
addEventListener("hashchange", unfold);
unfold();
