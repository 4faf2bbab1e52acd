// The panels at the right: legend, statistics, matrix, hits.
"use strict";

const COLUMNS = [["name", "Name"], ["count", "Count"], ["inclusive", "Incl %"], ["exclusive", "Excl %"]];

class Panels {
  constructor(app) {
    this.app = app;
    this.body = document.getElementById("panel");
    this.sort = ["exclusive", -1];
    this.chosen = new Set();
    this.measure = "bytes";
    for (const button of document.querySelectorAll("[data-panel]")) {
      button.addEventListener("click", () => this.open(button.dataset.panel));
    }
  }

  open(name) {
    this.app.state.panel = ["legend", "statistics", "matrix", "hits"].includes(name) ? name : "legend";
    this.paint();
    this.app.state.changed("panel");
  }

  // The interval that the numbers are of: the selection, else the whole trace.
  get interval() {
    const { state, model } = this.app;
    return state.selection || [model.begin, model.end];
  }

  paint() {
    const { state } = this.app;
    for (const button of document.querySelectorAll("[data-panel]")) {
      button.setAttribute("aria-selected", String(button.dataset.panel === state.panel));
    }
    const focused = document.activeElement?.dataset?.key, scroll = this.body.scrollTop;
    this.body.replaceChildren(...this[state.panel]());
    this.body.scrollTop = scroll;
    if (focused) this.body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  intervalNote() {
    const { state } = this.app;
    if (!state.selection) return make("p", { class: "note" }, "Whole trace. Select an interval (3, then drag) to have its numbers.");
    const [from, to] = state.selection;
    const clear = make("button", { onclick: () => this.app.select(null), "data-key": "clear" }, "Whole trace");
    return make("p", { class: "note" }, `Selected: ${moment(from)} to ${moment(to)}, ${lasting(to - from)} `, clear);
  }

  // --- legend ---

  legend() {
    const { app } = this, { model, state } = app, [from, to] = this.interval;
    const shown = state.visibleRows, { all } = model.interval(shown, from, to);
    const wall = shown.reduce((sum, row) => sum + Math.max(0, Math.min(row.until, to) - Math.max(row.since, from)), 0) || 1;
    const rows = model.operations.map((operation, k) => ({ k, name: state.names[k], kind: operation.kind, count: all.count[k],
      inclusive: all.inclusive[k] / wall, exclusive: all.exclusive[k] / wall }));
    const [key, sign] = this.sort;
    rows.sort((a, b) => (a[key] < b[key] ? -sign : a[key] > b[key] ? sign : a.k - b.k));
    const box = (label, list) => make("input", { type: "checkbox", title: `${label} all`, "aria-label": `${label} all`,
      "data-key": `all-${label}`,
      checked: list.every(Boolean), indeterminate: list.some(Boolean) && !list.every(Boolean),
      onchange: (event) => this.setAll(label, event.target.checked) });
    const head = make("tr", {}, make("th"), make("th", {}, box("visible", state.visible)), make("th", {}, box("searchable", state.searchable)),
      ...COLUMNS.map(([name, title]) => this.heading(name, title)));
    const table = make("table", { class: "legend" }, make("thead", {}, head), make("tbody", {}, ...rows.map((row) => this.legendRow(row))));
    return [this.intervalNote(), table, make("p", { class: "note" },
      "First box: drawn. Second: searched. Click rows (Shift, Ctrl for several) to change them together; double-click a name to rename it.")];
  }

  heading(name, title) {
    const sorted = this.sort[0] === name ? (this.sort[1] > 0 ? "ascending" : "descending") : "none";
    const click = () => {
      this.sort = [name, this.sort[0] === name ? -this.sort[1] : name === "name" ? 1 : -1];
      this.paint();
    };
    return make("th", { class: name === "name" ? "left" : "", "aria-sort": sorted },
      make("button", { onclick: click, "data-key": `sort-${name}` }, title));
  }

  legendRow({ k, name, count, inclusive, exclusive }) {
    const { state } = this.app;
    const box = (label, list) => make("input", { type: "checkbox", checked: list[k], "aria-label": `${name} ${label}`,
      "data-key": `${label}-${k}`,
      onchange: (event) => this.set(label, k, event.target.checked) });
    const color = make("input", { type: "color", value: state.colors[k], "aria-label": `colour of ${name}`, "data-key": `color-${k}`,
      oninput: (event) => this.recolor(k, event.target.value) });
    const title = make("td", { class: "name", title: name, ondblclick: (event) => this.rename(event.currentTarget, k) }, name);
    return make("tr", { "data-operation": String(k), "aria-selected": String(this.chosen.has(k)), onclick: (event) => this.choose(event, k) },
      make("td", {}, color), make("td", {}, box("visible", state.visible)), make("td", {}, box("searchable", state.searchable)), title,
      make("td", { class: count ? "" : "zero" }, counted(count)), make("td", {}, percent(inclusive)), make("td", {}, percent(exclusive)));
  }

  choose(event, k) {
    if (event.target.tagName === "INPUT" || event.detail > 1) return;
    const order = [...this.body.querySelectorAll("tr[data-operation]")].map((row) => Number(row.dataset.operation));
    if (event.shiftKey && this.anchor !== undefined) {
      const [a, b] = [order.indexOf(this.anchor), order.indexOf(k)].sort((x, y) => x - y);
      for (const one of order.slice(a, b + 1)) this.chosen.add(one);
    } else if (event.ctrlKey || event.metaKey) this.chosen[this.chosen.has(k) ? "delete" : "add"](k);
    else this.chosen = new Set(this.chosen.size === 1 && this.chosen.has(k) ? [] : [k]);
    this.anchor = k;
    for (const row of this.body.querySelectorAll("tr[data-operation]")) {
      row.setAttribute("aria-selected", String(this.chosen.has(Number(row.dataset.operation))));
    }
  }

  set(label, k, value) {
    const of = this.chosen.has(k) ? [...this.chosen] : [k];
    for (const one of of) this.app.state[label][one] = value;
    this.paint();
    this.app.state.changed("legend");
  }

  setAll(label, value) {
    this.app.state[label].fill(value);
    this.paint();
    this.app.state.changed("legend");
  }

  recolor(k, color) {
    const { state } = this.app;
    state.ownColors[k] = color;
    state.colors[k] = color;
    state.changed("legend");
  }

  rename(cell, k) {
    const { state } = this.app, field = make("input", { value: state.names[k], size: 12, "aria-label": "name" });
    const done = () => {
      state.names[k] = field.value.trim() || state.names[k];
      this.paint();
      state.changed("legend");
    };
    field.addEventListener("keydown", (event) => event.key === "Enter" && field.blur());
    field.addEventListener("blur", done, { once: true });
    cell.replaceChildren(field);
    field.select();
  }

  // --- statistics ---

  statistics() {
    const { app } = this, [from, to] = this.interval, numbers = app.totals(from, to);
    const card = (value, name) => make("div", {}, make("b", {}, value), make("span", {}, name));
    const cards = make("div", { class: "cards" }, card(lasting(to - from), "interval"), card(percent(numbers.mpi / numbers.wall), "in MPI"),
      card(percent(numbers.wait / numbers.wall), "waiting"), card(counted(numbers.calls), "calls of MPI"), card(counted(numbers.messages),
        "messages"),
      card(bytesText(numbers.bytes), "sent"));
    return [this.intervalNote(), cards, make("h2", {}, "Rows"), this.rowTable(numbers), make("h2", {}, "Operations"),
      this.operationTable(numbers),
      make("h2", {}, "Lines"), this.siteTable(from, to)];
  }

  rowTable(numbers) {
    const { app } = this;
    const body = numbers.rows.map((row) => {
      return make("tr", { class: "link", onclick: () => app.showRow(row.row) }, make("td", { class: "left" }, app.model.rowName(row.row)),
        make("td", {}, shareBar(row)),
        make("td", {}, percent(row.mpi / row.wall)), make("td", {}, percent(row.wait / row.wall)), make("td", {}, counted(row.calls)));
    });
    return simpleTable(["Rank", "", "MPI", "Wait", "Calls"], body);
  }

  operationTable({ total, wall }) {
    const { model, state } = this.app;
    const order = model.operations.map((_, k) => k).filter((k) => total.count[k]).sort((a, b) => total.exclusive[b] - total.exclusive[a]);
    return simpleTable(["Operation", "Count", "Time", "Share", "Waiting"], order.map((k) => make("tr", {},
      make("td", { class: "name" }, state.names[k]), make("td", {}, counted(total.count[k])), make("td", {}, lasting(total.exclusive[k])),
      make("td", {}, percent(total.exclusive[k] / wall)), make("td", {}, total.waited[k] ? lasting(total.waited[k]) : ""))));
  }

  siteTable(from, to) {
    const { app } = this, { model, state } = app;
    const body = app.sites(from, to).slice(0, 25).map((group) => {
      const place = model.siteText(group.site) || "(no line)", query = `op:${state.names[group.operation]} site:${model.siteText(group.site)}`;
      return make("tr", { class: "link", title: model.siteText(group.site, true), onclick: () => group.site && app.search(query) },
        make("td", { class: "name" }, state.names[group.operation]), make("td", { class: "left" }, place), make("td", {}, counted(group.count)),
        make("td", {}, lasting(group.total)), make("td", {}, percent(group.total ? group.wait / group.total : 0)));
    });
    return simpleTable(["Operation", "Line", "Count", "Time", "Waiting"], body);
  }

  // --- matrix ---

  matrix() {
    const { app } = this, [from, to] = this.interval, cells = app.matrix(from, to), pair = app.state.arrows.pair;
    const choice = make("select", { "aria-label": "what the matrix shows", "data-key": "measure", onchange: (event) => {
      this.measure = event.target.value;
      this.paint();
    } }, ...[["bytes", "Bytes"], ["count", "Messages"], ["wait", "Waiting"]].map(([value, text]) => make("option",
      { value, selected: value === this.measure }, text)));
    const canvas = make("canvas", { id: "matrix", "aria-label": "messages from rank to rank; the table below has the numbers" });
    this.drawMatrix(canvas, cells);
    const order = [...cells].sort((a, b) => b[this.measure] - a[this.measure]).slice(0, 40);
    const body = order.map((cell) => make("tr", { class: "link", tabIndex: 0, "aria-selected": String(Boolean(pair && pair[0] === cell.source &&
      pair[1] === cell.target)),
      "data-key": `pair-${cell.source}-${cell.target}`, onclick: () => app.choosePair(cell.source, cell.target),
      onkeydown: (event) => event.key === "Enter" && app.choosePair(cell.source, cell.target) },
    make("td", { class: "left" }, `${cell.source} → ${cell.target}`), make("td", {}, counted(cell.count)),
      make("td", {}, bytesText(cell.bytes)),
    make("td", {}, cell.wait ? lasting(cell.wait) : "")));
    return [this.intervalNote(), make("p", {}, choice, " from row to column. Click: only the arrows of that pair; again: all."), canvas,
      this.arrowFilter(),
      simpleTable(["Pair", "Messages", "Bytes", "Waiting"], body)];
  }

  // Which arrows to draw, by tag and size.
  arrowFilter() {
    const { state } = this.app, { arrows } = state;
    const field = (label, value, take) => make("label", {}, `${label} `, make("input", { class: "short", value, "aria-label": `arrows ${label}`,
      "data-key": `arrows-${label}`,
      onchange: (event) => {
        take(event.target.value.trim());
        state.changed();
      } }));
    const tag = field("with tag", arrows.tag ?? "", (text) => arrows.tag = /^\d+$/.test(text) ? Number(text) : null);
    const least = field("of at least", arrows.leastText ?? "", (text) => {
      arrows.leastText = text;
      arrows.least = parseBytes(text) || 0;
    });
    return make("p", {}, "Only arrows ", tag, " ", least, " bytes");
  }

  drawMatrix(canvas, cells) {
    const { app } = this, ranks = [...new Set(app.model.rows.map((row) => row.rank))].sort((a, b) => a - b);
    const size = Math.max(1, Math.min(28, Math.floor(320 / ranks.length))), margin = 22, place = new Map(ranks.map((rank, i) => [rank, i]));
    const width = margin + size * ranks.length + 1, ratio = app.ratio || 1, most = Math.max(1, ...cells.map((cell) => cell[this.measure]));
    app.sizeCanvas(canvas, width, width);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(`--${name}`).trim();
    context.fillStyle = color("hover");
    context.fillRect(margin, margin, size * ranks.length, size * ranks.length);
    for (const cell of cells) {
      context.globalAlpha = cell[this.measure] ? 0.12 + 0.88 * cell[this.measure] / most : 0;
      context.fillStyle = color(this.measure === "wait" ? "alarm" : "accent");
      context.fillRect(margin + place.get(cell.target) * size, margin + place.get(cell.source) * size, Math.max(1, size - 1),
        Math.max(1, size - 1));
    }
    this.matrixLabels(context, ranks, size, margin, color);
    canvas.onclick = (event) => {
      const at = (pixel) => ranks[Math.floor((pixel - margin) / size)];
      if (at(event.offsetX) !== undefined && at(event.offsetY) !== undefined) app.choosePair(at(event.offsetY), at(event.offsetX));
    };
    canvas.onmousemove = (event) => {
      const [target, source] = [event.offsetX, event.offsetY].map((pixel) => ranks[Math.floor((pixel - margin) / size)]);
      const cell = cells.find((one) => one.source === source && one.target === target);
      canvas.title = cell ? `${source} → ${target}: ${counted(cell.count)} messages, ${bytesText(cell.bytes)}, waiting ${lasting(cell.wait)}` : "";
    };
  }

  matrixLabels(context, ranks, size, margin, color) {
    const { pair } = this.app.state.arrows, every = Math.ceil(14 / size);
    context.globalAlpha = 1;
    context.fillStyle = color("soft");
    context.font = "10px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    ranks.forEach((rank, i) => {
      if (i % every) return;
      context.textAlign = "right";
      context.fillText(String(rank), margin - 4, margin + (i + 0.5) * size);
      context.textAlign = "center";
      context.fillText(String(rank), margin + (i + 0.5) * size, margin - 8);
    });
    if (!pair) return;
    context.strokeStyle = color("ink");
    context.strokeRect(margin + ranks.indexOf(pair[1]) * size - 0.5, margin + ranks.indexOf(pair[0]) * size - 0.5, size, size);
  }

  // --- hits ---

  hits() {
    const { app } = this, { state, model } = app;
    if (!state.hits) return [make("p", { class: "note" }, "Search with / : all terms must hold."), make("p", { class: "note" }, SEARCH_HELP)];
    const first = Math.max(0, Math.min(state.hit - 50, state.hits.length - 200)), some = state.hits.slice(first, first + 200);
    const body = some.map((call, i) => make("tr", { class: `link${first + i === state.hit ? " active" : ""}`,
      "aria-selected": String(first + i === state.hit),
      onclick: () => app.gotoHit(first + i) }, make("td", { class: "name" }, state.names[model.operation[call]]),
    make("td", {}, model.rowName(model.rowOf(call))), make("td", {}, moment(model.start[call], 1000)),
      make("td", {}, lasting(model.duration[call]))));
    const more = state.hits.length >= MOST_HITS ? " (the first of more)" : "";
    return [make("p", { class: "note" }, `${counted(state.hits.length)} calls${more}; n and p go from one to the next.`),
      simpleTable(["Operation", "Rank", "At", "Lasts"], body)];
  }
}

function simpleTable(titles, body) {
  const head = make("tr", {}, ...titles.map((title, i) => make("th", { class: i === 0 || title === "Line" ? "left" : "" }, title)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
