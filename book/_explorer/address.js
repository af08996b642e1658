/*
 * The state of the explorer's page, its address, and the one as the other. Whatever an address asks
 * for that cannot be shown is corrected, and said so in `notices`: each the name of a sentence in
 * explorer.html, and what stands for every "…" in it.
 */
const LIMITS = {
  n: [1, 16384], k: [1, 512], s: [1, 64], d: [1, 64], p: [0, 16384], pads: [0, 16384], o: [0, 63],
};
const NAMES = {
  n: "Input size", k: "Kernel", s: "Stride", d: "Dilation", p: "Padding", pads: "Pads", o: "output_padding",
};
const SIZES = ["n", "k", "s", "d"];
const OPS = Object.keys(OPERATIONS);
const KINDS = [...Object.keys(RULE_NAMES), "torch", "pads"];
const FRAMEWORKS = ["keras", "torch", "flax", "jax", "onnx"];
const SIDES = ["rule", "with"];
const WEIGHTS = {
  ones: () => 1,
  count: (i, j, [, across]) => i * across + j + 1,
  edge: (i, j, [, across]) => (across > 1 && j === across - 1) - (j === 0),
};

/**
 * A state of the page: a layer, two rules, the window walked to, the kernel of the sum, and the code
 * shown. A rule's p and extra are null until the reader types them.
 */
function defaults() {
  const rule = (kind) => ({ kind, p: null, pads: [[0, 1], [0, 1]], extra: null, ceil: false });
  return {
    layer: { op: "conv", n: [6, 6], k: [3, 3], s: [2, 2], d: [1, 1] },
    rules: [rule("same"), rule("torch")],
    locked: true, at: [0, 0], w: "ones", code: "keras", of: 0,
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
    notices.push(["not-whole", NAMES[name], quote(text), fallback]);
    return fallback;
  }
  const shown = clamp(given, low, high);
  if (shown !== given) {
    notices.push(["outside", NAMES[name], quote(text), low, high, shown]);
  }
  return shown;
}

/** One of a few words, or the fallback with a notice. */
function word(text, words, name, fallback, notices) {
  if (words.includes(text)) return text;
  notices.push(["unknown", name, quote(text)]);
  return fallback;
}

/** "3" or "3,5" as whole numbers for rows and columns. */
function both(text, name, [rows, columns], notices) {
  const [first, second] = text.split(",");
  const one = whole(first, name, rows, notices);
  return [one, second === undefined ? one : whole(second, name, columns, notices)];
}

/** A rule as the address writes it: "p", "p1,2", "p1o1", "p0ceil", "pads0,1,0,1" or a kind. */
function readRule(text, rule, notices) {
  const [torch, p, extra, ceil] = /^p([\d,-]*)(?:o([\d,-]+))?(ceil)?$/.exec(text) || [];
  const [pads, sides] = /^pads([\d,-]+)$/.exec(text) || [];
  const typed = (numbers, name) => (numbers ? both(numbers, name, [0, 0], notices) : null);
  if (torch) {
    Object.assign(rule, { kind: "torch", p: typed(p, "p"), extra: typed(extra, "o"), ceil: Boolean(ceil) });
  } else if (pads) {
    const list = sides.split(",");
    rule.kind = "pads";
    rule.pads = AXES.map((i) => AXES.map((j) => whole(list[2 * i + j] ?? list[j] ?? "", "pads", 0, notices)));
  } else {
    rule.kind = word(text, KINDS, "Rule", rule.kind, notices);
  }
}

/** Whether every number of a state is the same for rows and columns. */
function isSquare({ layer, rules }) {
  const alike = (list) => !list || `${list[0]}` === `${list[1]}`;
  return SIZES.every((name) => alike(layer[name])) && rules.every(({ p, pads, extra }) => [p, pads, extra].every(alike));
}

/** The state an address asks for, and what had to be corrected. */
function readAddress(search) {
  const state = defaults();
  const notices = [];
  const query = new URLSearchParams(search);
  const { layer, rules } = state;
  if (query.has("op")) layer.op = word(query.get("op"), OPS, "Operation", layer.op, notices);
  for (const name of SIZES) if (query.has(name)) layer[name] = both(query.get(name), name, layer[name], notices);
  SIDES.forEach((side, i) => {
    if (query.has(side)) readRule(query.get(side), rules[i], notices);
  });
  state.locked = isSquare(state) && !SIZES.some((name) => /,/.test(query.get(name)));
  const at = (query.get("at") || "").split(",");
  if (at.every((text) => /^\d{1,6}$/.test(text))) state.at = AXES.map((i) => Number(at[i] ?? at[0]));
  if (Object.hasOwn(WEIGHTS, query.get("w"))) state.w = query.get("w");
  if (FRAMEWORKS.includes(query.get("code"))) state.code = query.get("code");
  if (query.get("of") === "with") state.of = 1;
  return { state, notices };
}

/** A state as a query string: the shortest that `readAddress` gives back. */
function writeAddress(state) {
  const { layer, rules, locked } = state;
  const numbers = (values) => (locked ? values[0] : values);
  const torch = ({ p, extra, ceil }) => `p${p ? numbers(p) : ""}`
    + (layer.op === "transposed" && extra ? `o${numbers(extra)}` : "")
    + (isPool(layer.op) && ceil ? "ceil" : "");
  const rule = (one) => (one.kind === "torch" ? torch(one)
    : one.kind === "pads" ? `pads${numbers(one.pads)}` : one.kind);
  const parts = [
    `op=${layer.op}`,
    ...SIZES.map((name) => `${name}=${numbers(layer[name])}`),
    `rule=${rule(rules[0])}`,
    `with=${rule(rules[1])}`,
  ];
  if (Math.max(...state.at) > 0) parts.push(`at=${state.at}`);
  if (state.w !== "ones") parts.push(`w=${state.w}`);
  if (state.code !== "keras") parts.push(`code=${state.code}`);
  if (state.of) parts.push("of=with");
  return `?${parts.join("&")}`;
}

/** The address of a layer and its rules alone: as nobody has walked, weighed or chosen code yet. */
function plainAddress({ layer, rules, locked }) {
  return writeAddress({ ...defaults(), layer, rules, locked });
}

/** What no framework can do, corrected in place. */
function settle(state, notices) {
  const { layer, rules } = state;
  if (layer.op === "transposed") {
    for (const { kind, extra } of rules) {
      AXES.forEach((i) => {
        const most = mostOutputPadding(layer, i);
        if (kind !== "torch" || !extra || extra[i] <= most) return;
        extra[i] = most;
        notices.push(["most-extra", most]);
      });
    }
  }
  if (!isPool(layer.op)) return;
  for (const { kind, p, pads } of rules) {
    AXES.forEach((i) => {
      // A pool's window in nothing but padding has no value in any framework.
      const most = effectiveKernelSize(layer.k[i], layer.d[i]) - 1;
      const used = { torch: p && [p[i]], pads: pads[i] }[kind] || [];
      if (used.some((value) => value > most)) {
        notices.push(["most-padding", most]);
        if (p) p[i] = Math.min(p[i], most);
        pads[i] = pads[i].map((value) => Math.min(value, most));
      }
    });
  }
}
