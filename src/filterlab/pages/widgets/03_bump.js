// Two logistic units and their sum.
widgets["03_bump"] = place => {
  const plot = new Plot("s(b1 + w1 x), s(b2 + w2 x), and their sum", [-5, 5], [0, 2]), says = told();
  const units = sliders({b1: [-5, 5, 0.1, 1], w1: [-5, 5, 0.1, 1], b2: [-5, 5, 0.1, 1], w2: [-5, 5, 0.1, -1]}, show, 1);
  function show() {
    const {b1, w1, b2, w2} = units.values, one = x => logistic(b1 + w1 * x), two = x => logistic(b2 + w2 * x), sum = x => one(x) + two(x);
    plot.show({of: one, looks: "one"}, {of: two, looks: "two"}, {of: sum, looks: "sum"});
    const top = plot.grid().reduce((best, x) => (sum(x) > sum(best) ? x : best), -5);
    says.textContent = `The sum is ${write(sum(-5), 4)} at \u22125, ${write(sum(0), 4)} at 0 and ${write(sum(5), 4)} at 5; ` +
      `highest, ${write(sum(top), 4)}, at x = ${write(top)}.`;
  }
  const choices = {
    "The slide's": () => units.set({b1: 1, w1: 1, b2: 1, w2: -1}),
    Steeper: () => units.set({b1: 5, w1: 5, b2: 5, w2: -5}),
    "A dip": () => units.set({b1: -5, w1: 5, b2: -5, w2: -5}),
    "A step": () => units.set({b1: 0, w1: 5, b2: 0, w2: 0}),
  };
  place.append(plot.element, make("div", {}, units.element, buttons(choices), says));
  show();
};
