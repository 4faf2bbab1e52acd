// The start: read the trace, build the page, keep the URL up to date. `mmpiTest` lets tests look, not touch.
"use strict";

function badge(text, kind, title) {
  return make("span", { class: `badge ${kind}`, title }, text);
}

function showHeader(app) {
  const { model } = app, { meta } = model, name = (meta.program || "trace").split("/").pop();
  const ranks = new Set(model.rows.map((row) => row.rank)).size, hosts = meta.hosts || [];
  document.getElementById("program").textContent = name;
  document.getElementById("facts").textContent = [`${ranks} rank${ranks === 1 ? "" : "s"}${hosts.length > 1 ? ` on ${hosts.length} hosts` : ""}`, lasting(model.end),
    `${counted(model.calls.total)} calls`, app.messages.total ? `${counted(app.messages.total)} messages` : "", meta.library || "",
    meta.began ? new Date(meta.began / 1e6).toISOString().replace("T", " ").slice(0, 19) : ""].filter(Boolean).join(" · ");
  document.getElementById("badges").replaceChildren(...badges(model));
  if (app.report) return;
  document.getElementById("pages").hidden = true;
}

function badges(model) {
  const { meta } = model, hosts = meta.hosts || [], found = [];
  const bound = Math.max(0, ...hosts.map((host) => host.bound || 0)), residual = Math.max(0, ...hosts.map((host) => host.residual || 0));
  const clocks = hosts.length > 1 ? `clocks ±${lasting(bound)}` : "one clock";
  const violations = meta.violations ? `; ${counted(meta.violations)} messages seem to arrive before they were sent` : "; no message arrives before it was sent";
  found.push(badge(clocks, meta.violations ? "warn" : "",
    hosts.length > 1 ? `${hosts.length} hosts, bound ±${lasting(bound)}, residual ${lasting(residual)}${violations}` : `all ranks share one clock${violations}`));
  if (meta.dropped) found.push(badge(`${counted(meta.dropped)} records lost`, "alarm",
    "there was no room for them: what they were is not in this picture"));
  if (meta.missing?.length) found.push(badge(`${counted(meta.missing.length)} ranks missing`, "alarm",
    `no data of ${ranksText(meta.missing)}`));
  if (meta.complete === false) found.push(badge("cut off", "warn", "the run did not end in order"));
  if (meta.from !== undefined) found.push(badge("a part", "warn",
    `only ${moment(meta.from)} to ${moment(meta.to)} of ${lasting(meta.duration)} are in this page`));
  return found;
}

function fillRowsMenu(app) {
  const option = (value, text) => make("option", { value }, text);
  const comms = app.model.comms.map((comm, k) => [comm, k]).filter(([comm, k]) => k && comm.members && comm.members.length);
  document.getElementById("rows").replaceChildren(option("", "Rows: by rank"), option("wait", "Rows: by waiting"),
    option("host", "Rows: by host"),
    ...comms.slice(0, 200).map(([, k]) => option(`comm${k}`, `Rows: ${app.model.commText(k)}`)));
}

function keepUrl(app) {
  let timer = 0;
  const write = () => {
    const hash = `#${app.page === "report" ? "report&" : ""}${app.state.toHash()}`;
    if (location.hash === hash) return;
    app.ownHash = hash;
    try {
      history.replaceState(null, "", hash);
    } catch {
      // Pages without an address of their own, as in a notebook, have no hash to keep.
    }
  };
  app.state.onChange(() => {
    clearTimeout(timer);
    timer = setTimeout(write, 500);
  });
  addEventListener("hashchange", () => location.hash !== app.ownHash && takeHash(app));
}

function takeHash(app) {
  const { state } = app, text = location.hash, known = state.fromHash(text);
  app.showControls();
  if (state.query) app.search(state.query);
  app.panels.paint();
  const page = app.report && (text.startsWith("#report") || !known) ? "report" : "timeline";
  app.openPage(page);
  state.changed();
}

function exposeForTests(app) {
  const { state, model } = app, number = (list) => Array.from(list, Number);
  const test = {
    state: () => ({ from: state.from, to: state.to, lines: state.lines.map((line) => line.row.index),
      small: state.lines.map((line) => line.small), tool: state.tool,
      selection: state.selection, picked: state.picked, cursor: state.cursor, visible: [...state.visible], searchable: [...state.searchable],
        colors: [...state.colors],
      palette: state.palette, look: state.look, show: { ...state.show }, panel: state.panel, query: state.query,
        hits: state.hits ? number(state.hits) : null, hit: state.hit,
      past: state.past.length, future: state.future.length, page: app.page, scroll: state.scroll, rowHeight: state.rowHeight,
        pair: state.arrows.pair }),
    counts: () => ({ calls: model.calls.total, messages: app.messages.total, collectives: app.collectives.total, waits: app.waits.total,
      arrowsInView: app.arrows.inView,
      arrowsDrawn: app.ink.arrowPlaces.length, bundled: Boolean(app.arrows.bundles), bandsDrawn: app.ink.bandsDrawn, ...app.bars.drawn }),
    hit: (x, y) => app.hit(x, y),
    place: (call) => ({ x: app.ink.x(model.start[call]), end: app.ink.x(model.ends(call)), y: app.ink.middle(app.rowIndexOf(call)),
      row: app.rowIndexOf(call) }),
    call: (call) => ({ start: model.start[call], duration: model.duration[call], operation: model.operations[model.operation[call]].name,
      depth: model.depth[call],
      ...Object.fromEntries(Object.keys(TYPES.calls).map((name) => [name, model.value(name, call)])) }),
    statistics: (from, to) => ({ ...totals(app, from, to),
      rows: totals(app, from, to).rows.map(({ row, sums, ...rest }) => ({ rank: row.rank, ...rest })),
      total: undefined, operations: model.operations.map(({ name }, k) => {
        const { total } = totals(app, from, to);
        return { name, count: total.count[k], inclusive: total.inclusive[k], exclusive: total.exclusive[k], waited: total.waited[k] };
      }) }),
    matrix: (from, to) => matrixStatistics(app, from, to),
    sites: (from, to) => siteStatistics(app, from, to),
    pixel: (x, y) => {
      const { bars, plot, ratio } = app, at = bars.pixels[Math.round((y - AXIS) * ratio) * bars.canvas.width +
        Math.round((x - plot.left) * ratio)];
      return [at & 255, at >> 8 & 255, at >> 16 & 255];
    },
    svg: () => svgText(app), csv: () => callsCsv(app).join(""),
    times: () => ({ ...app.times, frames: [...app.frames] }),
  };
  window.mmpiTest = Object.freeze(test);
}

async function main() {
  const loading = document.getElementById("loading");
  try {
    const began = performance.now(), loaded = await loadTrace(), decoded = performance.now();
    const app = new App(loaded);
    app.info = new Info(app);
    app.panels = new Panels(app);
    app.input = new Input(app);
    app.page = "timeline";
    showHeader(app);
    fillRowsMenu(app);
    app.reportPage = new ReportPage(app);
    takeHash(app);
    keepUrl(app);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => app.setLook(app.state.palette));
    app.afterPaint = () => document.getElementById("range").textContent = `${moment(app.state.from, app.state.span / 1000)} – ${moment(app.state.to, app.state.span / 1000)} · ${lasting(app.state.span)}`;
    if (app.page === "timeline") app.paint();
    app.times = { began, decoded, built: performance.now() };
    loading.hidden = true;
    exposeForTests(app);
  } catch (error) {
    loading.classList.add("alarm");
    loading.textContent = `The trace in this page cannot be read: ${error.message || error}`;
    throw error;
  }
}

main();
