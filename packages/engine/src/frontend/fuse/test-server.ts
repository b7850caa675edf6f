/**
 * For tests: serves a volume kept in a file as a block device, in a process that can be killed. Arguments: volume, run
 * directory, image, size, and optionally a step of `DeviceStep` at which the process kills itself. Prints one line when the device is
 * up (or why it is not); the words `close` and `leave` on standard input end it.
 */
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { openBlockdevFrontend } from './blockdev-frontend.ts';
import { openTestTarget } from './test-target.ts';

const [volumeName = '', runDir = '', image = '', size = '', killAt = ''] = process.argv.slice(2);

try {
  const frontend = await openBlockdevFrontend({
    target: openTestTarget(image, Number(size)),
    volumeName,
    runDir,
    logger: pino({ level: 'error' }, process.stderr),
    onStep: (step) => {
      if (step === killAt) process.kill(process.pid, 'SIGKILL');
    },
  });
  console.log(`up ${frontend.tookOver ? 'took-over' : 'new'} ${frontend.endpoint()}`);
  createInterface({ input: process.stdin }).on('line', (line) => {
    const end = line === 'leave' ? frontend.leave() : frontend.close();
    end.then(
      () => process.exit(0),
      (error: unknown) => {
        console.log(`failed ${String(error)}`);
        process.exit(1);
      },
    );
  });
} catch (error) {
  console.log(`failed ${String(error)}`);
  process.exitCode = 1;
}
