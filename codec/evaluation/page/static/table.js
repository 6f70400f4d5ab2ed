/** Tables that sort by a click on a heading; cells say by data-value what they are sorted by, "" comes last. */
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const descending = heads[column].getAttribute("aria-sort") === "ascending";
  const numeric = heads[column].classList.contains("number");
  const value = (row) => row.cells[column].dataset.value;
  const compare = numeric
    ? (a, b) => Number(a) - Number(b)
    : (a, b) => a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" });
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    return descending ? compare(y, x) : compare(x, y);
  });
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
}

/** Shows the rows whose file holds a text and whose label is the chosen one. */
function makeFilters(table, file, label, count) {
  const apply = () => {
    const wanted = file.value.trim().toLowerCase();
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const fits = row.dataset.file.toLowerCase().includes(wanted);
      row.hidden = !fits || (label.value !== "" && row.dataset.label !== label.value);
    }
    count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  file.addEventListener("input", apply);
  label.addEventListener("change", apply);
  apply();
}
