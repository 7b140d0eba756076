"use strict";
// The trained network, run as its plan says: below, one function a kind of layer.
//
// Maps are {channels, height, width, values}: values is a Float32Array, one map after the other, each row by row, as PyTorch
// lays them out. A vector is maps of 1x1 pixels. A network is {layers, mean, std}; a layer has its name, its kind, its settings,
// the names of its inputs ([]: the layer before it) and, where it learned some, its tensors: weight, bias, running_mean,
// running_var, each a Float32Array.

const EPSILON = 1e-5; // of batch norm, as PyTorch has it

const emptyMaps = (channels, height, width) => ({ channels, height, width, values: new Float32Array(channels * height * width) });
const pair = (setting) => (Array.isArray(setting) ? setting : [setting, setting]); // a side, or [height, width]

// Abramowitz and Stegun, 7.1.26: right to 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  identity: (x) => x,
};

// Where the window of an output pixel begins in the maps below, and how it goes on.
function windowOf(layer, below) {
  const { settings } = layer;
  const [kernel, stride] = [pair(settings.kernel), pair(settings.stride)];
  const [padding, dilation] = [pair(settings.padding ?? 0), pair(settings.dilation ?? 1)];
  const side = (size, i) => Math.floor((size + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) / stride[i]) + 1;
  return { kernel, stride, padding, dilation, height: side(below.height, 0), width: side(below.width, 1) };
}

// The pixels below an output pixel, of the channels from `first` on, into `patch`; beyond the border they are zero.
function gather(below, window, y, x, first, channels, patch) {
  const { kernel, stride, padding, dilation } = window;
  const { height, width, values } = below;
  const [top, left] = [y * stride[0] - padding[0], x * stride[1] - padding[1]];
  let k = 0;
  for (let c = first; c < first + channels; c++) {
    for (let i = 0; i < kernel[0]; i++) {
      const row = top + i * dilation[0];
      const inside = row >= 0 && row < height;
      const start = (c * height + row) * width;
      for (let j = 0; j < kernel[1]; j++) {
        const column = left + j * dilation[1];
        patch[k++] = inside && column >= 0 && column < width ? values[start + column] : 0;
      }
    }
  }
  return patch;
}

// One row of all maps: each pixel is the sum of the patch below it times the filter. `patches` has room for those of one row: they
// are gathered once for all filters, and a weight is read once for four of them.
function convolveRow(layer, below, window, made, y, patches) {
  const { weight, bias } = layer;
  const groups = layer.settings.groups ?? 1;
  const [channels, filters] = [below.channels / groups, made.channels / groups];
  const size = weight.length / made.channels;
  const width = made.width;
  for (let g = 0; g < groups; g++) {
    for (let x = 0; x < width; x++) gather(below, window, y, x, g * channels, channels, patches.subarray(x * size, (x + 1) * size));
    for (let f = g * filters; f < (g + 1) * filters; f++) {
      const offset = bias ? bias[f] : 0;
      const row = (f * made.height + y) * width;
      for (let x = 0; x < width; x += 4) {
        // Beyond the row's end the last patch is computed once more.
        const second = Math.min(x + 1, width - 1);
        const third = Math.min(x + 2, width - 1);
        const fourth = Math.min(x + 3, width - 1);
        let [a, b, c, d] = [offset, offset, offset, offset];
        for (let k = 0; k < size; k++) {
          const factor = weight[f * size + k];
          a += factor * patches[x * size + k];
          b += factor * patches[second * size + k];
          c += factor * patches[third * size + k];
          d += factor * patches[fourth * size + k];
        }
        made.values[row + x] = a;
        made.values[row + second] = b;
        made.values[row + third] = c;
        made.values[row + fourth] = d;
      }
    }
  }
}

const sameSize = (below) => emptyMaps(below.channels, below.height, below.width);
const pixelsOf = (maps) => maps.height * maps.width;

const KINDS = {
  *conv(layer, below) {
    const window = windowOf(layer, below);
    const made = emptyMaps(layer.settings.filters, window.height, window.width);
    const patches = new Float32Array((layer.weight.length / made.channels) * made.width);
    for (let y = 0; y < made.height; y++) {
      convolveRow(layer, below, window, made, y, patches);
      yield y / made.height;
    }
    return made;
  },

  // In use, batch norm takes the mean and the variance that it saw in training.
  norm(layer, below) {
    const made = sameSize(below);
    const pixels = pixelsOf(below);
    for (let c = 0; c < below.channels; c++) {
      const factor = layer.weight[c] / Math.sqrt(layer.running_var[c] + EPSILON);
      for (let p = c * pixels; p < (c + 1) * pixels; p++) {
        made.values[p] = (below.values[p] - layer.running_mean[c]) * factor + layer.bias[c];
      }
    }
    return made;
  },

  activation(layer, below) {
    return { ...below, values: below.values.map(ACTIVATIONS[layer.settings.function]) };
  },

  pool(layer, below) {
    const window = windowOf(layer, below);
    const made = emptyMaps(below.channels, window.height, window.width);
    const { kernel, stride, padding } = window;
    for (let c = 0, p = 0; c < made.channels; c++) {
      for (let y = 0; y < made.height; y++) {
        for (let x = 0; x < made.width; x++, p++) {
          let [largest, sum] = [-Infinity, 0];
          for (let i = 0; i < kernel[0]; i++) {
            for (let j = 0; j < kernel[1]; j++) {
              const [row, column] = [y * stride[0] - padding[0] + i, x * stride[1] - padding[1] + j];
              if (row < 0 || row >= below.height || column < 0 || column >= below.width) continue;
              const pixel = below.values[(c * below.height + row) * below.width + column];
              largest = Math.max(largest, pixel);
              sum += pixel;
            }
          }
          made.values[p] = layer.settings.of === "max" ? largest : sum / (kernel[0] * kernel[1]);
        }
      }
    }
    return made;
  },

  // Dropout is for training alone.
  dropout: (layer, below) => below,

  // A shortcut has no weights: where the maps were halved, it gives every second pixel, and zeros for the new channels.
  add(layer, maps, shortcut) {
    const made = { ...maps, values: maps.values.slice() };
    const stride = maps.height === shortcut.height && maps.width === shortcut.width ? 1 : 2;
    for (let c = 0, p = 0; c < shortcut.channels; c++) {
      for (let y = 0; y < maps.height; y++) {
        for (let x = 0; x < maps.width; x++, p++) {
          made.values[p] += shortcut.values[(c * shortcut.height + y * stride) * shortcut.width + x * stride];
        }
      }
    }
    return made;
  },

  flatten: (layer, below) => ({ channels: below.values.length, height: 1, width: 1, values: below.values }),

  global_max: (layer, below) => eachMap(below, (map) => map.reduce((largest, pixel) => Math.max(largest, pixel))),

  global_average: (layer, below) => eachMap(below, (map) => map.reduce((sum, pixel) => sum + pixel) / map.length),

  dense(layer, below) {
    const made = emptyMaps(layer.settings.units, 1, 1);
    const { weight, bias } = layer;
    const size = below.values.length;
    for (let unit = 0; unit < made.channels; unit++) {
      let sum = bias ? bias[unit] : 0;
      for (let k = 0; k < size; k++) sum += below.values[k] * weight[unit * size + k];
      made.values[unit] = sum;
    }
    return made;
  },
};

function eachMap(below, measure) {
  const made = emptyMaps(below.channels, 1, 1);
  const pixels = pixelsOf(below);
  for (let c = 0; c < below.channels; c++) made.values[c] = measure(below.values.subarray(c * pixels, (c + 1) * pixels));
  return made;
}

// What the network is given: pixels in [0, 1], less the mean and over the standard deviation of the training images.
function scaled(network, image) {
  const of = (numbers, c) => numbers[numbers.length > 1 ? c : 0];
  const pixels = pixelsOf(image);
  const scale = (value, p) => {
    const c = Math.floor(p / pixels);
    return (value - of(network.mean, c)) / of(network.std, c);
  };
  return { ...image, values: image.values.map(scale) };
}

// All maps of an image (pixels in [0, 1]) by the names of the layers, "image" first. It yields how much is done, from 0 to 1, as
// often as it can be interrupted.
//
// off: layer -> the channels of it that are switched off, which are zero.
function* run(network, image, off = {}) {
  let below = scaled(network, image);
  const outputs = { image: below };
  for (const [place, layer] of network.layers.entries()) {
    const inputs = layer.inputs.length ? layer.inputs.map((name) => outputs[name]) : [below];
    const work = KINDS[layer.kind](layer, ...inputs);
    let made = work;
    if (layer.kind === "conv") {
      for (made = work.next(); !made.done; made = work.next()) yield (place + made.value) / network.layers.length;
      made = made.value;
    }
    const pixels = pixelsOf(made);
    for (const c of off[layer.name] ?? []) made.values.fill(0, c * pixels, (c + 1) * pixels);
    outputs[layer.name] = below = made;
    yield (place + 1) / network.layers.length;
  }
  return outputs;
}

// The same at one go.
function runAll(network, image, off) {
  const work = run(network, image, off);
  let step = work.next();
  while (!step.done) step = work.next();
  return step.value;
}

function softmax(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
