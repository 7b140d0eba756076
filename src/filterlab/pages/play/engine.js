"use strict";
// Runs the network where the page does not have to wait for it: in a worker or, where a frame allows none, in slices.

const SLICE = 12; // milliseconds that the page may be kept from drawing itself

// The worker: its text is network.js and this function.
function serve() {
  let network;
  onmessage = ({ data }) => {
    network = data.network ?? network;
    if (data.layer) network.layers[data.place] = data.layer;
    if (!data.image) return;
    const began = performance.now();
    const work = run(network, data.image, data.off);
    let said = began;
    let step = work.next();
    for (; !step.done; step = work.next()) {
      if (performance.now() - said > 100) {
        said = performance.now();
        postMessage({ progress: step.value });
      }
    }
    const buffers = new Set(Object.values(step.value).map((maps) => maps.values.buffer)); // flatten shares that of the layer below
    postMessage({ outputs: step.value, took: performance.now() - began }, [...buffers]);
  };
}

class Engine {
  // done({outputs, took}) has all maps, and how many milliseconds they took; progress(share) is called while a pass takes long.
  constructor(network, { done, progress }) {
    Object.assign(this, { network, done, progress, running: null, waiting: null, worker: null });
    try {
      const source = [document.getElementById("network").textContent, `(${serve})()`];
      this.worker = new Worker(URL.createObjectURL(new Blob(source, { type: "text/javascript" })));
      this.worker.onmessage = ({ data }) => (data.outputs ? this.finish(data) : progress(data.progress));
      this.worker.onerror = (event) => {
        event.preventDefault();
        this.withoutWorker();
      };
      this.worker.postMessage({ network });
    } catch {
      this.worker = null; // a frame that forbids workers
    }
  }

  withoutWorker() {
    this.worker = null;
    if (this.running) this.start(this.running);
  }

  // The weights or the settings of a layer are others.
  change(layer) {
    this.worker?.postMessage({ place: this.network.layers.indexOf(layer), layer });
  }

  // Of pictures that come faster than they are computed, the last one counts.
  ask(image, off) {
    this.waiting = { image, off };
    if (!this.running) this.next();
  }

  next() {
    this.running = this.waiting;
    this.waiting = null;
    if (this.running) this.start(this.running);
  }

  start(request) {
    if (this.worker) this.worker.postMessage(request);
    else this.inSlices(request);
  }

  async inSlices({ image, off }) {
    const work = run(this.network, image, off);
    let [took, step] = [0, { done: false }];
    while (!step.done) {
      const began = performance.now();
      do step = work.next();
      while (!step.done && performance.now() - began < SLICE);
      took += performance.now() - began;
      if (!step.done) {
        if (took > 100) this.progress(step.value);
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    this.finish({ outputs: step.value, took });
  }

  finish(result) {
    this.running = null;
    if (this.waiting) this.next();
    this.done(result);
  }
}
