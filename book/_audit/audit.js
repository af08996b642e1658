/* The audit's page: takes a file by hand or by drop, and writes its rows as a table. */
(function () {
  "use strict";

  const { AuditReaders, AuditRows } = window;
  const root = document.querySelector(".audit");
  const [controls, status, result] = ["controls", "status", "result"].map((name) => root.querySelector(`.audit-${name}`));
  const [input] = controls.getElementsByTagName("input");
  const MOST = 2000; // rows of a table
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

  /** "3 × 5", "?" for a size that is not known; "3" for a pair of threes where that will do. */
  function times(list, short) {
    const texts = (list || [null]).map((one) => one ?? "?");
    return short && texts.every((one) => one === texts[0]) ? `${texts[0]}` : texts.join(" × ");
  }

  /** A verdict in a word, or its sentence. */
  function word(verdict) {
    return verdict === true ? "yes" : verdict === false ? "no" : verdict === null ? "unknown"
      : verdict.replace("(n - 1) mod 2 = 0", "n is odd").replace("(n - 1) mod 2 = 1", "n is even");
  }

  /** The explorer's query for a row, or nothing where it has no such layer. */
  function query(row) {
    const { kind, pads, input_size: n, kernel_size: k, stride: s, dilation: d } = row;
    if (!OPS[kind] || k.length > 2 || n.includes(null) || row.same === null || row.cropped) return "";
    const lists = { n, k, s, d };
    const two = (list, other) => (list.length < 2 ? [...list, other] : list);
    for (const [name, list] of Object.entries(lists)) if (Math.max(...list) > LIMITS[name]) return "";
    let rule = { same: "same", SAME: "same", SAME_UPPER: "same", SAME_LOWER: "lower" }[row.declared];
    if (!rule) {
      if (pads.some((pair) => !pair || pair[0] < 0)) return "";
      const all = two(pads, [0, 0]);
      const extra = all.map(([before, after]) => before - after);
      if (kind === "conv_transpose" && row.symmetric === true) rule = `p${all.map(([p]) => p)}o${extra}`;
      else if (all.flat().some((cells) => cells < 0)) return "";
      else rule = extra.some(Boolean) ? `pads${all}` : all.flat().some(Boolean) ? `p${all.map(([p]) => p)}` : "valid";
    }
    const sizes = Object.entries(lists).map(([name, list]) => `${name}=${two(list, 1)}`);
    return `?${["op=" + OPS[kind], ...sizes, "rule=" + rule, "with=" + (rule === "same" ? "p" : "same")].join("&")}`;
  }

  /** The pads of a row, "0, 1" or of each axis, and the file’s word for them. */
  function padding({ pads, declared, kind }) {
    if (!pads) return "?";
    const texts = pads.map((pair) => (pair ? pair.join(", ") : "by size"));
    const text = texts.every((one) => one === texts[0]) ? texts[0] : texts.map((one) => `(${one})`).join(" ");
    return [kind === "conv_transpose" ? `crops ${text}` : text, ...(/^(pads|valid)/i.test(declared) ? [] : [make("small", declared)])];
  }

  /** What a swap of the rule does, in input pixels where the way there is known. */
  function moved({ shift, shift_pixels: pixels, input_size: n }) {
    const far = pixels && !pixels.includes(null) ? pixels : shift;
    if (!far) return "?";
    const unit = far === pixels ? " px" : " cells";
    const texts = far.map((one, i) => (one !== null ? `${Math.round(one * 100) / 100}` : n[i] === null ? "by size" : "–"));
    return (texts.every((one) => one === texts[0]) ? texts[0] : texts.join(", ")).replace(/\d$/, `$&${unit}`);
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
    const title = make("th", address ? make("a", parts, { href: root.dataset.explorer + address, title: `${row.name}: open in the explorer` }) : parts, { scope: "row" });
    title.append(make("small", row.type));
    const { kernel_size: k, stride, dilation } = row;
    const window = k ? `${times(k, true)} / ${times(stride, true)}${Math.max(...dilation) > 1 ? `, d ${times(dilation, true)}` : ""}` : "?";
    const [same, even, lower] = [row.same, row.symmetric, row.lower].map((one) => make("td", word(one), one === false ? { class: "is-no" } : {}));
    const more = row.note ? [make("small", row.note)] : [];
    return make("tr", [title, same, even, ...[moved(row), times(row.input_size), window, [padding(row), more].flat()].map((text) => make("td", text)), lower], agrees(row) ? { class: "agrees" } : {});
  }

  /** The sentences above the table. */
  function summary(name, format, rows, skipped) {
    const count = (test) => rows.filter(test).length;
    const all = rows.length;
    const agree = count(agrees);
    const [same, even, unknown] = [count((row) => row.same === true) - agree, count((row) => row.symmetric === true) - agree, count((row) => row.same === null)];
    const sizes = count((row) => typeof row.same === "string" || typeof row.symmetric === "string");
    const far = rows.map(({ shift_pixels: pixels }) => Math.max(0, ...(pixels || [])));
    const most = Math.max(0, ...far);
    if (!all) return `${name} (${format}) has no convolution, pool or transposed layer.`;
    if (all === agree) return `${name} (${format}): in none of its layers (${all}) the rule matters.`;
    const are = (number) => `${number} ${number === 1 ? "is" : "are"}`;
    const many = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
    return `${name} (${format}): in ${all - agree} of ${many(all, "layer")} the rule matters. ${are(same)} SAME and no symmetric padding, ${even} symmetric and not SAME.`
      + (sizes ? ` In ${sizes} it hangs on the input’s size.` : "") + (unknown ? ` ${are(unknown)} unknown.` : "")
      + (most ? ` The farthest a swap moves the windows is ${many(Math.round(most * 100) / 100, "input pixel")}, at “${rows[far.indexOf(most)].name}”.` : "")
      + (skipped ? ` Not looked into: ${many(skipped, "part")} of the graph (branches, loops, functions).` : "");
  }

  /** The table of rows. */
  function table(name, rows) {
    const head = ["Layer", "SAME?", "Symmetric?", "Shift", "Input", "Kernel / stride", "Padding", "LOWER?"];
    const body = make("tbody", rows.slice(0, MOST).map(line));
    const caption = rows.length > MOST ? `${name}: the first ${MOST} of ${rows.length} layers` : name;
    return make("table", [make("caption", caption), make("thead", make("tr", head.map((text) => make("th", text, { scope: "col" })))), body]);
  }

  /** Read a file and show what it holds, unless another was given meanwhile. */
  async function show(file, name, others) {
    const mine = ++turn;
    status.textContent = `Reading ${name} …`;
    let sentence, content = [];
    try {
      const graph = await AuditReaders.read(file);
      const rows = AuditRows.audit(graph);
      sentence = summary(name, graph.format, rows, graph.skipped);
      if (rows.length) content = [table(name, rows)];
    } catch (error) {
      sentence = `${name} cannot be read. ${error instanceof AuditReaders.Unreadable ? error.message : "This page fails on it, which is a fault of ours."}`;
    }
    if (mine !== turn) return;
    status.textContent = others ? `${sentence} Of the files given, only this first one is read.` : sentence;
    result.replaceChildren(...content);
  }

  /** A file that was chosen or dropped. */
  function take(files) {
    if (files.length) show(files[0], files[0].name, files.length > 1);
  }

  input.addEventListener("change", () => take(input.files));
  controls.querySelector("button").addEventListener("click", () => {
    const bytes = Uint8Array.from(atob(root.dataset.sample), (letter) => letter.charCodeAt(0));
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
})();
