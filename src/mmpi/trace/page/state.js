// What the user sees and has chosen: the interval in view, rows, colours, selection; its history, and its form in the URL.
"use strict";

const SHORTEST = 10;            // ns: nothing is to be seen in less
const TOOLS = ["pan", "zoom", "select"];

class State {
  constructor(model) {
    this.model = model;
    this.from = model.begin;
    this.to = model.end;
    this.lines = model.rows.map((row) => ({ row, small: false }));
    this.removed = [];          // lines that were cut
    this.comm = 0;              // rows of this communicator only, in its order; 0: all
    this.rowHeight = 0;         // 0: as the window allows
    this.scroll = 0;
    this.tool = "pan";
    this.selection = null;      // [from, to] in ns
    this.picked = null;         // {call} or {message}
    this.cursor = 0;            // the line that the keyboard is at
    this.palette = "auto";
    this.preview = { inclusive: false, overlap: false };
    this.show = { arrows: true, bands: true, waits: true, labels: true };
    this.arrows = { tag: null, least: 0, pair: null };   // which to draw
    this.names = model.operations.map((operation) => operation.name.replace(/^MPI_/, ""));
    this.visible = model.operations.map(() => true);
    this.searchable = model.operations.map(() => true);
    this.colors = [];
    this.ownColors = {};
    this.past = [];
    this.future = [];
    this.listeners = [];
    this.panel = "legend";
    this.query = "";
    this.hits = null;
    this.hit = -1;
    this.setPalette("auto");
  }

  // The look that a palette stands for: "auto" follows the system.
  get look() {
    if (this.palette !== "auto") return this.palette;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  setPalette(name) {
    this.palette = name;
    this.colors = colorsOf(this.model.operations, this.look).map((color, k) => this.ownColors[k] || color);
    document.documentElement.dataset.look = this.look === "dark" ? "dark" : "light";
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  changed(what = "view") {
    for (const listener of this.listeners) listener(what);
  }

  get span() {
    return this.to - this.from;
  }

  remember() {
    const now = [this.from, this.to], last = this.past[this.past.length - 1];
    if (last && last[0] === now[0] && last[1] === now[1]) return;
    this.past.push(now);
    if (this.past.length > 500) this.past.shift();
    this.future = [];
  }

  // Show an interval; it is kept inside the trace, with a little room around.
  reveal(from, to) {
    const { begin, end } = this.model, whole = end - begin;
    const span = Math.min(Math.max(to - from, SHORTEST), whole * 1.04);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, begin - whole * 0.02), end + whole * 0.02 - span);
    this.to = this.from + span;
    this.changed();
  }

  zoomTo(from, to) {
    this.remember();
    this.reveal(from, to);
  }

  zoomAt(time, factor) {
    const span = Math.min(Math.max(this.span * factor, SHORTEST), (this.model.end - this.model.begin) * 1.04);
    const scale = span / this.span;
    this.reveal(time - (time - this.from) * scale, time + (this.to - time) * scale);
  }

  pan(by) {
    this.reveal(this.from + by, this.to + by);
  }

  home() {
    this.zoomTo(this.model.begin, this.model.end);
  }

  undo() {
    this.travel(this.past, this.future);
  }

  redo() {
    this.travel(this.future, this.past);
  }

  travel(out, back) {
    const view = out.pop();
    if (!view) return;
    back.push([this.from, this.to]);
    [this.from, this.to] = view;
    this.changed();
  }

  // --- rows ---

  get visibleRows() {
    return this.lines.map((line) => line.row);
  }

  lineOf(row) {
    return this.lines.findIndex((line) => line.row === row);
  }

  cut(index) {
    if (this.lines.length > 1) this.removed.push(...this.lines.splice(index, 1));
    this.cursor = Math.min(this.cursor, this.lines.length - 1);
    this.changed("rows");
  }

  // Put the row that was cut last where the keyboard is.
  paste() {
    const line = this.removed.pop();
    if (!line || this.lines.includes(line)) return;
    this.lines.splice(this.cursor, 0, line);
    this.changed("rows");
  }

  move(index, to) {
    to = Math.max(0, Math.min(this.lines.length - 1, to));
    const [line] = this.lines.splice(index, 1);
    this.lines.splice(to, 0, line);
    if (this.cursor === index) this.cursor = to;
    this.changed("rows");
  }

  collapse(index) {
    this.lines[index].small = !this.lines[index].small;
    this.changed("rows");
  }

  restoreRows() {
    this.comm = 0;
    this.removed = [];
    this.lines = this.model.rows.map((row) => ({ row, small: false }));
    this.cursor = Math.min(this.cursor, this.lines.length - 1);
    this.changed("rows");
  }

  sortRows(key) {
    const order = new Map(this.lines.map((line) => [line, key(line.row)]));
    this.lines.sort((a, b) => (order.get(a) < order.get(b) ? -1 : order.get(a) > order.get(b) ? 1 : a.row.index - b.row.index));
    this.changed("rows");
  }

  showComm(number) {
    const comm = this.model.comms[number];
    if (!number || !comm) {
      this.restoreRows();
      return;
    }
    this.comm = number;
    const wanted = (comm.members || []).flatMap((rank) => this.model.rows.filter((row) => row.rank === rank));
    if (wanted.length) this.lines = wanted.map((row) => ({ row, small: false }));
    this.cursor = 0;
    this.changed("rows");
  }

  // --- the URL ---

  toHash() {
    const parts = [`t=${Math.round(this.from)},${Math.round(this.to)}`];
    const hidden = this.names.flatMap((_, k) => (this.visible[k] ? [] : [k]));
    if (this.selection) parts.push(`sel=${this.selection.map(Math.round).join(",")}`);
    if (hidden.length) parts.push(`hide=${hidden.join(",")}`);
    if (this.rowHeight) parts.push(`h=${this.rowHeight}`);
    if (this.lines.some((line, i) => line.row.index !== i) || this.lines.length !== this.model.rows.length) {
      parts.push(`rows=${this.lines.map((line) => line.row.index).join(",")}`);
    }
    const off = Object.keys(this.show).filter((name) => !this.show[name]);
    if (off.length) parts.push(`off=${off.join(",")}`);
    if (this.palette !== "auto") parts.push(`look=${this.palette}`);
    if (this.panel !== "legend") parts.push(`panel=${this.panel}`);
    if (this.query) parts.push(`q=${encodeURIComponent(this.query)}`);
    if (this.picked && this.picked.call !== undefined) parts.push(`call=${this.picked.call}`);
    return parts.join("&");
  }

  // Take over what a hash says; what is not understood is left out.
  fromHash(text) {
    const given = new Map(text.replace(/^#/, "").split("&").map((part) => part.split("=", 2)));
    const numbers = (name) => (given.get(name) || "").split(",").filter((word) => word !== "").map(Number);
    const [from, to] = numbers("t");
    if (to > from) this.reveal(from, to);
    const selection = numbers("sel");
    this.selection = selection.length === 2 && selection[1] > selection[0] ? selection : null;
    const hidden = new Set(numbers("hide"));
    this.visible = this.visible.map((_, k) => !hidden.has(k));
    this.rowHeight = Math.max(0, Math.min(200, numbers("h")[0] || 0));
    const rows = numbers("rows").filter((index) => this.model.rows[index]);
    if (rows.length) this.lines = rows.map((index) => ({ row: this.model.rows[index], small: false }));
    const off = new Set((given.get("off") || "").split(","));
    for (const name of Object.keys(this.show)) this.show[name] = !off.has(name);
    if (["auto", "light", "dark", "blind"].includes(given.get("look"))) this.setPalette(given.get("look"));
    if (given.has("panel")) this.panel = given.get("panel");
    this.query = decodeURIComponent(given.get("q") || "");
    const call = Number(given.get("call") || NaN);
    this.picked = call >= 0 && call < this.model.calls.total ? { call } : null;
    return given.size > 0 && given.get("t") !== undefined;
  }
}
