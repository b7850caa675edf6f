import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, BlockHistory, blockContent, versionOf } from './block-history.ts';

describe('block content', () => {
  it('names its version and is told from garbage', () => {
    expect(versionOf(7, 3, blockContent(7, 3, 9))).toBe(9);
    expect(versionOf(7, 3, Buffer.alloc(BLOCK_BYTES))).toBe(0);
    const torn = blockContent(7, 3, 9);
    blockContent(7, 3, 8).copy(torn, 2048, 2048);
    expect(() => versionOf(7, 3, torn)).toThrow(/garbage/);
    expect(() => versionOf(7, 4, blockContent(7, 3, 9))).toThrow(/garbage/);
  });
});

describe('BlockHistory', () => {
  it('wants an acknowledged write back as long as the cache lives', () => {
    const history = new BlockHistory();
    const version = history.begin(0);
    history.acknowledge(0, version);
    expect(() => history.check(0, 0)).toThrow(/possible were \[1\]/);
    history.check(0, version);
  });

  it('lets an unanswered write be there or not, but only one of the two', () => {
    const history = new BlockHistory();
    history.begin(0);
    history.check(0, 0);
    expect(() => history.check(0, 1)).toThrow(/read version 1/);
  });

  it('allows the loss of unflushed writes only after the cache was lost', () => {
    const history = new BlockHistory();
    history.acknowledge(0, history.begin(0));
    history.flushed(history.flushPoint());
    history.acknowledge(0, history.begin(0));
    expect(() => history.check(0, 1)).toThrow(/read version 1/);
    history.lostCache();
    history.check(0, 1);
    history.lostCache();
    history.check(0, 2);
    history.lostCache();
    expect(() => history.check(0, 0)).toThrow(/flushed 1/);
  });

  it('rules out for good, by a flush, what a read after a loss has shown to be gone', () => {
    const history = new BlockHistory();
    history.acknowledge(0, history.begin(0));
    history.flushed(history.flushPoint());
    history.acknowledge(0, history.begin(0));
    history.lostCache();
    history.check(0, 1);
    history.flushed(history.flushPoint());
    history.lostCache();
    expect(() => history.check(0, 2)).toThrow(/possible were \[1\]/);
  });

  it('does not take a flush that is answered late for one that covers less', () => {
    const history = new BlockHistory();
    history.acknowledge(0, history.begin(0));
    const early = history.flushPoint();
    history.acknowledge(0, history.begin(0));
    history.flushed(history.flushPoint());
    history.flushed(early);
    history.lostCache();
    expect(() => history.check(0, 1)).toThrow(/possible were \[2\], flushed 2/);
  });

  it('wants of a snapshot what was acknowledged before it, and allows what was under way', () => {
    const history = new BlockHistory();
    history.acknowledge(0, history.begin(0));
    history.acknowledge(1, history.begin(1));
    history.begin(2);
    const snapshot = history.beginSnapshot();
    history.acknowledge(1, history.begin(1));
    history.endSnapshot(snapshot);
    history.acknowledge(0, history.begin(0));
    history.acknowledge(3, history.begin(3));
    history.revertTo(snapshot);
    expect([0, 1, 2, 3].map((block) => [...(snapshot.possible.get(block) ?? [])])).toEqual([[1], [2, 4], [0, 3], []]);
    expect(() => history.check(0, 5)).toThrow(/possible were \[1\]/);
    expect(() => history.check(3, 6)).toThrow(/possible were \[0\]/);
    history.check(1, 4);
    history.check(2, 0);
  });
});
