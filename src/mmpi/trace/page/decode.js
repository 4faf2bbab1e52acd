// Decoding: base64, zlib, columns of LEB128 numbers (docs/trace-format.md). This file also runs, by itself, in the workers.
"use strict";

function base64Bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const { readable, writable } = new DecompressionStream("deflate"), reader = readable.getReader(), writer = writable.getWriter();
  const ignore = () => undefined;       // what is wrong shows when reading
  writer.write(bytes).catch(ignore);
  writer.close().catch(ignore);
  const chunks = [];
  let size = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    chunks.push(value);
    size += value.length;
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

// Where each column of an inflated block lies: pairs of offset and length.
function columnPlaces(bytes, count) {
  const places = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.length) throw new Error("a block of the trace is damaged: it ends inside a column");
    const length = (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0;
    places.push([at + 4, length]);
    at += 4 + length;
  }
  return places;
}

// Decode the `n` numbers of a column as an array of `type`; numbers beyond 2^53 lose their last bits (readWide keeps them). All columns
// are decoded into the same array of floats first: a loop that sees one type of array only is several times faster.
function readColumn(bytes, place, coding, type, n) {
  if (scratch.length < n) scratch = new Float64Array(n);
  const end = decodeNumbers(bytes, place, coding, scratch, n);
  if (end !== place[0] + place[1]) throw new Error("a block of the trace is damaged: a column has another length");
  return new type(scratch.subarray(0, n));
}

let scratch = new Float64Array(65536);

// Returns where the column ends. Most numbers take one or two bytes: these have a way of their own.
function decodeNumbers(bytes, place, coding, out, n) {
  const plain = coding === "plain", keep = coding === "delta" ? 1 : 0;
  let p = place[0], value = 0;
  for (let i = 0; i < n; i++) {
    let u = bytes[p++];
    if (u > 127) {
      const second = bytes[p++];
      u = u & 127 | (second & 127) << 7;
      if (second > 127) {
        u = longNumber(bytes, p, u);
        p = longEnd;
        out[i] = value = plain ? u : value * keep + (u % 2 ? -(u + 1) / 2 : u / 2);
        continue;
      }
    }
    if (plain) out[i] = u;
    else out[i] = value = value * keep + ((u >>> 1) ^ -(u & 1));
  }
  return p;
}

let longEnd = 0;

// A number of three bytes and more, the first two of which are `low`; longEnd: where it ends.
function longNumber(bytes, p, low) {
  let byte = bytes[p++];
  low |= (byte & 127) << 14;
  if (byte > 127) {
    byte = bytes[p++];
    low += (byte & 127) * 0x200000;
    for (let scale = 0x10000000; byte > 127 && p < bytes.length; scale *= 128) {
      byte = bytes[p++];
      low += (byte & 127) * scale;
    }
  }
  longEnd = p;
  return low;
}

// The same for zigzag-coded numbers of 64 bits, as BigInt64Array.
function readWide(bytes, place, out) {
  let p = place[0];
  for (let i = 0; i < out.length; i++) {
    let u = 0n, shift = 0n, byte;
    do {
      byte = bytes[p++];
      u |= BigInt(byte & 127) << shift;
      shift += 7n;
    } while (byte > 127);
    out[i] = (u >> 1n) ^ -(u & 1n);
  }
  return out;
}

// Decode the `wanted` columns (index, coding, type of array) of one block; `keep`: also return the inflated bytes.
async function decodeBlock(text, n, count, wanted, keep) {
  const bytes = await inflate(base64Bytes(text));
  const places = columnPlaces(bytes, count);
  const arrays = wanted.map(([index, coding, type]) => {
    if (type === "wide") return readWide(bytes, places[index], new BigInt64Array(n));
    return readColumn(bytes, places[index], coding, globalThis[type], n);
  });
  return { arrays, bytes: keep ? bytes : null };
}

if (typeof document === "undefined" && typeof onmessage !== "undefined") {
  onmessage = async ({ data: [id, ...job] }) => {
    try {
      const result = await decodeBlock(...job);
      const buffers = result.arrays.map((array) => array.buffer);
      if (result.bytes) buffers.push(result.bytes.buffer);
      postMessage({ id, result }, buffers);
    } catch (error) {
      postMessage({ id, error: String(error.message || error) });
    }
  };
}
