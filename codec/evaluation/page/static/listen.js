/** The player: one recording, all versions of it at one position, and their spectrograms. */
function makeListen(deck, clips) {
  const clipChoice = byId("clip");
  const versions = byId("versions");
  let clip = 0;
  let version = 0;
  const transport = makeTransport(deck, byId("listen-transport"));
  const pictures = ["Original", "Decoded", "Difference"].map((name) => makePicture(deck, name));
  byId("spectrograms").append(...pictures.map((picture) => picture.figure));

  clips.forEach((item, i) => clipChoice.append(option(item.file, i)));
  clipChoice.closest(".head").hidden = clips.length < 2;
  clipChoice.addEventListener("change", () => chooseClip(Number(clipChoice.value)));
  byId("previous-clip").addEventListener("click", () => chooseClip(clip - 1));
  byId("next-clip").addEventListener("click", () => chooseClip(clip + 1));

  function chooseClip(wanted) {
    const wasPlaying = deck.playing;
    const label = clips[clip].versions[version].label;
    clip = (wanted + clips.length) % clips.length;
    clipChoice.value = clip;
    versions.replaceChildren(...makeChoices(clips[clip].versions, chooseVersion));
    const same = clips[clip].versions.findIndex((item) => item.label === label);
    chooseVersion(Math.max(0, same));
    if (wasPlaying) deck.play();
  }

  function chooseVersion(wanted) {
    const items = clips[clip].versions;
    if (wanted < 0 || wanted >= items.length) return;
    version = wanted;
    const item = items[version];
    deck.select(clip, item.sound);
    versions.querySelectorAll("input")[version].checked = true;
    byId("version-name").textContent = item.label;
    byId("version-facts").textContent = item.facts;
    pictures[0].draw(items[0].image, clips[clip], "Original", `Spectrogram of the original of ${clips[clip].file}`);
    const shown = version || Math.min(1, items.length - 1); // the original has no difference: the first other has
    const name = items[shown].label;
    pictures[1].draw(items[shown].image, clips[clip], name, `Spectrogram of ${name}`);
    pictures[2].draw(
      items[shown].difference, clips[clip], `${name} − original`,
      `Difference of the spectrograms of ${name} and the original: blue where sound is missing, orange where it is added`,
    );
    show();
  }

  function show() {
    transport.show();
    for (const picture of pictures) picture.show();
  }

  chooseClip(0);
  return {
    show,
    enter: () => deck.select(clip, clips[clip].versions[version].sound),
    /** Shows a version of a file by its label, as a link from the table asks. */
    open(file, label) {
      chooseClip(Math.max(0, clips.findIndex((item) => item.file === file)));
      chooseVersion(clips[clip].versions.findIndex((item) => item.label === label));
      deck.play();
    },
    keys: {
      n: () => chooseClip(clip + 1),
      p: () => chooseClip(clip - 1),
      arrowup: () => chooseVersion(version - 1),
      arrowdown: () => chooseVersion(version + 1),
      ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [String(i + 1), () => chooseVersion(i)])),
    },
  };
}

/** A radio button for each version, in a line for each system. */
function makeChoices(versions, choose) {
  const lines = new Map();
  versions.forEach((item, i) => {
    const radio = element("input", { type: "radio", name: "version", value: i, ariaLabel: item.label });
    radio.addEventListener("change", () => choose(i));
    const key = i < 9 ? [element("kbd", { textContent: i + 1 })] : [];
    const text = element("span", { textContent: item.short });
    const shown = element("label", { className: "version" }, radio, ...key, text);
    if (!lines.has(item.group)) {
      const name = item.group ? [element("span", { className: "soft", textContent: item.group })] : [];
      lines.set(item.group, element("div", {}, ...name));
    }
    lines.get(item.group).append(shown);
  });
  return lines.values();
}

/** A spectrogram with its axes; a click on it seeks. */
function makePicture(deck, name) {
  const image = element("img");
  const line = element("span", { className: "head-line" });
  const field = element("div", { className: "field" }, image, line);
  const hertz = element("div", { className: "ticks-y", ariaHidden: "true" });
  const seconds = element("div", { className: "ticks-x", ariaHidden: "true" });
  const caption = element("figcaption", { textContent: name });
  const figure = element(
    "figure", { className: "spectrogram" }, caption, element("div", { className: "picture" }, hertz, field, seconds),
  );
  field.addEventListener("click", (event) => {
    const box = field.getBoundingClientRect();
    deck.seek(((event.clientX - box.left) / box.width) * deck.duration);
  });
  return {
    figure,
    draw(id, clip, text, alt) {
      figure.hidden = id === undefined;
      if (figure.hidden) return;
      caption.textContent = text;
      caption.title = text;
      image.src = `data:image/png;base64,${byId(id).textContent}`;
      image.alt = `${alt}. 0 to ${clip.seconds.toFixed(1)} s, 0 to ${clip.hertz} Hz.`;
      hertz.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => tick("bottom", part, `${Math.round(part * clip.hertz)} Hz`)));
      const digits = clip.seconds < 8 ? 1 : 0;
      seconds.replaceChildren(
        ...[0, 0.25, 0.5, 0.75, 1].map((part) => tick("left", part, `${(part * clip.seconds).toFixed(digits)} s`)),
      );
    },
    show() {
      line.style.left = `${(100 * deck.position) / deck.duration}%`;
    },
  };
}

function tick(side, part, text) {
  const made = element("span", { textContent: text });
  made.style[side] = `${100 * part}%`;
  return made;
}
