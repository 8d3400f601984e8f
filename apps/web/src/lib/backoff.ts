/** How long to wait before trying again. */

const firstMs = 500;
const lastMs = 20_000;

/**
 * The wait before a try, in milliseconds: twice as long each time up to a limit, and anywhere in the upper half of that,
 * so that all who lost the server at once do not come back at once. `random` is in [0, 1).
 */
export function backoffMs(tries: number, random: number): number {
  const whole = Math.min(lastMs, firstMs * 2 ** Math.min(Math.max(tries - 1, 0), 10));
  return Math.round(whole * (0.5 + 0.5 * random));
}
