// Files for others: the picture as PNG and SVG, calls and statistics as CSV.
"use strict";

function download(name, type, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function fileStem(app) {
  return (app.model.meta.program || "trace").split("/").pop().replace(/\.py$/, "").replace(/[^\w.-]+/g, "_") || "trace";
}

function stagePicture(app) {
  const picture = document.createElement("canvas"), { bars, ink, ratio } = app;
  picture.width = ink.canvas.width;
  picture.height = ink.canvas.height;
  const context = picture.getContext("2d");
  context.fillStyle = ink.color("paper");
  context.fillRect(0, 0, picture.width, picture.height);
  context.drawImage(bars.canvas, Math.round(app.plot.left * ratio), Math.round(AXIS * ratio));
  context.drawImage(ink.canvas, 0, 0);
  return picture;
}

function savePng(app) {
  stagePicture(app).toBlob((blob) => download(`${fileStem(app)}.png`, "image/png", [blob]));
}

const MOST_SHAPES = 200000;

function escapeXml(text) {
  return String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
}

// Vectors where each call is drawn by itself; where many share a pixel, runs of the pixels' colours.
function svgText(app) {
  const { plot, ink, state } = app, width = plot.left + plot.width, height = AXIS + plot.height, out = [];
  out.push(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="${ink.color("paper")}"/>`);
  const step = axisStep(state.span, plot.width);
  for (let tick = Math.ceil(state.from / step) * step; tick <= state.to; tick += step) {
    const x = ink.x(tick).toFixed(1);
    if (x < plot.left) continue;
    out.push(`<line x1="${x}" x2="${x}" y1="${AXIS}" y2="${height}" stroke="${ink.color("rule")}"/>`,
      `<text x="${x}" y="17" text-anchor="middle" fill="${ink.color("soft")}">${escapeXml(moment(tick, step))}</text>`);
  }
  for (const line of plot.lines) if (line.top + line.height > 0 && line.top < plot.height) svgRow(app, line, out);
  svgArrows(app, out);
  out.push("</svg>");
  return out.join("\n");
}

function svgRow(app, line, out) {
  const { plot, ink, state, model } = app, y = AXIS + line.top, tall = Math.max(1, line.height - 2);
  out.push(`<text x="12" y="${(y + line.height / 2 + 4).toFixed(1)}" fill="${ink.color("ink")}">${escapeXml(app.lineName(line))}</text>`);
  const i = model.firstFrom(line.row, state.from), j = model.firstFrom(line.row, state.to);
  if (j - i > plot.width * 1.5) {
    svgPixels(app, line, out);
    return;
  }
  const calls = model.openAt(line.row, state.from).reverse().filter((call) => call < i);
  for (let call = i; call < j; call++) calls.push(call);
  for (const call of calls) {
    const kind = model.operation[call];
    if (!state.visible[kind] || out.length > MOST_SHAPES) continue;
    const x0 = Math.max(plot.left, ink.x(model.start[call])), x1 = Math.min(plot.left + plot.width,
      Math.max(x0 + 0.5, ink.x(model.ends(call))));
    const inset = Math.min(4, line.height / 6) * Math.min(4, model.depth[call]);
    out.push(`<rect x="${x0.toFixed(2)}" y="${(y + inset).toFixed(1)}" width="${Math.max(0.5, x1 - x0).toFixed(2)}" height="${Math.max(1, tall - 2 * inset).toFixed(1)}" ` +
      `fill="${state.colors[kind]}"><title>${escapeXml(`${state.names[kind]} ${lasting(model.duration[call])}`)}</title></rect>`);
    const waits = state.show.waits && model.waitTime ? Math.min(x1, ink.x(model.start[call] + model.waitTime[call])) - x0 : 0;
    if (waits > 0.5) {
      out.push(`<rect x="${x0.toFixed(2)}" y="${(y + inset).toFixed(1)}" width="${waits.toFixed(2)}" height="${Math.max(1, tall - 2 * inset).toFixed(1)}" ` +
        `fill="${ink.color("paper")}" fill-opacity="0.6"/>`);
    }
  }
}

function svgPixels(app, line, out) {
  const { bars, ratio, plot } = app, width = bars.canvas.width;
  for (let y = Math.max(0, Math.round(line.top * ratio)); y < Math.min(bars.canvas.height, (line.top + line.height) * ratio); y += Math.max(1,
    Math.round(ratio))) {
    for (let x = 0; x < width && out.length < MOST_SHAPES;) {
      const color = bars.pixels[y * width + x], from = x;
      while (x < width && bars.pixels[y * width + x] === color) x++;
      if (color === bars.ground || color === bars.lane) continue;
      out.push(`<rect x="${(plot.left + from / ratio).toFixed(2)}" y="${(AXIS + y / ratio).toFixed(1)}" width="${((x - from) / ratio).toFixed(2)}" height="1.05" ` +
        `fill="${rgbHex([color & 255, color >> 8 & 255, color >> 16 & 255])}"/>`);
    }
  }
}

function svgArrows(app, out) {
  const { ink } = app;
  for (const [x0, y0, x1, y1] of ink.arrowPlaces.slice(0, 10000)) {
    out.push(`<line x1="${x0.toFixed(1)}" y1="${y0.toFixed(1)}" x2="${x1.toFixed(1)}" y2="${y1.toFixed(1)}" stroke="${ink.color("arrow")}" stroke-opacity="0.7"/>`);
  }
}

function csvCell(value) {
  const text = String(value ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// The calls in view of the rows that are shown, as text in parts.
function callsCsv(app) {
  const { state, model } = app, [from, to] = state.selection || [state.from, state.to];
  const parts = ["rank,thread,operation,start_ns,duration_ns,wait_ns,peer,tag,bytes,communicator,file,line,depth\n"];
  for (const { row } of state.lines) {
    const first = model.firstFrom(row, from), end = model.firstFrom(row, to + 0.5);
    const calls = model.openAt(row, from).reverse().filter((call) => call < first);
    for (let call = first; call < end; call++) calls.push(call);
    for (const call of calls) {
      if (!state.visible[model.operation[call]]) continue;
      const site = model.sites[model.value("site", call)] || { file: "", line: "" }, comm = model.value("comm", call);
      parts.push([row.rank, row.thread, state.names[model.operation[call]], model.start[call], model.duration[call],
        model.waitTime ? model.waitTime[call] : 0,
        model.worldRank(comm, model.value("peer", call)), model.value("tag", call), model.value("bytes", call), model.commText(comm), site.file,
          site.line || "",
        model.depth[call]].map(csvCell).join(",") + "\n");
    }
  }
  return parts;
}

function statisticsCsv(app) {
  const [from, to] = app.panels.interval, numbers = app.totals(from, to), { model, state } = app;
  const parts = ["rank,thread,wall_ns,app_ns,mpi_ns,wait_ns,calls,bytes_out,bytes_in\n"];
  for (const row of numbers.rows) {
    parts.push([row.row.rank, row.row.thread, row.wall, row.app, row.mpi, row.wait, row.calls, row.bytesOut, row.bytesIn].join(",") + "\n");
  }
  parts.push("\noperation,count,inclusive_ns,exclusive_ns,wait_ns\n");
  model.operations.forEach((_, k) => {
    const { count, inclusive, exclusive, waited } = numbers.total;
    if (count[k]) parts.push([state.names[k], count[k], inclusive[k], exclusive[k], waited[k]].map(csvCell).join(",") + "\n");
  });
  return parts;
}

function save(app, what) {
  if (what === "png") savePng(app);
  if (what === "svg") download(`${fileStem(app)}.svg`, "image/svg+xml", [svgText(app)]);
  if (what === "csv") download(`${fileStem(app)}-calls.csv`, "text/csv", callsCsv(app));
  if (what === "statistics") download(`${fileStem(app)}-statistics.csv`, "text/csv", statisticsCsv(app));
}
