// Colours: operations of a kind share a hue; three palettes, of which one keeps apart what the colour-blind confuse.
"use strict";

const FAMILIES = [
  ["exchange", /sendrecv/], ["send", /send|^start|pready/], ["receive", /recv|probe|parrived/], ["wait", /^wait|^test|^request/],
  ["barrier", /barrier/], ["collective", /bcast|gather|scatter|alltoall|reduce|scan|neighbor/],
  ["onesided", /^(r?put|r?get$|r?accumulate|r?get_acc|fetch_and|compare_and|win|lock|unlock|flush|fence|post$|complete$)/],
  ["file", /^file|^(i?read|i?write|seek|open|close|sync)/], ["other", /./],
];
const PALETTES = {
  light: { send: "#3f78b8", exchange: "#6aa7c9", receive: "#3d9a83", wait: "#d9a441", barrier: "#b4545c", collective: "#8a68b3",
    onesided: "#b3794a", file: "#8f8b45", other: "#8b93a0" },
  dark: { send: "#5b93d3", exchange: "#7fb8d8", receive: "#55b39b", wait: "#e0b25a", barrier: "#cf6f77", collective: "#a285cc",
    onesided: "#c99463", file: "#aaa65e", other: "#7d8795" },
  blind: { send: "#0072b2", exchange: "#56b4e9", receive: "#009e73", wait: "#e69f00", barrier: "#d55e00", collective: "#cc79a7",
    onesided: "#f0e442", file: "#999933", other: "#8a8a8a" },
};
const USER_COLORS = ["#7a9e48", "#c77d5a", "#5a8f9e", "#a3809c", "#b59a3f", "#6b83b8", "#9c6b6b", "#4f9a6e"];

function family(name) {
  const plain = name.toLowerCase().replace(/^mpi_/, "").replace(/^i(?=send|recv|bcast|gather|scatter|all|reduce|scan|barrier|neighbor|probe)/,
    "");
  return FAMILIES.find(([, pattern]) => pattern.test(plain))[0];
}

function hexRgb(hex) {
  const number = parseInt(hex.slice(1), 16);
  return [number >> 16, number >> 8 & 255, number & 255];
}

function rgbHex(rgb) {
  return `#${rgb.map((part) => Math.max(0, Math.min(255, Math.round(part))).toString(16).padStart(2, "0")).join("")}`;
}

function mix(rgb, other, share) {
  return rgb.map((part, i) => part + (other[i] - part) * share);
}

// A pixel as an ImageData of 32-bit words has it.
function pixel([red, green, blue]) {
  return (255 << 24 | Math.round(blue) << 16 | Math.round(green) << 8 | Math.round(red)) >>> 0;
}

// Any colour that CSS knows, as #rrggbb; null: not one.
function cssColor(text) {
  const context = cssColor.context ||= document.createElement("canvas").getContext("2d");
  for (const probe of ["#000000", "#ffffff"]) {
    context.fillStyle = probe;
    context.fillStyle = text;
    if (context.fillStyle !== probe) return context.fillStyle.startsWith("#") ? context.fillStyle : null;
  }
  return { black: "#000000", white: "#ffffff" }[text.toLowerCase()] || (/^#/.test(text) ? text : null);
}

// A colour for each operation: its own if the user gave one, else by family, the members of which differ in lightness.
function colorsOf(operations, palette) {
  const seen = {};
  let user = 0;
  return operations.map((operation) => {
    if (operation.kind !== "mpi") return (operation.color && cssColor(operation.color)) || USER_COLORS[user++ % USER_COLORS.length];
    const kind = family(operation.name);
    const nth = seen[kind] = (seen[kind] ?? -1) + 1;
    const shades = [0, 0.28, -0.22, 0.48, -0.38, 0.14, -0.12, 0.38];
    const shade = shades[nth % shades.length];
    return rgbHex(mix(hexRgb(PALETTES[palette][kind]), shade < 0 ? [0, 0, 0] : [255, 255, 255], Math.abs(shade)));
  });
}

// Dark or light text, whichever is easier to read on a colour.
function inkOn(hex) {
  const [red, green, blue] = hexRgb(hex);
  return red * 0.299 + green * 0.587 + blue * 0.114 > 150 ? "#1b1d21" : "#ffffff";
}
