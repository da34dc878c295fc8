// The page from top to bottom. model.js, matrix.js and panel.js come before it in the same scope.
function verdict() {
  const judged = states.filter((s) => s.column.check || s.changed).length;
  const now = ranked.filter((s) => off(s.signs[last]));
  const inSegments = findings.filter((f) => f.segment && off(f)).length;
  const onLog = elsewhere.filter(off).length;
  const span = last > 0 ? `, in every ${period()} from ${label(0)} to ${label(last)}` : "";
  const strong = (text) => h("strong", { text });
  if (!windows.length)
    return { mood: "not_enough_data", line: ["There is nothing to compare yet: the log has no windows."] };
  const line = [];
  if (ranked.length) {
    line.push(strong(`${ranked.length} of ${count(judged, "column")} changed`));
    if (last === 0) {
      const alerts = now.filter((s) => s.signs[0].severity === "alert").length;
      line.push(`: ${alerts} at alert, ${now.length - alerts} at warning.`);
    } else {
      const need = now.length === 0 ? "none needs" : now.length === 1 ? "1 needs" : `${now.length} need`;
      line.push(`; ${need} attention in the latest ${period()}, ${label(last)}.`);
    }
    const lasting = now.filter((s) => s.since < last);
    const first = Math.min(...lasting.map((s) => s.since));
    const same = lasting.filter((s) => s.since === first);
    if (same.length) {
      const more = same.length > 1 ? ` and ${count(same.length - 1, "other")} have` : " has";
      line.push(" ", strong(same[0].column.name), `${more} been off since ${label(first)}.`);
    }
  } else if (!states.some((s) => s.signs.some((x) => x.severity === "ok"))) {
    line.push("There was not enough data to judge any column.");
  } else {
    line.push(
      strong("All calm."),
      ` ${judged === 1 ? "The one column looks" : `All ${judged} columns look`} like the baseline${span}.`,
    );
    if (inSegments || onLog || !view.ok) line[0] = "";
    const thin = states.filter((s) => s.column.check && s.signs.some((x) => x.severity !== "ok")).length;
    if (thin) line.push(` ${thin} of them had too little data in some ${period()}s.`);
  }
  if (inSegments)
    line.push(` ${count(inSegments, "finding")} in segments ${inSegments === 1 ? "needs" : "need"} a look.`);
  if (onLog) line.push(` ${count(onLog, "finding")} ${onLog === 1 ? "concerns" : "concern"} the log itself.`);
  const top = Math.max(
    ...now.map((s) => RANK[s.signs[last].severity]),
    ...findings.map((f) => RANK[f.severity]),
    view.ok ? 0 : 3,
  );
  const mood = Object.keys(RANK).find((s) => RANK[s] === top) || "ok";
  return {
    mood: ranked.length || top > 1 ? mood : states.some((s) => s.worst.severity === "ok") ? "ok" : "not_enough_data",
    line,
  };
}
function facts() {
  const span = ({ start, end }) =>
    day(start) && day(end) ? `${day(start)} to ${day(end, /T00:00:00/.test(end))}` : null;
  const item = (name, value, detail) =>
    h("div", {}, h("dt", { text: name }), h("dd", {}, value, detail && h("small", { text: detail })));
  const b = view.baseline;
  return h(
    "dl",
    { class: "facts" },
    item(
      "Log",
      count(view.rows, "row"),
      windows.length && windows[0].start ? span({ start: windows[0].start, end: windows[last].end }) : null,
    ),
    item("Compared by", windows.length === 1 && !windows[0].start ? "whole log" : count(windows.length, period())),
    item("Baseline", count(b.rows, "row"), [count(b.columns, "column"), span(b)].filter(Boolean).join(", ")),
    item("Device", view.device, view.isa),
    view.timezone && item("Time zone", view.timezone),
  );
}
function meter(sign, column) {
  if (empty(sign.value) || (sign.other ? empty(sign.threshold) : empty(column.alert))) return null;
  const limits = sign.other
    ? [[sign.severity, sign.threshold]]
    : [
        ["warning", column.warn],
        ["alert", column.alert],
      ];
  const full = Math.max(...limits.map(([, x]) => Math.abs(x || 0))) * 2.5 || 1;
  const place = (node, property, x) => {
    node.style.setProperty(property, `${Math.min(100, (100 * Math.abs(x)) / full)}%`);
    return node;
  };
  return h(
    "span",
    { class: "meter", "aria-hidden": "true" },
    place(h("span", { class: "fill", "data-severity": sign.severity }), "width", sign.value),
    empty(sign.low) || empty(sign.high)
      ? null
      : (() => {
          const reach = place(h("span", { class: "reach" }), "left", Math.max(0, sign.low));
          return place(reach, "width", Math.min(full, sign.high) - Math.min(full, Math.max(0, sign.low)));
        })(),
    limits
      .filter(([, x]) => !empty(x))
      .map(([s, x]) => place(h("span", { class: "tick", "data-severity": s }), "left", x)),
  );
}
function where(column, w) {
  const worst = findings.filter((f) => f.segment && f.column === column.name && f.window === w && off(f));
  if (!worst.length) return null;
  const names = worst.map((f) =>
    Object.entries(f.segment)
      .map(([k, v]) => `${k} = ${v === null ? "missing" : v}`)
      .join(", "),
  );
  const first = [...new Set(names)].slice(0, 2);
  const more = new Set(names).size - first.length;
  return `worst in ${first.join("; ")}${more ? ` and ${more} more` : ""}`;
}
function next() {
  if (!(view.next || []).length) return null;
  return h(
    "section",
    { class: "next", "aria-labelledby": "next" },
    h("h2", { id: "next", text: "What to do next" }),
    h(
      "ol",
      {},
      view.next.map((text) => h("li", { text })),
    ),
  );
}
function change(state) {
  const { column, signs, since, index } = state;
  let w = last;
  if (since === null) while (w > 0 && !off(signs[w])) w -= 1;
  const sign = signs[w];
  const when =
    last === 0
      ? ""
      : since === null
        ? `off until ${label(w)}, ${signs[last].severity === "not_enough_data" ? "open" : "fine"} now`
        : `${signs.slice(0, since).some(off) ? "again " : ""}${since === last ? "in" : "since"} ${label(since)}`;
  const limit = sign.other ? sign.threshold : sign.severity === "alert" ? column.alert : column.warn;
  return h(
    "li",
    {},
    h(
      "div",
      { class: "who" },
      mark(sign.severity),
      h("button", { class: "link", text: column.name, onclick: () => reveal(index, w) }),
      h("span", { class: "sr", text: `, ${WORD[sign.severity]}` }),
      h("small", { text: when }),
      h("small", { text: where(column, w) }),
    ),
    h(
      "div",
      { class: "much" },
      empty(sign.value)
        ? null
        : h(
            "span",
            { class: "figure" },
            `${sign.check} `,
            h("b", { text: number(sign.value, sign.check) }),
            empty(limit) ? null : ` ${Math.abs(sign.value) < limit ? "under" : "over"} ${number(limit, sign.check)}`,
          ),
      meter(sign, column),
    ),
    h("p", { text: sign.reason }),
  );
}
// Findings on the log as a whole, each check once: at its worst, with the windows it was off in.
function logItself() {
  const checks = new Map();
  elsewhere.filter(off).forEach((f) => checks.set(f.check, [...(checks.get(f.check) || []), f]));
  if (!checks.size) return null;
  const item = (own) => {
    const worst = own.reduce((a, b) => (RANK[b.severity] > RANK[a.severity] ? b : a));
    const latest = own.filter((f) => f.severity === worst.severity).pop();
    const off = [...new Set(own.map((f) => f.window).filter((w) => !empty(w)))];
    const when = last === 0 || !off.length ? "" : `in ${off.length} of ${count(windows.length, period())}, last ${label(Math.max(...off))}`;
    return h(
      "li",
      {},
      h(
        "div",
        { class: "who" },
        mark(worst.severity),
        h("span", { text: latest.check.replaceAll("_", " ") }),
        h("span", { class: "sr", text: `, ${WORD[worst.severity]}` }),
        h("small", { text: when }),
      ),
      h("p", { text: latest.reason }),
    );
  };
  return h(
    "section",
    { "aria-labelledby": "log" },
    h("h2", { id: "log", text: "The log itself" }),
    h("ol", { class: "changes whole", "data-testid": "log-itself" }, [...checks.values()].map(item)),
  );
}
function top() {
  const { mood, line } = verdict();
  const shown = ranked.slice(0, 8);
  const calm = RANK[mood] < RANK.warning;
  document.body.dataset.mood = mood;
  return [
    h(
      "header",
      {},
      h(
        "p",
        { class: "title" },
        h(
          "span",
          { class: "pill", "data-severity": mood },
          mark(mood),
          calm ? (mood === "ok" ? "All calm" : "Not enough data") : mood === "alert" ? "Alert" : "Warning",
        ),
        h("span", { text: view.title }),
      ),
      h("h1", { "data-testid": "verdict" }, line),
      h("div", { class: "beside" }, next(), facts()),
    ),
    logItself(),
    shown.length
      ? h(
          "section",
          { "aria-labelledby": "changes" },
          h("h2", {
            id: "changes",
            text: last > 0 ? "What changed, since when, and how sure that is" : "What changed, and how sure that is",
          }),
          h("ol", { class: "changes" }, shown.map(change)),
          ranked.length > shown.length &&
            h("p", { class: "quiet", text: `${ranked.length - shown.length} more in the table below.` }),
        )
      : null,
  ];
}

function allFindings() {
  const want = { severity: "", text: "", page: 0 };
  const segment = (f) =>
    f.segment
      ? Object.entries(f.segment)
          .map(([k, v]) => `${k} = ${v === null ? "missing" : v}`)
          .join(", ")
      : "all rows";
  const texts = findings.map((f) =>
    [f.severity, label(f.window), segment(f), f.column, f.check, f.reason].join(" ").toLowerCase(),
  );
  const body = h("tbody"),
    note = h("p", { class: "quiet", "aria-live": "polite" }),
    pager = h("nav", { class: "pager", "aria-label": "Pages of findings" });
  const fill = () => {
    const hits = findings
      .map((_, i) => i)
      .filter((i) => (!want.severity || findings[i].severity === want.severity) && texts[i].includes(want.text));
    const pages = Math.max(1, Math.ceil(hits.length / PAGE));
    want.page = Math.min(want.page, pages - 1);
    const shown = hits.slice(want.page * PAGE, (want.page + 1) * PAGE).map((i) => findings[i]);
    body.replaceChildren(
      ...shown.map((f) => {
        const known = position.has(f.column) && !empty(f.window) && windows[f.window];
        const td = (name, ...x) => h("td", { "data-label": name }, ...x);
        return h(
          "tr",
          {},
          td("severity", badge(f.severity)),
          td(
            "column",
            known
              ? h("button", { class: "link", text: f.column, onclick: () => reveal(position.get(f.column), f.window) })
              : f.column === ":table" ? "the log" : f.column,
          ),
          td(period(), label(f.window)),
          td("segment", segment(f)),
          td("check", f.check),
          td("value", empty(f.value) ? "–" : number(f.value, f.check)),
          td("limit", empty(f.threshold) ? "–" : number(f.threshold, f.check)),
          td("reason", f.reason),
        );
      }),
    );
    note.textContent = hits.length
      ? pages > 1
        ? `${whole(want.page * PAGE + 1)} to ${whole(want.page * PAGE + shown.length)} of ${count(hits.length, "finding")}`
        : count(hits.length, "finding")
      : findings.length
        ? "No finding fits the filter."
        : windows.length
          ? "No findings. Nothing crossed its threshold."
          : "No findings.";
    const turn = (by, text) =>
      h("button", {
        type: "button",
        text,
        disabled: want.page + by < 0 || want.page + by >= pages,
        onclick: () => {
          want.page += by;
          fill();
        },
      });
    pager.replaceChildren(
      ...(pages > 1
        ? [turn(-1, "Previous"), h("span", { text: `page ${want.page + 1} of ${pages}` }), turn(1, "Next")]
        : []),
    );
  };
  const tally = (s) => findings.filter((f) => f.severity === s).length;
  const present = ["alert", "warning", "not_enough_data", "ok"].filter(tally);
  const controls = h(
    "div",
    { class: "controls" },
    h("input", {
      type: "search",
      placeholder: "Filter by any word",
      "aria-label": "Filter findings",
      oninput: (e) => {
        want.text = e.target.value.toLowerCase();
        want.page = 0;
        fill();
      },
    }),
    h(
      "select",
      {
        "aria-label": "Severity",
        onchange: (e) => {
          want.severity = e.target.value;
          want.page = 0;
          fill();
        },
      },
      h("option", { value: "", text: `All (${whole(findings.length)})` }),
      present.map((s) => h("option", { value: s, text: `${WORD[s]} (${whole(tally(s))})` })),
    ),
  );
  fill();
  return h(
    "section",
    { "aria-labelledby": "all" },
    h("div", { class: "bar" }, h("h2", { id: "all", text: "All findings" }), findings.length ? controls : null),
    h(
      "div",
      { class: "listing" },
      h(
        "table",
        { class: "findings", "data-testid": "findings" },
        h(
          "thead",
          { hidden: !findings.length },
          h(
            "tr",
            {},
            [
              "Severity",
              "Column",
              period()[0].toUpperCase() + period().slice(1),
              "Segment",
              "Check",
              "Value",
              "Limit",
              "Reason",
            ].map((text) => h("th", { scope: "col", text })),
          ),
        ),
        body,
      ),
    ),
    h("div", { class: "bar" }, note, pager),
    (view.findings_in_all || 0) > findings.length &&
      h("p", {
        class: "quiet",
        text: `These are the worst ${whole(findings.length)} of ${count(view.findings_in_all, "finding")}; the JSON report has all that are listed.`,
      }),
  );
}

function ending() {
  const used = new Set([
    ...columns.flatMap((c) => [c.check, ...Object.keys(c.measures)]),
    ...findings.map((f) => f.check),
  ]);
  const terms = Object.entries(GLOSSARY).filter(([name]) => used.has(name));
  return [
    view.notes.length
      ? h(
          "section",
          { "aria-labelledby": "notes" },
          h("h2", { id: "notes", text: "Notes" }),
          h(
            "ul",
            { class: "notes" },
            view.notes.map((text) => h("li", { text })),
          ),
        )
      : null,
    terms.length
      ? h(
          "section",
          { "aria-labelledby": "words" },
          h("h2", { id: "words", text: "What the measures mean" }),
          h(
            "dl",
            { class: "glossary" },
            terms.map(([name, text]) => h("div", {}, h("dt", { text: name }), h("dd", { text }))),
          ),
        )
      : null,
    h("footer", {
      text: `Made by ${[view.generator, `device ${view.device}`, view.isa && `instruction set ${view.isa}`, view.timezone && `time zone ${view.timezone}`].filter(Boolean).join(" · ")}`,
    }),
  ];
}

page.replaceChildren(...[...top(), performance(), matrix(), allFindings(), ...ending()].filter(Boolean));
page.querySelectorAll(".listing.wide:has(.performance)").forEach((one) => (one.scrollLeft = one.scrollWidth)); // the latest windows first
if (table.isConnected) {
  const fit = () => {
    scroller.classList.toggle("scrolls", table.scrollWidth > scroller.clientWidth + 1);
    panel.charts.forEach((c) => c.resize());
  };
  fillMatrix();
  fit();
  scroller.scrollLeft = scroller.scrollWidth;
  new ResizeObserver(fit).observe(scroller);
  const redraw = () => {
    if (panel.open) open(panel.index, panel.window, false);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.theme = "light";
    redraw();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.theme;
    redraw();
  });
}
