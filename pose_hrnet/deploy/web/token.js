// The token of a server that wants one: asked for once, kept until the window is closed.

const KEY = "pose_hrnet.token";
const TOKEN = /^[!-~]*$/; // what a header can hold, and the server takes
const FAULT = "A token has neither spaces nor characters beyond ASCII.";

export const token = () => sessionStorage.getItem(KEY);

let asking = null;

/** Ask the reader; all who ask at the same time get the same answer: whether one was given. */
export function askToken() {
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function ask() {
  const dialog = document.getElementById("ask"), field = document.getElementById("token");
  if (token() !== null) {
    document.getElementById("ask-why").textContent = "The server does not take the one that it got; give that which it was started with.";
  }
  field.value = "";
  field.oninput = () => field.setCustomValidity(TOKEN.test(field.value.trim()) ? "" : FAULT);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok";
      if (given) sessionStorage.setItem(KEY, field.value.trim());
      resolve(given);
    }, { once: true });
  });
}
