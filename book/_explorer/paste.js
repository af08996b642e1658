/*
 * Reads a layer out of a line that somebody has pasted: Keras, PyTorch, Flax, TensorFlow, JAX, ONNX
 * attributes, or a TFLite-style listing. The text is cut into words, numbers and brackets and looked
 * up in the tables below; nothing of it is ever evaluated.
 */
const LONGEST = 4000; // characters that are read
const DEEPEST = 8; // brackets in brackets
const TOKEN = /#[^\n]*|"[^"\n]*"|'[^'\n]*'|[+-]?\d+(?:\.\d+)?|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|\S/g;
const CLOSING = { "(": ")", "[": "]", "{": "}" };

/**
 * The calls that are known: the end of the dotted name, operation, family, and the positional
 * arguments. "around" is what stands around a layer without padding of its own.
 */
const CALLS = `
tf.nn.(depthwise_conv2d|conv[12]d|convolution) conv tf _ _ stride padding _ dilation
tf.nn.conv[12]d_transpose transposed tf _ _ _ stride padding _ dilation
tf.nn.max_pool([12]d)? max tf _ kernel stride padding
tf.nn.avg_pool([12]d)? avg tf _ kernel stride padding
ops.max_pool max keras _ kernel stride padding
ops.average_pool avg keras _ kernel stride padding
(SeparableConv|Conv|Convolution)[12]D conv keras _ kernel stride padding _ dilation
DepthwiseConv[12]D conv keras kernel stride padding _ _ dilation
Conv[12]DTranspose transposed keras _ kernel stride padding extra _ dilation
Max(Pooling|Pool)[12]D max keras kernel stride padding
(AveragePooling|AvgPool)[12]D avg keras kernel stride padding
Conv[12]d conv torch _ _ kernel stride padding dilation
LazyConv[12]d conv torch _ kernel stride padding dilation
ConvTranspose[12]d transposed torch _ _ kernel stride padding extra _ _ dilation
LazyConvTranspose[12]d transposed torch _ kernel stride padding extra _ _ dilation
MaxPool[12]d max torch kernel stride padding dilation _ ceil
AvgPool[12]d avg torch kernel stride padding ceil
conv[12]d conv torch _ _ _ stride padding dilation
conv_transpose[12]d transposed torch _ _ _ stride padding extra _ dilation
max_pool[12]d max torch _ kernel stride padding dilation ceil
avg_pool[12]d avg torch _ kernel stride padding ceil
nnx.Conv conv flax _ _ kernel stride padding _ dilation
nnx.ConvTranspose transposed flax _ _ kernel stride padding dilation
Conv conv flax _ kernel stride padding _ dilation
ConvTranspose transposed flax _ kernel stride padding dilation
max_pool max flax _ kernel stride padding
avg_pool avg flax _ kernel stride padding
conv_general_dilated conv jax _ _ stride padding _ dilation
lax.conv_transpose transposed jax _ _ stride padding dilation
reduce_window max jax _ _ reducer kernel stride padding _ dilation
make_node ? onnx op _ _
(ZeroPadding|Cropping)[12]D around keras padding
(ops|jnp|tf).pad around keras _ padding
ZeroPad[12]d around torch padding
(F|functional).pad around torch _ padding
`.trim().split("\n").map((line) => {
  const [name, op, family, ...positions] = line.split(" ");
  return { name: new RegExp(`(^|\\.)${name}$`), op: op === "?" ? undefined : op, family, positions };
});

/** The operations of ONNX and TFLite by name. */
const NODES = {
  Conv: "conv", ConvTranspose: "transposed", MaxPool: "max", AveragePool: "avg",
  CONV_2D: "conv", DEPTHWISE_CONV_2D: "conv", TRANSPOSE_CONV: "transposed",
  MAX_POOL_2D: "max", AVERAGE_POOL_2D: "avg",
};

/** Every spelling of an argument; TFLite gives each axis its own. */
const SPELLINGS = new Map(Object.entries({
  kernel: "kernel_size pool_size kernel_shape window_shape window_dimensions ksize",
  stride: "strides stride window_strides",
  dilation: "dilation_rate dilation dilations kernel_dilation rhs_dilation window_dilation",
  padding: "padding",
  pads: "pads",
  auto: "auto_pad",
  extra: "output_padding",
  ceil: "ceil_mode",
  shape: "input_shape",
  op: "op_type opcode builtin_code deprecated_builtin_code",
  kernel0: "filter_height kernel_h",
  kernel1: "filter_width kernel_w",
  stride0: "stride_h",
  stride1: "stride_w",
  dilation0: "dilation_h_factor dilation_h",
  dilation1: "dilation_w_factor dilation_w",
}).flatMap(([name, words]) => words.split(" ").map((word) => [word, name])));

/** Arguments without a say in where a window stands. */
const HARMLESS = new RegExp("^(_|x|mode)$|filters|feature|channel|group|bias|activation|name|dtype|options_type|device|rngs|"
  + "multiplier|format|numbers|precision|indices|include_pad|transpose_kernel|trainable|init|regularizer|constraint|puts?$|value");

const FIELDS = new Set([...SPELLINGS.values(), "reducer"]);

// ---- words

/** The text as words, numbers and signs, without comments. */
function split(text) {
  return (text.slice(0, LONGEST).match(TOKEN) || []).filter((token) => token[0] !== "#");
}

/** Whether a token is a name. */
function isName(token) {
  return /^[A-Za-z_]/.test(token || "");
}

/** One token as a number, a string or a truth value; undefined for anything else. */
function simple(token) {
  if (/^[+-]?\d/.test(token)) return Number(token);
  if (/^["']/.test(token)) return token.slice(1, -1);
  // PyTorch prints padding=same without quotes.
  return { True: true, true: true, False: false, false: false, same: "same", valid: "valid" }[token];
}

/** One value at `at` as {value, next}: what `simple` knows, a list of such, or undefined. */
function parseItem(tokens, at, depth) {
  const close = CLOSING[tokens[at]];
  if (!close) return { value: simple(tokens[at] || ""), next: at + 1 };
  const value = [];
  let next = at + 1;
  while (next < tokens.length && tokens[next] !== close) {
    const item = depth < DEEPEST ? parseValue(tokens, next, depth + 1) : { next: next + 1 };
    value.push(item.value);
    next = item.next;
    // Past the comma, or past a bracket that closes nothing.
    if (next < tokens.length && tokens[next] !== close) next++;
  }
  return { value, next: next + 1 };
}

/** The same up to the next comma or closing bracket: a sum or a call is no value, but undefined. */
function parseValue(tokens, at, depth = 0) {
  let { value, next } = parseItem(tokens, at, depth);
  for (let open = 0; next < tokens.length; next++) {
    if (open === 0 && /^[,)\]}]$/.test(tokens[next])) break;
    if (CLOSING[tokens[next]]) open++;
    else if (/^[)\]}]$/.test(tokens[next])) open--;
    value = undefined;
  }
  return { value, next };
}

/** The arguments of a call whose "(" is at `at`, as [name or position, value, text] each. */
function parseCall(tokens, at) {
  const found = [];
  let next = at + 1;
  let position = 0;
  while (next < tokens.length && tokens[next] !== ")") {
    const start = next;
    const named = isName(tokens[start]) && tokens[start + 1] === "=";
    const item = parseValue(tokens, named ? start + 2 : start);
    found.push([named ? tokens[start] : position++, item.value, tokens.slice(start, item.next).join("")]);
    next = tokens[item.next] === ")" ? item.next : item.next + 1;
  }
  return found;
}

/** Every "name = value", "name: value" and ONNX's "name: ints = value" of a listing, likewise. */
function parseListing(tokens) {
  const found = [];
  for (let at = 0; at < tokens.length; at++) {
    const name = tokens[at].replace(/^["']|["']$/g, "");
    if (!isName(name) || !/^[=:]$/.test(tokens[at + 1]) || tokens[at + 2] === "{") continue;
    const start = tokens[at + 3] === "=" && /^(ints?|string)$/.test(tokens[at + 2]) ? at + 4 : at + 2;
    let { value, next } = parseItem(tokens, start, 0);
    if (value === undefined) value = tokens[start]; // a bare word, as in padding: SAME
    const list = [value];
    while (typeof value === "number" && tokens[next] === "," && /^\d/.test(tokens[next + 1])) {
      list.push(Number(tokens[next + 1]));
      next += 2;
    }
    found.push([name, list.length > 1 ? list : value, tokens.slice(at, next).join("")]);
    at = Math.max(at + 1, next - 1);
  }
  return found;
}

// ---- meanings

/** Whether all are whole or other numbers, and there are some. */
function allNumbers(list) {
  return list.length > 0 && list.every((item) => typeof item === "number");
}

/** [rows, columns] of a number, of one or two, or of four with those of batch and channels. */
function pairOf(value) {
  let list = [value].flat();
  if (list.length === 4) list = list[1] === 1 && list[3] !== 1 ? list.slice(2) : list.slice(1, 3);
  return allNumbers(list) && list.length <= 2 ? [list[0], list[list.length - 1]] : undefined;
}

/** [[top, bottom], [left, right]] of pairs (of images too) or of a number for each axis. */
function pairsOf(value) {
  const list = [value].flat();
  const pairs = list.length === 4 ? list.slice(1, 3) : list;
  if (pairs.length && pairs.length <= 2 && pairs.every((pair) => Array.isArray(pair) && pair.length === 2 && allNumbers(pair))) {
    return [pairs[0], pairs[pairs.length - 1]];
  }
  const both = pairOf(value);
  return both && both.map((cells) => [cells, cells]);
}

/** The same of four sides in some order, as indices [[top, bottom], [left, right]], or of fewer. */
function sidesOf(value, order) {
  const list = [value].flat();
  if (!allNumbers(list) || ![1, 2, 4].includes(list.length)) return undefined;
  return order.map((sides) => sides.map((at) => list[list.length === 4 ? at : at % list.length]));
}

const ONNX_SIDES = [[0, 2], [1, 3]]; // top, left, bottom, right; of one axis: before, after
const TORCH_SIDES = [[2, 3], [0, 1]]; // left, right, top, bottom

/** The kind that a word names, or undefined. */
function kindOf(word) {
  return { same: "same", valid: "valid", same_upper: "upper", same_lower: "lower" }[`${word}`.toLowerCase()];
}

/** The plain values that the text gives to names, as in pads = ((0, 1), (0, 1)). */
function assignments(tokens) {
  const found = new Map();
  tokens.forEach((name, at) => {
    if (!isName(name) || tokens[at + 1] !== "=") return;
    const { value } = parseItem(tokens, at + 2, 0);
    if (value !== undefined && !found.has(name)) found.set(name, value);
  });
  return found;
}

/** The calls of the table in the text, in order: {op, family, given}; else those of a listing. */
function layers(tokens) {
  const found = [];
  const names = assignments(tokens);
  for (let at = 0; at < tokens.length; at++) {
    const known = tokens[at + 1] === "(" && CALLS.find(({ name }) => name.test(tokens[at]));
    if (!known) continue;
    const { op, family, positions } = known;
    const given = parseCall(tokens, at + 1).map(([name, value, text]) => [
      typeof name === "number" ? positions[name] || "?" : SPELLINGS.get(name) || name,
      value ?? names.get(text.replace(/^.*=/, "")),
      text,
    ]);
    found.push({ name: tokens[at], op, family, given });
  }
  if (found.length) return found;
  const node = tokens.map((token) => token.replace(/^["']|["']$/g, "")).find((token) => Object.hasOwn(NODES, token));
  const given = parseListing(tokens).map(([name, ...rest]) => [SPELLINGS.get(name) || name, ...rest]);
  const family = /_/.test(node || "") || given.some(([name]) => /[01]$/.test(name)) ? "tflite" : "onnx";
  if (!node && !given.some(([name]) => FIELDS.has(name))) return [];
  return [{ name: node, op: NODES[node], family, given }];
}

/** What readAddress gives for an address of this explorer in a text, or nothing. */
function addressIn(text) {
  const [address] = /\?op=\S+/.exec(text) || [];
  return address && readAddress(address);
}

/** The same where it stands alone, or in code that is still as the explorer has written it. */
function comesFrom(text) {
  const found = addressIn(text);
  return found && (/^\S+$/.test(text.trim()) || text.includes(snippet(found.state).trim())) ? found : null;
}

/**
 * A pasted text as {layer, rule, unread}: the fields that were read, a rule if one was, and in the
 * text's own words what was not. Null where nothing is known.
 */
function readLayer(text) {
  const all = layers(split(text));
  const main = all.find((call) => call.op !== "around");
  if (!main) return null;
  const unread = [];
  const beside = []; // likewise, of what stands around the layer
  const found = interpret(main, all, unread, beside);
  const from = addressIn(text); // of code that was changed: its input size is no part of a call
  if (from) found.layer.n ??= from.state.layer.n;
  const crop = /\)\s*\[[^\]\n]*:[^\]\n]*\]/.exec(text);
  if (crop) beside.push(crop[0].slice(1).trim());
  return { ...found, unread: unread.concat(beside) };
}

/** A call or listing, and what stands around it, as {layer, rule}. */
function interpret(main, all, unread, beside) {
  const { family } = main;
  const values = {};
  const texts = {};
  for (const [name, value, text] of main.given) {
    if (/\bNone$/.test(text)) continue;
    if (FIELDS.has(name)) {
      values[name] = value;
      texts[name] = text;
    } else if (!HARMLESS.test(name) && !Object.hasOwn(NODES, value)) unread.push(text);
  }
  for (const name of ["kernel", "stride", "dilation"]) {
    const both = [values[`${name}0`], values[`${name}1`]];
    if (both.some((value) => value !== undefined)) {
      values[name] = [both[0] ?? both[1], both[1] ?? both[0]];
      texts[name] = AXES.map((i) => texts[name + i]).filter(Boolean).join(", ");
    }
  }
  let { op } = main;
  if ("op" in texts) op = Object.hasOwn(NODES, values.op) ? NODES[values.op] : op;
  if ("reducer" in texts) op = /max$/.test(texts.reducer) ? "max" : /add$/.test(texts.reducer) ? "avg" : undefined;
  const pool = isPool(op);

  /** A pair as given; where it is not given, the default. */
  const take = (name, fallback) => {
    if (!(name in texts)) return fallback;
    const found = pairOf(values[name]);
    if (!found) unread.push(texts[name]);
    return found;
  };
  const layer = { op };
  layer.k = take("kernel", family === "keras" && pool ? [2, 2] : undefined);
  const ownStep = pool && (family === "keras" || family === "torch");
  layer.s = take("stride", ownStep ? layer.k : ["tf", "jax", "tflite"].includes(family) ? undefined : [1, 1]);
  layer.d = take("dilation", [1, 1]);
  if (Array.isArray(values.shape)) {
    layer.n = pairOf(values.shape.length === 3 ? values.shape.slice(0, 2) : values.shape);
  }
  for (const name of ["n", "k", "s", "d", "op"]) if (!layer[name]) delete layer[name];
  if (!layer.k && !("kernel" in texts)) unread.push("the kernel’s size");
  const rule = ruleOfCall(family, layer, values, texts, unread, beside);
  return { layer, rule: readAround(all, main, layer, rule, beside) };
}

/** The rule of a call, or undefined. */
function ruleOfCall(family, { op, k, d = [1, 1] }, values, texts, unread, beside) {
  const extra = "extra" in texts ? pairOf(values.extra) : [0, 0];
  const ceil = values.ceil === true || values.ceil === 1;
  const torch = (p) => ({ kind: "torch", p, extra, ceil: ceil && isPool(op) });
  const name = ["auto", "padding", "pads"].find((key) => key in texts && values[key] !== "NOTSET");
  const value = values[name];
  const kind = kindOf(value);
  const refuse = () => unread.push(texts[name]);
  if ("extra" in texts && (!extra || !["torch", "onnx"].includes(family))) unread.push(texts.extra);
  if (kind) return { kind };
  if (family === "tflite") return name && kindOf(["same", "valid"][value]) ? { kind: ["same", "valid"][value] } : name && refuse() && undefined;
  if (family === "torch") {
    const p = name ? pairOf(value) : [0, 0];
    return p && extra ? torch(p) : name && refuse() && undefined;
  }
  if (family === "onnx") {
    const pads = name ? sidesOf(value, ONNX_SIDES) : [[0, 0], [0, 0]];
    if (!pads) return refuse() && undefined;
    const even = pads.every(([before, after]) => before === after);
    if (even && (ceil || Math.max(...extra) > 0)) return torch(pads.map((pad) => pad[0]));
    if (ceil) unread.push(texts.ceil);
    const grown = pads.map(([before, after], i) => [before, after - extra[i]]);
    if (grown.every(([, after]) => after >= 0)) return { kind: "pads", pads: grown };
    beside.push(texts.extra);
    return { kind: "pads", pads };
  }
  if (!name) {
    return { keras: { kind: "valid" }, flax: { kind: isPool(op) ? "valid" : "same" } }[family];
  }
  const pads = family === "keras" ? undefined : pairsOf(value);
  if (!pads || (op === "transposed" && !k)) return refuse() && undefined;
  if (op !== "transposed") return { kind: "pads", pads };
  // JAX and Flax pad the spread-out input; a crop is what that leaves of the kernel.
  return { kind: "pads", pads: pads.map((sides, i) => sides.map((cells) => (k[i] - 1) * d[i] - cells)) };
}

/** The rule with a padding layer in front of a convolution or pool, or a crop behind a transposed one. */
function readAround(all, main, { op, k, s, d }, rule, beside) {
  const none = !rule || rule.kind === "valid" || (rule.kind === "torch" && Math.max(...rule.p, ...rule.extra) === 0 && !rule.ceil);
  let found = rule;
  for (const call of all) {
    if (call === main) continue;
    const padding = call.given.find(([name]) => name === "padding");
    const pads = padding && (call.family === "torch" ? sidesOf(padding[1], TORCH_SIDES) : pairsOf(padding[1]));
    const fits = call.op === "around" && /Cropping/.test(call.name) === (op === "transposed");
    if (fits && pads && none && found === rule) {
      // Keras has added cells that no input reaches where the stride is above the kernel.
      const added = (i) =>
        (op === "transposed" && k && s && d ? Math.max(0, s[i] - effectiveKernelSize(k[i], d[i])) : 0);
      found = { kind: "pads", pads: pads.map(([before, after], i) => [before, after - added(i)]) };
    } else beside.push(`${call.name}(${call.given.map((argument) => argument[2]).join(", ")})`);
  }
  return found;
}

