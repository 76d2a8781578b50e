const state = { sentence: 0, letter: 0 };
const chosen = () => DATA.sentences[state.sentence];

function letters(parent, text, style, choose) {
  clear(parent);
  [...text].forEach((letter, place) => {
    const node = document.createElement(choose ? "button" : "span");
    node.textContent = letter === " " ? "\u00a0" : letter;
    style(node, place);
    if (choose) {
      node.addEventListener("mouseenter", () => choose(place));
      node.addEventListener("click", () => choose(place));
    }
    parent.appendChild(node);
  });
}

function strongest(weights) {
  return weights.reduce((best, weight, place) => weight > weights[best] ? place : best, 0);
}

function look(letter) { state.letter = letter; show(); }

function shaded(node, weight) { node.style.background = `rgba(213, 94, 0, ${(0.85 * weight).toFixed(2)})`; }

function show() {
  const { text, day, answer, weights } = chosen();
  state.letter = Math.min(state.letter, answer.length - 1);
  const row = weights[state.letter];
  letters(find("read"), text, (node, place) => shaded(node, row[place]));
  letters(find("written"), answer, (node, place) => node.setAttribute("aria-pressed", place === state.letter), look);
  const place = strongest(row);
  find("says").textContent = `For "${answer[state.letter]}" it looked most at "${text[place]}" (${Math.round(100 * row[place])} %)`
    + (answer === day ? "" : `; the answer is wrong, ${day} is right`);
  find("letter").max = answer.length - 1;
  find("letter").value = state.letter;
  find("letter-value").textContent = `${state.letter + 1} of ${answer.length}`;
  const map = find("map");
  clear(map);
  const head = map.insertRow();
  ["", ...text].forEach(letter => { head.insertCell().textContent = letter; });
  weights.forEach((line, index) => {
    const tr = map.insertRow();
    tr.insertCell().textContent = answer[index];
    line.forEach(weight => shaded(tr.insertCell(), weight));
    if (index === state.letter) tr.style.outline = "2px solid var(--brand)";
  });
}

DATA.sentences.forEach(({ text }, index) => find("sentence").add(new Option(text, index)));
find("sentence").addEventListener("change", event => { state.sentence = Number(event.target.value); state.letter = 0; show(); });
find("letter").addEventListener("input", event => look(Number(event.target.value)));
find("about").textContent = `After ${DATA.updates} updates it writes ${Math.round(100 * DATA.right)} % of 400 other dates rightly.`;
let timer = null;
find("run").addEventListener("click", () => {
  clearInterval(timer);
  look(0);
  timer = setInterval(() => {
    if (state.letter >= chosen().answer.length - 1) { clearInterval(timer); return; }
    look(state.letter + 1);
  }, 500);
});
show();
