/** Heading of a page, what can be done on it beside. */
import { Group, Title } from '@mantine/core';
import { useEffect, type ReactNode } from 'react';

export function PageHead({ title, children }: { title: string; children?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Longhorn`;
  }, [title]);
  return (
    <Group justify="space-between" mb="md" gap="sm">
      <Title order={1} size="h2" tabIndex={-1} style={{ overflowWrap: 'anywhere' }}>
        {title}
      </Title>
      {children}
    </Group>
  );
}
