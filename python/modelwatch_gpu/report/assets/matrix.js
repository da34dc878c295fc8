// The strip matrix: a row per column, a cell per window.
const look = { sort: "worst", text: "", changed: false, all: false };
const density = windows.length <= 14 ? "roomy" : windows.length <= 40 ? "narrow" : "dense";
const table = h("table", { class: `matrix ${density}${windows.length < 6 ? " few" : ""}` });
const scroller = h("div", { class: "scroller" }, table);
const more = h("p", { class: "quiet", "aria-live": "polite" });
const tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
const cellAt = (c, w) => table.querySelector(`button[data-index="${c}"][data-window="${w}"]`);
function heading() {
  const step = density === "roomy" ? 1 : Math.ceil(76 / (density === "narrow" ? 26 : 14));
  const labels = [],
    rows = [];
  let wide = windows.length % step || step; // what does not divide goes first, so that the latest label has its room
  for (let w = 0; w < windows.length; w += wide, wide = step) {
    const words = label(w).split(" "),
      before = step === 1 && w > 0 && label(w - 1).split(" ");
    const text = before && words.length > 1 && before.at(-1) === words.at(-1) ? words.slice(0, -1).join(" ") : label(w);
    labels.push(
      h("th", {
        scope: wide > 1 ? "colgroup" : "col",
        colspan: wide,
        title: label(w),
        "aria-label": label(w),
        text: wide < step ? "" : text,
      }),
    );
    if (step === 1)
      rows.push(
        h("td", {
          class: windows[w].rows ? null : "empty",
          title: `${count(windows[w].rows, "row")}`,
          text: windows[w].rows ? compact(windows[w].rows) : "empty",
        }),
      );
  }
  return h(
    "thead",
    {},
    h("tr", {}, h("td", { class: "name" }), labels, last === 0 && h("td", {})),
    rows.length
      ? h(
          "tr",
          { class: "rows" },
          h("th", { class: "name", scope: "row", text: "rows" }),
          rows,
          last === 0 && h("td", {}),
        )
      : null,
  );
}
function cell(state, w) {
  const { column, index, signs } = state;
  const sign = signs[w];
  const also = !sign.other && others[index].get(w);
  const words = [
    column.name,
    label(w),
    WORD[sign.severity],
    sign.severity === "none" ? "" : valueText(sign, column),
    sign.reason,
    also && off(also) ? `also ${also.check}: ${WORD[also.severity]}` : "",
  ]
    .filter(Boolean)
    .join(", ");
  const shown =
    density === "roomy" && !empty(sign.value) && sign.severity !== "not_enough_data"
      ? short(sign.value, sign.check)
      : "";
  return h(
    "td",
    {},
    h(
      "button",
      {
        class: "cell",
        type: "button",
        tabindex: -1,
        "data-testid": "cell",
        "data-column": column.name,
        "data-index": index,
        "data-window": w,
        "data-severity": sign.severity,
        "data-level": level(sign, column),
        "data-also": also && off(also) ? "" : null,
        "aria-label": words,
        "aria-expanded": "false",
      },
      mark(sign.severity),
      shown && h("span", { class: "value", text: shown }),
    ),
  );
}
function row(state) {
  const { column, since, signs } = state;
  const lasting = since !== null && last > 0 ? `since ${label(since)}` : null;
  const detail = [lasting, column.check || "shown, not judged"].filter(Boolean).join(" · ");
  return h(
    "tr",
    { "data-row": state.index },
    h(
      "th",
      { class: "name", scope: "row", title: column.name, "aria-label": column.name },
      bothEnds(column.name),
      h("small", { text: detail }),
    ),
    windows.map((_, w) => cell(state, w)),
    last === 0 && h("td", { class: "reason", text: signs[0].reason }),
  );
}
function fillMatrix() {
  const compare = {
    worst: worstFirst,
    name: (a, b) => (a.column.name < b.column.name ? -1 : 1),
    role: (a, b) => (a.column.role < b.column.role ? -1 : a.column.role > b.column.role ? 1 : a.index - b.index),
  }[look.sort];
  const wanted = states
    .filter((s) => (!look.changed || s.changed) && s.column.name.toLowerCase().includes(look.text))
    .sort(compare);
  const outputs = wanted.filter((s) => ["score", "prediction", "label"].includes(s.column.role));
  const features = wanted.filter((s) => s.column.role === "feature");
  const rest = wanted.filter((s) => !outputs.includes(s) && !features.includes(s));
  let room = look.all ? Infinity : ROWS_AT_FIRST;
  const bodies = [
    ["Model", outputs],
    ["Features", features],
    ["Other", rest],
  ]
    .filter(([, group]) => group.length)
    .map(([name, group]) => {
      const shown = group.slice(0, Math.max(0, room));
      room -= shown.length;
      return shown.length
        ? h(
            "tbody",
            {},
            h(
              "tr",
              { class: "group" },
              h("th", { class: "name", scope: "rowgroup", text: name }),
              h("td", { colspan: windows.length + (last === 0 ? 1 : 0) }),
            ),
            shown.map(row),
          )
        : null;
    });
  table.replaceChildren(heading(), ...bodies.filter(Boolean));
  const hidden = look.all ? 0 : Math.max(0, wanted.length - ROWS_AT_FIRST);
  more.replaceChildren(
    wanted.length
      ? hidden
        ? h("button", {
            class: "link",
            text: `Show ${hidden} more columns`,
            onclick: () => {
              look.all = true;
              fillMatrix();
            },
          })
        : ""
      : "No column fits. Clear the filter to see all.",
  );
  if (panel.open) placePanel();
  rove(table.querySelector(".cell.current") || table.querySelector(".cell"));
}
function rove(button) {
  if (!button) return;
  for (const old of table.querySelectorAll('.cell[tabindex="0"]')) old.tabIndex = -1;
  button.tabIndex = 0;
}
function showTip(button) {
  if (button.classList.contains("current")) return; // its panel says more
  const state = states[Number(button.dataset.index)],
    w = Number(button.dataset.window),
    sign = state.signs[w];
  tip.replaceChildren(
    h("b", { text: `${state.column.name}, ${label(w)}` }),
    badge(sign.severity),
    sign.severity === "none" ? "" : h("span", { text: valueText(sign, state.column) }),
    sign.reason ? h("span", { text: sign.reason }) : "",
    h("small", { text: `${count(windows[w].rows, "row")} in this ${period()}` }),
  );
  tip.hidden = false;
  const at = button.getBoundingClientRect(),
    size = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(at.left + at.width / 2 - size.width / 2, innerWidth - size.width - 8))}px`;
  tip.style.top = `${at.bottom + size.height + 16 < innerHeight ? at.bottom + 8 : at.top - size.height - 8}px`;
}
function listenToCells() {
  const on = (e) => e.target.closest(".cell");
  table.addEventListener("click", (e) => {
    const b = on(e);
    if (b) {
      tip.hidden = true;
      rove(b);
      open(Number(b.dataset.index), Number(b.dataset.window));
    }
  });
  table.addEventListener("pointerover", (e) => {
    if (e.pointerType !== "touch" && on(e)) showTip(on(e));
  });
  table.addEventListener("pointerout", () => {
    tip.hidden = true;
  });
  table.addEventListener("focusin", (e) => {
    if (on(e) && on(e).matches(":focus-visible")) showTip(on(e));
  });
  table.addEventListener("focusout", () => {
    tip.hidden = true;
  });
  addEventListener(
    "scroll",
    () => {
      tip.hidden = true;
    },
    { passive: true, capture: true },
  );
  table.addEventListener("keydown", (e) => {
    const b = on(e);
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
    if (!b || !(move || e.key === "Home" || e.key === "End")) return;
    e.preventDefault();
    const rows = [...table.querySelectorAll("tr[data-row]")];
    const r = rows.indexOf(b.closest("tr")) + (move ? move[0] : 0);
    const w = e.key === "Home" ? 0 : e.key === "End" ? last : Number(b.dataset.window) + move[1];
    const next = rows[r] && cellAt(rows[r].dataset.row, w);
    if (!next) return;
    rove(next);
    next.focus();
    if (panel.open && panel.index === Number(next.dataset.index)) open(panel.index, w, false);
  });
}
function matrix() {
  if (!windows.length || !columns.length) return null;
  listenToCells();
  const sort = h(
    "select",
    {
      "aria-label": "Sort columns",
      onchange: (e) => {
        look.sort = e.target.value;
        fillMatrix();
      },
    },
    [
      ["worst", "Worst first"],
      ["name", "By name"],
      ["role", "By role"],
    ].map(([value, text]) => h("option", { value, text })),
  );
  const filter = h("input", {
    type: "search",
    placeholder: "Find a column",
    "aria-label": "Find a column",
    oninput: (e) => {
      look.text = e.target.value.toLowerCase();
      fillMatrix();
    },
  });
  const only = h(
    "label",
    { class: "check" },
    h("input", {
      type: "checkbox",
      onchange: (e) => {
        look.changed = e.target.checked;
        fillMatrix();
      },
    }),
    "Only what changed",
  );
  const key = h(
    "p",
    { class: "key" },
    ["ok", "warning", "alert", "not_enough_data", "none"].map((s) =>
      h("span", {}, h("span", { class: "swatch", "data-severity": s, "data-level": 2 }, mark(s)), WORD[s]),
    ),
  );
  if (states.some((s) => others[s.index].size))
    key.append(
      h(
        "span",
        {},
        h("span", { class: "swatch", "data-severity": "ok", "data-level": 1, "data-also": "" }),
        "another check fired too",
      ),
    );
  return h(
    "section",
    { "aria-labelledby": "columns" },
    h(
      "div",
      { class: "bar" },
      h("h2", { id: "columns", text: last > 0 ? `Every column, ${period()} by ${period()}` : "Every column" }),
      h("div", { class: "controls" }, filter, sort, only),
    ),
    key,
    scroller,
    more,
    tip,
  );
}
