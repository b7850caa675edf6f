/** Limits of the jobs around an upgrade. */
export const upgradeLimits = {
  /** 360 tries, 5 s apart: half an hour; the chart ends the job after 15 minutes */
  triesMax: 360,
  retryMs: 5000,
  /** an event's text is short */
  namesInEventMax: 10,
} as const;
