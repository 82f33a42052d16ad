// The log of a build: <towline-log src="..." follow failed>. It streams from
// the API by byte offset, so that a connection that breaks loses and doubles
// nothing, and draws only the lines that are in sight.
"use strict";

(() => {
  const lineHeight = 20;      // pixels, as in log.css
  const longest = 2000;       // characters of one line that are drawn
  const stamp = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z (.*)$/;
  const command = /^\[[\w-]+\] \$ /;
  // What tells an error: surely, and perhaps.
  const surely = [
    /^(\[[\w-]+\] )?(error|fatal|panic|exception|traceback|assertionerror|segmentation fault)\b/i, /^(\[[\w-]+\] )?\s*--- FAIL|^(\[[\w-]+\] )?FAIL\b/, /^(\[[\w-]+\] )?(npm ERR!|E  |\[ERROR\]|FAILED)/,
    /\b(error|fatal error|exception)(:|\[)/i, /: (not found|command not found|No such file or directory|permission denied)/i, /\bBUILD FAILURE\b/, /\bexit (code|status) [1-9]/,
  ];
  const perhaps = /\b(error|failed|failure|cannot|denied|refused|undefined|unexpected)\b/i;
  const harmless = /\b(0|no) (errors?|failures?|failed)\b/i;

  const tells = (text, patterns) => !harmless.test(text) && patterns.some((p) => p.test(text));

  // pieces of a line, each with its classes: of what terminals are told only
  // colours and weights are kept.
  function pieces(text) {
    const found = [];
    let style = new Set();
    const clean = text.replace(/\x1b\][^\x07\x1b]*(\x07|\x1b\\)/g, "");
    let at = 0;
    for (const match of clean.matchAll(/\x1b\[([0-9;]*)([A-Za-z])/g)) {
      if (match.index > at) found.push([clean.slice(at, match.index), [...style]]);
      at = match.index + match[0].length;
      if (match[2] === "m") style = styled(style, match[1]);
    }
    if (at < clean.length) found.push([clean.slice(at), [...style]]);
    return found.map(([t, s]) => [t.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, ""), s]);
  }

  function styled(style, codes) {
    const next = new Set(style);
    const drop = (prefix) => { for (const s of next) if (s.startsWith(prefix)) next.delete(s); };
    for (const code of (codes || "0").split(";").map(Number)) {
      if (code === 0) next.clear();
      else if (code === 1) next.add("t-bold");
      else if (code === 2) next.add("t-faint");
      else if (code === 3) next.add("t-italic");
      else if (code === 4) next.add("t-under");
      else if (code === 22) { next.delete("t-bold"); next.delete("t-faint"); }
      else if (code === 39) drop("t-fg");
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) { drop("t-fg"); next.add(`t-fg${code % 10}`); }
    }
    return next;
  }

  const plain = (text) => pieces(text).map(([t]) => t).join("");

  class Log extends HTMLElement {
    connectedCallback() {
      if (this.lines) return;
      this.lines = [];        // {time, text, group}: group is the index of its command, -1 for none
      this.visible = [];      // indexes of lines that are not folded away
      this.folded = new Set();
      this.bytes = 0;         // of whole lines that have come
      this.rest = "";
      this.group = -1;
      this.errors = [];       // indexes
      this.wrong = new Set(); // the same
      this.stick = this.hasAttribute("follow");
      this.wanted = this.lineOf(location.hash);
      this.build();
      this.away = new AbortController();
      this.stream();
      window.addEventListener("hashchange", () => this.go(this.lineOf(location.hash)), {signal: this.away.signal});
      document.addEventListener("keydown", (event) => this.key(event), {signal: this.away.signal});
    }

    disconnectedCallback() {
      // An element that is only moved comes back at once.
      queueMicrotask(() => { if (!this.isConnected) this.away?.abort(); });
    }

    lineOf(hash) {
      const found = /^#L(\d+)(?:-L?(\d+))?$/.exec(hash);
      if (!found) return null;
      return {from: Number(found[1]) - 1, to: Number(found[2] ?? found[1]) - 1};
    }

    build() {
      const raw = this.getAttribute("src");
      const make = (tag, props = {}, ...children) => { const e = Object.assign(document.createElement(tag), props); e.append(...children); return e; };
      this.search = make("input", {type: "search", placeholder: "Search the log", ariaLabel: "Search the log"});
      this.search.dataset.search = "";
      this.count = make("span", {className: "dim small", role: "status"});
      const button = (text, title, click) => { const b = make("button", {type: "button", className: "button", textContent: text, title}); b.addEventListener("click", click); return b; };
      this.next = button("Next error", "e", () => this.nextError());
      this.fold = button("Fold", "Fold and unfold the commands", () => this.foldAll());
      const times = button("Times", "Show when each line came", () => { times.ariaPressed = String(this.classList.toggle("timed")); });
      times.ariaPressed = "false";
      this.tail = button("To the end", "Follow what comes", () => { this.stick = true; this.draw(); });
      const link = make("a", {href: raw, className: "button", textContent: "Raw"});
      link.setAttribute("download", "");
      const bar = make("div", {className: "log-bar"}, this.search, this.count, this.next, this.fold, times, this.tail, link);
      this.window = make("div", {className: "log-window", tabIndex: 0, role: "region", ariaLabel: "Lines of the log"});
      this.sheet = make("div", {className: "log-sheet"});
      this.rows = make("div", {className: "log-rows"});
      this.sheet.append(this.rows);
      this.window.append(this.sheet);
      this.state = make("p", {className: "log-state small dim", role: "status"});
      this.replaceChildren(bar, this.window, this.state);
      this.window.addEventListener("scroll", () => {
        const end = this.window.scrollHeight - this.window.clientHeight - this.window.scrollTop < 2 * lineHeight;
        if (!this.drawing) this.stick = end && this.hasAttribute("follow");
        this.draw();
      });
      this.search.addEventListener("input", () => this.find());
      this.search.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); this.step(event.shiftKey ? -1 : 1); } });
      new ResizeObserver(() => this.draw()).observe(this.window);
      this.state.textContent = "Loading";
    }

    async stream() {
      let pause = 500;
      for (;;) {
        try {
          const follow = this.hasAttribute("follow");
          const response = await fetch(`${this.getAttribute("src")}?follow=${follow}&offset=${this.bytes}`, {signal: this.away.signal, cache: "no-store"});
          if (!response.ok) throw Object.assign(new Error(`the server answers ${response.status}`), {final: response.status < 500});
          pause = 500;
          this.state.textContent = follow ? "Following" : "";
          const decoder = new TextDecoder();
          this.rest = "";
          for (const reader = response.body.getReader(); ;) {
            const {done, value} = await reader.read();
            if (done) break;
            this.take(decoder.decode(value, {stream: true}));
          }
          this.ended();
          return;
        } catch (error) {
          if (this.away.signal.aborted) return;
          if (error.final) { this.state.textContent = `The log cannot be shown: ${error.message}`; return; }
          this.state.textContent = "Connection lost, trying again";
          await new Promise((resolve) => setTimeout(resolve, pause));
          pause = Math.min(pause * 2, 5000);
        }
      }
    }

    // take adds what has come. Bytes are counted by whole lines, for only these
    // are not asked for again.
    take(text) {
      const all = (this.rest + text).split("\n");
      this.rest = all.pop();
      for (const line of all) this.add(line);
      this.later();
    }

    add(line) {
      this.bytes += encoder.encode(line).length + 1;
      const found = stamp.exec(line);
      const text = found ? found[2] : line;
      const index = this.lines.length;
      if (command.test(text)) this.group = index;
      this.lines.push({time: found ? found[1] : "", text, group: this.group});
      if (!command.test(text) && tells(text, surely)) this.error(index);
      if (this.group < 0 || this.group === index || !this.folded.has(this.group)) this.visible.push(index);
      if (this.needle && text.toLowerCase().includes(this.needle)) this.hits.push(index);
    }

    ended() {
      if (this.rest) { this.add(this.rest); this.rest = ""; }
      this.removeAttribute("follow");
      if (this.errors.length === 0) this.lines.forEach((l, i) => { if (!command.test(l.text) && tells(l.text, [perhaps])) this.error(i); });
      this.state.textContent = `${this.lines.length.toLocaleString("en-GB")} lines`;
      this.settled = true;
      if (this.wanted) this.go(this.wanted);
      else if (this.hasAttribute("failed") && !this.marked) this.open();
      this.dispatchEvent(new CustomEvent("log:end", {bubbles: true}));
      this.draw();
    }

    error(i) {
      this.errors.push(i);
      this.wrong.add(i);
    }

    // open shows the first error of what has failed, else the end of it.
    open() {
      this.current = this.errors[0] ?? this.lines.length - 1;
      this.show(this.current, true);
    }

    later() {
      if (this.soon) return;
      this.soon = requestAnimationFrame(() => {
        this.soon = 0;
        if (this.wanted && this.lines.length > this.wanted.from) this.go(this.wanted);
        this.tally();
        this.draw();
      });
    }

    measure() {
      this.sheet.style.height = `${this.visible.length * lineHeight}px`;
    }

    draw() {
      this.drawing = true;
      this.measure();
      if (this.stick) this.window.scrollTop = this.window.scrollHeight;
      const first = Math.max(Math.floor(this.window.scrollTop / lineHeight) - 10, 0);
      const last = Math.min(first + Math.ceil(this.window.clientHeight / lineHeight) + 20, this.visible.length);
      this.rows.style.transform = `translateY(${first * lineHeight}px)`;
      this.rows.replaceChildren(...this.visible.slice(first, last).map((i) => this.row(i)));
      this.next.disabled = this.errors.length === 0;
      this.tail.hidden = this.stick || !this.hasAttribute("follow");
      requestAnimationFrame(() => { this.drawing = false; });
    }

    row(i) {
      const line = this.lines[i];
      const row = document.createElement("div");
      row.className = "log-line";
      if (this.wrong.has(i)) row.classList.add("error");
      if (i === this.current) row.classList.add("current");
      if (this.marked && i >= this.marked.from && i <= this.marked.to) row.classList.add("marked");
      const number = document.createElement("a");
      number.href = `#L${i + 1}`;
      number.textContent = i + 1;
      number.className = "log-number";
      number.addEventListener("click", (event) => {
        if (!event.shiftKey || !this.marked) return;
        event.preventDefault();
        location.hash = `#L${Math.min(this.marked.from, i) + 1}-L${Math.max(this.marked.to, i) + 1}`;
      });
      row.append(number);
      if (line.group === i) {
        const fold = document.createElement("button");
        fold.type = "button";
        fold.className = "log-fold";
        fold.ariaExpanded = String(!this.folded.has(i));
        fold.ariaLabel = `Output of line ${i + 1}`;
        fold.textContent = this.folded.has(i) ? "▸" : "▾";
        fold.addEventListener("click", () => this.toggle(i));
        row.append(fold);
      }
      const time = document.createElement("span");
      time.className = "log-time";
      time.textContent = line.time.slice(11);
      row.append(time, this.words(line.text));
      return row;
    }

    words(text) {
      const words = document.createElement("span");
      words.className = "log-text";
      const cut = text.length > longest;
      for (const [part, classes] of pieces(cut ? text.slice(0, longest) : text)) this.light(words, part, classes);
      if (cut) {
        const all = document.createElement("button");
        all.type = "button";
        all.className = "log-more";
        all.textContent = `${(text.length - longest).toLocaleString("en-GB")} more characters`;
        all.addEventListener("click", () => { words.replaceChildren(); for (const [part, classes] of pieces(text)) this.light(words, part, classes); });
        words.append(all);
      }
      return words;
    }

    // light appends a part, with what is searched for marked in it.
    light(to, part, classes) {
      const low = part.toLowerCase();
      for (let at = 0; at < part.length;) {
        const hit = this.needle ? low.indexOf(this.needle, at) : -1;
        const end = hit < 0 ? part.length : hit === at ? at + this.needle.length : hit;
        const piece = document.createElement(hit === at && this.needle ? "mark" : "span");
        piece.textContent = part.slice(at, end);
        if (classes.length) piece.className = classes.join(" ");
        to.append(piece);
        at = end;
      }
    }

    find() {
      this.needle = this.search.value.toLowerCase();
      this.hits = [];
      if (this.needle) this.lines.forEach((l, i) => { if (plain(l.text).toLowerCase().includes(this.needle)) this.hits.push(i); });
      this.hit = this.hits.length ? this.hits.find((i) => i >= (this.current ?? 0)) ?? this.hits[0] : undefined;
      if (this.hit !== undefined) this.show(this.hit, true);
      this.tally();
      this.draw();
    }

    tally() {
      this.count.textContent = this.needle ? `${this.hits.length.toLocaleString("en-GB")} ${this.hits.length === 1 ? "line" : "lines"}` : "";
    }

    step(by) {
      if (!this.hits?.length) return;
      const at = this.hits.indexOf(this.hit);
      this.hit = this.hits[(at + by + this.hits.length) % this.hits.length];
      this.show(this.hit, true);
    }

    nextError() {
      if (!this.errors.length) return;
      this.show(this.errors.find((i) => i > (this.current ?? -1)) ?? this.errors[0], true);
    }

    show(i, current) {
      const group = this.lines[i]?.group;
      if (group >= 0 && group !== i && this.folded.has(group)) this.toggle(group);
      this.stick = false;
      if (current) this.current = i;
      const at = this.visible.indexOf(i);
      this.measure(); // or there may be nothing yet to scroll to
      this.window.scrollTop = Math.max(at * lineHeight - this.window.clientHeight / 3, 0);
      this.draw();
    }

    go(wanted) {
      if (!wanted) return;
      this.marked = wanted;
      if (this.lines.length <= wanted.from) { if (!this.settled) this.wanted = wanted; return; }
      this.wanted = null;
      this.show(wanted.from, true);
    }

    toggle(group) {
      if (!this.folded.delete(group)) this.folded.add(group);
      this.unfold();
    }

    foldAll() {
      const groups = this.lines.flatMap((l, i) => l.group === i ? [i] : []);
      this.folded = this.folded.size ? new Set() : new Set(groups);
      this.unfold();
    }

    unfold() {
      this.visible = [];
      this.lines.forEach((l, i) => { if (l.group < 0 || l.group === i || !this.folded.has(l.group)) this.visible.push(i); });
      this.draw();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
      if (event.key === "e") this.nextError();
      else if (event.key === "n") this.step(1);
      else if (event.key === "N") this.step(-1);
    }
  }

  const encoder = new TextEncoder();
  customElements.define("towline-log", Log);
})();
