// The page: its state, and what each control does.

import { Failure, findPoses, getModel } from "./api.js";
import { Camera } from "./camera.js";
import { dance } from "./dancers.js";
import { downloads } from "./download.js";
import { Film } from "./film.js";
import { watch } from "./intake.js";
import { Persons } from "./persons.js";
import { Pictures } from "./pictures.js";
import { Skeleton } from "./skeleton.js";
import { Slider } from "./slider.js";
import { Stage } from "./stage.js";
import { render, renderModel, shownPoses, tell } from "./view.js";
import { announce, element, megabytes } from "./words.js";

const at = (id) => document.getElementById(id);

const state = { model: null, skeleton: null, chosen: null, live: null, minPerson: 0.2, minPoint: 0.2 };
let bitmap = {}; // the picture whose pixels are open, and their promise
let kept = 0; // frames of the webcam
const ask = (blob, signal) => findPoses(blob, state.model.limits, signal);
const [personField, keypointField] = document.querySelectorAll(".slider");
const stage = new Stage(at("canvas"), (person) => point(person, null), (person) => parts.persons.toggle(person));
const parts = {
  stage,
  pictures: new Pictures(ask, changed),
  film: new Film(at("film"), { choose, remove }),
  persons: new Persons(at("persons"), point),
  personScore: new Slider(personField, 28, (minPerson) => threshold({ minPerson })),
  keypointScore: new Slider(keypointField, 50, (minPoint) => threshold({ minPoint })),
};
const { pictures, film } = parts;
const camera = new Camera(at("video"), { opened, ask, answered, ended });

// --- Photographs

function add(files) {
  if (!state.model) return notice("The server has not said yet what its model is.");
  notice("");
  choose(pictures.add(files)[0]);
}

/** Something about a picture is new. */
function changed(picture) {
  picture.skeleton = state.skeleton;
  tell(picture);
  render(state, parts);
  if (picture === state.chosen) display();
}

/** Show a picture; the webcam makes room for it. */
function choose(picture) {
  select(picture);
  if (state.live) camera.stop();
  display();
  film.reveal(picture);
}

function select(picture) {
  state.chosen = picture;
  render(state, parts);
}

function remove(picture) {
  const { list } = pictures, at = list.indexOf(picture);
  pictures.remove(picture);
  announce(`${picture.name} is removed.`);
  select(picture === state.chosen ? list[at + 1] ?? list[at - 1] ?? null : state.chosen);
  display();
  if (!state.live && pictures.list.length === 0) home();
}

function clear() {
  for (const picture of pictures.list) pictures.remove(picture);
  select(null);
  if (!state.live) home();
}

/** Put the chosen picture on the stage; its poses grow in when they are seen first. */
async function display() {
  const picture = state.chosen;
  if (!picture || state.live) return;
  if (bitmap.of !== picture) bitmap = { of: picture, opening: createImageBitmap(picture.file).catch(() => null) };
  const image = await bitmap.opening;
  if (state.chosen !== picture || state.live) return;
  const { answer } = picture, { width, height } = answer ?? image ?? { width: 4, height: 3 };
  const isNew = Boolean(answer) && !picture.seen;
  picture.seen ||= isNew;
  stage.show({ image, width, height, poses: shownPoses(state, answer), skeleton: state.skeleton, mirrored: false }, isNew);
}

// --- The webcam

function startCamera(device) {
  notice("");
  if (state.model) camera.start(device);
}

async function opened() {
  [state.live, bitmap] = [{}, {}];
  stage.show({ image: null, width: 4, height: 3, poses: [], skeleton: state.skeleton, mirrored: true });
  render(state, parts);
  announce("The webcam is on.");
  const cameras = await camera.devices();
  at("cameras").hidden = cameras.length < 2;
  at("cameras").querySelector("select").replaceChildren(...cameras.map(({ deviceId, label, isOwn }) =>
    element("option", { value: deviceId, selected: isOwn }, label)));
}

function answered(found) {
  state.live = found;
  const { image, answer, mirrored } = found;
  stage.show({ image, width: answer.width, height: answer.height, poses: shownPoses(state, answer), skeleton: state.skeleton, mirrored });
  render(state, parts);
}

function ended(failure) {
  if (state.live) announce("The webcam is off.");
  state.live = null;
  if (failure) notice(failure.message);
  render(state, parts);
  display();
  if (pictures.list.length === 0) home();
}

function keep() {
  if (!state.live?.answer) return;
  const { blob, answer, latency } = state.live;
  kept += 1;
  const name = `webcam ${kept}.jpg`;
  const picture = pictures.keep(new File([blob], name, { type: "image/jpeg" }), answer, latency);
  select(picture);
  tell(picture);
}

// --- What is shown of them

function threshold(changed) {
  Object.assign(state, changed);
  stage.view.minScore = state.minPoint;
  const answer = (state.live ?? state.chosen)?.answer;
  if (stage.shown) stage.show({ ...stage.shown, poses: shownPoses(state, answer) });
  render(state, parts);
}

function point(person, keypoint) {
  stage.set({ focus: person, point: keypoint });
  parts.persons.mark(person);
}

/** Nothing is left: the invitation is there again. */
function home() {
  bitmap = {};
  stage.clear();
  dance(at("dancers"), () => !at("welcome").hidden);
  document.querySelector("#welcome button").focus();
}

function notice(words) {
  at("notice").textContent = words;
  at("notice").hidden = !words;
}

// --- Controls

const acts = {
  choose: () => at("files").click(),
  camera: () => (state.live ? camera.stop() : startCamera(null)),
  stop: () => camera.stop(),
  keep,
  again: () => pictures.again(state.chosen),
  clear,
  ...downloads(state, pictures, stage),
};
document.addEventListener("click", (event) => acts[event.target.closest("[data-act]")?.dataset.act]?.());
document.addEventListener("keydown", ({ key }) => { if (key === "Escape") point(null, null); });
for (const box of [at("boxes"), at("numbers")]) box.addEventListener("change", () => stage.set({ [box.id]: box.checked }));
for (const choice of document.getElementsByName("photograph")) choice.addEventListener("change", () => stage.set({ photograph: choice.value }));
at("cameras").querySelector("select").addEventListener("change", ({ target }) => startCamera(target.value));
addEventListener("pagehide", () => camera.stop());
watch(at("files"), at("drop"), add, notice);

async function begin() {
  try {
    state.model = await getModel();
  } catch (error) {
    at("model").textContent = error instanceof Failure ? error.message : `This page failed: ${error.message}`;
    return at("model").append(" ", element("button", { type: "button", className: "link", onclick: begin }, "Try again"));
  }
  state.skeleton = new Skeleton(state.model);
  renderModel(state.model, megabytes(state.model.limits.max_body_bytes));
  document.body.dataset.ready = "";
}

dance(at("dancers"), () => !at("welcome").hidden);
begin();
