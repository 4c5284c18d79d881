// Keeps a page live: fetches it again every two seconds and puts its live parts in place of those
// that are shown. Forms are not live, so nothing that was entered is lost. Without this script a
// page shows what was when it was loaded.
"use strict";

const PERIOD_MS = 2000;
const TICK_MS = 100;

const state = document.getElementById("live-state");
let lastGood = new Date();
let receivedAt = performance.now();
// What the server last said of each live part.
const said = new Map();

// --- the live parts -----------------------------------------------------------

function parts(root) {
  return Array.from(root.querySelectorAll("[data-live]"));
}

// What is open, and what has the focus, stays so.
function replace(part, fresh) {
  const open = Array.from(part.querySelectorAll("details[open][id]"), (one) => one.id);
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const key = focused && focusKey(focused);
  part.replaceChildren(...fresh.childNodes);
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  if (key) {
    const same = Array.from(part.querySelectorAll("a, button, summary")).find((one) => focusKey(one) === key);
    if (same) same.focus({ preventScroll: true });
  }
}

// What an element is known by in the next version of its part.
function focusKey(element) {
  const within = element.closest("[id]");
  return [element.tagName, element.getAttribute("href"), within && within.id, element.textContent].join(" ");
}

async function fetchParts() {
  const answer = await fetch(location.href, {
    headers: { "X-Transom-Live": "1" },
    cache: "no-store",
    signal: AbortSignal.timeout(10000),
  });
  if (answer.status === 401) throw new Error("the session has ended; load the page to log in");
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = parts(page);
  if (fresh.length === 0) throw new Error("the answer holds nothing live");
  return fresh;
}

async function refresh() {
  try {
    const fresh = await fetchParts();
    receivedAt = performance.now();
    for (const one of fresh) {
      const shown = document.getElementById(one.id);
      // What is the same stays, so that it is not read out again.
      if (shown && said.get(one.id) !== one.innerHTML) {
        said.set(one.id, one.innerHTML);
        replace(shown, one);
      }
    }
    count();
    lastGood = new Date();
    say("", "Live");
  } catch (error) {
    say("lost", `Not live since ${lastGood.toLocaleTimeString()}: ${error.message}`);
  }
}

function say(kind, text) {
  state.className = kind;
  if (state.textContent !== text) state.textContent = text;
}

async function live() {
  for (;;) {
    await new Promise((resume) => setTimeout(resume, PERIOD_MS));
    if (document.hidden) {
      await new Promise((resume) => document.addEventListener("visibilitychange", resume, { once: true }));
    }
    await refresh();
  }
}

// --- countdowns ---------------------------------------------------------------

// A wait as the server writes it: rounded up, in tenths of a second below a minute.
function inWords(ms) {
  const tenths = Math.ceil(ms / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const s = Math.ceil(ms / 1000);
  const units = [["day", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  let left = s;
  const words = [];
  for (const [name, length] of units) {
    const many = Math.floor(left / length);
    left -= many * length;
    if (many > 0) words.push(`${many}${name === "day" && many > 1 ? "days" : name}`);
  }
  return words.join(" ");
}

function count() {
  const passed = performance.now() - receivedAt;
  for (const one of document.querySelectorAll("[data-countdown-ms]")) {
    const text = inWords(Math.max(0, Number(one.dataset.countdownMs) - passed));
    if (one.textContent !== text) one.textContent = text;
  }
}

if (parts(document).length > 0) {
  for (const part of parts(document)) said.set(part.id, part.innerHTML);
  setInterval(count, TICK_MS);
  live();
}
