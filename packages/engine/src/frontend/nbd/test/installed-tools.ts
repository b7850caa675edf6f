/** Which of other people's programs there are to test with. */
import { execFileSync } from 'node:child_process';

/** Those of `names` that are installed. */
export function installedTools(names: readonly string[]): string[] {
  return names.filter((tool) => {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' });
      return true;
    } catch (error) {
      // Exit status 1: not installed.
      if ((error as { status?: number }).status === 1) return false;
      throw error;
    }
  });
}
