// What lies around the tab: TensorBoard's server, and its page.

const ROOT = new URL("..", import.meta.url);

/** Asks the server; the answer is plain data. */
export async function ask(route, parameters = {}) {
  const url = new URL(route, ROOT);
  url.search = new URLSearchParams(parameters);
  const answer = await fetch(url);
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.error ?? `the server answered ${answer.status}`);
}

/** Calls back when TensorBoard reloads: by its button or its timer. */
export function onReload(callback) {
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.isReply) return;
    if (message.type === "experimental.DataReloaded") callback();
    // The host waits for an answer to each of its messages.
    const reply = { type: message.type, id: message.id, payload: null };
    channel.port1.postMessage(JSON.stringify({ ...reply, error: null, isReply: true }));
  };
  window.parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
}

/** Follows TensorBoard's dark mode; where its page is out of reach, the browser's. */
export function followTheme() {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const page = hostBody();
  const apply = () => {
    const dark = page ? page.classList.contains("dark-mode") : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
  if (page) {
    const observer = new MutationObserver(apply);
    observer.observe(page, { attributeFilter: ["class"] });
  }
}

function hostBody() {
  try {
    return window.parent === window ? null : window.parent.document.body;
  } catch {
    return null; // A page of another origin.
  }
}

/** Takes over the fonts that TensorBoard's page brings along. */
export function borrowFonts() {
  const rules = [...(hostBody()?.ownerDocument.styleSheets ?? [])].flatMap(fontsOf);
  const sheet = document.createElement("style");
  sheet.textContent = rules.join("\n");
  document.head.append(sheet);
}

function fontsOf(sheet) {
  try {
    return [...sheet.cssRules].filter((rule) => rule.type === CSSRule.FONT_FACE_RULE).map(fromRoot);
  } catch {
    return []; // A sheet of another origin.
  }
}

/** Where TensorBoard has them: its page asks at the root, behind a prefix too. */
function fromRoot({ cssText }) {
  const root = new URL("../../..", ROOT);
  return cssText.replace(/url\("\/?([^"]+)"\)/g, (_, path) => `url("${new URL(path, root)}")`);
}
