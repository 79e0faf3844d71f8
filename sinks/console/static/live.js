// The live view: pausing without loss, what the connection is doing, and opening a row beside the list.
(() => {
  "use strict";
  const MOST_ROWS = 300, MOST_HELD = 2000;
  const stream = document.getElementById("stream");
  if (!stream) return;
  const list = document.getElementById("rows");
  const held = document.getElementById("held");
  const state = document.getElementById("state");
  const pause = document.getElementById("pause");
  const detail = document.getElementById("detail");
  const notice = document.getElementById("hidden");
  let paused = false, lost = 0, focused = "", opener = "";

  function show(name, text) {
    if (state.dataset.state === name) return;
    state.dataset.state = name;
    state.lastElementChild.textContent = text;
    window.headwater.announce(text);
  }

  // while it is paused new rows go to a list that is not shown; those on the page still fill in place
  function setPaused(on) {
    paused = on;
    if (on) {
      list.id = "frozen";
      held.id = "rows";
    } else {
      list.prepend(...held.children);
      held.id = "held";
      list.id = "rows";
      trim();
    }
    pause.setAttribute("aria-pressed", String(on));
    label();
  }
  function label() {
    const waiting = held.children.length + lost;
    pause.textContent = paused ? `Go on${waiting ? ` (+${waiting})` : ""}` : "Pause";
    if (!paused && lost) {
      notice.textContent = `${lost} rows came while this was paused and are not shown.`;
      lost = 0;
    }
  }
  let clearing = 0;
  function fade() {
    if (!notice.textContent) return;
    clearTimeout(clearing);
    clearing = setTimeout(() => notice.replaceChildren(), 8000);
  }
  function trim() {
    while (list.children.length > MOST_ROWS) list.lastElementChild.remove();
    while (held.children.length > MOST_HELD) { held.lastElementChild.remove(); lost += 1; }
  }

  pause.addEventListener("click", () => setPaused(!paused));
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "p") setPaused(!paused);
    if (event.key === "Escape") close();
  });

  function close() {
    detail.replaceChildren();
    document.body.classList.remove("open");
    document.getElementById(opener)?.querySelector("a").focus();
  }
  document.addEventListener("click", async (event) => {
    if (event.target.closest("[data-close]")) return close();
    const link = event.target.closest("a[data-row]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    opener = link.parentElement.id;
    for (const one of window.headwater.all(".chosen")) one.classList.remove("chosen");
    link.parentElement.classList.add("chosen");
    document.body.classList.add("open");
    await window.htmx.ajax("GET", link.getAttribute("href"), { target: "#detail" });
    detail.focus({ preventScroll: true });
  });

  stream.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) show("lost", "Connection lost. Trying again; nothing is missed.");
  });
  for (const name of ["htmx:sse:error", "htmx:response:error", "htmx:error"]) {
    stream.addEventListener(name, () => show("lost", "Connection lost. Trying again; nothing is missed."));
  }
  stream.addEventListener("headwater:listening", () => show("live", "Listening"));
  stream.addEventListener("headwater:bye", () => { location.reload(); });
  stream.addEventListener("htmx:sse:before:message", () => {
    const row = document.activeElement?.closest("#rows > li, #frozen > li");
    focused = row ? row.id : "";
  });
  stream.addEventListener("htmx:sse:after:message", () => {
    fade();
    trim();
    label();
    const chosen = document.getElementById(opener);
    if (chosen && document.body.classList.contains("open")) chosen.classList.add("chosen");
    if (focused && !document.activeElement?.closest("li")) document.getElementById(focused)?.querySelector("a").focus({ preventScroll: true });
  });
})();

// Saved filters: of this browser alone, by workspace, the newest first.
(() => {
  "use strict";
  const MOST = 12;
  const list = document.getElementById("saved");
  if (!list) return;
  const place = `headwater.filters.${list.dataset.home}`;
  const asked = new URLSearchParams([...new URLSearchParams(location.search)].filter(([, value]) => value)).toString();

  function read() {
    try {
      const found = JSON.parse(localStorage.getItem(place));
      return Array.isArray(found) ? found.filter((one) => typeof one === "string").slice(0, MOST) : [];
    } catch {
      return [];
    }
  }
  function write(kept) {
    try { localStorage.setItem(place, JSON.stringify(kept.slice(0, MOST))); } catch { window.headwater.announce("This browser keeps nothing"); }
    show();
  }
  function label(query) {
    return [...new URLSearchParams(query)].map(([name, value]) => (name === "q" ? value : `${name}: ${value}`)).join(" · ");
  }
  function show() {
    const kept = read();
    list.hidden = kept.length === 0;
    list.replaceChildren(...kept.map((query) => {
      const chip = document.createElement("span");
      const link = document.createElement("a");
      const forget = document.createElement("button");
      chip.className = "tag";
      link.href = `/console/live?${query}`;
      link.textContent = label(query);
      if (query === asked) link.setAttribute("aria-current", "true");
      forget.type = "button";
      forget.className = "plain";
      forget.textContent = "×";
      forget.setAttribute("aria-label", `Forget the filter ${label(query)}`);
      forget.addEventListener("click", () => write(read().filter((one) => one !== query)));
      chip.append(link, " ", forget);
      return chip;
    }));
  }
  document.getElementById("keep")?.addEventListener("click", () => {
    write([asked, ...read().filter((one) => one !== asked)]);
    window.headwater.announce("Saved in this browser");
  });
  show();
})();
