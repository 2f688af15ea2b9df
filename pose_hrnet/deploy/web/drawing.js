// Skeletons on a canvas, as the package draws them: sizes follow the person's, what would be
// thinner or closer than the eye can part is left out.

const EXTENT_PER_WIDTH = 80, THINNEST = 2, THICKEST = 9; // of limbs; in pixels of the screen
const LENGTH_PER_WIDTH = 5; // no limb is wider than a fifth of its length
const SHORTEST = 3, SMALLEST = 0.9; // of limbs and joints, in pixels of the screen

const opacity = (score) => Math.min(1, Math.max(0, 0.35 + 0.65 * score));

/**
 * Draw poses.
 * @param context Of a canvas.
 * @param poses As of Skeleton.posesOf.
 * @param view scale: pixels of the canvas per pixel of the image; ratio: of the canvas per pixel
 *   of the screen; minScore: of keypoints; mirror: width of the image to mirror in, or null;
 *   reveal: 0 to 1; focus: index of the person who stands out, or null; point: its keypoint;
 *   boxes, numbers: whether they are drawn.
 */
export function drawPoses(context, poses, skeleton, view) {
  const seen = poses.map((pose) => placed(pose, view)).sort((a, b) => b.extent - a.extent);
  const last = seen.filter((person) => person.pose.index === view.focus);
  const rest = seen.filter((person) => person.pose.index !== view.focus);
  context.save();
  context.lineCap = context.lineJoin = "round";
  for (const person of [...rest, ...last]) {
    const stands = view.focus === null || person.pose.index === view.focus;
    drawPerson(context, person, skeleton, view, stands ? 1 : 0.22);
  }
  context.restore();
}

/** Where the centre of a pixel of the image is on the canvas. */
export function toCanvas([x, y], { scale, mirror }) {
  return [((mirror == null ? x : mirror - 1 - x) + 0.5) * scale, (y + 0.5) * scale];
}

/** The longer side of what the seen keypoints span, in pixels of the image. */
function extentOf(points) {
  const span = (axis) => {
    const values = points.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  };
  return points.length > 1 ? Math.max(span(0), span(1)) : 0;
}

function placed(pose, view) {
  const extent = extentOf(pose.points.filter((point) => point[2] >= view.minScore));
  const width = Math.min(THICKEST * view.ratio, Math.max(THINNEST * view.ratio, extent * view.scale / EXTENT_PER_WIDTH));
  const joints = pose.points.map((point) => ({
    at: toCanvas(point, view), score: point[2], seen: point[2] >= view.minScore,
  }));
  return { pose, extent, joints, width };
}

function drawPerson(context, person, skeleton, view, strength) {
  const own = skeleton.ownColor(person.pose.index);
  const limbs = limbsOf(person, skeleton, view);
  if (view.boxes || view.focus === person.pose.index) {
    drawBox(context, person.pose.box, own, view, strength);
  }
  if (view.focus === person.pose.index) {
    drawLimbs(context, limbs, 0.4, (limb) => ["#fff", limb.width + 7 * view.ratio]);
  }
  drawLimbs(context, limbs, 0.45 * strength, (limb) => ["#000", limb.width + Math.max(view.ratio, 0.5 * limb.width)]);
  drawLimbs(context, limbs, strength, (limb) => [limb.color, limb.width]);
  drawJoints(context, person, skeleton, view, strength);
  if (view.numbers || view.focus === person.pose.index) drawNumber(context, person, own, view, strength);
  const point = view.focus === person.pose.index ? person.joints[view.point ?? -1] : null;
  if (point) drawRing(context, point.at, skeleton.names[view.point], view);
}

/** Limbs whose both ends are seen, as far as they are revealed. */
function limbsOf({ pose, joints, width }, skeleton, view) {
  const limbs = [];
  skeleton.limbs.forEach(([a, b], number) => {
    const [from, to] = [joints[a], joints[b]];
    const [x, y] = [to.at[0] - from.at[0], to.at[1] - from.at[1]];
    const length = Math.hypot(x, y);
    if (!from.seen || !to.seen || length < SHORTEST * view.ratio) return;
    const begin = 0.6 * number / skeleton.limbs.length;
    const part = ease(Math.min(1, Math.max(0, (view.reveal - begin) / 0.4)));
    if (part === 0) return;
    limbs.push({
      from: from.at, to: [from.at[0] + part * x, from.at[1] + part * y],
      color: skeleton.limbColor([a, b], pose.index), score: Math.min(from.score, to.score),
      width: Math.min(width, Math.max(length / LENGTH_PER_WIDTH, view.ratio)),
    });
  });
  return limbs;
}

const ease = (part) => 1 - (1 - part) ** 3;

function drawLimbs(context, limbs, strength, styleOf) {
  for (const limb of limbs) {
    [context.strokeStyle, context.lineWidth] = styleOf(limb);
    context.globalAlpha = strength * opacity(limb.score);
    context.beginPath();
    context.moveTo(...limb.from);
    context.lineTo(...limb.to);
    context.stroke();
  }
}

/** Dots with a white rim, smaller where others are near, and none where they would touch. */
function drawJoints(context, { pose, joints, width }, skeleton, view, strength) {
  const seen = joints.filter((joint) => joint.seen);
  joints.forEach((joint, index) => {
    if (!joint.seen) return;
    const near = seen.filter((other) => other !== joint)
      .map((other) => Math.hypot(other.at[0] - joint.at[0], other.at[1] - joint.at[1]));
    const radius = Math.min(0.75 * width + 0.8 * view.ratio, 0.3 * Math.min(...near)) * ease(view.reveal);
    if (radius < SMALLEST * view.ratio) return;
    context.globalAlpha = strength * opacity(joint.score);
    fillCircle(context, joint.at, radius + 0.35 * Math.min(radius, width), "#fff");
    fillCircle(context, joint.at, radius, skeleton.pointColor(index, pose.index));
  });
}

function fillCircle(context, [x, y], radius, color) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** The corners of a box. */
function drawBox(context, box, color, view, strength) {
  const [x0, y0] = toCanvas(box.slice(0, 2), view), [x1, y1] = toCanvas(box.slice(2), view);
  const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)];
  const arm = Math.min(22 * view.ratio, 0.3 * (right - left), 0.3 * (y1 - y0));
  context.beginPath();
  for (const [x, y, inX, inY] of [[left, y0, 1, 1], [right, y0, -1, 1], [right, y1, -1, -1], [left, y1, 1, -1]]) {
    context.moveTo(x + inX * arm, y);
    context.lineTo(x, y);
    context.lineTo(x, y + inY * arm);
  }
  for (const [style, width] of [["#000", 4], [color, 2]]) {
    context.globalAlpha = strength * (style === "#000" ? 0.45 : 1);
    [context.strokeStyle, context.lineWidth] = [style, width * view.ratio];
    context.stroke();
  }
}

function drawNumber(context, { pose }, color, view, strength) {
  const [x0, y0] = toCanvas(pose.box.slice(0, 2), view), [x1] = toCanvas(pose.box.slice(2), view);
  context.globalAlpha = strength;
  drawLabel(context, String(pose.index + 1), [Math.min(x0, x1), y0 - 12 * view.ratio], color, view);
}

function drawRing(context, at, name, view) {
  context.globalAlpha = 1;
  [context.strokeStyle, context.lineWidth] = ["#fff", 2.5 * view.ratio];
  context.beginPath();
  context.arc(...at, 11 * view.ratio, 0, 2 * Math.PI);
  context.stroke();
  const words = name.replaceAll("_", " "), aside = 16 * view.ratio, width = labelWidth(context, words, view);
  const hasRoom = at[0] + aside + width <= context.canvas.width;
  drawLabel(context, words, [hasRoom ? at[0] + aside : at[0] - aside - width, at[1]], "#fff", view);
}

/** Black on a colour, inside the canvas; at is the middle of the left edge. */
function drawLabel(context, text, [x, y], color, view) {
  const { ratio } = view, width = labelWidth(context, text, view), height = 20 * ratio;
  const left = Math.max(0, Math.min(x, context.canvas.width - width));
  const top = Math.max(0, Math.min(y - height / 2, context.canvas.height - height));
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(left, top, width, height, 6 * ratio);
  context.fill();
  context.fillStyle = "#000";
  context.textBaseline = "middle";
  context.fillText(text, left + 6 * ratio, top + height / 2 + ratio / 2);
}

/** How wide a label is; sets its font. */
function labelWidth(context, text, { ratio }) {
  context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  return context.measureText(text).width + 12 * ratio;
}
