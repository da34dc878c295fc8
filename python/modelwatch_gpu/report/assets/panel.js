// The panel under a row: the distribution, and the measures over the windows.
const panel = { open: false, index: 0, window: 0, measure: null, charts: [], row: null };
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const still = matchMedia("(prefers-reduced-motion: reduce)");
function placePanel() {
  const under = table.querySelector(`tr[data-row="${panel.index}"]`);
  for (const old of table.querySelectorAll(".cell.current")) {
    old.classList.remove("current");
    old.setAttribute("aria-expanded", "false");
  }
  if (!under) return close();
  if (under.nextElementSibling !== panel.row) under.after(panel.row);
  const current = cellAt(panel.index, panel.window);
  current.classList.add("current");
  current.setAttribute("aria-expanded", "true");
}
function close() {
  panel.charts.forEach((c) => c.dispose());
  panel.charts = [];
  if (panel.row) panel.row.remove();
  for (const old of table.querySelectorAll(".cell.current")) {
    old.classList.remove("current");
    old.setAttribute("aria-expanded", "false");
  }
  panel.open = false;
}
function open(index, w, toggle = true) {
  if (toggle && panel.open && panel.index === index && panel.window === w) return close();
  const { column } = states[index];
  if (!panel.open || panel.index !== index)
    panel.measure =
      column.check && column.measures[column.check] ? column.check : Object.keys(column.measures)[0] || null;
  const held = panel.open && panel.row.contains(document.activeElement) ? document.activeElement.dataset.act : null;
  if (panel.open) {
    panel.charts.forEach((c) => c.dispose());
    if (panel.index !== index) panel.row.remove();
  }
  if (!panel.row) {
    panel.row = h("tr", { class: "panel-row" }, h("td", { colspan: windows.length + (last === 0 ? 2 : 1) }));
    panel.row.addEventListener("keydown", panelKeys);
  }
  Object.assign(panel, { open: true, index, window: w });
  panel.row.firstChild.replaceChildren(panelBody());
  placePanel();
  drawCharts();
  const again = held && panel.row.querySelector(`[data-act="${CSS.escape(held)}"]:not(:disabled)`);
  if (held) (again || panel.row.querySelector("[data-act]:not(:disabled)")).focus();
}
function panelKeys(e) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
  if (step && windows[panel.window + step]) {
    e.preventDefault();
    open(panel.index, panel.window + step, false);
  }
  if (e.key === "Escape") {
    const back = cellAt(panel.index, panel.window);
    close();
    if (back) {
      rove(back);
      back.focus();
    }
  }
}
function reveal(index, w) {
  if (!states[index]) return;
  if (!table.querySelector(`tr[data-row="${index}"]`)) {
    Object.assign(look, { text: "", changed: false, all: true });
    page.querySelectorAll(".controls input[type=search]").forEach((i) => {
      i.value = "";
    });
    fillMatrix();
  }
  open(index, w, false);
  const target = cellAt(index, w);
  rove(target);
  target.focus({ preventScroll: true });
  target.closest("tr").scrollIntoView({ block: "start", behavior: still.matches ? "auto" : "smooth" });
}
function shares() {
  const d = states[panel.index].column.distribution;
  const now = d && d.windows[panel.window];
  return now ? { ...d, now } : null;
}
function panelBody() {
  const { column, signs } = states[panel.index];
  const w = panel.window,
    sign = signs[w],
    d = shares(),
    main = column.strip[w];
  const go = (act, to, text, name) =>
    h("button", {
      type: "button",
      class: "step",
      "data-act": act,
      "aria-label": name,
      disabled: !windows[to],
      text,
      onclick: () => open(panel.index, to, false),
    });
  const measures = Object.keys(column.measures);
  const tabs = h(
    "div",
    { class: "tabs", role: "group", "aria-label": "Measure over time" },
    measures.map((m) =>
      h(
        "button",
        {
          type: "button",
          "data-act": `m-${m}`,
          "aria-pressed": String(m === panel.measure),
          onclick: () => {
            panel.measure = m;
            open(panel.index, w, false);
          },
        },
        `${m} `,
        h("b", { text: empty(column.measures[m][w]) ? "–" : number(column.measures[m][w], m) }),
      ),
    ),
  );
  const gone = !windows[w].rows
    ? `There are no rows in this ${period()}.`
    : column.distribution
      ? `${column.name} has no values to show in this ${period()}.`
      : "This report holds no distribution for this column.";
  return h(
    "div",
    { class: "panel", role: "region", "aria-label": `${column.name} in ${label(w)}` },
    h(
      "div",
      { class: "panel-head" },
      h("h3", {}, h("span", { text: column.name }), badge(sign.severity)),
      h("small", { text: [column.role, column.kind, column.type].filter(Boolean).join(" · ") }),
      h(
        "div",
        { class: "steps" },
        last > 0 && go("previous", w - 1, "‹", `Previous ${period()}`),
        h("b", { text: label(w), "aria-live": "polite" }),
        last > 0 && go("next", w + 1, "›", `Next ${period()}`),
        h("button", {
          type: "button",
          class: "step",
          "data-act": "close",
          "aria-label": "Close",
          text: "×",
          onclick: () => panelKeys({ key: "Escape" }),
        }),
      ),
    ),
    h(
      "p",
      { class: "why" },
      sign.reason || (column.check ? "No verdict here." : "Shown, not judged: no check is set for this column."),
      " ",
      sign.severity === "none" ? "" : h("span", { class: "quiet", text: valueText(sign, column) + "." }),
      sign.other && main ? h("span", { class: "quiet", text: ` Its main check: ${main.reason}` }) : "",
    ),
    h(
      "div",
      { class: last > 0 && measures.length ? "charts" : "charts one" },
      h(
        "figure",
        { "data-testid": "distribution" },
        h(
          "figcaption",
          {},
          h("span", { class: "series base", text: "baseline" }),
          h("span", { class: "series now", text: `${label(w)}, ${count(windows[w].rows, "row")}` }),
        ),
        d
          ? h("div", {
              class: "chart",
              "data-chart": "distribution",
              role: "img",
              "aria-label":
                d.kind === "cloud"
                  ? `Vectors of ${column.name} along the baseline's two main directions: baseline and ${label(w)}.`
                  : `Shares of ${column.name}: baseline beside ${label(w)}. The numbers follow below.`,
            })
          : h("p", { class: "gone", text: gone }),
      ),
      measures.length
        ? h(
            "figure",
            {},
            tabs,
            last > 0
              ? h("div", {
                  class: "chart",
                  "data-chart": "trend",
                  role: "img",
                  "aria-label": `${panel.measure} of ${column.name} over time`,
                })
              : null,
          )
        : null,
    ),
    d && d.kind === "cloud" && exemplars(d.now.exemplars),
    d &&
      d.kind !== "cloud" &&
      h(
        "details",
        {},
        h("summary", { text: "The numbers" }),
        h(
          "table",
          { class: "numbers" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              [column.kind === "numeric" ? "range" : "value", "baseline", label(w), "change"].map((text) =>
                h("th", { scope: "col", text }),
              ),
            ),
          ),
          h(
            "tbody",
            {},
            d.labels.map((text, i) =>
              h(
                "tr",
                {},
                h("th", { scope: "row", text }),
                [
                  percent(d.baseline[i]),
                  percent(d.now[i]),
                  `${d.now[i] >= d.baseline[i] ? "+" : "−"}${Math.abs(100 * (d.now[i] - d.baseline[i])).toFixed(1)} points`,
                ].map((x) => h("td", { text: x })),
              ),
            ),
          ),
        ),
      ),
  );
}
function drawCharts() {
  panel.charts = [...panel.row.querySelectorAll(".chart")].map((box) => {
    const option = box.dataset.chart === "trend" ? trend() : shares().kind === "cloud" ? cloud() : bars(box);
    const chart = echarts.init(box, null, { renderer: "canvas" });
    const ink = css("--quiet");
    const axis = {
      axisLabel: { color: ink, fontSize: 11 },
      axisLine: { lineStyle: { color: css("--line") } },
      axisTick: { show: false },
      splitLine: { lineStyle: { color: css("--line") } },
    };
    const dress = (a) => ({ ...axis, ...a, axisLabel: { ...axis.axisLabel, ...a.axisLabel } });
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: css("--font") },
      ...option,
      xAxis: dress(option.xAxis),
      yAxis: dress(option.yAxis),
      tooltip: {
        trigger: "axis",
        renderMode: "richText",
        confine: true,
        backgroundColor: css("--raised"),
        borderColor: css("--line"),
        textStyle: { color: css("--ink"), fontSize: 12 },
        ...option.tooltip,
      },
    });
    if (box.dataset.chart === "trend")
      chart.on("click", (e) => {
        if (e.componentType === "series") open(panel.index, e.dataIndex, false);
      });
    return chart;
  });
}
function exemplars(rows) {
  return h(
    "details",
    {},
    h("summary", { text: "Rows that moved most" }),
    h(
      "table",
      { class: "numbers" },
      h("thead", {}, h("tr", {}, ["row", "distance"].map((text) => h("th", { scope: "col", text })))),
      h(
        "tbody",
        {},
        rows.map(([text, distance]) =>
          h("tr", {}, h("th", { scope: "row", text }), h("td", { text: distance.toPrecision(3) })),
        ),
      ),
    ),
  );
}
function cloud() {
  const d = shares();
  // A line without a line: the bundle has no scatter.
  const series = (name, data, color) => ({
    name,
    type: "line",
    data,
    lineStyle: { opacity: 0 },
    showAllSymbol: true,
    symbol: "circle",
    symbolSize: 5,
    silent: true,
    itemStyle: { color, opacity: 0.55 },
  });
  const axis = { type: "value", scale: true, axisLabel: { show: false } };
  return {
    grid: { left: 8, right: 8, top: 8, bottom: 8 },
    xAxis: axis,
    yAxis: { ...axis },
    series: [series("baseline", d.baseline, css("--base")), series("now", d.now.points, css("--now"))],
    tooltip: { show: false },
  };
}
function bars(box) {
  const d = shares(),
    flat = d.kind === "categorical";
  let order = d.labels.map((_, i) => i);
  if (flat && order.length > 40)
    order = order
      .sort((a, b) => Math.abs(d.now[b] - d.baseline[b]) - Math.abs(d.now[a] - d.baseline[a]))
      .slice(0, 40)
      .sort((a, b) => a - b);
  if (flat) box.style.setProperty("height", `${Math.max(160, order.length * 26 + 40)}px`);
  const small = box.clientWidth < 480;
  const names = {
    type: "category",
    data: order.map((i) => d.labels[i]),
    inverse: flat,
    axisLabel: {
      interval: flat ? 0 : "auto",
      rotate: flat || order.length < 5 ? 0 : 35,
      width: flat ? (small ? 96 : 150) : 90,
      overflow: "truncate",
    },
  };
  const amounts = { type: "value", axisLabel: { formatter: (x) => `${Math.round(x * 1000) / 10}%` } };
  const series = (name, values, color) => ({
    name,
    type: "bar",
    data: order.map((i) => values[i]),
    barGap: "8%",
    barCategoryGap: "28%",
    barMaxWidth: 36,
    itemStyle: { color, borderRadius: flat ? [0, 2, 2, 0] : [2, 2, 0, 0] },
  });
  return {
    grid: { left: 4, right: 16, top: 12, bottom: 4, containLabel: true },
    xAxis: flat ? amounts : names,
    yAxis: flat ? names : amounts,
    series: [series("baseline", d.baseline, css("--base")), series("now", d.now, css("--now"))],
    tooltip: {
      axisPointer: { type: "shadow" },
      formatter: (rows) => {
        const i = order[rows[0].dataIndex];
        return plain(`${d.labels[i]}\nbaseline ${percent(d.baseline[i])}\n${label(panel.window)} ${percent(d.now[i])}`);
      },
    },
  };
}
function trend() {
  const { column, signs } = states[panel.index],
    m = panel.measure,
    values = column.measures[m],
    main = m === column.check;
  const shape = {
    ok: "circle",
    warning: "triangle",
    alert: "diamond",
    not_enough_data: "emptyCircle",
    none: "emptyCircle",
  };
  const point = (value, w) => {
    const s = main && column.strip[w] ? column.strip[w].severity : "ok",
      here = w === panel.window;
    const color =
      main && s !== "ok"
        ? css(`--${s === "alert" ? "alert" : s === "warning" ? "warning" : "quiet"}-ink`)
        : css("--now");
    return {
      value,
      symbol: shape[s],
      symbolSize: here ? 15 : windows.length > 60 ? 4 : 9,
      itemStyle: { color, borderColor: css("--paper"), borderWidth: here ? 2 : windows.length > 60 ? 0 : 1 },
    };
  };
  const limits = main
    ? [
        ["warning", column.warn],
        ["alert", column.alert],
      ].filter(([, x]) => !empty(x))
    : [];
  const peak = Math.max(...limits.map(([, x]) => x), ...values.filter((x) => !empty(x)), 0) * 1.08,
    unit = 10 ** Math.floor(Math.log10(peak || 1));
  const [steps, parts] = [
    [1, 5],
    [1.2, 4],
    [1.5, 5],
    [2, 4],
    [2.5, 5],
    [3, 3],
    [4, 4],
    [5, 5],
    [6, 3],
    [8, 4],
    [10, 5],
  ].find(([k]) => k * unit >= peak) || [1, 5];
  const max = peak > 0 ? Number((steps * unit).toPrecision(3)) : undefined;
  const below = values.some((x) => x < 0);
  return {
    grid: { left: 4, right: 16, top: 20, bottom: 4, containLabel: true },
    xAxis: { type: "category", data: windows.map((x) => x.label), boundaryGap: true, axisLabel: { hideOverlap: true } },
    yAxis: {
      type: "value",
      max: below ? undefined : max,
      interval: max && !below ? max / parts : undefined,
      axisLabel: { formatter: (x) => number(x, m) },
    },
    series: [
      {
        type: "line",
        data: values.map(point),
        connectNulls: false,
        lineStyle: { color: css("--now"), width: 2 },
        showAllSymbol: true,
        markLine: {
          silent: true,
          symbol: "none",
          data: limits.map(([s, y]) => ({
            yAxis: y,
            lineStyle: { color: css(`--${s}-ink`), type: s === "alert" ? "solid" : "dashed", width: 1.25 },
            label: {
              formatter: `${s} ${number(y, m)}`,
              position: "insideStartTop",
              color: css(`--${s}-ink`),
              fontSize: 11,
            },
          })),
        },
      },
    ],
    tooltip: {
      formatter: (rows) => {
        const w = rows[0].dataIndex;
        return plain(
          `${label(w)}\n${m} ${number(values[w], m)}${main && signs[w].severity !== "none" ? `\n${WORD[signs[w].severity]}` : ""}`,
        );
      },
    },
  };
}
