// The pictures that were added, and their way through the server, a few at a time.

import { Failure } from "./api.js";

const AT_ONCE = 4; // requests; the server batches over them
const THUMBNAIL = 360; // pixels of the longer side

export class Pictures {
  #waiting = [];
  #running = 0;
  #decoding = Promise.resolve();

  /**
   * @param ask Gives the poses of a file: (file, signal) => image of the answer.
   * @param changed Called with a picture when something about it is new.
   */
  constructor(ask, changed) {
    this.list = [];
    this.ask = ask;
    this.changed = changed;
  }

  /** Add files; their pictures, which become done or failed by and by. */
  add(files) {
    const added = files.map((file) => this.#added(file));
    for (const picture of added) this.#enqueue(picture);
    return added;
  }

  /** Add a picture whose poses are known. */
  keep(file, answer, milliseconds) {
    return this.#added(file, { state: "done", answer, milliseconds });
  }

  again(picture) {
    Object.assign(picture, { state: "waiting", failure: null });
    this.#enqueue(picture);
  }

  remove(picture) {
    picture.aborter.abort();
    this.list = this.list.filter((other) => other !== picture);
  }

  /** Of all pictures: how many are done or failed. */
  get finished() {
    return this.list.filter(({ state }) => state === "done" || state === "failed").length;
  }

  #added(file, known = {}) {
    const picture = {
      file, name: file.name || "pasted picture", state: "waiting",
      answer: null, failure: null, milliseconds: 0, thumbnail: null, aborter: new AbortController(), ...known,
    };
    this.list.push(picture);
    this.#decoding = this.#decoding.then(() => this.#decode(picture));
    return picture;
  }

  #enqueue(picture) {
    this.#waiting.push(picture);
    this.changed(picture);
    this.#next();
  }

  async #next() {
    if (this.#running === AT_ONCE) return;
    const picture = this.#waiting.shift();
    if (!picture) return;
    if (!picture.aborter.signal.aborted) {
      this.#running += 1;
      await this.#send(picture);
      this.#running -= 1;
    }
    this.#next();
  }

  async #send(picture) {
    picture.state = "sent";
    this.changed(picture);
    const begun = performance.now();
    try {
      picture.answer = await this.ask(picture.file, picture.aborter.signal);
      picture.state = "done";
    } catch (error) {
      if (picture.aborter.signal.aborted) return;
      picture.failure = error instanceof Failure ? error : new Failure(`This page failed: ${error.message}`, true);
      picture.state = "failed";
    }
    picture.milliseconds = performance.now() - begun;
    this.changed(picture);
  }

  /** One after the other: a photograph takes fifty megabytes while it is open. */
  async #decode(picture) {
    if (picture.aborter.signal.aborted) return;
    const bitmap = await createImageBitmap(picture.file).catch(() => null);
    if (!bitmap) return;
    picture.thumbnail = reduced(bitmap, THUMBNAIL);
    bitmap.close();
    this.changed(picture);
  }
}

/** A canvas with an image, or a frame of this size, of at most so many pixels on its longer side. */
export function reduced(image, longest, size = [image.width, image.height]) {
  const scale = Math.min(1, longest / Math.max(...size));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = size.map((side) => Math.max(1, Math.round(side * scale)));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}
