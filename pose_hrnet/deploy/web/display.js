// The chosen picture on its way to the stage: its pixels are opened when it is shown.

import { shownPoses } from "./view.js";

export class Display {
  #bitmap = {}; // of: the picture whose pixels are open; opening: their promise

  constructor(state, stage) {
    this.state = state;
    this.stage = stage;
  }

  /** Put the chosen picture on the stage; its poses grow in when they are seen first. */
  async show() {
    const { state } = this, picture = state.chosen;
    if (!picture || state.live) return;
    if (this.#bitmap.of !== picture) this.#bitmap = { of: picture, opening: createImageBitmap(picture.file).catch(() => null) };
    const image = await this.#bitmap.opening;
    if (state.chosen !== picture || state.live) return;
    const { answer } = picture, { width, height } = answer ?? image ?? { width: 4, height: 3 };
    const isNew = Boolean(answer) && !picture.seen;
    picture.seen ||= isNew;
    this.#put({ image, width, height, mirrored: false }, answer, isNew);
  }

  /** Put a frame of the webcam on the stage, or nothing before the first. */
  showLive({ image, answer, mirrored }) {
    this.#bitmap = {};
    const { width, height } = answer ?? { width: 4, height: 3 };
    this.#put({ image, width, height, mirrored }, answer);
  }

  clear() {
    this.#bitmap = {};
    this.stage.clear();
  }

  #put(picture, answer, isNew) {
    this.stage.show({ ...picture, poses: shownPoses(this.state, answer), skeleton: this.state.skeleton }, isNew);
  }
}
