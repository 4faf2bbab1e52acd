// Numbers as words.
"use strict";

const UNITS = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]];

function trimmed(value, digits) {
  return value.toFixed(Math.max(0, Math.min(12, digits)));
}

// A duration with three significant digits.
function lasting(ns) {
  if (!ns) return "0";
  const [unit, scale] = UNITS.find(([, size]) => Math.abs(ns) >= size) || UNITS[3];
  const value = ns / scale;
  return `${trimmed(value, unit === "ns" ? 0 : 2 - Math.floor(Math.log10(Math.abs(value))))} ${unit}`;
}

// A point in time, as exactly as steps of `step` ns ask for.
function moment(ns, step = 1) {
  const [unit, scale] = UNITS.find(([, size]) => Math.max(Math.abs(ns), step * 10) >= size) || UNITS[3];
  return `${trimmed(ns / scale, Math.ceil(Math.log10(scale / Math.max(step, 1e-3))))} ${unit}`;
}

function bytesText(count) {
  if (!(count >= 0)) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let k = 0;
  for (; count >= 1024 && k < 4; k++) count /= 1024;
  return `${k ? trimmed(count, count < 10 ? 2 : count < 100 ? 1 : 0) : count} ${units[k]}`;
}

function counted(number) {
  return Math.round(number).toLocaleString("en-US").replaceAll(",", "\u202f");
}

function percent(share) {
  const value = 100 * share;
  return Number.isFinite(value) ? `${trimmed(value, value >= 9.995 ? 1 : 2)} %` : "";
}

// Parse "1.5ms", "20us", "3": in ns; without a unit, of `unit`.
function parseTime(text, unit = "s") {
  const match = /^([\d.]+(?:e[+-]?\d+)?)\s*(s|ms|us|µs|ns)?$/i.exec(text.trim());
  if (!match) return NaN;
  return Number(match[1]) * { s: 1e9, ms: 1e6, us: 1e3, "µs": 1e3, ns: 1 }[(match[2] || unit).toLowerCase()];
}

function parseBytes(text) {
  const match = /^([\d.]+(?:e[+-]?\d+)?)\s*([kmgt]?)(i?b)?$/i.exec(text.trim());
  if (!match) return NaN;
  return Number(match[1]) * 1024 ** (match[2] ? "kmgt".indexOf(match[2].toLowerCase()) + 1 : 0);
}

// An element with attributes, listeners (on...) and children.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// How the time of a row divides: outside MPI, in MPI, waiting there.
function shareBar({ wall, app, mpi, wait }) {
  const parts = [["app", app], ["mpi", mpi - wait], ["wait", wait]];
  return make("span", { class: "bar", title: "outside MPI (pale), in MPI, waiting (red)" }, ...parts.map(([name, time]) => {
    const part = make("i", { class: name });
    part.style.width = `${Math.max(0, 100 * time / (wall || 1))}%`;
    return part;
  }));
}
