// Brings the page in line with the state: what is hidden, listed, written and drawn.

import { announce, counted, element } from "./words.js";

const SOFT = "#8b95a5"; // in the sliders, keypoints of no side

const SMOOTH = 5; // frames a second from which on the webcam needs no small picture of its own
const WITHOUT = { waiting: "Others are before it.", sent: "The server is looking.", failed: "There is no answer." };

const at = (id) => document.getElementById(id);

/** Poses of an answer that are at or above the threshold. */
export function shownPoses(state, answer) {
  return posesOf(state, answer).filter(({ score }) => score >= state.minPerson);
}

const posesOf = ({ skeleton }, answer) => (answer ? skeleton.posesOf(answer) : []);

/**
 * Show a state.
 * @param state model, skeleton, minPerson, minPoint; chosen: the picture on the stage; live: null,
 *   or the last of the webcam, {} before its first.
 * @param parts pictures, film, persons, personScore, keypointScore, stage.
 */
export function render(state, parts) {
  const list = parts.pictures.list, isEmpty = !state.live && list.length === 0;
  at("welcome").hidden = !isEmpty;
  at("stage").hidden = document.querySelector("aside").hidden = isEmpty;
  at("film").hidden = list.length === 0;
  document.body.classList.toggle("at-work", !isEmpty);
  renderStage(state);
  renderPersons(state, parts);
  renderFilm(state, parts);
}

function renderStage({ live, chosen }) {
  const failure = live ? null : chosen?.failure;
  at("fault").hidden = !failure;
  at("fault").querySelector("p").textContent = failure?.message ?? "";
  at("fault").lastElementChild.hidden = !failure?.again;
  at("scan").hidden = live ? Boolean(live.answer) : !["waiting", "sent"].includes(chosen?.state);
  at("stage").classList.toggle("blank", !live && Boolean(failure) && !chosen.thumbnail);
  document.querySelector("header [data-act=camera]").setAttribute("aria-pressed", String(Boolean(live)));
  document.querySelector("[data-act=png]").disabled = !(live ?? chosen)?.answer;
  at("badge").hidden = at("livebar").hidden = !live;
  at("facts").parentElement.hidden = Boolean(live);
  at("video").className = !live || live.rate >= SMOOTH ? "unseen" : live.mirrored === false ? "preview" : "preview mirrored";
  at("pace").textContent = live?.answer ? paceOf(live) : "waiting for the first answer";
  at("facts").replaceChildren(...(chosen ? factsOf(chosen) : []));
}

const paceOf = ({ rate, latency }) => [...(rate ? [`${rate.toFixed(1)} frames/s`] : []), elapsed(latency)].join(" · ");

const elapsed = (milliseconds) => (milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`);

function factsOf({ name, answer, milliseconds }) {
  const title = element("b", {}, name);
  if (!answer) return [title];
  return [title, element("span", {}, [`${answer.width} × ${answer.height}`, counted(answer.poses.length, "person"), elapsed(milliseconds)].join(" · "))];
}

function renderPersons(state, { persons, personScore, keypointScore, stage }) {
  const answer = (state.live ?? state.chosen)?.answer;
  const every = posesOf(state, answer), shown = shownPoses(state, answer);
  const of = shown.length < every.length ? ` of ${every.length}` : "";
  at("count").textContent = answer ? `${shown.length}${of}` : "";
  at("nobody").hidden = shown.length > 0;
  at("nobody").textContent = !answer ? WITHOUT[state.chosen?.state] ?? WITHOUT.sent : every.length ? "All are below the threshold." : "Nobody was found here.";
  persons.render(shown, state.skeleton, state.minPoint);
  personScore.render(every.map(({ index, score }) => ({ score, color: state.skeleton.ownColor(index) })));
  keypointScore.render(shown.flatMap((pose) => pose.points.map((point, k) => ({ score: point[2], color: state.skeleton.sides[k] ?? SOFT }))));
  const name = state.live ? "Webcam" : state.chosen?.name ?? "No picture yet";
  stage.canvas.setAttribute("aria-label", answer ? `${name}, with the skeletons of ${counted(shown.length, "person")}` : name);
}

function renderFilm(state, { pictures, film }) {
  film.render(pictures.list, state.live ? null : state.chosen, (picture) => shownPoses(state, picture.answer), state);
  const [done, all] = [pictures.finished, pictures.list.length], bar = at("film").querySelector("progress");
  for (const kind of ["json", "csv"]) document.querySelector(`[data-act=${kind}]`).disabled = done === 0;
  bar.hidden = done === all;
  [bar.max, bar.value] = [Math.max(1, all), done];
  at("done").textContent = done === all ? counted(all, "picture") : `${done} of ${all} done`;
}

/** What the model is, and what the server takes. */
export function renderModel(model, limits) {
  const facts = [
    ...(model.ap == null ? [] : [`${model.metric || "AP"} ${Number(model.ap).toFixed(3)}`]),
    model.detector ? `persons by ${model.detector.split(" (")[0]}` : "the whole picture is one person",
  ];
  at("model").replaceChildren(element("b", {}, model.name), element("span", {}, facts.map((fact) => ` · ${fact}`).join("")));
  at("limits").textContent = `JPEG, PNG or WebP, up to ${limits} each.`;
  at("keeps").textContent = model.saves ? "They go to this server, which was told to keep them." : "They go to this server, which does not keep them.";
}

/** Tell those who do not see the page what became of a picture. */
export function tell({ name, state, answer, failure }) {
  if (state === "done") announce(`${name}: ${counted(answer.poses.length, "person")} found.`);
  if (state === "failed") announce(`${name}: ${failure.message}`);
}
