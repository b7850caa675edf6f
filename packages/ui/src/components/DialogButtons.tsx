/** The two ways out of a dialog. */
import { Button, Group } from '@mantine/core';

interface DialogButtonsProps {
  /** what the second button does, such as `Delete` */
  action: string;
  isBusy: boolean;
  isDisabled?: boolean;
  isDangerous?: boolean;
  onCancel: () => void;
}

export function DialogButtons({
  action,
  isBusy,
  isDisabled = false,
  isDangerous = false,
  onCancel,
}: DialogButtonsProps) {
  return (
    <Group justify="flex-end" mt="lg">
      <Button variant="default" onClick={onCancel}>
        Cancel
      </Button>
      <Button type="submit" loading={isBusy} disabled={isDisabled} {...(isDangerous ? { color: 'red.9' } : {})}>
        {action}
      </Button>
    </Group>
  );
}
