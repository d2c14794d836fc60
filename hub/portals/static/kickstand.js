// What the pages gain from JavaScript. Without it everything still reads and works.
"use strict";
(() => {
  const root = document.documentElement;
  const words = { now: root.dataset.agoNow, s: root.dataset.agoS, min: root.dataset.agoMin, h: root.dataset.agoH, d: root.dataset.agoD };
  const number = new Intl.NumberFormat(root.lang);

  function age(ms) {
    const s = Math.floor(ms / 1000);
    if (s < 1) return words.now;
    const [unit, n] = s < 60 ? ["s", s] : s < 3600 ? ["min", Math.floor(s / 60)] : s < 172800 ? ["h", Math.floor(s / 3600)] : ["d", Math.floor(s / 86400)];
    return words[unit].replace("{n}", number.format(n));
  }

  // The server's clock is the reference: a phone that is an hour off must not say "in one hour".
  const skew = Number(root.dataset.now) - Date.now();
  function tick() {
    for (const t of document.querySelectorAll("time[data-ago]")) {
      const passed = Date.now() + skew - Date.parse(t.dateTime);
      if (passed >= 0 && passed < 7 * 86400000) t.textContent = age(passed);
    }
  }
  setInterval(tick, 5000);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (button) {
      try { await navigator.clipboard.writeText(button.dataset.copy); } catch { return; }
      const before = button.textContent;
      button.textContent = button.dataset.done;
      button.classList.add("done");
      setTimeout(() => { button.textContent = before; button.classList.remove("done"); }, 1200);
      return;
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  function walk(step) {
    const rows = [...document.querySelectorAll("tbody tr")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.classList.contains("here"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (at >= 0) rows[at].classList.remove("here");
    next.classList.add("here");
    next.querySelector("a")?.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.activeElement?.blur();
      for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const follow = (selector) => { const a = document.querySelector(selector); if (a) { event.preventDefault(); a.click(); } };
    if (event.key === "/") {
      const field = document.querySelector(".search [name=q]");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    } else if (event.key === "j") document.querySelector("tbody") ? walk(1) : follow("a[rel=next]");
    else if (event.key === "k") document.querySelector("tbody") ? walk(-1) : follow("a[rel=prev]");
  });
})();
