// The server: its model, and the poses of an image. What goes wrong is one sentence.

import { askToken, token } from "./token.js";
import { megabytes } from "./words.js";

const TRIES = 8, LONGEST_WAIT = 10, PATIENCE = 120; // of a busy server; seconds

/** What went wrong, in a sentence for the reader; again: whether to try once more makes sense. */
export class Failure extends Error {
  constructor(sentence, again = false) {
    super(sentence);
    this.again = again;
  }
}

export const getModel = () => call("v1/model", {});

/**
 * The poses of one image.
 * @param blob JPEG, PNG or WebP.
 * @param limits Of the model's answer.
 * @param signal Aborts.
 * @returns The image of the server's answer: width, height, poses.
 */
export async function findPoses(blob, limits, signal) {
  const kind = await kindOf(blob);
  if (blob.size === 0) throw new Failure("The file is empty.");
  if (!kind) throw new Failure("This is no JPEG, PNG or WebP, which are what the server reads.");
  if (blob.size > limits.max_body_bytes) {
    throw new Failure(`The file has ${megabytes(blob.size)}; the server takes ${megabytes(limits.max_body_bytes)} at most.`);
  }
  const request = { method: "POST", body: blob, headers: { "Content-Type": kind }, signal };
  const [image] = (await call("v1/poses", request)).images;
  if (image.error) throw new Failure(sentence(image.error));
  return image;
}

/** The media type by the first bytes, or what the system says of the name where they say nothing. */
async function kindOf(blob) {
  const head = String.fromCharCode(...new Uint8Array(await blob.slice(0, 12).arrayBuffer()));
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (head.startsWith("\x89PNG")) return "image/png";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "image/webp";
  return ["image/jpeg", "image/png", "image/webp"].find((kind) => kind === blob.type);
}

async function call(path, request, tries = TRIES) {
  const response = await fetched(path, request);
  if (response.status === 401) {
    if (await askToken()) return call(path, request, tries);
    throw new Failure("The server wants a token.", true);
  }
  if (response.status === 503 && tries > 1) {
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await pause(1000 * Math.min(seconds, LONGEST_WAIT) * (0.75 + Math.random() / 2), request.signal);
    return call(path, request, tries - 1);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw new Failure(...faultOf(response, answer?.error));
}

async function fetched(path, request) {
  const headers = { ...request.headers, ...(token() === null ? {} : { Authorization: `Bearer ${token()}` }) };
  const late = AbortSignal.timeout(1000 * PATIENCE);
  const signal = request.signal ? AbortSignal.any([request.signal, late]) : late;
  try {
    return await fetch(path, { ...request, headers, signal });
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw new Failure(late.aborted ? `The server did not answer within ${PATIENCE} seconds.`
      : "The server does not answer; is it still running?", true);
  }
}

function faultOf({ status }, said) {
  if (status === 503) return ["The server is busy with other requests; try again in a moment.", true];
  if (status === 413) return [sentence(said ?? "the image is too large for this server")];
  if (said) return [sentence(said), status >= 500];
  return [`The server could not do it (status ${status}).`, true];
}

/** A message of the server about the one image, with a capital and a full stop. */
function sentence(words) {
  const text = String(words).replace(/^image number 1 /, "the image ");
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
