/** Rights that a run of the quick set does not use, and why they are granted all the same. */
export interface RightsException {
  /** matches rights as `GROUP RESOURCE VERB` */
  right: RegExp;
  reason: string;
}

export const EXCEPTIONS: readonly RightsException[] = [];
