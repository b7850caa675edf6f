/** State of a long job as its status RPC tells it; `isRunning` and `state` are told apart, as upstream does. */
export interface JobStatus {
  isRunning: boolean;
  error: string;
  progress: number;
  state: '' | 'in_progress' | 'complete' | 'error';
}

/** Never run. */
export function idleJob(): JobStatus {
  return { isRunning: false, error: '', progress: 0, state: '' };
}

/** Runs one job after it was checked that none runs; the status tells its end. */
export async function runJob(status: JobStatus, work: () => Promise<void>): Promise<void> {
  status.isRunning = true;
  status.error = '';
  status.progress = 0;
  status.state = 'in_progress';
  try {
    await work();
    status.progress = 100;
    status.state = 'complete';
  } catch (error) {
    status.error = error instanceof Error ? error.message : String(error);
    status.state = 'error';
    throw error;
  } finally {
    status.isRunning = false;
  }
}

/** Bytes done of a total, never above 100. */
export function percentOf(done: number, total: number): number {
  return total <= 0 ? 100 : Math.min(Math.floor((done / total) * 100), 100);
}
