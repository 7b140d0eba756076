// Seven logistic units in three layers: choose one, change its bias and its weights, and see what becomes of it and of the last.
widgets["04_composition"] = (place, {layers, weights, biases}) => {
  const copy = () => ({weights: structuredClone(weights), biases: structuredClone(biases)});
  const named = [["x"], ...layers], last = named.length - 1;
  let network = copy(), chosen = [last, 0], controls;

  /** By name, the value of x and of each unit. */
  function values(x) {
    const found = {x};
    layers.forEach((units, layer) => units.forEach((unit, i) => {
      const inputs = named[layer].reduce((sum, below, j) => sum + network.weights[layer][j][i] * found[below], 0);
      found[unit] = logistic(network.biases[layer][i] + inputs);
    }));
    return found;
  }

  const drawing = draw("svg", {viewBox: "0 0 400 230", role: "group", "aria-label": "The network: choose a unit"});
  const own = new Plot("The chosen unit, and what it takes in", [-3, 3], [0, 1]);
  const end = new Plot("The last unit", [-3, 3], [0, 1]), titles = [make("h4", {}), make("h4", {}, "What comes out: y7")];
  const panel = make("div", {}), says = told();
  const where = (layer, i) => [30 + 112 * layer, 115 + 56 * (i - (named[layer].length - 1) / 2)];

  function choose(layer, i) {
    chosen = [layer, i];
    const given = {[`bias`]: [-12, 12, 0.1, network.biases[layer - 1][i]]};
    named[layer - 1].forEach((below, j) => (given[`weight of ${below}`] = [-12, 12, 0.1, network.weights[layer - 1][j][i]]));
    controls = sliders(given, () => {
      network.biases[layer - 1][i] = controls.values.bias;
      named[layer - 1].forEach((below, j) => (network.weights[layer - 1][j][i] = controls.values[`weight of ${below}`]));
      show();
    }, 1);
    panel.replaceChildren(controls.element);
    show();
  }

  function show() {
    const unit = named[chosen[0]][chosen[1]];
    titles[0].textContent = `The chosen unit: ${unit}`;
    const taken = chosen[0] > 1 ? named[chosen[0] - 1].filter((_, j) => network.weights[chosen[0] - 1][j][chosen[1]]) : [];
    own.show(...taken.map(below => ({of: x => values(x)[below], looks: "faint"})), {of: x => values(x)[unit], looks: "one"});
    const grid = Array.from({length: 601}, (_, i) => (i - 300) / 100), outputs = grid.map(x => values(x).y7);
    const low = Math.min(...outputs), high = Math.max(...outputs), room = Math.max(0.01, (high - low) / 8);
    end.scale([low - room, high + room]);
    end.show({of: x => values(x).y7, looks: "sum"});
    says.textContent = `y7 is lowest, ${write(low, 4)}, at x = ${write(grid[outputs.indexOf(low)])}, ` +
      `and highest, ${write(high, 4)}, at x = ${write(grid[outputs.indexOf(high)])}.`;
    const lines = network.weights.flatMap((matrix, layer) => matrix.flatMap((row, j) => row.map((weight, i) => {
      const [x1, y1] = where(layer, j), [x2, y2] = where(layer + 1, i);
      const looks = {class: weight < 0 ? "negative" : "positive", "stroke-width": weight && 0.5 + Math.abs(weight) / 3};
      return draw("line", {x1, y1, x2, y2, ...looks});
    })));
    const focused = drawing.contains(document.activeElement);
    const units = named.flatMap((names, layer) => names.map((name, i) => {
      const [x, y] = where(layer, i), shape = [draw("circle", {cx: x, cy: y, r: 19}), draw("text", {x, y: y + 4.5, "text-anchor": "middle"}, name)];
      if (!layer) return draw("g", {}, ...shape);
      const pressed = event => {
        if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose(layer, i);
      };
      const here = chosen[0] === layer && chosen[1] === i;
      return draw("g", {role: "button", tabindex: 0, "aria-pressed": here, "aria-label": `unit ${name}`, click: pressed, keydown: pressed}, ...shape);
    }));
    drawing.replaceChildren(...lines, ...units);
    if (focused) drawing.querySelector("[aria-pressed=true]").focus();
  }

  const choices = {
    "As on the slide": () => {
      network = copy();
      choose(...chosen);
    },
  };
  place.append(
    make("div", {}, drawing, panel, buttons(choices)),
    make("div", {}, titles[0], own.element, titles[1], end.element, says),
  );
  choose(last, 0);
};
