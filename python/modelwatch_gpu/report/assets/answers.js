// How answers are right and wrong: a calibration curve and a confusion table of one window beside the baseline's, and
// segments beside one another.  Drawn as SVG: it takes its colours from the style sheet, in the dark and on paper too.
const RATES = {
  selection_rate: "Share of rows predicted positive.",
  true_positive_rate: "Of the positive rows, the share that was found.",
  false_positive_rate: "Of the negative rows, the share predicted positive.",
  precision: "Of the rows predicted positive, the share that was.",
  calibration_gap: "Mean score less the share of positives.",
};
function answers() {
  const all = view.answers || [];
  if (!all.length || !windows.length) return null;
  const known = (answer) => (w) => [answer.calibration, answer.confusion].some((x) => x && x.windows[w]);
  const latest = windows.map((_, w) => w).filter((w) => all.some((answer) => known(answer)(w)));
  const want = { answer: 0, window: latest.length ? latest[latest.length - 1] : last };
  const title = h("h3");
  const place = h("div");
  const fill = () => {
    const { column, calibration, confusion } = all[want.answer];
    title.textContent = `Answers beside labels: ${column}, ${label(want.window)}`;
    const charts = [calibration && calibrationFigure(column, calibration, want.window)];
    charts.push(confusion && confusionFigure(column, confusion, want.window));
    place.replaceChildren(h("div", { class: "answers" }, charts));
  };
  const choice = (name, key, texts) =>
    texts.length > 1 &&
    h(
      "select",
      {
        "aria-label": name,
        onchange: (e) => {
          want[key] = Number(e.target.value);
          fill();
        },
      },
      texts.map((text, i) => h("option", { value: i, text, selected: i === want[key] })),
    );
  fill();
  return h(
    "div",
    { class: "by-class", "data-testid": "answers" },
    h(
      "div",
      { class: "bar" },
      title,
      h(
        "div",
        { class: "controls" },
        choice("Answer shown", "answer", all.map((answer) => answer.column)),
        choice(`The ${period()} shown`, "window", windows.map((_, w) => label(w))),
      ),
    ),
    place,
  );
}
function figureKey(w, rows) {
  return h(
    "figcaption",
    {},
    h("span", { class: "series base", text: "baseline" }),
    h("span", { class: "series now", text: `${label(w)}, ${rows ? count(rows, "labelled row") : "no labelled row"}` }),
  );
}
function svg(tag, props, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) if (!empty(value)) node.setAttribute(key, value);
  node.append(...children.flat(3));
  return node;
}
const [LOW, HIGH, MEAN, SHARE, LEAST, MOST] = [0, 1, 3, 4, 5, 6]; // of a bin; 2 is its rows
const range = (bin) => `${bin[LOW]} to ${bin[HIGH]}`;
const positives = (bin) =>
  `${percent(bin[SHARE])} (${percent(bin[LEAST])} to ${percent(bin[MOST])}) of ${count(bin[2], "row")}`;
function calibrationFigure(column, { baseline, windows: found }, w) {
  const now = found[w] || [];
  const [side, left, top] = [260, 44, 8];
  const x = (value) => left + side * value;
  const y = (value) => top + side * (1 - value);
  const steps = [0, 0.25, 0.5, 0.75, 1];
  const text = (props, content) => svg("text", { class: "scale", ...props }, content);
  const axes = steps.map((s) => [
    svg("line", { class: "grid", x1: x(0), x2: x(1), y1: y(s), y2: y(s) }),
    text({ x: x(0) - 6, y: y(s) + 4, "text-anchor": "end" }, percent(s)),
    text({ x: x(s), y: y(0) + 16, "text-anchor": s === 1 ? "end" : s ? "middle" : "start" }, String(s)),
  ]);
  const line = (bins, name) =>
    svg(
      "g",
      { class: name },
      svg("polyline", { points: bins.map((bin) => `${x(bin[MEAN])},${y(bin[SHARE])}`).join(" ") }),
      bins.map((bin) => [
        svg("line", { x1: x(bin[MEAN]), x2: x(bin[MEAN]), y1: y(bin[LEAST]), y2: y(bin[MOST]) }),
        svg(
          "circle",
          { cx: x(bin[MEAN]), cy: y(bin[SHARE]), r: 4 },
          svg("title", {}, `Scores from ${range(bin)}, on average ${number(bin[MEAN])}: ${positives(bin)} are positive`),
        ),
      ]),
    );
  const byLow = new Map([baseline, now].map((bins, of) => [of, new Map(bins.map((bin) => [bin[LOW], bin]))]));
  const lows = [...new Set([...baseline, ...now].map((bin) => bin[LOW]))].sort((a, b) => a - b);
  const body = lows.map((low) => {
    const both = [byLow.get(0).get(low), byLow.get(1).get(low)];
    return h(
      "tr",
      {},
      h("th", { scope: "row", text: range(both[1] || both[0]) }),
      both.map((bin) => [h("td", { text: bin ? number(bin[MEAN]) : "–" }), h("td", { text: bin ? positives(bin) : "–" })]),
    );
  });
  const heads = ["score", "mean, baseline", "positive, baseline", `mean, ${label(w)}`, `positive, ${label(w)}`];
  return h(
    "figure",
    { "data-testid": "calibration" },
    h("h4", { text: "Calibration" }),
    figureKey(w, now.reduce((sum, bin) => sum + bin[2], 0)),
    svg(
      "svg",
      {
        class: "calibration",
        viewBox: `0 0 ${left + side + 8} ${top + side + 38}`,
        role: "img",
        "aria-label": `Share of positives by mean score of ${column}: baseline beside ${label(w)}. The numbers follow below.`,
      },
      axes,
      svg("line", { class: "even", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
      line(baseline, "base"),
      line(now, "now"),
      text({ x: x(0.5), y: y(0) + 34, "text-anchor": "middle" }, "mean score"),
      text({ x: 11, y: y(0.5), "text-anchor": "middle", transform: `rotate(-90 11 ${y(0.5)})` }, "share of positives"),
    ),
    h("p", { class: "quiet", text: "On the dashed line a score of 0.3 comes true in 3 rows of 10. Bars are 95% intervals of independent rows." }),
    h(
      "details",
      {},
      h("summary", { text: "The numbers" }),
      h(
        "div",
        { class: "listing wide", role: "region", tabindex: "0", "aria-label": `Calibration of ${column}` },
        h(
          "table",
          { class: "numbers" },
          h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col", text })))),
          h("tbody", {}, body),
        ),
      ),
    ),
  );
}
// Rows by label and answer: of every label how its rows were answered, the baseline's share below.
function confusionFigure(column, { classes, baseline, windows: found }, w) {
  const table = (pairs) => {
    const rows = classes.map(() => classes.map(() => 0));
    for (const [l, a, n] of pairs || []) rows[l][a] = n;
    const sums = rows.map((row) => row.reduce((sum, n) => sum + n, 0));
    return { rows, sums, share: (l, a) => (sums[l] ? rows[l][a] / sums[l] : null) };
  };
  const [before, now] = [table(baseline), table(found[w])];
  const cell = (l, a) => {
    const [share, was] = [now.share(l, a), before.share(l, a)];
    const node = h(
      "td",
      {
        class: l === a ? "right" : null,
        title: `labelled ${classes[l]}, answered ${classes[a]}: ${count(now.rows[l][a], "row")}; baseline ${count(before.rows[l][a], "row")}`,
      },
      h("b", { text: empty(share) ? "–" : percent(share) }),
      h("small", { text: whole(now.rows[l][a]) }),
      h("small", { text: empty(was) ? "" : `was ${percent(was)}` }),
    );
    node.style.setProperty("--share", `${Math.round(45 * (share || 0))}%`);
    return node;
  };
  return h(
    "figure",
    { "data-testid": "confusion" },
    h("h4", { text: "Confusion" }),
    figureKey(w, now.sums.reduce((sum, n) => sum + n, 0)),
    h(
      "div",
      { class: "listing wide", role: "region", tabindex: "0", "aria-label": `Labels and answers of ${column}` },
      h(
        "table",
        { class: "confusion" },
        h(
          "thead",
          {},
          h("tr", {}, h("th", { scope: "col", text: "Label" }), classes.map((name) => h("th", { scope: "col", text: name }))),
        ),
        h(
          "tbody",
          {},
          classes.map((name, l) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, name, h("small", { text: count(now.sums[l], "row") })),
              classes.map((_, a) => cell(l, a)),
            ),
          ),
        ),
      ),
    ),
    h("p", { class: "quiet", text: "A row is a label, a column an answer; shares are of the label's rows." }),
  );
}
// The two segments furthest apart, by every rate: how far in every window, and which they are in the latest.
function fairness() {
  const rows = view.fairness || [];
  if (!rows.length) return null;
  const name = (segment) =>
    Object.values(segment)
      .map((v) => (v === null ? "missing" : v))
      .join(", ");
  const ends = (x) => `${name(x.lowest)} ${number(x.lowest_rate)} to ${name(x.highest)} ${number(x.highest_rate)}`;
  const cell = (x) =>
    x
      ? h(
          "td",
          {
            class: "number",
            "data-worse": x.disjoint ? "" : null,
            title: `${ends(x)}; 95% interval of the difference ${number(x.lower)} to ${number(x.upper)}; ${count(x.segments, "segment")}`,
          },
          number(x.difference),
        )
      : h("td", { class: "number quiet", title: "fewer than two segments have enough labelled rows", text: "–" });
  const body = (row) => {
    const found = row.windows.filter((x) => x);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("abbr", { title: RATES[row.rate], text: row.rate })),
      row.windows.map(cell),
      h("td", { class: "ends", text: found.length ? ends(found[found.length - 1]) : "–" }),
    );
  };
  const heads = ["Rate", ...windows.map((_, w) => label(w)), "Furthest apart, latest"];
  const groups = grouped(rows, (row) => `${row.column} by ${row.by.join(", ")}`, body, true);
  return h(
    "div",
    { class: "by-class" },
    h("h3", { text: "Segments beside one another" }),
    h("p", {
      class: "quiet",
      text: `Highest less lowest rate of the segments of a ${period()} with labels enough. Bold where their own 95% intervals do not meet; nothing corrects for picking two of many.`,
    }),
    performanceTable("fairness", "Segments beside one another", heads, groups),
  );
}
