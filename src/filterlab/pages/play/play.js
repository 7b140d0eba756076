"use strict";
// The page itself: what it was given, its state, and what the network says. The scripts after it are what can be touched.

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

const columns = new Columns($("#columns"), network, { classes, select: (place) => choose(place) });
const inspector = new Inspector($("#work"), network, { edit: (weight) => startEdit(weight), choose: (place) => choose(place) });

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
  $("#about").textContent = state.about || (state.picture.values.some((value) => value > 0) ? "" : "Nothing is drawn yet: it answers all the same.");
}
