"use strict";
// One pixel of one map, worked out: every product, the sum, the bias, and what becomes of it.

const STRONGEST = 4; // maps below whose products are written out at once; the others unfold

// A number for reading: its minus is a minus.
function written(number) {
  const size = Math.abs(number);
  const digits = size >= 100 ? 0 : size >= 0.095 ? 2 : 3;
  const text = size === 0 ? "0" : size < 0.0005 ? "≈0" : size.toFixed(digits);
  return number < 0 && size >= 0.0005 ? `−${text}` : text;
}

// A table of numbers on their colours. each(k): further properties of the k-th cell.
function numberTable(values, height, width, { scale, signed = true, each = () => ({}), label }) {
  const rows = Array.from({ length: height }, (_, i) =>
    make("tr", {}, ...Array.from({ length: width }, (_, j) => {
      const value = values[i * width + j];
      const shade = color(value, scale, signed);
      const ink = shade[0] * 0.3 + shade[1] * 0.6 + shade[2] * 0.1 > 130 ? "#111" : "#fff";
      return make("td", { style: { background: `rgb(${shade})`, color: ink }, ...each(i * width + j) }, written(value));
    })),
  );
  return make("table", { className: "numbers-of", "aria-label": label }, make("tbody", {}, ...rows));
}

const WORDS = {
  conv: "The filter lies on a patch of the maps below. Each weight is multiplied by the pixel under it. The sum of all products and the bias is this pixel.",
  norm: "Batch norm brings every map to a common scale. It takes away the map's mean in training, divides by its spread, then stretches and shifts.",
  pool_max: "Pooling keeps the largest pixel of each window. The map gets smaller, and what was found there stays.",
  pool_average: "Pooling takes the mean of each window. The map gets smaller and smoother.",
  add: "The shortcut adds what the block was given to what it made of it.",
  global_max: "Of each map one number is left: its largest pixel. It says how strongly the pattern was found, and no longer where.",
  global_average: "Of each map one number is left: the mean of its pixels.",
  dense: "The unit sees all values below. Each is multiplied by its weight. The sum of all products and the bias is the unit's value.",
  relu: "ReLU keeps what is positive. What is negative becomes zero.",
  leaky_relu: "What is negative is kept at a hundredth.",
  elu: "What is negative bends towards −1.",
  gelu: "What is negative fades away smoothly.",
  tanh: "Large numbers are bent to 1, very negative ones to −1.",
  sigmoid: "Every number becomes a share between 0 and 1.",
  identity: "The number stays as it is.",
};

class Inspector {
  // edit({layer, tensor, index, label}) is called for a weight that was clicked, choose(place) for a pixel or a map.
  constructor(element, network, { edit, choose }) {
    Object.assign(this, { element, network, edit, choose, open: false });
  }

  // place: {layer, channel, y, x}; extras: what the page adds about this filter.
  show(place, outputs, extras) {
    Object.assign(this, { outputs, sources: [] });
    const layer = this.network.layers.find((other) => other.name === place.layer);
    const maps = outputs[layer.name];
    const below = layer.inputs.length ? layer.inputs.map((name) => outputs[name]) : [outputs[inputsOf(this.network, layer)[0]?.name ?? "image"]];
    const value = mapOf(maps, place.channel)[place.y * maps.width + place.x];
    const at = isVector(maps) ? "" : `, row ${place.y}, column ${place.x}`;
    const title = make("h3", {}, `${layer.name}, ${isVector(maps) ? "unit" : "map"} ${place.channel}${at}: `, make("output", {}, written(value)));
    const scale = layer === this.network.layers[0] ? " The picture's pixels are scaled: their mean is taken away, and their spread becomes 1." : "";
    const word = WORDS[layer.kind === "pool" ? `pool_${layer.settings.of}` : layer.kind] ?? WORDS[layer.settings.function] ?? "";
    const work = this[layer.kind]?.(layer, place, below, value) ?? [];
    if (!["conv", "dense"].includes(layer.kind)) this.sources = inputsOf(this.network, layer).map(({ name }) => ({ layer: name, channel: place.channel }));
    this.element.replaceChildren(title, make("p", {}, word + scale), ...work, ...this.then(layer, place, outputs));
    title.after(...extras);
  }

  // What the layers after it make of this pixel, as long as they work on each pixel by itself.
  then(layer, { channel, y, x }, outputs) {
    const lines = [];
    let before = layer;
    for (const next of followers(this.network, layer)) {
      const maps = outputs[next.name];
      const p = y * maps.width + x;
      const [from, to] = [mapOf(outputs[before.name], channel)[p], mapOf(maps, channel)[p]];
      lines.push(make("li", {}, `${next.name} (${describe(next)}): ${written(from)} → `, this.link(next, channel, y, x, written(to))));
      before = next;
    }
    return lines.length ? [make("p", { className: "after" }, "What becomes of it:"), make("ol", {}, ...lines)] : [];
  }

  link(layer, channel, y, x, text) {
    const button = make("button", { type: "button", className: "link" }, text);
    button.addEventListener("click", () => this.choose({ layer: layer.name, channel, y, x }));
    return button;
  }

  conv(layer, { channel, y, x }, [below], value) {
    const window = windowOf(layer, below);
    const [height, width] = window.kernel;
    const groups = layer.settings.groups ?? 1;
    const channels = below.channels / groups;
    const first = Math.floor(channel / (layer.settings.filters / groups)) * channels;
    const size = height * width;
    const patch = gather(below, window, y, x, first, channels, new Float32Array(channels * size));
    const start = channel * channels * size;
    const weights = layer.weight.subarray(start, start + channels * size);
    const products = patch.map((pixel, k) => pixel * weights[k]);
    const parts = Array.from({ length: channels }, (_, c) => {
      const inside = (values) => values.subarray(c * size, (c + 1) * size);
      return { c, patch: inside(patch), weights: inside(weights), products: inside(products), sum: inside(products).reduce((a, b) => a + b, 0) };
    });
    parts.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
    const scales = [patch, weights, products].map(largest);
    const source = inputsOf(this.network, layer)[0];
    if (source) this.sources = parts.slice(0, STRONGEST).map((part) => ({ layer: source.name, channel: first + part.c }));
    const rowOf = (part) => {
      const label = source ? `${source.name}, map ${first + part.c}` : `picture${channels > 1 ? `, channel ${part.c}` : ""}, scaled`;
      const each = (k) => this.editable(layer, "weight", start + part.c * size + k, `weight ${k} for ${label}`);
      const signed = source ? isSigned(this.network, source) : true;
      return make("div", { className: "product" },
        make("figure", {}, numberTable(part.patch, height, width, { scale: scales[0], signed, label: "patch" }), make("figcaption", {}, label)),
        make("span", {}, "×"),
        make("figure", {}, numberTable(part.weights, height, width, { scale: scales[1], each, label: "filter" }), make("figcaption", {}, "filter")),
        make("span", {}, "="),
        make("figure", {}, numberTable(part.products, height, width, { scale: scales[2], label: "products" }), make("figcaption", {}, `sum ${written(part.sum)}`)));
    };
    const total = parts.reduce((sum, part) => sum + part.sum, 0);
    const sums = parts.slice(0, 12).map((part) => written(part.sum)).join(" + ").replaceAll("+ −", "− ");
    const more = parts.length > 12 ? ` + … (${parts.length} sums)` : "";
    const line = parts.length > 1 ? `${sums}${more} = ${written(total)}` : `All ${size} products together: ${written(total)}`;
    return [...parts.slice(0, STRONGEST).map(rowOf), ...this.rest(parts.slice(STRONGEST), "maps below", (some) => some.map(rowOf)), make("p", { className: "sum" }, line), this.withBias(layer, channel, total, value)];
  }

  // What is left unfolds, and is only made then: a layer may look at hundreds of maps.
  rest(parts, what, rowsOf) {
    if (!parts.length) return [];
    const details = make("details", { open: this.open }, make("summary", {}, `The other ${parts.length} ${what}`));
    const fill = () => details.append(...rowsOf(parts));
    if (this.open) fill();
    details.addEventListener("toggle", () => {
      if (details.open && !this.open) fill();
      this.open = details.open;
    });
    return [details];
  }

  withBias(layer, channel, total, value) {
    if (!layer.bias) return make("p", { className: "sum" }, `There is no bias: the pixel is ${written(value)}.`);
    const bias = make("button", { type: "button", className: "link", ...this.editable(layer, "bias", channel, "bias") }, written(layer.bias[channel]));
    return make("p", { className: "sum" }, `${written(total)} + bias `, bias, ` = ${written(total + layer.bias[channel])}`);
  }

  editable(layer, tensor, index, label) {
    const edit = () => this.edit({ layer, tensor, index, label: `${layer.name}, ${label}` });
    const keys = (event) => {
      if (event.key === "Enter") edit();
    };
    return { tabIndex: 0, title: "change this weight", className: "weight link", onclick: edit, onkeydown: keys };
  }

  norm(layer, { channel, y, x }, [below], value) {
    const pixel = mapOf(below, channel)[y * below.width + x];
    const [mean, spread] = [layer.running_mean[channel], Math.sqrt(layer.running_var[channel] + EPSILON)];
    const line = `(${written(pixel)} − ${written(mean)}) / ${written(spread)} × ${written(layer.weight[channel])} + ${written(layer.bias[channel])} = ${written(value)}`;
    return [make("p", { className: "sum" }, line.replaceAll("− −", "+ ").replaceAll("+ −", "− "))];
  }

  activation(layer, { channel, y, x }, [below], value) {
    const pixel = mapOf(below, channel)[y * below.width + x];
    return [make("p", { className: "sum" }, `${describe(layer)}(${written(pixel)}) = ${written(value)}`), curveOf(layer.settings.function, pixel)];
  }

  pool(layer, { channel, y, x }, [below], value) {
    const window = windowOf(layer, below);
    const [height, width] = window.kernel;
    const map = { ...below, channels: 1, values: mapOf(below, channel) };
    const patch = gather(map, window, y, x, 0, 1, new Float32Array(height * width));
    const each = (k) => (layer.settings.of === "max" && patch[k] === value ? { className: "most" } : {});
    const signed = isSigned(this.network, layer);
    const table = numberTable(patch, height, width, { scale: largest(map.values), signed, each, label: "window" });
    const how = layer.settings.of === "max" ? "the largest" : `the sum over ${height * width}`;
    return [make("div", { className: "product" }, make("figure", {}, table, make("figcaption", {}, "window")), make("span", {}, `→ ${how}: ${written(value)}`))];
  }

  add(layer, { channel, y, x }, [maps, shortcut], value) {
    const made = mapOf(maps, channel)[y * maps.width + x];
    return [make("p", { className: "sum" }, `${written(made)} + ${written(value - made)} = ${written(value)}`.replaceAll("+ −", "− "))];
  }

  global_max(layer, { channel }, [below], value) {
    const place = mapOf(below, channel).indexOf(value);
    const where = `row ${Math.floor(place / below.width)}, column ${place % below.width}`;
    return [make("p", { className: "sum" }, `The largest of ${below.height * below.width} pixels is ${written(value)}, at ${where}.`), this.whole(below, channel)];
  }

  global_average(layer, { channel }, [below], value) {
    const sum = mapOf(below, channel).reduce((a, b) => a + b, 0);
    return [make("p", { className: "sum" }, `${written(sum)} / ${below.height * below.width} pixels = ${written(value)}`), this.whole(below, channel)];
  }

  whole(below, channel) {
    if (below.width > 12) return make("span");
    return numberTable(mapOf(below, channel), below.height, below.width, { scale: largest(below.values), label: "map" });
  }

  dense(layer, { channel }, [below], value) {
    const size = below.values.length;
    const weights = layer.weight.subarray(channel * size, (channel + 1) * size);
    const products = below.values.map((number, k) => number * weights[k]);
    const order = Array.from(products.keys()).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]));
    const source = inputsOf(this.network, layer)[0];
    if (source && source.kind !== "flatten") this.sources = order.slice(0, STRONGEST).map((k) => ({ layer: source.name, channel: k }));
    const rowOf = (k) => {
      const from = this.sourceOf(layer, k);
      const weight = make("td", this.editable(layer, "weight", channel * size + k, `weight of ${from}`), written(weights[k]));
      return make("tr", {}, make("td", {}, from), make("td", {}, written(below.values[k])), make("td", {}, "×"), weight, make("td", {}, "="), make("td", {}, written(products[k])));
    };
    const table = (rows) => make("table", { className: "terms" }, make("tbody", {}, ...rows.map(rowOf)));
    const total = products.reduce((a, b) => a + b, 0);
    const rest = this.rest(order.slice(10), "products", (rows) => [table(rows)]);
    return [...this.template(layer, weights, products), table(order.slice(0, 10)), ...rest, make("p", { className: "sum" }, `All ${size} products together: ${written(total)}`), this.withBias(layer, channel, total, value)];
  }

  // Where the k-th number that a dense layer sees is from: a unit, or a pixel of maps that were laid out as a vector.
  sourceOf(layer, k) {
    const below = inputsOf(this.network, layer)[0];
    if (below?.kind !== "flatten") return `${below?.name ?? "value"} ${k}`;
    const maps = inputsOf(this.network, below)[0];
    const { height, width } = this.outputs[maps?.name ?? "image"];
    const [c, y, x] = [Math.floor(k / (height * width)), Math.floor(k / width) % height, k % width];
    return `${maps ? `${maps.name} map ${c}` : "picture"}, row ${y}, column ${x}`;
  }

  // Where the unit looks at maps that were laid out as a vector, its weights can be laid out as maps again.
  template(layer, weights, products) {
    const flat = inputsOf(this.network, layer)[0];
    if (flat?.kind !== "flatten") return [];
    const before = inputsOf(this.network, flat)[0];
    if (before) return [];
    const { height, width, channels } = this.network;
    if (channels > 1) return [];
    const figures = [[weights, "weights: red asks for light, blue for dark"], [products, "picture × weights"]].map(([values, caption]) => {
      const canvas = make("canvas", { className: "template" });
      paint(canvas, values, height, width, largest(values), palette(true));
      return make("figure", {}, canvas, make("figcaption", {}, caption));
    });
    return [make("div", { className: "product" }, ...figures)];
  }
}

// A small graph of an activation with a pixel on it.
function curveOf(name, pixel) {
  const most = Math.max(3, Math.abs(pixel) * 1.2);
  const [wide, high] = [220, 110];
  const canvas = make("canvas", { className: "curve", width: 2 * wide, height: 2 * high });
  const draw = canvas.getContext("2d");
  draw.scale(2, 2);
  const style = getComputedStyle(document.documentElement);
  const low = Math.min(-1.2, ACTIVATIONS[name](-most));
  const top = Math.max(1.2, ACTIVATIONS[name](most));
  const at = (x) => [((x + most) / (2 * most)) * wide, high - ((ACTIVATIONS[name](x) - low) / (top - low)) * (high - 8) - 4];
  draw.strokeStyle = style.getPropertyValue("--line");
  draw.beginPath();
  draw.moveTo(wide / 2, 0);
  draw.lineTo(wide / 2, high);
  const zero = high - ((0 - low) / (top - low)) * (high - 8) - 4;
  draw.moveTo(0, zero);
  draw.lineTo(wide, zero);
  draw.stroke();
  draw.strokeStyle = draw.fillStyle = style.getPropertyValue("--accent");
  draw.lineWidth = 2;
  draw.beginPath();
  for (let x = -most; x <= most; x += most / 60) draw.lineTo(...at(x));
  draw.stroke();
  draw.beginPath();
  draw.arc(...at(pixel), 5, 0, 7);
  draw.fill();
  return canvas;
}

// The pixels of the picture that a pixel of a layer depends on: {top, bottom, left, right}, beyond the border too.
function seenBy(network, layer, box) {
  let found = box;
  if (["conv", "pool"].includes(layer.kind)) {
    const of = (name, i, otherwise) => pair(layer.settings[name] ?? otherwise)[i];
    const [from, to] = [(k, i) => k * of("stride", i) - of("padding", i, 0), (k, i) => k * of("stride", i) - of("padding", i, 0) + of("dilation", i, 1) * (of("kernel", i) - 1)];
    found = { top: from(box.top, 0), bottom: to(box.bottom, 0), left: from(box.left, 1), right: to(box.right, 1) };
  }
  const below = inputsOf(network, layer);
  if (["flatten", "global_max", "global_average", "dense"].includes(layer.kind) || !below.length) {
    return below.length ? null : ["conv", "pool", "norm", "activation"].includes(layer.kind) ? found : null;
  }
  // A residual block's input is seen through its convolutions, too: these see more.
  return seenBy(network, below[0], found);
}
