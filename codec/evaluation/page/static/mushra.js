/** A MUSHRA-style test: which sample is which lives in this closure until all recordings are rated. */
function makeMushra(deck, clips) {
  const transport = makeTransport(deck, byId("mushra-transport"));
  const status = byId("mushra-status");
  const next = byId("mushra-next");
  const labels = [...new Set(clips.flatMap((clip) => clip.versions.slice(1).map((version) => version.label)))];
  const anchor = "low-pass 3.5 kHz";
  let order = [];
  let page = 0;
  let samples = []; // of the page, in the order shown: {label, role, sound, rating, button, slider}
  let ratings = [];

  const conditions = [...labels.map((label) => ({ label, on: true })), { label: `anchor: ${anchor}`, on: false }];
  byId("mushra-conditions").append(
    ...conditions.map((item) => {
      item.box = element("input", { type: "checkbox", checked: item.on });
      return element("label", { className: "check" }, item.box, element("span", { textContent: item.label }));
    }),
  );

  function view(name) {
    for (const part of ["setup", "trial", "done"]) byId(`mushra-${part}`).hidden = part !== name;
  }

  function start() {
    order = shuffled(clips.length);
    page = 0;
    ratings = [];
    view("trial");
    openPage();
  }

  function openPage() {
    const clip = clips[order[page]];
    const wanted = new Set(labels.filter((_, i) => conditions[i].box.checked));
    const [reference, ...others] = clip.versions;
    const rated = others.filter((version) => wanted.has(version.label));
    samples = [{ label: "reference", role: "reference", sound: reference.sound }];
    samples.push(...rated.map(({ label, sound }) => ({ label, role: "system", sound })));
    if (conditions.at(-1).box.checked) samples.push({ label: anchor, role: "anchor", sound: clip.anchor });
    samples = shuffled(samples.length).map((i) => samples[i]);
    byId("mushra-sliders").replaceChildren(...samples.map(makeSample));
    byId("mushra-page").textContent = `Recording ${page + 1} of ${clips.length}`;
    next.textContent = page + 1 < clips.length ? "Next recording" : "Finish";
    status.textContent = "";
    deck.pause();
    hear(-1, false);
    deck.seek(0);
    byId("mushra-page").focus();
  }

  function makeSample(sample, i) {
    const letter = String.fromCharCode(65 + i);
    sample.button = element("button", { type: "button", textContent: `${letter} ` });
    if (i < 9) sample.button.append(element("kbd", { textContent: i + 1 }));
    sample.button.setAttribute("aria-label", `Listen to sample ${letter}`);
    sample.button.addEventListener("click", () => hear(i));
    const slider = element("input", { type: "range", min: 0, max: 100, step: 1, value: 50 });
    slider.setAttribute("aria-label", `Rating of sample ${letter}, 0 bad to 100 excellent`);
    slider.setAttribute("aria-valuetext", "not rated");
    const shown = element("output", { textContent: "–" });
    const row = element("div", { className: "sample" }, sample.button, slider, shown);
    const rate = () => {
      sample.rating = Number(slider.value);
      shown.textContent = slider.value;
      slider.setAttribute("aria-valuetext", slider.value);
      row.classList.add("rated");
    };
    // "input" does not come where the middle is chosen, on which the slider stands already.
    for (const event of ["input", "pointerup"]) slider.addEventListener(event, rate);
    sample.slider = slider;
    return row;
  }

  /** Plays a sample by its place, or, for -1, the open reference. */
  function hear(place, play = true) {
    if (place >= samples.length) return;
    byId("mushra-reference").setAttribute("aria-pressed", place < 0);
    samples.forEach(({ button }, i) => button.setAttribute("aria-pressed", i === place));
    const clip = order[page];
    const sound = place < 0 ? clips[clip].versions[0].sound : samples[place].sound;
    if (play && place >= 0) samples[place].heard = true;
    deck.select(clip, sound);
    if (play) deck.play();
  }

  function finishPage() {
    const names = (items) => items.map((item) => String.fromCharCode(65 + samples.indexOf(item))).join(", ");
    const unheard = samples.filter((sample) => !sample.heard);
    const unrated = samples.filter((sample) => sample.rating === undefined);
    if (unheard.length || unrated.length) {
      const todo = [unheard.length && `listen to ${names(unheard)}`, unrated.length && `rate ${names(unrated)}`];
      status.textContent = `Still to do: ${todo.filter(Boolean).join("; ")}.`;
      return;
    }
    samples.forEach(({ label, role, rating }, i) =>
      ratings.push({ page: page + 1, file: clips[order[page]].file, label, role, slider: i + 1, rating }),
    );
    page++;
    if (page < clips.length) return openPage();
    deck.pause();
    view("done");
    summarize();
  }

  function summarize() {
    const by = Map.groupBy ? Map.groupBy(ratings, (row) => row.label) : groupByLabel(ratings);
    const rows = [...by].map(([label, group]) => {
      const values = group.map((row) => row.rating);
      return { label, mean: values.reduce((a, b) => a + b, 0) / values.length, values };
    });
    rows.sort((a, b) => b.mean - a.mean);
    byId("mushra-means").tBodies[0].replaceChildren(
      ...rows.map(({ label, mean, values }) =>
        element("tr", {}, element("th", { scope: "row", textContent: label }),
          ...[mean.toFixed(1), Math.min(...values), Math.max(...values)].map((text) =>
            element("td", { className: "number", textContent: text }))),
      ),
    );
    const hidden = ratings.filter((row) => row.role === "reference");
    const low = hidden.filter((row) => row.rating < 90).length;
    byId("mushra-reliable").textContent =
      `The hidden reference was rated below 90 in ${low} of ${hidden.length}` +
      (low > 0.15 * hidden.length ? ": more than the 15 % at which BS.1534-3 leaves a listener's ratings out." : ".");
    byId("mushra-thanks").focus();
  }

  function csv() {
    const listener = byId("mushra-listener").value.trim();
    const head = ["listener", "page", "file", "version", "role", "slider", "rating"];
    const lines = ratings.map((row) => [listener, row.page, row.file, row.label, row.role, row.slider, row.rating]);
    return [head, ...lines].map((line) => `${line.map(csvField).join(",")}\r\n`).join("");
  }

  byId("mushra-start").addEventListener("click", start);
  byId("mushra-next").addEventListener("click", finishPage);
  byId("mushra-reference").addEventListener("click", () => hear(-1));
  for (const id of ["mushra-stop", "mushra-again"]) {
    byId(id).addEventListener("click", () => (deck.pause(), view("setup"), byId("mushra-start").focus()));
  }
  byId("mushra-csv").addEventListener("click", () => download("ratings.csv", csv(), "text/csv;charset=utf-8"));
  const going = () => !byId("mushra-trial").hidden;

  return {
    show: transport.show,
    enter: () => (going() ? hear(-1, false) : deck.select(0, clips[0].versions[0].sound)),
    keys: Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [String(i), () => going() && hear(i - 1)]),
    ),
  };
}

function groupByLabel(rows) {
  const by = new Map();
  for (const row of rows) by.set(row.label, [...(by.get(row.label) ?? []), row]);
  return by;
}

/** One field as RFC 4180 wants it. */
function csvField(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download(name, text, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
