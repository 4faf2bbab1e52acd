// What lies over the bars: time axis, names, bands of collectives, arrows, events, counters, selection, marks.
"use strict";

const FONT = "12px system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif";
const SMALL_FONT = "11px system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif";
const AXIS = 26, MOST_CORNERS = 12000, MOST_LABELS = 4000;

// Steps of 1, 2, 5 times a power of ten, at least `least` pixels apart.
function axisStep(span, width, least = 110) {
  const raw = span * least / width, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
}

class Ink {
  constructor(canvas, app) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.app = app;
    this.arrowPlaces = [];
    this.bandsDrawn = 0;
  }

  x(time) {
    const { state, plot } = this.app;
    return plot.left + (time - state.from) / state.span * plot.width;
  }

  color(name) {
    return this.colors[name];
  }

  paint() {
    const { plot, ratio } = this.app, context = this.context;
    const style = getComputedStyle(document.documentElement);
    this.colors = Object.fromEntries(["ink", "soft", "faint", "rule", "accent", "paper", "panel", "alarm", "arrow", "band", "hit"]
      .map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.axis();
    this.gutter();
    context.save();
    context.beginPath();
    context.rect(plot.left, AXIS, plot.width, plot.height);
    context.clip();
    this.grid();
    if (this.app.state.show.bands) this.bands();
    this.labels();
    this.marks();
    this.arrowsAndBundles();
    this.selection();
    this.picked();
    context.restore();
  }

  axis() {
    const { state, plot } = this.app, context = this.context, step = axisStep(state.span, plot.width);
    context.font = SMALL_FONT;
    context.textBaseline = "middle";
    context.textAlign = "center";
    context.fillStyle = this.color("soft");
    this.ticks = [];
    for (let tick = Math.ceil(state.from / step) * step; tick <= state.to; tick += step) {
      const x = this.x(tick);
      this.ticks.push(x);
      if (x > plot.left + 24 && x < plot.left + plot.width - 24) context.fillText(moment(tick, step), x, AXIS / 2);
    }
    context.strokeStyle = this.color("rule");
    context.beginPath();
    context.moveTo(0, AXIS - 0.5);
    context.lineTo(plot.left + plot.width, AXIS - 0.5);
    context.stroke();
  }

  grid() {
    const { plot } = this.app, context = this.context;
    context.strokeStyle = this.color("faint");
    context.beginPath();
    for (const tick of this.ticks) {
      context.moveTo(Math.round(tick) + 0.5, AXIS);
      context.lineTo(Math.round(tick) + 0.5, AXIS + plot.height);
    }
    context.stroke();
  }

  gutter() {
    const { state, plot, model } = this.app, context = this.context;
    context.textAlign = "left";
    const hosts = new Set(model.rows.map((row) => row.host)).size > 1;
    let below = -Infinity;
    plot.lines.forEach((line, i) => {
      const middle = AXIS + line.top + line.height / 2;
      if (middle < AXIS + 4 || middle > AXIS + plot.height - 6 || middle - below < 15) return;
      below = middle;
      const active = i === state.cursor && this.app.keyboard;
      context.font = FONT;
      context.fillStyle = this.color(active ? "accent" : "ink");
      context.fillText(`${active ? "▸ " : ""}${this.app.lineName(line)}`, 12, Math.min(Math.max(middle, AXIS + 7), AXIS + plot.height - 7));
      const extra = line.row.finished === false || line.row.finished === 0 ? "unfinished" : line.row.dropped ? "records lost"
        : hosts ? model.meta.hosts[line.row.host]?.name ?? "" : "";
      if (extra && line.height > 15) {
        context.font = SMALL_FONT;
        context.fillStyle = this.color(extra === "unfinished" || extra === "records lost" ? "alarm" : "soft");
        context.fillText(extra.slice(0, 12), 12, middle + 13 > AXIS + line.top + line.height ? middle + 99999 : middle + 13);
      }
    });
  }

  // Collectives as bands from row to row, the longest first, and a mark at the rank that came last.
  bands() {
    const { state, plot, collectives, model } = this.app, context = this.context;
    const [a, b] = collectives.range(state.from, state.to), least = state.span / plot.width;
    const wide = [];
    for (let i = a; i < b; i++) {
      const k = collectives.order[i];
      if (collectives.to[k] < state.from || collectives.offset[k + 1] - collectives.offset[k] < 2) continue;
      if (collectives.to[k] - collectives.from[k] > 2 * least) wide.push(k);
    }
    wide.sort((p, q) => collectives.to[q] - collectives.from[q] - collectives.to[p] + collectives.from[p]);
    this.bandsDrawn = 0;
    let corners = 0;
    for (const k of wide) {
      if (!state.visible[model.operation[collectives.last[k]]]) continue;
      corners += collectives.offset[k + 1] - collectives.offset[k];
      if (corners > MOST_CORNERS) break;
      this.band(k);
      this.bandsDrawn++;
    }
  }

  band(k) {
    const { app, context } = this, { model, collectives, plot } = app, places = [];
    for (const [call, done] of collectives.members(k)) {
      const line = app.lineIndex[app.rowIndexOf(call)];
      if (line >= 0) places.push([line, call, done]);
    }
    places.sort((p, q) => p[0] - q[0]);
    if (places.length < 2) return;
    const middle = (line) => AXIS + plot.lines[line].top + plot.lines[line].height / 2;
    const entries = new Path2D(), exits = new Path2D(), area = new Path2D();
    places.forEach(([line, call, done], i) => {
      entries[i ? "lineTo" : "moveTo"](this.x(model.start[call]), middle(line));
      exits[i ? "lineTo" : "moveTo"](this.x(model.ends(done)), middle(line));
      area[i ? "lineTo" : "moveTo"](this.x(model.start[call]), middle(line));
    });
    for (const [line, , done] of places.reverse()) area.lineTo(this.x(model.ends(done)), middle(line));
    context.fillStyle = context.strokeStyle = this.app.state.colors[model.operation[collectives.last[k]]];
    context.globalAlpha = 0.16;
    context.fill(area);
    context.globalAlpha = 0.6;
    context.stroke(entries);
    context.stroke(exits);
    context.globalAlpha = 1;
    this.lastMark(collectives.last[k], this.x(collectives.to[k]) - this.x(collectives.from[k]));
  }

  lastMark(call, width) {
    const { app, context } = this, line = app.plot.lines[app.lineIndex[app.rowIndexOf(call)]];
    if (!line || width < 10 || line.height < 8) return;
    const x = this.x(app.model.start[call]), y = AXIS + line.top;
    context.fillStyle = this.color("alarm");
    context.beginPath();
    context.moveTo(x - 4, y);
    context.lineTo(x + 4, y);
    context.lineTo(x, y + 6);
    context.fill();
  }

  // Names in bars that have room.
  labels() {
    const { state, plot, model } = this.app, context = this.context;
    if (!state.show.labels) return;
    context.font = SMALL_FONT;
    context.textAlign = "left";
    let left = MOST_LABELS;
    for (const line of plot.lines) {
      if (line.height < 13 || line.top > plot.height || line.top + line.height < 0) continue;
      const i = model.firstFrom(line.row, state.from), j = model.firstFrom(line.row, state.to);
      if (j - i > plot.width / 6) continue;
      for (const call of model.openAt(line.row, state.from).reverse()) this.label(call, line, j);
      for (let call = i; call < j && left > 0; call++) left -= this.label(call, line, j);
    }
  }

  label(call, line, end) {
    const { state, model, plot } = this.app, context = this.context, kind = model.operation[call];
    if (!state.visible[kind]) return 0;
    const x0 = Math.max(plot.left, this.x(model.start[call])), whole = Math.min(plot.left + plot.width, this.x(model.ends(call)));
    let x1 = whole, inner = false;
    if (model.parent) {
      for (let next = call + 1; next < end && !inner; next++) {
        if (model.parent[next] === call) inner = true;
        else if (model.start[next] >= model.ends(call)) break;
        if (inner) x1 = Math.min(whole, this.x(model.start[next]));
      }
    }
    const text = state.names[kind], width = this.textWidth(text);
    if (x1 - x0 < width + 10) return 0;
    const waits = state.show.waits && model.waitTime && model.start[call] + model.waitTime[call] > state.from +
      (state.span * (x0 + width - plot.left)) / plot.width;
    context.fillStyle = waits ? this.color("ink") : inkOn(state.colors[kind]);
    context.fillText(text, x0 + 5, AXIS + line.top + line.height / 2);
    return 1;
  }

  textWidth(text) {
    this.widths ||= new Map();
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, width = this.context.measureText(text).width);
    return width;
  }

  // Events as small marks, counters as lines.
  marks() {
    const { plot } = this.app;
    if (!this.app.marks.any) return;
    for (const line of plot.lines) {
      if (line.top > plot.height || line.top + line.height < 0) continue;
      this.events(line);
      for (const [kind, points] of this.app.marks.counters.get(line.row.index) || []) this.counter(line, kind, points);
    }
    this.context.lineWidth = 1;
  }

  // Few as diamonds, many as ticks, one for a pixel at most.
  events(line) {
    const { state, plot, marks } = this.app, { times, kinds } = marks.events.get(line.row.index) || { times: [] };
    const from = lowerBound(times, state.from), many = lowerBound(times, state.to) - from > plot.width / 14;
    const gap = state.span / plot.width * (many ? 2 : 1);
    for (let i = from; i < times.length && times[i] <= state.to;) {
      if (!state.visible[kinds[i]]) {
        i++;
        continue;
      }
      if (many) this.tick(this.x(times[i]), line, kinds[i]);
      else this.diamond(this.x(times[i]), line, kinds[i]);
      i = Math.max(i + 1, lowerBound(times, times[i] + gap));
    }
  }

  tick(x, line, kind) {
    this.context.fillStyle = this.app.state.colors[kind];
    this.context.fillRect(Math.round(x), AXIS + line.top, 1, Math.min(4, line.height / 3));
  }

  diamond(x, line, kind) {
    const context = this.context, y = AXIS + line.top + Math.min(6, line.height / 2), size = Math.min(5, line.height / 3);
    context.fillStyle = this.app.state.colors[kind];
    context.strokeStyle = this.color("paper");
    context.beginPath();
    context.moveTo(x, y - size);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size);
    context.lineTo(x - size, y);
    context.closePath();
    context.fill();
    context.stroke();
  }

  counter(line, kind, { times, values, low, high }) {
    const { state } = this.app, context = this.context;
    if (!state.visible[kind] || line.height < 8) return;
    const y = (value) => AXIS + line.top + line.height - 4 - (high > low ? (value - low) / (high - low) : 0.5) * (line.height - 8);
    let i = times.findIndex((time) => time >= state.from);
    i = i < 0 ? times.length - 1 : Math.max(0, i - 1);
    context.beginPath();
    context.moveTo(this.x(times[i]), y(values[i]));
    for (; i < times.length && (i === 0 || times[i - 1] < state.to); i++) {
      if (i) context.lineTo(this.x(times[i]), y(values[i - 1]));
      context.lineTo(this.x(times[i]), y(values[i]));
    }
    context.strokeStyle = state.colors[kind];
    context.lineWidth = 1.5;
    context.stroke();
  }

  arrowsAndBundles() {
    const { arrows } = this.app;
    this.arrowPlaces = [];
    if (arrows.bundles) this.bundles(arrows.bundles.list);
    else this.singles(arrows.single);
  }

  middle(row) {
    const line = this.app.plot.lines[this.app.lineIndex[row]];
    return line ? AXIS + line.top + line.height / 2 : NaN;
  }

  singles(list) {
    const { messages, plot } = this.app, context = this.context;
    const heads = list.length < 600;
    context.globalAlpha = list.length > 1000 ? 0.55 : 0.9;
    context.strokeStyle = context.fillStyle = this.color("arrow");
    context.lineWidth = 1;
    context.beginPath();
    for (const i of list) {
      const x0 = this.x(messages.from[i]), x1 = this.x(messages.to[i]);
      const y0 = this.middle(messages.source[i]), y1 = this.middle(messages.target[i]);
      if ((y0 < 0 && y1 < 0) || (y0 > AXIS + plot.height && y1 > AXIS + plot.height)) continue;
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      this.arrowPlaces.push([x0, y0, x1, y1, i]);
    }
    context.stroke();
    if (heads) {
      context.beginPath();
      for (const [x0, y0, x1, y1] of this.arrowPlaces) this.head(x0, y0, x1, y1, 6);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  head(x0, y0, x1, y1, size) {
    const length = Math.hypot(x1 - x0, y1 - y0);
    if (length < size * 1.5) return;
    const dx = (x1 - x0) / length * size, dy = (y1 - y0) / length * size;
    this.context.moveTo(x1, y1);
    this.context.lineTo(x1 - dx - dy * 0.4, y1 - dy + dx * 0.4);
    this.context.lineTo(x1 - dx + dy * 0.4, y1 - dy - dx * 0.4);
    this.context.closePath();
  }

  // Width: how many messages; strength: how many bytes.
  bundles(list) {
    const { state, plot } = this.app, context = this.context;
    let most = 1;
    const seen = [];
    for (let k = 0; k < list.from.length; k++) {
      if (list.to[k] < state.from || list.from[k] > state.to) continue;
      seen.push(k);
      most = Math.max(most, list.bytes[k]);
    }
    if (seen.length > 4000) seen.sort((a, b) => list.count[b] - list.count[a]).length = 4000;
    context.strokeStyle = this.color("arrow");
    const levels = new Map();           // few strokes of many lines, not many strokes
    for (const k of seen) {
      const width = Math.min(3, 0.7 + Math.log2(list.count[k]) * 0.2),
        strength = Math.round(1 + 3 * Math.log2(1 + list.bytes[k]) / Math.log2(1 + most));
      const level = Math.round(width * 2) * 8 + strength;
      if (!levels.has(level)) levels.set(level, []);
      levels.get(level).push(k);
    }
    const dense = Math.min(1, 200 / seen.length + 0.12);
    for (const [level, keys] of levels) {
      context.lineWidth = Math.floor(level / 8) / 2;
      context.globalAlpha = (level % 8) * 0.13 * dense;
      context.beginPath();
      for (const k of keys) {
        const place = [this.x(list.from[k]), this.middle(list.source[k]), this.x(list.to[k]), this.middle(list.target[k]), -1 - k];
        if ((place[1] < 0 && place[3] < 0) || (place[1] > AXIS + plot.height && place[3] > AXIS + plot.height)) continue;
        context.moveTo(place[0], place[1]);
        context.lineTo(place[2], place[3]);
        this.arrowPlaces.push(place);
      }
      context.stroke();
    }
    context.globalAlpha = 1;
    context.lineWidth = 1;
  }

  selection() {
    const { state, plot, drag } = this.app, context = this.context;
    const shown = drag && drag.span ? [drag.span, drag.kind] : state.selection ? [state.selection, "select"] : null;
    if (!shown) return;
    const [[from, to], kind] = shown, x0 = this.x(Math.min(from, to)), x1 = this.x(Math.max(from, to));
    context.fillStyle = this.color("accent");
    context.globalAlpha = kind === "zoom" ? 0.18 : 0.1;
    context.fillRect(x0, AXIS, x1 - x0, plot.height);
    context.globalAlpha = 0.9;
    context.fillRect(x0 - 0.5, AXIS, 1, plot.height);
    context.fillRect(x1 - 0.5, AXIS, 1, plot.height);
    context.globalAlpha = 1;
  }

  // The picked call and all that belongs to it; the place of the search's hit.
  picked() {
    const app = this.app, { state } = app, picked = state.picked, hit = state.hits?.[state.hit];
    if (hit !== undefined) this.frame(hit, "hit", 3);
    if (!picked) return;
    if (picked.call !== undefined) this.frame(picked.call, "ink", 2);
    const related = picked.message !== undefined ? [picked.message] : app.messages.of(picked.call);
    this.context.strokeStyle = this.context.fillStyle = this.color("accent");
    this.context.lineWidth = 2;
    for (const i of related.slice(0, 200)) {
      const place = [this.x(app.messages.from[i]), this.middle(app.messages.source[i]), this.x(app.messages.to[i]),
        this.middle(app.messages.target[i])];
      this.context.beginPath();
      this.context.moveTo(place[0], place[1]);
      this.context.lineTo(place[2], place[3]);
      this.context.stroke();
      this.context.beginPath();
      this.head(...place, 9);
      this.context.fill();
    }
    this.context.lineWidth = 1;
  }

  frame(call, color, width) {
    const { app, context } = this, line = app.plot.lines[app.lineIndex[app.rowIndexOf(call)]];
    if (!line) return;
    const inset = Math.min(4, line.height / 6) * Math.min(4, app.model.depth[call]);
    const x0 = this.x(app.model.start[call]), x1 = Math.max(x0 + 2, this.x(app.model.ends(call)));
    context.strokeStyle = this.color(color);
    context.lineWidth = width;
    context.strokeRect(x0 - 1, AXIS + line.top + inset, x1 - x0 + 2, Math.max(2, line.height - 2 - 2 * inset));
    context.lineWidth = 1;
  }
}
