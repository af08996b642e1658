// Answers tools/matrix.py: one question a line on stdin, one answer a line on stdout, as JSON.
// A question names the engine, "tfjs" or "onnxruntime-web"; arrays are flat, with their shapes.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The packages lie in the folder that Python names, not beside this file.
const require = createRequire(pathToFileURL(process.env.MATRIX_NODE_MODULES + "/x.js"));
let tf;
let ort;

/** The layer by TensorFlow.js's own functions, on its "cpu" backend. */
async function tfjs({ op, n, k, s, d, x, w, wShape }) {
  if (!tf) {
    tf = require("@tensorflow/tfjs-core");
    require("@tensorflow/tfjs-backend-cpu");
    await tf.setBackend("cpu");
  }
  const input = tf.tensor4d(x, [1, ...n, 2]);
  const kernel = w && tf.tensor4d(w, wShape);
  const size = [1, n[0] * s, n[1] * s, 3];
  const y = {
    conv: () => tf.conv2d(input, kernel, s, "same", "NHWC", d),
    depthwise: () => tf.depthwiseConv2d(input, kernel, s, "same", "NHWC", d),
    max: () => tf.maxPool(input, k, s, "same"),
    avg: () => tf.avgPool(input, k, s, "same"),
    transposed: () => tf.conv2dTranspose(input, kernel, size, s, "same"),
  }[op]();
  return { y: Array.from(await y.data()), shape: y.shape };
}

/** A one-node ONNX model by ONNX Runtime Web's WebAssembly; x and y have channels first. */
async function onnxruntimeWeb({ model, x, n }) {
  if (!ort) {
    ort = require("onnxruntime-web");
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "fatal";
  }
  const options = { executionProviders: ["wasm"], logSeverityLevel: 4 };
  const session = await ort.InferenceSession.create(Buffer.from(model, "base64"), options);
  const feed = { x: new ort.Tensor("float32", Float32Array.from(x), [1, 2, ...n]) };
  const { y } = await session.run(feed);
  await session.release();
  return { y: Array.from(y.data), shape: y.dims };
}

const engines = { tfjs, "onnxruntime-web": onnxruntimeWeb };
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = await engines[question.engine](question);
  } catch (error) {
    answer = { error: String(error.message ?? error).split("\n")[0] };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
