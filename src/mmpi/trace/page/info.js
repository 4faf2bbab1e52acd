// Info boxes: what a click on a call, an arrow, a moment or an interval tells.
"use strict";

class Info {
  constructor(app) {
    this.app = app;
    this.box = document.getElementById("info");
    this.tip = document.getElementById("tip");
  }

  close() {
    const had = !this.box.hidden;
    this.box.hidden = true;
    return had;
  }

  place(box, x, y) {
    const stage = this.app.stage.getBoundingClientRect();
    box.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = box;
    box.style.left = `${Math.max(4, Math.min(x + 14, stage.width - width - 16))}px`;
    box.style.top = `${Math.max(4, y + 14 + height > stage.height ? Math.max(4, y - height - 10) : y + 14)}px`;
  }

  show(title, color, lines, actions, x, y) {
    const list = make("dl");
    for (const [name, value, alarm] of lines) {
      if (value === "" || value === null || value === undefined) continue;
      list.append(make("dt", {}, name), make("dd", alarm ? { class: "alarm" } : {}, value));
    }
    const swatch = make("span", { class: "swatch" });
    swatch.style.background = color || "transparent";
    const buttons = actions.filter(Boolean).map(([text, act]) => make("button", { onclick: act }, text));
    this.box.replaceChildren(make("h2", {}, color ? swatch : null, title),
      make("button", { class: "close", "aria-label": "close", onclick: () => this.close() }, "×"), list, make("div", { class: "actions" },
        ...buttons));
    this.place(this.box, x, y);
  }

  call(call, x, y) {
    const { app } = this, { model, state } = app, kind = model.operation[call], row = model.rowOf(call);
    this.show(state.names[kind], state.colors[kind], [...this.callLines(call, row), ...this.waitLines(call), ...this.groupLines(call),
      ...this.valueLines(call)],
      this.callActions(call), x, y);
  }

  callLines(call, row) {
    const { model } = this.app, value = (name) => model.value(name, call), comm = value("comm"), peer = value("peer"), flags = value("flags");
    const world = model.worldRank(comm, peer), lost = flags & FLAGS.open ? "not left: the process ended in it" : "";
    const site = model.sites[value("site")];
    return [
      ["row", this.app.lineName({ row })], ["from", moment(model.start[call])], ["lasts", lasting(model.duration[call])], ["open", lost, true],
      ["line", model.siteText(value("site"))], ["in", site && site.function ? site.function : ""],
      ["peer", peer >= 0 ? `rank ${world}${world === peer ? "" : ` (${peer} there)`}` : peer === -2 ? "PROC_NULL" : ""],
        ["bytes", bytesText(value("bytes"))],
      ["tag", value("tag") >= 0 && this.app.collectives.of(call) < 0 ? value("tag") : ""], ["communicator", model.commText(comm)],
      ["error", flags & FLAGS.error ? "MPI returned an error" : "", true], ["posted", this.wildcards(flags)],
      ["data", [flags & FLAGS.derived ? "derived datatype made for the layout" : "",
        flags & FLAGS.copied ? "went through a copy" : ""].filter(Boolean).join(", ")],
      ["polls", flags & FLAGS.polls ? `${value("bytes")} polls in vain` : ""], ["unmatched", this.unmatched(call), true],
      ...this.nested(call),
    ];
  }

  wildcards(flags) {
    return [flags & FLAGS.anySource ? "ANY_SOURCE" : "", flags & FLAGS.anyTag ? "ANY_TAG" : ""].filter(Boolean).join(", ");
  }

  unmatched(call) {
    const table = this.app.model.tables.unmatched;
    for (let i = 0; table && i < table.total; i++) if (table.call[i] === call) return WHY[table.why[i]];
    return "";
  }

  nested(call) {
    const table = this.app.model.tables.nested, lines = [];
    if (!table) return lines;
    for (let i = lowerBound(table.call, call); i < table.total && table.call[i] === call; i++) {
      lines.push([table.kind[i] === 1 ? "pickling" : "unpickling", `${lasting(table.duration[i])}, ${bytesText(table.bytes[i])}`]);
    }
    return lines;
  }

  waitLines(call) {
    const { waits, model } = this.app, i = waits.of(call);
    if (i < 0) return [];
    const { kind, duration, culprit_row: culpritRow, cause, cause_row: causeRow, cause_call: causeCall } = waits.table;
    const row = model.rows[culpritRow[i]], why = model.rows[causeRow[i]], place = model.siteText(model.value("site", causeCall[i]));
    return [["waits", `${lasting(duration[i])}: ${waits.names[kind[i]]}`, true], ["for", row ? `rank ${model.rowName(row)}` : ""],
      ["because", why ? `rank ${model.rowName(why)} ${cause[i] ? "was in MPI at" : "computed before"} ${place || this.app.state.names[model.operation[causeCall[i]]]}` : ""]];
  }

  groupLines(call) {
    const { collectives, model } = this.app, k = collectives.of(call);
    if (k < 0) return [];
    const last = collectives.last[k], row = model.rowOf(last), first = collectives.from[k];
    return [["ranks", String(collectives.offset[k + 1] - collectives.offset[k])],
      ["last", `rank ${model.rowName(row)}, ${lasting(model.start[last] - first)} after the first`],
        ["all of it", lasting(collectives.to[k] - first)]];
  }

  valueLines(call) {
    const { model } = this.app, table = model.tables.values, lines = [];
    if (!table) return lines;
    const format = model.operations[model.operation[call]].format, values = [];
    for (let i = lowerBound(table.call, call); i < table.total && table.call[i] === call; i++) values.push(valueAt(model, i));
    if (values.length) lines.push([values.length > 1 ? "values" : "value", format ? fill(format, values) : values.join(", ")]);
    return lines;
  }

  callActions(call) {
    const { app } = this, { model, waits, messages } = app, wait = waits.of(call);
    const links = messages.of(call).sort((a, b) => (messages.arrival[b] === call) - (messages.arrival[a] === call)).slice(0, 4);
    return [
      ["Zoom to it", () => app.fit(call)],
      wait >= 0 && waits.table.culprit[wait] >= 0 ? ["Go to the culprit (w)", () => app.follow(waits.table.culprit[wait])] : null,
      wait >= 0 && waits.table.cause_call[wait] >= 0 ? ["Go to the cause", () => app.follow(waits.table.cause_call[wait])] : null,
      ...links.map((i, k) => {
        const sent = messages.table.send[i] === call || messages.table.send_done[i] === call;
        const other = sent ? messages.arrival[i] : messages.table.send[i];
        return other === call ? null : [`${sent ? "To" : "From"} rank ${model.rowName(model.rowOf(other))}${k ? "" : " (g)"}`, () => app.follow(other)];
      }),
    ];
  }

  // What the calls that share some pixels do together.
  crowd({ crowd: { row, from, to, calls } }, x, y) {
    const { app } = this, { model, state } = app, sums = model.rowInterval(row, from, to);
    const kinds = [...sums.exclusive.keys()].filter((k) => sums.count[k]).sort((a, b) => sums.exclusive[b] - sums.exclusive[a]);
    this.show(`${counted(calls)} calls`, "", [
      ["row", app.lineName({ row })], ["at", moment((from + to) / 2, to - from)], ["within", lasting(to - from)],
      ...kinds.slice(0, 8).map((k) => [state.names[k], `${counted(sums.count[k])}, ${percent(sums.exclusive[k] / (to - from))}`]),
    ], [["Zoom to them", () => {
      this.close();
      state.zoomTo(from, to);
    }]], x, y);
  }

  message(i, x, y) {
    const { app } = this, { model, messages, state } = app, { table } = messages, send = table.send[i], receive = messages.arrival[i];
    const row = (call) => `rank ${model.rowName(model.rowOf(call))}, ${state.names[model.operation[call]]}`;
    this.show("Message", "", [
      ["from", row(send)], ["to", row(receive)], ["bytes", bytesText(table.bytes[i])], ["tag", table.tag[i] >= 0 ? table.tag[i] : ""],
      ["communicator", model.commText(table.comm[i])], ["sent", moment(messages.from[i])], ["received", moment(messages.to[i])],
      ["lasts", lasting(messages.to[i] - messages.from[i]), messages.to[i] < messages.from[i]],
      ["line", `${model.siteText(model.value("site", send))} → ${model.siteText(model.value("site", table.receive[i]))}`],
      ["order", table.assumed[i] ? "assumed: threads shared it" : ""],
    ], [["Go to the send", () => app.follow(send)], ["Go to the receive", () => app.follow(receive)]], x, y);
  }

  bundle(k, x, y) {
    const { app } = this, { list, step } = app.arrows.bundles, { model } = app;
    this.show(`${counted(list.count[k])} messages`, "", [
      ["from", `rank ${model.rowName(model.rows[list.source[k]])}`], ["to", `rank ${model.rowName(model.rows[list.target[k]])}`],
      ["bytes", bytesText(list.bytes[k])], ["sent within", lasting(step)], ["at", moment(list.from[k], step)],
    ], [["Zoom to them", () => app.state.zoomTo(list.from[k] - step, Math.max(list.to[k], list.from[k]) + step)]], x, y);
  }

  moment(time, line, x, y) {
    const { app } = this, row = app.plot.lines[line];
    this.show("Time", "", [["at", moment(time)], ["row", row ? app.lineName(row) : ""], ["here", "outside of MPI and of states"]],
      [["Select the view", () => app.select([app.state.from, app.state.to])]], x, y);
  }

  interval(x, y) {
    const { app } = this, [from, to] = app.state.selection, numbers = app.totals(from, to);
    this.show("Interval", "", [
      ["from", moment(from)], ["to", moment(to)], ["lasts", lasting(to - from)], ["in MPI", percent(numbers.mpi / numbers.wall)],
      ["waiting", percent(numbers.wait / numbers.wall)], ["calls", counted(numbers.calls)],
        ["messages", `${counted(numbers.messages)}, ${bytesText(numbers.bytes)}`],
    ], [["Zoom to it (Enter)", () => app.state.zoomTo(from, to)], ["Statistics", () => app.panels.open("statistics")],
      ["Forget it (Esc)", () => app.select(null)]], x, y);
  }

  hover(hit, x, y) {
    const { app } = this, { model, state } = app;
    this.tip.hidden = true;
    if (hit.gutter || !this.box.hidden || (hit.call < 0 && (hit.arrow === null || hit.arrow === undefined))) return;
    if (hit.arrow !== null && hit.arrow !== undefined) this.tip.replaceChildren(this.arrowTip(hit.arrow));
    else {
      const wait = model.waitTime ? model.waitTime[hit.call] : 0;
      const place = model.siteText(model.value("site", hit.call));
      this.tip.replaceChildren(make("b", {}, state.names[model.operation[hit.call]]), ` ${lasting(model.duration[hit.call])}`,
        wait ? `, waits ${lasting(wait)}` : "", place ? ` · ${place}` : "");
    }
    this.place(this.tip, x, y);
  }

  arrowTip(arrow) {
    const { app } = this, { model, messages } = app, name = (row) => model.rowName(model.rows[row]);
    if (arrow < 0) {
      const { list } = app.arrows.bundles, k = -1 - arrow;
      return `${counted(list.count[k])} messages ${name(list.source[k])} → ${name(list.target[k])}, ${bytesText(list.bytes[k])}`;
    }
    return `${name(messages.source[arrow])} → ${name(messages.target[arrow])}, ${bytesText(messages.table.bytes[arrow])}, ${lasting(messages.to[arrow] - messages.from[arrow])}`;
  }
}

// A printf-like format with values, as the users of MPE know it.
function fill(format, values) {
  let i = 0;
  return format.replace(/%[-+ 0#]*\d*(?:\.(\d+))?[hl]*([a-zA-Z%])/g, (whole, digits, letter) => {
    if (letter === "%") return "%";
    const value = values[i++];
    if (value === undefined) return whole;
    if ("fF".includes(letter)) return Number(value).toFixed(Number(digits ?? 6));
    return "eE".includes(letter) ? Number(value).toExponential(Number(digits ?? 6)) : String(value);
  }) + (i < values.length && i === 0 ? ` ${values.join(", ")}` : "");
}
