// Searching: "op:Recv dur>1ms tag=7 rank:3 site:solver.py:88"; all terms must hold.
"use strict";

const SEARCH_HELP = "op:Recv  dur>1ms  bytes>=64k  wait>100us  tag=7  peer=2  rank:3  comm:world  site:solver.py:88  flag:error";
const NUMBERS = {
  dur: [parseTime, (model, call) => model.duration[call]],
  wait: [parseTime, (model, call) => (model.waitTime ? model.waitTime[call] : 0)],
  at: [parseTime, (model, call) => model.start[call]],
  bytes: [parseBytes, (model, call) => model.value("bytes", call)],
  tag: [Number, (model, call) => model.value("tag", call)],
  peer: [Number, (model, call) => model.worldRank(model.value("comm", call), model.value("peer", call))],
  depth: [Number, (model, call) => model.depth[call]],
};
const FLAG_WORDS = { open: 1, error: 2, anysource: 4, anytag: 8, derived: 16, copied: 32, polls: 64 };
const COMPARE = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
  ":": (a, b) => a === b };
const MOST_HITS = 100000;

// A term as a test of a call (or of a row); Error with words for the user.
function parseTerm(term, model, state) {
  const match = /^([a-z]+)(<=|>=|[<>=:])(.+)$/i.exec(term);
  if (!match) return operationTest(term, model, state);
  const [, key, sign, value] = match, name = key.toLowerCase();
  if (name === "op") return operationTest(value, model, state);
  if (name === "rank") return rankTest(value);
  if (name === "site") return listTest("site", model.sites, value, (site, k) => (k ? `${site.file}:${site.line} ${site.function}` : ""), model);
  if (name === "comm") return listTest("comm", model.comms, value, (comm, k) => `${comm.name || ""} ${k}`, model);
  if (name === "flag") return flagTest(value, model);
  if (!NUMBERS[name]) throw new Error(`${key}: not known; there are op, rank, site, comm, flag, ${Object.keys(NUMBERS).join(", ")}`);
  const [parse, read] = NUMBERS[name], number = parse(value);
  if (Number.isNaN(number)) throw new Error(`${term}: ${value} is not a number`);
  return { cost: ["bytes", "tag", "peer"].includes(name) ? 2 : 1, test: (call) => COMPARE[sign](read(model, call), number) };
}

function operationTest(value, model, state) {
  const wanted = value.toLowerCase().replace(/^mpi_/, "");
  const names = state.names.map((name) => name.toLowerCase().replace(/^mpi_/, ""));
  let match = names.map((name) => name === wanted);
  if (!match.some(Boolean)) match = names.map((name) => name.includes(wanted));
  if (!match.some(Boolean)) throw new Error(`${value}: no operation of this name occurs`);
  return { cost: 0, test: (call) => match[model.operation[call]] };
}

function rankTest(value) {
  const wanted = new Set();
  for (const part of value.split(",")) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!range) throw new Error(`rank:${value}: give ranks as 3 or 0-7 or 1,4`);
    for (let rank = Number(range[1]); rank <= Math.min(Number(range[2] ?? range[1]), 1e6); rank++) wanted.add(rank);
  }
  return { cost: 0, row: (row) => wanted.has(row.rank), test: () => true };
}

function listTest(column, list, value, text, model) {
  const wanted = value.toLowerCase(), match = list.map((entry, k) => text(entry, k).toLowerCase().includes(wanted));
  if (!match.some(Boolean)) throw new Error(`${column}:${value}: nothing of the trace has it`);
  return { cost: 2, test: (call) => match[model.value(column, call)] };
}

function flagTest(value, model) {
  const bit = FLAG_WORDS[value.toLowerCase()];
  if (!bit) throw new Error(`flag:${value}: the flags are ${Object.keys(FLAG_WORDS).join(", ")}`);
  return { cost: 2, test: (call) => (model.value("flags", call) & bit) !== 0 };
}

// The calls that a query finds, in the order of time; only rows that are shown, only operations that may be searched.
function searchCalls(query, model, state) {
  const terms = query.trim().split(/\s+/).filter(Boolean).map((term) => parseTerm(term, model, state)).sort((a, b) => a.cost - b.cost);
  if (!terms.length) return null;
  const tests = terms.map((term) => term.test), hits = [];
  for (const { row } of state.lines) {
    if (!terms.every((term) => !term.row || term.row(row))) continue;
    for (let call = row.from; call < row.to && hits.length < MOST_HITS; call++) {
      if (!state.searchable[model.operation[call]]) continue;
      let found = true;
      for (let k = 0; k < tests.length && found; k++) found = tests[k](call);
      if (found) hits.push(call);
    }
  }
  return hits.sort((a, b) => model.start[a] - model.start[b]);
}
