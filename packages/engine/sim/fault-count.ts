/** What went wrong in a world, by kind. */
export interface FaultCount {
  /** blows: processes killed or stopped, power and network cuts, full and failing disks, clocks set, engines replaced … */
  blows: number;
  /** reads, writes and syncs that a disk refused */
  diskErrors: number;
  /** blocks whose unsynced content a power cut tore, lost or hid */
  lostBlocks: number;
  /** data connections that broke with data on the way */
  lostConnections: number;
  /** control calls of which the request or the answer was lost */
  lostCalls: number;
}

export function noFaults(): FaultCount {
  return { blows: 0, diskErrors: 0, lostBlocks: 0, lostConnections: 0, lostCalls: 0 };
}

export function addFaults(sum: FaultCount, more: FaultCount): void {
  sum.blows += more.blows;
  sum.diskErrors += more.diskErrors;
  sum.lostBlocks += more.lostBlocks;
  sum.lostConnections += more.lostConnections;
  sum.lostCalls += more.lostCalls;
}

export function faultTotal(count: FaultCount): number {
  return count.blows + count.diskErrors + count.lostBlocks + count.lostConnections + count.lostCalls;
}
