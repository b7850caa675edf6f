import { VisuallyHidden } from '@mantine/core';
import { useAnnouncements } from './announcer.ts';

/** The place that screen readers listen to. */
export function Announcer() {
  const lines = useAnnouncements();
  return (
    <VisuallyHidden>
      <div role="log" aria-live="polite" aria-label="Changes">
        {lines.map(({ id, text }) => (
          <div key={id}>{text}</div>
        ))}
      </div>
    </VisuallyHidden>
  );
}
