const sets = Object.keys(DATA.sets), units = [...new Set(Object.keys(DATA.nets).map(name => name.split(" ")[1]))];
const state = { set: sets[0], units: units[0], look: 0 };
const net = () => DATA.nets[`${state.set} ${state.units}`];
const chance = (row, column) => (net().regions[state.look].charCodeAt(row * DATA.side + column) - 33) / 93;
const small = document.createElement("canvas");
const BLUE = [86, 160, 211], ORANGE = [240, 140, 70];

function show() {
  const canvas = find("region"), pen = canvas.getContext("2d");
  small.width = small.height = DATA.side;
  const image = small.getContext("2d").createImageData(DATA.side, DATA.side);
  for (let row = 0; row < DATA.side; row++) for (let column = 0; column < DATA.side; column++) {
    const share = chance(row, column), at = 4 * ((DATA.side - 1 - row) * DATA.side + column);
    BLUE.forEach((blue, part) => { image.data[at + part] = blue + (ORANGE[part] - blue) * share; });
    image.data[at + 3] = 255;
  }
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  const at = value => (value + 1.5) / 3 * canvas.width, { points, labels } = DATA.sets[state.set];
  points.forEach(([x, y], index) => {
    pen.beginPath();
    pen.arc(at(x), canvas.height - at(y), 6, 0, 7);
    pen.fillStyle = labels[index] ? "#b5420a" : "#0b4f86";
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#fff";
    pen.stroke();
  });
  find("look").value = state.look;
  find("look-value").textContent = DATA.steps[state.look];
  find("says").textContent = `${(100 * net().accuracy[state.look]).toFixed(0)} % right, loss ${net().loss[state.look].toFixed(3)}`;
  curve();
}

function curve() {
  const svg = find("curve"), losses = net().loss, top = Math.max(...losses);
  clear(svg);
  const x = index => 8 + index / (losses.length - 1) * 284, y = loss => 100 - loss / top * 85;
  draw(svg, "polyline", { points: losses.map((loss, index) => `${x(index)},${y(loss)}`).join(" "), fill: "none", stroke: "var(--brand)", "stroke-width": 2 });
  draw(svg, "circle", { cx: x(state.look), cy: y(losses[state.look]), r: 5, fill: "var(--one)" });
  draw(svg, "text", { x: 8, y: 116 }, "loss by update (log scale)");
}

const made = [
  ...buttons(find("sets"), sets, set => { state.set = set; show(); }).slice(0, 1),
  buttons(find("units"), units, chosen => { state.units = chosen; show(); })[2],
];
find("look").max = DATA.steps.length - 1;
find("look").addEventListener("input", event => { state.look = Number(event.target.value); show(); });
let timer = null;
find("run").addEventListener("click", () => {
  clearInterval(timer);
  state.look = 0;
  timer = setInterval(() => {
    if (state.look >= DATA.steps.length - 1) { clearInterval(timer); return; }
    state.look += 1;
    show();
  }, 180);
});
state.look = DATA.steps.length - 1;
made.forEach(button => button.click());
