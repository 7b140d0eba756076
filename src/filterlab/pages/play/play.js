"use strict";
// The page itself: what is shown, what was changed, and what happens when something is touched.

const $ = (selector) => document.querySelector(selector);
const content = JSON.parse($("#content").textContent);
const { classes, channels, height, width } = content;

// Numbers from base64: float32, float16 or uint8.
function decode({ type, base64 }) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  if (type === "uint8") return bytes;
  if (type === "float32") return new Float32Array(bytes.buffer);
  return Float32Array.from(new Uint16Array(bytes.buffer), (half) => {
    const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
}

const tensorsOf = (name) => {
  const found = {};
  for (const tensor of ["weight", "bias", "running_mean", "running_var"]) {
    const packed = content.tensors[`${name}.${tensor}`];
    if (packed) found[tensor] = decode(packed);
  }
  return found;
};
const network = { channels, height, width, mean: content.mean, std: content.std, layers: content.layers.map((layer) => ({ ...layer, ...tensorsOf(layer.name) })) };
const pristine = network.layers.map((layer) => structuredClone(layer));
const firstLayer = network.layers.find((layer) => layer.weight && layer.kind !== "norm");
const epochs = content.epochs.map(({ epoch, weight }) => ({ epoch, weight: decode(weight) }));

// Pictures that came with the page, pixels in [0, 1].
function pictures({ count, pixels, labels, notes }) {
  const all = decode(pixels);
  const size = channels * height * width;
  return Array.from({ length: count }, (_, k) => ({
    image: { channels, height, width, values: Float32Array.from(all.subarray(k * size, (k + 1) * size), (pixel) => pixel / 255) },
    label: classes[labels[k]],
    note: notes[k],
  }));
}
const examples = pictures(content.examples);
const mistakes = pictures(content.mistakes);

const tiles = Object.fromEntries(Object.entries(content.tiles).map(([name, src]) => [name, Object.assign(new Image(), { src })]));

const blank = () => emptyMaps(channels, height, width);
const state = {
  picture: blank(), // pixels in [0, 1], before parts of it are covered
  about: "", // what the picture is
  covered: [], // {top, left, bottom, right} in pixels
  off: {}, // leading layer -> its channels that are switched off
  changes: new Map(), // what was changed -> in words
  place: null, // the pixel that is worked out: {layer, channel, y, x}
  outputs: null,
  editing: null,
  laidOut: false, // whether the columns are those of this picture
};

// --- the network and what it says

const engine = new Engine(network, {
  done: ({ outputs, took }) => {
    state.outputs = outputs;
    $("#bar").hidden = true;
    $("#took").textContent = `One pass took ${took < 10 ? took.toFixed(1) : Math.round(took)} ms.`;
    show();
    document.documentElement.dataset.passes = Number(document.documentElement.dataset.passes ?? 0) + 1;
  },
  progress: (share) => {
    $("#bar").hidden = false;
    $("#bar").value = share;
  },
});

const columns = new Columns($("#columns"), network, { classes, select: choose });
const inspector = new Inspector($("#work"), network, { edit: startEdit, choose });

// The picture as the network gets it: a covered part is the mean of the training images, which tells it nothing.
function covered() {
  const image = { ...state.picture, values: state.picture.values.slice() };
  for (const { top, left, bottom, right } of state.covered) {
    for (let c = 0; c < channels; c++) {
      const mean = content.mean[content.mean.length > 1 ? c : 0];
      for (let y = top; y <= bottom; y++) image.values.fill(mean, (c * height + y) * width + left, (c * height + y) * width + right + 1);
    }
  }
  return image;
}

// A filter that is off is silent in its layer, and in the norm and the activation that follow.
function switchedOff() {
  const off = {};
  for (const [lead, found] of Object.entries(state.off)) {
    if (!found.size) continue;
    off[lead] = [...found];
    for (const next of followers(network, network.layers.find((layer) => layer.name === lead))) off[next.name] = off[lead];
  }
  return off;
}

function compute() {
  engine.ask(covered(), switchedOff());
}

function show() {
  if (state.laidOut) columns.draw(state.outputs);
  else columns.build(state.outputs);
  state.laidOut = true;
  paintPicture($("#seen"), covered());
  showScores();
  showPlace();
}

function showScores() {
  const logits = state.outputs[network.layers.at(-1).name].values;
  const shares = softmax(logits);
  const order = shares.map((_, k) => k).sort((a, b) => shares[b] - shares[a]);
  const shown = classes.length <= 12 ? [...classes.keys()] : order.slice(0, 12);
  $("#scores").replaceChildren(...shown.map((k) => {
    const bar = make("span", { className: "bar", style: { width: `${100 * shares[k]}%` } });
    const text = shares[k] > 0.9995 ? "100 %" : `${(100 * shares[k]).toFixed(1)} %`;
    const button = make("button", { type: "button", className: k === order[0] ? "score best" : "score", title: "how this share comes about" }, make("b", {}, classes[k]), make("span", { className: "track" }, bar), make("span", {}, text));
    button.addEventListener("click", () => choose({ layer: "softmax", channel: k }));
    return make("li", {}, button);
  }));
  $("#says").textContent = classes[order[0]];
  $("#about").textContent = state.about;
}

// --- the pixel that is worked out

function choose(place) {
  if (place.layer !== "softmax" && place.y === undefined) {
    const maps = state.outputs[place.layer];
    const map = mapOf(maps, place.channel);
    const [same, kept] = [state.place?.y < maps.height && state.place?.x < maps.width, state.place];
    const top = map.indexOf(map.reduce((a, b) => Math.max(a, b)));
    Object.assign(place, same && kept.layer !== "softmax" && columns.lead[kept.layer] === columns.lead[place.layer] ? { y: kept.y, x: kept.x } : { y: Math.floor(top / maps.width), x: top % maps.width });
  }
  state.place = place;
  const hidden = $("#inspector").hidden;
  showPlace();
  const { top } = $("#inspector").getBoundingClientRect();
  if (hidden && top > innerHeight - 240) scrollBy({ top: top - innerHeight + 460 });
}

function showPlace() {
  const { place, outputs } = state;
  if (!place || !outputs) return;
  $("#inspector").hidden = false;
  if (place.layer === "softmax") showSoftmax(place.channel);
  else showPixel(place);
}

function showPixel(place) {
  const layer = network.layers.find((other) => other.name === place.layer);
  const maps = state.outputs[place.layer];
  const spot = $("#spot");
  $("#where").hidden = isVector(maps);
  if (!isVector(maps)) {
    paint($("#map"), mapOf(maps, place.channel), maps.height, maps.width, largest(maps.values), palette(isSigned(network, layer)));
    $("#map").style.aspectRatio = `${maps.width} / ${maps.height}`;
    frame(spot, { top: place.y, bottom: place.y, left: place.x, right: place.x }, maps);
  }
  const box = isVector(maps) ? null : seenBy(network, layer, { top: place.y, bottom: place.y, left: place.x, right: place.x });
  frame($("#field"), box ?? { top: 0, left: 0, bottom: height - 1, right: width - 1 }, { height, width });
  const lead = columns.lead[place.layer];
  const leader = network.layers.find((other) => other.name === lead);
  const switchable = ["conv", "dense"].includes(leader?.kind) && leader !== network.layers.at(-1);
  $("#off").parentElement.hidden = !switchable;
  $("#off").checked = Boolean(state.off[lead]?.has(place.channel));
  $("#off-name").textContent = `Switch filter ${place.channel + 1} of ${lead} off`;
  $("#swap").parentElement.hidden = layer.kind !== "activation";
  $("#swap").value = layer.settings.function ?? "relu";
  inspector.show(place, state.outputs, looksFor(lead, place.channel));
  columns.mark([{ layer: place.layer, channel: place.channel, className: "here" }, ...inspector.sources.map((source) => ({ ...source, className: "source" }))]);
}

// What a filter looks for: the training patches that it answers most, and an image made to excite it.
function looksFor(lead, channel) {
  const words = { patches: "What it answers most, of all training images", optimised: "An image made to excite it" };
  const figures = Object.entries(words).map(([kind, caption]) => {
    const picture = tiles[`${lead}.${kind}`];
    if (!picture) return null;
    const canvas = make("canvas", { className: "looks" });
    picture.decode().then(() => {
      const high = picture.height / state.outputs[lead].channels;
      const wide = picture.width % high ? picture.width : high; // squares, or all of them in one
      const count = picture.width / wide;
      const zoom = Math.max(1, Math.round(56 / high));
      Object.assign(canvas, { width: (wide * zoom + 4) * count - 4, height: high * zoom });
      const draw = canvas.getContext("2d");
      draw.imageSmoothingEnabled = false;
      for (let k = 0; k < count; k++) draw.drawImage(picture, k * wide, channel * high, wide, high, k * (wide * zoom + 4), 0, wide * zoom, high * zoom);
    });
    return make("figure", {}, canvas, make("figcaption", {}, caption));
  });
  return figures.some(Boolean) ? [make("div", { className: "looks-for" }, ...figures)] : [];
}

function showSoftmax(k) {
  const logits = state.outputs[network.layers.at(-1).name].values;
  const top = logits.reduce((a, b) => Math.max(a, b));
  const powers = Array.from(logits, (logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b);
  const rows = classes.map((name, c) => make("tr", { className: c === k ? "here" : "" }, make("td", {}, name), make("td", {}, written(logits[c])), make("td", {}, `e^(${written(logits[c] - top)}) = ${written(powers[c])}`), make("td", {}, `${(100 * powers[c] / sum).toFixed(2)} %`)));
  const head = make("thead", {}, make("tr", {}, ...["class", "score", "e to the score, less the largest", "share"].map((name) => make("th", {}, name))));
  $("#work").replaceChildren(
    make("h3", {}, `Softmax, ${classes[k]}: `, make("output", {}, `${(100 * powers[k] / sum).toFixed(2)} %`)),
    make("p", {}, "Softmax makes shares of the scores. Each score becomes a power of e, so that all are positive. Each power is divided by the sum of all."),
    make("p", { className: "sum" }, `${written(powers[k])} / ${written(sum)} = ${(100 * powers[k] / sum).toFixed(2)} %`),
    make("table", { className: "terms" }, head, make("tbody", {}, ...rows)),
  );
  for (const name of ["#where"]) $(name).hidden = true;
  for (const name of ["#off", "#swap"]) $(name).parentElement.hidden = true;
  columns.mark([{ layer: network.layers.at(-1).name, channel: k, className: "here" }]);
}

// Lay a frame over pixels of a picture.
function frame(element, { top, left, bottom, right }, of) {
  const percent = (number, side) => `${(100 * number) / side}%`;
  const [first, last] = [(n) => Math.max(0, n), (n, side) => Math.min(side, n + 1)];
  Object.assign(element.style, {
    top: percent(first(top), of.height),
    left: percent(first(left), of.width),
    height: percent(last(bottom, of.height) - first(top), of.height),
    width: percent(last(right, of.width) - first(left), of.width),
  });
}

function movePixel(down, across) {
  const maps = state.outputs[state.place.layer];
  const inside = (number, side) => Math.max(0, Math.min(side - 1, number));
  choose({ ...state.place, y: inside(state.place.y + down, maps.height), x: inside(state.place.x + across, maps.width) });
}

$("#map").addEventListener("pointerdown", (event) => {
  const maps = state.outputs[state.place.layer];
  const box = $("#map").getBoundingClientRect();
  const at = (offset, length, side) => Math.max(0, Math.min(side - 1, Math.floor((offset / length) * side)));
  choose({ ...state.place, y: at(event.clientY - box.top, box.height, maps.height), x: at(event.clientX - box.left, box.width, maps.width) });
});
$("#map").addEventListener("keydown", (event) => {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!by) return;
  event.preventDefault();
  movePixel(...by);
});

// The filter steps over the picture, row by row, as on the slides.
let sliding = 0;
function slide() {
  const maps = state.outputs[state.place.layer];
  if (!maps || isVector(maps)) return stopSliding();
  const next = state.place.y * maps.width + state.place.x + 1;
  if (next >= maps.height * maps.width) return stopSliding();
  choose({ ...state.place, y: Math.floor(next / maps.width), x: next % maps.width });
}
function stopSliding() {
  clearInterval(sliding);
  sliding = 0;
  $("#slide").textContent = "Slide over the picture";
}
$("#slide").addEventListener("click", () => {
  if (sliding) return stopSliding();
  choose({ ...state.place, y: 0, x: 0 });
  sliding = setInterval(slide, 250);
  $("#slide").textContent = "Stop";
});

// --- changes

function changed(key, words) {
  if (words) state.changes.set(key, words);
  else state.changes.delete(key);
  $("#changes").replaceChildren(...[...state.changes.values()].map((text) => make("li", {}, text)));
  $("#changed").hidden = !state.changes.size;
}

$("#off").addEventListener("change", (event) => {
  const { layer, channel } = state.place;
  const lead = columns.lead[layer];
  const off = (state.off[lead] ??= new Set());
  if (event.target.checked) off.add(channel);
  else off.delete(channel);
  changed(`off ${lead} ${channel}`, event.target.checked && `Filter ${channel + 1} of ${lead} is off.`);
  compute();
});

for (const name of Object.keys(ACTIVATIONS)) $("#swap").append(make("option", { value: name }, name.replaceAll("_", " ")));
$("#swap").addEventListener("change", (event) => {
  const layer = network.layers.find((other) => other.name === state.place.layer);
  const first = pristine[network.layers.indexOf(layer)].settings.function;
  layer.settings = { ...layer.settings, function: event.target.value };
  engine.change(layer);
  changed(`swap ${layer.name}`, event.target.value !== first && `${layer.name} is ${event.target.value.replaceAll("_", " ")}, not ${first.replaceAll("_", " ")}.`);
  compute();
});

function startEdit(weight) {
  state.editing = weight;
  const value = weight.layer[weight.tensor][weight.index];
  const most = Math.max(0.5, 2 * largest(weight.layer[weight.tensor]));
  Object.assign($("#weight"), { min: -most, max: most, step: most / 200, value });
  $("#number").value = value.toFixed(3);
  $("#weight-name").textContent = weight.label;
  $("#edit").hidden = false;
  $("#weight").focus({ preventScroll: true });
}
function setWeight(value) {
  const { layer, tensor, index, label } = state.editing;
  if (!Number.isFinite(value)) return;
  const learned = pristine[network.layers.indexOf(layer)][tensor][index];
  layer[tensor][index] = value;
  engine.change(layer);
  changed(`weight ${label} ${index}`, Math.abs(value - learned) > 1e-9 && `${label} is ${written(value)}, not ${written(learned)}.`);
  compute();
}
$("#weight").addEventListener("input", (event) => {
  $("#number").value = Number(event.target.value).toFixed(3);
  setWeight(Number(event.target.value));
});
$("#number").addEventListener("change", (event) => {
  $("#weight").value = event.target.value;
  setWeight(Number(event.target.value));
});
$("#edit-close").addEventListener("click", () => ($("#edit").hidden = true));

if (epochs.length > 1) {
  const chosen = epochs.findIndex(({ epoch }) => epoch === content.chosen);
  Object.assign($("#epoch"), { min: 0, max: epochs.length - 1, value: chosen });
  $("#epoch").addEventListener("input", (event) => setEpoch(Number(event.target.value)));
  $("#epochs").hidden = false;
  sayEpoch(chosen);
}
function sayEpoch(k) {
  const { epoch } = epochs[k];
  const words = epoch ? `as after epoch ${epoch}` : "before training, at random";
  $("#epoch-name").textContent = `${firstLayer.name} ${words}${epoch === content.chosen ? " (this network's)" : ""}`;
  return words;
}
function setEpoch(k) {
  const words = sayEpoch(k);
  firstLayer.weight.set(epochs[k].weight);
  engine.change(firstLayer);
  changed("epoch", epochs[k].epoch !== content.chosen && `${firstLayer.name} is ${words}; the layers above are trained.`);
  compute();
}

$("#reset").addEventListener("click", () => {
  for (const [place, layer] of network.layers.entries()) {
    Object.assign(layer, structuredClone(pristine[place]));
    engine.change(layer);
  }
  Object.assign(state, { off: {}, covered: [], laidOut: false });
  state.changes.clear();
  changed("nothing");
  $("#edit").hidden = true;
  if (epochs.length > 1) {
    $("#epoch").value = epochs.findIndex(({ epoch }) => epoch === content.chosen);
    sayEpoch(Number($("#epoch").value));
  }
  compute();
});

$("#all").addEventListener("change", (event) => {
  columns.all = event.target.checked;
  columns.build(state.outputs);
  showPlace();
});

// --- the picture

const pad = new Pad($("#pad"), { channels, height, width, dark: content.rule === "mnist" || content.mean.reduce((a, b) => a + b) / content.mean.length < 0.5, ruled: content.rule === "mnist", drawn: (image) => setPicture(image, "Your own drawing.") });

function setPicture(image, about) {
  Object.assign(state, { picture: image, about });
  compute();
}

// A picture that is there: on the pad as it is, and the columns are those that it makes answer most.
function pick({ image, about }) {
  Object.assign(state, { covered: [], laidOut: false });
  changed("covered");
  pad.show(image);
  setPicture(image, about);
}

function strip(element, list, caption) {
  element.replaceChildren(...list.map((entry) => {
    const canvas = make("canvas");
    paintPicture(canvas, entry.image);
    const about = caption(entry);
    const button = make("button", { type: "button", className: "example", title: about, "aria-label": about }, canvas);
    button.addEventListener("click", () => pick({ image: entry.image, about }));
    return button;
  }));
}
strip($("#examples"), examples, ({ label, note }) => `It is ${label} (${note}).`);
strip($("#mistakes"), mistakes, ({ label, note }) => `It is ${label} (${note}).`);
$("#mistakes-part").hidden = !mistakes.length;

$("#clear").addEventListener("click", () => {
  Object.assign(state, { covered: [] });
  changed("covered");
  pad.clear();
  setPicture(blank(), "An empty picture.");
});

// Cover a part: drag over what the network sees.
let corner = null;
function pixelAt(event) {
  const box = $("#seen").getBoundingClientRect();
  const at = (offset, length, side) => Math.max(0, Math.min(side - 1, Math.floor((offset / length) * side)));
  return { y: at(event.clientY - box.top, box.height, height), x: at(event.clientX - box.left, box.width, width) };
}
$("#seen").addEventListener("pointerdown", (event) => {
  $("#seen").setPointerCapture(event.pointerId);
  corner = pixelAt(event);
  state.covered.push({ top: corner.y, bottom: corner.y, left: corner.x, right: corner.x });
  coverTo(corner);
});
$("#seen").addEventListener("pointermove", (event) => corner && coverTo(pixelAt(event)));
for (const end of ["pointerup", "pointercancel"]) $("#seen").addEventListener(end, () => (corner = null));
// By keyboard, a cover of a quarter of the picture's side moves.
$("#seen").addEventListener("keydown", (event) => {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (event.key === "Escape") state.covered = [];
  else if (by) {
    event.preventDefault();
    const [high, wide] = [Math.ceil(height / 4), Math.ceil(width / 4)];
    const { top, left } = state.covered.at(-1) ?? { top: Math.floor((height - high) / 2), left: Math.floor((width - wide) / 2) };
    const within = (number, most) => Math.max(0, Math.min(most, number));
    const [y, x] = [within(top + by[0], height - high), within(left + by[1], width - wide)];
    state.covered = [{ top: y, left: x, bottom: y + high - 1, right: x + wide - 1 }];
  } else return;
  changed("covered", state.covered.length && "A part of the picture is covered.");
  compute();
});
function coverTo({ y, x }) {
  const box = { top: Math.min(y, corner.y), bottom: Math.max(y, corner.y), left: Math.min(x, corner.x), right: Math.max(x, corner.x) };
  state.covered[state.covered.length - 1] = box;
  changed("covered", "A part of the picture is covered.");
  compute();
}

async function takeFile(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const image = pad.take(bitmap);
    Object.assign(state, { covered: [], laidOut: false });
    setPicture(image, `Your own picture${file.name ? `, ${file.name}` : ""}.`);
  } catch {
    state.about = `${file.name || "What was dropped"} is no picture that this browser can read.`;
    $("#about").textContent = state.about;
  }
}
const firstFile = (transfer) => [...(transfer?.files ?? [])][0];
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = firstFile(event.dataTransfer);
  if (file) takeFile(file);
});
document.addEventListener("paste", (event) => {
  const file = firstFile(event.clipboardData);
  if (file) takeFile(file);
});
$("#file").addEventListener("change", (event) => event.target.files[0] && takeFile(event.target.files[0]));

if (examples.length) $("#examples button").click();
else $("#clear").click();
