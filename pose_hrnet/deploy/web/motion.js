// Whether the reader wants things to stand still.

const asked = matchMedia("(prefers-reduced-motion: reduce)");

export const calm = () => asked.matches;
