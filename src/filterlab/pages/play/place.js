"use strict";
// The pixel that is worked out: where it is, and what it is made of.

function choose(place) {
  if (place.layer !== "softmax" && place.y === undefined) {
    const maps = state.outputs[place.layer];
    const map = mapOf(maps, place.channel);
    const [same, kept] = [state.place?.y < maps.height && state.place?.x < maps.width, state.place];
    const top = map.indexOf(map.reduce((a, b) => Math.max(a, b)));
    Object.assign(place, same && kept.layer !== "softmax" && columns.lead[kept.layer] === columns.lead[place.layer] ? { y: kept.y, x: kept.x } : { y: Math.floor(top / maps.width), x: top % maps.width });
  }
  if (place.layer !== state.place?.layer || place.channel !== state.place?.channel) $("#edit").hidden = true; // its weight is another's
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
  $("#field").hidden = false;
  frame($("#field"), box ?? { top: 0, left: 0, bottom: height - 1, right: width - 1 }, { height, width });
  const lead = columns.lead[place.layer];
  const leader = network.layers.find((other) => other.name === lead);
  const switchable = ["conv", "dense"].includes(leader?.kind) && leader !== network.layers.at(-1);
  $("#off").parentElement.hidden = !switchable;
  $("#off").checked = Boolean(state.off[lead]?.has(place.channel));
  $("#off-name").textContent = `Switch filter ${place.channel} of ${lead} off`;
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
  $("#field").hidden = true; // no part of the picture is behind a share alone
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
