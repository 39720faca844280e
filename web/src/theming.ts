export type Theme = "day" | "night";

/** Switches between the two themes and keeps the choice for this browser. */
export function switchTheme(): void {
  const next: Theme = document.documentElement.dataset.theme === "night" ? "day" : "night";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch { /* storage is refused: the choice lasts for this page */ }
}
