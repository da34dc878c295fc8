// What the page knows: the view, its words, and how each column looks in each window.
// Text from the data reaches the page only through textContent and canvas.
const view = JSON.parse(document.getElementById("view").textContent);
const { windows, columns, findings } = view;
const last = windows.length - 1;
const RANK = { alert: 3, warning: 2, not_enough_data: 1, ok: 0, none: -1 };
const WORD = { alert: "alert", warning: "warning", not_enough_data: "not enough data", ok: "ok", none: "no value" };
const SHARES = new Set(["missing", "malformed", "nan", "unseen", "out_of_range", "present", "labelled"]);
const PERIOD = { mo: "month", d: "day", w: "week", h: "hour", y: "year", q: "quarter" };
const PAGE = 100,
  TAIL = 9, // letters at the end of a long name that stay in sight
  ROWS_AT_FIRST = 60;
const GLOSSARY = {
  embedding_drift: "1 - the p-value of six statistics of vectors together: 0.95 and above is drift that chance shows in 5% of windows.",
  domain_auc: "How well a linear classifier tells this window's vectors from the baseline's: 0.5 not at all, 1 always.",
  ks: "Largest gap between the two cumulative distributions. 0 is the same, 1 is nothing in common.",
  psi: "Population stability index: how far the shares of the bins moved. Below 0.1 is little, above 0.25 a lot.",
  js_distance: "Jensen-Shannon distance between the two sets of shares, from 0 (the same) to 1 (nothing in common). A verdict goes by what is left beyond chance: two samples of one distribution are never quite the same.",
  js_divergence: "The square of js_distance, in bits.",
  kl: "Kullback-Leibler divergence: the surprise at the new shares of someone who expects the baseline.",
  hellinger: "Hellinger distance between the two sets of shares, from 0 to 1.",
  tv: "Total variation: the share of rows that would have to change bin to get the baseline back.",
  chi_square: "Chi-square comparison of the counts per bin.",
  l_infinity: "The largest change in share of any one value.",
  wasserstein: "How far values moved on average, in the column's own units.",
  wasserstein_sd: "How far values moved on average, in standard deviations of the baseline.",
  cvm: "Cramér-von Mises: the squared gap between the cumulative distributions, averaged over all values.",
  mean_shift: "Change of the mean, in standard deviations of the baseline.",
  sd_ratio: "Standard deviation of the window divided by that of the baseline; 1 is unchanged.",
  out_of_range: "Share of values outside the range the baseline had.",
  missing: "Share of rows without a value.",
  missing_change: "Share of rows without a value less that of the baseline, in points.",
  present: "Whether the column is in the log at all, as a share of the rows for which it is.",
  type: "Whether the column's type can be compared at all.",
  nan: "Share of rows that hold a NaN.",
  unseen: "Share of values that the baseline never had.",
  distinct: "Number of different values.",
  row_count: "Number of rows.",
  roc_auc: "Chance that a positive row scores above a negative one; 0.5 is guessing.",
  average_precision: "Precision averaged over all recalls.",
  accuracy: "Share of predictions that were right.",
  precision: "Of the rows predicted positive, the share that was.",
  recall: "Of the positive rows, the share that was found.",
  f1: "Harmonic mean of precision and recall.",
  log_loss: "Mean surprise at the true label, given the score; lower is better.",
  brier: "Mean squared distance of score and label; lower is better.",
  ece: "Expected calibration error: how far scores are from the rates seen.",
  rmse: "Root of the mean squared error.",
  mae: "Mean absolute error.",
  r2: "Share of the label's variance that the prediction explains.",
  balanced_accuracy: "Mean over the classes of the share of each that was found.",
  mcc: "Matthews' correlation of label and prediction; 0 is guessing, 1 is right.",
  calibration_gap: "Mean score less the share of positives: above 0 scores promise too much.",
  lift: "How many times more positives the highest tenth of scores has than a tenth taken blindly.",
  best_f1: "The best F1 that any threshold would give.",
  expected_cost: "What a decision costs on average.",
  roc_auc_macro: "ROC AUC of each class against the rest, averaged over the classes.",
  top_2_accuracy: "Share of rows whose label has one of the two highest scores.",
  top_3_accuracy: "Share of rows whose label has one of the three highest scores.",
  log_loss_classes: "Mean surprise at the true label, given its score; lower is better.",
  brier_classes: "Squared distance of scores and label, summed over the classes; lower is better.",
  f1_macro: "F1 of each class, averaged over the classes.",
  f1_weighted: "F1 of each class, averaged by their labels.",
  me: "Mean error: above 0 predictions are too high.",
  mape: "Mean absolute error as a share of the label.",
  smape: "Mean absolute error as a share of the mean of label and prediction.",
  quantile_loss: "What predicting the 90% quantile would be judged by.",
  labelled: "Share of rows that have a label.",
};

function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "text") node.textContent = value;
    else if (key === "value") node.value = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}
// A long name loses its middle where it is cut: names of one table often begin alike.
function bothEnds(text) {
  const letters = [...text];
  if (letters.length <= 2 * TAIL) return h("span", { text });
  const parts = [letters.slice(0, -TAIL), letters.slice(-TAIL)].map((part) => h("span", { text: part.join("") }));
  return h("span", { class: "cut" }, parts);
}
const mark = (severity) => h("span", { class: "mark", "data-severity": severity, "aria-hidden": "true" });
const badge = (severity) => h("span", { class: "badge", "data-severity": severity }, mark(severity), WORD[severity]);
const whole = (n) => (n === null || n === undefined ? "unknown" : n.toLocaleString("en-US"));
const compact = (n) => new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 }).format(n);
const count = (n, one, many = one + "s") => `${whole(n)} ${n === 1 ? one : many}`;
const percent = (x) => `${Number((100 * x).toFixed(Math.abs(x) < 0.01 ? 2 : Math.abs(x) < 0.1 ? 1 : 0))}%`;
const signed = (x) => `${x > 0 ? "+" : ""}${Number(x.toFixed(1))}`;
const off = (sign) => RANK[sign.severity] >= RANK.warning;
const label = (w) => (windows[w] ? windows[w].label : "whole log");
const plain = (text) => String(text).replaceAll("{", "{\u200b"); // ECharts reads {style|text} in rich text
const empty = (x) => x === null || x === undefined;
function number(x, measure) {
  if (empty(x)) return "no value";
  if (SHARES.has(measure)) return percent(x);
  if (measure === "missing_change") return `${signed(100 * x)} points`;
  const size = Math.abs(x);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return x.toExponential(1);
  if (size >= 100 || Number.isInteger(x)) return whole(Math.round(x));
  return String(Number(x.toPrecision(size < 0.1 ? 2 : 3)));
}
function short(x, measure) {
  if (SHARES.has(measure)) return `${Math.round(100 * x)}%`;
  if (measure === "missing_change") return signed(Math.round(100 * x));
  return Math.abs(x) >= 100 ? compact(Math.round(x)) : x.toFixed(Math.abs(x) >= 10 ? 1 : 2);
}
function day(stamp, before = false) {
  const found = /^(\d{4})-(\d\d)-(\d\d)/.exec(stamp || "");
  if (!found) return null;
  const date = new Date(Date.UTC(found[1], found[2] - 1, found[3] - (before ? 1 : 0)));
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}
function period() {
  const unit = /[a-z]+$/.exec(view.window || "");
  return (/^1?[a-z]/.test(view.window || "") && unit && PERIOD[unit[0]]) || "window";
}

// What each column looks like in each window: its main check, or a worse finding of another one.
const position = new Map(columns.map((c, i) => [c.name, i]));
const elsewhere = []; // findings on the whole of a window that belong to no column of the table
const others = columns.map(() => new Map());
for (const f of findings) {
  if (f.segment || empty(f.window)) continue;
  const c = position.get(f.column);
  if (c === undefined) elsewhere.push(f);
  else if (f.check !== columns[c].check) {
    const seen = others[c].get(f.window);
    if (!seen || RANK[f.severity] > RANK[seen.severity]) others[c].set(f.window, f);
  }
}
const states = columns.map((column, index) => {
  const signs = windows.map((_, w) => {
    const main = column.strip[w];
    const other = others[index].get(w);
    if (other && off(other) && (!main || RANK[other.severity] > RANK[main.severity])) return { ...other, other: true };
    if (!main) return { severity: "none", check: column.check, value: null, reason: "" };
    const threshold = main.severity === "alert" ? column.alert : column.warn;
    return { ...main, check: column.check, threshold };
  });
  let since = signs.length;
  while (since > 0 && off(signs[since - 1])) since -= 1;
  since = Math.min(since, empty(column.since) ? Infinity : column.since);
  const worst = signs.reduce(
    (a, b) => (weight(b, column) > weight(a, column) ? b : a),
    signs[0] || { severity: "none" },
  );
  return { column, index, signs, worst, since: since <= last ? since : null, changed: signs.some(off) };
});
function ratio(sign, column) {
  const threshold = sign.other ? sign.threshold : column.alert;
  if (empty(sign.value) || empty(threshold)) return 0;
  const falling = !sign.other && column.warn > column.alert; // a measure where lower is worse
  const [top, bottom] = falling ? [threshold, sign.value] : [sign.value, threshold];
  return bottom === 0 ? 2 : Math.abs(top / bottom);
}
function weight(sign, column) {
  return 1000 * RANK[sign.severity] + Math.min(ratio(sign, column), 99);
}
function worstFirst(a, b) {
  const key = (s) => [s.since === null ? 0 : weight(s.signs[last], s.column), s.worst ? weight(s.worst, s.column) : 0];
  const [x, y] = [key(a), key(b)];
  return y[0] - x[0] || y[1] - x[1] || a.index - b.index;
}
function level(sign, column) {
  const r = ratio(sign, column);
  if (sign.severity === "ok") return r > 0.34 ? 3 : r > 0.15 ? 2 : 1;
  if (sign.severity === "warning") return r > 0.83 ? 3 : r > 0.66 ? 2 : 1;
  return r > 2 ? 3 : r > 1.4 ? 2 : 1;
}
function valueText(sign, column) {
  if (empty(sign.value)) return sign.check ? `${sign.check}: no value` : "not judged";
  const bounds =
    !empty(sign.lower) && !empty(sign.upper) && sign.upper > sign.lower
      ? ` (between ${number(sign.lower, sign.check)} and ${number(sign.upper, sign.check)})`
      : "";
  const limit = sign.other
    ? empty(sign.threshold)
      ? ""
      : `, ${WORD[sign.severity]} at ${number(sign.threshold, sign.check)}`
    : (empty(column.warn) ? "" : `, warning at ${number(column.warn, sign.check)}`) +
      (empty(column.alert) ? "" : `, alert at ${number(column.alert, sign.check)}`);
  return `${sign.check} ${number(sign.value, sign.check)}${bounds}${limit}`;
}
const ranked = states.filter((s) => s.changed).sort(worstFirst);
