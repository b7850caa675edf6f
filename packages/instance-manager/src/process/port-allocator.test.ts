import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePortRange, PortAllocator } from './port-allocator.ts';

const owner = (name: string): symbol => Symbol(name);

describe('ports', () => {
  it('are handed out next fit, and from the bottom again at the end', () => {
    const ports = new PortAllocator({ start: 10_000, end: 10_029 });
    const [a, b, c, d] = [owner('a'), owner('b'), owner('c'), owner('d')];
    expect(ports.allocate(a, 10)).toEqual({ start: 10_000, end: 10_009 });
    expect(ports.allocate(b, 1)).toEqual({ start: 10_010, end: 10_010 });
    ports.release(a);
    expect(ports.allocate(c, 10)).toEqual({ start: 10_011, end: 10_020 });
    expect(ports.allocate(d, 10)).toEqual({ start: 10_000, end: 10_009 });
    expect(() => ports.allocate(a, 10)).toThrow('failed to allocate 10 ports: cannot find an empty port range');
    ports.release(b);
    ports.release(b);
    expect(ports.allocate(a, 9)).toEqual({ start: 10_021, end: 10_029 });
  });

  it('never overlap, and are refused only when no gap is wide enough', () => {
    const step = fc.record({ count: fc.integer({ min: 1, max: 8 }), release: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ports = new PortAllocator({ start: 1, end: 40 });
        const held: { owner: symbol; ports: number[] }[] = [];
        for (const { count, release } of steps) {
          const taken = new Set(held.flatMap((entry) => entry.ports));
          const fits = Array.from({ length: 41 - count }, (_none, index) => index + 1).some((start) =>
            Array.from({ length: count }, (_none, index) => start + index).every((port) => !taken.has(port)),
          );
          const name = owner('x');
          let got: number[] | null = null;
          try {
            const range = ports.allocate(name, count);
            got = Array.from({ length: count }, (_none, index) => range.start + index);
          } catch {
            got = null;
          }
          if ((got !== null) !== fits) return false;
          if (got?.some((port) => taken.has(port) || port > 40)) return false;
          if (got) held.push({ owner: name, ports: got });
          const [gone] = release < held.length ? held.splice(release, 1) : [];
          if (gone) ports.release(gone.owner);
        }
        return true;
      }),
      { seed: 3 },
    );
    expect(parsePortRange('10000-20000')).toEqual({ start: 10_000, end: 20_000 });
  });

  it.each(['', '1', '0-5', '5-1', '1-70000', 'a-b'])('range %j is refused', (text) => {
    expect(() => parsePortRange(text)).toThrow('write START-END');
  });
});
