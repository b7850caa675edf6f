import { expect, it } from 'vitest';
import { CORE_LIMITS } from '../controller/core/core-limits.ts';
import { SLOTS_MAX } from '../frontend/fuse/limits.ts';
import { ISCSI_COMMANDS_MAX, ISCSI_CONNECTIONS_MAX } from '../frontend/iscsi/limits.ts';
import { NBD_CONNECTIONS_MAX, NBD_REQUESTS_MAX } from '../frontend/nbd/nbd-limits.ts';
import { SOCKET_CONNECTIONS_MAX, SOCKET_REQUESTS_MAX } from '../frontend/socket/limits.ts';

/** Copies between replicas, and rounds of flushes. */
const OWN_OPERATIONS = 512;

it.each([
  ['fuse', SLOTS_MAX],
  ['iscsi', ISCSI_CONNECTIONS_MAX * ISCSI_COMMANDS_MAX],
  ['nbd', NBD_CONNECTIONS_MAX * NBD_REQUESTS_MAX],
  ['socket', SOCKET_CONNECTIONS_MAX * SOCKET_REQUESTS_MAX],
])('the core has room for all that %s lets in', (_name, requests) => {
  expect(requests).toBeLessThanOrEqual(CORE_LIMITS.operationsMax - OWN_OPERATIONS);
});
