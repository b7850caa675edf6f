/** Every maximum of the uninstaller. */
export const uninstallLimits = {
  /** An object that is asked to go is let go by force after this time; at once when no manager runs. */
  graceMs: 90_000,
  /** Between two looks at what is left. */
  retryMs: 1_000,
  /** One phase; the job's own limit is above all of them. */
  phaseMs: 10 * 60_000,
} as const;
