/** Limits of lhctl. */
export const limits = {
  /** kubelet cuts termination messages at 4096 bytes */
  messageBytesMax: 4000,
  answerMs: 120_000,
  pollMs: 1000,
  /** of one call of the manager's API */
  callMs: 30_000,
} as const;
