"use strict";
/* The table of all inputs: a click on the head of a column sorts by it, a second one turns the order round. */
(() => {
  const table = document.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const seconds = (text) => { // "12.3 s", "1 min 5 s", or nothing
    const [, minutes, rest] = text.match(/^(?:(\d+) min )?([\d.]+) s$/) ?? [0, 0, -1];
    return Number(minutes ?? 0) * 60 + Number(rest);
  };
  const by = [order, order, (a, b) => seconds(a) - seconds(b)]; // input, largest phenotypes, time
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const turn = head.ariaSort === "ascending" ? -1 : 1, text = (row) => row.cells[column].textContent.trim();
      const keyed = rows.map((row) => [text(row), row]).sort(([a], [b]) => turn * by[column](a, b));
      body.append(...keyed.map(([, row]) => row));
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.ariaSort = turn > 0 ? "ascending" : "descending";
    });
  });
})();
