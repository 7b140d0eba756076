"use strict";
// What can be changed: filters, activations, weights, the epoch of the first layer; and back.

function changed(key, words) {
  if (words) state.changes.set(key, words);
  else state.changes.delete(key);
  $("#changes").replaceChildren(...[...state.changes.values()].map((text) => make("li", {}, text)));
  $("#changed").hidden = !state.changes.size;
}

$("#off").addEventListener("change", (event) => {
  const { layer, channel } = state.place;
  const lead = columns.lead[layer];
  const off = (state.off[lead] ??= new Set());
  if (event.target.checked) off.add(channel);
  else off.delete(channel);
  changed(`off ${lead} ${channel}`, event.target.checked && `Filter ${channel} of ${lead} is off.`);
  compute();
});

for (const name of Object.keys(ACTIVATIONS)) $("#swap").append(make("option", { value: name }, name.replaceAll("_", " ")));
$("#swap").addEventListener("change", (event) => {
  const layer = network.layers.find((other) => other.name === state.place.layer);
  const first = pristine[network.layers.indexOf(layer)].settings.function;
  layer.settings = { ...layer.settings, function: event.target.value };
  engine.change(layer);
  changed(`swap ${layer.name}`, event.target.value !== first && `${layer.name} is ${event.target.value.replaceAll("_", " ")}, not ${first.replaceAll("_", " ")}.`);
  compute();
});

function startEdit(weight) {
  state.editing = weight;
  const value = weight.layer[weight.tensor][weight.index];
  const most = Math.max(0.5, 2 * largest(weight.layer[weight.tensor]));
  Object.assign($("#weight"), { min: -most, max: most, step: most / 200, value });
  $("#number").value = value.toFixed(3);
  $("#weight-name").textContent = weight.label;
  $("#edit").hidden = false;
  $("#weight").focus({ preventScroll: true });
}
function setWeight(value) {
  const { layer, tensor, index, label } = state.editing;
  const learned = pristine[network.layers.indexOf(layer)][tensor][index];
  layer[tensor][index] = value;
  engine.change(layer);
  changed(`weight ${label} ${index}`, Math.abs(value - learned) > 1e-9 && `${label} is ${written(value)}, not ${written(learned)}.`);
  compute();
}
$("#weight").addEventListener("input", (event) => {
  $("#number").value = Number(event.target.value).toFixed(3);
  setWeight(Number(event.target.value));
});
$("#number").addEventListener("change", (event) => {
  const { layer, tensor, index } = state.editing;
  const given = event.target.value.trim() === "" ? NaN : Number(event.target.value);
  // Nothing, or so much that the layers above give no numbers any longer: it stays as it is.
  const value = Math.abs(given) <= 1e6 ? given : layer[tensor][index];
  if (value !== given) event.target.value = value.toFixed(3);
  $("#weight").value = value;
  setWeight(value);
});
$("#edit-close").addEventListener("click", () => ($("#edit").hidden = true));

if (epochs.length > 1) {
  const chosen = epochs.findIndex(({ epoch }) => epoch === content.chosen);
  Object.assign($("#epoch"), { min: 0, max: epochs.length - 1, value: chosen });
  $("#epoch").addEventListener("input", (event) => setEpoch(Number(event.target.value)));
  $("#epochs").hidden = false;
  sayEpoch(chosen);
}
function sayEpoch(k) {
  const { epoch } = epochs[k];
  const words = epoch ? `as after epoch ${epoch}` : "before training, at random";
  $("#epoch-name").textContent = `${firstLayer.name} ${words}${epoch === content.chosen ? " (this network's)" : ""}`;
  return words;
}
function setEpoch(k) {
  const words = sayEpoch(k);
  firstLayer.weight.set(epochs[k].weight);
  engine.change(firstLayer);
  changed("epoch", epochs[k].epoch !== content.chosen && `${firstLayer.name} is ${words}; the layers above are trained.`);
  compute();
}

$("#reset").addEventListener("click", () => {
  for (const [place, layer] of network.layers.entries()) {
    Object.assign(layer, structuredClone(pristine[place]));
    engine.change(layer);
  }
  Object.assign(state, { off: {}, covered: [], laidOut: false });
  state.changes.clear();
  changed("nothing");
  $("#edit").hidden = true;
  if (epochs.length > 1) {
    $("#epoch").value = epochs.findIndex(({ epoch }) => epoch === content.chosen);
    sayEpoch(Number($("#epoch").value));
  }
  compute();
});

$("#all").addEventListener("change", (event) => {
  columns.all = event.target.checked;
  columns.build(state.outputs);
  showPlace();
});
