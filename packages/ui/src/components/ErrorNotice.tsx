/** A failure, in the server's own words, all of them. */
import { Alert, Button, Text } from '@mantine/core';
import { errorText } from '../data/rest-client.ts';

interface ErrorNoticeProps {
  title: string;
  error: unknown;
  onRetry?: () => void;
}

export function ErrorNotice({ title, error, onRetry }: ErrorNoticeProps) {
  return (
    <Alert color="red" title={title} role="alert" variant="light" className="error-notice">
      <Text size="sm" className="server-words">
        {errorText(error)}
      </Text>
      {onRetry !== undefined && (
        <Button mt="sm" size="xs" variant="default" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}
