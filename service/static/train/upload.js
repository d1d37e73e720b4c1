/** A data set out of a file: chosen or dropped, named, sent, and what the service made of it. */

import { Failure, failureOf } from "../api.js";
import { h } from "../dom.js";
import { keyHeader } from "../key.js";
import { hush, tell } from "./tellings.js";
import { button } from "./html.js";
import { bytes, count } from "./words.js";

/** The panel; `view` takes drops, `say` shows what concerns no field, `added()` is called after each. */
export function createUpload(view, say, added) {
  const panel = {
    say, added, taken: null, sending: null,
    file: h("input.unseen", { id: "set-file", type: "file", accept: ".zip,.npz" }),
    name: h("input", { id: "set-name", type: "text", maxLength: 64, autocomplete: "off", "aria-describedby": "set-wrong" }),
    chosen: h("span.legend", "or drop it here: a zip file with a folder for each class, or .npz arrays; for an aligner also one of pictures alone"),
    wrong: h("p.wrong", { id: "set-wrong", role: "alert" }),
    bar: h("progress", { max: 1, ariaLabel: "Sent" }),
    words: h("span", { role: "status" }),
    result: h("div.result", { tabIndex: -1, hidden: true }),
  };
  panel.sent = h("div.row", { hidden: true }, panel.bar, panel.words, button("Cancel", () => panel.sending.abort()));
  const label = h("label", { htmlFor: "set-name" }, "Name");
  panel.named = h("div.row", { hidden: true }, label, panel.name, h("button.button", "Upload"));
  panel.file.onchange = () => {
    take(panel, panel.file.files);
    panel.file.value = ""; // the same file may be chosen again
  };
  const choose = h("div.row", panel.file, h("label.button.plain", { htmlFor: "set-file" }, "Choose a file"), panel.chosen);
  const form = h("form.upload", { noValidate: true }, choose, panel.named, panel.sent, panel.wrong, panel.result);
  form.onsubmit = (event) => {
    event.preventDefault();
    start(panel);
  };
  view.ondragover = view.ondragleave = view.ondrop = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    form.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop" && !panel.sending) take(panel, event.dataTransfer.files);
  };
  return form;
}

function take(panel, [file, ...others]) {
  if (!file) return;
  panel.wrong.textContent = "";
  hush(panel.result);
  if (others.length || !/\.(zip|npz)$/i.test(file.name)) {
    panel.wrong.textContent = "A data set is one .zip or .npz file. Zip the folder that holds the pictures or their class folders.";
    return;
  }
  panel.taken = file;
  panel.chosen.textContent = `${file.name}, ${bytes(file.size)}`;
  panel.name.value = file.name.replace(/\.\w+$/, "").replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 64);
  panel.named.hidden = false;
  panel.name.select();
}

async function start(panel) {
  if (panel.sending) return;
  const { name, wrong, sent, named } = panel;
  wrong.textContent = "";
  name.ariaInvalid = "false";
  let report = null;
  try {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name.value)) throw new Failure(422, "name: 1 to 64 letters, digits, - or _");
    [sent.hidden, named.hidden] = [false, true];
    report = await post(panel);
    if (!report) wrong.textContent = "Cancelled: nothing of it is kept.";
  } catch (error) {
    if (error.status === 401) tell(panel.say, error, () => start(panel));
    else wrong.textContent = error.message;
    name.ariaInvalid = String(error.status === 409 || error.detail.startsWith("name"));
  }
  panel.sending = null;
  [sent.hidden, named.hidden] = [true, Boolean(report)];
  if (!report) return name.focus();
  panel.chosen.textContent = "or drop one more here";
  const said = `: ${count(report.images, "picture")} in ${count(Object.keys(report.classes).length, "class", "classes")}. `;
  const alone = isForAligners(report) ? ". A classifier needs 2 classes, an aligner none." : "";
  const line = h("p", h("b", report.name), said, h("a", { href: trainOnOwn(report) }, "Train on it"), alone);
  panel.result.replaceChildren(line, ...leftOut(report));
  panel.result.hidden = false;
  panel.result.focus();
  panel.added();
}

/** The report, a Failure, or null where it was cancelled; `fetch` does not say how much has been sent. */
function post(panel) {
  const { taken, name, bar, words } = panel;
  return new Promise((resolve, reject) => {
    const request = (panel.sending = new XMLHttpRequest());
    request.upload.onprogress = request.upload.onload = ({ type, loaded, total }) => {
      bar.value = loaded / total;
      words.textContent = `Sending, ${Math.floor((100 * loaded) / total)} %`;
      if (type !== "load") return;
      bar.removeAttribute("value");
      words.textContent = "The service opens every picture";
    };
    request.onabort = () => resolve(null);
    request.onerror = () => reject(new Failure(0));
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(failureOf(request.status, request.response));
    };
    request.open("POST", `v1/datasets?${new URLSearchParams({ name: name.value })}`);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", /zip$/i.test(taken.name) ? "application/zip" : "application/octet-stream");
    for (const [header, value] of Object.entries(keyHeader())) request.setRequestHeader(header, value);
    request.send(taken);
  });
}

/** What was not taken, as a person wants to read it: each reason once, with its files. */
export function leftOut({ refused, refused_count: total, ignored_count: ignored }) {
  const reasons = new Map();
  for (const { file, reason } of refused) reasons.set(reason, [...(reasons.get(reason) ?? []), file]);
  const lines = Array.from(reasons, ([reason, files]) => {
    const more = files.length > 3 ? ` and ${files.length - 3} more` : "";
    return h("li", h("b", files.slice(0, 3).join(", ") + more), `: ${reason}`);
  });
  const first = total > refused.length ? `, the first ${refused.length} of them` : "";
  return [
    total ? h("p", `${count(total, "file")} left out${first}:`) : h("p.legend", "No picture was left out."),
    h("ul.reasons", lines),
    ignored ? h("p.legend", `${count(ignored, "hidden file")} of the system not counted.`) : "",
  ];
}

export const trainOn = (dataset, preset) => `#jobs/new?${new URLSearchParams({ preset, dataset })}`;
export const trainOnOwn = (set) => trainOn(set.name, isForAligners(set) ? "align" : "pictures");
const isForAligners = ({ classes }) => Object.keys(classes).length < 2;
