/* The padding explorer: reads the controls and the address, draws with SVG, writes the address. */
(function () {
  "use strict";

  const P = window.Padding;
  const AXES = [0, 1];
  const LIMITS = { n: [1, 512], k: [1, 16], s: [1, 16], d: [1, 8], p: [0, 64], pads: [0, 64] };
  const NAMES = { n: "Input size", k: "Kernel", s: "Stride", d: "Dilation", p: "Padding", pads: "Pads" };
  const SIZES = ["n", "k", "s", "d"];
  const OPS = ["conv", "max", "avg", "transposed"];
  const KINDS = ["same", "valid", "torch", "upper", "lower", "pads"];
  const FRAMEWORKS = ["keras", "torch", "jax", "onnx"];
  const SIDES = ["rule", "with"];
  const STYLE = { same: "tf", torch: "pt" }; // every other rule is drawn in ink
  const WHOLE = 36; // a canvas up to this many cells is drawn whole
  const ELIDED = 20; // a larger one in so many columns, gaps included
  const WIDTH = 336; // pixels, before the style sheet fits it to the panel

  /** A state of the page: a layer, two rules, the window walked to, and the code shown. */
  function defaults() {
    const rule = (kind, p) => ({ kind, p: [p, p], pads: [[0, 1], [0, 1]] });
    return {
      layer: { op: "conv", n: [6, 6], k: [3, 3], s: [2, 2], d: [1, 1] },
      rules: [rule("same", 1), rule("torch", 1)],
      locked: true, at: [0, 0], code: "keras", of: 0,
    };
  }

  /** What may be shown of a value that came with the address. */
  function quote(text) {
    return `“${text.length > 20 ? text.slice(0, 20) + "…" : text}”`;
  }

  /** The nearest value within limits. */
  function clamp(value, low, high) {
    return Math.max(low, Math.min(high, value));
  }

  /** A whole number within its limits; any correction is written to `notices`. */
  function whole(text, name, fallback, notices) {
    const [low, high] = LIMITS[name];
    const given = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
    if (Number.isNaN(given)) {
      notices.push(`${NAMES[name]} ${quote(text)} is not a whole number; shown with ${fallback}.`);
      return fallback;
    }
    const shown = clamp(given, low, high);
    if (shown !== given) {
      notices.push(`${NAMES[name]} ${quote(text)} is outside ${low} to ${high}; shown with ${shown}.`);
    }
    return shown;
  }

  /** One of a few words, or the fallback with a notice. */
  function word(text, words, name, fallback, notices) {
    if (words.includes(text)) return text;
    notices.push(`${name} ${quote(text)} is unknown; another is shown.`);
    return fallback;
  }

  /** "p1", "p1,2", "pads0,1", "pads0,1,0,1" or a kind, as a rule. */
  function readRule(text, name, rule, notices) {
    const [, letters, numbers] = /^([a-z]+)([\d,-]*)$/.exec(text) || [null, text, ""];
    const kind = word(letters === "p" ? "torch" : letters, KINDS, name, rule.kind, notices);
    const list = numbers ? numbers.split(",") : [];
    if (letters === "p") {
      rule.p = AXES.map((i) => whole(list[i] ?? list[0] ?? "", "p", 0, notices));
    } else if (letters === "pads") {
      rule.pads = AXES.map((i) => AXES.map((j) =>
        whole(list[2 * i + j] ?? list[j] ?? "", "pads", 0, notices)));
    }
    rule.kind = kind;
    return list.length > (letters === "p" ? 1 : 2);
  }

  /** The state an address asks for, and what had to be corrected. */
  function read(search) {
    const state = defaults();
    const notices = [];
    const query = new URLSearchParams(search);
    const { layer } = state;
    if (query.has("op")) layer.op = word(query.get("op"), OPS, "Operation", layer.op, notices);
    for (const name of SIZES) {
      if (!query.has(name)) continue;
      const [first, second] = query.get(name).split(",");
      layer[name][0] = whole(first, name, layer[name][0], notices);
      layer[name][1] = second === undefined ? layer[name][0] : whole(second, name, layer[name][1], notices);
      if (second !== undefined) state.locked = false;
    }
    SIDES.forEach((side, i) => {
      if (!query.has(side)) return;
      if (readRule(query.get(side), "Rule", state.rules[i], notices)) state.locked = false;
    });
    const at = (query.get("at") || "").split(",");
    if (at.every((text) => /^\d{1,6}$/.test(text))) state.at = AXES.map((i) => Number(at[i] ?? at[0]));
    if (FRAMEWORKS.includes(query.get("code"))) state.code = query.get("code");
    if (query.get("of") === "with") state.of = 1;
    return { state, notices };
  }

  /** What no framework can do, corrected in place. */
  function settle(state, notices) {
    const { layer, rules } = state;
    if (layer.op !== "conv" && Math.max(...layer.d) > 1) {
      notices.push("Dilation is explored for convolutions only; shown with 1.");
      layer.d = [1, 1];
    }
    if (layer.op !== "max" && layer.op !== "avg") return;
    for (const { kind, p, pads } of rules) {
      AXES.forEach((i) => {
        // A pool's window in nothing but padding has no value in any framework.
        const most = layer.k[i] - 1;
        const used = { torch: [p[i]], pads: pads[i] }[kind] || [];
        if (used.some((value) => value > most)) {
          notices.push(`A pool’s padding is smaller than its kernel; shown with ${most}.`);
          p[i] = Math.min(p[i], most);
          pads[i] = pads[i].map((value) => Math.min(value, most));
        }
      });
    }
  }

  /** A state as a query string: the shortest that `read` gives back. */
  function write(state) {
    const { layer, rules, locked } = state;
    const numbers = (values) => (locked ? values[0] : values);
    const rule = ({ kind, p, pads }) => (kind === "torch" ? `p${numbers(p)}`
      : kind === "pads" ? `pads${numbers(pads)}` : kind);
    const parts = [
      `op=${layer.op}`,
      ...SIZES.map((name) => `${name}=${numbers(layer[name])}`),
      `rule=${rule(rules[0])}`,
      `with=${rule(rules[1])}`,
    ];
    if (Math.max(...state.at) > 0) parts.push(`at=${state.at}`);
    if (state.code !== "keras") parts.push(`code=${state.code}`);
    if (state.of) parts.push("of=with");
    return `?${parts.join("&")}`;
  }

  // ---- the drawing

  /**
   * The columns (or rows) of a drawing: cells `low` to `high`, or, of a large canvas, both ends and
   * what lies around the cells `wanted`. A column is a cell's position, or null for a gap.
   */
  function columns(low, high, wanted) {
    const all = Array.from({ length: high - low + 1 }, (_, i) => low + i);
    if (all.length <= WHOLE) return all;
    const near = new Set(wanted.flatMap((cell) => [cell - 1, cell, cell + 1]));
    for (let i = 0; i < 4; i++) near.add(low + i).add(high - i);
    const gapped = () => {
      const shown = all.filter((cell) => near.has(cell));
      return shown.flatMap((cell, i) => (i && cell > shown[i - 1] + 1 ? [null, cell] : [cell]));
    };
    let list = gapped();
    for (let cell = low; list.length < ELIDED && cell <= high; cell++) {
      if (!near.has(cell)) {
        near.add(cell);
        list = gapped();
      }
    }
    return list;
  }

  /** The place of a cell, or of half a cell more, among the columns; undefined where elided. */
  function place(list, cell) {
    const left = list.indexOf(Math.floor(cell));
    const right = list.indexOf(Math.ceil(cell));
    return left < 0 || right < 0 || right - left > 1 ? undefined : (left + right) / 2;
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

  const MARKERS = {
    tf: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    pt: (x, y, r) => box(x - r, y - r, 2 * r, 2 * r),
    ink: (x, y, r) => `M${x} ${y - 1.2 * r}l${1.2 * r} ${2 * r}h${-2.4 * r}z`,
  };

  /** Everything of a panel that does not move with the window, as SVG. */
  function grid(frame, geometries, look, numbered) {
    const { lists, size, margin } = frame;
    const inside = (i, cell) => cell >= 0 && cell < geometries[i].cells;
    const beyond = (i, cell) => cell < -geometries[i].before || cell >= geometries[i].cells + Math.max(0, geometries[i].after);
    let cells = "", padding = "", zeros = "", texts = "";
    const [rows, cols] = lists;
    const r = Math.min(3, size * 0.13), t = Math.min(4.6, size * 0.2); // a drawn 0, as large as the digits
    rows.forEach((row, y) => cols.forEach((col, x) => {
      if (row === null || col === null || beyond(0, row) || beyond(1, col)) return;
      const left = margin + x * size, top = margin + y * size;
      if (inside(0, row) && inside(1, col)) {
        if (numbered) texts += `<text x="${left + size / 2}" y="${top + size / 2}">${row * geometries[1].cells + col + 1}</text>`;
      } else {
        padding += box(left, top, size, size);
        if (size >= 18) zeros += `M${left + size / 2 - r} ${top + size / 2}a${r} ${t} 0 1 0 ${2 * r} 0a${r} ${t} 0 1 0 ${-2 * r} 0z`;
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
    const centres = geometries.map((g, i) => Array.from({ length: g.windows }, (_, w) =>
      place(lists[i], w * g.s - g.before + ((g.k - 1) * g.d) / 2)).filter((at) => at !== undefined));
    const radius = Math.min(7, size * 0.25);
    const marks = centres[0].flatMap((y) => centres[1].map((x) =>
      MARKERS[look](margin + (x + 0.5) * size, margin + (y + 0.5) * size, radius))).join("");
    const step = Math.max(1, Math.ceil((String(geometries[1].cells).length * 7 + 4) / size));
    let axes = "";
    lists.forEach((list, i) => list.forEach((cell, at) => {
      const shown = cell === null ? "⋮⋯"[i] : inside(i, cell) && cell % step === 0 ? cell : "";
      if (shown === "") return;
      const first = lists[1 - i].findIndex((other) => other !== null && !beyond(1 - i, other));
      const along = margin + (at + 0.5) * size, beside = margin + first * size - (i ? 9 : 5);
      axes += `<text x="${i ? along : beside}" y="${i ? beside : along}"${i ? "" : ' class="ex-left"'}>${shown}</text>`;
    }));
    return `<path class="ex-cells" d="${cells}"/><path class="ex-padding" d="${padding}"/>`
      + `<path class="ex-hatch" fill="url(#ex-hatch)" d="${padding}"/>`
      + `<path class="ex-halo" stroke-width="${size / 5}" d="${zeros}"/><path class="ex-zeros" d="${zeros}"/>`
      + `<path class="ex-marks" d="${marks}"/><g class="ex-numbers">${texts}</g><g class="ex-axes">${axes}</g>`;
  }

  /** The window at `at`: its outline {x, y, width, height} and the cells under its taps. */
  function windowAt(frame, geometries, at) {
    const { lists, size, margin } = frame;
    const places = geometries.map((g, i) => P.taps(g, at[i]).map((cell) => lists[i].indexOf(cell)));
    if (geometries.some((g) => !g.windows) || places.flat().includes(-1)) return null;
    const [y, x] = places.map((list) => margin + list[0] * size);
    const [height, width] = places.map((list) => (list[list.length - 1] - list[0] + 1) * size);
    const cells = places[0].map((row) => places[1].map((column) =>
      box(margin + column * size + 2, margin + row * size + 2, size - 4, size - 4)).join("")).join("");
    return { x, y, width, height, cells };
  }

  /** "0–2", "0, 2, 4", "0–1 plus 1 of padding": the cells along one axis. */
  function spoken(cells, size, outside) {
    const seen = cells.filter((cell) => cell >= 0 && cell < size);
    const lost = cells.length - seen.length;
    const row = seen.length > 1 && seen[seen.length - 1] - seen[0] === seen.length - 1;
    const list = row ? `${seen[0]}–${seen[seen.length - 1]}` : seen.join(", ") || "none";
    return list + (lost ? ` plus ${lost} ${outside}` : "");
  }

  // ---- the page

  /** Bring one explorer to life. */
  function start(root) {
    const small = root.dataset.explorer === "small";
    const $ = (selector) => root.querySelector(selector);
    const $$ = (selector) => [...root.querySelectorAll(selector)];
    const field = (name) => $(`[name="${name}"]`);
    const panels = $$("figure");
    let { state, notices } = read(small ? "" : location.search);
    let frame, shapes, timer;

    /** Set text only where it differs, so that nothing is announced or laid out for nothing. */
    function say(element, text) {
      if (element.textContent !== text) element.textContent = text;
    }

    /** The list and the index where the state keeps the number of a field. */
    function slot(name) {
      const [, key, digits] = /^([a-z]+)(\d*)$/.exec(name);
      const [a, b, c] = digits;
      const list = key === "p" ? state.rules[a].p : key === "pads" ? state.rules[a].pads[b] : state.layer[key];
      return { key, list, at: c ?? b ?? a };
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
        const { key, list, at } = slot(input.name);
        if (input !== document.activeElement || Number(input.value) === list[at]) input.value = list[at];
        if (key === "d") input.disabled = layer.op !== "conv";
      });
      field("unlocked").checked = !locked;
      root.classList.toggle("ex-unlocked", !locked);
      rules.forEach((rule, side) => {
        field(`kind${side}`).value = rule.kind;
        $(`[data-side="${side}"]`).dataset.kind = rule.kind;
      });
      const address = write({ ...state, at: [0, 0], code: "keras", of: 0 });
      $$(".ex-presets a").forEach((link) => {
        if (link.getAttribute("href") === address) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
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
        shapes.flatMap((g) => (at[i] < g[i].windows ? P.taps(g[i], at[i]) : [])),
      ));
      const margin = 26;
      const size = Math.min(36, (WIDTH - margin) / lists[1].length, 460 / lists[0].length);
      frame = { lists, size: Math.round(size * 100) / 100, margin };
      const [height, width] = lists.map((list) => Math.round(margin + list.length * frame.size + 2));
      const largest = Math.max(...shapes.map((g) => g[0].cells * g[1].cells));
      const numbered = size >= 8 * String(largest).length && size >= 16;
      panels.forEach((panel, side) => {
        const { kind } = state.rules[side];
        const look = STYLE[kind] || "ink";
        const svg = panel.querySelector("svg");
        const drawn = grid(frame, shapes[side], look, numbered);
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
          (at[i] < g.windows ? spoken(P.taps(g, at[i]), g.cells, layer.op === "transposed" ? "cropped" : "of padding") : null));
        const line = rows === null || cols === null ? "does not exist here" : `${verb} rows ${rows}; columns ${cols}`;
        say(panel.querySelector(".ex-here"), `${noun} (${at.join(", ")}) ${line}.`);
        return `${P.ruleName(layer, state.rules[side])} ${line}`;
      });
      ["row", "column"].forEach((name, i) => {
        const slider = field(`at${i}`);
        slider.max = most[i] - 1;
        slider.value = at[i];
        slider.disabled = most[i] < 2;
        slider.setAttribute("aria-valuetext", `${name} ${at[i]}: ${lines.join("; ")}`);
        say(slider.parentNode.querySelector("span"), `${noun} ${name}`);
        say(slider.parentNode.querySelector("b"), `${at[i]} of 0–${most[i] - 1}`);
      });
    }

    /** The table of which cells every output reads, without the middle of a long one. */
    function tabulate() {
      const { layer, rules } = state;
      const plans = rules.map((rule) => P.plan(layer, rule));
      const one = plans.every(([a, b]) => P.alike(a, b)) && SIZES.every((name) => layer[name][0] === layer[name][1]);
      const cells = (axes, i, o) => {
        if (o >= axes[i].outputs) return "–";
        const list = P.reads(layer, axes, i, o).map((cell) => (cell < 0 || cell >= layer.n[i] ? `(${cell})` : cell));
        return list.join(" ").replace(/-/g, "−") || "none";
      };
      const html = (one ? [0] : AXES).map((i) => {
        const length = Math.max(...plans.map((axes) => axes[i].outputs));
        const rows = Array.from({ length }, (_, o) => o).filter((o) => length <= 40 || o < 8 || o >= length - 8);
        const body = rows.map((o, at) =>
          `${at && o > rows[at - 1] + 1 ? `<tr><th scope="row">${rows[at - 1] + 1}–${o - 1}</th><td colspan="2">and so on</td></tr>` : ""}`
          + `<tr><th scope="row">${o}</th>${plans.map((axes) => `<td>${cells(axes, i, o)}</td>`).join("")}</tr>`).join("");
        const caption = one ? "Rows and columns alike" : ["Rows", "Columns"][i];
        return `<table><caption>${caption}</caption><thead><tr><th scope="col">Output</th>`
          + rules.map((rule) => `<th scope="col">${P.ruleName(layer, rule)}</th>`).join("") + `</tr></thead><tbody>${body}</tbody></table>`;
      }).join("");
      show($(".ex-tables"), html);
    }

    /** Show the state everywhere. */
    function render() {
      settle(state, notices);
      const { layer, rules } = state;
      const plans = rules.map((rule) => P.plan(layer, rule));
      shapes = plans.map((axes) => AXES.map((i) => P.geometry(layer, axes, i)));
      const most = reach();
      state.at = state.at.map((value, i) => Math.min(value, most[i] - 1));
      const said = P.verdict(layer, rules[0], rules[1]);
      say($(".ex-headline"), said.headline);
      say($(".ex-text"), said.text);
      const notes = notices.map((text) => [text, "ex-notice"]).concat(said.notes.map((text) => [text, ""]));
      const list = $(".ex-notes");
      if (list.textContent !== notes.map((note) => note[0]).join("")) {
        list.replaceChildren(...notes.map(([text, name]) => {
          const item = document.createElement("li");
          item.textContent = text;
          item.className = name;
          return item;
        }));
      }
      list.hidden = !notes.length;
      panels.forEach((panel, side) => {
        const name = P.ruleName(layer, rules[side]);
        say(panel.querySelector(".ex-name"), name);
        const sizes = P.times(plans[side].map((axis) => axis.outputs));
        say(panel.querySelector(".ex-amounts"), `${P.amounts(layer, plans[side])}, output ${sizes}`);
        say($(`.ex-of${side}`), name);
      });
      fill();
      draw();
      if ($("details").open || !$(".ex-tables").drawn) tabulate();
      say($("pre code"), P.snippet(state.code, layer, rules[state.of]));
    }

    /** Write the state to the address: as a new entry, or over the present one. */
    function remember(fresh) {
      clearTimeout(timer);
      if (small) return;
      const address = write(state);
      if (address === location.search) return;
      try {
        history[fresh ? "pushState" : "replaceState"](null, "", address + location.hash);
      } catch (error) {
        // Some browsers forbid this in files, or this often. The page works without.
      }
    }

    /** Read the control that has just changed into the state. */
    function take({ name, type, value, checked }) {
      const { layer, rules } = state;
      notices = [];
      if (name === "op") layer.op = value;
      else if (name === "unlocked") state.locked = !checked;
      else if (name === "code") state.code = value;
      else if (name === "of") state.of = Number(value);
      else if (type !== "number") rules[name.slice(4)].kind = value;
      else if (value.trim()) {
        const { key, list, at } = slot(name);
        list[at] = whole(value, key, list[at], notices);
      }
      if (state.locked) {
        for (const key of SIZES) layer[key][1] = layer[key][0];
        for (const rule of rules) {
          rule.p[1] = rule.p[0];
          rule.pads[1] = [...rule.pads[0]];
        }
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
      timer = setTimeout(remember, 300);
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
      remember(event.target.type !== "range");
    });
    $("details").addEventListener("toggle", tabulate);
    root.addEventListener("submit", (event) => event.preventDefault());
    root.addEventListener("click", (event) => {
      const link = event.target.closest(".ex-presets a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      ({ state, notices } = read(link.getAttribute("href")));
      render();
      remember(true);
    });
    panels.forEach((panel, side) => {
      const svg = panel.querySelector("svg");
      const follow = (event) => go(pointed(event, side));
      svg.addEventListener("pointerdown", follow);
      svg.addEventListener("pointermove", (event) => {
        if (event.pointerType === "mouse" || event.buttons) follow(event);
      });
    });
    $(".ex-panels").addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const edges = { Home: [0, 0], End: reach().map((windows) => windows - 1) };
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (event.key in steps) go(state.at.map((value, i) => value + steps[event.key][i]));
      else if (event.key in edges) go(edges[event.key]);
      else return;
      event.preventDefault();
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
        clearTimeout(timer);
        ({ state, notices } = read(location.search));
        render();
      });
    }
    render();
    root.classList.add("ex-live");
  }

  document.querySelectorAll("[data-explorer]").forEach(start);
})();
