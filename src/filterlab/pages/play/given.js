"use strict";
// The picture that the network is given: drawn, taken from those that came with the page, or from a file; and parts of it covered.

const pad = new Pad($("#pad"), { channels, height, width, dark: content.rule === "mnist" || content.mean.reduce((a, b) => a + b) / content.mean.length < 0.5, ruled: content.rule === "mnist", drawn: (image) => setPicture(image, "Your own drawing.") });

function setPicture(image, about) {
  Object.assign(state, { picture: image, about });
  compute();
}

// A picture that is there: on the pad as it is, and the columns are those that it makes answer most.
function pick({ image, about }) {
  Object.assign(state, { covered: [], laidOut: false });
  changed("covered");
  pad.show(image);
  setPicture(image, about);
}

function strip(element, list, caption) {
  element.replaceChildren(...list.map((entry) => {
    const canvas = make("canvas");
    paintPicture(canvas, entry.image);
    const about = caption(entry);
    const button = make("button", { type: "button", className: "example", title: about, "aria-label": about }, canvas);
    button.addEventListener("click", () => pick({ image: entry.image, about }));
    return button;
  }));
}
strip($("#examples"), examples, ({ label, note }) => `It is ${label} (${note}).`);
strip($("#mistakes"), mistakes, ({ label, note }) => `It is ${label} (${note}).`);
$("#mistakes-part").hidden = !mistakes.length;

$("#clear").addEventListener("click", () => {
  Object.assign(state, { covered: [] });
  changed("covered");
  pad.clear();
  setPicture(blank(), "An empty picture.");
});

// Cover a part: drag over what the network sees.
let corner = null;
function pixelAt(event) {
  const box = $("#seen").getBoundingClientRect();
  const at = (offset, length, side) => Math.max(0, Math.min(side - 1, Math.floor((offset / length) * side)));
  return { y: at(event.clientY - box.top, box.height, height), x: at(event.clientX - box.left, box.width, width) };
}
$("#seen").addEventListener("pointerdown", (event) => {
  $("#seen").setPointerCapture(event.pointerId);
  corner = pixelAt(event);
  state.covered.push({ top: corner.y, bottom: corner.y, left: corner.x, right: corner.x });
  coverTo(corner);
});
$("#seen").addEventListener("pointermove", (event) => corner && coverTo(pixelAt(event)));
for (const end of ["pointerup", "pointercancel"]) $("#seen").addEventListener(end, () => (corner = null));
// By keyboard, a cover of a quarter of the picture's side moves.
$("#seen").addEventListener("keydown", (event) => {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (event.key === "Escape") state.covered = [];
  else if (by) {
    event.preventDefault();
    const [high, wide] = [Math.ceil(height / 4), Math.ceil(width / 4)];
    const { top, left } = state.covered.at(-1) ?? { top: Math.floor((height - high) / 2), left: Math.floor((width - wide) / 2) };
    const within = (number, most) => Math.max(0, Math.min(most, number));
    const [y, x] = [within(top + by[0], height - high), within(left + by[1], width - wide)];
    state.covered = [{ top: y, left: x, bottom: y + high - 1, right: x + wide - 1 }];
  } else return;
  changed("covered", state.covered.length && "A part of the picture is covered.");
  compute();
});
function coverTo({ y, x }) {
  const box = { top: Math.min(y, corner.y), bottom: Math.max(y, corner.y), left: Math.min(x, corner.x), right: Math.max(x, corner.x) };
  state.covered[state.covered.length - 1] = box;
  changed("covered", "A part of the picture is covered.");
  compute();
}

async function takeFile(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const image = pad.take(bitmap);
    Object.assign(state, { covered: [], laidOut: false });
    setPicture(image, `Your own picture${file.name ? `, ${file.name}` : ""}.`);
  } catch {
    state.about = `${file.name || "What was dropped"} is no picture that this browser can read.`;
    $("#about").textContent = state.about;
  }
}
const firstFile = (transfer) => [...(transfer?.files ?? [])][0];
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = firstFile(event.dataTransfer);
  if (file) takeFile(file);
});
document.addEventListener("paste", (event) => {
  const file = firstFile(event.clipboardData);
  if (file) takeFile(file);
});
$("#file").addEventListener("change", (event) => event.target.files[0] && takeFile(event.target.files[0]));

if (examples.length) $("#examples button").click();
else $("#clear").click();
