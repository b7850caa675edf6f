/** The manager's API from a map: path below `/v1` to the resource there; 404 for the rest. */
import { ManagerClient } from '../src/api/manager-client.ts';
import { systemClock } from '../src/call/clock.ts';

export function fakeManager(resources: ReadonlyMap<string, object>): ManagerClient {
  return new ManagerClient({
    baseUrl: 'http://manager/v1',
    clock: systemClock,
    fetch: (url) => {
      const found = resources.get(url.slice('http://manager/v1'.length));
      return Promise.resolve(
        found === undefined
          ? new Response(JSON.stringify({ message: 'not found' }), { status: 404 })
          : new Response(JSON.stringify(found)),
      );
    },
  });
}

/** A volume that is attached to `node` and can be used there. */
export function attachedVolume(id: string, node: string, change: object = {}): object {
  return {
    id,
    name: id,
    state: 'attached',
    ready: true,
    frontend: 'blockdev',
    accessMode: 'rwo',
    size: '1073741824',
    controllers: [{ hostId: node, endpoint: `/dev/longhorn/${id}`, size: '1073741824' }],
    ...change,
  };
}
