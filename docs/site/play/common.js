const find = id => document.getElementById(id);
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"];

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function clear(node) { while (node.firstChild) node.firstChild.remove(); }

function options(select, names) {
  for (const name of names) select.add(new Option(name, name));
}

function buttons(parent, names, choose) {
  const made = names.map(name => {
    const button = document.createElement("button");
    button.textContent = name;
    button.dataset.name = name;
    button.addEventListener("click", () => {
      made.forEach(one => one.setAttribute("aria-pressed", one === button));
      choose(name);
    });
    parent.appendChild(button);
    return button;
  });
  return made;
}

function short(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}
