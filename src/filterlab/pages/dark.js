// In the dark a figure's paper and ink turn around, and the images in it stay as they are: a mask says where these are.
const dark = matchMedia("(prefers-color-scheme: dark)");
const load = (source) => new Promise((done) => {
  const image = new Image();
  image.onload = () => done(image);
  image.src = source;
});

async function turned(image) {
  const [figure, mask] = await Promise.all([image.dataset.light, "data:image/png;base64," + image.dataset.tiles].map(load));
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
  canvas.width = figure.naturalWidth;
  canvas.height = figure.naturalHeight;
  context.drawImage(mask, 0, 0);
  const kept = context.getImageData(0, 0, canvas.width, canvas.height).data;
  context.drawImage(figure, 0, 0);
  const drawn = context.getImageData(0, 0, canvas.width, canvas.height), pixels = drawn.data;
  for (let at = 0; at < pixels.length; at += 4) {
    if (kept[at]) continue;
    const around = 255 - Math.max(pixels[at], pixels[at + 1], pixels[at + 2]) - Math.min(pixels[at], pixels[at + 1], pixels[at + 2]);
    for (let channel = 0; channel < 3; channel++) {  // the same hue, as light as it was dark
      pixels[at + channel] = PAPER[channel] + (pixels[at + channel] + around) * (1 - PAPER[channel] / 255);
    }
  }
  context.putImageData(drawn, 0, 0);
  return canvas.toDataURL();
}

const PAPER = [0x12, 0x16, 0x1b];
const show = async (image) => {
  image.dataset.light ??= image.src;
  image.src = dark.matches ? image.dataset.dark ??= await turned(image) : image.dataset.light;
};
const figures = [...document.querySelectorAll("img[data-tiles]")];
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    show(entry.target);
    dark.addEventListener("change", () => show(entry.target));
  }
}, { rootMargin: "600px" });
figures.forEach((image) => seen.observe(image));
