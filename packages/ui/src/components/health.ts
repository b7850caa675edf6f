/** How something is, in one word. */

/** `good` and `bad` are what they say, `warn` lives with less, `busy` changes by itself, `idle` does nothing. */
export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'idle';

export interface Health {
  tone: Tone;
  label: string;
}
