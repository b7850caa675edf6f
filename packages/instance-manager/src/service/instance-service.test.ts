import { expect, it } from 'vitest';
import { Broadcast } from '../process/broadcast.ts';
import { notifications } from './instance-service.ts';

it('a watch of instances misses nothing that changes after its first message', async () => {
  const broadcast = new Broadcast<string>(10);
  const end = new AbortController();
  const watch = notifications(broadcast.watch(end.signal));
  expect(await watch.next()).toEqual({ done: false, value: {} });
  broadcast.send('changed before the next message is asked for');
  expect(await watch.next()).toEqual({ done: false, value: {} });
  const next = watch.next();
  end.abort();
  expect((await next).done).toBe(true);
  expect(broadcast.size).toBe(0);
});
