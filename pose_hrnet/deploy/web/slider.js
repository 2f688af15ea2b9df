// A threshold: a slider, its number, and above it where the scores are that it parts.

const INSET = 10; // half of the knob, in pixels of the screen

export class Slider {
  /**
   * @param field Holds the label, the output, the canvas and the input.
   * @param bins Columns of dots above it.
   * @param moved Called when its value is another one.
   */
  constructor(field, bins, moved) {
    this.bins = bins;
    [this.input, this.output, this.canvas] = ["input", "output", "canvas"].map((tag) => field.querySelector(tag));
    this.marks = []; // {score, color}
    this.input.addEventListener("input", () => { this.#show(); moved(); });
    new ResizeObserver(() => this.#show()).observe(this.canvas);
  }

  get value() {
    return Number(this.input.value);
  }

  /** Set what is drawn above the slider: a column of dots for each score. */
  render(marks) {
    this.marks = marks;
    this.#show();
  }

  #show() {
    this.output.textContent = this.value.toFixed(2);
    const kept = this.marks.filter(({ score }) => score >= this.value).length;
    this.input.setAttribute("aria-valuetext", `${this.value.toFixed(2)}, ${kept} of ${this.marks.length} shown`);
    this.input.style.setProperty("--part", this.value);
    const ratio = devicePixelRatio, { canvas } = this;
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
    const context = canvas.getContext("2d"), columns = new Array(this.bins + 1).fill(0);
    const size = (canvas.width - 2 * INSET * ratio) / this.bins;
    const places = this.marks.map(({ score }) => Math.round(this.bins * Math.min(1, Math.max(0, score))));
    for (const place of places) columns[place] += 1;
    const step = Math.min(0.86 * size, canvas.height / Math.max(...columns, 1));
    this.marks.forEach(({ score, color }, at) => {
      context.globalAlpha = score >= this.value ? 1 : 0.25;
      context.fillStyle = color;
      context.beginPath();
      const [x, y] = [INSET * ratio + (places[at] - 0.38) * size, canvas.height - step * columns[places[at]]];
      columns[places[at]] -= 1;
      context.roundRect(x, y, 0.76 * size, 0.88 * step, 0.38 * step);
      context.fill();
    });
  }
}
