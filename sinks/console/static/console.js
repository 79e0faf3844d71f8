// What pages need beyond links and forms: copying, tabs, local times, keys. No string becomes HTML here.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const announce = (text) => { document.getElementById("announce").textContent = text; };
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

  // times arrive in UTC and are shown where the reader lives
  function localise(within) {
    for (const element of all("time[datetime]:not([title])", within)) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const isToday = at.toDateString() === new Date().toDateString();
      element.title = element.dateTime;
      element.textContent = isToday ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
    }
  }

  async function copy(button) {
    const text = button.dataset.copy || button.parentElement.querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      button.textContent = "Selected";
    }
    announce(button.textContent);
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function choose(tab) {
    for (const other of all("[role=tab]", tab.closest("[data-tabs]"))) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
  }

  function moveTab(tab, step) {
    const tabs = all("[role=tab]", tab.closest("[data-tabs]"));
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });

  function toggle(select) {
    document.getElementById(select.dataset.toggles).hidden = select.value === "public";
  }
  function offer(select) {
    const value = select.closest("label").nextElementSibling?.querySelector("input");
    const names = ["on_list", "off_list"].includes(select.value);
    if (value && names) value.setAttribute("list", select.dataset.offers);
    if (value && !names) value.removeAttribute("list");
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
    if (event.target.matches("[data-toggles]")) toggle(event.target);
    if (event.target.matches("[data-offers]")) offer(event.target);
  });

  const rows = () => all("[data-row]");
  function step(by) {
    const listed = rows();
    const at = listed.indexOf(document.activeElement.closest("[data-row]"));
    const next = listed[Math.min(Math.max(at + by, 0), listed.length - 1)];
    if (next) (next.matches("a") ? next : next.querySelector("a, button") || next).focus();
  }

  let went = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const tab = event.target.closest("[role=tab]");
    if (tab && event.key === "ArrowRight") return moveTab(tab, 1);
    if (tab && event.key === "ArrowLeft") return moveTab(tab, -1);
    if (event.target.closest("input, textarea, select, dialog")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (Date.now() - went < 1500) {
      const link = all("[data-go]").find((one) => one.dataset.go === event.key);
      went = 0;
      if (link) return link.click();
    }
    if (event.key === "g") went = Date.now();
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
    if (event.key === "?") document.getElementById("help").showModal();
    if (event.key === "/") {
      const field = document.querySelector("[data-search]");
      if (field) { event.preventDefault(); field.focus(); }
    }
  });

  document.addEventListener("DOMContentLoaded", () => localise(document));
  document.addEventListener("htmx:after:swap", () => localise(document));
  document.addEventListener("htmx:sse:after:message", () => localise(document));
  all("[data-toggles]").forEach(toggle);
  window.headwater = { all, announce, localise };
})();

// Columns of a list: chosen in this browser alone, by list. The first one always stays.
(() => {
  "use strict";
  const place = (list) => `headwater.columns.${list}`;
  const name = (cell) => cell.textContent.trim();

  function read(list) {
    try {
      const found = JSON.parse(localStorage.getItem(place(list)));
      return new Set(Array.isArray(found) ? found.filter((one) => typeof one === "string") : []);
    } catch {
      return new Set();
    }
  }
  function show(table, off) {
    const heads = [...table.tHead.rows[0].cells];
    for (const row of table.rows) {
      heads.forEach((head, at) => { if (row.cells[at]) row.cells[at].hidden = off.has(name(head)); });
    }
  }
  function offer(area) {
    const list = area.dataset.columns, table = area.querySelector("table"), off = read(list);
    const menu = document.createElement("details"), summary = document.createElement("summary");
    const group = document.createElement("fieldset"), legend = document.createElement("legend");
    menu.className = "pick";
    summary.className = "button small";
    summary.textContent = "Columns";
    legend.className = "hidden";
    legend.textContent = "Columns that are shown";
    group.append(legend);
    for (const head of [...table.tHead.rows[0].cells].filter((cell) => !cell.hasAttribute("data-fixed"))) {
      const label = document.createElement("label"), box = document.createElement("input");
      label.className = "check";
      box.type = "checkbox";
      box.checked = !off.has(name(head));
      box.addEventListener("change", () => {
        if (box.checked) off.delete(name(head)); else off.add(name(head));
        try { localStorage.setItem(place(list), JSON.stringify([...off])); } catch { window.headwater.announce("This browser keeps nothing"); }
        show(table, off);
      });
      label.append(box, ` ${name(head)}`);
      group.append(label);
    }
    menu.append(summary, group);
    area.before(menu);
    show(table, off);
  }
  document.addEventListener("DOMContentLoaded", () => window.headwater.all("[data-columns]").forEach(offer));
})();
