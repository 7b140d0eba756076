// A line through points: set b0 and b1 by hand, or go downhill.
widgets["01_line"] = (place, {x, y, rate}) => {
  const n = x.length, mean = values => values.reduce((sum, value) => sum + value, 0) / n;
  const errors = ({b0, b1}) => x.map((each, i) => b0 + b1 * each - y[i]);
  const loss = line => mean(errors(line).map(error => error ** 2));
  const slope = mean(x.map((each, i) => (each - mean(x)) * (y[i] - mean(y)))) / mean(x.map(each => (each - mean(x)) ** 2));
  const best = {b0: mean(y) - slope * mean(x), b1: slope};

  const plot = new Plot("Points, and the line b0 + b1 x through them", [0, 1], [-0.5, 4]), says = told();
  const line = sliders({b0: [-1, 3, 0.01, 0], b1: [-2, 4, 0.01, 0]}, show);
  let steps = 0;
  const descend = times => {
    for (let step = 0; step < times; step++) {
      const off = errors(line.values), {b0, b1} = line.values;
      Object.assign(line.values, {b0: b0 - rate * 2 * mean(off), b1: b1 - rate * 2 * mean(off.map((error, i) => error * x[i]))});
    }
    steps += times;
    line.set({...line.values});
  };
  const begin = numbers => {
    steps = 0;
    line.set(numbers);
  };
  const choices = {
    "One step downhill": () => descend(1),
    "Ten steps": () => descend(10),
    "Start at 0, 0": () => begin({b0: 0, b1: 0}),
    "Closed form": () => begin(best),
  };
  function show() {
    const {b0, b1} = line.values, at = each => b0 + b1 * each;
    const misses = x.map((each, i) => ({from: [each, y[i]], to: [each, at(each)], looks: "miss"}));
    plot.show(...misses, {of: at, looks: "one"}, ...x.map((each, i) => ({at: [each, y[i]], looks: "datum"})));
    const walked = steps ? ` ${steps} ${steps === 1 ? "step" : "steps"} of gradient descent.` : "";
    says.textContent = `Mean squared error ${write(loss(line.values), 4)}; the least there is, ${write(loss(best), 4)}, ` +
      `is at b0 = ${write(best.b0, 4)}, b1 = ${write(best.b1, 4)}.${walked}`;
  }
  place.append(plot.element, make("div", {}, line.element, buttons(choices), says));
  show();
};
