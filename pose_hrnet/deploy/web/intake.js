// Ways in for photographs: chosen, dropped anywhere, pasted.

/** Watch them; take(files) gets what came, complain(sentence) says why nothing did. */
export function watch(field, curtain, take, complain) {
  field.addEventListener("change", () => {
    take([...field.files]);
    field.value = "";
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) take(files);
  });
  let inside = 0; // elements below the pointer that were entered and not left
  document.addEventListener("dragenter", ({ dataTransfer }) => {
    inside += 1;
    curtain.hidden = !dataTransfer.types.includes("Files");
  });
  document.addEventListener("dragleave", () => {
    inside -= 1;
    if (inside <= 0) curtain.hidden = true;
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    curtain.hidden = true;
    const files = [...event.dataTransfer.files];
    if (files.length) take(files); else complain("No file came with that; save the picture first, and drop the file.");
  });
}
