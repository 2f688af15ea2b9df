// Numbers and names in words, and elements that hold them as text.

/** So many things: 1 person, 2 persons. */
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** An element with properties and children; strings become text, never HTML. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Say something to screen readers, once the voice is free. */
export function announce(words) {
  document.getElementById("live").textContent = words;
}
