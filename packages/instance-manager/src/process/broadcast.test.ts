import { expect, it } from 'vitest';
import { Broadcast } from './broadcast.ts';

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

it('gives every watcher all updates from its subscription on, and ends with its signal', async () => {
  const broadcast = new Broadcast<number>(10);
  broadcast.send(1);
  const [first, second] = [new AbortController(), new AbortController()];
  const a = collect(broadcast.watch(first.signal));
  broadcast.send(2);
  const b = collect(broadcast.watch(second.signal));
  broadcast.send(3);
  first.abort();
  broadcast.send(4);
  broadcast.close();
  expect([await a, await b]).toEqual([
    [2, 3],
    [3, 4],
  ]);
  expect(broadcast.size).toBe(0);
});

it('ends a watcher that does not keep up, after what it has in its queue', async () => {
  const broadcast = new Broadcast<number>(3);
  const watcher = broadcast.watch(new AbortController().signal);
  for (let update = 0; update < 5; update++) broadcast.send(update);
  expect(broadcast.size).toBe(0);
  expect(await collect(watcher)).toEqual([0, 1, 2]);
});

it('forgets a watcher that stops reading', async () => {
  const broadcast = new Broadcast<number>(3);
  const watcher = broadcast.watch(new AbortController().signal);
  broadcast.send(1);
  for await (const update of watcher) if (update === 1) break;
  expect(broadcast.size).toBe(0);
});
