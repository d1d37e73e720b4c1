/** A picture from the camera, which is on only while its dialog is open. */

import { element } from "../dom.js";
import { isPaper } from "./ink.js";

const NO_CAMERA = "This browser gives a page no camera here. Over a network it does so only with https.";

/** `take(file, paper)` gets the picture, a square from the middle of what the camera sees, and whether it is mostly light. */
export async function openCamera(take) {
  const video = element("video", { autoplay: true, muted: true, playsInline: true });
  const reason = element("p", { className: "reason", role: "alert" });
  const shutter = element("button", { type: "button", className: "button", disabled: true }, "Take the picture");
  const close = element("button", { type: "button", className: "button quiet" }, "Close");
  const dialog = element("dialog", { className: "camera", ariaLabel: "Camera" }, video, reason, shutter, close);
  let stream = null;
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    stop(stream);
    dialog.remove();
  });
  shutter.addEventListener("click", async () => {
    take(...(await squareOf(video)));
    dialog.close();
  });
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
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.min(side, 512), height: Math.min(side, 512) });
  canvas.getContext("2d").drawImage(video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
  const paper = isPaper(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height));
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return [new File([blob], "camera.png", { type: "image/png" }), paper];
}
