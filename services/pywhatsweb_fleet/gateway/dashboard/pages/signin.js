// By login and password, by API key, or by the ticket of a link (#ticket=…).
import { signIn } from "../api.js";
import { t } from "../i18n.js";
import { Field, Form, html, useEffect, useState } from "../ui.js";

export function SignIn({ onIn }) {
  const [byKey, setByKey] = useState(false);
  const [problem, setProblem] = useState(null);
  const enter = async (fields) => {
    try {
      onIn(await signIn(fields));
    } catch (error) {
      const wait = error.details.retry_after_ms;
      setProblem(wait ? t("Too many tries. Wait {seconds} s.", { seconds: Math.ceil(wait / 1000) }) : error.message);
    }
  };
  useEffect(() => {
    document.title = "PyWhatsWeb";
    const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
    if (ticket) {
      history.replaceState(null, "", location.pathname);
      enter({ credential: ticket });
    }
  }, []);
  return html`<main class="signin"><div class="panel">
    <h1><img src="/dashboard/icon.svg" alt="" width="36" height="36" /> PyWhatsWeb</h1>
    ${problem && html`<p class="bad-text" role="alert">${problem}</p>`}
    ${byKey
      ? html`<${Form} key="key" onSubmit=${enter} button=${t("Sign in")}>
          <${Field} label=${t("API key")}><input name="credential" type="password" required autocomplete="off" autofocus /><//>
        <//>`
      : html`<${Form} key="password" onSubmit=${enter} button=${t("Sign in")}>
          <${Field} label=${t("Organisation")}><input name="tenant" required pattern="[a-z0-9][a-z0-9_\\-]*" autocomplete="organization" autofocus /><//>
          <${Field} label=${t("User")}><input name="user" required autocomplete="username" /><//>
          <${Field} label=${t("Password")}><input name="password" type="password" required autocomplete="current-password" /><//>
        <//>`}
    <button class="plain link" onClick=${() => { setByKey(!byKey); setProblem(null); }}>${byKey ? t("Sign in with a password") : t("Sign in with an API key")}</button>
  </div></main>`;
}
