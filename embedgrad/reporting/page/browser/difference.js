// What differs between two texts, word by word, and how unsure the model was of each token: as elements around plain text nodes.
const WORK = 4e6; // cells of the table of common words: some hundredths of a second
const SHADED = 4000; // tokens of an answer that are shaded; each is an element

// Words and marks with the places where they begin and end.
const wordsOf = (text) =>
  [...text.matchAll(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)].map((one) => ({ word: one[0], from: one.index, to: one.index + one[0].length }));

// For both texts the stretches [from, to] that are not in a longest common sequence of words; null where that is too much work.
function differences(left, right) {
  const [a, b] = [wordsOf(left), wordsOf(right)];
  let start = 0;
  while (start < a.length && start < b.length && a[start].word === b[start].word) start += 1;
  let [n, m] = [a.length, b.length];
  while (n > start && m > start && a[n - 1].word === b[m - 1].word) [n, m] = [n - 1, m - 1];
  const wide = m - start + 1;
  if ((n - start + 1) * wide > WORK) return null;
  const common = new Uint16Array((n - start + 1) * wide);
  for (let i = n - 1; i >= start; i -= 1) {
    for (let j = m - 1; j >= start; j -= 1) {
      const at = (i - start) * wide + j - start;
      common[at] = a[i].word === b[j].word ? common[at + wide + 1] + 1 : Math.max(common[at + wide], common[at + 1]);
    }
  }
  const found = [[], []];
  const add = (side, words, place) => {
    const last = found[side].at(-1);
    if (last && last.word === place - 1) [last.to, last.word] = [words[place].to, place];
    else found[side].push({ from: words[place].from, to: words[place].to, word: place });
  };
  let [i, j] = [start, start];
  while (i < n || j < m) {
    const at = (i - start) * wide + j - start;
    if (i < n && j < m && a[i].word === b[j].word) [i, j] = [i + 1, j + 1];
    else if (j === m || (i < n && common[at + wide] >= common[at + 1])) add(0, a, i++);
    else add(1, b, j++);
  }
  return found;
}

// Tokens as { to, level }: where in the text each ends, in UTF-16 units. One that wrote nothing joins the next.
function tokensOf(text, steps) {
  const tokens = [];
  let [at, waiting] = [0, null];
  for (let place = 0; place < steps.lengths.length && at < text.length; place += 1) {
    const level = Math.max(steps.levels[place], waiting ?? 0);
    for (let count = steps.lengths[place]; count > 0 && at < text.length; count -= 1) at += text.codePointAt(at) > 0xffff ? 2 : 1;
    if (steps.lengths[place]) {
      tokens.push({ to: at, level });
      waiting = null;
    } else waiting = level;
  }
  return tokens;
}

const bitsOf = (level) => (level / 8).toFixed(1);
// Half a bit a shade, the last for four bits and more.
const shadeOf = (bits) => `e${Math.min(8, Math.round(2 * bits))}`;

// Characters that steer what is around them, or that cannot be seen, as signs of the same length.
const shown = (text) =>
  text
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (one) => String.fromCharCode(0x2400 + one.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\u2426");

function element(name, about, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A text in pieces: each token an element with its shade, each stretch that differs a mark inside or around nothing but text.
function pieces(text, tokens, changes, side) {
  const made = document.createDocumentFragment();
  const cuts = [...tokens.slice(0, SHADED), { to: text.length, level: null }];
  let [at, change] = [0, 0];
  for (const { to, level } of cuts) {
    while (at < to) {
      while (change < changes.length && changes[change].to <= at) change += 1;
      const next = changes[change];
      const inside = next !== undefined && next.from <= at;
      const end = Math.min(to, next === undefined ? to : inside ? next.to : next.from);
      const piece = shown(text.slice(at, end));
      const about = level === null ? {} : { class: shadeOf(level / 8), title: `${bitsOf(level)} bits` };
      if (inside) about.class = `${side} ${about.class ?? ""}`.trim();
      if (inside || level !== null) made.append(element(inside ? "mark" : "span", about, piece));
      else made.append(piece);
      at = end;
    }
  }
  return made;
}

// The tokens that the model was least sure of, for those who do not see shades.
function leastSure(text, tokens) {
  const named = tokens.map(({ to, level }, place) => ({ word: text.slice(place ? tokens[place - 1].to : 0, to).trim(), level }));
  return named.filter((one) => one.word && one.level).sort((one, two) => two.level - one.level).slice(0, 3);
}
