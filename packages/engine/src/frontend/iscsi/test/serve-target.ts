/** A target in a process of its own, to be killed: `node serve-target.ts VOLUME HOST RUN_DIR`; prints its endpoint. */
import { pino } from 'pino';
import { MemoryTarget } from '../../nbd/test/memory-target.ts';
import { openIscsiFrontend } from '../iscsi-frontend.ts';
import { claimPort } from '../port-claim.ts';

const [volumeName = '', host = '', runDir = ''] = process.argv.slice(2);
const frontend = await openIscsiFrontend({
  target: new MemoryTarget(1 << 20),
  volumeName,
  host,
  claim: claimPort(volumeName, runDir),
  chap: null,
  logger: pino({ level: 'silent' }),
});
console.log(frontend.endpoint());
