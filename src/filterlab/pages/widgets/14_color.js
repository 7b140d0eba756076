// The size of a convolution's output: the filter's places along one side of the image.
widgets["14_color"] = place => {
  const drawing = draw("svg", {viewBox: "0 0 400 170", role: "img", "aria-label": "The filter's places along a side of the image"});
  const says = told();
  const size = sliders({W: [1, 224, 1, 13], F: [1, 11, 1, 3], P: [0, 5, 1, 0], S: [1, 5, 1, 2], D: [1, 64, 1, 3], K: [1, 64, 1, 1]}, show, 0);
  function show() {
    const {W, F, P, S, D, K} = size.values, whole = W + 2 * P, room = whole - F, places = Math.floor(room / S) + 1;
    const cell = 392 / whole, at = pixel => 4 + cell * pixel;
    const bar = (from, length, y, looks) => draw("rect", {x: at(from), y, width: cell * length, height: 14, class: looks});
    const parts = [bar(0, whole, 8, "padding"), bar(P, W, 8, "pixels")];
    if (cell > 5) for (let pixel = 1; pixel < whole; pixel++) parts.push(draw("line", {x1: at(pixel), x2: at(pixel), y1: 8, y2: 22}));
    for (let i = 0; i < Math.min(places, 7); i++) parts.push(bar(i * S, F, 30 + 18 * i, "filter"));
    if (places > 7) parts.push(draw("text", {x: 4, y: 166}, `and ${places - 7} more, ${S} to the right each`));
    drawing.replaceChildren(...parts);
    if (room < 0) {
      says.textContent = `A filter of ${F} does not fit on ${whole} pixels: W + 2P has to be F at least.`;
      return;
    }
    const padded = P ? ` + ${2 * P}` : "", left = room % S;
    says.textContent = `(W \u2212 F + 2P) / S + 1 = (${W} \u2212 ${F}${padded}) / ${S} + 1 = ${room / S + 1}`.replace(/(\.\d{3})\d+$/, "$1\u2026") +
      (left ? `, rounded down: ${places}. The last ${left === 1 ? "pixel is" : `${left} pixels are`} never seen.` : ".") +
      ` A layer of K such filters on D channels has F\u00b7F\u00b7D\u00b7K + K = ${(F * F * D * K + K).toLocaleString("en")} parameters.`;
  }
  const choices = {
    "224, 5x5": () => size.set({W: 224, F: 5, P: 0, S: 1}),
    "The same, stride 2": () => size.set({W: 224, F: 5, P: 0, S: 2}),
    "3x3 that keeps the size": () => size.set({W: 28, F: 3, P: 1, S: 1}),
    "AlexNet's pooling": () => size.set({W: 13, F: 3, P: 0, S: 2}),
  };
  place.append(drawing, make("div", {}, size.element, buttons(choices), says));
  show();
};
