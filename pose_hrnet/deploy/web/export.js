// What is shown as the content of files: JSON and CSV of all pictures, PNG of one.

import { paint } from "./stage.js";

const COLUMNS = ["image", "person", "keypoint", "x", "y", "score", "pose_score"];

/** As the server answers, but for the persons below the threshold; keypoints all stay. */
export function asJson(pictures, model, thresholds) {
  const images = pictures.map(({ name, answer, failure, poses }) => ({
    name,
    width: answer?.width ?? null,
    height: answer?.height ?? null,
    error: failure?.message ?? null,
    poses: poses.map(({ index }) => ({ person: index, ...answer.poses[index] })),
  }));
  const { name, hash } = model;
  return JSON.stringify({ model: { name, hash }, thresholds, images }, null, 1);
}

/** One row per keypoint, in the columns of keypoints.csv. */
export function asCsv(pictures, skeleton) {
  const rows = pictures.flatMap(({ name, poses }) => poses.flatMap((pose) =>
    skeleton.names.map((keypoint, at) => [
      harmless(name), pose.index, keypoint, ...pose.points[at].map(fixed), fixed(pose.score),
    ])));
  return [COLUMNS, ...rows].map((row) => row.map(quoted).join(",") + "\r\n").join("");
}

const fixed = (value) => value.toFixed(4);

/** A name that a spreadsheet does not take for a formula. */
const harmless = (name) => (/^[=+\-@\t\r]/.test(name) ? `'${name}` : name);

function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The picture with its poses, in its own size; null if that is more than the browser can draw on. */
export async function asPng(file, shown, view) {
  const image = await createImageBitmap(file).catch(() => null);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = image ? [image.width, image.height] : [shown.width, shown.height];
  const scale = canvas.width / shown.width;
  paint(canvas, { ...shown, image }, { ...view, scale, ratio: Math.max(1, canvas.width / 1200), mirror: null, reveal: 1 });
  image?.close();
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

/** The name of a file without its suffix and what systems do not allow in one. */
export function stem(name) {
  return name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]/gu, "_").slice(0, 80) || "picture";
}
