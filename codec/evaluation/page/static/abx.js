/** The blind A/B/X test. Which of the two X is lives in this closure alone; nothing in the page tells it. */
function makeAbx(deck, clips) {
  const [clipChoice, aChoice, bChoice, trialChoice] = ["abx-clip", "abx-a", "abx-b", "abx-trials"].map(byId);
  const buttons = { a: byId("hear-a"), b: byId("hear-b"), x: byId("hear-x") };
  const answers = [byId("x-is-a"), byId("x-is-b")];
  const verdict = byId("abx-verdict");
  const history = byId("abx-history");
  const transport = makeTransport(deck, byId("abx-transport"));
  let heard = "a";
  let xIsB = false;
  let trials = [];

  clips.forEach((item, i) => clipChoice.append(option(item.file, i)));
  clipChoice.closest("label").hidden = clips.length < 2;

  function fillVersions() {
    const { versions } = clips[clipChoice.value || 0];
    const before = [aChoice, bChoice].map((choice) => choice.selectedOptions[0]?.textContent);
    const middle = Math.ceil((versions.length - 1) / 2);
    [aChoice, bChoice].forEach((choice, i) => {
      const kept = versions.findIndex((item) => item.label === before[i]);
      const chosen = kept >= 0 ? kept : i * middle;
      choice.replaceChildren(...versions.map((item, k) => option(item.label, k, k === chosen)));
    });
  }

  const planned = () => Number(trialChoice.value);
  const sameTwice = () => aChoice.value === bChoice.value;

  function soundOf(which) {
    const isB = which === "b" || (which === "x" && xIsB);
    return clips[clipChoice.value].versions[(isB ? bChoice : aChoice).value].sound;
  }

  function hear(which, play = true) {
    heard = which;
    for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", name === which);
    deck.select(Number(clipChoice.value), soundOf(which));
    if (play) deck.play();
  }

  function draw() {
    xIsB = randomBelow(2) === 1;
  }

  function restart() {
    trials = [];
    draw();
    hear("a", false);
    say(sameTwice() ? "A and B are the same: choose two that differ." : `Trial 1 of ${planned()}: is X A or B?`);
    report();
  }

  function say(text, kind = "") {
    verdict.textContent = text;
    verdict.className = `verdict ${kind}`;
  }

  function report() {
    const correct = trials.filter((trial) => trial.right).length;
    byId("abx-score").textContent = `${correct} of ${trials.length}`;
    byId("abx-p").textContent = showChance(guessingChance(correct, trials.length));
    history.replaceChildren(
      ...trials.map(({ right, truth }, i) =>
        element("li", {
          className: right ? "right" : "wrong", textContent: right ? "✓" : "✗",
          title: `Trial ${i + 1}: X was ${truth}`, ariaLabel: `Trial ${i + 1}: ${right ? "right" : "wrong"}, X was ${truth}`,
        }),
      ),
    );
    for (const button of answers) button.disabled = sameTwice() || trials.length >= planned();
    return correct;
  }

  function answer(saidB) {
    if (answers[0].disabled) return;
    const right = saidB === xIsB;
    const truth = xIsB ? "B" : "A";
    trials.push({ right, truth });
    draw();
    // What is heard now must not be X of the trial before; and staying on it would tell if X has changed.
    hear("a", false);
    const correct = report();
    const text = `${right ? "Right" : "Wrong"}: X was ${truth}.`;
    if (trials.length < planned()) return say(`${text} Trial ${trials.length + 1} of ${planned()}.`, right ? "right" : "wrong");
    const chance = showChance(guessingChance(correct, trials.length));
    const names = [aChoice, bChoice].map((choice) => choice.selectedOptions[0].textContent).join(" and ");
    const told = guessingChance(correct, trials.length) <= 0.05;
    say(`${text} Done: ${correct} of ${trials.length} correct, p = ${chance}. ${told
      ? `You told ${names} apart (5 % level).` : `No difference between ${names} was shown (5 % level).`}`);
  }

  const showChance = (p) => (p >= 0.001 ? p.toFixed(3) : p.toExponential(1));

  clipChoice.addEventListener("change", () => (fillVersions(), restart()));
  for (const choice of [aChoice, bChoice, trialChoice]) choice.addEventListener("change", restart);
  for (const [name, button] of Object.entries(buttons)) button.addEventListener("click", () => hear(name));
  answers.forEach((button, i) => button.addEventListener("click", () => answer(i === 1)));
  byId("abx-reset").addEventListener("click", restart);
  fillVersions();

  return {
    show: transport.show,
    enter: () => (trials.length ? hear(heard, false) : restart()),
    keys: {
      a: () => hear("a"), b: () => hear("b"), x: () => hear("x"),
      1: () => answer(false), 2: () => answer(true),
    },
  };
}
