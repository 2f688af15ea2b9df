// What is drawn of a keypoint set: limbs, and colours that say the side.

export class Skeleton {
  #poses = new WeakMap(); // of answers, which are asked for again and again

  /** @param model What v1/model says: names of keypoints, limbs as pairs of indices, colours as RGB. */
  constructor({ keypoints, limbs, colors }) {
    this.names = keypoints;
    this.limbs = limbs;
    this.sides = colors.keypoints.map((color) => color && css(color)); // null: of neither side
    this.persons = colors.persons.map(css);
  }

  /** The colour of a person: of its limbs that join the sides, of its box and number. */
  ownColor(person) {
    return this.persons[person % this.persons.length];
  }

  /** The colour of a keypoint of a person. */
  pointColor(point, person) {
    return this.sides[point] ?? this.ownColor(person);
  }

  /** The colour of a limb: that of its side, or the person's own where it joins two. */
  limbColor([from, to], person) {
    const [one, other] = [this.pointColor(from, person), this.pointColor(to, person)];
    return one === other ? one : this.ownColor(person);
  }

  /** Poses of an answer with their keypoints as rows [x, y, score] in the order of the names. */
  posesOf(image) {
    if (!this.#poses.has(image)) this.#poses.set(image, image.poses.map((pose, index) => this.#poseOf(pose, index)));
    return this.#poses.get(image);
  }

  #poseOf({ score, box_xyxy: box, keypoints }, index) {
    return { index, score, box, points: this.names.map((name) => keypoints[name]) };
  }
}

const css = (rgb) => `rgb(${rgb.join(" ")})`;
