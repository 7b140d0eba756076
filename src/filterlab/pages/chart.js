// The values at the epoch below the pointer; the arrow keys go from epoch to epoch.
for (const figure of document.querySelectorAll("figure.chart")) {
  const told = JSON.parse(figure.dataset.told), svg = figure.querySelector("svg"), cursor = svg.querySelector(".cursor");
  const shown = [...figure.querySelectorAll(".told strong")];
  const at = () => Number(shown[0].textContent) - 1;
  const show = (epoch) => {
    const place = Math.max(0, Math.min(told.x.length - 1, epoch));
    cursor.setAttribute("x1", told.x[place]);
    cursor.setAttribute("x2", told.x[place]);
    shown[0].textContent = place + 1;
    told.values.forEach((values, line) => { shown[line + 1].textContent = values[place] ?? "ended"; });
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let nearest = 0;
    told.x.forEach((place, epoch) => { if (Math.abs(place - x) < Math.abs(told.x[nearest] - x)) nearest = epoch; });
    show(nearest);
  });
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { show(at() + step); event.preventDefault(); }
  });
}
