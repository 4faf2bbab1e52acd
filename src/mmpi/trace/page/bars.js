// The bars of the rows, as pixels. Where calls are wider than pixels each is drawn; where many share a pixel, its column shows
// the exact shares of time. One line is filled for each depth of nesting and copied down the row.
"use strict";

const MOST_COLUMNS = 100000;     // columns of shares in a picture; with more rows they are wider than a pixel

class Bars {
  constructor(canvas, state) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.state = state;
    this.sums = new Sums(state.model.kinds);
    const most = 2 * state.model.kinds;
    this.parts = { share: new Float64Array(most), tone: new Uint32Array(most), size: new Int32Array(most) };
    this.drawn = { exact: 0, columns: 0 };
  }

  resize(width, height) {
    if (this.canvas.width === width && this.canvas.height === height && this.image) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = new ImageData(Math.max(1, width), Math.max(1, height));
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.layers = Array.from({ length: 5 }, () => new Uint32Array(width));       // a line of pixels for each depth
  }

  // The colours as pixels; paler for time that was spent waiting.
  prepare() {
    const { state } = this, dark = state.look === "dark";
    this.back = hexRgb(dark ? "#16181d" : "#ffffff");
    this.ground = pixel(this.back);
    this.lane = pixel(dark ? [29, 32, 38] : [243, 244, 246]);
    this.laneRgb = dark ? [29, 32, 38] : [243, 244, 246];
    this.rgb = state.colors.map(hexRgb);
    this.full = Uint32Array.from(this.rgb, pixel);
    this.edge = Uint32Array.from(this.rgb, (rgb) => pixel(mix(rgb, dark ? [0, 0, 0] : [255, 255, 255], dark ? 0.35 : 0.4)));
    this.pale = Uint32Array.from(this.rgb, (rgb) => pixel(mix(rgb, this.laneRgb, 0.62)));
    this.scale = this.canvas.width / state.span;
  }

  // What the picture depends on: as long as it is the same nothing is to be done.
  signature(lines, ratio) {
    const { from, to, colors, visible, preview, show, look } = this.state, { width, height } = this.canvas;
    return [from, to, ratio, width, height, look, show.waits, preview.inclusive, preview.overlap, colors, visible,
      lines.map((line) => `${line.row.index} ${line.top} ${line.height}`)].join();
  }

  paint(lines, ratio) {
    const signature = this.signature(lines, ratio);
    if (signature === this.painted) return;
    this.painted = signature;
    this.prepare();
    this.ratio = ratio;
    this.drawn = { exact: 0, columns: 0 };
    this.pixels.fill(this.ground);
    const inView = lines.filter((line) => line.top + line.height > 0 && line.top * ratio < this.canvas.height).length;
    this.grain = Math.max(1, Math.min(4, Math.round(inView * this.canvas.width / MOST_COLUMNS)));
    for (const line of lines) {
      const top = Math.round(line.top * ratio), bottom = Math.min(this.canvas.height, Math.round((line.top + line.height) * ratio));
      const gap = line.height >= 6 ? Math.max(1, Math.round(ratio * Math.min(3, line.height / 8))) : 0;
      if (bottom - gap > 0 && top < this.canvas.height && bottom > top) this.paintRow(line.row, top, bottom - gap);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  paintRow(row, top, bottom) {
    const { model } = this.state, width = this.canvas.width;
    const i = model.firstFrom(row, this.state.from), j = model.firstFrom(row, this.state.to);
    if (j - i <= (this.isLow(top, bottom) ? width / 3 : width * 1.5)) this.paintCalls(row, i, j, top, bottom);
    else this.paintShares(row, top, bottom);
  }

  // Too low to show parts on one another.
  isLow(top, bottom) {
    return bottom - top < 8 * this.ratio;
  }

  // --- each call ---

  paintCalls(row, i, j, top, bottom) {
    const layers = this.layers.slice(0, Math.min(row.deepest, 4) + 1), open = [];
    for (const layer of layers) layer.fill(this.lane);
    for (let k = i - 1; k >= row.from; k = this.state.model.parent ? this.state.model.parent[k] : -1) {
      if (this.state.model.ends(k) > this.state.from) open.push(k);
    }
    for (const call of open.reverse()) this.paintCall(call, layers);
    for (let call = i; call < j; call++) this.paintCall(call, layers);
    this.drawn.exact += j - i + open.length;
    this.copyDown(layers, top, bottom);
  }

  paintCall(call, layers) {
    const { model, visible, show } = this.state, kind = model.operation[call];
    if (!visible[kind]) return;
    const width = this.canvas.width, start = model.start[call], end = start + model.duration[call];
    const x0 = Math.max(0, Math.floor((start - this.state.from) * this.scale));
    const x1 = Math.min(width, Math.max(x0 + 1, Math.round((end - this.state.from) * this.scale)));
    const waits = show.waits && model.waitTime ? model.waitTime[call] : 0;
    const pale = waits ? Math.min(x1, Math.round((start + waits - this.state.from) * this.scale)) : x0;
    for (let d = Math.min(model.depth[call], layers.length - 1); d < layers.length; d++) {
      layers[d].fill(this.full[kind], x0, x1);
      if (pale > x0) layers[d].fill(this.pale[kind], x0, pale);
      if (x1 - x0 > 3) layers[d][x1 - 1] = this.edge[kind];
    }
  }

  copyDown(layers, top, bottom) {
    const width = this.canvas.width, pixels = this.pixels;
    const inset = Math.max(1, Math.min(Math.round(4 * this.ratio), Math.floor((bottom - top) / (2 * layers.length + 1))));
    const from = Math.max(0, top);
    if (this.isLow(top, bottom)) {
      for (let y = from; y < bottom; y++) pixels.set(layers[layers.length - 1], y * width);
      return;
    }
    for (let y = from; y < bottom; y++) {
      const depth = Math.min(layers.length - 1, Math.floor(Math.min(y - top, bottom - 1 - y) / inset));
      const before = y > from ? Math.min(layers.length - 1, Math.floor(Math.min(y - 1 - top, bottom - y) / inset)) : -1;
      if (depth === before) pixels.copyWithin(y * width, (y - 1) * width, y * width);
      else pixels.set(layers[depth], y * width);
    }
  }

  // --- shares of time ---

  paintShares(row, top, bottom) {
    const { model, from, span } = this.state, { sums, grain } = this, { width } = this.canvas, step = span / width * grain;
    let i = model.firstFrom(row, from);
    for (let x = 0; x < width; x += grain) {
      const t0 = from + x / grain * step, t1 = t0 + step;
      const j = this.next(row, i, t1);
      sums.clear();
      model.addCalls(row, i, j, sums);
      model.addOpen(row, j, t1, -1, sums);
      model.addOpen(row, i, t0, 1, sums);
      this.paintColumn(x, top, bottom, step);
      i = j;
    }
    this.drawn.columns += Math.ceil(width / grain);
  }

  // As model.firstFrom, for steps that are short.
  next(row, i, time) {
    let stride = 16, high = i;
    while (high < row.to && this.state.model.start[high] < time) {
      i = high + 1;
      high += stride;
      stride *= 2;
    }
    return this.state.model.firstFrom(row, time, i, Math.min(high, row.to));
  }

  // The parts of a column: share of its time and colour of each, in arrays that are used again and again.
  paintColumn(x, top, bottom, step) {
    const { visible, preview, show } = this.state, { exclusive, inclusive, waited, count } = this.sums, { share, tone } = this.parts;
    const times = preview.inclusive ? inclusive : exclusive, apart = show.waits && !preview.overlap;
    let n = 0;
    for (let k = 0; k < times.length; k++) {
      const time = times[k];
      if (!(time > 0.5 || count[k]) || !visible[k]) continue;
      const waits = apart && waited[k] > 0.5 ? Math.min(waited[k], time) : 0;
      if (time - waits > 0.5 || !waits) {
        share[n] = Math.max(0, time - waits) / step;
        tone[n++] = this.full[k];
      }
      if (waits) {
        share[n] = waits / step;
        tone[n++] = this.pale[k];
      }
    }
    if (this.isLow(top, bottom)) this.blend(x, top, bottom, n);
    else if (preview.overlap) this.overlap(x, top, bottom, n);
    else this.stack(x, top, bottom, n);
  }

  fillColumn(x, from, to, color) {
    const width = this.canvas.width, end = Math.min(width, x + this.grain);
    for (let y = Math.max(0, from); y < to; y++) for (let at = x; at < end; at++) this.pixels[y * width + at] = color;
  }

  // Parts on one another, from below; whatever occurs has a pixel at least.
  stack(x, top, bottom, n) {
    const { share, tone, size } = this.parts, height = bottom - top;
    let total = 0, used = 0, largest = 0;
    for (let i = 0; i < n; i++) total += share[i];
    const scale = height / Math.max(1, total);
    for (let i = 0; i < n; i++) {
      used += size[i] = Math.max(1, Math.round(share[i] * scale));
      if (share[i] > share[largest]) largest = i;
    }
    const want = total > 0.999 ? height : Math.min(height, Math.max(used, Math.round(total * scale)));
    if (n) size[largest] = Math.max(1, size[largest] + want - used);
    let y = bottom;
    for (let i = 0; i < n; i++) {
      const next = Math.max(top, y - size[i]);
      this.fillColumn(x, next, y, tone[i]);
      y = next;
    }
    this.fillColumn(x, top, y, this.lane);
  }

  // Parts in front of one another, the smallest in front.
  overlap(x, top, bottom, n) {
    const { share, tone } = this.parts;
    this.fillColumn(x, top, bottom, this.lane);
    const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => share[b] - share[a]);
    for (const i of order) {
      this.fillColumn(x, Math.max(top, bottom - Math.max(1, Math.round(Math.min(1, share[i]) * (bottom - top)))), bottom, tone[i]);
    }
  }

  // Rows too low for parts: one colour, mixed by the shares; a trace of anything stays visible.
  blend(x, top, bottom, n) {
    const { share, tone } = this.parts;
    let total = 0;
    for (let i = 0; i < n; i++) total += share[i];
    const norm = Math.max(1, total), floor = n && total < 0.25 ? (0.25 - total) / n : 0;
    let red = 0, green = 0, blue = 0;
    for (let i = 0; i < n; i++) {
      const weight = share[i] / norm + floor;
      red += (tone[i] & 255) * weight;
      green += (tone[i] >> 8 & 255) * weight;
      blue += (tone[i] >> 16 & 255) * weight;
    }
    const bare = 1 - Math.min(1, total / norm + floor * n), [r, g, b] = this.laneRgb;
    this.fillColumn(x, top, bottom, pixel([red + r * bare, green + g * bare, blue + b * bare]));
  }
}
