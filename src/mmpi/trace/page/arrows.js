// Which arrows to draw: each message while they are few, else bundles: one for each pair of rows and pieces of time, drawn at the mean of its times.
"use strict";

const MANY = 3000;              // messages in view above which they are bundled
const PIECE = 14;               // width of a bundle's piece of time, in pixels
const SLOW = 150000;            // messages above which bundling waits for a pause

class Arrows {
  constructor(state, messages) {
    this.state = state;
    this.messages = messages;
    this.bundles = null;        // of the last view: {from, to, step, key, list}
    this.single = [];
  }

  // A function that says whether a message is to be drawn.
  filter() {
    const { arrows, model, visible } = this.state, { table } = this.messages;
    const all = visible.every(Boolean);
    const { pair } = arrows, rows = model.rows, { source, target } = this.messages;
    return (i) => (!pair || (rows[source[i]].rank === pair[0] && rows[target[i]].rank === pair[1])) &&
      (arrows.tag === null || table.tag[i] === arrows.tag) && table.bytes[i] >= arrows.least &&
      (all || visible[model.operation[table.send[i]]] || visible[model.operation[this.messages.arrival[i]]]);
  }

  // Choose what to draw; `lineOf`: index of a row's line, -1 where it is hidden. True: call again in a pause.
  choose(lineOf, width, hurried) {
    const { state, messages } = this;
    this.single = [];
    this.inView = 0;
    const [a, b] = messages.range(state.from, state.to);
    if (!state.show.arrows || a === b) {
      this.bundles = null;
      return false;
    }
    if (b - a <= 4 * MANY && this.chooseSingle(a, b, lineOf)) return false;
    return this.chooseBundles(a, b, lineOf, width, hurried);
  }

  chooseSingle(a, b, lineOf) {
    const wanted = this.filter(), { from, to, source, target } = this.messages;
    for (let i = a; i < b; i++) {
      if (to[i] < this.state.from || from[i] > this.state.to || lineOf[source[i]] < 0 || lineOf[target[i]] < 0 || !wanted(i)) continue;
      this.single.push(i);
    }
    this.inView = this.single.length;
    if (this.inView > MANY) return false;
    this.bundles = null;
    return true;
  }

  chooseBundles(a, b, lineOf, width, hurried) {
    this.single = [];
    const { state } = this, step = 2 ** Math.round(Math.log2(state.span * PIECE / width));
    const key = `${step} ${state.lines.map((line) => line.row.index).join()} ${state.visible.join()} ${Object.values(state.arrows).join()}`;
    const have = this.bundles;
    const fits = have && have.key === key && have.from <= state.from && have.to >= state.to;
    if (!fits && hurried && b - a > SLOW) {
      this.inView = have ? have.count : 0;
      return true;
    }
    if (!fits) this.bundles = this.bundle(step, key, lineOf);
    this.inView = this.bundles.count;
    return false;
  }

  // Bundles of the view and of as much again on either side, so that panning finds them.
  bundle(step, key, lineOf) {
    const { state, messages } = this, rows = state.model.rows.length, wanted = this.filter();
    const from = state.from - state.span / 2, to = state.to + state.span / 2;
    const [a, b] = messages.range(from, to), places = new Map(), { source, target } = messages;
    const list = { source: [], target: [], from: [], to: [], count: [], bytes: [] };
    let count = 0;
    for (let i = a; i < b; i++) {
      if (lineOf[source[i]] < 0 || lineOf[target[i]] < 0 || !wanted(i)) continue;
      const begin = Math.floor(messages.from[i] / step), end = Math.floor(messages.to[i] / step);
      const place = ((begin * 512 + Math.min(end - begin + 1, 511)) * rows + source[i]) * rows + target[i];
      let k = places.get(place);
      if (k === undefined) {
        places.set(place, k = list.from.length);
        list.source.push(source[i]);
        list.target.push(target[i]);
        list.from.push(0);
        list.to.push(0);
        list.count.push(0);
        list.bytes.push(0);
      }
      list.count[k]++;
      list.from[k] += messages.from[i];
      list.to[k] += messages.to[i];
      list.bytes[k] += Math.max(0, messages.table.bytes[i]);
      count++;
    }
    for (const times of [list.from, list.to]) times.forEach((sum, k) => times[k] = sum / list.count[k]);
    return { from, to, step, key, list, count };
  }
}
