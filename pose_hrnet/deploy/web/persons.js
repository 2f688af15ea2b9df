// The list of persons: a row each, which opens into its keypoints.

import { counted, element } from "./words.js";

export class Persons {
  #rows = [];

  /**
   * @param list Holds the rows.
   * @param pointed Called with the person and the keypoint that are pointed at, or nulls.
   */
  constructor(list, pointed) {
    this.list = list;
    this.pointed = pointed;
    this.open = null; // index of the person whose keypoints are shown
  }

  /** Show poses; rows stay where they are, so that what has the focus keeps it. */
  render(poses, skeleton, minScore) {
    if (!poses.some((pose) => pose.index === this.open)) this.open = null;
    while (this.#rows.length < poses.length) this.#rows.push(this.#made());
    while (this.#rows.length > poses.length) this.#rows.pop().li.remove();
    poses.forEach((pose, at) => this.#update(this.#rows[at], pose, skeleton, minScore));
  }

  /** Mark the row of a person, or of none. */
  mark(person) {
    for (const row of this.#rows) row.li.classList.toggle("pointed", row.pose.index === person);
  }

  /** Open or close the keypoints of a person. */
  toggle(person) {
    this.open = this.open === person ? null : person;
    for (const row of this.#rows) this.#open(row);
    const top = this.#rows.find(({ pose }) => pose.index === this.open)?.li.offsetTop;
    if (top !== undefined) this.list.scrollTop = Math.min(top, Math.max(this.list.scrollTop, top - this.list.clientHeight / 2));
    this.pointed(this.open, null);
  }

  close() {
    if (this.open !== null) this.toggle(this.open);
  }

  #made() {
    const parts = {
      dot: element("i"), name: element("b"), seen: element("span", { className: "soft small" }),
      bar: element("span", { className: "bar" }, element("i")), score: element("span", { className: "number" }),
    };
    const button = element("button", { type: "button" }, parts.dot,
      element("span", { className: "who" }, parts.name, parts.seen), parts.bar, parts.score);
    const points = element("ul", { className: "points", hidden: true });
    const row = { ...parts, button, points, li: element("li", {}, button, points), pose: null, marks: [] };
    const enter = () => this.pointed(row.pose.index, null), leave = () => this.pointed(null, null);
    button.addEventListener("click", () => this.toggle(row.pose.index));
    row.li.addEventListener("pointerenter", enter);
    row.li.addEventListener("pointerleave", leave);
    button.addEventListener("focus", enter);
    button.addEventListener("blur", leave);
    this.list.append(row.li);
    return row;
  }

  #update(row, pose, skeleton, minScore) {
    row.pose = pose;
    const seen = pose.points.filter((point) => point[2] >= minScore).length;
    row.dot.style.background = skeleton.ownColor(pose.index);
    row.name.textContent = `Person ${pose.index + 1}`;
    row.seen.textContent = `${seen} of ${counted(pose.points.length, "keypoint")}`;
    row.bar.firstChild.style.width = `${100 * Math.min(1, Math.max(0, pose.score))}%`;
    row.score.textContent = pose.score.toFixed(2);
    row.skeleton = skeleton;
    row.minScore = minScore;
    this.#open(row);
  }

  #open(row) {
    const isOpen = row.pose.index === this.open;
    row.button.setAttribute("aria-expanded", String(isOpen));
    row.points.hidden = !isOpen;
    if (!isOpen) return;
    const { pose, skeleton } = row;
    while (row.marks.length < pose.points.length) row.marks.push(this.#madePoint(row, row.marks.length));
    row.marks.forEach(({ li, name, bar, score }, at) => {
      name.textContent = skeleton.names[at].replaceAll("_", " ");
      bar.style.width = `${100 * Math.min(1, Math.max(0, pose.points[at][2]))}%`;
      bar.style.background = skeleton.pointColor(at, pose.index);
      score.textContent = pose.points[at][2].toFixed(2);
      li.classList.toggle("below", pose.points[at][2] < row.minScore);
    });
  }

  #madePoint(row, at) {
    const [name, bar, score] = [element("span"), element("i"), element("span", { className: "number" })];
    const li = element("li", {}, name, element("span", { className: "bar" }, bar), score);
    li.addEventListener("pointerenter", () => this.pointed(row.pose.index, at));
    li.addEventListener("pointerleave", () => this.pointed(row.pose.index, null));
    row.points.append(li);
    return { li, name, bar, score };
  }
}
