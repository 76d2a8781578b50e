const WIDTH = 760, HEIGHT = 330, LEFT = -9, RIGHT = 9, TOP = 3.6, BOTTOM = -3.6;
const names = Object.keys(DATA.rules);
const state = { steps: 30, shown: {}, rate: {} };
const px = x => (x - LEFT) / (RIGHT - LEFT) * WIDTH, py = y => (TOP - y) / (TOP - BOTTOM) * HEIGHT;
const height = (x, y) => x * x / 20 + y * y;
const path = name => DATA.rules[name].paths[state.rate[name]].slice(0, state.steps + 1);

function show() {
  const svg = find("valley");
  clear(svg);
  for (const level of [0.1, 0.5, 1, 2, 4, 8, 16, 24]) {
    draw(svg, "ellipse", { cx: px(0), cy: py(0), rx: px(Math.sqrt(20 * level)) - px(0), ry: py(0) - py(Math.sqrt(level)),
      fill: "none", stroke: "var(--line)" });
  }
  draw(svg, "circle", { cx: px(0), cy: py(0), r: 4, fill: "var(--ink)" });
  names.forEach((name, index) => {
    const rule = DATA.rules[name], rate = rule.rates[state.rate[name]], points = path(name);
    const end = points[points.length - 1], value = height(...end);
    find(`rate-${name}`).value = state.rate[name];
    find(`value-${name}`).textContent = `rate ${short(rate)}: height ${value > 1e4 ? "far away" : value < 1e-6 ? "0" : value.toPrecision(3)}`;
    if (!state.shown[name]) return;
    const line = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
    draw(svg, "polyline", { points: line, fill: "none", stroke: COLOURS[index], "stroke-width": 2, class: "path" });
    points.forEach(([x, y]) => draw(svg, "circle", { cx: px(x), cy: py(y), r: 2.6, fill: COLOURS[index] }));
  });
  find("steps").value = state.steps;
  find("steps-value").textContent = state.steps;
}

names.forEach((name, index) => {
  const rule = DATA.rules[name];
  state.shown[name] = index !== 2 && index !== 4;
  state.rate[name] = rule.first;
  const block = document.createElement("div");
  block.innerHTML = `<label class="check"><input type="checkbox" id="show-${name}"><strong style="color:${COLOURS[index]}">${name}</strong></label>
    <label><output id="value-${name}"></output><input type="range" id="rate-${name}" aria-label="rate of ${name}" min="0" max="${rule.rates.length - 1}" step="1"></label>`;
  find("rules").appendChild(block);
  find(`show-${name}`).checked = state.shown[name];
  find(`show-${name}`).addEventListener("change", event => { state.shown[name] = event.target.checked; show(); });
  find(`rate-${name}`).addEventListener("input", event => { state.rate[name] = Number(event.target.value); show(); });
});
find("steps").max = DATA.rules[names[0]].paths[0].length - 1;
find("steps").addEventListener("input", event => { state.steps = Number(event.target.value); show(); });
find("reset").addEventListener("click", () => { names.forEach(name => { state.rate[name] = DATA.rules[name].first; }); show(); });
let timer = null;
find("run").addEventListener("click", () => {
  clearInterval(timer);
  state.steps = 0;
  timer = setInterval(() => {
    if (state.steps >= Number(find("steps").max)) { clearInterval(timer); return; }
    state.steps += 1;
    show();
  }, 80);
});
show();
