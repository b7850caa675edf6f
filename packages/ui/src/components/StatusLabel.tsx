/** A word with a mark. The word says all; shape and colour repeat it. */
import type { Health } from './health.ts';
import './StatusLabel.css';

const MARK: Readonly<Record<Health['tone'], string>> = { good: '●', warn: '▲', bad: '✖', busy: '◐', idle: '○' };

export function StatusLabel({ health }: { health: Health }) {
  return (
    <span className="status-label" data-tone={health.tone}>
      <span className="status-mark" aria-hidden="true">
        {MARK[health.tone]}
      </span>
      <span>{health.label}</span>
    </span>
  );
}
