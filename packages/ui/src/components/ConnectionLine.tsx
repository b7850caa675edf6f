/** Says that what is on screen may be old. */
import { useConnection } from '../data/stream-states.ts';

export function ConnectionLine() {
  const connection = useConnection();
  return (
    <div role="status" className="connection-line">
      {connection === 'lost' && (
        <div className="connection-lost">
          <strong>Connection lost.</strong> What you see may be old. Trying to connect again …
        </div>
      )}
    </div>
  );
}
