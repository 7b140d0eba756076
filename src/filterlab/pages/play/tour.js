"use strict";
// What there is to see, one sentence at a time, with what it speaks of in a frame.

const kindColumn = (kind) => columns.columns.find((column) => column.layer.kind === kind)?.element;
const TOUR = [
  [() => $("#pad"), "Draw into the black field, or take one of the examples: a network that was trained runs on this page."],
  [() => $("#seen"), `What you draw becomes ${width} by ${height} pixels, as the pictures that the network learned from.`],
  [() => kindColumn("conv"), "Each filter of the first layer slides over the picture and answers wherever it finds its pattern: its answers are a map."],
  [() => kindColumn("conv"), "Red is a strong yes, blue the opposite, pale is neither."],
  [() => kindColumn("activation"), "The activation bends the numbers: ReLU keeps what is above zero and forgets the rest."],
  [() => kindColumn("pool"), "Pooling makes the maps smaller, and keeps what was found."],
  [() => columns.columns.filter((column) => column.layer.kind === "conv")[1]?.element, "The next filters look at all these maps at once, so that strokes can be made of edges, and shapes of strokes."],
  [() => $("#scores"), "In the end each class has a score, and softmax makes shares of them."],
  [() => $("#columns"), "Click any map: below, one of its pixels is worked out, every product of it."],
  [() => $("#columns"), "In blue frames are the maps below that count most for it."],
  [() => $("#epochs"), "With the slider, see the first layer's filters as they were when training began."],
  [() => $("#mistakes"), "Take one of its mistakes, look which maps are strong, and switch a filter off: does it say something else?"],
];

let told = -1;
function tell() {
  document.querySelector(".told")?.classList.remove("told");
  do told = (told + 1) % TOUR.length;
  while (!TOUR[told][0]() || TOUR[told][0]().closest("[hidden]"));
  const [find, sentence] = TOUR[told];
  $("#tour-text").textContent = sentence;
  if (told) find().classList.add("told");
  if (told && document.activeElement === $("#tour-next")) find().scrollIntoView({ block: "nearest", inline: "nearest" });
}
$("#tour-next").addEventListener("click", tell);
$("#tour-end").addEventListener("click", () => {
  document.querySelector(".told")?.classList.remove("told");
  $("#tour").hidden = true;
});
tell();
