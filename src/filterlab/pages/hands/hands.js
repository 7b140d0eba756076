"use strict";
// What the lecture asks, in the reader's hands: each <div class="hands" data-hands="NAME"> is filled by HANDS[NAME].

const sigma = (z) => 1 / (1 + Math.exp(-z));
const short = (number) => String(Number(number.toFixed(3))).replace("-", "−");

// An element with its properties and children; text is text.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// A named number with a slider; changed(number) is called as it moves.
function slider(name, [least, most, step], value, changed) {
  const shown = make("output", {}, short(value));
  const input = make("input", { type: "range", min: least, max: most, step, value });
  input.addEventListener("input", () => {
    shown.textContent = short(Number(input.value));
    changed(Number(input.value));
  });
  const label = make("label", {}, make("span", {}, name), input, shown);
  label.set = (number) => {
    input.value = number;
    input.dispatchEvent(new Event("input"));
  };
  return label;
}

// Curves over x from -range to range, each {y, className}; y from low to high. Points are {x, y}.
function plot(svg, curves, points, { range = 6, low = 0, high = 1 }) {
  const [wide, tall] = [600, 220];
  const across = (x) => ((x + range) / (2 * range)) * wide;
  const down = (y) => tall - 10 - ((y - low) / (high - low)) * (tall - 20);
  const line = (y) => Array.from({ length: 241 }, (_, k) => (k / 120 - 1) * range).map((x) => `${across(x).toFixed(1)},${down(y(x)).toFixed(1)}`).join(" ");
  const grid = [low, (low + high) / 2, high].map((y) => `<line class="grid" x1="0" x2="${wide}" y1="${down(y)}" y2="${down(y)}"/><text x="4" y="${down(y) + (y === high ? 14 : -4)}">${short(y)}</text>`);
  const axis = `<line class="grid" x1="${across(0)}" x2="${across(0)}" y1="0" y2="${tall}"/>`;
  const lines = curves.map(({ y, className }) => `<polyline class="${className}" points="${line(y)}"/>`);
  const dots = points.map(({ x, y }) => `<circle r="6" cx="${across(x)}" cy="${down(y)}"/>`);
  svg.innerHTML = [...grid, axis, ...lines, ...dots].join(""); // numbers alone
}

function canvas(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 600 220");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  return svg;
}

// A table of numbers that can be changed. marked(k): the class of a cell.
function numbers(rows, columns, values, { edit, marked = () => "", choose }) {
  const cell = (k) => {
    const inner = edit ? make("input", { type: "number", value: values[k], ariaLabel: `row ${Math.floor(k / columns) + 1}, column ${(k % columns) + 1}` }) : make("button", { type: "button" }, short(values[k]));
    if (edit) inner.addEventListener("change", () => edit(k, Number(inner.value) || 0));
    if (choose) inner.addEventListener("click", () => choose(k));
    return make("td", { className: marked(k) }, inner);
  };
  const row = (i) => make("tr", {}, ...Array.from({ length: columns }, (_, j) => cell(i * columns + j)));
  return make("table", {}, make("tbody", {}, ...Array.from({ length: rows }, (_, i) => row(i))));
}

const HANDS = {
  // One logistic unit: what b and w do.
  logistic(place) {
    const unit = { b: 0, w: 1 };
    const [svg, says] = [canvas("the logistic function"), make("p", { role: "status" })];
    const draw = () => {
      const { b, w } = unit;
      const middle = -b / w;
      const curves = [{ y: sigma, className: "pale" }, { y: (x) => 0.5 + (w / 4) * (x - middle), className: "pale dashed" }, { y: (x) => sigma(b + w * x), className: "curve" }];
      plot(svg, w ? curves : [curves[0], curves[2]], w ? [{ x: middle, y: 0.5 }] : [], {});
      says.textContent = w ? `The curve passes 1/2 at −b/w = ${short(middle)}, with the slope w/4 = ${short(w / 4)}.` : "With w = 0 the curve is level: it passes nowhere.";
    };
    const sliders = Object.keys(unit).map((name) => slider(name, [-6, 6, 0.1], unit[name], (value) => {
      unit[name] = value;
      draw();
    }));
    const slides = [[0, 1], [0, 5], [2, 1], [0, -1]].map(([b, w]) => {
      const button = make("button", { type: "button" }, `b = ${short(b)}, w = ${short(w)}`);
      button.addEventListener("click", () => sliders.forEach((one, k) => one.set([b, w][k])));
      return button;
    });
    place.append(svg, ...sliders, make("p", { className: "buttons" }, ...slides), says);
    draw();
  },

  // The sum of two logistic units.
  bump(place) {
    const units = [[1, 1], [1, -1]];
    const svg = canvas("the sum of two logistic units");
    const one = (k) => (x) => sigma(units[k][0] + units[k][1] * x);
    const draw = () => plot(svg, [{ y: one(0), className: "pale" }, { y: one(1), className: "pale" }, { y: (x) => one(0)(x) + one(1)(x), className: "curve" }], [], { high: 2 });
    const sliders = units.flatMap((unit, k) => ["b", "w"].map((name, n) => slider(`${name} of unit ${k + 1}`, [-6, 6, 0.1], unit[n], (value) => {
      unit[n] = value;
      draw();
    })));
    place.append(svg, ...sliders);
    draw();
  },

  // The seven units of the slides: each is the logistic function of its bias and its weighted inputs.
  composition(place) {
    const units = {
      y1: { b: -10, x: -10 }, y2: { b: 5, x: 10 }, y4: { b: -10, x: 10 }, y5: { b: 5, x: -10 },
      y3: { b: -1, y1: -1, y2: -1 }, y6: { b: -1, y4: 1, y5: 1 }, y7: { b: -1, y3: -2, y6: -1 },
    };
    const svg = canvas("the outputs of y3, y6 and y7");
    const output = (name, x) => {
      const { b, ...inputs } = units[name];
      return sigma(Object.entries(inputs).reduce((sum, [from, weight]) => sum + weight * (from === "x" ? x : output(from, x)), b));
    };
    const draw = () => plot(svg, [["y3", "pale"], ["y6", "pale dashed"], ["y7", "curve"]].map(([name, className]) => ({ y: (x) => output(name, x), className })), [], { range: 3, high: 0.6 });
    const sliders = Object.entries(units).map(([name, unit]) => make("fieldset", {}, make("legend", {}, name), ...Object.keys(unit).map((from) => slider(from === "b" ? "bias" : `weight of ${from}`, from === "x" || Math.abs(unit[from]) > 3 ? [-20, 20, 0.5] : [-4, 4, 0.1], unit[from], (value) => {
      unit[from] = value;
      draw();
    }))));
    place.append(svg, make("p", {}, "Strong: y7. Pale: y3; dashed: y6."), make("div", { className: "units" }, ...sliders));
    draw();
  },

  // The filter steps over the window, and each sum is written out.
  edge(place) {
    const window = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 7, 6, 6, 0, 0, 9, 10, 10, 10, 0, 0, 3, 4, 3, 4];
    const filter = [-1, 0, 1, -1, 0, 1, -1, 0, 1];
    let at = 0;
    const patch = (k) => filter.map((_, n) => (Math.floor(k / 4) + Math.floor(n / 3)) * 6 + (k % 4) + (n % 3));
    const draw = (focus) => {
      const filtered = Array.from({ length: 12 }, (_, k) => patch(k).reduce((sum, p, n) => sum + window[p] * filter[n], 0));
      const pooled = Array.from({ length: 6 }, (_, k) => {
        const first = Math.floor(k / 3) * 4 + (k % 3);
        return Math.max(filtered[first], filtered[first + 1], filtered[first + 4], filtered[first + 5]);
      });
      const change = (of) => (k, value) => {
        of[k] = value;
        draw();
      };
      const under = patch(at);
      const figure = (table, caption) => make("figure", {}, table, make("figcaption", {}, caption));
      const products = under.map((p, n) => `${short(window[p])}·(${short(filter[n])})`).join(" + ");
      const step = make("button", { type: "button" }, "Next place");
      step.addEventListener("click", () => {
        at = (at + 1) % 12;
        draw(true);
      });
      const choose = (k) => {
        at = k;
        draw();
      };
      place.replaceChildren(
        make("div", { className: "row" },
          figure(numbers(5, 6, window, { edit: change(window), marked: (k) => (under.includes(k) ? "under" : "") }), "the window, near the tip of a seven"),
          figure(numbers(3, 3, filter, { edit: change(filter) }), "the filter"),
          figure(numbers(3, 4, filtered, { choose, marked: (k) => (k === at ? "under" : "") }), "filtered"),
          figure(numbers(2, 3, pooled, {}), "the largest of each 2x2")),
        make("p", { className: "buttons" }, step),
        make("p", { role: "status" }, `${products} = ${short(filtered[at])}`),
      );
      if (focus) place.querySelector(".buttons button").focus();
    };
    draw();
  },

  // How large a map is.
  size(place) {
    const of = { W: 7, F: 3, P: 0, S: 1, D: 3, K: 1 };
    const ranges = { W: [1, 32, 1], F: [1, 11, 1], P: [0, 5, 1], S: [1, 4, 1], D: [1, 64, 1], K: [1, 64, 1] };
    const words = { W: "W, pixels across", F: "F, of the filter", P: "P, zeros on each side", S: "S, the stride", D: "D, channels below", K: "K, filters" };
    const [line, says] = [make("div", { className: "pixels", ariaHidden: "true" }), make("p", { role: "status" })];
    const draw = () => {
      const { W, F, P, S, D, K } = of;
      const exact = (W - F + 2 * P) / S + 1;
      const size = F > W + 2 * P ? 0 : Math.floor(exact);
      const pixel = (k) => make("i", { className: k < P || k >= P + W ? "zero" : "" });
      const steps = Array.from({ length: size }, (_, k) => {
        const bar = make("b");
        Object.assign(bar.style, { gridColumn: `${k * S + 1} / span ${F}`, gridRow: String((k % 3) + 2) });
        return bar;
      });
      line.style.gridTemplateColumns = `repeat(${W + 2 * P}, minmax(0, 1.4rem))`;
      line.replaceChildren(...Array.from({ length: W + 2 * P }, (_, k) => pixel(k)), ...steps);
      const rounded = exact === size ? "" : ` (${short(exact)}, rounded down: ${W + 2 * P - (size - 1) * S - F} at the end are never seen)`;
      says.textContent = `${size ? `The filter fits at ${size} places across${rounded}` : "The filter is larger than the picture"}. It takes F·F·D·K + K = ${(F * F * D * K + K).toLocaleString("en")} numbers.`;
    };
    const sliders = Object.keys(of).map((name) => slider(words[name], ranges[name], of[name], (value) => {
      of[name] = value;
      draw();
    }));
    place.append(line, ...sliders, says);
    draw();
  },
};

for (const place of document.querySelectorAll(".hands")) {
  place.prepend(make("p", { className: "try" }, "Try it"));
  const inner = make("div");
  place.append(inner);
  HANDS[place.dataset.hands](inner);
}
