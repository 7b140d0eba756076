"use strict";
// From a drawing to the picture that the network is given. The rule is that of `filterlab predict` (data/own/mnist.py): the
// numbers in the comments are its steps.

const BOX = 20 / 28; // the longer side of a digit, as a share of the image's
const STROKE = 2; // pixels of a box of 20: thinner strokes are thickened to that
const WORK = 100; // pixels of the longer side at which strokes are thickened

// Planes are {height, width, values}, numbers row by row.
const plane = (height, width) => ({ height, width, values: new Float64Array(height * width) });
const roundHalfEven = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
const roundHalfUp = (x) => Math.floor(x + 0.5);
const brightest = (image) => image.values.reduce((a, b) => Math.max(a, b), 0);

// Ink (a plane, 0 to 255) becomes a plane of height x width, 0 to 255 in whole numbers, as MNIST has its digits.
function digitOf(ink, height, width) {
  const image = plane(height, width);
  const most = brightest(ink);
  if (!most) return image;
  let cut = cutToInk(ink, most); // 1
  let wide = strokeWidth(cut); // 2
  const small = WORK / Math.max(cut.height, cut.width); // 3
  wide *= small;
  cut = scaledBy(cut, small, small);
  const dimmed = Math.min(1, wide);
  cut.values = cut.values.map((value) => Math.min(value / dimmed, 255));
  cut = thickened(cut, ((STROKE * Math.max(cut.height, cut.width)) / 20 - Math.max(1, wide)) / 2); // 4
  const factor = Math.min((BOX * height) / cut.height, (BOX * width) / cut.width);
  const digit = scaledBy(cut, factor, factor); // 5
  const full = 255 / brightest(digit);
  digit.values = digit.values.map((value) => value * full);
  const [top, left] = placeOf(digit, height, width); // 6
  for (let y = 0; y < digit.height; y++) {
    for (let x = 0; x < digit.width; x++) {
      image.values[(top + y) * width + left + x] = roundHalfUp(digit.values[y * digit.width + x]);
    }
  }
  return image;
}

function cutToInk(ink, most) {
  let [top, bottom, left, right] = [ink.height, -1, ink.width, -1];
  ink.values.forEach((value, p) => {
    if (2 * value < most) return;
    const [y, x] = [Math.floor(p / ink.width), p % ink.width];
    [top, bottom, left, right] = [Math.min(top, y), Math.max(bottom, y), Math.min(left, x), Math.max(right, x)];
  });
  const cut = plane(bottom - top + 1, right - left + 1);
  for (let y = 0; y < cut.height; y++) {
    for (let x = 0; x < cut.width; x++) cut.values[y * cut.width + x] = ink.values[(top + y) * ink.width + left + x];
  }
  return cut;
}

// Twice the area of the strokes over the length of their outline, which is made of stairs.
function strokeWidth(cut) {
  const most = brightest(cut);
  const solid = (y, x) => y >= 0 && y < cut.height && x >= 0 && x < cut.width && 2 * cut.values[y * cut.width + x] >= most;
  let [area, edges] = [0, 0];
  for (let y = 0; y <= cut.height; y++) {
    for (let x = 0; x <= cut.width; x++) {
      area += solid(y, x);
      edges += (solid(y, x) !== solid(y - 1, x)) + (solid(y, x) !== solid(y, x - 1));
    }
  }
  return (((2 * area) / edges) * 4) / Math.PI;
}

// Each pixel becomes the brightest within a distance.
function thickened(cut, by) {
  const reach = roundHalfUp(by);
  if (reach < 1) return cut;
  const most = plane(cut.height + 2 * reach, cut.width + 2 * reach);
  for (let down = -reach; down <= reach; down++) {
    for (let right = -reach; right <= reach; right++) {
      if (down ** 2 + right ** 2 > (reach + 0.5) ** 2) continue;
      for (let y = 0; y < cut.height; y++) {
        for (let x = 0; x < cut.width; x++) {
          const place = (y + reach + down) * most.width + x + reach + right;
          most.values[place] = Math.max(most.values[place], cut.values[y * cut.width + x]);
        }
      }
    }
  }
  return most;
}

// Bilinear, antialiased: rows and columns one after the other.
function scaledBy(image, down, across) {
  const [height, width] = [Math.max(1, roundHalfEven(image.height * down)), Math.max(1, roundHalfEven(image.width * across))];
  return scaledTo(image, height, width);
}

function scaledTo(image, height, width) {
  const between = plane(height, image.width);
  shares(image.height, height).forEach((row, y) => {
    for (const [old, share] of row) {
      for (let x = 0; x < image.width; x++) between.values[y * image.width + x] += share * image.values[old * image.width + x];
    }
  });
  const made = plane(height, width);
  shares(image.width, width).forEach((row, x) => {
    for (const [old, share] of row) {
      for (let y = 0; y < height; y++) made.values[y * width + x] += share * between.values[y * image.width + old];
    }
  });
  return made;
}

// For each new pixel, the old ones that it is made of and their shares: a triangle about its centre that reaches over one pixel
// on either side, the larger of old and new.
function shares(old, made) {
  const step = old / made;
  return Array.from({ length: made }, (_, pixel) => {
    const found = [];
    for (let k = 0; k < old; k++) {
      const share = 1 - Math.abs(k + 0.5 - (pixel + 0.5) * step) / Math.max(step, 1);
      if (share > 0) found.push([k, share]);
    }
    const sum = found.reduce((total, [, share]) => total + share, 0);
    return found.map(([k, share]) => [k, share / sum]);
  });
}

// By whole pixels, the centre of mass in the pixel right of and below the middle, as far as the digit stays inside.
function placeOf(digit, height, width) {
  let [total, down, across] = [0, 0, 0];
  digit.values.forEach((value, p) => {
    total += value;
    down += value * (Math.floor(p / digit.width) + 0.5);
    across += value * ((p % digit.width) + 0.5);
  });
  const place = (side, mass, inside) => Math.min(Math.max(0, Math.ceil(side / 2 - mass)), side - inside);
  return [place(height, down / total, digit.height), place(width, across / total, digit.width)];
}

// A photograph's ink, simply: what differs from the ground, which most of its edge is. (`filterlab predict` looks closer: shadows,
// lines, several digits.)
function inkOf(gray) {
  const { height, width, values } = gray;
  const edge = [...values.filter((_, p) => p % width === 0 || p % width === width - 1 || p < width || p >= width * (height - 1))];
  const ground = edge.sort((a, b) => a - b)[Math.floor(edge.length / 2)];
  const away = values.map((value) => (ground > 127 ? ground - value : value - ground));
  const most = away.reduce((a, b) => Math.max(a, b), 1);
  return { height, width, values: away.map((value) => (value < 0.2 * most ? 0 : (255 * value) / most)) };
}

// Where one draws. `drawn` is called with the picture that the network is to be given, pixels in [0, 1].
class Pad {
  // dark: whether pictures of this kind are light on dark; ruled: whether what is drawn goes through MNIST's rule.
  constructor(canvas, { channels, height, width, dark, ruled, drawn }) {
    this.zoom = Math.max(1, Math.floor(280 / Math.max(height, width)));
    Object.assign(this, { canvas, channels, height, width, ruled, drawn, holds: "drawing", last: null, due: null });
    Object.assign(canvas, { width: width * this.zoom, height: height * this.zoom });
    this.paint = canvas.getContext("2d", { willReadFrequently: true });
    this.ground = dark ? "#000" : "#fff";
    this.pen = { x: canvas.width / 2, y: canvas.height / 2 };
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.clear();
  }

  clear() {
    this.paint.fillStyle = this.ground;
    this.paint.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.holds = "drawing"; // goes through the rule; what is drawn on a picture of the data set stays where it is
  }

  // A picture that is there already.
  show(image) {
    const small = document.createElement("canvas");
    paintPicture(small, image);
    this.paint.imageSmoothingEnabled = false;
    this.paint.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    this.holds = "picture";
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.canvas.width;
    return { x, y: ((event.clientY - box.top) / box.height) * this.canvas.height };
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.line(this.last, this.last);
  }

  go(event) {
    if (!this.last) return;
    const here = this.place(event);
    this.line(this.last, here);
    this.last = here;
  }

  key(event) {
    const by = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    const within = (number, side) => Math.max(0, Math.min(side, number));
    const step = this.canvas.width / 28;
    const here = { x: within(this.pen.x + by[0] * step, this.canvas.width), y: within(this.pen.y + by[1] * step, this.canvas.height) };
    if (event.shiftKey) this.line(this.pen, here);
    this.pen = here;
  }

  line(from, to) {
    const color = document.getElementById("pen")?.value;
    Object.assign(this.paint, { lineCap: "round", lineWidth: this.canvas.width / 13 });
    this.paint.strokeStyle = color ?? (this.ground === "#000" ? "#fff" : "#000");
    this.paint.beginPath();
    this.paint.moveTo(from.x, from.y);
    this.paint.lineTo(to.x, to.y);
    this.paint.stroke();
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this.drawn(this.image());
    });
  }

  // What the network is given.
  image() {
    const { canvas, channels, height, width, zoom } = this;
    const { data } = this.paint.getImageData(0, 0, canvas.width, canvas.height);
    const made = { channels, height, width, values: new Float32Array(channels * height * width) };
    if (this.ruled && this.holds !== "picture") {
      const gray = plane(canvas.height, canvas.width);
      for (let p = 0; p < gray.values.length; p++) {
        gray.values[p] = 0.299 * data[4 * p] + 0.587 * data[4 * p + 1] + 0.114 * data[4 * p + 2];
      }
      const digit = digitOf(this.holds === "photograph" ? inkOf(gray) : gray, height, width);
      made.values.set(digit.values.map((value) => value / 255));
      return made;
    }
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          let sum = 0;
          for (let i = 0; i < zoom; i++) {
            for (let j = 0; j < zoom; j++) sum += data[4 * ((y * zoom + i) * canvas.width + x * zoom + j) + Math.min(c, 2)];
          }
          made.values[(c * height + y) * width + x] = sum / zoom ** 2 / 255;
        }
      }
    }
    return made;
  }

  // A picture from a file, in the middle, its shape kept; around it the colour of its corner, or black.
  take(bitmap) {
    this.clear();
    this.paint.fillStyle = this.ruled ? "#fff" : "#000";
    this.paint.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.paint.imageSmoothingQuality = "high";
    if (this.ruled) this.paint.drawImage(bitmap, 0, 0, 1, 1, 0, 0, this.canvas.width, this.canvas.height);
    const factor = Math.min(this.canvas.width / bitmap.width, this.canvas.height / bitmap.height);
    const [wide, high] = [bitmap.width * factor, bitmap.height * factor];
    this.paint.imageSmoothingEnabled = true;
    this.paint.drawImage(bitmap, (this.canvas.width - wide) / 2, (this.canvas.height - high) / 2, wide, high);
    this.holds = "photograph";
    return this.image();
  }
}
