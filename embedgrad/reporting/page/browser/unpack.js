// The answers of a cell, unpacked when they are first asked for; the format is described in answers.py.
const unpacked = new Map();

// A block's columns, and for each row the characters and the entropies (eighths of a bit) of its tokens, where they are known.
async function readBlock(name) {
  if (!("DecompressionStream" in window)) throw new Error("This browser is too old to unpack the answers.");
  const packed = Uint8Array.from(atob(document.getElementById(name).content.textContent), (one) => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const end = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const columns = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end)));
  if (columns.stepped) {
    let at = end;
    const half = (bytes.length - end) / 2;
    columns.steps = columns.stepped.map((known, row) => {
      if (!known) return null;
      const from = at;
      at += columns.tokens[row];
      return { lengths: bytes.subarray(from, at), levels: bytes.subarray(half + from, half + at) };
    });
  }
  return columns;
}

// Blocks are shared between cells, so each is unpacked once.
function block(name) {
  if (!unpacked.has(name)) unpacked.set(name, readBlock(name));
  return unpacked.get(name);
}

const placesOf = (columns) => new Map(columns.id.map((id, row) => [id, row]));

// One side of an item, as an object.
const answerAt = (columns, row) => ({
  text: columns.text[row],
  beyond: columns.beyond[row],
  read: columns.read[row],
  failure: columns.failure[row],
  reason: columns.reason[row],
  tokens: columns.tokens[row],
  stop: columns.stop[row],
  bits: columns.bits[row],
  steps: columns.steps[row],
});

// Won, lost, right or wrong: what became of an item.
const changeOf = (before, after) =>
  after.failure === "none" ? (before.failure === "none" ? "right" : "won") : before.failure === "none" ? "lost" : "wrong";

// The items of a cell in the order in which they were answered.
async function itemsOf(cell) {
  const [items, before, after] = await Promise.all([cell.items, cell.before, cell.after].map(block));
  const [asked, was] = [placesOf(items), placesOf(before)];
  return after.id.map((id, row) => {
    const [one, two] = [answerAt(before, was.get(id)), answerAt(after, row)];
    const place = asked.get(id);
    const item = { id, cell: cell.name, input: items.input[place], beyond: items.beyond[place], gold: items.gold[place] };
    return { ...item, before: one, after: two, change: changeOf(one, two) };
  });
}
