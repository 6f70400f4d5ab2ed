/** The chance of `correct` or more of `trials` answers by guessing: an exact one-sided binomial test at 1/2. */
function guessingChance(correct, trials) {
  let logChoose = 0; // log of "trials choose i", from i = trials downwards
  let sum = 0;
  for (let i = trials; i >= correct; i--) {
    sum += Math.exp(logChoose - trials * Math.LN2);
    logChoose += Math.log(i) - Math.log(trials - i + 1);
  }
  return Math.min(1, sum);
}
