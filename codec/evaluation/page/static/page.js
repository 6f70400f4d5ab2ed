/** Puts the page together: views, theme, keys. */
const { clips } = JSON.parse(byId("data").textContent);
const root = document.documentElement;
root.classList.add("scripted");

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
if (byId("recordings")) makeFilters(byId("recordings"), byId("filter-file"), byId("filter-rate"), byId("filter-count"));
byId("summary-card").hidden = !byId("summary");

const metric = byId("metric");
if (metric) {
  const show = () => {
    for (const frame of document.querySelectorAll(".plot-frame[data-metric]")) {
      frame.classList.toggle("shown", frame.dataset.metric === metric.value);
    }
  };
  metric.addEventListener("change", show);
  show();
}

const deck = clips.length ? new Deck(clips) : null;
const parts = deck
  ? { listen: makeListen(deck, clips), abx: makeAbx(deck, clips), mushra: makeMushra(deck, clips) }
  : {};

const views = root.dataset.views.split(" ");
const tabs = [...document.querySelectorAll("[role=tab]")];
let current = null;

function openView(name) {
  if (name === current) return;
  current = name;
  deck?.pause();
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  parts[name]?.enter();
  draw();
}

for (const tab of tabs) {
  const name = tab.getAttribute("aria-controls");
  tab.hidden = !views.includes(name);
  tab.addEventListener("click", () => {
    openView(name);
    history.replaceState(null, "", `#${name}`);
  });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const there = tabs.filter((item) => !item.hidden);
    const to = there[(there.indexOf(tab) + step + there.length) % there.length];
    to.focus();
    to.click();
    event.preventDefault();
    event.stopPropagation();
  });
}

for (const button of document.querySelectorAll(".hear")) {
  button.addEventListener("click", () => {
    byId("tab-listen").click();
    parts.listen.open(button.dataset.file, button.dataset.label);
    byId("tab-listen").focus();
  });
}

const themes = ["auto", "light", "dark"];
let theme = 0;
function nextTheme() {
  theme = (theme + 1) % themes.length;
  if (theme) root.dataset.theme = themes[theme];
  else delete root.dataset.theme;
  byId("theme-name").textContent = themes[theme];
  byId("theme").setAttribute("aria-label", `Colours: ${theme ? themes[theme] : "as the system"}`);
}
byId("theme").addEventListener("click", nextTheme);
byId("help").addEventListener("click", () => byId("keys").showModal());

/** Shows where the deck is, on every frame while it plays. */
let drawing = false;
function draw() {
  parts[current]?.show();
  if (!deck?.playing || drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}
deck?.addEventListener("change", draw);

const everywhere = { t: nextTheme, "?": () => byId("keys").showModal() };
const transportKeys = deck && {
  " ": () => deck.toggle(),
  k: () => deck.toggle(),
  l: () => deck.setLoop(!deck.loop),
  home: () => deck.seek(0),
  arrowleft: () => deck.seek(deck.position - 1),
  arrowright: () => deck.seek(deck.position + 1),
};

/** Whether an element has a use of its own for a key. */
function wants(target, key) {
  if (target.closest("dialog, select, textarea")) return true;
  const type = target.tagName === "INPUT" ? target.type : "";
  if (type === "range") return key.startsWith("arrow") || key === "home";
  if (type === "radio") return key.startsWith("arrow");
  if (type === "checkbox") return key === " ";
  if (type) return true;
  if (target.closest("button, a, summary")) return key === " ";
  return Boolean(target.closest(".scroll")) && (key.startsWith("arrow") || key === " " || key === "home");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !byId("keys-on").checked) return;
  const key = event.key.toLowerCase();
  if (wants(event.target, key)) return;
  const part = parts[current];
  const action = part?.keys[key] ?? (part && transportKeys[key]) ?? everywhere[key];
  if (!action) return;
  event.preventDefault();
  action();
});

const asked = location.hash.slice(1);
openView(views.includes(asked) ? asked : views.includes(root.dataset.first) ? root.dataset.first : views[0]);
