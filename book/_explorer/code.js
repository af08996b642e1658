/*
 * A layer under a rule, written in Keras, PyTorch, Flax, JAX or ONNX. Pure functions over plans:
 * every snippet is executed by the tests and reads the cells that the picture shows.
 */
const INPUTS = 3; // channels of the written layers
const OUTPUTS = 64;
const UNCOUNTED = "count_include_pad=False";

/** "(3, 3)", of any length. */
function tuple(list) {
  return `(${list.join(", ")})`;
}

/** "[3, 3]". */
function brackets(list) {
  return `[${list.join(", ")}]`;
}

/** "((0, 1), (0, 1))" from a plan. */
function pairs(axes) {
  return tuple(axes.map(({ before, after }) => tuple([before, after])));
}

/** The same for a batch of images, channels last: "((0, 0), (0, 1), (0, 1), (0, 0))". */
function imagePairs(axes) {
  const none = { before: 0, after: 0 };
  return pairs([none, ...axes, none]);
}

/** Positional and keyword arguments in one line, without those that are undefined. */
function args(...list) {
  return list.filter((argument) => argument !== undefined).join(", ");
}

/** "name=value", or nothing where the value is the default. */
function option(name, values, fallback) {
  return values.every((value) => value === fallback) ? undefined : `${name}=${pair(values)}`;
}

/** What is cut out of `from`, an output of these sizes along each axis: Python slices. */
function slices(starts, sizes, from) {
  return AXES.map((i) => (starts[i] === 0 && sizes[i] === from[i] ? ":" : `${starts[i] || ""}:${starts[i] + sizes[i]}`)).join(", ");
}

/** "same" or "valid" where Keras's own padding places every window so, or nothing. */
function kerasPadding(layer, axes) {
  return ["valid", "same"].find((kind) => planAlike(plan(layer, { kind }), axes));
}

/** A Python function; its lines come indented. */
function define(body, head = "x):") {
  return `
def layer(${head}
${body}`;
}

/** A convolution without padding of its own, and a part of its output. */
function convolveAndCut(convolution, prepare, cut) {
  return `convolve = ${convolution}

${define(`${prepare}    return convolve(x)[${cut}]`)}`;
}

/** A dilated pool as what it is, in Python: the taps, each a strided slice of a padded `a`. */
function dilatedTaps({ k, s, d }, axes, front) {
  const cut = AXES.map((i) => {
    const name = "ij"[i];
    const reach = (axes[i].outputs - 1) * s[i] + 1;
    return `${name} : ${name} + ${reach}${s[i] > 1 ? ` : ${s[i]}` : ""}`;
  });
  const loops = AXES.map((i) => `for ${"ij"[i]} in range(0, ${k[i] * d[i]}, ${d[i]})`);
  return `
def taps(a):
    return [a[${front}, ${cut.join(", ")}]
            ${loops.join(" ")}]

`;
}

/** A mean that leaves out the padding: what a pool that counts it makes of x, by that of ones. */
function divided(pads, pooled, ones) {
  return define(`    padding = ${pads}
    both = [
        ${pooled}
        for a in (x, ${ones})
    ]
    return both[0] / both[1]  # the padding does not count`);
}

/** Keras code; its functions work on symbolic tensors too. */
function keras(layer, axes) {
  const { op, n, k, s, d } = layer;
  const own = kerasPadding(layer, axes);
  const named = own === "same" ? 'padding="same"' : undefined;
  const size = pair(k);
  const strides = option("strides", s, 1);
  const dilation = option("dilation_rate", d, 1);
  const both = dilation && strides;
  const padded = imagePairs(axes);
  const head = "import keras\n\n";
  if (isPool(op)) {
    const step = `strides=${pair(s)}`; // a pool's default stride is its kernel
    if (own && !dilation) return `${head}layer = keras.layers.${op === "max" ? "Max" : "Average"}Pooling2D(${args(size, step, named)})`;
    const taps = dilation ? head + dilatedTaps(layer, axes, ":") : head;
    if (op === "max") {
      return taps + define(`    x = keras.ops.pad(x, ${padded}, constant_values=float("-inf"))
    return keras.ops.${dilation ? "max(keras.ops.stack(taps(x)), axis=0)" : `max_pool(x, ${size}, ${step})`}`);
    }
    const all = "keras.ops.pad(a, padding)";
    return taps + divided(padded, dilation ? `sum(taps(${all}))` : `keras.ops.average_pool(${all}, ${size}, ${step})`, "keras.ops.ones_like(x)");
  }
  const convolution = (more, rest) => `keras.layers.Conv2D${op === "conv" ? "" : "Transpose"}(${args(OUTPUTS, size, more, rest, dilation)})`;
  if (op === "conv") {
    if (both) {
      const steps = s.map((step) => (step > 1 ? `::${step}` : ":")).join(", ");
      return `${head}# Keras refuses stride with dilation: so every window, and then those of the stride.
${convolveAndCut(convolution(), `    x = keras.ops.pad(x, ${padded})\n`, `:, ${steps}`)}`;
    }
    return `${head}layer = ${own ? convolution(strides, named) : `keras.Sequential([
    keras.layers.ZeroPadding2D(${pairs(axes)}),
    ${convolution(strides)},
])`}`;
  }
  const note = dilation ? "# TensorFlow’s plain CPU kernel refuses this dilation; oneDNN’s and XLA’s take it.\n" : "";
  if (own && !both) return `${head}${note}layer = ${convolution(strides, named)}`;
  // What Keras makes without a crop; where that is too little, zeros are added behind.
  const behind = AXES.map((i) => {
    const full = fullSize(...axisOf(layer, i));
    return (both ? full : Math.max(full, n[i] * s[i])) - axes[i].before - axes[i].outputs;
  });
  const grows = behind.some((cells) => cells < 0);
  const crop = axes.map(({ before }, i) => ({ before, after: Math.max(0, behind[i]) }));
  const grow = behind.map((cells) => ({ before: 0, after: Math.max(0, -cells) }));
  const sequence = `keras.Sequential([
    ${convolution(both ? undefined : strides, grows ? "use_bias=False" : undefined)},
${grows ? `    keras.layers.ZeroPadding2D(${pairs(grow)}),  # then add the bias\n` : ""}    keras.layers.Cropping2D(${pairs(crop)}),
])`;
  if (!both) return `${head}${note}layer = ${sequence}`;
  const spread = s.map((step) => `(0, 0), (0, ${step - 1})`);
  return `${head}${note}# Keras refuses stride with dilation: so the stride as zeros between the inputs.
convolve = ${sequence}

${define(`    x = keras.ops.reshape(x, (-1, ${n[0]}, 1, ${n[1]}, 1, ${INPUTS}))
    x = keras.ops.pad(x, ((0, 0), ${spread.join(", ")}, (0, 0)))
    x = keras.ops.reshape(x, (-1, ${n[0] * s[0]}, ${n[1] * s[1]}, ${INPUTS}))[:, :${(n[0] - 1) * s[0] + 1}, :${(n[1] - 1) * s[1] + 1}]
    return convolve(x)`)}`;
}

/** PyTorch code: native padding wherever one is exact, then a crop; a padded copy is the last resort. */
function torch(layer, axes, rule) {
  const { op, n, k, s, d } = layer;
  const before = axes.map((axis) => axis.before);
  const outputs = axes.map((axis) => axis.outputs);
  const head = "from torch import nn\n\n";
  const size = pair(k);
  const stride = option("stride", s, 1);
  const dilation = option("dilation", d, 1);
  const found = symmetric(layer, axes);
  const padding = found && option("padding", found.p, 0);
  const convolution = (...more) => `nn.Conv${op === "conv" ? "" : "Transpose"}2d(${args(INPUTS, OUTPUTS, size, stride, ...more, dilation)})`;
  if (op === "transposed") {
    if (found) return `${head}layer = ${convolution(padding, option("output_padding", found.extra, 0))}`;
    const full = AXES.map((i) => fullSize(...axisOf(layer, i)));
    const extra = AXES.map((i) => Math.max(0, before[i] + outputs[i] - full[i]));
    const cut = slices(before, outputs, full.map((cells, i) => cells + extra[i]));
    return head + convolveAndCut(convolution(option("output_padding", extra, 0)), "", `..., ${cut}`);
  }
  if (op === "conv") {
    if (found) return `${head}layer = ${convolution(padding)}`;
    if (!stride && kerasPadding(layer, axes) === "same") return `${head}layer = ${convolution('padding="same"')}`;
    // Enough native padding on both sides, in steps of the stride; then drop the outputs in front.
    const drop = AXES.map((i) => {
      const behind = (outputs[i] - 1) * s[i] + effectiveKernelSize(k[i], d[i]) - n[i] - before[i];
      return Math.max(0, Math.ceil((behind - before[i]) / s[i]));
    });
    const p = AXES.map((i) => before[i] + drop[i] * s[i]);
    const cut = slices(drop, outputs, AXES.map((i) => outputSize(...axisOf(layer, i), [p[i], p[i]])));
    return head + convolveAndCut(convolution(option("padding", p, 0)), "", `..., ${cut}`);
  }
  const functional = "import torch.nn.functional as F\n\n";
  const order = "  # left, right, top, bottom";
  const sides = tuple([1, 0].flatMap((i) => [axes[i].before, axes[i].after]));
  if (found && !(op === "avg" && dilation)) {
    const ceil = (rule.kind === "torch" ? rule : found).ceil ? "ceil_mode=True" : undefined;
    const uncounted = op === "avg" && padding ? UNCOUNTED : undefined;
    return `${head}layer = nn.${op === "max" ? "Max" : "Avg"}Pool2d(${args(size, `stride=${pair(s)}`, padding, dilation, ceil, uncounted)})`;
  }
  if (op === "max") {
    return functional + define(`    x = F.pad(x, ${sides}, value=float("-inf"))${order}
    return F.max_pool2d(${args("x", size, pair(s), dilation)})`);
  }
  const all = "F.pad(a, padding)";
  return functional + (dilation ? dilatedTaps(layer, axes, "...") : "")
    + divided(sides + order, dilation ? `sum(taps(${all}))` : `F.avg_pool2d(${all}, ${size}, ${pair(s)})`, "x.new_ones(x.shape)");
}

/** The padding argument of JAX and Flax: a word where they have one, else pairs. */
function jaxPadding({ op, k, d }, axes, { kind }, pool) {
  const words = { same: '"SAME"', upper: '"SAME"', lower: '"SAME_LOWER"', valid: '"VALID"' };
  if (op === "transposed") {
    if (words[kind] === words.same) return words.same;
    // They pad the spread-out input of a stride-1 convolution with the flipped kernel.
    return pairs(axes.map(({ before, after }, i) => {
      const reach = (k[i] - 1) * d[i];
      return { before: reach - before, after: reach - after };
    }));
  }
  return words[kind] || (pool ? imagePairs(axes) : pairs(axes));
}

/** Flax code. */
function flax(layer, axes, rule) {
  const { op, k, s, d } = layer;
  const head = "from flax import linen as nn\n\n";
  const dilation = Math.max(...d) > 1 ? `kernel_dilation=${tuple(d)}` : undefined;
  const strides = `strides=${tuple(s)}`;
  const padding = `padding=${jaxPadding(layer, axes, rule)}`;
  const convolution = args(OUTPUTS, tuple(k), strides, padding, dilation);
  if (op === "transposed") {
    return `${head}layer = nn.ConvTranspose(
    ${convolution},
    transpose_kernel=True,  # as Keras stores and flips it
)`;
  }
  if (op === "conv") return `${head}layer = nn.Conv(${convolution})`;
  if (dilation) return `# Flax’s pools take no dilation; JAX’s do.\n${jax(layer, axes, rule)}`;
  const uncounted = op === "avg" ? UNCOUNTED : undefined;
  return head + define(`    return nn.${op}_pool(${args("x", tuple(k), strides, padding, uncounted)})`);
}

/** JAX code. */
function jax(layer, axes, rule) {
  const { op, k, s, d } = layer;
  const dilated = Math.max(...d) > 1;
  const pool = isPool(op);
  const padding = jaxPadding(layer, axes, rule, pool);
  if (!pool) {
    const back = op === "transposed";
    const channels = back ? [OUTPUTS, INPUTS] : [INPUTS, OUTPUTS];
    const kernel = `x, kernel):  # kernel ${tuple([...k, ...channels])}${back ? ", as in Keras" : ""}`;
    return `from jax import lax

${define(`    return lax.conv_${back ? "transpose" : "general_dilated"}(
        x, kernel, ${back ? "" : "window_"}strides=${tuple(s)}, padding=${padding},${back ? " transpose_kernel=True," : ""}
${dilated ? `        rhs_dilation=${tuple(d)},\n` : ""}${back ? "" : '        dimension_numbers=("NHWC", "HWIO", "NHWC"),\n'}    )`, kernel)}`;
  }
  const image = (list) => tuple([1, ...list, 1]);
  const rest = args(image(k), image(s), "padding", dilated ? `window_dilation=${image(d)}` : undefined);
  return `from jax import lax, numpy as jnp

${op === "max" ? define(`    padding = ${padding}
    return lax.reduce_window(
        x, -jnp.inf, lax.max, ${rest}
    )`) : divided(padding, `lax.reduce_window(a, 0.0, lax.add, ${rest})`, "jnp.ones_like(x)")}`;
}

/** ONNX code: one node. auto_pad only where ONNX Runtime takes it and ONNX does not deprecate it. */
function onnx({ op, k, s, d }, axes, { kind }) {
  const auto = { same: "SAME_UPPER", upper: "SAME_UPPER", lower: "SAME_LOWER", valid: "VALID" }[kind];
  const takes = kind === "valid" ? op === "conv"
    : Math.max(...d) === 1 && (op === "conv" || (op === "transposed" && AXES.every((i) => s[i] <= k[i])));
  const pads = [...axes.map((axis) => axis.before), ...axes.map((axis) => Math.max(0, axis.after))];
  const extra = axes.map((axis) => Math.max(0, -axis.after));
  const weight = brackets([...(op === "conv" ? [OUTPUTS, INPUTS] : [INPUTS, OUTPUTS]), ...k]);
  const name = { conv: "Conv", max: "MaxPool", avg: "AveragePool", transposed: "ConvTranspose" }[op];
  // Its check leaves out the dilation; ONNX itself has no such limit.
  const refused = isPool(op) && AXES.some((i) => Math.max(pads[i], pads[i + 2]) >= k[i]);
  const lines = [
    `"${name}",`,
    isPool(op) ? '["x"],' : `["x", "weight"],  # weight ${weight}`,
    '["y"],',
    `kernel_shape=${brackets(k)},`,
    `strides=${brackets(s)},`,
    Math.max(...d) > 1 && `dilations=${brackets(d)},`,
    auto && takes ? `auto_pad="${auto}",` : `pads=${brackets(pads)},  # top, left, bottom, right`,
    Math.max(...extra) > 0 && `output_padding=${brackets(extra)},`,
  ];
  return `from onnx import helper

${refused ? "# ONNX Runtime refuses it: it takes no pool’s pads from the kernel’s size on.\n" : ""}node = helper.make_node(
    ${lines.filter(Boolean).join("\n    ")}
)`;
}

/** The code of a state of the page, under the one of its two rules that is chosen. */
function snippet(state) {
  const { layer, rules, of, code } = state;
  const rule = rules[of];
  const axes = plan(layer, rule);
  const outputs = axes.map((axis) => axis.outputs);
  if (outputs.includes(0)) return "# This rule leaves no output.\n";
  const shape = ([rows, columns], channels) => tuple(code === "torch" || code === "onnx"
    ? ["batch", channels, rows, columns] : ["batch", rows, columns, channels]);
  const [inputs, made] = isPool(layer.op) ? ["channels", "channels"] : [INPUTS, OUTPUTS];
  return `# ${ruleName(layer, rule)}
# x ${shape(layer.n, inputs)}
# y ${shape(outputs, made)}
# explorer.html${writeAddress({ ...state, at: [0, 0], w: "ones" })}
${{ keras, torch, flax, jax, onnx }[code](layer, axes, rule)}
`;
}
