// Builds every browser asset into src/algohost/web/static, with content-hashed names and a
// manifest that maps the plain names to them. Run by hatch_build.py; WEB_OUT moves the result.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import subsetFont from "subset-font";

const here = dirname(fileURLToPath(import.meta.url));
const final = resolve(here, process.env.WEB_OUT ?? "../src/algohost/web/static");
const out = `${final}.new`; // takes the place of the old ones only when all of it is there
const modules = join(here, "node_modules");
const manifest = {};

/** Symbols of the sprite by their names in Lucide. */
const ICONS = [
  "activity", "arrow-down-to-line", "calendar-clock", "calendar-days", "chevron-right", "circle-alert", "circle-check", "download",
  "ellipsis", "file-code", "info", "key-round", "keyboard", "list", "log-in", "log-out", "moon", "octagon-x", "pencil", "play", "save",
  "search", "shield-check", "square", "sun", "terminal", "trash", "triangle-alert", "upload", "user", "wifi-off", "x",
];

function emit(name, data) {
  const hash = createHash("sha256").update(data).digest("hex").slice(0, 8);
  const file = name.replace(/(\.\w+)$/, `-${hash}$1`);
  writeFileSync(join(out, file), data);
  manifest[name] = file;
}

async function scripts() {
  const shared = {
    absWorkingDir: here, bundle: true, minify: true, metafile: true, target: "es2022",
    outdir: out, entryNames: "[name]-[hash]", chunkNames: "chunk-[hash]", legalComments: "linked",
  };
  const results = await Promise.all([
    esbuild.build({ ...shared, format: "esm", splitting: true, entryPoints: ["src/app.ts"] }),
    esbuild.build({ ...shared, format: "iife", entryPoints: ["src/theme.ts"] }),
  ]);
  for (const { metafile } of results) {
    for (const [file, made] of Object.entries(metafile.outputs)) {
      if (made.entryPoint) manifest[`${basename(made.entryPoint, ".ts")}.js`] = basename(file);
    }
  }
}

async function sprite() {
  const attributes = (values) => Object.entries(values).map(([key, value]) => ` ${key}="${value}"`).join("");
  const symbol = async (name) => {
    const { default: nodes } = await import(`./node_modules/lucide/dist/esm/icons/${name}.mjs`);
    const shapes = nodes.map(([tag, values]) => `<${tag}${attributes(values)}/>`).join("");
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${shapes}</symbol>`;
  };
  const symbols = (await Promise.all(ICONS.map(symbol))).join("");
  emit("favicon.svg", readFileSync(join(here, "src/favicon.svg")));
  emit("icons.svg", `<svg xmlns="http://www.w3.org/2000/svg">${symbols}</svg>`);
}

/** Inter as published for Latin, and of its large second file only the rupee sign. */
async function fonts() {
  const files = join(modules, "@fontsource-variable/inter/files");
  emit("inter.woff2", readFileSync(join(files, "inter-latin-wght-normal.woff2")));
  const extended = readFileSync(join(files, "inter-latin-ext-wght-normal.woff2"));
  emit("inter-rupee.woff2", await subsetFont(extended, "₹", { targetFormat: "woff2" }));
}

/** After the fonts: the sheet names them by their hashed names. */
function sheet() {
  const draft = join(out, "draft.css");
  const tailwind = join(modules, "@tailwindcss/cli/dist/index.mjs");
  execFileSync(process.execPath, [tailwind, "-i", "src/app.css", "-o", draft, "--minify"], {
    cwd: here, stdio: ["ignore", "ignore", "inherit"],
  });
  const css = readFileSync(draft, "utf8").replace(/inter(-rupee)?\.woff2/g, (name) => manifest[name]);
  rmSync(draft);
  emit("app.css", css);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await Promise.all([scripts(), fonts(), sprite()]);
sheet();
writeFileSync(join(out, "manifest.json"), JSON.stringify(manifest, null, 1));
rmSync(final, { recursive: true, force: true });
renameSync(out, final);
