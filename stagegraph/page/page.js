"use strict";
// The page is complete without this script, except for the details of a node.
const { nodes, first } = JSON.parse(document.getElementById("data").textContent);
const all = (selector) => [...document.querySelectorAll(selector)];
const boxes = all(".node");
const graph = document.getElementById("graph");
const canvas = document.getElementById("canvas");
const details = document.getElementById("details");

/** An element with text and children. Texts never become HTML. */
function element(name, { text, children = [], ...attributes } = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------- details

function chip(node) {
  return element("span", { class: `chip s-${node.state}`, children: [sign(node.state), node.word] });
}

function sign(state) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("class", "sign");
  made.setAttribute("aria-hidden", "true");
  made.append(document.createElementNS(space, "use"));
  made.firstChild.setAttribute("href", `#sign-${state}`);
  return made;
}

function facts(node) {
  const rows = [
    ["Took", node.took], ["When", node.times], ["Its build", node.build_time],
    ["Size", node.size], ["Key", node.key], ["Image", node.digest],
  ];
  const list = element("dl");
  for (const [name, value] of rows) {
    if (!value) continue;
    const code = name === "Key" || name === "Image";
    list.append(element("dt", { text: name }), element("dd", { children: [element(code ? "code" : "span", { text: value })] }));
  }
  return list;
}

function related(title, places) {
  if (!places.length) return [];
  const items = places.map((place) =>
    element("li", { children: [element("button", { type: "button", "data-node": place, text: nodes[place].name })] }));
  return [element("h3", { text: title }), element("ul", { children: items })];
}

function changes(node) {
  if (node.changes.length < 3) return []; // the reason names both of two
  const items = node.changes.map((text) => element("li", { text }));
  return [element("h3", { text: "Changes since its last build" }), element("ul", { class: "changes", children: items })];
}

function steps(node) {
  if (!node.steps.length) return [];
  const head = ["Step", "From", "Took"].map((text) => element("th", { scope: "col", text, class: text === "Step" ? "" : "num" }));
  const rows = node.steps.map(({ name, start, took, state }) => element("tr", { children: [
    element("td", { text: name }), element("td", { class: "num", text: start }),
    element("td", { class: "num", text: state === "done" ? took : state }),
  ] }));
  return [element("h3", { text: "Steps of the builder" }), element("table", { children: [
    element("thead", { children: [element("tr", { children: head })] }), element("tbody", { children: rows }),
  ] })];
}

function select(place, { scroll = false } = {}) {
  const node = nodes[place];
  if (!node) return;
  const title = element("div", { class: "title", children: [element("h2", { text: node.name }), chip(node)] });
  const about = [
    title, ...(node.description ? [element("p", { class: "hint", text: node.description })] : []),
    element("p", { class: "reason", text: node.reason }), ...changes(node), facts(node),
  ];
  const around = [...related("Uses", node.parents), ...related("Used by", node.children), ...steps(node)];
  details.replaceChildren(element("div", { children: about }), element("div", { children: around }));
  details.scrollTop = 0;
  for (const made of all("[data-node]")) if (made.matches(".node, .bar")) made.setAttribute("aria-pressed", made.dataset.node === String(place));
  for (const line of all(".edges path")) line.classList.toggle("near", line.dataset.from === node.name || line.dataset.to === node.name);
  roam(boxes, boxes.find((box) => box.dataset.node === String(place)));
  if (scroll) details.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-node]");
  if (chosen) select(Number(chosen.dataset.node), { scroll: true });
});

// ---------------------------------------------------------------- keyboard

/** Let Tab reach one element of a group; arrow keys reach the others. */
function roam(group, chosen) {
  for (const each of group) each.tabIndex = each === chosen ? 0 : -1;
}

function go(group, target) {
  if (!target) return;
  roam(group, target);
  target.focus();
  target.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const box = (place) => boxes[place];
const height = (made) => Number(made.dataset.y);
const nearest = (made, places) => places.map(box).sort((a, b) => Math.abs(height(a) - height(made)) - Math.abs(height(b) - height(made)))[0];

function beside(made, direction) {
  const column = boxes.filter((each) => each.dataset.layer === made.dataset.layer).sort((a, b) => height(a) - height(b));
  return column[column.indexOf(made) + direction];
}

graph.addEventListener("keydown", (event) => {
  const made = event.target.closest(".node");
  if (!made) return;
  const node = nodes[made.dataset.node];
  const moves = {
    ArrowLeft: () => go(boxes, nearest(made, node.parents)), ArrowRight: () => go(boxes, nearest(made, node.children)),
    ArrowUp: () => go(boxes, beside(made, -1)), ArrowDown: () => go(boxes, beside(made, 1)),
    Home: () => go(boxes, boxes[0]), End: () => go(boxes, boxes.at(-1)),
    Enter: () => select(node.place, { scroll: true }), " ": () => select(node.place, { scroll: true }),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
});

const bars = all("#timeline button");
if (bars.length) roam(bars, bars[0]);
document.getElementById("timeline")?.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  go(bars, bars[bars.indexOf(event.target) + step]);
});

// ---------------------------------------------------------------- size, theme, times

const natural = { width: graph.viewBox.baseVal.width, height: graph.viewBox.baseVal.height };
let zoom = 1;
function resize(factor) {
  zoom = Math.min(Math.max(factor, 0.2), 2);
  graph.setAttribute("width", natural.width * zoom);
  graph.setAttribute("height", natural.height * zoom);
}
/** The whole width if names can still be read, otherwise a part of it. */
function fit(least) {
  const style = getComputedStyle(canvas);
  const room = canvas.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  resize(Math.max(Math.min(room / natural.width, 1), least));
}
for (const button of all("[data-zoom]")) {
  button.addEventListener("click", () => (button.dataset.zoom === "fit" ? fit(0.2) : resize(zoom * button.dataset.zoom)));
}

const themes = ["auto", "light", "dark"];
const button = document.getElementById("theme");
function theme(name) {
  document.documentElement.dataset.theme = name;
  button.textContent = `Theme: ${name}`;
  try { localStorage.setItem("stagegraph-theme", name); } catch { /* a browser may refuse to keep it */ }
}
let kept = null;
try { kept = localStorage.getItem("stagegraph-theme"); } catch { /* as above */ }
if (themes.includes(kept)) theme(kept);
button.addEventListener("click", () => theme(themes[(themes.indexOf(document.documentElement.dataset.theme || "auto") + 1) % 3]));

for (const time of all("time")) {
  const moment = new Date(time.dateTime);
  if (!isNaN(moment)) time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

fit(0.66);
if (first >= 0) {
  select(first);
  canvas.scrollTo(boxes[first].dataset.x * zoom - canvas.clientWidth / 2, height(boxes[first]) * zoom - canvas.clientHeight / 2);
}
