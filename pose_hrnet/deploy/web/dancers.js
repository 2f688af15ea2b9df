// Three figures that move while nothing else is on the page, drawn as every pose is.

import { drawPoses, toCanvas } from "./drawing.js";
import { calm } from "./motion.js";
import { Skeleton } from "./skeleton.js";

const LEFT = [255, 140, 0], RIGHT = [30, 144, 255];
export const COCO17 = new Skeleton({
  keypoints: ["nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"],
  limbs: [[5, 6], [5, 11], [6, 12], [11, 12], [5, 7], [6, 8], [7, 9], [8, 10], [11, 13], [12, 14], [13, 15], [14, 16],
    [0, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 6]],
  colors: {
    keypoints: [null, ...new Array(8).fill([LEFT, RIGHT]).flat()],
    persons: [[80, 220, 100], [240, 90, 200], [250, 225, 70]],
  },
});
const TORSO = 1.2, SHOULDERS = 0.36, HIPS = 0.2, UPPER_ARM = 0.66, FOREARM = 0.6, THIGH = 0.92, SHIN = 0.88;
const TALL = 4.9, WIDE = 9.6; // of a figure and of all three, in the same unit
const UNIT = 60; // pixels of the image, by which limbs are as wide as they are
const TRAIL = 7, BEHIND = 0.055; // ghosts, seconds between them
const STILL = 1.05; // the second that is shown to those who want no motion

const { sin, cos, PI } = Math;

/** From a point, so far in a direction: 0 is down, positive towards their left, our right. */
const along = ([x, y], angle, length) => [x + length * sin(angle), y + length * cos(angle)];

/** The 17 points of a figure; arms and legs are [upper, lower] angles, turn is 0 seen from the front, 1 from the side. */
function figure({ hips, lean, turn, tilt = 0, arms: [left, right], legs: [leftLeg, rightLeg] }) {
  const broad = 1 - 0.8 * turn, across = [cos(lean), sin(lean)];
  const neck = along(hips, PI - lean, TORSO);
  const [leftShoulder, rightShoulder] = [1, -1].map((side) => across.map((part, at) => neck[at] + side * broad * SHOULDERS * part));
  const [leftHip, rightHip] = [1, -1].map((side) => [hips[0] + side * broad * HIPS, hips[1]]);
  const limb = (from, [upper, lower], lengths) => {
    const middle = along(from, upper, lengths[0]);
    return [middle, along(middle, lower, lengths[1])];
  };
  const [leftElbow, leftWrist] = limb(leftShoulder, left, [UPPER_ARM, FOREARM]);
  const [rightElbow, rightWrist] = limb(rightShoulder, right, [UPPER_ARM, FOREARM]);
  const [leftKnee, leftAnkle] = limb(leftHip, leftLeg, [THIGH, SHIN]);
  const [rightKnee, rightAnkle] = limb(rightHip, rightLeg, [THIGH, SHIN]);
  const head = along(neck, PI - lean - tilt, 0.46);
  const face = (x, y) => [head[0] + x * cos(lean + tilt) + 0.2 * turn, head[1] + x * sin(lean + tilt) + y];
  return [
    face(0, 0), face(0.13 * broad, -0.14), face(-0.13 * broad, -0.14), face(0.27 * broad - 0.32 * turn, -0.06),
    face(-0.27 * broad - 0.32 * turn, -0.06), leftShoulder, rightShoulder, leftElbow, rightElbow, leftWrist, rightWrist,
    leftHip, rightHip, leftKnee, rightKnee, leftAnkle, rightAnkle,
  ];
}

/** A leap with arms and legs apart, and back. */
function jumper(time) {
  const part = 0.5 - 0.5 * cos(2 * PI * time / 1.5), up = 0.34 * sin(PI * part) ** 2;
  const arm = 0.35 + 2.35 * part, leg = 0.1 + 0.52 * part;
  return figure({
    hips: [0, -up], lean: 0, turn: 0, arms: [[arm, arm + 0.25], [-arm, -arm - 0.25]], legs: [[leg, leg - 0.12], [-leg, 0.12 - leg]],
  });
}

/** Running towards our right. */
function runner(time) {
  const phase = 2 * PI * time / 0.9;
  const leg = (at) => {
    const thigh = 0.15 + 0.8 * sin(at);
    return [thigh, thigh - 0.35 - 1.05 * (0.5 + 0.5 * cos(at - 0.5)) ** 1.5];
  };
  const arm = (at) => [0.1 - 0.75 * sin(at), 1.45 - 0.6 * sin(at)];
  return figure({
    hips: [0, -0.09 * cos(2 * phase) - 0.1], lean: 0.2, turn: 0.82, tilt: -0.1,
    arms: [arm(phase), arm(phase + PI)], legs: [leg(phase), leg(phase + PI)],
  });
}

/** Swaying, one hand on the hip, the other one waving. */
function dancer(time) {
  const phase = 2 * PI * time / 1.8, sway = sin(phase);
  return figure({
    hips: [0.16 * sway, 0.05 * cos(2 * phase)], lean: -0.13 * sway, turn: 0.1, tilt: 0.2 * sway,
    arms: [[2.3 + 0.15 * sway, 3 + 0.55 * sin(2 * phase)], [-0.85 + 0.1 * sway, 0.75]],
    legs: [[0.3 - 0.16 * sway, 0.14 - 0.1 * sway], [-0.22 - 0.16 * sway, -0.1 - 0.1 * sway]],
  });
}

const FIGURES = [[-2.9, jumper], [0, runner], [2.9, dancer]];

/** Let them dance on a canvas as long as isShown() holds; gives what lets them begin again. */
export function dance(canvas, isShown) {
  const show = () => paint(canvas, calm() ? STILL : performance.now() / 1000);
  const step = () => {
    if (!isShown()) return;
    show();
    if (!calm()) requestAnimationFrame(step);
  };
  new ResizeObserver(show).observe(canvas);
  step();
  return step;
}

function paint(canvas, time) {
  const ratio = Math.min(devicePixelRatio, 2);
  const size = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, ...size);
  const scale = Math.min(size[0] / WIDE, size[1] / TALL);
  FIGURES.forEach(([x, move], index) => {
    const moved = (at) => move(at).map((point) => [UNIT * (point[0] + x + size[0] / scale / 2), UNIT * (point[1] + size[1] / scale - 2.05), 0.98]);
    for (let ghost = TRAIL; ghost > 0; ghost -= 1) {
      drawGhost(context, moved(time - BEHIND * ghost), scale / UNIT, index, 0.22 * (1 - ghost / (TRAIL + 1)));
    }
    const view = { scale: scale / UNIT, ratio, minScore: 0, reveal: 1, focus: null };
    drawPoses(context, [{ index, score: 1, box: [0, 0, 1, 1], points: moved(time) }], COCO17, view);
  });
}

function drawGhost(context, points, scale, index, strength) {
  context.globalAlpha = strength;
  context.lineWidth = 4 * scale;
  context.lineCap = "round";
  for (const limb of COCO17.limbs) {
    context.strokeStyle = COCO17.limbColor(limb, index);
    context.beginPath();
    context.moveTo(...toCanvas(points[limb[0]], { scale }));
    context.lineTo(...toCanvas(points[limb[1]], { scale }));
    context.stroke();
  }
  context.globalAlpha = 1;
}
