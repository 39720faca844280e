// A classic script that runs before the first paint, so that a dark reader sees no white flash.
function preferred(): string {
  try {
    const saved = localStorage.getItem("theme");
    if (saved === "day" || saved === "night") return saved;
  } catch { /* storage is refused: the system's wish counts */ }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "day";
}
document.documentElement.dataset.theme = preferred();
