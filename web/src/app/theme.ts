/* Dark or light: as the system says, or as the user chose in this browser. */

export type Theme = "system" | "light" | "dark";

const KEY = "quorate-theme";
const DARK = "(prefers-color-scheme: dark)";

export function readTheme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function chooseTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  applyTheme();
}

/** Put it into effect, and follow the system from now on. */
export function startTheme(): void {
  applyTheme();
  matchMedia(DARK).addEventListener("change", applyTheme);
}

function applyTheme(): void {
  const theme = readTheme();
  const dark = theme === "dark" || (theme === "system" && matchMedia(DARK).matches);
  document.documentElement.classList.toggle("pf-v6-theme-dark", dark);
}
