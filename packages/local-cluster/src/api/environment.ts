/** Clock and randomness of the API server, given by main or by a test. */
export interface Environment {
  now(): Date;
  uuid(): string;
  /** lower-case letters and digits, for generateName */
  suffix(length: number): string;
}

/** Delayed calls; returns what cancels the call. */
export type After = (milliseconds: number, run: () => void) => () => void;

/** Time as Kubernetes writes it: seconds, UTC. */
export const timestamp = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;

/** Time with microseconds, as in leases and new events. */
export const microTime = (at: Date): string => `${at.toISOString().slice(0, -1)}000Z`;
