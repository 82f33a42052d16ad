// What the pages need of a script: times that go on, keys, and a word about the
// connection. Pages work without it, but for what changes by itself.
"use strict";

(() => {
  const units = [[86400, "d", "h", 3600], [3600, "h", "min", 60], [60, "min", "s", 1]];

  // As look.Duration and look.Ago on the server.
  function duration(seconds) {
    for (const [size, unit, small, part] of units) {
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ${Math.floor(seconds % size / part)} ${small}`;
    }
    return seconds < 10 ? `${Math.max(seconds, 0).toFixed(1)} s` : `${Math.floor(seconds)} s`;
  }

  function ago(seconds, at) {
    if (seconds < 5) return "now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    if (seconds < 60 * 86400) return `${Math.floor(seconds / 86400)} d ago`;
    return at.toLocaleDateString("en-GB", {day: "numeric", month: "short", year: "numeric", timeZone: "UTC"});
  }

  function tick() {
    if (document.hidden) return;
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-ago], time[data-since]")) {
      const at = new Date(time.dateTime);
      const passed = (now - at) / 1000;
      const text = "since" in time.dataset ? duration(passed) : ago(passed, at);
      if (time.textContent !== text) time.textContent = text;
    }
  }
  setInterval(tick, 1000);

  // A page that hears of changes says when it does not.
  let trouble = 0;
  function connection(lost) {
    clearTimeout(trouble);
    const line = document.getElementById("connection");
    if (!line) return;
    if (lost) trouble = setTimeout(() => { line.hidden = false; }, 1000);
    else line.hidden = true;
  }
  document.addEventListener("htmx:sse:error", () => connection(true));
  document.addEventListener("htmx:sse:before:connection", (event) => { if (event.detail.connection.attempt > 0) connection(true); });
  document.addEventListener("htmx:sse:after:connection", () => connection(false));

  // A long list that somebody has read far into is not taken away from them.
  document.addEventListener("changed", (event) => {
    if (document.querySelectorAll(".overview tr[data-row]").length <= 100) return;
    event.stopImmediatePropagation();
    const line = document.getElementById("connection");
    line.textContent = "Pipelines have changed: go to the top of the list to see them";
    line.hidden = false;
  }, true);

  // Lines of lists are walked with j and k; Enter opens the first link in one.
  function rows() {
    return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  }
  function step(by) {
    const all = rows();
    if (all.length === 0) return;
    const at = all.indexOf(document.activeElement.closest("[data-row]"));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    const link = next.matches("a") ? next : next.querySelector("a, button, [tabindex]");
    (link ?? next).focus();
    next.scrollIntoView({block: "nearest"});
  }

  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const writes = event.target.closest("input, textarea, select, [contenteditable]");
    if (writes) {
      if (event.key === "Escape") { event.preventDefault(); event.target.blur(); } // and keep what was written
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (going && Date.now() - going < 1500) {
      going = 0;
      const link = document.querySelector(`a[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    switch (event.key) {
      case "/": {
        const field = document.querySelector("[data-search]");
        if (field) { event.preventDefault(); field.focus(); field.select(); }
        break;
      }
      case "j": step(1); break;
      case "k": step(-1); break;
      case "g": going = Date.now(); break;
      case "?": document.getElementById("keys")?.showModal(); break;
    }
  });

  // Browsers that do not know command and commandfor yet.
  if (!("commandForElement" in HTMLButtonElement.prototype)) {
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[commandfor]");
      const dialog = button && document.getElementById(button.getAttribute("commandfor"));
      if (!dialog) return;
      if (button.getAttribute("command") === "close") dialog.close();
      else dialog.showModal();
    });
  }

  // A menu closes when something else is looked at.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.person[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
})();
