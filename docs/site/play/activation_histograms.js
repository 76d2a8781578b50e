const names = Object.keys(DATA.activations);
const state = { activation: "sigmoid", scale: 0 };
const nearest = scale => DATA.scales.reduce((best, value, index) =>
  Math.abs(value - scale) < Math.abs(DATA.scales[best] - scale) ? index : best, 0);

function show() {
  const chosen = DATA.activations[state.activation], svg = find("layers"), layers = chosen.shares[state.scale];
  clear(svg);
  layers.forEach((shares, layer) => {
    const left = layer * 152 + 8, width = 136, bar = width / shares.length;
    draw(svg, "text", { x: left, y: 18 }, `layer ${layer + 1}`);
    shares.forEach((share, index) => {
      const tall = share / 1000 * 225;
      draw(svg, "rect", { x: left + index * bar, y: 262 - tall, width: bar - 0.4, height: tall, fill: "var(--bar)", class: "bar" });
    });
    draw(svg, "line", { x1: left, x2: left + width, y1: 262, y2: 262, stroke: "var(--ink)" });
    draw(svg, "text", { x: left, y: 280 }, chosen.range[0]);
    draw(svg, "text", { x: left + width, y: 280, "text-anchor": "end" }, chosen.range[1]);
  });
  sizes(chosen.deviations[state.scale]);
  find("scale").value = state.scale;
  find("scale-value").textContent = short(DATA.scales[state.scale]);
  const [spread] = chosen.deviations[state.scale];
  const ratio = spread[spread.length - 1] / spread[0];
  find("says").textContent = `Spread of layer 5 over that of layer 1: ${ratio.toPrecision(2)}`;
}

function sizes(rows) {
  const svg = find("sizes"), floor = -10, top = 3;
  clear(svg);
  const y = value => 160 - (Math.min(top, Math.max(floor, Math.log10(value || 1e-12))) - floor) / (top - floor) * 135;
  draw(svg, "text", { x: 8, y: 14 }, "deviation by layer (log scale): activations, and gradients on their way back");
  for (const power of [-9, -6, -3, 0, 3]) {
    draw(svg, "line", { x1: 50, x2: 752, y1: y(10 ** power), y2: y(10 ** power), stroke: "var(--line)" });
    draw(svg, "text", { x: 44, y: y(10 ** power) + 4, "text-anchor": "end" }, power ? `1e${power}` : "1");
  }
  rows.forEach((row, index) => {
    const at = layer => 84 + layer * 152;
    draw(svg, "polyline", { points: row.map((value, layer) => `${at(layer)},${y(value)}`).join(" "), fill: "none",
      stroke: COLOURS[index ? 3 : 0], "stroke-width": 2, "stroke-dasharray": index ? "6 4" : "none" });
    row.forEach((value, layer) => draw(svg, "circle", { cx: at(layer), cy: y(value), r: 4, fill: COLOURS[index ? 3 : 0] }));
  });
  draw(svg, "text", { x: 84, y: 184, style: `fill:${COLOURS[0]}` }, "activations");
  draw(svg, "text", { x: 190, y: 184, style: `fill:${COLOURS[3]}` }, "gradients (dashed)");
}

const made = buttons(find("activations"), names, name => { state.activation = name; show(); });
find("scale").max = DATA.scales.length - 1;
find("scale").addEventListener("input", event => { state.scale = Number(event.target.value); show(); });
find("xavier").addEventListener("click", () => { state.scale = nearest((1 / DATA.width) ** 0.5); show(); });
find("he").addEventListener("click", () => { state.scale = nearest((2 / DATA.width) ** 0.5); show(); });
state.scale = DATA.scales.length - 1;
made[0].click();
