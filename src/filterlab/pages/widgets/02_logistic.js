// One logistic unit: what b and w do.
widgets["02_logistic"] = (place, {pairs}) => {
  const plot = new Plot("y = s(b + w x), with its tangent at the midpoint; in the background s(x)", [-6, 6], [0, 1]), says = told();
  const unit = sliders({b: [-6, 6, 0.1, 0], w: [-6, 6, 0.1, 1]}, show, 1);
  function show() {
    const {b, w} = unit.values, curve = {of: x => logistic(b + w * x), looks: "one"};
    if (w === 0) {
      plot.show({of: logistic, looks: "faint"}, curve);
      says.textContent = `With w = 0 the unit does not see x: y is s(b) = ${write(logistic(b), 4)} everywhere.`;
      return;
    }
    const middle = -b / w, reach = 2 / Math.abs(w), tangent = [[middle - reach, w > 0 ? 0 : 1], [middle + reach, w > 0 ? 1 : 0]];
    plot.show({of: logistic, looks: "faint"}, {from: tangent[0], to: tangent[1], looks: "two"}, curve, {at: [middle, 0.5], looks: "spot"});
    says.textContent = `y is \u00bd at x = \u2212b/w = ${write(middle)}; the slope there is w/4 = ${write(w / 4)}.`;
  }
  const chosen = Object.fromEntries(pairs.map(([b, w]) => [`b = ${write(b, 0)}, w = ${write(w, 0)}`, () => unit.set({b, w})]));
  place.append(plot.element, make("div", {}, unit.element, buttons(chosen), says));
  show();
};
