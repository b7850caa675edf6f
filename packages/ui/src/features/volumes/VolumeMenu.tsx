/** What can be done with a volume; what cannot says why. */
import { Button, Menu, Text } from '@mantine/core';
import type { Volume } from '../../data/resources.ts';
import { useOpenDialog } from './open-dialog.ts';
import { attachRefusal, deleteRefusal, detachRefusal, type Refusal } from './volume-permits.ts';

interface Entry {
  kind: 'attach' | 'detach' | 'delete';
  label: string;
  refusal: Refusal;
}

export function VolumeMenu({ volume }: { volume: Volume }) {
  const open = useOpenDialog();
  const entries: Entry[] = [
    { kind: 'attach', label: 'Attach …', refusal: attachRefusal(volume) },
    { kind: 'detach', label: 'Detach …', refusal: detachRefusal(volume) },
    { kind: 'delete', label: 'Delete …', refusal: deleteRefusal(volume) },
  ];
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }} width={260}>
      <Menu.Target>
        <Button size="compact-sm" variant="default" aria-label={`Actions on ${volume.name}`}>
          Actions
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {entries.map(({ kind, label, refusal }) => (
          <Menu.Item
            key={kind}
            // Not `disabled`: keyboard and screen reader must reach the reason.
            aria-disabled={refusal !== null}
            closeMenuOnClick={refusal === null}
            onClick={() => {
              if (refusal === null) open({ kind, volume: volume.name });
            }}
            className={refusal !== null ? 'menu-refused' : kind === 'delete' ? 'menu-danger' : 'menu-entry'}
          >
            {label}
            {refusal !== null && (
              <Text size="xs" style={{ whiteSpace: 'normal' }}>
                {refusal}
              </Text>
            )}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
