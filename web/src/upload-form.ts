/** Uploading a script: checked here for what can be seen here, and by the server for the rest. */
import { ApiError, upload } from "./api";
import { find } from "./dom";
import { enable, errorsOf, showErrors } from "./forms";
import type { Row } from "./row";
import { toastAfterNavigation } from "./toast";

function nameOf(fileName: string): string {
  const words = fileName.replace(/\.(py|zip)$/i, "").replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1_048_576 ? `${(bytes / 1024).toFixed(1)} kB` : `${+(bytes / 1_048_576).toFixed(1)} MB`;
}

function count(bytes: number): string {
  return bytes.toLocaleString("en-US");
}

class UploadForm extends HTMLElement {
  #file: File | null = null;
  #isNamed = false;

  connectedCallback(): void {
    const form = find<HTMLFormElement>("form", this);
    const picker = find<HTMLInputElement>("input[type=file]", this);
    const drop = find("[data-drop]", this);
    picker.onchange = () => this.#take(picker.files?.[0] ?? null);
    find<HTMLInputElement>("input[name=name]", this).oninput = () => { this.#isNamed = true; };
    for (const kind of ["dragenter", "dragover"]) {
      this.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    }
    this.addEventListener("dragleave", () => drop.classList.remove("over"));
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.#take(event.dataTransfer?.files[0] ?? null);
    });
    find("[data-example]", this).onclick = () => {
      const text = find<HTMLTextAreaElement>("[data-example-source]", this).value;
      this.#take(new File([text], "example.py", { type: "text/x-python" }));
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#send(form);
    };
    this.#take(picker.files?.[0] ?? null); // chosen before this script was there
    enable(this);
  }

  #take(file: File | null): void {
    if (!file) return;
    this.#file = file;
    find("[data-file-name]", this).textContent = file.name;
    find("[data-file-note]", this).textContent = `${size(file.size)}. Choose another to replace it.`;
    const name = find<HTMLInputElement>("input[name=name]", this);
    if (!this.#isNamed) name.value = nameOf(file.name);
    showErrors(this, this.#check());
  }

  #check(): Record<string, string> {
    const file = this.#file;
    if (!file) return { file: "Choose the Python file to upload." };
    const isZip = /\.zip$/i.test(file.name);
    const limit = Number(isZip ? this.dataset.maxZipBytes : this.dataset.maxBytes);
    if (!isZip && !/\.py$/i.test(file.name)) return { file: `“${file.name.slice(0, 80)}” is neither a Python file nor a zip; choose one whose name ends in .py or .zip.` };
    if (file.size === 0) return { file: "The file is empty; choose the script itself." };
    if (file.size > limit) return { file: `The ${isZip ? "zip" : "file"} has ${count(file.size)} bytes; ${isZip ? "it" : "a strategy"} may have at most ${count(limit)}.` };
    return {};
  }

  async #send(form: HTMLFormElement): Promise<void> {
    const errors = this.#check();
    const name = find<HTMLInputElement>("input[name=name]", form).value.trim();
    if (!name) errors.name = "Give it a name.";
    showErrors(form, errors);
    if (Object.keys(errors).length || !this.#file) return;
    const button = find("button.btn-primary", form);
    const bar = find<HTMLProgressElement>("progress", form);
    button.setAttribute("aria-busy", "true");
    bar.hidden = false;
    const body = new FormData(form);
    body.set("name", name);
    body.set("file", this.#file);
    try {
      const { strategy } = await upload<{ strategy: Row }>("/python/upload", body, (share) => { bar.value = share * 100; });
      toastAfterNavigation(`Uploaded ${strategy.name}.`);
      location.assign(`/python/${encodeURIComponent(strategy.id)}${strategy.problem ? "#code" : ""}`);
    } catch (problem) {
      showErrors(form, errorsOf(problem as ApiError, form));
      bar.hidden = true;
      button.removeAttribute("aria-busy");
    }
  }
}
customElements.define("upload-form", UploadForm);
