// The filter on its window: step over it, every product written out; all numbers can be changed.
widgets["10_edge_filter"] = (place, {window, filter}) => {
  const copy = rows => rows.map(row => [...row]);
  let image = copy(window), weights = copy(filter), at = [0, 0];
  const rows = window.length - filter.length + 1, columns = window[0].length - filter[0].length + 1;
  const patch = (row, column) => weights.flatMap((line, u) => line.map((weight, v) => [image[row + u][column + v], weight]));
  const answer = (row, column) => patch(row, column).reduce((sum, [pixel, weight]) => sum + pixel * weight, 0);
  const grid = (height, width, of) => Array.from({length: height}, (_, row) => Array.from({length: width}, (_, column) => of(row, column)));
  const exact = number => String(Math.round(number * 1000) / 1000).replace("-", "\u2212");

  /** A table of numbers, each in an element that `cell` makes. */
  const table = (title, values, cell) => {
    const body = values.map((line, row) => make("tr", {}, ...line.map((_, column) => make("td", {}, cell(row, column)))));
    return make("div", {}, make("h4", {}, title), make("table", {class: "cells", "aria-label": title}, ...body));
  };
  const edited = (name, values) => (row, column) => make("input", {
    type: "number", step: "any", value: values()[row][column], "aria-label": `${name}, row ${row + 1}, column ${column + 1}`,
    input: event => {
      values()[row][column] = Number(event.target.value);
      show();
    },
  });
  const pixels = table("The window, 5x6", image, edited("window", () => image));
  const numbers = table("The filter, 3x3", weights, edited("filter", () => weights));
  const move = (row, column) => {
    at = [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
    show();
  };
  const answers = table(`Filtered, ${rows}x${columns}`, grid(rows, columns, () => 0), (row, column) => button("", () => move(row, column)));
  const largest = table(`Pooled 2x2, ${rows - 1}x${columns - 1}`, grid(rows - 1, columns - 1, () => 0), () => make("output", {}));
  answers.addEventListener("keydown", event => {
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!step) return;
    event.preventDefault();
    move(at[0] + step[0], at[1] + step[1]);
    answers.querySelectorAll("button")[at[0] * columns + at[1]].focus();
  });

  /** Gray from 0 (black) to 10, or blue and red to either side of 0. */
  const shade = (cell, share, gray) => {
    const level = Math.min(Math.max(Math.abs(share), 0), 1), other = Math.round(255 - 175 * level);
    const color = gray ? Array(3).fill(Math.round(255 * level)) : share > 0 ? [255, other, other] : [other, other, 255];
    cell.style.background = `rgb(${color})`;
    cell.style.color = gray && level < 0.55 ? "#fff" : "#000";
  };
  const says = told(), step = by => {
    const next = (at[0] * columns + at[1] + by + rows * columns) % (rows * columns);
    move(Math.floor(next / columns), next % columns);
  };
  function show() {
    const found = grid(rows, columns, answer), most = Math.max(1, ...found.flat().map(Math.abs));
    const strongest = Math.max(1, ...weights.flat().map(Math.abs));
    pixels.querySelectorAll("input").forEach((cell, i) => {
      const row = Math.floor(i / window[0].length), column = i % window[0].length;
      shade(cell, image[row][column] / 10, true);
      cell.classList.toggle("here", row >= at[0] && row < at[0] + filter.length && column >= at[1] && column < at[1] + filter[0].length);
    });
    numbers.querySelectorAll("input").forEach((cell, i) => shade(cell, weights.flat()[i] / strongest, false));
    answers.querySelectorAll("button").forEach((cell, i) => {
      cell.textContent = exact(found.flat()[i]);
      shade(cell, found.flat()[i] / most, false);
      const here = i === at[0] * columns + at[1];
      cell.classList.toggle("here", here);
      cell.setAttribute("aria-pressed", here);
    });
    largest.querySelectorAll("output").forEach((cell, i) => {
      const row = Math.floor(i / (columns - 1)), column = i % (columns - 1);
      const value = Math.max(found[row][column], found[row][column + 1], found[row + 1][column], found[row + 1][column + 1]);
      cell.value = exact(value);
      shade(cell, value / most, false);
    });
    const products = patch(...at).map(([pixel, weight]) => `${exact(pixel)}\u00b7${weight < 0 ? `(${exact(weight)})` : exact(weight)}`);
    says.textContent = `Row ${at[0] + 1}, column ${at[1] + 1}: ${products.join(" + ")} = ${exact(answer(...at))}`;
  }
  const put = (given, seen = image) => {
    weights = copy(given);
    image = copy(seen);
    pixels.querySelectorAll("input").forEach((cell, i) => (cell.value = image.flat()[i]));
    numbers.querySelectorAll("input").forEach((cell, i) => (cell.value = weights.flat()[i]));
    show();
  };
  const choices = {
    "\u25c0 Back": () => step(-1),
    "Step \u25b6": () => step(1),
    "Flip the filter": () => put(copy(weights).reverse().map(line => line.reverse())),
    "Edges from above": () => put(filter[0].map((_, column) => filter.map(line => line[column]))),
    Average: () => put(filter.map(line => line.map(() => 1))),
    "As on the slide": () => put(filter, window),
  };
  place.append(pixels, numbers, answers, largest, make("div", {class: "whole"}, says, buttons(choices)));
  show();
};
