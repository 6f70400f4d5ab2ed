/** Small helpers of all views, and the transport: play, seek, time and loop, which the views share. */
const byId = (id) => document.getElementById(id);

/** An element with properties, e.g. element("span", {className: "soft", textContent: "x"}, child, ...). */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function option(text, value, selected = false) {
  return new Option(text, value, selected, selected);
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

/** The controls of the deck in one view. */
function makeTransport(deck, place) {
  const play = element("button", { type: "button", className: "play primary" });
  const seek = element("input", { type: "range", min: 0, step: 0.01, className: "seek" });
  seek.setAttribute("aria-label", "Position");
  const time = element("span", { className: "time" });
  const loop = element("button", { type: "button", className: "loop", textContent: "Loop" });
  place.append(play, seek, time, loop);
  play.addEventListener("click", () => deck.toggle());
  loop.addEventListener("click", () => deck.setLoop(!deck.loop));
  seek.addEventListener("input", () => deck.seek(Number(seek.value)));

  const show = () => {
    const { position, duration, playing } = deck;
    seek.max = duration;
    seek.value = position;
    seek.setAttribute("aria-valuetext", `${position.toFixed(1)} of ${duration.toFixed(1)} seconds`);
    time.textContent = `${clock(position)} / ${clock(duration)}`;
    if (play.dataset.playing !== String(playing)) {
      play.dataset.playing = playing;
      play.textContent = playing ? "❚❚" : "▶";
      play.setAttribute("aria-label", playing ? "Pause" : "Play");
    }
    loop.setAttribute("aria-pressed", deck.loop);
  };
  return { show };
}

/** Whole numbers below `count` in an order by chance, from the browser's random source. */
function shuffled(count) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = randomBelow(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function randomBelow(count) {
  const limit = 2 ** 32 - (2 ** 32 % count);
  const draw = new Uint32Array(1);
  do crypto.getRandomValues(draw);
  while (draw[0] >= limit);
  return draw[0] % count;
}
