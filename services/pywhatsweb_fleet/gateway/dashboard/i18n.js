// Texts are English in the code; here they are Portuguese and Spanish.
// A language is loaded when it is wanted.
const BOOKS = { en: {}, pt: null, es: null };
const LOCALES = { en: "en", pt: "pt-BR", es: "es" };
export const LANGUAGES = { en: "English", pt: "Português", es: "Español" };

function first() {
  const kept = localStorage.getItem("language");
  const wanted = [kept, ...navigator.languages].filter(Boolean).map((name) => name.slice(0, 2));
  return wanted.find((name) => name in BOOKS) || "en";
}

async function load(name) {
  BOOKS[name] ??= (await import(`./texts-${name}.js`))[name];
}

let language = first();
await load(language);
document.documentElement.lang = LOCALES[language];

export const locale = () => LOCALES[language];
export const current = () => language;

export async function choose(name) {
  await load(name);
  language = name;
  localStorage.setItem("language", name);
  document.documentElement.lang = LOCALES[name];
}

/** The text in the present language; `{name}` stands for a value. */
export function t(text, values = {}) {
  const found = BOOKS[language][text] ?? text;
  return found.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
