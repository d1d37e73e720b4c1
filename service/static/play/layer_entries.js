/** The layers of a network as they are listed: input, localization net, the transformed picture, the rest. */

const KINDS = { convolution: "Convolution", pooling: "Downsampling", dense: "Dense" };
const PIXEL = { size: [1, 1], stride: [1, 1], start: [0, 0] };

/**
 * `{name, title, group, kind, shape, of, sees, …}` of each layer in the order in which they run. `kind` is that of the API,
 * `picture` for what the network was shown, or `output`.
 */
export function entriesOf({ activations, prediction, info }) {
  const layers = titled(activations ?? []);
  const straightens = Boolean(info.transform);
  const before = straightens ? layers.filter(({ of }) => of === "input") : [];
  return [
    picture("input", "Input", prediction?.input, [info.channels, info.height, info.width]),
    ...before.map((layer) => ({ ...layer, group: "Localization net" })),
    ...(straightens ? [picture("transformed", "Transformed", prediction?.transformed, null)] : []),
    ...layers.filter((layer) => !before.includes(layer)).map((layer) => ({ ...layer, group: "Class layers" })),
    output(prediction, info),
  ];
}

function picture(name, title, url, shape) {
  return { name, title, group: "", kind: "picture", of: name, sees: PIXEL, url, shape };
}

/** Named by their kind and number within their part of the network. */
function titled(activations) {
  const counts = new Map();
  return activations.map(({ layer, image, ...rest }) => {
    const key = `${rest.of} ${rest.kind}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return { ...rest, name: layer, url: image, title: `${KINDS[rest.kind] ?? rest.kind} ${counts.get(key)}` };
  });
}

function output(prediction, { class_names: names, transform }) {
  const values = prediction && names.map((name) => prediction.probabilities[name] ?? 0);
  const of = transform ? "transformed" : "input";
  const known = { values, names, shape: [names.length], minimum: 0, maximum: 1 };
  return { name: "output", title: "Output", group: "", kind: "output", of, sees: null, ...known };
}

/** What a layer consists of, in words. */
export function describeShape({ kind, shape }) {
  if (!shape) return "";
  if (kind === "picture") return `${shape[2]} × ${shape[1]}`;
  if (kind === "output") return `${shape[0]} classes`;
  if (shape.length === 1) return `${shape[0]} units`;
  return `${shape[0]} ${shape[0] === 1 ? "channel" : "channels"} of ${shape[2]} × ${shape[1]}`;
}
