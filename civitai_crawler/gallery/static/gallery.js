"use strict";

// --- copying ------------------------------------------------------------------------------------
const toast = document.querySelector(".toast");
let hiding;

function say(text) {
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.hidden = true; }, 1500);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
  } catch {
    // Served at another address than loopback, browsers give pages no clipboard.
    say("This browser lets no page copy here; select the text instead");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button.dataset.copy);
});

// --- videos load when they come into view, and play under the pointer -----------------------------
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    target.preload = "metadata";
    target.src = target.dataset.src;
    seen.unobserve(target);
  }
}, { rootMargin: "200px" });

for (const video of document.querySelectorAll("video[data-src]")) {
  seen.observe(video);
  const card = video.closest(".card");
  card.addEventListener("pointerenter", () => video.play().catch(() => {}));
  card.addEventListener("pointerleave", () => video.pause());
}

// --- keyboard -----------------------------------------------------------------------------------
const search = document.querySelector("[data-search]");
const cards = [...document.querySelectorAll("[data-grid] > a")];

function go(selector) {
  const link = document.querySelector(selector);
  if (link) location.href = link.href;
  return Boolean(link);
}

// The card above or below: of the nearest row in that direction the one that is closest. A focused
// card is drawn a little higher, so what counts is where it lies, not where it is drawn.
function vertical(from, step) {
  const away = (card) => (card.offsetTop - from.offsetTop) * step;
  const aside = (card) => Math.abs(card.offsetLeft - from.offsetLeft);
  const beyond = cards.filter((card) => away(card) > 0);
  const near = Math.min(...beyond.map(away));
  return beyond.filter((card) => away(card) === near).sort((a, b) => aside(a) - aside(b))[0];
}

function move(key) {
  const at = cards.indexOf(document.activeElement);
  if (at < 0) return cards[0];
  if (key === "ArrowUp" || key === "ArrowDown") {
    return vertical(cards[at], key === "ArrowUp" ? -1 : 1);
  }
  return cards[at + (key === "ArrowLeft" ? -1 : 1)];
}

function arrow(event) {
  const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
  const next = cards.length ? move(event.key) : undefined;
  if (next) {
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  } else if (!sideways || !go(event.key === "ArrowLeft" ? "a[rel=prev]" : "a[rel=next]")) {
    return; // the page scrolls
  }
  event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select, textarea, video, audio");
  if (event.key === "Escape") {
    const up = document.body.dataset.up;
    if (typing) event.target.blur();
    else if (up) location.href = up;
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    search.focus();
    search.select();
    event.preventDefault();
  } else if (event.key === "c") {
    document.querySelector("#prompt [data-copy]")?.click();
  } else if (event.key.startsWith("Arrow")) {
    arrow(event);
  }
});
