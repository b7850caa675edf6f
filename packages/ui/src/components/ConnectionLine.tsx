/** Says that what is on screen may be old. */
import { Alert } from '@mantine/core';
import { useConnection } from '../data/stream-states.ts';

export function ConnectionLine() {
  const connection = useConnection();
  return (
    <div role="status" className="connection-line">
      {connection === 'lost' && (
        <Alert color="yellow" variant="filled" title="Connection lost" autoContrast radius={0}>
          What you see may be old. Trying to connect again …
        </Alert>
      )}
    </div>
  );
}
