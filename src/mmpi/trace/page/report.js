// The report as the first page; what it names can be clicked to see it in the timeline.
"use strict";

const MOST_ROWS = 20;

function ranksText(ranks) {
  const parts = [];
  for (let i = 0; i < ranks.length; i++) {
    const from = i;
    while (ranks[i + 1] === ranks[i] + 1) i++;
    parts.push(i > from ? `${ranks[from]}-${ranks[i]}` : `${ranks[i]}`);
  }
  return `rank${ranks.length === 1 ? "" : "s"} ${parts.slice(0, 8).join(", ")}${parts.length > 8 ? ", ..." : ""}`;
}

class ReportPage {
  constructor(app) {
    this.app = app;
    this.report = app.report;
    this.page = document.getElementById("page-report");
  }

  paint() {
    const { report } = this;
    if (!report) {
      this.page.replaceChildren(make("p", { class: "note" }, "This page was made without a report."));
      return;
    }
    const parts = [make("p", { class: "verdict" }, report.verdict || ""), this.incomplete(), this.advice(), this.efficiency(), this.rows(),
      this.causes(), this.waits(), this.sites(),
      this.states(), this.sizes(), this.accesses(), this.collectives(), this.pickling(), this.unmatched(), this.tracing()];
    this.page.replaceChildren(...parts.flat().filter(Boolean));
  }

  // A table under a heading; a row may be [cells, what a click searches for].
  table(title, heads, rows, left = [0]) {
    if (!rows.length) return null;
    const head = make("tr", {}, ...heads.map((text, i) => make("th", { class: left.includes(i) ? "left" : "" }, text)));
    const lines = rows.slice(0, MOST_ROWS).map(([cells, query]) => {
      const line = make("tr", query ? { class: "link", title: "Show in the timeline", tabIndex: 0, onclick: () => this.find(query),
        onkeydown: (event) => event.key === "Enter" && this.find(query) } : {});
      line.append(...cells.map((cell, i) => make("td", { class: left.includes(i) ? "left" : "" }, cell ?? "")));
      return line;
    });
    const more = rows.length > MOST_ROWS ? make("p", { class: "note" },
      `and ${counted(rows.length - MOST_ROWS)} more: mmpi trace report --top`) : null;
    return [make("h2", {}, title), make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)), more];
  }

  find(query) {
    this.app.openPage("timeline");
    this.app.search(query);
    this.app.step(1);
  }

  query(operation, place, extra = "") {
    const terms = [];
    if (operation) terms.push(`op:${operation}`);
    if (place) terms.push(`site:${place}`);
    return `${terms.join(" ")} ${extra}`.trim().replace(/\s+/g, " ");
  }

  incomplete() {
    const { job, tracing } = this.report, lines = [];
    if (job.missing?.length) lines.push(`No data of ${ranksText(job.missing)}.`);
    if (job.complete === false) lines.push(`The run did not end in order${tracing.unfinished?.length ? ` (${ranksText(tracing.unfinished)})` : ""}: the trace ends where it was cut off.`);
    return lines.map((text) => make("p", { class: "alarm" }, text));
  }

  advice() {
    const { advice } = this.report;
    return advice?.length ? [make("h2", {}, "What to do"), make("ul", { class: "advice" },
      ...advice.map((one) => make("li", {}, one.text)))] : null;
  }

  efficiency() {
    const { efficiency } = this.report;
    const tiles = [["parallel", "parallel efficiency"], ["load_balance", "load balance"], ["communication", "communication"],
      ["serialisation", "serialisation"],
      ["transfer", "transfer"]];
    return [make("h2", {}, "Efficiency"), make("div", { class: "tiles" }, ...tiles.map(([key, name]) =>
      make("div", { class: `tile${efficiency[key] < 0.8 ? " low" : ""}` }, make("b", {}, percent(efficiency[key])), make("span", {}, name))))];
  }

  rows() {
    const rows = this.report.rows.map((row) => {
      const name = row.thread ? `${row.rank}.${row.thread}` : String(row.rank);
      return [[name, shareBar(row), lasting(row.app), lasting(row.mpi), percent(row.mpi / row.wall), lasting(row.wait), percent(row.wait / row.wall),
        counted(row.calls), bytesText(row.bytes_out),
        bytesText(row.bytes_in), (row.outlier || []).join(", ")], `rank:${row.rank}`];
    });
    return this.table("Ranks", ["Rank", "", "Application", "MPI", "", "Waiting", "", "Calls", "Sent", "Received", "Unusual"], rows, [0, 10]);
  }

  causes() {
    const wall = this.report.totals.wall || 1;
    const rows = this.report.causes.map((cause) => {
      const what = cause.activity === "computing" ? `rank ${cause.rank} computed ${cause.state ? `in ${cause.state} ` : ""}before` : `rank ${cause.rank} was in MPI, in`;
      const victims = cause.victims.map((victim) => `${victim.kind}: ${victim.operation} at ${victim.place || "?"} on ${ranksText(victim.ranks)}`).join("; ");
      return [[percent(cause.wait / wall), lasting(cause.wait), counted(cause.count), `${what} ${cause.operation} at ${cause.place || "?"}`,
        victims],
        this.query(cause.operation, cause.place, `rank:${cause.rank}`)];
    });
    return this.table("What the others waited for", ["Of rank time", "Time", "Waits", "Because", "Who waits"], rows, [3, 4]);
  }

  waits() {
    const wall = this.report.totals.wall || 1;
    return this.table("Wait states", ["Kind", "Waits", "Time", "Of rank time", "Longest"],
      this.report.waits.map((wait) => [[wait.kind, counted(wait.count), lasting(wait.total), percent(wait.total / wall), lasting(wait.max)]]));
  }

  sites() {
    const rows = this.report.sites.map((site) => [[site.operation, site.place || "?", counted(site.count), lasting(site.total),
      lasting(site.mean), lasting(site.max),
      site.ranks > 1 ? site.cov.toFixed(2) : "", site.bytes ? bytesText(site.bytes) : "", percent(site.wait_share)],
        this.query(site.operation, site.place)]);
    return this.table("Call sites", ["Operation", "Line", "Calls", "Time", "Mean", "Longest", "COV", "Bytes", "Waits"], rows, [0, 1]);
  }

  states() {
    const rows = this.report.states.map((state) => [[state.state, counted(state.count), counted(state.ranks), lasting(state.inclusive),
      lasting(state.exclusive)],
      /\s/.test(state.state) ? null : `op:${state.state}`]);
    return this.table("Your states", ["State", "Count", "Ranks", "Inclusive", "Exclusive"], rows);
  }

  sizes() {
    return this.table("Messages by size", ["Size", "Messages", "Bytes", "Mean time", "Bandwidth"], this.report.sizes.map((size) =>
      [[size.high ? `up to ${bytesText(size.high + 1)}` : "0 B", counted(size.count), bytesText(size.bytes), lasting(size.mean),
        `${bytesText(Math.round(size.bandwidth))}/s`],
        size.high ? `bytes>=${size.low} bytes<=${size.high}` : "bytes=0"]));
  }

  accesses() {
    return this.table("One-sided: who accesses whose memory", ["Operation", "Ranks", "Calls", "Bytes", "Time"], this.report.accesses.map((one) =>
      [[one.operation, `${one.source} → ${one.target}`, counted(one.count), bytesText(one.bytes), lasting(one.total)],
        `op:${one.operation} rank:${one.source} peer=${one.target}`]));
  }

  collectives() {
    return this.table("Collectives", ["Operation", "Ranks", "Bytes", "Times", "Calls", "Time", "Mean", "Waits"],
      this.report.collectives.map((one) =>
      [[one.operation, counted(one.comm_size), one.high ? `up to ${bytesText(one.high + 1)}` : "", counted(one.instances), counted(one.calls),
        lasting(one.total), lasting(one.mean),
        percent(one.total ? one.wait / one.total : 0)], `op:${one.operation}`]));
  }

  pickling() {
    return this.table("Pickling", ["What", "In", "Line", "Times", "Time", "Bytes"], this.report.pickling.map((one) =>
      [[one.kind, one.operation, one.place || "?", counted(one.count), lasting(one.total), bytesText(one.bytes)],
        this.query(one.operation, one.place)]), [0, 1, 2]);
  }

  unmatched() {
    return this.table("Without a counterpart", ["What", "Rank", "Call", "Line", "Count"], this.report.unmatched.map((one) =>
      [[one.why, String(one.rank), one.operation, one.place || "?", counted(one.count)], this.query(one.operation, one.place,
        `rank:${one.rank}`)]), [0, 2, 3]);
  }

  tracing() {
    const { tracing } = this.report;
    const cost = tracing.record_ns ? `, about ${lasting(tracing.total)} or ${percent(tracing.share)} of rank time` : "";
    const clocks = tracing.hosts.length > 1 ? ` Clocks of ${tracing.hosts.length} hosts agree within ${lasting(Math.max(...tracing.hosts.map((host) => host.bound || 0)))}.` : "";
    return [make("h2", {}, "Tracing itself"),
      make("p", {}, `${counted(tracing.records)} records${cost}; ${tracing.dropped ? `${counted(tracing.dropped)} found no room` : "none was lost"}.` +
      `${clocks} ${tracing.violations ? `${counted(tracing.violations)} messages seem to arrive before they were sent.` : ""}`)];
  }
}
