// The buttons for files: what they hold is what is shown.

import { asCsv, asJson, asPng, stem } from "./export.js";
import { shownPoses } from "./view.js";

/** What each button does; all read the state when they are pressed, and complain in a sentence. */
export function downloads(state, pictures, stage, complain) {
  const shown = () => pictures.list.map(({ name, answer, failure }) => ({ name, answer, failure, poses: shownPoses(state, answer) }));
  return {
    json: () => save(asJson(shown(), state.model, { person: state.minPerson, keypoint: state.minPoint }), "application/json", "poses.json"),
    csv: () => save(asCsv(shown(), state.skeleton), "text/csv", "keypoints.csv"),
    png: async () => {
      const { blob, file = blob, name = "webcam", answer } = state.live ?? state.chosen;
      const picture = { ...answer, poses: shownPoses(state, answer), skeleton: state.skeleton };
      const png = await asPng(file, picture, { ...stage.view, focus: null, point: null });
      if (!png) return complain("The picture is larger than this browser can draw.");
      save(png, "image/png", `${stem(name)}_poses.png`);
    },
  };
}

/** Hand a file to the reader. */
function save(content, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
