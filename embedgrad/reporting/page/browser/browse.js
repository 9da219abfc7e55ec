// The error browser: filters, a list of which only what is in sight is in the document, and the item that was chosen.
// Whatever a model or a data set said enters the page as text nodes, never as markup.
const browse = document.getElementById("browse");
const filter = document.getElementById("filter");
const list = document.getElementById("list");
const rows = document.getElementById("rows");
const shownItem = document.getElementById("item");
const cells = JSON.parse(document.getElementById("answers-index").content.textContent);
const WORDS = { won: "won", lost: "lost", right: "both right", wrong: "both wrong" };
const state = { cell: null, all: [], found: [], at: 0, marks: true, shades: true };

const wordFor = (failure) => (failure === "none" ? "right" : failure.replaceAll("_", " "));
const bitsText = (bits) => (bits === null ? "–" : bits.toFixed(2));
// One line for the list, short enough that a long answer costs nothing there.
const preview = (text) => shown(text.slice(0, 80).replace(/\s+/g, " "));
const answerPreview = (side) => (side.read === null ? `(${wordFor(side.failure)})` : preview(side.read));
const bdi = (name, text) => element("bdi", { class: name }, text);

async function loadCell() {
  const wanted = filter.elements.cell.value;
  if (state.cell === wanted) return;
  state.cell = wanted;
  document.getElementById("count").textContent = "Unpacking …";
  try {
    const chosen = wanted === "all" ? cells : [cells[wanted]];
    const found = (await Promise.all(chosen.map(itemsOf))).flat();
    if (state.cell !== wanted) return; // another cell was chosen meanwhile
    state.all = found;
    offerFailures();
    update();
  } catch (error) {
    state.cell = null;
    document.getElementById("count").textContent = `These answers cannot be shown: ${error.message}`;
  }
}

// The kinds of failure that the cell has, with their counts; a choice that it lacks is dropped.
function offerFailures() {
  for (const side of ["before", "after"]) {
    const select = filter.elements[side];
    const counts = new Map();
    for (const item of state.all) counts.set(item[side].failure, (counts.get(item[side].failure) ?? 0) + 1);
    const kept = counts.has(select.value) ? select.value : "";
    const options = [...counts].sort(([, one], [, two]) => two - one);
    const made = options.map(([kind, count]) => element("option", { value: kind }, `${wordFor(kind)} (${count})`));
    select.replaceChildren(element("option", { value: "" }, "any"), ...made);
    select.value = kept;
  }
}

const ORDERS = {
  after: (item) => item.after.bits ?? -1,
  before: (item) => item.before.bits ?? -1,
  tokens: (item) => Math.max(item.before.tokens, item.after.tokens),
};

function update() {
  const { change, before, after, side, low, high, text, order } = Object.fromEntries(new FormData(filter));
  const [least, most] = [low === "" ? -Infinity : Number(low), high === "" ? Infinity : Number(high)];
  const words = text.toLowerCase();
  const bounded = least > -Infinity || most < Infinity;
  const rest = state.all.filter((item) => {
    if ((before && item.before.failure !== before) || (after && item.after.failure !== after)) return false;
    const bits = item[side].bits;
    if (bounded && (bits === null || bits < least || bits > most)) return false;
    return !words || [item.id, item.input, item.before.text, item.after.text].some((one) => one.toLowerCase().includes(words));
  });
  for (const count of filter.querySelectorAll("[data-count]")) {
    const value = count.dataset.count;
    count.textContent = rest.filter((item) => !value || item.change === value).length;
  }
  state.found = change ? rest.filter((item) => item.change === change) : rest;
  if (order) state.found.sort((one, two) => ORDERS[order](two) - ORDERS[order](one));
  document.getElementById("count").textContent = `${state.found.length} of ${state.all.length} items`;
  list.scrollTop = 0;
  choose(0);
}

let rowHeight = 0;

// Only the rows in sight, and a few around them.
function drawRows() {
  if (!rowHeight) {
    rows.replaceChildren(element("div", { class: "row" }, "x"));
    rowHeight = rows.firstChild.offsetHeight;
  }
  rows.style.height = `${state.found.length * rowHeight}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 4);
  const last = Math.min(state.found.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + 4);
  const made = [];
  for (let place = first; place < last; place += 1) {
    const item = state.found[place];
    const about = { id: `row-${place}`, class: "row", role: "option", "aria-setsize": state.found.length };
    const chosen = { "aria-posinset": place + 1, "aria-selected": place === state.at };
    const row = element(
      "div",
      { ...about, ...chosen },
      element("span", { class: `badge ${item.change}` }, WORDS[item.change]),
      bdi("name", preview(item.id)),
      bdi("gold", `gold ${preview(item.gold)}`),
      bdi("was", answerPreview(item.before)),
      element("span", { class: "arrow" }, "→"),
      bdi("now", answerPreview(item.after)),
      element("small", { class: "bits" }, `${bitsText(item.before.bits)} → ${bitsText(item.after.bits)} bits`),
    );
    row.style.top = `${place * rowHeight}px`;
    row.addEventListener("click", () => choose(place));
    made.push(row);
  }
  rows.replaceChildren(...made);
  if (state.found.length && state.at >= first && state.at < last) list.setAttribute("aria-activedescendant", `row-${state.at}`);
  else list.removeAttribute("aria-activedescendant");
}

function choose(place) {
  state.at = Math.max(0, Math.min(state.found.length - 1, place));
  const top = state.at * rowHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight - list.clientHeight;
  drawRows();
  drawItem();
}

function toggle(name, text) {
  const box = element("input", { type: "checkbox" });
  box.checked = state[name];
  box.addEventListener("change", () => {
    state[name] = box.checked;
    drawItem();
    [...shownItem.querySelectorAll("input")].find((one) => one.parentElement.textContent.trim() === text)?.focus();
  });
  return element("label", {}, box, ` ${text}`);
}

function step(word, by) {
  const button = element("button", { type: "button" }, word);
  button.disabled = state.found[state.at + by] === undefined;
  button.addEventListener("click", () => {
    choose(state.at + by);
    [...shownItem.querySelectorAll("button")].find((one) => one.textContent === word && !one.disabled)?.focus();
  });
  return button;
}

const beyondNote = (count) => (count ? [element("p", { class: "missing" }, `${count.toLocaleString("en")} more characters are in the run's files.`)] : []);

function drawItem() {
  const item = state.found[state.at];
  shownItem.hidden = !item;
  if (!item) return shownItem.replaceChildren();
  const { before, after } = item;
  const changes = state.marks ? differences(before.text, after.text) : [[], []];
  const stepped = [before, after].some((side) => side.steps);
  const told = [];
  if (!changes) told.push("The answers are too long to be compared word by word.");
  if (state.shades && !stepped) told.push("The entropies of single tokens were not kept when this was decoded: the shade is each answer's mean.");
  const scale = [0, 2, 4, 6, 8].map((level) => element("span", { class: `e${level}` }, level === 8 ? "4 bits and more" : String(level / 2)));
  shownItem.replaceChildren(
    element("p", { class: "bar-of-item" }, element("span", { class: `badge ${item.change}` }, WORDS[item.change]), " ", bdi("name", shown(item.id)),
      element("span", { class: "steps" }, step("Previous", -1), ` ${state.at + 1} of ${state.found.length} `, step("Next", 1))),
    element("p", {}, element("small", {}, shown(item.cell))),
    element("p", { class: "text", dir: "auto" }, shown(item.input)),
    ...beyondNote(item.beyond),
    element("p", {}, element("small", {}, "gold "), element("bdi", { class: "gold" }, shown(item.gold))),
    element("p", { class: "switches" }, toggle("marks", "mark differences"), toggle("shades", "shade by entropy"),
      ...(state.shades ? [element("span", { class: "scale" }, ...scale)] : [])),
    ...told.map((one) => element("p", { class: "missing" }, one)),
    element("div", { class: "pair" }, sideOf("before", before, changes?.[0] ?? []), sideOf("after", after, changes?.[1] ?? [])),
  );
}

function sideOf(name, side, changes) {
  const found = side.read === null ? ["nothing read"] : ["read as ", bdi("", preview(side.read))];
  const facts = [`${name}: ${wordFor(side.failure)}; `, ...found, `; ${side.tokens} tokens, ${shown(side.stop)}; ${bitsText(side.bits)} bits a token`];
  const tokens = state.shades && side.steps ? tokensOf(side.text, side.steps) : [];
  const whole = state.shades && !side.steps && side.bits !== null ? ` ${shadeOf(side.bits)}` : "";
  const text = element("p", { class: `text output${state.shades ? " shaded" : ""}${whole}`, dir: "auto" }, pieces(side.text, tokens, changes, name));
  if (!side.text) text.append(element("span", { class: "missing" }, "(empty)"));
  const unsure = leastSure(side.text, tokens);
  const made = [element("small", {}, ...facts), text, ...beyondNote(side.beyond)];
  if (unsure.length) {
    const words = unsure.flatMap(({ word, level }, place) => [place ? ", " : "", bdi("", `“${preview(word)}”`), ` ${bitsOf(level)}`]);
    const end = side.steps.lengths.at(-1) === 0 && side.stop === "eos" ? `; that it ends here: ${bitsOf(side.steps.levels.at(-1))}` : "";
    made.push(element("p", {}, element("small", {}, "least sure of ", ...words, `${end} bits`)));
  }
  if (tokens.length > SHADED) made.push(element("p", { class: "missing" }, `Shaded up to token ${SHADED}.`));
  if (side.reason) made.push(element("p", {}, element("small", {}, "why: ", bdi("", shown(side.reason.slice(0, 300))))));
  return element("div", {}, ...made);
}

const KEYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
list.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS)) return;
  event.preventDefault();
  choose(state.at + KEYS[event.key]);
});
let waiting = false;
list.addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawRows();
  });
});
addEventListener("resize", () => {
  if (!browse.open || !state.all.length) return;
  rowHeight = 0;
  drawRows();
});
filter.addEventListener("submit", (event) => event.preventDefault());
filter.addEventListener("input", () => (filter.elements.cell.value === state.cell ? update() : loadCell()));
filter.addEventListener("reset", () => setTimeout(() => (filter.elements.cell.value === state.cell ? update() : loadCell())));
browse.addEventListener("toggle", () => browse.open && loadCell());
for (const link of document.querySelectorAll("a.browse")) {
  link.addEventListener("click", () => {
    filter.elements.cell.value = link.dataset.cell;
    if (browse.open) loadCell();
    browse.open = true;
  });
}
browse.hidden = false;
