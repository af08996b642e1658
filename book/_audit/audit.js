/* The audit's page: takes a file by hand or by drop, and writes its rows as a table. */
const root = document.querySelector(".audit");
const [controls, status, result] = ["controls", "status", "result"].map((name) => root.querySelector(`.audit-${name}`));
const template = root.querySelector("template").content; // the table's head, and sentences by name
const [input] = controls.getElementsByTagName("input");
const MOST_ROWS = 2000; // rows of a table
const OPS = { conv: "conv", depthwise: "conv", max_pool: "max", avg_pool: "avg", conv_transpose: "transposed" };
const LIMITS = { n: 16384, k: 512, s: 64, d: 64 }; // the explorer's
let turn = 0;

/** An element with its text or children. */
function make(tag, content, attributes = {}) {
  const element = document.createElement(tag);
  element.append(...[content].flat());
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** The texts joined; one of them where all are the same. */
function brief(texts, sign) {
  return texts.every((one) => one === texts[0]) ? `${texts[0]}` : texts.join(sign);
}

/** "3 × 5", "?" for a size that is not known; "3" for a pair of threes where that will do. */
function times(list, short) {
  const texts = (list || [null]).map((one) => one ?? "?");
  return short ? brief(texts, " × ") : texts.join(" × ");
}

/** A verdict in a word, or its sentence. */
function word(verdict) {
  return { true: "yes", false: "no", null: "unknown" }[verdict]
    ?? verdict.replace(/\(n - 1\) mod 2 = (\d)/g, (_, rest) => `n is ${["odd", "even"][rest]}`);
}

/** The explorer's query for a row, or nothing where it has no such layer. */
function query(row) {
  const { kind, pads, input_size: n, kernel_size: k, stride: s, dilation: d } = row;
  if (!OPS[kind] || k.length > 2 || n.includes(null) || row.same === null || row.cropped) return "";
  const two = (list, other) => (list.length < 2 ? [...list, other] : list);
  const sizes = Object.entries({ n, k, s, d }).map(([name, list]) => Math.max(...list) <= LIMITS[name] && `${name}=${two(list, 1)}`);
  if (sizes.includes(false)) return "";
  let rule = { same: "same", SAME: "same", SAME_UPPER: "same", SAME_LOWER: "lower" }[row.declared];
  if (!rule) {
    const all = two(pads, [0, 0]);
    const extra = all.map(([before, after]) => before - after);
    if (kind === "conv_transpose" && row.symmetric === true) rule = `p${all.map(([p]) => p)}o${extra}`;
    else if (all.flat().some((cells) => cells < 0)) return "";
    else rule = extra.some(Boolean) ? `pads${all}` : all.flat().some(Boolean) ? `p${all.map(([p]) => p)}` : "valid";
  }
  return `?${["op=" + OPS[kind], ...sizes, "rule=" + rule, "with=" + (rule === "same" ? "p" : "same")].join("&")}`;
}

/** The pads of a row, "0, 1" or of each axis, and the file’s word for them. */
function paddingOf({ pads, declared, kind }) {
  if (!pads) return "?";
  const text = brief(pads.map((pair) => (pair ? pair.join(", ") : "by size")), "; ");
  return [kind === "conv_transpose" ? `crops ${text}` : text, ...(/^(pads|valid)/i.test(declared) ? [] : [make("small", declared)])];
}

/** What a swap of the rule does, in input pixels where the way there is known. */
function moved({ shift, shift_pixels: pixels, input_size: n }) {
  const far = pixels && !pixels.includes(null) ? pixels : shift;
  if (!far) return "?";
  const unit = far === pixels ? " px" : " cells";
  const texts = far.map((one, i) => (one !== null ? `${+one.toFixed(2)}` : n[i] === null ? "by size" : "–"));
  return brief(texts, ", ").replace(/\d$/, `$&${unit}`);
}

/** Whether all rules do the same to a layer. */
function agrees(row) {
  return row.same === true && row.symmetric === true;
}

/** One row as a line of the table. */
function line(row, i) {
  const address = query(row);
  const name = row.name.length > 60 ? `${row.name.slice(0, 25)}…${row.name.slice(-33)}` : row.name;
  const parts = (name || `${i}`).split(/(?<=[/._:;-])/).flatMap((part, j) => (j ? [make("wbr", []), part] : part));
  const title = make("th", address ? make("a", parts, { href: root.dataset.explorer + address, title: sentence("open", row.name) }) : parts, { scope: "row" });
  title.append(make("small", row.type), ...(row.note ? [make("small", sentence(...[row.note].flat()))] : []));
  const { kernel_size: k, stride, dilation } = row;
  const window = k ? `${times(k, true)} / ${times(stride, true)}${Math.max(...dilation) > 1 ? `, d ${times(dilation, true)}` : ""}` : "?";
  const [same, even, lower] = [row.same, row.symmetric, row.lower].map((one) => make("td", word(one), one === false ? { class: "is-no" } : {}));
  return make("tr", [title, same, even, ...[moved(row), times(row.input_size), window, paddingOf(row)].map((text) => make("td", text)), lower], agrees(row) ? { class: "agrees" } : {});
}

/** A sentence of the markup, and what stands for every "…" in it. */
function sentence(name, ...slots) {
  return template.getElementById(name).textContent.replace(/…/g, () => slots.shift());
}

/** The sentences above the table. */
function summary(file, rows, skipped) {
  const count = (test) => rows.filter(test).length;
  const all = rows.length;
  const says = (same, symmetric) => count((row) => row.same === same && row.symmetric === symmetric);
  const unknown = count((row) => row.same === null);
  const sizes = count((row) => `${row.same} ${row.symmetric}`.includes("where"));
  const far = rows.map(({ shift_pixels: pixels }) => Math.max(0, ...(pixels || [])));
  const most = Math.max(0, ...far);
  if (!all) return sentence("no-layer", file);
  return [
    sentence("matter", file, all - says(true, true), all, says(true, false), says(false, true)),
    sizes && sentence("by-size", sizes),
    unknown && sentence("unknown", unknown),
    most && sentence("farthest", +most.toFixed(2), rows[far.indexOf(most)].name),
    skipped && sentence("skipped", skipped),
  ].filter(Boolean).join(" ");
}

/** The table of rows. */
function table(name, rows) {
  const made = template.querySelector("table").cloneNode(true);
  made.caption.textContent = rows.length > MOST_ROWS ? sentence("first", name, MOST_ROWS, rows.length) : name;
  made.tBodies[0].append(...rows.slice(0, MOST_ROWS).map(line));
  return made;
}

/** Read a file and show what it holds, unless another was given meanwhile. */
async function show(file, name, others) {
  const mine = ++turn;
  status.textContent = sentence("read", name);
  let said, content = [];
  try {
    const graph = await read(file);
    const rows = audit(graph);
    said = summary(`${name} (${graph.format})`, rows, graph.skipped);
    if (rows.length) content = [table(name, rows)];
  } catch (error) {
    said = `${sentence("unread", name)} ${sentence(error instanceof Unreadable ? error.message : "fault")}`;
  }
  if (mine !== turn) return;
  status.textContent = others ? `${said} ${sentence("others")}` : said;
  result.replaceChildren(...content);
}

/** A file that was chosen or dropped. */
function take(files) {
  if (files.length) show(files[0], files[0].name, files.length > 1);
}

input.addEventListener("change", () => take(input.files));
controls.querySelector("button").addEventListener("click", () => {
  const bytes = Uint8Array.from(atob(root.dataset.sample), (letter) => letter.charCodeAt());
  show(new Blob([bytes]), "sample.onnx");
});
controls.querySelector("[type=checkbox]").addEventListener("change", (event) => {
  result.classList.toggle("only-differing", event.target.checked);
});
for (const event of ["dragover", "drop"]) {
  document.addEventListener(event, (drag) => {
    if (!drag.dataTransfer.types.includes("Files")) return;
    drag.preventDefault();
    root.classList.toggle("is-over", event === "dragover");
    if (event === "drop") take(drag.dataTransfer.files);
  });
}
document.addEventListener("dragleave", () => root.classList.remove("is-over"));
