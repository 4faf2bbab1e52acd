// What the user can do, by whatever means.
"use strict";

const LOOKS = ["auto", "light", "dark", "blind"];

Object.assign(App.prototype, {
  say(text, more = "") {
    document.getElementById("status").textContent = more ? `${more}  ·  ${text}` : text;
  },

  // Numbers of an interval, kept until another is asked for.
  totals(from, to) {
    const key = `${from} ${to}`;
    if (this.kept?.key !== key) this.kept = { key, numbers: totals(this, from, to) };
    return this.kept.numbers;
  },

  matrix(from, to) {
    return matrixStatistics(this, from, to);
  },

  sites(from, to) {
    const key = `${from} ${to}`;
    if (this.keptSites?.key !== key) this.keptSites = { key, groups: siteStatistics(this, from, to) };
    return this.keptSites.groups;
  },

  select(interval) {
    const { state, model } = this;
    state.selection = interval && interval[1] > interval[0] ? interval.map((time) => Math.round(Math.min(Math.max(time, model.begin),
      model.end))) : null;
    this.panels.paint();
    if (state.selection) this.say(`selected: ${moment(interval[0])} to ${moment(interval[1])}, ${lasting(interval[1] - interval[0])}`);
    state.changed("selection");
  },

  choosePair(source, target) {
    const { state } = this, { pair } = state.arrows;
    state.arrows.pair = pair && pair[0] === source && pair[1] === target ? null : [source, target];
    const line = state.lines.findIndex(({ row }) => row.rank === source);
    if (line >= 0) state.cursor = line;
    this.panels.paint();
    state.changed();
  },

  showRow(row) {
    const { state } = this, line = state.lineOf(row);
    if (line < 0) return;
    state.cursor = line;
    state.scroll = Math.max(0, state.scroll + this.plot.lines[line].top - this.plot.height / 2);
    this.keyboard = true;
    state.changed();
  },

  // --- search ---

  search(query) {
    const { state } = this, field = document.getElementById("query"), found = document.getElementById("found");
    state.query = query;
    field.value = query;
    field.classList.remove("bad");
    state.hit = -1;
    try {
      state.hits = searchCalls(query, this.model, state);
      found.textContent = state.hits ? `${counted(state.hits.length)} found` : "";
      if (state.hits) state.panel = "hits";
    } catch (error) {
      state.hits = null;
      field.classList.add("bad");
      found.textContent = "";
      this.say(error.message);
    }
    this.panels.paint();
    state.changed("search");
  },

  step(by) {
    const { state } = this;
    if (!state.hits?.length) return;
    const first = state.hit < 0 && by > 0 ? lowerBound(state.hits.map((call) => this.model.start[call]), state.from) - 1 : state.hit;
    this.gotoHit((first + by + state.hits.length) % state.hits.length);
  },

  gotoHit(index) {
    const { state } = this;
    state.hit = index;
    document.getElementById("found").textContent = `${counted(index + 1)} of ${counted(state.hits.length)}`;
    this.goto(state.hits[index]);
    if (state.panel === "hits") this.panels.paint();
    this.sayCall(state.hits[index]);
  },

  sayCall(call) {
    const { model, state } = this, place = model.siteText(model.value("site", call));
    this.say(`${state.names[model.operation[call]]} at ${moment(model.start[call])}, ${lasting(model.duration[call])}${place ? `, ${place}` : ""}`,
      this.lineName({ row: model.rowOf(call) }));
  },

  // --- from call to call ---

  follow(call) {
    this.info.close();
    this.goto(call);
    this.sayCall(call);
  },

  fit(call) {
    const { model, state } = this, lasts = Math.max(model.duration[call], SHORTEST * 4);
    this.info.close();
    state.zoomTo(model.start[call] - lasts * 0.2, model.start[call] + lasts * 1.2);
  },

  // The keyboard's call: the picked one, else the first in view of the current row.
  current() {
    const { state, model } = this, picked = state.picked?.call;
    const { row } = state.lines[state.cursor];
    if (picked !== undefined && model.rowOf(picked) === row) return picked;
    return model.firstFrom(row, state.from);
  },

  walk(by) {
    const { state, model } = this, { row } = state.lines[state.cursor], picked = state.picked?.call;
    let call = this.current();
    if (picked === call) call += by;
    while (call >= row.from && call < row.to && !state.visible[model.operation[call]]) call += by;
    if (call < row.from || call >= row.to) return;
    this.goto(call);
    this.sayCall(call);
  },

  enter() {
    const { state } = this, picked = state.picked;
    if (state.selection && !picked) state.zoomTo(...state.selection);
    else if (picked?.call !== undefined) this.info.call(picked.call, this.plot.left + 20, AXIS + 20);
    else if (picked) this.info.message(picked.message, this.plot.left + 20, AXIS + 20);
  },

  otherSide() {
    const call = this.state.picked?.call;
    if (call === undefined) return;
    const { table, arrival } = this.messages, of = this.messages.of(call), came = of.find((i) => arrival[i] === call), went = of[0];
    if (came !== undefined) this.follow(table.send[came]);
    else if (went !== undefined) this.follow(table.receive[went] === call ? table.send[went] : arrival[went]);
    else if (this.collectives.of(call) >= 0) this.follow(this.collectives.last[this.collectives.of(call)]);
  },

  culprit() {
    const call = this.state.picked?.call, i = call === undefined ? -1 : this.waits.of(call);
    if (i >= 0 && this.waits.table.culprit[i] >= 0) this.follow(this.waits.table.culprit[i]);
  },

  center() {
    const { state, model } = this, call = state.picked?.call;
    const middle = call === undefined ? NaN : model.start[call] + model.duration[call] / 2;
    return middle >= state.from && middle <= state.to ? middle : (state.from + state.to) / 2;
  },

  // --- how it looks ---

  toggle(name, value = !this.state.show[name]) {
    this.state.show[name] = value;
    this.showControls();
    this.state.changed();
  },

  setTool(tool) {
    this.state.tool = tool;
    this.showControls();
  },

  setLook(look) {
    this.state.setPalette(look);
    this.showControls();
    this.panels.paint();
    this.state.changed("look");
  },

  nextLook() {
    this.setLook(LOOKS[(LOOKS.indexOf(this.state.palette) + 1) % LOOKS.length]);
  },

  setRowHeight(height) {
    this.state.rowHeight = Math.round(Math.max(2, Math.min(200, height)));
    this.state.changed();
  },

  arrangeRows(value) {
    const { state } = this;
    if (value.startsWith("comm")) state.showComm(Number(value.slice(4)));
    else if (value === "wait") {
      const { rows } = this.totals(...this.panels.interval);
      state.sortRows((row) => -rows[row.index].wait / (rows[row.index].wall || 1));
    } else if (value === "host") state.sortRows((row) => row.host);
    else state.restoreRows();
  },

  openPage(page) {
    this.page = page;
    if (page === "report") this.reportPage.paint();
    for (const name of ["report", "timeline"]) {
      document.getElementById(`page-${name}`).hidden = name !== page;
      document.getElementById(`tab-${name}`).setAttribute("aria-selected", String(name === page));
    }
    this.state.changed("page");
    if (page === "timeline") this.stage.focus({ preventScroll: true });
  },

  // The controls as the state has it.
  showControls() {
    const { state } = this;
    for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-checked",
      String(button.dataset.tool === state.tool));
    for (const box of document.querySelectorAll("[data-show]")) box.checked = state.show[box.dataset.show];
    this.stage.dataset.tool = state.tool;
    document.getElementById("look").value = state.palette;
  },
});
