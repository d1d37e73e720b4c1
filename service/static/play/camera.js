/** A picture from the camera, which is on only while its dialog is open. */

import { button, h } from "../dom.js";
import { isPaper } from "./ink.js";

const NO_CAMERA = "This browser gives a page no camera here. Over a network it does so only with https.";

/** `take(file, paper)` gets a square from the middle of what the camera sees, and whether it is mostly light. */
export async function openCamera(take) {
  const video = h("video", { autoplay: true, muted: true, playsInline: true });
  const reason = h("p.reason", { role: "alert" });
  const shutter = button("Take the picture", takeOne, { className: "button", disabled: true });
  const close = button("Close", () => dialog.close(), { className: "button plain" });
  const dialog = h("dialog.camera", { ariaLabel: "Camera" }, video, reason, h("div.actions", close, shutter));
  let stream = null;
  async function takeOne() {
    take(...(await squareOf(video)));
    dialog.close();
  }
  document.body.append(dialog);
  dialog.onclose = () => {
    stop(stream);
    dialog.remove();
  };
  dialog.showModal();
  try {
    if (!navigator.mediaDevices) throw new Error(NO_CAMERA);
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    if (!dialog.open) return stop(stream);
    video.srcObject = stream;
    await video.play();
    shutter.disabled = false;
    shutter.focus();
  } catch (error) {
    video.hidden = true;
    reason.textContent = SENTENCES[error.name] ?? error.message;
  }
}

const SENTENCES = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser, then try again.",
  NotFoundError: "This device has no camera. Choose a picture instead.",
  NotReadableError: "The camera is in use by another program.",
};

function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

async function squareOf(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const side = Math.min(width, height);
  const kept = Math.min(side, 512);
  const canvas = h("canvas", { width: kept, height: kept });
  const context = canvas.getContext("2d");
  context.drawImage(video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, kept, kept);
  const paper = isPaper(context.getImageData(0, 0, kept, kept));
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return [new File([blob], "camera.png", { type: "image/png" }), paper];
}
