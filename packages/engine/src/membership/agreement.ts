/**
 * May a membership follow another one? The table of "Fencing" as one function.
 *
 * | the new one holds, of the one that it comes from | a starting engine | a running engine |
 * |---|---|---|
 * | more than half | by itself | by itself |
 * | exactly half | with confirmation | with confirmation |
 * | fewer, at least one | never: others may have gone on | with confirmation: it knows the membership |
 * | none | never | never |
 *
 * With several bases (a record that may or may not have been active, and what it came from) each of them must allow it.
 */
import type { MembershipRecord } from './record.ts';

/** `own`: the engine may go on by itself; `ask`: once the control plane confirmed; `refused`: not at all. */
export type Agreement = 'own' | 'ask' | 'refused';

/** Whether the engine was serving under the bases, and so knows for sure that nobody else went on. */
export type Phase = 'start' | 'running';

/** The strictest answer over all bases. */
export function agreementFor(
  next: ReadonlySet<string>,
  bases: readonly Pick<MembershipRecord, 'members'>[],
  phase: Phase,
): Agreement {
  let agreement: Agreement = 'own';
  for (const base of bases) {
    let held = 0;
    for (const name of base.members) if (next.has(name)) held++;
    if (2 * held > base.members.length) continue;
    const mayAsk = held > 0 && (2 * held === base.members.length || phase === 'running');
    if (!mayAsk) return 'refused';
    agreement = 'ask';
  }
  return agreement;
}
