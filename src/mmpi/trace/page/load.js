// From the script tags of the page to arrays: blocks are decoded by workers where there is much, else right here.
"use strict";

// Columns that are needed to draw; the others of `calls` are decoded when someone asks (Model.value).
const HOT = { start: "Float64Array", duration: "Float64Array", operation: "Uint16Array", depth: "Uint8Array" };
const TYPES = {
  calls: { site: "Uint32Array", comm: "Uint32Array", peer: "Int32Array", tag: "Float64Array", bytes: "Float64Array", flags: "Uint8Array" },
  messages: { send: "Uint32Array", send_done: "Int32Array", receive: "Uint32Array", receive_done: "Int32Array", bytes: "Float64Array",
    tag: "Float64Array", comm: "Uint32Array", assumed: "Uint8Array" },
  collectives: { instance: "Uint32Array", call: "Uint32Array", done: "Int32Array" },
  nested: { call: "Uint32Array", kind: "Uint8Array", after: "Float64Array", duration: "Float64Array", bytes: "Float64Array" },
  values: { call: "Uint32Array", position: "Uint8Array", type: "Uint8Array", value: "wide" },
  unmatched: { call: "Uint32Array", why: "Uint8Array" },
  waits: { call: "Uint32Array", kind: "Uint8Array", duration: "Float64Array", culprit: "Int32Array",
    culprit_row: "Int32Array", cause: "Uint8Array", cause_row: "Int32Array", cause_call: "Int32Array", cause_state: "Int32Array" },
};
const TABLES = ["calls", "messages", "collectives", "nested", "values", "unmatched", "waits"];
const FEW = 300000;     // bytes below which starting workers costs more than it saves

class Pool {
  constructor(size) {
    this.waiting = new Map();
    this.next = 0;
    this.workers = [];
    const source = document.getElementById("decoder").textContent;
    this.url = size ? URL.createObjectURL(new Blob([source], { type: "text/javascript" })) : null;
    for (let i = 0; i < size; i++) this.add();
  }

  add() {
    try {
      const worker = new Worker(this.url);
      worker.onmessage = ({ data }) => {
        const [resolve, reject] = this.waiting.get(data.id);
        this.waiting.delete(data.id);
        if (data.error) reject(new Error(data.error));
        else resolve(data.result);
      };
      this.workers.push(worker);
    } catch {
      // Some places that show pages forbid workers: then the page decodes by itself.
    }
  }

  decode(...job) {
    if (!this.workers.length) return decodeBlock(...job);
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, [resolve, reject]);
      this.workers[id % this.workers.length].postMessage([id, ...job]);
    });
  }

  close() {
    this.workers.forEach((worker) => worker.terminate());
    if (this.url) URL.revokeObjectURL(this.url);
  }
}

function takeText(table, index) {
  const tag = document.getElementById(`${table}-${index}`);
  const text = tag.textContent;
  tag.remove();         // the text would stay in memory for nothing
  return text;
}

async function loadCalls(pool, footer) {
  const columns = footer.columns.calls;
  const wanted = Object.entries(HOT).map(([name, type]) => {
    const index = columns.findIndex((column) => column[0] === name);
    return [index, columns[index][1], type];
  });
  const total = footer.calls.reduce((sum, block) => sum + block.n, 0);
  const calls = { total, blocks: [] };
  for (const [name, type] of Object.entries(HOT)) calls[name] = new globalThis[type](total);
  await Promise.all(footer.calls.map(async (block, i) => {
    const { arrays, bytes } = await pool.decode(takeText("calls", i), block.n, columns.length, wanted, true);
    Object.keys(HOT).forEach((name, k) => calls[name].set(arrays[k], block.first));
    calls.blocks[i] = { first: block.first, n: block.n, bytes, cold: {} };
  }));
  return calls;
}

async function loadTable(pool, footer, table) {
  const columns = footer.columns[table], blocks = footer[table] || [];
  const wanted = columns.map(([name, coding], index) => [index, coding, TYPES[table][name] || "Float64Array"]);
  const total = blocks.reduce((sum, block) => sum + block.n, 0);
  const result = { total };
  columns.forEach(([name], k) => {
    result[name] = wanted[k][2] === "wide" ? new BigInt64Array(total) : new globalThis[wanted[k][2]](total);
  });
  let first = 0;
  await Promise.all(blocks.map(async (block, i) => {
    const at = first;
    first += block.n;
    const { arrays } = await pool.decode(takeText(table, i), block.n, columns.length, wanted, false);
    columns.forEach(([name], k) => result[name].set(arrays[k], at));
  }));
  return result;
}

function embedded(id) {
  const tag = document.getElementById(id);
  return tag ? JSON.parse(tag.textContent) : null;
}

async function loadTrace() {
  const footer = embedded("footer");
  const bytes = TABLES.flatMap((name) => footer[name] || []).reduce((sum, block) => sum + block.length, 0);
  const pool = new Pool(bytes < FEW ? 0 : Math.min(4, Math.max(1, navigator.hardwareConcurrency || 2)));
  try {
    const names = TABLES.slice(1).filter((name) => footer.columns[name]);
    const [calls, ...tables] = await Promise.all([loadCalls(pool, footer), ...names.map((name) => loadTable(pool, footer, name))]);
    return { footer, calls, tables: Object.fromEntries(names.map((name, i) => [name, tables[i]])) };
  } finally {
    pool.close();
  }
}
