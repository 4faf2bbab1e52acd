// Messages and collectives: what joins rows.
"use strict";

const GROUP = 256;      // messages that share one entry of the index over their ends

class Messages {
  constructor(model) {
    const table = model.tables.messages;
    this.model = model;
    this.table = table;
    this.total = table ? table.total : 0;
    if (!this.total) return;
    this.from = new Float64Array(this.total);
    this.to = new Float64Array(this.total);
    this.arrival = table.receive_done.map((call, i) => (call < 0 ? table.receive[i] : call));      // where each arrow ends
    for (let i = 0; i < this.total; i++) {
      this.from[i] = model.start[table.send[i]];
      this.to[i] = model.ends(this.arrival[i]);
    }
    this.source = this.rowsOf(table.send);
    this.target = this.rowsOf(this.arrival);
    this.latest = new Float64Array(Math.ceil(this.total / GROUP));       // end of the latest of this group and all before
    let latest = 0;
    for (let i = 0; i < this.total; i++) {
      latest = Math.max(latest, this.to[i]);
      this.latest[Math.floor(i / GROUP)] = latest;
    }
  }

  rowsOf(calls) {
    const { rowIndex } = this.model, result = new rowIndex.constructor(calls.length);
    for (let i = 0; i < calls.length; i++) result[i] = rowIndex[calls[i]];
    return result;
  }

  // The range of messages that may touch an interval of time.
  range(from, to) {
    if (!this.total) return [0, 0];
    let low = 0, high = this.latest.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.latest[middle] < from) low = middle + 1;
      else high = middle;
    }
    const first = low * GROUP;
    high = this.total;
    low = Math.min(first, this.total);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.from[middle] <= to) low = middle + 1;
      else high = middle;
    }
    return [Math.min(first, low), low];
  }

  // The messages that `call` started or completed.
  of(call) {
    const found = [], { model, table } = this;
    if (!this.total) return found;
    const [a, b] = this.range(model.start[call], model.ends(call));
    for (let i = a; i < b; i++) {
      if (table.send[i] === call || table.receive_done[i] === call || table.receive[i] === call || table.send_done[i] === call) found.push(i);
    }
    return found;
  }
}

// Calls that belong together, as ranges of a list: members of instance k are list[offset[k]] to list[offset[k + 1]].
class Collectives {
  constructor(model) {
    const table = model.tables.collectives;
    this.model = model;
    this.table = table;
    this.total = 0;
    if (!table || !table.total) return;
    let highest = 0;
    for (const instance of table.instance) highest = Math.max(highest, instance);
    this.total = highest + 1;
    this.group(table);
    this.measure();
  }

  group({ instance, total }) {
    this.offset = new Uint32Array(this.total + 1);
    for (let i = 0; i < total; i++) this.offset[instance[i] + 1]++;
    for (let k = 0; k < this.total; k++) this.offset[k + 1] += this.offset[k];
    const next = this.offset.slice();
    this.list = new Uint32Array(total);
    for (let i = 0; i < total; i++) this.list[next[instance[i]]++] = i;
  }

  // When each begins and ends, who came last; and an order by beginning.
  measure() {
    const { model, table } = this;
    this.from = new Float64Array(this.total).fill(Infinity);
    this.to = new Float64Array(this.total);
    this.entered = new Float64Array(this.total);
    this.last = new Int32Array(this.total).fill(-1);
    this.done = table.done.map((call, i) => (call < 0 ? table.call[i] : call));
    const { from, to, entered, last, done } = this, { instance, call } = table, { start, duration } = model;
    for (let i = 0; i < table.total; i++) {
      const k = instance[i], begin = start[call[i]], end = start[done[i]] + duration[done[i]];
      if (begin < from[k]) from[k] = begin;
      if (end > to[k]) to[k] = end;
      if (last[k] < 0 || begin > entered[k]) {
        entered[k] = begin;
        last[k] = call[i];
      }
    }
    this.order = new Uint32Array(this.total);
    let sorted = true;
    for (let k = 0; k < this.total; k++) {
      this.order[k] = k;
      if (k && this.from[k] < this.from[k - 1]) sorted = false;
    }
    if (!sorted) this.order.sort((a, b) => this.from[a] - this.from[b]);
    this.longest = 0;
    for (let k = 0; k < this.total; k++) this.longest = Math.max(this.longest, this.to[k] - this.from[k]);
  }

  // The range in `order` of those that may touch an interval of time.
  range(from, to) {
    const find = (time) => {
      let low = 0, high = this.total;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (this.from[this.order[middle]] < time) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    return this.total ? [find(from - this.longest), find(to)] : [0, 0];
  }

  members(instance) {
    const found = [];
    for (let i = this.offset[instance]; i < this.offset[instance + 1]; i++) {
      found.push([this.table.call[this.list[i]], this.done[this.list[i]]]);
    }
    return found;
  }

  // The instance that `call` takes part in; -1: none.
  of(call) {
    const table = this.table;
    for (let i = 0; table && i < table.total; i++) if (table.call[i] === call || table.done[i] === call) return table.instance[i];
    return -1;
  }
}

// Wait states by call: index into the table of waits; -1: none.
class Waits {
  constructor(model) {
    this.table = model.tables.waits;
    this.total = this.table ? this.table.total : 0;
    this.names = model.footer.wait_kinds || [];
  }

  of(call) {
    let low = 0, high = this.total;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.table.call[middle] < call) low = middle + 1;
      else high = middle;
    }
    return low < this.total && this.table.call[low] === call ? low : -1;
  }
}
