const state = { image: 0, kernel: null, padding: 0, stride: 1, place: 0 };

function padded() {
  const image = DATA.images[state.image], side = image.length + 2 * state.padding;
  return Array.from({ length: side }, (_, row) => Array.from({ length: side }, (_, column) =>
    (image[row - state.padding] || [])[column - state.padding] || 0));
}

function sideOfOutput() {
  return (DATA.images[state.image].length + 2 * state.padding - state.kernel.length) / state.stride + 1;
}

function convolve() {
  const input = padded(), side = sideOfOutput();
  return Array.from({ length: side }, (_, row) => Array.from({ length: side }, (_, column) =>
    state.kernel.reduce((sum, line, i) => sum + line.reduce((part, weight, j) =>
      part + weight * input[row * state.stride + i][column * state.stride + j], 0), 0)));
}

function fill(table, rows, style, listen) {
  clear(table);
  rows.forEach((line, row) => {
    const tr = table.insertRow();
    line.forEach((value, column) => {
      const td = tr.insertCell();
      td.textContent = Number(value.toFixed(2));
      style(td, value, row, column);
      if (listen) listen(td, row, column);
    });
  });
}

function shade(td, value, largest) {
  const share = Math.min(1, Math.abs(value) / (largest || 1)), colour = value < 0 ? "0, 114, 178" : "213, 94, 0";
  td.style.background = `rgba(${colour}, ${(0.75 * share).toFixed(3)})`;
}

function show() {
  const side = sideOfOutput(), input = padded(), whole = Number.isInteger(side) && side > 0;
  const count = whole ? side * side : 0;
  state.place = Math.min(state.place, Math.max(0, count - 1));
  find("place").max = Math.max(0, count - 1);
  find("place").value = state.place;
  find("place-value").textContent = count ? `${state.place + 1} of ${count}` : "-";
  const top = Math.floor(state.place / (side || 1)) * state.stride, left = state.place % (side || 1) * state.stride;
  const seen = (row, column) => whole && row >= top && row < top + state.kernel.length && column >= left && column < left + state.kernel.length;
  const inside = at => at >= state.padding && at < input.length - state.padding;
  fill(find("input"), input, (td, value, row, column) => {
    shade(td, value, 1);
    td.classList.toggle("seen", seen(row, column));
    td.classList.toggle("edge", !(inside(row) && inside(column)));
  });
  if (!whole) {
    clear(find("output"));
    find("sum").textContent = "";
    find("says").textContent = `(${DATA.images[0].length} + 2·${state.padding} - ${state.kernel.length})/${state.stride} + 1 is not whole; change padding or stride`;
    return;
  }
  const output = convolve(), largest = Math.max(...output.flat().map(Math.abs));
  fill(find("output"), output, (td, value, row, column) => {
    shade(td, value, largest);
    td.classList.toggle("seen", row * side + column === state.place);
  }, (td, row, column) => td.addEventListener("mouseenter", () => { state.place = row * side + column; show(); }));
  find("says").textContent = `${DATA.images[0].length}x${DATA.images[0].length} becomes ${side}x${side}`;
  const terms = state.kernel.flatMap((line, i) => line.map((weight, j) => [weight, input[top + i][left + j]]))
    .filter(([weight, value]) => weight && value).map(([weight, value]) => `${short(weight)}·${short(value)}`);
  find("sum").textContent = `The window's sum: ${terms.join(" + ") || "0"} = ${short(output.flat()[state.place])}`;
}

function kernelTable() {
  const table = find("kernel");
  clear(table);
  state.kernel.forEach((line, row) => {
    const tr = table.insertRow();
    line.forEach((weight, column) => {
      const box = document.createElement("input");
      box.value = short(weight);
      box.inputMode = "decimal";
      box.setAttribute("aria-label", `weight ${row + 1}, ${column + 1}`);
      box.addEventListener("input", () => { state.kernel[row][column] = Number(box.value) || 0; show(); });
      tr.insertCell().appendChild(box);
    });
  });
}

function choose(name) {
  state.kernel = DATA.filters[name].map(line => line.slice());
  kernelTable();
  show();
}

options(find("image"), DATA.images.map((_, digit) => digit));
options(find("filter"), Object.keys(DATA.filters));
find("image").addEventListener("change", event => { state.image = Number(event.target.value); show(); });
find("filter").addEventListener("change", event => choose(event.target.value));
for (const name of ["padding", "stride"]) find(name).addEventListener("change", event => { state[name] = Number(event.target.value); show(); });
find("place").addEventListener("input", event => { state.place = Number(event.target.value); show(); });
find("filter").value = "edges from left to right";
choose("edges from left to right");
