/*
 * Where every padding rule puts its windows, and how two rules compare, in words. Pure functions, no
 * page needed. book/_ext/explorer.py joins the scripts of a page into one function: each can use
 * what the others define, and no name is defined twice. (Modules do not load from file://.)
 *
 * A layer is {op, n, k, s, d}: the operation and, as [rows, columns], input size, kernel, stride and
 * dilation. A rule is {kind, p, pads, extra, ceil}: p is PyTorch's padding as [rows, columns], pads
 * [[top, bottom], [left, right]], extra PyTorch's output_padding as [rows, columns], ceil its
 * ceil_mode. Without p or extra they follow from the kernel; without pads there are none.
 * A plan is, for each axis, {before, after, outputs}: cells added, or cropped in "transposed".
 */
const AXES = [0, 1];
const NO_PADS = [[0, 0], [0, 0]];
const OPERATIONS = {
  conv: "Convolution", max: "Max pool", avg: "Average pool", transposed: "Transposed convolution",
};
const RULE_NAMES = {
  same: "TensorFlow SAME", valid: "VALID", upper: "ONNX SAME_UPPER", lower: "ONNX SAME_LOWER",
};

/** Cells that a dilated kernel reaches over. */
function effectiveKernelSize(k, d) {
  return (k - 1) * d + 1;
}

/** Windows that fit with [before, after] cells added: the floor rule. */
function outputSize(n, k, s, d, [before, after]) {
  const room = n + before + after - effectiveKernelSize(k, d);
  return room < 0 ? 0 : Math.floor(room / s) + 1;
}

/** Cells that the windows of a transposed convolution write, before any crop. */
function fullSize(n, k, s, d) {
  return (n - 1) * s + effectiveKernelSize(k, d);
}

/** Windows of a PyTorch pool with ceil_mode, none of which starts in the padding behind. */
function ceilOutputSize(n, k, s, d, p) {
  const windows = Math.ceil((n + 2 * p - effectiveKernelSize(k, d)) / s) + 1;
  return Math.max(0, (windows - 1) * s >= n + p ? windows - 1 : windows);
}

/** The zeros [before, after] of TensorFlow's SAME. */
function samePadding(n, k, s, d) {
  const total = Math.max(0, effectiveKernelSize(k, d) - 1 - ((n - 1) % s));
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** Whether an operation is a pool: its padding never wins a maximum or counts in a mean. */
function isPool(op) {
  return op === "max" || op === "avg";
}

/** One axis of a convolution or pool: {before, after, outputs}. */
function placeWindows({ kind, p, pads, ceil }, n, k, s, d) {
  if (kind === "torch" && ceil) {
    const outputs = ceilOutputSize(n, k, s, d, p);
    const reached = (outputs - 1) * s + effectiveKernelSize(k, d) - n - p;
    return { before: p, after: Math.max(p, reached), outputs };
  }
  const same = samePadding(n, k, s, d);
  const padding = {
    same, upper: same, lower: [same[1], same[0]], valid: [0, 0], torch: [p, p], pads,
  }[kind];
  return { before: padding[0], after: padding[1], outputs: outputSize(n, k, s, d, padding) };
}

/** One axis of a transposed convolution; `after` < 0 means cells that no input reaches. */
function placeTransposed({ kind, p, pads, extra }, n, k, s, d) {
  const full = fullSize(n, k, s, d);
  const total = Math.max(0, effectiveKernelSize(k, d) - s);
  const [before, outputs] = {
    same: [Math.floor(total / 2), n * s],
    upper: [Math.floor(total / 2), n * s],
    lower: [Math.ceil(total / 2), n * s],
    valid: [0, n * s + total],
    torch: [p, full - 2 * p + extra],
    pads: [pads[0], full - pads[0] - pads[1]],
  }[kind];
  return { before, after: full - before - outputs, outputs: Math.max(0, outputs) };
}

/** PyTorch's padding on both sides: as typed, else half of what the kernel reaches over. */
function symmetricPadding(layer, rule) {
  return rule.p || AXES.map((i) => Math.floor(((layer.k[i] - 1) * layer.d[i]) / 2));
}

/** The largest output_padding that PyTorch takes along one axis: below the stride or the dilation. */
function mostOutputPadding({ s, d }, i) {
  return Math.max(s[i], d[i]) - 1;
}

/** PyTorch's output_padding: as typed, else what brings the size to n * s, 0 where none may. */
function outputPadding(layer, rule) {
  if (rule.extra) return rule.extra;
  const p = symmetricPadding(layer, rule);
  return AXES.map((i) => {
    const wanted = layer.s[i] + 2 * p[i] - effectiveKernelSize(layer.k[i], layer.d[i]);
    return wanted > 0 && wanted <= mostOutputPadding(layer, i) ? wanted : 0;
  });
}

/** A layer's n, k, s and d along one axis. */
function axisOf({ n, k, s, d }, i) {
  return [n[i], k[i], s[i], d[i]];
}

/** The plan of a rule: {before, after, outputs} along rows and columns. */
function plan(layer, rule) {
  const { op } = layer;
  const place = op === "transposed" ? placeTransposed : placeWindows;
  const p = symmetricPadding(layer, rule);
  const extra = outputPadding(layer, rule);
  const ceil = rule.ceil && isPool(op);
  return AXES.map((i) => place(
    { kind: rule.kind, p: p[i], pads: (rule.pads || NO_PADS)[i], extra: extra[i], ceil },
    ...axisOf(layer, i),
  ));
}

/** Whether two axes place every window alike. Cells padded behind the last window do not count. */
function alike(a, b) {
  return a.before === b.before && a.outputs === b.outputs;
}

/** Whether two plans do so along both axes. */
function planAlike(a, b) {
  return AXES.every((i) => alike(a[i], b[i]));
}

/** {p, extra, ceil} with which PyTorch's symmetric padding places its windows like `axes`, or null. */
function symmetric(layer, axes) {
  const { op, k } = layer;
  const p = axes.map((axis) => axis.before);
  const extra = AXES.map((i) =>
    (op === "transposed" ? axes[i].outputs - fullSize(...axisOf(layer, i)) + 2 * p[i] : 0));
  if (extra.some((cells, i) => cells < 0 || cells > mostOutputPadding(layer, i))) return null;
  if (isPool(op) && p.some((cells, i) => 2 * cells > k[i])) return null; // PyTorch refuses
  const ceil = [false, ...(isPool(op) ? [true] : [])].find((mode) =>
    planAlike(plan(layer, { kind: "torch", p, extra, ceil: mode }), axes));
  return ceil === undefined ? null : { p, extra, ceil };
}

/**
 * One axis as a drawing: cells in a row, and windows over them. A convolution's windows read the
 * input, one for each output; a transposed one's write the output, one for each input.
 */
function geometry(layer, axes, i) {
  const transposed = layer.op === "transposed";
  return {
    before: axes[i].before,
    after: axes[i].after,
    cells: transposed ? axes[i].outputs : layer.n[i],
    windows: axes[i].outputs && (transposed ? layer.n[i] : axes[i].outputs),
    k: layer.k[i], s: layer.s[i], d: layer.d[i],
  };
}

/** The cells under window w; those outside 0 … cells - 1 are padding, or cropped. */
function taps(g, w) {
  return Array.from({ length: g.k }, (_, j) => w * g.s - g.before + j * g.d);
}

/** The input cells that output o reads; those outside 0 … n - 1 are padding. */
function reads(layer, axes, i, o) {
  const g = geometry(layer, axes, i);
  if (layer.op !== "transposed") return taps(g, o);
  const cell = o + g.before;
  const first = Math.max(0, Math.ceil((cell - (g.k - 1) * g.d) / g.s));
  const last = Math.min(g.windows - 1, Math.floor(cell / g.s));
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, w) => first + w)
    .filter((w) => (cell - w * g.s) % g.d === 0);
}

/** Whether some window of an axis has no tap in the input: dilation can step over all of it. */
function readsNothing(layer, axes, i) {
  const { cells, windows, k, s, d, before } = geometry(layer, axes, i);
  for (let w = 0; w < windows && w * s < before; w++) {
    const start = w * s - before;
    const first = ((start % d) + d) % d; // the first cell from 0 on that a tap may meet
    if (first >= cells || (first - start) / d >= k) return true;
  }
  return windows > 0 && (windows - 1) * s - before >= cells;
}

// ---- in words

/** "3" or "(3, 5)". */
function pair([a, b]) {
  return a === b ? `${a}` : `(${a}, ${b})`;
}

/** "6 × 6". */
function times([a, b]) {
  return `${a} × ${b}`;
}

/** "1 pixel", "2 pixels". */
function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The layer itself in words. */
function describe({ op, n, k, s, d }) {
  const dilation = Math.max(...d) > 1 ? `, dilation ${pair(d)}` : "";
  return `${OPERATIONS[op]}, input ${times(n)}, kernel ${pair(k)}, stride ${pair(s)}${dilation}`;
}

/** "padding=1, output_padding=1" or "padding=0, ceil_mode=True", as PyTorch's arguments. */
function symmetricName({ p, extra, ceil }) {
  const parts = [`padding=${pair(p)}`];
  if (Math.max(...extra) > 0) parts.push(`output_padding=${pair(extra)}`);
  if (ceil) parts.push("ceil_mode=True");
  return parts.join(", ");
}

/** The rule's name, with its numbers. */
function ruleName(layer, rule) {
  if (rule.kind === "torch") {
    const extra = layer.op === "transposed" ? outputPadding(layer, rule) : [0, 0];
    const ceil = rule.ceil && isPool(layer.op);
    return `PyTorch ${symmetricName({ p: symmetricPadding(layer, rule), extra, ceil })}`;
  }
  if (rule.kind === "pads") {
    const [rows, columns] = rule.pads.map((pads) => pads.join(", "));
    return rows === columns ? `pads (${rows})` : `pads ((${rows}), (${columns}))`;
  }
  return RULE_NAMES[rule.kind];
}

/** "pads 0 before and 1 after", or both axes. */
function amounts(layer, axes) {
  const one = ({ before, after }) => (after < 0
    ? `crops ${before} before and adds ${-after} after`
    : `${layer.op === "transposed" ? "crops" : "pads"} ${before} before and ${after} after`);
  const [rows, columns] = axes.map(one);
  return rows === columns ? rows : `${rows} (rows), ${columns} (columns)`;
}

/** Whether PyTorch's padding is d(k - 1)/2 and ONNX's SAME_LOWER, at a stride above 1. */
function isLower(layer, p) {
  const { n, k, s, d } = layer;
  return Math.max(...s) > 1 && AXES.every((i) => p[i] > 0 && 2 * p[i] === (k[i] - 1) * d[i] && (n[i] - 1) % s[i] < 2);
}

/**
 * What a framework says to this layer under its rule: the names of sentences in explorer.html, each
 * with what stands for "…" in it.
 */
function remarks(layer, rule, axes) {
  const { op, n, k, s, d } = layer;
  const { kind } = rule;
  const some = (test) => AXES.some(test);
  const strided = some((i) => s[i] > 1);
  const dilated = some((i) => d[i] > 1);
  const pool = isPool(op);
  const sparse = op === "transposed" && some((i) => s[i] > effectiveKernelSize(k[i], d[i]));
  const out = [];
  const say = (...note) => out.push(note);
  if (some((i) => axes[i].outputs === 0)) say("empty", ruleName(layer, rule));
  else if (pool && some((i) => readsNothing(layer, axes, i))) say("nothing");
  if ((kind === "same" || kind === "valid") && dilated) {
    if (pool) say("keras-pool");
    else if (strided) say(`keras-${op}`);
  }
  if (kind === "same" && op === "conv" && strided) say("torch-same");
  if (kind === "upper" || kind === "lower") {
    const name = ruleName(layer, rule).slice(5);
    const lack = Math.min(...AXES.map((i) => k[i] - 1 - ((n[i] - 1) % s[i])));
    if (op === "conv" && dilated) say("onnx-conv", name);
    else if (pool && dilated) say("onnx-pool", name);
    else if (op === "max" && lack < 0) say("onnx-max", name);
    else if (op === "avg" && lack < (kind === "upper" ? -1 : -2)) say("onnx-avg", name);
    else if (sparse && !dilated) say("onnx-transposed", times(AXES.map((i) => n[i] * s[i] + Math.min(0, k[i] - s[i]))));
  }
  if (kind === "valid" && sparse) say("valid-transposed");
  if (kind === "torch") {
    const p = symmetricPadding(layer, rule);
    if (pool && some((i) => 2 * p[i] > k[i])) {
      say("torch-pool", pair(k.map((size) => Math.floor(size / 2))) + (dilated ? ", its dilation not counted" : ""));
    }
    if (op === "avg" && dilated) say("torch-dilated");
    else if (op === "avg" && Math.max(...p) > 0) say("torch-avg");
    if (op !== "transposed" && !rule.ceil && isLower(layer, p)) {
      say(Math.max(...s) === 2 ? "lower" : "lower-here", Math.max(...d) === 1 ? "k // 2" : "d(k − 1)/2");
    }
  }
  if (kind === "pads" && some((i) => rule.pads[i][0] !== rule.pads[i][1])) say("pads");
  return out;
}

/** How far b's windows start from a's: "1 pixel earlier", along both axes or each. */
function shift(layer, a, b) {
  const [rows, columns] = AXES.map((i) => b[i].before - a[i].before);
  // A cell cropped and a cell added in front both move the windows towards the start.
  const one = (by, noun) => `${count(Math.abs(by), noun)} ${by > 0 ? "earlier" : "later"}`;
  if (rows === columns) return one(rows, "pixel") + " along both axes";
  return [rows && one(rows, "row"), columns && one(columns, "column")].filter(Boolean).join(" and ");
}

/** {equal, headline, text, notes}: the whole comparison in words. */
function verdict(layer, first, second) {
  const rules = [first, second];
  const plans = rules.map((rule) => plan(layer, rule));
  const names = rules.map((rule) => ruleName(layer, rule));
  const sizes = plans.map((axes) => axes.map((axis) => axis.outputs));
  const sameSize = pair(sizes[0]) === pair(sizes[1]);
  const moved = AXES.map((i) => plans[1][i].before - plans[0][i].before);
  const far = Math.max(...moved.map(Math.abs));
  const empty = sizes.some((size) => size.includes(0));
  const equal = !empty && planAlike(plans[0], plans[1]);

  let text = `${describe(layer)}. `;
  plans.forEach((axes, side) => {
    text += `${names[side]} ${amounts(layer, axes)}, output ${times(sizes[side])}. `;
  });
  let headline = "Equal.";
  if (empty) headline = "No output.";
  else if (!sameSize) headline = "Different sizes.";
  else if (far) headline = `Shifted by ${count(far, "pixel")}.`;
  if (equal) text += "Every window is in the same place. ";
  else if (!empty && far) {
    text += `${sameSize ? "The shapes agree, and every" : "Every"} window of ${names[1]} starts ${shift(layer, plans[0], plans[1])}. `;
  }
  const side = first.kind !== "torch" ? 0 : second.kind !== "torch" ? 1 : -1;
  if (side >= 0 && !sizes[side].includes(0)) {
    const found = symmetric(layer, plans[side]);
    text += found
      ? `Symmetric ${symmetricName(found)} equals ${names[side]}.`
      : `No symmetric padding equals ${names[side]}.`;
  }
  const notes = rules.flatMap((rule, i) => remarks(layer, rule, plans[i]));
  return { equal, headline, text: text.trim(), notes };
}

