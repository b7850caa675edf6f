/** Why a volume is not healthy, since when, and what happens next. */
import { Text } from '@mantine/core';
import { useNow } from '../../components/use-now.ts';
import { ageText } from '../../text/time-text.ts';
import type { Reason } from './volume-health.ts';

export function ReasonList({ reasons }: { reasons: readonly Reason[] }) {
  const nowMs = useNow();
  return (
    <ul className="plain-list">
      {reasons.map(({ about, text, next, since }) => (
        <li key={`${about} ${text}`} className="reason">
          {about !== '' && <strong>{about}: </strong>}
          {text}
          {since !== '' && (
            <Text span inherit c="dimmed">
              {' '}
              ({ageText(since, nowMs)})
            </Text>
          )}
          {next !== '' && <div>Next: {next}</div>}
        </li>
      ))}
    </ul>
  );
}
