// The keyboard: what keys do on a page, and the list of them that "?" shows.
import { t } from "./i18n.js";
import { Dialog, html, useEffect, useRef, useState } from "./ui.js";

const FIELDS = "input, textarea, select, [contenteditable]";
let letters = localStorage.getItem("letters") !== "off";

/** Where, and [keys, what they do]. */
const LIST = [
  ["Everywhere", [["?", "This list"], ["b", "Board"], ["/", "To the page's first field"], ["Esc", "Close"]]],
  ["Board", [
    ["↑ ↓ ← →", "To another card"], ["Shift + ← →", "Move the card to another column"], ["Enter", "Open the chat"],
    ["t", "Take"], ["r", "Give back or open again"], ["d", "Done"],
  ]],
  ["Conversation", [
    ["c", "Write a message"], ["Esc", "From the text to the messages"], ["↑ ↓", "To another message"], ["Enter", "Answer this message"],
    ["e", "React"], ["t", "Take"], ["r", "Give back or open again"], ["d", "Done"],
  ]],
];

/** Whether a key is the page's: not a field's, a dialog's or the browser's, and no letter where those are off. */
function free(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  if (event.target.closest?.(FIELDS) || document.querySelector("dialog[open]")) return false;
  return letters || event.key.length > 1;
}

/** Calls `keys[event.key](event)` while the part is shown; false from it lets the key through. */
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event) => {
      const act = latest.current[event.key];
      if (act && free(event) && act(event) !== false) event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

export function KeyList({ onClose }) {
  const [on, set] = useState(letters);
  const choose = (event) => {
    letters = event.target.checked;
    localStorage.setItem("letters", letters ? "on" : "off");
    set(letters);
  };
  return html`<${Dialog} title=${t("Keyboard")} onClose=${onClose}>
    ${LIST.map(([where, rows]) => html`<h3 key=${where}>${t(where)}</h3>
      <dl class="keys">${rows.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${t(what)}</dd>`)}</dl>`)}
    <label class="check"><input type="checkbox" checked=${on} onChange=${choose} /> ${t("Keys of one sign do something")}</label>
  <//>`;
}
