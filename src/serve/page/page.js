// The page keeps itself up to date, and checks receipts. Without this script it is the same page, as it was when it was asked for.
"use strict";
(() => {
  const PARTS = ["state", "grid", "plan", "quality", "requests", "holds", "trail"];
  const PAUSE = 1000; // between two looks at the page, in milliseconds
  const BREATH = 5000; // between two things said to whoever listens to the page
  const find = (id) => document.getElementById(id);
  const live = find("live");

  // Puts what the service shows now in the place of what is shown. What has the focus keeps it.
  async function refresh() {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of PARTS) {
      const [now, next] = [find(id), fresh.getElementById(id)];
      if (!now || !next || now.innerHTML === next.innerHTML) continue;
      const focus = now.contains(document.activeElement) ? document.activeElement : null;
      const [href, label] = focus ? [focus.getAttribute("href"), focus.getAttribute("aria-label")] : [null, null];
      now.replaceChildren(...document.importNode(next, true).childNodes);
      if (!focus) continue;
      const same = [...now.querySelectorAll("a, [tabindex]")].find(
        (e) => e.getAttribute("href") === href && e.getAttribute("aria-label") === label,
      );
      if (same) same.focus();
    }
    filter();
    say();
  }

  let said = "";
  let quiet = null;
  function say() {
    if (quiet) return;
    const text = find("state").querySelector("h1").textContent;
    if (text === said) return;
    said = text;
    find("said").textContent = text;
    quiet = setTimeout(() => {
      quiet = null;
      say();
    }, BREATH);
  }

  let wanted = false;
  let busy = false;
  async function look() {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      try {
        await refresh();
        live.textContent = "This page keeps itself up to date.";
      } catch {
        live.textContent = "The service does not answer; what is shown may be old.";
        wanted = true;
      }
      await new Promise((done) => setTimeout(done, PAUSE));
    }
    busy = false;
  }

  const events = new EventSource("/v1/events");
  events.addEventListener("change", look);
  events.addEventListener("open", look);
  events.addEventListener("error", () => {
    live.textContent = "The service does not answer; what is shown may be old.";
    // A browser gives up where the answer is no stream; a person may have to name a key again.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 30000);
  });

  // Requests of one state.
  const choice = find("choice");
  choice.hidden = false;
  function filter() {
    const state = choice.querySelector("select").value;
    for (const row of find("requests").querySelectorAll("tbody tr[data-state]")) {
      row.hidden = state !== "" && row.dataset.state !== state;
    }
  }
  choice.addEventListener("change", filter);

  // A signed receipt: a DSSE envelope around an in-toto statement (docs/RECEIPT.md).
  const TYPE = "application/vnd.in-toto+json";
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const form = find("check");
  const verdict = find("verdict");
  form.hidden = false;
  function tell(fine, text) {
    verdict.textContent = text;
    verdict.className = fine ? "fine" : "warn";
  }

  async function check(text, key) {
    if (!/^[0-9a-f]{64}$/.test(key)) return tell(false, "The public key is one line of 64 hexadecimal digits.");
    let envelope, payload, signatures;
    try {
      envelope = JSON.parse(text);
      payload = bytes(envelope.payload);
      signatures = envelope.signatures.map((s) => bytes(s.sig));
    } catch {
      return tell(false, "This file is no signed receipt.");
    }
    const raw = Uint8Array.from(key.match(/../g), (pair) => parseInt(pair, 16));
    let pinned;
    try {
      pinned = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
    } catch {
      return tell(false, "This browser has no Ed25519, or this is no public key. `sisa receipt --check FILE --pub KEY` checks the receipt too.");
    }
    const encoder = new TextEncoder();
    const type = String(envelope.payloadType);
    const head = encoder.encode(`DSSEv1 ${encoder.encode(type).length} ${type} ${payload.length} `);
    const message = new Uint8Array(head.length + payload.length);
    message.set(head);
    message.set(payload, head.length);
    let holds = false;
    for (const signature of signatures) {
      holds ||= await crypto.subtle.verify({ name: "Ed25519" }, pinned, signature, message);
    }
    if (!holds) return tell(false, "The signature does not hold: the receipt was changed, or signed with another key.");
    const statement = JSON.parse(new TextDecoder().decode(payload));
    if (type !== TYPE || statement.predicateType !== form.dataset.predicate) {
      return tell(false, "The signature holds, and what it signs is no receipt of a deletion.");
    }
    const receipt = statement.predicate;
    tell(
      true,
      `The signature holds. Request ${receipt.request}: accepted ${receipt.accepted_at}, in effect ${receipt.effective_at}, repaired ${receipt.repaired_at}.`,
    );
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = find("file").files;
    if (!file) return tell(false, "Choose the file of a signed receipt.");
    if (!crypto.subtle) {
      return tell(false, "A browser checks signatures over HTTPS or on this machine only. `sisa receipt --check FILE --pub KEY` checks the receipt too.");
    }
    await check(await file.text(), find("key").value.trim());
  });
})();
