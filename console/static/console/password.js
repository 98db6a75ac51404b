// Sets a password by a link from a mail, or asks for such a link.
//
// The link's secret comes in the fragment of the address, which no browser sends to a server. It is taken out
// of the address bar before anything else, lives in this module alone, and is posted to the API once.

const by = (id) => document.getElementById(id);
const AWAY = "The service cannot be reached. Nothing was changed; try again.";
let link = null;

function arrive() {
  const said = new URLSearchParams(location.hash.slice(1));
  const [uid, secret] = [said.get("uid"), said.get("secret")];
  history.replaceState(null, "", location.pathname);
  link = /^[0-9]+$/.test(uid) && secret ? { uid: Number(uid), token: secret } : null;
  show(link ? "set" : "ask");
}

function show(form) {
  say("");
  by("next").hidden = true;
  for (const id of ["set", "ask"]) by(id).hidden = id !== form;
  if (form) by(form).querySelector("input").focus();
}

function say(words, refused = false) {
  by("said").textContent = words;
  by("said").classList.toggle("refused", refused);
}

// What is wrong, beside each field of the form, and the first of them under the cursor.
function mark(form, wrong) {
  for (const input of by(form).querySelectorAll("input")) {
    const words = wrong[input.id] ?? "";
    by(`${input.id}-wrong`).textContent = words;
    input.setAttribute("aria-invalid", words ? "true" : "false");
  }
  by(form).querySelector('input[aria-invalid="true"]')?.focus();
}

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
    });
    return { ok: answer.ok, said: await answer.json() };
  } catch {
    return { ok: false, said: { error: AWAY } };
  }
}

// One attempt at a time; `missing` is what the person can mend before anything is sent. What the API answered.
async function attempt(form, missing, path, body) {
  mark(form, missing);
  say("");
  if (Object.keys(missing).length) return {};
  const button = by(form).querySelector("button");
  button.disabled = true;
  const { ok, said } = await post(path, body);
  button.disabled = false;
  if (ok) return { done: said.message };
  const fields = said.fields ?? {};
  const beside = [...by(form).querySelectorAll("input")].some((input) => fields[input.id]);
  say(beside ? "That did not work. What is wrong stands below." : said.error, true);
  mark(form, fields);
  return { spoilt: said.code === "bad_link" || "uid" in fields || "token" in fields, words: said.error };
}

async function set(event) {
  event.preventDefault();
  const [password, again] = [by("new_password").value, by("again").value];
  const missing = {};
  if (!password) missing.new_password = "Type a new password.";
  else if (password !== again) missing.again = "This is not the same as above.";
  const body = { ...link, new_password: password };
  const { done, spoilt, words } = await attempt("set", missing, "/api/auth/password/reset/confirm/", body);
  if (!done && !spoilt) return;
  link = null;
  by("set").reset();
  show(spoilt ? "ask" : null);
  say(done ?? words, Boolean(spoilt));
  by("next").hidden = !done;
  if (done) by("said").focus();
}

async function ask(event) {
  event.preventDefault();
  const email = by("email").value.trim();
  const missing = email ? {} : { email: "Type your e-mail address." };
  const { done } = await attempt("ask", missing, "/api/auth/password/reset/", { email });
  if (!done) return;
  show(null);
  say(done);
  by("said").focus();
}

by("set").addEventListener("submit", set);
by("ask").addEventListener("submit", ask);
addEventListener("hashchange", () => location.hash && arrive()); // a link that is opened while this page is
arrive();
