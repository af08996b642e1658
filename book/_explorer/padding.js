/*
 * Where every padding rule puts its windows, in words and in code. Pure functions, no page needed:
 * a classic script (modules do not load from file://) that Node can `require` too.
 *
 * A layer is {op, n, k, s, d}: the operation and, as [rows, columns], input size, kernel, stride and
 * dilation. A rule is {kind, p, pads}: p is [rows, columns], pads [[top, bottom], [left, right]].
 * A plan is, for each axis, {before, after, outputs}: cells added, or cropped in "transposed".
 */
(function (root, factory) {
  if (typeof module === "object" && module.exports) module.exports = factory();
  else root.Padding = factory();
})(this, function () {
  "use strict";

  const AXES = [0, 1];
  const INDENT = "    ";

  /** Cells that a dilated kernel reaches over. */
  function effectiveKernelSize(k, d) {
    return (k - 1) * d + 1;
  }

  /** Windows that fit with [before, after] cells added: the floor rule. */
  function outputSize(n, k, s, d, [before, after]) {
    const room = n + before + after - effectiveKernelSize(k, d);
    return room < 0 ? 0 : Math.floor(room / s) + 1;
  }

  /** The zeros [before, after] of TensorFlow's SAME. */
  function samePadding(n, k, s, d) {
    const total = Math.max(0, effectiveKernelSize(k, d) - 1 - ((n - 1) % s));
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  }

  /** One axis of a convolution or pool: {before, after, outputs}. */
  function placeWindows(kind, p, pads, n, k, s, d) {
    const same = samePadding(n, k, s, d);
    const padding = {
      same, upper: same, lower: [same[1], same[0]], valid: [0, 0], torch: [p, p], pads,
    }[kind];
    return { before: padding[0], after: padding[1], outputs: outputSize(n, k, s, d, padding) };
  }

  /** PyTorch's output_padding that brings a transposed convolution to n * s, 0 where none may. */
  function outputPadding(p, k, s) {
    const wanted = s + 2 * p - k;
    return wanted > 0 && wanted < s ? wanted : 0;
  }

  /** One axis of a transposed convolution; `after` < 0 means cells that no input reaches. */
  function placeTransposed(kind, p, pads, n, k, s) {
    const full = (n - 1) * s + k;
    const total = Math.max(0, k - s);
    const [before, outputs] = {
      same: [Math.floor(total / 2), n * s],
      upper: [Math.floor(total / 2), n * s],
      lower: [Math.ceil(total / 2), n * s],
      valid: [0, n * s + total],
      torch: [p, full - 2 * p + outputPadding(p, k, s)],
      pads: [pads[0], full - pads[0] - pads[1]],
    }[kind];
    return { before, after: full - before - outputs, outputs: Math.max(0, outputs) };
  }

  /** The plan of a rule: {before, after, outputs} along rows and columns. */
  function plan(layer, rule) {
    const place = layer.op === "transposed" ? placeTransposed : placeWindows;
    return AXES.map((i) =>
      place(rule.kind, rule.p[i], rule.pads[i], layer.n[i], layer.k[i], layer.s[i], layer.d[i]));
  }

  /** Whether two axes place every window alike. Cells padded behind the last window do not count. */
  function alike(a, b) {
    return a.before === b.before && a.outputs === b.outputs;
  }

  /** {p, extra} with which PyTorch's symmetric padding places one axis like `axis`, or null. */
  function symmetric(op, axis, n, k, s, d) {
    const p = axis.before;
    if (op === "transposed") {
      const extra = axis.outputs - ((n - 1) * s + k - 2 * p);
      return extra >= 0 && extra < s ? { p, extra } : null;
    }
    return outputSize(n, k, s, d, [p, p]) === axis.outputs ? { p, extra: 0 } : null;
  }

  /** The same for both axes, or null. */
  function symmetricPlan(layer, axes) {
    const found = AXES.map((i) =>
      symmetric(layer.op, axes[i], layer.n[i], layer.k[i], layer.s[i], layer.d[i]));
    return found[0] && found[1] ? found : null;
  }

  /** The p for which symmetric padding is exactly SAME along one axis, or null. */
  function symmetricEqualsSame(n, k, s, d) {
    const found = symmetric("conv", placeWindows("same", 0, [0, 0], n, k, s, d), n, k, s, d);
    return found && found.p;
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
    const inputs = Array.from({ length: g.windows }, (_, w) => w);
    return inputs.filter((w) => taps(g, w).includes(o));
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

  /** The rule's name, with its numbers. */
  function ruleName(layer, rule) {
    if (rule.kind === "torch") {
      const extra = AXES.map((i) => outputPadding(rule.p[i], layer.k[i], layer.s[i]));
      const more = layer.op === "transposed" && Math.max(...extra) > 0;
      return `PyTorch padding=${pair(rule.p)}${more ? `, output_padding=${pair(extra)}` : ""}`;
    }
    if (rule.kind === "pads") {
      const [rows, columns] = rule.pads.map((pads) => pads.join(", "));
      return rows === columns ? `pads (${rows})` : `pads ((${rows}), (${columns}))`;
    }
    return {
      same: "TensorFlow SAME", valid: "VALID", upper: "ONNX SAME_UPPER", lower: "ONNX SAME_LOWER",
    }[rule.kind];
  }

  /** "0 before and 1 after", or both axes. */
  function amounts(layer, axes) {
    const one = ({ before, after }) => (after < 0
      ? `crops ${before} before and adds ${-after} after`
      : `${layer.op === "transposed" ? "crops" : "pads"} ${before} before and ${after} after`);
    const [rows, columns] = axes.map(one);
    return rows === columns ? rows : `${rows} (rows), ${columns} (columns)`;
  }

  /** What a framework says to this layer under its rule, as sentences. */
  function remarks(layer, rule, axes) {
    const { op, n, k, s, d } = layer;
    const some = (test) => AXES.some(test);
    const strided = some((i) => s[i] > 1);
    const dilated = some((i) => d[i] > 1);
    const pool = op === "max" || op === "avg";
    const out = [];
    if (some((i) => axes[i].outputs === 0)) {
      out.push(`${ruleName(layer, rule)} leaves no output: TensorFlow, PyTorch and ONNX Runtime refuse.`);
    }
    if ((rule.kind === "same" || rule.kind === "valid") && strided && dilated) {
      out.push("Keras and tf.nn.convolution refuse stride with dilation; tf.nn.conv2d computes it on the CPU.");
    }
    if (rule.kind === "same" && op === "conv" && strided) {
      out.push("PyTorch’s own padding=\"same\" refuses a stride.");
    }
    if (rule.kind === "upper" || rule.kind === "lower") {
      const name = ruleName(layer, rule).slice(5);
      if (op === "conv" && dilated) {
        out.push(`ONNX Runtime refuses ${name} with dilation: write the pads.`);
      }
      const lack = Math.min(...AXES.map((i) => k[i] - 1 - ((n[i] - 1) % s[i])));
      if (op === "max" && lack < 0) {
        out.push(`ONNX Runtime refuses ${name} here: it computes a negative padding.`);
      }
      if (op === "avg" && lack < (rule.kind === "upper" ? -1 : -2)) {
        out.push(`ONNX Runtime reads other cells under ${name} here: it computes a negative padding.`);
      }
      if (op === "transposed" && some((i) => s[i] > k[i])) {
        const size = AXES.map((i) => n[i] * s[i] + Math.min(0, k[i] - s[i]));
        out.push(`ONNX Runtime returns ${times(size)} here, against ONNX’s own text.`);
      }
    }
    if (rule.kind === "valid" && op === "transposed" && some((i) => s[i] > k[i])) {
      out.push("VALID as TensorFlow has it: PyTorch and ONNX do not add the cells that no input reaches.");
    }
    if (rule.kind === "torch" && pool) {
      const half = k.map((size) => Math.floor(size / 2));
      if (some((i) => rule.p[i] > half[i])) {
        out.push(`PyTorch refuses: a pool’s padding is at most half its kernel, ${pair(half)}.`);
      }
      if (op === "avg" && rule.p[0] + rule.p[1] > 0) {
        out.push("Shown with count_include_pad=False: by default PyTorch’s mean counts the zeros.");
      }
    }
    if (rule.kind === "pads" && some((i) => rule.pads[i][0] !== rule.pads[i][1])) {
      out.push("No Keras or PyTorch layer takes uneven pads: the code writes them out.");
    }
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
    const equal = !empty && AXES.every((i) => alike(plans[0][i], plans[1][i]));
    const ops = { conv: "Convolution", max: "Max pool", avg: "Average pool", transposed: "Transposed convolution" };
    const dilation = layer.d.some((d) => d > 1) ? `, dilation ${pair(layer.d)}` : "";

    let text = `${ops[layer.op]}, input ${times(layer.n)}, kernel ${pair(layer.k)}, stride ${pair(layer.s)}${dilation}. `;
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
      const found = symmetricPlan(layer, plans[side]);
      const extra = found && found.map((axis) => axis.extra);
      const more = extra && Math.max(...extra) > 0 ? `, output_padding=${pair(extra)}` : "";
      text += found
        ? `Symmetric padding=${pair(found.map((axis) => axis.p))}${more} equals ${names[side]}.`
        : `No symmetric padding equals ${names[side]}.`;
    }
    const notes = rules.flatMap((rule, i) => remarks(layer, rule, plans[i]));
    return { equal, headline, text: text.trim(), notes: [...new Set(notes)] };
  }

  // ---- in code

  /** "((0, 1), (0, 1))" from a plan. */
  function pairs(axes) {
    return `(${axes.map((axis) => `(${axis.before}, ${axis.after})`).join(", ")})`;
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
  function slice(start, size, whole) {
    return start === 0 && size === whole ? ":" : `${start || ""}:${start + size}`;
  }

  /** "same" or "valid" where Keras's own padding places every window so, or nothing. */
  function kerasPadding(layer, axes) {
    return ["valid", "same"].find((kind) => {
      const own = plan(layer, { kind, p: [0, 0], pads: [[0, 0], [0, 0]] });
      return AXES.every((i) => alike(own[i], axes[i]));
    });
  }

  /** Keras code. */
  function keras(layer, rule, axes) {
    const { op, n, k, s, d } = layer;
    const own = kerasPadding(layer, axes);
    const named = own === "same" ? 'padding="same"' : undefined;
    const size = pair(k);
    const strides = option("strides", s, 1);
    const padded = `((0, 0), ${pairs(axes).slice(1, -1)}, (0, 0))`;
    const head = ["import keras", ""];
    if (op === "transposed") {
      const layerLine = (more) => `keras.layers.Conv2DTranspose(${args("64", size, strides, more)})`;
      if (own) return [...head, `layer = ${layerLine(named)}`];
      const valid = AXES.map((i) => n[i] * s[i] + Math.max(0, k[i] - s[i]));
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
      const refused = Math.max(...s) > 1 && Math.max(...d) > 1;
      const dilation = option("dilation_rate", d, 1);
      if (refused) {
        const steps = s.map((step) => (step > 1 ? `::${step}` : ":")).join(", ");
        return [
          ...head,
          "# Keras refuses stride with dilation: so every window, and then those of the stride.",
          `convolve = keras.layers.Conv2D(${args("64", size, dilation)})`,
          "",
          "",
          "def layer(x):",
          `${INDENT}x = keras.ops.pad(x, ${padded})`,
          `${INDENT}return convolve(x)[:, ${steps}]`,
        ];
      }
      if (own) return [...head, `layer = keras.layers.Conv2D(${args("64", size, strides, named, dilation)})`];
      return [
        ...head,
        "layer = keras.Sequential([",
        `${INDENT}keras.layers.ZeroPadding2D(${pairs(axes)}),`,
        `${INDENT}keras.layers.Conv2D(${args("64", size, strides, dilation)}),`,
        "])",
      ];
    }
    const step = `strides=${pair(s)}`; // a pool's default stride is its kernel
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

  /** Outputs of a PyTorch pool, with its rule that no window starts in the right padding. */
  function torchPool(n, k, s, p, ceil) {
    if (!ceil) return outputSize(n, k, s, 1, [p, p]);
    const windows = Math.ceil((n + 2 * p - k) / s) + 1;
    return (windows - 1) * s >= n + p ? windows - 1 : windows;
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
    const conv = (name, more) => `nn.${name}(${args("3", "64", size, stride, more, dilation)})`;
    const cropped = (name, more, cut) => [
      ...head,
      `convolve = ${conv(name, more)}`,
      "",
      "",
      "def layer(x):",
      `${INDENT}return convolve(x)[..., ${cut.join(", ")}]`,
    ];
    if (op === "transposed") {
      const found = symmetricPlan(layer, axes);
      if (found) {
        const more = args(option("padding", before, 0), option("output_padding", found.map((axis) => axis.extra), 0));
        return [...head, `layer = ${conv("ConvTranspose2d", more || undefined)}`];
      }
      const full = AXES.map((i) => (n[i] - 1) * s[i] + k[i]);
      const extra = AXES.map((i) => Math.max(0, before[i] + outputs[i] - full[i]));
      const cut = AXES.map((i) => slice(before[i], outputs[i], full[i] + extra[i]));
      return cropped("ConvTranspose2d", option("output_padding", extra, 0), cut);
    }
    if (op === "conv") {
      if (symmetricPlan(layer, axes)) return [...head, `layer = ${conv("Conv2d", option("padding", before, 0))}`];
      if (kerasPadding(layer, axes) === "same" && Math.max(...s) === 1) {
        return [...head, `layer = ${conv("Conv2d", 'padding="same"')}`];
      }
      // Enough native padding on both sides, in steps of the stride; then drop the outputs in front.
      const drop = AXES.map((i) => {
        const behind = (outputs[i] - 1) * s[i] + effectiveKernelSize(k[i], d[i]) - n[i] - before[i];
        return Math.max(0, Math.ceil((behind - before[i]) / s[i]));
      });
      const both = AXES.map((i) => before[i] + drop[i] * s[i]);
      const cut = AXES.map((i) =>
        slice(drop[i], outputs[i], outputSize(n[i], k[i], s[i], d[i], [both[i], both[i]])));
      return cropped("Conv2d", option("padding", both, 0), cut);
    }
    const name = op === "max" ? "MaxPool2d" : "AvgPool2d";
    const uncounted = op === "avg" && Math.max(...before) > 0 ? "count_include_pad=False" : undefined;
    const ceil = [false, true].find((mode) => AXES.every((i) =>
      2 * before[i] <= k[i] && torchPool(n[i], k[i], s[i], before[i], mode) === outputs[i]));
    if (ceil !== undefined) {
      const mode = ceil ? "ceil_mode=True" : undefined;
      return [...head, `layer = nn.${name}(${args(size, `stride=${pair(s)}`, option("padding", before, 0), mode, uncounted)})`];
    }
    const sides = `(${[1, 0].map((i) => `${axes[i].before}, ${axes[i].after}`).join(", ")})`;
    const functional = ["import torch.nn.functional as F", "", "", "def layer(x):"];
    if (op === "max") {
      return [
        ...functional,
        `${INDENT}x = F.pad(x, ${sides}, value=float("-inf"))  # left, right, top, bottom`,
        `${INDENT}return F.max_pool2d(x, ${size}, ${pair(s)})`,
      ];
    }
    return [
      ...functional,
      `${INDENT}pads = ${sides}  # left, right, top, bottom`,
      `${INDENT}means = [F.avg_pool2d(F.pad(a, pads), ${size}, ${pair(s)}) for a in (x, x.new_ones(x.shape))]`,
      `${INDENT}return means[0] / means[1]  # the padding does not count`,
    ];
  }

  /** JAX code. */
  function jax(layer, rule, axes) {
    const { op, k, s, d } = layer;
    const whole = ([a, b]) => `(${a}, ${b})`;
    const names = { same: '"SAME"', upper: '"SAME"', lower: '"SAME_LOWER"', valid: '"VALID"' };
    const named = names[rule.kind];
    if (op === "transposed") {
      const padding = rule.kind === "same" || rule.kind === "upper"
        ? '"SAME"'
        : pairs(AXES.map((i) => ({ before: k[i] - 1 - axes[i].before, after: k[i] - 1 - axes[i].after })));
      return [
        "from jax import lax", "", "",
        "def layer(x, kernel):  # kernel: (height, width, outputs, inputs), as in Keras",
        `${INDENT}return lax.conv_transpose(`,
        `${INDENT}${INDENT}x, kernel, strides=${whole(s)}, padding=${padding}, transpose_kernel=True`,
        `${INDENT})`,
      ];
    }
    if (op === "conv") {
      return [
        "from jax import lax", "", "",
        "def layer(x, kernel):",
        `${INDENT}return lax.conv_general_dilated(`,
        `${INDENT}${INDENT}x, kernel, window_strides=${whole(s)}, padding=${named || pairs(axes)},`,
        ...(Math.max(...d) > 1 ? [`${INDENT}${INDENT}rhs_dilation=${whole(d)},`] : []),
        `${INDENT}${INDENT}dimension_numbers=("NHWC", "HWIO", "NHWC"),`,
        `${INDENT})`,
      ];
    }
    const padding = named || `((0, 0), ${pairs(axes).slice(1, -1)}, (0, 0))`;
    const window = `(1, ${k[0]}, ${k[1]}, 1), (1, ${s[0]}, ${s[1]}, 1)`;
    const head = ["from jax import lax, numpy as jnp", "", "", "def layer(x):"];
    if (op === "max") {
      return [
        ...head,
        `${INDENT}padding = ${padding}`,
        `${INDENT}return lax.reduce_window(x, -jnp.inf, lax.max, ${window}, padding)`,
      ];
    }
    return [
      ...head,
      `${INDENT}padding = ${padding}`,
      `${INDENT}sums = [`,
      `${INDENT}${INDENT}lax.reduce_window(a, 0.0, lax.add, ${window}, padding)`,
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
      : (op === "conv" && Math.max(...d) === 1) || (op === "transposed" && AXES.every((i) => s[i] <= k[i]));
    const pads = [...axes.map((axis) => axis.before), ...axes.map((axis) => Math.max(0, axis.after))];
    const extra = axes.map((axis) => Math.max(0, -axis.after));
    const weights = op === "conv" || op === "transposed";
    const name = { conv: "Conv", max: "MaxPool", avg: "AveragePool", transposed: "ConvTranspose" }[op];
    return [
      "from onnx import helper",
      "",
      "node = helper.make_node(",
      `${INDENT}"${name}",`,
      `${INDENT}${weights ? '["x", "weight"]' : '["x"]'},`,
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

  /** The layer under a rule, written for "keras", "torch", "jax" or "onnx". */
  function snippet(framework, layer, rule) {
    const axes = plan(layer, rule);
    const outputs = axes.map((axis) => axis.outputs);
    if (outputs.includes(0)) return "# This rule leaves no output.\n";
    const shape = ([rows, columns]) => (framework === "torch" || framework === "onnx"
      ? `(batch, channels, ${rows}, ${columns})`
      : `(batch, ${rows}, ${columns}, channels)`);
    const lines = { keras, torch, jax, onnx }[framework](layer, rule, axes);
    return [`# ${ruleName(layer, rule)}`, `# x ${shape(layer.n)}`, `# y ${shape(outputs)}`, ...lines, ""].join("\n");
  }

  return {
    effectiveKernelSize, outputSize, samePadding, symmetricEqualsSame, symmetric, plan, alike,
    geometry, taps, reads, verdict, remarks, ruleName, amounts, snippet, times, pair,
  };
});
