// Answers beside labels: a row for each measure, the baseline's number first, then every window's.
function performance() {
  const rows = view.performance || [];
  if (!rows.length) return null;
  const heads = ["Measure", "Baseline", ...windows.map((_, w) => label(w))];
  return h(
    "section",
    { "aria-labelledby": "performance" },
    h("h2", { id: "performance", text: "Performance" }),
    h("p", { class: "quiet", text: performanceNote(rows) }),
    performanceTable("performance", "Performance", heads, grouped(rows, (r) => r.column, performanceRow)),
    answers(),
    classTable(),
    fairness(),
  );
}
const NAMED = new Set(["Measure", "Class", "Rate"]); // heads of the names of rows, which stay in sight
// The rows of each group under its name, by default where there are several groups.
function grouped(rows, name, body, named = new Set(rows.map(name)).size > 1) {
  const names = rows.map(name);
  const head = (text) =>
    h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: windows.length + 2 }, h("span", { text })));
  return rows.map((row, i) => [named && names[i] !== names[i - 1] ? head(names[i]) : null, body(row)]);
}
function performanceTable(id, name, heads, body) {
  // A keyboard must be able to scroll what is wider than the page.
  return h(
    "div",
    { class: "listing wide", role: "region", tabindex: "0", "aria-label": name },
    h(
      "table",
      { class: "performance", "data-testid": id },
      h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col", class: NAMED.has(text) && "name", text })))),
      h("tbody", {}, body),
    ),
  );
}
// Each class taken as the positive one; one of the three numbers at a time.
function classTable() {
  if (!view.classes) return null;
  const { rows, left_out } = view.classes;
  const heads = ["Class", "Baseline", ...windows.map((_, w) => label(w))];
  const place = h("div");
  const title = h("h3");
  const fill = (measure) => {
    title.textContent = `Class by class: ${measure}`; // on paper there is no choice to read it from
    place.replaceChildren(
      performanceTable(
        "classes",
        title.textContent,
        heads,
        grouped(rows, (r) => r.column, (row) => classRow(row, measure)),
      ),
    );
  };
  fill("f1");
  const choice = h(
    "select",
    { "aria-label": "Number shown of each class", onchange: (e) => fill(e.target.value) },
    ["f1", "precision", "recall"].map((name) => h("option", { value: name, text: name })),
  );
  return h(
    "div",
    { class: "by-class" },
    h("div", { class: "bar" }, title, h("div", { class: "controls" }, choice)),
    place,
    left_out ? h("p", { class: "quiet", text: `${count(left_out, "rarer class", "rarer classes")} are in the JSON report.` }) : null,
  );
}
function classRow(row, measure) {
  const [baseline, ...values] = row[measure];
  const [known, ...labels] = row.rows.map((n) => (n ? count(n, "labelled row") : "no labelled row"));
  const own = { measure, baseline, better: "higher", lower: [], upper: [], reasons: labels, aside: labels };
  return h(
    "tr",
    {},
    h("th", { scope: "row", text: row.class }),
    h("td", { class: "number", title: known, text: empty(baseline) ? "–" : number(baseline, measure) }),
    values.map((value, w) => performanceCell(own, value, w)),
  );
}
function performanceNote(rows) {
  const covered = rows.find((r) => r.measure === "labelled");
  const share = covered && covered.values.filter((x) => !empty(x));
  const least = share && share.length ? Math.min(...share) : null;
  const most = least === 1 ? "All rows have one." : `At least ${percent(least)} of the rows of every ${period()} have one.`;
  const label = empty(least) ? "" : ` ${most}`;
  return `Of rows with a label.${label} Arrows mark numbers that are worse than the baseline's, be it by chance.`;
}
function performanceRow(row) {
  const title = h("abbr", { title: row.title, text: row.measure });
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, title),
    h("td", { class: "number", text: empty(row.baseline) ? "–" : number(row.baseline, row.measure) }),
    row.values.map((value, w) => performanceCell(row, value, w)),
  );
}
function performanceCell(row, value, w) {
  if (empty(value)) return h("td", { class: "number quiet", title: row.reasons[w] || "no value", text: "–" });
  const [lower, upper] = [row.lower[w], row.upper[w]];
  const sure = empty(lower) || empty(upper) ? [value, value] : [lower, upper];
  const worse =
    !empty(row.baseline) &&
    ((row.better === "higher" && sure[1] < row.baseline) || (row.better === "lower" && sure[0] > row.baseline));
  const bounds = sure[1] > sure[0] ? `between ${number(sure[0], row.measure)} and ${number(sure[1], row.measure)}` : null;
  const arrow = worse ? (row.better === "higher" ? " \u2193" : " \u2191") : "";
  return h(
    "td",
    { class: "number", title: bounds || (row.aside || [])[w], "data-worse": worse ? "" : null },
    number(value, row.measure),
    arrow && h("span", { "aria-hidden": "true", text: arrow }),
    arrow && h("span", { class: "sr", text: ", worse than the baseline" }),
  );
}
