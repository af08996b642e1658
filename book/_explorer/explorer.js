/* The padding explorer: reads the controls and the address, draws with SVG, writes the address. */
const STYLE = { same: "tf", torch: "pt" }; // every other rule is drawn in ink
const WHOLE = 36; // a canvas up to this many cells is drawn whole
const ELIDED = 20; // a larger one in so many columns, gaps included
const WIDTH = 336; // pixels, before the style sheet fits it to the panel
const SUMMED = 64; // a kernel up to this many cells has its sum written out
const STEP = 700; // milliseconds that Play stays at a window
const SIGN = { conv: "zero", max: "empty", avg: "empty", transposed: "cross" };

// ---- the drawing

/**
 * The columns (or rows) of a drawing: cells `low` to `high`, or, of a large canvas, its ends, those
 * of the cells 0 to `size` - 1, and what lies around each of the `windows`. A column is a cell's
 * position, or null for a gap.
 */
function columns(low, high, size, windows) {
  const shown = new Set();
  const add = (from, to) => {
    for (let cell = Math.max(low, from); cell <= Math.min(high, to); cell++) shown.add(cell);
  };
  if (high - low < WHOLE) {
    add(low, high);
    return [...shown];
  }
  for (const end of [0, size - 1]) add(end - 1, end + 1);
  add(low, low + 1);
  add(high - 1, high);
  for (const taps of windows) {
    const [first, last] = [taps[0], taps[taps.length - 1]];
    if (last - first <= 10) add(first - 1, last + 1);
    else for (const cell of taps.length < 5 ? taps : [first, last]) add(cell - 1, cell + 1);
  }
  for (let cell = 0; shown.size < ELIDED - 3; cell++) shown.add(cell);
  const cells = [...shown].sort((a, b) => a - b);
  return cells.flatMap((cell, i) => (i && cell > cells[i - 1] + 1 ? [null, cell] : [cell]));
}

/** Where the windows of one axis have their centres, in columns; those that are elided have none. */
function centres(list, g) {
  const found = [];
  list.forEach((cell, at) => {
    if (cell === null) return;
    for (const half of list[at + 1] === cell + 1 ? [0, 0.5] : [0]) {
      const w = (cell + half + g.before - ((g.k - 1) * g.d) / 2) / g.s;
      if (Number.isInteger(w) && w >= 0 && w < g.windows) found.push(at + half);
    }
  });
  return found;
}

/** The columns that get their number: of the last cell, of the first in a run, of every `step`-th. */
function ticks(list, size, step) {
  const last = list.lastIndexOf(size - 1);
  let free = 0;
  return list.flatMap((cell, at) => {
    const wanted = at === last || cell % step === 0 || list[at - 1] === null || list[at - 1] < 0;
    if (cell === null || cell < 0 || cell >= size || !wanted || at < free) return [];
    if (at < last && last - at < step) return [];
    free = at + step;
    return [at];
  });
}

/** The unbroken runs of cells 0 … size - 1 among the columns, as [first column, length]. */
function runs(list, size) {
  const found = [];
  list.forEach((cell, at) => {
    if (cell === null || cell < 0 || cell >= size) return;
    if (found.length && list[at - 1] === cell - 1) found[found.length - 1][1]++;
    else found.push([at, 1]);
  });
  return found;
}

/** A closed rectangle as path data. */
function box(x, y, width, height) {
  return `M${x} ${y}h${width}v${height}h${-width}z`;
}

/** A closed ellipse around a point. */
function oval(x, y, r, t) {
  return `M${x - r} ${y}a${r} ${t} 0 1 0 ${2 * r} 0a${r} ${t} 0 1 0 ${-2 * r} 0z`;
}

const MARKERS = {
  tf: (x, y, r) => oval(x, y, r, r),
  pt: (x, y, r) => box(x - r, y - r, 2 * r, 2 * r),
  ink: (x, y, r) => `M${x} ${y - 1.2 * r}l${1.2 * r} ${2 * r}h${-2.4 * r}z`,
};

/** What is drawn in a cell of padding, or in a cropped one: a zero, nothing, or a cross. */
const SIGNS = {
  // As large as the digits.
  zero: (x, y, size) => (size < 18 ? "" : oval(x + size / 2, y + size / 2, Math.min(3, size * 0.13), Math.min(4.6, size * 0.2))),
  empty: () => "",
  cross: (x, y, size) => `M${x} ${y}l${size} ${size}M${x} ${y + size}l${size} ${-size}`,
};

/** Everything of a panel that does not move with the window, as SVG. */
function grid(frame, geometries, look, numbered, sign) {
  const { lists, size, margin } = frame;
  const inside = (i, cell) => cell >= 0 && cell < geometries[i].cells;
  const beyond = (i, cell) => cell < -geometries[i].before || cell >= geometries[i].cells + Math.max(0, geometries[i].after);
  let cells = "", padding = "", signs = "", texts = "";
  const [rows, cols] = lists;
  rows.forEach((row, y) => cols.forEach((col, x) => {
    if (row === null || col === null || beyond(0, row) || beyond(1, col)) return;
    const left = margin + x * size, top = margin + y * size;
    if (inside(0, row) && inside(1, col)) {
      if (numbered) texts += `<text x="${left + size / 2}" y="${top + size / 2}">${row * geometries[1].cells + col + 1}</text>`;
    } else {
      padding += box(left, top, size, size);
      signs += SIGNS[sign](left, top, size);
    }
  }));
  // One box for each unbroken run of rows and columns, and the lines across it.
  const [down, across] = lists.map((list, i) => runs(list, geometries[i].cells));
  for (const [y, height] of down) {
    for (const [x, width] of across) {
      const left = margin + x * size, top = margin + y * size;
      cells += box(left, top, width * size, height * size);
      for (let i = 1; i < height; i++) cells += `M${left} ${top + i * size}h${width * size}`;
      for (let i = 1; i < width; i++) cells += `M${left + i * size} ${top}v${height * size}`;
    }
  }
  const spots = geometries.map((g, i) => centres(lists[i], g));
  const radius = Math.min(7, size * 0.25);
  const marks = spots[0].flatMap((y) => spots[1].map((x) =>
    MARKERS[look](margin + (x + 0.5) * size, margin + (y + 0.5) * size, radius))).join("");
  let axes = "";
  lists.forEach((list, i) => {
    const first = lists[1 - i].findIndex((other) => other !== null && !beyond(1 - i, other));
    const beside = margin + first * size - (i ? 9 : 5);
    const label = (at, text) => {
      const along = margin + (at + 0.5) * size;
      axes += `<text x="${i ? along : beside}" y="${i ? beside : along}"${i ? "" : ' class="ex-left"'}>${text}</text>`;
    };
    const width = i ? String(geometries[i].cells).length * 7 + 4 : 12;
    const numbers = ticks(list, geometries[i].cells, Math.max(1, Math.ceil(width / size)));
    numbers.forEach((at) => label(at, list[at]));
    list.forEach((cell, at) => {
      const free = numbers.every((other) => Math.abs(other - at) * size > width / 2 + 5);
      if (cell === null && free) label(at, "⋮⋯"[i]);
    });
  });
  const path = (name, d, more = "") => `<path class="ex-${name}" d="${d}"${more}/>`;
  return path("cells", cells) + path("padding", padding)
    + (sign === "cross" ? "" : path("hatch", padding, ' fill="url(#ex-hatch)"'))
    + (sign === "zero" ? path("halo", signs, ` stroke-width="${size / 5}"`) : "")
    + path(sign, signs) + path("marks", marks)
    + `<g class="ex-numbers">${texts}</g><g class="ex-axes">${axes}</g>`;
}

/** The window at `at`: its outline {x, y, width, height} and the cells under its taps that are drawn. */
function windowAt(frame, geometries, at) {
  const { lists, size, margin } = frame;
  if (geometries.some((g, i) => at[i] >= g.windows)) return null;
  const places = geometries.map((g, i) => taps(g, at[i]).map((cell) => lists[i].indexOf(cell)));
  const ends = places.map((list) => [list[0], list[list.length - 1]]);
  if (ends.flat().includes(-1)) return null;
  const [y, x] = ends.map(([first]) => margin + first * size);
  const [height, width] = ends.map(([first, last]) => (last - first + 1) * size);
  const [rows, cols] = places.map((list) => list.filter((column) => column >= 0));
  const cells = rows.map((row) => cols.map((column) =>
    box(margin + column * size + 2, margin + row * size + 2, size - 4, size - 4)).join("")).join("");
  return { x, y, width, height, cells };
}

/** The first few and the last two of a list, joined. */
function shorten(list, sign, most) {
  return (list.length > most ? [...list.slice(0, most - 3), "…", ...list.slice(-2)] : list).join(sign);
}

/** "rows 0–2", "row 0 plus 1 of padding", "2 columns of padding": the cells along one axis. */
function spoken(cells, size, noun, outside) {
  const seen = cells.filter((cell) => cell >= 0 && cell < size);
  const lost = cells.length - seen.length;
  const nouns = (number) => noun + (number === 1 ? "" : "s");
  if (!seen.length) return `${lost} ${nouns(lost)} ${outside}`;
  const run = seen.length > 1 && seen[seen.length - 1] - seen[0] === seen.length - 1;
  const list = run ? `${seen[0]}–${seen[seen.length - 1]}` : shorten(seen, ", ", 8);
  return `${nouns(seen.length)} ${list}${lost ? ` plus ${lost} ${outside}` : ""}`;
}

/** What a window makes of the numbers under it: the sum, the maximum or the mean; null where that is too long. */
function sum(layer, geometries, at, w) {
  const { op, n, k } = layer;
  if (geometries.some((g, i) => at[i] >= g.windows)) return "";
  if (k[0] * k[1] > SUMMED) return null;
  const [rows, cols] = geometries.map((g, i) => taps(g, at[i]));
  const weights = rows.flatMap((_, i) => cols.map((__, j) => WEIGHTS[w](i, j, k)));
  const times = (value, weight) => (w === "ones" ? value : `${value}×${weight < 0 ? `(−${-weight})` : weight}`);
  if (op === "transposed") {
    const value = at[0] * n[1] + at[1] + 1;
    return `Adds ${shorten(weights.map((weight) => times(value, weight)), ", ", 12)} to the cells under it.`;
  }
  const inside = (row, col) => row >= 0 && row < n[0] && col >= 0 && col < n[1];
  const values = rows.flatMap((row) => cols.map((col) => (inside(row, col) ? row * n[1] + col + 1 : null)));
  const seen = values.filter((value) => value !== null);
  if (op !== "conv" && !seen.length) return "Nothing but padding.";
  const total = seen.reduce((a, b) => a + b, 0);
  const terms = shorten(seen, op === "max" ? ", " : " + ", 12);
  if (op === "max") return `max(${terms}) = ${Math.max(...seen)}`;
  if (op === "avg") return `(${terms}) / ${seen.length} = ${Math.round((1000 * total) / seen.length) / 1000}`;
  const products = shorten(values.map((value, i) => times(value || 0, weights[i])), " + ", 12);
  const result = values.reduce((all, value, i) => all + value * weights[i], 0);
  return `${products} = ${result < 0 ? `−${-result}` : result}`;
}

// ---- the page

/** Bring one explorer to life. */
function start(root) {
  const small = root.dataset.explorer === "small";
  const $ = (selector) => root.querySelector(selector);
  const $$ = (selector) => [...root.querySelectorAll(selector)];
  const field = (name) => $(`[name="${name}"]`);
  const panels = $$("figure");
  let { state, notices } = readAddress(small ? "" : location.search);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let frame, shapes, timer, playing;

  /** Set text only where it differs, so that nothing is announced or laid out for nothing. */
  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  /** A sentence of the markup, and what stands for every "…" in it. */
  function sentence([name, ...slots]) {
    return $("template").content.getElementById(name).textContent.replace(/…/g, () => slots.shift());
  }

  /** The list and the index of the number that a field shows. */
  function slot(name) {
    const [, key, digits] = /^([a-z]+)(\d*)$/.exec(name);
    const [a, b, c] = digits;
    const { layer, rules } = state;
    const list = key === "p" ? symmetricPadding(layer, rules[a])
      : key === "o" ? outputPadding(layer, rules[a])
        : key === "pads" ? rules[a].pads[b] : layer[key];
    return { key, list, rule: rules[a], at: Number(c ?? b ?? a) };
  }

  /** Set markup only where it differs. */
  function show(element, html) {
    if (element.drawn !== html) element.innerHTML = html;
    element.drawn = html;
  }

  /** Put the state into the controls. The one being typed in is left alone. */
  function fill() {
    const { layer, rules, locked } = state;
    const chosen = { op: layer.op, code: state.code, of: `${state.of}` };
    $$('[type="radio"]').forEach((radio) => { radio.checked = radio.value === chosen[radio.name]; });
    $$('[type="number"]').forEach((input) => {
      const { list, at } = slot(input.name);
      if (input !== document.activeElement || Number(input.value) === list[at]) input.value = list[at];
    });
    field("unlocked").checked = !locked;
    field("w").value = state.w;
    root.classList.toggle("ex-unlocked", !locked);
    root.dataset.op = layer.op;
    rules.forEach((rule, side) => {
      field(`kind${side}`).value = rule.kind;
      field(`ceil${side}`).checked = rule.ceil;
      $(`[data-side="${side}"]`).dataset.kind = rule.kind;
    });
    const address = plainAddress(state);
    $$(".ex-presets a").forEach((link) => {
      link.ariaCurrent = link.getAttribute("href") === address ? "true" : null;
    });
    $(".ex-more").setAttribute("href", $(".ex-more").getAttribute("href").split("?")[0] + address);
  }

  /** The windows that can be walked to, on each axis: those of the larger plan. */
  function reach() {
    return AXES.map((i) => Math.max(1, ...shapes.map((geometries) => geometries[i].windows)));
  }

  /** Draw both panels on one frame, so that cell (0, 0) is at the same place in both. */
  function draw() {
    const { layer, at } = state;
    const lists = AXES.map((i) => columns(
      Math.min(0, ...shapes.map((g) => -g[i].before)),
      Math.max(...shapes.map((g) => g[i].cells + Math.max(0, g[i].after))) - 1,
      Math.max(...shapes.map((g) => g[i].cells)),
      shapes.flatMap((g) => (at[i] < g[i].windows ? [taps(g[i], at[i])] : [])),
    ));
    const digits = String(Math.max(...shapes.map((g) => g[0].cells))).length;
    const margin = Math.max(26, 7 * digits + 8);
    const size = Math.min(36, (WIDTH - margin) / lists[1].length, 460 / lists[0].length);
    frame = { lists, size: Math.round(size * 100) / 100, margin };
    const [height, width] = lists.map((list) => Math.round(margin + list.length * frame.size + 2));
    const largest = Math.max(...shapes.map((g) => g[0].cells * g[1].cells));
    const numbered = size >= 8 * String(largest).length && size >= 16;
    panels.forEach((panel, side) => {
      const { kind } = state.rules[side];
      const look = STYLE[kind] || "ink";
      const svg = panel.querySelector("svg");
      const drawn = grid(frame, shapes[side], look, numbered, SIGN[layer.op]);
      const view = `0 0 ${width} ${height}`;
      panel.dataset.look = look;
      svg.setAttribute("viewBox", view);
      svg.setAttribute("width", width);
      svg.setAttribute("height", height);
      show(svg.querySelector(".ex-still"), drawn);
    });
    walk();
  }

  /** Move the windows to state.at. */
  function walk() {
    const { layer, at } = state;
    const most = reach();
    const noun = layer.op === "transposed" ? "Input cell" : "Output";
    const verb = layer.op === "transposed" ? "writes" : "reads";
    const lines = panels.map((panel, side) => {
      const geometries = shapes[side];
      const here = windowAt(frame, geometries, at);
      const outline = panel.querySelector(".ex-window");
      panel.querySelector(".ex-taps").setAttribute("d", here ? here.cells : "");
      for (const name of ["x", "y", "width", "height"]) outline.setAttribute(name, here ? here[name] : 0);
      const [rows, cols] = geometries.map((g, i) =>
        (at[i] < g.windows
          ? spoken(taps(g, at[i]), g.cells, ["row", "column"][i], layer.op === "transposed" ? "cropped" : "of padding")
          : null));
      const line = rows === null || cols === null ? "does not exist here" : `${verb} ${rows}; ${cols}`;
      say(panel.querySelector(".ex-here"), `${noun} (${at.join(", ")}) ${line}.`);
      say(panel.querySelector(".ex-sum"), sum(layer, geometries, at, state.w) ?? sentence(["long-sum", SUMMED]));
      return `${ruleName(layer, state.rules[side])} ${line}`;
    });
    ["row", "column"].forEach((name, i) => {
      const slider = field(`at${i}`);
      slider.max = most[i] - 1;
      slider.value = at[i];
      slider.disabled = most[i] < 2;
      slider.ariaValueText = `${name} ${at[i]}: ${lines.join("; ")}`;
      say(slider.parentNode.querySelector("span"), `${noun} ${name}`);
      say(slider.parentNode.querySelector("b"), `${at[i]} of 0–${most[i] - 1}`);
    });
  }

  /** The table of which cells every output reads, without the middle of a long one. */
  function tabulate() {
    const { layer, rules } = state;
    const plans = rules.map((rule) => plan(layer, rule));
    const one = plans.every(([a, b]) => alike(a, b)) && SIZES.every((name) => layer[name][0] === layer[name][1]);
    const cells = (axes, i, o) => {
      if (o >= axes[i].outputs) return "–";
      const list = reads(layer, axes, i, o).map((cell) => (cell < 0 || cell >= layer.n[i] ? `(${cell})` : cell));
      return shorten(list, " ", 12).replace(/-/g, "−") || "none";
    };
    $$(".ex-tables table").forEach((table, i) => {
      const length = Math.max(...plans.map((axes) => axes[i].outputs));
      const row = (o) => `<tr><th scope="row">${o}</th>${plans.map((axes) => `<td>${cells(axes, i, o)}</td>`).join("")}</tr>`;
      const rows = (from, to) => Array.from({ length: to - from }, (_, o) => row(from + o)).join("");
      table.hidden = one && i > 0;
      say(table.caption, one ? "Rows and columns alike" : ["Rows", "Columns"][i]);
      show(table.tBodies[0], length <= 40 ? rows(0, length)
        : `${rows(0, 8)}<tr><th scope="row">8–${length - 9}</th><td colspan="2">and so on</td></tr>${rows(length - 8, length)}`);
    });
  }

  /** Show the state everywhere. */
  function render() {
    settle(state, notices);
    const { layer, rules } = state;
    const plans = rules.map((rule) => plan(layer, rule));
    shapes = plans.map((axes) => AXES.map((i) => geometry(layer, axes, i)));
    const most = reach();
    state.at = state.at.map((value, i) => Math.min(value, most[i] - 1));
    const said = verdict(layer, rules[0], rules[1]);
    say($(".ex-headline"), said.headline);
    say($(".ex-text"), said.text);
    const warned = notices.map(sentence);
    const notes = new Set([...warned, ...said.notes.map(sentence)]);
    const list = $(".ex-notes");
    if (list.textContent !== [...notes].join("")) {
      list.replaceChildren(...[...notes].map((text) => {
        const item = document.createElement("li");
        item.textContent = text;
        item.className = warned.includes(text) ? "ex-notice" : "";
        return item;
      }));
    }
    list.hidden = !notes.size;
    panels.forEach((panel, side) => {
      const name = ruleName(layer, rules[side]);
      say(panel.querySelector(".ex-name"), name);
      const sizes = times(plans[side].map((axis) => axis.outputs));
      say(panel.querySelector(".ex-amounts"), `${amounts(layer, plans[side])}, output ${sizes}`);
      $$(`.ex-of${side}`).forEach((place) => say(place, name));
    });
    fill();
    draw();
    if ($("details").open) tabulate();
    if (!small) say($("pre code"), snippet(state));
  }

  /** Write the state to the address: as a new entry, or over the present one. */
  function remember(fresh) {
    clearTimeout(timer);
    if (small) return;
    const address = writeAddress(state);
    if (address === location.search) return;
    try {
      history[fresh ? "pushState" : "replaceState"](null, "", address + location.hash);
    } catch (error) {
      // Some browsers forbid this in files, or this often. The page works without.
    }
  }

  /** Where rows and columns go together, the columns are as the rows. */
  function lock() {
    if (!state.locked) return;
    const { layer, rules } = state;
    for (const key of SIZES) layer[key][1] = layer[key][0];
    for (const { p, pads, extra } of rules) {
      for (const list of [p, extra]) if (list) list[1] = list[0];
      pads[1] = [...pads[0]];
    }
  }

  /** Read the control that has just changed into the state. */
  function take({ name, type, value, checked }) {
    const { layer, rules } = state;
    notices = [];
    if (name === "op") layer.op = value;
    else if (name === "unlocked") state.locked = !checked;
    else if (name === "code" || name === "w") state[name] = value;
    else if (name === "of") state.of = Number(value);
    else if (type === "checkbox") rules[name.slice(4)].ceil = checked;
    else if (type !== "number") rules[name.slice(4)].kind = value;
    else {
      const { key, list, rule, at } = slot(name);
      const own = { p: "p", o: "extra" }[key]; // emptied, these follow the kernel again
      if (value.trim()) {
        const numbers = own ? (rule[own] = [...list]) : list;
        numbers[at] = whole(value, key, list[at], notices);
      } else if (own) rule[own] = null;
    }
    lock();
  }

  /** Fill the fields with what a pasted text says; what it does not say stays. */
  function paste(text) {
    const own = comesFrom(text);
    const found = own || readLayer(text);
    notices = [];
    if (own) ({ state, notices } = own);
    else if (!found) {
      notices.push(["no-layer", quote(text.trim())]);
    } else {
      const { layer, rules } = state;
      const { op, ...sizes } = found.layer;
      const numbers = (list, key, old) => list.map((value, i) => whole(`${value}`, key, old[i], notices));
      if (op) layer.op = op;
      for (const key of Object.keys(sizes)) layer[key] = numbers(sizes[key], key, layer[key]);
      if (found.rule) {
        // A rule with numbers goes to the second place, where PyTorch's stands from the start.
        const { kind, p, pads, extra, ceil = false } = found.rule;
        const rule = rules[kind === "torch" || kind === "pads" ? 1 : 0];
        for (const one of rules) one.p = one.extra = null; // typed for another layer
        Object.assign(rule, { kind, ceil });
        if (p) rule.p = numbers(p, "p", [0, 0]);
        if (extra) rule.extra = Math.max(...extra) > 0 || op === "transposed" ? numbers(extra, "o", [0, 0]) : null;
        if (pads) rule.pads = pads.map((sides) => numbers(sides, "pads", [0, 0]));
        state.of = rules.indexOf(rule);
      }
      state.locked = isSquare(state);
      found.unread.slice(0, 6).forEach((part) => notices.push(["unread", quote(part)]));
    }
    render();
    remember(true);
  }

  /** Stop the walk that Play has begun. */
  function stop() {
    if (!playing) return;
    clearInterval(playing);
    playing = undefined;
    say($(".ex-play"), "Play");
  }

  /** One window on, row by row; after the last one the first. */
  function step() {
    const most = reach();
    const [row, column] = state.at;
    const last = row === most[0] - 1 && column === most[1] - 1;
    go(last ? [0, 0] : column < most[1] - 1 ? [row, column + 1] : [row + 1, 0]);
    if (playing && state.at.every((value, i) => value === most[i] - 1)) {
      stop();
      remember();
    }
  }

  /** Walk to a window, and remember it when the walk pauses. */
  function go(at) {
    const most = reach();
    const next = at.map((value, i) => clamp(value, 0, most[i] - 1));
    if (`${next}` === `${state.at}`) return;
    state.at = next;
    draw();
    clearTimeout(timer);
    if (!playing) timer = setTimeout(remember, 300);
  }

  /** The window whose centre is nearest to the pointer. */
  function pointed(event, side) {
    const svg = panels[side].querySelector("svg");
    const bounds = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / bounds.width;
    const spots = [event.clientY - bounds.top, event.clientX - bounds.left];
    return spots.map((spot, i) => {
      const g = shapes[side][i];
      const list = frame.lists[i];
      const column = Math.floor((spot * scale - frame.margin) / frame.size);
      const cell = list[clamp(column, 0, list.length - 1)];
      if (cell === null) return state.at[i];
      return clamp(Math.round((cell + g.before - ((g.k - 1) * g.d) / 2) / g.s), 0, g.windows - 1);
    });
  }

  root.addEventListener("input", (event) => {
    if (!event.target.name) return;
    stop();
    if (event.target.type === "range") {
      const at = [...state.at];
      at[event.target.name.slice(2)] = Number(event.target.value);
      go(at);
      return;
    }
    take(event.target);
    render();
  });
  root.addEventListener("change", (event) => {
    // Leaving the field shows what was understood; the notice stays until the next change.
    if (event.target.type === "number") {
      const { list, at } = slot(event.target.name);
      event.target.value = list[at];
    }
    if (event.target.name) remember(event.target.type !== "range");
  });
  $("details").addEventListener("toggle", tabulate);
  root.addEventListener("submit", (event) => event.preventDefault());
  root.addEventListener("click", (event) => {
    const link = event.target.closest(".ex-presets a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    stop();
    ({ state, notices } = readAddress(link.getAttribute("href")));
    render();
    remember(true);
  });
  panels.forEach((panel, side) => {
    const svg = panel.querySelector("svg");
    const follow = (event) => {
      stop();
      go(pointed(event, side));
    };
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" || event.buttons) follow(event);
    });
  });
  $(".ex-panels").addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const edges = { Home: [0, 0], End: reach().map((windows) => windows - 1) };
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key in steps || event.key in edges) stop();
    if (event.key in steps) go(state.at.map((value, i) => value + steps[event.key][i]));
    else if (event.key in edges) go(edges[event.key]);
    else return;
    event.preventDefault();
  });
  const area = $("textarea");
  $(".ex-take").addEventListener("click", () => paste(area.value));
  area.addEventListener("paste", () => setTimeout(() => paste(area.value)));
  // Who asks for less motion gets the same walk step by step.
  say($(".ex-play"), still.matches ? "Next window" : "Play");
  $(".ex-play").addEventListener("click", () => {
    if (still.matches) step();
    else if (playing) {
      stop();
      remember();
    } else {
      playing = setInterval(step, STEP);
      say($(".ex-play"), "Pause");
      step();
    }
  });
  $(".ex-copy").addEventListener("click", async () => {
    const code = $("pre code");
    let copied;
    try {
      await navigator.clipboard.writeText(code.textContent);
      copied = true;
    } catch (error) {
      const selection = getSelection();
      selection.selectAllChildren(code);
      copied = document.execCommand("copy"); // where a page may not write the clipboard itself
    }
    say($(".ex-copied"), copied ? "Copied" : "Selected: press Ctrl+C");
    setTimeout(() => say($(".ex-copied"), ""), 2500);
  });
  if (!small) {
    window.addEventListener("popstate", () => {
      stop();
      clearTimeout(timer);
      ({ state, notices } = readAddress(location.search));
      render();
    });
  }
  render();
  root.classList.add("ex-live");
}

document.querySelectorAll("[data-explorer]").forEach(start);
