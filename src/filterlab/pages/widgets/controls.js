// What the lecture's widgets are made of: elements, sliders, buttons, and axes with curves. A widget is a function of its place on
// the page and of its topic's numbers.
const widgets = {};

const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Attributes by name, a function being what is called at the event of that name. */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A number with so many digits behind the point, and a minus sign. */
const write = (number, digits = 2) => number.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "\u2212");

const logistic = z => 1 / (1 + Math.exp(-z));

const button = (text, pressed) => make("button", {type: "button", click: pressed}, text);

/** A row of buttons: each a text and what it does. */
const buttons = given => make("p", {class: "buttons"}, ...Object.entries(given).map(([text, pressed]) => button(text, pressed)));

/**
 * A slider for each value: {b: [lowest, highest, step, value]}. `values` has them by name, to be read; `set` changes some, also to
 * numbers between the steps. `changed` is called after each change.
 */
function sliders(given, changed, digits = 2) {
  const values = {}, rows = {};
  const show = name => {
    rows[name].querySelector("output").value = write(values[name], digits);
  };
  const set = numbers => {
    for (const [name, number] of Object.entries(numbers)) {
      values[name] = number;
      rows[name].querySelector("input").value = number;
      show(name);
    }
    changed();
  };
  for (const [name, [low, high, step, value]] of Object.entries(given)) {
    values[name] = value;
    const slid = event => {
      values[name] = Number(event.target.value);
      show(name);
      changed();
    };
    const input = make("input", {type: "range", min: low, max: high, step, value, input: slid, "aria-label": name});
    rows[name] = make("label", {}, make("span", {}, name), input, make("output", {}));
    show(name);
  }
  return {element: make("div", {class: "sliders"}, ...Object.values(rows)), values, set};
}

/** Axes over x and y, each [lowest, highest]: `show` draws curves {of, looks}, points {at, looks} and lines {from, to, looks}. */
class Plot {
  constructor(label, x, y) {
    this.x = x;
    this.y = y;
    this.inside = draw("g", {});
    this.axes = draw("g", {class: "axes"});
    this.element = draw("svg", {viewBox: "0 0 400 250", role: "img", "aria-label": label}, this.axes, this.inside);
    this.scale(y);
  }

  across = value => 38 + 352 * (value - this.x[0]) / (this.x[1] - this.x[0]);
  up = value => 222 - 212 * (value - this.y[0]) / (this.y[1] - this.y[0]);

  /** Other limits of y, and the ticks anew. */
  scale(y) {
    this.y = y;
    const [[across, digits], [up, places]] = [this.ticks(this.x), this.ticks(y)];
    this.axes.replaceChildren(
      ...across.map(value => draw("text", {x: this.across(value), y: 240, "text-anchor": "middle"}, write(value, digits))),
      ...up.map(value => draw("line", {x1: 38, x2: 390, y1: this.up(value), y2: this.up(value)})),
      ...up.map(value => draw("text", {x: 33, y: this.up(value) + 4, "text-anchor": "end"}, write(value, places))),
    );
  }

  /** Three to seven round numbers between two, and how many digits they have behind the point. */
  ticks([low, high]) {
    const rough = (high - low) / 5, power = Math.floor(Math.log10(rough));
    const step = 10 ** power * [1, 2, 5, 10].find(times => times * 10 ** power >= rough);
    const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
    return [Array.from({length: last - first + 1}, (_, i) => (first + i) * step), Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
  }

  show(...things) {
    this.inside.replaceChildren(...things.map(thing => this.draw(thing)));
  }

  draw({of, at, from, to, looks}) {
    if (at) return draw("circle", {cx: this.across(at[0]), cy: this.up(at[1]), r: looks === "datum" ? 2.5 : 4.5, class: looks});
    const points = of ? this.grid().map(x => [x, of(x)]) : [from, to];
    return draw("polyline", {points: points.map(([x, y]) => `${this.across(x).toFixed(2)},${this.up(y).toFixed(2)}`).join(" "), class: looks});
  }

  grid() {
    return Array.from({length: 301}, (_, i) => this.x[0] + (this.x[1] - this.x[0]) * i / 300);
  }
}

/** Where a widget says in words what there is to see. */
const told = () => make("p", {class: "says", "aria-live": "polite"});
