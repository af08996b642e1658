/*
 * The audit: a graph of readers.js as rows, one for each convolution, pool and transposed layer, and
 * what a swap of TensorFlow's SAME and PyTorch's symmetric padding would do to it. Chapter 16 gives
 * the same rows and says what each field means. Pure functions on the explorer's padding.js.
 */
const STEPS = 1e5; // windows looked at along one axis
const NOTHING = { pads: null, count: null, shift: null, same: null, symmetric: null, lower: null };
const RULES = ["same", "symmetric", "lower"];
const ROW = new Set([22, 43, 70]); // TFLite's RESHAPE, SQUEEZE, EXPAND_DIMS

/** Whether a window of k taps from `start` on meets a cell from `low` to `high`: those it meets. */
function met(start, low, high, { k, d }) {
  const first = Math.max(0, Math.ceil((low - start) / d));
  const last = Math.min(k - 1, Math.floor((high - start) / d));
  return first <= last ? `${start + first * d} ${start + last * d}` : "";
}

/** The first of a plan's windows for which `test(start)` holds; null where there are too many. */
function some(count, test) {
  for (let w = 0; w < count; w++) {
    if (w > STEPS) return null;
    if (test(w)) return true;
  }
  return false;
}

/** Whether two plans read the same cells. */
function equal(a, b, axis) {
  const { n, s, pool } = axis;
  if (a.count !== b.count) return false;
  if (a.before === b.before) return true;
  const cells = (plan, w) => met(w * s - plan.before, 0, n - 1, axis);
  const differ = some(a.count, (w) => (pool ? cells(a, w) !== cells(b, w) : cells(a, w) || cells(b, w)));
  return differ === null ? null : !differ;
}

/** Whether some window of a plan reads one of the cells padded as far as [before, after]. */
function reads({ before, count }, [low, high], axis) {
  const { n, s } = axis;
  return some(low > 0 ? count : 0, (w) => met(w * s - before, -low, -1, axis))
    || some(high > 0 ? count : 0, (w) => met((count - 1 - w) * s - before, n, n + high - 1, axis));
}

/** One axis of a convolution or pool: {pads, count, same, symmetric, lower, shift}. */
function forward({ pad, own, folded, zeros, op, ceil, counted, cut: [front, behind] }, axis) {
  const { n, k, s, d } = axis;
  const reach = effectiveKernelSize(k, d);
  const planned = ([before, after]) => ({ before, after, count: outputSize(n, k, s, d, [before, after]) });
  const [low, high] = samePadding(n, k, s, d);
  const same = planned([low, high]);
  const plan = planned({ same: [low, high], lower: [high, low] }[pad] || pad);
  const written = [plan.before, plan.after];
  let left;
  if (ceil) {
    plan.count = Math.max(0, Math.ceil((n + plan.before + plan.after - reach) / s) + 1);
    if ((plan.count - 1) * s >= n + plan.before && --plan.count > 0) left = "opset";
    plan.after = Math.max(plan.after, (plan.count - 1) * s + reach - n - plan.before);
  }
  plan.before -= front * s;
  plan.count = Math.max(0, plan.count - front - behind);
  if (front || behind) plan.after = (plan.count - 1) * s + reach - n - plan.before;
  const p = plan.before;
  const even = p >= 0 && !(axis.pool && p > Math.floor(reach / 2)) && equal(plan, planned([p, p]), axis);
  const found = { ...NOTHING, pads: [plan.before, plan.after], count: plan.count, note: plan.count ? left : "no-output" };
  const half = even ? p : Math.floor((reach - 1) / 2);
  if (planned([half, half]).count === same.count) found.shift = half - low;
  if (!plan.count) return found;
  const inPool = op === "max_pool" ? folded : op === "avg_pool" && (counted ? written : folded);
  const held = inPool && reads(plan, inPool, axis) && zeros;
  const mixed = op === "avg_pool" && !counted && Math.max(...own) > 0 && reads(plan, folded, axis);
  const not = (bad, value) => (bad ? false : value && bad == null ? null : value);
  found.same = not(held, equal(plan, same, axis));
  found.lower = not(held, equal(plan, planned([high, low]), axis));
  found.symmetric = not(op === "max_pool" ? held : mixed, even);
  if (held !== false) found.note = held ? op : "sign";
  return found;
}

/** An axis of unknown size: one size for each residue of n - 1. */
function anySize(layer, axis) {
  const { k, s, d } = axis;
  if (s > 64) return { ...NOTHING, note: "stride" };
  const written = Array.isArray(layer.pad) ? layer.pad : [0, 0];
  const from = 4 * (effectiveKernelSize(k, d) + s) + 2 * (Math.abs(written[0]) + Math.abs(written[1]));
  const all = listOf(s, (r) => {
    const n = from + ((r + 1 - from) % s + s) % s;
    return forward(layer, { ...axis, n });
  });
  const one = (key) => (all.every((each) => `${each[key]}` === `${all[0][key]}`) ? all[0][key] : null);
  const found = { ...NOTHING, pads: one("pads"), shift: one("shift"), note: (all.find((each) => each.note) || {}).note };
  for (const rule of RULES) {
    const where = all.flatMap((each, r) => (each[rule] ? [r] : []));
    found[rule] = where.length === s ? true : all.some((each) => each[rule] === null) ? null
      : where.length ? `(n - 1) mod ${s} = ${where.join(", ")}` : false;
  }
  return found;
}

/** Axis i of a transposed convolution, cut further behind: m = (n - 1)s + c cells are left of it. */
function transposed({ pad, extra = [], beyond }, { n, k, s, d }, i, [front, behind], told) {
  const reach = effectiveKernelSize(k, d);
  const left = beyond(n, i, told);
  if (left === null) return NOTHING;
  const half = Math.max(0, reach + (extra[i] || 0) - left) / 2;
  const before = front + ({ same: Math.floor(half), lower: Math.ceil(half) }[pad] ?? pad[i][0]);
  const c = left - front - behind;
  const after = reach - c - before;
  const total = Math.max(0, reach - c);
  const low = Math.floor(total / 2), high = Math.ceil(total / 2);
  const fits = c >= 1 && c <= s;
  const symmetric = before >= 0 && before - after >= 0 && before - after < Math.max(s, d);
  return {
    pads: [before, after], count: n && Math.max(0, (n - 1) * s + c),
    note: fits && before === low && c !== s ? "own-size" : "",
    same: fits && before === low, lower: fits && before === high, symmetric,
    shift: fits ? (symmetric ? before : high) - low : null,
  };
}

/** A layer's verdict from those of its axes. */
function together(verdicts) {
  if (verdicts.includes(false)) return false;
  if (verdicts.includes(null)) return null;
  const said = verdicts.flatMap((one, i) => (one === true ? [] : [[one, i]]));
  if (!said.length) return true;
  const alike = said.length === verdicts.length && said.every(([one]) => one === said[0][0]);
  return `equal where ${alike ? said[0][0] : said.map(([one, i]) => `axis ${i}: ${one}`).join("; ")}`;
}

// ---- through the graph

const at = (jump, i) => (jump ? jump[i] === undefined ? 1 : jump[i] : null);
const offset = ({ first }) => (first ? 2 : 1);

/** The sizes along the spatial axes, unknown ones null. */
function inside(shape, node, rank) {
  const sizes = shape && shape.slice(offset(node), node.first ? undefined : -1);
  return sizes && (!rank || sizes.length === rank) ? sizes : Array(rank || 0).fill(null);
}

/** A shape with other spatial sizes. */
function shaped(shape, sizes, { first, channels }) {
  const [batch, depth] = shape ? [shape[0], channels ?? shape.at(first ? 1 : -1)] : [null, channels ?? null];
  return first ? [batch, depth, ...sizes] : [batch, ...sizes, depth];
}

/** The shape of a node's output, as far as those of its inputs tell it. */
function shapeAfter(node, shapes) {
  const [shape] = shapes;
  const { op } = node;
  if (op === "keep") return shape;
  if (op === "shape") return node.shape;
  if (!shape || shapes.some((one) => !one)) return undefined;
  if (op === "merge") {
    const rank = Math.max(...shapes.map((one) => one.length));
    return listOf(rank, (i) => {
      const sizes = shapes.map((one) => (i < rank - one.length ? 1 : one[i - rank + one.length]));
      return sizes.find((size) => size > 1) ?? (sizes.includes(null) ? null : 1);
    });
  }
  if (op === "concat") {
    const axis = node.axis < 0 ? node.axis + shape.length : node.axis;
    return shape.map((_, i) => {
      const sizes = shapes.map((one) => one[i] ?? NaN);
      return whole(i === axis ? sizes.reduce((a, b) => a + b) : sizes.find(Boolean));
    });
  }
  const { by, factors } = node;
  if (op === "pad") return shape.map((n, i) => n && by && whole(by[i] ? n + by[i][0] + by[i][1] : NaN));
  if (op !== "scale") return undefined;
  return shaped(shape, inside(shape, node).map((n, i) => n && whole(factors ? Math.floor(n * factors[i] + 1e-6) : NaN)), node);
}

/** The cells that a Pad adds, or a crop cuts off, along a layer's spatial axes, and whether it does so on others. */
function along({ by }, node) {
  const at = offset(node);
  const pads = by.slice(at, at + node.k.length);
  return [pads, [...by.slice(0, at), ...by.slice(at + node.k.length)].flat().some(Boolean)];
}

const none = (cells) => cells.every((one) => one <= 0);

/** Pixels of the model's input per cell of a node's output, along every axis. */
function jumpAfter(node, shapes, jumps, out) {
  const [shape] = shapes, [jump] = jumps;
  const { op, perm, factors } = node;
  if (op === "keep" || op === "pad") return jump;
  if (perm) return perm.map((i) => at(jump, i));
  if (!out || (node.lost && `${shape}` !== `${out}`)) return null;
  return out.map((n, i) => {
    if (op === "scale") {
      const factor = factors && factors[i - offset(node)];
      return at(jump, i) && (shape && shape[i] && n ? at(jump, i) * shape[i] / n : factor ? at(jump, i) / factor : null);
    }
    const ways = jumps.filter((one, j) => at(one, i) && shapes[j] && shapes[j].length === out.length && shapes[j][i] === n)
      .map((one) => at(one, i));
    return ways.length && ways.every((way) => way === ways[0]) ? ways[0] : null;
  });
}

/** The rows of a graph. */
function audit(graph) {
  const shapes = new Map(graph.shapes);
  const makers = new Map();
  const facts = new Map([...graph.open.keys()].map((key) => [key, { low: true, edges: [], jump: [] }])); // [] is 1 along every axis
  const uses = new Map();
  for (const key of [...graph.ends, ...graph.ends, ...graph.nodes.flatMap(({ from }) => from)]) uses.set(key, (uses.get(key) || 0) + 1);
  const blocks = new Set(); // tensors between a split and its join
  const rows = [];
  for (const one of graph.nodes) {
    const node = one.read ? { ...one, ...one.read(shapes) } : one;
    const { from, to: [y], op } = node;
    let maker = node;
    node.blocked = op !== "join" && from.some((key) => blocks.has(key));
    if (node.blocked || op === "split") for (const key of node.to) blocks.add(key);
    let layer = node.k && !node.blocked && windowRow(node);
    const atRun = layer === null;
    if (layer) node.row = rows.push(layer.row) - 1;
    else if (op === "unknown" || node.k) node.row = rows.push({ ...NOTHING, kind: "unknown", name: node.name, type: node.type, note: node.note || (atRun ? "late" : "blocks") }) - 1;
    const before = makers.get(from[0]);
    const inBlocks = op === "join" && dilated(node);
    if (inBlocks) {
      const { of, from: [x], by, pads: added } = inBlocks;
      const one = (list) => list.slice(-by.length);
      maker = Object.assign(of, { x, to: node.to, blocked: false, declared: "SPACE_TO_BATCH_ND", k: one(of.k), s: one(of.s),
        d: one(of.d).map((d, i) => d * by[i]), pad: added.map((pair, i) => pair.map((cells, j) => cells - node.pads[i][j])) });
      layer = windowRow(of);
      rows[of.row] = layer.row;
    }
    const [pads, elsewhere] = op === "pad" && node.by && before && rows[before.row] && rows[before.row].kernel_size && uses.get(from[0]) === 1
      ? along(node, before) : [];
    if (pads && node.value === 0 && !elsewhere && none(pads.flat()) && pads.length === before.k.length) {
      maker = before; // a crop right behind a layer is part of it
      before.cut = before.k.map((_, i) => [0, 1].map((j) => ((before.cut || [])[i] || [0, 0])[j] - (pads[i] || [0, 0])[j]));
      layer = windowRow(before);
      rows[before.row] = layer.row;
    }
    const inputs = from.map((key) => shapes.get(key));
    const told = shapes.get(y);
    const made = layer ? layer.shape : shapeAfter(node, inputs);
    const out = made && told && made.length === told.length ? made.map((n, i) => n ?? told[i]) : made || told;
    if (out) shapes.set(y, out);
    const ways = from.map((key) => fact(key).jump);
    const jump = layer ? layer.jump : ways.some((way) => way !== undefined) ? jumpAfter(node, inputs, ways, out) : undefined;
    const known = { jump, ...learned(maker, inputs[0], out) };
    for (const key of node.to) {
      makers.set(key, maker);
      facts.set(key, known);
    }
  }
  return rows;

  /** What is known of a tensor, nothing of a constant. */
  function fact(key) {
    return facts.get(key) || {};
  }

  /**
   * What is known of a node's outputs beside their shape: `low`, true, false or null, and by axis what may have put
   * cells around them, `edges`; none for what is computed of constants.
   */
  function learned(node, before, after) {
    const { op, by, perm, from } = node;
    const several = /merge|concat/.test(op);
    const [first, ...others] = (several ? from : [node.x ?? from[0]]).map((key) => fact(key).low);
    let { low = node.k || perm || /pad|concat/.test(op) ? "as" : null } = node;
    // A depthwise layer may be a blur.
    if (low === "as") low = /^conv/.test(op) || (others.every((one) => one === first) && (first || op !== "depthwise") ? first : null);
    const given = from.map((key) => fact(key).edges).filter(Boolean);
    // Zeros in a sum, or beside others, are zeros if all are; in a product if one is.
    const kept = node.k || op === "unknown" || several && !/^mul/i.test(node.type) && !given.every((edges) => edges.some(Boolean)) ? [] : given;
    const old = (i) => kept.map((edges) => edges[i]).find(Boolean);
    const moved = !several && !/pad|scale/.test(op) && !(after && `${before}` === `${after}`);
    const axis = node.axis < 0 ? node.axis + (before || []).length : node.axis;
    const adds = (i) => node.inside || i === axis || (op === "pad" && (!by || (by[i] || []).some((cells) => cells > 0)));
    const edge = (i) => (adds(i) ? node : perm ? old(perm[i]) : moved ? kept.flat().find((one) => one && !one.axis) : old(i));
    return { low, edges: (given[0] || node.inside) && listOf(8, edge) };
  }

  /**
   * The split of a dilated convolution, `of` it the layer, which TFLite writes as a split, a VALID layer and
   * the join; in 1-D with one row put in before the layer and taken out behind it. Nothing for anything else.
   */
  function dilated(join) {
    const { from: [end], by, pads } = join;
    const flat = by && by.length === 1;
    const row = (node) => flat && node && (ROW.has(node.code) ? node : {});
    const rowless = (key) => `${(shapes.get(key) || []).filter((_, i) => i !== 1)}`;
    const behind = row(makers.get(end)) || { from: [end] };
    const of = makers.get(behind.from && behind.from[0]);
    if (!by || !of || /pool|trans/.test(of.op) || `${of.s}` !== "1,1" || of.pad === "same") return undefined;
    const front = row(makers.get(of.x)) || { from: [of.x] };
    const split = makers.get(front.from && front.from[0]);
    if (!split || split.op !== "split" || `${split.by}` !== `${by}` || ![pads, split.pads].every(({ length }) => length === by.length)) return undefined;
    if (![end, behind.from[0], of.x, front.from[0]].every((key) => uses.get(key) === 1)) return undefined;
    const fits = flat ? of.k[0] === 1 && [[of.x, front.from[0]], [behind.from[0], end]].every(([two, one]) =>
      rowless(two) === `${shapes.get(one)}` && shapes.get(two)[1] === 1) : by.length === 2;
    return fits && { ...split, of };
  }

  /** The Pads right before a layer as one: {pads, value, from}, and `left`, one that is no padding of the layer. */
  function padsBefore(node, x) {
    const sides = (read) => node.k.map((_, i) => [0, 1].map((j) => read(i, j)));
    // Before a ConvInteger or a QLinearConv a 0 may stand for something else.
    const own = Array.isArray(node.pad) && !node.ceil && !/trans|Int|QL/.test(node.op + node.type) && node.pad;
    const found = { from: x, pads: sides(() => 0), value: null };
    let cut = found.pads, added = sides((i, j) => own && own[i][j] > 0);
    let pad = makers.get(x);
    for (; pad && pad.op === "pad" && pad.by; pad = makers.get(pad.from[0])) {
      const { by, value } = pad;
      const [pads, elsewhere] = along(pad, node);
      const crop = none(by.flat());
      if (by.flat().includes(NaN) || pads.length < node.k.length || (crop ? elsewhere : !pads.flat().some(Boolean))) break;
      cut = sides((i, j) => cut[i][j] + pads[i][j]);
      if (crop) continue; // it counts if a Pad stands before it
      const filler = value <= -3e38 && node.op === "max_pool" ? -Infinity : value;
      const good = own && !elsewhere && (filler === 0 || filler === -Infinity && node.op === "max_pool") && [null, filler].includes(found.value)
        && sides((i, j) => !(added[i][j] && Math.min(pads[i][j], cut[i][j] - pads[i][j]) < 0)).flat().every(Boolean);
      if (!good) break;
      Object.assign(found, { pads: sides((i, j) => found.pads[i][j] + cut[i][j]), value: filler, from: pad.from[0] });
      added = sides((i, j) => added[i][j] || pads[i][j] > 0);
      cut = sides(() => 0);
    }
    return { ...found, left: (fact(found.from).edges || []).slice(offset(node)).slice(0, node.k.length).find(Boolean) };
  }

  /** {row, shape, jump} of a layer with windows. */
  function windowRow(node) {
    const x = node.x ?? node.from[0];
    const back = node.op === "conv_transpose";
    const { pads, value, from: source, left } = padsBefore(node, x);
    const pad = value !== null;
    const { k, s, d } = node;
    const size = inside(shapes.get(source), node, k.length);
    const maker = makers.get(source);
    if (maker && maker.op === "pad" && maker.value === undefined) return null; // its numbers are no constants
    const axes = k.map((_, i) => {
      const axis = { n: size[i], k: k[i], s: s[i], d: d[i], pool: node.op.endsWith("pool") };
      const cut = (node.cut || [])[i] || [0, 0];
      if (back) {
        return transposed(node, axis, i, cut, inside(shapes.get(node.to[0]), node, k.length)[i]);
      }
      const own = Array.isArray(node.pad) ? node.pad[i] : node.pad;
      const folded = pads[i];
      const layer = {
        ...node, own: pad ? own : [0, 0], folded, cut, zeros: node.op === "avg_pool" || value === 0 && fact(x).low,
        pad: pad ? [own[0] + folded[0], own[1] + folded[1]] : own,
      };
      return axis.n ? forward(layer, axis) : anySize(layer, axis);
    });
    const jump = k.map((_, i) => at(fact(source).jump, i + offset(node)));
    const all = (key) => axes.map((axis) => axis[key]);
    const row = {
      name: node.name, type: node.type, kind: node.op, input_size: size, output_size: all("count"),
      kernel_size: k, stride: s, dilation: d, pads: all("pads"), shift: all("shift"), jump,
      declared: pad ? `a Pad + ${node.declared}` : node.declared,
      note: all("note").find(Boolean) || (value === -Infinity ? "lowest" : ""), cropped: Boolean(node.cut),
      shift_pixels: axes.map(({ shift }, i) => (shift ? jump[i] && shift * jump[i] / (back ? s[i] : 1) : shift)),
    };
    for (const rule of RULES) row[rule] = left ? null : together(all(rule));
    if (left) {
      row.shift = row.shift_pixels = k.map(() => null);
      row.note = ["left", left.type || "a Pad", left.name];
    }
    const after = jump.map((pixels, i) => pixels && (back ? pixels / s[i] : pixels * s[i]));
    return { row, shape: shaped(shapes.get(source), all("count").map(whole), node), jump: node.first ? [1, 1, ...after] : [1, ...after, 1] };
  }
}
