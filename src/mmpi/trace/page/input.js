// Mouse, wheel, keys, buttons.
"use strict";

const KEYS = [
  ["← → ↑ ↓", "move in time; to another row"], ["+ −", "zoom in, out"], ["Home", "all of the trace"],
    ["Enter", "zoom to the selection; details of the picked call"],
  [". ,", "next, previous call of the row"], ["g", "to the other side of the message"], ["w", "to the culprit of the wait"],
  ["z Z", "view before, forth again (also Ctrl-Z, Ctrl-Y)"], ["/", "search"], ["n p", "next, previous hit"],
    ["1 2 3", "dragging moves, zooms, selects"],
  ["s", "select what is in view"], ["Esc", "close, forget the selection"], ["[ ]", "lower, higher rows"],
    ["x v", "cut the row, put it back here"], ["Alt ↑ ↓", "move the row"],
  ["c", "make the row small, and normal again"], ["R", "all rows again"], ["a b h", "messages, collectives, waits on and off"],
  ["l t m f", "legend, statistics, matrix, hits"], ["r", "report, timeline"], ["d", "next palette"], ["?", "this list"],
];
const MICE = [
  ["wheel", "zoom in time, about the pointer"], ["Shift wheel", "move in time"], ["wheel on the names", "scroll the rows"],
    ["drag", "what Move, Zoom, Select say"],
  ["Shift drag", "select an interval"], ["Ctrl drag", "zoom to what is marked"], ["click", "details of a call, an arrow, a moment"],
    ["double click", "zoom in there"],
  ["drag a name", "move its row"], ["right click", "menu of the row"], ["strip above", "drag the view"],
];

class Input {
  constructor(app) {
    this.app = app;
    this.listenStage();
    this.listenOverview();
    this.listenControls();
    document.addEventListener("keydown", (event) => this.key(event));
  }

  point(event) {
    const box = this.app.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // --- the stage ---

  listenStage() {
    const { stage } = this.app;
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.moveOver(event));
    stage.addEventListener("pointerup", (event) => this.release(event));
    stage.addEventListener("pointercancel", () => this.app.drag = null);
    stage.addEventListener("pointerleave", () => this.app.info.tip.hidden = true);
    stage.addEventListener("contextmenu", (event) => this.context(event));
    stage.addEventListener("dblclick", (event) => this.double(event));
    document.getElementById("scroll").addEventListener("scroll", (event) => {
      if (Math.abs(event.target.scrollTop - this.app.state.scroll) < 1) return;
      this.app.state.scroll = event.target.scrollTop;
      this.app.state.changed();
    });
    new ResizeObserver(() => this.app.state.changed("size")).observe(stage);
  }

  wheel(event) {
    const { app } = this, { state } = app, [x] = this.point(event);
    if (event.target.closest("#info, #menu")) return;
    event.preventDefault();
    app.info.tip.hidden = true;
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    const dx = event.deltaX * unit, dy = event.deltaY * unit;
    if (x < app.plot.left || event.altKey) {
      state.scroll += dy;
      state.changed();
    } else if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) {
      this.rememberOnce();
      state.pan((event.shiftKey && !dx ? dy : dx) / app.plot.width * state.span);
    } else {
      this.rememberOnce();
      state.zoomAt(app.time(x), 1.0022 ** Math.max(-400, Math.min(400, dy)));
    }
  }

  // A row of steps of the wheel is one step of the history.
  rememberOnce() {
    const now = performance.now();
    if (!this.turned || now - this.turned > 500) this.app.state.remember();
    this.turned = now;
  }

  press(event) {
    const { app } = this, [x, y] = this.point(event);
    if (event.button !== 0 || event.target.closest("#info, #menu, #scroll")) return;
    this.closeMenu();
    app.keyboard = false;
    app.stage.setPointerCapture(event.pointerId);
    const kind = x < app.plot.left ? "row" : event.shiftKey ? "select" : event.ctrlKey || event.metaKey ? "zoom" : app.state.tool;
    app.drag = { kind, x, y, from: app.state.from, scroll: app.state.scroll, time: app.time(x), line: app.lineAt(y), moved: false, span: null };
  }

  moveOver(event) {
    const { app } = this, { drag, state } = app, [x, y] = this.point(event);
    app.stage.classList.toggle("gutter", x < app.plot.left);
    if (!drag) {
      this.hover(x, y, event);
      return;
    }
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < 4) return;
    if (!drag.moved && drag.kind === "pan") state.remember();
    drag.moved = true;
    app.info.tip.hidden = true;
    app.stage.classList.add("dragging");
    if (drag.kind === "pan") {
      state.scroll = drag.scroll - (y - drag.y);
      const from = drag.from - (x - drag.x) / app.plot.width * state.span;
      state.reveal(from, from + state.span);
    } else if (drag.kind === "row") this.dragRow(y);
    else {
      drag.span = [drag.time, app.time(Math.max(app.plot.left, Math.min(app.plot.left + app.plot.width, x)))];
      app.say(`${moment(Math.min(...drag.span))} to ${moment(Math.max(...drag.span))}: ${lasting(Math.abs(drag.span[1] - drag.span[0]))}`);
      state.changed();
    }
  }

  dragRow(y) {
    const { app } = this, to = app.lineAt(y);
    if (to < 0 || app.drag.line < 0 || to === app.drag.line) return;
    app.state.move(app.drag.line, to);
    app.drag.line = to;
  }

  release(event) {
    const { app } = this, { drag, state } = app, [x, y] = this.point(event);
    app.drag = null;
    app.stage.classList.remove("dragging");
    if (!drag) return;
    if (!drag.moved) {
      this.click(x, y);
      return;
    }
    if (!drag.span) return;
    const [from, to] = [Math.min(...drag.span), Math.max(...drag.span)];
    if (drag.kind === "zoom") state.zoomTo(from, to);
    else {
      app.select([from, to]);
      app.info.interval(x, y);
    }
  }

  click(x, y) {
    const { app } = this, { state } = app, hit = app.hit(x, y);
    app.info.tip.hidden = true;
    if (hit.line >= 0) state.cursor = hit.line;
    if (hit.gutter) {
      state.changed();
      return;
    }
    const inSelection = state.selection && hit.time > state.selection[0] && hit.time < state.selection[1];
    if (hit.arrow !== null && hit.arrow !== undefined) {
      state.picked = hit.arrow >= 0 ? { message: hit.arrow } : null;
      if (hit.arrow >= 0) app.info.message(hit.arrow, x, y);
      else app.info.bundle(-1 - hit.arrow, x, y);
    } else if (hit.crowd) {
      state.picked = null;
      app.info.crowd(hit, x, y);
    } else if (hit.call >= 0) {
      state.picked = { call: hit.call };
      app.info.call(hit.call, x, y);
    } else {
      state.picked = null;
      if (inSelection) app.info.interval(x, y);
      else app.info.moment(hit.time, hit.line, x, y);
    }
    state.changed("picked");
  }

  double(event) {
    const { app } = this, [x] = this.point(event);
    if (event.target.closest("#info, #menu") || x < app.plot.left) return;
    app.info.close();
    app.state.remember();
    app.state.zoomAt(app.time(x), 0.25);
  }

  hover(x, y, event) {
    const { app } = this;
    if (event.target.closest("#info, #menu, #scroll")) {
      app.info.tip.hidden = true;
      return;
    }
    const hit = app.hit(x, y);
    app.info.hover(hit, x, y);
    if (!hit.gutter) app.say(moment(hit.time, app.state.span / app.plot.width), hit.line >= 0 ? app.lineName(app.plot.lines[hit.line]) : "");
  }

  // --- the menu of a row ---

  context(event) {
    event.preventDefault();
    const { app } = this, [x, y] = this.point(event), line = app.lineAt(y);
    if (line < 0) return;
    app.state.cursor = line;
    const { state } = app, entry = (text, act) => make("button", { role: "menuitem", onclick: () => {
      this.closeMenu();
      act();
    } }, text);
    const menu = document.getElementById("menu");
    menu.replaceChildren(
      entry(`Cut ${app.lineName(state.lines[line])}`, () => state.cut(line)), entry("Cut all others", () => {
        state.lines = [state.lines[line]];
        state.cursor = 0;
        state.changed("rows");
      }), entry(state.lines[line].small ? "Normal height" : "Make it small", () => state.collapse(line)),
      entry("To the top", () => state.move(line, 0)), entry("Up", () => state.move(line, line - 1)),
        entry("Down", () => state.move(line, line + 1)),
      entry("To the bottom", () => state.move(line, state.lines.length - 1)), entry("Put the last cut row here", () => state.paste()),
      entry("All rows again", () => state.restoreRows()));
    app.info.place(menu, x, y);
    menu.firstElementChild.focus();
    state.changed();
  }

  closeMenu() {
    const menu = document.getElementById("menu"), had = !menu.hidden;
    menu.hidden = true;
    return had;
  }

  // --- strip and controls ---

  listenOverview() {
    const { app } = this, { canvas } = app.overview, { state, model } = app;
    const move = (event) => {
      const box = canvas.getBoundingClientRect(), time = model.begin + (event.clientX - box.left) / box.width * (model.end - model.begin);
      state.reveal(time - state.span / 2, time + state.span / 2);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      state.remember();
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons & 1 && move(event));
  }

  listenControls() {
    const { app } = this, { state } = app;
    for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => this.act(button.dataset.do));
    for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => app.setTool(button.dataset.tool));
    for (const box of document.querySelectorAll("[data-show]")) {
      box.addEventListener("change", () => app.toggle(box.dataset.show, box.checked));
    }
    for (const button of document.querySelectorAll("[data-page]")) button.addEventListener("click", () => app.openPage(button.dataset.page));
    document.getElementById("look").addEventListener("change", (event) => app.setLook(event.target.value));
    document.getElementById("preview").addEventListener("change", ({ target: { value } }) => {
      state.preview = { inclusive: value.includes("i"), overlap: value.includes("o") };
      state.changed();
    });
    document.getElementById("rows").addEventListener("change", ({ target }) => app.arrangeRows(target.value));
    document.getElementById("export").addEventListener("change", ({ target }) => {
      save(app, target.value);
      target.value = "";
    });
    document.getElementById("help-button").addEventListener("click", () => this.help());
    this.listenSearch();
  }

  listenSearch() {
    const { app } = this, field = document.getElementById("query");
    document.getElementById("search").addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value === app.state.query && app.state.hits?.length) app.step(1);
      else app.search(field.value);
    });
    field.addEventListener("search", () => field.value || app.search(""));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();           // which would empty the field
      field.blur();
      app.stage.focus();
    });
  }

  help() {
    const dialog = document.getElementById("help"), list = (pairs) => make("dl", {},
      ...pairs.flatMap(([key, text]) => [make("dt", {}, key), make("dd", {}, text)]));
    dialog.replaceChildren(make("div", { class: "columns" }, make("div", {}, make("h2", {}, "Keys"), list(KEYS)),
      make("div", {}, make("h2", {}, "Mouse"), list(MICE), make("h2", {}, "Search"), ...SEARCH_HELP.split("  ").map((term) => make("code", {},
        term)))),
    make("form", { method: "dialog" }, make("button", {}, "Close")));
    dialog.showModal();
  }

  // --- keys ---

  act(name) {
    const { app } = this, { state } = app, middle = (state.from + state.to) / 2;
    const acts = {
      zoomIn: () => {
        this.rememberOnce();
        state.zoomAt(app.center(), 0.5);
      },
      zoomOut: () => {
        this.rememberOnce();
        state.zoomAt(middle, 2);
      },
      home: () => state.home(), undo: () => state.undo(), redo: () => state.redo(),
      lower: () => app.setRowHeight(app.height / 1.3), higher: () => app.setRowHeight(app.height * 1.3),
    };
    acts[name]();
  }

  key(event) {
    const { app } = this, inField = /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "Escape" && !inField) this.escape();
    if (inField || document.getElementById("help").open) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key.toLowerCase() === "z") this.act(event.shiftKey ? "redo" : "undo");
    else if (control && event.key.toLowerCase() === "y") this.act("redo");
    else if (control || (event.altKey && !/^Arrow/.test(event.key))) return;
    else if (!this.plainKey(event, app)) return;
    event.preventDefault();
  }

  plainKey(event, app) {
    const { state } = app, onButton = /BUTTON|TR/.test(event.target.tagName) || event.target.type === "checkbox";
    if (onButton && (event.key === "Enter" || event.key === " ")) return false;
    if (event.target.closest?.("#panel, #menu, #page-report") && /^Arrow|Home|End|Page/.test(event.key)) return false;
    const step = event.shiftKey ? 0.5 : 0.1;
    const keys = {
      ArrowLeft: () => this.panBy(-step), ArrowRight: () => this.panBy(step), ArrowUp: () => this.toRow(-1, event.altKey),
        ArrowDown: () => this.toRow(1, event.altKey),
      "+": () => this.act("zoomIn"), "=": () => this.act("zoomIn"), "-": () => this.act("zoomOut"), Home: () => this.act("home"),
        Enter: () => app.enter(),
      ".": () => app.walk(1), ",": () => app.walk(-1), g: () => app.otherSide(), w: () => app.culprit(), z: () => this.act("undo"),
        Z: () => this.act("redo"),
      "/": () => document.getElementById("query").focus(), n: () => app.step(1), p: () => app.step(-1), 1: () => app.setTool("pan"),
        2: () => app.setTool("zoom"),
      3: () => app.setTool("select"), s: () => app.select([state.from, state.to]), "[": () => this.act("lower"), "]": () => this.act("higher"),
      x: () => state.cut(state.cursor), v: () => state.paste(), c: () => state.collapse(state.cursor), R: () => state.restoreRows(),
        a: () => app.toggle("arrows"), b: () => app.toggle("bands"),
      h: () => app.toggle("waits"), l: () => app.panels.open("legend"), t: () => app.panels.open("statistics"),
        m: () => app.panels.open("matrix"),
      f: () => app.panels.open("hits"), r: () => app.openPage(app.page === "report" ? "timeline" : "report"), d: () => app.nextLook(),
        "?": () => this.help(),
    };
    if (!keys[event.key]) return false;
    app.keyboard = true;
    keys[event.key]();
    return true;
  }

  panBy(share) {
    this.rememberOnce();
    this.app.state.pan(this.app.state.span * share);
  }

  toRow(by, move) {
    const { app } = this, { state } = app, to = Math.max(0, Math.min(state.lines.length - 1, state.cursor + by));
    if (move) state.move(state.cursor, to);
    state.cursor = to;
    const line = app.plot.lines[to];
    if (line && line.top < 0) state.scroll += line.top;
    if (line && line.top + line.height > app.plot.height) state.scroll += line.top + line.height - app.plot.height;
    app.say(app.lineName(state.lines[to]));
    state.changed();
  }

  escape() {
    const { app } = this;
    if (this.closeMenu() || app.info.close()) return;
    if (app.state.selection) app.select(null);
    else if (app.state.picked) {
      app.state.picked = null;
      app.state.changed("picked");
    }
  }
}
