// The page of `launch.py live`: it asks for JSON now and then, and draws what came.
"use strict";

const COLOURS = ["#0072B2", "#E69F00", "#767676", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"];
const DASHES = ["", "7 3", "2 3", "7 3 2 3", "4 2", "12 3", "6 2 2 2 2 2"];
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 460, HEIGHT = 250, LEFT = 58, RIGHT = 10, TOP = 8, BOTTOM = 34;
const byId = (id) => document.getElementById(id);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
  return found;
}

function chart(panel) {
  const points = panel.lines.flatMap((line) => line.points);
  const figure = element("figure");
  figure.append(element("strong", panel.name + (panel.percent ? " (%)" : "")));
  const scale = panel.percent ? 100 : 1;
  const range = (values) => {
    const low = Math.min(...values), high = Math.max(...values);
    return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  };
  const [left, right] = range(points.map((point) => point[0]));
  const [bottom, top] = range(points.map((point) => scale * point[1]));
  const x = (value) => LEFT + ((value - left) / (right - left)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const image = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": panel.name });
  const number = (value) => String(Number(value.toPrecision(6)));
  for (const value of ticks(bottom, top, 5)) {
    image.append(drawn("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
    image.append(drawn("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  for (const value of ticks(left, right, 6).filter(Number.isInteger)) {
    image.append(drawn("text", { x: x(value), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, number(value)));
  }
  image.append(drawn("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "step"));
  const key = element("div", undefined, { class: "key" });
  panel.lines.forEach((line, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const place = line.points.map((point) => `${x(point[0])},${y(scale * point[1])}`);
    const look = { fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[index % 7] };
    image.append(drawn("polyline", { points: place.join(" "), ...look }));
    const [lastX, lastY] = line.points[line.points.length - 1];
    image.append(drawn("circle", { cx: x(lastX), cy: y(scale * lastY), r: 3, fill: colour }));
    const name = element("span", `${line.name || panel.name}: ${number(scale * lastY)}`);
    name.style.setProperty("--colour", colour);
    key.append(name);
  });
  figure.append(image, key);
  return figure;
}

function table(head, rows) {
  const made = element("table"), top = element("tr");
  head.forEach((name) => top.append(element("th", name)));
  made.append(top);
  for (const row of rows) {
    const line = element("tr");
    row.forEach((cell) => line.append(element("td", cell, /^(pass|fail|undecided)$/.test(cell) ? { class: cell } : {})));
    made.append(line);
  }
  return made;
}

let chosen = null, pictures = "";

function choose() {
  chosen = decodeURIComponent(location.hash.slice(1)) || chosen;
  pictures = "";
  refreshRun();
}

async function ask(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function refreshRuns() {
  try {
    const { runs, folder, left } = await ask("runs.json");
    const going = runs.filter((run) => run.state === "running").length;
    byId("said").textContent =
      `${folder}: ${runs.length} runs, ${going} running` + (left ? `; ${left} older ones are not shown` : "");
    if (chosen === null && runs.length) chosen = runs[0].key;
    byId("runs").replaceChildren(...runs.map((run) => {
      const item = element("li"), link = element("a", run.experiment, { href: "#" + encodeURIComponent(run.key) });
      if (run.key === chosen) link.setAttribute("aria-current", "true");
      link.append(element("div", `${run.state} · ${run.when} · ${run.took}${run.best ? " · " + run.best : ""}`, { class: "quiet" }));
      if (run.settings) link.append(element("div", run.settings, { class: "quiet" }));
      item.append(link);
      return item;
    }));
  } catch (error) {
    byId("said").textContent = `no answer: ${error.message}`;
  }
}

async function refreshRun() {
  if (chosen === null) return;
  let run;
  try {
    run = await ask("run.json?run=" + encodeURIComponent(chosen));
  } catch (error) {
    byId("said").textContent = `no answer: ${error.message}`;
    return;
  }
  if (run.key !== chosen) return;
  byId("run").hidden = false;
  document.title = `${run.experiment}: ${run.state}`;
  byId("name").textContent = run.experiment;
  const about = [element("span", `${run.state} · began ${run.when} · trained ${run.took} · ${run.key} `)];
  if (run.has_report) about.push(element("a", "report", { href: "report?run=" + encodeURIComponent(run.key) }));
  byId("about").replaceChildren(...about);
  byId("settings").textContent = run.settings;
  byId("progress").hidden = !run.progress;
  if (run.progress) {
    byId("progress").querySelector("span").style.width = `${100 * run.progress.share}%`;
    byId("progress").querySelector("p").textContent = run.progress.text;
  }
  byId("curves").replaceChildren(...run.panels.map(chart));
  byId("trials").hidden = !run.trials;
  if (run.trials) byId("trials").querySelector("div").replaceChildren(table(run.trials.head, run.trials.rows));
  byId("claims").hidden = !run.claims.length;
  byId("claims").querySelector("div").replaceChildren(table(["id", "claim", "ours", "bar", "verdict"], run.claims));
  const now = JSON.stringify([run.key, run.figures]);
  if (now !== pictures) {  // images are not fetched again and again
    pictures = now;
    byId("figures").replaceChildren(...run.figures.map((each) => {
      const figure = element("figure"), address = `figure?run=${encodeURIComponent(run.key)}&name=${each.file}`;
      const link = element("a", undefined, { href: address });
      link.append(element("img", undefined, { src: address, alt: each.caption }));
      figure.append(link, element("figcaption", each.caption));
      return figure;
    }));
  }
}

window.addEventListener("hashchange", () => { choose(); refreshRuns(); });
if (location.hash) choose();
const whenSeen = (refresh) => () => { if (!document.hidden) refresh(); };
refreshRuns().then(refreshRun);
setInterval(whenSeen(refreshRuns), 4000);
setInterval(whenSeen(refreshRun), 2000);
