/*
 * A layer under a rule, written in Keras, PyTorch, Flax, JAX or ONNX. Pure functions over Padding's
 * plans: every snippet is executed by the tests and reads the cells that the picture shows.
 */
(function (root, factory) {
  if (typeof module === "object" && module.exports) module.exports = factory(require("./padding.js"));
  else root.LayerCode = factory(root.Padding);
})(this, function (P) {
  "use strict";

  const AXES = [0, 1];
  const INDENT = "    ";
  const INPUTS = 3; // channels of the written layers
  const OUTPUTS = 64;
  const { pair } = P;

  /** "((0, 1), (0, 1))" from a plan. */
  function pairs(axes) {
    return `(${axes.map((axis) => `(${axis.before}, ${axis.after})`).join(", ")})`;
  }

  /** The same for a batch of images, channels last: "((0, 0), (0, 1), (0, 1), (0, 0))". */
  function imagePairs(axes) {
    return `((0, 0), ${pairs(axes).slice(1, -1)}, (0, 0))`;
  }

  /** "(3, 3)", also where both are equal. */
  function whole([a, b]) {
    return `(${a}, ${b})`;
  }

  /** Positional and keyword arguments in one line, without those that are undefined. */
  function args(...list) {
    return list.filter((argument) => argument !== undefined).join(", ");
  }

  /** "name=value", or nothing where the value is the default. */
  function option(name, values, fallback) {
    return values.every((value) => value === fallback) ? undefined : `${name}=${pair(values)}`;
  }

  /** A Python slice of `size` entries from `start`, of `whole`. */
  function slice(start, size, all) {
    return start === 0 && size === all ? ":" : `${start || ""}:${start + size}`;
  }

  /** "same" or "valid" where Keras's own padding places every window so, or nothing. */
  function kerasPadding(layer, axes) {
    return ["valid", "same"].find((kind) => P.planAlike(P.plan(layer, { kind }), axes));
  }

  /** A dilated pool as what it is: the taps, each a strided slice of a padded `a`, and the loop. */
  function dilatedTaps({ k, s, d }, axes, front) {
    const cut = AXES.map((i) => {
      const name = "ij"[i];
      const reach = (axes[i].outputs - 1) * s[i] + 1;
      return `${name} : ${name} + ${reach}${s[i] > 1 ? ` : ${s[i]}` : ""}`;
    });
    const loop = AXES.map((i) => `for ${"ij"[i]} in range(0, ${k[i] * d[i]}, ${d[i]})`);
    return [`a[${front}, ${cut.join(", ")}]`, loop.join(" ")];
  }

  /** The lines of a mean that leaves out the padding: sums over x and over ones, divided. */
  function dilatedMean(layer, axes, front, pads, pad, ones) {
    const [tap, loop] = dilatedTaps(layer, axes, front);
    return [
      `# ${P.describe(layer)}`,
      "def layer(x):",
      `${INDENT}sums = []`,
      `${INDENT}for a in (x, ${ones}):`,
      `${INDENT}${INDENT}a = ${pad}(a, ${pads})`,
      `${INDENT}${INDENT}taps = [${tap}`,
      `${INDENT}${INDENT}        ${loop}]`,
      `${INDENT}${INDENT}sums.append(sum(taps))`,
      `${INDENT}return sums[0] / sums[1]  # the padding does not count`,
    ];
  }

  /** Keras code; its functions work on symbolic tensors too. */
  function keras(layer, rule, axes) {
    const { op, n, k, s, d } = layer;
    const own = kerasPadding(layer, axes);
    const named = own === "same" ? 'padding="same"' : undefined;
    const size = pair(k);
    const strides = option("strides", s, 1);
    const dilated = Math.max(...d) > 1;
    const both = dilated && Math.max(...s) > 1;
    const dilation = option("dilation_rate", d, 1);
    const padded = imagePairs(axes);
    const head = ["import keras", ""];
    if (op === "transposed" && dilated) {
      head.push("# TensorFlow’s plain CPU kernel refuses this dilation; oneDNN’s and XLA’s take it.");
    }
    if (op === "transposed" && both) {
      const full = AXES.map((i) => P.fullSize(n[i], k[i], s[i], d[i]));
      const behind = AXES.map((i) => full[i] - axes[i].before - axes[i].outputs);
      const cut = AXES.map((i) => slice(axes[i].before, full[i] - axes[i].before - Math.max(0, behind[i]), full[i]));
      const grow = behind.map((cells) => ({ before: 0, after: Math.max(0, -cells) }));
      const grows = behind.some((cells) => cells < 0);
      return [
        ...head,
        `# ${P.describe(layer)}`,
        "# Keras refuses stride with dilation: so the stride as zeros between the inputs.",
        `convolve = keras.layers.Conv2DTranspose(${args(OUTPUTS, size, dilation, grows ? "use_bias=False" : undefined)})`,
        "",
        "",
        "def layer(x):",
        `${INDENT}x = keras.ops.reshape(x, (-1, ${n[0]}, 1, ${n[1]}, 1, ${INPUTS}))`,
        `${INDENT}between = ((0, 0), (0, 0), (0, ${s[0] - 1}), (0, 0), (0, ${s[1] - 1}), (0, 0))`,
        `${INDENT}x = keras.ops.reshape(keras.ops.pad(x, between), (-1, ${n[0] * s[0]}, ${n[1] * s[1]}, ${INPUTS}))`,
        `${INDENT}x = x[:, :${(n[0] - 1) * s[0] + 1}, :${(n[1] - 1) * s[1] + 1}]`,
        ...(grows
          ? [`${INDENT}y = convolve(x)[:, ${cut.join(", ")}]`,
            `${INDENT}return keras.ops.pad(y, ${imagePairs(grow)})  # then add the bias`]
          : [`${INDENT}return convolve(x)[:, ${cut.join(", ")}]`]),
      ];
    }
    if (op === "transposed") {
      const layerLine = (more) => `keras.layers.Conv2DTranspose(${args(OUTPUTS, size, strides, more, dilation)})`;
      if (own) return [...head, `layer = ${layerLine(named)}`];
      const valid = AXES.map((i) => n[i] * s[i] + Math.max(0, P.effectiveKernelSize(k[i], d[i]) - s[i]));
      const behind = AXES.map((i) => valid[i] - axes[i].before - axes[i].outputs);
      const crop = AXES.map((i) => `(${axes[i].before}, ${Math.max(0, behind[i])})`).join(", ");
      const grow = AXES.map((i) => `(0, ${Math.max(0, -behind[i])})`).join(", ");
      const grows = behind.some((cells) => cells < 0);
      return [
        ...head,
        "layer = keras.Sequential([",
        `${INDENT}${layerLine(grows ? "use_bias=False" : undefined)},`,
        ...(grows ? [`${INDENT}keras.layers.ZeroPadding2D((${grow})),  # then add the bias`] : []),
        `${INDENT}keras.layers.Cropping2D((${crop})),`,
        "])",
      ];
    }
    if (op === "conv") {
      if (both) {
        const steps = s.map((step) => (step > 1 ? `::${step}` : ":")).join(", ");
        return [
          ...head,
          `# ${P.describe(layer)}`,
          "# Keras refuses stride with dilation: so every window, and then those of the stride.",
          `convolve = keras.layers.Conv2D(${args(OUTPUTS, size, dilation)})`,
          "",
          "",
          "def layer(x):",
          `${INDENT}x = keras.ops.pad(x, ${padded})`,
          `${INDENT}return convolve(x)[:, ${steps}]`,
        ];
      }
      if (own) return [...head, `layer = keras.layers.Conv2D(${args(OUTPUTS, size, strides, named, dilation)})`];
      return [
        ...head,
        "layer = keras.Sequential([",
        `${INDENT}keras.layers.ZeroPadding2D(${pairs(axes)}),`,
        `${INDENT}keras.layers.Conv2D(${args(OUTPUTS, size, strides, dilation)}),`,
        "])",
      ];
    }
    const step = `strides=${pair(s)}`; // a pool's default stride is its kernel
    if (op === "avg" && dilated) {
      return [...head, ...dilatedMean(layer, axes, ":", padded, "keras.ops.pad", "keras.ops.ones_like(x)")];
    }
    if (dilated) {
      const [tap, loop] = dilatedTaps(layer, axes, ":");
      return [
        ...head,
        `# ${P.describe(layer)}`,
        "def layer(x):",
        `${INDENT}a = keras.ops.pad(x, ${padded}, constant_values=float("-inf"))`,
        `${INDENT}taps = [${tap}`,
        `${INDENT}        ${loop}]`,
        `${INDENT}return keras.ops.max(keras.ops.stack(taps), axis=0)`,
      ];
    }
    if (own) {
      const name = op === "max" ? "MaxPooling2D" : "AveragePooling2D";
      return [...head, `layer = keras.layers.${name}(${args(size, step, named)})`];
    }
    if (op === "max") {
      return [
        ...head,
        "def layer(x):",
        `${INDENT}x = keras.ops.pad(x, ${padded}, constant_values=float("-inf"))`,
        `${INDENT}return keras.ops.max_pool(x, ${size}, ${step})`,
      ];
    }
    return [
      ...head,
      "def layer(x):",
      `${INDENT}pads = ${padded}`,
      `${INDENT}means = [`,
      `${INDENT}${INDENT}keras.ops.average_pool(keras.ops.pad(a, pads), ${size}, ${step})`,
      `${INDENT}${INDENT}for a in (x, keras.ops.ones_like(x))`,
      `${INDENT}]`,
      `${INDENT}return means[0] / means[1]  # the padding does not count`,
    ];
  }

  /** PyTorch code: native padding wherever one is exact, then a crop; a padded copy is the last resort. */
  function torch(layer, rule, axes) {
    const { op, n, k, s, d } = layer;
    const before = axes.map((axis) => axis.before);
    const outputs = axes.map((axis) => axis.outputs);
    const head = ["from torch import nn", ""];
    const size = pair(k);
    const stride = option("stride", s, 1);
    const dilation = option("dilation", d, 1);
    const found = P.symmetric(layer, axes);
    const padding = found && option("padding", found.p, 0);
    const conv = (name, more) => `nn.${name}(${args(INPUTS, OUTPUTS, size, stride, more, dilation)})`;
    const cropped = (name, more, cut) => [
      ...head,
      `convolve = ${conv(name, more)}`,
      "",
      "",
      "def layer(x):",
      `${INDENT}return convolve(x)[..., ${cut.join(", ")}]`,
    ];
    if (op === "transposed") {
      if (found) {
        const more = args(padding, option("output_padding", found.extra, 0));
        return [...head, `layer = ${conv("ConvTranspose2d", more || undefined)}`];
      }
      const full = AXES.map((i) => P.fullSize(n[i], k[i], s[i], d[i]));
      const extra = AXES.map((i) => Math.max(0, before[i] + outputs[i] - full[i]));
      const cut = AXES.map((i) => slice(before[i], outputs[i], full[i] + extra[i]));
      return cropped("ConvTranspose2d", option("output_padding", extra, 0), cut);
    }
    if (op === "conv") {
      if (found) return [...head, `layer = ${conv("Conv2d", padding)}`];
      if (kerasPadding(layer, axes) === "same" && Math.max(...s) === 1) {
        return [...head, `layer = ${conv("Conv2d", 'padding="same"')}`];
      }
      // Enough native padding on both sides, in steps of the stride; then drop the outputs in front.
      const drop = AXES.map((i) => {
        const behind = (outputs[i] - 1) * s[i] + P.effectiveKernelSize(k[i], d[i]) - n[i] - before[i];
        return Math.max(0, Math.ceil((behind - before[i]) / s[i]));
      });
      const both = AXES.map((i) => before[i] + drop[i] * s[i]);
      const cut = AXES.map((i) =>
        slice(drop[i], outputs[i], P.outputSize(n[i], k[i], s[i], d[i], [both[i], both[i]])));
      return cropped("Conv2d", option("padding", both, 0), cut);
    }
    const sides = `(${[1, 0].map((i) => `${axes[i].before}, ${axes[i].after}`).join(", ")})`;
    const functional = ["import torch.nn.functional as F", "", ""];
    if (op === "avg" && dilation) {
      return [
        ...functional,
        `pads = ${sides}  # left, right, top, bottom`,
        "",
        "",
        ...dilatedMean(layer, axes, "...", "pads", "F.pad", "x.new_ones(x.shape)"),
      ];
    }
    if (found) {
      const ceil = (rule.kind === "torch" ? rule.ceil : found.ceil) ? "ceil_mode=True" : undefined;
      const name = op === "max" ? "MaxPool2d" : "AvgPool2d";
      const uncounted = op === "avg" && padding ? "count_include_pad=False" : undefined;
      return [...head, `layer = nn.${name}(${args(size, `stride=${pair(s)}`, padding, dilation, ceil, uncounted)})`];
    }
    if (op === "max") {
      return [
        ...functional,
        "def layer(x):",
        `${INDENT}x = F.pad(x, ${sides}, value=float("-inf"))  # left, right, top, bottom`,
        `${INDENT}return F.max_pool2d(${args("x", size, pair(s), dilation)})`,
      ];
    }
    return [
      ...functional,
      "def layer(x):",
      `${INDENT}pads = ${sides}  # left, right, top, bottom`,
      `${INDENT}means = [`,
      `${INDENT}${INDENT}F.avg_pool2d(F.pad(a, pads), ${size}, ${pair(s)})`,
      `${INDENT}${INDENT}for a in (x, x.new_ones(x.shape))`,
      `${INDENT}]`,
      `${INDENT}return means[0] / means[1]  # the padding does not count`,
    ];
  }

  /** The padding argument of JAX and Flax: a word where they have one, else pairs. */
  function jaxPadding({ op, k, d }, rule, axes, pool) {
    const words = { same: '"SAME"', upper: '"SAME"', lower: '"SAME_LOWER"', valid: '"VALID"' };
    if (op === "transposed") {
      if (rule.kind === "same" || rule.kind === "upper") return words.same;
      // They pad the spread-out input of a stride-1 convolution with the flipped kernel.
      return pairs(axes.map(({ before, after }, i) => {
        const reach = (k[i] - 1) * d[i];
        return { before: reach - before, after: reach - after };
      }));
    }
    return words[rule.kind] || (pool ? imagePairs(axes) : pairs(axes));
  }

  /** Flax code. */
  function flax(layer, rule, axes) {
    const { op, k, s, d } = layer;
    const head = ["from flax import linen as nn", ""];
    const padding = `padding=${jaxPadding(layer, rule, axes)}`;
    const strides = `strides=${whole(s)}`;
    const dilation = Math.max(...d) > 1 ? `kernel_dilation=${whole(d)}` : undefined;
    if (op === "transposed") {
      return [
        ...head,
        "layer = nn.ConvTranspose(",
        `${INDENT}${args(OUTPUTS, whole(k), strides, padding, dilation)},`,
        `${INDENT}transpose_kernel=True,  # as Keras stores and flips it`,
        ")",
      ];
    }
    if (op === "conv") {
      return [...head, `layer = nn.Conv(${args(OUTPUTS, whole(k), strides, padding, dilation)})`];
    }
    if (dilation) return ["# Flax’s pools take no dilation; JAX’s do.", ...jax(layer, rule, axes)];
    const uncounted = op === "avg" ? "count_include_pad=False" : undefined;
    return [
      ...head,
      "",
      "def layer(x):",
      `${INDENT}return nn.${op}_pool(${args("x", whole(k), strides, padding, uncounted)})`,
    ];
  }

  /** JAX code. */
  function jax(layer, rule, axes) {
    const { op, k, s, d } = layer;
    const dilated = Math.max(...d) > 1;
    const padding = jaxPadding(layer, rule, axes, P.isPool(op));
    const sizes = (list) => `(${list.join(", ")})`;
    if (op === "transposed") {
      return [
        "from jax import lax", "", "",
        `def layer(x, kernel):  # kernel ${sizes([...k, OUTPUTS, INPUTS])}, as in Keras`,
        `${INDENT}return lax.conv_transpose(`,
        `${INDENT}${INDENT}x, kernel, strides=${whole(s)}, padding=${padding}, transpose_kernel=True,`,
        ...(dilated ? [`${INDENT}${INDENT}rhs_dilation=${whole(d)},`] : []),
        `${INDENT})`,
      ];
    }
    if (op === "conv") {
      return [
        "from jax import lax", "", "",
        `def layer(x, kernel):  # kernel ${sizes([...k, INPUTS, OUTPUTS])}`,
        `${INDENT}return lax.conv_general_dilated(`,
        `${INDENT}${INDENT}x, kernel, window_strides=${whole(s)}, padding=${padding},`,
        ...(dilated ? [`${INDENT}${INDENT}rhs_dilation=${whole(d)},`] : []),
        `${INDENT}${INDENT}dimension_numbers=("NHWC", "HWIO", "NHWC"),`,
        `${INDENT})`,
      ];
    }
    const image = (list) => sizes([1, ...list, 1]);
    const rest = args(image(k), image(s), "padding", dilated ? `window_dilation=${image(d)}` : undefined);
    const head = ["from jax import lax, numpy as jnp", "", "", "def layer(x):", `${INDENT}padding = ${padding}`];
    if (op === "max") {
      return [
        ...head,
        `${INDENT}return lax.reduce_window(`,
        `${INDENT}${INDENT}x, -jnp.inf, lax.max, ${rest}`,
        `${INDENT})`,
      ];
    }
    return [
      ...head,
      `${INDENT}sums = [`,
      `${INDENT}${INDENT}lax.reduce_window(a, 0.0, lax.add, ${rest})`,
      `${INDENT}${INDENT}for a in (x, jnp.ones_like(x))`,
      `${INDENT}]`,
      `${INDENT}return sums[0] / sums[1]  # the padding does not count`,
    ];
  }

  /** ONNX code: one node. auto_pad only where ONNX Runtime takes it and ONNX does not deprecate it. */
  function onnx(layer, rule, axes) {
    const { op, k, s, d } = layer;
    const list = (values) => `[${values.join(", ")}]`;
    const auto = { same: "SAME_UPPER", upper: "SAME_UPPER", lower: "SAME_LOWER", valid: "VALID" }[rule.kind];
    const takes = rule.kind === "valid" ? op === "conv"
      : Math.max(...d) === 1 && (op === "conv" || (op === "transposed" && AXES.every((i) => s[i] <= k[i])));
    const pads = [...axes.map((axis) => axis.before), ...axes.map((axis) => Math.max(0, axis.after))];
    const extra = axes.map((axis) => Math.max(0, -axis.after));
    const weight = list(op === "conv" ? [OUTPUTS, INPUTS, ...k] : [INPUTS, OUTPUTS, ...k]);
    const name = { conv: "Conv", max: "MaxPool", avg: "AveragePool", transposed: "ConvTranspose" }[op];
    // Its check leaves out the dilation; ONNX itself has no such limit.
    const refused = P.isPool(op) && AXES.some((i) => Math.max(pads[i], pads[i + 2]) >= k[i]);
    return [
      "from onnx import helper",
      "",
      ...(refused ? ["# ONNX Runtime refuses it: it takes no pool’s pads from the kernel’s size on."] : []),
      "node = helper.make_node(",
      `${INDENT}"${name}",`,
      `${INDENT}${P.isPool(op) ? '["x"],' : `["x", "weight"],  # weight ${weight}`}`,
      `${INDENT}["y"],`,
      `${INDENT}kernel_shape=${list(k)},`,
      `${INDENT}strides=${list(s)},`,
      ...(Math.max(...d) > 1 ? [`${INDENT}dilations=${list(d)},`] : []),
      auto && takes
        ? `${INDENT}auto_pad="${auto}",`
        : `${INDENT}pads=${list(pads)},  # top, left, bottom, right`,
      ...(Math.max(...extra) > 0 ? [`${INDENT}output_padding=${list(extra)},`] : []),
      ")",
    ];
  }

  /** The layer under a rule, written for "keras", "torch", "flax", "jax" or "onnx". */
  function snippet(framework, layer, rule) {
    const axes = P.plan(layer, rule);
    const outputs = axes.map((axis) => axis.outputs);
    if (outputs.includes(0)) return "# This rule leaves no output.\n";
    const first = framework === "torch" || framework === "onnx";
    const shape = ([rows, columns], channels) => (first
      ? `(batch, ${channels}, ${rows}, ${columns})`
      : `(batch, ${rows}, ${columns}, ${channels})`);
    const [inputs, made] = P.isPool(layer.op) ? ["channels", "channels"] : [INPUTS, OUTPUTS];
    const lines = { keras, torch, flax, jax, onnx }[framework](layer, rule, axes);
    return [
      `# ${P.ruleName(layer, rule)}`,
      `# x ${shape(layer.n, inputs)}`,
      `# y ${shape(outputs, made)}`,
      ...lines,
      "",
    ].join("\n");
  }

  return { snippet };
});
