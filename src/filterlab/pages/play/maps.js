"use strict";
// The network as a picture: every layer a column of maps.

const CHOSEN = 8; // maps of a layer that are shown, unless all are
const SIGNS = { light: { below: [33, 102, 172], zero: [247, 247, 247], above: [178, 24, 43] } };
const DARK = matchMedia("(prefers-color-scheme: dark)");
SIGNS.dark = { below: [84, 166, 240], zero: [34, 39, 46], above: [244, 82, 82] };

// An element with its properties and children: text is text, whatever is in it.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role" || name === "for") element.setAttribute(name, value);
    else if (name === "style") Object.assign(element.style, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Colours of values from -scale to scale: blue below zero, red above; of maps that are never negative, black to white.
function color(value, scale, signed) {
  const share = scale ? Math.max(-1, Math.min(1, value / scale)) : 0;
  if (!signed) return [1, 1, 1].map(() => Math.round(255 * Math.max(0, share) ** 0.7));
  const { below, zero, above } = SIGNS[DARK.matches ? "dark" : "light"];
  return (share < 0 ? below : above).map((full, k) => Math.round(zero[k] + (full - zero[k]) * Math.abs(share) ** 0.8));
}

// All colours, worked out once: a map has many pixels.
const PALETTES = new Map();
function palette(signed) {
  if (PALETTES.has(signed)) return PALETTES.get(signed);
  const colors = new Uint32Array(513);
  for (let k = 0; k < 513; k++) {
    const [red, green, blue] = color(k / 256 - 1, 1, signed);
    colors[k] = (255 << 24) | (blue << 16) | (green << 8) | red;
  }
  PALETTES.set(signed, colors);
  return colors;
}

function paint(canvas, values, height, width, scale, colors) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const factor = scale ? 256 / scale : 0;
  for (let p = 0; p < pixels.length; p++) {
    pixels[p] = colors[Math.max(0, Math.min(512, Math.round(values[p] * factor) + 256))];
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// The picture itself, gray or in colour; other numbers of channels as their mean.
function paintPicture(canvas, image) {
  const { channels, height, width, values } = image;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  const pixels = height * width;
  for (let p = 0; p < pixels; p++) {
    for (let c = 0; c < 3; c++) {
      let value = values[p + (channels === 3 ? c * pixels : 0)];
      if (channels === 2 || channels > 3) {
        value = 0;
        for (let k = 0; k < channels; k++) value += values[k * pixels + p] / channels;
      }
      picture.data[4 * p + c] = Math.round(255 * value);
    }
    picture.data[4 * p + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const isVector = (maps) => maps.height * maps.width === 1;
const mapOf = (maps, c) => maps.values.subarray(c * maps.height * maps.width, (c + 1) * maps.height * maps.width);

class Columns {
  // element: where they stand; select(place) is called with {layer, channel} of a map that was chosen.
  constructor(element, network, { classes, select }) {
    Object.assign(this, { element, network, classes, select, all: false, outputs: null, chosen: {}, columns: [] });
    this.lead = leaders(network);
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        entry.target.column.visible = entry.isIntersecting;
        if (entry.isIntersecting && this.outputs) this.drawColumn(entry.target.column);
      }
    });
    element.addEventListener("keydown", (event) => this.step(event));
    DARK.addEventListener("change", () => {
      PALETTES.clear();
      if (this.outputs) this.draw(this.outputs);
    });
  }

  // Lay the columns out for maps of these sizes: which maps, is decided by how strongly they answer to this picture.
  build(outputs) {
    this.outputs = outputs;
    for (const [name, leader] of Object.entries(this.lead)) this.chosen[leader] = strongest(outputs[name]);
    this.seen.disconnect();
    const shown = this.network.layers.filter((layer) => !["dropout", "flatten"].includes(layer.kind));
    this.columns = shown.map((layer) => this.column(layer));
    this.element.replaceChildren(...this.columns.map((column) => column.element));
    this.columns.forEach((column) => this.seen.observe(column.element));
    this.draw(outputs);
  }

  column(layer) {
    const maps = this.outputs[layer.name];
    const last = layer === this.network.layers.at(-1);
    const channels = this.all || (last && maps.channels <= 20) ? [...Array(maps.channels).keys()] : this.chosen[this.lead[layer.name]];
    const tiles = channels.map((channel, place) => {
      const canvas = make("canvas", { width: 1, height: 1 });
      const name = last ? this.classes[channel] : String(channel);
      const label = `${layer.name}, ${isVector(maps) ? "unit" : "map"} ${name}`;
      const button = make("button", { type: "button", className: "tile", title: label, tabIndex: place ? -1 : 0, "aria-label": label }, canvas);
      if (last) button.append(make("span", {}, name));
      button.addEventListener("click", () => this.select({ layer: layer.name, channel }));
      return { channel, canvas, button };
    });
    const size = isVector(maps) ? `${maps.channels}` : `${maps.channels} × ${maps.height}×${maps.width}`;
    const head = make("div", { className: "head" }, make("b", {}, layer.name.replaceAll(".", ".\u200b")), make("span", {}, describe(layer)), make("span", {}, size));
    const body = make("div", { className: isVector(maps) ? "tiles units" : "tiles" }, ...tiles.map((tile) => tile.button));
    const more = channels.length < maps.channels ? `${channels.length} of ${maps.channels}` : "";
    const begins = ["conv", "dense", "pool", "global_max", "global_average"].includes(layer.kind);
    const element = make("section", { className: begins ? "column begins" : "column", "aria-label": `${layer.name}, ${describe(layer)}` }, head, body, make("small", {}, more));
    const column = { layer, element, tiles, visible: true };
    element.column = column;
    return column;
  }

  draw(outputs) {
    this.outputs = outputs;
    for (const column of this.columns) if (column.visible) this.drawColumn(column);
  }

  drawColumn({ layer, tiles }) {
    const maps = this.outputs[layer.name];
    const [scale, colors] = [largest(maps.values), palette(isSigned(this.network, layer))];
    for (const { channel, canvas } of tiles) paint(canvas, mapOf(maps, channel), maps.height, maps.width, scale, colors);
  }

  // marks: the tiles that stand out, {layer, channel, className}.
  mark(marks) {
    for (const column of this.columns) {
      for (const { channel, button } of column.tiles) {
        const found = marks.find((mark) => mark.layer === column.layer.name && mark.channel === channel);
        button.className = `tile ${found?.className ?? ""}`;
      }
    }
  }

  // Arrow keys: up and down in a column, left and right to the next one.
  step(event) {
    const by = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    const at = this.columns.findIndex((column) => column.tiles.some((tile) => tile.button === event.target));
    if (!by || at < 0) return;
    event.preventDefault();
    const row = this.columns[at].tiles.findIndex((tile) => tile.button === event.target) + by[1];
    const tiles = this.columns[Math.max(0, Math.min(this.columns.length - 1, at + by[0]))].tiles;
    tiles[Math.max(0, Math.min(tiles.length - 1, row))].button.focus();
  }
}

// layer -> the convolution or dense layer that decides which maps it has: the same filter is in the same row from there on.
function leaders(network) {
  const found = {};
  let before = "image";
  for (const { name, kind, inputs } of network.layers) {
    found[name] = ["conv", "dense", "flatten"].includes(kind) ? name : (found[inputs[0] ?? before] ?? name);
    before = name;
  }
  return found;
}

// The norm and the activation after a layer, which work on each pixel by itself.
function followers(network, layer) {
  const after = network.layers.slice(network.layers.indexOf(layer) + 1);
  const end = after.findIndex(({ kind, inputs }) => inputs.length || !["norm", "activation"].includes(kind));
  return end < 0 ? after : after.slice(0, end);
}

function strongest(maps) {
  const strength = Array.from({ length: maps.channels }, (_, c) => largest(mapOf(maps, c)));
  const order = strength.map((_, c) => c).sort((a, b) => strength[b] - strength[a]);
  return order.slice(0, CHOSEN).sort((a, b) => a - b);
}

// Whether a layer's values can be below zero.
function isSigned(network, layer) {
  if (layer.kind === "activation") return !["relu", "sigmoid"].includes(layer.settings.function);
  if (["conv", "dense", "norm", "add"].includes(layer.kind)) return true;
  const below = inputsOf(network, layer)[0];
  return below ? isSigned(network, below) : true;
}

// The layers that a layer works on; the image is none.
function inputsOf(network, layer) {
  if (layer.inputs.length) return layer.inputs.map((name) => network.layers.find((other) => other.name === name));
  const place = network.layers.indexOf(layer);
  return place ? [network.layers[place - 1]] : [];
}

const sides = (setting) => pair(setting).join("×");

function describe({ kind, settings }) {
  const stride = settings.stride > 1 ? `, stride ${settings.stride}` : "";
  if (kind === "conv") return `filters ${sides(settings.kernel)}${stride}`;
  if (kind === "pool") return `${settings.of} of ${sides(settings.kernel)}`;
  if (kind === "activation") return settings.function.replaceAll("_", " ");
  const words = { norm: "batch norm", add: "plus shortcut", global_max: "each map's largest", global_average: "each map's mean", dense: "dense units" };
  return words[kind] ?? kind;
}
