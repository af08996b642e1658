/*
 * A model's file as a graph: {format, nodes, shapes, open, ends, skipped}. `shapes` (a Map by tensor) holds
 * what the file says of sizes, null for one it leaves open; `open` are the model's inputs, `ends` its
 * outputs, `skipped` counts parts of the graph that are not looked into. A node is {op, type, name,
 * from, to, first} and, by what it does:
 *   conv depthwise max_pool avg_pool: k, s, d, pad ("same", "lower" or [[before, after], ...]), ceil, counted
 *   conv_transpose: k, s, d, pad, beyond(n, i, m): the outputs beyond (n - 1)s, for input size n and output
 *   size m if the file says it; null if it does not
 *   pad: by, [before, after] of every axis (NaN: not known; all negative: a crop), and value: NaN for
 *   another mode; undefined for a Pad that is computed     unknown: note, the name of a sentence of audit.html,
 *   or a list of it and of what stands for every "…" in it
 *   split join: TFLite's SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, by blocks, pads added or cropped
 *   keep merge concat scale shape: how shapes go through; without an op the file must know.
 * `first` says that channels come first, `inside` that a node holds a graph not looked into, `low` whether
 * outputs are below 0: false if none is, true if some surely are, "as" if that is as in the input, null if
 * nobody knows; where it is not given, rows.js tells by `op`.
 *
 * Weights are stepped over by their length. No length in the file is believed: every offset is
 * checked, each entry and letter read is paid from `left`, and whatever is wrong becomes an
 * Unreadable with a sentence for the reader.
 */
const MOST = 2e7; // entries and letters of a graph; a network of 10,000 layers has 1e6
const CONFIG = 2 ** 24; // bytes of config.json; the largest of keras.applications has 1e6
let left;

/** A file that cannot be read; the message names the sentence of audit.html that says why. */
class Unreadable extends Error {}

/** Give up with a sentence. */
function fail(name) {
  throw new Unreadable(name);
}

/** Pay for what is read. */
function spend(cost) {
  left -= cost;
  if (!(left >= 0)) fail("claims");
}

/** What `make` makes of 0, 1, ... below a length. */
function listOf(length, make) {
  return Array.from({ length }, (_, i) => make(i));
}

/** The text of some bytes, or how it begins. */
function text(view, start, end) {
  const length = Math.min(end - start, 10000);
  spend(length);
  return new TextDecoder().decode(new Uint8Array(view.buffer, start, length));
}

// ---- ONNX: protobuf

const FEW = 64; // numbers kept of a list: no shape has more
const INT = 0, TEXT = 1, FLOAT = 2, BYTES = 3;
const TENSOR = { 1: ["dims", INT], 2: ["type", INT], 4: ["floats", FLOAT], 7: ["ints", INT], 8: ["name", TEXT], 9: ["raw", BYTES] };
const ATTRIBUTE = { 1: ["name", TEXT], 2: ["f", FLOAT], 3: ["i", INT], 4: ["s", TEXT], 5: ["t", TENSOR], 6: ["g", BYTES], 7: ["floats", FLOAT], 8: ["ints", INT], 20: ["type", INT] };
const NODE = { 1: ["from", TEXT], 2: ["to", TEXT], 3: ["name", TEXT], 4: ["op", TEXT], 5: ["attributes", ATTRIBUTE], 7: ["domain", TEXT] };
const DIMENSION = { 1: ["size", INT] };
const TYPE = { 1: ["tensor", { 2: ["shape", { 1: ["dims", DIMENSION] }] }] };
const VALUE = { 1: ["name", TEXT], 2: ["type", TYPE] };
const GRAPH = { 1: ["nodes", NODE], 5: ["tensors", TENSOR], 11: ["inputs", VALUE], 12: ["outputs", VALUE], 13: ["values", VALUE] };
const READ = { // by ONNX's number of the type: float32, int32, int64
  1: (view, at) => view.getFloat32(at, true),
  6: (view, at) => view.getInt32(at, true),
  7: (view, at) => Number(view.getBigInt64(at, true)),
};
const MODEL = { 1: ["version", INT], 7: ["graph", GRAPH], 25: ["functions", BYTES] };

/** A number of up to 64 bits at `at.here`; its lower ones are exact, a negative one too. */
function varint(view, at, end) {
  let value = 0, complement = 0;
  for (let i = 0, scale = 1; i < 10; i++, scale *= 128) {
    if (at.here >= end) fail("cut");
    const byte = view.getUint8(at.here++);
    if (i === 9) return -complement - 1;
    value += (byte & 127) * scale;
    complement += (127 - (byte & 127)) * scale;
    if (byte < 128) break;
  }
  return value;
}

/** A message's known fields, each as a list; unknown ones are stepped over. */
function message(view, start, end, schema) {
  const found = {};
  const at = { here: start };
  for (const [name] of Object.values(schema)) found[name] = [];
  while (at.here < end) {
    spend(1);
    const tag = varint(view, at, end);
    const [name, type] = schema[Math.floor(tag / 8)] || [];
    const kind = tag % 8;
    const list = name ? found[name] : [];
    if (kind === 0) {
      list.push(varint(view, at, end));
    } else if (kind === 2) {
      const length = varint(view, at, end);
      const from = at.here;
      const to = from + length;
      if (!(to >= from && to <= end)) fail("cut");
      if (type === INT) {
        while (at.here < to && list.length < FEW) list.push(varint(view, at, to));
      } else if (type === FLOAT) {
        for (let i = from; i + 4 <= to && list.length < FEW; i += 4) list.push(view.getFloat32(i, true));
      } else if (name) {
        list.push(type === TEXT ? text(view, from, to) : type === BYTES ? [from, to] : message(view, from, to, type));
      }
      at.here = to;
    } else if (kind === 5 || kind === 1) {
      at.here += kind === 5 ? 4 : 8;
      if (at.here > end) fail("cut");
      if (kind === 5) list.push(view.getFloat32(at.here - 4, true));
    } else {
      fail("foreign");
    }
  }
  return found;
}

/** The sizes of a tensor's type, null where the file leaves one open; undefined without a rank. */
function shapeOf({ type }) {
  const shape = type[0] && type[0].tensor[0] && type[0].tensor[0].shape[0];
  return shape && shape.dims.map((dim) => whole(dim.size[0]));
}

/** A size that can be one, or null. */
function whole(size) {
  return Number.isInteger(size) && size > 0 && size < 2 ** 31 ? size : null;
}

/** The numbers of a small constant, or undefined. */
function constant(view, { dims, type: [type], ints, raw, floats }) {
  const length = product(dims);
  if (!(length <= FEW) || !(type in READ)) return undefined;
  const size = type === 7 ? 8 : 4;
  const [start, end] = raw[0] || [0, 0];
  const given = raw.length ? listOf(Math.floor((end - start) / size), (i) =>
    READ[type](view, start + size * i)) : [...floats, ...ints];
  return given.length === length ? given : undefined;
}

// Operators and layers of one cell, or of a cell and its neighbours in the channels; ONNX's and Keras's names.
// Of the first group no output is below 0; of the second it is where the input is; of the third some are.
const KEEP = /^(?:(relu6?|(?:hard_?)?sigmoid|softmax|softplus|exp|abs|sqrt)|(identity|linear|\w*dropout(?:\dD)?|(?!th)\w*(?:elu|ilu|ish|sign|tanh)|dequantizelinear)|activ\w+|gaussian\w+|cast|ceil|clip|quantizelinear|thresholdedrelu|erf|floor|log|logsoftmax|lrn|neg|((?:batch|instance|layer|group)normalization)|\w*normalization|rescaling|round)$/i;
const MERGE = words("Add Div Max Mean Min Mod Mul Pow Sub Sum Where");
const WINDOWS = {
  Conv: ["conv", 1], ConvInteger: ["conv", 1], QLinearConv: ["conv", 3], MaxPool: ["max_pool"],
  AveragePool: ["avg_pool"], ConvTranspose: ["conv_transpose", 1],
};
const UNKNOWN = words("LpPool DeformConv MaxRoiPool MaxUnpool Col2Im");
const LOOSE = /conv|pool/i;

/** How many cells a shape has. */
function product(sizes) {
  return sizes.reduce((x, y) => x * y, 1);
}

/** What reads windows in a way that is not known, and why. */
function unknown(note) {
  return { op: "unknown", note };
}

/** `low` of an operator, layer or activation. */
function lowOf(name) {
  const [, never, sign, norm] = KEEP.exec(name) || [];
  return never ? false : sign ? "as" : norm ? true : null;
}

/** A set of words. */
function words(list) {
  return new Set(list.split(" "));
}

/** [[b, a], ...] of [b, b, ..., a, a, ...]. */
function pairs(pads, rank = pads.length / 2) {
  return listOf(rank, (i) => [pads[i] || 0, pads[i + rank] || 0]);
}

/** Cells added, or cut off, along some of the axes. */
function padding(rank, axes, pair, value = 0) {
  const by = listOf(rank, () => [0, 0]);
  axes.forEach((axis, i) => { by[axis < 0 ? axis + rank : axis] = pair(i) || [NaN, NaN]; });
  return { op: "pad", by, value };
}

/** What an ONNX operator does, in the words above. */
function onnxNode({ type, from, to, a, first }, shapes, values) {
  const value = (i) => values.get(from[i]);
  const shape = shapes.get(from[0]);
  if (Object.hasOwn(WINDOWS, type)) {
    const [op, at] = WINDOWS[type];
    const weight = shapes.get(from[at]) || [];
    const k = a.kernel_shape || weight.slice(2);
    const ones = k.map(() => 1);
    const { strides: s = ones, dilations: d = ones, auto_pad: auto = "NOTSET", pads = [], output_padding: extra = [], output_shape: sizes } = a;
    if (!k.length || k.length > 3 || ![k, s, d].every((list) => list.length === k.length && list.every(whole))) {
      return unknown("kernel");
    }
    const explicit = pairs(auto === "NOTSET" ? pads : [], k.length);
    const node = {
      op: op === "conv" && a.group > 1 && weight[1] === 1 ? "depthwise" : op, k, s, d,
      pad: { SAME_UPPER: "same", SAME_LOWER: "lower" }[auto] || (sizes ? "lower" : explicit), extra,
      declared: auto === "NOTSET" ? `pads ${explicit.join(" ")}` : auto,
      ceil: a.ceil_mode === 1 && !auto.startsWith("SAME"), counted: a.count_include_pad === 1,
      channels: op === "conv" ? weight[0] : null, low: at === 3 ? null : undefined,
    };
    node.beyond = (n, i) => {
      if (sizes) return n && sizes[sizes.length - k.length + i] - (n - 1) * s[i];
      return auto.startsWith("SAME") ? s[i] : effectiveKernelSize(k[i], d[i]) - explicit[i][0] - explicit[i][1] + (extra[i] || 0);
    };
    return node;
  }
  if (UNKNOWN.has(type)) return unknown("rule");
  if (KEEP.test(type)) return { op: "keep", low: type === "Clip" && (a.min ?? (value(1) || [])[0]) >= 0 ? false : lowOf(type) };
  if (MERGE.has(type)) return { op: "merge" };
  if (type === "Concat") return { op: "concat", axis: a.axis };
  if (type === "Pad") {
    const given = a.pads || value(1);
    const rank = shape ? shape.length : given ? given.length / 2 : 0;
    const all = given && pairs(given);
    const axes = from[3] ? value(3) : all && all.map((_, i) => i);
    const filler = (a.mode || "constant") === "constant" ? a.value ?? (from[2] ? (value(2) || [])[0] : 0) : NaN;
    if (!all || !axes || !rank || filler === undefined) return { op: "pad", value: Number.isNaN(filler) ? NaN : undefined };
    return padding(rank, axes, (i) => all[i], filler);
  }
  if (type === "Slice" && shape) {
    const [starts, ends] = from[1] ? [value(1), value(2)] : [a.starts, a.ends];
    const axes = a.axes || (from[3] ? value(3) : (starts || []).map((_, i) => i));
    const steps = from[4] ? value(4) : [1];
    if (!starts || !ends || !axes || !steps) return {};
    if (steps.some((step) => step !== 1)) {
      return { op: "shape", lost: true, shape: shape.map((n, i) => {
        const j = axes.findIndex((axis) => i === (axis < 0 ? axis + shape.length : axis));
        return j < 0 || !n ? n : whole(sliced(n, starts[j], ends[j], steps[j])[1]);
      }) };
    }
    return padding(shape.length, axes, (i) => {
      const n = shape.at(axes[i]);
      const front = starts[i] < 0 ? n && starts[i] + n : starts[i];
      const behind = ends[i] < 0 ? -ends[i] : ends[i] >= 2 ** 31 - 1 ? 0 : n && Math.max(0, n - ends[i]);
      return front === null || behind === null ? [NaN, NaN] : [-front, -behind];
    });
  }
  if (type === "Resize" || type === "Upsample") {
    const sizes = value(3);
    const factors = sizes ? sizes.map((n, i) => n / (shape || [])[i]) : a.scales || value(type === "Resize" && from.length > 2 ? 2 : 1) || [];
    return { op: "scale", factors: factors.slice(2) };
  }
  const axes = a.axes || value(1);
  const has = (i, rank) => axes.includes(i) || axes.includes(i - rank);
  const global = type.startsWith("Global");
  if (global || type.startsWith("Reduce")) {
    if (!shape || (!global && (a.keepdims === 0 || !axes))) return {};
    return { op: "shape", shape: shape.map((n, i) => ((global ? i > 1 : has(i, shape.length)) ? 1 : n)) };
  }
  if (type === "Reshape" && value(1)) {
    const known = shape && shape.every(Boolean) ? product(shape) : NaN;
    const wanted = value(1).map((n, i) => (n === 0 ? (shape || [])[i] : n));
    const rest = product(wanted.filter((n) => n !== -1));
    return { op: "shape", lost: true, shape: wanted.map((n) => whole(n === -1 ? known / rest : n)) };
  }
  if (type === "Squeeze" && shape && axes) return { op: "shape", lost: true, shape: shape.filter((_, i) => !has(i, shape.length)) };
  if (type === "Unsqueeze" && shape && axes) {
    const rest = [...shape];
    const rank = rest.length + axes.length;
    return { op: "shape", lost: true, shape: listOf(Math.min(8, rank), (i) => (has(i, rank) ? 1 : rest.shift() ?? null)) };
  }
  if (type === "Transpose" && a.perm) return { op: "shape", perm: a.perm, shape: shape && a.perm.map((i) => shape[i] ?? null) };
  if (type === "ConstantOfShape" && value(0)) return { op: "shape", shape: value(0).map(whole) };
  if (type === "Split" && shape) {
    return { op: "shape", shape: shape.map((n, i) => (i === a.axis || i === a.axis + shape.length ? null : n)) };
  }
  if (type === "MatMul" && shape && shapes.get(from[1])) {
    return { op: "shape", lost: true, shape: [...shape.slice(0, -1), shapes.get(from[1]).at(-1) ?? null] };
  }
  if (type === "SpaceToDepth" || type === "DepthToSpace") {
    const by = type === "SpaceToDepth" ? 1 / a.blocksize : a.blocksize;
    return shape ? { op: "scale", factors: shape.slice(2).map(() => by) } : {};
  }
  return {};
}

/** The first of n cells that a slice takes, and how many it takes. */
function sliced(n, start, end, step) {
  const low = step < 0 ? -1 : 0;
  const [first, last] = [start, end].map((i) => Math.max(low, Math.min(n + low, i < 0 ? i + n : i)));
  return [first, Math.max(0, Math.ceil((last - first) / step)) || 0];
}

/** {numbers, dims} of a small constant made by a node: exporters compute the pads of a Pad so. */
function folded({ type, from, a }, shapes, values, filler) {
  const [numbers, second, ends, , steps] = from.map((name) => values.get(name));
  const dims = shapes.get(from[0]);
  if (!numbers || !dims || numbers.length > FEW) return null;
  if (type === "Cast" || type === "Identity") return { numbers, dims };
  if (type === "ConstantOfShape") {
    const length = product(numbers);
    return length <= FEW && length >= 0 ? { numbers: Array(length).fill(filler()), dims: numbers } : null;
  }
  if (type === "Concat" && dims.length === 1) {
    const all = from.flatMap((name) => values.get(name) || [NaN]);
    return all.includes(NaN) ? null : { numbers: all, dims: [all.length] };
  }
  if (type === "Reshape" && second) {
    const rest = product(second.filter((n) => n !== -1));
    return { numbers, dims: second.map((n) => (n === -1 ? numbers.length / rest : n)) };
  }
  if (type === "Transpose" && `${a.perm}` === "1,0") {
    const [rows, columns] = dims;
    return { numbers: numbers.map((_, i) => numbers[(i % rows) * columns + Math.floor(i / rows)]), dims: [columns, rows] };
  }
  if (type === "Slice" && second && ends && (values.get(from[3]) || [0])[0] === 0 && dims[0] > 0) {
    const [rows] = dims, width = numbers.length / rows, [step] = steps || [1];
    const [first, count] = sliced(rows, second[0], ends[0], step);
    const taken = listOf(count, (i) => (first + i * step) * width);
    return { numbers: taken.flatMap((at) => numbers.slice(at, at + width)), dims: [count, ...dims.slice(1)] };
  }
  return null;
}

/** The graph of an ONNX file. */
function onnx(view) {
  const { version, graph: [graph], functions } = message(view, 0, view.byteLength, MODEL);
  if (!graph || !version.length || !graph.nodes.length) fail("foreign");
  const shapes = new Map(), values = new Map(), open = new Map();
  for (const one of [...graph.values, ...graph.outputs, ...graph.inputs]) {
    const shape = shapeOf(one);
    if (shape) shapes.set(one.name[0], shape);
  }
  const keep = (name, tensor) => {
    shapes.set(name, tensor.dims.map(whole));
    values.set(name, constant(view, tensor));
  };
  for (const tensor of graph.tensors) keep(tensor.name[0], tensor);
  for (const { name: [name] } of graph.inputs) if (!values.has(name)) open.set(name, shapes.get(name));
  let skipped = functions.length;
  const nodes = graph.nodes.map(({ from, to, name, op: [type = ""], attributes, domain: [domain = ""] }) => {
    const a = {};
    for (const { name: [key], f, i, s, t, g, floats, ints, type: [kind] } of attributes) {
      if (g.length) a.inside = ++skipped;
      a[key] = [t, s, i, f].map(([one]) => one).find((one) => one !== undefined)
        ?? (ints.length ? ints : kind === 2 ? 0 : floats); // proto3 writes no zero
    }
    if (type === "Constant" && a.value && a.value.dims) keep(to[0], a.value);
    else if (type === "Constant") values.set(to[0], [a.value_ints ?? a.value_int ?? a.value_floats ?? a.value_float].flat());
    const node = { type, name: name[0] || to[0] || "", from, to, first: true, inside: a.inside || functions.length && domain };
    if (domain && domain !== "ai.onnx") {
      return { ...node, lost: true, ...(LOOSE.test(type) && unknown(["domain", domain])) };
    }
    node.read = (known) => {
      const made = folded({ type, from, a }, known, values, () => (a.value && a.value.dims && constant(view, a.value) || [0])[0]);
      if (!made) return onnxNode({ type, from, to, a }, known, values);
      values.set(to[0], made.numbers);
      return { op: "shape", shape: made.dims };
    };
    return node;
  });
  return { format: "ONNX", nodes, shapes, open, ends: graph.outputs.map((one) => one.name[0]), skipped };
}

// ---- TFLite: flatbuffers

// Operator codes that matter: name, kind, slots of stride, kernel and dilation (rows first), of the
// fused activation, and which inputs are the data and the weights. The slot of the padding is 0.
const PICK = {
  0: { slot: 0, op: "merge" }, 18: { slot: 0, op: "merge", type: "MUL" },
  1: { type: "AVERAGE_POOL_2D", op: "avg_pool", s: [2, 1], k: [4, 3], d: [], slot: 5 },
  3: { type: "CONV_2D", op: "conv", s: [2, 1], d: [5, 4], slot: 3, w: 1 },
  4: { type: "DEPTHWISE_CONV_2D", op: "depthwise", s: [2, 1], d: [6, 5], slot: 4, w: 1 },
  17: { type: "MAX_POOL_2D", op: "max_pool", s: [2, 1], k: [4, 3], d: [], slot: 5 },
  67: { type: "TRANSPOSE_CONV", op: "conv_transpose", s: [2, 1], d: [], x: 2, w: 1 },
  132: { type: "CONV_3D", op: "conv", s: [1, 3, 2], d: [5, 7, 6], slot: 4, w: 1, last: true },
  141: { type: "CONV_3D_TRANSPOSE", op: "conv_transpose", s: [1, 3, 2], d: [5, 7, 6], x: 2, w: 1, last: true },
  12: { type: "L2_POOL_2D", ...unknown("rule") },
  2: { slot: 1, op: "concat", type: "CONCATENATION" }, 39: { op: "shape" },
  37: { op: "join" }, 38: { op: "split" }, 34: { op: "pad", type: "PAD" }, 60: { op: "pad", type: "PADV2" }, 100: { op: "pad", type: "MIRROR_PAD" }, 65: { op: "pad" }, 45: { op: "pad" }, 23: { op: "scale" }, 97: { op: "scale" }, 5: { op: "scale" }, 26: { op: "scale" },
};
// Eight of which no output is below 0: LOGISTIC, RELU, RELU6, SOFTMAX, EXP, SQRT, ABS, RELU_0_TO_1; then DEQUANTIZE,
// TANH, LEAKY_RELU, ELU, HARD_SWISH, GELU, PRELU, SIGN.
[14, 19, 21, 25, 47, 75, 101, 152, 6, 28, 98, 111, 117, 150, 54, 158].forEach((code, i) => { PICK[code] = { op: "keep", low: i < 8 ? false : "as" }; });

const LEAST = -128; // of int8, type 9

/** [[b, a], ...] of [b, a, b, a, ...]. */
function sides(numbers) {
  return numbers.flatMap((_, i) => (i % 2 ? [] : [[numbers[i], numbers[i + 1]]]));
}

/** The graph of a TFLite file. */
function tflite(view) {
  const u32 = (at) => view.getUint32(at, true);
  const i32 = (at) => view.getInt32(at, true);
  const follow = (at) => at + u32(at);
  /** Where slot `i` of a table lies, or 0. */
  const slot = (table, i) => {
    const low = table - i32(table);
    const offset = 4 + 2 * i < view.getUint16(low, true) ? view.getUint16(low + 4 + 2 * i, true) : 0;
    return offset && table + offset;
  };
  /** Where the vector of a slot begins, and its length. */
  const list = (table, i, width) => {
    const at = table && slot(table, i) ? follow(slot(table, i)) : 0;
    const length = at ? u32(at) : 0;
    if (at + 4 + width * length > view.byteLength) fail("cut");
    return [at + 4, length];
  };
  /** What `read` makes of each element of the vector in a slot. */
  const vector = (table, i, read) => {
    const [at, length] = list(table, i, 4);
    spend(length);
    return listOf(length, (j) => read(at + 4 * j));
  };
  const name = (table, i) => {
    const [at, length] = list(table, i, 1);
    return text(view, at, at + length);
  };
  const integer = (table, i, fallback) => (table && slot(table, i) ? i32(slot(table, i)) : fallback);
  const byte = (table, i) => (table && slot(table, i) ? view.getInt8(slot(table, i)) : 0);

  const model = follow(0);
  const codes = vector(model, 1, follow).map((code) => ({ op: Math.max(byte(code, 0), integer(code, 3, 0)), custom: name(code, 1) }));
  const buffers = vector(model, 4, follow);
  const shapes = new Map(), open = new Map(), ends = [];
  const graphs = vector(model, 2, follow);
  const nodes = graphs.flatMap((graph, g) => {
    const tensors = vector(graph, 0, follow).map((tensor, t) => {
      const shape = vector(tensor, 0, i32);
      const signature = vector(tensor, 7, i32);
      const key = `${g}:${t}`;
      if (shape.length) shapes.set(key, (signature.length === shape.length ? signature : shape).map(whole));
      const [at, length] = list(slot(tensor, 4) && follow(slot(tensor, 4)), 3, 8);
      return { key, name: name(tensor, 3), type: byte(tensor, 1), buffer: integer(tensor, 2, 0), zero: length ? i32(at) : 0 };
    });
    const keys = (numbers) => numbers.filter((t) => t >= 0).map((t) => (tensors[t] || fail("cut")).key);
    /** The numbers of a small constant: 8 bits, 32, or 64 of which the lower are taken. */
    const constant = (t) => {
      const tensor = tensors[t] || {};
      const [width, take] = { 0: [4, (i) => view.getFloat32(i, true)], 2: [4, i32], 4: [8, i32], 9: [1, (i) => view.getInt8(i)] }[tensor.type] || [0];
      const [at, length] = list(buffers[tensor.buffer], 0, 1);
      if (!length || length > width * FEW) return undefined;
      return listOf(Math.floor(length / width), (i) => take(at + width * i));
    };
    /** What a PADV2 writes: of int8, -∞ for the lowest, unless that stands for 0. */
    const written = (t) => {
      const [value] = constant(t) || [];
      const { type, zero } = tensors[t] || {};
      if (type !== 9 || value === undefined) return value;
      return value === LEAST && zero !== LEAST ? -Infinity : value - zero;
    };
    if (!g) for (const key of keys(vector(graph, 1, i32))) open.set(key, shapes.get(key));
    ends.push(...keys(vector(graph, 2, i32)));
    return vector(graph, 3, follow).map((one) => {
      const { op: code, custom } = codes[integer(one, 0, 0)] || fail("cut");
      const [from, to] = [1, 2].map((i) => vector(one, i, i32));
      const at = slot(one, 4) && follow(slot(one, 4));
      const pick = PICK[code] || (code === 32 && LOOSE.test(custom) ? { ...unknown("custom"), type: custom } : {});
      const made = tensors[to[0]] || {};
      const node = {
        code, name: made.name || "", type: pick.type, op: pick.op, from: keys(from), to: keys(to), note: pick.note,
        low: [1, 3].includes(byte(at, pick.slot)) || (made.type === 9 && made.zero === LEAST) ? false : pick.low,
      };
      const numbers = (slots) => slots.map((i) => integer(at, i, 1));
      if (pick.op === "pad") {
        const numbers = constant(from[1]);
        const [had, has] = [node.from[0], node.to[0]].map((key) => shapes.get(key) || []);
        if (!pick.type) { // SLICE, STRIDED_SLICE: a crop, if nothing else
          const strided = code === 45 && ((constant(from[3]) || [0]).some((step) => step !== 1) || [2, 3, 4].some((i) => integer(at, i, 0)));
          const plain = numbers && !strided && had.length === has.length && had.every((n, i) => !i || (n && has[i]));
          const by = plain && had.map((n, i) => {
            const front = code === 45 && (integer(at, 0, 0) >> i) & 1 ? 0 : numbers[i] < 0 ? numbers[i] + n : numbers[i];
            return [-front, i ? has[i] - n + front : front]; // the batch may be open
          });
          return by ? { ...node, by, value: 0 } : { ...node, op: undefined };
        }
        const filler = code === 100 ? NaN : from.length > 2 ? written(from[2]) : 0;
        return { ...node, by: numbers && sides(numbers), value: numbers || code === 100 ? filler : undefined };
      }
      if (code === 2) node.axis = integer(at, 0, 0);
      if (code === 39) node.perm = constant(from[1]);
      if (code === 37 || code === 38) {
        return { ...node, by: constant(from[1]), pads: sides(constant(from[2]) || []) };
      }
      if (code === 5 || code === 26) {
        const by = integer(at, 0, 1);
        node.factors = Array(2).fill(code === 5 ? by : 1 / by);
      }
      if (!pick.s) return node;
      const { s, d } = pick;
      const weight = (pick.w && shapes.get(keys([from[pick.w]])[0])) || [];
      const k = pick.k ? numbers(pick.k) : pick.last ? weight.slice(0, 3) : weight.slice(1, 3);
      const layer = {
        ...node, k, s: numbers(s), d: d.length ? numbers(d) : k.map(() => 1), x: keys([from[pick.x || 0]])[0],
        pad: byte(at, 0) ? k.map(() => [0, 0]) : "same", declared: byte(at, 0) ? "VALID" : "SAME",
      };
      if (![layer.k, layer.s, layer.d].every((each) => each.length === s.length && each.every(whole))) {
        return { ...node, ...unknown("kernel") };
      }
      const sizes = pick.op === "conv_transpose" && constant(from[0]);
      layer.beyond = (n, i, told) => {
        const m = (sizes && whole(sizes[i + 1])) || told;
        if (n && m) return m - (n - 1) * layer.s[i];
        return layer.pad === "same" ? layer.s[i] : Math.max(effectiveKernelSize(k[i], layer.d[i]), layer.s[i]);
      };
      return layer;
    });
  });
  if (!graphs.length) fail("graph");
  return { format: "TFLite", nodes, shapes, open, ends, skipped: 0 };
}

// ---- Keras: a zip with config.json

/** The bytes of a file from one offset to another. */
async function bytes(file, start, end) {
  return new DataView(await file.slice(start, end).arrayBuffer());
}

/** Bytes as a text of as many letters. */
function letters(view) {
  return new TextDecoder("latin1").decode(view);
}

/** config.json out of a zip, inflated up to its limit. */
async function unzip(file) {
  const tail = await bytes(file, Math.max(0, file.size - 65557), file.size);
  const end = letters(tail).lastIndexOf("PK\x05\x06");
  if (end < 0) fail("zip");
  const start = tail.getUint32(end + 16, true);
  const list = await bytes(file, start, start + Math.min(tail.getUint32(end + 12, true), 2 ** 20));
  // 28 bytes into an entry stands the length of its name, 46 bytes into it the name.
  const at = letters(list).search(/PK\x01\x02.{24}\x0b\0.{16}config\.json/s);
  if (at < 0) {
    fail(letters(list).includes("data.pkl") ? "torch"
      : "no-keras");
  }
  const [method, size, from] = [list.getUint16(at + 10, true), list.getUint32(at + 20, true), list.getUint32(at + 42, true)];
  const head = await bytes(file, from, from + 30);
  const data = from + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  return inflate(file.slice(data, data + size).stream(), method);
}

/** The text of a stored (0) or deflated (8) part, no more than CONFIG bytes of it. */
async function inflate(stream, method) {
  if (method !== 0 && method !== 8) fail("packed");
  let size = 0;
  const limit = new TransformStream({
    transform(chunk, controller) {
      size += chunk.length;
      if (size > CONFIG) controller.terminate();
      else controller.enqueue(chunk);
    },
  });
  const plain = method ? stream.pipeThrough(new DecompressionStream("deflate-raw")) : stream;
  const found = await new Response(plain.pipeThrough(limit)).text().catch(() => fail("damaged"));
  return size > CONFIG ? fail("big") : found;
}

const KERAS_MERGE = words("Add Subtract Multiply Average Maximum Minimum");

/** What a Keras layer does, in the words above. */
function kerasNode(type, config, own, layer, module) {
  const first = config.data_format === "channels_first";
  const [, before, rank, back] = /^(|Depthwise|Separable)Conv([123])D(Transpose)?$/.exec(type) || [];
  const [, pool, poolRank] = /^(Max|Average)Pooling([123])D$/.exec(type) || [];
  const axes = Number(rank || poolRank);
  const spread = (value) => listOf(axes, (i) => [value].flat()[i] ?? [value].flat()[0] ?? 1);
  if (!own || type.startsWith("ConvLSTM")) {
    return LOOSE.test(type) && !/^(Global|Adaptive)/.test(type) ? unknown(own ? "loop" : "own") : {};
  }
  const inner = type === "TimeDistributed" ? JSON.stringify(config.layer).match(/"class_name":"(?!Global|Adaptive)\w*(conv|pool)/i) : null;
  if (inner || (/\bops\b/.test(module) && LOOSE.test(type) && !/^(Global|Adaptive)/.test(type))) return unknown("rule");
  if (axes) {
    const k = spread(config.kernel_size ?? config.pool_size);
    const s = spread(config.strides ?? config.pool_size);
    const d = spread(config.dilation_rate);
    if (![...k, ...s, ...d].every(whole)) return unknown("kernel");
    const { padding } = config;
    const more = config.output_padding ?? null;
    const pad = padding === "same" ? "same" : k.map((size, i) => (padding === "causal" ? [d[i] * (size - 1), 0] : [0, 0]));
    const beyond = (n, i) => {
      const reach = effectiveKernelSize(k[i], d[i]);
      if (more === null) return padding === "same" ? s[i] : Math.max(reach, s[i]);
      return spread(more)[i] + (padding === "same" ? reach % 2 : reach);
    };
    const op = pool ? { Max: "max_pool", Average: "avg_pool" }[pool] : back ? "conv_transpose" : before ? "depthwise" : "conv";
    return { op, k, s, d, pad, first, beyond, declared: padding, channels: pool ? null : config.filters ?? null, low: pool ? "as" : lowOf(config.activation),
      read: config.groups > 1 && ((shapes) => (op === "conv" && (shapes.get(layer.from[0]) || []).at(first ? 1 : -1) === config.groups ? { op: "depthwise" } : {})) };
  }
  const numbers = [config.padding ?? config.cropping].flat(2);
  if (/^(ZeroPadding|Cropping)[123]D$/.test(type)) {
    const sign = config.cropping === undefined ? 1 : -1;
    const pairs = listOf(Number(type.at(-2)), (i) => [0, 1].map((j) => sign * (numbers[2 * i + j] ?? numbers[0])));
    const by = [[0, 0], ...(first ? [[0, 0], ...pairs] : [...pairs, [0, 0]])];
    return { op: "pad", by: by.flat().every(Number.isInteger) ? by : undefined, value: 0 };
  }
  if (type === "Pad") { // keras.ops.pad
    const by = config.pad_width;
    const filler = config.mode === "constant" ? (layer.given || {}).constant_values ?? 0 : NaN;
    const plain = Array.isArray(by) && by.length > 1 && by.every(({ length }) => length === 2);
    return { op: "pad", by: plain ? by : undefined, value: plain && typeof filler === "number" ? filler : NaN };
  }
  if (/^UpSampling/.test(type)) return { op: "scale", first, factors: [config.size, config.size, config.size].flat() };
  if (KERAS_MERGE.has(type)) return { op: "merge", first };
  if (type === "Concatenate") return { op: "concat", first, axis: config.axis, low: /\bops\b/.test(module) ? null : "as" };
  if (type === "Permute") return { op: "shape", perm: [0, ...config.dims] };
  if (type === "Transpose") return { op: "shape", perm: config.axes || [] };
  if (KEEP.test(type)) return { op: "keep", first, low: type === "ReLU" && config.negative_slope ? null : lowOf(config.activation ?? type) };
  return { first };
}

/** The graph of a Keras model's configuration. */
function keras(model) {
  const shapes = new Map(), open = new Map(), nodes = [];
  const sized = (shape) => (Array.isArray(shape) && shape.length < 9 && shape.every((n) => n === null || Number.isInteger(n)) ? shape.map(whole) : undefined);
  const learn = (key, shape) => {
    if (sized(shape) && !shapes.has(key)) shapes.set(key, sized(shape));
  };

  /** The tensors in what a layer was called with, as [layer, call, output], and their shapes. */
  function called(value, found = [], depth = 0) {
    spend(1);
    if (depth > 16 || !value || typeof value !== "object") return found;
    if (value.class_name === "__keras_tensor__") found.push([...value.config.keras_history, value.config.shape]);
    else if (Array.isArray(value) && typeof value[0] === "string" && Number.isInteger(value[1])) found.push(value.slice(0, 3));
    else for (const one of Object.values(value)) called(one, found, depth + 1);
    return found;
  }

  /** Add a call of a layer; return the tensors that it makes. */
  function add(layer, prefix, key, from, given) {
    spend(1);
    const { class_name: type, config } = layer;
    const name = prefix + config.name;
    if (Array.isArray(config.layers)) return expand(layer, `${name}/`, `${key}/`, from);
    const own = /^(tf_)?keras\b/.test(layer.module ?? "keras") && !(layer.registered_name || "").includes(">");
    if (type === "InputLayer") {
      learn(key, config.batch_shape ?? config.batch_input_shape);
      if (from.length) return from;
      open.set(key, shapes.get(key));
      return [key];
    }
    const node = { type, name, from, to: [key], given };
    const told = (layer.build_config || {}).input_shape;
    if (from.length === 1) learn(from[0], told);
    nodes.push(Object.assign(node, kerasNode(type, config, own, node, layer.module ?? "")));
    return [key];
  }

  /** Add the layers of a model, called with the tensors `given`; return those it makes. */
  function expand({ config, build_config: build = {} }, prefix, root, given) {
    if (root.split("/").length > 16) fail("deep");
    const { layers } = config;
    const functional = layers.some((layer) => (layer.inbound_nodes || []).length);
    if (!functional) {
      let last = given;
      layers.forEach((layer, i) => {
        if (!last.length && layer.class_name !== "InputLayer") {
          last = [`${root}input`];
          learn(last[0], config.build_input_shape ?? layer.config.batch_input_shape ?? build.input_shape);
          open.set(last[0], shapes.get(last[0]));
        }
        last = add(layer, prefix, `${root}${i}`, last);
      });
      return last;
    }
    const made = new Map();
    const id = (tensor) => tensor.slice(0, 3).join(":");
    const inputs = called(config.input_layers).map(([name]) => name);
    let waiting = layers.flatMap((layer) => (layer.inbound_nodes.length ? layer.inbound_nodes : [null])
      .map((inbound, call) => ({ layer, call, kwargs: inbound && inbound.kwargs, from: called(inbound && [inbound.args, inbound.kwargs, Array.isArray(inbound) ? inbound : 0]) })));
    for (let progress = true; waiting.length; ) {
      const later = [];
      for (const one of waiting) {
        spend(1);
        const { layer, call, from } = one;
        if (progress && !from.every((tensor) => made.has(id(tensor)) || made.has(id([...tensor.slice(0, 2), "*"])))) {
          later.push(one);
          continue;
        }
        const at = inputs.indexOf(layer.config.name);
        const keys = from.map((tensor) => {
          const key = made.get(id(tensor)) ?? `${root}${id(tensor)}`;
          learn(key, tensor[3]);
          return key;
        });
        const outs = add(layer, prefix, `${root}${layer.config.name}:${call}:0`, at >= 0 && given[at] ? [given[at]] : keys, one.kwargs);
        outs.forEach((key, i) => made.set(id([layer.config.name, call, i]), key));
        made.set(id([layer.config.name, call, "*"]), true);
      }
      progress = later.length < waiting.length;
      waiting = later;
    }
    return called(config.output_layers).map((tensor) => made.get(id(tensor)) ?? `${root}${id(tensor)}`);
  }

  if (!model || !model.config || !Array.isArray(model.config.layers)) {
    fail("no-layers");
  }
  const ends = expand(model, "", "", []);
  return { format: "Keras", nodes, shapes, open, ends, skipped: 0 };
}

// ---- any of them

/** The graph of a file, of whatever format its first bytes say. */
async function graphOf(file) {
  left = MOST;
  const head = letters(await bytes(file, 0, 8));
  if (head.length < 8) fail("empty");
  if (head.startsWith("PK\x03\x04")) { // Python writes numbers that JSON has not
    return keras(JSON.parse((await unzip(file)).replace(/([:[,] ?-?)(Infinity|NaN)\b/g, (_, before) => `${before}1e999`)));
  }
  if (head.slice(1, 4) === "HDF") fail("hdf5");
  if (file.size > 2 ** 31) fail("large");
  const view = await bytes(file, 0, file.size);
  left = MOST;
  return head.endsWith("TFL3") ? tflite(view) : onnx(view);
}

/** The same, where every error is an Unreadable: reading beyond the end or a number for a list is one. */
async function read(file) {
  return graphOf(file).catch((error) => {
    throw error instanceof Unreadable ? error : new Unreadable(error instanceof SyntaxError ? "no-json" : "cut");
  });
}
