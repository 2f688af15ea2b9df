// The webcam: one frame on its way at a time, the newest there is when an answer comes.

import { Failure } from "./api.js";
import { reduced } from "./pictures.js";

const LONGEST = 960, QUALITY = 0.85; // of the frames that are sent
const REMEMBERED = 12; // answers that the pace is taken over

const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the camera; allow it beside the address, and try again.",
  NotFoundError: "There is no camera.",
  OverconstrainedError: "There is no camera of that name any more.",
  NotReadableError: "The camera is in use by another program.",
};

export class Camera {
  #stream = null;
  #aborter = null;
  #starts = 0;

  /**
   * @param video Plays the stream.
   * @param handlers opened(); ask(blob, signal) => answer; answered({image, blob, answer,
   *   mirrored, latency, rate}); ended(failure or null).
   */
  constructor(video, handlers) {
    this.video = video;
    this.handlers = handlers;
  }

  /** Open a device, the browser's choice if none is named, and send its frames until it stops. */
  async start(deviceId = null) {
    this.#free();
    const start = this.#starts += 1;
    try {
      const stream = await opened(deviceId);
      if (start !== this.#starts) return release(stream); // asked for again, or stopped, meanwhile
      this.#stream = this.video.srcObject = stream;
      this.#aborter = new AbortController();
      const [track] = stream.getVideoTracks();
      track.addEventListener("ended", () => this.#end(stream, new Failure("The camera is gone.", true)));
      await this.video.play();
      this.handlers.opened();
      this.#run(stream, track.getSettings().facingMode !== "environment");
    } catch (error) {
      if (start !== this.#starts) return;
      this.#free();
      this.handlers.ended(error instanceof Failure ? error : new Failure(`The webcam failed: ${error.message}`));
    }
  }

  stop() {
    this.#starts += 1;
    this.#end(this.#stream, null);
  }

  /** The cameras, with the name of the one in use first known once it is open. */
  async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    const own = this.#stream?.getVideoTracks()[0]?.getSettings().deviceId;
    return all.filter(({ kind }) => kind === "videoinput")
      .map(({ deviceId, label }, at) => ({ deviceId, label: label || `Camera ${at + 1}`, isOwn: deviceId === own }));
  }

  async #run(stream, mirrored) {
    const { signal } = this.#aborter, times = [];
    try {
      while (this.#stream === stream) {
        await nextFrame(this.video);
        const image = reduced(this.video, LONGEST, [this.video.videoWidth, this.video.videoHeight]);
        const blob = await new Promise((resolve) => { image.toBlob(resolve, "image/jpeg", QUALITY); });
        const sent = performance.now();
        const answer = await this.handlers.ask(blob, signal);
        if (this.#stream !== stream) return;
        times.push(performance.now());
        if (times.length > REMEMBERED) times.shift();
        const rate = times.length > 1 ? 1000 * (times.length - 1) / (times.at(-1) - times[0]) : null;
        this.handlers.answered({ image, blob, answer, mirrored, latency: times.at(-1) - sent, rate });
      }
    } catch (error) {
      this.#end(stream, error instanceof Failure ? error : new Failure(`The webcam failed: ${error.message}`, true));
    }
  }

  #end(stream, failure) {
    if (stream === null || this.#stream !== stream) return;
    this.#free();
    this.handlers.ended(failure);
  }

  #free() {
    this.#aborter?.abort();
    release(this.#stream);
    this.#stream = this.video.srcObject = null;
  }
}

function opened(deviceId) {
  if (!navigator.mediaDevices) {
    throw new Failure("Browsers give the camera only to pages of this machine (127.0.0.1) or over HTTPS.");
  }
  const device = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  const video = { width: { ideal: 1280 }, height: { ideal: 720 }, ...device };
  return navigator.mediaDevices.getUserMedia({ video }).catch((error) => {
    throw new Failure(REFUSALS[error.name] ?? `The camera cannot be opened: ${error.message}`);
  });
}

function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** Once the page is seen and the video has a picture. */
function nextFrame(video) {
  return new Promise((resolve) => {
    const look = () => (video.readyState >= 2 && video.videoWidth > 0 ? resolve() : requestAnimationFrame(look));
    requestAnimationFrame(look);
  });
}
