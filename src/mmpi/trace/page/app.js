// The parts together: layout, painting when something changed, and what is under the pointer.
"use strict";

const GUTTER = 78;

class App {
  constructor(loaded) {
    this.model = new Model(loaded);
    this.messages = new Messages(this.model);
    this.collectives = new Collectives(this.model);
    this.waits = new Waits(this.model);
    this.report = embedded("report");
    this.state = new State(this.model);
    this.arrows = new Arrows(this.state, this.messages);
    this.marks = findMarks(this.model);
    this.stage = document.getElementById("stage");
    this.bars = new Bars(document.getElementById("bars"), this.state);
    this.ink = new Ink(document.getElementById("ink"), this);
    this.overview = new Overview(document.getElementById("overview"), this);
    this.plot = { left: GUTTER, width: 1, height: 1, lines: [] };
    this.ratio = window.devicePixelRatio || 1;
    this.keyboard = false;
    this.drag = null;
    this.frames = [];
    this.dirty = false;
    this.state.onChange((what) => this.changed(what));
  }

  changed(what) {
    if (what === "look") this.overview.stale = true;
    this.moved = performance.now();
    if (this.dirty) return;
    this.dirty = true;
    requestAnimationFrame(() => this.paint());
  }

  // Where everything lies, in CSS pixels.
  layout() {
    const { stage, state, plot } = this, box = stage.getBoundingClientRect();
    this.ratio = window.devicePixelRatio || 1;
    plot.width = Math.max(50, Math.floor(box.width) - GUTTER);
    plot.height = Math.max(20, Math.floor(box.height) - AXIS);
    const weight = state.lines.reduce((sum, line) => sum + (line.small ? 0.3 : 1), 0);
    this.height = state.rowHeight || Math.max(Math.min(plot.height / weight, 76), 3);
    let top = 0;
    const tops = state.lines.map((line) => {
      const height = line.small ? Math.max(3, this.height * 0.3) : this.height, at = top;
      top += height;
      return [line, at, height];
    });
    this.contentHeight = top;
    state.scroll = Math.max(0, Math.min(state.scroll, top - plot.height));
    plot.lines = tops.map(([line, at, height]) => ({ row: line.row, top: at - state.scroll, height, small: line.small }));
    this.lineIndex = new Int32Array(this.model.rows.length).fill(-1);
    state.lines.forEach((line, i) => this.lineIndex[line.row.index] = i);
  }

  sizeCanvas(canvas, width, height) {
    const w = Math.round(width * this.ratio), h = Math.round(height * this.ratio);
    if (canvas.width !== w) canvas.width = w;
    if (canvas.height !== h) canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }

  paint(hurried = true) {
    this.dirty = false;
    const began = performance.now(), { plot } = this;
    this.layout();
    const { canvas } = this.bars;
    this.bars.resize(Math.round(plot.width * this.ratio), Math.round(plot.height * this.ratio));
    canvas.style.width = `${plot.width}px`;
    canvas.style.height = `${plot.height}px`;
    this.sizeCanvas(this.ink.canvas, plot.left + plot.width, AXIS + plot.height);
    this.bars.paint(plot.lines, this.ratio);
    const later = this.arrows.choose(this.lineIndex, plot.width, hurried);
    this.ink.paint();
    this.overview.paint();
    this.paintScrollbar();
    this.frames.push(performance.now() - began);
    if (this.frames.length > 1000) this.frames.shift();
    if (later) this.whenIdle();
    this.afterPaint?.();
  }

  // What takes longer waits until the user does.
  whenIdle() {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => {
      if (performance.now() - this.moved > 90) this.paint(false);
      else this.whenIdle();
    }, 100);
  }

  paintScrollbar() {
    const bar = document.getElementById("scroll"), inner = bar.firstElementChild;
    inner.style.height = `${this.contentHeight}px`;
    bar.hidden = this.contentHeight <= this.plot.height + 1;
    if (Math.abs(bar.scrollTop - this.state.scroll) > 1) bar.scrollTop = this.state.scroll;
  }

  rowIndexOf(call) {
    return this.model.rowIndex[call];
  }

  lineName(line) {
    const { state, model } = this, name = model.rowName(line.row);
    if (!state.comm) return line.row.rank < 0 ? name : `rank ${name}`;
    return `${model.comms[state.comm].members.indexOf(line.row.rank)} · rank ${name}`;
  }

  time(x) {
    return this.state.from + (x - this.plot.left) / this.plot.width * this.state.span;
  }

  lineAt(y) {
    const at = y - AXIS;
    return this.plot.lines.findIndex((line) => at >= line.top && at < line.top + line.height);
  }

  // What is at a point of the stage: an arrow, a call, or only a time and a row.
  hit(x, y) {
    const line = this.lineAt(y), time = this.time(x);
    if (x < this.plot.left) return { gutter: true, line, time };
    const call = line >= 0 ? this.callAt(this.plot.lines[line], time, y) : -1;
    const arrow = this.arrowAt(x, y, 3.5);
    if (arrow !== null) return { line, time, arrow, call };
    return { line, time, call, crowd: line >= 0 ? this.crowdAt(this.plot.lines[line], time, call) : null };
  }

  // Where several calls share the pixels at a point: their interval; null where one can be told from another.
  crowdAt({ row }, time, call) {
    const { model, state } = this, pixel = state.span / this.plot.width, from = time - 2 * pixel, to = time + 2 * pixel;
    const first = model.firstFrom(row, from), calls = model.firstFrom(row, to) - first;
    const wide = call >= 0 && model.duration[call] > 6 * pixel && calls < 4;
    return calls > 8 && !wide ? { row, from, to, calls } : null;
  }

  callAt(line, time, y) {
    const { model, state } = this, reach = state.span / this.plot.width * 1.5;
    const nest = Math.min(y - AXIS - line.top, line.top + line.height - (y - AXIS)), inset = 4;
    const open = model.openAt(line.row, time).filter((call) => state.visible[model.operation[call]]);
    const inner = open.find((call) => model.depth[call] * inset <= nest || call === open[open.length - 1]);
    if (inner !== undefined) return inner;
    const next = model.firstFrom(line.row, time - reach);
    for (let call = next; call < line.row.to && call < next + 50 && model.start[call] <= time + reach; call++) {
      if (state.visible[model.operation[call]]) return call;
    }
    return -1;
  }

  arrowAt(x, y, reach) {
    let best = null, nearest = reach;
    for (const [x0, y0, x1, y1, which] of this.ink.arrowPlaces) {
      if (x < Math.min(x0, x1) - reach || x > Math.max(x0, x1) + reach) continue;
      const length = Math.hypot(x1 - x0, y1 - y0) || 1, along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length;
      if (along < 0 || along > length) continue;
      const distance = Math.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length;
      if (distance < nearest) [nearest, best] = [distance, which];
    }
    return best;
  }

  // Bring a call into view, changing the view as little as that takes.
  goto(call, pick = true) {
    const { state, model } = this, start = model.start[call], end = model.ends(call);
    if (pick) state.picked = { call };
    if (this.lineIndex[this.rowIndexOf(call)] < 0) state.lines.push({ row: model.rowOf(call), small: false });
    state.cursor = state.lineOf(model.rowOf(call));
    const line = this.plot.lines[state.cursor];
    if (line && (line.top < 0 || line.top + line.height > this.plot.height)) state.scroll += line.top - this.plot.height / 2;
    const lasts = Math.max(end - start, 1), pixels = lasts / state.span * this.plot.width;
    if (start >= state.from && end <= state.to && pixels > 2) state.changed();
    else {
      const span = pixels > 2 && lasts < state.span ? state.span : Math.max(lasts * 12, SHORTEST * 10);
      state.zoomTo((start + end) / 2 - span / 2, (start + end) / 2 + span / 2);
    }
    state.changed("picked");
  }
}

// Events and counters of each row, which are drawn on their own.
function findMarks(model) {
  const kinds = model.operations.map((operation) => operation.kind), isEvent = Uint8Array.from(kinds, (kind) => (kind === "event" ? 1 : 0));
  const marks = { events: new Map(), counters: new Map(), any: kinds.some((kind) => kind === "event" || kind === "counter") };
  if (!marks.any) return marks;
  for (const row of model.rows) {
    const { count } = model.rowInterval(row, -1e300, 1e300), n = count.reduce((sum, number, k) => sum + (isEvent[k] ? number : 0), 0);
    const times = new Float64Array(n), which = new Uint16Array(n), { operation, start } = model;
    for (let call = row.from, i = 0; i < n; call++) {
      if (!isEvent[operation[call]]) continue;
      times[i] = start[call];
      which[i++] = operation[call];
    }
    marks.events.set(row.index, { times, kinds: which });
  }
  collectCounters(model, kinds, marks);
  return marks;
}

function collectCounters(model, kinds, marks) {
  const values = model.tables.values;
  for (let i = 0; values && i < values.total; i++) {
    const call = values.call[i], kind = model.operation[call];
    if (kinds[kind] !== "counter" || values.position[i] !== 0) continue;
    const row = model.rowOf(call).index;
    if (!marks.counters.has(row)) marks.counters.set(row, new Map());
    const of = marks.counters.get(row);
    if (!of.has(kind)) of.set(kind, { times: [], values: [], low: Infinity, high: -Infinity });
    const points = of.get(kind), value = Number(valueAt(model, i));
    points.times.push(model.start[call]);
    points.values.push(value);
    points.low = Math.min(points.low, value);
    points.high = Math.max(points.high, value);
  }
}

// A value of a user's state: integer, float or text.
function valueAt(model, i) {
  const { type, value } = model.tables.values;
  if (type[i] === 2) return new Float64Array(BigInt64Array.of(value[i]).buffer)[0];
  if (type[i] === 3) return model.strings[Number(value[i])] ?? "";
  return Number(value[i]);
}

// The whole trace in a strip above the rows: how many ranks do what (the mountain view), and where the view is.
class Overview {
  constructor(canvas, app) {
    this.canvas = canvas;
    this.app = app;
    this.stale = true;
  }

  paint() {
    const { app, canvas } = this, width = app.plot.width, height = 36, context = canvas.getContext("2d");
    const key = `${width} ${app.ratio} ${app.state.visible.join()} ${app.state.colors.join()} ${app.state.lines.map((line) => line.row.index).join()}`;
    if (key !== this.key) this.draw(width, height);
    this.key = key;
    app.sizeCanvas(canvas, width, height);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.picture, 0, 0);
    context.scale(app.ratio, app.ratio);
    const { model, state } = app, whole = model.end - model.begin;
    const x0 = (state.from - model.begin) / whole * width, x1 = (state.to - model.begin) / whole * width;
    context.fillStyle = app.ink.color("paper");
    context.globalAlpha = 0.72;
    context.fillRect(0, 0, Math.max(0, x0), height);
    context.fillRect(Math.min(width, x1), 0, width, height);
    context.globalAlpha = 1;
    context.strokeStyle = app.ink.color("accent");
    context.strokeRect(Math.max(0.5, x0), 0.5, Math.max(2, Math.min(width - 0.5, x1) - Math.max(0.5, x0)), height - 1);
  }

  draw(width, height) {
    const { app } = this, { state, model } = app, rows = state.visibleRows;
    const columns = Math.max(50, Math.min(Math.round(width / 2), Math.floor(60000 / Math.max(1, rows.length))));
    const picture = this.picture = document.createElement("canvas");
    picture.width = Math.round(width * app.ratio);
    picture.height = Math.round(height * app.ratio);
    const context = picture.getContext("2d"), step = (model.end - model.begin) / columns;
    context.fillStyle = state.look === "dark" ? "#1d2026" : "#f3f4f6";
    context.fillRect(0, 0, picture.width, picture.height);
    const all = Array.from({ length: columns }, () => new Float64Array(model.kinds)), sums = new Sums(model.kinds);
    for (const row of rows) this.addRow(row, all, step, sums);
    const scale = picture.height / (step * Math.max(1, rows.length)), wide = picture.width / columns;
    all.forEach((times, x) => {
      let y = picture.height;
      times.forEach((time, k) => {
        if (!(time > 0) || !state.visible[k]) return;
        context.fillStyle = state.colors[k];
        context.fillRect(Math.floor(x * wide), y - time * scale, Math.ceil(wide), time * scale);
        y -= time * scale;
      });
    });
  }

  addRow(row, all, step, sums) {
    const { model } = this.app;
    let i = model.firstFrom(row, model.begin);
    all.forEach((times, x) => {
      const from = model.begin + x * step, j = model.firstFrom(row, from + step, i);
      sums.clear();
      model.addCalls(row, i, j, sums);
      model.addOpen(row, j, from + step, -1, sums);
      model.addOpen(row, i, from, 1, sums);
      for (let k = 0; k < times.length; k++) times[k] += sums.exclusive[k];
      i = j;
    });
  }
}
