const SIZE = 480, LOW = -0.5, HIGH = 1.5;
const state = { gate: "AND", unit: DATA.units.AND.slice(), layers: false };
const place = value => (value - LOW) / (HIGH - LOW) * SIZE;
const fire = ([w1, w2, b], x1, x2) => w1 * x1 + w2 * x2 + b > 0 ? 1 : 0;

function answer(x1, x2) {
  if (!state.layers) return fire(state.unit, x1, x2);
  return fire(DATA.units.AND, fire(DATA.units.NAND, x1, x2), fire(DATA.units.OR, x1, x2));
}

function wrongRows() {
  return DATA.rows.filter(([x1, x2], row) => answer(x1, x2) !== DATA.tables[state.gate][row]).length;
}

function show() {
  const plane = find("plane");
  clear(plane);
  const cells = 96, side = SIZE / cells;
  for (let i = 0; i < cells; i++) {
    let start = null;
    for (let j = 0; j <= cells; j++) {
      const x1 = LOW + (i + 0.5) / cells * (HIGH - LOW), x2 = LOW + (j + 0.5) / cells * (HIGH - LOW);
      const fires = j < cells && answer(x1, x2) === 1;
      if (fires && start === null) start = j;
      if (!fires && start !== null) {
        draw(plane, "rect", { x: i * side, y: SIZE - j * side, width: side, height: (j - start) * side,
          fill: "var(--bar)", opacity: 0.35, "shape-rendering": "crispEdges" });
        start = null;
      }
    }
  }
  for (const value of [0, 1]) {
    draw(plane, "line", { x1: place(value), x2: place(value), y1: 0, y2: SIZE, stroke: "var(--line)" });
    draw(plane, "line", { x1: 0, x2: SIZE, y1: place(value), y2: place(value), stroke: "var(--line)" });
    draw(plane, "text", { x: place(value) + 5, y: SIZE - 6 }, `x1 = ${value}`);
    draw(plane, "text", { x: 4, y: SIZE - place(value) - 5 }, `x2 = ${value}`);
  }
  DATA.rows.forEach(([x1, x2], row) => {
    const wanted = DATA.tables[state.gate][row], right = answer(x1, x2) === wanted;
    const x = place(x1), y = SIZE - place(x2);
    if (wanted) draw(plane, "path", { d: `M${x} ${y - 13} L${x + 13} ${y + 10} L${x - 13} ${y + 10} Z`, fill: "var(--one)" });
    else draw(plane, "circle", { cx: x, cy: y, r: 11, fill: "var(--zero)" });
    if (!right) draw(plane, "circle", { cx: x, cy: y, r: 21, fill: "none", stroke: "var(--ink)", "stroke-width": 3 });
  });
  ["w1", "w2", "b"].forEach((name, index) => {
    find(name).value = state.unit[index];
    find(`${name}-value`).textContent = short(state.unit[index]);
    find(name).disabled = state.layers;
  });
  const wrong = wrongRows();
  find("says").textContent = wrong ? `${wrong} of 4 rows wrong (ringed)` : `All rows of ${state.gate} are right`;
  find("layers").setAttribute("aria-pressed", state.layers);
  const learned = DATA.learned[state.gate], pass = Number(find("pass").value);
  find("pass-value").textContent = pass;
  find("learned").textContent = pass ? `${learned.mistakes[pass - 1]} mistakes in this pass` : "It begins with zeros.";
}

["w1", "w2", "b"].forEach((name, index) => find(name).addEventListener("input", event => {
  state.unit[index] = Number(event.target.value);
  show();
}));
const made = buttons(find("gates"), Object.keys(DATA.tables), gate => {
  Object.assign(state, { gate, layers: false });
  find("pass").value = 0;
  find("layers").disabled = gate !== "XOR";
  find("book").disabled = gate === "XOR";
  show();
});
find("book").addEventListener("click", () => { state.unit = DATA.units[state.gate].slice(); state.layers = false; show(); });
find("layers").addEventListener("click", () => { state.layers = !state.layers; show(); });
find("pass").max = DATA.learned.AND.mistakes.length;
find("pass").value = 0;
find("pass").addEventListener("input", event => {
  state.unit = DATA.learned[state.gate].units[Number(event.target.value)].slice();
  state.layers = false;
  show();
});
made[0].click();
