/**
 * The strategy's code: to read while it runs, to edit and save while it does not.
 *
 * The editor lives in a shadow root, where CodeMirror adopts its style sheets by script instead of
 * writing <style> elements: the page's policy allows no inline styles.
 */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, StateEffect, StateField, type Range } from "@codemirror/state";
import { Decoration, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers, WidgetType, type DecorationSet } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { ApiError, get, post, upload } from "./api";
import { find, make, setText } from "./dom";
import { isLive, paintRow, type Phase, type Problem, type Row } from "./row";
import { toast } from "./toast";

const mix = (colour: string, percent: number) => `color-mix(in oklab, ${colour} ${percent}%, transparent)`;
const content = "var(--color-base-content)";

const look = EditorView.theme({
  "&": { color: content, backgroundColor: "transparent", fontSize: ".8125rem", height: "max(20rem, calc(100dvh - 20rem))" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "1.35rem", overscrollBehavior: "contain" },
  ".cm-gutters": { backgroundColor: "transparent", color: mix(content, 62), border: "none", paddingLeft: ".375rem" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: mix(content, 5) },
  ".cm-activeLineGutter": { color: content },
  ".cm-cursor": { borderLeftColor: "currentColor" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: mix("var(--color-primary)", 26) },
  ".cm-panels": { backgroundColor: "var(--color-base-200)", color: "inherit", borderColor: "var(--color-base-300)" },
  ".cm-problem": { backgroundColor: mix("var(--color-error)", 14), boxShadow: "inset 3px 0 0 var(--color-error)" },
  ".cm-problem-text": { color: "var(--color-error)", padding: "0 .5rem 0 1rem", fontFamily: "var(--font-sans)", fontSize: ".75rem" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], color: "light-dark(oklch(47% .2 300), oklch(79% .13 303))" },
  { tag: [tags.string, tags.special(tags.string)], color: "light-dark(oklch(45% .12 150), oklch(81% .12 150))" },
  { tag: [tags.comment, tags.docString], color: mix(content, 66), fontStyle: "italic" },
  { tag: [tags.number, tags.bool, tags.null], color: "light-dark(oklch(48% .15 45), oklch(82% .12 62))" },
  { tag: [tags.function(tags.definition(tags.variableName)), tags.definition(tags.className), tags.className], color: "light-dark(oklch(45% .17 258), oklch(79% .11 252))" },
  { tag: [tags.meta, tags.self], color: "light-dark(oklch(47% .16 350), oklch(80% .11 350))" },
  { tag: tags.function(tags.variableName), color: "light-dark(oklch(43% .1 220), oklch(84% .07 215))" },
]);

class ProblemText extends WidgetType {
  constructor(readonly text: string) {
    super();
  }

  override eq(other: ProblemText): boolean {
    return other.text === this.text;
  }

  override toDOM(): HTMLElement {
    return make("span", { class: "cm-problem-text", role: "note" }, this.text);
  }
}

const setProblem = StateEffect.define<{ line: number; message: string } | null>();
const problemField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, change) {
    for (const effect of change.effects) {
      if (!effect.is(setProblem)) continue;
      if (!effect.value) return Decoration.none;
      const line = change.state.doc.line(Math.max(1, Math.min(effect.value.line, change.state.doc.lines)));
      const decorations: Range<Decoration>[] = [Decoration.line({ class: "cm-problem" }).range(line.from)];
      decorations.push(Decoration.widget({ widget: new ProblemText(effect.value.message), side: 1 }).range(line.to));
      return Decoration.set(decorations);
    }
    return marks.map(change.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

type SourceFile = { name: string; size: number; is_text: boolean };

class CodeEditor extends HTMLElement {
  #page = this.closest<HTMLElement>("[data-strategy]");
  #locking = new Compartment();
  #view!: EditorView;
  #saved = "";
  #file = this.dataset.file ?? "";
  #problem: Problem | null = null;
  #choice = find<HTMLSelectElement>("[data-files]", this);
  #button = find<HTMLButtonElement>("[data-save]", this);

  connectedCallback(): void {
    const area = find<HTMLTextAreaElement>("textarea", this);
    this.#saved = area.value;
    const place = make("div");
    const root = place.attachShadow({ mode: "open" });
    area.replaceWith(place);
    this.#view = new EditorView({
      root, parent: root,
      state: EditorState.create({ doc: area.value, extensions: this.#extensions(area.getAttribute("aria-label") ?? "Code") }),
    });
    if (this.dataset.line) this.#show({ line: Number(this.dataset.line), column: 0, message: this.dataset.message ?? "", file: this.dataset.problemFile });
    this.#choice.onchange = () => void this.#choose(this.#choice.value);
    const replacing = find<HTMLInputElement>("[data-replace] input", this);
    replacing.onchange = () => void this.#replace(replacing);
    this.#button.onclick = () => void this.#save();
    this.#lock(); // the phase may have changed while this module was on its way
    this.#page?.addEventListener("phase-shown", () => this.#lock());
    this.#page?.addEventListener("tab-shown", () => requestAnimationFrame(() => this.#goToAskedLine()));
    addEventListener("beforeunload", (event) => this.#isDirty() && event.preventDefault());
    this.#goToAskedLine();
  }

  #extensions(label: string) {
    return [
      lineNumbers(), foldGutter(), highlightActiveLine(), highlightActiveLineGutter(), drawSelection(), history(),
      indentOnInput(), bracketMatching(), highlightSelectionMatches(), indentUnit.of("    "), EditorState.tabSize.of(4),
      python(), syntaxHighlighting(colours), look, problemField, this.#locking.of(EditorState.readOnly.of(this.#isLocked())),
      EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
      EditorView.updateListener.of((update) => update.docChanged && this.#showDirty()),
      keymap.of([
        { key: "Mod-s", preventDefault: true, run: () => { void this.#save(); return true; } },
        { key: "Escape", run: (view) => { view.contentDOM.blur(); return true; } }, // Tab indents: Escape is the way out
        ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, indentWithTab,
      ]),
    ];
  }

  #isLocked = (): boolean => isLive((this.#page?.dataset.phase ?? "stopped") as Phase);
  #text = (): string => this.#view.state.doc.toString();
  #isDirty = (): boolean => this.#text() !== this.#saved;

  #lock(): void {
    const isLocked = this.#isLocked();
    this.#view.dispatch({ effects: this.#locking.reconfigure(EditorState.readOnly.of(isLocked)) });
    find("[data-locked]", this).hidden = !isLocked;
    find("[data-replace]", this).hidden = isLocked;
    this.#showDirty();
  }

  #showDirty(): void {
    find("[data-unsaved]", this).hidden = !this.#isDirty();
    this.#button.disabled = !this.#isDirty() || this.#isLocked();
  }

  /** Marks a problem, in the file that has it. */
  #show(problem: Problem | null): void {
    this.#problem = problem;
    const isHere = !problem?.file || problem.file === this.#file;
    this.#mark(isHere ? problem : null);
    if (problem?.file && !isHere && !this.#isDirty()) void this.#choose(problem.file);
  }

  /** Another file of the strategy takes the editor's place; what is not saved is not lost. */
  async #choose(file: string): Promise<void> {
    if (this.#isDirty()) {
      this.#choice.value = this.#file;
      return toast(`Save ${this.#file} first, or undo what you changed.`, "warning");
    }
    try {
      await this.#open(file);
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    }
    this.#choice.value = this.#file;
  }

  async #open(file: string): Promise<void> {
    const path = `/python/source/${encodeURIComponent(this.#page?.dataset.strategy ?? "")}?file=${encodeURIComponent(file)}`;
    const { source, files, file_name } = await get<{ source: string; files: SourceFile[]; file_name: string }>(path);
    this.#file = file || (files[0]?.name ?? "");
    this.#list(files, file_name);
    this.#saved = source;
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: source }, effects: setProblem.of(null) });
    this.#saved = this.#text();
    this.#showDirty();
    if (this.#problem && (this.#problem.file ?? "") === (files.length > 1 ? this.#file : "")) this.#mark(this.#problem);
  }

  #list(files: SourceFile[], fileName: string): void {
    this.#choice.replaceChildren(...files.map(({ name, is_text }) => make("option", { value: name, disabled: !is_text }, name)));
    this.#choice.value = this.#file;
    this.#choice.hidden = files.length < 2;
    setText(find("[data-only]", this), fileName);
    find("[data-only]", this).hidden = files.length > 1;
  }

  /** A new version of all files, from a script or a zip. */
  async #replace(picker: HTMLInputElement): Promise<void> {
    const file = picker.files?.[0];
    picker.value = "";
    if (!file) return;
    const label = find("[data-replace]", this);
    label.setAttribute("aria-busy", "true");
    const body = new FormData();
    body.set("file", file);
    try {
      const id = encodeURIComponent(this.#page?.dataset.strategy ?? "");
      const { strategy } = await upload<{ strategy: Row }>(`/python/replace/${id}`, body, () => undefined);
      if (this.#page) paintRow(this.#page, strategy);
      await this.#open("");
      this.#show(strategy.problem);
      this.#told(strategy.problem);
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    } finally {
      label.removeAttribute("aria-busy");
    }
  }

  #told(problem: Problem | null | undefined): void {
    const where = problem?.file ? `${problem.file}, line ${problem.line}` : `line ${problem?.line}`;
    if (problem) toast(`Saved as a draft: ${where} is not Python.`, "warning");
    else toast("Saved as a new version.");
  }

  #mark(problem: Problem | null): void {
    this.#view.dispatch({ effects: setProblem.of(problem) });
    if (problem) this.#goTo(problem.line);
  }

  #goTo(line: number): void {
    const { doc } = this.#view.state;
    const at = doc.line(Math.max(1, Math.min(line, doc.lines))).from;
    this.#view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
  }

  /** `#code:12` is a link to line 12, as the log's tracebacks have it. */
  #goToAskedLine(): void {
    const line = /^#code:(\d+)$/.exec(location.hash)?.[1];
    this.#view.requestMeasure();
    if (line) this.#goTo(Number(line));
  }

  async #save(): Promise<void> {
    if (this.#isLocked()) return toast("It is running. Stop it to save a new version.", "warning");
    if (!this.#isDirty()) return toast("There is nothing new to save.", "info");
    const text = this.#text();
    const id = this.#page?.dataset.strategy ?? "";
    this.#button.setAttribute("aria-busy", "true");
    try {
      const { strategy } = await post<{ strategy?: Row }>(`/python/save/${encodeURIComponent(id)}`, { source: text, file: this.#file });
      this.#saved = text;
      if (strategy && this.#page) paintRow(this.#page, strategy);
      this.#show(strategy?.problem ?? null);
      this.#told(strategy?.problem);
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    } finally {
      this.#button.removeAttribute("aria-busy");
      this.#showDirty();
    }
  }
}
customElements.define("code-editor", CodeEditor);
