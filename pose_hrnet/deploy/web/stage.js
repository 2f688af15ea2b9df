// The large canvas: a picture with its poses, fitted into its frame, and who is pointed at.

import { drawPoses, toCanvas } from "./drawing.js";
import { calm } from "./motion.js";

const REVEAL = 750; // milliseconds
const REACH = 36; // pixels of the screen from a keypoint that still point at its person
const BACK = "#0b0d12"; // behind skeletons whose photograph is dimmed or off

export class Stage {
  #begun = 0;
  #asked = false;

  /**
   * @param canvas In a frame that it fits into.
   * @param pointed Called with the index of the person below the pointer, or null.
   * @param chosen Called with that of a person who was clicked.
   */
  constructor(canvas, pointed, chosen) {
    this.canvas = canvas;
    this.shown = null; // {image, width, height, poses, skeleton, mirrored}
    this.view = { focus: null, point: null }; // and what drawPoses takes, from the controls
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement);
    canvas.addEventListener("pointermove", (event) => {
      const person = this.#personAt(event);
      canvas.style.cursor = person === null ? "" : "pointer";
      pointed(person);
    });
    canvas.addEventListener("pointerleave", () => pointed(null));
    canvas.addEventListener("click", (event) => {
      const person = this.#personAt(event);
      if (person !== null) chosen(person);
    });
  }

  /** Show an image with poses; they grow into it where the reader likes motion. */
  show(shown, reveal = false) {
    if (this.shown && this.shown.image !== shown.image) this.#free();
    const same = this.shown?.width === shown.width && this.shown?.height === shown.height;
    this.shown = shown;
    this.#glow();
    this.#begun = reveal && !calm() ? performance.now() : -Infinity;
    if (same) this.draw(); else this.fit();
  }

  /** Show nothing. */
  clear() {
    this.#free();
    this.shown = null;
  }

  /** Give the memory of an open photograph back. */
  #free() {
    if (this.shown?.image instanceof ImageBitmap) this.shown.image.close();
  }

  set(view) {
    Object.assign(this.view, view);
    this.#glow();
    this.draw();
  }

  /** Behind the picture its own colours, as a few blurred pixels. */
  #glow() {
    const glow = this.canvas.previousElementSibling, { image } = this.shown ?? {};
    glow.hidden = !image || this.view.photograph !== "full";
    if (!glow.hidden) glow.getContext("2d").drawImage(image, 0, 0, glow.width, glow.height);
  }

  /** Take the size that the frame has room for; pixels are those of the screen. */
  fit() {
    if (!this.shown) return;
    const { canvas, shown } = this, frame = canvas.parentElement;
    frame.style.setProperty("--aspect", shown.width / shown.height);
    const scale = Math.min(frame.clientWidth / shown.width, frame.clientHeight / shown.height);
    const ratio = Math.min(devicePixelRatio, 3);
    const [width, height] = [shown.width * scale, shown.height * scale].map((side) => Math.max(1, Math.floor(side)));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.draw(true);
  }

  draw(now = false) {
    if (now) return this.#paint();
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.#paint(); });
  }

  #paint() {
    if (!this.shown) return;
    const reveal = Math.min(1, (performance.now() - this.#begun) / REVEAL);
    paint(this.canvas, this.shown, { ...this.view, ...this.#geometry(), reveal });
    this.canvas.dataset.persons = this.shown.poses.length;
    if (reveal < 1) this.draw();
  }

  #geometry() {
    const { canvas, shown } = this;
    return {
      scale: canvas.width / shown.width, ratio: canvas.width / Math.max(1, parseFloat(canvas.style.width)),
      mirror: shown.mirrored ? shown.width : null,
    };
  }

  /** The person whose keypoint is nearest, or in whose box alone the pointer is. */
  #personAt(event) {
    if (!this.shown) return null;
    const view = this.#geometry();
    const pointer = [event.offsetX * view.ratio, event.offsetY * view.ratio];
    let [best, nearest] = [null, REACH * view.ratio];
    for (const pose of this.shown.poses) {
      for (const point of pose.points) {
        if (point[2] < this.view.minScore) continue;
        const [x, y] = toCanvas(point, view);
        const distance = Math.hypot(x - pointer[0], y - pointer[1]);
        if (distance < nearest) [best, nearest] = [pose.index, distance];
      }
    }
    return best;
  }
}

/** Paint a picture with its poses over all of a canvas. */
export function paint(canvas, { image, poses, skeleton }, view) {
  const context = canvas.getContext("2d");
  context.save();
  context.imageSmoothingQuality = "high";
  context.fillStyle = BACK;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const strength = { full: 1, dim: 0.35, off: 0 }[view.photograph];
  if (image && strength > 0) {
    context.globalAlpha = strength;
    if (view.mirror != null) {
      context.translate(canvas.width, 0);
      context.scale(-1, 1);
    }
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
  }
  context.restore();
  drawPoses(context, poses, skeleton, view);
}
