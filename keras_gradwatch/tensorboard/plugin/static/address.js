// What is open, in the address of TensorBoard's page: a link can be sent.

// As TensorBoard writes what a plugin keeps in its address.
const PREFIX = "p.keras_gradwatch.";
// The first part of the address while this tab is shown.
const TAB = "#keras_gradwatch";
const KEYS = ["run", "check", "variable", "page"];

/** What the address asks for: run, check and variable, each null if it does not. */
export function read() {
  const hash = page()?.location.hash ?? "";
  const found = Object.fromEntries(KEYS.map((key) => [key, null]));
  for (const part of hash.slice(1).split("&")) {
    const [key, value] = part.split("=");
    if (key.startsWith(PREFIX) && KEYS.includes(key.slice(PREFIX.length))) {
      found[key.slice(PREFIX.length)] = decoded(value ?? "");
    }
  }
  return found;
}

/** Writes what is open; what else is in the address stays. */
export function write(place) {
  const host = page();
  if (!host) return;
  const others = host.location.hash.slice(1).split("&").filter((part) => !part.startsWith(PREFIX));
  const ours = KEYS.filter((key) => place[key]).map((key) => `${PREFIX}${key}=${encodeURIComponent(place[key])}`);
  const hash = `#${[...others, ...ours].filter(Boolean).join("&")}`;
  const { pathname, search } = host.location;
  // Not a new entry of the history: TensorBoard would take going back for another tab.
  if (hash !== host.location.hash) host.history.replaceState(host.history.state, "", `${pathname}${search}${hash}`);
}

/** Calls back when somebody else changes the address, and stays in this tab. */
export function onChange(callback) {
  const host = page();
  host?.addEventListener("hashchange", () => {
    if (host.location.hash.split("&")[0] === TAB) callback();
  });
}

function page() {
  try {
    return window.parent.location.hash === undefined ? null : window.parent;
  } catch {
    return null; // A page of another origin.
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
