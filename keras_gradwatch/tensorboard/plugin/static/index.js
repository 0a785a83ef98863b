// The tab "Gradients": TensorBoard calls `render` once this module is loaded.

import { element } from "./dom.js";
import { borrowFonts, followTheme, onReload } from "./host.js";
import { Tab } from "./tab.js";

const SHEETS = ["theme.css", "page.css", "grid.css", "details.css"];

export async function render() {
  const sheets = SHEETS.map((file) => element("link", { rel: "stylesheet", href: new URL(file, import.meta.url) }));
  // Nothing is drawn before it is known how.
  const loaded = sheets.map((sheet) => new Promise((done) => {
    sheet.onload = sheet.onerror = done;
  }));
  document.head.append(...sheets);
  document.title = "Gradients";
  borrowFonts();
  followTheme();
  await Promise.all(loaded);
  const tab = new Tab();
  document.body.append(tab.root);
  onReload(() => tab.reload());
  await tab.reload();
}
