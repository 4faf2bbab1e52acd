// The numbers of an interval, by the definitions of the report (docs/tracing.md).
"use strict";

// Each row: how long it was there, in MPI, waiting; calls of MPI; bytes that it sent and received.
function rowStatistics(app, from, to) {
  const { model } = app;
  const rows = model.rows.map((row) => {
    const sums = model.rowInterval(row, from, to);
    const clip = (time) => Math.min(Math.max(time, from), to);
    const wall = clip(row.until) - clip(row.since), wait = sums.waited.reduce((sum, time) => sum + time, 0);
    return { row, sums, wall, mpi: sums.mpi, app: wall - sums.mpi, wait, calls: sums.calls, bytesOut: 0, bytesIn: 0 };
  });
  const total = new Sums(model.kinds);
  rows.forEach((row) => total.add(row.sums));
  return { rows, total };
}

// Messages whose send began in the interval.
function eachMessage(app, from, to, visit) {
  const { messages } = app;
  if (!messages.total) return;
  const [, end] = messages.range(from, to);
  let i = lowerBound(messages.from, from);
  for (; i < end; i++) visit(i);
}

function lowerBound(array, value) {
  let low = 0, high = array.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Messages and bytes from rank to rank, and how long the two waited for each other in them.
function matrixStatistics(app, from, to) {
  const { model, messages, waits } = app, pairs = new Map();
  const pair = (source, target) => {
    const key = `${source} ${target}`;
    if (!pairs.has(key)) pairs.set(key, { source, target, count: 0, bytes: 0, wait: 0 });
    return pairs.get(key);
  };
  const counts = new Map(), rows = model.rows.length;
  eachMessage(app, from, to, (i) => {
    const key = messages.source[i] * rows + messages.target[i], bytes = Math.max(0, messages.table.bytes[i]);
    const cell = counts.get(key);
    if (cell) {
      cell.count++;
      cell.bytes += bytes;
    } else counts.set(key, { count: 1, bytes });
  });
  for (const [key, { count, bytes }] of counts) {
    const cell = pair(model.rows[Math.floor(key / rows)].rank, model.rows[key % rows].rank);
    cell.count += count;
    cell.bytes += bytes;
  }
  for (let i = 0; i < waits.total; i++) addWait(app, i, from, to, pair);
  return [...pairs.values()];
}

function addWait({ model, waits }, i, from, to, pair) {
  const { call, kind, duration, culprit_row: culpritRow } = waits.table, late = waits.names[kind[i]] === "late receiver";
  if (!late && !waits.names[kind[i]].startsWith("late sender")) return;
  const start = model.start[call[i]], time = Math.min(start + duration[i], to) - Math.max(start, from);
  if (time <= 0) return;
  const victim = model.rowOf(call[i]).rank, culprit = model.rows[culpritRow[i]].rank;
  (late ? pair(victim, culprit) : pair(culprit, victim)).wait += time;
}

function totals(app, from, to) {
  const { rows, total } = rowStatistics(app, from, to), { messages } = app;
  let count = 0, bytes = 0;
  eachMessage(app, from, to, (i) => {
    const size = Math.max(0, messages.table.bytes[i]);
    count++;
    bytes += size;
    rows[messages.source[i]].bytesOut += size;
    rows[messages.target[i]].bytesIn += size;
  });
  const sum = (name) => rows.reduce((all, row) => all + row[name], 0);
  return { from, to, rows, total, wall: sum("wall"), mpi: sum("mpi"), wait: sum("wait"), calls: sum("calls"), messages: count, bytes };
}

// Each operation at each line: calls of MPI that are not inside another one.
function siteStatistics(app, from, to) {
  const { model } = app, sites = model.sites.length, groups = new Map();
  const visit = (call) => {
    if (!model.isOuter(call)) return;
    const key = model.operation[call] * sites + model.value("site", call);
    let group = groups.get(key);
    if (!group) groups.set(key, group = { operation: model.operation[call], site: key % sites, count: 0, total: 0, max: 0, wait: 0 });
    const start = model.start[call], time = Math.min(start + model.time[call], to) - Math.max(start, from);
    group.count++;
    group.total += time;
    group.max = Math.max(group.max, time);
    if (model.waitTime && model.waitTime[call]) group.wait += Math.max(0, Math.min(start + model.waitTime[call], to) - Math.max(start, from));
  };
  for (const row of model.rows) {
    const first = model.firstFrom(row, from), end = model.firstFrom(row, to + 0.5);
    for (let call = first - 1; call >= row.from; call = model.parent ? model.parent[call] : -1) if (model.start[call] +
      model.time[call] >= from) visit(call);
    for (let call = first; call < end; call++) visit(call);
  }
  return [...groups.values()].sort((a, b) => b.total - a.total);
}
