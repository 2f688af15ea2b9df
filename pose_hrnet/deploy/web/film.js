// The strip of thumbnails, with the poses in them.

import { drawPoses } from "./drawing.js";
import { counted, element } from "./words.js";

const STATES = { waiting: "waiting", sent: "on its way", failed: "failed" };

export class Film {
  #items = new Map();

  /**
   * @param section Holds the list.
   * @param actions choose(picture), remove(picture).
   */
  constructor(section, { choose, remove }) {
    this.list = section.querySelector("ul");
    this.choose = choose;
    this.remove = remove;
    this.list.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Show the pictures, the chosen one marked; posesOf gives those that are drawn, view the state. */
  render(pictures, chosen, posesOf, view) {
    for (const [picture, item] of this.#items) {
      if (!pictures.includes(picture)) {
        item.li.remove();
        this.#items.delete(picture);
      }
    }
    for (const picture of pictures) {
      if (!this.#items.has(picture)) this.#items.set(picture, this.#made(picture));
      this.#update(this.#items.get(picture), picture, picture === chosen, posesOf(picture), view);
    }
  }

  /** Bring a picture into view. */
  reveal(picture, focus) {
    const button = this.#items.get(picture)?.button;
    button?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focus) button?.focus();
  }

  #made(picture) {
    const canvas = element("canvas", { width: 192, height: 144 });
    const mark = element("span", { className: "mark" });
    const button = element("button", { type: "button", className: "thumb", onclick: () => this.choose(picture) }, canvas, mark);
    const gone = element("button", { type: "button", className: "gone", onclick: () => this.remove(picture) }, "×");
    gone.setAttribute("aria-label", `Remove ${picture.name}`);
    const li = element("li", {}, button, gone);
    this.list.append(li);
    return { li, button, canvas, mark, drawn: null };
  }

  #update(item, picture, isChosen, poses, view) {
    const found = picture.state === "done" ? counted(poses.length, "person") : STATES[picture.state];
    item.button.setAttribute("aria-label", `${picture.name}, ${found}`);
    item.button.title = picture.name;
    item.li.dataset.state = picture.state;
    item.mark.textContent = { done: String(poses.length), failed: "!" }[picture.state] ?? "";
    if (isChosen) item.button.setAttribute("aria-current", "true"); else item.button.removeAttribute("aria-current");
    const drawn = [picture.thumbnail, poses.length, view.minPoint, picture.state].join();
    if (picture.thumbnail && drawn !== item.drawn) paintThumbnail(item.canvas, picture, poses, view);
    item.drawn = drawn;
  }

  /** Arrows go along the strip, Delete removes. */
  #move(event) {
    const items = [...this.#items];
    const at = items.findIndex(([, { button }]) => button === document.activeElement);
    if (at < 0) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: items.length - 1 - at }[event.key];
    if (event.key === "Delete") {
      this.remove(items[at][0]);
      [...this.#items.values()][Math.min(at, items.length - 2)]?.button.focus();
    } else if (step !== undefined && items[at + step]) {
      event.preventDefault();
      items[at + step][1].button.focus();
      this.choose(items[at + step][0]);
    }
  }
}

/** The middle of the picture, as large as the thumbnail. */
function paintThumbnail(canvas, { thumbnail, answer }, poses, { skeleton, minPoint }) {
  const context = canvas.getContext("2d");
  const scale = Math.max(canvas.width / thumbnail.width, canvas.height / thumbnail.height);
  const [width, height] = [thumbnail.width * scale, thumbnail.height * scale];
  context.save();
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.translate((canvas.width - width) / 2, (canvas.height - height) / 2);
  context.imageSmoothingQuality = "high";
  context.drawImage(thumbnail, 0, 0, width, height);
  if (answer && poses.length) {
    drawPoses(context, poses, skeleton, { scale: width / answer.width, ratio: 1.1, minScore: minPoint, reveal: 1, focus: null });
  }
  context.restore();
}
