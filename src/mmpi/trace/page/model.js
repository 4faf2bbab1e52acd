// The trace in memory, and exact answers about any row and interval of it.
"use strict";

const WHY = ["", "send without a receive", "receive without a send", "request never completed", "collective that others did not call",
  "another collective there", "not told: records were lost, or its communicator is not known",
  "between worlds of which the trace does not tell that they belong together"];
const FLAGS = { open: 1, error: 2, anySource: 4, anyTag: 8, derived: 16, copied: 32, polls: 64 };

// Sums over calls of one row: for each operation time exclusive and inclusive, number, time waited.
class Sums {
  constructor(kinds) {
    this.exclusive = new Float64Array(kinds);
    this.inclusive = new Float64Array(kinds);
    this.count = new Float64Array(kinds);
    this.waited = new Float64Array(kinds);
    this.mpi = 0;               // time in calls of MPI that are not inside another one
    this.calls = 0;             // how many these are
  }

  clear() {
    const { exclusive, inclusive, count, waited } = this;
    for (let k = 0; k < count.length; k++) exclusive[k] = inclusive[k] = count[k] = waited[k] = 0;
    this.mpi = this.calls = 0;
  }

  add(other) {
    for (let k = 0; k < this.count.length; k++) {
      this.exclusive[k] += other.exclusive[k];
      this.inclusive[k] += other.inclusive[k];
      this.count[k] += other.count[k];
      this.waited[k] += other.waited[k];
    }
    this.mpi += other.mpi;
    this.calls += other.calls;
  }
}

class Model {
  constructor({ footer, calls, tables }) {
    Object.assign(this, footer, { footer, calls, tables });
    this.start = calls.start;
    this.duration = calls.duration;
    this.operation = calls.operation;
    this.depth = calls.depth;
    this.kinds = footer.operations.length;
    this.stride = this.kinds > 24 ? 128 : 64;
    this.strings = footer.strings;
    this.placeRows();
    this.isMpi = Uint8Array.from(footer.operations, (operation) => (operation.kind === "mpi" ? 1 : 0));
    this.findParents();
    this.findOuter();
    this.readWaits();
    this.checkpoints();
    this.begin = footer.meta.from ?? 0;
    this.end = footer.meta.to ?? this.rows.reduce((latest, row) => Math.max(latest, row.until), Math.max(1, footer.meta.duration || 0));
  }

  placeRows() {
    let first = 0;
    this.rowIndex = new (this.rows.length < 65536 ? Uint16Array : Uint32Array)(this.calls.total);
    const counts = this.rows.map(() => 0);
    for (const block of this.footer.calls) counts[block.row] += block.n;
    this.rows.forEach((row, i) => {
      row.index = i;
      row.from = first;
      row.to = first += counts[i];
      row.since = row.to > row.from ? Math.min(row.first, this.start[row.from]) : row.first;
      row.until = row.last || 0;
      this.rowIndex.fill(i, row.from, row.to);
    });
    this.blockFirst = this.calls.blocks.map((block) => block.first);
  }

  // The call around each (-1: none) and the time of each as it is summed: where calls overlap, as states of MPE may, each ends with
  // what is around it and where the next one of its level starts. mmpi.trace.nesting does the same.
  findParents() {
    const { depth, start, duration } = this;
    this.deepest = 0;
    for (let i = 0; i < depth.length; i++) if (depth[i] > this.deepest) this.deepest = depth[i];
    this.parent = this.deepest ? new Int32Array(depth.length).fill(-1) : null;
    this.time = duration;               // a copy as soon as one is cut
    this.last = new Int32Array(this.deepest + 2);
    for (const row of this.rows) {
      this.last.fill(-1);
      row.deepest = 0;
      for (let i = row.from; i < row.to; i++) {
        if (depth[i] > row.deepest) row.deepest = depth[i];
        this.nest(i, depth[i], start[i]);
        if (start[i] + duration[i] > row.until) row.until = start[i] + duration[i];
      }
    }
  }

  nest(i, depth, begin) {
    const { start, last, parent } = this, above = depth ? last[depth - 1] : -1, before = last[depth];
    const around = above >= 0 && start[above] + this.time[above] >= begin && this.time[above] > 0 ? above : -1;
    if (around >= 0) {
      parent[i] = around;
      this.cut(i, start[around] + this.time[around]);
    }
    if (before >= 0 && start[before] + this.time[before] > begin && (parent ? parent[before] : -1) === around) {
      this.cut(before, begin);
      for (let deeper = depth + 1, inside = before; last[deeper] >= 0 &&
        parent[last[deeper]] === inside; inside = last[deeper++]) this.cut(last[deeper], begin);
    }
    last[depth] = i;
  }

  cut(call, end) {
    if (this.start[call] + this.time[call] <= end) return;
    if (this.time === this.duration) this.time = this.duration.slice();
    this.time[call] = Math.max(0, end - this.start[call]);
  }

  // Which calls are of MPI and not inside another one: bit 1; bit 2: of MPI, or inside one.
  findOuter() {
    const { parent, operation, isMpi } = this;
    this.outer = null;
    if (!parent) return;
    this.outer = new Uint8Array(parent.length);
    for (let i = 0; i < parent.length; i++) {
      const around = parent[i] >= 0 ? this.outer[parent[i]] & 2 : 0;
      this.outer[i] = around | (isMpi[operation[i]] ? (around ? 2 : 3) : 0);
    }
  }

  isOuter(call) {
    return this.outer ? this.outer[call] & 1 : this.isMpi[this.operation[call]];
  }

  readWaits() {
    const waits = this.tables.waits;
    this.waitTime = waits && waits.total ? new Float64Array(this.calls.total) : null;
    for (let i = 0; waits && i < waits.total; i++) this.waitTime[waits.call[i]] = waits.duration[i];
  }

  // After every `stride` calls of a row stands a checkpoint: for each operation the sums over all calls of the row before it.
  checkpoints() {
    const { kinds, waitTime } = this;
    let nodes = 0;
    for (const row of this.rows) {
      row.node = nodes;
      nodes += Math.ceil((row.to - row.from) / this.stride) + 1;
    }
    this.sums = {};
    for (const name of ["exclusive", "inclusive", "count"]) this.sums[name] = new Float64Array(nodes * kinds);
    this.sums.waited = waitTime ? new Float64Array(nodes * kinds) : null;
    this.sums.mpi = new Float64Array(nodes);
    this.sums.calls = new Float64Array(nodes);
    for (const row of this.rows) this.sumRow(row);
  }

  sumRow(row) {
    const { kinds, stride, time, operation, parent, waitTime, outer, isMpi, sums } = this, now = new Sums(kinds);
    const { exclusive, inclusive, count, waited } = now;
    let mpi = 0, calls = 0, node = row.node, left = 0;
    const keep = () => {
      sums.exclusive.set(exclusive, node * kinds);
      sums.inclusive.set(inclusive, node * kinds);
      sums.count.set(count, node * kinds);
      if (sums.waited) sums.waited.set(waited, node * kinds);
      sums.mpi[node] = mpi;
      sums.calls[node++] = calls;
      left = stride;
    };
    for (let i = row.from; i < row.to; i++, left--) {
      if (!left) keep();
      const kind = operation[i], lasts = time[i];
      exclusive[kind] += lasts;
      inclusive[kind] += lasts;
      count[kind]++;
      if (waitTime) waited[kind] += waitTime[i];
      if (parent && parent[i] >= 0) exclusive[operation[parent[i]]] -= lasts;
      if (outer ? outer[i] & 1 : isMpi[kind]) {
        mpi += lasts;
        calls++;
      }
    }
    keep();
  }

  // Add the calls from `i` to `j` of a row, whole, to `into`.
  addCalls(row, i, j, into) {
    const a = Math.ceil((i - row.from) / this.stride), b = Math.floor((j - row.from) / this.stride);
    if (b - a < 1) {
      this.addEach(i, j, into);
      return;
    }
    const { kinds, sums } = this, from = (row.node + a) * kinds, to = (row.node + b) * kinds;
    for (let k = 0; k < kinds; k++) {
      into.exclusive[k] += sums.exclusive[to + k] - sums.exclusive[from + k];
      into.inclusive[k] += sums.inclusive[to + k] - sums.inclusive[from + k];
      into.count[k] += sums.count[to + k] - sums.count[from + k];
      if (sums.waited) into.waited[k] += sums.waited[to + k] - sums.waited[from + k];
    }
    into.mpi += sums.mpi[row.node + b] - sums.mpi[row.node + a];
    into.calls += sums.calls[row.node + b] - sums.calls[row.node + a];
    this.addEach(i, row.from + a * this.stride, into);
    this.addEach(row.from + b * this.stride, j, into);
  }

  addEach(i, j, into) {
    const { time, operation, parent, waitTime, outer, isMpi } = this;
    for (; i < j; i++) {
      const kind = operation[i], lasts = time[i];
      into.exclusive[kind] += lasts;
      into.inclusive[kind] += lasts;
      into.count[kind]++;
      if (waitTime) into.waited[kind] += waitTime[i];
      if (parent && parent[i] >= 0) into.exclusive[operation[parent[i]]] -= lasts;
      if (outer ? outer[i] & 1 : isMpi[kind]) {
        into.mpi += lasts;
        into.calls++;
      }
    }
  }

  // Take away (sign -1) or give back what the calls of `row` that are open at the time `at` do after it; `next`: first call from then on.
  addOpen(row, next, at, sign, into) {
    const { start, time, operation, parent, waitTime } = this;
    for (let i = next - 1; i >= row.from; i = parent ? parent[i] : -1) {
      const rest = start[i] + time[i] - at;
      if (rest < 0) continue;
      const kind = operation[i], around = parent ? parent[i] : -1;
      into.exclusive[kind] += sign * rest;
      into.inclusive[kind] += sign * rest;
      if (sign > 0) into.count[kind]++;         // it is in the interval that begins here as well as in the one that ends here
      if (waitTime && waitTime[i]) into.waited[kind] += sign * Math.max(0, start[i] + waitTime[i] - at);
      if (around >= 0) into.exclusive[operation[around]] -= sign * rest;
      if (this.isOuter(i)) {
        into.mpi += sign * rest;
        if (sign > 0) into.calls++;
      }
    }
  }

  // Number of the first call of `row` that starts at or after `time`.
  firstFrom(row, time, low = row.from, high = row.to) {
    const start = this.start;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (start[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // What a row does in an interval, exactly: calls are clipped to it. One that begins where the interval ends counts.
  rowInterval(row, from, to, into = new Sums(this.kinds)) {
    const i = this.firstFrom(row, from), j = this.firstFrom(row, to + 0.5);
    this.addCalls(row, i, j, into);
    this.addOpen(row, j, to, -1, into);
    this.addOpen(row, i, from, 1, into);
    return into;
  }

  interval(rows, from, to) {
    const all = new Sums(this.kinds);
    const each = rows.map((row) => this.rowInterval(row, Math.max(from, -1e300), Math.min(to, 1e300)));
    each.forEach((sums) => all.add(sums));
    return { all, each };
  }

  rowOf(call) {
    return this.rows[this.rowIndex[call]];
  }

  ends(call) {
    return this.start[call] + this.duration[call];
  }

  // A column that is not needed to draw, decoded block by block when asked for.
  value(name, call) {
    const block = this.calls.blocks[this.blockOf(call)];
    return this.cold(block, name)[call - block.first];
  }

  blockOf(call) {
    let low = 0, high = this.blockFirst.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.blockFirst[middle] <= call) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  cold(block, name) {
    if (!block.cold[name]) {
      const columns = this.footer.columns.calls, index = columns.findIndex((column) => column[0] === name);
      const places = columnPlaces(block.bytes, columns.length);
      block.cold[name] = readColumn(block.bytes, places[index], columns[index][1], globalThis[TYPES.calls[name]], block.n);
    }
    return block.cold[name];
  }

  // The calls open at `time`, innermost first.
  openAt(row, time) {
    const open = [];
    for (let i = this.firstFrom(row, time + 1e-6) - 1; i >= row.from; i = this.parent ? this.parent[i] : -1) {
      if (this.ends(i) >= time) open.push(i);
    }
    return open;
  }

  siteText(number, full = false) {
    const site = this.sites[number];
    if (!number || !site) return "";
    const file = full ? site.file : site.file.split("/").pop();
    return `${file}:${site.line}`;
  }

  commText(number) {
    const comm = this.comms[number];
    if (!number || !comm) return "";
    return comm.name || `comm ${number} (${comm.size} ranks)`;
  }

  // The world rank behind a rank in a communicator; as it is where no process says.
  worldRank(comm, rank) {
    const known = this.comms[comm];
    if (rank < 0 || !known) return rank;
    const members = known.remote_size > 0 && known.remote && known.remote.length ? known.remote : known.members;
    return members && members[rank] >= 0 ? members[rank] : rank;
  }

  rowName(row) {
    const threads = this.rows.filter((other) => other.rank === row.rank).length;
    const name = row.rank < 0 ? `pid ${row.pid}` : `${row.rank}`;
    return threads > 1 || row.thread ? `${name}.${row.thread}` : name;
  }
}
