// The page: its state, and what each control does.

import { Failure, findPoses, getModel } from "./api.js";
import { Camera } from "./camera.js";
import { dance } from "./dancers.js";
import { Display } from "./display.js";
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

const state = { model: null, skeleton: null, chosen: null, live: null };
let kept = 0; // frames of the webcam
const ask = (blob, signal) => findPoses(blob, state.model.limits, signal);
const [personField, keypointField] = document.querySelectorAll(".slider");
const stage = new Stage(at("canvas"), (person) => point(person, null), (person) => parts.persons.toggle(person));
const parts = {
  stage,
  pictures: new Pictures(ask, changed),
  film: new Film(at("film"), { choose, remove }),
  persons: new Persons(at("persons"), point),
  personScore: new Slider(personField, 28, threshold),
  keypointScore: new Slider(keypointField, 50, threshold),
};
const { pictures, film } = parts;
const display = new Display(state, stage);
const invite = dance(at("dancers"), () => !at("welcome").hidden);
const camera = new Camera(at("video"), { opened, ask, answered, ended });

// --- Photographs

function add(files) {
  if (!state.model) return notice("The server has not said yet what its model is.");
  notice("");
  if (files.length) choose(pictures.add(files)[0]);
}

/** Something about a picture is new. */
function changed(picture) {
  tell(picture);
  render(state, parts);
  if (picture === state.chosen) display.show();
}

/** Show a picture; the webcam makes room for it. */
function choose(picture) {
  select(picture);
  if (state.live) camera.stop();
  display.show();
  film.reveal(picture);
}

function select(picture) {
  if (state.chosen !== picture) parts.persons.close();
  state.chosen = picture;
  render(state, parts);
}

function remove(picture) {
  const { list } = pictures, place = list.indexOf(picture);
  pictures.remove(picture);
  announce(`${picture.name} is removed.`);
  select(picture === state.chosen ? list[place + 1] ?? list[place - 1] ?? null : state.chosen);
  display.show();
  if (!state.live && pictures.list.length === 0) home();
}

function clear() {
  for (const picture of pictures.list) pictures.remove(picture);
  select(null);
  if (!state.live) home();
}

// --- The webcam

function startCamera(device) {
  notice("");
  if (state.model) camera.start(device);
}

async function opened() {
  state.live = {};
  parts.persons.close();
  display.showLive({ image: null });
  render(state, parts);
  announce("The webcam is on.");
  const cameras = await camera.devices();
  at("cameras").hidden = cameras.length < 2;
  at("cameras").querySelector("select").replaceChildren(...cameras.map(({ deviceId, label, isOwn }) =>
    element("option", { value: deviceId, selected: isOwn }, label)));
}

function answered(frame) {
  state.live = frame;
  display.showLive(frame);
  render(state, parts);
}

function ended(failure) {
  if (state.live) announce("The webcam is off.");
  state.live = null;
  if (failure) notice(failure.message);
  render(state, parts);
  display.show();
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

/** Take what the controls say. */
function takeControls() {
  [state.minPerson, state.minPoint] = [parts.personScore.value, parts.keypointScore.value];
  const photograph = document.querySelector("[name=photograph]:checked").value;
  stage.set({ minScore: state.minPoint, boxes: at("boxes").checked, numbers: at("numbers").checked, photograph });
}

function threshold() {
  takeControls();
  const answer = (state.live ?? state.chosen)?.answer;
  if (stage.shown) stage.show({ ...stage.shown, poses: shownPoses(state, answer) });
  render(state, parts);
}

/** A person, and a keypoint of it, are pointed at, or none: then that one stands out whose row is open. */
function point(person, keypoint) {
  const focus = person ?? parts.persons.open;
  stage.set({ focus, point: keypoint });
  parts.persons.mark(focus);
}

/** Nothing is left: the invitation is there again. */
function home() {
  display.clear();
  invite();
  document.querySelector("#welcome button").focus();
}

function notice(words) {
  at("notice").firstElementChild.textContent = words;
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
  dismiss: () => notice(""),
  ...downloads(state, pictures, stage, notice),
};
document.addEventListener("click", (event) => acts[event.target.closest("[data-act]")?.dataset.act]?.());
document.addEventListener("keydown", ({ key }) => { if (key === "Escape") parts.persons.close(); });
for (const box of [at("boxes"), at("numbers"), ...document.getElementsByName("photograph")]) box.addEventListener("change", takeControls);
takeControls();
at("cameras").querySelector("select").addEventListener("change", ({ target }) => startCamera(target.value));
addEventListener("pageshow", threshold); // by then browsers have brought controls back as they were left
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

begin();
